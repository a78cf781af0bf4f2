import { expect } from 'chai'
import { MaxUint256, ZeroAddress } from 'ethers'
import { AssetHolderETH } from '../../../../backend/ethereum/artifacts/index.js'
import { ContractWallet } from '../../../../backend/ethereum/artifacts/testing/index.js'
import {
  type Deployed,
  fundingIDOf,
  sign,
  type WithdrawalData,
  withdrawalHashOf,
} from '../../../../scripts/contracts.js'
import { at, eventsOf, NO_FOREIGN, refused, stranger, TestChannel, world } from './world.js'

describe('contracts: holder, deposits', () => {
  const w = world()

  it('deposit -> adds to the holdings of any ID, event, first one below 46 000 gas', async () => {
    const { ether } = w()
    const c = new TestChannel(w())
    const id = c.fundingID(0)
    const receipt = await ether.send('deposit', [id, 7n], { value: 7n })
    expect(receipt.gasUsed).to.be.below(46_000)
    expect(eventsOf(ether, receipt)).to.deep.equal([['Deposited', id, 7n]])
    await ether.send('deposit', [id, 3n], { value: 3n })
    await ether.send('deposit', [NO_FOREIGN, 1n], { value: 1n })
    expect(await ether.readBigint('holdings', id)).to.equal(10n)
    expect(await ether.readBigint('holdings', NO_FOREIGN)).to.equal(1n)
  })

  it('deposit of another amount than was sent, or of more than 112 bits -> refused', async () => {
    const { ether } = w()
    const reason = 'wrong amount of ETH for deposit'
    await refused(ether, 'deposit', [NO_FOREIGN, 7n], reason, { value: 8n })
    await refused(ether, 'deposit', [NO_FOREIGN, 7n], reason)
    await refused(ether, 'deposit', [NO_FOREIGN, 2n ** 112n], 'amount too large')
    await refused(ether, 'deposit', [NO_FOREIGN, MaxUint256], 'amount too large')
    await ether.send('deposit', [NO_FOREIGN, 7n], { value: 7n })
    await refused(ether, 'deposit', [NO_FOREIGN, MaxUint256], 'overflow')
  })

  it('deposit after settlement by setOutcome -> counts, and can be withdrawn', async () => {
    const c = new TestChannel(w())
    await c.fund([10n, 9n])
    await c.concludeFinal()
    await c.fund([5n])
    expect(await c.holdings()).to.deep.equal([15n, 9n])
    await w().ether.send('withdraw', c.withdrawal(0, stranger('late'), 15n))
    expect(await w().chain.balance(stranger('late'))).to.equal(15n)
  })

  it('depositBatch -> several channels at once; the sum must be sent', async () => {
    const { ether } = w()
    const ids = [0, 1, 2].map((i) => new TestChannel(w(), { nonce: BigInt(i) }).fundingID(0))
    const receipt = await ether.send('depositBatch', [ids, [1n, 2n, 3n]], { value: 6n })
    expect(eventsOf(ether, receipt)).to.deep.equal(ids.map((id, i) => ['Deposited', id, BigInt(i + 1)]))
    await refused(ether, 'depositBatch', [ids, [1n, 2n, 3n]], 'wrong amount', { value: 5n })
    await refused(ether, 'depositBatch', [ids, [1n, 2n]], 'lengths differ', { value: 3n })
    await refused(
      ether,
      'depositBatch',
      [
        [NO_FOREIGN, NO_FOREIGN],
        [MaxUint256, 1n],
      ],
      'amount too large',
    )
  })

  it('safety p: depositExpecting -> only as long as things are as expected', async () => {
    const { ether } = w()
    const c = new TestChannel(w())
    const [alice, bob] = c.addresses as [string, string]
    const deposit = (participant: string, amount: bigint, maxHeld: bigint, others: unknown[]) =>
      [c.id, participant, amount, maxHeld, others] as const
    const needsAlice = [{ participant: alice, atLeast: 10n }]
    const value = 10n
    await refused(ether, 'depositExpecting', deposit(bob, 9n, 0n, needsAlice), 'holdings below expectation', {
      value: 9n,
    })
    const receipt = await ether.send('depositExpecting', deposit(alice, value, 0n, []), { value })
    expect(eventsOf(ether, receipt)).to.deep.equal([['Deposited', c.fundingID(0), value]])
    await refused(ether, 'depositExpecting', deposit(alice, value, 0n, []), 'holdings above expectation', {
      value,
    })
    await ether.send('depositExpecting', deposit(bob, 9n, 0n, needsAlice), { value: 9n })
    expect(await c.holdings()).to.deep.equal([10n, 9n])
    await c.concludeFinal()
    await refused(ether, 'depositExpecting', deposit(alice, value, 99n, []), 'channel settled', { value })
  })

  it('safety p: deposits into a channel that was closed or paid -> refused', async () => {
    const { ether, adjudicator, chain } = w()
    const closed = new TestChannel(w())
    await closed.fund([10n, 9n])
    const final = closed.state({ isFinal: true })
    await adjudicator.send('close', closed.closing(final, [stranger('a'), stranger('b')]))
    const [alice, bob] = closed.addresses as [string, string]
    const others = [{ participant: alice, atLeast: 0n }]
    await refused(ether, 'deposit', [closed.fundingID(0), 1n], 'channel settled', { value: 1n })
    await refused(ether, 'depositExpecting', [closed.id, bob, 1n, 0n, others], 'channel settled', {
      value: 1n,
    })

    const paid = new TestChannel(w(), { nonce: 5n })
    await paid.fund([10n, 9n])
    await paid.register()
    await chain.pass(60n)
    const receivers = [ZeroAddress, ZeroAddress]
    await adjudicator.send('concludeAndPay', [paid.params, paid.state(), [], receivers, ['0x', '0x']])
    await refused(ether, 'depositExpecting', [paid.id, bob, 1n, 99n, []], 'channel settled', { value: 1n })
  })
})

