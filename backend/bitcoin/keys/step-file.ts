// A signer's memory in a file of its own, for Node.js: what was given away is known although the store was restored from a
// backup, or was started twice.
//
//     one line a step:    ["<channel>","<step>","<kind>","<what>"] <checksum>
//
// Lines are appended and on disk before anything is given away; a channel's last line counts. A line that a crash cut off is
// of a step that was not made. What is superseded goes when the file is opened, and when there is much of it.
import { createHash } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import type { Hex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import type { StepCounter, StepMark } from './step-memory.js'

/** Lines that are superseded, before the file is written anew. */
const MAX_OLD = 100_000

/** A counter over an open file. */
export interface FileCounter extends StepCounter {
  /** Afterwards nothing is given away any more. Idempotent. */
  close(): void
}

/**
 * A counter that outlives the process, for `steps` of a Lightning node. Each step waits for the disk: so many payments go
 * through as that can write, each taking some four steps. Keep the file where no restored backup of the store brings back
 * an older one, and use it in one process at a time.
 *
 * @param path of the file, which is made if need be; nobody else may read it
 * @throws PerkunasError INVALID_RECORD if a line before the last is damaged, STORE_FAILED if it can't be read or written
 */
export function fileCounter(path: string): FileCounter {
  const marks = attempt('open', () => read(path))
  let file: number | undefined
  let size = 0
  let old = 0

  function rewrite(): void {
    if (file !== undefined) closeSync(file)
    file = undefined
    const text = [...marks].map(([channel, mark]) => lineOf(channel, mark)).join('')
    const temporary = `${path}.tmp`
    const fresh = openSync(temporary, 'w', 0o600)
    size = writeAll(fresh, text, 0)
    fsyncSync(fresh)
    renameSync(temporary, path)
    syncFolder(dirname(path))
    file = fresh
    old = 0
  }

  attempt('open', () => {
    mkdirSync(dirname(path), { recursive: true })
    rewrite()
  })

  return {
    load: (channel) => marks.get(channel),
    store(channel, mark) {
      const open = file
      if (open === undefined) throw new PerkunasError('CLOSED', `${path} is closed`, { what: 'counter' })
      attempt('commit', () => {
        try {
          const end = writeAll(open, lineOf(channel, mark), size)
          fdatasyncSync(open)
          size = end
        } catch (cause) {
          // What is there of the line must not stand before another one.
          ftruncateSync(open, size)
          throw cause
        }
      })
      if (marks.has(channel)) old++
      marks.set(channel, mark)
      if (old >= MAX_OLD + marks.size) attempt('commit', rewrite)
    },
    close() {
      if (file !== undefined) closeSync(file)
      file = undefined
    },
  }
}

function lineOf(channel: Hex, { step, kind, what }: StepMark): string {
  const text = JSON.stringify([channel, step.toString(), kind, what])
  return `${text} ${checksum(text)}\n`
}

function read(path: string): Map<Hex, StepMark> {
  const marks = new Map<Hex, StepMark>()
  if (!existsSync(path)) return marks
  const lines = readFileSync(path, 'utf8').split('\n')
  // Behind the last line feed there is nothing, or what a crash left of a line.
  for (const line of lines.slice(0, -1)) {
    const at = line.lastIndexOf(' ')
    const text = line.slice(0, at)
    if (at < 0 || checksum(text) !== line.slice(at + 1)) throw damaged(path, marks.size)
    const [channel, mark] = markOf(path, text)
    marks.set(channel, mark)
  }
  return marks
}

function markOf(path: string, text: string): readonly [Hex, StepMark] {
  const fields: unknown = JSON.parse(text)
  if (!Array.isArray(fields)) throw damaged(path, 0)
  const [channel, step, kind, what]: readonly unknown[] = fields
  const isKnown = kind === 'sign' || kind === 'release' || kind === 'publish'
  if (!isHex(channel) || typeof step !== 'string' || !isKnown || typeof what !== 'string')
    throw damaged(path, 0)
  return [channel, { step: BigInt(step), kind, what }]
}

function isHex(value: unknown): value is Hex {
  return typeof value === 'string' && /^0x[0-9a-f]*$/.test(value)
}

function checksum(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

/** @returns where the text ends */
function writeAll(file: number, text: string, from: number): number {
  const bytes = new TextEncoder().encode(text)
  for (let done = 0; done < bytes.length; )
    done += writeSync(file, bytes, done, bytes.length - done, from + done)
  return from + bytes.length
}

/** The name is durable when the folder is; Windows has no such call and needs none. */
function syncFolder(path: string): void {
  if (process.platform === 'win32') return
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

function attempt<T>(operation: string, act: () => T): T {
  try {
    return act()
  } catch (cause) {
    if (cause instanceof PerkunasError) throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new PerkunasError('STORE_FAILED', `step counter: ${reason}`, { operation }, { cause })
  }
}

function damaged(path: string, after: number): PerkunasError<'INVALID_RECORD'> {
  const reason = `a line is damaged, after ${after} channels`
  return new PerkunasError('INVALID_RECORD', `${path}: ${reason}`, { key: path, reason })
}
