import { expect } from 'chai'
import fc from 'fast-check'
import { decodeBlock, MAX_BLOCK_BYTES } from '../../../../backend/bitcoin/chain/block.js'
import { decodeHeader, faultOfSuccessor, workOf } from '../../../../backend/bitcoin/chain/header.js'
import { ChainFilter, encodeOutpoint, type Network } from '../../../../backend/bitcoin/chain/index.js'
import {
  decodeTransaction,
  encodeTransaction,
  type Outpoint,
  type Transaction,
  transactionID,
} from '../../../../backend/bitcoin/script/index.js'
import { blockHeight, sat } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import { PerkunasError } from '../../../../channel/errors.js'
import { makeBlock, merkleRoot } from './made.js'

const PREVIOUS = `0x${'11'.repeat(32)}` as const
const at = (height: number, network: Network = 'regtest') => ({ height: blockHeight(height), network })

function spending(
  outpoint: Outpoint,
  change: Partial<Transaction> = {},
  witness: Uint8Array[] = [],
): Transaction {
  return {
    version: 2,
    inputs: [{ outpoint, sequence: 0, witness }],
    outputs: [{ amount: sat(1n), script: new Uint8Array([0x51]) }],
    locktime: 0,
    ...change,
  }
}

const outpoint = (byte: number, index = 0): Outpoint => ({ txid: new Uint8Array(32).fill(byte), index })
const refusal = (bytes: Uint8Array, height = 1): string => {
  try {
    decodeBlock(bytes, at(height))
    return 'taken'
  } catch (error) {
    return error instanceof PerkunasError ? error.message : `threw ${error}`
  }
}

