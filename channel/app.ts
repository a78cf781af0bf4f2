// What an app decides: which states of a channel may follow which.
import type { Allocation } from './allocation.js'
import { EMPTY, type Hex } from './bytes.js'
import { PerkunasError } from './errors.js'
import type { AppID, Index, Params } from './params.js'
import { NO_APP } from './params.js'
import type { State } from './state.js'

/**
 * Rules over states: whoever acts proposes the next state, all others check it.
 *
 * All methods are pure and return the rule that is broken, in words, or undefined. The generic rules (IDs,
 * versions, sums, locked funds) have been checked before. On a ledger with an app contract the two must agree.
 */
export interface StateApp {
  readonly kind: 'state'
  readonly id: AppID
  /**
   * May a channel begin like this?
   *
   * Asked before a proposal is sent or shown to a user, and again when everybody has accepted. The first time
   * participants other than the proposer have no address yet (`{}`), the nonce is 0, and the channel ID stands
   * for another one.
   */
  faultOfInit(params: Params, state: State): string | undefined
  /** May `actor` turn `from` into `to`? */
  faultOfTransition(params: Params, from: State, to: State, actor: Index): string | undefined
}

/**
 * Rules over actions: each participant may add one action per step, and the app computes the next state from
 * all of them (for simultaneous moves). Pure, like {@link StateApp}.
 */
export interface ActionApp {
  readonly kind: 'action'
  readonly id: AppID
  /** Distribution and data of the initial state from the participants' opening actions. */
  init(
    params: Params,
    actions: readonly (Hex | undefined)[],
  ): { readonly allocation: Allocation; readonly data: Hex }
  /**
   * May this participant act like this now? `action` is in the app's encoding; there is no state before the opening
   * actions.
   */
  faultOfAction(params: Params, state: State | undefined, participant: Index, action: Hex): string | undefined
  /** The next state's distribution, data and finality; versions are set by the machine. */
  apply(
    params: Params,
    state: State,
    actions: readonly (Hex | undefined)[],
  ): Pick<State, 'allocation' | 'data' | 'isFinal'>
}

/** Either kind of app. */
export type App = StateApp | ActionApp

/** Finds the app of an ID; a client refuses channels whose app it can't find. */
export type AppResolver = (id: AppID) => App | undefined

/** The app of channels without one: no data, and any transition that all sign. */
export const noApp: StateApp = Object.freeze<StateApp>({
  kind: 'state',
  id: NO_APP,
  faultOfInit: (_params, state) => (state.data === EMPTY ? undefined : 'no data without an app'),
  faultOfTransition: (_params, _from, to) => (to.data === EMPTY ? undefined : 'no data without an app'),
})

/**
 * The payment app: whoever acts can only give. For every asset the actor's balance does not grow and nobody
 * else's shrinks; there is no data.
 *
 * @param id where the ledger knows it
 */
export function paymentApp(id: AppID): StateApp {
  return Object.freeze<StateApp>({
    kind: 'state',
    id,
    faultOfInit: (_params, state) => (state.data === EMPTY ? undefined : 'payment channels have no data'),
    faultOfTransition(_params, from, to, actor) {
      if (to.data !== EMPTY) return 'payment channels have no data'
      for (const [asset, row] of from.allocation.balances.entries()) {
        for (const [participant, before] of row.entries()) {
          const after = to.allocation.balances[asset]?.[participant] ?? 0n
          if (participant === actor ? after > before : after < before) return 'the actor can only give'
        }
      }
      return undefined
    },
  })
}

/** A resolver over a fixed set of apps; knows {@link noApp} always. */
export function appResolver(...apps: readonly App[]): AppResolver {
  const byID = new Map<AppID, App>([[NO_APP, noApp]])
  for (const app of apps) {
    if (byID.has(app.id)) {
      throw new PerkunasError('INVALID_ARGUMENT', `two apps with the ID ${app.id}`, { argument: 'apps' })
    }
    byID.set(app.id, app)
  }
  return (id) => byID.get(id)
}
