// What Client.proposeChannel asks for, as a Lightning channel (BOLT 2, "Channel Establishment v1").
import { inspect } from 'node:util'
import { expect } from 'chai'
import { NETWORKS } from '../../../../backend/bitcoin/chain/index.js'
import { CHANNEL_POLICY } from '../../../../backend/bitcoin/channel/index.js'
import {
  BITCOIN,
  bitcoinAsset,
  CHALLENGE_DURATION,
  challengeDurationOn,
  openingOf,
  proposalOf,
} from '../../../../backend/bitcoin/protocol/proposal.js'
import { type ErrorCode, type Hex, PerkunasError } from '../../../../channel/index.js'
import type { ProposalOptions } from '../../../../client/index.js'

const SELF: Hex = `0x02${'01'.padStart(64, '0')}`
const PEER: Hex = `0x02${'02'.padStart(64, '0')}`
const asset = bitcoinAsset(`0x${'06'.repeat(32)}`)
const BOUNDS = { self: SELF, asset, challengeDuration: CHALLENGE_DURATION }

function wish(changes: Partial<ProposalOptions> = {}): ProposalOptions {
  return {
    peers: [PEER],
    allocation: { assets: [asset], balances: [[1_000_000_000n, 0n]] },
    challengeDuration: 144n,
    ...changes,
  }
}

function balances(...row: bigint[]): Partial<ProposalOptions> {
  return { allocation: { assets: [asset], balances: [row] } }
}