describe('bitcoin/chain: block', () => {
  it('any transactions -> their IDs, bytes, spends and pays are those of the transactions', () => {
    const bytes = fc.uint8Array({ maxLength: 300 })
    const transaction = fc.record({
      version: fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }),
      inputs: fc.array(
        fc.record({
          outpoint: fc.record({
            txid: fc.uint8Array({ minLength: 32, maxLength: 32 }),
            index: fc.nat(0xffff_ffff),
          }),
          sequence: fc.nat(0xffff_ffff),
          scriptSig: fc.uint8Array({ minLength: 1, maxLength: 300 }),
          witness: fc.array(bytes, { maxLength: 4 }),
        }),
        { minLength: 1, maxLength: 3 },
      ),
      outputs: fc.array(
        fc.record({ amount: fc.bigInt(0n, 2_100_000_000_000_000n).map(sat), script: bytes }),
        { minLength: 1, maxLength: 3 },
      ),
      locktime: fc.nat(0xffff_ffff),
    })
    const property = (transactions: readonly Transaction[]) => {
      const block = decodeBlock(makeBlock({ previous: PREVIOUS, height: 5, transactions }), at(5))
      const [coinbase, ...rest] = block.transactions
      expect([coinbase?.isCoinbase, coinbase?.spends]).to.deep.equal([true, []])
      expect(rest.map(({ txid }) => txid)).to.deep.equal(transactions.map(transactionID))
      expect(rest.map((one) => one.decode())).to.deep.equal(
        transactions.map((tx) => decodeTransaction(encodeTransaction(tx))),
      )
      expect(rest.map(({ spends }) => spends)).to.deep.equal(
        transactions.map(({ inputs }) => inputs.map((input) => encodeOutpoint(input.outpoint))),
      )
      expect(rest.map(({ pays }) => pays)).to.deep.equal(
        transactions.map(({ outputs }) => outputs.map(({ script }) => script)),
      )
      expect(rest.map(({ position }) => position)).to.deep.equal(transactions.map((_, i) => i + 1))
    }
    fc.assert(fc.property(fc.array(transaction, { maxLength: 4 }), property), { numRuns: 60 })
  })

  it('what consensus allows and nobody expects -> read all the same (f 17)', () => {
    const strange: readonly Transaction[] = [
      // As much witness as a block can hold, in one item (CVE-2022-44797) and in very many (CVE-2022-39389).
      spending(outpoint(1), {}, [new Uint8Array(3_900_000).fill(0x6a)]),
      spending(
        outpoint(2),
        {},
        Array.from({ length: 50_000 }, () => new Uint8Array()),
      ),
      // Scripts that are none.
      spending(
        outpoint(3),
        { outputs: [{ amount: sat(0n), script: new Uint8Array([0x4e, 0xff, 0xff, 0xff, 0xff]) }] },
        [new Uint8Array([0x4d])],
      ),
      spending(outpoint(4), { version: -1, locktime: 0xffff_ffff }, [new Uint8Array(1)]),
      spending(outpoint(5), {
        outputs: Array.from({ length: 3000 }, () => ({ amount: sat(0n), script: new Uint8Array() })),
      }),
      // Without any output's script, and with the longest one.
      spending(outpoint(6), { outputs: [{ amount: sat(0n), script: new Uint8Array(900_000) }] }),
    ]
    for (const tx of strange) {
      const block = decodeBlock(makeBlock({ previous: PREVIOUS, height: 1, transactions: [tx] }), at(1))
      const [input] = tx.inputs
      const filter = new ChainFilter()
      if (input !== undefined) filter.watchOutpoint(input.outpoint)
      const [found] = filter.relevant(block)
      expect(found?.transaction.txid).to.deep.equal(transactionID(tx))
      // As text: comparing millions of elements one by one takes seconds.
      const bytes = found?.transaction.bytes ?? new Uint8Array()
      expect(toHex(encodeTransaction(found?.transaction.decode() ?? spending(outpoint(0))))).to.equal(
        toHex(bytes),
      )
    }
  })

  it('one bit changed anywhere, witnesses included -> not the same block, or none', () => {
    const transactions = [
      spending(outpoint(1), {}, [new Uint8Array(40), new Uint8Array([1, 2])]),
      spending(outpoint(2)),
      spending(outpoint(3), {}, [new Uint8Array(70)]),
    ]
    const bytes = makeBlock({ previous: PREVIOUS, height: 1, transactions })
    const hash = decodeHeader(bytes).hash
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const changed = bytes.slice()
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      if (decodeHeader(changed).hash === hash)
        expect(refusal(changed), `bit ${bit}`).to.match(/^a block expected/)
    }
  })

  it('cut off anywhere, or longer -> refused', () => {
    const bytes = makeBlock({
      previous: PREVIOUS,
      height: 1,
      transactions: [spending(outpoint(1), {}, [new Uint8Array(9)])],
    })
    for (let length = 0; length < bytes.length; length++) {
      expect(refusal(bytes.subarray(0, length)), `${length} bytes`).to.match(/^a block expected/)
    }
    expect(refusal(new Uint8Array([...bytes, 0]))).to.match(/bytes follow/)
    expect(refusal(new Uint8Array(MAX_BLOCK_BYTES + 1))).to.equal('a block of 4000001 bytes')
  })

  it('witnesses taken away, or without a commitment -> refused; before segwit a commitment means nothing', () => {
    const spend = spending(outpoint(1), {}, [new Uint8Array(32)])
    const stripped = spending(outpoint(1))
    const root = (txs: readonly Transaction[]) => merkleRoot(txs.map(transactionID))
    const honest = makeBlock({ previous: PREVIOUS, height: 1, transactions: [spend] })
    const [coinbase] = decodeBlock(honest, at(1)).transactions
    const header = honest.subarray(0, 80)
    expect(root([coinbase?.decode() ?? spend, spend])).to.deep.equal(decodeHeader(header).merkleRoot)
    const without = new Uint8Array([...header, 2, ...(coinbase?.bytes ?? []), ...encodeTransaction(stripped)])
    expect(refusal(without)).to.contain('its witnesses are not those of its header')
    const loose = makeBlock({ previous: PREVIOUS, height: 1, transactions: [spend], commits: false })
    expect(refusal(loose)).to.contain('witnesses that nothing commits to')
    expect(() => decodeBlock(honest, at(481_823, 'main'))).to.throw('witnesses that nothing commits to')
    expect(() => decodeBlock(honest, at(481_824, 'main'))).to.not.throw()
  })

  it('transactions repeated so that the root stays the same -> refused (CVE-2012-2459)', () => {
    const [one, two] = [spending(outpoint(1)), spending(outpoint(2))]
    const bytes = makeBlock({ previous: PREVIOUS, height: 1, transactions: [one, two], commits: false })
    const doubled = new Uint8Array([...bytes, ...encodeTransaction(two)])
    doubled[80] = 4
    expect(decodeHeader(doubled).merkleRoot).to.deep.equal(
      merkleRoot(decodeBlock(bytes, at(1)).transactions.map(({ txid }) => txid)),
    )
    expect(refusal(doubled)).to.contain('it repeats transactions')
  })

  it('inner nodes of the tree given for transactions -> refused: the first makes no money (CVE-2017-12842)', () => {
    const bytes = makeBlock({
      previous: PREVIOUS,
      height: 1,
      transactions: [spending(outpoint(1))],
      commits: false,
    })
    const headless = new Uint8Array([
      ...bytes.subarray(0, 80),
      1,
      ...encodeTransaction(spending(outpoint(1))),
    ])
    expect(refusal(headless)).to.contain('its first transaction makes no money')
  })
})

