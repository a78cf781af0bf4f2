// Proofs that one has paid a BOLT 12 invoice, showing no more of it than one wants to (a proposal: pull request 1295 of the
// specification; its numbers may still change). The invoice's tree is rebuilt from the records that are shown and the
// hashes of those that are not, so that the payee's signature holds; the payer signs the whole.
import { sha256 } from '@noble/hashes/sha2.js'
import { equalBytes } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import { bigSize, bip340Signature, byteArray, rest, restText, sha256Hash } from '../../../peer/wire/fields.js'
import { decodeStream, encodeStream, record, type StreamOf, stream } from '../../../peer/wire/tlv.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'
import { encodeBolt12Invoice } from './bolt12-invoice.js'
import { type Bolt12Invoice, invoiceStream } from './bolt12-records.js'
import { decodeBolt12String, encodeBolt12String } from './bolt12-string.js'
import {
  digestOfRoot,
  isSignatureType,
  MAX_RECORDS,
  type MerkleLeaf,
  merkleBranch,
  merkleLeaf,
  merkleLeaves,
  merkleRoot,
  type RawRecord,
  type SchnorrSign,
  splitRecords,
} from './merkle.js'
import { refuse } from './refuse.js'

/** `payer_proof`: records of the invoice, and what belongs to the proof itself. */
export const payerProofStream = stream({
  ...invoiceStream.records,
  proofSignature: record(241, bip340Signature),
  proofPreimage: record(1001, byteArray(32)),
  /** For each hidden record but the first a number that keeps its place without telling its type. */
  proofOmittedTlvs: record(1002, rest(bigSize)),
  proofMissingHashes: record(1003, rest(sha256Hash)),
  /** The nonces of the records that are shown. */
  proofLeafHashes: record(1004, rest(sha256Hash)),
  proofNote: record(1005, restText),
})
/** The records of a proof. */
export type PayerProof = StreamOf<typeof payerProofStream.records>

const PATH = 'payerProof'
// Who paid, for what hash, and whom: without them nothing is proven.
const NEEDED = [88n, 168n, 176n] as const

/** What a payer wants to show. */
export interface ProofRequest {
  readonly invoice: Bolt12Invoice
  readonly preimage: Uint8Array
  /** Types of records to show; payer ID, payment hash and node ID always are, the request's metadata never. */
  readonly shown: readonly bigint[]
  /** Such as what the proof was asked for with. */
  readonly note?: string
  /** By the secret of the request's payer ID. */
  readonly sign: SchnorrSign
}

/**
 * Makes a proof.
 *
 * @throws PerkunasError INVALID_ARGUMENT if the metadata is to be shown; INVALID_MESSAGE if the invoice lacks what is
 *   needed, or the preimage or the signer is not the right one
 */
export function provePayment({ invoice, preimage, shown, note, sign }: ProofRequest): PayerProof {
  const types = new Set([...NEEDED, ...shown])
  if (types.has(0n))
    throw new PerkunasError('INVALID_ARGUMENT', 'shown: the metadata would let hidden records be guessed', {
      argument: 'shown',
    })
  const leaves = merkleLeaves(splitRecords(encodeBolt12Invoice(invoice), PATH))
  const places = leaves.map((leaf) => ({ leaf, shown: types.has(leaf.type) }))
  const missing: Uint8Array[] = []
  hide(places, missing)
  const markers = markersFor(places.map((place) => (place.shown ? place.leaf.type : undefined)))
  const { unknown = [], ...known } = invoice
  const names = new Set(
    Object.entries(invoiceStream.records).flatMap(([name, { type }]) =>
      types.has(type) || type === 240n ? [name] : [],
    ),
  )
  const others = unknown.filter(({ type }) => types.has(type))
  const draft: PayerProof = {
    ...Object.fromEntries(Object.entries(known).filter(([name]) => names.has(name))),
    ...(others.length > 0 && { unknown: others }),
    proofPreimage: preimage,
    ...(markers.length > 0 && { proofOmittedTlvs: markers }),
    ...(missing.length > 0 && { proofMissingHashes: missing }),
    proofLeafHashes: places.flatMap((place) => (place.shown ? [place.leaf.nonce] : [])),
    ...(note !== undefined && { proofNote: note }),
  }
  const proof = { ...draft, proofSignature: sign(proofDigest(encodePayerProof(draft))) }
  decodePayerProof(encodePayerProof(proof))
  return proof
}

/** Writes a proof's records. @throws PerkunasError INVALID_ARGUMENT, INVALID_AMOUNT, TOO_LARGE */
export function encodePayerProof(proof: PayerProof): Uint8Array {
  return encodeStream(payerProofStream, proof, PATH)
}

/** Prints a proof. @throws PerkunasError INVALID_ARGUMENT, INVALID_AMOUNT, TOO_LARGE */
export function formatPayerProof(proof: PayerProof): string {
  return encodeBolt12String('lnp', encodePayerProof(proof))
}

/** Reads and verifies a proof. @throws PerkunasError TOO_LARGE; INVALID_MESSAGE as {@link decodePayerProof} */
export function parsePayerProof(text: string): PayerProof {
  return decodePayerProof(decodeBolt12String(text, 'lnp', PATH))
}

