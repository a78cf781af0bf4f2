// The newer closing: each side makes and pays for its own transaction, and may replace it by one with a higher fee (BOLT 2,
// "Closing Negotiation: closing_complete and closing_sig").
import { equalBytes } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import {
  buildClosing,
  type Closing,
  type ClosingVariant,
  closingVariants,
  dustLimitOf,
  isOpReturn,
  isShutdownScript,
  verifyClosing,
} from '../script/index.js'
import { feeratePerKw, type Sat, sat, toSat } from '../units.js'
import type { ClosingComplete, ClosingSig } from '../wire/index.js'
import {
  closingFee,
  closingFunding,
  completed,
  feePaid,
  hasSignedEnough,
  shares,
  signOurs,
} from './closing.js'
import { refusedCommand, refusedWith, warned, wireID } from './failure.js'
import { closingForms } from './parameters.js'
import { MIN_FEERATE } from './policy.js'
import { isClean } from './shutdown.js'
import type { Live } from './state.js'
import { type ChannelEnv, type Step, send, to } from './step.js'

type Role = 'closer' | 'closee'

/** Names of the signatures in both messages. */
const FIELDS = {
  closer_output_only: 'closerOutputOnly',
  closee_output_only: 'closeeOutputOnly',
  closer_and_closee_outputs: 'closerAndCloseeOutputs',
} as const satisfies Record<ClosingVariant, string>

/** Our own transaction, if we can pay for one. @param fee by default what the estimator says */
export function proposeClosing(live: Live, env: ChannelEnv, fee?: Sat): Step {
  const { local: closer, remote: closee } = shares(live)
  const have = toSat(closer.balance)
  let paid = fee ?? closingFee(live, env.fees.closing)
  if (paid > have) paid = have
  // Nobody would relay it: the other side's has to do.
  if (paid < closingFee(live, MIN_FEERATE)) return to(live)
  const variants = closingVariants({ closer, closee, fee: paid })
  if (variants.length === 0) return to(live)
  const locktime = env.height
  const closings = variants.map((variant) => ({
    variant,
    closing: buildClosing({ funding: closingFunding(live), closer, closee, fee: paid, locktime, variant }),
  }))
  const signatures = Object.fromEntries(
    closings.map(({ variant, closing }) => [
      FIELDS[variant],
      signOurs(live, closing, { side: 'closer', fee: paid }, env),
    ]),
  )
  const message: ClosingComplete = {
    kind: 'closing_complete',
    channelID: live.terms.channelID,
    closerScriptpubkey: closer.script,
    closeeScriptpubkey: closee.script,
    feeSatoshis: paid,
    locktime,
    ...signatures,
  }
  return to(
    { ...live, closing: { ...live.closing, proposed: { fee: paid, locktime } } },
    {
      monitor: closings.map(({ closing }) => ({
        kind: 'closing',
        transaction: closing.transaction,
        isComplete: false,
      })),
      effects: [send(message)],
    },
  )
}

/** Another transaction of ours with a higher fee. Refused while the one before it is not answered. */
export function bumpClosing(live: Live, fee: Sat, env: ChannelEnv): Step {
  if (live.phase !== 'negotiating' || !isClean(live)) return refusedCommand(live, ['negotiating'])
  if (live.closing.proposed !== undefined) return refusedCommand(live, ['answered'])
  if (!isSimple(live)) {
    const what = 'another fee without option_simple_close'
    return refusedWith(live, new PerkunasError('UNSUPPORTED', `${wireID(live)}: ${what}`, { what }))
  }
  const most = toSat(shares(live).local.balance)
  const least = closingFee(live, MIN_FEERATE)
  if (fee < least || fee > most) {
    const message = `a fee of ${fee} sat is not within ${least} and ${most}`
    return refusedWith(live, new PerkunasError('INVALID_AMOUNT', message, { actual: fee }))
  }
  return proposeClosing(live, env, fee)
}

/** `closing_complete`: the peer's own transaction, which we sign too. */
export function receivedClosingComplete(live: Live, message: ClosingComplete, env: ChannelEnv): Step {
  const { closerScriptpubkey, closeeScriptpubkey, feeSatoshis: fee, locktime } = message
  if (!isSimple(live)) return warned(live, 'closing_complete without option_simple_close')
  if (!isClean(live)) return warned(live, 'closing_complete although something is open')
  if (hasSignedEnough(live)) return warned(live, 'closing_complete too often')
  const { local: closee, remote } = shares(live)
  // Ours changed while it was on its way: it makes another one.
  if (!equalBytes(closeeScriptpubkey, closee.script)) return to(live)
  const { upfrontShutdown } = live.terms.remote
  if (
    !isShutdownScript(closerScriptpubkey, closingForms(live.features)) ||
    (upfrontShutdown !== undefined && !equalBytes(upfrontShutdown, closerScriptpubkey))
  ) {
    return warned(
      live,
      'closing_complete: closer_scriptpubkey is not of a standard form, or not the one you said',
    )
  }
  if (fee > toSat(remote.balance)) return warned(live, 'closing_complete: the closer has not that much')
  const closer = { ...remote, script: closerScriptpubkey }
  const variant = selected(message, { closer, closee, fee })
  if (variant === undefined) return warned(live, 'closing_complete without the signature that it needs')
  const theirs = message[FIELDS[variant]]
  const closing = buildClosing({ funding: closingFunding(live), closer, closee, fee, locktime, variant })
  if (theirs === undefined || !verifyClosing(closing, theirs, live.terms.remote.basepoints.funding))
    return warned(live, 'closing_complete: bad signature')
  const ours = signOurs(live, closing, { side: 'closee', fee: sat(0n) }, env)
  const heard: Live = { ...live, shutdown: { ...live.shutdown, remote: closerScriptpubkey } }
  const step = completed(heard, { closing, isOurs: false }, { local: ours, remote: theirs }, env)
  const { channelID } = live.terms
  const answer: ClosingSig = {
    kind: 'closing_sig',
    channelID,
    closerScriptpubkey,
    closeeScriptpubkey,
    feeSatoshis: fee,
    locktime,
    [FIELDS[variant]]: ours,
  }
  return to(step.next, { monitor: step.monitor, effects: [send(answer), ...step.effects] })
}

