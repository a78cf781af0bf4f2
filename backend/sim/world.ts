// What the contract can read and write, with the way back for transactions that fail and blocks that go.
import type { Address, ChannelID, Hex } from '../../channel/index.js'
import type { Change, Dispute } from './call.js'
import { fundingID } from './encode.js'

/** The ledger's tables. Plain data. */
export interface Tables {
  /** `asset/address` → what it owns. */
  readonly balances: Map<string, bigint>
  /** `asset/funding ID` → what is held for a participant of a channel. */
  readonly holdings: Map<string, bigint>
  readonly disputes: Map<ChannelID, Dispute>
}

/** Who owns something: an account, or a participant within a channel. */
export interface Holder {
  readonly channelID: ChannelID
  readonly participant: Address
}

/** The tables and the journal of what changes in them. */
export class World {
  #journal: Change[] = []

  constructor(readonly tables: Tables) {}

  balance(asset: Hex, address: Address): bigint {
    return this.tables.balances.get(`${asset}/${address}`) ?? 0n
  }

  holding(asset: Hex, { channelID, participant }: Holder): bigint {
    return this.tables.holdings.get(`${asset}/${fundingID(channelID, participant)}`) ?? 0n
  }

  dispute(channelID: ChannelID): Dispute | undefined {
    return this.tables.disputes.get(channelID)
  }

  addBalance(asset: Hex, address: Address, added: bigint): void {
    this.#apply({ table: 'balances', key: `${asset}/${address}`, added })
  }

  setHolding(asset: Hex, holder: Holder, amount: bigint): void {
    const added = amount - this.holding(asset, holder)
    const key = `${asset}/${fundingID(holder.channelID, holder.participant)}`
    if (added !== 0n) this.#apply({ table: 'holdings', key, added })
  }

  setDispute(channelID: ChannelID, dispute: Dispute): void {
    this.#journal.push({ table: 'disputes', key: channelID, before: this.tables.disputes.get(channelID) })
    this.tables.disputes.set(channelID, dispute)
  }

  /** The changes since the last call of this function, oldest first. */
  takeJournal(): Change[] {
    const journal = this.#journal
    this.#journal = []
    return journal
  }

  /** Undoes changes that {@link takeJournal} returned, newest first. */
  undo(journal: readonly Change[]): void {
    for (const change of journal.toReversed()) {
      if (change.table !== 'disputes') add(this.tables[change.table], change.key, -change.added)
      else if (change.before === undefined) this.tables.disputes.delete(change.key)
      else this.tables.disputes.set(change.key, change.before)
    }
  }

  #apply(change: Exclude<Change, { table: 'disputes' }>): void {
    add(this.tables[change.table], change.key, change.added)
    this.#journal.push(change)
  }
}

function add(table: Map<string, bigint>, key: string, added: bigint): void {
  const amount = (table.get(key) ?? 0n) + added
  if (amount === 0n) table.delete(key)
  else table.set(key, amount)
}
