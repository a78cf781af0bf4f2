// A Lightning channel as a state: what both sides are bound to, whatever is on its way.
import { expect } from 'chai'
import fc from 'fast-check'
import { type OpenHtlc, STAGE_NAMES } from '../../../../backend/bitcoin/channel/index.js'
import { bitcoinAsset, paramsOf } from '../../../../backend/bitcoin/protocol/proposal.js'
import {
  isAgreed,
  lockOf,
  locksOf,
  proposalOfHtlc,
  type Seen,
  stateOf,
} from '../../../../backend/bitcoin/protocol/view.js'
import { blockHeight, msat } from '../../../../backend/bitcoin/units.js'
import { faultOfState, type Hex, totals } from '../../../../channel/index.js'

const ID: Hex = `0x${'77'.repeat(32)}`
const asset = bitcoinAsset(`0x${'06'.repeat(32)}`)
const A: Hex = `0x02${'01'.padStart(64, '0')}`
const B: Hex = `0x02${'02'.padStart(64, '0')}`

const side = fc.constantFrom('local' as const, 'remote' as const)
const seen: fc.Arbitrary<Seen> = fc
  .record({
    opener: side,
    stages: fc.array(
      fc.record({
        offerer: side,
        stage: fc.constantFrom(...STAGE_NAMES),
        amount: fc.integer({ min: 1, max: 1000 }),
      }),
      { maxLength: 12 },
    ),
    before: fc.record({ local: fc.nat(5), remote: fc.nat(5) }),
    own: fc.record({ local: fc.nat(100_000), remote: fc.nat(100_000) }),
  })
  .map(({ opener, stages, before, own }) => {
    const offered = { local: BigInt(before.local), remote: BigInt(before.remote) }
    const balances = { local: BigInt(own.local), remote: BigInt(own.remote) }
    const htlcs = stages
      .filter(({ stage }) => stage !== 'gone')
      .map(({ offerer, stage, amount }): OpenHtlc => {
        balances[offerer] += BigInt(amount)
        return {
          offerer,
          id: offered[offerer]++,
          stage,
          amount: msat(BigInt(amount)),
          paymentHash: new Uint8Array(32).fill(amount & 0xff),
          cltvExpiry: blockHeight(500),
        }
      })
    return {
      opener,
      htlcs,
      offered,
      balances: { local: msat(balances.local), remote: msat(balances.remote) },
      isFinal: false,
    }
  })

describe('bitcoin: a channel as a state', () => {
  it('the sum is the capacity, whatever is in flight, and the state keeps all generic rules', () => {
    fc.assert(
      fc.property(seen, (channel) => {
        const state = stateOf(ID, asset, channel)
        expect(totals(state.allocation)).deep.equals([channel.balances.local + channel.balances.remote])
        expect(faultOfState(paramsOf([A, B], 144, ID), state)).equals(undefined)
      }),
    )
  })

  it('only what both are bound to is locked, and it is nobody’s balance', () => {
    fc.assert(
      fc.property(seen, (channel) => {
        const { allocation } = stateOf(ID, asset, channel)
        const bound = channel.htlcs.filter(isAgreed)
        expect(locksOf(channel).map(({ id }) => id)).deep.equals(
          allocation.locked.map(({ channelID }) => channelID),
        )
        expect(allocation.locked.length).equals(bound.length)
        const opener = bound
          .filter(({ offerer }) => offerer === channel.opener)
          .reduce((sum, { amount }) => sum + amount, 0n)
        expect(allocation.balances[0]?.[0]).equals(channel.balances[channel.opener] - opener)
      }),
    )
  })

  it('its version goes up when an HTLC is locked and when it is gone, and never down', () => {
    const htlc = (stage: OpenHtlc['stage']): OpenHtlc => ({
      offerer: 'local',
      id: 0n,
      stage,
      amount: msat(5n),
      paymentHash: new Uint8Array(32),
      cltvExpiry: blockHeight(9),
    })
    const at = (htlcs: readonly OpenHtlc[], local: bigint) =>
      stateOf(ID, asset, {
        opener: 'local',
        htlcs,
        offered: { local, remote: 0n },
        balances: { local: msat(10n), remote: msat(10n) },
        isFinal: false,
      }).version
    const versions = [
      at([], 0n),
      ...STAGE_NAMES.slice(0, -1).map((stage) => at([htlc(stage)], 1n)),
      at([], 1n),
    ]
    expect(versions).deep.equals([0n, 0n, 0n, 0n, 0n, 1n, 1n, 1n, 1n, 1n, 2n])
  })

  it('who decides on an HTLC sees the state without it and the state with it paid', () => {
    fc.assert(
      fc.property(seen, (channel) => {
        const state = stateOf(ID, asset, channel)
        const htlc = channel.htlcs.find(isAgreed)
        if (htlc === undefined) return
        const lock = lockOf(htlc, channel.opener)
        const { current, proposed } = proposalOfHtlc(state, lock)
        expect(totals(current.allocation)).deep.equals(totals(state.allocation))
        expect(totals(proposed.allocation)).deep.equals(totals(state.allocation))
        const [before, after] = [current, proposed].map(
          ({ allocation }) => allocation.balances[0]?.[lock.from],
        )
        expect((before ?? 0n) - (after ?? 0n)).equals(htlc.amount)
      }),
    )
  })
})
