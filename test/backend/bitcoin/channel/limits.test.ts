import { expect } from 'chai'
import fc from 'fast-check'
import { viewOf } from '../../../../backend/bitcoin/channel/book.js'
import { step } from '../../../../backend/bitcoin/channel/channel.js'
import { bufferedFeerate } from '../../../../backend/bitcoin/channel/exposure.js'
import { receivable, spendable } from '../../../../backend/bitcoin/channel/limits.js'
import { MAX_REASON } from '../../../../backend/bitcoin/channel/policy.js'
import { restoredChannels } from '../../../../backend/bitcoin/channel/record.js'
import { exposureOf, talliesWith } from '../../../../backend/bitcoin/channel/tally.js'
import { costOf } from '../../../../backend/bitcoin/channel/terms.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { blockHeight, feeratePerKw, msat, sat, toMsat } from '../../../../backend/bitcoin/units.js'
import type {
  UpdateAddHtlc,
  UpdateFailHtlc,
  UpdateFailMalformedHtlc,
  UpdateFulfillHtlc,
} from '../../../../backend/bitcoin/wire/index.js'
import { isError } from '../../../../channel/errors.js'
import { effectKinds, errorOf, last, Pair, type Party, preimageOf, sentBy } from './pair.js'

const STATIC = { commitments: 'static_remotekey', scidAlias: false, zeroconf: false } as const

