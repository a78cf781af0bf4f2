import { expect } from 'chai'
import { MaxUint256, toBeHex, ZeroAddress } from 'ethers'
import { ContractWallet } from '../../../../backend/ethereum/artifacts/testing/index.js'
import {
  assetOf,
  personalDigest,
  type SignedStateData,
  sign,
  signCompact,
  stateHashOf,
} from '../../../../scripts/contracts.js'
import { at, eventsOf, PHASE, refused, refusedData, TestChannel, world } from './world.js'

describe('contracts: register', () => {
  const w = world()
  const refuse = (signed: SignedStateData, reason: string, children: readonly SignedStateData[] = []) =>
    refused(w().adjudicator, 'register', [signed, children], reason)

  it('first registration -> stored in DISPUTE for one duration, one event', async () => {
    const c = new TestChannel(w())
    const signed = c.make({ version: 3n })
    const receipt = await w().adjudicator.send('register', [signed, []])
    const timeout = receipt.timestamp + 60n
    expect(await c.dispute()).to.deep.equal({
      timeout,
      challengeDuration: 60n,
      version: 3n,
      phase: PHASE.dispute,
      stateHash: stateHashOf(signed.state),
      hasApp: false,
    })
    expect(eventsOf(w().adjudicator, receipt)).to.deep.equal([['ChannelUpdate', c.id, 3n, 0n, timeout]])
  })

  it('with app -> the view says so', async () => {
    const c = new TestChannel(w(), { app: w().ticTacToe.address })
    await c.register()
    expect((await c.dispute()).hasApp).to.equal(true)
  })

  it('final state -> the timeout is now', async () => {
    const c = new TestChannel(w())
    const { timestamp } = await c.register({ isFinal: true })
    expect((await c.dispute()).timeout).to.equal(timestamp)
  })

  it('refutation -> newer state, same timeout; older or equal version, or too late -> refused', async () => {
    const c = new TestChannel(w())
    await c.register({ version: 4n })
    const { timeout } = await c.dispute()
    await refuse(c.make({ version: 3n }), 'invalid version')
    await refuse(c.make({ version: 4n, appData: '0x01' }), 'invalid version')
    await w().chain.pass(20n)
    await c.register({ version: 5n })
    expect(await c.dispute()).to.include({ version: 5n, timeout })
    await w().chain.nextBlockAt(timeout)
    await w().anvil.rpc('evm_mine')
    await refuse(c.make({ version: 6n }), 'refutation timeout passed')
  })

  it('refutation by a final state -> the timeout is now, nothing can follow', async () => {
    const c = new TestChannel(w())
    await c.register({ version: 4n })
    const { timestamp } = await c.register({ version: 5n, isFinal: true })
    expect((await c.dispute()).timeout).to.equal(timestamp)
    await refuse(c.make({ version: 6n }), 'refutation timeout passed')
  })

  it('the same state again -> nothing changes, no event, in any phase', async () => {
    const c = new TestChannel(w())
    await c.register()
    const before = await c.dispute()
    expect(eventsOf(w().adjudicator, await c.register())).to.deep.equal([])
    expect(await c.dispute()).to.deep.equal(before)
    await w().chain.pass(60n)
    await w().adjudicator.send('conclude', [c.params, c.state(), []])
    expect(eventsOf(w().adjudicator, await c.register())).to.deep.equal([])
  })

  it('concluded, or progressed -> another state is refused', async () => {
    const c = new TestChannel(w())
    await c.register()
    await w().chain.pass(60n)
    await w().adjudicator.send('conclude', [c.params, c.state(), []])
    await refuse(c.make({ version: 9n }), 'incorrect phase')
  })

  it('not a ledger channel, wrong params -> refused', async () => {
    await refuse(new TestChannel(w(), { ledgerChannel: false }).make(), 'not ledger')
    const c = new TestChannel(w())
    const signed = c.make()
    await refuse({ ...signed, params: { ...signed.params, nonce: 1n } }, 'invalid params')
  })

  it('signatures: too few, swapped, of a stranger, of another state -> refused', async () => {
    const c = new TestChannel(w())
    const signed = c.make()
    const sigs = signed.sigs
    await refuse({ ...signed, sigs: sigs.slice(1) }, 'signatures length mismatch')
    await refuse({ ...signed, sigs: [...sigs, at(sigs, 0)] }, 'signatures length mismatch')
    await refuse({ ...signed, sigs: [...sigs].reverse() }, 'invalid signature')
    await refuse({ ...signed, sigs: c.make({ version: 2n }).sigs }, 'invalid signature')
  })

  it('signatures: 64 bytes (EIP-2098) pass; v of 0 or 1, high s, other lengths, no key -> refused', async () => {
    const c = new TestChannel(w())
    const signed = c.make()
    const hash = stateHashOf(signed.state)
    const [alice, bob] = [at(c.parties, 0), at(c.parties, 1)]
    const other = sign(bob, hash)
    const withFirst = (sig: string) => ({ ...signed, sigs: [sig, other] })
    const { r, s, v } = alice.key.sign(personalDigest(hash))
    await refuse(withFirst(`${r}${s.slice(2)}${toBeHex(v - 27, 1).slice(2)}`), "'v' value")
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
    const high = toBeHex(order - BigInt(s), 32).slice(2)
    await refuse(withFirst(`${r}${high}${toBeHex(55 - v, 1).slice(2)}`), "'s' value")
    await refuse(withFirst(`${sign(alice, hash)}00`), 'invalid signature length')
    await refuse(withFirst('0x'), 'invalid signature length')
    await refuse(withFirst(`0x${'00'.repeat(31)}05${s.slice(2)}1b`), 'ECDSA: invalid signature')
    await w().adjudicator.send('register', [withFirst(signCompact(alice, hash)), []])
  })

  it('a participant of address zero -> can never sign', async () => {
    const c = new TestChannel(w())
    const params = {
      ...c.params,
      participants: [at(c.params.participants, 0), { ethAddress: ZeroAddress, ccAddress: '0x' }],
    }
    const zero = new TestChannel(w(), params)
    const signed = zero.make()
    const junk = `0x${'00'.repeat(31)}05${'00'.repeat(31)}011b`
    await refuse({ ...signed, sigs: [at(signed.sigs, 0), junk] }, 'signature')
  })

  it('virtual channel: an app or locked funds -> refused', async () => {
    const withApp = new TestChannel(w(), { virtualChannel: true, app: w().trivial.address })
    await refuse(withApp.make(), 'cannot have app')
    const c = new TestChannel(w(), { virtualChannel: true })
    await refuse(c.make({ locked: [{ ID: c.id, balances: [1n], indexMap: [0, 1] }] }), 'funds locked')
  })

  it('safety a, e: duplicate participants -> refused', async () => {
    await refuse(new TestChannel(w(), { names: ['alice', 'bob', 'alice'] }).make(), 'duplicate participant')
  })

  it('safety d: a duration above 2^32 - 1 -> refused, that one passes', async () => {
    await refuse(new TestChannel(w(), { challengeDuration: 2n ** 32n }).make(), 'challenge duration too long')
    await refuse(new TestChannel(w(), { challengeDuration: 2n ** 64n }).make(), 'challenge duration too long')
    const c = new TestChannel(w(), { challengeDuration: 2n ** 32n - 1n })
    const { timestamp } = await c.register()
    expect((await c.dispute()).timeout).to.equal(timestamp + 2n ** 32n - 1n)
  })

  it('safety e: wrong dimensions, index out of range, sums that overflow, an asset twice -> refused', async () => {
    const c = new TestChannel(w())
    const { asset } = w()
    await refuse(c.make({ balances: [[1n]] }), 'balances length mismatch')
    await refuse(c.make({ balances: [[1n, 2n, 3n]] }), 'balances length mismatch')
    await refuse(
      c.make({
        balances: [
          [1n, 2n],
          [1n, 2n],
        ],
      }),
      'assets length mismatch',
    )
    await refuse(c.make({ balances: [] }), 'assets length mismatch')
    await refuse(
      c.make({
        assets: [asset, asset],
        balances: [
          [1n, 2n],
          [1n, 2n],
        ],
      }),
      'duplicate asset',
    )
    const sub = { ID: c.id, balances: [1n], indexMap: [0, 1] }
    await refuse(c.make({ locked: [{ ...sub, indexMap: [0, 2] }] }), 'index out of range')
    await refuse(c.make({ locked: [{ ...sub, balances: [1n, 1n] }] }), 'locked balances length mismatch')
    await refuse(c.make({ locked: [{ ...sub, balances: [MaxUint256] }] }), 'overflow')
  })

  it('safety o: more participants, assets or sub-channels than the limits -> refused', async () => {
    const names = Array.from({ length: 257 }, (_, i) => `party ${i}`)
    await refuse(new TestChannel(w(), { names }).make(), 'number of participants')
    await refuse(new TestChannel(w(), { names: [] }).make(), 'number of participants')
    const assets = Array.from({ length: 65 }, (_, i) => assetOf(BigInt(i + 1), w().ether.address))
    await refuse(new TestChannel(w(), { assets }).make(), 'number of assets')
    const c = new TestChannel(w())
    const locked = Array.from({ length: 65 }, () => ({ ID: c.id, balances: [0n], indexMap: [0, 1] }))
    await refuse(c.make({ locked }), 'number of sub-channels')
  })

  it('bytes that are no canonical encoding -> refused, though a decoder would read them', async () => {
    const c = new TestChannel(w())
    const data = w().adjudicator.encode('register', c.make(), [])
    // The state's offset of its outcome, in bytes: selector, two offsets, the channel's three offsets, its params.
    const params = 4 + 2 * 32 + 3 * 32
    const outcome = params + 544 + 2 * 32
    const word = (at: number) => `0x${data.slice(2 + 2 * at, 2 + 2 * at + 64)}`
    expect(BigInt(word(outcome))).to.equal(0xa0n)
    // Another copy of the outcome behind everything, and an offset that leads there.
    const tail = (data.length - 2) / 2
    const copy = data.slice(2 + 2 * (outcome - 64 + 0xa0))
    const moved = toBeHex(tail - (outcome - 64), 32).slice(2)
    const hostile = `${data.slice(0, 2 + 2 * outcome)}${moved}${data.slice(2 + 2 * outcome + 64)}${copy}`
    await refusedData(w().adjudicator, hostile, 'invalid encoding')
  })

  it('safety h: through a contract -> the calldata is in an event; straight from an account -> none', async () => {
    const { adjudicator, chain } = w()
    const c = new TestChannel(w())
    const signed = c.make()
    const data = adjudicator.encode('register', signed, [])
    const wallet = await chain.deploy(ContractWallet)
    const receipt = await wallet.send('forward', [adjudicator.address, data])
    const [forwarded, update] = eventsOf(adjudicator, receipt)
    expect(forwarded).to.deep.equal(['ForwardedCall', data])
    expect(at(update ?? [], 0)).to.equal('ChannelUpdate')
    expect(eventsOf(adjudicator, await c.register({ version: 2n })).map((e) => e[0])).to.deep.equal([
      'ChannelUpdate',
    ])
  })

  it('safety h: an account with code of its own (EIP-7702) -> the calldata is in an event', async () => {
    const { adjudicator, chain, anvil, accounts } = w()
    const wallet = await chain.deploy(ContractWallet)
    const from = at(accounts, 3).address
    await anvil.rpc('anvil_setCode', [from, `0xef0100${wallet.address.slice(2)}`])
    const data = adjudicator.encode('register', new TestChannel(w()).make(), [])
    const self = chain.at(ContractWallet, from)
    const receipt = await self.send('forward', [adjudicator.address, data], { from })
    expect(eventsOf(adjudicator, receipt).map((e) => e[0])).to.deep.equal(['ForwardedCall', 'ChannelUpdate'])
  })
})

