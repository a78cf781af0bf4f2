// The bytes that Ethereum's contracts hash: Solidity ABI encodings of params, states and withdrawal
// authorisations (Perun on Ethereum, "Types" and "Hashing and signing"), written by hand because every update
// needs one. The property tests compare them with ethers' coder.
import {
  type Address,
  type AddressMap,
  type Allocation,
  type Asset,
  type ChannelID,
  concat,
  EMPTY,
  fromHex,
  type Hex,
  type Index,
  NO_APP,
  type Params,
  PerkunasError,
  type State,
  type SubAllocation,
  toHex,
  width,
} from '../../channel/index.js'
import { keccak256 } from '../../wallet/index.js'
import { ETHEREUM, parseAsset, ZERO_ADDRESS } from './assets.js'
import { Words } from './words.js'

/** What stands in `ccAddress` and `ccHolder` where a participant or an asset is Ethereum's alone. */
export const NO_FOREIGN: Hex = `0x${'00'.repeat(32)}`

/** A participant as the contracts see it. */
export interface EthereumParticipant {
  readonly ethAddress: Address
  /** Canonical bytes of its address on one other kind of ledger; {@link NO_FOREIGN} without one. */
  readonly ccAddress: Hex
}

/** An agreement to be paid `amount` at `receiver` (Perun on Ethereum, "WithdrawalAuth"). */
export interface WithdrawalAuth {
  readonly channelID: ChannelID
  readonly participant: EthereumParticipant
  readonly receiver: Address
  readonly amount: bigint
}

const words = new Words()

/** keccak256(abi.encode(params)). Checks nothing: the rules do. */
export function channelIDOf(params: Params): ChannelID {
  return toHex(keccak256(encodeParams(params)))
}

/** keccak256(abi.encode(state)), 32 bytes: what participants sign, wrapped as an EIP-191 personal message. */
export function stateHash(state: State): Uint8Array {
  writeState(state)
  return keccak256(words.view())
}

/** Where a participant's share of a channel is booked in an asset holder. */
export function fundingID(channelID: ChannelID, participant: Address): Hex {
  return toHex(keccak256(concat(fromHex(channelID, 32), new Uint8Array(12), fromHex(participant, 20))))
}

/** keccak256(abi.encode(authorisation)), 32 bytes; signed like a state hash. */
export function withdrawalHash(auth: WithdrawalAuth): Uint8Array {
  return keccak256(encodeWithdrawalAuth(auth))
}

/** abi.encode(params), the struct as one argument. */
export function encodeParams(params: Params): Uint8Array {
  words.start()
  words.number(32)
  const base = words.length
  words.integer(params.challengeDuration)
  words.integer(params.nonce)
  const participants = words.reserve()
  words.right(appAddress(params.app))
  words.number(params.ledgerChannel ? 1 : 0)
  words.number(params.virtualChannel ? 1 : 0)
  words.offset(participants, base)
  array(params.participants, (participant) => writeParticipant(participantOf(participant)))
  return words.take()
}

/** abi.encode(state), the struct as one argument. */
export function encodeState(state: State): Uint8Array {
  writeState(state)
  return words.take()
}

function writeState(state: State): void {
  words.start()
  words.number(32)
  const base = words.length
  words.right(state.channelID)
  words.integer(state.version)
  const outcome = words.reserve()
  const data = words.reserve()
  words.number(state.isFinal ? 1 : 0)
  words.offset(outcome, base)
  writeAllocation(state.allocation)
  words.offset(data, base)
  words.bytes(state.data)
}

/** abi.encode(authorisation), the struct as one argument. */
export function encodeWithdrawalAuth(auth: WithdrawalAuth): Uint8Array {
  words.start()
  words.number(32)
  const base = words.length
  words.right(auth.channelID)
  const participant = words.reserve()
  words.right(auth.receiver)
  words.integer(auth.amount)
  words.offset(participant, base)
  writeParticipant(auth.participant)
  return words.take()
}

/**
 * A participant as the contracts see it. Of several foreign addresses the one of the lowest backend counts; the
 * rules refuse more than one.
 *
 * @throws PerkunasError INVALID_PARAMS without an Ethereum address
 */