describe('BOLT 2, "Adding an HTLC": as its sender', () => {
  it('spendable is tight: exactly so much is taken by the peer, a millisatoshi more is refused here', () => {
    for (const type of [undefined, STATIC]) {
      for (const [by, push] of [
        ['alice', 0n],
        ['bob', 300_000_000n],
      ] as const) {
        const reach = () =>
          new Pair().reachNormal({ push: msat(push), ...(type === undefined ? {} : { type }) })
        const pair = reach()
        const most = spendable(pair.live(pair[by]), pair[by].env)
        expect(refusals(pair, pair[by], most + 1n), `${by} ${type?.commitments}`).to.match(/balance/)
        const fine = reach()
        expect(refusals(fine, fine[by], most)).to.equal(undefined)
        expect(fine.live(fine.other(fine[by])).book.htlcs).to.have.length(1)
      }
    }
  })

  it('what is left to the opener: reserve, anchors, and the fee of this HTLC and one more', () => {
    const pair = new Pair().reachNormal()
    const { terms, book } = pair.live(pair.alice)
    const cost = costOf('anchors_zero_fee_htlc', book.feerate, 2)
    expect(spendable(pair.live(pair.alice), pair.alice.env)).to.equal(
      toMsat(sat(1_000_000n - terms.remote.reserve - cost)),
    )
  })
  it('without anchors the opener could pay twice the fee', () => {
    const pair = new Pair().reachNormal({ type: STATIC })
    const { terms } = pair.live(pair.alice)
    const cost = costOf('static_remotekey', feeratePerKw(2000), 2)
    expect(spendable(pair.live(pair.alice), pair.alice.env)).to.equal(
      toMsat(sat(1_000_000n - terms.remote.reserve - cost)),
    )
  })

  it('htlc_minimum_msat of the peer, exactly', () => {
    const pair = () => new Pair({ policies: { bob: { htlcMinimum: msat(1000n) } } }).reachNormal()
    const one = pair()
    expect(refusals(one, one.alice, 999n)).to.match(/htlc_minimum_msat/)
    const other = pair()
    expect(refusals(other, other.alice, 1000n)).to.equal(undefined)
  })
  it('max_accepted_htlcs of the peer, exactly, while others are on their way', () => {
    const pair = new Pair({ policies: { bob: { maxAcceptedHtlcs: 3 } } }).reachNormal()
    for (let i = 0; i < 5; i++) pair.add(pair.alice, 1_000_000n, i)
    pair.input(pair.alice, { kind: 'flush' })
    expect(kindsOf(pair.alice)).to.deep.equal(['added', 'added', 'added', 'refused', 'refused'])
    pair.settle()
    expect(pair.live(pair.bob).book.htlcs).to.have.length(3)
  })
  it('max_htlc_value_in_flight_msat of the peer, exactly', () => {
    const policies = { bob: { maxInFlightMillionths: { announced: 0, unannounced: 100_000 } } }
    const pair = new Pair({ policies }).reachNormal()
    expect(refusals(pair, pair.alice, 60_000_000n)).to.equal(undefined)
    expect(refusals(pair, pair.alice, 40_000_001n)).to.match(/in_flight/)
    expect(refusals(pair, pair.alice, 40_000_000n)).to.equal(undefined)
  })
  it('a reference that an HTLC has, wanted or offered -> refused to who says it, and no word of the HTLC that is there', () => {
    const pair = new Pair().reachNormal()
    const refusal = (amount: bigint) => {
      const { next, handoffs, effects } = pair.add(pair.alice, amount, 1)
      expect(handoffs).to.deep.equal([])
      expect(next).to.equal(pair.alice.state)
      return effects.map((one) => (one.kind === 'refuse' ? one.error.message : one.kind))
    }
    pair.add(pair.alice, 1_000_000n, 1)
    const said = ["the HTLC can't be added: there is one of this reference"]
    expect(refusal(1_000_000n)).to.deep.equal(said)
    pair.settle()
    expect(refusal(2_000_000n)).to.deep.equal(said)
    pair.input(pair.alice, { kind: 'disconnected' })
    expect(refusal(1_000_000n), 'without a connection').to.deep.equal(said)
    expect(kindsOf(pair.alice)).to.deep.equal(['added', 'locked'])
    expect(pair.live(pair.bob).book.htlcs).to.have.length(1)
  })
  it('an expiry in the past, or absurdly far away (f 26), is not offered', () => {
    const pair = new Pair().reachNormal()
    for (const [expiry, text] of [
      [100, /past/],
      [100 + 2017, /too far/],
    ] as const) {
      pair.add(pair.alice, 1_000_000n, 1, expiry)
      pair.settle()
      expect(lastRefusal(pair.alice)).to.match(text)
    }
    pair.add(pair.alice, 1_000_000n, 1, 100 + 2016)
    pair.settle()
    expect(pair.live(pair.bob).book.htlcs).to.have.length(1)
  })
  it('an HTLC that the opener could not pay for is not offered by the other side', () => {
    const pair = new Pair().reachNormal({ push: msat(980_000_000n) })
    expect(refusals(pair, pair.bob, 1_000_000n)).to.equal(undefined)
    // The opener has some 20 000 sat, of which 10 000 are its reserve: it can pay for so many HTLCs and no more.
    for (let i = 0; i < 60; i++) pair.add(pair.bob, 1_000_000n, 100 + i)
    pair.settle()
    expect(lastRefusal(pair.bob)).to.match(/balance|max_accepted/)
    const { book } = pair.live(pair.alice)
    const cost = costOf('anchors_zero_fee_htlc', book.feerate, book.htlcs.length)
    expect(book.balances.local >= toMsat(cost)).to.equal(true)
    expect(pair.both.map(({ state }) => state?.phase)).to.deep.equal(['normal', 'normal'])
  })

  it('483 HTLCs each way at once, in two batches, and all of them back', () => {
    const policy = { maxAcceptedHtlcs: 483, maxDustExposure: { fixed: msat(10_000_000_000n) } }
    const pair = new Pair({ policies: { alice: policy, bob: policy }, isQuick: true })
    pair.reachNormal({ capacity: sat(16_000_000n), push: msat(8_000_000_000n) })
    for (let i = 0; i < 484; i++) {
      pair.add(pair.alice, 1_000_000n + BigInt(i), 2 * i)
      pair.add(pair.bob, 2_000_000n + BigInt(i), 2 * i + 1)
    }
    pair.settle()
    for (const party of pair.both) {
      expect(party.handoffs.filter(({ kind }) => kind === 'refused')).to.have.length(1)
      expect(viewOf(pair.live(party).book, 'local').htlcs).to.have.length(2 * 483)
      for (let id = 0; id < 483; id++) {
        const number = party.name === 'bob' ? 2 * id : 2 * id + 1
        pair.want(party, {
          kind: 'remove',
          id: BigInt(id),
          removal: { kind: 'fulfill', preimage: preimageOf(number) },
        })
      }
    }
    pair.settle()
    const moved = 483n * 1_000_000n
    const { balances } = pair.live(pair.alice).book
    expect(balances.remote - 8_000_000_000n).to.equal(-moved)
    expect(sentBy(pair.alice).filter(({ kind }) => kind === 'commitment_signed').length).to.be.lessThan(8)
  })
})

