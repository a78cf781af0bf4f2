import { expect } from 'chai'
import { ZeroAddress } from 'ethers'
import { Adjudicator, AssetHolderETH } from '../../../../backend/ethereum/artifacts/index.js'
import { ContractWallet, HostileHolder } from '../../../../backend/ethereum/artifacts/testing/index.js'
import {
  assetOf,
  closeHashOf,
  payoutHashOf,
  sign,
  signCompact,
  signState,
  stateHashOf,
} from '../../../../scripts/contracts.js'
import { at, eventsOf, PHASE, refused, stranger, TestChannel, world } from './world.js'

const a = stranger('a')
const b = stranger('b')

describe('contracts: close', () => {
  const w = world()
  const funded = async (options = {}, deposits = [10n, 9n]) => {
    const c = new TestChannel(w(), options)
    await c.fund(deposits)
    return c
  }
  const balances = async () => [await w().chain.balance(a), await w().chain.balance(b)]

  it('one transaction -> concluded, both paid, nothing stored in the adjudicator', async () => {
    const { adjudicator, ether } = w()
    const c = await funded()
    const final = c.state({ version: 8n, isFinal: true, balances: [[4n, 15n]] })
    const receipt = await adjudicator.send('close', c.closing(final, [a, b]))
    expect(eventsOf(adjudicator, receipt)).to.deep.equal([['ChannelUpdate', c.id, 8n, 2n, receipt.timestamp]])
    expect(eventsOf(ether, receipt)).to.deep.equal([
      ['Withdrawn', c.fundingID(0), 4n, a],
      ['Withdrawn', c.fundingID(1), 15n, b],
    ])
    expect(await balances()).to.deep.equal([4n, 15n])
    expect(await c.holdings()).to.deep.equal([0n, 0n])
    expect((await c.dispute()).timeout).to.equal(0n)
  })

  it('closeHash, payoutHash -> what a client computes', async () => {
    const { adjudicator, chain } = w()
    const c = new TestChannel(w())
    expect(await adjudicator.read('closeHash', c.id, a)).to.deep.equal([
      closeHashOf(chain.chainID, adjudicator.address, c.id, a),
    ])
    expect(await adjudicator.read('payoutHash', c.id, a)).to.deep.equal([
      payoutHashOf(chain.chainID, adjudicator.address, c.id, a),
    ])
  })

  it('again, also after somebody deposited late -> refused, nothing is paid twice', async () => {
    const { adjudicator, ether } = w()
    const c = await funded()
    const args = c.closing(c.state({ isFinal: true }), [a, b])
    await adjudicator.send('close', args)
    await refused(adjudicator, 'close', args, 'no asset settled')
    await ether.send('deposit', [c.fundingID(1), 19n], { value: 19n })
    await refused(adjudicator, 'close', args, 'no asset settled')
    // Nor by an older state: its outcome is not set any more, and late deposits are their depositors'.
    await c.register({ version: 1n, balances: [[19n, 0n]] })
    await w().chain.pass(60n)
    await adjudicator.send('conclude', [c.params, c.state({ balances: [[19n, 0n]] }), []])
    expect(await c.holdings()).to.deep.equal([0n, 19n])
    await ether.send('withdraw', c.withdrawal(1, stranger('late'), 19n))
    expect(await balances()).to.deep.equal([10n, 9n])
  })

  it('again when only the channel ID itself was funded -> refused', async () => {
    const { adjudicator, ether } = w()
    const c = new TestChannel(w())
    await funded({ nonce: 77n }) // other people's money
    await ether.send('deposit', [c.id, 19n], { value: 19n })
    const args = c.closing(c.state({ isFinal: true }), [a, b])
    await adjudicator.send('close', args)
    expect(await balances()).to.deep.equal([10n, 9n])
    expect(await ether.readBigint('holdings', c.id)).to.equal(0n)
    await refused(adjudicator, 'close', args, 'no asset settled')
    await ether.send('deposit', [c.id, 19n], { value: 19n })
    await refused(adjudicator, 'close', args, 'no asset settled')
  })

  it('what the channel ID has beyond need -> set free by a later conclusion', async () => {
    const { adjudicator, ether } = w()
    const c = await funded()
    await ether.send('deposit', [c.id, 5n], { value: 5n })
    await adjudicator.send('close', c.closing(c.state({ isFinal: true }), [a, b]))
    expect(await ether.readBigint('holdings', c.id)).to.equal(5n)
    await c.concludeFinal()
    expect(await c.holdings()).to.deep.equal([5n, 0n])
    await ether.send('withdraw', c.withdrawal(0, a, 5n))
  })

  it('signatures: for another receiver, state, chain, adjudicator, by another, missing -> refused', async () => {
    const { adjudicator, chain } = w()
    const c = await funded()
    const final = c.state({ isFinal: true })
    const [alice, bob] = [at(c.parties, 0), at(c.parties, 1)]
    const hash = stateHashOf(final)
    const good = sign(alice, closeHashOf(chain.chainID, adjudicator.address, hash, a))
    const ofBob = sign(bob, closeHashOf(chain.chainID, adjudicator.address, hash, b))
    const refuse = (first: string, reason = 'invalid signature', receivers = [a, b]) =>
      refused(adjudicator, 'close', [c.params, final, receivers, [first, ofBob]], reason)
    await refuse(good, 'invalid signature', [b, b])
    await refuse(sign(alice, closeHashOf(1n, adjudicator.address, hash, a)))
    await refuse(sign(alice, closeHashOf(chain.chainID, w().ether.address, hash, a)))
    await refuse(sign(alice, closeHashOf(chain.chainID, adjudicator.address, stateHashOf(c.state()), a)))
    await refuse(sign(alice, hash))
    await refuse(sign(alice, payoutHashOf(chain.chainID, adjudicator.address, c.id, a)))
    await refuse(sign(bob, closeHashOf(chain.chainID, adjudicator.address, hash, a)))
    await refuse('0x', 'invalid signature length')
    await refused(adjudicator, 'close', [c.params, final, [a, b], [good]], 'signatures length mismatch')
    await refused(adjudicator, 'close', [c.params, final, [a], [good, ofBob]], 'receivers length mismatch')
    const compact = signCompact(alice, closeHashOf(chain.chainID, adjudicator.address, hash, a))
    await adjudicator.send('close', [c.params, final, [a, b], [compact, ofBob]])
  })

  it('the same authorisations at another adjudicator with a holder of its own -> refused', async () => {
    const { chain } = w()
    const other = await chain.deploy(Adjudicator)
    const holder = await chain.deploy(AssetHolderETH, other.address)
    const c = new TestChannel(w(), { assets: [assetOf(chain.chainID, holder.address)] })
    await holder.send('deposit', [c.fundingID(0), 19n], { value: 19n })
    await refused(other, 'close', c.closing(c.state({ isFinal: true }), [a, b]), 'invalid signature')
  })

  it('a participant who sends it -> needs no signature; nobody else', async () => {
    const { adjudicator, anvil } = w()
    const c = await funded()
    const args = c.closing(c.state({ isFinal: true }), [a, b])
    const sigs = args[3] as string[]
    const own = [...args.slice(0, 3), ['0x', at(sigs, 1)]]
    await refused(adjudicator, 'close', own, 'invalid signature length')
    const from = at(c.addresses, 0)
    await anvil.rpc('anvil_impersonateAccount', [from])
    await anvil.rpc('anvil_setBalance', [from, '0xde0b6b3a7640000'])
    await refused(adjudicator, 'close', [...args.slice(0, 3), ['0x', '0x']], 'invalid signature length', {
      from,
    })
    await adjudicator.send('close', own, { from })
    expect(await balances()).to.deep.equal([10n, 9n])
  })

  it('not ledger, not final, locked, wrong params, duplicates, dimensions -> refused', async () => {
    const { adjudicator } = w()
    const refuse = (c: TestChannel, overrides: object, reason: string) => {
      const receivers = c.parties.map(() => a)
      const state = c.state({ isFinal: true, ...overrides })
      return refused(adjudicator, 'close', c.closing(state, receivers), reason)
    }
    const c = new TestChannel(w())
    await refuse(new TestChannel(w(), { ledgerChannel: false }), {}, 'not ledger')
    await refuse(c, { isFinal: false }, 'state not final')
    await refuse(c, { locked: [c.locked([0n])] }, 'has sub-channels')
    await refuse(new TestChannel(w(), { names: ['alice', 'bob', 'alice'] }), {}, 'duplicate participant')
    await refuse(c, { balances: [[1n, 2n, 3n]] }, 'balances length mismatch')
    const other = new TestChannel(w(), { nonce: 1n })
    const [, ...rest] = c.closing(c.state({ isFinal: true }), [a, b])
    await refused(adjudicator, 'close', [other.params, ...rest], 'invalid params')
  })

  it('during a dispute -> ends it; older than the registered state, or after the end -> refused', async () => {
    const { adjudicator } = w()
    const c = await funded()
    await c.register({ version: 5n })
    const old = c.closing(c.state({ version: 4n, isFinal: true }), [a, b])
    await refused(adjudicator, 'close', old, 'invalid version')
    const final = c.state({ version: 6n, isFinal: true })
    await adjudicator.send('close', c.closing(final, [a, b]))
    expect(await c.dispute()).to.include({
      phase: PHASE.concluded,
      version: 6n,
      stateHash: stateHashOf(final),
    })
    await refused(adjudicator, 'close', c.closing(final, [a, b]), 'concluded already')
    await refused(adjudicator, 'register', [c.make({ version: 9n }), []], 'incorrect phase')
  })

  it('after concludeFinal -> refused', async () => {
    const c = await funded()
    await c.concludeFinal()
    await refused(
      w().adjudicator,
      'close',
      c.closing(c.state({ isFinal: true }), [a, b]),
      'concluded already',
    )
  })

  it('not fully funded -> everybody gets his own deposit back', async () => {
    const c = await funded({}, [10n])
    await w().adjudicator.send('close', c.closing(c.state({ isFinal: true, balances: [[0n, 19n]] }), [a, b]))
    expect(await balances()).to.deep.equal([10n, 0n])
  })

  it('surplus -> paid to its depositor', async () => {
    const c = await funded({}, [10n, 9n])
    await c.fund([10n])
    await w().adjudicator.send('close', c.closing(c.state({ isFinal: true, balances: [[0n, 19n]] }), [a, b]))
    expect(await balances()).to.deep.equal([10n, 19n])
  })

  it('receiver zero -> the money waits in the holder', async () => {
    const { adjudicator, ether } = w()
    const c = await funded()
    await adjudicator.send('close', c.closing(c.state({ isFinal: true }), [ZeroAddress, b]))
    expect(await c.holdings()).to.deep.equal([10n, 0n])
    await ether.send('withdraw', c.withdrawal(0, a, 10n))
    expect(await balances()).to.deep.equal([10n, 9n])
  })

  for (const [name, mode] of [
    ['refuses', 1],
    ['burns all gas', 2],
  ] as const) {
    it(`safety j: a receiver that ${name} -> the other is paid, its own money waits`, async () => {
      const { adjudicator, ether, chain } = w()
      for (const index of [0, 1]) {
        const c = await funded({ nonce: BigInt(index) })
        const wallet = await chain.deploy(ContractWallet)
        await wallet.send('setMode', [mode])
        const paid = stranger(`paid ${index} ${mode}`)
        const receivers = index === 0 ? [wallet.address, paid] : [paid, wallet.address]
        const receipt = await adjudicator.send('close', c.closing(c.state({ isFinal: true }), receivers))
        const amount = index === 0 ? 10n : 9n
        expect(eventsOf(ether, receipt).filter((e) => e[0] === 'PaymentFailed')).to.deep.equal([
          ['PaymentFailed', c.fundingID(index), amount, wallet.address],
        ])
        expect(await chain.balance(paid)).to.equal(19n - amount)
        const waits = stranger(`waits ${index} ${mode}`)
        await ether.send('withdraw', c.withdrawal(index, waits, amount))
        expect(await chain.balance(waits)).to.equal(amount)
      }
    })
  }

  it('a receiver that calls back -> finds a closed channel', async () => {
    const { adjudicator, chain } = w()
    const wallet = await chain.deploy(ContractWallet)
    await funded({ nonce: 77n })
    const c = await funded()
    const args = c.closing(c.state({ isFinal: true }), [wallet.address, b])
    await wallet.send('setCallBack', [adjudicator.address, adjudicator.encode('close', ...args)])
    await adjudicator.send('close', args)
    expect(await chain.balance(wallet.address)).to.be.oneOf([10n, 0n])
    expect(await chain.balance(b)).to.equal(9n)
    const [first] = await c.holdings()
    expect((await chain.balance(wallet.address)) + (first ?? 0n)).to.equal(10n)
  })

  it('safety g: one of two holders fails -> the other pays; the first is settled later', async () => {
    const { adjudicator, asset, chain } = w()
    const bad = await chain.deploy(HostileHolder, 1)
    const c = new TestChannel(w(), { assets: [assetOf(chain.chainID, bad.address), asset] })
    await c.fund([10n, 9n])
    const final = c.state({ isFinal: true })
    const receipt = await adjudicator.send('close', c.closing(final, [a, b]))
    expect(eventsOf(adjudicator, receipt)).to.deep.equal([
      ['ChannelUpdate', c.id, 1n, 2n, receipt.timestamp],
      ['AssetFailed', c.id, 0n],
    ])
    expect(await balances()).to.deep.equal([10n, 9n])
    await bad.send('setMode', [0])
    await adjudicator.send('settle', [c.params, final, [], 0])
    expect(await bad.readBigint('calls')).to.equal(1n)
  })

  it('not enough gas for the payments -> reverts as a whole', async () => {
    const { adjudicator, chain } = w()
    const c = await funded()
    const data = adjudicator.encode('close', ...c.closing(c.state({ isFinal: true }), [a, b]))
    const message = await chain.call(adjudicator.address, data, { gas: 150_000n }).then(
      () => 'passed',
      (e: Error) => e.message,
    )
    expect(message).to.contain('no asset settled')
  })
})

