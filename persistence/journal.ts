// A journal: commits one after the other in a file that never grows, hence one flush each. A tree on disk needs two
// for a commit (its pages, then its root); it may follow later, when it takes what many commits have written at once.
//
// The file is made of zeros. A record begins on a page of its own, so that none that is durable shares a page with one
// that a crash may tear: id (16), sequence (6), length of the body (4), CRC-32 of those two and the body (4), body. The
// id is random and known to this machine alone: what a peer has us store can't pass for a record.
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
  writev,
  writevSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { pack, unpack } from 'msgpackr'
import { crc32 } from './checksum.js'
import type { Write } from './store.js'

/** How far a tree has come with a journal. */
export interface Mark {
  /** Of the journal, 16 bytes. */
  readonly id: Uint8Array
  /** Of the last record that is in the tree, as are all before it; 0 for none. */
  readonly sequence: number
  /** Of the last record of which anything may be in the tree: no less. */
  readonly begun: number
}

/** Bytes of the file, 4 MiB: some 1 000 commits of one channel, which the tree takes in a moment. */
export const JOURNAL_BYTES = 0x40_0000
/** What a disk writes whole, or less. */
const PAGE = 4096
const ID = 16
const AT = { sequence: ID, length: ID + 6, sum: ID + 10, body: ID + 14 } as const

/** What {@link Journal.append} takes. */
export type Body = Uint8Array

/** Writes as the body of a record. */
export function encodeBody(writes: readonly Write[]): Body {
  return pack(writes.map((write) => (write.kind === 'put' ? [write.key, write.value] : [write.key])))
}

/** Whether a journal has room for a body when it is empty. */
export function fitsJournal(body: Body): boolean {
  return pagesOf(body.length) * PAGE <= JOURNAL_BYTES
}

const writevAsync = promisify(writev)
const fdatasyncAsync = promisify(fdatasync)

/** A journal that we write. */
export class Journal {
  readonly id: Uint8Array
  readonly #path: string
  readonly #descriptor: number
  readonly #header = Buffer.alloc(AT.body)
  /** Where the next record begins. */
  #end = 0
  #sequence = 0

