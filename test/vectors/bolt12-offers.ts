// BOLT 12: offers that are read and printed again, and offers that are refused, each for its reason.
import { expect } from 'chai'
import { offerStream } from '../../backend/bitcoin/invoice/bolt12-records.js'
import { decodeBolt12String } from '../../backend/bitcoin/invoice/bolt12-string.js'
import { splitRecords } from '../../backend/bitcoin/invoice/merkle.js'
import { formatOffer, parseOffer } from '../../backend/bitcoin/invoice/offer.js'
import type { Introduction } from '../../backend/bitcoin/onion/blinded-path.js'
import { isError } from '../../channel/errors.js'
import { encodeField } from '../../peer/wire/tlv.js'
import { type Case, digits, load } from './cases.js'

interface Vector {
  readonly name: string
  readonly valid: boolean
  readonly bolt12: string
  readonly fields?: readonly { readonly type: number; readonly length: number; readonly hex: string }[]
  readonly paths?: readonly {
    readonly first_node_id: string
    readonly first_path_key: string
    readonly hops: readonly { readonly blinded_node_id: string; readonly encrypted_recipient_data: string }[]
  }[]
  readonly reason?: string
}

interface File {
  readonly vectors: readonly Vector[]
  readonly corrected: readonly Vector[]
}

/** What we say for a reason of the file: where, and why. */
const REASONS: Readonly<Record<string, RegExp>> = {
  'tlv-order': /^offer: wrong order$/,
  'unknown-even-type': /^offer\.\d+: unknown even type$/,
  empty: /^offer: empty$/,
  'truncated-length': /^offer: length (missing|truncated)$/,
  'truncated-value': /^offer: value (missing|truncated)$/,
  'chains-length': /^offer\.offerChains: too short$/,
  'invalid-utf8': /^offer\.(offerCurrency|offerDescription|offerIssuer): not UTF-8$/,
  'truncated-path': /^offer\.offerPaths: too short$/,
  'zero-hops': /^offer\.offerPaths: no hops$/,
  'invalid-point': /^offer\.(offerPaths|offerIssuerID): invalid point$/,
  'type-out-of-range': /^offer: type-out-of-range$/,
  'unknown-even-feature': /^offer\.offerFeatures: unknown-even-feature$/,
  'amount-without-description': /^offer: amount-without-description$/,
  'currency-without-amount': /^offer: currency-without-amount$/,
  'zero-amount': /^offer\.offerAmount: zero-amount$/,
  'no-issuer-id-nor-path': /^offer: no-issuer-id-nor-path$/,
  'no-chains': /^offer\.offerChains: no-chains$/,
  'padding-too-long': /^offer: padding-too-long$/,
}

/** Those of the specification, then those that test what seven of its names say. */
export function cases(): readonly Case[] {
  const { vectors, corrected } = load<File>('bolt12-offers')
  return [
    ...vectors.map((vector) => caseOf(vector, '')),
    ...corrected.map((vector) => caseOf(vector, ' (corrected)')),
  ]
}

function caseOf(vector: Vector, suffix: string): Case {
  const { name, valid, reason, bolt12 } = vector
  return {
    name: `${name}${suffix} -> ${valid ? 'read and printed the same' : reason}`,
    run: () => {
      if (valid) accepted(vector)
      else expect(faultOf(bolt12)).to.match(REASONS[reason ?? ''] ?? /no such reason/)
    },
  }
}

function accepted({ bolt12, fields, paths }: Vector): void {
  const offer = parseOffer(bolt12)
  expect(formatOffer(offer)).to.equal(bolt12)
  const records = splitRecords(decodeBolt12String(bolt12, 'lno', 'offer'), 'offer')
  if (fields !== undefined) {
    expect(
      records.map(({ type, bytes }) => [
        Number(type),
        digits(bytes.subarray(bytes.length - lengthOf(fields, type))),
      ]),
    ).to.deep.equal(fields.map(({ type, hex }) => [type, hex]))
    const names = Object.entries(offerStream.records)
    const known = fields.filter(({ type }) => names.some(([, own]) => own.type === BigInt(type)))
    expect(Object.keys(offer).filter((name) => name !== 'unknown')).to.have.length(known.length)
    for (const [name, { type, field }] of names) {
      const value: unknown = offer[name as keyof typeof offerStream.records]
      const hex = fields.find((one) => BigInt(one.type) === type)?.hex
      if (hex === undefined) expect(value).to.equal(undefined)
      else expect(digits(encodeField<unknown>(field, value, name))).to.equal(hex)
    }
  }
  if (paths === undefined) return
  expect(
    offer.offerPaths?.map(({ firstNode, firstPathKey, hops }) => ({
      first_node_id: introductionOf(firstNode),
      first_path_key: digits(firstPathKey),
      hops: hops.map(({ blindedNodeID, encryptedRecipientData }) => ({
        blinded_node_id: digits(blindedNodeID),
        encrypted_recipient_data: digits(encryptedRecipientData),
      })),
    })),
  ).to.deep.equal(paths)
}

function lengthOf(fields: NonNullable<Vector['fields']>, type: bigint): number {
  return fields.find((field) => BigInt(field.type) === type)?.length ?? 0
}

function introductionOf(node: Introduction): string {
  if (node.kind === 'node') return node.nodeID.slice(2)
  return `0${node.end - 1}${node.shortChannelID.toString(16).padStart(16, '0')}`
}

function faultOf(text: string): string {
  try {
    parseOffer(text)
  } catch (error) {
    if (isError(error, 'INVALID_MESSAGE')) return `${error.facts.path}: ${error.facts.reason}`
    throw error
  }
  return 'accepted'
}
