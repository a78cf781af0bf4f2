// How HTLCs end on chain, and when all of it is over.
//
// A preimage counts at once. That there is none counts when nothing can bring one any more: when what spent the HTLC's
// output is final, or the commitment that has no such output is. Both are looked at anew each time, after a restart too.
import { equalBytes } from '../../../channel/bytes.js'
import { isSame } from './facts.js'
import type { Monitor, MonitorEnv, MonitorHandoff } from './machine.js'
import type { HtlcKey } from './record.js'
import { liveHtlcs, preimageOf } from './state.js'
import { type ChainOutput, depthOf, type View, wantedRevoked } from './view.js'

type Htlcs = ReturnType<typeof liveHtlcs>
type Clock = Pick<MonitorEnv, 'height' | 'policy'>

/** Hands off HTLCs that have ended, each once. */
export function settled(
  monitor: Monitor,
  view: View,
  clock: Clock,
): { readonly next: Monitor; readonly handoffs: readonly MonitorHandoff[] } {
  const handoffs: MonitorHandoff[] = []
  const ended: HtlcKey[] = []
  for (const htlc of openHtlcs(monitor)) {
    const to = endOf(monitor, view, htlc, clock)
    if (to === undefined) continue
    const { offerer, id, paymentHash } = htlc
    ended.push({ offerer, id })
    handoffs.push({ kind: 'htlcResolved', htlc: { offerer, id }, paymentHash, to })
  }
  const next = ended.length === 0 ? monitor : { ...monitor, settled: [...monitor.settled, ...ended] }
  return { next, handoffs }
}

/** Whether nothing is left to be done or waited for. */
export function isDone(monitor: Monitor, view: View, clock: Clock): boolean {
  const { abandoned } = monitor
  return (
    isDeep(view.fact, clock) &&
    wantedRevoked(view, monitor) === undefined &&
    openHtlcs(monitor).length === 0 &&
    view.unexplained.every(({ spent }) => spent !== undefined && isDeep(spent, clock)) &&
    view.outputs.every((output) => {
      const { claim, spent } = output
      if (spent !== undefined) return isDeep(spent.fact, clock)
      return (
        claim.kind === 'anchor' ||
        abandoned.some((one) => isSame(one, claim.outpoint)) ||
        isGivenUp(output, clock)
      )
    })
  )
}

/** HTLCs of the commitments that might confirm, whose end was not handed off. */
function openHtlcs({ known, settled: ended }: Monitor): Htlcs {
  return liveHtlcs(known).filter(
    ({ offerer, id }) => !ended.some((one) => one.id === id && one.offerer === offerer),
  )
}

function endOf(
  monitor: Monitor,
  view: View,
  htlc: Htlcs[number],
  clock: Clock,
): 'offerer' | 'receiver' | undefined {
  if (!isDeep(view.fact, clock) || wantedRevoked(view, monitor) !== undefined) return undefined
  const isKnown = preimageOf(monitor.known, htlc) !== undefined
  const outputs = outputsOf(view, htlc)
  const isRevoked = view.spend.kind === 'revoked'
  if (outputs.some((output) => !isEnded(monitor, output, clock))) return undefined
  const [only] = outputs
  if (only === undefined || isRevoked) return endOfAbsent(view, htlc, { isKnown, clock })
  // Whoever it was forwarded for has it already.
  if (htlc.offerer === 'local' && isKnown) return 'receiver'
  const isOurs = only.spent?.by === 'us'
  if (htlc.offerer === 'local') return isOurs || only.spent === undefined ? 'offerer' : 'receiver'
  return isOurs ? 'receiver' : 'offerer'
}

/** It is no output, or one of a commitment of which all is ours. */
function endOfAbsent(
  { absent, spend, unexplained }: View,
  htlc: Htlcs[number],
  { isKnown, clock }: { readonly isKnown: boolean; readonly clock: Clock },
): 'offerer' | 'receiver' | undefined {
  const { offerer, id, cltvExpiry } = htlc
  const isTrimmed = absent.some(
    (one) => one.htlc.id === id && one.htlc.offerer === offerer && one.why === 'trimmed',
  )
  if (offerer === 'remote') return isKnown && !isTrimmed ? 'receiver' : 'offerer'
  if (isKnown) return 'receiver'
  // What is in such a commitment we can't know: the peer may still show the preimage.
  const isUnknown =
    spend.kind === 'future' ||
    spend.kind === 'unknown' ||
    unexplained.some(({ spent }) => spent === undefined || !isDeep(spent, clock))
  return isUnknown && clock.height < cltvExpiry + clock.policy.race ? undefined : 'offerer'
}

/** Those that are the HTLC; of a revoked commitment all that may be. */
function outputsOf({ outputs }: View, { offerer, id, paymentHash }: Htlcs[number]): readonly ChainOutput[] {
  return outputs.filter(({ claim: { kind, htlc } }) => {
    if (kind !== 'htlc' || htlc === undefined || htlc.offerer !== offerer) return false
    return htlc.id === undefined ? equalBytes(htlc.paymentHash, paymentHash) : htlc.id === id
  })
}

function isEnded({ abandoned }: Monitor, output: ChainOutput, clock: Clock): boolean {
  if (output.spent !== undefined) return isDeep(output.spent.fact, clock)
  return abandoned.some((one) => isSame(one, output.claim.outpoint)) || isGivenUp(output, clock)
}

/** The peer offered it, it is long past its expiry, and we never learned the preimage. */
function isGivenUp({ claim: { htlc, recipe } }: ChainOutput, { height, policy }: Clock): boolean {
  return htlc?.offerer === 'remote' && recipe === undefined && height >= htlc.cltvExpiry + policy.finality
}

function isDeep(fact: View['fact'], { height, policy }: Clock): boolean {
  return depthOf(fact, height) >= policy.finality
}
