// Block heights at which a channel must go on chain, or may be forgotten.

import { isTrimmed, trimThreshold } from '../script/index.js'
import { toSat } from '../units.js'
import type { OpenHtlc } from './book.js'
import { failed, isHeldBack, withCommitment } from './failure.js'
import {
  CLAIM_BUFFER,
  CLOSING_PATIENCE,
  CLOSING_STEP,
  ERROR_PATIENCE,
  EXPIRY_GRACE,
  FUNDING_DEADLINE,
  WORTH_CLOSING,
} from './policy.js'
import { forgotten, isAbandoned, isConfirmed, isForgotten, isTrustOver } from './ready.js'
import { betterClosing } from './simple-close.js'
import type { Live } from './state.js'
import { type ChannelEnv, type Step, to } from './step.js'
import { formatOfTerms } from './terms.js'

/** Something to be done by a height. */
export interface Obligation {
  readonly height: number
  readonly htlc: OpenHtlc
}

/**
 * By when the channel fails unless its peer does its part first, earliest first.
 *
 * What we offered must have been taken out some blocks after its expiry, or whoever we forwarded it for gets it back while
 * the peer can still claim it; what we have the preimage of, before its offerer can time it out. What is worth less than
 * a commitment on chain is not fought for, until with all that was not fought for before it is: a payment may have many
 * small parts.
 */
export function obligations(live: Live): readonly Obligation[] {
  const all = deadlines(live)
  const isLarge = ({ htlc }: Obligation) => toSat(htlc.amount) >= WORTH_CLOSING
  const small = all.filter((one) => !isLarge(one))
  const found = all.filter(isLarge)
  let sum = 0n
  let from = 0
  for (const [i, { height, htlc }] of small.entries()) {
    sum += toSat(htlc.amount)
    if (sum < WORTH_CLOSING || small[i + 1]?.height === height) continue
    found.push(...small.slice(from, i + 1).map((one) => ({ height, htlc: one.htlc })))
    from = i + 1
  }
  return found.sort((a, b) => a.height - b.height)
}

/** Of what has a deadline and an output of its own in our commitment, or is worth it anyhow; the earliest first. */
function deadlines({ book, terms }: Live): readonly Obligation[] {
  const format = formatOfTerms(terms)
  const fee = { feerate: book.feerate, dustLimit: terms.local.dustLimit }
  const least = {
    local: trimThreshold(format, fee, 'offered'),
    remote: trimThreshold(format, fee, 'received'),
  }
  return book.htlcs
    .flatMap((htlc) => {
      const { offerer, stage, preimage, cltvExpiry, amount } = htlc
      const isLost = toSat(amount) < WORTH_CLOSING && isTrimmed(amount, least[offerer])
      if (stage === 'offered' || isLost) return []
      if (offerer === 'local') {
        return preimage === undefined ? [{ height: cltvExpiry + EXPIRY_GRACE, htlc }] : []
      }
      return preimage === undefined ? [] : [{ height: cltvExpiry - CLAIM_BUFFER, htlc }]
    })
    .sort((a, b) => a.height - b.height)
}

/** Whether blocks should have had a closing that both signed, and nothing speaks for it that they will. */
function isOverdue(live: Live, { height }: Pick<ChannelEnv, 'height'>): boolean {
  const since = live.patience?.closing
  return since !== undefined && isConfirmed(live) && height >= since + CLOSING_PATIENCE
}

/** Whether a closing of ours had its time to get into a block: then another one may pay more. */
function isSlow({ patience }: Live, { height }: Pick<ChannelEnv, 'height'>): boolean {
  return patience?.closing !== undefined && height >= patience.closing + CLOSING_STEP
}

/** A new height. @param live with nothing on chain that spends its funding, if it has patience with something */
export function blockReached(live: Live, env: ChannelEnv): Step {
  if (isForgotten(live, env)) return forgotten(live, 'the funding never confirmed')
  // What confirms after all comes back by our commitment.
  if (isAbandoned(live, env))
    return failed(live, env, { cause: 'expiry', reason: 'no block took the funding in time' })
  if (isOverdue(live, env)) {
    if (isHeldBack(live)) return withCommitment(live, 'expiry', env)
    if (live.phase !== 'failed')
      return failed(live, env, { cause: 'expiry', reason: 'no block takes the closing that both signed' })
  }
  if (live.phase === 'failed') return to(live)
  const better = isSlow(live, env) ? betterClosing(live, env) : undefined
  if (better !== undefined) return better
  if (isTrustOver(live, env)) {
    const reason = `the funding has no confirmation after ${FUNDING_DEADLINE} blocks`
    return failed(live, env, { cause: 'expiry', reason })
  }
  const { error } = live.patience ?? {}
  if (error !== undefined && env.height >= error.at + ERROR_PATIENCE)
    return failed(live, env, { cause: 'peerError', reason: error.reason, silent: true })
  const [first] = obligations(live)
  if (first === undefined || env.height < first.height) return to(live)
  const { id, offerer } = first.htlc
  const whose = offerer === 'local' ? 'ours' : 'yours'
  return failed(live, env, { cause: 'expiry', reason: `HTLC ${id} (${whose}) is open at its deadline` })
}
