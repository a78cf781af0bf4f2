// Where a Lightning channel stands, in the words of every ledger: by what its parties agreed on, then by what the chain shows.
//
//     failed, and nothing is in a block                     registering
//     a commitment is in a block                            registered, as long as its holder's share waits
//     that share can be taken, or a closing is in a block   withdrawing
//     all of ours is final                                  withdrawn
//
// A reorg leads back: nothing of it is remembered.
import type { Phase } from '../../../channel/index.js'
import type { ChannelView, LiveView } from '../node/index.js'
import { deadlineOf, type Spent } from './ledger.js'

/** A view of a channel with money in it. */
export type OpenView = ChannelView & { readonly live: LiveView }

/** Whether a view is one. */
export function isOpen(view: ChannelView): view is OpenView {
  return view.live !== undefined && view.phase !== 'closed'
}

/** What the chain shows. */
export interface Shown {
  /** What spent the funding output, if that is in a block. */
  readonly spent: Spent | undefined
  /** Of now. */
  readonly height: number
}

/** See above. @param chain asked only where it may show anything */
export function phaseOf(
  { phase, live }: Pick<ChannelView, 'phase'> & { readonly live: Pick<LiveView, 'delay'> },
  chain: () => Shown,
): Phase {
  switch (phase) {
    case 'normal':
      return 'acting'
    case 'shuttingDown':
    case 'negotiating':
      return onChain(chain(), live) ?? 'final'
    case 'failed':
      return onChain(chain(), live) ?? 'registering'
    case 'closed':
      return 'withdrawn'
    default:
      return 'funding'
  }
}

/** Whether the chain has to end it, or has begun to. */
export function isEnding(phase: Phase): boolean {
  return ENDING.has(phase)
}

const ENDING: ReadonlySet<Phase> = new Set<Phase>(['registering', 'registered', 'withdrawing', 'withdrawn'])

function onChain({ spent, height }: Shown, live: Pick<LiveView, 'delay'>): Phase | undefined {
  if (spent === undefined) return undefined
  // What is no state of the channel's can't be refuted either.
  const isRegistered = spent.commitment !== undefined
  return isRegistered && height < deadlineOf(spent, live) ? 'registered' : 'withdrawing'
}
