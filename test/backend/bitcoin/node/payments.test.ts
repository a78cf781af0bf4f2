// Payments by two whole nodes (BOLT 4, BOLT 11): each is one commit with the HTLCs that carry it.
import { inspect } from 'node:util'
import { expect } from 'chai'
import type { LightningNode, NodeEvent } from '../../../../backend/bitcoin/node/index.js'
import type {
  InvoiceRequest,
  OutgoingPayment,
  PaymentEvent,
  PayRequest,
} from '../../../../backend/bitcoin/payments/index.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { blockDelta, type Msat, msat, sat } from '../../../../backend/bitcoin/units.js'
import { type Hex, toHex } from '../../../../channel/bytes.js'
import { isError } from '../../../../channel/errors.js'
import { failure } from '../../../client/parties.js'
import { until } from './stranger.js'
import { type TestNode, TestWorld } from './world.js'

const world = new TestWorld()
const [a, b] = [world.node('a'), world.node('b')] as const
let channel: bigint

/** Its message type (BOLT 2). */
const COMMITMENT_SIGNED = 132

function id(n: number): Hex {
  return toHex(sha256(Uint8Array.of(n)))
}

function pay(n: number, request: PayRequest): Promise<OutgoingPayment> {
  return a.running.payments.pay({ id: id(n), request })
}

function keysend(n: number, amount: bigint): Promise<OutgoingPayment> {
  return pay(n, { kind: 'spontaneous', peer: b.id, amount: msat(amount) })
}

function balanceOf(node: TestNode): Msat | undefined {
  return node.running.channels()[0]?.live?.balances.local
}

/** Waits until a node has nothing in flight. */
async function settled(node: LightningNode): Promise<void> {
  await node.eventually(() => node.channels().every(({ live }) => live?.htlcs.length === 0) || undefined)
}

