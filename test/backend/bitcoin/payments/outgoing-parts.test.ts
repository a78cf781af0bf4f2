// Payments of ours in several parts, given up, waiting and on chain: over only when nothing of them can be fulfilled any more.
import { expect } from 'chai'
import { msat } from '../../../../backend/bitcoin/units.js'
import { type Hex, toHex } from '../../../../channel/bytes.js'
import { PerkunasError } from '../../../../channel/errors.js'
import { answer, bytes32, Desk, hex32, refusal, START } from './desk.js'
import {
  add,
  byHash,
  DETAILS,
  fail,
  failed,
  ID,
  invoice,
  offered,
  PREIMAGE,
  payloadOf,
  start,
} from './outgoing.js'

describe('payments: over one channel', () => {
  it('the channel that was named, and no other, however it goes', () => {
    const desk = new Desk()
    const [, named] = [desk.channel(0), desk.channel(1)]
    desk.give({ kind: 'pay', id: ID, request: byHash({ channel: named }) })
    const wish = add(desk)
    expect(wish.channelID).to.equal(named)
    const htlc = desk.added(wish, 0n)
    const removal = failed(wish, { kind: 'temporary_node_failure' })
    desk.hand(named, { kind: 'failed', htlc, removal })
    expect(desk.adds()).to.have.length(1)
    expect(desk.told).to.deep.equal(['failed'])
  })
  it('one that is not there -> refused', () => {
    expect(refusal(start(byHash({ channel: hex32(9) })).effects)).to.equal('PAYMENT_REFUSED')
  })
})

describe('payments: in parts', () => {
  const parted = byHash({ paymentSecret: hex32(0x5ec), amount: msat(10_000n) })

  it('no channel carries all of it -> the largest ones together, as few as can', () => {
    const { desk } = start(parted, [2000n, 6000n, 3000n, 4000n])
    expect(desk.adds().map(({ amount, channelID }) => [amount, channelID])).to.deep.equal([
      [6000n, desk.channels[1]?.channelID],
      [4000n, desk.channels[3]?.channelID],
    ])
    for (const wish of desk.adds())
      expect(payloadOf(wish).payload.paymentData).to.deep.equal({
        paymentSecret: bytes32(0x5ec),
        totalMsat: 10_000n,
      })
    const keys = desk.outgoing(ID).parts.map(({ sharedSecrets }) => toHex(sharedSecrets[0] ?? fail()))
    expect(new Set(keys).size).to.equal(2)
  })
  it('the smallest channel that carries all of it is taken', () => {
    const { desk } = start(parted, [50_000n, 10_000n, 9_999n])
    expect(desk.adds().map(({ channelID }) => channelID)).to.deep.equal([desk.channels[1]?.channelID])
  })
  it('a payee that takes no parts, or without a secret -> refused', () => {
    expect(refusal(start(byHash({ amount: msat(10_000n) }), [6000n, 6000n]).effects)).to.equal(
      'PAYMENT_REFUSED',
    )
    const plain = invoice({ amount: msat(10_000n), features: new Uint8Array(0) })
    expect(refusal(start({ kind: 'invoice', invoice: plain }, [6000n, 6000n]).effects)).to.equal(
      'PAYMENT_REFUSED',
    )
    const able = invoice({ amount: msat(10_000n) })
    expect(start({ kind: 'invoice', invoice: able }, [6000n, 6000n]).desk.adds()).to.have.length(2)
  })
  it('no more parts than may be, none below the minimum of its channel', () => {
    const few = new Desk({ policy: { maxParts: 2 } })
    for (let n = 0; n < 3; n++) few.channel(n, 4000n)
    expect(refusal(few.give({ kind: 'pay', id: ID, request: parted }))).to.equal('PAYMENT_REFUSED')
    const small = new Desk()
    small.channel(0, 9_500n)
    small.channel(1, 9_000n, 600n)
    small.channel(2, 800n)
    small.give({ kind: 'pay', id: ID, request: parted })
    expect(small.adds().map(({ amount }) => amount)).to.deep.equal([9500n, 500n])
    expect(small.adds()[1]?.channelID).to.equal(small.channels[2]?.channelID)
  })
  it('a part fails -> its amount is shared out anew, by other channels', () => {
    const { desk, htlcs } = offered(parted, [6000n, 5000n, 2000n, 2500n])
    const [, second] = htlcs
    if (second === undefined) return fail()
    desk.hand(second.channelID, {
      kind: 'failed',
      htlc: second.htlc,
      removal: failed(add(desk, 1), { kind: 'mpp_timeout' }),
    })
    expect(
      desk
        .adds()
        .slice(2)
        .map(({ amount, channelID }) => [amount, channelID]),
    ).to.deep.equal([[4000n, desk.channels[0]?.channelID]])
    expect(desk.told).to.deep.equal([])
  })
  it('given up with a part under way -> pending until that is over; fulfilled after all -> sent', () => {
    for (const isFulfilled of [true, false]) {
      const { desk, htlcs } = offered(parted, [6000n, 5000n])
      const [first, second] = htlcs
      if (first === undefined || second === undefined) return fail()
      desk.hand(first.channelID, { kind: 'failed', htlc: first.htlc, removal: failed(add(desk), DETAILS) })
      expect(desk.told).to.deep.equal([])
      expect(desk.outgoing(ID).status.kind).to.equal('pending')
      if (isFulfilled)
        desk.hand(second.channelID, { kind: 'fulfilled', htlc: second.htlc, preimage: PREIMAGE })
      else
        desk.hand(second.channelID, {
          kind: 'failed',
          htlc: second.htlc,
          removal: failed(add(desk, 1), { kind: 'mpp_timeout' }),
        })
      expect(desk.told).to.deep.equal([isFulfilled ? 'sent' : 'failed'])
      const { status } = desk.outgoing(ID)
      if (status.kind === 'succeeded') expect(status.sent).to.equal(4000n)
      if (status.kind === 'failed') expect(status.failure).to.have.property('code', 0x400f)
    }
  })
  it('one preimage -> sent; parts that are then failed are not counted, and it never fails', () => {
    const { desk, htlcs } = offered(parted, [6000n, 5000n])
    const [first, second] = htlcs
    if (first === undefined || second === undefined) return fail()
    desk.hand(first.channelID, { kind: 'fulfilled', htlc: first.htlc, preimage: PREIMAGE })
    desk.hand(second.channelID, { kind: 'failed', htlc: second.htlc, removal: failed(add(desk, 1), DETAILS) })
    expect(desk.told).to.deep.equal(['sent'])
    expect(desk.outgoing(ID).status).to.deep.include({ kind: 'succeeded', sent: 6000n, fee: 0n })
    expect(desk.adds()).to.have.length(2)
  })
  it('over and known, with a part under way -> kept until that is over', () => {
    const { desk, htlcs } = offered(parted, [6000n, 5000n])
    const [first, second] = htlcs
    if (first === undefined || second === undefined) return fail()
    desk.hand(first.channelID, { kind: 'fulfilled', htlc: first.htlc, preimage: PREIMAGE })
    desk.give({ kind: 'acknowledge', of: 'outgoing', key: ID })
    expect(desk.state.outgoing.size).to.equal(1)
    desk.hand(second.channelID, { kind: 'fulfilled', htlc: second.htlc, preimage: PREIMAGE })
    expect(desk.state.outgoing.size).to.equal(0)
  })
})

