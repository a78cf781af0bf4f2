import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { BitcoindSource } from '../../../../backend/bitcoin/chain/bitcoind.js'
import { decodeBlock } from '../../../../backend/bitcoin/chain/block.js'
import { displayHash } from '../../../../backend/bitcoin/chain/header.js'
import { type BroadcastResult, ChainTracker } from '../../../../backend/bitcoin/chain/index.js'
import {
  encodeTransaction,
  P2A_SCRIPT,
  type Transaction,
  transactionID,
} from '../../../../backend/bitcoin/script/index.js'
import { blockHeight, feeratePerKw, sat } from '../../../../backend/bitcoin/units.js'
import { type Bitcoind, startBitcoind } from '../../../../scripts/bitcoind.js'
import { failure } from '../../../client/parties.js'
import { Chain, payment, signCoin, WALLET_SCRIPT } from '../chain.js'
import { mineNew } from './node.js'
import { MISDEEDS, say, TestServer } from './servers.js'

const NOWHERE = { txid: new Uint8Array(32).fill(7), index: 0 }

function sourceOf(node: Bitcoind, options: { timeout?: number; patience?: number } = {}): BitcoindSource {
  return new BitcoindSource({ url: node.url, credentials: { cookieFile: node.cookieFile }, ...options })
}