describe('contracts: holder, setOutcome', () => {
  const w = world()
  let holder: Deployed
  let boss: string
  beforeEach(async () => {
    boss = at(w().accounts, 1).address
    holder = await w().chain.deploy(AssetHolderETH, boss)
  })
  const set = (c: TestChannel, balances: readonly bigint[]) =>
    holder.send('setOutcome', [c.id, c.params.participants, balances], { from: boss })

  it('only the adjudicator, equal lengths, once, distinct participants', async () => {
    const c = new TestChannel(w())
    const parts = c.params.participants
    await refused(holder, 'setOutcome', [c.id, parts, [1n, 2n]], 'can only be called by the adjudicator')
    const from = { from: boss }
    await refused(
      holder,
      'setOutcome',
      [c.id, parts, [1n]],
      'participants length should equal balances',
      from,
    )
    const twice = [at(parts, 0), { ethAddress: at(parts, 0).ethAddress, ccAddress: '0x01' }]
    await refused(holder, 'setOutcome', [c.id, twice, [1n, 2n]], 'duplicate participant', from)
    const receipt = await set(c, [0n, 0n])
    expect(eventsOf(holder, receipt)).to.deep.equal([['OutcomeSet', c.id]])
    expect(await holder.read('settled', c.id)).to.deep.equal([true])
    await refused(
      holder,
      'setOutcome',
      [c.id, parts, [0n, 0n]],
      'trying to set already settled channel',
      from,
    )
    await refused(
      holder,
      'settleAndPay',
      [c.id, c.addresses, [0n, 0n], c.addresses, true],
      'can only be called',
    )
  })

  it('funded -> holdings are the outcome; the channel ID itself may have been funded', async () => {
    const c = new TestChannel(w())
    await c.fund([4n, 5n], holder).catch(() => undefined)
    await holder.send('deposit', [c.fundingID(0), 4n], { value: 4n })
    await holder.send('deposit', [c.id, 6n], { value: 6n })
    await set(c, [9n, 1n])
    expect(await c.holdings(holder)).to.deep.equal([9n, 1n])
    expect(await holder.readBigint('holdings', c.id)).to.equal(0n)
  })

  it('under-funded -> everybody keeps his own; what the channel ID had goes to the first', async () => {
    const c = new TestChannel(w())
    await holder.send('deposit', [c.fundingID(1), 4n], { value: 4n })
    await holder.send('deposit', [c.id, 2n], { value: 2n })
    await set(c, [7n, 0n])
    expect(await c.holdings(holder)).to.deep.equal([2n, 4n])
  })

  it('an outcome whose sum overflows -> as under-funded, never more than was held', async () => {
    const c = new TestChannel(w())
    await holder.send('deposit', [c.fundingID(1), 4n], { value: 4n })
    await set(c, [MaxUint256, 2n])
    expect(await c.holdings(holder)).to.deep.equal([0n, 4n])
  })

  for (const { name, deposits, outcome, expected } of [
    {
      name: 'deposited twice, outcome unchanged',
      deposits: [[7n, 7n], [3n]],
      outcome: [7n, 3n],
      expected: [14n, 3n],
    },
    {
      name: 'deposited twice, and lost',
      deposits: [[7n, 7n], [3n]],
      outcome: [0n, 10n],
      expected: [7n, 10n],
    },
    { name: 'deposited twice, and won', deposits: [[7n], [3n, 3n]], outcome: [0n, 10n], expected: [0n, 13n] },
    { name: 'too much at once', deposits: [[9n], [3n]], outcome: [7n, 3n], expected: [9n, 3n] },
    { name: 'too much at once by both', deposits: [[9n], [5n]], outcome: [7n, 3n], expected: [9n, 5n] },
    { name: 'in parts, without surplus', deposits: [[3n, 4n], [3n]], outcome: [2n, 8n], expected: [2n, 8n] },
  ]) {
    it(`safety l: surplus, ${name} -> goes to its depositor`, async () => {
      const c = new TestChannel(w())
      for (const [i, list] of deposits.entries())
        for (const value of list) await holder.send('deposit', [c.fundingID(i), value], { value })
      await set(c, outcome)
      expect(await c.holdings(holder)).to.deep.equal(expected)
    })
  }

  it('safety l: surplus of the channel ID itself -> the first participant', async () => {
    const c = new TestChannel(w())
    await holder.send('deposit', [c.fundingID(0), 7n], { value: 7n })
    await holder.send('deposit', [c.id, 5n], { value: 5n })
    await set(c, [3n, 4n])
    expect(await c.holdings(holder)).to.deep.equal([8n, 4n])
  })

  it('safety a: whatever the list and the outcome, no channel gets more than it holds', async () => {
    const victim = new TestChannel(w(), { nonce: 1n })
    await holder.send('deposit', [victim.fundingID(0), 1_000n], { value: 1_000n })
    const c = new TestChannel(w())
    await holder.send('deposit', [c.fundingID(0), 10n], { value: 10n })
    const [alice, bob] = c.params.participants
    for (const parts of [
      [alice, alice],
      [alice, bob, alice],
      [bob, bob, alice],
    ]) {
      const balances = parts.map(() => 10n)
      await refused(holder, 'setOutcome', [c.id, parts, balances], 'duplicate participant', { from: boss })
    }
    await set(c, [10n, 10n])
    expect(await c.holdings(holder)).to.deep.equal([10n, 0n])
  })
})

