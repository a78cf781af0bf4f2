// What holds of payments whatever channels, peers and chain do. After every input the desk also checks that the records give
// the same state again, so that a process that ends there goes on alike.
import { expect } from 'chai'
import fc from 'fast-check'
import type { OpenHtlc } from '../../../../backend/bitcoin/channel/index.js'
import { valuesOf } from '../../../../backend/bitcoin/payments/index.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { blockDelta, msat } from '../../../../backend/bitcoin/units.js'
import { type Hex, toHex } from '../../../../channel/bytes.js'
import { PerkunasError } from '../../../../channel/errors.js'
import { bytes32, Desk, hex32, htlcToUs, PEER } from './desk.js'

const preimageOf = (payment: number) => bytes32(0x900 + payment)
const hashOf = (payment: number) => toHex(sha256(preimageOf(payment)))

type Act =
  | {
      readonly kind: 'pay'
      readonly payment: number
      readonly amount: number
      readonly timeout?: number | undefined
    }
  | { readonly kind: 'wish'; readonly isTaken: boolean }
  | {
      readonly kind: 'end'
      readonly at: number
      readonly how: 'fulfilled' | 'failed' | 'malformed' | 'learned' | 'returned' | 'taken'
    }
  | { readonly kind: 'abandon' | 'acknowledge'; readonly payment: number }
  | { readonly kind: 'time'; readonly ms: number; readonly blocks: number }
  | { readonly kind: 'restart' }

const payments = fc.nat(3)
const acts: fc.Arbitrary<readonly Act[]> = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('pay' as const),
        payment: payments,
        amount: fc.integer({ min: 1, max: 20_000 }),
        timeout: fc.option(fc.nat(100), { nil: undefined }),
      }),
    },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('wish' as const), isTaken: fc.boolean() }) },
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('end' as const),
        at: fc.nat(20),
        how: fc.constantFrom(
          'fulfilled' as const,
          'failed' as const,
          'malformed' as const,
          'learned' as const,
          'returned' as const,
          'taken' as const,
        ),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constantFrom('abandon' as const, 'acknowledge' as const),
        payment: payments,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.nat(50), blocks: fc.nat(3) }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
  ),
  { maxLength: 60 },
)

/** The world around payments of ours: what channels made of wishes, and how that ended. */
class World {
  readonly desk = new Desk()
  readonly #begun = new Map<number, Hex>()
  /** HTLCs that are neither with us nor with the peer. */
  #open: { readonly channelID: Hex; readonly htlc: OpenHtlc; readonly payment: number }[] = []
  readonly paid = new Map<number, bigint>()
  /** How many there were when it was paid. */
  readonly #wishes = new Map<number, number>()
  #seen = 0
  #ids = 0n

  constructor() {
    for (const [n, most] of [8000n, 5000n, 3000n, 9000n].entries()) this.desk.channel(n, most)
  }

