// What fuzz tests feed: valid encodings with bytes changed, cut, added, repeated, or lengths blown up; and found cases.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'

/** How many inputs to try where `n` are enough for every day; `FUZZ=100` tries a hundred times as many. */
export function runs(n: number): { readonly numRuns: number } {
  return { numRuns: n * Number(process.env['FUZZ'] ?? 1) }
}

/** One change of some bytes. */
export interface Change {
  readonly at: number
  readonly length: number
  readonly value: number
  readonly how: 'set' | 'flip' | 'cut' | 'remove' | 'insert' | 'repeat' | 'blow up'
}

const change: fc.Arbitrary<Change> = fc.record({
  at: fc.nat(0xffff),
  length: fc.integer({ min: 1, max: 9 }),
  value: fc.nat(255),
  how: fc.constantFrom('set', 'flip', 'cut', 'remove', 'insert', 'repeat', 'blow up'),
})

/** A sample after one to four changes, or, now and then, any bytes at all. */
export function brokenBytes(samples: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const anything = fc.uint8Array({ maxLength: 200 })
  if (samples.length === 0) return anything
  const broken = fc
    .tuple(fc.constantFrom(...samples), fc.array(change, { minLength: 1, maxLength: 4 }))
    .map(([sample, changes]) => changes.reduce(changed, sample))
  return fc.oneof({ weight: 8, arbitrary: broken }, { weight: 1, arbitrary: anything })
}

/** The same for text. */
export function brokenText(samples: readonly string[]): fc.Arbitrary<string> {
  const bytes = brokenBytes(samples.map((text) => new TextEncoder().encode(text)))
  const text = bytes.map((some) => new TextDecoder().decode(some))
  return fc.oneof({ weight: 4, arbitrary: text }, { weight: 1, arbitrary: fc.string({ unit: 'binary' }) })
}

function changed(bytes: Uint8Array, { at, length, value, how }: Change): Uint8Array {
  const start = at % (bytes.length + 1)
  const head = bytes.subarray(0, start)
  const part = bytes.subarray(start, start + length)
  const tail = bytes.subarray(start + length)
  switch (how) {
    case 'set':
      return joined(
        head,
        part.map((_, i) => (i === 0 ? value : (part[i] ?? 0))),
        tail,
      )
    case 'flip':
      return joined(
        head,
        part.map((byte, i) => (i === 0 ? byte ^ (1 << (value % 8)) : byte)),
        tail,
      )
    case 'cut':
      return head.slice()
    case 'remove':
      return joined(head, tail)
    case 'insert':
      return joined(head, new Uint8Array(length).fill(value), part, tail)
    case 'repeat':
      return joined(head, part, part, part, tail)
    case 'blow up':
      // Wherever a length or a count is, it becomes the largest of its kind.
      return joined(head, Uint8Array.from(part).fill(0xff), tail)
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts))
}

/** Any value of JSON with some of its leaves replaced by what no honest node would send. */
export function brokenJson(value: unknown): fc.Arbitrary<unknown> {
  const junk = fc.constantFrom<unknown>(
    null,
    '',
    '0x',
    '0x0',
    '0xzz',
    `0x${'f'.repeat(64)}`,
    `0x${'f'.repeat(65)}`,
    '0x00',
    -1,
    1.5,
    Number.MAX_VALUE,
    true,
    [],
    {},
    [null],
    'latest',
    '\u0000',
    '0X1F',
  )
  return fc
    .array(fc.tuple(fc.nat(1000), junk), { minLength: 1, maxLength: 2 })
    .map((changes) => changes.reduce((json, [at, to]) => replaced(json, at, to), value))
}

function replaced(value: unknown, at: number, to: unknown): unknown {
  const keys = typeof value === 'object' && value !== null ? Object.keys(value) : []
  const key = keys[at % (keys.length + 1)]
  if (key === undefined) return to
  const inner = Reflect.get(Object(value), key)
  const next = replaced(inner, Math.floor(at / (keys.length + 1)), to)
  return Array.isArray(value) ? value.with(Number(key), next) : { ...Object(value), [key]: next }
}

/** A case that was found once, and must be refused in order ever after. */
export interface Found {
  readonly decoder: string
  readonly why: string
  /** Bytes in hex without `0x`, or text. */
  readonly hex?: string
  readonly text?: string
  readonly json?: unknown
}

const folder = new URL('../../../test/fuzz/corpus/', import.meta.url)

/** All found cases: a JSON list in each file of `corpus/`. */
export function corpus(): readonly Found[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder).flatMap((file): Found[] =>
    JSON.parse(readFileSync(new URL(file, folder), 'utf8')),
  )
}

/** All texts in a file of vectors that pass: valid encodings of whatever it is about. */
export function textsIn(file: string, fits: RegExp): string[] {
  const texts = new Set<string>()
  const collect = (value: unknown): void => {
    if (typeof value === 'string' && fits.test(value)) texts.add(value)
    else if (typeof value === 'object' && value !== null)
      for (const inner of Object.values(value)) collect(inner)
  }
  collect(JSON.parse(readFileSync(new URL(`../../../test/vectors/${file}.json`, import.meta.url), 'utf8')))
  return [...texts]
}

/** All bytes in hex in a file of vectors. */
export function bytesIn(file: string): Uint8Array[] {
  return textsIn(file, /^(0x)?([0-9a-f]{2}){4,6000}$/).map((text) =>
    Uint8Array.from(Buffer.from(text.replace(/^0x/, ''), 'hex')),
  )
}
