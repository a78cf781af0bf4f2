import { expect } from 'chai'
import fc from 'fast-check'
import { BitcoindSource } from '../../../../backend/bitcoin/chain/bitcoind.js'
import { displayHash } from '../../../../backend/bitcoin/chain/header.js'
import {
  type ChainCursor,
  type ChainSource,
  ChainTracker,
  cursorRecord,
  KEPT_HEADERS,
  type TrackedEvent,
  type TrackerOptions,
  type TrackerStatus,
} from '../../../../backend/bitcoin/chain/index.js'
import { blockHeight } from '../../../../backend/bitcoin/units.js'
import { PerkunasError } from '../../../../channel/errors.js'
import { MemoryStore } from '../../../../persistence/index.js'
import { type Bitcoind, startBitcoind } from '../../../../scripts/bitcoind.js'
import { failure } from '../../../client/parties.js'
import { Chain } from '../chain.js'
import { MadeChain, makeBlock } from './made.js'
import { invalidate, mineNew } from './node.js'

/** A reader who believes what he is told, and minds the order. */
class Reader {
  /** What is connected, by height, as people write it. */
  readonly hashes: string[] = []
  readonly said: string[] = []
  cursor: ChainCursor | undefined
  tracker: ChainTracker
  #events: AsyncGenerator<TrackedEvent, void, undefined>
  #onStatus: () => void = () => undefined

  constructor(
    readonly source: ChainSource,
    from: TrackerOptions['from'] = blockHeight(1),
    readonly options: Partial<TrackerOptions> = {},
  ) {
    this.tracker = this.#newTracker(from)
    this.#events = this.tracker.follow()
  }

  /** Reads until the tip is that one. */
  async until(hash: string): Promise<void> {
    while (this.hashes.at(-1) !== hash) await this.next()
  }

  async next(): Promise<TrackedEvent | undefined> {
    const { value } = await this.#events.next()
    if (value === undefined) return undefined
    const { height, hash } = value.block
    this.said.push(`${value.kind === 'connected' ? '+' : '-'}${height}`)
    if (value.kind === 'connected') {
      expect(this.hashes.length === 0 || height === this.hashes.length, 'without gaps').to.equal(true)
      expect(displayHash(value.block.previous)).to.equal(
        this.hashes[height - 1] ?? displayHash(value.block.previous),
      )
      this.hashes[height] = displayHash(hash)
    } else {
      expect([height, this.hashes.at(-1)]).to.deep.equal([this.hashes.length - 1, displayHash(hash)])
      this.hashes.pop()
    }
    expect(value.cursor.height).to.equal(this.hashes.length - 1)
    this.cursor = value.cursor
    return value
  }

  /** The tracker's next status of that kind, or the present one. Somebody must be reading. */
  async when<K extends TrackerStatus['kind']>(kind: K): Promise<Extract<TrackerStatus, { kind: K }>> {
    for (;;) {
      const { status } = this.tracker
      if (isStatus(status, kind)) return status
      await new Promise<void>((resolve) => {
        this.#onStatus = resolve
      })
    }
  }

  /** Goes on from the last cursor, which went through a store. */
  async restart(): Promise<void> {
    await this.close()
    const store = new MemoryStore()
    if (this.cursor !== undefined) await store.commit([cursorRecord.put('cursor', this.cursor)])
    this.tracker = this.#newTracker((await cursorRecord.get(store, 'cursor')) ?? blockHeight(1))
    this.#events = this.tracker.follow()
  }

  async close(): Promise<void> {
    this.tracker.close()
    await this.#events.return()
  }

  #newTracker(from: TrackerOptions['from']): ChainTracker {
    return new ChainTracker({
      source: this.source,
      network: 'regtest',
      from,
      pollingInterval: 10,
      onStatus: () => this.#onStatus(),
      ...this.options,
    })
  }
}

function isStatus<K extends TrackerStatus['kind']>(
  status: TrackerStatus,
  kind: K,
): status is Extract<TrackerStatus, { kind: K }> {
  return status.kind === kind
}

