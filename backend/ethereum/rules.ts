// The pure rules of channels on Ethereum: IDs, what is signed, and what the contracts would not take.
import { demandNames, type NamesOf } from '../../channel/arguments.js'
import {
  type Address,
  type AddressMap,
  type Asset,
  byteLength,
  type Capabilities,
  type ChannelID,
  type Hex,
  isHex,
  type LedgerRules,
  NO_APP,
  NO_AUX,
  type Params,
  PerkunasError,
  type State,
  totals,
  width,
} from '../../channel/index.js'
import { verifyPersonal } from '../../wallet/index.js'
import { ADDRESS_LENGTH, asset as assetOf, ETHEREUM, isAddress, parseAsset, ZERO_ADDRESS } from './assets.js'
import type { Holder } from './contracts.js'
import { channelIDOf, stateHash } from './encoding.js'

/** What the rules depend on. */
export interface RulesOptions {
  /** EIP-155. */
  readonly chainID: bigint
  /** The asset holders whose assets channels may have; an asset of any other could never be paid out. */
  readonly holders: ReadonlyMap<Address, Holder>
  /** In seconds. The contracts take at most 2^32 - 1. */
  readonly challengeDuration: Capabilities['challengeDuration']
}

/** From a minute, within which a transaction of a party that is awake gets mined, to a year. */
export const CHALLENGE_DURATION: Capabilities['challengeDuration'] = Object.freeze({
  min: 60n,
  max: 365n * 86_400n,
})

/** Most participants: registering and paying that many still takes a small part of a block. */
export const MAX_ETHEREUM_PARTICIPANTS = 64
/** Most assets. */
export const MAX_ETHEREUM_ASSETS = 16
/** Most participants times assets: each is a word of storage when the channel is settled, about 25 000 gas. */
export const MAX_ETHEREUM_SHARES = 256
/** Most sub-channels that a state may lock. */
export const MAX_ETHEREUM_LOCKED = 32
/** Most of an asset in one channel: what a holder can keep for one participant, 112 bits. */
export const MAX_ETHEREUM_AMOUNT = 2n ** 112n - 1n

const OPTION_NAMES: NamesOf<RulesOptions> = { chainID: true, holders: true, challengeDuration: true }

const MAX_CONTRACT_DURATION = 2n ** 32n - 1n

/** The rules of one chain and its allowed holders. */
export class EthereumRules implements LedgerRules {
  readonly backend = ETHEREUM
  readonly #channelIDs = new WeakMap<Params, ChannelID>()
  readonly #messages = new WeakMap<State, Uint8Array>()
  /** What channels may have, by {@link Asset.id}. */
  readonly #assets: ReadonlySet<Hex>

  /** @throws PerkunasError INVALID_ARGUMENT if the contracts don't take challenge durations of that band, or an option is unknown */
  constructor(readonly options: RulesOptions) {
    demandNames(options, OPTION_NAMES)
    demandNames(options.challengeDuration, CHALLENGE_DURATION, 'options.challengeDuration')
    const { min, max } = options.challengeDuration
    if (min < 1n || min > max || max > MAX_CONTRACT_DURATION) {
      throw new PerkunasError(
        'INVALID_ARGUMENT',
        `challenge durations between 1 and 2^32 - 1 seconds expected, got ${min} to ${max}`,
        { argument: 'challengeDuration' },
      )
    }
    const { chainID, holders } = options
    this.#assets = new Set(Array.from(holders.keys(), (holder) => assetOf({ chainID, holder }).id))
  }

  channelID(params: Params): ChannelID {
    const known = this.#channelIDs.get(params)
    if (known !== undefined) return known
    const id = channelIDOf(params)
    if (Object.isFrozen(params)) this.#channelIDs.set(params, id)
    return id
  }

  /** The state's hash: 32 bytes. The account signs them as a personal message (EIP-191). */
  message(_params: Params, state: State): Uint8Array {
    const known = this.#messages.get(state)
    if (known !== undefined) return known
    const hash = stateHash(state)
    // States are frozen deeply, or not at all.
    if (Object.isFrozen(state)) this.#messages.set(state, hash)
    return hash
  }