export function participantOf(participant: AddressMap): EthereumParticipant {
  const ethAddress = participant[ETHEREUM]
  if (ethAddress === undefined || ethAddress.length !== 42) {
    throw new PerkunasError(
      'INVALID_PARAMS',
      'an Ethereum address of 20 bytes for each participant expected',
      {
        rule: 'an Ethereum address of 20 bytes for each participant',
      },
    )
  }
  for (const backend in participant) {
    if (backend !== '1') return { ethAddress, ccAddress: participant[Number(backend)] ?? NO_FOREIGN }
  }
  return { ethAddress, ccAddress: NO_FOREIGN }
}

/** What the contracts have for an asset. */
export function holderOf(asset: Asset): { chainID: bigint; ethHolder: Address; ccHolder: Hex } {
  if (asset.backend !== ETHEREUM) {
    return { chainID: BigInt(asset.backend), ethHolder: ZERO_ADDRESS, ccHolder: asset.id }
  }
  const parsed = parseAsset(asset)
  if (parsed === undefined) {
    throw new PerkunasError('INVALID_STATE', `an asset of 52 bytes expected, got ${asset.id.slice(0, 120)}`, {
      rule: 'Ethereum assets of 52 bytes',
    })
  }
  return { chainID: parsed.chainID, ethHolder: parsed.holder, ccHolder: NO_FOREIGN }
}

/** The index map as the contracts want it: as long as the participant list, identity for an empty one. */
export function indexMapOf(subAllocation: SubAllocation, participants: number): Index[] {
  const { indexMap } = subAllocation
  return Array.from({ length: participants }, (_, i) => (indexMap.length === 0 ? i : (indexMap[i] ?? 0)))
}

/** The app's contract; the zero address for none. */
export function appAddress(app: Hex): Address {
  return app === NO_APP ? ZERO_ADDRESS : app
}

function writeAllocation(allocation: Allocation): void {
  const base = words.length
  const assets = words.reserve()
  const backends = words.reserve()
  const balances = words.reserve()
  const locked = words.reserve()
  words.offset(assets, base)
  array(allocation.assets, writeAsset)
  words.offset(backends, base)
  words.number(allocation.assets.length)
  for (const asset of allocation.assets) words.number(asset.backend)
  words.offset(balances, base)
  array(allocation.balances, writeIntegers)
  words.offset(locked, base)
  const participants = width(allocation)
  array(allocation.locked, (subAllocation) => writeSubAllocation(subAllocation, participants))
}

function writeAsset(asset: Asset): void {
  const { backend, id } = asset
  const base = words.length
  if (backend === ETHEREUM && id.length === 106) {
    words.right(id, 2, 66)
    words.right(id, 66)
    const holder = words.reserve()
    words.offset(holder, base)
    words.number(32)
    words.reserve()
    return
  }
  const { chainID, ethHolder, ccHolder } = holderOf(asset)
  words.integer(chainID)
  words.right(ethHolder)
  const holder = words.reserve()
  words.offset(holder, base)
  words.bytes(ccHolder)
}

function writeSubAllocation(subAllocation: SubAllocation, participants: number): void {
  const base = words.length
  words.right(subAllocation.channelID)
  const balances = words.reserve()
  const indexMap = words.reserve()
  words.offset(balances, base)
  writeIntegers(subAllocation.balances)
  words.offset(indexMap, base)
  words.number(participants)
  for (const index of indexMapOf(subAllocation, participants)) words.number(index)
}

function writeParticipant({ ethAddress, ccAddress }: EthereumParticipant): void {
  const base = words.length
  words.right(ethAddress)
  const foreign = words.reserve()
  words.offset(foreign, base)
  words.bytes(ccAddress)
}

function writeIntegers(values: readonly bigint[]): void {
  words.number(values.length)
  for (const value of values) words.integer(value)
}

/** A dynamic array of dynamic elements: length, offsets counted from behind the length, elements. */
function array<T>(values: readonly T[], write: (value: T) => void): void {
  words.number(values.length)
  const base = words.length
  for (let i = 0; i < values.length; i++) words.reserve()
  let at = base
  for (const value of values) {
    words.offset(at, base)
    write(value)
    at += 32
  }
}

/** The bytes of a `WithdrawalAuth` participant without a foreign address: empty, unlike in the params. */
export function withdrawer(participant: AddressMap): EthereumParticipant {
  const { ethAddress, ccAddress } = participantOf(participant)
  return { ethAddress, ccAddress: ccAddress === NO_FOREIGN ? EMPTY : ccAddress }
}
