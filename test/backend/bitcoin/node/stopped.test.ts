// A channel that a mistake of ours has stopped: it says nothing any more, and does what its money depends on all the same.
import { expect } from 'chai'
import { isLive } from '../../../../backend/bitcoin/channel/index.js'
import { Draft } from '../../../../backend/bitcoin/node/draft.js'
import type { Entry } from '../../../../backend/bitcoin/node/entries.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { type FeeratePerKw, msat, sat } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import type { PerkunasError } from '../../../../channel/errors.js'
import { failure } from '../../../client/parties.js'
import { until } from './stranger.js'
import { preimageOf, type TestNode, TestWorld } from './world.js'

/** What no record can hold. */
const NO_FEERATE: FeeratePerKw = JSON.parse('300.5')
const { finish, handsOn } = Draft.prototype

describe('LightningNode: a channel that a mistake of ours has stopped', () => {
  let world: TestWorld
  let alice: TestNode
  let bob: TestNode
  let errors: PerkunasError[]

  beforeEach(async () => {
    world = new TestWorld()
    alice = world.node('alice')
    bob = world.node('bob')
    await bob.start()
    await started()
  })

  afterEach(() => {
    Object.assign(Draft.prototype, { finish, handsOn })
    return world.stop()
  })

  async function started(): Promise<void> {
    const node = await alice.start()
    errors = []
    node.errors$.subscribe((error) => errors.push(error))
  }

  async function opened(channels = 1): Promise<void> {
    for (let i = 0; i < channels; i++) {
      const peer = { peer: bob.id, address: 'memory://bob' }
      await alice.running.open({ ...peer, capacity: sat(1_000_000n), push: msat(300_000_000n) })
    }
  }

  async function inUse(channels = 1): Promise<void> {
    await opened(channels)
    await world.chain.mine(6)
    for (const node of [alice, bob])
      for (let i = 0n; i < channels; i++) await node.running.until(i, ({ phase }) => phase === 'normal')
  }

  /** Alice pays over the other channel. */
  async function pays(number: number): Promise<void> {
    bob.htlcs.preimages.set(toHex(sha256(preimageOf(number))), preimageOf(number))
    await alice.offer(1n, msat(5_000_000n), number)
    await until(() => alice.htlcs.ends.get(`alice ${number}`) === 'fulfilled 5000000')
  }

  /** What bob offers, and alice neither takes nor fails. */
  async function kept(number: number): Promise<void> {
    const { htlcs } = alice
    const handed = htlcs.handed.bind(htlcs)
    htlcs.handed = (channel, handoff) => ({ ...handed(channel, handoff), wishes: [] })
    await bob.offer(0n, msat(200_000_000n), number)
    await until(() => htlcs.seen.has('locked 0 remote 0'))
    await bob.running.until(0n, ({ live }) => live?.htlcs[0]?.stage === 'locked')
  }

  /** The first turn after which alice's channel is so has no encoding. */
  function spoil(isSo: (entry: Entry) => boolean): void {
    let isDone = false
    Draft.prototype.finish = function (...given) {
      for (const entry of this.changed)
        if (!isDone && entry.peer === bob.id && isSo(entry)) {
          isDone = true
          makeUnwritable(entry)
        }
      return finish.apply(this, given)
    }
  }

  function makeUnwritable(entry: Entry): void {
    const { state } = entry
    if (isLive(state)) entry.state = { ...state, book: { ...state.book, feerate: NO_FEERATE } }
  }

  const stoppedAlone = () => {
    expect(errors.map(({ code }) => code)).to.deep.equal(['INTERNAL'])
    expect(alice.running.stopped).to.equal(undefined)
    expect(alice.running.channel(0n)?.stopped).to.include({ code: 'INTERNAL' })
  }

  it('a preimage is known, and the turn that revoked has no encoding -> it goes on chain by its deadline and claims', async () => {
    await inUse()
    await kept(1)
    const [htlc] = alice.running.channel(0n)?.live?.htlcs ?? []
    if (htlc === undefined) throw new Error('no HTLC')
    spoil(({ state, written }) => {
      const before = written?.state
      if (!isLive(state) || before === undefined || !isLive(before)) return false
      return state.signer.released > before.signer.released
    })
    await bob.offer(0n, msat(10_000_000n), 2)
    await until(() => errors.length > 0)
    stoppedAlone()
    const removal = { kind: 'fulfill', preimage: preimageOf(1) } as const
    await alice.running.want(0n, { kind: 'want', intent: { kind: 'remove', id: 0n, removal } })
    // Nothing of it is said to the peer, which would take its money back.
    await world.chain.mine(htlc.cltvExpiry - 37 - world.chain.tip.height)
    expect(world.chain.mempool.size).to.equal(0)
    await world.chain.mine(1)
    await until(() => world.chain.mempool.size > 0)
    expect(alice.running.channel(0n)?.phase).to.equal('failed')
    await world.chain.mine(1)
    await until(() => alice.running.spent(0n)?.by === 'holderNewest' && world.chain.mempool.size > 0)
    await world.chain.mine(6)
    await until(() => bob.htlcs.seen.get('learned 0 local 0') !== undefined)
    stoppedAlone()
  })

  it('its user closes it -> its commitment is published', async () => {
    await inUse()
    spoil(({ state }) => isLive(state) && state.book.htlcs.length > 0)
    await bob.offer(0n, msat(10_000_000n), 1)
    await until(() => errors.length > 0)
    stoppedAlone()
    await alice.running.forceClose(0n)
    await until(() => world.chain.mempool.size === 1)
    expect(alice.running.channel(0n)?.phase).to.equal('failed')
    expect(await failure(alice.running.forceClose(0n))).to.include({ code: 'PHASE_MISMATCH' })
  })

  it('the turn with the block of a revoked commitment has no encoding -> punished all the same', async () => {
    await inUse()
    const old = bob.store.clone()
    alice.htlcs.preimages.set(toHex(sha256(preimageOf(1))), preimageOf(1))
    await bob.offer(0n, msat(200_000_000n), 1)
    await alice.running.until(0n, ({ live }) => live?.balances.local === 900_000_000n)
    await bob.running.until(0n, ({ live }) => live?.htlcs.length === 0)
    await bob.stop()
    bob.store = old
    await alice.stop()
    await bob.start()
    await bob.running.forceClose(0n)
    await until(() => world.chain.mempool.size === 1)
    await bob.stop()
    await started()
    spoil(({ monitor }) => (monitor?.facts.length ?? 0) > 0)
    await world.chain.mine(1)
    await until(() => errors.length > 0)
    stoppedAlone()
    expect(alice.running.spent(0n)?.by).to.equal('revoked')
    // What is ours anyway, and the penalty.
    await until(() => world.chain.mempool.size === 2)
    // It is on disk with the block that counts as dealt with.
    await alice.crash()
    expect(alice.running.spent(0n)?.by).to.equal('revoked')
    await world.chain.mine(7)
    await until(() => alice.running.channel(0n) === undefined)
  })

  it('the turn with the block of its funding has no encoding -> what the block said is kept, and it is used after a restart', async () => {
    await opened()
    spoil(({ state }) => isLive(state) && state.ready.depth > 0)
    await world.chain.mine(1)
    await until(() => errors.length > 0)
    stoppedAlone()
    await world.chain.mine(5)
    await alice.crash()
    await alice.running.until(0n, ({ phase }) => phase === 'normal')
    await bob.running.until(0n, ({ phase }) => phase === 'normal')
  })

  it('a step that hands on has no encoding -> the node goes on, and so does the other channel', async () => {
    await inUse(2)
    let isDone = false
    Draft.prototype.handsOn = function (entry) {
      if (!isDone && entry.peer === bob.id) makeUnwritable(entry)
      isDone ||= entry.peer === bob.id
      return handsOn.call(this, entry)
    }
    await bob.offer(0n, msat(10_000_000n), 1)
    await until(() => errors.length > 0)
    stoppedAlone()
    await pays(3)
    expect(alice.running.channel(0n)?.live?.balances.local).to.equal(700_000_000n)
  })

  it('whoever decides about HTLCs makes a mistake -> the channel of that HTLC is stopped, and the others go on', async () => {
    await inUse(2)
    const { htlcs } = alice
    const handed = htlcs.handed.bind(htlcs)
    htlcs.handed = (channel, handoff) => {
      if (channel === 0n) throw new RangeError('a mistake')
      return handed(channel, handoff)
    }
    htlcs.ticked = htlcs.reached = () => {
      throw new RangeError('another one')
    }
    await bob.offer(0n, msat(10_000_000n), 1)
    await until(() => errors.length > 0)
    stoppedAlone()
    await world.chain.mine(1)
    await until(() => errors.length > 1)
    await pays(3)
    expect(alice.running.stopped).to.equal(undefined)
  })
})
