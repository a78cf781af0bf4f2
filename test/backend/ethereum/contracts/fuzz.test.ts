// Random calls by anybody, thousands of them, on a real node. After each call that succeeds: nobody's newest signed
// state was overridden by an older one while time ran. All the time: no channel is paid more than was deposited for
// it. In the end: whatever has happened, all money comes out, by what was signed before and the passing of time.
//
// A failing run prints its seed; FUZZ_SEED=… repeats it, FUZZ_CALLS=… changes its length.
import { randomInt } from 'node:crypto'
import { expect } from 'chai'
import { ZeroAddress } from 'ethers'
import {
  type Deployed,
  type Receipt,
  type SignedStateData,
  sign,
  stateHashOf,
  withdrawalHashOf,
} from '../../../../scripts/contracts.js'
import { idsOf, Ledger, type Money, Random, type Scene, Subject, scene, VERSIONS } from './fuzz-model.js'
import { at, world } from './world.js'

/** Gas of each call: enough for the dearest, and little enough that burning it all takes no time. */
const GAS = 3_000_000n

interface Call {
  readonly name: string
  readonly to: Deployed
  readonly data: string
  readonly value?: bigint
  /** A deposit for the channel's own ID. */
  readonly direct?: Subject
  /** Version of the state that all have agreed to end a channel with, and that channel. */
  readonly ends?: { readonly subject: Subject; readonly version: bigint }
}

const touches = (receipt: Receipt, subject: Subject) =>
  receipt.logs.some((log) => log.topics[1] === subject.channel.id)

class Run {
  readonly random: Random
  readonly ledger: Ledger
  readonly subjects: Subject[] = []
  readonly past: Call[] = []
  readonly done = new Map<string, number>()

  constructor(
    readonly s: Scene,
    seed: number,
    channels: number,
  ) {
    this.random = new Random(seed)
    this.ledger = new Ledger(s)
    while (this.subjects.length < channels) {
      const index = this.subjects.length
      const child = this.random.chance(0.35) ? new Subject(s, this.random, index, null, true) : null
      if (child !== null) this.subjects.push(child)
      this.subjects.push(new Subject(s, this.random, index + 1_000, child, false))
      // Somebody else who locks money in the same sub-channel.
      if (child !== null && this.random.chance(0.5))
        this.subjects.push(new Subject(s, this.random, index + 2_000, child, false))
    }
  }

  /** Sends a call; returns its receipt if it succeeded. Checks what must hold afterwards. */
  async make(call: Call): Promise<Receipt | undefined> {
    const { chain } = this.s.w
    // Nobody can own what is deposited for a channel's own ID after the channel is settled.
    if (call.direct !== undefined && (await call.to.read('settled', call.direct.channel.id))[0] === true)
      return
    const receipt = await chain.attempt(call.to.address, call.data, { value: call.value ?? 0n, gas: GAS })
    if (receipt === undefined) return undefined
    this.done.set(call.name, (this.done.get(call.name) ?? 0) + 1)
    this.ledger.read(receipt)
    for (const subject of this.subjects) {
      if (!touches(receipt, subject)) continue
      const unanimous = call.ends?.subject === subject ? call.ends.version : undefined
      await subject.check(receipt.timestamp, unanimous)
    }
    await this.checkSettlement(call, receipt)
    return receipt
  }

  /** One failing asset does not block the others: ether is only reported as failed if it was settled before. */
  private async checkSettlement(call: Call, receipt: Receipt): Promise<void> {
    const { adjudicator, ether } = this.s.w
    for (const { args } of adjudicator.events(receipt, 'AssetFailed')) {
      const subject = this.subjects.find((x) => x.channel.id === args[0])
      if (subject === undefined) throw new Error('an asset of no known channel failed')
      const { channel } = subject
      if (channel.assets[Number(args[1])]?.ethHolder !== ether.address) continue
      const settled = []
      for (const address of channel.addresses)
        settled.push((await ether.read('isSettled', channel.id, address))[0])
      expect(settled, `${call.name}: ether failed`).to.include(true)
    }
  }

  private contract(subject: Subject): Money {
    const own = this.s.money.filter((m) =>
      subject.channel.assets.some((a) => a.ethHolder === m.holder.address),
    )
    return this.random.chance(0.95) && own.length > 0 ? this.random.pick(own) : this.random.pick(this.s.money)
  }

  private spoilt(signed: SignedStateData): SignedStateData {
    const { random } = this
    if (!random.chance(0.12)) return signed
    const other = random.pick(random.pick(this.subjects).states)
    const sigs = [...signed.sigs]
    switch (random.below(4)) {
      case 0:
        return { ...signed, sigs: sigs.reverse() }
      case 1:
        return { ...signed, sigs: other.sigs }
      case 2:
        return { ...signed, state: { ...signed.state, version: signed.state.version + 1n } }
      default:
        return { ...signed, params: other.params }
    }
  }