describe('bitcoin/chain: tracker on bitcoind', () => {
  let node: Bitcoind
  let chain: Chain
  let source: BitcoindSource
  let reader: Reader
  before(async function () {
    this.timeout(60_000)
    node = await startBitcoind()
    chain = await Chain.start(node, 1)
    source = new BitcoindSource({ url: node.url, credentials: { cookieFile: node.cookieFile } })
    reader = new Reader(source)
  })
  after(async () => {
    await reader.close()
    await source.close()
    await node.stop()
  })

  const tip = async () => String(await node.rpc('getbestblockhash'))
  it('from the first block -> every block once, in order, the last one as tip', async () => {
    await reader.until(await tip())
    expect(reader.hashes.length - 1).to.equal(chain.height)
    expect(reader.said.every((one, i) => one === `+${i + 1}`)).to.equal(true)
  })

  for (const depth of [1, 2, 3, 4, 5]) {
    it(`a reorg of ${depth} -> the blocks that go newest first, then those that come, with nothing between`, async () => {
      const height = Number(await node.rpc('getblockcount'))
      reader.said.length = 0
      await invalidate(node, depth)
      await mineNew(node, depth + 1)
      await reader.until(await tip())
      const going = Array.from({ length: depth }, (_, i) => `-${height - i}`)
      const coming = Array.from({ length: depth + 1 }, (_, i) => `+${height - depth + 1 + i}`)
      expect(reader.said).to.deep.equal([...going, ...coming])
    })
  }

  it('fewer blocks than before -> nothing is taken back until another branch has as much work', async () => {
    reader.said.length = 0
    const height = Number(await node.rpc('getblockcount'))
    await invalidate(node, 2)
    await mineNew(node, 1)
    const next = reader.next()
    await reader.when('behind')
    expect(reader.said).to.deep.equal([])
    await mineNew(node, 1)
    await next
    await reader.until(await tip())
    expect(reader.said).to.deep.equal([`-${height}`, `-${height - 1}`, `+${height - 1}`, `+${height}`])
  })

  it('a restart, with a reorg while we were away -> goes on from the stored cursor', async () => {
    await reader.close()
    const height = Number(await node.rpc('getblockcount'))
    await invalidate(node, 3)
    await mineNew(node, 5)
    reader.said.length = 0
    await reader.restart()
    await reader.until(await tip())
    expect(reader.said.slice(0, 4)).to.deep.equal([
      `-${height}`,
      `-${height - 1}`,
      `-${height - 2}`,
      `+${height - 2}`,
    ])
  })

  it('a node that is stopped and goes on -> nothing is lost; poll() looks at once', async () => {
    const hasty = new BitcoindSource({
      url: node.url,
      credentials: { cookieFile: node.cookieFile },
      timeout: 100,
      patience: 0,
    })
    const other = new Reader(hasty, 'tip')
    const next = other.next()
    await other.when('synced')
    process.kill(node.pid, 'SIGSTOP')
    await other.when('failing')
    process.kill(node.pid, 'SIGCONT')
    await mineNew(node, 1)
    other.tracker.poll()
    expect((await next)?.block.height).to.equal(Number(await node.rpc('getblockcount')))
    await other.close()
    await hasty.close()
  })
})

