// Payments to us that were not asked for, and those on which our user decides.
import { expect } from 'chai'
import { pastIncoming } from '../../../../backend/bitcoin/payments/index.js'
import { msat } from '../../../../backend/bitcoin/units.js'
import { answer, bytes32, Desk, hex32, htlcToUs, readFailure, refusal, type ToUs } from './desk.js'
import { asked, CHANNEL, details, FULFILL, HASH, incomingOf, OTHER, PREIMAGE, TEXT } from './incoming.js'

describe('payments: spontaneous', () => {
  const keysend = (desk: Desk, to: Partial<ToUs> = {}, preimage = PREIMAGE, id = 0n) => {
    const payload = { keysendPreimage: preimage }
    desk.hand(CHANNEL, {
      kind: 'locked',
      htlc: htlcToUs({ id, amount: 1000n, paymentHash: HASH, payload, ...to }),
    })
    return desk.removalOf(CHANNEL, id)
  }
  it('the preimage is in the onion -> received', () => {
    const desk = new Desk()
    expect(keysend(desk)).to.deep.equal(FULFILL)
    expect(desk.told).to.deep.equal(['received'])
    expect(desk.incoming(HASH).invoice).to.equal(undefined)
  })
  it('not welcome, too little, of another hash, too late -> as for an unknown one', () => {
    for (const [desk, to, preimage] of [
      [new Desk({ policy: { spontaneous: 'refuse' } }), {}, PREIMAGE],
      [new Desk({ policy: { spontaneousMinimum: msat(1001n) } }), {}, PREIMAGE],
      [new Desk(), {}, bytes32(1)],
      [new Desk(), { cltvExpiry: 138 }, PREIMAGE],
      [new Desk({ policy: { maxOpen: { outgoing: 0, incoming: 0 } } }), {}, PREIMAGE],
    ] as const) {
      expect(readFailure(keysend(desk, to, preimage))).to.deep.equal(details())
      expect(desk.state.incoming.size).to.equal(0)
    }
  })
  it('the hash of a payment whose record is damaged -> as for an unknown one, and nothing takes its place', () => {
    for (const spontaneous of ['accept', 'hold'] as const) {
      const desk = new Desk({ policy: { spontaneous } })
      desk.unreadable.add(HASH)
      expect(readFailure(keysend(desk))).to.deep.equal(details())
      expect(desk.state.incoming.size).to.equal(0)
    }
  })
  it('the hash of an invoice of ours -> the invoice’s secret is asked for all the same', () => {
    const { desk } = asked()
    expect(readFailure(keysend(desk))).to.deep.equal(details())
  })
  it('in parts: with a secret together, without one never', () => {
    const payment = { paymentSecret: bytes32(4), total: 1000n }
    const desk = new Desk()
    expect(keysend(desk, { amount: 500n, payment })).to.equal(undefined)
    expect(keysend(desk, { amount: 500n, payment }, PREIMAGE, 1n)).to.deep.equal(FULFILL)
    expect(desk.removalOf(CHANNEL, 0n)).to.deep.equal(FULFILL)
    const timed = new Desk()
    keysend(timed, { amount: 500n, payment })
    timed.now += 60_000
    timed.give({ kind: 'tick' })
    expect(readFailure(timed.removalOf(CHANNEL, 0n))).to.deep.equal({ kind: 'mpp_timeout' })
    expect(timed.state.incoming.size).to.equal(0)
  })
  it('once more with the same hash, while the first is there -> failed', () => {
    const desk = new Desk()
    keysend(desk)
    expect(readFailure(keysend(desk, {}, PREIMAGE, 1n))).to.deep.equal(details())
    expect(desk.told).to.deep.equal(['received'])
  })
  it('held by policy -> our user decides', () => {
    const desk = new Desk({ policy: { spontaneous: 'hold' } })
    expect(keysend(desk)).to.equal(undefined)
    expect(desk.told).to.deep.equal(['held'])
    desk.give({ kind: 'release', paymentHash: HASH })
    expect(desk.removalOf(CHANNEL, 0n)).to.deep.equal(FULFILL)
  })
})

describe('payments: of an unknown hash', () => {
  const unknown = (desk: Desk, to: Partial<ToUs> = {}, id = 0n) => {
    desk.hand(CHANNEL, { kind: 'locked', htlc: htlcToUs({ id, amount: 1000n, paymentHash: HASH, ...to }) })
    return desk.removalOf(CHANNEL, id)
  }
  it('held by policy -> told, released by who has the preimage, failed at the deadline', () => {
    for (const isReleased of [true, false]) {
      const desk = new Desk({ policy: { unknown: 'hold' } })
      expect(unknown(desk)).to.equal(undefined)
      expect(desk.told).to.deep.equal(['held'])
      expect(refusal(desk.give({ kind: 'release', paymentHash: HASH }))).to.equal('INVALID_ARGUMENT')
      if (isReleased) desk.give({ kind: 'release', paymentHash: HASH, preimage: PREIMAGE })
      desk.height = 106
      desk.give({ kind: 'block' })
      const removal = desk.removalOf(CHANNEL, 0n)
      if (isReleased) expect(removal).to.deep.equal(FULFILL)
      else expect(readFailure(removal)).to.deep.equal(details(1000n, 106))
    }
  })
  it('with a secret, a second one, too little, and by default -> failed as ever', () => {
    const held = new Desk({ policy: { unknown: 'hold', spontaneousMinimum: msat(1000n) } })
    const payment = { paymentSecret: bytes32(5), total: 1000n }
    expect(readFailure(unknown(held, { payment }))).to.deep.equal(details())
    expect(readFailure(unknown(held, { amount: 999n }, 1n))).to.deep.equal(details(999n))
    expect(unknown(held, {}, 2n)).to.equal(undefined)
    expect(readFailure(unknown(held, {}, 3n))).to.deep.equal(details())
    expect(readFailure(unknown(new Desk()))).to.deep.equal(details())
  })
})