describe('bitcoin/chain: bitcoind', () => {
  let node: Bitcoind
  let chain: Chain
  let source: BitcoindSource
  before(async function () {
    this.timeout(60_000)
    node = await startBitcoind()
    chain = await Chain.start(node, 8)
    source = sourceOf(node)
  })
  after(async () => {
    await source.close()
    await node.stop()
  })

  const send = (...transactions: Transaction[]): Promise<BroadcastResult> =>
    source.broadcast(transactions.map(encodeTransaction))

  it('chain info -> network, heights and the tip as the node says them', async () => {
    const info = await source.chainInfo()
    expect(displayHash(info.bestHash)).to.equal(await node.rpc('getbestblockhash'))
    const height = await node.rpc('getblockcount')
    expect(info).to.deep.include({ network: 'regtest', blocks: height, headers: height, syncing: false })
  })

  it('a block by height -> its bytes, with its transactions; above the tip -> undefined', async () => {
    const raw = await source.rawBlock(blockHeight(3))
    const block = decodeBlock(raw?.bytes ?? new Uint8Array(), { height: blockHeight(3), network: 'regtest' })
    expect(displayHash(block.hash)).to.equal(await node.rpc('getblockhash', [3]))
    expect(await source.rawBlock(blockHeight(chain.height + 1))).to.equal(undefined)
    expect(await source.rawBlock(blockHeight(0xffff_ffff))).to.equal(undefined)
  })

  it('an unspent output -> amount and script; spent by a block only, not by the mempool; unknown -> undefined', async () => {
    const coin = chain.coin()
    expect(await source.unspentOutput(coin.outpoint)).to.deep.equal({
      amount: 5_000_000_000n,
      script: WALLET_SCRIPT,
    })
    const spend = payment(coin)
    const made = { txid: transactionID(spend), index: 0 }
    await send(spend)
    expect((await source.unspentOutput(coin.outpoint))?.amount).to.equal(5_000_000_000n)
    expect(await source.unspentOutput(made)).to.equal(undefined)
    await chain.mine(1)
    expect(await source.unspentOutput(coin.outpoint)).to.equal(undefined)
    expect((await source.unspentOutput(made))?.amount).to.equal(4_999_999_000n)
    expect(await source.unspentOutput(NOWHERE)).to.equal(undefined)
    expect(await source.unspentOutput({ ...made, index: 0xffff_ffff })).to.equal(undefined)
  })

  it('fees of a node without estimates -> its floor alone, rounded up', async () => {
    expect(await source.feeTable()).to.deep.equal({ floor: feeratePerKw(250), estimates: [] })
  })

  it('broadcast -> accepted, then known, then confirmed', async () => {
    const tx = payment(chain.coin())
    expect(await send(tx)).to.deep.equal({ kind: 'accepted' })
    expect(await send(tx)).to.deep.equal({ kind: 'known' })
    await chain.mine(1)
    expect(await send(tx)).to.deep.equal({ kind: 'confirmed' })
  })

  it('broadcast of what pays too little, spends what is not there, is badly signed -> said apart', async () => {
    const coin = chain.coin()
    expect((await send(payment(coin, 1n))).kind).to.equal('feeTooLow')
    const missing = { ...coin, outpoint: NOWHERE }
    expect((await send(payment(missing))).kind).to.equal('missingInputs')
    const tx = payment(coin)
    const unsigned = { ...tx, inputs: tx.inputs.map((input) => ({ ...input, witness: [] })) }
    expect((await send(unsigned)).kind).to.equal('rejected')
    // A replacement that offers no more.
    expect((await send(payment(coin, 2000n))).kind).to.equal('accepted')
    expect((await send(payment(coin, 2001n))).kind).to.equal('feeTooLow')
    expect(await failure(source.broadcast([]))).to.include({ code: 'INVALID_ARGUMENT' })
    expect(await failure(source.broadcast([new Uint8Array(9)]))).to.include({ code: 'INVALID_MESSAGE' })
  })

  it('broadcast of a parent without fee and its child -> both or none; with the parent confirmed the child alone', async () => {
    const [coin, other] = [chain.coin(), chain.coin()]
    const parent = signCoin(
      {
        version: 3,
        inputs: [{ outpoint: coin.outpoint, sequence: 0xffff_fffd, witness: [] }],
        outputs: [
          { amount: coin.amount, script: WALLET_SCRIPT },
          { amount: sat(0n), script: P2A_SCRIPT },
        ],
        locktime: 0,
      },
      0,
      coin,
    )
    const child = (fee: bigint) =>
      signCoin(
        {
          version: 3,
          inputs: [
            { outpoint: other.outpoint, sequence: 0xffff_fffd, witness: [] },
            { outpoint: { txid: transactionID(parent), index: 1 }, sequence: 0xffff_fffd, witness: [] },
          ],
          outputs: [{ amount: sat(other.amount - fee), script: WALLET_SCRIPT }],
          locktime: 0,
        },
        0,
        other,
      )
    expect((await send(parent)).kind).to.equal('feeTooLow')
    expect((await send(parent, child(10n))).kind).to.equal('feeTooLow')
    expect(await send(parent, child(2000n))).to.deep.equal({ kind: 'accepted' })
    expect(await send(parent, child(2000n))).to.deep.equal({ kind: 'known' })
    await chain.mine(1)
    expect(await send(parent, child(2000n))).to.deep.equal({ kind: 'confirmed' })
  })

  it('what its mempool spends of some outputs -> those transactions; what a block spends, or nobody, is not there', async () => {
    const [first, second, third] = [chain.coin(), chain.coin(), chain.coin()]
    const waiting = payment(first)
    const mined = payment(second)
    expect(await send(mined)).to.deep.equal({ kind: 'accepted' })
    await chain.mine(1)
    expect(await send(waiting)).to.deep.equal({ kind: 'accepted' })
    const asked = [first, second, third].map(({ outpoint }) => outpoint)
    const found = await source.mempoolSpends([...asked, NOWHERE])
    expect(found).to.deep.equal([encodeTransaction(waiting)])
    expect(await source.mempoolSpends([])).to.deep.equal([])
    await chain.mine(1)
    expect(await source.mempoolSpends(asked)).to.deep.equal([])
  })

  it('an aborted call -> ABORTED, the next one is answered; a closed source -> CLOSED', async () => {
    const error = await failure(source.chainInfo({ signal: AbortSignal.abort() }))
    expect(error).to.include({ code: 'ABORTED' })
    const other = sourceOf(node)
    await other.close()
    expect(await failure(other.chainInfo())).to.include({ code: 'CLOSED' })
    expect((await source.chainInfo()).network).to.equal('regtest')
  })

  it('a node that is stopped with SIGSTOP -> LEDGER_UNREACHABLE in time; once it goes on, so do we', async () => {
    const hasty = sourceOf(node, { timeout: 200, patience: 300 })
    process.kill(node.pid, 'SIGSTOP')
    const error = await failure(hasty.chainInfo())
    const waiting = source.chainInfo()
    process.kill(node.pid, 'SIGCONT')
    expect(error).to.include({ code: 'LEDGER_UNREACHABLE' })
    expect((await waiting).network).to.equal('regtest')
    await hasty.close()
  })

  it('a wrong password -> INVALID_ARGUMENT, a cookie file that is not there -> LEDGER_UNREACHABLE, without any secret', async () => {
    const guessed = { user: 'me', password: 'a guess' }
    for (const [credentials, code] of [
      [guessed, 'INVALID_ARGUMENT'],
      [{ cookieFile: '/nowhere/.cookie' }, 'LEDGER_UNREACHABLE'],
    ] as const) {
      const stranger = new BitcoindSource({ url: node.url, credentials, patience: 100 })
      const error = await failure(stranger.chainInfo())
      expect(error).to.include({ code })
      expect(String(error)).to.not.contain('guess')
      if ('cookieFile' in credentials) expect(error.message).to.contain(credentials.cookieFile)
      await stranger.close()
    }
  })
})

