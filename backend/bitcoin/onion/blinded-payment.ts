// A payment at a node of a blinded route (BOLT 4, "payload format", Requirements of the reader): what to forward, or
// that it has arrived. Whatever is wrong has one consequence, `invalid_onion_blinding`, so that nothing is learnt.
import { type BlockHeight, blockHeight, type Msat } from '../units.js'
import { unblind } from './blinding.js'
import type { SharedSecret } from './keys.js'
import type { BlindedInstruction } from './payload.js'
import { amountToForward, type NextNode, nextOf, readRecipientData } from './recipient-data.js'

/** What a blinded payment comes to. */
export type BlindedPayment =
  | {
      readonly kind: 'forward'
      readonly to: NextNode
      readonly amtToForward: Msat
      readonly outgoingCltvValue: BlockHeight
      /** For `update_add_htlc`. */
      readonly pathKey: Uint8Array
    }
  | {
      readonly kind: 'receive'
      readonly amtToForward: Msat
      readonly outgoingCltvValue: BlockHeight
      readonly totalMsat: Msat
      /** What this node put into the route when it made it: must be compared before anything is believed. */
      readonly pathID?: Uint8Array
    }
  | { readonly kind: 'refused'; readonly reason: string }

/** The HTLC as offered to this node. */
export interface OfferedHTLC {
  readonly amountMsat: Msat
  readonly cltvExpiry: BlockHeight
}

/** Decrypts what the route's creator has to say and works out what follows. Never throws for what a peer sent. */
export function resolveBlinded(
  instruction: BlindedInstruction,
  htlc: OfferedHTLC,
  sharedSecret: SharedSecret,
): BlindedPayment {
  const unblinding = unblind(instruction.pathKey, sharedSecret)
  const data = unblinding && readRecipientData(unblinding.decrypt(instruction.encryptedRecipientData))
  if (unblinding === undefined || data === undefined) return refused('invalid recipient data')
  const { paymentConstraints: limits, paymentRelay: relay, pathID } = data
  if (limits !== undefined && htlc.cltvExpiry > limits.maxCltvExpiry) return refused('route expired')
  if (limits !== undefined && htlc.amountMsat < limits.htlcMinimumMsat) return refused('below minimum')
  // No feature of payments over blinded routes is defined: none can be allowed, not even an odd one.
  if (data.allowedFeatures?.some((byte) => byte !== 0)) return refused('unknown feature')
  if (data.shortChannelID !== undefined && data.nextNodeID !== undefined) return refused('two next nodes')
  const { final } = instruction
  if (final !== undefined) {
    // Less time or money than the sender means to have sent: somebody before us kept it.
    if (htlc.cltvExpiry < final.outgoingCltvValue) return refused('expiry below the payload')
    if (htlc.amountMsat < final.amtToForward) return refused('amount below the payload')
    return { kind: 'receive', ...final, ...(pathID && { pathID }) }
  }
  const to = nextOf(data)
  if (to === undefined || relay === undefined) return refused('no next node')
  const amtToForward = amountToForward(htlc.amountMsat, relay)
  const expiry = htlc.cltvExpiry - relay.cltvExpiryDelta
  if (amtToForward === undefined || expiry < 0) return refused('does not cover fee and delta')
  return {
    kind: 'forward',
    to,
    amtToForward,
    outgoingCltvValue: blockHeight(expiry),
    pathKey: data.nextPathKeyOverride ?? unblinding.nextPathKey,
  }
}

function refused(reason: string): BlindedPayment {
  return { kind: 'refused', reason }
}
