// The rules themselves: each step of two machines keeps them, and each rule is broken by a step that is changed a little.
import { expect } from 'chai'
import { faultOfStep } from '../../../../backend/bitcoin/channel/invariants.js'
import { isLive, type Live } from '../../../../backend/bitcoin/channel/state.js'
import type { Step } from '../../../../backend/bitcoin/channel/step.js'
import { msat } from '../../../../backend/bitcoin/units.js'
import { Pair, type Party } from './pair.js'

/** A step, where it began, and who made it. */
interface Made {
  readonly before: Live
  readonly step: Step & { readonly next: Live }
  readonly party: Party
}

/** Alice adds a HTLC of dust and one that is none, and signs; Bob takes her commitment and revokes his. */
function made(): { readonly signs: Made; readonly revokes: Made } {
  const pair = new Pair().reachNormal({ push: msat(400_000_000n) })
  const { alice, bob } = pair
  pair.add(alice, 200_000n, 1)
  pair.add(alice, 5_000_000n, 2)
  const signs = taken(alice, pair.live(alice), pair.input(alice, { kind: 'flush' }))
  let revokes: Made | undefined
  for (let message = alice.outbox.shift(); message !== undefined; message = alice.outbox.shift()) {
    const before = pair.live(bob)
    revokes = taken(bob, before, pair.input(bob, { kind: 'received', message }))
  }
  if (revokes === undefined) throw new Error('nothing was said')
  return { signs, revokes }
}

function taken(party: Party, before: Live, step: Step): Made {
  const { next } = step
  if (!isLive(next)) throw new Error(`${party.name} has no channel`)
  return { party, before, step: { ...step, next } }
}

function faultOf({ before, step, party: { env } }: Made, change: Partial<Step> = {}): string | undefined {
  return faultOfStep(before, { ...step, ...change }, env)
}

describe('channel: invariants of a step', () => {
  const { signs, revokes } = made()

  it('of both steps as they are: nothing', () => {
    expect(faultOf(signs)).to.equal(undefined)
    expect(faultOf(revokes)).to.equal(undefined)
  })

  it('I1: a millisatoshi too much', () => {
    const { next } = signs.step
    const balances = { ...next.book.balances, local: msat(next.book.balances.local + 1n) }
    expect(faultOf(signs, { next: { ...next, book: { ...next.book, balances } } })).to.match(/^I1/)
  })

  it('I2: two commitments signed at once', () => {
    const { next } = signs.step
    const signer = { ...next.signer, signed: next.signer.signed + 1n }
    expect(faultOf(signs, { next: { ...next, signer } })).to.match(/^I2/)
  })

  it('I3: the new commitment is not written, or after the old one is revoked', () => {
    const { monitor } = revokes.step
    const without = monitor.filter(({ kind }) => kind !== 'holder')
    expect(faultOf(revokes, { monitor: without })).to.match(/^I3/)
    expect(faultOf(revokes, { monitor: monitor.toReversed() })).to.match(/^I3/)
  })

  it('I4: an ID left out, given twice, or given out for nothing', () => {
    const { next, effects } = signs.step
    const moved = effects.map((one) =>
      one.kind === 'send' && one.message.kind === 'update_add_htlc'
        ? { ...one, message: { ...one.message, id: one.message.id + 1n } }
        : one,
    )
    expect(faultOf(signs, { effects: moved })).to.match(/^I4/)
    expect(faultOf(signs, { effects: effects.slice(1) })).to.match(/^I4/)
    const [first, ...rest] = next.book.htlcs
    if (first === undefined) throw new Error('no HTLC')
    const htlcs = [first, ...rest.map((one) => ({ ...one, id: first.id }))]
    expect(faultOf(signs, { next: { ...next, book: { ...next.book, htlcs } } })).to.match(/^I4/)
    // What is signed is not dropped.
    const before = revokes.step.next
    const offered = { ...before.book.offered, remote: 0n }
    const dropped = { ...before, book: { ...before.book, htlcs: [], offered } }
    const empty = { monitor: [], handoffs: [], effects: [] }
    expect(faultOfStep(before, { next: dropped, ...empty }, revokes.party.env)).to.match(/^I4/)
  })

  it('I5: what is added leaves less than the reserve', () => {
    const { next } = signs.step
    const terms = { ...next.terms, remote: { ...next.terms.remote, reserve: next.terms.capacity } }
    expect(faultOf(signs, { next: { ...next, terms } })).to.match(/^I5/)
  })

  it('I6: more dust than the policy lets stand, of what we add and of what we take', () => {
    const { before, step, party } = signs
    const env = { ...party.env, policy: { ...party.env.policy, maxDustExposure: { fixed: msat(199_999n) } } }
    expect(faultOfStep(before, step, env)).to.match(/^I6/)
    const enough = { ...env, policy: { ...env.policy, maxDustExposure: { fixed: msat(200_000n) } } }
    expect(faultOfStep(before, step, enough)).to.equal(undefined)
    const [htlc] = step.next.book.htlcs
    if (htlc === undefined) throw new Error('no HTLC')
    const locked = { kind: 'locked', htlc: { ...htlc, offerer: 'remote' } } as const
    const still = { ...step, monitor: [], effects: [], next: { ...step.next } }
    const same = { before: step.next, step: { ...still, handoffs: [locked] } }
    expect(faultOfStep(same.before, same.step, env)).to.match(/^I6/)
    const failing = { ...still, handoffs: [{ ...locked, mustFail: 'dustExposure' }] } as const
    expect(faultOfStep(same.before, failing, env)).to.equal(undefined)
  })
})