describe('bitcoin/chain: a bitcoind that is started again', () => {
  const directory = mkdtempSync(join(tmpdir(), 'perkunas-chain-'))
  after(() => rmSync(directory, { recursive: true, force: true }))

  it('with another cookie, warming up and busy with its index -> the call waits and is answered', async function () {
    this.timeout(60_000)
    const first = await startBitcoind({ directory })
    const chain = await Chain.start(first, 1)
    const source = sourceOf(first, { patience: 20_000 })
    const before = await source.chainInfo()
    await first.stop()
    const port = Number(new URL(first.url).port)
    // Asked while nobody is there; answered once the node has read all its blocks again.
    const asked = source.chainInfo()
    const second = await startBitcoind({ directory, port, args: ['-reindex'] })
    try {
      const answer = await asked
      expect(second.credentials).to.not.equal(first.credentials)
      expect(answer.network).to.equal('regtest')
      // It answers before it is through: less than it had, and it says so.
      if (answer.blocks < chain.height) expect(answer.syncing).to.equal(true)
      for (let now = answer; now.blocks < chain.height; now = await source.chainInfo()) {
        expect(now.headers >= now.blocks).to.equal(true)
      }
      expect((await source.chainInfo()).bestHash).to.equal(before.bestHash)
    } finally {
      await source.close()
      await second.stop()
    }
  })
})

describe('bitcoin/chain: a bitcoind that is pruned', () => {
  it('a block that is gone -> from a peer again; without peers BLOCK_UNAVAILABLE; newer ones as ever', async function () {
    this.timeout(60_000)
    const p2p = await freePort()
    await using full = await startBitcoind({ args: ['-listen=1', `-bind=127.0.0.1:${p2p}`] })
    // A file of blocks is removed whole, and none of the newest 288.
    await mineNew(full, 900)
    const args = ['-txindex=0', '-prune=1', '-fastprune', `-connect=127.0.0.1:${p2p}`]
    await using pruned = await startBitcoind({ args })
    await pruned.rpc('waitforblockheight', [900, 30_000])
    expect(await pruned.rpc('pruneblockchain', [600])).to.be.greaterThan(100)
    await using source = sourceOf(pruned)
    const raw = await source.rawBlock(blockHeight(7))
    expect(raw?.bytes).to.deep.equal((await sourceOf(full).rawBlock(blockHeight(7)))?.bytes)
    await pruned.rpc('setnetworkactive', [false])
    for (;;) if (((await pruned.rpc('getpeerinfo')) as unknown[]).length === 0) break
    const error = await failure(source.rawBlock(blockHeight(8)))
    expect([error.code, error.facts]).to.deep.equal(['BLOCK_UNAVAILABLE', { height: 8 }])
    expect((await source.rawBlock(blockHeight(900)))?.height).to.equal(900)

    const tracker = new ChainTracker({
      source,
      network: 'regtest',
      from: blockHeight(9),
      onStatus: () => tracker.close(),
    })
    const events: unknown[] = []
    for await (const event of tracker.follow()) events.push(event)
    expect([events, tracker.status.kind]).to.deep.equal([[], 'failing'])
  })
})

