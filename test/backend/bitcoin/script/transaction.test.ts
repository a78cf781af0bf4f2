import { RawTx, Transaction as ScureTransaction, SigHash } from '@scure/btc-signer'
import { expect } from 'chai'
import fc from 'fast-check'
import {
  decodeTransaction,
  displayID,
  encodeTransaction,
  encodeWithoutWitness,
  MAX_TRANSACTION_BYTES,
  readWitnessSignature,
  SIGHASH_ALL,
  SIGHASH_SINGLE_ANYONECANPAY,
  sha256d,
  type Transaction,
  transactionID,
  weightOf,
  witnessDigest,
  witnessSignature,
} from '../../../../backend/bitcoin/script/index.js'
import { MAX_SAT, type Sat, sat, wireAmount } from '../../../../backend/bitcoin/units.js'
import { isError } from '../../../../channel/errors.js'

const bytes = (minLength: number, maxLength = minLength) => fc.uint8Array({ minLength, maxLength })
const u32 = fc.oneof(
  fc.integer({ min: 0, max: 0xffff_ffff }),
  fc.constantFrom(0, 1, 0x8000_0000, 0xffff_ffff),
)
const outputs = fc.array(
  fc.record({
    amount: fc
      .oneof(fc.bigInt({ min: 0n, max: MAX_SAT }), fc.constantFrom(0n, 0xffff_ffffn, 1n << 32n, MAX_SAT))
      .map(sat),
    script: fc.oneof(bytes(0, 40), bytes(252, 300)),
  }),
  { minLength: 1, maxLength: 5 },
)
const transactions: fc.Arbitrary<Transaction> = fc.record({
  version: fc.integer({ min: 1, max: 3 }),
  inputs: fc.array(
    fc.record({
      outpoint: fc.record({ txid: bytes(32), index: u32 }),
      sequence: u32,
      witness: fc.array(bytes(0, 80), { maxLength: 4 }),
    }),
    { minLength: 1, maxLength: 4 },
  ),
  outputs,
  locktime: u32,
})

