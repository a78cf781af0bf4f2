import { expect } from 'chai'
import {
  advanceStage,
  type Fact,
  isIn,
  isRemoved,
  STAGE_NAMES,
  STAGES,
  type Stage,
} from '../../../../backend/bitcoin/channel/stages.js'
import type { Side } from '../../../../backend/bitcoin/monitor/record.js'

const SIDES = ['local', 'remote'] as const
const FACTS: readonly Fact[] = SIDES.flatMap((by) => [
  { by, what: 'signature' } as const,
  { by, what: 'revocation' } as const,
])

// BOLT 2, "Normal Operation", as steps between the two sides: P offers, Q receives.
const LIFE: readonly (readonly [from: Stage, by: 'P' | 'Q', what: Fact['what'], to: Stage])[] = [
  ['offered', 'P', 'signature', 'signed'],
  ['signed', 'Q', 'revocation', 'acked'],
  ['acked', 'Q', 'signature', 'countersigned'],
  ['countersigned', 'P', 'revocation', 'locked'],
  ['resolving', 'Q', 'signature', 'removalSigned'],
  ['removalSigned', 'P', 'revocation', 'removalAcked'],
  ['removalAcked', 'P', 'signature', 'removalCountersigned'],
  ['removalCountersigned', 'Q', 'revocation', 'gone'],
]

describe('HTLC stages', () => {
  it('each stage, offerer and fact -> exactly the move of the specification, else none', () => {
    for (const offerer of SIDES) {
      for (const stage of STAGE_NAMES) {
        for (const fact of FACTS) {
          const who = fact.by === offerer ? 'P' : 'Q'
          const move = LIFE.find(([from, by, what]) => from === stage && by === who && what === fact.what)
          expect(advanceStage(stage, offerer, fact), `${stage} ${who} ${fact.what}`).to.equal(
            move?.[3] ?? stage,
          )
        }
      }
    }
  })

  it('what a signature puts in or takes out changes the newest commitment of the other side alone', () => {
    for (const [from, by, what, to] of LIFE.filter(([, , kind]) => kind === 'signature')) {
      for (const holder of SIDES) {
        const signed = (by === 'P' ? 'remote' : 'local') === holder
        const changes = isIn(from, 'local', holder, 'newest') !== isIn(to, 'local', holder, 'newest')
        expect(changes, `${from} ${what} ${holder}`).to.equal(signed)
        expect(isIn(from, 'local', holder, 'oldest'), 'oldest').to.equal(isIn(to, 'local', holder, 'oldest'))
      }
    }
  })

  it('what a revocation puts in or takes out changes the oldest commitment of its sender alone', () => {
    for (const [from, by, what, to] of LIFE.filter(([, , kind]) => kind === 'revocation')) {
      for (const holder of SIDES) {
        const own = (by === 'P' ? 'local' : 'remote') === holder
        const changes = isIn(from, 'local', holder, 'oldest') !== isIn(to, 'local', holder, 'oldest')
        expect(changes, `${from} ${what} ${holder}`).to.equal(own)
        expect(isIn(from, 'local', holder, 'newest'), 'newest').to.equal(isIn(to, 'local', holder, 'newest'))
      }
    }
  })

  it('locked and resolving are in every commitment of both, gone and offered in none', () => {
    for (const holder of SIDES) {
      for (const age of ['newest', 'oldest'] as const) {
        const inside = (stage: Stage) => isIn(stage, 'local', holder, age)
        expect([inside('locked'), inside('resolving')]).to.deep.equal([true, true])
        expect([inside('offered'), inside('gone')]).to.deep.equal([false, false])
      }
    }
  })

  it('removed means that it was there before: never before it was locked', () => {
    const order = STAGE_NAMES.indexOf('locked')
    for (const stage of STAGE_NAMES.slice(0, order + 1)) {
      for (const holder of SIDES) expect(isRemoved(stage, 'local', holder, 'newest'), stage).to.equal(false)
    }
  })

  it('local and remote are alike: the table knows only offerer and receiver', () => {
    const flip = (side: Side): Side => (side === 'local' ? 'remote' : 'local')
    for (const stage of STAGE_NAMES) {
      for (const fact of FACTS) {
        expect(advanceStage(stage, 'local', fact)).to.equal(
          advanceStage(stage, 'remote', { ...fact, by: flip(fact.by) }),
        )
      }
    }
    expect(Object.keys(STAGES)).to.have.length(10)
  })
})
