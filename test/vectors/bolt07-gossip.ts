// Signed announcements of real nodes: fields, the hash that is signed, signatures, addresses; and checksums of updates.
import { expect } from 'chai'
import { decodeAddresses, encodeAddresses, formatHost } from '../../backend/bitcoin/wire/addresses.js'
import {
  announcementHash,
  badSignatures,
  channelUpdateChecksum,
  isSignedBy,
} from '../../backend/bitcoin/wire/announcements.js'
import {
  type LightningMessage,
  lightningMessages,
  type MessageByKind,
} from '../../backend/bitcoin/wire/messages.js'
import type { UnknownMessage } from '../../peer/wire/message.js'
import { bytes, type Case, digits, load } from './cases.js'
import { camel, named, plainMessage } from './wire.js'

interface Common {
  readonly source: string
  readonly hex: string
  readonly hash: string
}

interface File {
  readonly channel_announcement: readonly (Common & {
    readonly signatures_valid: readonly boolean[]
    readonly valid: boolean
    readonly excess: string
  })[]
  readonly channel_update: readonly (Common & {
    readonly node_id: string
    readonly signature_valid: boolean
  })[]
  readonly node_announcement: readonly (Common & {
    readonly node_id: string
    readonly alias_text: string
    readonly addresses: readonly { readonly type: number; readonly host: string; readonly port: number }[]
    readonly trailing: string
    readonly signature_valid: boolean
  })[]
  readonly checksums: readonly {
    readonly channel_update: string
    readonly checksum: number
    readonly checksum_hex: string
  }[]
}

const SIGNATURES = ['nodeSignature1', 'nodeSignature2', 'bitcoinSignature1', 'bitcoinSignature2'] as const
const ADDRESS_KINDS: Readonly<Record<number, string>> = { 1: 'ipv4', 2: 'ipv6', 4: 'tor v3', 5: 'dns' }

/** Each announcement, then the checksums. */
export function cases(): readonly Case[] {
  const file = load<File>('bolt07-gossip')
  return [
    ...file.channel_announcement.map((vector, i) => ({
      name: `channel_announcement ${i} -> ${vector.valid ? 'sound' : 'bad signatures'}`,
      run: () => {
        const { signatures_valid, valid, excess, ...fields } = vector
        const message = check('channel_announcement', { ...fields, ...(excess === '' ? {} : { excess }) })
        const bad = badSignatures(message, bytes(vector.hash))
        expect(SIGNATURES.map((name) => !bad.includes(name))).to.deep.equal(signatures_valid)
        expect(bad.length === 0).to.equal(valid)
      },
    })),
    ...file.channel_update.map((vector, i) => ({
      name: `channel_update ${i}`,
      run: () => {
        const { node_id, signature_valid, ...fields } = vector
        const message = check('channel_update', fields)
        expect(isSignedBy(message, `0x${node_id}`, bytes(vector.hash))).to.equal(signature_valid)
      },
    })),
    ...file.node_announcement.map((vector, i) => ({
      name: `node_announcement ${i}: ${vector.alias_text}`,
      run: () => {
        const { addresses, alias_text, trailing, signature_valid, ...fields } = vector
        const message = check('node_announcement', {
          ...fields,
          addresses: undefined,
          ...(trailing === '' ? {} : { excess: trailing }),
        })
        expect(isSignedBy(message, message.nodeID, bytes(vector.hash))).to.equal(signature_valid)
        expect(new TextDecoder().decode(message.alias).replace(/\0+$/, '')).to.equal(alias_text)
        const read = decodeAddresses(message.addresses)
        expect(read.rest).to.have.length(0)
        expect(read.addresses.map(({ kind }) => kind)).to.deep.equal(
          addresses.map(({ type }) => ADDRESS_KINDS[type]),
        )
        expect(
          read.addresses.map((one) => ({
            host: one.kind === 'ipv6' || one.kind === 'tor v3' ? digits(one.host) : formatHost(one),
            port: one.port,
          })),
        ).to.deep.equal(addresses.map(({ host, port }) => ({ host, port })))
        expect(encodeAddresses(read.addresses)).to.deep.equal(message.addresses)
      },
    })),
    ...file.checksums.map(({ channel_update, checksum, checksum_hex }) => ({
      name: `checksum ${checksum_hex}`,
      run: () => {
        expect(channelUpdateChecksum(bytes(channel_update))).to.equal(checksum)
        expect(checksum.toString(16).padStart(8, '0')).to.equal(checksum_hex)
      },
    })),
  ]
}

/** Reads a message, compares its hash and those fields that are given, and writes it again. */
function check<K extends 'channel_announcement' | 'channel_update' | 'node_announcement'>(
  kind: K,
  { source: _, name: __, hex, hash, ...fields }: Common & Readonly<Record<string, unknown>>,
): MessageByKind<K> {
  const decoded = lightningMessages.decode(bytes(hex))
  if (!isKind(decoded, kind)) throw new Error(`${kind} expected`)
  expect(digits(lightningMessages.encode(decoded))).to.equal(hex)
  expect(digits(announcementHash(bytes(hex)))).to.equal(hash)
  const compared = Object.entries(fields).filter(([, value]) => value !== undefined)
  const expected = compared.map(([name, value]) => [camel(name), named(value)])
  expect(plainMessage(decoded)).to.deep.include({ kind, ...Object.fromEntries(expected) })
  return decoded
}

function isKind<K extends LightningMessage['kind']>(
  message: LightningMessage | UnknownMessage,
  kind: K,
): message is MessageByKind<K> {
  return message.kind === kind
}