describe('LightningNode: payments', () => {
  before(async () => {
    for (const node of [a, b]) {
      node.hasPayments = true
      await node.start()
    }
    const opened = await a.running.open({ peer: b.id, capacity: sat(1_000_000n) })
    channel = opened.channel
    await world.chain.mine(10)
    await a.running.until(channel, ({ phase }) => phase === 'normal')
  })

  after(() => world.stop())

  it('a payment whose record is damaged costs itself: the node starts, tells it, and others are paid', async () => {
    const text = { kind: 'text', text: 'a pen' } as const
    const invoiceOf = () => b.running.payments.invoice({ amount: msat(20_000n), description: text })
    const [broken, fine] = [await invoiceOf(), await invoiceOf()]
    await b.stop()
    const key = `payment/open/in/${broken.paymentHash}`
    const row = b.store.snapshot().get(key)
    if (row === undefined) throw new Error('no row')
    const damaged = row.map((byte, i) => (i === row.length - 6 ? byte ^ 1 : byte))
    const unknown = `payment/open/up/${id(1)}`
    const out = `payment/open/out/${id(77)}`
    await b.store.commit([key, unknown, out].map((one) => ({ kind: 'put', key: one, value: damaged })))
    await b.start()
    const told: NodeEvent[] = []
    const errors: string[] = []
    b.running.events$.subscribe((event) => told.push(event))
    b.running.errors$.subscribe(({ code }) => errors.push(code))
    await until(() => errors.length === 3)
    expect(new Set(errors)).to.deep.equal(new Set(['INVALID_RECORD']))
    expect(told.filter(({ kind }) => kind === 'payments')).to.have.length(3)
    // It may be under way.
    const again: PayRequest = { kind: 'spontaneous', peer: a.id, amount: msat(1000n) }
    expect(await failure(b.running.payments.pay({ id: id(77), request: again }))).to.include({
      code: 'INVALID_RECORD',
    })
    await a.running.until(channel, ({ live }) => live?.isConnected === true)
    const request = (one: typeof fine): PayRequest => ({ kind: 'invoice', invoice: one.invoice?.text ?? '' })
    expect((await pay(201, request(fine))).status.kind).to.equal('succeeded')
    expect((await pay(202, request(broken))).status.kind).to.equal('failed')
    expect(b.store.snapshot().get(key)).to.deep.equal(damaged)
    await b.store.commit([unknown, out, key].map((one) => ({ kind: 'delete', key: one })))
    await settled(a.running)
  })

  it('a bare hash that would take the place of a damaged record goes back, where others are held', async () => {
    const preimage = sha256(Uint8Array.of(42))
    const paymentHash = toHex(sha256(preimage))
    const text = { kind: 'text', text: 'a pen' } as const
    await b.running.payments.invoice({ amount: msat(20_000n), description: text, preimage })
    await b.stop()
    const key = `payment/open/in/${paymentHash}`
    const damaged = b.store
      .snapshot()
      .get(key)
      ?.map((byte, i, all) => (i === all.length - 6 ? byte ^ 1 : byte))
    if (damaged === undefined) throw new Error('no row')
    await b.store.commit([{ kind: 'put', key, value: damaged }])
    await b.start({ payments: { unknown: 'hold' } })
    await a.running.until(channel, ({ live }) => live?.isConnected === true)
    const finalCltvExpiryDelta = blockDelta(60)
    const hold = (n: number, hash: Hex) =>
      pay(n, { kind: 'hash', peer: b.id, amount: msat(20_000n), paymentHash: hash, finalCltvExpiryDelta })
    const refused = await hold(203, paymentHash)
    expect(refused.status.kind === 'failed' && refused.status.failure).to.deep.include({
      kind: 'rejected',
      hop: 0,
    })
    expect(b.running.payments.list().incoming.map((one) => one.paymentHash)).to.not.include(paymentHash)
    expect(b.store.snapshot().get(key)).to.deep.equal(damaged)
    // Any other is held.
    const other = hold(204, toHex(sha256(Uint8Array.of(43))))
    const held = () =>
      b.running.payments.list().incoming.some(({ status }) => status.kind === 'held') || undefined
    await b.running.eventually(held)
    await b.running.payments.cancel(toHex(sha256(Uint8Array.of(43))))
    expect((await other).status.kind).to.equal('failed')
    await b.store.commit([{ kind: 'delete', key }])
    await settled(a.running)
    await b.stop()
    await b.start()
    await a.running.until(channel, ({ live }) => live?.isConnected === true)
  })

  it('an invoice is paid once, whoever asks how often', async () => {
    const before = balanceOf(a) ?? 0n
    const { invoice } = await b.running.payments.invoice({
      amount: msat(50_000n),
      description: { kind: 'text', text: 'a book' },
    })
    const request: PayRequest = { kind: 'invoice', invoice: invoice?.text ?? '' }
    const [first, again] = await Promise.all([pay(1, request), pay(1, request)])
    expect([first.status.kind, again.status.kind]).deep.equals(['succeeded', 'succeeded'])
    const third = await pay(1, request)
    expect(third.status).deep.equals(first.status)
    await settled(a.running)
    expect(balanceOf(a)).equals(before - 50_000n)
  })

  it('keysend arrives, and both sides say so', async () => {
    const told: PaymentEvent[] = []
    const listening = b.running.payments.events$.subscribe((event) => told.push(event))
    const paid = await keysend(2, 7_001n)
    expect(paid.status.kind).equals('succeeded')
    const received = told.find((event) => event.payment.paymentHash === paid.paymentHash)
    expect(received?.kind).equals('received')
    listening.unsubscribe()
  })

  it('one after another: the signature that adds the next takes out the last', async () => {
    await settled(a.running)
    const { bus } = a
    if (bus === undefined) throw new Error('a does not run')
    const send = bus.sendRaw.bind(bus)
    let signatures = 0
    bus.sendRaw = (to, type, payload) => {
      if (type === COMMITMENT_SIGNED) signatures++
      send(to, type, payload)
    }
    for (let n = 100; n < 110; n++) await keysend(n, 5_000n)
    await settled(a.running)
    bus.sendRaw = send
    // One for each and one that takes out the last, unless a preimage and its signature come far apart. Alone it were 20.
    expect(signatures).within(11, 19)
  })

  it('a held payment is released or cancelled by its payee', async () => {
    for (const [n, isTaken] of [
      [3, true],
      [4, false],
    ] as const) {
      const preimage = sha256(Uint8Array.of(99, n))
      const { invoice, paymentHash } = await b.running.payments.invoice({
        amount: msat(60_000n),
        description: { kind: 'text', text: 'a coat' },
        paymentHash: toHex(sha256(preimage)),
      })
      const paying = pay(n, { kind: 'invoice', invoice: invoice?.text ?? '' })
      await b.running.eventually(() =>
        b.running.payments
          .list()
          .incoming.find((one) => one.paymentHash === paymentHash && one.status.kind === 'held'),
      )
      if (isTaken) await b.running.payments.release(paymentHash, preimage)
      else await b.running.payments.cancel(paymentHash)
      const { status } = await paying
      expect(status.kind).equals(isTaken ? 'succeeded' : 'failed')
      if (status.kind === 'succeeded') expect(status.preimage).deep.equals(preimage)
    }
    await settled(a.running)
  })

  it('what nobody asked for, of a hash that nobody knows, is refused unless it is welcome', async () => {
    const request: PayRequest = {
      kind: 'hash',
      peer: b.id,
      paymentHash: id(77),
      amount: msat(9_000n),
      finalCltvExpiryDelta: blockDelta(60),
    }
    const { status } = await pay(5, request)
    expect(status).deep.include({ kind: 'failed' })
  })

  it('a payment over another channel than the one that it names is not tried', async () => {
    const refused: unknown = await pay(6, {
      kind: 'spontaneous',
      peer: b.id,
      amount: msat(1_000n),
      channel: `0x${'00'.repeat(31)}ff`,
    }).catch((error) => error)
    expect(isError(refused, 'PAYMENT_REFUSED')).equals(true)
  })

  it('what is no request at all is refused by a typed error', async () => {
    const { payments } = a.running
    // Two, so that there is something to be looked through.
    for (const text of ['one', 'two']) await payments.invoice({ description: { kind: 'text', text } })
    const { pay: begin, invoice, release, cancel, acknowledge } = payments
    for (const call of [begin, invoice, release, cancel, acknowledge]) {
      for (const junk of [undefined, null, 5, 5n, true, 'x', [], {}, { payment: {} }]) {
        const error: unknown = await Reflect.apply(call, payments, [junk]).catch((cause: unknown) => cause)
        expect(isError(error, 'INVALID_ARGUMENT'), `${call.name} of ${inspect(junk)}`).equals(true)
      }
    }
    const request = { kind: 'spontaneous', peer: b.id, amount: msat(1_000n) } as const
    for (const junk of [undefined, null, 5, {}, { ...request, kind: 'gift' }, { kind: 'invoice' }]) {
      const error: unknown = await Reflect.apply(begin, payments, [{ id: id(8), request: junk }]).catch(
        (cause: unknown) => cause,
      )
      expect(isError(error, 'INVALID_ARGUMENT'), inspect(junk)).equals(true)
    }
  })

  it('an unknown option -> INVALID_ARGUMENT that names it; all that there are are taken', async () => {
    const { payments } = a.running
    const keysend = { kind: 'spontaneous', peer: b.id, amount: msat(1_000n) }
    const payment = { id: id(200), request: keysend }
    const before = payments.list()
    const description = { kind: 'text', text: 'x' }
    for (const [call, given, argument] of [
      [payments.invoice, [{ description, amont: 5n }], 'request.amont'],
      [payments.pay, [{ ...payment, timeout: 5 }], 'payment.timeout'],
      [payments.pay, [{ ...payment, request: { ...keysend, timout: 5 } }], 'request.timout'],
      [payments.pay, [{ ...payment, request: { ...keysend, paymentHash: id(1) } }], 'request.paymentHash'],
      [payments.pay, [payment, { isSetled: true }], 'options.isSetled'],
    ] as const) {
      const error: unknown = await Reflect.apply(call, payments, given).catch((cause: unknown) => cause)
      expect(isError(error, 'INVALID_ARGUMENT') && error.facts.argument).equals(argument)
    }
    expect(payments.list()).deep.equals(before)
    const all = {
      amount: msat(1_000n),
      description,
      expiry: 60,
      minFinalCltvExpiryDelta: blockDelta(42),
      preimage: new Uint8Array(32),
      paymentHash: undefined,
      isHeld: true,
      paymentMetadata: new Uint8Array(1),
      fallbacks: [],
      routes: [],
    } satisfies Readonly<Record<keyof InvoiceRequest, unknown>>
    await Reflect.apply(payments.invoice, payments, [all])
    const request = { ...keysend, timeout: 5_000, channel: undefined }
    const paid: OutgoingPayment = await Reflect.apply(payments.pay, payments, [
      { ...payment, request },
      { signal: new AbortController().signal, isSettled: false },
    ])
    expect(paid.status.kind).equals('succeeded')
    expect(await payments.pay(paid)).deep.includes({ id: paid.id, status: paid.status })
  })

  it('the end of a payment is told again after a restart until it is acknowledged', async () => {
    const { invoice, paymentHash } = await b.running.payments.invoice({
      amount: msat(1_000n),
      description: { kind: 'text', text: 'bread' },
    })
    await pay(7, { kind: 'invoice', invoice: invoice?.text ?? '' })
    await settled(a.running)
    for (const isTold of [true, false]) {
      await b.stop()
      await b.start()
      const told: Hex[] = []
      b.running.payments.events$.subscribe(({ payment }) => told.push(payment.paymentHash))
      expect(told.includes(paymentHash)).equals(isTold)
      for (const payment of b.running.payments.list().incoming) {
        if (payment.paymentHash === paymentHash)
          await b.running.payments.acknowledge({ kind: 'received', payment })
      }
    }
  })
})
