// Payments of ours: begun once, and what a payee's answer makes of them.
import { expect } from 'chai'
import { createInvoice, encodeInvoice } from '../../../../backend/bitcoin/invoice/index.js'
import {
  attribute,
  attributionRecord,
  createFailure,
  encodeFailure,
} from '../../../../backend/bitcoin/onion/index.js'
import {
  type PastPayments,
  type PaymentsEffect,
  type PayRequest,
  pastPayments,
} from '../../../../backend/bitcoin/payments/index.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { blockDelta, msat } from '../../../../backend/bitcoin/units.js'
import { type Hex, toHex } from '../../../../channel/bytes.js'
import { PerkunasError } from '../../../../channel/errors.js'
import { secp256k1 } from '../../../../wallet/secp256k1.js'
import { answer, bytes32, Desk, errorOf, hex32, PEER, refusal, SECRETS, START, US } from './desk.js'
import {
  add,
  type ByHash,
  byHash,
  DETAILS,
  failed,
  HASH,
  ID,
  invoice,
  offered,
  PREIMAGE,
  payloadOf,
  start,
} from './outgoing.js'

describe('payments: begun', () => {
  it('an invoice -> one HTLC with what the payee asks for', () => {
    const { desk, effects } = start({
      kind: 'invoice',
      invoice: invoice({ minFinalCltvExpiryDelta: blockDelta(42), metadata: bytes32(7) }),
    })
    expect(effects.map(({ kind }) => kind)).to.deep.equal(['want', 'answer'])
    const wish = add(desk)
    expect(wish.amount).to.equal(1000n)
    expect(wish.cltvExpiry).to.equal(100 + 42 + 3)
    expect(toHex(wish.paymentHash)).to.equal(HASH)
    expect(payloadOf(wish).payload).to.deep.include({
      amtToForward: 1000n,
      outgoingCltvValue: 145,
      paymentData: { paymentSecret: bytes32(0x5ec), totalMsat: 1000n },
      paymentMetadata: bytes32(7),
    })
    expect(desk.outgoing(ID).status).to.deep.equal({ kind: 'pending' })
  })
  it('the wish is in the record of the same step', () => {
    const { desk } = start()
    expect(desk.outgoing(ID).parts.map(({ number, channelID }) => [number, channelID])).to.deep.equal([
      [0, desk.channels[0]?.channelID],
    ])
    expect(add(desk).reference).to.equal(`pay/${ID}/0`)
  })
  it('an invoice without an amount -> the chosen one', () => {
    const text = encodeInvoice(
      createInvoice(
        {
          currency: 'bcrt',
          timestamp: START / 1000,
          paymentHash: sha256(PREIMAGE),
          paymentSecret: bytes32(1),
          description: { kind: 'hash', hash: bytes32(2) },
        },
        (digest) => secp256k1.sign(digest, SECRETS.peer),
      ),
    )
    expect(refusal(start({ kind: 'invoice', invoice: text }).effects)).to.equal('PAYMENT_REFUSED')
    const { desk } = start({ kind: 'invoice', invoice: text, amount: msat(77n) })
    expect(add(desk).amount).to.equal(77n)
  })
  it('an amount that is a number -> INVALID_ARGUMENT that says so, and not that the invoice asks for more', () => {
    const loose = Object.assign({ kind: 'invoice' as const, invoice: invoice() }, { amount: 5 })
    const { effects } = start(JSON.parse(JSON.stringify(loose)))
    const [refused] = effects.flatMap((effect) => (effect.kind === 'refuse' ? [effect.error] : []))
    expect(refused).to.include({ code: 'INVALID_ARGUMENT', message: 'amount: bigint expected, got number' })
  })
  it('an invoice with an amount -> from it to twice as much', () => {
    for (const [amount, expected] of [
      [999n, undefined],
      [1000n, 1000n],
      [2000n, 2000n],
      [2001n, undefined],
    ] as const) {
      const { desk, effects } = start({ kind: 'invoice', invoice: invoice(), amount: msat(amount) })
      expect(desk.adds()[0]?.amount, `${amount}`).to.equal(expected)
      expect(refusal(effects), `${amount}`).to.equal(expected === undefined ? 'PAYMENT_REFUSED' : undefined)
    }
  })
  it('spontaneous -> the preimage is in the onion, and in the record before anybody hears of it', () => {
    const { desk } = start({ kind: 'spontaneous', peer: PEER, amount: msat(5n) })
    const { keysendPreimage, paymentData } = payloadOf(add(desk)).payload
    expect(paymentData).to.equal(undefined)
    expect(keysendPreimage).to.deep.equal(desk.outgoing(ID).recipient.keysendPreimage)
    expect(keysendPreimage && toHex(sha256(keysendPreimage))).to.equal(desk.outgoing(ID).paymentHash)
    expect(add(desk).cltvExpiry).to.equal(145)
  })
  it('of no sense, expired (f 53), for another chain, for ourselves, too long or too far (f 26) -> refused, nothing wanted', () => {
    const cases: readonly (readonly [string, PayRequest, string])[] = [
      ['no invoice', { kind: 'invoice', invoice: 'lnbcrt1' }, 'INVALID_MESSAGE'],
      ['not ASCII (f 46)', { kind: 'invoice', invoice: `${invoice()}\u2028` }, 'INVALID_MESSAGE'],
      [
        'expired',
        { kind: 'invoice', invoice: invoice({ timestamp: START / 1000 - 3600 }) },
        'PAYMENT_REFUSED',
      ],
      ['another chain', { kind: 'invoice', invoice: invoice({ currency: 'bc' }) }, 'PAYMENT_REFUSED'],
      ['ourselves', { kind: 'invoice', invoice: invoice({}, SECRETS.us) }, 'PAYMENT_REFUSED'],
      [
        'too far',
        { kind: 'invoice', invoice: invoice({ minFinalCltvExpiryDelta: blockDelta(2014) }) },
        'PAYMENT_REFUSED',
      ],
      [
        'metadata too long',
        byHash({ paymentMetadata: toHex(new Uint8Array(1280)), paymentSecret: hex32(1) }),
        'TOO_LARGE',
      ],
      ['no amount', byHash({ amount: msat(0n) }), 'INVALID_ARGUMENT'],
      ['no peer', byHash({ peer: '0x02' }), 'INVALID_ARGUMENT'],
      ['us', byHash({ peer: US }), 'PAYMENT_REFUSED'],
      ['no hash', byHash({ paymentHash: '0x' }), 'INVALID_ARGUMENT'],
      ['no time', byHash({ timeout: Number.NaN }), 'INVALID_ARGUMENT'],
      ['no channel', byHash({ channel: '0x05' }), 'INVALID_ARGUMENT'],
      ['something else', { ...byHash(), ...{ note: 'tea' } }, 'INVALID_ARGUMENT'],
      ['of no kind', JSON.parse('{"kind":"toString"}'), 'INVALID_ARGUMENT'],
      ['nothing', JSON.parse('null'), 'INVALID_ARGUMENT'],
      ['no object', JSON.parse('5'), 'INVALID_ARGUMENT'],
      ['without a kind', JSON.parse('{}'), 'INVALID_ARGUMENT'],
      ['no text', JSON.parse('{"kind":"invoice","invoice":5}'), 'INVALID_ARGUMENT'],
      ['a number', JSON.parse(`{"kind":"spontaneous","peer":"${PEER}","amount":5}`), 'INVALID_ARGUMENT'],
    ]
    for (const [what, request, code] of cases) {
      const { desk, effects } = start(request)
      expect(refusal(effects), what).to.equal(code)
      expect(effects, what).to.have.length(1)
      expect(desk.state.outgoing.size, what).to.equal(0)
    }
  })
  it('2013 blocks are as far as it may be', () => {
    const { desk } = start({
      kind: 'invoice',
      invoice: invoice({ minFinalCltvExpiryDelta: blockDelta(2013) }),
    })
    expect(add(desk).cltvExpiry).to.equal(100 + 2016)
  })
  it('no channel, or none that is large enough -> refused, and the ID is free', () => {
    expect(refusal(start(byHash(), []).effects)).to.equal('PAYMENT_REFUSED')
    const { desk, effects } = start(byHash(), [999n, 998n])
    expect(refusal(effects)).to.equal('PAYMENT_REFUSED')
    desk.channel(2, 1000n)
    expect(answer(desk.give({ kind: 'pay', id: ID, request: byHash() }))).to.have.property('id', ID)
  })
  it('more than may be under way -> refused', () => {
    const desk = new Desk({ policy: { maxOpen: { outgoing: 1, incoming: 1 } } })
    desk.channel(0)
    desk.give({ kind: 'pay', id: ID, request: byHash() })
    const request = byHash({ paymentHash: hex32(2) })
    expect(refusal(desk.give({ kind: 'pay', id: hex32(2), request }))).to.equal('PAYMENT_REFUSED')
  })
  it('no error tells a secret (f 49)', () => {
    const secret = '5e5e'.repeat(16)
    for (const request of [
      byHash({ paymentSecret: `0x${secret.slice(2)}` }),
      byHash({ paymentSecret: `0x${secret}`, paymentMetadata: `0x${secret.repeat(40)}` }),
      byHash({ paymentSecret: `0x${secret}`, amount: msat(0n) }),
    ]) {
      const error = errorOf(start(request).effects)
      expect(error).to.be.instanceOf(PerkunasError)
      expect(`${error?.message} ${JSON.stringify(error?.facts)}`).not.to.contain('5e5e')
    }
  })
})

