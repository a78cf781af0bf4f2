// A simulated ledger with parties on it, each with its own node, for the tests of this folder.
import { sha256 } from '@noble/hashes/sha2.js'
import { utf8ToBytes } from '@noble/hashes/utils.js'
import type { LedgerOptions } from '../../../backend/sim/index.js'
import { SimBackend, SimLedger, SimNode } from '../../../backend/sim/index.js'
import {
  type Address,
  type Asset,
  type Hex,
  initialState,
  NO_APP,
  NO_AUX,
  type Params,
  type SignedState,
  type State,
} from '../../../channel/index.js'
import { addressOf, MemoryWallet, secp256k1, signPersonal } from '../../../wallet/index.js'

/** Somebody with an account, a node and a backend. */
export interface Party {
  readonly index: number
  readonly address: Address
  readonly node: SimNode
  readonly backend: SimBackend
  /** Another backend of the same party, which knows nothing. */
  open(): SimBackend
  sign(message: Uint8Array): Hex
}

/** Every party starts with this much of each asset. */
export const RICH = 1_000n

/** A ledger with two assets and some parties, who are the participants of one channel's params. */
export function simWorld({
  parties: size = 2,
  finalityDepth = 1,
  ...options
}: LedgerOptions & { readonly parties?: number; readonly finalityDepth?: number } = {}) {
  const ledger = new SimLedger(options)
  const assets: readonly [Asset, Asset] = [ledger.createAsset(), ledger.createAsset()]
  const parties = Array.from({ length: size }, (_, index): Party => {
    const secret = sha256(utf8ToBytes(`party ${index}`))
    const address = addressOf(secp256k1.publicKey(secret))
    const sign = (message: Uint8Array) => signPersonal(message, secret)
    const node = new SimNode(ledger)
    const wallet = new MemoryWallet([secret])
    const open = () => new SimBackend({ ledger: node, account: address, wallet, finalityDepth })
    const backend = open()
    for (const asset of assets) ledger.mint(asset, address, RICH)
    return { index, address, node, backend, open, sign }
  })
  const params: Params = {
    challengeDuration: 100n,
    participants: parties.map(({ address }) => ({ 0: address })),
    app: NO_APP,
    nonce: 7n,
    ledgerChannel: true,
    virtualChannel: false,
    aux: NO_AUX,
  }
  return { ledger, assets, parties, params }
}

/** The party of an index, which must be there. */
export function party(parties: readonly Party[], index: number): Party {
  const found = parties[index]
  if (!found) throw new Error(`no party ${index}`)
  return found
}

/** A first state: each participant has 10 of each asset. */
export function firstState(parties: readonly Party[], params: Params, assets: readonly Asset[]): State {
  const { rules } = party(parties, 0).backend
  const balances = assets.map(() => parties.map(() => 10n))
  return initialState(rules.channelID(params), params, { assets, balances, locked: [] }, '0x')
}

/** A state with everybody's signature. */
export function signedByAll(parties: readonly Party[], params: Params, state: State): SignedState {
  const signatures = parties.map(({ backend, sign }) => sign(backend.rules.message(params, state)))
  return { params, state, signatures }
}
