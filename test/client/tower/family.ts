// Channels with sub-channels, as signed states and nothing else: no client of ours proposes them yet.
import {
  type AddressMap,
  type Asset,
  type Hex,
  type LedgerRules,
  NO_APP,
  NO_AUX,
  type Params,
  type SignedState,
  type State,
  totals,
} from '../../../channel/index.js'

/** Who takes part, on which ledger. */
export interface Signers {
  readonly rules: LedgerRules
  readonly participants: readonly AddressMap[]
  readonly asset: Asset
  readonly challengeDuration: bigint
  /** Everybody's signature. */
  sign(message: Uint8Array): readonly Hex[]
}

/** Params of a sub-channel; of a channel of its own with `ledgerChannel`. */
export function paramsOf(by: Signers, nonce: bigint, changes: Partial<Params> = {}): Params {
  const { challengeDuration, participants } = by
  const fixed = { app: NO_APP, ledgerChannel: false, virtualChannel: false, aux: NO_AUX }
  return { challengeDuration, participants, nonce, ...fixed, ...changes }
}

/** A state that locks what its children have; everybody has 5 besides unless told otherwise. */
export function signedState(
  by: Signers,
  params: Params,
  version: bigint,
  { children = [], ...changes }: Partial<State> & { readonly children?: readonly SignedState[] } = {},
): SignedState {
  const locked = children.map(({ state }) => ({
    channelID: state.channelID,
    balances: totals(state.allocation),
    indexMap: [],
  }))
  const balances = [params.participants.map(() => 5n)]
  const allocation = { assets: [by.asset], balances, locked }
  const channelID = by.rules.channelID(params)
  const state: State = {
    channelID,
    version,
    app: params.app,
    allocation,
    data: '0x',
    isFinal: false,
    ...changes,
  }
  return { params, state, signatures: by.sign(by.rules.message(params, state)) }
}