describe('BOLT 2, "Adding an HTLC": as its receiver', () => {
  const broken: readonly (readonly [string, Partial<UpdateAddHtlc>, RegExp])[] = [
    ['amount_msat of 0', { amountMsat: msat(0n) }, /zero/],
    ['amount_msat below htlc_minimum_msat', { amountMsat: msat(999n) }, /htlc_minimum/],
    ['amount_msat above max_htlc_value_in_flight_msat', { amountMsat: msat(500_000_001n) }, /in_flight/],
    ['cltv_expiry of 500000000', { cltvExpiry: blockHeight(500_000_000) }, /cltv_expiry/],
    ['an id that is not the next', { id: 1n }, /id 0 is next/],
  ]
  for (const [rule, change, text] of broken) {
    it(`${rule} -> error, our commitment is published`, () => {
      const pair = strict()
      receive(pair, change)
      expect(pair.bob.state?.phase).to.equal('failed')
      expect(errorOf(pair.bob)).to.match(text)
      expect(pair.bob.published.map(({ what }) => what)).to.deep.equal(['commitment'])
    })
  }
  it('more than max_accepted_htlcs -> error', () => {
    const pair = strict()
    for (let id = 0n; id < 3n; id++) receive(pair, { id })
    expect(pair.bob.state?.phase).to.equal('normal')
    receive(pair, { id: 3n })
    expect(errorOf(pair.bob)).to.match(/max_accepted_htlcs/)
  })
  it('an amount that leaves less than reserve and fee, by one msat -> error; without it -> taken', () => {
    const cost = costOf('anchors_zero_fee_htlc', feeratePerKw(1000), 1)
    const most = toMsat(sat(1_000_000n - 10_000n - cost))
    const fine = new Pair().reachNormal()
    receive(fine, { amountMsat: most })
    expect(fine.bob.state?.phase).to.equal('normal')
    const pair = new Pair().reachNormal()
    receive(pair, { amountMsat: msat(most + 1n) })
    expect(errorOf(pair.bob)).to.match(/channel_reserve_satoshis/)
  })
  it('update_add_htlc after shutdown -> error', () => {
    const pair = new Pair().reachNormal()
    pair.add(pair.alice, 5_000_000n, 1)
    pair.settle()
    pair.input(pair.alice, { kind: 'shutdown' })
    pair.deliverAll()
    receive(pair, { id: 1n })
    expect(errorOf(pair.bob)).to.match(/after shutdown/)
  })

  type End = UpdateFailHtlc | UpdateFulfillHtlc | UpdateFailMalformedHtlc
  type WithoutID<T> = T extends unknown ? Omit<T, 'channelID'> : never
  const removals: readonly (readonly [string, WithoutID<End>, RegExp])[] = [
    [
      'an id that was never offered',
      { kind: 'update_fail_htlc', id: 7n, reason: new Uint8Array(1) },
      /no HTLC/,
    ],
    [
      'a preimage of another hash',
      { kind: 'update_fulfill_htlc', id: 0n, paymentPreimage: preimageOf(2) },
      /payment_preimage/,
    ],
    [
      'a failure_code without BADONION',
      { kind: 'update_fail_malformed_htlc', id: 0n, sha256OfOnion: preimageOf(1), failureCode: 4 },
      /BADONION/,
    ],
  ]
  for (const [rule, message, text] of removals) {
    it(`BOLT 2, "Removing an HTLC": ${rule} -> error`, () => {
      const pair = new Pair().reachNormal()
      pair.add(pair.alice, 5_000_000n, 1)
      pair.settle()
      const { channelID } = pair.live(pair.alice).terms
      pair.input(pair.alice, { kind: 'received', message: { channelID, ...message } })
      expect(errorOf(pair.alice)).to.match(text)
    })
  }
  it('BOLT 2, "Removing an HTLC": before it is irrevocable -> error', () => {
    const pair = new Pair().reachNormal()
    pair.add(pair.alice, 5_000_000n, 1)
    pair.input(pair.alice, { kind: 'flush' })
    const { channelID } = pair.live(pair.alice).terms
    pair.input(pair.alice, {
      kind: 'received',
      message: { kind: 'update_fulfill_htlc', channelID, id: 0n, paymentPreimage: preimageOf(1) },
    })
    expect(errorOf(pair.alice)).to.match(/signed/)
  })
})