describe('payments: once', () => {
  it('the same ID and content -> how it stands, and nothing else, in every state', () => {
    const { desk, first } = offered()
    const again = () => {
      const effects = desk.give({ kind: 'pay', id: ID, request: byHash({ paymentSecret: hex32(0x5ec) }) })
      expect(effects).to.have.length(1)
      return answer(effects).status.kind
    }
    expect(again()).to.equal('pending')
    desk.hand(first.channelID, { kind: 'fulfilled', htlc: first.htlc, preimage: PREIMAGE })
    expect(again()).to.equal('succeeded')
    desk.state = desk.restored()
    expect(again()).to.equal('succeeded')
  })
  it('the same ID with other content, in any field -> PAYMENT_EXISTS', () => {
    const base = byHash({ paymentSecret: hex32(0x5ec), paymentMetadata: '0x01', timeout: 5000 })
    const changes: readonly Partial<ByHash>[] = [
      { amount: msat(1001n) },
      { peer: US },
      { paymentHash: hex32(5) },
      { paymentSecret: hex32(5) },
      { paymentMetadata: '0x02' },
      { timeout: 5001 },
      { finalCltvExpiryDelta: blockDelta(19) },
    ]
    const { desk } = start(base)
    for (const change of changes)
      expect(refusal(desk.give({ kind: 'pay', id: ID, request: { ...base, ...change } }))).to.equal(
        'PAYMENT_EXISTS',
      )
    const { timeout: _, ...without } = { ...base }
    expect(refusal(desk.give({ kind: 'pay', id: ID, request: without }))).to.equal('PAYMENT_EXISTS')
    expect(
      refusal(desk.give({ kind: 'pay', id: ID, request: { kind: 'invoice', invoice: invoice() } })),
    ).to.equal('PAYMENT_EXISTS')
    expect(desk.adds()).to.have.length(1)
  })
  it('another ID for a payment hash that is under way (f 27) -> PAYMENT_EXISTS', () => {
    const { desk, first } = offered()
    const twice = () => refusal(desk.give({ kind: 'pay', id: hex32(2), request: byHash() }))
    expect(twice()).to.equal('PAYMENT_EXISTS')
    desk.hand(first.channelID, { kind: 'fulfilled', htlc: first.htlc, preimage: PREIMAGE })
    expect(twice()).to.equal('PAYMENT_EXISTS')
  })
  it('when it is over and known, the store still tells: the same ID is answered, the same invoice is not paid twice (f 27)', async () => {
    const { desk, first } = offered({ kind: 'invoice', invoice: invoice() })
    desk.hand(first.channelID, { kind: 'fulfilled', htlc: first.htlc, preimage: PREIMAGE })
    const effects = desk.give({ kind: 'acknowledge', of: 'outgoing', key: ID })
    expect(effects.map(({ kind }) => kind)).to.deep.equal(['archive'])
    expect(desk.state.outgoing.size + desk.state.paying.size).to.equal(0)
    const store = { get: async (key: string) => desk.disk.get(key) }
    const pay = async (id: Hex): Promise<readonly PaymentsEffect[]> => {
      const request: PayRequest = { kind: 'invoice', invoice: invoice() }
      const past: PastPayments = await pastPayments(store, { id, request }, desk.now)
      return desk.give({ kind: 'pay', id, request, past })
    }
    expect(answer(await pay(ID)).status.kind).to.equal('succeeded')
    expect(refusal(await pay(hex32(2)))).to.equal('PAYMENT_EXISTS')
    expect(desk.adds()).to.have.length(1)
  })
  it('over while somebody asks the store -> not paid again: the answer of the store is told apart from a newer one', () => {
    for (const isFound of [false, true]) {
      const { desk, first } = offered()
      // Asked now, when the store knows nothing yet.
      const past = { at: desk.now }
      desk.hand(first.channelID, { kind: 'fulfilled', htlc: first.htlc, preimage: PREIMAGE })
      const payment = desk.outgoing(ID)
      desk.give({ kind: 'acknowledge', of: 'outgoing', key: ID })
      const request = byHash({ paymentSecret: hex32(0x5ec) })
      desk.now += 59_999
      desk.give({ kind: 'tick' })
      if (isFound) {
        const found = { at: desk.now, payment }
        expect(answer(desk.give({ kind: 'pay', id: ID, request, past: found })).status.kind).to.equal(
          'succeeded',
        )
        continue
      }
      expect(refusal(desk.give({ kind: 'pay', id: ID, request, past }))).to.equal('PAYMENT_EXISTS')
      expect(refusal(desk.give({ kind: 'pay', id: hex32(2), request, past }))).to.equal('PAYMENT_EXISTS')
      desk.now += 1
      expect(refusal(desk.give({ kind: 'pay', id: ID, request, past }))).to.equal('PAYMENT_REFUSED')
      desk.now += 2 * 60_000
      desk.give({ kind: 'tick' })
      desk.now += 60_000
      desk.give({ kind: 'tick' })
      expect(desk.state.recent.young.size + desk.state.recent.old.size).to.equal(0)
      expect(desk.adds()).to.have.length(1)
    }
  })
  it('failed while somebody asks the store -> the same ID is not paid again', () => {
    const { desk, first } = offered()
    const past = { at: desk.now }
    desk.hand(first.channelID, { kind: 'failed', htlc: first.htlc, removal: failed(add(desk), DETAILS) })
    desk.give({ kind: 'acknowledge', of: 'outgoing', key: ID })
    const request = byHash({ paymentSecret: hex32(0x5ec) })
    expect(refusal(desk.give({ kind: 'pay', id: ID, request, past }))).to.equal('PAYMENT_EXISTS')
    expect(desk.adds()).to.have.length(1)
  })
  it('a payment hash that failed may be paid by another ID once the end is known', async () => {
    const { desk, first } = offered()
    desk.hand(first.channelID, { kind: 'failed', htlc: first.htlc, removal: failed(add(desk), DETAILS) })
    desk.give({ kind: 'acknowledge', of: 'outgoing', key: ID })
    const request = byHash()
    const store = { get: async (key: string) => desk.disk.get(key) }
    const past = await pastPayments(store, { id: hex32(2), request }, desk.now)
    expect(past).to.deep.equal({ at: START })
    expect(answer(desk.give({ kind: 'pay', id: hex32(2), request, past }))).to.have.property('id', hex32(2))
  })
  it('a payment hash of an invoice of ours -> refused (f 3)', () => {
    const desk = new Desk()
    desk.channel(0)
    const made = answer(
      desk.give({
        kind: 'createInvoice',
        request: { paymentHash: HASH, description: { kind: 'text', text: '' } },
      }),
    )
    expect(made.paymentHash).to.equal(HASH)
    expect(refusal(desk.give({ kind: 'pay', id: ID, request: byHash() }))).to.equal('PAYMENT_REFUSED')
  })
})

