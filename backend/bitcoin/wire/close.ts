// BOLT 2, "Channel Close": shutdown, the older negotiation of a fee, and the newer form in which each side pays for its own.
import { channelID, signature, sizedBytes, struct, u32 } from '../../../peer/wire/fields.js'
import { type MessageOf, message } from '../../../peer/wire/message.js'
import { record } from '../../../peer/wire/tlv.js'
import { sats } from './fields.js'

/** `shutdown`: BOLT 2, "Channel Close". */
export const shutdown = message('shutdown', 38, { channelID, scriptpubkey: sizedBytes })
/** A message of {@link shutdown}. */
export type Shutdown = MessageOf<typeof shutdown>

/** `closing_signed`: BOLT 2, "Channel Close". */
export const closingSigned = message(
  'closing_signed',
  39,
  { channelID, feeSatoshis: sats, signature },
  { feeRange: record(1, struct('fee_range', { minFeeSatoshis: sats, maxFeeSatoshis: sats })) },
)
/** A message of {@link closingSigned}. */
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

/** `closing_complete`: BOLT 2, "Channel Close". */
export const closingComplete = message('closing_complete', 40, closing, closingSignatures)
/** A message of {@link closingComplete}. */
export type ClosingComplete = MessageOf<typeof closingComplete>

/** `closing_sig`: BOLT 2, "Channel Close". */
export const closingSig = message('closing_sig', 41, closing, closingSignatures)
/** A message of {@link closingSig}. */
export type ClosingSig = MessageOf<typeof closingSig>