describe('BOLT 2, "Updating Fees"', () => {
  it('of the opener, in both commitments after the dance', () => {
    const pair = new Pair().reachNormal()
    pair.want(pair.alice, { kind: 'fee', feerate: feeratePerKw(2000) })
    pair.settle()
    for (const party of pair.both)
      expect(pair.live(party).book).to.deep.include({ feerate: 2000, changes: [] })
  })
  it('from who does not pay -> error; what no node relays -> error', () => {
    for (const [feerate, to, text] of [
      [1000, 'alice', /does not pay/],
      [252, 'bob', /below/],
    ] as const) {
      const pair = new Pair().reachNormal()
      const { channelID } = pair.live(pair.alice).terms
      const message = { kind: 'update_fee', channelID, feeratePerKw: feeratePerKw(feerate) } as const
      pair.input(pair[to], { kind: 'received', message })
      expect(errorOf(pair[to])).to.match(text)
    }
  })
  it('below our minimum, or unreasonably large -> warning; taken when our estimate has followed', () => {
    for (const [feerate, fees, text] of [
      [1000, { minimum: 1877 }, /below 1877/],
      [100_001, { sane: 100_001 }, /above 100000/],
    ] as const) {
      const pair = new Pair({ fees: { commitment: 2000, ...fees } }).reachNormal()
      const { alice, bob } = pair
      pair.want(alice, { kind: 'fee', feerate: feeratePerKw(feerate) })
      pair.input(alice, { kind: 'flush' })
      const [fee, signature] = alice.outbox
      if (fee?.kind !== 'update_fee' || signature?.kind !== 'commitment_signed') throw new Error('no batch')
      // Both may have come before the connection is closed.
      const warned = step(pair.live(bob), { kind: 'received', message: fee }, bob.env)
      const after = step(warned.next, { kind: 'received', message: signature }, bob.env)
      expect(after).to.deep.include({ next: warned.next, effects: [] })
      pair.settle()
      expect(pair.isConnected).to.equal(false)
      expect(new TextDecoder().decode(last(bob, 'warning').data)).to.match(text)
      expect(pair.live(bob).book).to.deep.include({ feerate: 2000, changes: [] })
      bob.env = {
        ...bob.env,
        fees: { ...bob.env.fees, minimum: feeratePerKw(253), maximum: feeratePerKw(200_000) },
      }
      pair.connect()
      pair.settle()
      for (const party of pair.both)
        expect(pair.live(party).book, party.name).to.deep.include({ feerate, changes: [] })
    }
  })
  it('with anchors what is relayed is enough, without it must get into blocks', () => {
    for (const [type, isTaken] of [
      [undefined, true],
      [STATIC, false],
    ] as const) {
      const pair = new Pair({ fees: { commitment: 2000, minimum: 253, fixedMinimum: 1877 } })
      pair.reachNormal(type === undefined ? {} : { type })
      pair.want(pair.alice, { kind: 'fee', feerate: feeratePerKw(1000) })
      pair.settle()
      expect(pair.live(pair.bob).book.feerate).to.equal(isTaken ? 1000 : 2000)
      expect(pair.isConnected).to.equal(isTaken)
    }
  })
  it('doubted for six blocks -> error: the opener has to repeat it, and nothing else could ever be agreed on', () => {
    const pair = new Pair({ fees: { commitment: 2000, minimum: 1877 } }).reachNormal()
    const { alice, bob } = pair
    pair.want(alice, { kind: 'fee', feerate: feeratePerKw(1000) })
    pair.settle()
    const { height } = bob.env
    for (const blocks of [0, 5]) {
      bob.env = { ...bob.env, height: blockHeight(height + blocks) }
      // Who starts again does not begin to count anew.
      bob.state = restoredChannels(bob.disk).get(0n) ?? pair.live(bob)
      expect(pair.isConnected).to.equal(false)
      for (let i = 0; i < 3; i++) {
        pair.connect()
        pair.settle()
      }
      expect(bob.state?.phase).to.equal('normal')
      expect(last(bob, 'warning').kind).to.equal('warning')
    }
    bob.env = { ...bob.env, height: blockHeight(height + 6) }
    pair.connect()
    pair.settle()
    expect(pair.live(bob).failure).to.deep.include({ cause: 'feerate' })
    expect(errorOf(bob)).to.match(/below 1877/)
  })
  it('one that was doubted and is taken -> the next has its own six blocks', () => {
    const pair = new Pair({ fees: { commitment: 2000, minimum: 1877 } }).reachNormal()
    const { alice, bob } = pair
    const { height } = bob.env
    const at = (blocks: number, minimum: number) => {
      bob.env = {
        ...bob.env,
        height: blockHeight(height + blocks),
        fees: { ...bob.env.fees, minimum: feeratePerKw(minimum) },
      }
    }
    pair.want(alice, { kind: 'fee', feerate: feeratePerKw(1000) })
    pair.settle()
    at(5, 253)
    pair.connect()
    pair.settle()
    expect(pair.live(bob).book.feerate).to.equal(1000)
    at(8, 1877)
    pair.want(alice, { kind: 'fee', feerate: feeratePerKw(900) })
    pair.settle()
    expect(bob.state?.phase).to.equal('normal')
  })
  it('one that the opener can not pay -> error when it is signed', () => {
    const pair = new Pair({ real: true, fees: { sane: 100_000 } }).reachNormal({ push: msat(980_000_000n) })
    const { channelID } = pair.live(pair.alice).terms
    for (const message of [
      { kind: 'update_fee', channelID, feeratePerKw: feeratePerKw(20_000) },
      { kind: 'commitment_signed', channelID, signature: new Uint8Array(64), htlcSignature: [] },
    ] as const)
      pair.input(pair.bob, { kind: 'received', message })
    expect(errorOf(pair.bob)).to.match(/can not pay/)
  })
  it('what our own balance does not cover is not asked for', () => {
    const pair = new Pair().reachNormal({ push: msat(980_000_000n) })
    pair.want(pair.alice, { kind: 'fee', feerate: feeratePerKw(20_000) })
    pair.settle()
    expect(pair.live(pair.bob).book.feerate).to.equal(1000)
  })
})

