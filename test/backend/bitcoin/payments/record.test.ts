// Payments on disk: what was written comes back, also what an older release wrote.
import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import {
  NO_PAYMENTS,
  PAYMENT_ROWS,
  type PaymentFailure,
  pastRemoval,
  pastWrites,
  paymentWrites,
  restoredPayments,
  writableState,
} from '../../../../backend/bitcoin/payments/index.js'
import { MAX_PARTS } from '../../../../backend/bitcoin/payments/policy.js'
import type {
  IncomingPayment,
  OutgoingPayment,
  PaymentsState,
} from '../../../../backend/bitcoin/payments/state.js'
import { put } from '../../../../backend/bitcoin/payments/table.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { blockDelta, blockHeight, msat } from '../../../../backend/bitcoin/units.js'
import { fromHex, type Hex, toHex } from '../../../../channel/bytes.js'
import { openEnvelope, sealEnvelope } from '../../../../persistence/index.js'
import { applyTo, bytes32, hex32, PEER, START } from './desk.js'

const FAILURES: readonly PaymentFailure[] = [
  {
    kind: 'rejected',
    hop: 0,
    node: PEER,
    code: 0x400f,
    failure: {
      kind: 'incorrect_or_unknown_payment_details',
      htlcMsat: msat(5n),
      height: blockHeight(7),
    },
    holdTimes: [3],
  },
  {
    kind: 'rejected',
    hop: 0,
    node: PEER,
    code: 0x1234,
    failure: { kind: 'unknown', code: 0x1234, data: Uint8Array.of(1, 2) },
    holdTimes: [],
  },
  { kind: 'malformed', code: 0xc005 },
  { kind: 'unreadable' },
  { kind: 'noChannel', rule: 'no room' },
  { kind: 'timedOutOnChain' },
  { kind: 'timedOut' },
  { kind: 'abandoned' },
]
const PART = {
  number: 1,
  channelID: hex32(9),
  amount: msat(600n),
  cltvExpiry: blockHeight(145),
  sharedSecrets: [bytes32(8)],
}
const preimageOf = (n: number) => bytes32(0x900 + n)

function outgoing(n: number, more: Partial<OutgoingPayment>): OutgoingPayment {
  return {
    id: hex32(n),
    request: { kind: 'invoice', invoice: 'lnbcrt1', amount: msat(1000n), timeout: 5000 },
    peer: PEER,
    paymentHash: toHex(sha256(preimageOf(n))),
    amount: msat(1000n),
    recipient: {
      finalCltvExpiryDelta: blockDelta(42),
      takesParts: true,
      paymentSecret: bytes32(1),
      paymentMetadata: Uint8Array.of(1),
    },
    since: START,
    parts: [],
    tried: 3,
    avoided: [hex32(4)],
    status: { kind: 'pending', abandoned: { kind: 'timedOut' } },
    isAcknowledged: false,
    ...more,
  }
}

function incoming(n: number, more: Partial<IncomingPayment>): IncomingPayment {
  return {
    paymentHash: toHex(sha256(preimageOf(n))),
    isHeld: true,
    since: START,
    parts: [],
    status: { kind: 'awaited' },
    isAcknowledged: false,
    ...more,
  }
}

