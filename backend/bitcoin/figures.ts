// Figures that our own user gives, who need not have been compiled against our types: held against their bounds at the door.
import { demandNames, givenOf } from '../../channel/arguments.js'
import { PerkunasError } from '../../channel/errors.js'

/** Whether it is a whole number within bounds, both included. */
export function isCount(value: unknown, least: number, most: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most
}

/** Whether it is an amount within bounds, both included. */
export function isAmount(value: unknown, least: bigint, most: bigint): value is bigint {
  return typeof value === 'bigint' && value >= least && value <= most
}

/** Whether it is one of these. */
export function isOneOf(value: unknown, ...choices: readonly unknown[]): boolean {
  return choices.includes(value)
}

/**
 * Our user's choices over the defaults.
 *
 * @param argument by which errors name them
 * @param holds for each choice whether it can be meant
 * @throws PerkunasError INVALID_ARGUMENT if they are no object, or one of them is unknown or can't be meant
 */
export function chosen<T extends object>(
  argument: string,
  { defaults, wanted }: { readonly defaults: T; readonly wanted: Partial<T> | undefined },
  holds: (policy: T) => Readonly<Record<keyof T, boolean>>,
): T {
  if (wanted !== undefined) demandNames(wanted, defaults, argument)
  const policy: T = { ...defaults, ...givenOf(wanted ?? {}) }
  const fault = Object.entries(holds(policy)).find(([, isSo]) => !isSo)
  if (fault !== undefined) throw unmeant(`${argument}.${fault[0]}`)
  return policy
}

function unmeant(argument: string): PerkunasError<'INVALID_ARGUMENT'> {
  return new PerkunasError('INVALID_ARGUMENT', `${argument} is nothing that can be meant`, { argument })
}
