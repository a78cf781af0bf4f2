// The part of msgpack that messages and records use, with exactly one byte string per value: nil, booleans,
// unsigned integers, strings, binary and arrays, every header in its shortest form. msgpackr reads; what it would
// accept beyond that (maps, floats, dates, references, records, regular expressions, longer headers, broken UTF-8) is
// refused by a scan of the bytes before it sees them. Writing is in msgpack-writer.ts.
import { Packr } from 'msgpackr'
import { PerkunasError } from '../channel/errors.js'

/** How deep arrays may be nested; stops a message of opening brackets from using up the stack. */
export const MAX_DEPTH = 32

// useRecords: false keeps 0x40 to 0x7f plain integers; int64AsType: what needs 64 bits is always a bigint.
const packr = new Packr({ useRecords: false, moreTypes: false, int64AsType: 'bigint', variableMapSize: true })
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Decodes the bytes of one wire value; binary parts are views of `bytes`.
 *
 * @throws PerkunasError INVALID_MESSAGE {path: '@<offset>'} for anything that the writer would not have written
 */
export function unpack(bytes: Uint8Array): unknown {
  scan(bytes)
  try {
    const wire: unknown = packr.unpack(bytes)
    return wire
  } catch (cause) {
    throw refusal(0, cause instanceof Error ? cause.message : 'unreadable')
  }
}

function refusal(offset: number, reason: string): PerkunasError<'INVALID_MESSAGE'> {
  return new PerkunasError('INVALID_MESSAGE', `malformed msgpack at byte ${offset}: ${reason}`, {
    path: `@${offset}`,
    reason,
  })
}

/**
 * Walks over the bytes once. Nothing is allocated but the stack of open arrays, and every length is
 * compared with what is left before it is believed.
 */
function scan(bytes: Uint8Array): void {
  const end = bytes.length
  const open: number[] = [] // items that enclosing arrays still wait for
  let missing = 1
  let at = 0
  for (;;) {
    while (missing === 0) {
      const outer = open.pop()
      if (outer === undefined) {
        if (at !== end) throw refusal(at, `${end - at} bytes after the value`)
        return
      }
      missing = outer
    }
    missing--
    const head = bytes[at]
    if (head === undefined) throw refusal(at, 'ends early')
    const start = at++
    if (head < 0x80 || head === 0xc0 || head === 0xc2 || head === 0xc3) continue
    if (head >= 0x90 && head <= 0x9f) {
      enter(head & 0x0f)
      continue
    }
    if (head >= 0xa0 && head <= 0xbf) {
      text(head & 0x1f)
      continue
    }
    switch (head) {
      case 0xc4:
        skip(length(1, 0))
        break
      case 0xc5:
        skip(length(2, 0x100))
        break
      case 0xc6:
        skip(length(4, 0x10000))
        break
      case 0xcc:
        length(1, 0x80)
        break
      case 0xcd:
        length(2, 0x100)
        break
      case 0xce:
        length(4, 0x10000)
        break
      case 0xcf:
        length(4, 0x8000_0000) // the upper half; below 2^63 msgpackr writes the signed form
        skip(4)
        break
      case 0xd3:
        if (length(4, 1) > 0x7fff_ffff) throw refusal(start, 'negative')
        skip(4)
        break
      case 0xd9:
        text(length(1, 0x20))
        break
      case 0xda:
        text(length(2, 0x100))
        break
      case 0xdb:
        text(length(4, 0x10000))
        break
      case 0xdc:
        enter(length(2, 0x10))
        break
      case 0xdd:
        enter(length(4, 0x10000))
        break
      default:
        throw refusal(start, `type 0x${head.toString(16)} is not used`)
    }
  }

  function length(size: 1 | 2 | 4, least: number): number {
    if (end - at < size) throw refusal(at, 'ends early')
    let value = 0
    for (let i = 0; i < size; i++) value = value * 256 + (bytes[at++] ?? 0)
    if (value < least) throw refusal(at - size, 'not in shortest form')
    return value
  }

  function skip(count: number): void {
    if (end - at < count) throw refusal(at, `${count} bytes announced, ${end - at} left`)
    at += count
  }

  function enter(count: number): void {
    if (end - at < count) throw refusal(at, `${count} items announced, ${end - at} bytes left`)
    if (open.length >= MAX_DEPTH) throw refusal(at, `nested deeper than ${MAX_DEPTH}`)
    open.push(missing)
    missing = count
  }

  function text(count: number): void {
    const from = at
    skip(count)
    for (let i = from; i < at; i++) {
      if ((bytes[i] ?? 0) < 0x80) continue
      try {
        const decoded = strictUtf8.decode(bytes.subarray(from, at))
        if (decoded.startsWith('\uFEFF')) throw refusal(from, 'text starts with a byte order mark')
      } catch (error) {
        if (error instanceof PerkunasError) throw error
        throw refusal(from, 'not UTF-8')
      }
      return
    }
  }
}
