// What an HTLC to us says in its onion, and whether the onion's own word about it is kept (BOLT 4, "Onion Decryption",
// "Payload for the Last Node"). Which payment it is for is not asked here.
import type { MustFail, OpenHtlc, Removal } from '../channel/index.js'
import {
  BADONION,
  type Failure,
  failureCode,
  type Peeled,
  peelOnion,
  type ReceiveInstruction,
  readInstruction,
  type SharedSecret,
} from '../onion/index.js'
import { sha256 } from '../script/index.js'
import type { NodeKeys } from './input.js'

/** What is found in an HTLC. */
export type Opened =
  /** It is meant for us. */
  | { readonly kind: 'receive'; readonly instruction: ReceiveInstruction; readonly sharedSecret: Uint8Array }
  /** Its payer is told why it fails. */
  | { readonly kind: 'fail'; readonly failure: Failure; readonly sharedSecret: Uint8Array }
  /** Only the peer can be told. */
  | { readonly kind: 'malformed'; readonly removal: Removal }

const NO_ONION = new Uint8Array(0)
const NO_UPDATE = new Uint8Array(0)

/** Takes the onion off. Everything in it may be a stranger's nonsense. */
export function openFinal(
  htlc: OpenHtlc,
  mustFail: MustFail | undefined,
  { sharedSecret }: NodeKeys,
): Opened {
  const { onion = NO_ONION, paymentHash, amount, cltvExpiry, blindedPath } = htlc
  // Within a blinded route all failures are one, so that nobody can try out where it leads.
  if (blindedPath !== undefined) return malformed('invalid_onion_blinding', sha256(onion))
  const peeled = ahead.get(sharedSecret)?.get(onion) ?? peel(onion, paymentHash, sharedSecret)
  if (peeled.kind === 'malformed') return malformed(peeled.failure, peeled.sha256OfOnion)
  const failed = (failure: Failure): Opened => ({ kind: 'fail', failure, sharedSecret: peeled.sharedSecret })
  if (peeled.kind === 'unreadable') return failed({ kind: 'invalid_onion_payload', type: 0n, offset: 0 })
  if (mustFail !== undefined) return failed(failureFor(mustFail))
  const instruction = readInstruction(peeled.payload, { final: peeled.kind === 'final' })
  switch (instruction.kind) {
    case 'invalid':
      return failed({
        kind: 'invalid_onion_payload',
        type: instruction.type,
        offset: instruction.offset,
      })
    case 'blinded':
      return failed({ kind: 'invalid_onion_blinding', sha256OfOnion: sha256(onion) })
    case 'forward':
      return failed({ kind: 'unknown_next_peer' })
    case 'receive':
      // The hop before kept something for itself.
      if (amount < instruction.amtToForward)
        return failed({ kind: 'final_incorrect_htlc_amount', incomingHtlcAmt: amount })
      if (cltvExpiry < instruction.outgoingCltvValue)
        return failed({ kind: 'final_incorrect_cltv_expiry', cltvExpiry })
      return { kind: 'receive', instruction, sharedSecret: peeled.sharedSecret }
  }
}

/** Layers that were taken off ahead, by whose secret it was and by the packet. */
const ahead = new WeakMap<SharedSecret, WeakMap<Uint8Array, Peeled>>()

/**
 * Takes onions off that are about to be irrevocable, for when there is nothing else to do.
 *
 * @param most how many
 * @returns whether there are more
 */
export function openAhead(
  htlcs: readonly OpenHtlc[],
  { sharedSecret }: Pick<NodeKeys, 'sharedSecret'>,
  most: number,
): boolean {
  const known = ahead.get(sharedSecret) ?? new WeakMap<Uint8Array, Peeled>()
  ahead.set(sharedSecret, known)
  let count = 0
  for (const { offerer, stage, onion, paymentHash, blindedPath } of htlcs) {
    const isSoon = offerer === 'remote' && (stage === 'acked' || stage === 'countersigned')
    if (!isSoon || onion === undefined || blindedPath !== undefined || known.has(onion)) continue
    if (count++ === most) return true
    known.set(onion, peel(onion, paymentHash, sharedSecret))
  }
  return false
}

function peel(packet: Uint8Array, associatedData: Uint8Array, sharedSecret: SharedSecret): Peeled {
  return peelOnion({ packet, sharedSecret, associatedData })
}

function failureFor(mustFail: MustFail): Failure {
  switch (mustFail) {
    case 'dustExposure':
    case 'feeSpike':
    case 'unconfirmed':
      return { kind: 'temporary_channel_failure', channelUpdate: NO_UPDATE }
    case 'shuttingDown':
      return { kind: 'permanent_channel_failure' }
    case 'expiryTooFar':
      return { kind: 'expiry_too_far' }
  }
}

function malformed(
  kind: 'invalid_onion_version' | 'invalid_onion_key' | 'invalid_onion_hmac' | 'invalid_onion_blinding',
  sha256OfOnion: Uint8Array,
): Opened {
  const code = failureCode({ kind, sha256OfOnion })
  return { kind: 'malformed', removal: { kind: 'malformed', sha256OfOnion, failureCode: code | BADONION } }
}