describe('payments: fulfilled', () => {
  it('a preimage -> sent, once, with the fee', () => {
    const { desk, first } = offered()
    const handoff = { kind: 'fulfilled', htlc: first.htlc, preimage: PREIMAGE } as const
    desk.hand(first.channelID, handoff)
    desk.hand(first.channelID, handoff)
    expect(desk.told).to.deep.equal(['sent'])
    expect(desk.outgoing(ID).status).to.deep.equal({
      kind: 'succeeded',
      preimage: PREIMAGE,
      sent: 1000n,
      fee: 0n,
      at: START,
      holdTimes: [],
    })
  })
  it('attribution data of the fulfilment -> the hold time, if it is authentic', () => {
    for (const [secret, expected] of [
      [undefined, [12]],
      [bytes32(3), []],
    ] as const) {
      const { desk, first } = offered()
      const { sharedSecret } = payloadOf(add(desk))
      const attribution = attributionRecord(
        attribute({ sharedSecret: secret ?? sharedSecret, holdTime: 12, message: new Uint8Array(0) }),
      )
      desk.hand(first.channelID, { kind: 'fulfilled', htlc: first.htlc, preimage: PREIMAGE, attribution })
      expect(desk.outgoing(ID).status).to.deep.include({ kind: 'succeeded', holdTimes: expected })
    }
  })
  it('the end is told again after each restart, until it is acknowledged', () => {
    const { desk, first } = offered()
    desk.hand(first.channelID, { kind: 'fulfilled', htlc: first.htlc, preimage: PREIMAGE })
    desk.state = desk.restored()
    desk.give({ kind: 'resumed' })
    desk.give({ kind: 'acknowledge', of: 'outgoing', key: ID })
    desk.state = desk.restored()
    desk.give({ kind: 'resumed' })
    desk.give({ kind: 'acknowledge', of: 'outgoing', key: ID })
    expect(desk.told).to.deep.equal(['sent', 'sent'])
  })
  it('a payment that is under way has no end to be acknowledged', () => {
    const { desk } = offered()
    expect(refusal(desk.give({ kind: 'acknowledge', of: 'outgoing', key: ID }))).to.equal(
      'INVALID_TRANSITION',
    )
  })
})

