// Which attempts a look is at, and what comes of it.
import type { Monitor, MonitorEffect } from '../monitor/machine.js'
import type { Attempt } from './attempt.js'

/** All, as with a new block; those that were never tried; or one. */
export type Scope = { readonly kind: 'all' | 'new' } | { readonly kind: 'one'; readonly id: string }

/** What came of it. */
export interface Pursued {
  readonly next: Monitor
  readonly effects: readonly MonitorEffect[]
}

/** Whether an attempt is looked at. */
export function isInScope({ id, last }: Pick<Attempt, 'id' | 'last'>, scope: Scope): boolean {
  if (scope.kind === 'one') return scope.id === id
  return scope.kind === 'all' || last === undefined
}