  /** A random call. Most could succeed; some can't. */
  async next(): Promise<Call | undefined> {
    const { random } = this
    const { adjudicator, chain } = this.s.w
    const subject = random.pick(this.subjects)
    const { channel } = subject
    const { holder } = this.contract(subject)
    const isEther = holder === at(this.s.money, 0).holder
    const index = random.below(channel.parties.length)
    const receivers = channel.parties.map(() =>
      random.chance(0.15) ? ZeroAddress : random.pick(this.s.receivers),
    )
    const known = subject.registered()
    const call = (name: string, to: Deployed, args: readonly unknown[], rest: Partial<Call> = {}): Call => ({
      name,
      to,
      data: to.encode(name, ...args),
      ...rest,
    })
    const amount = BigInt(random.below(12))
    const pay = isEther ? { value: amount } : {}
    switch (random.below(26)) {
      case 0:
      case 1:
      case 2:
      case 3: {
        if (random.chance(0.08))
          return call('deposit', holder, [channel.id, amount], { ...pay, direct: subject })
        return call('deposit', holder, [channel.fundingID(index), amount], pay)
      }
      case 4: {
        const others = [{ participant: at(channel.addresses, 0), atLeast: BigInt(random.below(5)) }]
        const args = [channel.id, at(channel.addresses, index), amount, BigInt(random.below(20)), others]
        return call('depositExpecting', holder, args, pay)
      }
      case 5: {
        const other = random.pick(this.subjects).channel
        const value = isEther ? { value: 2n * amount } : {}
        return call(
          'depositBatch',
          holder,
          [
            [channel.fundingID(index), other.fundingID(0)],
            [amount, amount],
          ],
          value,
        )
      }
      case 6:
      case 7:
      case 8:
      case 9: {
        const signed = this.spoilt(random.pick(subject.states))
        const child = subject.child
        const children = child === null ? [] : [this.spoilt(random.pick(child.states))]
        const kept = random.chance(0.5) ? subject.children() : children
        return call('register', adjudicator, [signed, kept])
      }
      case 10:
      case 11: {
        if (known === undefined) return undefined
        const balances = known.outcome.balances.map((row) =>
          random.split(
            row.reduce((a, b) => a + b, 0n),
            row.length,
          ),
        )
        const to = {
          ...known,
          version: known.version + 1n,
          outcome: { ...known.outcome, balances },
          isFinal: random.chance(0.1),
        }
        subject.learn(to)
        const sig = sign(at(channel.parties, index), stateHashOf(to))
        return call('progress', adjudicator, [channel.params, known, to, index, sig])
      }
      case 12:
      case 13: {
        const state = known ?? random.pick(subject.states).state
        const children = subject.children().map((c) => c.state)
        return call('conclude', adjudicator, [channel.params, state, children])
      }
      case 14: {
        const state = known ?? random.pick(subject.states).state
        const children = subject.children().map((c) => c.state)
        const sigs = channel.parties.map((_, i) =>
          at(receivers, i) === ZeroAddress
            ? '0x'
            : channel.payout(random.chance(0.97) ? i : 0, at(receivers, i)),
        )
        return call('concludeAndPay', adjudicator, [channel.params, state, children, receivers, sigs])
      }
      case 15: {
        if (subject.finals.length === 0 || random.chance(0.5)) return undefined
        const signed = random.pick(subject.finals)
        const { params, state, sigs } = this.spoilt(signed)
        const ends = { subject, version: signed.state.version }
        return call('concludeFinal', adjudicator, [params, state, sigs], { ends })
      }
      case 16: {
        if (subject.finals.length === 0 || random.chance(0.5)) return undefined
        const { state } = random.pick(subject.finals)
        const ends = { subject, version: state.version }
        return call('close', adjudicator, channel.closing(state, receivers), { ends })
      }
      case 17:
        return call('checkpoint', adjudicator, [this.spoilt(random.pick(subject.states))])
      case 18: {
        const children = subject.children().map((c) => c.state)
        const state = known ?? random.pick(subject.states).state
        return call('settle', adjudicator, [
          channel.params,
          state,
          children,
          random.below(channel.assets.length),
        ])
      }
      case 19:
        return call('withdraw', holder, channel.withdrawal(index, random.pick(this.s.receivers), amount))
      case 20: {
        const sigs = channel.parties.map((_, i) => channel.payout(i, at(receivers, i)))
        return call('withdrawAll', holder, [channel.id, channel.addresses, receivers, sigs])
      }
      case 21: {
        const withdrawal = {
          channelID: channel.id,
          participant: at(channel.addresses, index),
          receiver: random.pick(this.s.receivers),
          amount,
          nonce: BigInt(random.below(4)),
          deadline: (await chain.now()) + BigInt(random.below(3)),
        }
        const hash = withdrawalHashOf(chain.chainID, holder.address, withdrawal)
        return call('withdrawOnce', holder, [withdrawal, sign(at(channel.parties, index), hash)])
      }
      case 22:
        return call('confirmSettled', holder, [channel.id, at(channel.addresses, index)])
      case 23:
        await chain.pass(BigInt(1 + random.below(random.chance(0.2) ? 120 : 25)))
        return undefined
      case 24:
        await this.s.badHolder.send('setMode', [random.below(4)])
        await this.s.badToken.send('setMode', [random.pick([0, 0, 0, 1, 2, 5, 6])])
        return undefined
      default:
        // Anything that was sent before, by somebody else.
        return this.past.length === 0 ? undefined : random.pick(this.past)
    }
  }