describe('dust exposure and fee spikes', () => {
  it('f 5 (CVE-2021-41591): dust beyond the limit is neither offered nor kept', () => {
    const limit = { maxDustExposure: { fixed: msat(1_000_000n) } }
    const pair = new Pair({ policies: { alice: limit } }).reachNormal({ push: msat(100_000_000n) })
    for (let i = 0; i < 4; i++) pair.add(pair.alice, 353_999n, i)
    pair.settle()
    expect(kindsOf(pair.alice).filter((kind) => kind === 'refused')).to.have.length(2)
    for (let i = 0; i < 2; i++) pair.add(pair.bob, 353_999n, 10 + i)
    pair.settle()
    const locked = pair.alice.handoffs.filter((one) => one.kind === 'locked' && one.htlc.offerer === 'remote')
    expect(locked.map((one) => one.kind === 'locked' && one.mustFail)).to.deep.equal([
      'dustExposure',
      'dustExposure',
    ])
    expect(pair.alice.state?.phase).to.equal('normal')
  })
  it('f 5: what is dust in the commitment of one side alone counts, whoever offers it', () => {
    // An output in ours and none in the peer's, whose dust limit is higher, and the other way round.
    for (const whose of ['alice', 'bob'] as const) {
      const limit = { maxDustExposure: { fixed: msat(1_000_000n) } }
      const high = { dustLimit: sat(546n) }
      const policies = whose === 'alice' ? { alice: { ...limit, ...high } } : { alice: limit, bob: high }
      const pair = new Pair({ policies }).reachNormal({ push: msat(100_000_000n) })
      for (let i = 0; i < 3; i++) pair.add(pair.alice, 400_000n, i)
      pair.settle()
      expect(kindsOf(pair.alice).filter((kind) => kind === 'refused')).to.have.length(1)
      expect(lastRefusal(pair.alice)).to.match(/dust exposure/)
      pair.add(pair.bob, 400_000n, 10)
      pair.settle()
      const locked = pair.alice.handoffs.find((one) => one.kind === 'locked' && one.htlc.offerer === 'remote')
      expect(locked, whose).to.deep.include({ mustFail: 'dustExposure' })
    }
  })
  it('f 5: an HTLC just above dust counts where its own transaction could not pay a risen fee', () => {
    // 663 weight at 1000 + 2530 sat/kw are 2340 sat.
    expect(bufferedFeerate(feeratePerKw(1000))).to.equal(3530)
    for (const [type, amount] of [
      [STATIC, 2_694_000n],
      [undefined, 354_000n],
    ] as const) {
      const pair = new Pair().reachNormal(type === undefined ? {} : { type })
      const live = pair.live(pair.alice)
      const exposed = (msats: bigint) => {
        const offer = {
          offerer: 'local' as const,
          id: 0n,
          amount: msat(msats),
          paymentHash: new Uint8Array(32),
          cltvExpiry: blockHeight(500),
        }
        const { eventual } = talliesWith(live.terms, live.book, offer)
        return exposureOf(live.terms, eventual.local, feeratePerKw(2500))
      }
      expect(exposed(amount - 1n)).to.equal(amount - 1n)
      expect(exposed(amount)).to.equal(0n)
    }
  })
  it('f 5: a fee beyond what is sane counts; update_fee beyond the limit -> error', () => {
    const pair = new Pair({ policies: { bob: { maxDustExposure: { fixed: msat(5_000_000n) } } } })
    pair.reachNormal()
    const { channelID } = pair.live(pair.alice).terms
    const message = { kind: 'update_fee', channelID, feeratePerKw: feeratePerKw(7_000) } as const
    // (7000 - 2500) sat/kw on 1124 weight are 5058 sat.
    pair.input(pair.bob, { kind: 'received', message })
    expect(errorOf(pair.bob)).to.match(/dust exposure/)
  })
  it('f 28: an HTLC that leaves the opener no buffer for a fee spike must be failed, and the channel lives', () => {
    const pair = new Pair().reachNormal({ type: STATIC })
    const { terms, book } = pair.live(pair.alice)
    const cost = costOf('static_remotekey', book.feerate, 1)
    // A peer that keeps no buffer.
    const amount = msat(toMsat(sat(terms.capacity - terms.remote.reserve - cost)))
    forced(pair, amount)
    const locked = pair.bob.handoffs.find(({ kind }) => kind === 'locked')
    expect(locked).to.deep.include({ kind: 'locked', mustFail: 'feeSpike' })
    pair.want(pair.bob, { kind: 'remove', id: 0n, removal: { kind: 'fail', reason: new Uint8Array(256) } })
    pair.settle()
    expect(pair.both.map(({ state }) => state?.phase)).to.deep.equal(['normal', 'normal'])
    expect(pair.live(pair.alice).book.htlcs).to.have.length(0)
  })
  it('f 26: an inbound HTLC of absurd expiry must be failed', () => {
    const pair = new Pair().reachNormal()
    pair.alice.env = { ...pair.alice.env, height: blockHeight(400_000_000) }
    pair.add(pair.alice, 5_000_000n, 1, 400_000_001)
    pair.settle()
    expect(pair.bob.handoffs[0]).to.deep.include({ kind: 'locked', mustFail: 'expiryTooFar' })
  })

  it('receivable is what the other side can send: exactly so much is taken and not failed, whatever is in flight', () => {
    const cases = fc.record({
      feerate: fc.integer({ min: 253, max: 6000 }),
      push: fc.bigInt(0n, 950_000_000n),
      type: fc.constantFrom(undefined, STATIC),
      acts: fc.array(
        fc.record({
          by: fc.constantFrom('alice' as const, 'bob' as const),
          /** Of what can be sent, in thousandths. */
          share: fc.oneof(fc.constant(1000n), fc.bigInt(1n, 999n)),
          isTaken: fc.boolean(),
        }),
        { minLength: 1, maxLength: 8 },
      ),
    })
    let exact = 0
    fc.assert(
      fc.property(cases, ({ feerate, push, type, acts }) => {
        const pair = new Pair({ isQuick: true })
        try {
          const request = { push: msat(push), feerate: feeratePerKw(feerate) }
          pair.reachNormal({ ...request, ...(type === undefined ? {} : { type }) })
        } catch (error) {
          if (isError(error, 'INVALID_PARAMS')) return
          throw error
        }
        acts.forEach(({ by, share, isTaken }) => {
          const [from, to] = [pair[by], pair.other(pair[by])]
          const most = receivable(pair.live(to), to.env)
          expect(spendable(pair.live(from), from.env)).to.equal(most)
          if (most === 0n) return
          const amount = share === 1000n ? most : (most * share) / 1000n || 1n
          if (share === 1000n) exact++
          const id = pair.live(from).book.offered.local
          expect(refusals(pair, from, amount)).to.equal(undefined)
          const locked = to.handoffs.at(-1)
          expect(locked).to.deep.nested.include({ kind: 'locked', 'htlc.amount': amount })
          expect(locked).to.not.have.property('mustFail')
          if (!isTaken) return
          pair.want(to, { kind: 'remove', id, removal: { kind: 'fulfill', preimage: preimageOf(1) } })
          pair.settle()
        })
        expect(pair.both.map(({ state }) => state?.phase)).to.deep.equal(['normal', 'normal'])
      }),
      { numRuns: 100 },
    )
    expect(exact).to.be.greaterThan(50)
  })

  it('f 22: whatever the feerate and the HTLCs, whoever offers keeps its reserve beside the fee', () => {
    const cases = fc.record({
      feerate: fc.integer({ min: 253, max: 6000 }),
      push: fc.bigInt(0n, 950_000_000n),
      type: fc.constantFrom(undefined, STATIC),
      amounts: fc.array(
        fc.record({
          by: fc.constantFrom('alice' as const, 'bob' as const),
          amount: fc.oneof(
            fc.constantFrom(353_999n, 354_000n, 354_001n, 1_017_000n, 3_000_000n),
            fc.bigInt(1n, 400_000_000n),
          ),
        }),
        { maxLength: 12 },
      ),
    })
    fc.assert(
      fc.property(cases, ({ feerate, push, type, amounts }) => {
        const pair = new Pair({ fees: { sane: 10_000 } })
        try {
          pair.reachNormal({
            push: msat(push),
            feerate: feeratePerKw(feerate),
            ...(type === undefined ? {} : { type }),
          })
        } catch (error) {
          if (isError(error, 'INVALID_PARAMS')) return
          throw error
        }
        amounts.forEach(({ by, amount }, i) => {
          pair.add(pair[by], amount, i)
          pair.settle()
          if (pair[by].handoffs.at(-1)?.kind === 'refused') return
          for (const party of pair.both) {
            const { book, terms } = pair.live(party)
            const format = type === undefined ? 'anchors_zero_fee_htlc' : 'static_remotekey'
            const view = viewOf(book, 'local')
            const untrimmed = pair.live(party).book.htlcs.filter((one) => one.amount >= 354_000n).length
            const most = toMsat(costOf(format, book.feerate, untrimmed))
            const mine = by === party.name
            const balance = mine ? view.toLocal : view.toRemote
            const reserve = toMsat((mine ? terms.remote : terms.local).reserve)
            const pays = (terms.opener === 'local') === mine
            expect(balance - (pays ? most : 0n) >= reserve, `${party.name} ${by}`).to.equal(true)
          }
        })
        expect(pair.both.map(({ state }) => state?.phase)).to.deep.equal(['normal', 'normal'])
      }),
      { numRuns: 25 },
    )
  })
})