describe('payments: failed', () => {
  it('the payee says no for good -> failed, with who said what', () => {
    const { desk, first } = offered(undefined, [5000n, 5000n])
    desk.hand(first.channelID, { kind: 'failed', htlc: first.htlc, removal: failed(add(desk), DETAILS) })
    expect(desk.told).to.deep.equal(['failed'])
    expect(desk.outgoing(ID).status).to.deep.equal({
      kind: 'failed',
      at: START,
      failure: {
        kind: 'rejected',
        hop: 0,
        node: PEER,
        code: 0x400f,
        failure: DETAILS,
        holdTimes: [],
      },
    })
    expect(desk.adds()).to.have.length(1)
  })
  it('a failure with attribution -> the hold time', () => {
    const { desk, first } = offered()
    const { packet: reason, attribution } = createFailure(
      { ...payloadOf(add(desk)), holdTime: 7 },
      encodeFailure(DETAILS),
    )
    const record = attribution && attributionRecord(attribution)
    desk.hand(first.channelID, {
      kind: 'failed',
      htlc: first.htlc,
      removal: { kind: 'fail', reason, ...(record && { attribution: record }) },
    })
    const { status } = desk.outgoing(ID)
    expect(status.kind === 'failed' && status.failure).to.deep.include({ kind: 'rejected', holdTimes: [7] })
  })
  it('the payee may take it later, or by another channel, or nobody can read why -> once by each other channel, then failed', () => {
    const kinds = ['temporary_node_failure', 'permanent_channel_failure'] as const
    for (const again of [...kinds.map((kind) => ({ kind })), undefined]) {
      const { desk } = start(byHash(), [5000n, 6000n, 7000n])
      for (let n = 0; n < 3; n++) {
        const wish = add(desk, n)
        expect(wish.channelID).to.equal(desk.channels[n]?.channelID)
        const htlc = desk.added(wish, 7n)
        const removal =
          again === undefined
            ? { kind: 'fail' as const, reason: new Uint8Array(300).fill(9) }
            : failed(wish, again)
        expect(desk.told).to.deep.equal([])
        desk.hand(wish.channelID, { kind: 'failed', htlc, removal })
      }
      expect(desk.adds()).to.have.length(3)
      expect(desk.told).to.deep.equal(['failed'])
      const { status } = desk.outgoing(ID)
      expect(status.kind === 'failed' && status.failure.kind).to.equal(again ? 'rejected' : 'unreadable')
    }
  })
  it('the peer can not read the onion -> failed with its code', () => {
    const { desk, first } = offered(byHash(), [5000n, 5000n])
    const removal = { kind: 'malformed', sha256OfOnion: bytes32(1), failureCode: 0xc005 } as const
    desk.hand(first.channelID, { kind: 'failed', htlc: first.htlc, removal })
    const { status } = desk.outgoing(ID)
    expect(status.kind === 'failed' && status.failure).to.deep.equal({ kind: 'malformed', code: 0xc005 })
  })
  it('the channel does not take it -> the next one, then failed with its rule', () => {
    const { desk } = start(byHash(), [5000n, 6000n])
    for (let n = 0; n < 2; n++) {
      const { channelID, reference } = add(desk, n)
      const rule = `no room ${n}`
      const error = new PerkunasError('INVALID_TRANSITION', rule, { rule })
      desk.hand(channelID, { kind: 'refused', reference, error })
    }
    const { status } = desk.outgoing(ID)
    expect(status.kind === 'failed' && status.failure).to.deep.equal({ kind: 'noChannel', rule: 'no room 1' })
  })
  it('a failure of any length and content, also a fulfilment’s attribution, is read without a throw (f 43)', () => {
    for (const length of [0, 1, 31, 32, 36, 292, 60_000]) {
      const { desk, first } = offered(byHash())
      const removal = { kind: 'fail', reason: new Uint8Array(length).fill(0xff) } as const
      desk.hand(first.channelID, { kind: 'failed', htlc: first.htlc, removal })
      const { status } = desk.outgoing(ID)
      expect(status.kind === 'failed' && status.failure.kind).to.equal('unreadable')
    }
  })
  it('the channel is forgotten, since its funding never was -> what it had is back, unless the preimage is known', () => {
    const { desk, first } = offered(byHash())
    desk.hand(first.channelID, { kind: 'forgotten', htlc: { ...first.htlc, preimage: PREIMAGE } })
    expect(desk.outgoing(ID).status.kind).to.equal('pending')
    desk.hand(first.channelID, { kind: 'forgotten', htlc: first.htlc })
    const { status } = desk.outgoing(ID)
    expect(status.kind === 'failed' && status.failure.kind).to.equal('timedOutOnChain')
  })
  it('handoffs of others, and of parts that are over -> nothing', () => {
    const { desk, first } = offered()
    const before = desk.state
    for (const reference of [undefined, '', 'forward/1', `pay/${ID}/1`, `pay/${hex32(9)}/0`, `pay/${ID}/x`]) {
      const { reference: _, ...htlc } = first.htlc
      const named = { ...htlc, ...(reference !== undefined && { reference }) }
      desk.hand(first.channelID, { kind: 'fulfilled', htlc: named, preimage: PREIMAGE })
      desk.hand(first.channelID, { kind: 'failed', htlc: named, removal: failed(add(desk), DETAILS) })
    }
    desk.hand(first.channelID, { kind: 'removed', htlc: first.htlc })
    desk.hand(first.channelID, { kind: 'locked', htlc: first.htlc })
    expect(desk.state).to.equal(before)
  })
})
