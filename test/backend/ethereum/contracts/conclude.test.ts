import { expect } from 'chai'
import { ZeroAddress, ZeroHash } from 'ethers'
import { HostileHolder } from '../../../../backend/ethereum/artifacts/testing/index.js'
import { faultOfSubChannelParams } from '../../../../channel/index.js'
import { assetOf, sign, stateHashOf } from '../../../../scripts/contracts.js'
import { at, eventsOf, PHASE, refused, stranger, TestChannel, world } from './world.js'

describe('contracts: conclude', () => {
  const w = world()

  it('after the time -> CONCLUDED, one event, outcome set', async () => {
    const c = new TestChannel(w())
    await c.fund([10n, 9n])
    const state = c.state({ balances: [[4n, 15n]] })
    await c.register({ balances: [[4n, 15n]] })
    const { timeout } = await c.dispute()
    await refused(w().adjudicator, 'conclude', [c.params, state, []], 'timeout not passed yet')
    await w().chain.nextBlockAt(timeout)
    const receipt = await w().adjudicator.send('conclude', [c.params, state, []])
    expect(eventsOf(w().adjudicator, receipt)).to.deep.equal([['ChannelUpdate', c.id, 1n, 2n, timeout]])
    expect(eventsOf(w().ether, receipt)).to.deep.equal([['OutcomeSet', c.id]])
    expect(await c.dispute()).to.include({ phase: PHASE.concluded, timeout, stateHash: stateHashOf(state) })
    expect(await c.holdings()).to.deep.equal([4n, 15n])
    expect(await w().ether.read('settled', c.id)).to.deep.equal([true])
    await refused(w().adjudicator, 'conclude', [c.params, state, []], 'already concluded')
  })

  it('with app -> one more duration, which the event tells; after a step only its own', async () => {
    const c = new TestChannel(w(), { app: w().trivial.address })
    const { timestamp } = await c.register()
    await w().chain.nextBlockAt(timestamp + 119n)
    await w().anvil.rpc('evm_mine')
    await refused(w().adjudicator, 'conclude', [c.params, c.state(), []], 'timeout not passed yet')
    await w().chain.nextBlockAt(timestamp + 120n)
    await w().adjudicator.send('conclude', [c.params, c.state(), []])
    expect((await c.dispute()).timeout).to.equal(timestamp + 120n)
  })

  it('final state registered -> at once without app, after one duration with app', async () => {
    const c = new TestChannel(w())
    await c.register({ isFinal: true })
    await w().adjudicator.send('conclude', [c.params, c.state({ isFinal: true }), []])
    const app = new TestChannel(w(), { app: w().trivial.address })
    await app.register({ isFinal: true })
    const args = [app.params, app.state({ isFinal: true }), []]
    await refused(w().adjudicator, 'conclude', args, 'timeout not passed yet')
    await w().chain.pass(60n)
    await w().adjudicator.send('conclude', args)
  })

  it('not ledger, wrong params, not registered, wrong state -> refused', async () => {
    const { adjudicator } = w()
    const sub = new TestChannel(w(), { ledgerChannel: false })
    await refused(adjudicator, 'conclude', [sub.params, sub.state(), []], 'not ledger')
    const c = new TestChannel(w())
    await refused(adjudicator, 'conclude', [c.params, c.state(), []], 'not registered')
    await c.register()
    await w().chain.pass(60n)
    await refused(adjudicator, 'conclude', [c.params, c.state({ version: 2n }), []], 'invalid state')
    await refused(adjudicator, 'conclude', [{ ...c.params, nonce: 1n }, c.state(), []], 'invalid params')
  })

  it('a tree -> outcomes of descendants go to the participants of the index maps', async () => {
    const { adjudicator } = w()
    const parent = new TestChannel(w())
    const child = new TestChannel(w(), { ledgerChannel: false, nonce: 1n })
    const grandchild = new TestChannel(w(), { ledgerChannel: false, nonce: 2n, names: ['bob'] })
    const inner = grandchild.state({ balances: [[5n]] })
    const middle = child.state({ balances: [[1n, 2n]], locked: [grandchild.locked([5n], [1])] })
    const outer = parent.state({ balances: [[100n, 200n]], locked: [child.locked([8n], [1, 0])] })
    await parent.fund([158n, 150n])
    await adjudicator.send('register', [
      parent.signed(outer),
      [child.signed(middle), grandchild.signed(inner)],
    ])
    await w().chain.pass(60n)
    await refused(adjudicator, 'conclude', [parent.params, outer, [inner]], 'invalid subchannel id')
    await refused(adjudicator, 'conclude', [parent.params, outer, [middle]], 'panic')
    const wrong = child.state({ balances: [[2n, 1n]], locked: [grandchild.locked([5n], [1])] })
    await refused(adjudicator, 'conclude', [parent.params, outer, [wrong, inner]], 'invalid state')
    const receipt = await adjudicator.send('conclude', [parent.params, outer, [middle, inner, inner]])
    expect(eventsOf(adjudicator, receipt).map((e) => e[1])).to.deep.equal([
      parent.id,
      child.id,
      grandchild.id,
    ])
    // The child's first is the parent's second: 1 for him. The child's second has 2, and 5 of the grandchild.
    expect(await parent.holdings()).to.deep.equal([107n, 201n])
    expect((await grandchild.dispute()).phase).to.equal(PHASE.concluded)
  })

  it('a virtual channel -> concluded by one parent, then counted by the other, too', async () => {
    const { adjudicator } = w()
    const virtual = new TestChannel(w(), {
      names: ['alice', 'bob'],
      virtualChannel: true,
      ledgerChannel: false,
    })
    const left = new TestChannel(w(), { names: ['alice', 'ingrid'] })
    const right = new TestChannel(w(), { names: ['bob', 'ingrid'] })
    const state = virtual.state({ balances: [[1n, 4n]] })
    const inLeft = left.state({ balances: [[10n, 10n]], locked: [virtual.locked([5n], [0, 1])] })
    const inRight = right.state({ balances: [[10n, 10n]], locked: [virtual.locked([5n], [1, 0])] })
    await left.fund([15n, 10n])
    await right.fund([10n, 15n])
    await adjudicator.send('register', [left.signed(inLeft), [virtual.signed(state)]])
    await adjudicator.send('register', [right.signed(inRight), [virtual.signed(state)]])
    await w().chain.pass(60n)
    await adjudicator.send('conclude', [left.params, inLeft, [state]])
    await adjudicator.send('conclude', [right.params, inRight, [state]])
    expect(await left.holdings()).to.deep.equal([11n, 14n])
    expect(await right.holdings()).to.deep.equal([14n, 11n])
  })

  it('safety b: a descendant whose time is not over -> refused, in refutation and while its app steps', async () => {
    const { adjudicator, chain } = w()
    const parent = new TestChannel(w(), { challengeDuration: 60n })
    const child = new TestChannel(w(), {
      ledgerChannel: false,
      challengeDuration: 100n,
      app: w().trivial.address,
    })
    const from = child.state({ balances: [[4n, 5n]] })
    const outer = parent.state({ locked: [child.locked([9n])] })
    await adjudicator.send('register', [parent.signed(outer), [child.signed(from)]])
    await chain.pass(60n)
    await refused(adjudicator, 'conclude', [parent.params, outer, [from]], 'timeout not passed yet')
    await chain.pass(40n)
    const to = child.state({ version: 2n, balances: [[9n, 0n]] })
    const sig = sign(at(child.parties, 0), stateHashOf(to))
    await adjudicator.send('progress', [child.params, from, to, 0, sig])
    await refused(adjudicator, 'conclude', [parent.params, outer, [to]], 'timeout not passed yet')
    await chain.pass(100n)
    await adjudicator.send('conclude', [parent.params, outer, [to]])
  })

  it('safety c: an app sub-channel of half the duration -> has its step before its parent can be concluded', async () => {
    const { adjudicator, chain } = w()
    const registered = async (challengeDuration: bigint) => {
      const child = new TestChannel(w(), {
        ledgerChannel: false,
        challengeDuration,
        app: w().trivial.address,
      })
      const outer = new TestChannel(w(), { challengeDuration: 60n, nonce: challengeDuration })
      const from = child.state({ balances: [[4n, 5n]] })
      const state = outer.state({ locked: [child.locked([9n])] })
      await adjudicator.send('register', [outer.signed(state), [child.signed(from)]])
      return { child, outer, from, state }
    }
    const asLong = await registered(60n)
    const half = await registered(30n)
    const fault = (challengeDuration: bigint) =>
      faultOfSubChannelParams({ challengeDuration: 60n }, { challengeDuration, app: '0x01' })?.code
    expect([fault(60n), fault(30n)]).deep.equals(['INVALID_PARAMS', undefined])

    // What the rule is for: nothing lies between the refutation of the long one and its conclusion.
    await chain.pass(30n)
    const { child, outer, from, state } = half
    const to = child.state({ version: 2n, balances: [[9n, 0n]] })
    const sig = sign(at(child.parties, 0), stateHashOf(to))
    await adjudicator.send('progress', [child.params, from, to, 0, sig])
    await chain.pass(30n)
    await adjudicator.send('conclude', [asLong.outer.params, asLong.state, [asLong.from]])
    expect(await asLong.child.dispute()).to.include({ phase: PHASE.concluded, version: 1n })
    await chain.pass(1n)
    await adjudicator.send('conclude', [outer.params, state, [to]])
    expect(await child.dispute()).to.include({ phase: PHASE.concluded, version: 2n })
  })

  it('foreign assets and those without holder -> skipped', async () => {
    const { asset, chain, ether } = w()
    const assets = [{ ...asset, chainID: 5n }, assetOf(chain.chainID, ZeroAddress), asset]
    const c = new TestChannel(w(), { assets })
    const balances = [
      [1n, 1n],
      [1n, 1n],
      [2n, 3n],
    ]
    await c.fund([5n, 0n])
    const receipt = await c.concludeFinal({ balances })
    expect(eventsOf(ether, receipt)).to.deep.equal([['OutcomeSet', c.id]])
    expect(eventsOf(w().adjudicator, receipt).map((e) => e[0])).to.deep.equal(['ChannelUpdate'])
    expect(await c.holdings()).to.deep.equal([2n, 3n])
  })

  for (const [name, mode] of [
    ['reverts', 1],
    ['burns all gas', 2],
    ['returns a megabyte', 3],
    ['has no code', -1],
  ] as const) {
    it(`safety g: a holder that ${name} -> the other assets are settled, and it can be tried again`, async () => {
      const { adjudicator, asset, chain } = w()
      const bad = await chain.deploy(HostileHolder, Math.max(mode, 0))
      const address = mode < 0 ? stranger('no code') : bad.address
      for (const [i, assets] of [
        [assetOf(chain.chainID, address), asset],
        [asset, assetOf(chain.chainID, address)],
      ].entries()) {
        const c = new TestChannel(w(), { assets, nonce: BigInt(i) })
        await c.fund([10n, 9n])
        const balances = [
          [7n, 12n],
          [7n, 12n],
        ]
        await c.register({ balances })
        await chain.pass(60n)
        // The gas limit that Go clients use: a holder that burns its share of it leaves enough for the others.
        const gas = 1_000_000n
        const receipt = await adjudicator.send('conclude', [c.params, c.state({ balances }), []], { gas })
        const failed = assets.findIndex((a) => a !== asset)
        expect(eventsOf(adjudicator, receipt).filter((e) => e[0] === 'AssetFailed')).to.deep.equal([
          ['AssetFailed', c.id, BigInt(failed)],
        ])
        expect(await c.holdings()).to.deep.equal([7n, 12n])
        const again = [c.params, c.state({ balances }), [], failed]
        await refused(adjudicator, 'settle', again, 'asset failed')
        if (mode < 0) continue
        await bad.send('setMode', [0])
        await adjudicator.send('settle', again)
        expect(await bad.readBigint('calls')).to.equal(1n + BigInt(i))
        await bad.send('setMode', [mode])
      }
    })
  }

  it('settle: not concluded, wrong state, no such or a foreign asset, a settled one -> refused', async () => {
    const { adjudicator, asset } = w()
    const c = new TestChannel(w(), { assets: [asset, { ...asset, chainID: 5n }] })
    const balances = [
      [1n, 2n],
      [1n, 2n],
    ]
    const state = c.state({ balances })
    await refused(adjudicator, 'settle', [c.params, state, [], 0], 'not concluded')
    await c.register({ balances })
    await refused(adjudicator, 'settle', [c.params, state, [], 0], 'not concluded')
    await w().chain.pass(60n)
    await adjudicator.send('conclude', [c.params, state, []])
    await refused(
      adjudicator,
      'settle',
      [c.params, c.state({ balances, version: 2n }), [], 0],
      'invalid state',
    )
    await refused(adjudicator, 'settle', [c.params, state, [], 2], 'no such asset')
    await refused(adjudicator, 'settle', [c.params, state, [], 1], 'not an asset of this chain')
    await refused(adjudicator, 'settle', [c.params, state, [], 0], 'asset failed')
  })
})