describe('contracts: concludeAndPay', () => {
  const w = world()
  const disputed = async (options = {}) => {
    const c = new TestChannel(w(), options)
    await c.fund([10n, 9n])
    await c.register({ balances: [[4n, 15n]] })
    await w().chain.pass(60n)
    return { c, state: c.state({ balances: [[4n, 15n]] }) }
  }

  it('concludes and pays whom it may', async () => {
    const { adjudicator, ether, chain } = w()
    const { c, state } = await disputed()
    const args = [c.params, state, [], [a, ZeroAddress], [c.payout(0, a), '0x']]
    const receipt = await adjudicator.send('concludeAndPay', args)
    expect(eventsOf(adjudicator, receipt).map((e) => [e[0], e[3]])).to.deep.equal([['ChannelUpdate', 2n]])
    expect(await chain.balance(a)).to.equal(4n)
    expect(await c.holdings()).to.deep.equal([0n, 15n])
    expect(await c.dispute()).to.include({ phase: PHASE.concluded, stateHash: stateHashOf(state) })
    await ether.send('withdraw', c.withdrawal(1, b, 15n))
    await refused(adjudicator, 'concludeAndPay', args, 'already concluded')
  })

  it('late deposits after it -> are their depositors’, not shared again', async () => {
    const { adjudicator, ether, chain } = w()
    const { c, state } = await disputed()
    await adjudicator.send('concludeAndPay', [c.params, state, [], [a, b], [c.payout(0, a), c.payout(1, b)]])
    await c.fund([10n, 9n])
    await ether.send('withdraw', c.withdrawal(0, stranger('late'), 1n))
    expect(await chain.balance(stranger('late'))).to.equal(1n)
    await ether.send('deposit', [c.id, 7n], { value: 7n })
    await adjudicator.send('settle', [c.params, state, [], 0])
    expect(await c.holdings()).to.deep.equal([16n, 9n])
    await refused(adjudicator, 'settle', [c.params, state, [], 0], 'asset failed')
  })

  it('no right, or an authorisation for another receiver, channel, chain -> refused', async () => {
    const { adjudicator, chain } = w()
    const { c, state } = await disputed()
    const other = new TestChannel(w(), { nonce: 9n })
    const alice = at(c.parties, 0)
    const refuse = (receiver: string, sig: string, reason: string) =>
      refused(
        adjudicator,
        'concludeAndPay',
        [c.params, state, [], [receiver, ZeroAddress], [sig, '0x']],
        reason,
      )
    await refuse(b, c.payout(0, a), 'invalid signature')
    await refuse(a, other.payout(0, a), 'invalid signature')
    await refuse(a, c.payout(1, a), 'invalid signature')
    await refuse(a, sign(alice, payoutHashOf(1n, adjudicator.address, c.id, a)), 'invalid signature')
    await refuse(a, sign(alice, payoutHashOf(chain.chainID, w().ether.address, c.id, a)), 'invalid signature')
    await refuse(a, '0x', 'invalid signature length')
    const early = new TestChannel(w(), { nonce: 10n })
    await early.register()
    const args = [early.params, early.state(), [], [ZeroAddress, ZeroAddress], ['0x', '0x']]
    await refused(adjudicator, 'concludeAndPay', args, 'timeout not passed yet')
  })

  it('with sub-channels -> pays the whole outcome', async () => {
    const { adjudicator, chain } = w()
    const parent = new TestChannel(w())
    const child = new TestChannel(w(), { ledgerChannel: false, nonce: 1n })
    const inner = child.state({ balances: [[1n, 4n]] })
    const outer = parent.state({ balances: [[10n, 4n]], locked: [child.locked([5n])] })
    await parent.fund([10n, 9n])
    await adjudicator.send('register', [parent.signed(outer), [child.signed(inner)]])
    await chain.pass(60n)
    const sigs = [parent.payout(0, a), parent.payout(1, b)]
    await adjudicator.send('concludeAndPay', [parent.params, outer, [inner], [a, b], sigs])
    expect([await chain.balance(a), await chain.balance(b)]).to.deep.equal([11n, 8n])
  })

  it('two assets -> the holders remember; a holder that fails alone -> can be settled later', async () => {
    const { adjudicator, asset, chain, ether } = w()
    const bad = await chain.deploy(HostileHolder, 1)
    const two = new TestChannel(w(), { assets: [asset, assetOf(chain.chainID, bad.address)] })
    await two.fund([10n, 9n])
    await two.register()
    const one = new TestChannel(w(), { assets: [assetOf(chain.chainID, bad.address)], nonce: 1n })
    await one.register()
    await chain.pass(60n)
    const pay = (c: TestChannel) =>
      adjudicator.send('concludeAndPay', [c.params, c.state(), [], [a, b], [c.payout(0, a), c.payout(1, b)]])
    await pay(two)
    expect([await chain.balance(a), await chain.balance(b)]).to.deep.equal([10n, 9n])
    expect(await ether.read('isSettled', two.id, at(two.addresses, 0))).to.deep.equal([true])
    await pay(one)
    await bad.send('setMode', [0])
    await adjudicator.send('settle', [one.params, one.state(), [], 0])
    await adjudicator.send('settle', [two.params, two.state(), [], 1])
    expect(await bad.readBigint('calls')).to.equal(2n)
    // For the asset that was paid, that only confirms it.
    await ether.send('deposit', [two.fundingID(1), 5n], { value: 5n })
    await adjudicator.send('settle', [two.params, two.state(), [], 0])
    expect(await two.holdings()).to.deep.equal([0n, 5n])
  })
})

