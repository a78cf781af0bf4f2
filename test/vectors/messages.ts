// The format blocks of the specification: every message, stream and subtype is stated here as it is there.
import { expect } from 'chai'
import { invoiceErrorStream } from '../../backend/bitcoin/invoice/bolt12-invoice.js'
import {
  invoiceRequestStream,
  invoiceStream,
  offerStream,
} from '../../backend/bitcoin/invoice/bolt12-records.js'
import { blindedHop, blindedPath, blindedPayInfo } from '../../backend/bitcoin/onion/blinded-path.js'
import {
  BADONION,
  decodeFailure,
  encodeFailure,
  failureCode,
  NODE,
  PERM,
  UPDATE,
} from '../../backend/bitcoin/onion/failures.js'
import { onionMessageStream } from '../../backend/bitcoin/onion/message.js'
import { payloadStream } from '../../backend/bitcoin/onion/payload.js'
import { recipientDataStream } from '../../backend/bitcoin/onion/recipient-data.js'
import { lightningMessages } from '../../backend/bitcoin/wire/messages.js'
import { directions } from '../../backend/bitcoin/wire/queries.js'
import { concat } from '../../channel/bytes.js'
import { type Field, sizedBytes } from '../../peer/wire/fields.js'
import { decodeField, encodeField, type Records } from '../../peer/wire/tlv.js'
import { secp256k1 } from '../../wallet/secp256k1.js'
import { type Case, digits, load } from './cases.js'
import { camel, type FormatField, formatsOf, ownFormats, reasonOf } from './wire.js'

interface File {
  readonly messages: readonly {
    readonly name: string
    readonly type: number
    readonly fields: readonly FormatField[]
    readonly tlvs?: string
  }[]
  readonly tlv_streams: Readonly<
    Record<
      string,
      Readonly<Record<string, { readonly name: string; readonly fields: readonly FormatField[] }>>
    >
  >
  readonly subtypes: Readonly<Record<string, { readonly fields: readonly FormatField[] }>>
  readonly failures: readonly {
    readonly name: string
    readonly type: number
    readonly fields: readonly FormatField[]
    readonly flags: readonly ('BADONION' | 'PERM' | 'NODE' | 'UPDATE')[]
    readonly code: number
  }[]
}

/** Streams that follow no message. */
const OTHER_STREAMS: Readonly<Record<string, Records>> = {
  payload: payloadStream.records,
  encrypted_data_tlv: recipientDataStream.records,
  onionmsg_tlv: onionMessageStream.records,
  offer: offerStream.records,
  invoice_request: invoiceRequestStream.records,
  invoice: invoiceStream.records,
  invoice_error: invoiceErrorStream.records,
}

/** Subtypes, each read and written by its own field. */
const SUBTYPES: Readonly<Record<string, Field<unknown> | undefined>> = {
  witness: sizedBytes,
  blinded_path: blindedPath,
  blinded_path_hop: blindedHop,
  blinded_payinfo: blindedPayInfo,
  fallback_address: invoiceStream.records.invoiceFallbacks.field.item,
  channel_update_timestamps: directions,
  channel_update_checksums: directions,
}

const FLAGS = { BADONION, PERM, NODE, UPDATE } as const

