// Outputs of taproot channels, as proposed (BOLT pull request 995): a key that both sides sign with together, or a leaf
// of a script tree. The ground for a further form of commitment, which is not in format.ts yet.
import { Script } from '@scure/btc-signer'
import { keyAggExport, keyAggregate, sortKeys } from '@scure/btc-signer/musig2.js'
import { concat } from '../../../channel/bytes.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'
import { countBytes } from './encode.js'
import { ripemd160, sha256 } from './hash.js'
import { compareBytes } from './scripts.js'

/** An output by its tree (BIP 341). */
export interface TaprootOutput {
  /** Compressed; its y is of no importance. */
  readonly internalKey: Uint8Array
  /** By their role; one or two, side by side. */
  readonly leaves: Readonly<Record<string, Uint8Array>>
  /** Merkle root of the leaves, if there are any. */
  readonly root?: Uint8Array
  /** Compressed: y tells the control block's parity. */
  readonly outputKey: Uint8Array
  /** scriptPubKey. */
  readonly script: Uint8Array
}

/** All keys of one taproot commitment, compressed; "local" is its holder. */
export interface TaprootKeys {
  readonly revocation: Uint8Array
  readonly localDelayed: Uint8Array
  readonly localHtlc: Uint8Array
  readonly remoteHtlc: Uint8Array
  readonly remotePayment: Uint8Array
}

/** A point that nobody knows the secret of: outputs with it as internal key have no way but their leaves. */
export const UNSPENDABLE_KEY: Uint8Array = Uint8Array.from(
  '02dca094751109d0bd055d03565874e8276dd53e926b44e3bd1bb6bf4bc130a279'.match(/../g) ?? [],
  (byte) => Number.parseInt(byte, 16),
)

/** The funding output: both funding keys by MuSig2 (BIP 327), tweaked by BIP 86. */
export function taprootFunding(one: Uint8Array, other: Uint8Array): TaprootOutput {
  const aggregate = keyAggExport(keyAggregate(sortKeys([one, other])))
  return taprootOutput(concat(Uint8Array.of(2), aggregate), {})
}

/** The holder's balance. */
export function taprootToLocal(keys: TaprootKeys, delay: number): TaprootOutput {
  const delayed = xOnly(keys.localDelayed)
  return taprootOutput(UNSPENDABLE_KEY, {
    settle: settleScript(keys, delay),
    // The delayed key is only shown: whoever sees a penalty can make the holder's anchor from it, and clean it up.
    revocation: Script.encode([delayed, 'DROP', xOnly(keys.revocation), 'CHECKSIG']),
  })
}

/** The counterparty's balance, after one block. */
export function taprootToRemote({ remotePayment }: TaprootKeys): TaprootOutput {
  return taprootOutput(UNSPENDABLE_KEY, {
    settle: Script.encode([xOnly(remotePayment), 'CHECKSIGVERIFY', 1, 'CHECKSEQUENCEVERIFY']),
  })
}

/** An anchor: its owner's by the key, anybody's after 16 blocks. */
export function taprootAnchor(key: Uint8Array): TaprootOutput {
  return taprootOutput(key, { sweep: Script.encode([16, 'CHECKSEQUENCEVERIFY']) })
}

/** An HTLC that the holder offered. */
export function taprootOffered(keys: TaprootKeys, paymentHash: Uint8Array): TaprootOutput {
  const { localHtlc, remoteHtlc, revocation } = keys
  return taprootOutput(revocation, {
    success: concat(
      preimageScript(paymentHash),
      Script.encode([xOnly(remoteHtlc), 'CHECKSIGVERIFY', 1, 'CHECKSEQUENCEVERIFY']),
    ),
    timeout: Script.encode([xOnly(localHtlc), 'CHECKSIGVERIFY', xOnly(remoteHtlc), 'CHECKSIG']),
  })
}

/** An HTLC that the holder received. */
export function taprootReceived(
  keys: TaprootKeys,
  { paymentHash, cltvExpiry }: { readonly paymentHash: Uint8Array; readonly cltvExpiry: number },
): TaprootOutput {
  const { localHtlc, remoteHtlc, revocation } = keys
  return taprootOutput(revocation, {
    success: concat(
      preimageScript(paymentHash),
      Script.encode([xOnly(localHtlc), 'CHECKSIGVERIFY', xOnly(remoteHtlc), 'CHECKSIG']),
    ),
    timeout: Script.encode([
      xOnly(remoteHtlc),
      'CHECKSIGVERIFY',
      1,
      'CHECKSEQUENCEVERIFY',
      'VERIFY',
      cltvExpiry,
      'CHECKLOCKTIMEVERIFY',
    ]),
  })
}

/** The output of an HTLC transaction. */
export function taprootSecondLevel(keys: TaprootKeys, delay: number): TaprootOutput {
  return taprootOutput(keys.revocation, { success: settleScript(keys, delay) })
}

/** Hash of a leaf (BIP 341, version c0). */
export function leafHash(script: Uint8Array): Uint8Array {
  const { length } = script
  const size = countBytes(length) === 1 ? [length] : [0xfd, length & 0xff, length >> 8]
  return taggedHash('TapLeaf', Uint8Array.of(0xc0, ...size), script)
}

function taprootOutput(internalKey: Uint8Array, leaves: Readonly<Record<string, Uint8Array>>): TaprootOutput {
  const [first, second] = Object.values(leaves).map(leafHash).sort(compareBytes)
  const root = first === undefined || second === undefined ? first : taggedHash('TapBranch', first, second)
  const internal = xOnly(internalKey)
  const tweak = taggedHash('TapTweak', internal, root ?? new Uint8Array())
  const outputKey = secp256k1.tweakAdd(concat(Uint8Array.of(2), internal), tweak)
  return {
    internalKey,
    leaves,
    ...(root === undefined ? {} : { root }),
    outputKey,
    script: concat(Uint8Array.of(0x51, 0x20), xOnly(outputKey)),
  }
}

function settleScript({ localDelayed }: TaprootKeys, delay: number): Uint8Array {
  return Script.encode([xOnly(localDelayed), 'CHECKSIGVERIFY', delay, 'CHECKSEQUENCEVERIFY'])
}

function preimageScript(paymentHash: Uint8Array): Uint8Array {
  return Script.encode(['SIZE', 32, 'EQUALVERIFY', 'HASH160', ripemd160(paymentHash), 'EQUALVERIFY'])
}

function xOnly(point: Uint8Array): Uint8Array {
  return point.slice(1)
}

/** SHA-256 with a tag in front (BIP 340). */
function taggedHash(tag: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const prefix = sha256(new TextEncoder().encode(tag))
  return sha256(concat(prefix, prefix, ...parts))
}
