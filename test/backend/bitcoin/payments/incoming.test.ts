// Payments to us on our invoices: claimed whole or not at all, and strangers learn nothing.
import { expect } from 'chai'
import fc from 'fast-check'
import { demandOf } from '../../../../backend/bitcoin/features.js'
import { decodeInvoice } from '../../../../backend/bitcoin/invoice/index.js'
import {
  attributionOf,
  readFulfilAttribution,
  sharedSecretWith,
} from '../../../../backend/bitcoin/onion/index.js'
import {
  type InvoiceRequest,
  lookUp,
  pastIncoming,
  paymentWrites,
} from '../../../../backend/bitcoin/payments/index.js'
import { MAX_PARTS } from '../../../../backend/bitcoin/payments/policy.js'
import { put } from '../../../../backend/bitcoin/payments/table.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { blockDelta, blockHeight, msat } from '../../../../backend/bitcoin/units.js'
import { fromHex, toHex } from '../../../../channel/bytes.js'
import {
  answer,
  applyTo,
  bytes32,
  Desk,
  forwardHtlc,
  hex32,
  htlcToUs,
  readFailure,
  refusal,
  SESSION,
  START,
  type ToUs,
  US,
} from './desk.js'
import { asked, CHANNEL, details, FULFILL, HASH, incomingOf, OTHER, PREIMAGE, TEXT } from './incoming.js'

describe('payments: invoices', () => {
  it('an invoice says what was asked, and its payment is in the record before it is handed out', () => {
    const { made, desk } = asked({
      paymentMetadata: bytes32(5),
      expiry: 60,
      description: { kind: 'hash', hash: bytes32(4) },
    })
    const invoice = decodeInvoice(made.invoice?.text ?? '')
    expect(invoice).to.deep.include({
      payee: US,
      currency: 'bcrt',
      amount: 1000n,
      timestamp: START / 1000,
      expiry: 60n,
      minFinalCltvExpiryDelta: 42,
      metadata: bytes32(5),
      description: { kind: 'hash', hash: bytes32(4) },
      paymentSecret: made.paymentSecret,
    })
    expect(toHex(invoice.paymentHash)).to.equal(HASH)
    const demands = (['payment_secret', 'basic_mpp', 'option_payment_metadata'] as const).map((name) =>
      demandOf(invoice.features, name),
    )
    expect(demands).to.deep.equal(['required', 'optional', 'required'])
    expect(lookUp(desk.restored().incoming, HASH)).to.deep.equal(made)
  })
  it('two invoices -> other hashes, secrets and preimages', () => {
    const desk = new Desk()
    const made = [0, 1].map(() => incomingOf(answer(desk.give({ kind: 'createInvoice', request: TEXT }))))
    const all = made.flatMap(({ paymentHash, paymentSecret, preimage }) =>
      [fromHex(paymentHash), paymentSecret, preimage].map((one) => one && toHex(one)),
    )
    expect(new Set(all).size).to.equal(6)
  })
  it('what can not be asked for -> refused, nothing awaited', () => {
    const cases: readonly (readonly [Partial<InvoiceRequest>, string])[] = [
      [{ minFinalCltvExpiryDelta: blockDelta(41) }, 'INVALID_ARGUMENT'],
      [{ minFinalCltvExpiryDelta: blockDelta(2017) }, 'INVALID_ARGUMENT'],
      [JSON.parse('{"minFinalCltvExpiryDelta":"42"}'), 'INVALID_ARGUMENT'],
      [{ expiry: 0 }, 'INVALID_ARGUMENT'],
      [{ expiry: 1.5 }, 'INVALID_ARGUMENT'],
      [{ expiry: 1e12 }, 'INVALID_ARGUMENT'],
      [{ preimage: new Uint8Array(31) }, 'INVALID_ARGUMENT'],
      [{ paymentHash: '0x00' }, 'INVALID_ARGUMENT'],
      [{ preimage: bytes32(1), paymentHash: hex32(1) }, 'INVALID_ARGUMENT'],
      [{ paymentHash: hex32(1), isHeld: false }, 'INVALID_ARGUMENT'],
      [{ amount: msat(0n) }, 'INVALID_AMOUNT'],
      [{ description: { kind: 'text', text: 'x'.repeat(2000) } }, 'TOO_LARGE'],
      ...['description', 'preimage', 'paymentMetadata', 'fallbacks', 'routes', 'amount', 'expiry'].flatMap(
        (name) =>
          ['', 'x'.repeat(32), -5, true, {}, [null], { kind: 'text' }, { kind: 'hash' }].map(
            (value) => [{ [name]: value }, 'INVALID_ARGUMENT'] as const,
          ),
      ),
    ]
    for (const [request, code] of cases) {
      const desk = new Desk()
      const effects = desk.give({ kind: 'createInvoice', request: { ...TEXT, ...request } })
      expect(refusal(effects), JSON.stringify(Object.keys(request))).to.equal(code)
      expect(desk.state.incoming.size).to.equal(0)
    }
  })
  it('a payment hash of another payment, open or over -> PAYMENT_EXISTS', async () => {
    const { desk, paymentHash, pay } = asked()
    const again = (isPast: boolean) =>
      refusal(desk.give({ kind: 'createInvoice', request: { ...TEXT, preimage: PREIMAGE }, isPast }))
    expect(again(false)).to.equal('PAYMENT_EXISTS')
    const { htlc } = pay()
    desk.hand(CHANNEL, { kind: 'removed', htlc })
    desk.give({ kind: 'acknowledge', of: 'incoming', key: paymentHash })
    const past = await pastIncoming({ get: async (key) => desk.disk.get(key) }, paymentHash)
    expect(past?.status.kind).to.equal('claimed')
    expect(again(past !== undefined)).to.equal('PAYMENT_EXISTS')
  })
  it('texts of any characters come back as they were (f 46)', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 100 }), (text) => {
        const desk = new Desk()
        const effects = desk.give({
          kind: 'createInvoice',
          request: { description: { kind: 'text', text } },
        })
        const made = incomingOf(answer(effects))
        expect(decodeInvoice(made.invoice?.text ?? '').description).to.deep.equal({ kind: 'text', text })
      }),
      { numRuns: 30 },
    )
  })
  it('more than may be awaited -> refused', () => {
    const desk = new Desk({ policy: { maxOpen: { outgoing: 1, incoming: 2 } } })
    for (const expected of [undefined, undefined, 'PAYMENT_REFUSED'])
      expect(refusal(desk.give({ kind: 'createInvoice', request: TEXT }))).to.equal(expected)
  })
})