describe('wishes', () => {
  it('f 43: a failure that no message or record can hold is refused, and the channel goes on', () => {
    const pair = new Pair().reachNormal()
    pair.add(pair.alice, 5_000_000n, 1)
    pair.settle()
    for (const length of [65_500, MAX_REASON + 1]) {
      const removal = { kind: 'fail', reason: new Uint8Array(length) } as const
      pair.want(pair.bob, { kind: 'remove', id: 0n, removal })
      expect(effectKinds(pair.bob).at(-1)).to.equal('refuse')
    }
    pair.want(pair.bob, {
      kind: 'remove',
      id: 0n,
      removal: { kind: 'fail', reason: new Uint8Array(MAX_REASON) },
    })
    pair.settle()
    expect(pair.alice.handoffs.at(-1)).to.deep.include({ kind: 'failed' })
  })
  it('a preimage goes before a failure that has not left', () => {
    const pair = new Pair().reachNormal()
    pair.add(pair.alice, 5_000_000n, 1)
    pair.settle()
    pair.want(pair.bob, { kind: 'remove', id: 0n, removal: { kind: 'fail', reason: new Uint8Array(9) } })
    for (let i = 0; i < 2; i++)
      pair.want(pair.bob, { kind: 'remove', id: 0n, removal: { kind: 'fulfill', preimage: preimageOf(1) } })
    pair.settle()
    expect(kindsOf(pair.alice)).to.deep.equal(['added', 'locked', 'fulfilled', 'removed'])
    expect(pair.bob.monitor.filter(({ kind }) => kind === 'preimage')).to.have.length(1)
  })
  it('our preimage is in the monitor before it leaves, also when the channel has failed', () => {
    const pair = new Pair().reachNormal()
    pair.add(pair.alice, 5_000_000n, 1)
    pair.settle()
    pair.input(pair.bob, { kind: 'forceClose' })
    pair.want(pair.bob, { kind: 'remove', id: 0n, removal: { kind: 'fulfill', preimage: preimageOf(1) } })
    expect(pair.bob.monitor.at(-1)).to.deep.include({
      kind: 'preimage',
      paymentHash: sha256(preimageOf(1)),
    })
  })
  it('a wish can be taken back until it is sent', () => {
    const pair = new Pair().reachNormal()
    pair.add(pair.alice, 5_000_000n, 1)
    pair.input(pair.alice, { kind: 'unwant', reference: 'alice 1' })
    pair.settle()
    expect(kindsOf(pair.alice)).to.deep.equal(['refused'])
    pair.add(pair.alice, 5_000_000n, 2)
    pair.settle()
    pair.input(pair.alice, { kind: 'unwant', reference: 'alice 2' })
    expect(effectKinds(pair.alice).at(-1)).to.equal('refuse')
  })
})

