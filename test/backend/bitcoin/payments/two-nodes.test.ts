// Two payment machines over two channel machines each, with everything that can happen to their processes.
import { expect } from 'chai'
import fc from 'fast-check'
import {
  type IncomingPayment,
  lookUp,
  type OutgoingPayment,
  type PaymentEvent,
  type PayRequest,
  pastIncoming,
} from '../../../../backend/bitcoin/payments/index.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { blockDelta, msat } from '../../../../backend/bitcoin/units.js'
import { type Hex, toHex } from '../../../../channel/bytes.js'
import { answer, bytes32, hex32 } from './desk.js'
import { Crash, Network, type Side } from './network.js'

/** How a payment is made. */
type Way = 'invoice' | 'spontaneous' | 'released' | 'cancelled' | 'unknown'

/** One payment, as its two users know it. */
interface Deal {
  readonly payer: Side
  readonly payee: Side
  readonly way: Way
  readonly id: Hex
  readonly amount: bigint
  /** Once the payee handed out what is to be paid. */
  request?: PayRequest
  paymentHash?: Hex
}

/** Chooses, the same for the same seed. */
type Choose = (below: number) => number

function chooser(seed: number): Choose {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** Payments both ways, so many in flight at a time. */
class Play {
  readonly deals: Deal[] = []
  readonly ended = new Map<Hex, PaymentEvent['kind']>()
  #open: Deal[] = []
  restarts = 0
  mostOpen = 0

  constructor(
    readonly network: Network,
    readonly choose: Choose,
  ) {}

  begin(payer: Side, way: Way, amount: bigint): void {
    const payee = this.network.other(payer)
    const deal = { payer, payee, way, amount, id: hex32(this.deals.length) }
    this.deals.push(deal)
    this.#open.push(deal)
  }

  /** What is not begun, begins; and what a crash may have swallowed is asked for again, as careful users do. */
  async push(deal: Deal): Promise<void> {
    const { payer, payee, way, amount } = deal
    if (deal.request === undefined) {
      if (way === 'spontaneous') deal.request = { kind: 'spontaneous', peer: payee.id, amount: msat(amount) }
      else if (way === 'unknown')
        deal.request = {
          kind: 'hash',
          peer: payee.id,
          amount: msat(amount),
          paymentHash: toHex(sha256(bytes32(0xbad000 + this.deals.indexOf(deal)))),
          finalCltvExpiryDelta: blockDelta(42),
        }
      else {
        const made = this.#try(() =>
          payee.give({
            kind: 'createInvoice',
            request: {
              amount: msat(amount),
              description: { kind: 'text', text: deal.id },
              isHeld: way !== 'invoice',
            },
          }),
        )
        const payment = made && answer(made)
        if (payment === undefined || !('invoice' in payment)) return
        deal.request = { kind: 'invoice', invoice: payment.invoice?.text ?? '' }
      }
    }
    const { request, id } = deal
    const input = { kind: 'pay', id, request } as const
    const past = await payer.past(input)
    const effects = this.#try(() => payer.give({ ...input, past }))
    if (effects === undefined) return
    const refused = effects.find((one) => one.kind === 'refuse')
    // The channels are not up.
    if (refused !== undefined) expect(refused.error.code).to.equal('PAYMENT_REFUSED')
    else deal.paymentHash = answer(effects).paymentHash
  }

  /** Users hear of what happened, and answer. */
  hear(): void {
    for (const side of this.network.both) {
      for (const event of side.events.splice(0)) {
        const { payment } = event
        if (event.kind === 'held') {
          const way = this.deals.find(({ paymentHash }) => paymentHash === payment.paymentHash)?.way
          const { paymentHash } = payment
          this.#try(() => side.give({ kind: way === 'cancelled' ? 'cancel' : 'release', paymentHash }))
          continue
        }
        const of = 'id' in payment ? 'outgoing' : 'incoming'
        const key = 'id' in payment ? payment.id : payment.paymentHash
        const name: Hex = `${key}${of === 'incoming' ? 'ff' : ''}`
        const known = this.ended.get(name)
        expect(known ?? event.kind, `${side.name}: ${key}`).to.equal(event.kind)
        this.ended.set(name, event.kind)
        this.#try(() => side.give({ kind: 'acknowledge', of, key }))
      }
    }
  }

  /** Payments that are not over for their payer. */
  open(payer: Side): readonly Deal[] {
    this.#open = this.#open.filter(({ id }) => !this.ended.has(id))
    return this.#open.filter((deal) => deal.payer === payer)
  }

  /** Something happens. */
  stir(): void {
    const { network, choose } = this
    network.now += choose(50)
    const line = network.lines[choose(network.lines.length)]
    const side = network.both[choose(2)]
    if (line === undefined || side === undefined) return
    const party = side.party(line)
    switch (choose(8)) {
      case 0:
      case 1:
        this.#try(() => network.flush(line, party))
        return
      case 2:
        this.#try(() => side.give({ kind: 'tick' }))
        return
      default:
        for (let i = choose(8); i >= 0; i--) this.#try(() => line.deliver(party))
    }
  }

  /** A channel goes on chain. Nobody's process ends just then. */
  close(line: Network['lines'][number]): void {
    for (const side of this.network.both) side.crashAt = undefined
    this.network.close(line)
  }

  /** What the chain has decided. */
  resolve(line: Network['lines'][number]): void {
    for (const side of this.network.both) side.crashAt = undefined
    // Whatever is held is decided by now.
    for (let round = 0; round < 3; round++) this.hear()
    this.network.resolve(line)
  }

  /** A process ends: now, or in the middle of its next commit. */
  crash(): void {
    const side = this.network.both[this.choose(2)]
    if (side === undefined) return
    const at = this.choose(8)
    if (at === 0) this.#restart(side)
    else side.crashAt = at === 1 ? 'before' : at - 2
  }

  /** Everything comes to its end, whoever ends meanwhile. */
  async finish(): Promise<void> {
    const { network } = this
    for (const side of network.both) side.crashAt = undefined
    const isOver = () => network.both.every((side) => this.open(side).length === 0)
    for (let round = 0; round < 8 || !isOver(); round++) {
      if (round > 50) throw new Error('they never come to an end')
      this.#try(() => network.settle())
      this.hear()
      for (const deal of this.deals) if (deal.paymentHash === undefined) await this.push(deal)
    }
    network.settle()
    network.expectRest()
    // Invoices that a crash kept from being handed out expire.
    network.now += 7200_000
    for (const side of network.both)
      if (this.#try(() => side.give({ kind: 'tick' })) === undefined) side.give({ kind: 'tick' })
    network.settle()
  }

  /** A step in which its process may end. Everything that it left is there again afterwards. */
  #try<T>(run: () => T): T | undefined {
    try {
      return run()
    } catch (error) {
      if (!(error instanceof Crash)) throw error
      this.#restart(error.side)
      return undefined
    }
  }

  #restart(side: Side): void {
    const { network, choose } = this
    this.restarts++
    const other = network.other(side)
    other.crashAt = undefined
    // What left before may still arrive.
    if (choose(2) === 0)
      for (const line of network.lines) while (line.isConnected && line.deliver(side.party(line))) {}
    side.restart()
    for (const line of network.lines) line.connect()
  }
}

