// Messages in orders that nobody meant: what is good each by itself comes early, late, twice, never, or crosses another.
import { expect } from 'chai'
import fc from 'fast-check'
import { step } from '../../../../backend/bitcoin/channel/channel.js'
import { faultOfChannel } from '../../../../backend/bitcoin/channel/invariants.js'
import { type ChannelState, isLive } from '../../../../backend/bitcoin/channel/state.js'
import type { FeatureName } from '../../../../backend/bitcoin/features.js'
import { transactionID } from '../../../../backend/bitcoin/script/index.js'
import { feeratePerKw, msat } from '../../../../backend/bitcoin/units.js'
import type { LightningMessage } from '../../../../backend/bitcoin/wire/index.js'
import { toHex } from '../../../../channel/bytes.js'
import { FEATURES_OF_BOTH, Pair, type Party, preimageOf, sentBy } from './pair.js'

const SIMPLE: readonly FeatureName[] = [...FEATURES_OF_BOTH, 'option_simple_close']

describe('channel: orders of messages', () => {
  for (const [how, features] of [
    ['closing_signed', FEATURES_OF_BOTH],
    ['closing_complete', SIMPLE],
  ] as const) {
    it(`f 30: both close at once, their messages cross, connections are lost -> one end for both (${how})`, () => {
      const act = fc.constantFrom('alice', 'bob', 'alice', 'bob', 'lost', 'closeAlice', 'closeBob', 'fee')
      fc.assert(
        fc.property(fc.array(act, { maxLength: 40 }), (acts) => {
          const pair = new Pair({ features }).reachNormal({ push: msat(400_000_000n) })
          pair.add(pair.alice, 5_000_000n, 1)
          pair.add(pair.bob, 6_000_000n, 2)
          pair.settle()
          for (const [name, number] of [
            ['bob', 1],
            ['alice', 2],
          ] as const) {
            const removal = { kind: 'fulfill', preimage: preimageOf(number) } as const
            pair.want(pair[name], { kind: 'remove', id: 0n, removal })
            pair.input(pair[name], { kind: 'flush' })
          }
          for (const one of acts) {
            if (one === 'alice' || one === 'bob') pair.deliver(pair[one])
            else if (one === 'closeAlice') pair.input(pair.alice, { kind: 'shutdown' })
            else if (one === 'closeBob') pair.input(pair.bob, { kind: 'shutdown' })
            else if (one === 'fee') {
              const { env } = pair.alice
              pair.alice.env = { ...env, fees: { ...env.fees, closing: feeratePerKw(env.fees.closing + 50) } }
            } else {
              pair.disconnect()
              pair.connect()
            }
          }
          pair.connect()
          pair.settle()
          pair.input(pair.alice, { kind: 'shutdown' })
          pair.settle()
          expect(pair.both.map(({ state }) => state?.phase)).to.deep.equal(['negotiating', 'negotiating'])
          const ids = pair.both.map(
            ({ published }) => new Set(published.map(({ transaction }) => toHex(transactionID(transaction)))),
          )
          expect([...(ids[0] ?? [])].sort()).to.deep.equal([...(ids[1] ?? [])].sort())
          for (const { published } of pair.both) {
            expect(published.length).to.be.greaterThan(0)
            expect(new Set(published.map(({ what }) => what))).to.deep.equal(new Set(['closing']))
          }
        }),
        { numRuns: 60 },
      )
    })
  }

  it('f 30, f 48: real messages of a whole life in any order, again and again or never -> a step each time, nothing revoked is published', () => {
    const { said, states, party } = life()
    expect(states.length).to.be.greaterThan(20)
    expect(new Set(said.map(({ kind }) => kind)).size).to.be.greaterThan(10)
    const place = fc.record({
      begin: fc.nat({ max: states.length - 1 }),
      order: fc.array(fc.nat({ max: said.length - 1 }), { minLength: 1, maxLength: 15 }),
    })
    fc.assert(
      fc.property(place, ({ begin, order }) => {
        let state = states[begin]
        if (state === undefined) throw new Error('no state')
        for (const at of order) {
          const message = said[at]
          if (message === undefined) throw new Error('no message')
          state = heard(state, message, party)
        }
      }),
      { numRuns: 400 },
    )
  })
})

/** What a message does. */
function heard(state: ChannelState, message: LightningMessage, { env }: Party): ChannelState {
  const { next, effects } = step(state, { kind: 'received', message }, env)
  if (!isLive(next)) return next
  expect(faultOfChannel(next), message.kind).to.equal(undefined)
  for (const effect of effects) {
    if (effect.kind !== 'publish' || effect.what !== 'commitment') continue
    const { signer } = next
    expect(signer.published, 'it is the newest').to.equal(signer.validated - 1n)
    expect(signer.released <= (signer.published ?? -1n), 'it is not revoked').to.equal(true)
  }
  // In a channel that has failed nothing is signed any more.
  if (next.phase === 'failed' && isLive(state) && state.phase === 'failed') {
    expect(next.signer.signed).to.equal(state.signer.signed)
    expect(next.signer.released).to.equal(state.signer.released)
  }
  return next
}

/** Everything that Alice says from opening to closing, and Bob after each of it. */
function life(): {
  readonly said: readonly LightningMessage[]
  readonly states: readonly ChannelState[]
  readonly party: Party
} {
  const pair = new Recorded()
  pair.reachNormal({ push: msat(400_000_000n) })
  pair.add(pair.alice, 10_000_000n, 1)
  pair.add(pair.bob, 20_000_000n, 2)
  pair.settle()
  pair.want(pair.alice, { kind: 'fee', feerate: feeratePerKw(1500) })
  pair.want(pair.bob, { kind: 'remove', id: 0n, removal: { kind: 'fulfill', preimage: preimageOf(1) } })
  pair.want(pair.alice, { kind: 'remove', id: 0n, removal: { kind: 'fail', reason: new Uint8Array(9) } })
  pair.add(pair.alice, 30_000_000n, 3)
  pair.settle()
  pair.disconnect()
  pair.connect()
  pair.settle()
  pair.want(pair.bob, { kind: 'remove', id: 1n, removal: { kind: 'fulfill', preimage: preimageOf(3) } })
  pair.input(pair.alice, { kind: 'shutdown' })
  pair.settle()
  const error = { kind: 'error', channelID: pair.live(pair.bob).terms.channelID, data: new Uint8Array(3) }
  return {
    said: [...sentBy(pair.alice), { ...error, kind: 'error' }],
    states: pair.states,
    party: pair.bob,
  }
}

class Recorded extends Pair {
  readonly states: ChannelState[] = []

  override write(...[party, result]: Parameters<Pair['write']>): void {
    super.write(party, result)
    if (party.name === 'bob' && result.next !== this.states.at(-1)) this.states.push(result.next)
  }
}
