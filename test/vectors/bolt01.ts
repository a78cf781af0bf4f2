// BOLT 1, Appendices A to D: BigSize, TLV streams of two namespaces, extensions of messages, signed integers; and limits.
import { expect } from 'chai'
import { MAX_MSAT, MAX_SAT, msat, sat } from '../../backend/bitcoin/units.js'
import { MAX_PEER_STORAGE_BYTES } from '../../backend/bitcoin/wire/control.js'
import { shortID } from '../../backend/bitcoin/wire/fields.js'
import { lightningMessages } from '../../backend/bitcoin/wire/messages.js'
import { isError } from '../../channel/errors.js'
import {
  bigSize,
  type Field,
  point,
  s64,
  signed,
  struct,
  tu32,
  tu64,
  u16,
  u64,
} from '../../peer/wire/fields.js'
import {
  decodeField,
  decodeStream,
  encodeField,
  encodeStream,
  type Records,
  record,
  type Stream,
  stream,
} from '../../peer/wire/tlv.js'
import { MAX_MESSAGE_BYTES } from '../../peer/wire/writer.js'
import { bytes, type Case, digits, load } from './cases.js'
import { camel, named, plain, reasonOf } from './wire.js'

interface File {
  readonly limits: {
    readonly max_satoshi: string
    readonly max_msat: string
    readonly max_message_bytes: number
    readonly max_ping_pong_bytes: number
    readonly max_peer_storage_bytes: number
  }
  readonly bigsize: {
    readonly decode: readonly {
      readonly name: string
      readonly hex: string
      readonly value?: string
      readonly error?: string
    }[]
    readonly encode: readonly { readonly name: string; readonly hex: string; readonly value: string }[]
  }
  readonly signed_integers: readonly { readonly type: string; readonly value: string; readonly hex: string }[]
  readonly tlv: {
    readonly valid: readonly {
      readonly namespace: string
      readonly hex: string
      readonly ignored?: true
      readonly tlv?: string
      readonly fields?: Readonly<Record<string, string>>
    }[]
    readonly invalid: readonly { readonly namespace: string; readonly hex: string; readonly reason: string }[]
  }
  readonly message_extension: {
    readonly valid: readonly {
      readonly hex: string
      readonly records: readonly { readonly type: string; readonly hex: string }[]
    }[]
    readonly invalid: readonly { readonly hex: string; readonly reason: string }[]
  }
}

/** The namespaces of Appendix B. */
const NAMESPACES: Readonly<Record<string, Stream<Records>>> = {
  n1: stream({
    tlv1: record(1, tu64),
    tlv2: record(2, shortID),
    tlv3: record(3, struct('tlv3', { nodeID: point, amountMsat1: u64, amountMsat2: u64 })),
    tlv4: record(254, u16),
  }),
  n2: stream({ tlv1: record(0, tu64), tlv2: record(11, tu32) }),
}

const BIGSIZE_REASONS: Readonly<Record<string, string>> = {
  'not-canonical': 'bigsize not minimal',
  'unexpected-eof': 'bigsize truncated',
  eof: 'bigsize missing',
}

