// What two machines do in random tests, whatever else happens to them there.
import fc from 'fast-check'
import { feeratePerKw } from '../../../../backend/bitcoin/units.js'
import type { Name, Pair } from './pair.js'

/** One of them signs what it wants, or hears what was said; the opener changes the fee; or all is brought to rest. */
export type CommonAct =
  | { readonly kind: 'fee'; readonly feerate: number }
  | { readonly kind: 'flush'; readonly by: Name }
  | { readonly kind: 'deliver'; readonly by: Name; readonly count: number }
  | { readonly kind: 'settle' }

/** Either. */
export const names = fc.constantFrom<Name>('alice', 'bob')

/** Common acts: how often each is done, and the largest numbers in them. */
export function commonActs(often: {
  readonly fee: number
  readonly flush: number
  readonly deliver: number
  readonly messages: number
  readonly feerate: number
}): fc.WeightedArbitrary<CommonAct>[] {
  const { messages, feerate } = often
  return [
    {
      weight: often.fee,
      arbitrary: fc.record({
        kind: fc.constant('fee' as const),
        feerate: fc.integer({ min: 253, max: feerate }),
      }),
    },
    { weight: often.flush, arbitrary: fc.record({ kind: fc.constant('flush' as const), by: names }) },
    {
      weight: often.deliver,
      arbitrary: fc.record({
        kind: fc.constant('deliver' as const),
        by: names,
        count: fc.integer({ min: 1, max: messages }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('settle' as const) }) },
  ]
}

/** Does one of them. */
export function playCommon(pair: Pair, act: CommonAct): void {
  switch (act.kind) {
    case 'fee':
      pair.want(pair.alice, { kind: 'fee', feerate: feeratePerKw(act.feerate) })
      return
    case 'flush':
      pair.input(pair[act.by], { kind: 'flush' })
      return
    case 'deliver':
      for (let i = 0; i < act.count; i++) pair.deliver(pair[act.by])
      return
    case 'settle':
      return pair.settle()
  }
}
