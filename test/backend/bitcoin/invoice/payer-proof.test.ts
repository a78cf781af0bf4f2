import { sha256 } from '@noble/hashes/sha2.js'
import { expect } from 'chai'
import fc from 'fast-check'
import { answerRequest } from '../../../../backend/bitcoin/invoice/bolt12-invoice.js'
import { encodeBolt12String } from '../../../../backend/bitcoin/invoice/bolt12-string.js'
import { requestInvoice } from '../../../../backend/bitcoin/invoice/invoice-request.js'
import { signatureDigest, splitRecords } from '../../../../backend/bitcoin/invoice/merkle.js'
import {
  decodePayerProof,
  encodePayerProof,
  type ProofRequest,
  parsePayerProof,
  provePayment,
} from '../../../../backend/bitcoin/invoice/payer-proof.js'
import { blindRoute } from '../../../../backend/bitcoin/onion/blinding.js'
import { blockDelta, msat } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import { isError } from '../../../../channel/errors.js'
import { secp256k1 } from '../../../../wallet/secp256k1.js'

const issuer = new Uint8Array(32).fill(0x11)
const payer = new Uint8Array(32).fill(0x22)
const preimage = new Uint8Array(32).fill(0x33)
const sign = (secret: Uint8Array) => (digest: Uint8Array) => secp256k1.schnorrSign(digest, secret)
const nodeID = secp256k1.publicKey(issuer)

const request = requestInvoice(
  {
    offerDescription: 'tea',
    offerIssuer: 'a tea house',
    offerIssuerID: nodeID,
    unknown: [{ type: 1_000_000_001n, value: Uint8Array.of(1) }],
  },
  {
    metadata: new Uint8Array(16).fill(5),
    payerID: secp256k1.publicKey(payer),
    amount: msat(7n),
    note: 'hot',
  },
  sign(payer),
)
const { firstPathKey, hops } = blindRoute(new Uint8Array(32).fill(7), [{ nodeID, data: new Uint8Array(5) }])
const invoice = answerRequest(
  request,
  {
    nodeID,
    paymentHash: sha256(preimage),
    createdAt: 1n,
    amount: msat(7n),
    paths: [
      {
        path: { firstNode: { kind: 'node', nodeID: toHex(nodeID) }, firstPathKey, hops },
        payInfo: {
          feeBaseMsat: msat(0n),
          feeProportionalMillionths: 0,
          cltvExpiryDelta: blockDelta(0),
          htlcMinimumMsat: msat(0n),
          htlcMaximumMsat: msat(9n),
          features: new Uint8Array(0),
        },
      },
    ],
  },
  sign(issuer),
)
const TYPES = [10n, 18n, 22n, 82n, 88n, 89n, 160n, 162n, 164n, 168n, 170n, 176n, 1_000_000_001n]

function prove(given: Partial<ProofRequest> = {}): Uint8Array {
  return encodePayerProof(provePayment({ invoice, preimage, shown: [], sign: sign(payer), ...given }))
}

function refused(run: () => unknown, reason?: string): void {
  expect(run)
    .to.throw()
    .that.satisfies(
      (error: unknown) =>
        isError(error, 'INVALID_MESSAGE') && (reason === undefined || error.facts.reason === reason),
    )
}

describe('BOLT 12 (proposal): payer proofs', () => {
  it('any choice of records -> those and the needed ones are shown, and the proof holds', () => {
    fc.assert(
      fc.property(
        fc.subarray(TYPES),
        fc.option(fc.string({ maxLength: 30 }), { nil: undefined }),
        (shown, note) => {
          const bytes = prove({ shown, ...(note !== undefined && { note }) })
          const proof = decodePayerProof(bytes)
          expect(encodePayerProof(proof)).to.deep.equal(bytes)
          expect(parsePayerProof(encodeBolt12String('lnp', bytes))).to.deep.equal(proof)
          expect(proof.proofNote).to.equal(note)
          const types = splitRecords(bytes, 'proof').map(({ type }) => type)
          const visible = [...new Set([...shown, 88n, 168n, 176n])].filter(
            (type) => type < 240n || type > 1005n,
          )
          expect(types.filter((type) => type < 240n || type > 1005n)).to.have.members(visible)
          expect(types).not.to.include(0n)
        },
      ),
      { numRuns: 30 },
    )
  })

  it('any changed bit -> refused; cut or random bytes -> refused', () => {
    const bytes = prove({ shown: [10n, 170n], note: 'for the court' })
    fc.assert(
      fc.property(fc.nat(bytes.length * 8 - 1), fc.uint8Array({ maxLength: 60 }), (bit, random) => {
        const changed = bytes.slice()
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        refused(() => decodePayerProof(changed))
        refused(() => decodePayerProof(bytes.subarray(0, bit >> 3)))
        refused(() => decodePayerProof(random))
      }),
    )
  })

  it('another preimage, another signer, the metadata -> refused', () => {
    refused(() => prove({ preimage: new Uint8Array(32) }), 'wrong-preimage')
    refused(() => prove({ sign: sign(issuer) }), 'bad-proof-signature')
    expect(() => prove({ shown: [0n] }))
      .to.throw()
      .that.satisfies((error: unknown) => isError(error, 'INVALID_ARGUMENT'))
  })

  it('places, nonces or hashes that do not fit, under a right signature of the payer -> refused for their reason', () => {
    const { proofSignature: _, ...proof } = decodePayerProof(prove({ shown: [170n] }))
    // Whoever paid signs nonsense: only the payee's signature stands in the way.
    const resign = (records: typeof proof) => {
      const digest = signatureDigest('payer_proof', encodePayerProof(records))
      return encodePayerProof({ ...records, proofSignature: sign(payer)(digest) })
    }
    const {
      proofOmittedTlvs: markers = [],
      proofMissingHashes: missing = [],
      proofLeafHashes: nonces = [],
    } = proof
    expect(decodePayerProof(resign(proof))).to.deep.include(proof)
    refused(() => decodePayerProof(resign({ ...proof, proofLeafHashes: nonces.slice(1) })), 'leaf-count')
    refused(
      () => decodePayerProof(resign({ ...proof, proofOmittedTlvs: markers.with(0, 2n) })),
      'bad-markers',
    )
    refused(() => decodePayerProof(resign({ ...proof, proofOmittedTlvs: [0n, ...markers] })), 'bad-markers')
    refused(() => decodePayerProof(resign({ ...proof, proofOmittedTlvs: [...markers, 88n] })), 'bad-markers')
    refused(
      () => decodePayerProof(resign({ ...proof, proofMissingHashes: missing.slice(1) })),
      'missing-count',
    )
    refused(
      () => decodePayerProof(resign({ ...proof, proofMissingHashes: [...missing, new Uint8Array(32)] })),
      'missing-count',
    )
    refused(() => decodePayerProof(resign({ ...proof, invoiceAmount: msat(8n) })), 'bad-signature')
    const { invoiceNodeID: __, ...anonymous } = proof
    refused(() => decodePayerProof(resign(anonymous)), 'missing-field')
    refused(() => decodePayerProof(resign({ ...proof, invreqMetadata: new Uint8Array(1) })), 'metadata-shown')
  })
})