/** One of each kind, with something in every field. */
function everything(): PaymentsState {
  const ours = [
    outgoing(1, {
      parts: [PART, { ...PART, number: 2, htlcID: 77n, amount: msat(400n) }],
      status: { kind: 'pending' },
    }),
    outgoing(2, {
      request: { kind: 'spontaneous', peer: PEER, channel: hex32(9), amount: msat(1000n) },
      recipient: { finalCltvExpiryDelta: blockDelta(42), takesParts: false, keysendPreimage: preimageOf(2) },
      status: {
        kind: 'succeeded',
        preimage: preimageOf(2),
        sent: msat(1000n),
        fee: msat(0n),
        at: START + 1,
        holdTimes: [1, 2],
      },
    }),
    outgoing(3, {
      request: {
        kind: 'hash',
        peer: PEER,
        channel: hex32(9),
        paymentHash: toHex(sha256(preimageOf(3))),
        amount: msat(1000n),
        paymentSecret: hex32(1),
        paymentMetadata: '0x01',
        finalCltvExpiryDelta: blockDelta(18),
      },
      parts: [PART],
    }),
    ...FAILURES.map((failure, i) => outgoing(4 + i, { status: { kind: 'failed', failure, at: START + 2 } })),
  ]
  const invoice = {
    amount: msat(1000n),
    expiresAt: START + 1000,
    minFinalCltvExpiryDelta: blockDelta(42),
    text: 'lnbcrt1',
  }
  const part = {
    channelID: hex32(9),
    htlcID: 5n,
    amount: msat(1001n),
    intended: msat(1000n),
    cltvExpiry: blockHeight(145),
    sharedSecret: bytes32(8),
    since: START + 3,
  }
  const theirs = [
    incoming(21, { invoice, paymentSecret: bytes32(2), preimage: preimageOf(21), isHeld: false }),
    incoming(22, { parts: [part], total: msat(1000n), status: { kind: 'held', deadline: blockHeight(106) } }),
    incoming(23, {
      preimage: preimageOf(23),
      status: { kind: 'claimed', received: msat(1001n), lost: msat(1n), at: START + 4 },
    }),
    ...(['command', 'expired', 'deadline', 'onChain'] as const).map((reason, i) =>
      incoming(24 + i, {
        invoice,
        status: { kind: 'cancelled', reason, at: START + 5 },
        isAcknowledged: true,
      }),
    ),
  ]
  let state: PaymentsState = NO_PAYMENTS
  for (const one of ours)
    state = {
      ...state,
      outgoing: put(state.outgoing, one.id, one),
      paying: put(state.paying, one.paymentHash, one.id),
    }
  for (const one of theirs) state = { ...state, incoming: put(state.incoming, one.paymentHash, one) }
  return state
}

function rowsOf(state: PaymentsState): Map<string, Uint8Array> {
  const disk = new Map<string, Uint8Array>()
  applyTo(disk, paymentWrites(NO_PAYMENTS, state))
  return disk
}

const RECORDED = new URL('../../../../../test/backend/bitcoin/payments/rows-1.json', import.meta.url)

