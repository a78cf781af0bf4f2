// What must hold whatever happens, and what honest parties were told that it is measured by.
import {
  type Address,
  type Asset,
  type Hex,
  type State,
  sameAllocation,
  sameState,
  totals,
} from '../../channel/index.js'
import { type Chain, type ChannelHistory, histories, totalOf } from './chain.js'

/** The invariants, by name. */
export type Invariant =
  | 'conservation'
  | 'agreed balance kept'
  | 'agreed state or newer decides'
  | 'one state of one version'
  | 'all agree on a version'
  | 'two build on the same state'
  | 'what was agreed survives a crash'
  | 'nothing is stuck'
  | 'honest peers come to rest'
  | 'nobody closes without a cause'
  | 'open channels are usable'
  | 'every promise settles'
  | 'no unhandled rejection'
  | 'no mistake of ours'
  | 'same seed, same trace'

/** An invariant that did not hold. */
export interface Violation {
  readonly invariant: Invariant
  readonly words: string
}

/** An honest party as the oracle knows it. */
export interface Witness {
  readonly name: string
  readonly address: Address
  /** The keys of all that was ever on its disk. */
  readonly written: ReadonlySet<string>
}

interface Belief {
  /** The newest state that everybody signed, as the client said. */
  agreed: State | undefined
  /** The newest one that the ledger enforced, as the client said. */
  enforced: State | undefined
  /** Which participant it is. */
  readonly index: number
  /** States whose signature by this party has left it, by version. */
  readonly left: Map<bigint, State>
  /** Its client said that the channel is open, so all have funded for good. */
  isOpen: boolean
}

/** Keeps what was said to honest parties, outside of their processes, and compares it with what came of it. */
export class Oracle {
  readonly violations: Violation[] = []
  readonly #beliefs = new Map<string, Belief>()
  readonly #common = new Map<string, State>()
  /** What each state that an honest party has proposed was built on. */
  readonly #bases = new Map<string, bigint>()

  /** Notes a violation. */
  violated(invariant: Invariant, words: string): void {
    this.violations.push({ invariant, words })
  }

  /** A client told its user that this state is agreed, or enforced. */
  told(party: Witness, index: number, state: State, how: 'agreed' | 'enforced'): void {
    const belief = this.#belief(party, state.channelID, index)
    if ((belief[how]?.version ?? -1n) < state.version) belief[how] = state
    if (how === 'enforced') return
    const key = `${state.channelID}/${state.version}`
    const common = this.#common.get(key) ?? state
    this.#common.set(key, common)
    if (!sameState(common, state)) {
      this.violated('all agree on a version', `${party.name} holds another state of version ${state.version}`)
    }
  }

  /** A client told its user that a channel is open. */
  opened(party: Witness, channelID: Hex, index: number): void {
    this.#belief(party, channelID, index).isOpen = true
  }

  /** A signature of an honest party over a state has left its process. */
  signatureLeft(party: Witness, index: number, state: State): void {
    const { left } = this.#belief(party, state.channelID, index)
    const before = left.get(state.version)
    left.set(state.version, state)
    if (before === undefined || sameState(before, state)) return
    this.violated('one state of one version', `${party.name} signed two states of version ${state.version}`)
  }

