// Signatures over TLV streams (BOLT 12, "Signature Calculation"): of the root of a tree of which a part can be shown
// without the rest, and each leaf of which hides beside a nonce.
import { sha256 } from '@noble/hashes/sha2.js'
import { Reader } from '../../../peer/wire/reader.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'
import { refuse } from './refuse.js'

/** A record as it stands in a stream. */
export interface RawRecord {
  readonly type: bigint
  /** Type, length and value. */
  readonly bytes: Uint8Array
  /** The type alone, as it is encoded. */
  readonly typeBytes: Uint8Array
}

/**
 * Records that a signed stream may have. Each costs several hashes, and a message of 65 535 bytes could have 16 000
 * of them: a tenth of a second for whoever reads it.
 */
export const MAX_RECORDS = 1000

/** Signs a digest of 32 bytes by BIP 340: 64 bytes. */
export type SchnorrSign = (digest: Uint8Array) => Uint8Array

/** What is signed, in the words of BOLT 12. */
export type SignedMessage = 'invoice_request' | 'invoice' | 'payer_proof'

/** Records with a type in this range are signatures, and in no tree. */
export function isSignatureType(type: bigint): boolean {
  return type >= 240n && type <= 1000n
}

/**
 * Cuts a stream into its records.
 *
 * @throws PerkunasError INVALID_MESSAGE if types do not increase, something is cut off or not minimal, or there are more
 *   than {@link MAX_RECORDS}
 */
export function splitRecords(bytes: Uint8Array, path: string): readonly RawRecord[] {
  const from = new Reader(bytes, path)
  const records: RawRecord[] = []
  let last = -1n
  while (from.left > 0) {
    const start = from.at
    const type = from.bigSize('type')
    if (type <= last) from.fail(type === last ? 'duplicate type' : 'wrong order')
    last = type
    const typeBytes = bytes.slice(start, from.at)
    const length = from.bigSize('length')
    if (length > BigInt(from.left)) from.fail(from.left === 0 ? 'value missing' : 'value truncated')
    from.bytes(Number(length))
    if (records.length === MAX_RECORDS) from.fail('too many records')
    records.push({ type, bytes: bytes.slice(start, from.at), typeBytes })
  }
  return records
}

/** SHA-256 of a message under a tag, as BIP 340 has it. */
export function taggedHash(tag: Uint8Array, ...message: readonly Uint8Array[]): Uint8Array {
  return hashUnder(stateOf(tag), ...message)
}

/** One record's place in the tree. */
export interface MerkleLeaf {
  readonly type: bigint
  /** Of the record. */
  readonly leaf: Uint8Array
  /** Of its type, under a tag that the first record makes unpredictable. */
  readonly nonce: Uint8Array
  /** Of both. */
  readonly branch: Uint8Array
}

/** The leaves of a stream's tree, one for each record that is no signature. */
export function merkleLeaves(records: readonly RawRecord[]): readonly MerkleLeaf[] {
  const inTree = records.filter(({ type }) => !isSignatureType(type))
  const [first] = inTree
  if (first === undefined) return []
  const nonceState = stateOf(Uint8Array.of(...NONCE_TAG, ...first.bytes))
  return inTree.map(({ type, bytes, typeBytes }) => {
    const leaf = merkleLeaf(bytes)
    const nonce = hashUnder(nonceState, typeBytes)
    return { type, leaf, nonce, branch: merkleBranch(leaf, nonce) }
  })
}

/** The leaf of a record. */
export function merkleLeaf(bytes: Uint8Array): Uint8Array {
  return hashUnder(LEAF, bytes)
}

/** An inner node: the lesser hash goes first, so that a proof need not say which is left. */
export function merkleBranch(a: Uint8Array, b: Uint8Array): Uint8Array {
  return isLess(a, b) ? hashUnder(BRANCH, a, b) : hashUnder(BRANCH, b, a)
}

/**
 * The root of a stream's tree: neighbours in pairs, level by level; who has no neighbour moves up as it is.
 *
 * @throws PerkunasError INVALID_MESSAGE if there is no record that is no signature, or the stream is not one
 */
export function merkleRoot(bytes: Uint8Array, path: string): Uint8Array {
  let level = merkleLeaves(splitRecords(bytes, path)).map(({ branch }) => branch)
  while (level.length > 1) {
    const next: Uint8Array[] = []
    for (let i = 0; i < level.length; i += 2) {
      const [left, right] = level.slice(i, i + 2)
      if (left !== undefined) next.push(right === undefined ? left : merkleBranch(left, right))
    }
    level = next
  }
  return level[0] ?? refuse(path, 'empty')
}

/** What the field `signature` of a message signs, 32 bytes. */
export function signatureDigest(message: SignedMessage, bytes: Uint8Array): Uint8Array {
  return digestOfRoot(message, merkleRoot(bytes, message))
}

/** The same from the root of the message's tree. */
export function digestOfRoot(message: SignedMessage, root: Uint8Array): Uint8Array {
  const field = message === 'payer_proof' ? 'proof_signature' : 'signature'
  return taggedHash(ascii(`lightning${message}${field}`), root)
}

/** Whether the field `signature` of a message is by a key. @param publicKey compressed, 33 bytes */
export function isSignedBy(
  message: SignedMessage,
  bytes: Uint8Array,
  signature: Uint8Array,
  publicKey: Uint8Array,
): boolean {
  return secp256k1.schnorrVerify(signature, signatureDigest(message, bytes), publicKey.subarray(1))
}

const NONCE_TAG = ascii('LnNonce')
const LEAF = stateOf(ascii('LnLeaf'))
const BRANCH = stateOf(ascii('LnBranch'))

// A tag's hash goes in twice and fills one block: the state behind it serves all messages.
function stateOf(tag: Uint8Array): ReturnType<typeof sha256.create> {
  const hash = sha256(tag)
  return sha256.create().update(hash).update(hash)
}

function hashUnder(state: ReturnType<typeof sha256.create>, ...message: readonly Uint8Array[]): Uint8Array {
  const own = state.clone()
  for (const part of message) own.update(part)
  return own.digest()
}

function isLess(a: Uint8Array, b: Uint8Array): boolean {
  const at = a.findIndex((byte, i) => byte !== b[i])
  return at >= 0 && (a[at] ?? 0) < (b[at] ?? 0)
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
