// Which state may follow which, by the generic rules and the app's.
import { sameAssets, sameLocked, sameSums, totals } from './allocation.js'
import type { App } from './app.js'
import { PerkunasError } from './errors.js'
import type { Index, Params } from './params.js'
import { faultOfState, type State } from './state.js'

/** A step that somebody wants to make. */
export interface Transition {
  readonly params: Params
  readonly from: State
  readonly to: State
  /** Who makes it. */
  readonly actor: Index
  /** The version that `to` must have; `from.version + 1` unless versions between were signed and refused. */
  readonly version: bigint
}

/**
 * The rule that a transition breaks by the generic rules, or undefined (Perun core protocol, "Transition rules").
 * Locked funds may change only through the funding and settlement of sub- and virtual channels, which have
 * checks of their own; here sums are compared with locked funds included.
 */
export function faultOfTransition({
  params,
  from,
  to,
  actor,
  version,
}: Transition): PerkunasError | undefined {
  const fault = (rule: string, got: unknown) =>
    new PerkunasError(
      'INVALID_TRANSITION',
      `invalid transition of channel ${from.channelID}: ${rule} expected, got ${String(got)}`,
      { rule },
    )
  if (to.channelID !== from.channelID) return fault('the same channel', to.channelID)
  if (to.app !== from.app) return fault('the same app', to.app)
  if (from.isFinal) return fault('a state that is not final before it', 'a final one')
  if (to.version !== version) return fault(`version ${version}`, to.version)
  if (!Number.isInteger(actor) || actor < 0 || actor >= params.participants.length) {
    return fault('an actor among the participants', actor)
  }
  const ofState = faultOfState(params, to)
  if (ofState) return ofState
  if (!sameAssets(from.allocation.assets, to.allocation.assets)) return fault('the same assets', 'others')
  const before = totals(from.allocation)
  if (totals(to.allocation).some((total, asset) => total !== before[asset])) {
    return fault(`totals ${before.join(', ')}`, totals(to.allocation).join(', '))
  }
  return undefined
}

/**
 * {@link faultOfTransition}, plus what an ordinary update must keep (locked funds), plus the app's own rules. While funds
 * are locked no end can be agreed on: ledgers conclude a final state by itself only (Perun contracts, "concludeFinal"),
 * and nothing else can be signed after it.
 */
export function faultOfUpdate(transition: Transition, app: App): PerkunasError | undefined {
  const { params, from, to, actor } = transition
  const generic = faultOfTransition(transition)
  if (generic) return generic
  if (!sameLocked(from.allocation.locked, to.allocation.locked)) {
    return new PerkunasError('INVALID_TRANSITION', 'an update keeps the locked funds as they are', {
      rule: 'locked funds unchanged',
    })
  }
  if (to.isFinal && to.allocation.locked.length > 0) {
    const text = 'a final state locks no funds: settle the sub-channels first'
    return new PerkunasError('INVALID_TRANSITION', text, { rule: 'nothing locked in a final state' })
  }
  return faultByApp(app, params, from, to, actor)
}

/** What the app says against a step; an app that throws refuses. */
export function faultByApp(
  app: App,
  params: Params,
  from: State,
  to: State,
  actor: Index,
): PerkunasError<'APP_REFUSED'> | undefined {
  if (app.kind === 'action') return refusal('an action app moves by actions, not by proposed states')
  try {
    const rule = app.faultOfTransition(params, from, to, actor)
    return rule === undefined ? undefined : refusal(rule)
  } catch (cause) {
    return refusal('the app threw', cause)
  }
}

/** What the app says against an initial state; an app that throws refuses. An action app made it itself. */
export function faultByAppAtInit(
  app: App,
  params: Params,
  state: State,
): PerkunasError<'APP_REFUSED'> | undefined {
  if (app.kind === 'action') return undefined
  try {
    const rule = app.faultOfInit(params, state)
    return rule === undefined ? undefined : refusal(rule)
  } catch (cause) {
    return refusal('the app threw', cause)
  }
}

/** What speaks against a funding agreement: it must have the balances' shape and sums, and no negative amount. */
export function faultOfAgreement(
  state: State,
  agreement: State['allocation']['balances'],
): PerkunasError | undefined {
  const { balances } = state.allocation
  if (agreement.some((row) => row.some((amount) => amount < 0n)) || !sameSums(balances, agreement)) {
    return new PerkunasError(
      'INVALID_STATE',
      'a funding agreement with the sums of the initial balances expected',
      {
        rule: 'funding agreement sums',
      },
    )
  }
  return undefined
}

function refusal(rule: string, cause?: unknown): PerkunasError<'APP_REFUSED'> {
  return new PerkunasError(
    'APP_REFUSED',
    `the app refuses: ${rule}`,
    { rule },
    cause === undefined ? {} : { cause },
  )
}