/** One case for each message, stream, subtype and failure. */
export function cases(): readonly Case[] {
  const file = load<File>('messages')
  const messages = file.messages.map(({ name, type, fields, tlvs }) => ({
    name: `${name} -> number, fields in order, and which stream follows`,
    run: () => {
      const schema = lightningMessages.schemas.find(({ kind }) => kind === name)
      if (schema === undefined) throw new Error('no schema')
      expect(schema.type).to.equal(type)
      expect(ownFormats(schema.fields)).to.deep.equal(formatsOf(fields))
      const records = Object.keys(schema.extension?.records ?? {}).length
      expect(records).to.equal(tlvs === undefined ? 0 : Object.keys(file.tlv_streams[tlvs] ?? {}).length)
    },
  }))
  const streams = Object.entries(file.tlv_streams).map(([name, records]) => ({
    name: `${name} -> records and their values`,
    run: () => {
      const own = streamsOf(name, file)
      if (own.length === 0) throw new Error('no stream of that name: see OTHER_STREAMS')
      for (const one of own) expect(ownRecords(one)).to.deep.equal(publishedRecords(records))
    },
  }))
  const subtypes = Object.entries(file.subtypes).map(([name, { fields }]) => ({
    name: `${name} -> read and written field by field`,
    run: () => {
      const field = SUBTYPES[name]
      if (field === undefined) throw new Error('no field of that name: see SUBTYPES')
      const whole = sampleOf(fields, file)
      expect(digits(encodeField(field, decodeField(field, whole, name), name))).to.equal(digits(whole))
      for (let n = 0; n < whole.length; n++) {
        expect(reasonOf(() => decodeField(field, whole.subarray(0, n), name))).to.equal('too short')
      }
    },
  }))
  const failures = file.failures.map(({ name, type, fields, flags, code }) => ({
    name: `failure ${name} -> code, flags, fields in order`,
    run: () => {
      expect(flags.reduce((sum, flag) => sum | FLAGS[flag], code)).to.equal(type)
      const whole = concat(Uint8Array.of(type >> 8, type & 0xff), sampleOf(fields, file))
      const decoded = decodeFailure(whole)
      if (decoded === undefined) throw new Error('not read')
      const { failure, extra } = decoded
      expect(Object.keys(failure)).to.deep.equal(['kind', ...formatsOf(fields).map(([field]) => field)])
      expect([failure.kind, failureCode(failure), extra.length]).to.deep.equal([name, type, 0])
      expect(digits(encodeFailure(failure))).to.equal(digits(whole))
    },
  }))
  return [...messages, ...streams, ...subtypes, ...failures]
}

const aPoint = secp256k1.publicKey(new Uint8Array(32).fill(3))

/** Bytes as a format block has them: each field another value, lists of two. */
function sampleOf(fields: readonly FormatField[], file: File): Uint8Array {
  const counts = new Set(fields.map(({ count }) => count))
  return concat(
    ...fields.map(({ name, type, count }, i) => {
      if (counts.has(name)) return type === 'u16' ? Uint8Array.of(0, 2) : Uint8Array.of(2)
      const times = count === undefined ? 1 : typeof count === 'number' ? count : 2
      return concat(...Array.from({ length: times }, () => itemOf(type, i + 1, file)))
    }),
  )
}

function itemOf(type: string, value: number, file: File): Uint8Array {
  const subtype = file.subtypes[type]
  if (subtype !== undefined) return sampleOf(subtype.fields, file)
  if (type === 'point' || type === 'sciddir_or_pubkey') return aPoint
  const sizes: Readonly<Record<string, number>> = { byte: 1, bigsize: 1, u16: 2, u32: 4, u64: 8, sha256: 32 }
  const size = sizes[type]
  if (size === undefined) throw new Error(`no sample of ${type}`)
  return Uint8Array.from({ length: size }, (_, at) => (at === size - 1 ? value : 0))
}

/** Our streams of that name: a message's extension, of which two messages may have the same. */
function streamsOf(name: string, file: File): readonly Records[] {
  const other = OTHER_STREAMS[name]
  if (other !== undefined) return [other]
  const users = file.messages.filter(({ tlvs }) => tlvs === name).map((message) => message.name)
  // The two streams that fulfil and fail share are named for their messages without a stream of their own.
  users.push(name.replace(/_tlvs$/, ''))
  return lightningMessages.schemas
    .filter(({ kind, extension }) => users.includes(kind) && extension !== undefined)
    .map(({ extension }) => extension?.records ?? {})
}

/** Types from here on are not the specification's (BOLT 1, "Type-Length-Value Format"). */
const FIRST_CUSTOM = 65_536n

function ownRecords(records: Records): unknown {
  return Object.entries(records)
    .filter(([, { type }]) => type < FIRST_CUSTOM)
    .map(([name, { type, field }]) => ({
      type: Number(type),
      name,
      value: field.fields === undefined ? ownFormats({ value: field }) : ownFormats(field.fields),
    }))
    .sort((a, b) => a.type - b.type)
}

function publishedRecords(records: File['tlv_streams'][string]): unknown {
  return Object.entries(records)
    .map(([type, { name, fields }]) => {
      const formats = formatsOf(fields)
      const single = formats.length < 2
      return {
        type: Number(type),
        name: camel(name),
        value: single ? [['value', formats[0]?.[1] ?? '']] : formats,
      }
    })
    .sort((a, b) => a.type - b.type)
}
