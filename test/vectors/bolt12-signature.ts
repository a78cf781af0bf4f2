// BOLT 12: trees over streams, step by step, and a signed invoice request.
import { expect } from 'chai'
import { decodeBolt12String } from '../../backend/bitcoin/invoice/bolt12-string.js'
import { formatInvoiceRequest, parseInvoiceRequest } from '../../backend/bitcoin/invoice/invoice-request.js'
import {
  merkleBranch,
  merkleLeaves,
  merkleRoot,
  signatureDigest,
  splitRecords,
} from '../../backend/bitcoin/invoice/merkle.js'
import { concat } from '../../channel/bytes.js'
import { secp256k1 } from '../../wallet/secp256k1.js'
import { bytes, type Case, digits, load } from './cases.js'

interface Vector {
  readonly name: string
  readonly stream: string
  readonly first_tlv: string
  readonly leaves: readonly {
    readonly tlv: string
    readonly leaf: string
    readonly nonce: string
    readonly branch: string
  }[]
  readonly branches: readonly { readonly left: string; readonly right: string; readonly hash: string }[]
  readonly merkle_root: string
  readonly bolt12?: string
  readonly signature_hash?: string
  readonly signature?: string
  readonly payer_private_key?: string
  readonly signature_aux_rand?: string
}

/** Leaves, branches and root of each stream; the request's signature. */
export function cases(): readonly Case[] {
  return load<{ readonly vectors: readonly Vector[] }>('bolt12-signature').vectors.flatMap((vector) => {
    const tree: Case = { name: `${vector.name} -> leaves, branches and root`, run: () => checkTree(vector) }
    return vector.bolt12 === undefined
      ? [tree]
      : [
          tree,
          { name: `${vector.name} -> read, printed, and signed the same`, run: () => checkSigned(vector) },
        ]
  })
}

function checkTree({ leaves, branches, merkle_root, first_tlv }: Vector): void {
  const stream = concat(...leaves.map(({ tlv }) => bytes(tlv)))
  expect(leaves[0]?.tlv).to.equal(first_tlv)
  expect(
    merkleLeaves(splitRecords(stream, 'stream')).map(({ leaf, nonce, branch }) => ({
      leaf: digits(leaf),
      nonce: digits(nonce),
      branch: digits(branch),
    })),
  ).to.deep.equal(leaves.map(({ leaf, nonce, branch }) => ({ leaf, nonce, branch })))
  for (const { left, right, hash } of branches) {
    expect(digits(merkleBranch(bytes(left), bytes(right)))).to.equal(hash)
    expect(digits(merkleBranch(bytes(right), bytes(left)))).to.equal(hash)
  }
  expect(digits(merkleRoot(stream, 'stream'))).to.equal(merkle_root)
}

function checkSigned(vector: Vector): void {
  const { bolt12 = '', merkle_root, signature_hash, signature } = vector
  const request = parseInvoiceRequest(bolt12)
  expect(formatInvoiceRequest(request)).to.equal(bolt12)
  const stream = decodeBolt12String(bolt12, 'lnr', 'invoiceRequest')
  expect(digits(merkleRoot(stream, 'stream'))).to.equal(merkle_root)
  const digest = signatureDigest('invoice_request', stream)
  expect(digits(digest)).to.equal(signature_hash)
  expect(request.signature && digits(request.signature)).to.equal(signature)
  const [secret, auxiliary] = [bytes(vector.payer_private_key ?? ''), bytes(vector.signature_aux_rand ?? '')]
  expect(digits(secp256k1.schnorrSign(digest, secret, auxiliary))).to.equal(signature)
  expect(request.invreqPayerID).to.deep.equal(secp256k1.publicKey(secret))
}
