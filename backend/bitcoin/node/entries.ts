// The channels of a node in memory, and by which names they are found.
import type { Hex } from '../../../channel/bytes.js'
import type { PerkunasError } from '../../../channel/errors.js'
import type { PeerID } from '../../../peer/index.js'
import { type ChannelState, isLive, wireID } from '../channel/index.js'
import type { FundingPlace } from '../channel/schemas.js'
import type { Monitor, RevokedCommitment } from '../monitor/index.js'
import type { Transaction } from '../script/index.js'
import type { Sat } from '../units.js'

/** A funding transaction of ours that may have to be published again. */
export interface OwnFunding {
  readonly reservation: Hex
  readonly transaction: Transaction
  /** What it pays; not known of those of before. */
  readonly fee?: Sat
  /** That pays for it, too. */
  readonly child?: FundingChild
}

/** A transaction that spends our change of a funding. */
export interface FundingChild {
  readonly reservation: Hex
  /** With its witnesses. */
  readonly transaction: Transaction
  readonly fee: Sat
  /** What its inputs spend, and what each of them weighs. */
  readonly coins: readonly { readonly amount: Sat; readonly script: Uint8Array; readonly weight: number }[]
}

/** One channel. What is written and what is not yet differ only within a turn and until it is durable. */
export interface Entry {
  readonly keyIndex: bigint
  readonly peer: PeerID
  state: ChannelState
  monitor: Monitor | undefined
  /** Outputs of which the monitor hears when they are spent, as transactions name them, in hex. */
  readonly watched: Set<Hex>
  /** Revoked commitments that are not written yet. */
  revoked: RevokedCommitment[]
  /** What the store has, or is about to have; undefined before the first commitments, which nothing is lost without. */
  written: { readonly state: ChannelState; readonly monitor: Monitor | undefined } | undefined
  /** Durable: what our user sees. */
  shown: ChannelState
  funding: OwnFunding | undefined
  place: FundingPlace | undefined
  /** A mistake of ours: nothing happens to it any more but what it must do. */
  stopped: PerkunasError | undefined
}

/** See above. */
export class Entries {
  readonly #byIndex = new Map<bigint, Entry>()
  readonly #byPeer = new Map<PeerID, Set<Entry>>()
  /** By peer and the ID that its messages have: two peers may use the same temporary one. */
  readonly #byName = new Map<string, Entry>()

  get all(): Iterable<Entry> {
    return this.#byIndex.values()
  }

  get size(): number {
    return this.#byIndex.size
  }

  add(entry: Entry): void {
    this.#byIndex.set(entry.keyIndex, entry)
    const others = this.#byPeer.get(entry.peer)
    if (others === undefined) this.#byPeer.set(entry.peer, new Set([entry]))
    else others.add(entry)
    this.name(entry, wireID(entry.state))
  }

  /** The peer calls it so from now on, too. */
  name({ peer, keyIndex }: Entry, id: Hex): void {
    const entry = this.#byIndex.get(keyIndex)
    if (entry !== undefined) this.#byName.set(`${peer} ${id}`, entry)
  }

  /** The temporary ID is of no more use once there are first commitments: the peer may use it again. */
  forgetTemporary(entry: Entry): void {
    if (isLive(entry.state)) this.#byName.delete(`${entry.peer} ${entry.state.terms.temporaryID}`)
  }

  remove(entry: Entry): void {
    this.#byIndex.delete(entry.keyIndex)
    const others = this.#byPeer.get(entry.peer)
    others?.delete(entry)
    if (others?.size === 0) this.#byPeer.delete(entry.peer)
    for (const id of namesOf(entry)) {
      const name = `${entry.peer} ${id}`
      if (this.#byName.get(name) === entry) this.#byName.delete(name)
    }
  }

  get(keyIndex: bigint): Entry | undefined {
    return this.#byIndex.get(keyIndex)
  }

  of(peer: PeerID): readonly Entry[] {
    return [...(this.#byPeer.get(peer) ?? [])]
  }

  named(peer: PeerID, id: Hex): Entry | undefined {
    return this.#byName.get(`${peer} ${id}`)
  }
}

/** All names by which messages may mean a channel. */
export function namesOf({ state, shown }: Entry): readonly Hex[] {
  return [state, shown].flatMap((one) =>
    'terms' in one ? [wireID(one), one.terms.temporaryID] : [one.channelID],
  )
}