describe('bitcoin/chain: tracker', () => {
  it('any blocks, reorgs, and restarts from any cursor -> ends on the chain as it is', async () => {
    const happening = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({ kind: fc.constant('mine'), count: fc.integer({ min: 1, max: 4 }) }),
      },
      {
        weight: 2,
        arbitrary: fc.record({ kind: fc.constant('reorg'), count: fc.integer({ min: 1, max: 12 }) }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart'), count: fc.constant(0) }) },
      {
        weight: 2,
        arbitrary: fc.record({ kind: fc.constant('read'), count: fc.integer({ min: 1, max: 5 }) }),
      },
    )
    const run = async (happenings: readonly { kind: string; count: number }[]) => {
      const chain = new MadeChain()
      chain.mine()
      const reader = new Reader(chain)
      await reader.next()
      for (const { kind, count } of happenings) {
        if (kind === 'restart') await reader.restart()
        if (kind === 'mine') for (let i = 0; i < count; i++) chain.mine()
        if (kind === 'reorg') {
          const before = chain.height
          chain.drop(count)
          while (chain.height <= before) chain.mine()
        }
        const tip = chain.hashes().at(-1)
        for (let i = 0; kind === 'read' && i < count && reader.hashes.at(-1) !== tip; i++) await reader.next()
      }
      await reader.until(chain.hashes().at(-1) ?? '')
      expect(reader.hashes.slice(1)).to.deep.equal(chain.hashes().slice(1))
      await reader.close()
    }
    await fc.assert(fc.asyncProperty(fc.array(happening, { maxLength: 12 }), run), { numRuns: 40 })
  })

  it('a branch deeper than what is known of the chain -> INVALID_STATE, nothing is taken back', async () => {
    const chain = new MadeChain()
    while (chain.height < KEPT_HEADERS + 3) chain.mine()
    const reader = new Reader(chain)
    await reader.until(chain.hashes().at(-1) ?? '')
    const { height } = chain
    chain.drop(KEPT_HEADERS)
    while (chain.height <= height) chain.mine()
    expect(await failure(reader.next())).to.include({ code: 'INVALID_STATE' })
    expect(reader.said.filter((one) => one.startsWith('-'))).to.deep.equal([])
  })

  it('without a cursor, a reorg right after the start -> told', async () => {
    for (const depth of [1, 5]) {
      const chain = new MadeChain()
      while (chain.height < 20) chain.mine()
      const said: string[] = []
      const tracker = new ChainTracker({ source: chain, network: 'regtest', from: 'tip', pollingInterval: 1 })
      const events = tracker.follow()
      const first = events.next()
      while (tracker.status.kind === 'starting') await new Promise((resolve) => setImmediate(resolve))
      chain.drop(depth)
      while (chain.height < 21) chain.mine()
      for (let next = await first; ; next = await events.next()) {
        const { value } = next
        if (value === undefined) break
        said.push(`${value.kind === 'connected' ? '+' : '-'}${value.block.height}`)
        if (value.kind === 'connected' && value.isTip) break
      }
      const down = Array.from({ length: depth }, (_, i) => `-${20 - i}`)
      const up = Array.from({ length: depth + 1 }, (_, i) => `+${21 - depth + i}`)
      expect(said).to.deep.equal([...down, ...up])
      tracker.close()
      await events.return()
    }
  })

  it('the source throws what is no error of ours -> it is failing, and asked again', async () => {
    for (const cause of [new Error('ECONNRESET'), new TypeError('x is not a function'), 'nonsense']) {
      const chain = new MadeChain()
      chain.mine()
      const reader = new Reader(chain)
      await reader.next()
      const next = reader.next()
      chain.lie.chainInfo = () => Promise.reject(cause)
      expect((await reader.when('failing')).error).to.include({ code: 'LEDGER_UNREACHABLE' })
      chain.mine()
      chain.lie = {}
      expect((await next)?.block.height).to.equal(2)
      await reader.close()
    }
  })

  it('from a height that the source has not reached -> waits for it; the genesis block is never told', async () => {
    const chain = new MadeChain()
    const reader = new Reader(chain, blockHeight(3))
    const next = reader.next()
    for (let i = 0; i < 4; i++) chain.mine()
    expect((await next)?.block.height).to.equal(3)
    await reader.close()
    const first = new Reader(chain, blockHeight(0))
    expect((await first.next())?.block.height).to.equal(1)
    await first.close()
  })

  it('the newest block is hours old -> synced, but stale (f 21)', async () => {
    for (const [hours, isStale] of [
      [1.9, false],
      [2.1, true],
    ] as const) {
      const chain = new MadeChain()
      chain.mine()
      const time = 1000 * chain.header().time
      const reader = new Reader(chain, blockHeight(1), { now: () => time + hours * 3_600_000 })
      await reader.next()
      const waiting = reader.next()
      expect(await reader.when('synced')).to.deep.equal({ kind: 'synced', isStale })
      chain.mine()
      await waiting
      await reader.close()
    }
  })

  it('the source fails -> not synced any more, whatever was told before, until it answers rightly (f 18)', async () => {
    for (const reason of ['timeout', 'what nobody has heard of']) {
      const chain = new MadeChain()
      chain.mine()
      const reader = new Reader(chain)
      await reader.next()
      const next = reader.next()
      await reader.when('synced')
      const error = new PerkunasError('LEDGER_UNREACHABLE', reason, { ledger: 'bitcoin' })
      chain.lie.chainInfo = () => Promise.reject(error)
      expect((await reader.when('failing')).error).to.equal(error)
      chain.mine()
      chain.lie = {}
      expect((await next)?.block.height).to.equal(2)
      await reader.close()
    }
  })

  it('a cursor that is damaged, or whose headers do not follow each other -> refused', async () => {
    const chain = new MadeChain()
    for (let i = 0; i < 3; i++) chain.mine()
    const headers = chain.blocks.map((block) => block.slice(0, 80))
    const make = (given: readonly Uint8Array[]) => () =>
      new ChainTracker({
        source: chain,
        network: 'regtest',
        from: { height: blockHeight(3), headers: given },
      })
    expect(make(headers)).to.not.throw()
    expect(make([])).to.throw('a cursor of headers')
    expect(make([...headers].reverse())).to.throw('a cursor of headers')
  })
})

