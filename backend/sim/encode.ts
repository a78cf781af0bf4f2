// The bytes that the simulated ledger hashes: canonical JSON of a fixed list of fields, which no two different
// values share. What is signed is always a 32-byte hash, so that any Ethereum wallet can sign for this ledger.
import { sha256 } from '@noble/hashes/sha2.js'
import { utf8ToBytes } from '@noble/hashes/utils.js'
import type { Address, ChannelID, Hex, Index, Params, State } from '../../channel/index.js'
import { toHex } from '../../channel/index.js'

/** This ledger's number among the kinds of ledgers (Perun core protocol, "Scalars and limits"). */
export const SIM_BACKEND = 0

type Json = string | boolean | readonly Json[]

/** The ID that params commit to. */
export function channelIDOf(params: Params): ChannelID {
  const participants = params.participants.map((addresses) =>
    Object.entries(addresses).toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)),
  )
  return toHex(
    hash('params', [
      String(params.challengeDuration),
      participants,
      params.app,
      String(params.nonce),
      params.ledgerChannel,
      params.virtualChannel,
      params.aux,
    ]),
  )
}

/** What participants sign for a state; it binds the channel by its ID. */
export function stateMessage(state: State): Uint8Array {
  const { assets, balances, locked } = state.allocation
  return hash('state', [
    state.channelID,
    String(state.version),
    state.app,
    assets.map(({ backend, id }) => [String(backend), id]),
    balances.map((row) => row.map(String)),
    locked.map((child) => [child.channelID, child.balances.map(String), child.indexMap.map(String)]),
    state.data,
    state.isFinal,
  ])
}

/** Identifies a state on the ledger. */
export function stateHash(state: State): Hex {
  return toHex(stateMessage(state))
}

/** Where a participant's deposits for a channel are kept. */
export function fundingID(channelID: ChannelID, participant: Address): Hex {
  return toHex(hash('funding', [channelID, participant]))
}

/** What a participant signs to have what it holds of an asset paid to a receiver. */
export function withdrawalMessage(payment: {
  readonly channelID: ChannelID
  readonly participant: Address
  readonly asset: Hex
  readonly receiver: Address
}): Uint8Array {
  const { channelID, participant, asset, receiver } = payment
  return hash('withdrawal', [channelID, participant, asset, receiver])
}

/** What a participant signs to be paid by the cooperative close of a final state. */
export function closeMessage(close: {
  readonly state: State
  readonly participant: Index
  readonly receiver: Address
}): Uint8Array {
  return hash('close', [stateHash(close.state), String(close.participant), close.receiver])
}

function hash(kind: string, fields: readonly Json[]): Uint8Array {
  return sha256(utf8ToBytes(JSON.stringify(['perkunas/sim', kind, fields])))
}
