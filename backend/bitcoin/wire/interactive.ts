// BOLT 2, "Interactive Transaction Construction": two sides add inputs and outputs in turns until neither has more.
import {
  channelID,
  list,
  present,
  s64,
  signature,
  sizedBytes,
  u16,
  u32,
  u64,
} from '../../../peer/wire/fields.js'
import { type MessageOf, message } from '../../../peer/wire/message.js'
import { record } from '../../../peer/wire/tlv.js'
import { feerate, sats, txID } from './fields.js'

/** @see BOLT 2; a shared input is named by its transaction's ID and has an empty `prevtx`. */
export const txAddInput = message(
  'tx_add_input',
  66,
  { channelID, serialID: u64, prevtx: sizedBytes, prevtxVout: u32, sequence: u32 },
  { sharedInputTxID: record(0, txID) },
)
/** A message of {@link txAddInput}. */
export type TxAddInput = MessageOf<typeof txAddInput>

/** `tx_add_output`: BOLT 2, "Interactive Transaction Construction". */
export const txAddOutput = message('tx_add_output', 67, {
  channelID,
  serialID: u64,
  sats,
  script: sizedBytes,
})
/** A message of {@link txAddOutput}. */
export type TxAddOutput = MessageOf<typeof txAddOutput>

/** `tx_remove_input`: BOLT 2, "Interactive Transaction Construction". */
export const txRemoveInput = message('tx_remove_input', 68, { channelID, serialID: u64 })
/** A message of {@link txRemoveInput}. */
export type TxRemoveInput = MessageOf<typeof txRemoveInput>

/** `tx_remove_output`: BOLT 2, "Interactive Transaction Construction". */
export const txRemoveOutput = message('tx_remove_output', 69, { channelID, serialID: u64 })
/** A message of {@link txRemoveOutput}. */
export type TxRemoveOutput = MessageOf<typeof txRemoveOutput>

/** `tx_complete`: BOLT 2, "Interactive Transaction Construction". */
export const txComplete = message('tx_complete', 70, { channelID })
/** A message of {@link txComplete}. */
export type TxComplete = MessageOf<typeof txComplete>

/** Witnesses in the order of the sender's inputs, each encoded as in a transaction. */
export const txSignatures = message(
  'tx_signatures',
  71,
  { channelID, txid: txID, witnesses: list(u16, sizedBytes) },
  { sharedInputSignature: record(0, signature) },
)
/** A message of {@link txSignatures}. */
export type TxSignatures = MessageOf<typeof txSignatures>

const rbf = {
  /** What the sender adds to the funding output; below zero what it takes out. */
  fundingOutputContribution: record(0, s64),
  requireConfirmedInputs: record(2, present),
}

/** `tx_init_rbf`: BOLT 2, "Interactive Transaction Construction". */
export const txInitRbf = message('tx_init_rbf', 72, { channelID, locktime: u32, feerate }, rbf)
/** A message of {@link txInitRbf}. */
export type TxInitRbf = MessageOf<typeof txInitRbf>

/** `tx_ack_rbf`: BOLT 2, "Interactive Transaction Construction". */
export const txAckRbf = message('tx_ack_rbf', 73, { channelID }, rbf)
/** A message of {@link txAckRbf}. */
export type TxAckRbf = MessageOf<typeof txAckRbf>

/** `data` is text for people. */
export const txAbort = message('tx_abort', 74, { channelID, data: sizedBytes })
/** A message of {@link txAbort}. */
export type TxAbort = MessageOf<typeof txAbort>
