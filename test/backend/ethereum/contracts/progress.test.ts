import { expect } from 'chai'
import { toBeHex } from 'ethers'
import { BurningApp, ContractWallet } from '../../../../backend/ethereum/artifacts/testing/index.js'
import { type StateData, type StateOptions, sign, stateHashOf } from '../../../../scripts/contracts.js'
import { at, eventsOf, PHASE, refused, refusedData, stranger, TestChannel, world } from './world.js'

describe('contracts: progress', () => {
  const w = world()
  const args = (c: TestChannel, from: StateData, to: StateData, actor = 0, signer = actor) => [
    c.params,
    from,
    to,
    actor,
    sign(at(c.parties, signer), stateHashOf(to)),
  ]
  const refuse = (reason: string, ...rest: Parameters<typeof args>) =>
    refused(w().adjudicator, 'progress', args(...rest), reason)

  /** A channel of the trivial app, registered with version 1; its time for refutation is over. */
  async function disputed(overrides: Partial<StateOptions> = {}, app = w().trivial.address) {
    const c = new TestChannel(w(), { app })
    const state = c.state(overrides)
    await c.register(overrides)
    await w().chain.pass(60n)
    return { c, state }
  }

  it('step -> stored in FORCEEXEC for one more duration, one event', async () => {
    const { c, state } = await disputed()
    const to = c.state({ version: 2n, balances: [[0n, 19n]] })
    const receipt = await w().adjudicator.send('progress', args(c, state, to, 1))
    const timeout = receipt.timestamp + 60n
    expect(await c.dispute()).to.deep.equal({
      timeout,
      challengeDuration: 60n,
      version: 2n,
      phase: PHASE.forceExec,
      stateHash: stateHashOf(to),
      hasApp: true,
    })
    expect(eventsOf(w().adjudicator, receipt)).to.deep.equal([['ChannelUpdate', c.id, 2n, 1n, timeout]])
  })

  it('step into a final state -> the timeout is now, no further step', async () => {
    const { c, state } = await disputed()
    const to = c.state({ version: 2n, isFinal: true })
    const { timestamp } = await w().adjudicator.send('progress', args(c, state, to))
    expect((await c.dispute()).timeout).to.equal(timestamp)
    await refuse('timeout passed', c, to, c.state({ version: 3n }))
    await w().adjudicator.send('conclude', [c.params, to, []])
  })

  it('not registered, too early, too late, concluded -> refused', async () => {
    const c = new TestChannel(w(), { app: w().trivial.address })
    const [one, two, three] = [c.state(), c.state({ version: 2n }), c.state({ version: 3n })]
    await refuse('not registered', c, one, two)
    await c.register()
    await refuse('timeout not passed', c, one, two)
    await w().chain.pass(60n)
    await w().adjudicator.send('progress', args(c, one, two))
    await w().chain.pass(60n)
    await refuse('timeout passed', c, two, three)
    await w().adjudicator.send('conclude', [c.params, two, []])
    await refuse('invalid phase', c, two, three)
  })

  it('no app, wrong params, old state, actor, signature -> refused', async () => {
    const plain = new TestChannel(w())
    await plain.register()
    await w().chain.pass(60n)
    await refuse('must have app', plain, plain.state(), plain.state({ version: 2n }))

    const { c, state } = await disputed()
    const to = c.state({ version: 2n })
    await refuse('invalid signature', c, state, to, 0, 1)
    const sig = sign(at(c.parties, 0), stateHashOf(to))
    await refused(w().adjudicator, 'progress', [c.params, state, to, 2, sig], 'actorIdx out of range')
    await refuse('wrong old state', c, c.state({ appData: '0x01' }), to)
    const params = { ...c.params, nonce: 1n }
    await refused(w().adjudicator, 'progress', [params, state, to, 0, sig], 'invalid params')
  })

  it('what a step may not change -> refused', async () => {
    const sub = { ID: toBeHex(7n, 32), balances: [0n], indexMap: [0, 1] }
    const c = new TestChannel(w(), { app: w().trivial.address })
    // Locks nothing, so that it can be registered alone; what is locked is tried with the app below.
    const from = c.state()
    await c.register()
    await w().chain.pass(60n)
    const step = (overrides: Partial<StateOptions>, reason: string) =>
      refuse(reason, c, from, c.state({ version: 2n, ...overrides }))
    await step({ version: 3n }, 'version must increment by one')
    await step({ version: 1n, appData: '0x01' }, 'version must increment by one')
    await step({ balances: [[10n, 10n]] }, 'sum of balances mismatch')
    await step({ balances: [[19n]] }, 'new balances length mismatch')
    await step(
      {
        balances: [
          [10n, 9n],
          [0n, 0n],
        ],
      },
      'balances length mismatch',
    )
    const { asset } = w()
    await step({ assets: [asset, asset] }, 'assets length mismatch')
    await step({ assets: [{ ...asset, chainID: 5n }] }, 'unequal chainID')
    await step({ assets: [{ ...asset, ethHolder: stranger('holder') }] }, 'unequal ethHolder')
    await step({ assets: [{ ...asset, ccHolder: '0x' }] }, 'unequal ccHolder')
    await step({ locked: [sub] }, 'SubAlloc[]: unequal length')
  })

  it('locked funds -> stay as they are', async () => {
    const c = new TestChannel(w(), { app: w().trivial.address })
    const child = new TestChannel(w(), { ledgerChannel: false, nonce: 1n })
    const locked = [child.locked([3n])]
    await c.register({ locked }, [child.make({ balances: [[1n, 2n]] })])
    await w().chain.pass(60n)
    const from = c.state({ locked })
    const step = (changed: unknown[], reason: string) =>
      refuse(reason, c, from, c.state({ version: 2n, locked: changed as typeof locked }))
    await step([{ ...at(locked, 0), ID: c.id }], 'SubAlloc: unequal ID')
    await step([{ ...at(locked, 0), balances: [4n] }], 'uint256[]: unequal item')
    await step([{ ...at(locked, 0), balances: [] }], 'uint256[]: unequal length')
    await step([{ ...at(locked, 0), indexMap: [1, 0] }], 'uint16[]: unequal item')
    await step([{ ...at(locked, 0), indexMap: [0] }], 'uint16[]: unequal length')
    await w().adjudicator.send('progress', args(c, from, c.state({ version: 2n, locked })))
  })

  it('final state registered -> no step', async () => {
    const { c, state } = await disputed({ isFinal: true })
    await refuse('cannot progress from final state', c, state, c.state({ version: 2n }))
  })

  it('sub-channel with an app -> progresses by itself', async () => {
    const parent = new TestChannel(w())
    const child = new TestChannel(w(), { ledgerChannel: false, app: w().trivial.address })
    const from = child.state({ balances: [[4n, 5n]] })
    await parent.register({ locked: [child.locked([9n])] }, [child.signed(from)])
    await w().chain.pass(60n)
    const to = child.state({ version: 2n, balances: [[9n, 0n]] })
    await w().adjudicator.send('progress', args(child, from, to))
    expect(await child.dispute()).to.include({ phase: PHASE.forceExec, version: 2n })
  })

  it('app without code, or that refuses -> refused, with its reason', async () => {
    const none = await disputed({}, stranger('app'))
    await refuse('app without code', none.c, none.state, none.c.state({ version: 2n }))
    const data = '0x00000000000000000000'
    const game = await disputed({ appData: data }, w().ticTacToe.address)
    const step = (appData: string, reason: string, actor = 0, rest: Partial<StateOptions> = {}) =>
      refuse(reason, game.c, game.state, game.c.state({ version: 2n, appData, ...rest }), actor)
    await step('0x01010000000000000000', 'not your turn', 1)
    await step('0x00010000000000000000', 'wrong next player')
    await step('0x01020000000000000000', 'not your mark')
    await step('0x01030000000000000000', 'invalid field')
    await step('0x01010100000000000000', 'set one mark')
    await step('0x01000000000000000000', 'set one mark')
    await step('0x010100000000000000', 'data length')
    await step('0x01010000000000000000', 'balances changed', 0, { balances: [[19n, 0n]] })
    await step('0x01010000000000000000', 'wrong end of game', 0, { isFinal: true })
  })

  it('tic-tac-toe -> a won game gives the winner all, after forced moves of both', async () => {
    // 0 | 0 | .     participant 0 wins with the first row
    // 1 | 1 | .
    const { c, state } = await disputed({ appData: '0x00010100020200000000' }, w().ticTacToe.address)
    const won = c.state({
      version: 2n,
      appData: '0x01010101020200000000',
      isFinal: true,
      balances: [[19n, 0n]],
    })
    const greedy = c.state({ version: 2n, appData: '0x01010101020200000000', isFinal: true })
    await refuse('winner takes all', c, state, greedy)
    await refuse('field is taken', c, state, c.state({ version: 2n, appData: '0x01010100010200000000' }))
    await w().adjudicator.send('progress', args(c, state, won))
    await c.fund([10n, 9n])
    await w().adjudicator.send('conclude', [c.params, won, []])
    expect(await c.holdings()).to.deep.equal([19n, 0n])
  })

  it('safety n: not more than 256 steps, then the channel can be concluded', async function () {
    this.timeout(60_000)
    const { c, state } = await disputed()
    let from = state
    for (let i = 0; i < 256; i++) {
      const to = c.state({ version: from.version + 1n })
      await w().adjudicator.send('progress', args(c, from, to, i % 2))
      from = to
    }
    await refuse('too many steps', c, from, c.state({ version: from.version + 1n }))
    await w().chain.pass(60n)
    await w().adjudicator.send('conclude', [c.params, from, []])
  })

  it('safety o: an app that burns all gas -> costs its limit, not the block', async () => {
    const app = await w().chain.deploy(BurningApp)
    const { c, state } = await disputed({}, app.address)
    const data = w().adjudicator.encode('progress', ...args(c, state, c.state({ version: 2n })))
    const gas = 15_000_000n
    const before = await w().chain.now()
    const error = await w()
      .chain.send(w().adjudicator.address, data, { gas })
      .then(
        () => expect.fail('was not refused'),
        (e: unknown) => e,
      )
    expect(error).to.be.an('error')
    expect(await w().chain.now()).to.not.equal(before - 1n)
    const block = (await w().anvil.rpc('eth_getBlockByNumber', ['latest', false])) as { gasUsed: string }
    expect(Number(block.gasUsed)).to.be.within(5_000_000, 5_500_000)
  })

  it('bytes that are no canonical encoding -> one actor cannot show other balances for his signature', async () => {
    // Bob signs a hash of bytes in which the outcome's offset leads out of them.
    const { c, state } = await disputed()
    const { adjudicator } = w()
    const good = c.state({ version: 2n })
    const data = adjudicator.encode('progress', ...args(c, state, good, 1))
    const start = (data.lastIndexOf(c.id.slice(2)) - 2) / 2
    const offset = 2 + 2 * (start + 64)
    expect(BigInt(`0x${data.slice(offset, offset + 64)}`)).to.equal(0xa0n)
    const end = (data.length - 2) / 2
    const copy = data.slice(2 + 2 * (start + 0xa0))
    const moved = toBeHex(end - start, 32).slice(2)
    await refusedData(
      adjudicator,
      `${data.slice(0, offset)}${moved}${data.slice(offset + 64)}${copy}`,
      'invalid encoding',
    )
  })

  it('safety h: through a contract -> the calldata is in an event', async () => {
    const { c, state } = await disputed()
    const { adjudicator, chain } = w()
    const data = adjudicator.encode('progress', ...args(c, state, c.state({ version: 2n })))
    const wallet = await chain.deploy(ContractWallet)
    const receipt = await wallet.send('forward', [adjudicator.address, data])
    const events = eventsOf(adjudicator, receipt)
    expect(at(events, 0)).to.deep.equal(['ForwardedCall', data])
    expect(events.length).to.equal(2)
  })
})
