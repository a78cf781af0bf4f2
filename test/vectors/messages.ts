// The format blocks of the specification: every message, stream and subtype is stated here as it is there.
import { expect } from 'chai'
import { lightningMessages } from '../../backend/bitcoin/wire/messages.js'
import type { Records } from '../../peer/wire/tlv.js'
import { type Case, load } from './cases.js'
import { camel, type FormatField, formatsOf, ownFormats } from './wire.js'

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
}

/** One case for each message, and for each stream. */
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
      expect(own.length).to.be.greaterThan(0)
      for (const one of own) expect(ownRecords(one)).to.deep.equal(publishedRecords(records))
    },
  }))
  return [...messages, ...streams]
}

/** Our streams of that name: a message's extension, of which two messages may have the same. */
function streamsOf(name: string, file: File): readonly Records[] {
  const users = file.messages.filter(({ tlvs }) => tlvs === name).map((message) => message.name)
  // The two streams that fulfil and fail share are named for their messages without a stream of their own.
  users.push(name.replace(/_tlvs$/, ''))
  return lightningMessages.schemas
    .filter(({ kind, extension }) => users.includes(kind) && extension !== undefined)
    .map(({ extension }) => extension?.records ?? {})
}

function ownRecords(records: Records): unknown {
  return Object.entries(records)
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
