// What an update can cost at best: its parts and nothing else. 2 signatures made, 2 checked, 1 round trip, 1 durable
// commit on each side, with the libraries that the client itself uses, and without hashing, encoding, sealing,
// checking rules, or a client.
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { createServer, type Socket, connect as tcpConnect } from 'node:net'
import { type Database, open } from 'lmdb'
import { secp256k1 } from 'perkunas/wallet'
import { median, quantile } from './figures.js'
import { mediansOf } from './median.js'

/** Bytes of an update of two participants, of its answer, and of what a participant writes for it. */
const UPDATE_BYTES = 300
const ANSWER_BYTES = 160
const RECORD_BYTES = 600
/** Messages that one turn of the event loop handles when many channels are busy. */
const TURN_MESSAGES = 8

/** Microseconds of each part on this machine now. */
export interface Parts {
  readonly sign: number
  readonly verify: number
  /** A commit of one record to a bare LMDB environment. */
  readonly commit: number
  /** What the disk itself takes: a block overwritten in place and fdatasync. */
  readonly disk: number
}

/** How fast updates were made. */
export interface Speed {
  readonly updates: number
  readonly seconds: number
  /** Milliseconds from the first signature to the last commit. */
  readonly p50: number
  readonly p99: number
}

type Table = Database<Uint8Array, number>

/** Everybody's key; it guards nothing. */
const SECRET = new Uint8Array(32).fill(1)
const KEY = secp256k1.decompress(secp256k1.publicKey(SECRET))

/** Times the parts, for about a tenth of a second each. */
export function timeParts(directory: string, table: Table): Parts {
  const digest = new Uint8Array(32).fill(7)
  const { signature } = secp256k1.sign(digest, SECRET)
  const record = new Uint8Array(RECORD_BYTES)
  const file = openSync(`${directory}/disk`, 'w')
  const block = new Uint8Array(4096)
  let round = 0
  writeSync(file, block, 0, block.length, 0)
  fdatasyncSync(file)
  try {
    const commit = () => {
      record.fill(round++)
      table.transactionSync(() => table.putSync(0, record))
    }
    const sync = () => {
      block.fill(round++)
      writeSync(file, block, 0, block.length, 0)
      fdatasyncSync(file)
    }
    const sign = () => secp256k1.sign(digest, SECRET)
    const verify = () => secp256k1.verify(signature, digest, KEY)
    const [signs = 0, verifies = 0, commits = 0, syncs = 0] = mediansOf([sign, verify, commit, sync], 100)
    return { sign: signs / 1000, verify: verifies / 1000, commit: commits / 1000, disk: syncs / 1000 }
  } finally {
    closeSync(file)
  }
}

/** Opens a bare environment with the settings of the client's store. */
export function openTable(directory: string): Table {
  const options = { encoding: 'binary', overlappingSync: false, cache: false } as const
  return open<Uint8Array, number>({ ...options, path: `${directory}/floor`, noSubdir: false })
}

/** Answers one connection's updates; returns the port to connect to. */
export function serveFloor(table: Table, channels: number): Promise<number> {
  const server = createServer({ noDelay: true }, (socket) => {
    server.close()
    const link = new Link(socket, UPDATE_BYTES, (message) => {
      const channel = channelOf(message)
      const digest = message.subarray(4, 36)
      if (!secp256k1.verify(message.subarray(36, 100), digest, KEY)) throw new Error('a wrong signature')
      const { signature } = secp256k1.sign(digest, SECRET)
      void commit(table, channels, channel, () => {
        const answer = new Uint8Array(ANSWER_BYTES)
        answer.set(message.subarray(0, 4))
        answer.set(signature, 4)
        link.send(answer)
      })
    })
  })
  return new Promise((resolve) => {
    server.listen({ host: '127.0.0.1', port: 0 }, () => {
      const address = server.address()
      resolve(typeof address === 'object' ? (address?.port ?? 0) : 0)
    })
  })
}

