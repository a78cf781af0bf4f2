// Updates of the peer, in no commitment yet: update_add_htlc, its three ends, and update_fee (BOLT 2, "Normal Operation").
import { equalBytes } from '../../../channel/bytes.js'
import { sha256 } from '../script/index.js'
import type {
  UpdateAddHtlc,
  UpdateFailHtlc,
  UpdateFailMalformedHtlc,
  UpdateFee,
  UpdateFulfillHtlc,
} from '../wire/index.js'
import { changeFee, findHtlc, type Removal, removeHtlc } from './book.js'
import { failed, warned } from './failure.js'
import { doubtOfReceivedFee, faultOfReceived, faultOfReceivedFee } from './limits.js'
import { DOUBT_BLOCKS, MAX_REASON } from './policy.js'
import { disconnected } from './reestablish.js'
import type { Live } from './state.js'
import { type ChannelEnv, type Step, to } from './step.js'
import { withOffer } from './tally.js'

/** Of `failure_code`: the onion itself can't be read. */
const BADONION = 0x8000
/** Bytes that are left of a reason which is too long: as many as others have. */
const CUT_REASON = 292

/** `update_add_htlc`. */
export function receivedAdd(live: Live, message: UpdateAddHtlc, env: ChannelEnv): Step {
  const { id, amountMsat, paymentHash, cltvExpiry, onionRoutingPacket, blindedPath } = message
  const offer = {
    offerer: 'remote' as const,
    id,
    amount: amountMsat,
    paymentHash,
    cltvExpiry,
    onion: onionRoutingPacket,
    ...(blindedPath === undefined ? {} : { blindedPath }),
  }
  const fault = faultOfReceived(live, offer)
  if (fault !== undefined) return violated(live, fault, env)
  return to({ ...live, book: withOffer(live.terms, live.book, offer) })
}

/** `update_fulfill_htlc`: the preimage is ours from now on, whether the peer signs or not. */
export function receivedFulfill(live: Live, message: UpdateFulfillHtlc, env: ChannelEnv): Step {
  const { paymentPreimage: preimage, attributionData } = message
  const attribution = attributionData === undefined ? {} : { attribution: attributionData }
  const htlc = findHtlc(live.book, { offerer: 'local', id: message.id })
  const step = removed(live, message, { kind: 'fulfill', preimage, ...attribution }, env)
  if (htlc === undefined || step.next.phase === 'failed') return step
  if (!equalBytes(sha256(preimage), htlc.paymentHash)) {
    return violated(live, 'update_fulfill_htlc: payment_preimage is not of payment_hash', env)
  }
  // It came before, on a connection that was lost.
  if (htlc.preimage !== undefined) return step
  const { paymentHash } = htlc
  return {
    ...step,
    monitor: [
      ...step.monitor,
      { kind: 'preimage', htlc: { offerer: 'local', id: htlc.id }, paymentHash, preimage },
    ],
    handoffs: [...step.handoffs, { kind: 'fulfilled', htlc, preimage, ...attribution }],
  }
}

/** `update_fail_htlc`. A reason that is too long to be kept is cut: then nobody can read it, and the HTLC fails all the same. */
export function receivedFail(live: Live, message: UpdateFailHtlc, env: ChannelEnv): Step {
  const { reason, attributionData } = message
  const attribution = attributionData === undefined ? {} : { attribution: attributionData }
  // A copy: a view would keep all of it in memory.
  const kept = reason.length > MAX_REASON ? reason.slice(0, CUT_REASON) : reason
  return removed(live, message, { kind: 'fail', reason: kept, ...attribution }, env)
}

/** `update_fail_malformed_htlc`. */
export function receivedMalformed(live: Live, message: UpdateFailMalformedHtlc, env: ChannelEnv): Step {
  const { sha256OfOnion, failureCode } = message
  if ((failureCode & BADONION) === 0) {
    return violated(live, 'update_fail_malformed_htlc: failure_code without BADONION', env)
  }
  return removed(live, message, { kind: 'malformed', sha256OfOnion, failureCode }, env)
}

/**
 * `update_fee`. What we would not pay ourselves costs the connection and not the channel, as BOLT 2 leaves open: when fees
 * change, one side sees it blocks before the other, and who began in a dear hour takes it for usual. The batch that it is in
 * is not taken, so the commitments pay what they did; the opener repeats it. It has to repeat exactly that, so if blocks go by
 * and we still would not have it, nothing else can ever be agreed on: then the channel fails, as BOLT 2 leaves open, too.
 */
export function receivedFee(live: Live, { feeratePerKw }: UpdateFee, env: ChannelEnv): Step {
  const fault = faultOfReceivedFee(live, feeratePerKw, env)
  if (fault !== undefined) return violated(live, fault, env)
  const doubt = doubtOfReceivedFee(live, feeratePerKw, env)
  if (doubt === undefined) {
    return to({ ...withoutDoubt(live), book: changeFee(live.book, feeratePerKw) })
  }
  const doubtedSince = live.patience?.feerate ?? env.height
  if (env.height >= doubtedSince + DOUBT_BLOCKS) return failed(live, env, { cause: 'feerate', reason: doubt })
  // What the opener has sent by now, its signature too, is not to be heard any more.
  const patience = { ...live.patience, feerate: doubtedSince }
  return warned({ ...disconnected(live), ...(live.patience?.feerate === undefined && { patience }) }, doubt)
}

function withoutDoubt(live: Live): Live {
  if (live.patience?.feerate === undefined) return live
  const {
    patience: { feerate: _, ...others },
    ...rest
  } = { ...live, patience: live.patience }
  return Object.keys(others).length === 0 ? rest : { ...rest, patience: others }
}

function removed(
  live: Live,
  { kind, id }: { readonly kind: string; readonly id: bigint },
  removal: Removal,
  env: ChannelEnv,
): Step {
  const key = { offerer: 'local' as const, id }
  const htlc = findHtlc(live.book, key)
  if (htlc === undefined) return violated(live, `${kind}: no HTLC of that id`, env)
  if (htlc.stage !== 'locked') return violated(live, `${kind}: the HTLC is ${htlc.stage}`, env)
  return to({ ...live, book: removeHtlc(live.book, key, removal) })
}

function violated(live: Live, reason: string, env: ChannelEnv): Step {
  return failed(live, env, { cause: 'violation', reason })
}
