// Between the generic values and the contracts' structs: arguments of calls, and states read back from calldata.
import type { Result } from 'ethers'
import {
  type Address,
  type AddressMap,
  type Asset,
  type BackendID,
  freezeState,
  type Hex,
  type Index,
  isHex,
  NO_APP,
  NO_AUX,
  type Params,
  type SignedState,
  type State,
  width,
} from '../../channel/index.js'
import { ADJUDICATOR } from './abi.js'
import { ETHEREUM, isAddress, ZERO_ADDRESS } from './assets.js'
import { appAddress, holderOf, indexMapOf, NO_FOREIGN, participantOf } from './encoding.js'

/** `Params` as an argument. */
export function paramsArgument(params: Params): readonly unknown[] {
  return [
    params.challengeDuration,
    params.nonce,
    params.participants.map((participant) => {
      const { ethAddress, ccAddress } = participantOf(participant)
      return [ethAddress, ccAddress]
    }),
    appAddress(params.app),
    params.ledgerChannel,
    params.virtualChannel,
  ]
}

/** `State` as an argument. */
export function stateArgument(state: State): readonly unknown[] {
  const { assets, balances, locked } = state.allocation
  return [
    state.channelID,
    state.version,
    [
      assets.map((asset) => {
        const { chainID, ethHolder, ccHolder } = holderOf(asset)
        return [chainID, ethHolder, ccHolder]
      }),
      assets.map(({ backend }) => backend),
      balances,
      locked.map((subAllocation) => [
        subAllocation.channelID,
        subAllocation.balances,
        indexMapOf(subAllocation, width(state.allocation)),
      ]),
    ],
    state.data,
    state.isFinal,
  ]
}

/** `SignedState` as an argument. */
export function signedStateArgument({ params, state, signatures }: SignedState): readonly unknown[] {
  return [paramsArgument(params), stateArgument(state), signatures]
}

/** A state that calldata showed, and what came with it. */
export interface ShownState {
  readonly params: Params
  readonly state: State
  /** Everybody's, where it was registered. */
  readonly signatures: readonly Hex[] | undefined
  /** Who progressed to it. */
  readonly actor: Index | undefined
}

/**
 * The states that a call of the adjudicator carries. Nothing is believed about the bytes: what does not decode
 * gives an empty list. Whether a channel's params hash to its ID is for the caller to check.
 */
export function shownStates(calldata: Hex): readonly ShownState[] {
  try {
    const parsed = ADJUDICATOR.parseTransaction({ data: calldata })
    if (parsed === null) return []
    const [first, second, third, fourth] = parsed.args
    switch (parsed.name) {
      case 'register':
        return [first, ...second].map(readSignedState)
      case 'checkpoint':
        return [readSignedState(first)]
      case 'progress': {
        const params = readParams(first)
        return [
          { params, state: readState(second, params), signatures: undefined, actor: undefined },
          { params, state: readState(third, params), signatures: undefined, actor: Number(fourth) },
        ]
      }
      case 'concludeFinal':
      case 'conclude':
      case 'close':
      case 'concludeAndPay': {
        const params = readParams(first)
        return [{ params, state: readState(second, params), signatures: undefined, actor: undefined }]
      }
      default:
        return []
    }
  } catch {
    return []
  }
}

function readSignedState(value: Result): ShownState {
  const [paramsValue, stateValue, signatures] = value
  const params = readParams(paramsValue)
  return {
    params,
    state: readState(stateValue, params),
    signatures: Array.from<unknown, Hex>(signatures, hex),
    actor: undefined,
  }
}

function readParams(value: Result): Params {
  const [challengeDuration, nonce, participants, app, ledgerChannel, virtualChannel] = value
  return {
    challengeDuration: BigInt(challengeDuration),
    nonce: BigInt(nonce),
    participants: Array.from<Result, AddressMap>(participants, ([ethAddress, ccAddress]) => ({
      [ETHEREUM]: hex(ethAddress),
      // Which other ledger it is of does not show: the state is only compared by its hash.
      ...(hex(ccAddress) === NO_FOREIGN ? {} : { 0: hex(ccAddress) }),
    })),
    app: readApp(app),
    ledgerChannel: ledgerChannel === true,
    virtualChannel: virtualChannel === true,
    aux: NO_AUX,
  }
}

function readApp(value: unknown): Hex {
  const app = hex(value)
  return app === ZERO_ADDRESS ? NO_APP : app
}

function readState(value: Result, params: Params): State {
  const [channelID, version, outcome, appData, isFinal] = value
  const [assets, backends, balances, locked] = outcome
  return freezeState({
    channelID: hex(channelID),
    version: BigInt(version),
    app: params.app,
    allocation: {
      assets: Array.from<Result, Asset>(assets, (asset, i) => readAsset(asset, Number(backends[i]))),
      balances: Array.from<Result, bigint[]>(balances, integers),
      locked: Array.from<Result, State['allocation']['locked'][number]>(
        locked,
        ([id, amounts, indexMap]) => ({
          channelID: hex(id),
          balances: integers(amounts),
          indexMap: readIndexMap(indexMap),
        }),
      ),
    },
    data: hex(appData),
    isFinal: isFinal === true,
  })
}

function readAsset([chainID, ethHolder, ccHolder]: Result, backend: BackendID): Asset {
  const holder: Address = hex(ethHolder)
  if (!isAddress(holder)) return { backend, id: hex(ccHolder) }
  return { backend, id: `0x${BigInt(chainID).toString(16).padStart(64, '0')}${holder.slice(2)}` }
}

/** The identity, which stands for an empty map, comes back as one. */
function readIndexMap(value: Iterable<unknown>): Index[] {
  const map = Array.from(value, Number)
  return map.every((index, i) => index === i) ? [] : map
}

function integers(values: Iterable<unknown>): bigint[] {
  return Array.from(values, (value) => BigInt(String(value)))
}

function hex(value: unknown): Hex {
  const lower = String(value).toLowerCase()
  if (!isHex(lower)) throw new Error('hex expected')
  return lower
}
