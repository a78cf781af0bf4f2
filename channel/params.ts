// What never changes in a channel, and what its ID commits to.
import { byteLength, type Hex, isHex } from './bytes.js'
import { PerkunasError } from './errors.js'
import {
  AUX_LENGTH,
  MAX_ID_LENGTH,
  MAX_NONCE,
  MAX_PARTICIPANTS,
  MAX_UINT64,
  MIN_PARTICIPANTS,
} from './limits.js'

/** 32 bytes. Derived from the params by the ledger's rules; all zero is never a channel. */
export type ChannelID = Hex
/** 32 bytes that tie the messages of one channel proposal together. */
export type SessionID = Hex
/** A participant's position in the channel, 0 … 1023. The proposer is 0. */
export type Index = number
/** Which kind of ledger: 0 simulation, 1 Ethereum, as in the Perun core protocol. */
export type BackendID = number
/** Canonical bytes of a participant's address on one ledger; 20 bytes on Ethereum. */
export type Address = Hex
/** A participant: its address on each kind of ledger that the channel uses, at least one. */
export type AddressMap = Readonly<Record<BackendID, Address>>
/** Identifies an app on its ledger (its contract's address on Ethereum); `0x` is {@link NO_APP}. */
export type AppID = Hex

/** The app of a channel that has none: any redistribution of balances that all sign is valid. */
export const NO_APP: AppID = '0x'
/** `Params.aux` when nobody uses it: 256 zero bytes. */
export const NO_AUX: Hex = `0x${'00'.repeat(AUX_LENGTH)}`

/** The parameters of a channel (Perun core protocol, "Params"). Plain data. */
export interface Params {
  /** How long others may refute a registered state: seconds, or blocks where the ledger counts so. Not 0. */
  readonly challengeDuration: bigint
  /** 2 to 1024 distinct participants in index order. */
  readonly participants: readonly AddressMap[]
  readonly app: AppID
  /** Up to 32 bytes, drawn by all participants together, which makes the ID unique. */
  readonly nonce: bigint
  /** True for a channel that is funded and settled on a ledger. */
  readonly ledgerChannel: boolean
  /** True for a channel between two participants who share only an intermediary. */
  readonly virtualChannel: boolean
  /** 256 bytes free for the ledger's use. */
  readonly aux: Hex
}

/** The rule that these params break, or undefined. Knows no ledger: a ledger's own rules come on top. */
export function faultOfParams(params: Params): PerkunasError<'INVALID_PARAMS'> | undefined {
  const { challengeDuration, participants, app, nonce, aux } = params
  const fault = (rule: string, got: unknown) =>
    new PerkunasError('INVALID_PARAMS', `invalid params: ${rule}, got ${String(got)}`, { rule })
  if (challengeDuration <= 0n || challengeDuration > MAX_UINT64) {
    return fault('challenge duration from 1 to 2^64 - 1', challengeDuration)
  }
  if (participants.length < MIN_PARTICIPANTS || participants.length > MAX_PARTICIPANTS) {
    return fault(`${MIN_PARTICIPANTS} to ${MAX_PARTICIPANTS} participants`, participants.length)
  }
  if (nonce < 0n || nonce > MAX_NONCE) return fault('nonce of at most 32 bytes', nonce)
  if (!isHex(aux, AUX_LENGTH)) return fault(`aux of ${AUX_LENGTH} bytes`, 'something else')
  if (!isHex(app) || byteLength(app) > MAX_ID_LENGTH) return fault('app ID as bytes', app)
  if (params.ledgerChannel && params.virtualChannel)
    return fault('not both ledger and virtual channel', 'both')
  const seen = new Set<string>()
  for (const participant of participants) {
    const addresses = Object.entries(participant)
    if (addresses.length === 0) return fault('an address for each participant', 'none')
    for (const [backend, address] of addresses) {
      if (!isHex(address) || address.length <= 2 || byteLength(address) > MAX_ID_LENGTH) {
        return fault('addresses as bytes', address)
      }
      const key = `${backend}:${address}`
      if (seen.has(key)) return fault('distinct participants', address)
      seen.add(key)
    }
  }
  return undefined
}

/**
 * The rule that the params of a sub-channel break in those of its parent, or undefined. A parent without app can be
 * concluded, with all its sub-channels, when its own duration is over: a sub-channel with an app must have been refuted
 * and must have had its turn to step by then, so it gets at most half of its parent's duration, any other at most all.
 */
export function faultOfSubChannelParams(
  parent: Pick<Params, 'challengeDuration'>,
  child: Pick<Params, 'challengeDuration' | 'app'>,
): PerkunasError<'INVALID_PARAMS'> | undefined {
  const times = child.app === NO_APP ? 1n : 2n
  if (child.challengeDuration * times <= parent.challengeDuration) return undefined
  const rule = `${times === 1n ? 'all' : 'half'} of the parent's challenge duration, ${parent.challengeDuration}, at most`
  const words = `invalid params of a sub-channel: ${rule}, got ${child.challengeDuration}`
  return new PerkunasError('INVALID_PARAMS', words, { rule })
}
