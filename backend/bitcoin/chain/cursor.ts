// Where somebody stands who follows a chain: the newest block that was told, and the headers before it, by which the place is
// found where another branch leaves ours.
import { PerkunasError } from '../../../channel/errors.js'
import { bytes, converted, list, object, type Schema, schemaCodec, uint } from '../../../peer/index.js'
import { defineRecord } from '../../../persistence/index.js'
import { type BlockHeight, blockHeight } from '../units.js'
import { decodeHeader, HEADER_BYTES, type Header, workOf } from './header.js'

/** Headers that are kept: a reorg may undo as many blocks less one. A day's; 12 kB. */
export const KEPT_HEADERS = 144

/** See above. Plain data. */
export interface ChainCursor {
  /** Of the newest block. */
  readonly height: BlockHeight
  /** 80 bytes each, the newest last; at least one, at most {@link KEPT_HEADERS}. */
  readonly headers: readonly Uint8Array[]
}

/** As it is written. */
export const chainCursor: Schema<ChainCursor> = object({
  height: converted<number, BlockHeight>(uint(0xffff_ffff), {
    encode: (value) => value,
    decode: blockHeight,
    is: (value): value is BlockHeight => typeof value === 'number',
  }),
  headers: list(bytes(HEADER_BYTES), { min: 1, max: KEPT_HEADERS }),
})

/** The record of a cursor: to be put into the same commit as what follows from the event that it came with. */
export const cursorRecord = defineRecord<ChainCursor>({
  name: 'bitcoin-cursor',
  version: 1,
  ...schemaCodec(chainCursor, { maxBytes: 2 * KEPT_HEADERS * HEADER_BYTES }),
})

/** The headers of a cursor, which move on with the chain. */
export class Headers {
  readonly #headers: { readonly header: Header; readonly bytes: Uint8Array }[] = []
  #height: number

  /** @throws PerkunasError INVALID_ARGUMENT if they don't follow each other */
  constructor({ height, headers }: ChainCursor) {
    this.#height = height
    for (const raw of headers) {
      const header = decodeHeader(raw)
      const last = this.#headers.at(-1)?.header
      if (last !== undefined && header.previous !== last.hash) throw malformed()
      this.#headers.push({ header, bytes: raw })
    }
    if (this.#headers.length === 0) throw malformed()
  }

  /** Of the newest block. */
  get height(): number {
    return this.#height
  }

  /** The lowest height of which the header is known. */
  get oldest(): number {
    return this.#height - this.#headers.length + 1
  }

  /** The newest. */
  get tip(): Header {
    const tip = this.at(this.#height)
    if (tip === undefined) throw malformed()
    return tip
  }

  /** Undefined above the newest and below the oldest. */
  at(height: number): Header | undefined {
    const back = this.#height - height
    return back < 0 ? undefined : this.#headers[this.#headers.length - 1 - back]?.header
  }

  /** The work in all blocks above a height. */
  workAbove(height: number): bigint {
    let work = 0n
    for (let at = this.#height; at > height; at--) work += workOf(this.at(at)?.bits ?? 0)
    return work
  }

  /** Adds the next one. */
  push(header: Header, raw: Uint8Array): void {
    this.#headers.push({ header, bytes: raw.slice(0, HEADER_BYTES) })
    if (this.#headers.length > KEPT_HEADERS) this.#headers.shift()
    this.#height++
  }

  /** Takes the newest away. The last one stays: below it nothing is known. */
  pop(): void {
    if (this.#headers.length < 2) throw malformed()
    this.#headers.pop()
    this.#height--
  }

  /** As a value. */
  cursor(): ChainCursor {
    return { height: blockHeight(this.#height), headers: this.#headers.map(({ bytes }) => bytes) }
  }
}

function malformed(): PerkunasError<'INVALID_ARGUMENT'> {
  return new PerkunasError('INVALID_ARGUMENT', 'a cursor of headers that follow each other expected', {
    argument: 'cursor',
  })
}
