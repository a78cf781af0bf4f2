// Records of one channel that can't be read, or that have no encoding: it costs that channel, and all others go on.
import { expect } from 'chai'
import type { Intent } from '../../../../backend/bitcoin/channel/index.js'
import type { LightningNode, NodeEvent } from '../../../../backend/bitcoin/node/index.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { msat, sat } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import type { PerkunasError } from '../../../../channel/errors.js'
import { openEnvelope, sealEnvelope } from '../../../../persistence/index.js'
import { failure } from '../../../client/parties.js'
import { until } from './stranger.js'
import { preimageOf, type TestNode, TestWorld } from './world.js'

const DAMAGED: readonly (readonly [what: string, key: RegExp])[] = [
  ['its state', /^lightning\/0\/state$/],
  ['its terms', /^lightning\/0\/terms$/],
  ['its monitor’s secrets', /^lightning-monitor\/0\/secrets$/],
  ['its monitor’s newest commitment', /^lightning-monitor\/0\/holder\//],
  ['whose it is', /^lightning-node\/channel\/0$/],
]
/** Without which a channel goes on. */
const SPARE: readonly (readonly [what: string, key: RegExp])[] = [
  ['where its funding is', /^lightning-node\/funding\/0$/],
  ['its funding', /^lightning-node\/own-funding\/0$/],
]
const ITS_MONITOR = /^lightning-monitor\/0\//

describe('LightningNode: a channel whose records can not be read', () => {
  let world: TestWorld
  let alice: TestNode
  let bob: TestNode
  let errors: PerkunasError[]
  let told: NodeEvent[]

  beforeEach(async () => {
    world = new TestWorld()
    alice = world.node('alice')
    bob = world.node('bob')
    await bob.start()
    await started()
    for (let i = 0; i < 2; i++)
      await alice.running.open({
        peer: bob.id,
        address: 'memory://bob',
        capacity: sat(1_000_000n),
        push: msat(300_000_000n),
      })
    await world.chain.mine(6)
    for (const node of [alice, bob])
      for (const channel of [0n, 1n]) await node.running.until(channel, ({ phase }) => phase === 'normal')
  })

  afterEach(() => world.stop())

  async function started(options: Parameters<TestNode['start']>[0] = {}): Promise<LightningNode> {
    const node = await alice.start(options)
    errors = []
    told = []
    node.events$.subscribe((event) => told.push(event))
    node.errors$.subscribe((error) => errors.push(error))
    return node
  }

  /** Changes rows of a node that does not run. */
  async function change(key: RegExp, alter: (row: Uint8Array) => Uint8Array | undefined): Promise<void> {
    const found = [...alice.store.snapshot()].filter(([one]) => key.test(one))
    expect(found, `${key}`).to.not.have.length(0)
    for (const [one, row] of found) {
      const value = alter(row)
      await alice.store.commit([
        value === undefined ? { kind: 'delete', key: one } : { kind: 'put', key: one, value },
      ])
    }
  }

  const flipped = (row: Uint8Array) => row.map((byte, i) => (i === row.length - 6 ? byte ^ 1 : byte))

  async function pays(number: number): Promise<void> {
    const { balances } = bob.running.channel(1n)?.live ?? {}
    const preimage = preimageOf(number)
    bob.htlcs.preimages.set(toHex(sha256(preimage)), preimage)
    await alice.offer(1n, msat(5_000_000n), number)
    await bob.running.until(
      1n,
      ({ live }) => live?.htlcs.length === 0 && live.balances.local > (balances?.local ?? 0n),
    )
  }

  for (const [what, key] of DAMAGED)
    it(`${what} is damaged -> told, nothing said for it or published by itself, and the other one pays`, async () => {
      await alice.stop()
      await change(key, flipped)
      const rows = alice.store.snapshot()
      const backups: Uint8Array[] = []
      const node = await started({ onBackup: (one) => void backups.push(one) })
      await until(() => errors.length > 0)
      expect(errors.map(({ code }) => code)).to.deep.equal(['INVALID_RECORD'])
      expect(node.quarantined().map(({ channel }) => channel)).to.deep.equal([0n])
      expect(told.filter(({ kind }) => kind === 'quarantined')).to.have.length(1)
      expect(node.channels().map(({ channel }) => channel)).to.deep.equal([1n])
      await node.until(1n, ({ live }) => live?.isConnected === true)
      await pays(1)
      // Nothing of ours made the peer close it, and the call says why we don't.
      expect(bob.running.channel(0n)?.phase).to.equal('normal')
      expect(await failure(node.forceClose(0n))).to.include({ code: 'INVALID_RECORD' })
      await world.chain.mine(3)
      expect(world.chain.mempool.size).to.equal(0)
      // A backup without it must not take the place of one that has it.
      expect(backups).to.deep.equal([])
      expect(() => node.backup()).to.throw('lightning')
      expect(await failure(node.open({ peer: bob.id, capacity: sat(100_000n) }))).to.include({
        code: 'INVALID_RECORD',
      })
      // Its rows are as they were: a newer release, or an expert, may read them.
      const isIts = (one: string) => /^lightning(-monitor|-node\/[a-z-]+)?\/0(\/|$)/.test(one)
      for (const [one, row] of rows)
        if (isIts(one)) expect(alice.store.snapshot().get(one)).to.deep.equal(row)
    })

  for (const [what, key] of SPARE)
    it(`${what} is damaged -> told, and it goes on without`, async () => {
      await alice.stop()
      await change(key, flipped)
      const node = await started()
      await until(() => errors.length > 0)
      expect(errors.map(({ code }) => code)).to.deep.equal(['INVALID_RECORD'])
      expect(node.quarantined()).to.deep.equal([])
      await node.until(0n, ({ live }) => live?.isConnected === true)
      await world.chain.mine(1)
      expect(node.channel(0n)?.live?.confirmations).to.equal(7)
      expect(() => node.backup()).to.not.throw()
      await node.close(0n)
      await until(() => world.chain.mempool.size > 0)
    })

  const owned = () => alice.wallet.scripts.reduce((sum, one) => sum + world.chain.paid(one), 0n)

  /** All rows of it are gone. */
  const gone = () =>
    until(() =>
      [...alice.store.snapshot().keys()].every(
        (one) => !/^lightning(-[a-z]+)*(\/[a-z-]+)?\/0(\/|$)/.test(one),
      ),
    )

  /** Bob comes back with what he had before a payment to him went back, and publishes it: it is revoked. */
  async function cheated(): Promise<void> {
    const old = bob.store.clone()
    const preimage = preimageOf(1)
    alice.htlcs.preimages.set(toHex(sha256(preimage)), preimage)
    await bob.offer(0n, msat(200_000_000n), 1)
    for (const { running } of [alice, bob])
      await running.until(
        0n,
        ({ live }) =>
          live?.htlcs.length === 0 &&
          live.balances.local !== 700_000_000n &&
          live.balances.local !== 300_000_000n,
      )
    await alice.stop()
    await bob.stop()
    bob.store = old
    await bob.start()
    await bob.running.forceClose(0n)
    await until(() => world.chain.mempool.size === 1)
    await bob.stop()
  }

  for (const [what, key] of DAMAGED)
    it(`${what} is damaged, the peer publishes what it revoked -> punished, at once or when it is mended`, async () => {
      const before = owned()
      await cheated()
      const good = alice.store.clone()
      await change(key, flipped)
      const isDefended = !ITS_MONITOR.test(key.source.replaceAll('\\', '').slice(1))
      const node = await started()
      expect(node.quarantined().map((one) => one.isDefended)).to.deep.equal([isDefended])
      await world.chain.mine(1)
      if (isDefended) {
        await until(() => world.chain.mempool.size > 0)
        expect(node.spent(0n)?.by).to.equal('revoked')
        expect(node.claimable(0n)).to.not.have.length(0)
      }
      await world.chain.mine(1)
      await alice.stop()
      const rows = good.snapshot()
      for (const [one, value] of rows)
        if (key.test(one)) await alice.store.commit([{ kind: 'put', key: one, value }])
      await started()
      expect(alice.running.quarantined()).to.deep.equal([])
      expect(alice.running.spent(0n)?.by).to.equal('revoked')
      expect(alice.running.channel(0n)?.phase).to.equal('failed')
      if (!isDefended) await until(() => world.chain.mempool.size > 0)
      await world.chain.mine(10)
      expect(alice.running.channel(0n)).to.equal(undefined)
      expect(owned() - before >= 990_000n, 'all of it is ours').to.equal(true)
      await gone()
    })

  it('what the peer publishes is taken to the end before it is mended -> then it is over', async () => {
    await cheated()
    const key = /^lightning\/0\/state$/
    const good = alice.store.clone()
    await change(key, flipped)
    await started()
    await world.chain.mine(1)
    await until(() => world.chain.mempool.size > 0)
    await world.chain.mine(20)
    expect(alice.running.claimable(0n)).to.deep.equal([])
    await alice.stop()
    for (const [one, value] of good.snapshot())
      if (key.test(one)) await alice.store.commit([{ kind: 'put', key: one, value }])
    await started()
    await until(() => alice.running.channel(0n) === undefined)
    await gone()
  })

  it('it was to be closed by our commitment -> nothing of ours is published without the record of what was signed', async () => {
    await bob.stop()
    await alice.running.forceClose(0n)
    await until(() => world.chain.mempool.size === 1)
    const [commitment] = world.chain.mempool.values()
    await alice.stop()
    world.chain.mempool.clear()
    await change(/^lightning\/0\/state$/, flipped)
    const node = await started()
    await world.chain.mine(2)
    expect(world.chain.mempool.size).to.equal(0)
    // Once it is on chain all the same, what it pays to us is claimed.
    if (commitment !== undefined) await world.chain.broadcast([commitment])
    await world.chain.mine(1)
    expect(node.spent(0n)?.by).to.equal('holderNewest')
    await world.chain.mine(200)
    await until(() => world.chain.mempool.size > 0)
  })

  /** Bob keeps what alice offers him. @returns the height from which on it may be lost */
  async function offered(): Promise<number> {
    const { htlcs } = bob
    const handed = htlcs.handed.bind(htlcs)
    htlcs.handed = (...given) => ({ ...handed(...given), wishes: [] })
    const expiry = world.chain.tip.height + 60
    await alice.offer(0n, msat(5_000_000n), 1, expiry)
    await until(() => bob.htlcs.seen.has('locked 0 remote 0'))
    await alice.running.until(0n, ({ live }) => live?.obligations.length === 1)
    expect(alice.running.channel(0n)?.live?.obligations[0]?.height).to.equal(expiry + 3)
    return expiry + 3
  }

  const isMustMend = (event: NodeEvent) => (event.kind === 'mustMend' ? [event] : [])

  for (const [what, key] of DAMAGED)
    it(`${what} is damaged, with an HTLC -> told at the start, and as its deadline comes near, by when to mend it`, async () => {
      const height = await offered()
      await alice.stop()
      const good = alice.store.clone()
      await change(key, flipped)
      const node = await started()
      await until(() => told.some(({ kind }) => kind === 'mustMend'))
      const value = sat(5_000n)
      const [first] = told.flatMap(isMustMend)
      expect(first).to.deep.include({ kind: 'mustMend', channel: 0n, height, value })
      expect(first?.error.message).to.contain(`from block ${height} on: mend it before, or ask its peer`)
      expect(errors.map(({ code }) => code)).to.deep.equal(['INVALID_RECORD', 'INVALID_RECORD'])
      const own = { kind: 'mend', channel: 0n, height, value }
      expect(node.obligations(0n).filter(({ kind }) => kind === 'mend')).to.deep.equal([own])
      expect(node.obligations().filter(({ kind }) => kind === 'mend')).to.deep.equal([own])
      const left = height - node.height
      await world.chain.mine(left)
      expect(told.flatMap(isMustMend).length).to.equal(1 + [36, 18, 6, 3, 1, 0].length)
      // Late: and all the same nothing of ours, since nobody knows whether it is revoked.
      await world.chain.mine(3)
      expect(world.chain.mempool.size).to.equal(0)
      await alice.stop()
      for (const [one, row] of good.snapshot())
        if (key.test(one)) await alice.store.commit([{ kind: 'put', key: one, value: row }])
      await started()
      expect(alice.running.obligations().filter(({ kind }) => kind === 'mend')).to.deep.equal([])
      await world.chain.mine(1)
      await until(() => world.chain.mempool.size > 0)
      expect(alice.running.channel(0n)?.live?.failure?.cause).to.equal('expiry')
    })

  const isUndefended = (event: NodeEvent) => (event.kind === 'undefended' ? [event] : [])

  for (const part of ['secrets', 'terms', 'holder/0', 'released'])
    it(`its monitor’s ${part} damaged, the peer closes it -> nothing defends it, and that is told, with each start, until it is mended`, async () => {
      await alice.stop()
      const good = alice.store.clone()
      const key = new RegExp(`^lightning-monitor/0/${part}$`)
      await change(key, flipped)
      await started()
      await bob.running.forceClose(0n)
      await until(() => world.chain.mempool.size === 1)
      const [txid] = world.chain.mempool.keys()
      await world.chain.mine(1)
      const { height } = world.chain.tip
      const end = height + 144
      const seen = { kind: 'undefended', channel: 0n, peer: bob.id, txid, height, until: end }
      expect(told.flatMap(isUndefended)).to.have.length(1)
      expect(told.flatMap(isUndefended)[0]).to.deep.include(seen)
      expect(errors.at(-1)).to.include({ code: 'INVALID_RECORD' })
      expect(errors.at(-1)?.message).to.contain(`mended before block ${end}`)
      // Undone, and there again.
      await world.chain.undo(1)
      expect([...alice.store.snapshot().keys()]).to.not.include('lightning-node/spent/0')
      await world.chain.mine(2)
      expect(told.flatMap(isUndefended)).to.have.length(2)
      await alice.stop()
      await started()
      await until(() => told.flatMap(isUndefended).length === 1)
      expect(told.flatMap(isUndefended)[0]).to.deep.include(seen)
      await alice.stop()
      for (const [one, row] of good.snapshot())
        if (key.test(one)) await alice.store.commit([{ kind: 'put', key: one, value: row }])
      await started()
      expect(alice.running.spent(0n)?.by).to.equal('counterpartyCurrent')
      await world.chain.mine(200)
      expect(told.flatMap(isUndefended)).to.deep.equal([])
      expect([...alice.store.snapshot().keys()]).to.not.include('lightning-node/spent/0')
    })

  it('closed before its monitor is damaged, or while nobody looks -> told at the start', async () => {
    await bob.running.forceClose(0n)
    await until(() => world.chain.mempool.size === 1)
    const early = alice.store.clone()
    await world.chain.mine(1)
    const { height } = world.chain.tip
    await alice.stop()
    const late = alice.store
    for (const store of [early, late]) {
      alice.store = store
      await change(/^lightning-monitor\/0\/secrets$/, flipped)
      await started()
      await until(() => told.flatMap(isUndefended).length === 1)
      expect(told.flatMap(isUndefended)[0]).to.deep.include({ channel: 0n, height })
      await alice.stop()
    }
    await started()
  })

  it('all but the node’s own rows of it are lost -> told, and no backup takes the place of one that has it', async () => {
    await alice.stop()
    await change(/^lightning(-monitor)?\/0\//, () => undefined)
    const backups: Uint8Array[] = []
    const node = await started({ onBackup: (one) => void backups.push(one) })
    await until(() => errors.length > 0)
    expect(errors.map(({ code }) => code)).to.deep.equal(['INVALID_RECORD'])
    expect(node.quarantined().map(({ channel }) => channel)).to.deep.equal([0n])
    await node.until(1n, ({ live }) => live?.isConnected === true)
    await pays(1)
    expect(backups).to.deep.equal([])
    expect(bob.running.channel(0n)?.phase).to.equal('normal')
  })

  it('rows of it are missing -> likewise', async () => {
    for (const key of [/^lightning\/0\/terms$/, /^lightning-monitor\/0\/terms$/]) {
      await alice.stop()
      const kept = alice.store.clone()
      await change(key, () => undefined)
      const node = await started()
      expect(node.quarantined().map(({ channel }) => channel)).to.deep.equal([0n])
      await node.until(1n, ({ live }) => live?.isConnected === true)
      await alice.stop()
      alice.store = kept
      await started()
      expect(alice.running.quarantined()).to.deep.equal([])
    }
  })

  it('a row of a newer release -> INVALID_RECORD at the start: nothing is wrong with it', async () => {
    await alice.stop()
    await change(/^lightning\/0\/state$/, (row) => {
      const key = 'lightning/0/state'
      return sealEnvelope(key, { ...openEnvelope(key, row), version: 99 })
    })
    const refused = await failure(started())
    expect(refused).to.include({ code: 'INVALID_RECORD' })
    expect(refused.message).to.match(/newer release/)
  })

  it('what all depends on is damaged -> INVALID_RECORD at the start', async () => {
    await alice.stop()
    await change(/^lightning-node\/next$/, flipped)
    expect(await failure(started())).to.include({ code: 'INVALID_RECORD' })
  })

  it('a step that has no encoding -> its channel stands still as it was, nothing of it leaves, and the other one pays', async () => {
    const { htlcs } = alice
    const handed = htlcs.handed.bind(htlcs)
    // For what comes by one channel, whoever decides about HTLCs wants of the other one what can't be written.
    const intent: Intent = JSON.parse('{ "kind": "fee", "feerate": 300.5 }')
    htlcs.handed = (channel, handoff) => {
      const { wishes, ...rest } = handed(channel, handoff)
      return { ...rest, wishes: handoff.kind === 'locked' ? [...wishes, { channel: 0n, intent }] : wishes }
    }
    await bob.offer(1n, msat(4_000_000n), 7)
    await until(() => errors.length > 0)
    expect(errors.map(({ code }) => code)).to.deep.equal(['INTERNAL'])
    expect(alice.running.stopped).to.equal(undefined)
    expect(alice.running.channel(0n)?.stopped).to.include({ code: 'INTERNAL' })
    htlcs.handed = handed
    await bob.running.until(1n, ({ live }) => live?.htlcs.length === 0)
    await pays(1)
    // What it had said and stored before still fits together.
    const node = await alice.crash()
    await node.until(0n, ({ live }) => live?.isConnected === true)
    expect(node.channel(0n)?.live?.balances.local).to.equal(700_000_000n)
    await node.forceClose(0n)
    await until(() => world.chain.mempool.size === 1)
  })

  it('a step that has no encoding after one that handed on -> its channel is as it was then, and nothing is handed on twice', async () => {
    const { htlcs } = alice
    const handed = htlcs.handed.bind(htlcs)
    const kinds: string[] = []
    const intent: Intent = JSON.parse('{ "kind": "fee", "feerate": 300.5 }')
    htlcs.handed = (channel, handoff) => {
      if (channel === 0n) kinds.push(handoff.kind)
      const { wishes, ...rest } = handed(channel, handoff)
      return { ...rest, wishes: handoff.kind === 'locked' ? [...wishes, { channel, intent }] : wishes }
    }
    htlcs.preimages.set(toHex(sha256(preimageOf(7))), preimageOf(7))
    await bob.offer(0n, msat(4_000_000n), 7)
    await until(() => errors.length > 0)
    expect(errors.map(({ code }) => code)).to.deep.equal(['INTERNAL'])
    expect(alice.running.stopped).to.equal(undefined)
    expect(alice.running.channel(0n)?.stopped).to.include({ code: 'INTERNAL' })
    expect(alice.running.channel(0n)?.live?.htlcs).to.have.length(1)
    htlcs.handed = (channel, handoff) => {
      if (channel === 0n) kinds.push(handoff.kind)
      return handed(channel, handoff)
    }
    await pays(1)
    const node = await alice.crash()
    await node.until(0n, ({ live }) => live?.isConnected === true)
    // What else was wanted of it was kept, which nobody would want again: what others say we took, we get.
    expect(htlcs.seen.get('locked 0 remote 0')).to.equal('taken 4000000')
    await node.until(0n, ({ live }) => live?.htlcs.length === 0)
    await bob.running.until(0n, ({ live }) => live?.htlcs.length === 0)
    expect(kinds).to.deep.equal(['locked', 'removed'])
    expect(node.channel(0n)?.live?.balances.local).to.equal(704_000_000n)
  })
})