  /** An honest party proposes a state that it has built on this version. */
  proposed(name: string, { channelID, version }: State, base: bigint): void {
    const key = `${name}/${channelID}/${version}`
    if (!this.#bases.has(key)) this.#bases.set(key, base)
  }

  /** A client asks its user whether this state may follow the current one. */
  asked(
    party: Witness,
    proposer: string,
    { current, proposed }: Record<'current' | 'proposed', State>,
  ): void {
    const base = this.#bases.get(`${proposer}/${proposed.channelID}/${proposed.version}`)
    if (base === undefined || base === current.version) return
    this.violated(
      'two build on the same state',
      `${proposer} built version ${proposed.version} on ${base}, ${party.name} is asked about it at ${current.version}`,
    )
  }

  /** A client has come back with this state of a channel. */
  restored(party: Witness, state: State, isEnforced: boolean): void {
    const agreed = this.#beliefs.get(`${party.name}/${state.channelID}`)?.agreed
    if (agreed === undefined || isEnforced || state.version >= agreed.version) return
    this.violated(
      'what was agreed survives a crash',
      `${party.name} was told of version ${agreed.version} and came back with ${state.version}`,
    )
  }

  /** The newest agreed state of a party, if it has one. */
  agreed(party: Witness, channelID: Hex): State | undefined {
    return this.#beliefs.get(`${party.name}/${channelID}`)?.agreed
  }

  /** Whether a party has let go of a signature over a final state: then nothing but that end may follow. */
  isEnding(party: Witness, channelID: Hex): boolean {
    const left = this.#beliefs.get(`${party.name}/${channelID}`)?.left ?? new Map<bigint, State>()
    return [...left.values()].some(({ isFinal }) => isFinal)
  }

  /** When all is over: what was paid, and by what. */
  judge(chain: Chain, honest: readonly Witness[], assets: readonly Asset[], wealth: bigint): void {
    const all = histories(chain)
    for (const party of honest) {
      const expected = assets.map(() => wealth)
      for (const [channelID, history] of all) {
        for (const [i, asset] of assets.entries()) {
          const key = `${asset.id}/${party.address}`
          const paid = history.payments.get(key) ?? 0n
          expected[i] = (expected[i] ?? 0n) - (history.deposits.get(key) ?? 0n) + paid
          const held = chain.holding(asset.id, { channelID, participant: party.address })
          // Who died before writing the channel down has put nothing in; what others put in for it alone, it never had.
          const isKnown = history.deposits.has(key) || party.written.has(`channel/${channelID}/terms`)
          if (held !== 0n && isKnown)
            this.violated('nothing is stuck', `${party.name}'s ${held} in ${channelID.slice(0, 10)}`)
        }
        this.#judgeOutcome(party, channelID, history, assets)
      }
      for (const [i, asset] of assets.entries()) {
        const has = chain.balanceOf(asset, party.address)
        if (has === expected[i]) continue
        this.violated('conservation', `${party.name} has ${has} of asset ${i}, ${expected[i]} expected`)
      }
    }
  }

  /** That nothing comes from nothing. */
  weigh(
    chain: Chain,
    {
      assets,
      addresses,
      minted,
    }: { assets: readonly Asset[]; addresses: readonly Address[]; minted: bigint },
    channels: Iterable<Hex>,
  ): void {
    for (const asset of assets) {
      const total = totalOf(chain, asset, addresses, channels)
      if (total !== minted) this.violated('conservation', `${total} of an asset, ${minted} expected`)
    }
  }

  #judgeOutcome(party: Witness, channelID: Hex, history: ChannelHistory, assets: readonly Asset[]): void {
    const belief = this.#beliefs.get(`${party.name}/${channelID}`)
    const { base, outcome } = history
    if (!history.isConcluded || base === undefined || outcome === undefined) return
    const agreed = belief?.agreed
    const where = `${party.name} in ${channelID.slice(0, 10)}`
    if (agreed !== undefined) {
      const older = base.version < agreed.version && !isSameEnd(base, agreed)
      if (older || (base.version === agreed.version && !sameState(base, agreed))) {
        this.violated(
          'agreed state or newer decides',
          `${where}: version ${base.version} decided, ${agreed.version} was agreed`,
        )
      }
    }
    for (const [i, { id }] of outcome.allocation.assets.entries()) {
      if (!assets.some((asset) => asset.id === id)) continue
      const key = `${id}/${party.address}`
      const paid = history.payments.get(key) ?? 0n
      const floor = this.#floor(belief, history, i, key)
      if (floor !== undefined && paid < floor) {
        this.violated(
          'agreed balance kept',
          `${where}: ${paid} of asset ${i} was paid, at least ${floor} was agreed`,
        )
      }
    }
  }

  /** The least that may be paid: by what was agreed, or by anything newer that the party signed or the ledger enforced. */
  #floor(
    belief: Belief | undefined,
    history: ChannelHistory,
    asset: number,
    key: string,
  ): bigint | undefined {
    const deposit = history.deposits.get(key) ?? 0n
    const { outcome } = history
    if (outcome === undefined) return undefined
    const id = outcome.allocation.assets[asset]?.id
    let deposits = 0n
    for (const [of, amount] of history.deposits) if (of.startsWith(`${id}/`)) deposits += amount
    const isShort = deposits < (totals(outcome.allocation)[asset] ?? 0n)
    if (isShort && belief?.isOpen !== true) return deposit // everybody takes back the own
    if (belief?.agreed === undefined) return undefined
    const { agreed, left, index } = belief
    const possible = [agreed, ...history.enforced]
    for (const [version, state] of left) if (version > agreed.version) possible.push(state)
    return possible
      .map((state) => state.allocation.balances[asset]?.[index] ?? 0n)
      .sort((a, b) => Number(a - b))[0]
  }

  #belief(party: Witness, channelID: Hex, index: number): Belief {
    const key = `${party.name}/${channelID}`
    let belief = this.#beliefs.get(key)
    if (belief === undefined) {
      belief = { agreed: undefined, enforced: undefined, index, left: new Map(), isOpen: false }
      this.#beliefs.set(key, belief)
    }
    return belief
  }
}

/** An end may be signed again with a higher version, if the first proposal crossed another: either pays the same. */
function isSameEnd(a: State, b: State): boolean {
  return a.isFinal && b.isFinal && sameAllocation(a.allocation, b.allocation)
}