describe('contracts: holder, withdrawals', () => {
  const w = world()
  const out = stranger('receiver')

  async function settled(deposits = [10n, 9n]) {
    const c = new TestChannel(w())
    await c.fund(deposits)
    await c.concludeFinal()
    return c
  }

  it('withdraw -> pays, event; not settled, wrong signature, too much -> refused', async () => {
    const { ether, chain } = w()
    const open = new TestChannel(w(), { nonce: 1n })
    await open.fund([10n])
    await refused(ether, 'withdraw', open.withdrawal(0, out, 1n), 'channel not settled')
    const c = await settled()
    const bob = at(c.parties, 1)
    await refused(ether, 'withdraw', c.withdrawal(0, out, 1n, bob), 'signature verification failed')
    await refused(ether, 'withdraw', c.withdrawal(0, out, 11n), 'insufficient funds')
    const receipt = await ether.send('withdraw', c.withdrawal(0, out, 4n))
    expect(eventsOf(ether, receipt)).to.deep.equal([['Withdrawn', c.fundingID(0), 4n, out]])
    expect(await chain.balance(out)).to.equal(4n)
    expect(await c.holdings()).to.deep.equal([6n, 9n])
  })

  it('safety j: a contract that needs more than 2300 gas -> is paid; one that refuses -> withdraw reverts', async () => {
    const { ether, chain } = w()
    const c = await settled()
    const wallet = await chain.deploy(ContractWallet)
    await ether.send('withdraw', c.withdrawal(0, wallet.address, 4n))
    expect(await wallet.readBigint('received')).to.equal(4n)
    await wallet.send('setMode', [1])
    await refused(ether, 'withdraw', c.withdrawal(0, wallet.address, 6n), 'transfer failed')
    expect(await c.holdings()).to.deep.equal([6n, 9n])
  })

  it('safety j: a receiver that calls back -> cannot withdraw twice', async () => {
    const { ether, chain } = w()
    const c = await settled()
    const wallet = await chain.deploy(ContractWallet)
    const args = c.withdrawal(0, wallet.address, 10n)
    await wallet.send('setCallBack', [ether.address, ether.encode('withdraw', ...args)])
    await ether.send('withdraw', args)
    expect(await wallet.read('calledBack')).to.deep.equal([false])
    expect(await chain.balance(wallet.address)).to.equal(10n)
  })

  it('withdrawBatch -> one failing receiver does not stop the others, and keeps its money', async () => {
    const { ether, chain } = w()
    const c = await settled()
    for (const mode of [1, 2]) {
      const snapshot = await w().anvil.rpc('evm_snapshot')
      const wallet = await chain.deploy(ContractWallet)
      await wallet.send('setMode', [mode])
      const items = [c.withdrawal(0, wallet.address, 10n), c.withdrawal(1, out, 9n)]
      const receipt = await ether.send('withdrawBatch', [items.map((i) => i[0]), items.map((i) => i[1])])
      expect(eventsOf(ether, receipt)).to.deep.equal([
        ['PaymentFailed', c.fundingID(0), 10n, wallet.address],
        ['Withdrawn', c.fundingID(1), 9n, out],
      ])
      expect(await c.holdings()).to.deep.equal([10n, 0n])
      await ether.send('withdraw', c.withdrawal(0, stranger('other'), 10n))
      await w().anvil.rpc('evm_revert', [snapshot])
    }
    const bad = c.withdrawal(0, out, 10n, at(c.parties, 1))
    await refused(ether, 'withdrawBatch', [[bad[0]], [bad[1]]], 'signature verification failed')
    await refused(ether, 'withdrawBatch', [[bad[0]], []], 'lengths differ')
  })

  it('not enough gas to pay one of several -> reverts instead of failing the payment', async () => {
    const { ether, chain } = w()
    const c = await settled()
    const [authorization, sig] = c.withdrawal(0, out, 10n)
    const data = ether.encode('withdrawBatch', [authorization], [sig])
    const error = await chain.call(ether.address, data, { gas: 110_000n }).then(
      () => undefined,
      (e: Error) => e.message,
    )
    expect(error).to.contain('not enough gas to pay')
  })

  it('withdrawAll -> everything to whom each authorised; the sender needs no signature', async () => {
    const { ether, accounts, chain } = w()
    const c = await settled()
    const args = [
      c.id,
      c.addresses,
      [out, stranger('second')],
      [c.payout(0, out), c.payout(1, stranger('second'))],
    ]
    await ether.send('withdrawAll', args)
    expect(await chain.balance(out)).to.equal(10n)
    expect(await chain.balance(stranger('second'))).to.equal(9n)
    await ether.send('withdrawAll', args) // pays nothing more
    expect(await chain.balance(out)).to.equal(10n)
    expect(at(accounts, 0).address).to.not.equal(at(c.addresses, 0))
  })

  it('withdrawAll: not settled, other receiver, other participant, no signature -> refused', async () => {
    const { ether } = w()
    const open = new TestChannel(w(), { nonce: 1n })
    await open.fund([10n])
    const one = (c: TestChannel, receiver: string, sig: string) => [
      c.id,
      [at(c.addresses, 0)],
      [receiver],
      [sig],
    ]
    await refused(ether, 'withdrawAll', one(open, out, open.payout(0, out)), 'channel not settled')
    const c = await settled()
    await refused(
      ether,
      'withdrawAll',
      one(c, stranger('thief'), c.payout(0, out)),
      'signature verification failed',
    )
    await refused(ether, 'withdrawAll', one(c, out, c.payout(1, out)), 'signature verification failed')
    await refused(ether, 'withdrawAll', one(c, out, open.payout(0, out)), 'signature verification failed')
    await refused(ether, 'withdrawAll', one(c, out, '0x'), 'invalid signature length')
    await refused(ether, 'withdrawAll', [c.id, c.addresses, [out], []], 'lengths differ')
    const from = at(c.addresses, 0)
    await w().anvil.rpc('anvil_impersonateAccount', [from])
    await w().anvil.rpc('anvil_setBalance', [from, '0xde0b6b3a7640000'])
    await ether.send('withdrawAll', one(c, out, '0x'), { from })
    expect(await w().chain.balance(out)).to.equal(10n)
  })

  describe('safety i: withdrawOnce', () => {
    const give = (c: TestChannel, overrides: Partial<WithdrawalData> = {}): WithdrawalData => ({
      channelID: c.id,
      participant: at(c.addresses, 0),
      receiver: out,
      amount: 4n,
      nonce: 300n,
      deadline: MaxUint256,
      ...overrides,
    })
    const signed = (
      c: TestChannel,
      data: WithdrawalData,
      holder = w().ether.address,
      chainID = w().chain.chainID,
    ) => [data, sign(at(c.parties, 0), withdrawalHashOf(chainID, holder, data))]

    it('pays once', async () => {
      const { ether, chain } = w()
      const c = await settled()
      const args = signed(c, give(c))
      expect(await ether.read('withdrawalHash', args[0])).to.deep.equal([
        withdrawalHashOf(chain.chainID, ether.address, give(c)),
      ])
      await ether.send('withdrawOnce', args)
      expect(await chain.balance(out)).to.equal(4n)
      expect(await ether.read('nonceUsed', at(c.addresses, 0), 300n)).to.deep.equal([true])
      expect(await ether.read('nonceUsed', at(c.addresses, 0), 301n)).to.deep.equal([false])
      await refused(ether, 'withdrawOnce', args, 'nonce used')
      await ether.send('withdrawOnce', signed(c, give(c, { nonce: 301n })))
      await refused(ether, 'withdrawOnce', signed(c, give(c, { nonce: 302n })), 'insufficient funds')
    })

    it('other holder, other chain, changed fields, late, not settled -> refused', async () => {
      const { ether, chain } = w()
      const c = await settled()
      const reason = 'signature verification failed'
      await refused(ether, 'withdrawOnce', signed(c, give(c), w().adjudicator.address), reason)
      await refused(ether, 'withdrawOnce', signed(c, give(c), ether.address, 1n), reason)
      const [, sig] = signed(c, give(c))
      for (const change of [{ amount: 5n }, { nonce: 1n }, { receiver: stranger('thief') }, { deadline: 5n }])
        await refused(ether, 'withdrawOnce', [give(c, change), sig], reason)
      const deadline = (await chain.now()) - 1n
      await refused(ether, 'withdrawOnce', signed(c, give(c, { deadline })), 'deadline passed')
      const open = new TestChannel(w(), { nonce: 1n })
      await open.fund([10n])
      await refused(ether, 'withdrawOnce', signed(open, give(open)), 'channel not settled')
    })
  })

  it('isSettled, confirmSettled -> let late deposits out of a channel that was closed', async () => {
    const { ether, adjudicator, chain } = w()
    const c = new TestChannel(w())
    await c.fund([10n, 9n])
    await adjudicator.send('close', c.closing(c.state({ isFinal: true }), [stranger('a'), stranger('b')]))
    const [alice, bob] = c.addresses as [string, string]
    expect(await ether.read('isSettled', c.id, alice)).to.deep.equal([true])
    expect(await ether.read('isSettled', c.id, bob)).to.deep.equal([false])
    await ether.send('deposit', [c.fundingID(1), 5n], { value: 5n })
    await refused(ether, 'withdraw', c.withdrawal(1, out, 5n), 'channel not settled')
    await refused(ether, 'confirmSettled', [c.id, bob], 'channel not settled')
    await ether.send('deposit', [c.id, 3n], { value: 3n })
    await ether.send('confirmSettled', [c.id, alice])
    expect(await c.holdings()).to.deep.equal([3n, 5n])
    expect(await ether.read('settled', c.id)).to.deep.equal([true])
    await ether.send('withdraw', c.withdrawal(1, out, 5n))
    expect(await chain.balance(out)).to.equal(5n)
    expect(await ether.readBigint('holdings', fundingIDOf(c.id, bob))).to.equal(0n)
  })
})