describe('payments: given up', () => {
  it('its timeout goes by before it is an HTLC -> taken back, then failed', () => {
    const { desk } = start(byHash({ timeout: 5000 }))
    desk.now = START + 4999
    expect(desk.give({ kind: 'tick' })).to.deep.equal([])
    desk.now = START + 5000
    const { channelID, reference } = add(desk)
    expect(desk.give({ kind: 'tick' })).to.deep.equal([{ kind: 'unwant', channelID, reference }])
    expect(desk.told).to.deep.equal([])
    const error = new PerkunasError('INVALID_TRANSITION', 'taken back', { rule: 'taken back' })
    desk.hand(channelID, { kind: 'refused', reference, error })
    expect(desk.told).to.deep.equal(['failed'])
    expect(desk.outgoing(ID).status).to.deep.equal({
      kind: 'failed',
      failure: { kind: 'timedOut' },
      at: START + 5000,
    })
  })
  it('its timeout goes by while it is under way -> not failed before the HTLC is, and nothing more is tried', () => {
    const { desk, first } = offered(byHash({ timeout: 5000 }), [5000n, 5000n])
    desk.now = START + 5000
    expect(desk.give({ kind: 'tick' })).to.deep.equal([])
    desk.give({ kind: 'tick' })
    expect(desk.told).to.deep.equal([])
    desk.hand(first.channelID, {
      kind: 'failed',
      htlc: first.htlc,
      removal: failed(add(desk), { kind: 'temporary_node_failure' }),
    })
    expect(desk.told).to.deep.equal(['failed'])
    expect(desk.adds()).to.have.length(1)
  })
  it('after its timeout a failed part is not tried again, tick or not', () => {
    const { desk, first } = offered(byHash({ timeout: 5000 }), [5000n, 5000n])
    desk.now = START + 5000
    desk.hand(first.channelID, {
      kind: 'failed',
      htlc: first.htlc,
      removal: failed(add(desk), { kind: 'temporary_node_failure' }),
    })
    expect(desk.adds()).to.have.length(1)
  })
  it('abandoned -> the same; unknown -> UNKNOWN_PAYMENT', () => {
    const { desk, first } = offered(byHash(), [5000n, 5000n])
    desk.give({ kind: 'abandon', id: ID })
    expect(answer(desk.give({ kind: 'abandon', id: ID })).status).to.deep.equal({
      kind: 'pending',
      abandoned: { kind: 'abandoned' },
    })
    desk.hand(first.channelID, { kind: 'fulfilled', htlc: first.htlc, preimage: PREIMAGE })
    expect(desk.told).to.deep.equal(['sent'])
    expect(answer(desk.give({ kind: 'abandon', id: ID })).status.kind).to.equal('succeeded')
    expect(refusal(desk.give({ kind: 'abandon', id: hex32(9) }))).to.equal('UNKNOWN_PAYMENT')
  })
})