/** So many payments each way, no more than so many at a time; a crash now and then. */
async function play(
  network: Network,
  given: {
    readonly seed: number
    readonly each: number
    readonly inFlight: number
    readonly crashes: boolean
    /** When the first channel goes on chain. */
    readonly closesAt?: number
  },
): Promise<Play> {
  const { seed, each, inFlight, crashes, closesAt } = given
  const choose = chooser(seed)
  const made = new Play(network, choose)
  const ways: readonly Way[] = [
    'invoice',
    'invoice',
    'spontaneous',
    'invoice',
    'released',
    'cancelled',
    'unknown',
  ]
  const begun = new Map<Side, number>(network.both.map((side) => [side, 0]))
  for (let turn = 0; ; turn++) {
    if (turn > 400 * each) throw new Error(`seed ${seed}: they never come to an end`)
    for (const side of network.both) {
      const count = begun.get(side) ?? 0
      const open = made.open(side)
      made.mostOpen = Math.max(made.mostOpen, open.length)
      if (open.length < inFlight && count < each) {
        begun.set(side, count + 1)
        made.begin(side, ways[choose(ways.length)] ?? 'invoice', BigInt(1 + choose(3_000_000)))
      }
      const [waiting] = open.filter(({ paymentHash }) => paymentHash === undefined)
      if (waiting !== undefined) await made.push(waiting)
    }
    const [line] = network.lines
    if (line !== undefined && turn === closesAt) made.close(line)
    if (line !== undefined && closesAt !== undefined && turn === closesAt + 100) made.resolve(line)
    if (crashes && choose(60) === 0) made.crash()
    made.stir()
    if (choose(3) === 0) made.hear()
    const isBegun = network.both.every((side) => begun.get(side) === each)
    if (closesAt !== undefined && turn <= closesAt + 100) continue
    if (isBegun && network.both.every((side) => made.open(side).length === 0)) break
  }
  await made.finish()
  return made
}

async function ledgerOf(side: Side, deal: Deal) {
  const store = { get: async (key: string) => side.disk.get(key) }
  const { id, request, paymentHash } = deal
  if (request === undefined || paymentHash === undefined) throw new Error('it never began')
  if (side === deal.payer) {
    const open = lookUp(side.payments.outgoing, id)
    return open ?? (await side.past({ id, request })).payment
  }
  const open = lookUp(side.payments.incoming, paymentHash)
  return open ?? (await pastIncoming(store, paymentHash))
}