describe('contracts: concludeFinal', () => {
  const w = world()

  it('without dispute -> CONCLUDED now, one event, outcome set, no hash stored', async () => {
    const c = new TestChannel(w())
    await c.fund([10n, 9n])
    const receipt = await c.concludeFinal({ version: 5n, balances: [[19n, 0n]] })
    expect(eventsOf(w().adjudicator, receipt)).to.deep.equal([
      ['ChannelUpdate', c.id, 5n, 2n, receipt.timestamp],
    ])
    expect(await c.dispute()).to.deep.equal({
      timeout: receipt.timestamp,
      challengeDuration: 60n,
      version: 5n,
      phase: PHASE.concluded,
      stateHash: ZeroHash,
      hasApp: false,
    })
    expect(await c.holdings()).to.deep.equal([19n, 0n])
    const { params, state, sigs } = c.make({ isFinal: true })
    await refused(w().adjudicator, 'concludeFinal', [params, state, sigs], 'concluded already')
    await refused(w().adjudicator, 'register', [c.make({ version: 9n }), []], 'incorrect phase')
  })

  it('ends a running dispute at once, also one that was progressed', async () => {
    const { adjudicator } = w()
    const c = new TestChannel(w(), { app: w().trivial.address })
    await c.register()
    await w().chain.pass(60n)
    const to = c.state({ version: 2n })
    await adjudicator.send('progress', [c.params, c.state(), to, 0, sign(at(c.parties, 0), stateHashOf(to))])
    await c.concludeFinal({ version: 1n })
    const final = c.state({ version: 1n, isFinal: true })
    expect(await c.dispute()).to.include({ phase: PHASE.concluded, stateHash: stateHashOf(final) })
  })

  it('an older final state -> cannot override a registered newer one', async () => {
    const c = new TestChannel(w())
    await c.register({ version: 7n })
    const { params, state, sigs } = c.make({ version: 6n, isFinal: true })
    await refused(w().adjudicator, 'concludeFinal', [params, state, sigs], 'invalid version')
    await c.concludeFinal({ version: 7n })
  })

  it('not ledger, not final, sub-channels, wrong params or signatures, duplicates, dimensions -> refused', async () => {
    const refuse = (signed: ReturnType<TestChannel['make']>, reason: string) =>
      refused(w().adjudicator, 'concludeFinal', [signed.params, signed.state, signed.sigs], reason)
    const c = new TestChannel(w())
    const isFinal = true
    const sub = new TestChannel(w(), { ledgerChannel: false })
    await refuse(sub.make({ isFinal }), 'not ledger')
    await refuse(c.make(), 'state not final')
    await refuse(c.make({ isFinal, locked: [c.locked([0n])] }), 'has sub-channels')
    const signed = c.make({ isFinal })
    await refuse({ ...signed, params: { ...c.params, nonce: 3n } }, 'invalid params')
    await refuse({ ...signed, sigs: [...signed.sigs].reverse() }, 'invalid signature')
    await refuse({ ...signed, sigs: signed.sigs.slice(1) }, 'signatures length mismatch')
    const twice = new TestChannel(w(), { names: ['alice', 'alice'] })
    await refuse(twice.make({ isFinal }), 'duplicate participant')
    await refuse(c.make({ isFinal, balances: [[1n]] }), 'balances length mismatch')
  })

  it('a duration that can never be registered -> can still be ended by all', async () => {
    const c = new TestChannel(w(), { challengeDuration: 2n ** 255n })
    await c.fund([10n, 9n])
    await c.concludeFinal()
    expect(await c.holdings()).to.deep.equal([10n, 9n])
  })

  it('safety g: a failing holder -> the state is remembered, and the asset can be settled later', async () => {
    const { adjudicator, chain } = w()
    const bad = await chain.deploy(HostileHolder, 1)
    const c = new TestChannel(w(), { assets: [assetOf(chain.chainID, bad.address)] })
    await c.concludeFinal()
    await bad.send('setMode', [0])
    await adjudicator.send('settle', [c.params, c.state({ isFinal: true }), [], 0])
    expect(await bad.readBigint('calls')).to.equal(1n)
  })

  it('safety q: a failed funding -> version 0 gives everybody his deposit back', async () => {
    const c = new TestChannel(w())
    await c.fund([10n])
    await c.concludeFinal({ version: 0n })
    expect(await c.holdings()).to.deep.equal([10n, 0n])
    await w().ether.send('withdraw', c.withdrawal(0, stranger('refund'), 10n))
    expect(await w().chain.balance(stranger('refund'))).to.equal(10n)
  })
})