describe('payments: records', () => {
  it('every kind comes back as it was written', () => {
    const state = everything()
    expect(readFrom(rowsOf(state))).to.deep.equal([state, []])
  })
  it('rows of version 1 decode for ever, to the same', () => {
    const rows = JSON.parse(readFileSync(RECORDED, 'utf8')) as Readonly<Record<string, Hex>>
    const read = Object.entries(rows).map(([key, value]) => [key, fromHex(value)] as const)
    expect(readFrom(read)).to.deep.equal([everything(), []])
    // As long as the version is 1, the same is written.
    expect(rowsOf(everything())).to.deep.equal(new Map(read))
  })
  it('what has not changed is not written again', () => {
    const state = everything()
    expect(paymentWrites(state, { ...state })).to.deep.equal([])
    const one = incoming(21, {})
    const changed = { ...state, incoming: put(state.incoming, one.paymentHash, one) }
    expect(paymentWrites(state, changed).map(({ key }) => key)).to.deep.equal([
      `${PAYMENT_ROWS}in/${one.paymentHash}`,
    ])
  })
  it('a damaged, foreign or misplaced row -> told by its key with INVALID_RECORD, and all others are read', () => {
    const rows = rowsOf(everything())
    const [[key, value] = ['', new Uint8Array(0)], [other] = ['']] = [...rows]
    const cases: readonly (readonly [string, Uint8Array])[] = [
      [key, value.with(20, (value[20] ?? 0) ^ 1)],
      [other, value],
      [`${PAYMENT_ROWS}up/${hex32(1)}`, value],
      [`${PAYMENT_ROWS}out/0x01`, value],
    ]
    for (const row of cases) {
      const [state, broken] = readFrom([...new Map([...rows, row])])
      expect(broken, row[0]).to.deep.equal([`INVALID_RECORD ${row[0]}`])
      const isReplaced = rows.has(row[0])
      expect(state.outgoing.size + state.incoming.size).to.equal(rows.size - (isReplaced ? 1 : 0))
      expect(state.paying.size).to.equal(state.outgoing.size)
    }
  })
  it('a row of a newer release -> thrown: nothing is wrong with it', () => {
    const [[key, value] = ['', new Uint8Array(0)]] = [...rowsOf(everything())]
    const newer = sealEnvelope(key, { ...openEnvelope(key, value), version: 99 })
    expect(() => readFrom([[key, newer]])).to.throw('newer')
  })
  it('two payments of one hash -> one of them is told', () => {
    const { paymentHash } = outgoing(1, {})
    const twins = rowsOf(everything())
    const twin = outgoing(99, { paymentHash })
    applyTo(
      twins,
      paymentWrites(NO_PAYMENTS, { ...NO_PAYMENTS, outgoing: put(NO_PAYMENTS.outgoing, twin.id, twin) }),
    )
    const [state, broken] = readFrom(twins)
    expect(broken).to.have.length(1)
    expect(state.outgoing.size).to.equal(everything().outgoing.size)
  })
  it('as many parts as there may be -> written and read, a quarter of what there is room for; more than a record holds -> as it was', () => {
    const part = {
      channelID: hex32(9),
      htlcID: 2n ** 64n - 1n,
      amount: msat(2n ** 50n),
      intended: msat(2n ** 50n),
      cltvExpiry: blockHeight(2 ** 31),
      sharedSecret: bytes32(8),
      since: START,
    }
    const partsOf = (count: number) => Array.from({ length: count }, () => part)
    const withParts = (state: PaymentsState, n: number, count: number): PaymentsState => {
      const one = incoming(n, { parts: partsOf(count) })
      return { ...state, incoming: put(state.incoming, one.paymentHash, one) }
    }
    const largest = withParts(NO_PAYMENTS, 1, MAX_PARTS)
    expect(readFrom(rowsOf(largest))).to.deep.equal([largest, []])
    expect([...rowsOf(largest).values()][0]?.length).to.be.within(50_000, 256 * 1024)
    const broken: unknown[] = []
    const state = writableState(largest, withParts(withParts(largest, 1, 5000), 2, 1), (cause) => {
      broken.push(cause)
    })
    expect(broken).to.have.length(1)
    expect(state).to.deep.equal(withParts(largest, 2, 1))
    const unpaid = writableState(NO_PAYMENTS, withParts(NO_PAYMENTS, 1, 5000), () => undefined)
    expect(unpaid).to.deep.equal(NO_PAYMENTS)
  })
  it('what is over is forgotten when our user wants it: nothing of it is left', () => {
    for (const payment of [
      outgoing(2, {
        status: {
          kind: 'succeeded',
          preimage: preimageOf(2),
          sent: msat(1000n),
          fee: msat(0n),
          at: START,
          holdTimes: [],
        },
      }),
      outgoing(4, { status: { kind: 'failed', failure: { kind: 'unreadable' }, at: START } }),
      incoming(23, {}),
    ]) {
      const disk = new Map<string, Uint8Array>()
      applyTo(disk, pastWrites(payment))
      expect(disk.size).to.be.greaterThan(0)
      applyTo(disk, pastRemoval(payment))
      expect(disk.size).to.equal(0)
    }
  })
})

/** What rows say, and which of them can't be read. */
function readFrom(
  rows: Iterable<readonly [string, Uint8Array]>,
): readonly [state: PaymentsState, broken: readonly string[]] {
  const broken: string[] = []
  const state = restoredPayments(rows, ({ code }, key) => broken.push(`${code} ${key}`))
  return [state, broken]
}
