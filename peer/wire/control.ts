// BOLT 1: the messages about a connection itself.
import { chainHash, channelID, rest, restBytes, sizedBytes, u16 } from './fields.js'
import { type MessageOf, message } from './message.js'
import { record } from './tlv.js'

/** What may follow the features of `init`. */
export const initRecords = { networks: record(1, rest(chainHash)), remoteAddr: record(3, restBytes) }

/** What a node can do; the first message of a connection in either direction. */
export const init = message('init', 16, { globalfeatures: sizedBytes, features: sizedBytes }, initRecords)
/** A message of {@link init}. */
export type Init = MessageOf<typeof init>

/** Ends the channel of that ID, or with 32 zero bytes all channels with the peer. `data` is text for people. */
export const error = message('error', 17, { channelID, data: sizedBytes })
/** A message of {@link error}. */
export type ErrorMessage = MessageOf<typeof error>

/** Text for people; ends nothing. */
export const warning = message('warning', 1, { channelID, data: sizedBytes })
/** A message of {@link warning}. */
export type Warning = MessageOf<typeof warning>

/** Asks for a pong of so many bytes, none at all from 65532 on. */
export const ping = message('ping', 18, { numPongBytes: u16, ignored: sizedBytes })
/** A message of {@link ping}. */
export type Ping = MessageOf<typeof ping>

/** Answers a ping. */
export const pong = message('pong', 19, { ignored: sizedBytes })
/** A message of {@link pong}. */
export type Pong = MessageOf<typeof pong>