/** Bob is strict with what he takes. */
function strict(): Pair {
  const bob = {
    htlcMinimum: msat(1000n),
    maxAcceptedHtlcs: 3,
    maxInFlightMillionths: { announced: 0, unannounced: 500_000 },
  }
  return new Pair({ policies: { bob } }).reachNormal()
}

/** Bob gets an HTLC that Alice did not send. */
function receive(pair: Pair, change: Partial<UpdateAddHtlc>): void {
  const { channelID } = pair.live(pair.bob).terms
  const message: UpdateAddHtlc = {
    kind: 'update_add_htlc',
    channelID,
    id: 0n,
    amountMsat: msat(1_000_000n),
    paymentHash: new Uint8Array(32),
    cltvExpiry: blockHeight(500),
    onionRoutingPacket: new Uint8Array(1366),
    ...change,
  }
  pair.input(pair.bob, { kind: 'received', message })
}

/** Alice offers so much although she should not: her own books say that the peer asks for no reserve. */
function forced(pair: Pair, amount: bigint): void {
  const live = pair.live(pair.alice)
  const { terms } = live
  pair.replace(pair.alice, { ...live, terms: { ...terms, remote: { ...terms.remote, reserve: sat(0n) } } })
  pair.add(pair.alice, amount, 1)
  pair.settle()
}

function refusals(pair: Pair, party: Party, amount: bigint): string | undefined {
  pair.add(party, amount, 1, 500, `attempt ${party.handoffs.length}`)
  pair.settle()
  return party.handoffs.at(-1)?.kind === 'refused' ? lastRefusal(party) : undefined
}

function lastRefusal({ handoffs }: Party): string | undefined {
  const one = handoffs.filter(({ kind }) => kind === 'refused').at(-1)
  return one?.kind === 'refused' ? one.error.message : undefined
}

function kindsOf({ handoffs }: Party): readonly string[] {
  return handoffs.map(({ kind }) => kind)
}