describe('bitcoin/chain: tracker of a hostile source', () => {
  const lies: readonly (readonly [string, (chain: MadeChain) => Uint8Array])[] = [
    [
      'a block without work',
      (chain) => makeBlock({ previous: chain.header(3).hash, height: 4, worked: false }),
    ],
    [
      'a block whose target is easier than before',
      (chain) => makeBlock({ previous: chain.header(3).hash, height: 4, bits: 0x207f_fffe }),
    ],
    [
      'a target that regtest does not have',
      (chain) => makeBlock({ previous: chain.header(3).hash, height: 4, bits: 0x2100_ffff, worked: false }),
    ],
    [
      'transactions that are not those of the header',
      (chain) => makeBlock({ previous: chain.header(3).hash, height: 4, merkleRoot: new Uint8Array(32) }),
    ],
    ['a block of nowhere', () => makeBlock({ previous: `0x${'12'.repeat(32)}`, height: 4 })],
    ['half a block', (chain) => (chain.blocks[4] ?? new Uint8Array()).subarray(0, 90)],
    ['nothing', () => new Uint8Array()],
    ['more than a block can hold', () => new Uint8Array(4_000_001)],
  ]
  for (const [what, lie] of lies) {
    it(`${what} -> never told; told what is so once the source is honest again`, async () => {
      const chain = new MadeChain()
      for (let i = 0; i < 6; i++) chain.mine()
      const reader = new Reader(chain)
      chain.lie.rawBlock = async (height) => {
        const bytes = height === 4 ? lie(chain) : chain.blocks[height]
        return bytes && { height, bytes }
      }
      for (let i = 0; i < 3; i++) await reader.next()
      const next = reader.next()
      // The block of nowhere is one of another branch, which is then sought for in vain.
      let looks = 0
      const honest = chain.chainInfo.bind(chain)
      chain.chainInfo = async () => {
        if (++looks === 3) chain.lie = {}
        return honest()
      }
      await next
      await reader.until(chain.hashes().at(-1) ?? '')
      expect(looks).to.be.greaterThan(2)
      expect(reader.said).to.deep.equal(['+1', '+2', '+3', '+4', '+5', '+6'])
      await reader.close()
    })
  }

  it('another network from the beginning -> ends at once, and says why', async () => {
    const chain = new MadeChain()
    const honest = await chain.chainInfo()
    chain.lie.chainInfo = async () => ({ ...honest, network: 'main' })
    const failed = await failure(new Reader(chain).next())
    expect(failed).to.include({ code: 'INVALID_ARGUMENT' })
    expect(failed.message).to.contain('on main, not on regtest')
  })

  it('another network later -> nothing is told, and the status says why', async () => {
    const chain = new MadeChain()
    chain.mine()
    const reader = new Reader(chain)
    expect((await reader.next())?.block.height).to.equal(1)
    const honest = await chain.chainInfo()
    chain.lie.chainInfo = async () => ({ ...honest, network: 'main' })
    const next = reader.next()
    expect(String((await reader.when('failing')).error)).to.contain('on main, not on regtest')
    chain.lie = {}
    chain.mine()
    expect((await next)?.block.height).to.equal(2)
    await reader.close()
  })

  it('a longer branch of which one block has a target out of turn -> nothing is taken back for it', async () => {
    const chain = new MadeChain()
    for (let i = 0; i < 6; i++) chain.mine()
    const reader = new Reader(chain)
    await reader.until(chain.hashes().at(-1) ?? '')
    const honest = [...chain.blocks]
    chain.drop(3)
    for (let i = 0; i < 2; i++) chain.mine()
    chain.blocks.push(makeBlock({ previous: chain.header().hash, height: 6, bits: 0x207f_fffe }))
    chain.mine()
    const next = reader.next()
    await reader.when('failing')
    expect(reader.said.some((one) => one.startsWith('-'))).to.equal(false)
    chain.blocks.splice(0, chain.blocks.length, ...honest)
    chain.mine()
    await next
    await reader.until(chain.hashes().at(-1) ?? '')
    expect(reader.said.at(-1)).to.equal('+7')
    await reader.close()
  })
})