  play(act: Act): void {
    const { desk } = this
    switch (act.kind) {
      case 'pay': {
        const { payment, amount, timeout } = act
        if (this.#begun.has(payment)) return
        const effects = desk.give({
          kind: 'pay',
          id: hex32(payment),
          request: {
            kind: 'hash',
            peer: PEER,
            paymentHash: hashOf(payment),
            amount: msat(BigInt(amount)),
            paymentSecret: hex32(7),
            finalCltvExpiryDelta: blockDelta(18),
            ...(timeout !== undefined && { timeout }),
          },
        })
        if (effects.some(({ kind }) => kind === 'answer')) this.#begun.set(payment, hex32(payment))
        return
      }
      case 'wish':
        return this.#wish(act.isTaken)
      case 'end':
        return this.#end(act)
      case 'abandon':
        desk.give({ kind: 'abandon', id: hex32(act.payment) })
        return
      case 'acknowledge':
        desk.give({ kind: 'acknowledge', of: 'outgoing', key: hex32(act.payment) })
        return
      case 'time':
        desk.now += act.ms
        desk.height += act.blocks
        desk.give({ kind: 'block' })
        desk.give({ kind: 'tick' })
        return
      case 'restart':
        desk.state = desk.restored()
    }
  }

  /** Every wish is answered, and every HTLC comes to an end. */
  finish(): void {
    while (this.#seen < this.desk.adds().length || this.#open.length > 0) {
      this.#wish(false)
      this.#end({ at: 0, how: 'failed' })
    }
    const { desk } = this
    for (const payment of this.#begun.keys()) {
      const id = hex32(payment)
      const told = desk.events.filter((event) => 'id' in event.payment && event.payment.id === id)
      const paid = this.paid.get(payment) ?? 0n
      expect(told.map(({ kind }) => kind)).to.deep.equal([paid > 0n ? 'sent' : 'failed'])
    }
    for (const [payment, count] of this.#wishes) expect(this.#wishesFor(payment)).to.equal(count)
    for (const { id, status } of valuesOf(desk.state.outgoing)) {
      const [payment] = [...this.#begun].find(([, one]) => one === id) ?? []
      const paid = this.paid.get(payment ?? -1) ?? 0n
      expect(status.kind === 'succeeded' ? status.sent : 0n).to.equal(paid)
    }
  }

  #wish(isTaken: boolean): void {
    const add = this.desk.adds()[this.#seen]
    if (add === undefined) return
    this.#seen++
    const payment =
      [...this.#begun.keys()].find((one) => add.reference.startsWith(`pay/${hex32(one)}/`)) ?? -1
    if (isTaken) {
      const htlc = this.desk.added(add, this.#ids++)
      this.#open.push({ channelID: add.channelID, htlc, payment })
      return
    }
    const error = new PerkunasError('INVALID_TRANSITION', 'no', { rule: 'no' })
    this.desk.hand(add.channelID, { kind: 'refused', reference: add.reference, error })
  }

  #wishesFor(payment: number): number {
    return this.desk.adds().filter(({ reference }) => reference.startsWith(`pay/${hex32(payment)}/`)).length
  }

  #end({ at, how }: Pick<Act & { readonly kind: 'end' }, 'at' | 'how'>): void {
    const one = this.#open[at % Math.max(1, this.#open.length)]
    if (one === undefined) return
    const { desk } = this
    const { channelID, htlc, payment } = one
    const preimage = preimageOf(payment)
    const key = { offerer: 'local' as const, id: htlc.id }
    this.#open = this.#open.filter((each) => each !== one)
    const isPaid = how === 'fulfilled' || how === 'learned' || how === 'taken'
    if (isPaid && !this.paid.has(payment)) this.#wishes.set(payment, this.#wishesFor(payment))
    if (isPaid) this.paid.set(payment, (this.paid.get(payment) ?? 0n) + htlc.amount)
    switch (how) {
      case 'fulfilled':
        desk.hand(channelID, { kind: 'fulfilled', htlc, preimage })
        desk.hand(channelID, { kind: 'removed', htlc })
        return
      case 'failed':
        desk.hand(channelID, {
          kind: 'failed',
          htlc,
          removal: { kind: 'fail', reason: new Uint8Array(292) },
        })
        return
      case 'malformed':
        desk.hand(channelID, {
          kind: 'failed',
          htlc,
          removal: { kind: 'malformed', sha256OfOnion: bytes32(1), failureCode: 0xc004 },
        })
        return
      case 'learned':
        desk.give({ kind: 'learned', channelID, htlc: key, preimage })
        desk.give({ kind: 'resolved', channelID, htlc: key, to: 'receiver' })
        return
      case 'taken':
        // The chain's word first, and only then the preimage.
        desk.give({ kind: 'resolved', channelID, htlc: key, to: 'receiver' })
        desk.give({ kind: 'learned', channelID, htlc: key, preimage })
        return
      case 'returned':
        desk.give({ kind: 'resolved', channelID, htlc: key, to: 'offerer' })
    }
  }
}

describe('payments: properties', () => {
  it('ours: sent once if any part was fulfilled, else failed once when none is left; all that was taken is counted', () => {
    fc.assert(
      fc.property(acts, (list) => {
        const world = new World()
        for (const act of list) world.play(act)
        world.finish()
      }),
      { numRuns: Number(process.env['PAYMENTS_RUNS'] ?? 60) },
    )
  })

  it('to us: all parts are fulfilled or none, each HTLC is answered once, and what was received is what was asked', () => {
    const part = fc.record({
      payment: fc.nat(2),
      amount: fc.integer({ min: 1, max: 1200 }),
      total: fc.constantFrom(1000, 1000, 1000, 1500),
      isRight: fc.oneof(
        { weight: 5, arbitrary: fc.constant(true) },
        { weight: 1, arbitrary: fc.constant(false) },
      ),
      cltvExpiry: fc.constantFrom(145, 145, 146, 139),
    })
    type Happening =
      | { readonly part: typeof part extends fc.Arbitrary<infer T> ? T : never }
      | { readonly decide: 'release' | 'cancel'; readonly payment: number }
      | { readonly ms: number; readonly blocks: number }
      | { readonly restart: true }
    const happenings: fc.Arbitrary<readonly Happening[]> = fc.array(
      fc.oneof(
        { weight: 6, arbitrary: fc.record({ part }) },
        {
          weight: 2,
          arbitrary: fc.record({
            decide: fc.constantFrom('release' as const, 'cancel' as const),
            payment: fc.nat(2),
          }),
        },
        { weight: 1, arbitrary: fc.record({ ms: fc.nat(70_000), blocks: fc.nat(4) }) },
        { weight: 1, arbitrary: fc.record({ restart: fc.constant(true as const) }) },
      ),
      { maxLength: 40 },
    )
    fc.assert(
      fc.property(happenings, (list) => {
        const desk = new Desk()
        const CHANNEL = hex32(0xc0)
        const asked = [0, 1, 2].map((payment) => {
          desk.give({
            kind: 'createInvoice',
            request: {
              amount: msat(1000n),
              preimage: preimageOf(payment),
              description: { kind: 'text', text: '' },
              isHeld: payment === 1,
            },
          })
          return desk.incoming(hashOf(payment)).paymentSecret ?? bytes32(0)
        })
        const parts: { readonly id: bigint; readonly payment: number; readonly amount: bigint }[] = []
        for (const one of list) {
          if ('part' in one) {
            const { payment, amount, total, isRight, cltvExpiry } = one.part
            const id = BigInt(parts.length)
            const paymentSecret = isRight ? (asked[payment] ?? bytes32(0)) : bytes32(0xbad)
            const htlc = htlcToUs({
              id,
              amount: BigInt(amount),
              paymentHash: hashOf(payment),
              cltvExpiry,
              payment: { paymentSecret, total: BigInt(total) },
            })
            parts.push({ id, payment, amount: BigInt(amount) })
            desk.hand(CHANNEL, { kind: 'locked', htlc })
          } else if ('decide' in one) desk.give({ kind: one.decide, paymentHash: hashOf(one.payment) })
          else if ('ms' in one) {
            desk.now += one.ms
            desk.height += one.blocks
            desk.give({ kind: 'block' })
            desk.give({ kind: 'tick' })
          } else desk.state = desk.restored()
        }
        desk.height += 200
        desk.give({ kind: 'block' })
        for (const payment of [0, 1, 2]) {
          const removals = parts
            .filter((each) => each.payment === payment)
            .map(({ id, amount }) => ({ amount, removal: desk.removalOf(CHANNEL, id) }))
          expect(removals.every(({ removal }) => removal !== undefined)).to.equal(true)
          const taken = removals
            .filter(({ removal }) => removal?.kind === 'fulfill')
            .reduce((sum, { amount }) => sum + amount, 0n)
          const told = desk.events.filter(
            ({ kind, payment: { paymentHash } }) => kind === 'received' && paymentHash === hashOf(payment),
          )
          expect(told.length).to.equal(taken > 0n ? 1 : 0)
          if (taken === 0n) continue
          expect(taken >= 1000n && taken <= 2000n, `${taken}`).to.equal(true)
          expect(desk.incoming(hashOf(payment)).status).to.deep.include({ kind: 'claimed', received: taken })
        }
      }),
      { numRuns: Number(process.env['PAYMENTS_RUNS'] ?? 40) },
    )
  })
})