describe('contracts: register, sub-channels', () => {
  const w = world()

  it('a tree -> each registered, parents first; surplus entries are ignored', async () => {
    const { adjudicator } = w()
    const parent = new TestChannel(w())
    const child = new TestChannel(w(), { ledgerChannel: false, nonce: 1n })
    const grandchild = new TestChannel(w(), { ledgerChannel: false, nonce: 2n })
    const inner = grandchild.make({ balances: [[1n, 2n]] })
    const middle = child.make({ balances: [[4n, 5n]], locked: [grandchild.locked([3n])] })
    const outer = parent.make({ locked: [child.locked([12n])] })
    const receipt = await adjudicator.send('register', [outer, [middle, inner, inner]])
    expect(eventsOf(adjudicator, receipt).map((e) => e[1])).to.deep.equal([
      parent.id,
      child.id,
      grandchild.id,
    ])
  })

  it('wrong trees -> refused, with the reason', async () => {
    const { adjudicator, asset, chain } = w()
    const parent = new TestChannel(w())
    const child = new TestChannel(w(), { ledgerChannel: false, nonce: 1n })
    const outer = parent.make({ locked: [child.locked([9n])] })
    const good = child.make({ balances: [[4n, 5n]] })
    const refuse = (children: readonly SignedStateData[], reason: string, top = outer) =>
      refused(adjudicator, 'register', [top, children], reason)
    await refuse([], 'subChannels too short')
    await refuse([parent.make()], 'invalid sub-channel id')
    await refuse([child.make({ balances: [[4n, 6n]] })], 'uint256[]: unequal item')
    const other = { balances: [[4n, 5n]] }
    await refuse([child.make({ ...other, assets: [{ ...asset, chainID: 5n }] })], 'unequal chainID')
    await refuse(
      [child.make({ ...other, assets: [assetOf(chain.chainID, parent.id.slice(0, 42))] })],
      'unequal ethHolder',
    )
    await refuse([child.make({ ...other, assets: [{ ...asset, ccHolder: '0x01' }] })], 'unequal ccHolder')
    await refuse([child.make({ assets: [], balances: [] })], 'Asset[]: unequal length')
    const short = parent.make({ locked: [child.locked([9n], [0])] })
    await refuse([good], 'index map too short', short)
    const two = parent.make({ locked: [child.locked([9n]), child.locked([9n])] })
    await refuse([good], 'subChannels too short', two)
    const deep = child.make({ balances: [[4n, 5n]], locked: [child.locked([0n])] })
    await refuse([deep], 'panic', outer)
    await adjudicator.send('register', [outer, [good]])
  })

  it('safety o: nested deeper than the limit -> refused', async () => {
    const chain = Array.from(
      { length: 10 },
      (_, i) => new TestChannel(w(), { ledgerChannel: i === 0, nonce: BigInt(i) }),
    )
    const signed = chain.map((c, i) => {
      const next = chain[i + 1]
      return c.make({ balances: [[0n, 0n]], locked: next === undefined ? [] : [next.locked([0n])] })
    })
    await refused(w().adjudicator, 'register', [at(signed, 0), signed.slice(1)], 'too deep')
    await w()
      .adjudicator.send('register', [at(signed, 1), signed.slice(2)])
      .then(
        () => expect.fail('a sub-channel was taken for a ledger channel'),
        (error: Error) => expect(error.message).to.contain('not ledger'),
      )
  })
})