  /** A call that must succeed. */
  private async must(to: Deployed, name: string, args: readonly unknown[]): Promise<void> {
    const receipt = await to.send(name, args)
    this.ledger.read(receipt)
    for (const subject of this.subjects)
      if (touches(receipt, subject)) await subject.check(receipt.timestamp, undefined)
  }

  /** Whatever has happened: what was signed before is enough to get all the money out. */
  async finish(): Promise<void> {
    const { adjudicator, chain } = this.s.w
    await this.s.badHolder.send('setMode', [0])
    await this.s.badToken.send('setMode', [0])
    const roots = this.subjects.filter((x) => x.channel.params.ledgerChannel && x.sound)
    for (const subject of roots) {
      const { channel } = subject
      if (!subject.isConcluded()) {
        const newest = at(subject.states, VERSIONS)
        const known = subject.registered()
        const signed = known === undefined ? newest : { ...newest, state: known }
        await this.must(adjudicator, 'register', [signed, subject.children()])
        await chain.pass(200n)
        const children = subject.children().map((c) => c.state)
        await this.must(adjudicator, 'conclude', [channel.params, signed.state, children])
      }
      const state = subject.registered()
      const children = subject.children().map((c) => c.state)
      for (const [index, asset] of channel.assets.entries()) {
        const money = this.s.money.find((m) => m.asset === asset)
        if (money === undefined) continue
        const settled = async () => (await money.holder.read('settled', channel.id))[0] === true
        if (!(await settled()) && state !== undefined)
          await adjudicator.send('settle', [channel.params, state, children, index])
        expect(await settled(), `${channel.id} is settled`).to.equal(true)
      }
      for (const { holder } of this.s.money) {
        if (!channel.assets.some((a) => a.ethHolder === holder.address)) continue
        for (const [i, amount] of (await channel.holdings(holder)).entries()) {
          if (amount === 0n) continue
          this.ledger.read(
            await holder.send('withdraw', channel.withdrawal(i, at(this.s.receivers, 0), amount)),
          )
        }
        for (const id of idsOf(channel))
          expect(await holder.readBigint('holdings', id), `${channel.id}: stuck in ${id}`).to.equal(0n)
      }
    }
  }
}

const FUNCTIONS = [
  ...['deposit', 'depositExpecting', 'depositBatch', 'register', 'progress', 'conclude', 'concludeAndPay'],
  ...[
    'concludeFinal',
    'close',
    'checkpoint',
    'settle',
    'withdraw',
    'withdrawAll',
    'withdrawOnce',
    'confirmSettled',
  ],
]

describe('contracts: random calls by anybody', () => {
  const w = world()
  const given = process.env['FUZZ_SEED']
  const seed = given === undefined ? randomInt(2 ** 31) : Number(given)
  const calls = Number(process.env['FUZZ_CALLS'] ?? 2_000)

  it(`seed ${seed}: never more out than in, nothing older wins, nothing is stuck`, async function () {
    this.timeout(30 * 3 * calls) // 30 ms a call
    const s = await scene(w())
    const channels = 10
    let sent = 0
    const done = new Map<string, number>()
    // On and on until each function was not only tried, but succeeded; a run that is short on purpose ends before.
    const isDone = () => calls < 2_000 || FUNCTIONS.every((name) => done.has(name))
    for (let round = 0; sent < calls || (sent < 3 * calls && !isDone()); round++) {
      const snapshot = await w().anvil.rpc('evm_snapshot')
      const run = new Run(s, seed + round, channels)
      for (let i = 0; i < 500; i++) {
        const call = await run.next()
        if (call === undefined) continue
        sent++
        run.past.push(call)
        await run.make(call)
        if (i % 100 === 0) await run.ledger.check(run.subjects)
      }
      await run.ledger.check(run.subjects)
      await run.finish()
      await run.ledger.check(run.subjects)
      for (const [name, count] of run.done) done.set(name, (done.get(name) ?? 0) + count)
      await w().anvil.rpc('evm_revert', [snapshot])
    }
    expect(isDone(), `each function succeeds at least once within ${sent} calls`).to.equal(true)
  })
})
