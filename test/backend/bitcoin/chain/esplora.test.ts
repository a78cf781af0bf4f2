import { expect } from 'chai'
import { decodeBlock } from '../../../../backend/bitcoin/chain/block.js'
import {
  type BroadcastResult,
  ChainTracker,
  displayHash,
  EsploraSource,
  type TrackerStatus,
} from '../../../../backend/bitcoin/chain/index.js'
import {
  encodeTransaction,
  P2A_SCRIPT,
  type Transaction,
  transactionID,
} from '../../../../backend/bitcoin/script/index.js'
import { blockHeight, sat } from '../../../../backend/bitcoin/units.js'
import { type Bitcoind, startBitcoind } from '../../../../scripts/bitcoind.js'
import { failure } from '../../../client/parties.js'
import { Chain, payment, signCoin, WALLET_SCRIPT } from '../chain.js'
import { invalidate, mineNew } from './node.js'
import { type Answer, esploraOver, MISDEEDS, say, TestServer } from './servers.js'

const NOWHERE = { txid: new Uint8Array(32).fill(7), index: 0 }

describe('bitcoin/chain: Esplora', () => {
  let node: Bitcoind
  let chain: Chain
  let server: TestServer
  let source: EsploraSource
  /** Waits for no answer for long: for servers that never end one. */
  let hasty: EsploraSource
  before(async function () {
    this.timeout(60_000)
    node = await startBitcoind()
    chain = await Chain.start(node, 12)
    server = await TestServer.start(esploraOver(node))
    source = new EsploraSource({ url: `${server.url}/`, patience: 0 })
    hasty = new EsploraSource({ url: server.url, timeout: 100, patience: 0 })
  })
  afterEach(() => {
    server.answer = esploraOver(node)
  })
  after(async () => {
    await source.close()
    await hasty.close()
    await server[Symbol.asyncDispose]()
    await node.stop()
  })

  const send = (...transactions: Transaction[]): Promise<BroadcastResult> =>
    source.broadcast(transactions.map(encodeTransaction))
  /** Says something else to requests whose path matches. */
  const lie = (path: RegExp, answer: Answer): void => {
    server.answer = (response, request, body) =>
      (path.test(request.url ?? '') ? answer : esploraOver(node))(response, request, body)
  }

  it('chain info, blocks, outputs -> as the node has them', async () => {
    const info = await source.chainInfo()
    const height = Number(await node.rpc('getblockcount'))
    expect(info).to.deep.include({ network: 'regtest', blocks: height, headers: height, syncing: false })
    expect(displayHash(info.bestHash)).to.equal(await node.rpc('getbestblockhash'))
    const raw = await source.rawBlock(blockHeight(7))
    const block = decodeBlock(raw?.bytes ?? new Uint8Array(), { height: blockHeight(7), network: 'regtest' })
    expect(displayHash(block.hash)).to.equal(await node.rpc('getblockhash', [7]))
    expect(await source.rawBlock(blockHeight(height + 1))).to.equal(undefined)

    const coin = chain.coin()
    expect(await source.unspentOutput(coin.outpoint)).to.deep.equal({
      amount: 5_000_000_000n,
      script: WALLET_SCRIPT,
    })
    const spend = payment(coin)
    await send(spend)
    expect((await source.unspentOutput(coin.outpoint))?.amount).to.equal(5_000_000_000n)
    expect(await source.unspentOutput({ txid: transactionID(spend), index: 0 })).to.equal(undefined)
    await chain.mine(1)
    expect(await source.unspentOutput(coin.outpoint)).to.equal(undefined)
    expect((await source.unspentOutput({ txid: transactionID(spend), index: 0 }))?.amount).to.equal(
      4_999_999_000n,
    )
    expect(await source.unspentOutput(NOWHERE)).to.equal(undefined)
  })

  it('fee estimates -> sat/kw, ascending, rounded up', async () => {
    expect(await source.feeTable()).to.deep.equal({
      floor: 253,
      estimates: [
        { blocks: 1, feerate: 5125 },
        { blocks: 2, feerate: 5001 },
        { blocks: 144, feerate: 275 },
        { blocks: 1008, feerate: 225 },
      ],
    })
    lie(/fee-estimates/, say('{}'))
    expect((await source.feeTable()).estimates).to.deep.equal([])
    lie(/fee-estimates/, say('{"2": -1}'))
    expect(await failure(source.feeTable())).to.include({ code: 'INVALID_MESSAGE' })
  })

  it('broadcast -> accepted, known, confirmed; too little, missing, bad; packages', async () => {
    const tx = payment(chain.coin())
    expect(await send(tx)).to.deep.equal({ kind: 'accepted' })
    expect(await send(tx)).to.deep.equal({ kind: 'known' })
    await chain.mine(1)
    expect(await send(tx)).to.deep.equal({ kind: 'confirmed' })
    const coin = chain.coin()
    expect((await send(payment(coin, 1n))).kind).to.equal('feeTooLow')
    expect((await send(payment({ ...coin, outpoint: NOWHERE }))).kind).to.equal('missingInputs')
    const good = payment(coin)
    const bad = { ...good, inputs: good.inputs.map((input) => ({ ...input, witness: [] })) }
    expect((await send(bad)).kind).to.equal('rejected')

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
    const other = chain.coin()
    const child = signCoin(
      {
        version: 3,
        inputs: [
          { outpoint: other.outpoint, sequence: 0xffff_fffd, witness: [] },
          { outpoint: { txid: transactionID(parent), index: 1 }, sequence: 0xffff_fffd, witness: [] },
        ],
        outputs: [{ amount: sat(other.amount - 2000n), script: WALLET_SCRIPT }],
        locktime: 0,
      },
      0,
      other,
    )
    // A server that takes no packages says what is wrong with the parent alone.
    lie(/^\/txs\/package/, say('not found', 404))
    expect((await send(parent, child)).kind).to.equal('feeTooLow')
    server.answer = esploraOver(node)
    expect(await send(parent, child)).to.deep.equal({ kind: 'accepted' })
  })

  it('what its mempool spends -> those transactions, if they are what they are called', async () => {
    const [first, second] = [chain.coin(), chain.coin()]
    const waiting = payment(first)
    const asked = [first, second].map(({ outpoint }) => outpoint)
    expect(await source.mempoolSpends(asked)).to.deep.equal([])
    expect(await send(waiting)).to.deep.equal({ kind: 'accepted' })
    expect(await source.mempoolSpends([...asked, NOWHERE])).to.deep.equal([encodeTransaction(waiting)])
    lie(/\/raw$/, say(encodeTransaction(payment(second))))
    expect(await failure(source.mempoolSpends(asked))).to.include({ code: 'INVALID_MESSAGE' })
    lie(/\/outspend/, say('{"spent": true, "txid": "../blocks", "status": {"confirmed": false}}'))
    expect(await failure(source.mempoolSpends(asked))).to.include({ code: 'INVALID_MESSAGE' })
    server.answer = esploraOver(node)
    await chain.mine(1)
    expect(await source.mempoolSpends(asked)).to.deep.equal([])
  })

  it('what the server says of a transaction without any reason -> LEDGER_UNREACHABLE, never a verdict (f 18)', async () => {
    const tx = payment(chain.coin())
    for (const answer of [
      say('sendrawtransaction RPC error: timeout', 400),
      say('', 503),
      say('{"code":-1}', 400),
    ]) {
      lie(/^\/tx$/, answer)
      expect(await failure(send(tx))).to.include({ code: 'LEDGER_UNREACHABLE' })
    }
    lie(/^\/tx$/, say('ab'.repeat(32)))
    expect(await failure(send(tx))).to.include({ code: 'INVALID_MESSAGE' })
  })

  for (const [what, { answer, code, isEndless }] of Object.entries(MISDEEDS)) {
    it(`${what} -> ${code}; the next answer is taken`, async () => {
      lie(/^\/block\/|fee-estimates/, answer)
      const asked = isEndless ? hasty : source
      const errors = await Promise.all([failure(asked.chainInfo()), failure(asked.feeTable())])
      expect(errors.map((error) => error.code)).to.deep.equal([code, code])
      server.answer = esploraOver(node)
      expect((await source.chainInfo()).network).to.equal('regtest')
    })
  }

  it('another block or transaction than asked for, another chain -> INVALID_MESSAGE', async () => {
    const other = String(await node.rpc('getblock', [await node.rpc('getblockhash', [5]), 0]))
    lie(/\/raw$/, say(Buffer.from(other, 'hex')))
    expect(await failure(source.rawBlock(blockHeight(6)))).to.include({ code: 'INVALID_MESSAGE' })
    lie(/\/raw$/, say(new Uint8Array(10)))
    expect(await failure(source.rawBlock(blockHeight(6)))).to.include({ code: 'INVALID_MESSAGE' })
    lie(/\/raw$/, say(encodeTransaction(payment(chain.coin()))))
    expect(await failure(source.unspentOutput(chain.coin().outpoint))).to.include({ code: 'INVALID_MESSAGE' })
    lie(/block-height\/0$/, say('ab'.repeat(32)))
    await using stranger = new EsploraSource({ url: server.url, patience: 0 })
    expect(await failure(stranger.chainInfo())).to.include({ code: 'INVALID_MESSAGE' })
    lie(/\/blocks\/tip\/hash/, say('not a hash'))
    expect(await failure(source.chainInfo())).to.include({ code: 'INVALID_MESSAGE' })
  })

  it('followed through reorgs, with a lie at each kind of answer between -> the chain as it is, and nothing else', async () => {
    const statuses: TrackerStatus[] = []
    let told: () => void = () => undefined
    const tracker = new ChainTracker({
      source,
      network: 'regtest',
      from: blockHeight(1),
      pollingInterval: 5,
      onStatus: (status) => {
        statuses.push(status)
        told()
      },
    })
    const events = tracker.follow()
    const hashes: string[] = []
    const untilTip = async () => {
      const tip = String(await node.rpc('getbestblockhash'))
      while (hashes.at(-1) !== tip) {
        const { value } = await events.next()
        if (value === undefined) throw new Error('it ended')
        if (value.kind === 'disconnected') expect(hashes.pop()).to.equal(displayHash(value.block.hash))
        else hashes[value.block.height] = displayHash(value.block.hash)
      }
    }
    await untilTip()
    for (const path of [/block-height/, /\/blocks\/tip/, /^\/block\/\w+$/, /\/raw$/]) {
      lie(path, say('00'.repeat(40)))
      await invalidate(node, 2)
      await mineNew(node, 3)
      const tip = untilTip()
      while (tracker.status.kind !== 'failing') {
        await new Promise<void>((resolve) => {
          told = resolve
        })
      }
      server.answer = esploraOver(node)
      tracker.poll()
      await tip
    }
    for (const [height, hash] of hashes.entries()) {
      if (height > 0) expect(hash).to.equal(await node.rpc('getblockhash', [height]))
    }
    expect(statuses.filter(({ kind }) => kind === 'failing').length).to.be.greaterThan(3)
    tracker.close()
    await events.return()
  })
})
