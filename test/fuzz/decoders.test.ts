import { expect } from 'chai'
import fc from 'fast-check'
import { PerkunasError } from '../../channel/index.js'
import { BYTE_DECODERS, TEXT_DECODERS } from './decoders.js'
import { brokenBytes, brokenText, corpus, runs } from './inputs.js'

/** More memory than any of these inputs deserves: what a length that is only claimed would take. */
const MAX_MEMORY = 16 * 1024 * 1024

/** Reads; whatever is wrong must be said by a typed error, without taking much memory for it. */
function judge(read: () => unknown): void {
  const before = used()
  try {
    read()
  } catch (error) {
    if (!(error instanceof PerkunasError) || error.code === 'INTERNAL') throw error
  }
  expect(used() - before).below(MAX_MEMORY)
}

function used(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

describe('fuzz: decoders', () => {
  for (const { name, read, samples, runs: count = 100 } of BYTE_DECODERS) {
    it(`${name}: any bytes -> a value or a typed refusal, and no more memory than they are worth`, () => {
      expect(samples, 'examples').not.deep.equals([])
      for (const sample of samples) judge(() => read(sample.slice()))
      fc.assert(
        fc.property(brokenBytes(samples), (bytes) => judge(() => read(bytes))),
        runs(count),
      )
    })
  }

  for (const { name, read, samples, runs: count = 100 } of TEXT_DECODERS) {
    it(`${name}: any text -> a value or a typed refusal, and no more memory than it is worth`, () => {
      expect(samples, 'examples').not.deep.equals([])
      for (const sample of samples) judge(() => read(sample))
      fc.assert(
        fc.property(brokenText(samples), (text) => judge(() => read(text))),
        runs(count),
      )
    })
  }
})

describe('fuzz: found cases', () => {
  for (const { decoder, why, hex, text } of corpus()) {
    if (hex === undefined && text === undefined) continue
    it(`${decoder}: ${why} -> refused in order`, () => {
      const bytes = BYTE_DECODERS.find(({ name }) => name === decoder)
      const words = TEXT_DECODERS.find(({ name }) => name === decoder)
      if (bytes && hex !== undefined) judge(() => bytes.read(Uint8Array.from(Buffer.from(hex, 'hex'))))
      else if (words && text !== undefined) judge(() => words.read(text))
      else throw new Error(`${decoder} reads another kind of input`)
    })
  }
})