describe('bitcoin/chain: header', () => {
  const header = (bits: number) => ({ ...decodeHeader(makeBlock({ previous: PREVIOUS, height: 1 })), bits })

  it('the genesis block of main -> its hash and work', () => {
    expect(workOf(0x1d00ffff)).to.equal(0x1_0001_0001n)
    expect(workOf(0x207fffff)).to.equal(2n)
  })

  it('a target that changes -> on main every 2016 blocks by a factor of four at most; on testnets at any time', () => {
    const parent = header(0x1b0404cb)
    const next = (bits: number) => ({ ...header(bits), previous: parent.hash })
    const fault = (bits: number, height: number, network: Network) =>
      faultOfSuccessor(parent, next(bits), { height, network })
    expect(fault(0x1b0404cb, 2017, 'main')).to.equal(undefined)
    expect(fault(0x1b0404ca, 2017, 'main')).to.contain('out of turn')
    expect(fault(0x1b0404ca, 2016, 'main')).to.equal(undefined)
    expect(fault(0x1b10132c, 2016, 'main')).to.equal(undefined)
    expect(fault(0x1b10132d, 2016, 'main')).to.contain('factor of four')
    expect(fault(0x1b00cdc0, 2016, 'main')).to.contain('factor of four')
    expect(fault(0x1d00ffff, 2017, 'test')).to.equal(undefined)
    expect(fault(0x1b0404ca, 2016, 'regtest')).to.contain('out of turn')
    expect(faultOfSuccessor(parent, header(0x1b0404cb), { height: 2017, network: 'main' })).to.contain(
      'follows another',
    )
  })
})

describe('bitcoin/chain: filter', () => {
  const filterOf = (outpoints: readonly Outpoint[], scripts: readonly Uint8Array[]) => {
    const filter = new ChainFilter()
    for (const one of outpoints) filter.watchOutpoint(one)
    for (const one of scripts) filter.watchScript(one)
    return filter
  }
  const found = (filter: ChainFilter, transactions: readonly Transaction[]) => {
    const block = decodeBlock(makeBlock({ previous: PREVIOUS, height: 1, transactions }), at(1))
    return filter.relevant(block).map(({ transaction, spends, pays }) => [transaction.position, spends, pays])
  }

  it('what spends a watched output or pays a watched script, and what spends that in the same block -> in order', () => {
    const script = new Uint8Array(22).fill(9)
    const first = spending(outpoint(1, 7))
    const child = spending({ txid: transactionID(first), index: 0 })
    const paying = spending(outpoint(5), {
      outputs: [
        { amount: sat(1n), script: new Uint8Array(22) },
        { amount: sat(1n), script },
      ],
    })
    const transactions = [spending(outpoint(1, 8)), first, spending(outpoint(3)), child, paying]
    const filter = filterOf([outpoint(1, 7)], [script])
    expect(found(filter, transactions)).to.deep.equal([
      [2, [0], []],
      [4, [0], []],
      [5, [], [1]],
    ])
    filter.unwatchOutpoint(outpoint(1, 7))
    filter.unwatchScript(script)
    expect(found(filter, transactions)).to.deep.equal([])
  })

  it('strings that share their key -> told apart', () => {
    const [a, b] = [new Uint8Array(22).fill(1), new Uint8Array(22).fill(1)]
    b[0] = 2
    const to = (script: Uint8Array) => spending(outpoint(8), { outputs: [{ amount: sat(1n), script }] })
    const filter = filterOf([], [a, b, a])
    expect(found(filter, [to(b)])).to.deep.equal([[1, [], [0]]])
    filter.unwatchScript(b)
    expect(found(filter, [to(b)])).to.deep.equal([])
    expect(found(filter, [to(a)])).to.deep.equal([[1, [], [0]]])
    const short = filterOf([], [new Uint8Array([0x51])])
    expect(found(short, [to(new Uint8Array([0x51])), to(new Uint8Array([0x52]))])).to.deep.equal([
      [0, [], [0]],
      [1, [], [0]],
    ])
  })
})
