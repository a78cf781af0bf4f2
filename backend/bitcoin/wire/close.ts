// BOLT 2, "Channel Close": shutdown, the older negotiation of a fee, and the newer form in which each side pays for its own.
import { channelID, signature, sizedBytes, struct, u32 } from '../../../peer/wire/fields.js'
import { type MessageOf, message } from '../../../peer/wire/message.js'
import { record } from '../../../peer/wire/tlv.js'
import { sats } from './fields.js'

export const shutdown = message('shutdown', 38, { channelID, scriptpubkey: sizedBytes })
export type Shutdown = MessageOf<typeof shutdown>

export const closingSigned = message(
  'closing_signed',
  39,
  { channelID, feeSatoshis: sats, signature },
  { feeRange: record(1, struct('fee_range', { minFeeSatoshis: sats, maxFeeSatoshis: sats })) },
)
export type ClosingSigned = MessageOf<typeof closingSigned>

const closing = {
  channelID,
  closerScriptpubkey: sizedBytes,
  closeeScriptpubkey: sizedBytes,
  feeSatoshis: sats,
  locktime: u32,
}

/** A signature for each form of the closing transaction that its sender agrees to. */
const closingSignatures = {
  closerOutputOnly: record(1, signature),
  closeeOutputOnly: record(2, signature),
  closerAndCloseeOutputs: record(3, signature),
}

export const closingComplete = message('closing_complete', 40, closing, closingSignatures)
export type ClosingComplete = MessageOf<typeof closingComplete>

export const closingSig = message('closing_sig', 41, closing, closingSignatures)
export type ClosingSig = MessageOf<typeof closingSig>