describe('payments: received', () => {
  it('all of it -> the preimage to the channel and the event, once', () => {
    const { desk, paymentHash, pay } = asked()
    const { removal, htlc } = pay()
    expect(removal()).to.deep.equal(FULFILL)
    expect(desk.told).to.deep.equal(['received'])
    expect(desk.incoming(paymentHash).status).to.deep.equal({
      kind: 'claimed',
      received: 1000n,
      lost: 0n,
      at: START,
    })
    desk.hand(CHANNEL, { kind: 'removed', htlc })
    expect(desk.told).to.deep.equal(['received'])
  })
  it('the event is told again after each restart, until it is acknowledged; then the record is put away', () => {
    const { desk, paymentHash, pay } = asked()
    const { htlc } = pay()
    desk.state = desk.restored()
    desk.give({ kind: 'resumed' })
    desk.hand(CHANNEL, { kind: 'removed', htlc })
    expect(desk.state.incoming.size).to.equal(1)
    desk.give({ kind: 'acknowledge', of: 'incoming', key: paymentHash })
    expect(desk.state.incoming.size).to.equal(0)
    desk.give({ kind: 'resumed' })
    desk.give({ kind: 'acknowledge', of: 'incoming', key: paymentHash })
    expect(desk.told).to.deep.equal(['received', 'received'])
  })
  it('known to our user while a part is there -> kept until that is gone', () => {
    const { desk, paymentHash, pay } = asked()
    const { htlc } = pay()
    desk.give({ kind: 'acknowledge', of: 'incoming', key: paymentHash })
    expect(desk.incoming(paymentHash).status.kind).to.equal('claimed')
    desk.hand(OTHER, { kind: 'removed', htlc })
    expect(desk.state.incoming.size).to.equal(1)
    const effects = desk.hand(CHANNEL, { kind: 'removed', htlc })
    expect(effects.map(({ kind }) => kind)).to.deep.equal(['archive'])
  })
  it('a second payment of one invoice, before and after it is over -> the same as for an unknown one (f 27, 51)', () => {
    const { desk, paymentHash, pay } = asked()
    const { htlc } = pay()
    expect(readFailure(pay().removal())).to.deep.equal(details())
    desk.hand(CHANNEL, { kind: 'removed', htlc })
    desk.give({ kind: 'acknowledge', of: 'incoming', key: paymentHash })
    expect(readFailure(pay().removal())).to.deep.equal(details())
    expect(desk.told).to.deep.equal(['received'])
  })
  it('unknown hash, wrong secret, no secret, too little, too much, too late, too soon: one and the same failure (f 50, 51)', () => {
    const wrong: readonly (readonly [string, Partial<ToUs> & { readonly total?: bigint }])[] = [
      ['unknown hash', { paymentHash: hex32(5) }],
      ['wrong secret', { payment: { paymentSecret: bytes32(5), total: 1000n } }],
      ['no secret', { payload: { paymentData: undefined } }],
      ['metadata alone', { payload: { paymentData: undefined, paymentMetadata: bytes32(1) } }],
      ['total too small', { total: 999n }],
      ['total too large', { total: 2001n }],
      ['expires too soon', { cltvExpiry: 100 + 42 - 3 }],
    ]
    for (const [what, to] of wrong) {
      const { desk, paymentHash, pay } = asked()
      expect(readFailure(pay(to).removal()), what).to.deep.equal(details())
      expect(desk.incoming(paymentHash).parts, what).to.deep.equal([])
    }
    const { desk, pay } = asked()
    desk.now = START + 3600_000
    expect(readFailure(pay().removal()), 'expired').to.deep.equal(details())
    desk.height = 101
    expect(readFailure(pay().removal()), 'height').to.deep.equal(details(1000n, 101))
  })
  it('at each bound -> taken', () => {
    for (const to of [{ cltvExpiry: 100 + 42 - 2 }, { amount: 2000n }, { amount: 1000n }])
      expect(asked().pay(to).removal(), JSON.stringify(Object.keys(to))).to.deep.equal(FULFILL)
    const slow = { minFinalCltvExpiryDelta: blockDelta(144) }
    expect(
      asked(slow)
        .pay({ cltvExpiry: 100 + 144 - 3 })
        .removal(),
    ).to.deep.equal(FULFILL)
    expect(
      readFailure(
        asked(slow)
          .pay({ cltvExpiry: 100 + 144 - 4 })
          .removal(),
      ),
    ).to.deep.equal(details())
    const { desk, pay } = asked()
    desk.now = START + 3599_999
    expect(pay().removal()).to.deep.equal(FULFILL)
  })
  it('the HTLC itself is more than twice the amount -> failed', () => {
    const payload = { amtToForward: msat(1000n) }
    expect(asked().pay({ amount: 2000n, total: 1000n, payload }).removal()).to.deep.equal(FULFILL)
    const { pay } = asked()
    expect(readFailure(pay({ amount: 2001n, total: 1000n, payload }).removal())).to.deep.equal(details(2001n))
  })
  it('any amount -> what comes', () => {
    const desk = new Desk()
    const made = incomingOf(
      answer(desk.give({ kind: 'createInvoice', request: { ...TEXT, preimage: PREIMAGE } })),
    )
    const payment = { paymentSecret: made.paymentSecret ?? bytes32(0), total: 7n }
    desk.hand(CHANNEL, { kind: 'locked', htlc: htlcToUs({ id: 0n, amount: 7n, paymentHash: HASH, payment }) })
    expect(desk.incoming(HASH).status).to.deep.include({ kind: 'claimed', received: 7n })
  })
  it('less than the onion says -> final_incorrect_htlc_amount, an earlier expiry -> final_incorrect_cltv_expiry', () => {
    const { pay } = asked()
    expect(
      readFailure(pay({ amount: 999n, payload: { amtToForward: msat(1000n) } }).removal()),
    ).to.deep.equal({
      kind: 'final_incorrect_htlc_amount',
      incomingHtlcAmt: 999n,
    })
    const payload = { outgoingCltvValue: blockHeight(146) }
    expect(readFailure(pay({ cltvExpiry: 145, payload }).removal())).to.deep.equal({
      kind: 'final_incorrect_cltv_expiry',
      cltvExpiry: 145,
    })
  })
  it('an onion that is none -> malformed with its code; unreadable inside -> invalid_onion_payload', () => {
    const { pay, desk } = asked()
    const whole = htlcToUs({ id: 0n, amount: 1n, paymentHash: HASH }).onion ?? new Uint8Array(0)
    const cases: readonly (readonly [Uint8Array, number])[] = [
      [whole.with(0, 1), 0xc004],
      [whole.with(1, 9), 0xc006],
      [whole.with(700, (whole[700] ?? 0) ^ 1), 0xc005],
      [new Uint8Array(0), 0xc004],
      [new Uint8Array(1366), 0xc006],
    ]
    for (const [onion, failureCode] of cases)
      expect(pay({ onion }).removal()).to.deep.equal({
        kind: 'malformed',
        sha256OfOnion: sha256(onion),
        failureCode,
      })
    const amountless = { payload: { amtToForward: undefined } }
    expect(readFailure(pay(amountless).removal())).to.deep.equal({
      kind: 'invalid_onion_payload',
      type: 2n,
      offset: 0,
    })
    expect(desk.told).to.deep.equal([])
  })
  it('for another hop, with the hash of an invoice of ours -> unknown_next_peer, and no preimage (f 3)', () => {
    const { desk, paymentHash } = asked()
    const htlc = forwardHtlc(paymentHash)
    desk.hand(CHANNEL, { kind: 'locked', htlc })
    expect(readFailure(desk.removalOf(CHANNEL, 9n))).to.deep.equal({ kind: 'unknown_next_peer' })
    expect(desk.incoming(paymentHash).status.kind).to.equal('awaited')
  })
  it('within a blinded route -> invalid_onion_blinding, which tells nothing', () => {
    const { pay } = asked()
    const one = pay({ blindedPath: fromHex(US) })
    expect(one.removal()).to.deep.include({ kind: 'malformed', failureCode: 0xc018 })
  })
  it('what the channel says must fail -> failed, however right it is', () => {
    for (const [mustFail, kind] of [
      ['dustExposure', 'temporary_channel_failure'],
      ['feeSpike', 'temporary_channel_failure'],
      ['shuttingDown', 'permanent_channel_failure'],
      ['expiryTooFar', 'expiry_too_far'],
      ['unconfirmed', 'temporary_channel_failure'],
    ] as const) {
      const { desk, paymentHash, paymentSecret } = asked()
      const payment = { paymentSecret, total: 1000n }
      const htlc = htlcToUs({ id: 0n, amount: 1000n, paymentHash, payment })
      desk.hand(CHANNEL, { kind: 'locked', htlc, mustFail })
      expect(readFailure(desk.removalOf(CHANNEL, 0n))).to.have.property('kind', kind)
      expect(desk.told).to.deep.equal([])
    }
  })
  it('who shows attribution -> tells how long it held, fulfilled and failed', () => {
    const { desk, pay, paymentHash } = asked({ isHeld: true }, { attribution: true })
    const one = pay()
    desk.now += 1250
    desk.give({ kind: 'release', paymentHash })
    const removal = one.removal()
    if (removal?.kind !== 'fulfill' || removal.attribution === undefined) throw new Error('no attribution')
    const secret = sharedSecretWith(SESSION)(fromHex(US))
    expect(readFulfilAttribution([secret], attributionOf(removal.attribution))).to.deep.equal({
      holdTimes: [12],
    })
    const failed = pay().removal()
    expect(failed?.kind === 'fail' && failed.attribution !== undefined).to.equal(true)
  })
  it('whatever bytes the onion is made of -> an answer, and never a throw (f 36)', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1400 }), (onion) => {
        expect(asked().pay({ onion }).removal()?.kind).to.equal('malformed')
      }),
      { numRuns: 50 },
    )
  })
})