describe('bitcoin: proposals', () => {
  it('an opener brings in all: capacity in satoshis, nothing pushed', () => {
    expect(openingOf(wish(), BOUNDS)).deep.equals({
      peer: PEER,
      capacity: 1_000_000n,
      push: 0n,
      delay: 144,
    })
  })

  it('a gift is one only if the agreement says so', () => {
    const gift = balances(900_000_000n, 100_000_000n)
    const { push, capacity } = openingOf(wish({ ...gift, agreement: [[1_000_000_000n, 0n]] }), BOUNDS)
    expect([push, capacity]).deep.equals([100_000_000n, 1_000_000n])
    expect(code(wish(gift))).equals('UNSUPPORTED')
    expect(code(wish({ ...gift, agreement: [[900_000_000n, 100_000_000n]] }))).equals('UNSUPPORTED')
  })

  const refused: readonly (readonly [string, Partial<ProposalOptions>, ErrorCode])[] = [
    ['no peer', { peers: [] }, 'INVALID_PARAMS'],
    ['two peers', { peers: [PEER, SELF] }, 'INVALID_PARAMS'],
    ['ourselves', { peers: [SELF] }, 'INVALID_ARGUMENT'],
    ['no node ID', { peers: ['0x02'] }, 'INVALID_ARGUMENT'],
    ['an app', { app: `0x${'11'.repeat(20)}` }, 'UNSUPPORTED'],
    ['data', { data: '0x00' }, 'UNSUPPORTED'],
    [
      'another asset',
      { allocation: { assets: [{ backend: 1, id: asset.id }], balances: [[1_000n, 0n]] } },
      'UNSUPPORTED',
    ],
    [
      'another chain',
      { allocation: { assets: [bitcoinAsset('0x00')], balances: [[1_000n, 0n]] } },
      'UNSUPPORTED',
    ],
    ['three columns', balances(1_000n, 0n, 0n), 'INVALID_ARGUMENT'],
    ['a part of a satoshi', balances(1_001n, 0n), 'INVALID_AMOUNT'],
    ['less than nothing', balances(2_000n, -1_000n), 'INVALID_AMOUNT'],
    ['more than there is', balances(2_100_000_000_000_000_001n, 0n), 'INVALID_AMOUNT'],
    ['two rows', { allocation: { assets: [asset], balances: [[1_000n, 0n], []] } }, 'INVALID_ARGUMENT'],
    ['two rows that are agreed on', { agreement: [[1_000_000_000n, 0n], [1n]] }, 'INVALID_ARGUMENT'],
    ['a third who brings nothing in', { agreement: [[1_000_000_000n, 0n, 0n]] }, 'INVALID_ARGUMENT'],
    ['no delay', { challengeDuration: 0n }, 'INVALID_PARAMS'],
    ['two weeks and a block', { challengeDuration: 2017n }, 'INVALID_PARAMS'],
  ]
  for (const [what, changes, expected] of refused) {
    it(`${what} is refused: ${expected}`, () => {
      expect(code(wish(changes))).equals(expected)
    })
  }

  it('what is to be locked from the beginning is refused, and not passed over; nothing to be locked is nothing', () => {
    const locking = (locked: unknown) => wish({ allocation: { ...wish().allocation, ...{ locked } } })
    const sub = { channelID: `0x${'77'.repeat(32)}`, balances: [1n], indexMap: [] }
    expect([[sub], sub, null, 5].map((locked) => code(locking(locked)))).deep.equals(
      Array(4).fill('UNSUPPORTED'),
    )
    expect([[], undefined].map((locked) => code(locking(locked)))).deep.equals([undefined, undefined])
  })

  it('outside regtest the policy has the shortest challenge duration: a day, unless our user says otherwise', () => {
    const { main, regtest, signet } = NETWORKS
    expect(challengeDurationOn(regtest.genesis, CHANNEL_POLICY)).deep.equals({ min: 1n, max: 2016n })
    expect(challengeDurationOn(main.genesis, CHANNEL_POLICY)).deep.equals({ min: 144n, max: 2016n })
    const brave = { toSelfDelay: { min: 6, max: 2016 } }
    expect(challengeDurationOn(signet.genesis, brave)).deep.equals({ min: 6n, max: 2016n })
    for (const [min, least] of [
      [0, 1n],
      [3000, 2016n],
    ] as const) {
      const odd = { toSelfDelay: { min, max: 3000 } }
      expect(challengeDurationOn(main.genesis, odd)).deep.equals({ min: least, max: 2016n })
    }
    const bounds = { ...BOUNDS, challengeDuration: challengeDurationOn(main.genesis, CHANNEL_POLICY) }
    expect(openingOf(wish({ challengeDuration: 144n }), bounds).delay).equals(144)
    expect(() => openingOf(wish({ challengeDuration: 143n }), bounds))
      .to.throw(PerkunasError, 'a challenge duration from 144 to 2016 blocks expected, got 143')
      .with.property('code', 'INVALID_PARAMS')
    expect(openingOf(wish({ challengeDuration: 143n }), BOUNDS).delay).equals(143)
  })

  it('a number in place of a bigint -> INVALID_ARGUMENT that says so', () => {
    const { assets } = wish().allocation
    for (const [change, argument] of [
      [{ challengeDuration: 144 }, 'challengeDuration'],
      [{ allocation: { assets, balances: [[2_000_000, 0]] } }, 'balances'],
    ] as const) {
      const options: ProposalOptions = Object.assign(wish(), change)
      expect(() => openingOf(options, BOUNDS))
        .to.throw(PerkunasError, `${argument}: bigint expected, got number`)
        .with.property('code', 'INVALID_ARGUMENT')
    }
  })

  it('what is of no such type, wherever it is, is refused by a typed error', () => {
    const junk = [null, 5, -5n, true, '', {}, [], [null], [[5, 5]], Symbol('x')]
    const wishes = junk.flatMap((value) => [
      { allocation: value },
      { allocation: { assets: value, balances: [[1_000n, 0n]] } },
      { allocation: { assets: [value], balances: [[1_000n, 0n]] } },
      ...[value, [value], [[value, 0n]]].map((rows) => ({ allocation: { assets: [asset], balances: rows } })),
      ...[value, [value], [[value, 0n]]].map((rows) => ({ agreement: rows })),
      ...['peers', 'challengeDuration', 'app', 'data', 'aux'].map((name) => ({ [name]: value })),
    ])
    for (const one of wishes) {
      const options: ProposalOptions = Object.assign(wish(), one)
      expect(code(options), inspect(one)).not.equals(undefined)
    }
  })

  it('what a peer asks for is shown as a proposal whose session is the temporary channel ID', () => {
    const temporaryID: Hex = `0x${'ab'.repeat(32)}`
    const opening = openingOf(
      wish({ ...balances(900_000n, 100_000n), agreement: [[1_000_000n, 0n]] }),
      BOUNDS,
    )
    const shown = proposalOf({ ...opening, peer: SELF, temporaryID }, PEER, asset)
    expect(shown).deep.include({
      session: temporaryID,
      peers: [SELF, PEER],
      balances: [[900_000n, 100_000n]],
      agreement: [[1_000_000n, 0n]],
      challengeDuration: 144n,
      participant: { [BITCOIN]: SELF },
    })
  })
})

function code(options: ProposalOptions): ErrorCode | undefined {
  try {
    openingOf(options, BOUNDS)
  } catch (error) {
    if (error instanceof PerkunasError) return error.code
    throw error
  }
  return undefined
}
