// All keys of a node from one seed.
//
// Derivation, fixed for ever since money depends on it: HKDF-SHA256 (RFC 5869) with the seed as input key material, the
// salt `perkunas/bitcoin/1`, and as info
//
//     node                                               the node key
//     channel ‖ 00 ‖ key index (u64 big-endian) ‖ label   a secret of a channel
//
// with the labels below. 32 bytes are taken as a scalar; where they are none (once in 2^127) a byte 01, 02, … is
// appended to the info. A channel's key index is given out once and never again, and is stored before the keys are
// shown to anybody. Who has the seed but lost everything else finds the outputs that closed channels paid to it by
// counting the index up.
import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { concat } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'
import type { CommitmentKeys } from '../script/commitment-scripts.js'
import { derivePublicKey, deriveRevocationKey } from './derive.js'

/** What a side says of itself in open_channel or accept_channel: points, compressed. */
export interface Basepoints {
  readonly funding: Uint8Array
  readonly revocation: Uint8Array
  readonly payment: Uint8Array
  readonly delayedPayment: Uint8Array
  readonly htlc: Uint8Array
}

/** The secrets of one channel, 32 bytes each. */
export interface ChannelSecrets {
  readonly funding: Uint8Array
  readonly revocation: Uint8Array
  readonly payment: Uint8Array
  readonly delayedPayment: Uint8Array
  readonly htlc: Uint8Array
  /** Of the tree of per-commitment secrets. */
  readonly commitmentSeed: Uint8Array
}

const SALT = new TextEncoder().encode('perkunas/bitcoin/1')

/** The node's identity key. @param seed 16 bytes or more of entropy */
export function nodeSecret(seed: Uint8Array): Uint8Array {
  return scalar(seed, new TextEncoder().encode('node'))
}

/**
 * The secrets of a channel.
 *
 * @param seed 16 bytes or more of entropy
 * @param keyIndex of the channel, 0 … 2^64 - 1, never used for another one
 * @throws PerkunasError INVALID_ARGUMENT for a short seed or an index out of range
 */
export function channelSecrets(seed: Uint8Array, keyIndex: bigint): ChannelSecrets {
  if (keyIndex < 0n || keyIndex > 0xffff_ffff_ffff_ffffn) {
    throw new PerkunasError('INVALID_ARGUMENT', `a key index of 64 bits expected, got ${keyIndex}`, {
      argument: 'keyIndex',
    })
  }
  const prefix = new Uint8Array(16)
  prefix.set(new TextEncoder().encode('channel'))
  new DataView(prefix.buffer).setBigUint64(8, keyIndex)
  const secret = (label: string) => scalar(seed, concat(prefix, new TextEncoder().encode(label)))
  return {
    funding: secret('funding'),
    revocation: secret('revocation'),
    payment: secret('payment'),
    delayedPayment: secret('delayed payment'),
    htlc: secret('htlc'),
    commitmentSeed: secret('commitment seed'),
  }
}

/** The points of a channel's secrets. */
export function basepointsOf(secrets: ChannelSecrets): Basepoints {
  return {
    funding: secp256k1.publicKey(secrets.funding),
    revocation: secp256k1.publicKey(secrets.revocation),
    payment: secp256k1.publicKey(secrets.payment),
    delayedPayment: secp256k1.publicKey(secrets.delayedPayment),
    htlc: secp256k1.publicKey(secrets.htlc),
  }
}

/** Secrets of one side, by which the keys that are its own are made at less cost. */
export interface OwnSecrets {
  readonly holder?: Pick<ChannelSecrets, 'delayedPayment' | 'htlc'> & {
    /** Of the commitment's point. */
    readonly point: Uint8Array
  }
  readonly counterparty?: Pick<ChannelSecrets, 'revocation' | 'htlc'>
}

/**
 * The keys of one commitment.
 *
 * @param holder whose commitment it is
 * @param point the holder's, for that commitment
 * @param own of whoever asks, if it is one of the two: the keys are the same without
 * @throws PerkunasError INVALID_ARGUMENT for what is not a point: check what a peer sent when it comes
 */
export function commitmentKeys(
  holder: Basepoints,
  counterparty: Basepoints,
  point: Uint8Array,
  own: OwnSecrets = {},
): CommitmentKeys {
  const revoking = { revocation: own.counterparty?.revocation, point: own.holder?.point }
  return {
    localFunding: holder.funding,
    remoteFunding: counterparty.funding,
    revocation: deriveRevocationKey(counterparty.revocation, point, revoking),
    localDelayed: derivePublicKey(holder.delayedPayment, point, own.holder?.delayedPayment),
    localHtlc: derivePublicKey(holder.htlc, point, own.holder?.htlc),
    remoteHtlc: derivePublicKey(counterparty.htlc, point, own.counterparty?.htlc),
    remotePayment: counterparty.payment,
  }
}

function scalar(seed: Uint8Array, info: Uint8Array): Uint8Array {
  if (seed.length < 16) {
    throw new PerkunasError('INVALID_ARGUMENT', `a seed of 16 bytes or more expected, got ${seed.length}`, {
      argument: 'seed',
    })
  }
  let secret = hkdf(sha256, seed, SALT, info, 32)
  for (let i = 1; !secp256k1.isSecret(secret); i++) {
    secret = hkdf(sha256, seed, SALT, concat(info, Uint8Array.of(i)), 32)
  }
  return secret
}