async function expectBooks(play: Play, before: bigint): Promise<void> {
  const { network, deals } = play
  let balance = before
  for (const deal of deals) {
    const { payer, payee, way, amount, id, paymentHash } = deal
    const sent = (await ledgerOf(payer, deal)) as OutgoingPayment | undefined
    const received = (await ledgerOf(payee, deal)) as IncomingPayment | undefined
    const isPaid = way !== 'cancelled' && way !== 'unknown'
    expect(sent?.status.kind, `${way} ${id}`).to.equal(isPaid ? 'succeeded' : 'failed')
    expect(play.ended.get(id)).to.equal(isPaid ? 'sent' : 'failed')
    if (sent?.status.kind === 'succeeded') {
      expect(sent.status).to.deep.include({ sent: amount, fee: 0n })
      if (way !== 'spontaneous')
        expect(received?.status).to.deep.include({ kind: 'claimed', received: amount, lost: 0n })
      expect(play.ended.get(`${paymentHash ?? '0x'}ff`), `${way} ${id}`).to.equal('received')
      balance += payer === network.alice ? -amount : amount
    } else if (sent?.status.kind === 'failed')
      expect(sent.status.failure).to.deep.include({ kind: 'rejected', code: 0x400f })
  }
  expect(network.alice.balance).to.equal(balance)
  for (const { payments } of network.both) expect(payments.outgoing.size + payments.incoming.size).to.equal(0)
}

describe('payments: two nodes', () => {
  it('500 payments each way, up to 30 in flight, processes that end anywhere: every payment once, every msat where it belongs', async function () {
    this.timeout(60_000)
    const network = new Network({ channels: 2 })
    const before = network.alice.balance
    const made = await play(network, { seed: 5, each: 500, inFlight: 30, crashes: true })
    await expectBooks(made, before)
    expect(made.mostOpen).to.equal(30)
    expect(made.restarts).to.be.greaterThan(50)
  })
  it('the same of any seed, over one channel, with and without crashes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.boolean(), async (seed, crashes) => {
        const network = new Network()
        const before = network.alice.balance
        await expectBooks(await play(network, { seed, each: 12, inFlight: 6, crashes }), before)
      }),
      { numRuns: Number(process.env['PAYMENTS_RUNS'] ?? 8) },
    )
  })
})

describe('payments: a channel that closes', () => {
  it('with payments in flight: the chain decides, for both alike, and the others go by another channel', async () => {
    const runs = process.env['PAYMENTS_RUNS']
    let [onChain, learned] = [0, 0]
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 5, max: 100 }), async (seed, closesAt) => {
        const network = new Network({ channels: 2 })
        const made = await play(network, { seed, each: 12, inFlight: 8, crashes: true, closesAt })
        for (const deal of made.deals) {
          const sent = await ledgerOf(deal.payer, deal)
          const received = await ledgerOf(deal.payee, deal)
          const isSent = sent?.status.kind === 'succeeded'
          expect(made.ended.get(deal.id)).to.equal(isSent ? 'sent' : 'failed')
          if (isSent && deal.way !== 'spontaneous')
            expect(received?.status).to.deep.include({ kind: 'claimed', received: deal.amount, lost: 0n })
          expect(made.ended.get(`${deal.paymentHash ?? '0x'}ff`) === 'received').to.equal(isSent)
          if (sent?.status.kind === 'failed' && 'failure' in sent.status)
            if (sent.status.failure.kind === 'timedOutOnChain') onChain++
        }
        for (const { payments } of network.both)
          expect(payments.outgoing.size + payments.incoming.size).to.equal(0)
        learned += network.learned
      }),
      // The same each time, for what is counted below.
      runs === undefined ? { seed: 1, numRuns: 8 } : { numRuns: Number(runs) },
    )
    expect(onChain > 0 && learned > 0, `${onChain} came back, ${learned} were learned`).to.equal(true)
  })
})

describe('payments: a process that ends', () => {
  // In two parts: no channel has so much on one side.
  const amount = 700_000_000n

  for (const who of ['alice', 'bob'] as const)
    it(`${who}, in each commit of a payment in two parts that is held and released: paid once, nothing is lost`, async () => {
      let commits = 0
      for (let isDone = false; !isDone; commits++) {
        const [at = 0] = [['before', 0, 1, 3] as const].map((all) => all[commits % 4])
        const network = new Network({ channels: 2 })
        const side = network.side(who)
        side.crashIn = { commits: commits >> 2, at }
        const made = new Play(network, chooser(commits))
        const before = network.alice.balance
        made.begin(network.alice, 'released', amount)
        await made.finish()
        isDone = side.crashIn !== undefined
        expect(made.restarts).to.equal(isDone ? 0 : 1)
        side.crashIn = undefined
        await expectBooks(made, before)
      }
      expect(commits >> 2).to.be.greaterThan(10)
    })
})
