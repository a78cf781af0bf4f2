// What participants sign beside states: to be paid by a cooperative close, and to withdraw everything. Both name the
// chain and the adjudicator, so neither can be used elsewhere (EIP-712's aim with one fixed layout).
import {
  type Address,
  byteLength,
  type ChannelID,
  concat,
  fromHex,
  type Hex,
  isHex,
} from '../../channel/index.js'
import { keccak256 } from '../../wallet/index.js'
import { ADDRESS_LENGTH } from './assets.js'

/** Where a signature is good: one adjudicator on one chain. */
export interface Domain {
  readonly chainID: bigint
  readonly adjudicator: Address
}

const CLOSE = tag('Perkunas close 1')
const PAYOUT = tag('Perkunas payout 1')

/** What a participant signs for `close`: the state's hash and where its money shall go. 32 bytes. */
export function closeHash(domain: Domain, stateHash: Uint8Array, receiver: Address): Uint8Array {
  return bound(CLOSE, domain, stateHash, receiver)
}

/** What a participant signs to be paid all that a concluded channel owes it, on all of the chain's holders. 32 bytes. */
export function payoutHash(domain: Domain, channelID: ChannelID, receiver: Address): Uint8Array {
  return bound(PAYOUT, domain, fromHex(channelID, 32), receiver)
}

/** An agreement to a cooperative close, as bytes for other participants: receiver (20), signature (65). */
export function joinCloseAuthorization(receiver: Address, signature: Hex): Hex {
  return `0x${receiver.slice(2)}${signature.slice(2)}`
}

/** Takes {@link joinCloseAuthorization} apart; undefined if the bytes are not such a one. */
export function splitCloseAuthorization(
  authorization: Hex,
): { readonly receiver: Address; readonly signature: Hex } | undefined {
  if (!isHex(authorization) || byteLength(authorization) !== ADDRESS_LENGTH + 65) return undefined
  return { receiver: `0x${authorization.slice(2, 42)}`, signature: `0x${authorization.slice(42)}` }
}

function bound(kind: Uint8Array, { chainID, adjudicator }: Domain, subject: Uint8Array, receiver: Address) {
  return keccak256(
    concat(
      kind,
      fromHex(`0x${chainID.toString(16).padStart(64, '0')}`),
      padded(adjudicator),
      subject,
      padded(receiver),
    ),
  )
}

function padded(address: Address): Uint8Array {
  return concat(new Uint8Array(12), fromHex(address, ADDRESS_LENGTH))
}

function tag(text: string): Uint8Array {
  return keccak256(new TextEncoder().encode(text))
}
