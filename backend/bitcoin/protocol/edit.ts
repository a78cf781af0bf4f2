// What an edit of a channel's state comes to on Lightning, where a state changes by payments alone.
import { type Draft, draftOf, type Index, PerkunasError, type State } from '../../../channel/index.js'
import { type Msat, msat } from '../units.js'
import { invalid, unsupported } from './refusals.js'

/**
 * What an edit pays to the other side.
 *
 * @param index ours
 * @throws PerkunasError INVALID_STATE, INVALID_AMOUNT, UNSUPPORTED, INVALID_ARGUMENT; what the edit throws
 */
export function paidBy(edit: (draft: Draft) => void, state: State, index: Index): Msat {
  if (typeof edit !== 'function') throw invalid('edit', 'a function that edits the draft')
  const draft = draftOf(state)
  const result: unknown = edit(draft)
  if (result instanceof Promise) {
    result.catch(() => undefined)
    throw invalid('edit', 'a function that edits the draft at once')
  }
  if (draft.isFinal) throw unsupported('a final state: settle ends the channel, and')
  if (draft.data !== state.data) throw unsupported('app data')
  if (draft.assets !== state.allocation.assets) throw unsupported('an edit of the assets')
  // The type has no such field, but whoever writes it expects that something comes of it.
  if ('locked' in draft)
    throw unsupported('an edit of what is locked: lock, release and cancel do that, and it')
  const [before = []] = state.allocation.balances
  const [after = []] = draft.balances
  const moved = before.map((amount, i) => (after[i] ?? 0n) - amount)
  if (after.length !== 2 || draft.balances.length !== 1 || moved.reduce((sum, one) => sum + one, 0n) !== 0n) {
    const rule = 'sums of balances that stay'
    throw new PerkunasError('INVALID_STATE', `${rule} expected, got ${after.join(', ')}`, { rule })
  }
  const theirs = moved[1 - index] ?? 0n
  if (theirs < 0n) throw unsupported('taking from the other side')
  return msat(theirs)
}
