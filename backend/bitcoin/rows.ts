// What the rows of all machines of a node have in common: their form in the store, and how one that is wrong is refused.
import { isError, PerkunasError } from '../../channel/errors.js'
import { briefCodec } from '../../peer/codec.js'
import type { Schema } from '../../peer/index.js'
import { defineRecord, type RecordType } from '../../persistence/index.js'
import { isNewerRecord } from '../../persistence/record.js'

/** A row of version 1. @param maxBytes of its payload; 16 MiB if nothing else is said */
export function rowType<T>(name: string, schema: Schema<T>, maxBytes = 16 * 1024 * 1024): RecordType<T> {
  return defineRecord({ name, version: 1, ...briefCodec(schema, { maxBytes }) })
}

/** The key index in a row's key. @throws PerkunasError INVALID_RECORD */
export function keyIndexIn(key: string, text: string | undefined): bigint {
  if (text === undefined || !/^\d{1,20}$/.test(text)) throw invalidRow(key, 'no key index')
  return BigInt(text)
}

/** What does not fit where it is. */
export function invalidRow(key: string, reason: string): PerkunasError<'INVALID_RECORD'> {
  return new PerkunasError('INVALID_RECORD', `record ${key}: ${reason}`, { key, reason })
}

/** Reads what may be missing. @throws PerkunasError INVALID_RECORD of a newer release, whatever else `read` throws */
export function readable<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (cause) {
    if (!isError(cause, 'INVALID_RECORD') || isNewerRecord(cause)) throw cause
    return undefined
  }
}