/** `closing_sig`: our own transaction is complete. */
export function receivedClosingSig(live: Live, message: ClosingSig, env: ChannelEnv): Step {
  const { proposed } = live.closing
  if (!isClean(live) || proposed === undefined) return warned(live, 'closing_sig without closing_complete')
  const { local: closer, remote: closee } = shares(live)
  const { closerScriptpubkey, closeeScriptpubkey, feeSatoshis, locktime } = message
  if (
    feeSatoshis !== proposed.fee ||
    locktime !== proposed.locktime ||
    !equalBytes(closerScriptpubkey, closer.script)
  ) {
    return warned(live, 'closing_sig is not for our closing_complete')
  }
  // The peer has another script by now: it is no answer to the newest, which we make now.
  if (!equalBytes(closeeScriptpubkey, closee.script)) return proposeClosing(live, env, proposed.fee)
  const variants = closingVariants({ closer, closee, fee: proposed.fee })
  const given = (Object.keys(FIELDS) as ClosingVariant[]).filter((one) => message[FIELDS[one]] !== undefined)
  const [variant] = given
  if (variant === undefined || given.length !== 1 || !variants.includes(variant))
    return warned(live, 'closing_sig: one signature of closing_complete expected')
  const theirs = message[FIELDS[variant]]
  const closing: Closing<Role> = buildClosing({
    funding: closingFunding(live),
    closer,
    closee,
    fee: proposed.fee,
    locktime,
    variant,
  })
  if (theirs === undefined || !verifyClosing(closing, theirs, live.terms.remote.basepoints.funding))
    return warned(live, 'closing_sig: bad signature')
  const ours = signOurs(live, closing, { side: 'closer', fee: proposed.fee }, env)
  const { proposed: _, ...progress } = live.closing
  const step = completed(
    { ...live, closing: progress },
    { closing, isOurs: true },
    { local: ours, remote: theirs },
    env,
  )
  return to(step.next, { monitor: step.monitor, effects: step.effects })
}

/**
 * Another transaction of ours with a higher fee, as no block takes the best of those that both have signed: what is usual now, or
 * half as much again as that one pays; no more than what is paid in a hurry, nor than a tenth of our share. Undefined if that is
 * no more than it pays already, the peer is not there, or it owes us an answer.
 */
export function betterClosing(live: Live, env: ChannelEnv): Step | undefined {
  const { complete, proposed } = live.closing
  if (live.phase !== 'negotiating' || live.link.kind !== 'up' || !isSimple(live) || !isClean(live))
    return undefined
  if (complete === undefined || proposed !== undefined) return undefined
  const { closing, sane } = env.fees
  const paid = feePaid(live, complete)
  const relay = closingFee(live, MIN_FEERATE)
  const wanted = larger(closingFee(live, closing), (paid * 3n) / 2n)
  const most = smaller(
    closingFee(live, feeratePerKw(Math.max(closing, sane))),
    shares(live).local.balance / 10_000n,
  )
  const fee = smaller(wanted, most)
  return fee < paid + relay ? undefined : proposeClosing(live, env, sat(fee))
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

/** Whether this connection closes in this form. */
export function isSimple({ features }: Pick<Live, 'features'>): boolean {
  return features.includes('option_simple_close')
}

/** Which of the peer's transactions we sign: without our output where it would be dust. */
function selected(
  message: ClosingComplete,
  { closee, fee, closer }: Parameters<typeof closingVariants>[0],
): ClosingVariant | undefined {
  const isDust = !isOpReturn(closee.script) && toSat(closee.balance) < dustLimitOf(closee.script)
  const isCloserDust = !isOpReturn(closer.script) && toSat(closer.balance) - fee < dustLimitOf(closer.script)
  if (isDust) return isCloserDust ? undefined : 'closer_output_only'
  if (message.closerAndCloseeOutputs !== undefined && !isCloserDust) return 'closer_and_closee_outputs'
  return message.closeeOutputOnly === undefined ? undefined : 'closee_output_only'
}