describe('bitcoin/chain: JSON-RPC of a hostile server', () => {
  let server: TestServer
  let source: BitcoindSource
  /** Waits for no answer for long: for servers that never end one. */
  let hasty: BitcoindSource
  const credentials = { user: 'name', password: 'secret' }
  before(async () => {
    server = await TestServer.start(say('{}'))
    source = new BitcoindSource({ url: server.url, credentials, patience: 0 })
    hasty = new BitcoindSource({ url: server.url, credentials, timeout: 100, patience: 0 })
  })
  after(async () => {
    await source.close()
    await hasty.close()
    await server[Symbol.asyncDispose]()
  })
  const good = {
    chain: 'regtest',
    blocks: 1,
    headers: 1,
    bestblockhash: '00'.repeat(32),
    initialblockdownload: false,
  }
  const answering = (result: unknown, change: object = {}) => {
    server.answer = (response, _, body) => {
      const { id } = JSON.parse(body) as { id: number }
      response.end(JSON.stringify({ result, error: null, id, ...change }))
    }
  }
  afterEach(async () => {
    answering(good)
    expect((await source.chainInfo()).network).to.equal('regtest')
  })

  for (const [what, { answer, code, isEndless }] of Object.entries(MISDEEDS)) {
    it(`${what} -> ${code}; the next answer is taken`, async () => {
      server.answer = answer
      const asked = isEndless ? hasty : source
      const errors = await Promise.all([failure(asked.chainInfo()), failure(asked.feeTable())])
      expect(errors.map((error) => error.code)).to.deep.equal([code, code])
    })
  }

  it('values of another kind in each place -> INVALID_MESSAGE', async () => {
    const wrong = [
      ...Object.keys(good).map((name) => ({ ...good, [name]: null })),
      { ...good, chain: 'dogecoin' },
      { ...good, chain: '__proto__' },
      { ...good, blocks: -1 },
      { ...good, blocks: 2 ** 32 },
      { ...good, headers: '1' },
      { ...good, bestblockhash: '00'.repeat(31) },
      [],
      7,
    ]
    for (const result of wrong) {
      answering(result)
      expect((await failure(source.chainInfo())).code, JSON.stringify(result)).to.equal('INVALID_MESSAGE')
    }
    answering('zz')
    expect((await failure(source.rawBlock(blockHeight(1)))).code).to.equal('INVALID_MESSAGE')
    answering({ value: 22_000_000, scriptPubKey: { hex: '51' } })
    expect((await failure(source.unspentOutput(NOWHERE))).code).to.equal('INVALID_MESSAGE')
  })

  it('fee estimates, some of them missing -> sat/kw, rounded up; the higher of both floors', async () => {
    const fees: Readonly<Record<number, unknown>> = {
      2: { feerate: 0.00020004, blocks: 2 },
      6: { errors: ['Insufficient data or no feerate found'], blocks: 6 },
      144: { feerate: 0.00001, blocks: 144 },
    }
    server.answer = (response, _, body) => {
      const calls = JSON.parse(body) as readonly { id: number; method: string; params: readonly number[] }[]
      const answers = calls.map(({ id, method, params: [blocks = 0] }) => {
        const result =
          method === 'getmempoolinfo' ? { mempoolminfee: 0.00003, minrelaytxfee: 0.00001 } : fees[blocks]
        return result === undefined ? { id, error: { code: -8, message: 'no' } } : { id, result, error: null }
      })
      response.end(JSON.stringify(answers.reverse()))
    }
    expect(await source.feeTable()).to.deep.equal({
      floor: 750,
      estimates: [
        { blocks: 2, feerate: 5001 },
        { blocks: 144, feerate: 250 },
      ],
    })
  })

  it('an error that it does not know, warming up, fewer answers than calls -> typed', async () => {
    answering(null, { error: { code: -1, message: 'out of order' } })
    expect((await failure(source.chainInfo())).code).to.equal('INVALID_MESSAGE')
    answering(null, { error: { code: -28, message: 'Loading block index' } })
    expect((await failure(source.chainInfo())).code).to.equal('LEDGER_UNREACHABLE')
    server.answer = say('[{"id":1,"result":1}]')
    expect((await failure(source.feeTable())).code).to.equal('INVALID_MESSAGE')
  })

  it('a deep-nested or hostile text in an error -> cut short in the message', async () => {
    answering(null, { error: { code: -1, message: 'x'.repeat(100_000) } })
    expect((await failure(source.chainInfo())).message.length).to.be.lessThan(500)
  })
})

/** A port that nothing listens on. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const bound = server.address()
  server.close()
  await once(server, 'close')
  return typeof bound === 'object' && bound !== null ? bound.port : 0
}