  /**
   * Makes its file in a directory: durable when this returns, though no tree knows of it yet.
   *
   * @throws Error of the file system's
   */
  constructor(directory: string) {
    this.id = randomBytes(ID)
    this.#path = pathOf(directory, this.id)
    this.#descriptor = openSync(this.#path, 'wx')
    try {
      // A disk that is full takes a part and says nothing.
      const written = writeSync(this.#descriptor, Buffer.alloc(JOURNAL_BYTES), 0, JOURNAL_BYTES, 0)
      if (written !== JOURNAL_BYTES) throw new Error('the disk took a part of a journal')
      fsyncSync(this.#descriptor)
      flushDirectory(directory)
    } catch (error) {
      this.remove()
      throw error
    }
    this.#header.set(this.id)
  }

  /** Of the last record. */
  get sequence(): number {
    return this.#sequence
  }

  /** Bytes in use. */
  get length(): number {
    return this.#end
  }

  /** Whether there is room for a body after the last record. */
  fits(body: Body): boolean {
    return this.#end + pagesOf(body.length) * PAGE <= JOURNAL_BYTES
  }

  /**
   * Adds a record; it is durable when this returns, or the promise resolves. Not before the last one is.
   *
   * @param body that {@link Journal.fits}
   * @param blocks whether the disk is waited for here
   * @throws Error of the file system's: whether the record is durable is unknown, and none may follow
   */
  append(body: Body, blocks: boolean): Promise<void> | void {
    const header = this.#headerOf(body)
    if (!blocks) return this.#appendLater(header, body)
    checkWhole(writevSync(this.#descriptor, [header, body], this.#end), body)
    fdatasyncSync(this.#descriptor)
    this.#advance(body)
  }

  /** Begins at the start again, as all records are in the tree. */
  restart(): void {
    this.#end = 0
  }

  /** Closes the file, which stays. */
  close(): void {
    closeSync(this.#descriptor)
  }

  /** Closes and deletes the file, as the tree knows nothing of it. */
  remove(): void {
    this.close()
    rmSync(this.#path, { force: true }) // whoever took the store over may have deleted it
  }

  async #appendLater(header: Uint8Array, body: Body): Promise<void> {
    const { bytesWritten } = await writevAsync(this.#descriptor, [header, body], this.#end)
    checkWhole(bytesWritten, body)
    await fdatasyncAsync(this.#descriptor)
    this.#advance(body)
  }

  #headerOf(body: Body): Uint8Array {
    const header = this.#header
    header.writeUIntBE(this.#sequence + 1, AT.sequence, 6)
    header.writeUInt32BE(body.length, AT.length)
    header.writeUInt32BE(crc32(header.subarray(AT.sequence, AT.sum), body), AT.sum)
    return header
  }

  #advance(body: Body): void {
    this.#sequence++
    this.#end += pagesOf(body.length) * PAGE
  }
}

/** What a journal holds that its tree does not. */
export interface Rest {
  /** In order. */
  readonly writes: readonly Write[]
  /** Of the last record. */
  readonly sequence: number
}

/**
 * Reads what a tree has yet to take. A record that a crash has torn was promised to nobody, and is the last one.
 *
 * @throws Error if the file is missing, or lacks a record before others, or one that the tree has begun to take
 */
export function readJournal(directory: string, { id, sequence, begun }: Mark): Rest {
  const file = contents(directory, id)
  const writes: Write[] = []
  let last: number | undefined
  let at = 0
  for (;;) {
    const record = recordAt(file, at, id)
    if (record === undefined || record.sequence !== (last ?? record.sequence - 1) + 1) break
    if (last === undefined && record.sequence > sequence + 1) break
    if (record.sequence > sequence) writes.push(...decodeBody(record.body))
    last = record.sequence
    at += pagesOf(record.body.length) * PAGE
  }
  const reached = Math.max(last ?? 0, sequence)
  // Older records over newer ones that the tree has: neither the past nor the present.
  if (reached < begun) throw new Error('its journal is of an earlier moment, or damaged')
  for (; at < file.length; at += PAGE) {
    if ((recordAt(file, at, id)?.sequence ?? 0) > reached) throw new Error('its journal is damaged')
  }
  return { writes, sequence: reached }
}

/** The files of all journals in a directory. */
export function journalsIn(directory: string): readonly string[] {
  return readdirSync(directory)
    .filter((name) => NAME.test(name))
    .map((name) => join(directory, name))
}

interface JournalRecord {
  readonly sequence: number
  readonly body: Uint8Array
}

/** The record that begins there, if a whole one does. */
function recordAt(file: Buffer, at: number, id: Uint8Array): JournalRecord | undefined {
  if (at + AT.body > file.length || Buffer.compare(file.subarray(at, at + ID), id) !== 0) return undefined
  const length = file.readUInt32BE(at + AT.length)
  const end = at + AT.body + length
  if (end > file.length) return undefined
  const body = file.subarray(at + AT.body, end)
  const sum = crc32(file.subarray(at + AT.sequence, at + AT.sum), body)
  if (sum !== file.readUInt32BE(at + AT.sum)) return undefined
  return { sequence: file.readUIntBE(at + AT.sequence, 6), body }
}

/** @throws Error if it is none of ours, which its checksum rules out */
function decodeBody(body: Uint8Array): Write[] {
  const parts: unknown = unpack(body)
  if (!Array.isArray(parts)) throw new Error('its journal holds no writes')
  return parts.map((part: unknown): Write => {
    const [key, value]: unknown[] = Array.isArray(part) ? part : []
    if (typeof key !== 'string') throw new Error('its journal holds a write without a key')
    return value instanceof Uint8Array
      ? { kind: 'put', key, value: new Uint8Array(value) }
      : { kind: 'delete', key }
  })
}

/** @throws Error if the file system took a part only */
function checkWhole(written: number, body: Body): void {
  if (written !== AT.body + body.length) throw new Error('the disk took a part of a record')
}

function pagesOf(length: number): number {
  return Math.ceil((AT.body + length) / PAGE)
}

const NAME = /^journal-[0-9a-f]{32}$/

function pathOf(directory: string, id: Uint8Array): string {
  return join(directory, `journal-${Buffer.from(id).toString('hex')}`)
}

function contents(directory: string, id: Uint8Array): Buffer {
  const path = pathOf(directory, id)
  if (!existsSync(path)) throw new Error(`${basename(path)} is missing, which holds the last commits`)
  return readFileSync(path)
}

/** A new file is durable when its directory is. */
function flushDirectory(path: string): void {
  if (process.platform === 'win32') return // which opens no directories, and needs no flush of one
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