describe('payments: waiting', () => {
  it('a wish that is not signed until the payee had too little time -> taken back, then by another channel', () => {
    const { desk } = start(byHash(), [5000n, 6000n])
    const { channelID, reference } = add(desk)
    desk.height = 103
    expect(desk.give({ kind: 'block' })).to.deep.equal([])
    desk.height = 104
    expect(desk.give({ kind: 'block' })).to.deep.equal([{ kind: 'unwant', channelID, reference }])
    const error = new PerkunasError('INVALID_TRANSITION', 'taken back', { rule: 'taken back' })
    desk.hand(channelID, { kind: 'refused', reference, error })
    expect(add(desk, 1).cltvExpiry).to.equal(104 + 18 + 3)
    desk.added(add(desk, 1), 0n)
    desk.height = 200
    expect(desk.give({ kind: 'block' })).to.deep.equal([])
  })
})

describe('payments: on chain', () => {
  const to = (who: 'offerer' | 'receiver', id = 0n) =>
    ({ kind: 'resolved', htlc: { offerer: 'local', id }, to: who }) as const
  const learned = (channelID: Hex, id: bigint, preimage = PREIMAGE) =>
    ({ kind: 'learned', channelID, htlc: { offerer: 'local', id }, preimage }) as const

  it('a preimage seen on chain -> sent, however the HTLC ends (f 7, 8, 9)', () => {
    for (const who of ['offerer', 'receiver'] as const) {
      const { desk, first } = offered()
      const { channelID } = first
      desk.give(learned(channelID, 0n))
      desk.state = desk.restored()
      desk.give({ ...to(who), channelID })
      desk.give(learned(channelID, 0n))
      expect(desk.told).to.deep.equal(['sent'])
      expect(desk.outgoing(ID).status.kind).to.equal('succeeded')
    }
  })
  it('back with us for good -> failed, and not tried again a day later', () => {
    const { desk, first } = offered(byHash(), [5000n, 5000n])
    desk.give({ ...to('offerer'), channelID: first.channelID })
    expect(desk.told).to.deep.equal(['failed'])
    expect(desk.adds()).to.have.length(1)
    const { status } = desk.outgoing(ID)
    expect(status.kind === 'failed' && status.failure.kind).to.equal('timedOutOnChain')
  })
  it('with the peer for good, its preimage not known -> not failed (f 16)', () => {
    const { desk, first } = offered()
    desk.give({ ...to('receiver'), channelID: first.channelID })
    expect(desk.told).to.deep.equal([])
    desk.give(learned(first.channelID, 0n))
    expect(desk.told).to.deep.equal(['sent'])
  })
  it('equal hash and amount in two HTLCs: each by its own name (f 10, 11)', () => {
    const request = byHash({ paymentSecret: hex32(0x5ec), amount: msat(10_000n) })
    const { desk, htlcs } = offered(request, [5000n, 5000n])
    const [first, second] = htlcs
    if (first === undefined || second === undefined) return fail()
    desk.give({ ...to('offerer', 1n), channelID: second.channelID })
    // Of another channel, of another ID, of the peer: not ours.
    desk.give(learned(first.channelID, 1n))
    desk.give(learned(second.channelID, 0n))
    desk.give(learned(first.channelID, 0n, bytes32(3)))
    desk.give({ ...learned(first.channelID, 0n), htlc: { offerer: 'remote', id: 0n } })
    expect(desk.told).to.deep.equal([])
    expect(desk.outgoing(ID).parts.map(({ htlcID }) => htlcID)).to.deep.equal([0n])
    desk.give(learned(first.channelID, 0n))
    expect(desk.told).to.deep.equal(['sent'])
    expect(desk.outgoing(ID).status).to.deep.include({ sent: 5000n })
  })
  it('the channel fails before the wish is an HTLC -> another channel', () => {
    const { desk } = start(byHash(), [5000n, 6000n])
    const { channelID, reference } = add(desk)
    const error = new PerkunasError('UNSUPPORTED', 'the channel failed', { what: 'the channel failed' })
    desk.channels.shift()
    desk.hand(channelID, { kind: 'refused', reference, error })
    expect(desk.adds()).to.have.length(2)
  })
})