describe('payments: received in parts', () => {
  it('the last part -> all of them at once', () => {
    const { desk, pay } = asked()
    const parts = [
      pay({ amount: 400n, total: 1000n }),
      pay({ amount: 300n, total: 1000n }, OTHER),
      pay({ amount: 300n, total: 1000n }),
    ]
    for (const part of parts) expect(part.removal()).to.deep.equal(FULFILL)
    expect(desk.told).to.deep.equal(['received'])
    expect(desk.wanted.slice(-3).map(({ channelID }) => channelID)).to.deep.equal([CHANNEL, OTHER, CHANNEL])
  })
  it('as many parts as a payment may have -> kept; one more -> failed, and the others go on', () => {
    const { desk, paymentHash, pay } = asked({ amount: msat(10_000n) })
    pay({ amount: 1n, total: 10_000n })
    const payment = lookUp(desk.state.incoming, paymentHash)
    const [first] = payment?.parts ?? []
    if (payment === undefined || first === undefined) throw new Error('no part')
    const others = Array.from({ length: MAX_PARTS - 2 }, (_, i) => ({ ...first, htlcID: BigInt(1000 + i) }))
    const grown = { ...payment, parts: [first, ...others] }
    const state = { ...desk.state, incoming: put(desk.state.incoming, paymentHash, grown) }
    applyTo(desk.disk, paymentWrites(desk.state, state))
    desk.state = state
    const [last, more] = [pay({ amount: 1n, total: 10_000n }), pay({ amount: 1n, total: 10_000n })]
    expect(last.removal()).to.equal(undefined)
    expect(more.removal()).to.include({ kind: 'fail' })
    expect(lookUp(desk.state.incoming, paymentHash)?.parts).to.have.length(MAX_PARTS)
  })
  it('a part that a channel hands on once more -> counted once, and claimed once more', () => {
    const { desk, pay } = asked()
    const first = pay({ amount: 400n, total: 1000n })
    desk.hand(first.channelID, { kind: 'locked', htlc: first.htlc })
    expect(first.removal()).to.equal(undefined)
    expect(pay({ amount: 600n, total: 1000n }).removal()).to.deep.equal(FULFILL)
    const before = desk.wanted.length
    desk.hand(first.channelID, { kind: 'locked', htlc: first.htlc })
    expect(desk.wanted.slice(before).map(({ intent }) => intent)).to.deep.equal([
      { kind: 'remove', id: first.htlc.id, removal: FULFILL },
    ])
  })
  it('nothing is fulfilled before the last part', () => {
    const { pay } = asked()
    const first = pay({ amount: 999n, total: 1000n })
    expect(first.removal()).to.equal(undefined)
    pay({ amount: 1n, total: 1000n })
    expect(first.removal()).to.deep.equal(FULFILL)
  })
  it('others do not come in 60 s (f 32) -> all that came is failed with mpp_timeout, and the invoice can still be paid', () => {
    const { desk, pay } = asked()
    const first = pay({ amount: 400n, total: 1000n })
    desk.now += 30_000
    const second = pay({ amount: 400n, total: 1000n })
    desk.now += 29_999
    desk.give({ kind: 'tick' })
    expect(first.removal()).to.equal(undefined)
    desk.now += 1
    desk.give({ kind: 'tick' })
    for (const part of [first, second])
      expect(readFailure(part.removal())).to.deep.equal({ kind: 'mpp_timeout' })
    expect(pay().removal()).to.deep.equal(FULFILL)
    expect(desk.told).to.deep.equal(['received'])
  })
  it('parts that contradict each other -> all are failed', () => {
    const { pay } = asked()
    const first = pay({ amount: 400n, total: 1000n })
    const second = pay({ amount: 600n, total: 1001n })
    expect(readFailure(first.removal())).to.deep.equal(details(400n))
    expect(readFailure(second.removal())).to.deep.equal(details(600n))
    expect(pay().removal()).to.deep.equal(FULFILL)
  })
  it('a part with a wrong secret -> that one alone is failed', () => {
    const { pay } = asked()
    const first = pay({ amount: 400n, total: 1000n })
    const stranger = pay({ amount: 600n, payment: { paymentSecret: bytes32(1), total: 1000n } })
    expect(readFailure(stranger.removal())).to.deep.equal(details(600n))
    expect(first.removal()).to.equal(undefined)
    pay({ amount: 600n, total: 1000n })
    expect(first.removal()).to.deep.equal(FULFILL)
  })
  it('a part that is there near its expiry -> failed in time, 39 blocks before', () => {
    const { desk, pay } = asked()
    const first = pay({ amount: 400n, total: 1000n, cltvExpiry: 150 })
    desk.height = 110
    desk.give({ kind: 'block' })
    expect(first.removal()).to.equal(undefined)
    desk.height = 111
    desk.give({ kind: 'block' })
    expect(readFailure(first.removal())).to.deep.equal(details(400n, 111))
  })
  it('a part that means nothing -> failed', () => {
    const { pay } = asked()
    const payload = { amtToForward: msat(0n) }
    expect(readFailure(pay({ amount: 1n, total: 1000n, payload }).removal())).to.deep.equal(details(1n))
  })
  it('an invoice that expires with a part there takes the others', () => {
    const { desk, pay } = asked({ expiry: 10 })
    pay({ amount: 400n, total: 1000n })
    desk.now += 11_000
    desk.give({ kind: 'tick' })
    expect(pay({ amount: 600n, total: 1000n }).removal()).to.deep.equal(FULFILL)
  })
})

