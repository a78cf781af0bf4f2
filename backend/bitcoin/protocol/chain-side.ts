// What of a Lightning channel follows from the chain: where it stands, what its user is told of its end, and what must be done.
import { equalBytes } from '../../../channel/bytes.js'
import type { Obligation, Phase } from '../../../channel/index.js'
import type { ChannelEvent } from '../../../client/index.js'
import type { MonitorEvent } from '../monitor/index.js'
import type { ChannelObligation, LightningNode } from '../node/index.js'
import { chainEvents, type Spent, spentEvents, type Told } from './ledger.js'
import { type OpenView, phaseOf } from './phase.js'
import { lockID } from './view.js'

/** See above. */
export class ChainSide {
  readonly #node: LightningNode
  /** The channel's name there. */
  readonly #channel: bigint
  /** What spent the funding output, as its user was told last. */
  #spent: Spent | undefined

  constructor(node: LightningNode, channel: bigint) {
    this.#node = node
    this.#channel = channel
  }

  /** Where the channel stands now. */
  phaseOf(view: OpenView): Phase {
    return phaseOf(view, () => ({ spent: this.#node.spent(this.#channel), height: this.#node.height }))
  }

  /** What stands on the chain, for who begins to listen: also what happened before this process began. */
  standing(told: Told): readonly ChannelEvent[] {
    this.#spent = this.#node.spent(this.#channel)
    return this.#spent === undefined ? [] : spentEvents(this.#spent, told)
  }

  /** What our user is told of something that the chain shows. */
  events(event: MonitorEvent, told: Told): readonly ChannelEvent[] {
    if (event.kind === 'spent') {
      this.#spent = event
      return spentEvents(event, told)
    }
    const spent = this.#spent
    if (event.kind !== 'reorged' || spent === undefined || !equalBytes(event.txid, spent.txid))
      return chainEvents(event, told)
    this.#spent = undefined
    return spentEvents(spent, told, true)
  }

  /** What must be done by when, once the channel has failed. */
  obligations(view: OpenView): readonly Obligation[] {
    return this.#node.obligations(this.#channel).flatMap((one) => chainObligation(one, view))
  }
}

function chainObligation(one: ChannelObligation, { opener = 'local' }: OpenView): readonly Obligation[] {
  switch (one.kind) {
    // What is to be mended is no channel of a client's.
    case 'watch':
    case 'mend':
      return []
    case 'commitment':
      return [{ action: 'goOnChain', deadline: BigInt(one.height) }]
    case 'claim': {
      const { by, height, htlc } = one
      const action = ({ penalty: 'refute', preimage: 'claim', timeout: 'timeOut' } as const)[by]
      return [{ action, deadline: BigInt(height), ...(htlc && { lock: lockID(htlc, opener) }) }]
    }
  }
}