/**
 * Reads and verifies a proof: whoever holds the secret of `invreqPayerID` knew the preimage of an invoice by
 * `invoiceNodeID` with the records that are shown.
 *
 * @throws PerkunasError INVALID_MESSAGE: missing-field, metadata-shown, wrong-preimage, leaf-count, bad-markers,
 *   missing-count, bad-signature, bad-proof-signature, or what is wrong with a record
 */
export function decodePayerProof(bytes: Uint8Array): PayerProof {
  const proof = decodeStream(payerProofStream, bytes, PATH)
  const { invreqPayerID, invoicePaymentHash, invoiceNodeID, signature, proofSignature, proofPreimage } = proof
  if (
    !invreqPayerID ||
    !invoicePaymentHash ||
    !invoiceNodeID ||
    !signature ||
    !proofSignature ||
    !proofPreimage
  )
    return refuse(PATH, 'missing-field')
  if (proof.invreqMetadata !== undefined) return refuse(PATH, 'metadata-shown')
  if (!equalBytes(sha256(proofPreimage), invoicePaymentHash)) return refuse(PATH, 'wrong-preimage')
  const root = rootOf(proof, splitRecords(bytes, PATH).filter(isOfInvoice))
  if (!secp256k1.schnorrVerify(signature, digestOfRoot('invoice', root), invoiceNodeID.subarray(1)))
    return refuse(PATH, 'bad-signature')
  if (!secp256k1.schnorrVerify(proofSignature, proofDigest(bytes), invreqPayerID.subarray(1)))
    return refuse(PATH, 'bad-proof-signature')
  return proof
}

function proofDigest(bytes: Uint8Array): Uint8Array {
  return digestOfRoot('payer_proof', merkleRoot(bytes, PATH))
}

function isOfInvoice({ type }: RawRecord): boolean {
  return !isSignatureType(type) && (type < 1001n || type > 1005n)
}

// A hidden record's number is one more than that of the place before it; the metadata's own 0 goes without saying.
function markersFor(types: readonly (bigint | undefined)[]): readonly bigint[] {
  const markers: bigint[] = []
  let last = 0n
  for (const type of types.slice(1)) {
    last = type ?? last + 1n
    if (type === undefined) markers.push(last)
  }
  return markers
}

/** The root of the invoice's tree from what is shown of it. */
function rootOf(proof: PayerProof, records: readonly RawRecord[]): Uint8Array {
  const { proofOmittedTlvs: markers = [], proofMissingHashes = [], proofLeafHashes: nonces = [] } = proof
  if (markers.length > MAX_RECORDS) return refuse(PATH, 'bad-markers')
  if (nonces.length !== records.length) return refuse(PATH, 'leaf-count')
  const shown = records.map(({ type, bytes }, i) => {
    return { type, hash: merkleBranch(merkleLeaf(bytes), nonces[i] ?? new Uint8Array(32)) }
  })
  const places = [...shown, ...markers.map((type) => ({ type, hash: undefined }))].sort((a, b) =>
    a.type < b.type ? -1 : 1,
  )
  const types = places.map(({ type, hash }) => (hash === undefined ? undefined : type))
  const expected = markersFor([undefined, ...types])
  const visible = new Set(shown.map(({ type }) => type))
  if (!markers.every((type, i) => type === expected[i] && !visible.has(type)))
    return refuse(PATH, 'bad-markers')
  const missing = [...proofMissingHashes].reverse()
  const root = reveal([undefined, ...places.map(({ hash }) => hash)], missing)
  return root === undefined || missing.length > 0 ? refuse(PATH, 'missing-count') : root
}

interface Place {
  readonly leaf: MerkleLeaf
  readonly shown: boolean
}

// The hash of a subtree and whether any of it is shown. What is hidden beside something shown is missing: noted when
// both sides have been gone through.
function hide(
  places: readonly Place[],
  missing: Uint8Array[],
): { readonly hash: Uint8Array; readonly shown: boolean } {
  const [only] = places
  if (only !== undefined && places.length === 1) return { hash: only.leaf.branch, shown: only.shown }
  const half = halfOf(places.length)
  const [left, right] = [hide(places.slice(0, half), missing), hide(places.slice(half), missing)]
  if (left.shown !== right.shown) missing.push(left.shown ? right.hash : left.hash)
  return { hash: merkleBranch(left.hash, right.hash), shown: left.shown || right.shown }
}

// The other way: the hash of a subtree of which something is shown; `missing` is taken from the end.
function reveal(hashes: readonly (Uint8Array | undefined)[], missing: Uint8Array[]): Uint8Array | undefined {
  if (hashes.length === 1) return hashes[0]
  const half = halfOf(hashes.length)
  const [left, right] = [reveal(hashes.slice(0, half), missing), reveal(hashes.slice(half), missing)]
  if (left === undefined && right === undefined) return undefined
  const other = left === undefined || right === undefined ? missing.pop() : undefined
  const [a, b] = [left ?? other, right ?? other]
  return a === undefined || b === undefined ? refuse(PATH, 'missing-count') : merkleBranch(a, b)
}

/** How many leaves of several go to the left: the greatest power of two below. */
function halfOf(count: number): number {
  return 2 ** (Math.ceil(Math.log2(count)) - 1)
}
