// What a node does that does not see the chain: nobody may find out by a loss.
import { expect } from 'chai'
import {
  type ChainStatus,
  LightningNode,
  lightningInit,
  sourceChain,
} from '../../../../backend/bitcoin/node/index.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { blockHeight, msat, sat } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import { isError, PerkunasError } from '../../../../channel/errors.js'
import { createIdentity, memoryTransport, PeerBus } from '../../../../peer/index.js'
import { MemoryStore } from '../../../../persistence/index.js'
import { failure } from '../../../client/parties.js'
import { MadeChain } from '../chain/made.js'
import { TestWallet } from './test-wallet.js'
import { preimageOf, TestNode, TestWorld } from './world.js'

describe('LightningNode: without sight of the chain', () => {
  describe('over a source', () => {
    let source: MadeChain
    let node: LightningNode
    let bus: PeerBus
    let errors: PerkunasError[]

    beforeEach(async () => {
      source = new MadeChain()
      for (let i = 0; i < 10; i++) source.mine()
      const chain = sourceChain({ source, network: 'regtest', pollingInterval: 1, patience: 1 })
      const identity = createIdentity(sha256(Uint8Array.of(1)))
      const dialers = [memoryTransport().dialer]
      bus = new PeerBus({ identity, dialers, ...lightningInit(chain.chainHash) })
      const wallet = new TestWallet('alice')
      const seed = new Uint8Array(32).fill(1)
      node = await LightningNode.start({ bus, store: new MemoryStore(), chain, wallet, seed })
      errors = []
      node.errors$.subscribe((error) => errors.push(error))
    })

    afterEach(async () => {
      await node.stop()
      await bus.close()
    })

    const reached = () => node.eventually(() => node.height === source.height || undefined)
    const told = async (code: string) => {
      while (!errors.some((error) => error.code === code))
        await new Promise((resolve) => setImmediate(resolve))
    }

    it('it throws what is no error of ours, of blocks or of fees -> told, and gone on with', async () => {
      source.lie = { chainInfo: () => Promise.reject(new Error('ECONNRESET')) }
      await told('LEDGER_UNREACHABLE')
      source.lie = {}
      const { feeTable } = source
      source.feeTable = () => Promise.reject(new TypeError('no such thing'))
      source.mine()
      await reached()
      source.feeTable = feeTable
      source.mine()
      await reached()
      expect(node.stopped).to.equal(undefined)
      expect(errors.map(({ message }) => message.replace(/.*: /, ''))).to.include.members([
        'ECONNRESET',
        'no such thing',
      ])
    })

    it('six blocks at once -> told as few that are on their way; a source that fails, as none', async () => {
      await reached()
      const { said, followed } = await toldOf(source)
      for (let i = 0; i < 6; i++) source.mine()
      while (said.length < 2 || said.at(-1)?.isSynced !== true)
        await new Promise((resolve) => setImmediate(resolve))
      expect(said).to.deep.include({ isSynced: false, isCatchingUp: true })
      expect(said.filter(({ isSynced, isCatchingUp }) => !isSynced && !isCatchingUp)).to.deep.equal([])
      source.lie = { chainInfo: () => Promise.reject(new Error('ECONNRESET')) }
      while (said.at(-1)?.isSynced === true) await new Promise((resolve) => setImmediate(resolve))
      expect(said.at(-1)).to.include({ isSynced: false }).and.not.have.property('isCatchingUp')
      await followed.stop()
    })

    it('a reorg that has not all its blocks yet -> told as few that are on their way, until it has them', async () => {
      await reached()
      const { said, followed } = await toldOf(source)
      source.drop(3)
      for (let i = 0; i < 2; i++) source.mine()
      while (said.length === 0) await new Promise((resolve) => setImmediate(resolve))
      expect(said).to.deep.equal([{ isSynced: false, isCatchingUp: true }])
      for (let i = 0; i < 2; i++) source.mine()
      while (said.at(-1)?.isSynced !== true) await new Promise((resolve) => setImmediate(resolve))
      expect(said.filter(({ isSynced, isCatchingUp }) => !isSynced && !isCatchingUp)).to.deep.equal([])
      await followed.stop()
    })

    it('on another network than was said -> the start ends at once, and says so', async () => {
      const wrong = sourceChain({ source, network: 'main' })
      const cursor = {
        height: blockHeight(10),
        headers: [(source.blocks[10] ?? new Uint8Array()).subarray(0, 80)],
      }
      for (const from of [undefined, cursor]) {
        const failed = await failure(wrong.follow(from, async () => undefined))
        expect(failed).to.include({ code: 'INVALID_ARGUMENT' })
        expect(failed.message).to.contain('it is on regtest, not on main')
      }
      const typo: string = 'bitcoin'
      const options: object = { source, network: typo }
      expect(() => Reflect.apply(sourceChain, undefined, [options])).to.throw(
        PerkunasError,
        /regtest expected, got bitcoin/,
      )
    })

    it('a reorg of some blocks right after the first start -> followed', async () => {
      source.drop(4)
      for (let i = 0; i < 6; i++) source.mine()
      await reached()
      expect([node.stopped, errors]).to.deep.equal([undefined, []])
    })

    it('it is closed under the node -> the node stops, and says so', async () => {
      source.lie = {
        chainInfo: () => Promise.reject(new PerkunasError('CLOSED', 'it is', { what: 'source' })),
      }
      await told('CLOSED')
      expect(node.stopped).to.include({ code: 'CLOSED', message: 'it is' })
    })

    it('a reorg deeper than all that it knows -> the node stops, and says so', async () => {
      source.drop(9)
      for (let i = 0; i < 12; i++) source.mine()
      await told('INVALID_STATE')
      expect(isError(node.stopped, 'INVALID_STATE')).to.equal(true)
    })

    it('stopped by its user -> no error', async () => {
      await node.stop()
      await new Promise((resolve) => setImmediate(resolve))
      expect([node.stopped?.code, errors]).to.deep.equal(['CLOSED', []])
    })
  })

  it('payments meanwhile -> failed for now, and not released; afterwards they go on', async () => {
    const world = new TestWorld()
    const [a, b] = [world.node('a'), world.node('b')] as const
    for (const node of [a, b]) {
      node.hasPayments = true
      await node.start()
    }
    const { channel } = await a.running.open({ peer: b.id, capacity: sat(1_000_000n) })
    await world.chain.mine(10)
    await a.running.until(channel, ({ phase }) => phase === 'normal')
    const keysend = (n: number) =>
      a.running.payments.pay({
        id: toHex(sha256(Uint8Array.of(n))),
        request: { kind: 'spontaneous', peer: b.id, amount: msat(7_000n) },
      })
    const preimage = sha256(Uint8Array.of(99))
    const { invoice, paymentHash } = await b.running.payments.invoice({
      amount: msat(60_000n),
      description: { kind: 'text', text: 'a coat' },
      paymentHash: toHex(sha256(preimage)),
    })
    const paying = a.running.payments.pay({
      id: toHex(sha256(Uint8Array.of(1))),
      request: { kind: 'invoice', invoice: invoice?.text ?? '' },
    })
    await b.running.eventually(() =>
      b.running.payments.list().incoming.find(({ status }) => status.kind === 'held'),
    )

    world.chain.status(false, 1)
    expect(await failure(b.running.payments.release(paymentHash, preimage))).to.include({
      code: 'LEDGER_UNREACHABLE',
    })
    const { status } = await keysend(2)
    expect(status).to.deep.include({ kind: 'failed' })
    const why =
      status.kind === 'failed' && status.failure.kind === 'rejected' ? status.failure.failure : undefined
    expect(why?.kind).to.equal('temporary_node_failure')

    world.chain.status(true)
    // Not on a payer's side either: an expiry that is counted from a height long past.
    world.chain.status(false, 0)
    expect(await failure(keysend(4))).to.include({ code: 'LEDGER_UNREACHABLE' })
    expect((await keysend(2)).status.kind, 'what is over is told all the same').to.equal('failed')
    world.chain.status(true)
    expect((await keysend(4)).status.kind).to.equal('succeeded')
    await b.running.payments.release(paymentHash, preimage)
    expect((await paying).status.kind).to.equal('succeeded')
    expect((await keysend(3)).status.kind).to.equal('succeeded')
    await world.stop()
  })

  it('channels meanwhile -> none is opened by either side; afterwards they are', async () => {
    const world = new TestWorld()
    const [alice, bob] = [world.node('alice'), world.node('bob')]
    const [a] = [await alice.start(), await bob.start()]
    const opened = () => a.open({ peer: bob.id, address: 'memory://bob', capacity: sat(100_000n) })
    world.chain.status(false, 0)
    expect(await failure(opened())).to.include({ code: 'LEDGER_UNREACHABLE' })
    expect(a.channels()).to.deep.equal([])
    world.chain.status(true)
    world.chain.status(false, 1)
    const refused = await failure(opened())
    expect(refused).to.include({ code: 'PEER_REJECTED' })
    expect(refused.message).to.match(/does not see the chain/)
    world.chain.status(true)
    await opened()
    await world.stop()
  })

  it('only some blocks are missing -> openings and payments of ours, and openings of peers, wait for them', async () => {
    const world = new TestWorld()
    const [alice, bob] = [world.node('alice'), world.node('bob')]
    for (const one of [alice, bob]) {
      one.hasPayments = true
      await one.start()
    }
    const a = alice.running
    const { channel } = await a.open({ peer: bob.id, address: 'memory://bob', capacity: sat(1_000_000n) })
    await world.chain.mine(10)
    await a.until(channel, ({ phase }) => phase === 'normal')
    const pay = (n: number, signal?: AbortSignal) => {
      const id = toHex(sha256(Uint8Array.of(n)))
      const request = { kind: 'spontaneous', peer: bob.id, amount: msat(7_000n) } as const
      return a.payments.pay({ id, request }, signal ? { signal } : {})
    }
    const open = () => a.open({ peer: bob.id, capacity: sat(100_000n) })
    const few = () => new Promise<void>((resolve) => setTimeout(resolve, 20))

    world.chain.status(false, 0, true)
    let over = 0
    const count = () => void over++
    const ours = [open(), pay(1)]
    for (const one of ours) one.then(count, count)
    const abort = new AbortController()
    const aborted = failure(pay(2, abort.signal))
    await few()
    expect(over, 'nothing is decided without sight').to.equal(0)
    abort.abort()
    expect(await aborted).to.include({ code: 'ABORTED' })
    world.chain.status(true, 0)
    await Promise.all(ours)

    // What comes of a source that fails meanwhile is as before.
    world.chain.status(false, 0, true)
    const blind = [failure(open()), failure(pay(3))]
    await few()
    world.chain.status(false, 0)
    for (const one of await Promise.all(blind)) expect(one).to.include({ code: 'LEDGER_UNREACHABLE' })
    world.chain.status(true, 0)

    // Also what is paid to a node that lacks them.
    world.chain.status(false, 1, true)
    const paid = pay(4)
    await bob.running.eventually(
      () => bob.running.payments.list().incoming.some(({ parts }) => parts.length === 1) || undefined,
    )
    expect(bob.running.channel(0n)?.live?.htlcs.length).to.equal(1)
    world.chain.status(true, 1)
    expect((await paid).status.kind).to.equal('succeeded')

    world.chain.status(false, 1, true)
    const theirs = open()
    await few()
    expect(bob.running.channels().length).to.equal(2)
    world.chain.status(true, 1)
    await theirs
    world.chain.status(false, 1, true)
    const refused = failure(open())
    await few()
    world.chain.status(false, 1)
    expect((await refused).message).to.match(/does not see the chain/)
    await world.stop()
  })

  it('its chain is not followed any more -> it stops, and says so', async () => {
    const world = new TestWorld()
    const alice = world.node('alice')
    const node = await alice.start()
    const errors: string[] = []
    node.errors$.subscribe(({ code }) => errors.push(code))
    world.chain.end(new Error('the end'))
    await new Promise((resolve) => setImmediate(resolve))
    expect([node.stopped?.code, errors]).to.deep.equal(['INTERNAL', ['INTERNAL']])
    await world.stop()
  })

  it('one read of the store fails while a revoked commitment is on chain -> the penalty takes its HTLCs all the same', async () => {
    const world = new TestWorld()
    const [alice, mallory] = [world.node('alice'), world.node('mallory')]
    const inner = alice.store
    let left = 0
    const store = {
      get: async (key: string) => {
        if (key.startsWith('lightning-revoked') && left-- > 0) throw new Error('connection reset')
        return inner.get(key)
      },
      scan: inner.scan.bind(inner),
      commit: inner.commit.bind(inner),
      close: inner.close.bind(inner),
    }
    const [a, m] = [await alice.start({ store }), await mallory.start()]
    const errors: string[] = []
    a.errors$.subscribe(({ message }) => errors.push(message))
    await m.open({ peer: alice.id, capacity: sat(1_000_000n) })
    await world.chain.mine(6)
    for (const node of [a, m]) await node.until(0n, ({ phase }) => phase === 'normal')
    const handed = alice.htlcs.handed.bind(alice.htlcs)
    alice.htlcs.handed = () => ({ wishes: [], effects: [] })
    await mallory.offer(0n, msat(500_000_000n), 1)
    for (const node of [a, m]) await node.until(0n, ({ live }) => live?.htlcs[0]?.stage === 'locked')
    const old = mallory.store.clone()
    alice.htlcs.handed = handed
    const removal = { kind: 'fulfill', preimage: preimageOf(1) } as const
    await a.want(0n, { kind: 'want', intent: { kind: 'remove', id: 0n, removal } })
    await a.until(0n, ({ live }) => live?.htlcs.length === 0 && live.balances.local === 500_000_000n)
    await mallory.stop()

    left = 1
    const elsewhere = new TestWorld()
    Object.assign(elsewhere, { chain: world.chain })
    const cheat = new TestNode('mallory', elsewhere, old)
    Object.assign(elsewhere, { nodes: [cheat] })
    await (await cheat.start()).forceClose(0n)
    await cheat.stop()
    while (a.channels().length > 0) {
      await world.chain.mine()
      for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve))
    }
    expect(errors).to.deep.equal(['store: connection reset'])
    const paid = alice.wallet.scripts.reduce((sum, script) => sum + world.chain.paid(script), 0n)
    expect(Number(paid)).to.be.greaterThan(990_000)
    await world.stop()
  })
})

/** What is told of a chain whose source is looked at all the time, from now on. */
async function toldOf(source: MadeChain) {
  const said: ChainStatus[] = []
  const chain = sourceChain({ source, network: 'regtest', pollingInterval: 1, patience: 1 })
  const followed = await chain.follow(
    undefined,
    async () => undefined,
    (status) => said.push(status),
  )
  said.length = 0
  return { said, followed }
}
