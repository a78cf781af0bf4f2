import { expect } from 'chai'
import fc from 'fast-check'
import {
  commitmentSecret,
  commitmentSecrets,
  EMPTY_SECRETS,
  FIRST_SECRET_INDEX,
  findCommitmentSecret,
  generateSecret,
  insertSecret,
  type SecretStore,
  secretIndexOf,
} from '../../../../backend/bitcoin/keys/index.js'
import { isError } from '../../../../channel/errors.js'

const seeds = fc.uint8Array({ minLength: 32, maxLength: 32 })

describe('BOLT 3: per-commitment secrets', () => {
  it('ours with a memory of the last one, in any order -> the same', () => {
    const numbers = fc.oneof(
      fc.bigInt({ min: 0n, max: 600n }),
      fc.bigInt({ min: 0n, max: FIRST_SECRET_INDEX }),
    )
    fc.assert(
      fc.property(seeds, fc.array(numbers, { maxLength: 10 }), (seed, order) => {
        const secretOf = commitmentSecrets(seed)
        for (const n of order) expect(secretOf(n)).to.deep.equal(commitmentSecret(seed, n))
      }),
      { numRuns: 20 },
    )
  })

  it('every secret received is found again, and none that has not come', () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 1, max: 70 }), (seed, count) => {
        const store = receive(seed, count)
        for (let n = 0n; n < BigInt(count); n++) {
          expect(findCommitmentSecret(store, n)).to.deep.equal(commitmentSecret(seed, n))
        }
        expect(findCommitmentSecret(store, BigInt(count))).to.equal(undefined)
      }),
      { numRuns: 20 },
    )
  })

  it('n secrets take at most log2 n + 1 entries, and all of them 49', () => {
    expect(receive(new Uint8Array(32), 1000).entries).to.have.length(10)
    const end: SecretStore = { entries: [], next: 0n }
    const last = insertSecret(end, { index: 0n, secret: new Uint8Array(32) })
    expect(last.entries).to.have.length(49)
    expect(last.next).to.equal(-1n)
  })

  it('a store is not changed by what is added to it', () => {
    const store = receive(new Uint8Array(32), 3)
    const entries = [...store.entries]
    insertSecret(store, { index: store.next, secret: generateSecret(new Uint8Array(32), store.next) })
    expect(store.entries).to.deep.equal(entries)
  })

  it('a changed secret is noticed when it comes, or by the next one that it should follow from', () => {
    fc.assert(
      fc.property(seeds, fc.nat({ max: 40 }), fc.nat({ max: 255 }), (seed, at, bit) => {
        const wrong = commitmentSecret(seed, BigInt(at)).slice()
        wrong[bit >> 3] = (wrong[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        expect(() => {
          let store = receive(seed, at)
          store = insertSecret(store, { index: secretIndexOf(BigInt(at)), secret: wrong })
          // By then every entry that the wrong one could hide in has been checked against a later one.
          for (let n = BigInt(at) + 1n; n < 64n; n++) {
            store = insertSecret(store, { index: secretIndexOf(n), secret: commitmentSecret(seed, n) })
          }
        })
          .to.throw()
          .that.satisfies((error: unknown) => isError(error, 'INVALID_MESSAGE'))
      }),
      { numRuns: 50 },
    )
  })

  it('out of order, twice, or of another length -> INVALID_MESSAGE', () => {
    const seed = new Uint8Array(32)
    const store = receive(seed, 2)
    for (const number of [0n, 1n, 3n]) {
      const entry = { index: secretIndexOf(number), secret: commitmentSecret(seed, number) }
      refused(() => insertSecret(store, entry))
    }
    refused(() => insertSecret(store, { index: store.next, secret: new Uint8Array(31) }))
  })

  it('numbers outside 48 bits -> INVALID_ARGUMENT', () => {
    for (const number of [-1n, FIRST_SECRET_INDEX + 1n]) {
      expect(() => commitmentSecret(new Uint8Array(32), number))
        .to.throw()
        .that.satisfies((error: unknown) => isError(error, 'INVALID_ARGUMENT'))
    }
  })
})

function receive(seed: Uint8Array, count: number): SecretStore {
  let store = EMPTY_SECRETS
  for (let n = 0n; n < BigInt(count); n++) {
    store = insertSecret(store, { index: secretIndexOf(n), secret: commitmentSecret(seed, n) })
  }
  return store
}

function refused(step: () => unknown): void {
  expect(step)
    .to.throw()
    .that.satisfies((error: unknown) => isError(error, 'INVALID_MESSAGE'))
}