describe('Bitcoin transactions: bytes', () => {
  it('written, read and written again they are the same', () => {
    fc.assert(
      fc.property(transactions, (tx) => {
        expect(decodeTransaction(encodeTransaction(tx))).to.deep.equal(tx)
        expect(
          decodeTransaction(encodeWithoutWitness(tx)).inputs.every(({ witness }) => witness.length === 0),
        ).to.equal(true)
      }),
    )
  })

  it('the ID is of the bytes without witness, which legacy inputs have too', () => {
    fc.assert(
      fc.property(transactions, fc.boolean(), bytes(1, 40), (segwit, legacy, scriptSig) => {
        const tx = legacy
          ? { ...segwit, inputs: segwit.inputs.map((one) => ({ ...one, scriptSig })) }
          : segwit
        expect(transactionID(tx)).to.deep.equal(sha256d(encodeWithoutWitness(tx)))
        expect(displayID(transactionID(tx))).to.match(/^[0-9a-f]{64}$/)
      }),
    )
  })

  it('an ID of more outputs than a byte counts', () => {
    for (const count of [252, 253, 970]) {
      const tx: Transaction = {
        version: 2,
        inputs: [{ outpoint: { txid: new Uint8Array(32), index: 0 }, sequence: 0, witness: [] }],
        outputs: Array.from({ length: count }, (_, i) => ({
          amount: sat(BigInt(i)),
          script: new Uint8Array(34),
        })),
        locktime: 0,
      }
      expect(transactionID(tx)).to.deep.equal(sha256d(encodeWithoutWitness(tx)))
    }
  })

  it('an ID with a script of more than 65535 bytes, or an amount that only a peer can think of', () => {
    const input = { outpoint: { txid: new Uint8Array(32), index: 0 }, sequence: 0, witness: [] }
    for (const [length, amount] of [
      [0xffff, 1n],
      [0x1_0000, 1n],
      [99_999, 1n],
      [34, 2n ** 53n - 1n],
      [34, 2n ** 53n + 1n],
      [34, 2n ** 64n - 1n],
    ] as const) {
      const output = { amount: wireAmount<Sat>(amount), script: new Uint8Array(length).fill(0x6a) }
      const tx: Transaction = { version: 2, inputs: [input], outputs: [output], locktime: 0 }
      expect(transactionID(tx), `${length}, ${amount}`).to.deep.equal(sha256d(encodeWithoutWitness(tx)))
    }
  })

  it('the weight is that of BIP 141', () => {
    fc.assert(
      fc.property(transactions, (tx) => {
        const full = encodeTransaction(tx).length
        const base = encodeWithoutWitness(tx).length
        expect(weightOf(tx)).to.equal(4 * base + (full - base))
      }),
    )
  })

  it('any bytes -> a transaction or INVALID_MESSAGE, and one that is read is written to the same bytes', () => {
    fc.assert(
      fc.property(
        transactions,
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 }),
        fc.nat({ max: 40 }),
        (tx, changes, cut) => {
          const encoded = encodeTransaction(tx)
          const broken = encoded.slice(0, encoded.length - cut)
          for (const [at, byte] of changes) broken[at % broken.length] = byte
          let read: Transaction
          try {
            read = decodeTransaction(broken)
          } catch (error) {
            expect(isError(error, 'INVALID_MESSAGE')).to.equal(true)
            return
          }
          expect(encodeTransaction(read)).to.deep.equal(broken)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('a count of 2^64 - 1 in a few bytes -> INVALID_MESSAGE at once', () => {
    const start = performance.now()
    for (const prefix of [[], [0, 1]]) {
      const hostile = Uint8Array.from([2, 0, 0, 0, ...prefix, ...Array(9).fill(0xff), 0, 0, 0])
      expect(() => decodeTransaction(hostile))
        .to.throw()
        .that.satisfies((error: unknown) => isError(error, 'INVALID_MESSAGE'))
    }
    expect(performance.now() - start).to.be.below(1000)
  })

  it('a mark of segwit without any witness -> INVALID_MESSAGE', () => {
    const input = [...new Uint8Array(36), 0, 0, 0, 0, 0]
    const output = [...new Uint8Array(8), 0]
    const marked = Uint8Array.from([2, 0, 0, 0, 0, 1, 1, ...input, 1, ...output, 0, 0, 0, 0, 0])
    expect(() => decodeTransaction(marked))
      .to.throw()
      .that.satisfies((error: unknown) => isError(error, 'INVALID_MESSAGE'))
  })

  it('more than all the money -> INVALID_MESSAGE', () => {
    const tx = RawTx.encode({
      version: 2,
      segwitFlag: false,
      inputs: [{ txid: new Uint8Array(32), index: 0, finalScriptSig: new Uint8Array(), sequence: 0 }],
      outputs: [{ amount: MAX_SAT + 1n, script: new Uint8Array() }],
      witnesses: undefined,
      lockTime: 0,
    })
    expect(() => decodeTransaction(tx))
      .to.throw()
      .that.satisfies((error: unknown) => isError(error, 'INVALID_MESSAGE'))
  })

  it('longer than a block -> TOO_LARGE, unread', () => {
    expect(() => decodeTransaction(new Uint8Array(MAX_TRANSACTION_BYTES + 1)))
      .to.throw()
      .that.satisfies((error: unknown) => isError(error, 'TOO_LARGE'))
  })
})

describe('BIP 143: signature hashes', () => {
  it('are those of @scure/btc-signer, for every input and both kinds', () => {
    fc.assert(
      fc.property(
        transactions,
        bytes(1, 300),
        fc.bigInt({ min: 0n, max: MAX_SAT }),
        (tx, scriptCode, amount) => {
          const other = ScureTransaction.fromRaw(encodeWithoutWitness(tx), {
            allowUnknownOutputs: true,
            allowUnknownInputs: true,
            disableScriptCheck: true,
            allowUnknownVersion: true,
          })
          tx.inputs.forEach((_, i) => {
            const spent = { amount: sat(amount), scriptCode }
            expect(witnessDigest(tx, i, spent)).to.deep.equal(
              other.preimageWitnessV0(i, scriptCode, SigHash.ALL, amount),
            )
            if (i >= tx.outputs.length) return
            expect(witnessDigest(tx, i, spent, SIGHASH_SINGLE_ANYONECANPAY)).to.deep.equal(
              other.preimageWitnessV0(i, scriptCode, SigHash.SINGLE_ANYONECANPAY, amount),
            )
          })
        },
      ),
      { numRuns: 50 },
    )
  })

  it('no such input, or no output beside it for SINGLE -> INVALID_ARGUMENT', () => {
    const [tx] = fc.sample(transactions, 1)
    if (tx === undefined) throw new Error('no transaction')
    const spent = { amount: sat(1n), scriptCode: new Uint8Array(1) }
    const single = { ...tx, inputs: Array(tx.outputs.length + 1).fill(tx.inputs[0]) }
    for (const act of [
      () => witnessDigest(tx, tx.inputs.length, spent),
      () => witnessDigest(single, tx.outputs.length, spent, SIGHASH_SINGLE_ANYONECANPAY),
    ]) {
      expect(act)
        .to.throw()
        .that.satisfies((error: unknown) => isError(error, 'INVALID_ARGUMENT'))
    }
  })
})

describe('BIP 66: signatures in a witness', () => {
  it('written and read they are the same', () => {
    const halves = fc.oneof(
      bytes(32),
      fc.tuple(fc.nat({ max: 31 }), bytes(32)).map(([zeros, half]) => half.fill(0, 0, zeros)),
    )
    fc.assert(
      fc.property(halves, halves, (r, s) => {
        const compact = Uint8Array.from([...r, ...s])
        for (const sighash of [SIGHASH_ALL, SIGHASH_SINGLE_ANYONECANPAY] as const) {
          const item = witnessSignature(compact, sighash)
          expect(item.length).to.be.at.most(73)
          expect(readWitnessSignature(item)).to.deep.equal({ compact, sighash })
        }
      }),
    )
  })

  it('what is read is written to the same bytes; the rest is undefined', () => {
    const good = witnessSignature(new Uint8Array(64).fill(0x81), SIGHASH_ALL)
    fc.assert(
      fc.property(fc.nat(), fc.nat({ max: 255 }), fc.nat({ max: 5 }), (at, byte, cut) => {
        const broken = good.slice(0, good.length - cut)
        broken[at % broken.length] = byte
        const read = readWitnessSignature(broken)
        if (read === undefined) return
        // The sighash byte may be any; then it is compared as the one that can be written.
        const rewritten = witnessSignature(read.compact, SIGHASH_ALL)
        expect(rewritten.slice(0, -1)).to.deep.equal(broken.slice(0, -1))
      }),
      { numRuns: 500 },
    )
    expect(readWitnessSignature(new Uint8Array())).to.equal(undefined)
  })

  it('not 64 bytes -> INVALID_SIGNATURE', () => {
    expect(() => witnessSignature(new Uint8Array(63), SIGHASH_ALL))
      .to.throw()
      .that.satisfies((error: unknown) => isError(error, 'INVALID_SIGNATURE'))
  })
})

describe('script: transactions without encoding', () => {
  const input = { outpoint: { txid: new Uint8Array(32), index: 0 }, sequence: 0, witness: [] }
  const good: Transaction = { version: 2, inputs: [input], outputs: [], locktime: 0 }
  const withInput = (outpoint: Transaction['inputs'][number]['outpoint'], scriptSig?: Uint8Array) => ({
    ...good,
    inputs: [{ ...input, outpoint, ...(scriptSig && { scriptSig }) }],
  })
  for (const [name, tx] of [
    ['an ID of 31 bytes', withInput({ txid: new Uint8Array(31), index: 0 })],
    ['an ID of 33 bytes', withInput({ txid: new Uint8Array(33), index: 0 })],
    ['an index beyond 32 bits', withInput({ txid: new Uint8Array(32), index: 2 ** 32 })],
    ['a negative lock time', { ...good, locktime: -1 }],
  ] as const) {
    it(`${name} -> INVALID_ARGUMENT`, () => {
      for (const act of [encodeTransaction, encodeWithoutWitness, transactionID, weightOf]) {
        expect(() => act(tx), act.name)
          .to.throw()
          .that.satisfies((error: unknown) => isError(error, 'INVALID_ARGUMENT'))
      }
    })
  }
})