describe('contracts: checkpoint', () => {
  const w = world()
  const check = (c: TestChannel, version: bigint) => w().adjudicator.send('checkpoint', [c.make({ version })])
  const refuse = (c: TestChannel, options: object, reason: string) =>
    refused(w().adjudicator, 'checkpoint', [c.make(options)], reason)

  it('safety m: a newer state -> clears the dispute; the channel goes on, and can be disputed again', async () => {
    const { adjudicator, chain } = w()
    const c = new TestChannel(w())
    await c.fund([10n, 9n])
    await c.register({ version: 3n })
    const receipt = await check(c, 4n)
    expect(eventsOf(adjudicator, receipt)).to.deep.equal([['Checkpoint', c.id, 4n]])
    expect(await c.dispute()).to.include({ timeout: 0n, version: 4n, phase: 0 })
    await chain.pass(60n)
    await refused(adjudicator, 'conclude', [c.params, c.state({ version: 3n }), []], 'not registered')
    await refused(adjudicator, 'register', [c.make({ version: 3n }), []], 'invalid version')
    // The state of the checkpoint itself is the newest that both have: it must be enforceable.
    const { timestamp } = await c.register({ version: 4n })
    expect((await c.dispute()).timeout).to.equal(timestamp + 60n)
    await chain.pass(60n)
    await adjudicator.send('conclude', [c.params, c.state({ version: 4n }), []])
  })

  it('also after the time is over, and during forced steps', async () => {
    const { adjudicator, chain } = w()
    const c = new TestChannel(w(), { app: w().trivial.address })
    await c.register({ version: 3n })
    await chain.pass(60n)
    const to = c.state({ version: 4n })
    const sig = sign(at(c.parties, 0), stateHashOf(to))
    await adjudicator.send('progress', [c.params, c.state({ version: 3n }), to, 0, sig])
    await refuse(c, { version: 4n }, 'invalid version')
    await check(c, 5n)
    expect(await c.dispute()).to.include({ timeout: 0n, version: 5n })
  })

  it('without dispute -> nothing older can be registered in one’s absence', async () => {
    const c = new TestChannel(w())
    await check(c, 5n)
    await refused(w().adjudicator, 'register', [c.make({ version: 4n }), []], 'invalid version')
    await check(c, 6n)
    await refuse(c, { version: 6n }, 'invalid version')
    await refuse(c, { version: 5n }, 'invalid version')
  })

  it('older final states -> can neither conclude nor close past a checkpoint', async () => {
    const { adjudicator } = w()
    const c = new TestChannel(w())
    await check(c, 5n)
    const { params, state, sigs } = c.make({ version: 4n, isFinal: true })
    await refused(adjudicator, 'concludeFinal', [params, state, sigs], 'invalid version')
    await refused(adjudicator, 'close', c.closing(state, [a, b]), 'invalid version')
    await c.concludeFinal({ version: 6n })
  })

  it('older or same version, final, concluded, wrong signatures or params, unregistrable -> refused', async () => {
    const { adjudicator } = w()
    const c = new TestChannel(w())
    await c.register({ version: 3n })
    await refuse(c, { version: 2n }, 'invalid version')
    await refuse(c, { version: 3n }, 'invalid version')
    await refuse(c, { version: 4n, isFinal: true }, 'state is final')
    await refuse(c, { version: 4n, balances: [[1n]] }, 'balances length mismatch')
    const [alice, bob] = [at(c.parties, 0), at(c.parties, 1)]
    const bad = signState(c.params, c.state({ version: 4n }), [bob, alice])
    await refused(adjudicator, 'checkpoint', [bad], 'invalid signature')
    const params = { ...c.params, nonce: 4n }
    await refused(adjudicator, 'checkpoint', [{ ...c.make({ version: 4n }), params }], 'invalid params')
    await w().chain.pass(60n)
    await adjudicator.send('conclude', [c.params, c.state({ version: 3n }), []])
    await refuse(c, { version: 4n }, 'already concluded')
  })

  it('a sub-channel -> treated by itself', async () => {
    const { adjudicator } = w()
    const parent = new TestChannel(w())
    const child = new TestChannel(w(), { ledgerChannel: false, nonce: 1n })
    const balances = [[4n, 5n]]
    await parent.register({ locked: [child.locked([9n])] }, [child.make({ balances })])
    await adjudicator.send('checkpoint', [child.make({ version: 2n, balances })])
    expect((await child.dispute()).timeout).to.equal(0n)
    expect((await parent.dispute()).timeout).to.not.equal(0n)
    // The parent's dispute goes on; before it can be concluded, the child is registered again.
    await parent.register({ locked: [child.locked([9n])] }, [child.make({ version: 2n, balances })])
    await w().chain.pass(120n)
    const outer = parent.state({ locked: [child.locked([9n])] })
    await adjudicator.send('conclude', [parent.params, outer, [child.state({ version: 2n, balances })]])
  })
})