describe('payments: over a channel whose funding is gone (f 2)', () => {
  it('held there -> not released before the funding is back, and given back whenever wanted', () => {
    for (const then of ['release', 'cancel'] as const) {
      const { desk, paymentHash, pay } = asked({ isHeld: true })
      const first = pay({ amount: 400n, total: 1000n })
      const second = pay({ amount: 600n, total: 1000n }, OTHER)
      desk.unreliable.add(OTHER)
      expect(refusal(desk.give({ kind: 'release', paymentHash }))).to.equal('INVALID_TRANSITION')
      expect([first.removal(), second.removal()]).to.deep.equal([undefined, undefined])
      expect(desk.incoming(paymentHash).status.kind).to.equal('held')
      if (then === 'release') desk.unreliable.clear()
      desk.give({ kind: then, paymentHash })
      for (const { removal } of [first, second])
        expect(removal()).to.have.property('kind', then === 'release' ? 'fulfill' : 'fail')
    }
  })
  it('a part is there when the last one comes -> no preimage for any of them, and the invoice is awaited anew', () => {
    const { desk, pay } = asked()
    const first = pay({ amount: 400n, total: 1000n }, OTHER)
    desk.unreliable.add(OTHER)
    const second = pay({ amount: 600n, total: 1000n })
    for (const { removal } of [first, second])
      expect(readFailure(removal())).to.have.property('kind', 'temporary_channel_failure')
    expect(desk.told).to.deep.equal([])
    expect(pay().removal()).to.deep.equal(FULFILL)
  })
})