describe('payments: held', () => {
  it('all of it is there -> told, with the height from which it is cancelled; released -> received', () => {
    const { desk, paymentHash, pay } = asked({ isHeld: true })
    const parts = [pay({ amount: 400n, total: 1000n, cltvExpiry: 160 }), pay({ amount: 600n, total: 1000n })]
    expect(desk.told).to.deep.equal(['held'])
    expect(desk.incoming(paymentHash).status).to.deep.equal({ kind: 'held', deadline: 145 - 39 })
    const released = answer(desk.give({ kind: 'release', paymentHash }))
    expect(released.status.kind).to.equal('claimed')
    for (const part of parts) expect(part.removal()).to.deep.equal(FULFILL)
    expect(answer(desk.give({ kind: 'release', paymentHash })).status.kind).to.equal('claimed')
    expect(desk.told).to.deep.equal(['held', 'received'])
  })
  it('the preimage is our user’s -> asked for at the release, and only the right one is taken', () => {
    const desk = new Desk()
    const request = { ...TEXT, amount: msat(1000n), paymentHash: HASH }
    const made = incomingOf(answer(desk.give({ kind: 'createInvoice', request })))
    const payment = { paymentSecret: made.paymentSecret ?? bytes32(0), total: 1000n }
    desk.hand(CHANNEL, {
      kind: 'locked',
      htlc: htlcToUs({ id: 0n, amount: 1000n, paymentHash: HASH, payment }),
    })
    for (const preimage of [undefined, bytes32(1), new Uint8Array(0)])
      expect(
        refusal(desk.give({ kind: 'release', paymentHash: HASH, ...(preimage && { preimage }) })),
      ).to.equal('INVALID_ARGUMENT')
    desk.give({ kind: 'release', paymentHash: HASH, preimage: PREIMAGE })
    expect(desk.removalOf(CHANNEL, 0n)).to.deep.equal(FULFILL)
  })
  it('a further part while it is held -> failed', () => {
    const { pay } = asked({ isHeld: true })
    pay()
    expect(readFailure(pay().removal())).to.deep.equal(details())
  })
  it('cancelled -> all parts are failed, and nothing is taken any more', async () => {
    const { desk, paymentHash, pay } = asked({ isHeld: true })
    const parts = [pay({ amount: 400n, total: 1000n }), pay({ amount: 600n, total: 1000n }, OTHER)]
    const cancelled = answer(desk.give({ kind: 'cancel', paymentHash }))
    expect(cancelled.status).to.deep.include({ kind: 'cancelled', reason: 'command' })
    expect(parts.map((part) => readFailure(part.removal()))).to.deep.equal([details(400n), details(600n)])
    expect(refusal(desk.give({ kind: 'release', paymentHash }))).to.equal('UNKNOWN_PAYMENT')
    expect(readFailure(pay().removal())).to.deep.equal(details())
    const past = await pastIncoming({ get: async (key) => desk.disk.get(key) }, paymentHash)
    expect(past?.status).to.deep.equal(cancelled.status)
  })
  it('nobody decides (f 32) -> cancelled at the deadline, before the channel would have to be closed, and told', () => {
    const { desk, paymentHash, pay } = asked({ isHeld: true })
    const one = pay()
    desk.height = 105
    desk.give({ kind: 'block' })
    expect(one.removal()).to.equal(undefined)
    desk.height = 106
    expect(refusal(desk.give({ kind: 'release', paymentHash }))).to.equal('INVALID_TRANSITION')
    desk.give({ kind: 'block' })
    expect(readFailure(one.removal())).to.deep.equal(details(1000n, 106))
    desk.state = desk.restored()
    desk.give({ kind: 'resumed' })
    expect(desk.told).to.deep.equal(['held', 'cancelled', 'cancelled'])
    expect(refusal(desk.give({ kind: 'release', paymentHash }))).to.equal('INVALID_TRANSITION')
    desk.give({ kind: 'acknowledge', of: 'incoming', key: paymentHash })
    expect(desk.state.incoming.size).to.equal(0)
  })
  it('the chain is not known up to now -> not released, since it may have expired there', () => {
    const { desk, paymentHash, pay } = asked({ isHeld: true })
    const one = pay()
    desk.isSynced = false
    expect(refusal(desk.give({ kind: 'release', paymentHash }))).to.equal('LEDGER_UNREACHABLE')
    expect(one.removal()).to.equal(undefined)
    desk.isSynced = true
    desk.give({ kind: 'release', paymentHash })
    expect(one.removal()).to.deep.equal(FULFILL)
  })
  it('the chain is not known up to now -> nothing is taken, and the payer may try again', () => {
    const { desk, paymentHash, pay } = asked({ isHeld: true })
    desk.isSynced = false
    expect(readFailure(pay().removal())).to.deep.equal({ kind: 'temporary_node_failure' })
    expect(desk.incoming(paymentHash).status.kind).to.equal('awaited')
    desk.isSynced = true
    expect(pay().removal()).to.equal(undefined)
    expect(desk.incoming(paymentHash).status.kind).to.equal('held')
  })
  it('only some blocks are missing -> it waits for them, also over a restart: then held, or claimed', () => {
    for (const [isHeld, kind] of [
      [true, 'block'],
      [false, 'block'],
      [false, 'tick'],
    ] as const) {
      const { desk, pay } = asked({ isHeld })
      Object.assign(desk, { isSynced: false, isCatchingUp: true })
      const part = pay()
      desk.height += 3
      desk.give({ kind: 'block' })
      expect([part.removal(), desk.told]).to.deep.equal([undefined, []])
      desk.state = desk.restored()
      desk.give({ kind: 'resumed' })
      Object.assign(desk, { isSynced: true, isCatchingUp: false })
      desk.give({ kind })
      expect(desk.told).to.deep.equal([isHeld ? 'held' : 'received'])
      expect(part.removal()).to.deep.equal(isHeld ? undefined : FULFILL)
    }
  })
  it('the blocks that were missing show that it is too late -> failed, and nothing shown', () => {
    const { desk, pay } = asked()
    Object.assign(desk, { isSynced: false, isCatchingUp: true })
    const part = pay({ cltvExpiry: 145 })
    desk.height = 145 - 39
    Object.assign(desk, { isSynced: true, isCatchingUp: false })
    desk.give({ kind: 'block' })
    expect(readFailure(part.removal())).to.deep.equal(details(1000n, desk.height))
    expect(desk.told).to.deep.equal([])
  })
  it('they do not come in a minute -> failed for now', () => {
    const { desk, paymentHash, pay } = asked()
    Object.assign(desk, { isSynced: false, isCatchingUp: true })
    const part = pay()
    desk.now += 59_999
    desk.give({ kind: 'tick' })
    expect(part.removal()).to.equal(undefined)
    desk.now += 1
    desk.give({ kind: 'tick' })
    expect(readFailure(part.removal())).to.deep.equal({ kind: 'temporary_node_failure' })
    expect(desk.incoming(paymentHash).parts).to.deep.equal([])
  })
  it('a second one without a secret while the first waits -> failed: one is all', () => {
    const desk = new Desk()
    Object.assign(desk, { isSynced: false, isCatchingUp: true })
    const payload = { keysendPreimage: PREIMAGE }
    for (const id of [0n, 1n])
      desk.hand(CHANNEL, {
        kind: 'locked',
        htlc: htlcToUs({ id, amount: 1000n, paymentHash: HASH, payload }),
      })
    expect(desk.removalOf(CHANNEL, 0n)).to.equal(undefined)
    expect(readFailure(desk.removalOf(CHANNEL, 1n))).to.deep.equal(details())
  })
  it('a restart -> told again', () => {
    const { desk, pay } = asked({ isHeld: true })
    pay()
    desk.state = desk.restored()
    desk.give({ kind: 'resumed' })
    expect(desk.told).to.deep.equal(['held', 'held'])
  })
  it('the wrong time and the wrong name -> refused, nothing changed', () => {
    const { desk, paymentHash, pay } = asked({ isHeld: true })
    for (const [input, code] of [
      [{ kind: 'release', paymentHash }, 'INVALID_TRANSITION'],
      [{ kind: 'acknowledge', of: 'incoming', key: paymentHash }, 'INVALID_TRANSITION'],
      [{ kind: 'release', paymentHash: hex32(1) }, 'UNKNOWN_PAYMENT'],
      [{ kind: 'cancel', paymentHash: hex32(1) }, 'UNKNOWN_PAYMENT'],
    ] as const)
      expect(refusal(desk.give(input)), input.kind).to.equal(code)
    pay()
    desk.give({ kind: 'release', paymentHash })
    expect(refusal(desk.give({ kind: 'cancel', paymentHash }))).to.equal('INVALID_TRANSITION')
  })
  it('an invoice that nobody began to pay: cancelled or expired -> put away, nothing told', () => {
    const { desk, paymentHash } = asked()
    desk.give({ kind: 'cancel', paymentHash })
    const second = asked()
    second.desk.now += 3600_000
    second.desk.give({ kind: 'tick' })
    for (const each of [desk, second.desk]) {
      expect(each.state.incoming.size).to.equal(0)
      expect(each.told).to.deep.equal([])
    }
  })
})
