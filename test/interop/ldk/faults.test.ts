// The line is cut, or our process ends, at each message in turn, with LDK at the other end: what was promised is kept.
import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { isLive } from '../../../backend/bitcoin/channel/index.js'
import { toHex } from '../../../channel/index.js'
import type { Ldk } from '../../../scripts/ldk/ldk.js'
import type { Fault, Ours, Passing } from './driver.js'
import { begin, begun, channel, channels, closed, type Meeting, rest } from './meeting.js'
import { Regtest } from './regtest.js'

/** What can happen to a message of either direction. */
const FAULTS: Readonly<Record<Passing['direction'], readonly Fault[]>> = {
  in: ['cut', 'last'],
  out: ['crash', 'last'],
}

describe('interop/ldk: faults', () => {
  let regtest: Regtest
  let ldk: Ldk
  before(async function () {
    this.timeout(60_000)
    regtest = await Regtest.start()
    ldk = await regtest.ldk()
  })
  after(() => regtest[Symbol.asyncDispose]())

  for (const opener of ['ours', 'ldk'] as const) {
    it(`opening by ${opener}: it is lost before it is signed, or goes on`, async function () {
      this.timeout(60_000)
      const meeting: Meeting = { regtest, ldk, opener }
      await using sample = await channel(meeting)
      const trials = everyFault(sample.passed)
      await Promise.all(
        trials.map(async (trial) => {
          let struck = Promise.resolve()
          await using ours = await begun(meeting, (one) => {
            struck = strike(one, trial)
          })
          const isEarly = await Promise.race([struck.then(() => true), ours.signed(ldk).then(() => false)])
          if (isEarly) await again(meeting, ours)
          await regtest.mine()
          await ours.sync()
          await struck
          if (!isEarly) await ours.connect(ldk)
          await ours.usable(ldk)
          await payOnce(ours, trial.name)
        }),
      )
    })
  }

  it('payments: whichever message is the last one, each is paid once', async function () {
    this.timeout(60_000)
    await using ours = await channel({ regtest, ldk, opener: 'ours' })
    let balance = ours.balance
    for (const payer of ['ours', 'ldk'] as const) {
      const amount = 2_000_003n
      const pay = async () =>
        payer === 'ours'
          ? ours.pay(ldk.id, { invoice: await ldk.call('invoice', { amount }) })
          : ldk.call('pay', { invoice: ours.invoice(amount) })
      const change = payer === 'ours' ? -amount : amount
      ours.passed = []
      await pay()
      balance += change
      await rest(ours, ldk, balance)
      for (const trial of everyFault(ours.passed)) {
        ours.passed = []
        const struck = strike(ours, trial)
        const hash = await pay()
        await struck
        await ours.connect(ldk)
        if (payer === 'ours') await ours.outcome(hash, 'paid')
        else await ldk.event('paid', (one) => one.hash === hash)
        balance += change
        await rest(ours, ldk, balance)
      }
    }
  })

  for (const opener of ['ours', 'ldk'] as const) {
    for (const closer of ['ours', 'ldk'] as const) {
      it(`closing by ${closer} of what ${opener} opened: both end with one transaction, which pays each its own`, async function () {
        this.timeout(60_000)
        const meeting: Meeting = { regtest, ldk, opener }
        await using sample = await channel(meeting)
        sample.passed = []
        await close(sample, closer)
        await closed(sample, ldk, regtest)
        const trials = everyFault(sample.passed)
        const all = await channels(meeting, trials.length)
        for (const [i, trial] of trials.entries()) {
          const one = all[i]
          if (one === undefined) throw new Error('a channel for each')
          await using ours = one
          ours.passed = []
          const struck = strike(ours, trial)
          await close(ours, closer)
          await struck
          await ours.connect(ldk)
          await closed(ours, ldk, regtest)
        }
      })
    }
  }

  async function close(ours: Ours, closer: Meeting['opener']): Promise<void> {
    if (closer === 'ours') ours.input({ kind: 'shutdown' })
    else await ldk.call('close', { channel: ours.channel })
  }

  async function payOnce(ours: Ours, name: string): Promise<void> {
    const { balance } = ours
    const there = ours.pay(ldk.id, { keysend: 5_000_000n })
    expect(await ours.outcome(there, 'paid', 'refused', 'failed'), name).to.include({ kind: 'paid' })
    const back = await ldk.call('keysend', { peer: ours.id, amount: 1_000n, id: toHex(randomBytes(32)) })
    await ldk.event('paid', ({ hash }) => hash === back)
    await rest(ours, ldk, balance - 5_000_000n + 1_000n)
  }

  /** Connected again: from the beginning, unless both had signed. */
  async function again(meeting: Meeting, ours: Ours): Promise<void> {
    await ours.connect(ldk)
    // What LDK has not funded it proposes again by itself.
    const isKnown =
      meeting.opener === 'ours'
        ? ours.state !== undefined && isLive(ours.state)
        : (await ldk.call('channels', null)).some(({ peer }) => peer === ours.id)
    if (!isKnown) {
      await ours.until(() => ours.state === undefined || ['closed', 'failed'].includes(ours.state.phase))
      await begin(meeting, ours)
    }
    await ours.signed(ldk)
  }
})

interface Trial {
  readonly name: string
  readonly at: number
  readonly fault: Fault
}

/** Each thing that can happen to each of the messages that passed when nothing happened. */
function everyFault(passed: readonly Passing[]): readonly Trial[] {
  return passed.flatMap(({ direction, message, at }) =>
    FAULTS[direction].map((fault) => ({
      name: `${fault} at ${at}, ${direction} ${message.kind}`,
      at,
      fault,
    })),
  )
}

/** Lets a fault happen, once. Resolves when it has. */
async function strike(ours: Ours, { at, fault }: Trial): Promise<void> {
  let isDone = false
  ours.fault = (passing) => {
    if (isDone || passing.at !== at) return undefined
    isDone = true
    return fault
  }
  await ours.until(() => isDone && ours.line === undefined)
}