describe('payments: received on chain', () => {
  const resolved = (to: 'offerer' | 'receiver', id: bigint, channelID = CHANNEL) =>
    ({ kind: 'resolved', channelID, htlc: { offerer: 'remote', id }, to }) as const

  it('claimed there -> as if removed; taken back there because we were late -> lost', () => {
    const { desk, paymentHash, pay } = asked()
    pay({ amount: 400n, total: 1000n })
    pay({ amount: 600n, total: 1000n })
    desk.give(resolved('receiver', 0n))
    desk.give(resolved('receiver', 0n))
    desk.give(resolved('offerer', 1n))
    expect(desk.incoming(paymentHash).status).to.deep.include({ received: 1000n, lost: 600n })
    desk.give({ kind: 'acknowledge', of: 'incoming', key: paymentHash })
    expect(desk.state.incoming.size).to.equal(0)
  })
  it('a held part is back with the payer -> the others are failed, told', () => {
    const { desk, paymentHash, pay } = asked({ isHeld: true })
    pay({ amount: 400n, total: 1000n })
    const other = pay({ amount: 600n, total: 1000n }, OTHER)
    desk.give(resolved('offerer', 0n))
    expect(readFailure(other.removal())).to.deep.equal(details(600n))
    expect(desk.told).to.deep.equal(['held', 'cancelled'])
    expect(desk.incoming(paymentHash).status).to.deep.include({ kind: 'cancelled', reason: 'onChain' })
  })
  it('a held part is forgotten with a channel whose funding never was -> cancelled, told', () => {
    const { desk, paymentHash, pay } = asked({ isHeld: true })
    const { htlc } = pay()
    desk.hand(CHANNEL, { kind: 'forgotten', htlc })
    expect(desk.told).to.deep.equal(['held', 'cancelled'])
    expect(desk.incoming(paymentHash)).to.deep.include({ parts: [] })
  })
  it('an awaited part is back with the payer -> the invoice is awaited anew', () => {
    const { desk, paymentHash, pay } = asked()
    pay({ amount: 400n, total: 1000n })
    desk.give(resolved('offerer', 0n))
    expect(desk.incoming(paymentHash).parts).to.deep.equal([])
    expect(pay().removal()).to.deep.equal(FULFILL)
  })
  it('what was failed, and what is nobody’s -> nothing', () => {
    const { desk, pay } = asked()
    pay({ paymentHash: hex32(5) })
    const before = desk.state
    desk.give(resolved('offerer', 0n))
    desk.give(resolved('receiver', 77n))
    expect(desk.state).to.equal(before)
  })
})