/** All appendices, then the limits. */
export function cases(): readonly Case[] {
  const file = load<File>('bolt01')
  return [
    ...file.bigsize.decode.map(({ name, hex, value, error }) => ({
      name: `bigsize decode ${name} -> ${value ?? error}`,
      run: () => {
        const decode = () => decodeField(bigSize, bytes(hex), 'bigsize')
        if (error === undefined) expect(decode()).to.equal(BigInt(value ?? ''))
        else expect(reasonOf(decode)).to.equal(BIGSIZE_REASONS[error])
      },
    })),
    ...file.bigsize.encode.map(({ name, hex, value }) => ({
      name: `bigsize encode ${name} -> ${hex}`,
      run: () => {
        expect(digits(encodeField(bigSize, BigInt(value), 'bigsize'))).to.equal(hex)
      },
    })),
    ...file.signed_integers.map(({ type, value, hex }) => ({
      name: `${type} ${value} -> ${hex} and back`,
      run: () => {
        if (type === 's64') both(s64, BigInt(value), hex)
        else if (type === 's8') both(signed(1), Number(value), hex)
        else if (type === 's16') both(signed(2), Number(value), hex)
        else both(signed(4), Number(value), hex)
      },
    })),
    ...file.tlv.valid.flatMap(({ namespace, hex, ignored, tlv, fields }, i) =>
      schemasOf(namespace).map(([name, schema]) => ({
        name: `valid ${name} stream ${i}: ${hex}`,
        run: () => {
          const decoded = decodeStream(schema, bytes(hex), name)
          if (ignored) expect(Object.keys(decoded).filter((key) => key !== 'unknown')).to.deep.equal([])
          else expect(readable(decoded, tlv ?? '')).to.deep.equal(named(fields))
          expect(digits(encodeStream(schema, decoded, name))).to.equal(hex)
        },
      })),
    ),
    ...file.tlv.invalid.flatMap(({ namespace, hex, reason }, i) =>
      schemasOf(namespace).map(([name, schema]) => ({
        name: `invalid ${name} stream ${i} -> ${reason}`,
        run: () => {
          expect(reasonOf(() => decodeStream(schema, bytes(hex), name))).to.equal(ourReason(reason))
        },
      })),
    ),
    ...file.message_extension.valid.map(({ hex, records }) => ({
      name: `extension of init ${hex} -> ${records.length} unknown records, kept`,
      run: () => {
        const decoded = lightningMessages.decode(bytes(hex))
        if (decoded.kind !== 'init') throw new Error('init expected')
        const unknown = (decoded.unknown ?? []).map(({ type, value }) => ({
          type: String(type),
          hex: digits(value),
        }))
        expect(unknown).to.deep.equal(records)
        expect(digits(lightningMessages.encode(decoded))).to.equal(hex)
      },
    })),
    ...file.message_extension.invalid.map(({ hex, reason }) => ({
      name: `invalid extension of init ${hex} -> ${reason}`,
      run: () => {
        expect(reasonOf(() => lightningMessages.decode(bytes(hex)))).to.equal(ourReason(reason))
      },
    })),
    { name: 'limits: amounts, messages, pings, peer storage', run: () => checkLimits(file.limits) },
  ]
}

function both<T>(field: Field<T>, value: NoInfer<T>, hex: string): void {
  expect(digits(encodeField(field, value, 'integer'))).to.equal(hex)
  expect(decodeField(field, bytes(hex), 'integer')).to.equal(value)
}

function schemasOf(namespace: string): readonly (readonly [string, Stream<Records>])[] {
  return Object.entries(NAMESPACES).filter(([name]) => namespace === 'any' || namespace === name)
}

/** The values of a record, which must be the only one. */
function readable(decoded: object, tlv: string): unknown {
  const entries = Object.entries(decoded)
  expect(entries.map(([name]) => name)).to.deep.equal([tlv])
  const [value]: readonly unknown[] = Object.values(decoded)
  if (typeof value === 'object') return plain(value)
  const only: Readonly<Record<string, string>> = { tlv2: 'scid', tlv4: 'cltv_delta' }
  if (tlv === 'tlv2') return { scid: plain(value, 'short_channel_id') }
  return { [camel(only[tlv] ?? 'amount_msat')]: plain(value) }
}

/** Our words for the codes of the file. */
function ourReason(code: string): string {
  if (code === 'value-too-long') return 'too long'
  if (code === 'value-too-short') return 'too short'
  if (code === 'value-not-minimal') return 'not minimal'
  return code.replaceAll('-', ' ')
}

function checkLimits(limits: File['limits']): void {
  expect([String(MAX_SAT), String(MAX_MSAT)]).to.deep.equal([limits.max_satoshi, limits.max_msat])
  expect([sat(MAX_SAT), msat(MAX_MSAT)]).to.deep.equal([MAX_SAT, MAX_MSAT])
  for (const beyond of [() => sat(MAX_SAT + 1n), () => msat(MAX_MSAT + 1n)]) {
    expect(codeOf(beyond)).to.equal('INVALID_AMOUNT')
  }
  expect(MAX_MESSAGE_BYTES).to.equal(limits.max_message_bytes)
  expect(MAX_PEER_STORAGE_BYTES).to.equal(limits.max_peer_storage_bytes)
  const blob = new Uint8Array(limits.max_peer_storage_bytes)
  expect(lightningMessages.encode({ kind: 'peer_storage', blob })).to.have.length(limits.max_message_bytes)
  const ignored = new Uint8Array(limits.max_ping_pong_bytes)
  expect(lightningMessages.encode({ kind: 'pong', ignored })).to.have.length(limits.max_message_bytes)
  for (const message of [
    { kind: 'peer_storage', blob: new Uint8Array(blob.length + 1) },
    { kind: 'pong', ignored: new Uint8Array(ignored.length + 1) },
  ] as const) {
    expect(codeOf(() => lightningMessages.encode(message))).to.equal('TOO_LARGE')
  }
}

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    for (const code of ['INVALID_AMOUNT', 'TOO_LARGE'] as const) if (isError(error, code)) return code
    throw error
  }
  throw new Error('refused expected')
}