/** Makes bare updates over so many channels at once, each channel one after another, for some seconds. */
export async function runFloor(
  table: Table,
  { port, channels, seconds }: { readonly port: number; readonly channels: number; readonly seconds: number },
): Promise<Speed> {
  const socket = tcpConnect({ host: '127.0.0.1', port, noDelay: true })
  await new Promise((resolve) => socket.once('connect', resolve))
  const samples: number[] = []
  const started = performance.now()
  const end = started + seconds * 1000
  const open = new Map<number, { readonly digest: Uint8Array; readonly since: number }>()
  let busy = channels
  await new Promise<void>((resolve, reject) => {
    const begin = (channel: number) => {
      const since = performance.now()
      if (since >= end) {
        if (--busy === 0) resolve()
        return
      }
      const message = new Uint8Array(UPDATE_BYTES)
      new DataView(message.buffer).setUint32(0, channel)
      const digest = message.subarray(4, 36)
      new DataView(message.buffer).setFloat64(4, since)
      message.set(secp256k1.sign(digest, SECRET).signature, 36)
      open.set(channel, { digest, since })
      link.send(message)
    }
    const link = new Link(socket, ANSWER_BYTES, (answer) => {
      const channel = channelOf(answer)
      const { digest, since } = open.get(channel) ?? { digest: answer, since: 0 }
      if (!secp256k1.verify(answer.subarray(4, 68), digest, KEY)) reject(new Error('a wrong signature'))
      void commit(table, channels, channel, () => {
        samples.push(performance.now() - since)
        begin(channel)
      })
    })
    socket.once('error', reject)
    for (let channel = 0; channel < channels; channel++) begin(channel)
  })
  const elapsed = (performance.now() - started) / 1000
  socket.destroy()
  return { updates: samples.length, seconds: elapsed, p50: median(samples), p99: quantile(samples, 0.99) }
}

/** Microseconds of a round trip of an update and its answer to a {@link serveEcho}. */
export async function timeRoundTrip(port: number): Promise<number> {
  const socket = tcpConnect({ host: '127.0.0.1', port, noDelay: true })
  await new Promise((resolve) => socket.once('connect', resolve))
  const samples: number[] = []
  const end = performance.now() + 200
  await new Promise<void>((resolve) => {
    const begin = () => {
      since = performance.now()
      socket.write(new Uint8Array(UPDATE_BYTES))
    }
    let since = 0
    let got = 0
    socket.on('data', (bytes) => {
      got += bytes.length
      if (got < ANSWER_BYTES) return
      got = 0
      samples.push((performance.now() - since) * 1000)
      if (performance.now() < end) begin()
      else resolve()
    })
    begin()
  })
  socket.destroy()
  return median(samples)
}

/** Answers whatever one connection sends, without looking at it; returns the port to connect to. */
export function serveEcho(): Promise<number> {
  const server = createServer({ noDelay: true }, (socket) => {
    server.close()
    let got = 0
    socket.on('data', (bytes) => {
      got += bytes.length
      if (got < UPDATE_BYTES) return
      got = 0
      socket.write(new Uint8Array(ANSWER_BYTES))
    })
  })
  return new Promise((resolve) => {
    server.listen({ host: '127.0.0.1', port: 0 }, () => {
      const address = server.address()
      resolve(typeof address === 'object' ? (address?.port ?? 0) : 0)
    })
  })
}

/** A lone channel's commit blocks, which is the quickest; those of many are grouped by LMDB in the background. */
async function commit(table: Table, channels: number, channel: number, then: () => void): Promise<void> {
  const record = new Uint8Array(RECORD_BYTES)
  if (channels === 1) table.transactionSync(() => table.putSync(channel, record))
  else await table.put(channel, record)
  then()
}

function channelOf(message: Uint8Array): number {
  return new DataView(message.buffer, message.byteOffset).getUint32(0)
}

/** Messages of one size: a few are handled in a turn, and what they lead to leaves as one write. */
class Link {
  readonly #socket: Socket
  readonly #size: number
  readonly #handle: (message: Uint8Array) => void
  #incoming: Uint8Array = new Uint8Array(0)
  #outgoing: Uint8Array[] = []
  #isScheduled = false
  #isFlushing = false

  constructor(socket: Socket, size: number, handle: (message: Uint8Array) => void) {
    this.#socket = socket
    this.#size = size
    this.#handle = handle
    socket.on('data', (bytes: Uint8Array) => {
      this.#incoming = this.#incoming.length === 0 ? bytes : Buffer.concat([this.#incoming, bytes])
      if (!this.#isScheduled) this.#turn()
    })
    socket.on('error', () => undefined)
  }

  send(message: Uint8Array): void {
    this.#outgoing.push(message)
    if (this.#isFlushing) return
    this.#isFlushing = true
    queueMicrotask(() => {
      this.#isFlushing = false
      this.#socket.write(Buffer.concat(this.#outgoing))
      this.#outgoing = []
    })
  }

  #turn(): void {
    this.#isScheduled = false
    for (let count = 0; count < TURN_MESSAGES && this.#incoming.length >= this.#size; count++) {
      const message = this.#incoming.subarray(0, this.#size)
      this.#incoming = this.#incoming.subarray(this.#size)
      this.#handle(message)
    }
    if (this.#incoming.length < this.#size) return
    this.#isScheduled = true
    setImmediate(() => this.#turn())
  }
}
