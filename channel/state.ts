// A channel's state: an immutable value. What changes it makes a new one.
import {
  type Allocation,
  type Amount,
  type Asset,
  type Balances,
  faultOfAllocation,
  type SubAllocation,
  sameAssets,
  sameLocked,
  width,
} from './allocation.js'
import { byteLength, EMPTY, type Hex, isHex } from './bytes.js'
import { PerkunasError } from './errors.js'
import { MAX_DATA_LENGTH, MAX_UINT64 } from './limits.js'
import { type AppID, type ChannelID, NO_APP, type Params } from './params.js'

/** A state of a channel (Perun core protocol, "State"). Plain data, deeply frozen. */
export interface State {
  readonly channelID: ChannelID
  /** 0 for the initial state; every later state has a greater one, and no version is signed for two states. */
  readonly version: bigint
  readonly app: AppID
  readonly allocation: Allocation
  /** The app's data in the app's own encoding; empty without an app. */
  readonly data: Hex
  /** A final state ends the channel: nothing may follow it. */
  readonly isFinal: boolean
}

/** Signatures by participant index; `undefined` where one is not there yet. */
export type Signatures = readonly (Hex | undefined)[]

/** A state with everybody's signature, and all that a ledger needs to believe it. */
export interface SignedState {
  readonly params: Params
  readonly state: State
  readonly signatures: readonly Hex[]
}

/**
 * The copy of a state that `Channel.update` hands to the caller's function to edit. What it has no field for, and the assets,
 * no update changes: an edit of those is refused with UNSUPPORTED.
 */
export interface Draft {
  /** By asset, then by participant; sums must stay. */
  balances: Amount[][]
  data: Hex
  isFinal: boolean
  readonly assets: readonly Asset[]
}

/** Builds the initial state of a channel, version 0. Does not check it: see {@link faultOfState}. */
export function initialState(channelID: ChannelID, params: Params, allocation: Allocation, data: Hex): State {
  return freezeState({ channelID, version: 0n, app: params.app, allocation, data, isFinal: false })
}

/** A copy of `state` for editing. */
export function draftOf(state: State): Draft {
  return {
    balances: state.allocation.balances.map((row) => [...row]),
    data: state.data,
    isFinal: state.isFinal,
    assets: state.allocation.assets,
  }
}

/** The state that follows `state` after the edits of `draft`, with the given version. */
export function stateOf(state: State, draft: Draft, version: bigint): State {
  const { assets, locked } = state.allocation
  return freezeState({
    ...state,
    version,
    allocation: { assets, balances: draft.balances.map((row) => [...row]), locked },
    data: draft.data,
    isFinal: draft.isFinal,
  })
}

/**
 * Moves an amount between two participants of a draft.
 *
 * @throws PerkunasError INVALID_AMOUNT if it is negative or more than the payer has
 */
export function transfer(
  draft: Draft,
  move: { readonly from: number; readonly to: number; readonly amount: Amount; readonly asset?: number },
): void {
  const { from, to, amount, asset = 0 } = move
  const row = draft.balances[asset]
  const payer = row?.[from]
  const payee = row?.[to]
  if (row === undefined || payer === undefined || payee === undefined) {
    throw new PerkunasError('INVALID_ARGUMENT', `no asset ${asset} or no participants ${from} and ${to}`, {
      argument: 'move',
    })
  }
  if (typeof amount !== 'bigint') {
    const message = `an amount as bigint expected, got ${typeof amount} ${amount}`
    throw new PerkunasError('INVALID_ARGUMENT', message, { argument: 'amount' })
  }
  if (amount < 0n || amount > payer) {
    const message =
      amount < 0n
        ? `${amount} can't be transferred: an amount from 0 up expected`
        : `participant ${from} can't transfer ${amount} of asset ${asset}: it has ${payer}`
    throw new PerkunasError('INVALID_AMOUNT', message, { actual: amount })
  }
  row[from] = payer - amount
  row[to] = (row[to] ?? 0n) + amount
}

/** Whether two states are the same in every field. */
export function sameState(a: State, b: State): boolean {
  return (
    a.channelID === b.channelID &&
    a.version === b.version &&
    a.app === b.app &&
    a.data === b.data &&
    a.isFinal === b.isFinal &&
    sameAllocation(a.allocation, b.allocation)
  )
}

/** Whether two allocations are the same in every field. */
export function sameAllocation(a: Allocation, b: Allocation): boolean {
  return (
    sameAssets(a.assets, b.assets) && sameBalances(a.balances, b.balances) && sameLocked(a.locked, b.locked)
  )
}

/** Whether two tables of balances are the same. */
export function sameBalances(a: Balances, b: Balances): boolean {
  return (
    a.length === b.length &&
    a.every((row, i) => row.length === b[i]?.length && row.every((x, j) => x === b[i]?.[j]))
  )
}

/** The rule that a state of a channel with these params breaks by itself, or undefined. */
export function faultOfState(params: Params, state: State): PerkunasError | undefined {
  const fault = (rule: string, got: unknown) =>
    new PerkunasError('INVALID_STATE', `invalid state: ${rule} expected, got ${String(got)}`, { rule })
  if (!isHex(state.channelID, 32)) return fault('channel ID of 32 bytes', state.channelID)
  if (state.version < 0n || state.version > MAX_UINT64) return fault('version of 64 bits', state.version)
  if (state.app !== params.app) return fault('the app of the params', state.app)
  if (!isHex(state.data) || byteLength(state.data) > MAX_DATA_LENGTH) {
    return fault(`data of at most ${MAX_DATA_LENGTH} bytes`, state.data.length)
  }
  if (state.app === NO_APP && state.data !== EMPTY)
    return fault('no data without an app', state.data.slice(0, 20))
  const ofAllocation = faultOfAllocation(state.allocation)
  if (ofAllocation) return ofAllocation
  const participants = params.participants.length
  if (width(state.allocation) !== participants) {
    return fault(`balances for ${participants} participants`, width(state.allocation))
  }
  return undefined
}

/** Freezes a state deeply. */
export function freezeState(state: State): State {
  const { allocation } = state
  for (const asset of allocation.assets) Object.freeze(asset)
  for (const row of allocation.balances) Object.freeze(row)
  for (const subAllocation of allocation.locked) freezeSubAllocation(subAllocation)
  Object.freeze(allocation.assets)
  Object.freeze(allocation.balances)
  Object.freeze(allocation.locked)
  Object.freeze(allocation)
  return Object.freeze(state)
}

function freezeSubAllocation(subAllocation: SubAllocation): void {
  Object.freeze(subAllocation.balances)
  Object.freeze(subAllocation.indexMap)
  Object.freeze(subAllocation)
}