  verify(message: Uint8Array, signature: Hex, participant: AddressMap): boolean {
    const address = participant[ETHEREUM]
    return address !== undefined && verifyPersonal(message, signature, address)
  }

  faultOfParams(params: Params): PerkunasError | undefined {
    const { challengeDuration, participants, app, aux, nonce, virtualChannel } = params
    const { min, max } = this.options.challengeDuration
    const fault = (rule: string, got: unknown) =>
      new PerkunasError('INVALID_PARAMS', `invalid params for Ethereum: ${rule}, got ${String(got)}`, {
        rule,
      })
    if (challengeDuration < min || challengeDuration > max) {
      return fault(`challenge duration from ${min} to ${max} seconds`, challengeDuration)
    }
    if (nonce < 0n || nonce >= 2n ** 256n) return fault('nonce of at most 32 bytes', nonce)
    if (participants.length < 1 || participants.length > MAX_ETHEREUM_PARTICIPANTS) {
      return fault(`at most ${MAX_ETHEREUM_PARTICIPANTS} participants`, participants.length)
    }
    const seen = new Set<Address>()
    for (const participant of participants) {
      const address = participant[ETHEREUM]
      if (!isAddress(address)) return fault('an Ethereum address for each participant', address)
      if (seen.has(address)) return fault('distinct participants', address)
      seen.add(address)
      const foreign = Object.keys(participant).length - 1
      // The contracts have room for one, and which one it is must not be left to chance.
      if (foreign > 1) return fault('an address on at most one other kind of ledger', foreign)
    }
    if (app !== NO_APP && (!isHex(app, ADDRESS_LENGTH) || app === ZERO_ADDRESS)) {
      return fault("an app's address", app)
    }
    if (virtualChannel && app !== NO_APP) return fault('no app in a virtual channel', app)
    // It is not part of the channel ID: nobody may believe that it is agreed.
    if (aux !== NO_AUX) return fault('aux of zeros', 'something else')
    return undefined
  }

  faultOfState(params: Params, state: State): PerkunasError | undefined {
    const { assets, locked, balances } = state.allocation
    const fault = (rule: string, got: unknown) =>
      new PerkunasError('INVALID_STATE', `invalid state for Ethereum: ${rule} expected, got ${String(got)}`, {
        rule,
      })
    for (const asset of assets) {
      if (asset.backend !== ETHEREUM || !this.#assets.has(asset.id)) {
        return fault(`assets of allowed holders on chain ${this.options.chainID}`, nameOf(asset))
      }
    }
    if (assets.length > MAX_ETHEREUM_ASSETS)
      return fault(`at most ${MAX_ETHEREUM_ASSETS} assets`, assets.length)
    const shares = assets.length * params.participants.length
    if (shares > MAX_ETHEREUM_SHARES) {
      return fault(`at most ${MAX_ETHEREUM_SHARES} assets times participants`, shares)
    }
    if (width(state.allocation) !== params.participants.length || balances.length !== assets.length) {
      return fault(
        `balances of ${assets.length} assets and ${params.participants.length} participants`,
        'others',
      )
    }
    if (locked.length > MAX_ETHEREUM_LOCKED) {
      return fault(`at most ${MAX_ETHEREUM_LOCKED} sub-allocations`, locked.length)
    }
    if (params.virtualChannel && locked.length > 0) {
      return fault('nothing locked in a virtual channel', locked.length)
    }
    for (const total of totals(state.allocation)) {
      if (total > MAX_ETHEREUM_AMOUNT) return fault('totals of at most 2^112 - 1', total)
    }
    if (byteLength(state.data) > MAX_DATA)
      return fault(`data of at most ${MAX_DATA} bytes`, byteLength(state.data))
    return undefined
  }
}

function nameOf(asset: Asset): string {
  const parsed = parseAsset(asset)
  if (parsed === undefined) return `${asset.id} of ledger kind ${asset.backend}`
  return `holder ${parsed.holder} on chain ${parsed.chainID}`
}

/** Most bytes of app data: as calldata, 40 gas a byte at worst (EIP-7623), it must leave room in a block. */
export const MAX_DATA = 32_768
