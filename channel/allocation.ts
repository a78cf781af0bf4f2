// Who owns how much of what in a channel.
import { byteLength, type Hex, isHex } from './bytes.js'
import { PerkunasError } from './errors.js'
import { MAX_AMOUNT, MAX_ASSETS, MAX_ID_LENGTH, MAX_PARTICIPANTS, MAX_SUB_ALLOCATIONS } from './limits.js'
import type { BackendID, ChannelID, Index } from './params.js'

/** Something of value on a ledger. */
export interface Asset {
  /** Which kind of ledger knows it. */
  readonly backend: BackendID
  /** That ledger's canonical bytes for it. */
  readonly id: Hex
}

/** An amount in the asset's smallest unit (wei for ether), 0 … 2^256 - 1. */
export type Amount = bigint

/** Amounts by asset, then by participant. */
export type Balances = readonly (readonly Amount[])[]

/** Funds that a state locks for one sub- or virtual channel. */
export interface SubAllocation {
  readonly channelID: ChannelID
  /** One amount per asset: the child's total. */
  readonly balances: readonly Amount[]
  /** Child participant i is parent participant `indexMap[i]`; empty means the same participants in order. */
  readonly indexMap: readonly Index[]
}

/** How a channel's funds are distributed. */
export interface Allocation {
  readonly assets: readonly Asset[]
  readonly balances: Balances
  readonly locked: readonly SubAllocation[]
}

/** Number of participants that the balances have columns for; 0 without assets. */
export function width(allocation: Allocation): number {
  return allocation.balances[0]?.length ?? 0
}

/**
 * Whether what somebody hands in as an allocation has something locked; whatever is no empty list does. For allocations
 * whose type has no such field: nobody's callers need have been compiled against it.
 */
export function isLocking(allocation: object | undefined): boolean {
  if (allocation === undefined || !('locked' in allocation) || allocation.locked === undefined) return false
  return !(Array.isArray(allocation.locked) && allocation.locked.length === 0)
}

/** Total per asset: balances and locked funds. */
export function totals({ balances, locked }: Allocation): Amount[] {
  // Nearly no state locks anything, and every update asks a few times.
  if (locked.length === 0) return balances.map(sum)
  return balances.map(
    (row, asset) => sum(row) + sum(locked.map((subAllocation) => subAllocation.balances[asset] ?? 0n)),
  )
}

/** Sum of amounts. */
export function sum(amounts: readonly Amount[]): Amount {
  let total = 0n
  for (const amount of amounts) total += amount
  return total
}

/** Whether two tables of balances have the same shape and the same sum per asset. */
export function sameSums(a: Balances, b: Balances): boolean {
  return (
    a.length === b.length && a.every((row, i) => row.length === b[i]?.length && sum(row) === sum(b[i] ?? []))
  )
}

/** Whether two lists of assets are the same, in order. */
export function sameAssets(a: readonly Asset[], b: readonly Asset[]): boolean {
  return a.length === b.length && a.every((x, i) => x.id === b[i]?.id && x.backend === b[i]?.backend)
}

/** Whether two lists of sub-allocations are the same, index maps included. */
export function sameLocked(a: readonly SubAllocation[], b: readonly SubAllocation[]): boolean {
  return (
    a.length === b.length &&
    a.every((x, i) => {
      const y = b[i]
      return (
        y !== undefined &&
        x.channelID === y.channelID &&
        sameList(x.balances, y.balances) &&
        sameList(x.indexMap, y.indexMap)
      )
    })
  )
}

/** The rule that this allocation breaks, or undefined (Perun core protocol, "Allocation", all hardening rows). */
export function faultOfAllocation(allocation: Allocation): PerkunasError | undefined {
  const { assets, balances, locked } = allocation
  const participants = width(allocation)
  if (assets.length < 1 || assets.length > MAX_ASSETS) {
    return invalid(`1 to ${MAX_ASSETS} assets`, assets.length)
  }
  if (balances.length !== assets.length) {
    return invalid(`one row of balances per asset (${assets.length})`, balances.length)
  }
  if (participants < 1 || participants > MAX_PARTICIPANTS) {
    return invalid(`1 to ${MAX_PARTICIPANTS} balances per asset`, participants)
  }
  if (locked.length > MAX_SUB_ALLOCATIONS) {
    return invalid(`at most ${MAX_SUB_ALLOCATIONS} sub-allocations`, locked.length)
  }
  for (const { id } of assets) {
    if (!isHex(id) || byteLength(id) > MAX_ID_LENGTH) return invalid('asset IDs as bytes', id)
  }
  if (
    assets.length > 1 &&
    new Set(assets.map(({ backend, id }) => `${backend}:${id}`)).size !== assets.length
  ) {
    return invalid('distinct assets', 'a repeated one')
  }
  for (const row of balances) {
    if (row.length !== participants) return invalid(`rows of ${participants} balances`, row.length)
    const fault = faultOfAmounts(row)
    if (fault) return fault
  }
  const fault = locked.length === 0 ? undefined : faultOfLocked(allocation, participants)
  return fault ?? faultOfAmounts(totals(allocation))
}

function faultOfLocked({ assets, locked }: Allocation, participants: number): PerkunasError | undefined {
  const children = new Set<string>()
  for (const { channelID, balances: amounts, indexMap } of locked) {
    if (!isHex(channelID, 32)) return invalid('sub-allocation IDs of 32 bytes', channelID)
    if (children.has(channelID)) return invalid('distinct sub-allocations', channelID)
    children.add(channelID)
    if (amounts.length !== assets.length) {
      return invalid(`one locked amount per asset (${assets.length})`, amounts.length)
    }
    const fault = faultOfAmounts(amounts)
    if (fault) return fault
    if (indexMap.length > MAX_PARTICIPANTS) {
      return invalid(`index maps of at most ${MAX_PARTICIPANTS}`, indexMap.length)
    }
    for (const index of indexMap) {
      if (!Number.isInteger(index) || index < 0 || index >= participants) {
        return invalid(`index map entries below ${participants}`, index)
      }
    }
    if (new Set(indexMap).size !== indexMap.length) return invalid('injective index maps', indexMap)
  }
  return undefined
}

function faultOfAmounts(amounts: readonly Amount[]): PerkunasError<'INVALID_AMOUNT'> | undefined {
  for (const amount of amounts) {
    if (typeof amount !== 'bigint' || amount < 0n || amount > MAX_AMOUNT) {
      return new PerkunasError(
        'INVALID_AMOUNT',
        `amounts and totals from 0 to 2^256 - 1 expected, got ${amount}`,
        {
          actual: amount,
        },
      )
    }
  }
  return undefined
}

function invalid(rule: string, got: unknown): PerkunasError<'INVALID_STATE'> {
  return new PerkunasError('INVALID_STATE', `invalid allocation: ${rule} expected, got ${String(got)}`, {
    rule,
  })
}

function sameList<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i])
}
