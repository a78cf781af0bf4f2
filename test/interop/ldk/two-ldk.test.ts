// That the harness works: LDK against LDK, over a real chain and real TCP.
import { createHash, randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { type Hex, toHex } from '../../../channel/index.js'
import type { Ldk, LdkChannel } from '../../../scripts/ldk/ldk.js'
import { Regtest } from './regtest.js'

const SEED_A: Hex = `0x${'a1'.repeat(32)}`
const VALUE = 1_000_000n

describe('interop/ldk: two LDK nodes', () => {
  let regtest: Regtest
  before(async function () {
    this.timeout(60_000)
    regtest = await Regtest.start()
  })
  after(() => regtest[Symbol.asyncDispose]())

  async function open(a: Ldk, b: Ldk, push = 0n): Promise<Hex> {
    await a.call('connect', { peer: b.id, port: b.port })
    const temporary = await a.call('open', { peer: b.id, value: VALUE, push })
    const { channel } = await a.event('channelPending', (one) => one.temporary === temporary)
    // Until it is published there is nothing to mine.
    await a.call('sync', null)
    await regtest.mine()
    await Promise.all([a, b].map((node) => node.call('usable', channel)))
    return channel
  }

  it('open with anchors, pay both ways with and without invoices, hold, fail, close in agreement', async () => {
    const [a, b] = await Promise.all([regtest.ldk(), regtest.ldk()])
    const channel = await open(a, b, 200_000_000n)
    const [before] = await a.call('channels', null)
    expect(before).to.include({ id: channel, isOpener: true, hasAnchors: true, value: VALUE, peer: b.id })
    expect(await balances(a, b)).to.deep.equal([800_000_000n, 200_000_000n])

    const invoice = await b.call('invoice', { amount: 12_345_678n })
    const id = await a.call('pay', { invoice })
    await a.event('paid', (one) => one.hash === id)
    const hash = await b.call('keysend', { peer: a.id, amount: 1_000_001n, id: toHex(randomBytes(32)) })
    await b.event('paid', (one) => one.hash === hash)
    await settled(a, b, channel)
    expect(await balances(a, b)).to.deep.equal([788_654_323n, 211_345_677n])

    const preimage = randomBytes(32)
    const held = toHex(createHash('sha256').update(preimage).digest())
    await a.call('pay', { invoice: await b.call('invoice', { amount: 5_000n, hash: held }) })
    expect(await b.event('claimable', (one) => one.hash === held)).to.include({
      amount: 5_000n,
      isKeysend: false,
    })
    expect(await a.call('channels', null)).to.deep.include.members([{ ...(await only(a)), outgoing: 1 }])
    await b.call('claim', toHex(preimage))
    await a.event('paid', (one) => one.preimage === toHex(preimage))
    const other = toHex(createHash('sha256').update(randomBytes(32)).digest())
    const failing = await a.call('pay', { invoice: await b.call('invoice', { amount: 6_000n, hash: other }) })
    await b.event('claimable', (one) => one.hash === other)
    await b.call('fail', other)
    expect(await a.event('failed', (one) => one.id === failing)).to.include({ reason: 'RecipientRejected' })
    await settled(a, b, channel)
    expect(await balances(a, b)).to.deep.equal([788_649_323n, 211_350_677n])

    await a.call('close', { channel })
    const reasons = await Promise.all([a, b].map((node) => node.event('channelClosed')))
    expect(reasons.map(({ reason }) => reason)).to.deep.equal([
      'LocallyInitiatedCooperativeClosure',
      'CounterpartyInitiatedCooperativeClosure',
    ])
    await regtest.sync()
    expect(await regtest.mempool()).to.have.length(1)
    await regtest.mine(6)
    await Promise.all([a, b].map((node) => node.event('spendable')))
    await regtest.sync()
    expect(await regtest.mempool()).to.have.length(2)
    await Promise.all([a.stop(), b.stop()])
  })

  it('without anchors; one is restarted from its files; it closes alone and takes its coins', async () => {
    const directory = regtest.directory()
    const policy = { anchors: false }
    const a = await regtest.ldk({ directory, seed: SEED_A, policy })
    const b = await regtest.ldk({ policy })
    const channel = await open(a, b)
    const hash = await a.call('keysend', { peer: b.id, amount: 300_000_001n, id: toHex(randomBytes(32)) })
    await a.event('paid', (one) => one.hash === hash)
    await settled(a, b, channel)
    const before = await only(a)
    await a.stop()
    await regtest.mine(2)

    const again = await regtest.ldk({ directory, seed: SEED_A, policy })
    expect(again.id).to.equal(a.id)
    await again.call('connect', { peer: b.id, port: b.port })
    await Promise.all([again, b].map((node) => node.call('usable', channel)))
    expect(await only(again)).to.deep.equal(before)
    const next = await b.call('keysend', { peer: a.id, amount: 1_000n, id: toHex(randomBytes(32)) })
    await b.event('paid', (one) => one.hash === next)

    await again.call('forceClose', channel)
    expect(await regtest.mempool()).to.have.length(1)
    await regtest.mine(144)
    await again.event('spendable')
    await b.event('spendable')
  })
})

async function only(node: Ldk): Promise<LdkChannel> {
  const [channel] = await node.call('channels', null)
  if (channel === undefined) throw new Error('LDK has no channel')
  return channel
}

async function settled(a: Ldk, b: Ldk, channel: Hex): Promise<void> {
  await Promise.all([a, b].map((node) => node.call('idle', channel)))
}

/** What each has, in millisatoshis. */
async function balances(...nodes: readonly Ldk[]): Promise<readonly (bigint | undefined)[]> {
  return Promise.all(nodes.map(async (node) => (await only(node)).balance))
}
