// What callers hand in, who need not have been compiled against our types: refused at the door, by the name of what is wrong.
import { PerkunasError } from './errors.js'

/** All names that options of a type have, whichever member of a union they are: the compiler lets none be forgotten. */
export type NamesOf<T extends object> = Readonly<Record<T extends unknown ? keyof T : never, true>>

/** Of calls that can be aborted and take nothing else. */
export const SIGNAL: NamesOf<{ readonly signal?: AbortSignal }> = { signal: true }

/** Characters of a name that an error shows. */
const SHOWN = 100

/**
 * Demands options, and none that nobody knows: a misspelt one would be passed over. Own enumerable properties count, unless they
 * are undefined. A `signal` must be one, whatever else the options are: it fails late, and elsewhere, if it is none.
 *
 * @param names of what is known, as the keys of any object: see {@link NamesOf}; defaults, where all options have one
 * @param argument by which errors call them
 * @throws PerkunasError INVALID_ARGUMENT
 */
export function demandNames(value: unknown, names: object, argument = 'options'): void {
  if (typeof value !== 'object' || value === null) return demandObject(value, argument)
  const fault = faultOfNames(value, names, argument)
  if (fault !== undefined) throw fault
  if ('signal' in value && Object.hasOwn(names, 'signal')) demandSignal(value.signal, `${argument}.signal`)
}

/** @throws PerkunasError INVALID_ARGUMENT if it is there and no AbortSignal, as the controller of one is none */
export function demandSignal(value: unknown, argument: string): void {
  if (value === undefined) return
  const isOne =
    typeof value === 'object' &&
    value !== null &&
    'aborted' in value &&
    ['addEventListener', 'removeEventListener'].every(
      (name) => typeof Reflect.get(value, name) === 'function',
    )
  if (!isOne) throw invalidArgument(argument, 'an AbortSignal')
}

/** As {@link demandNames}, for who does not throw. */
export function faultOfNames(
  value: object,
  names: object,
  argument: string,
): PerkunasError<'INVALID_ARGUMENT'> | undefined {
  for (const name of Object.keys(value)) {
    if (!Object.hasOwn(names, name) && Reflect.get(value, name) !== undefined) {
      return unknownName(name, Object.keys(names), argument)
    }
  }
  return undefined
}

/** What of some options is given, to be laid over their defaults: one that is undefined is not. */
export function givenOf<T extends object>(options: T): T {
  const given = { ...options }
  for (const name of Object.keys(given)) {
    if (Reflect.get(given, name) === undefined) Reflect.deleteProperty(given, name)
  }
  return given
}

/** @throws PerkunasError INVALID_ARGUMENT if it is no object */
export function demandObject(value: unknown, argument: string): void {
  if (typeof value === 'object' && value !== null) return
  throw new PerkunasError('INVALID_ARGUMENT', `${argument}: an object expected`, { argument })
}

/** @throws PerkunasError INVALID_ARGUMENT if it is no object with these methods, as a promise of one is none */
export function demandMethods(value: unknown, argument: string, methods: readonly string[]): void {
  if (value instanceof Promise) throw invalidArgument(argument, 'the object itself, no promise of it')
  if (typeof value !== 'object' || value === null) return demandObject(value, argument)
  const missing = methods.find((method) => typeof Reflect.get(value, method) !== 'function')
  if (missing !== undefined) throw invalidArgument(argument, `an object with a method ${missing}`)
}

/** @throws PerkunasError INVALID_ARGUMENT if it is no function */
export function demandFunction(value: unknown, argument: string): void {
  if (typeof value === 'function') return
  throw invalidArgument(argument, 'a function')
}

/** What a caller gave is nothing that can be meant. */
export function invalidArgument(argument: string, expected: string): PerkunasError<'INVALID_ARGUMENT'> {
  return new PerkunasError('INVALID_ARGUMENT', `${argument} must be ${expected}`, { argument })
}

function unknownName(
  name: string,
  known: readonly string[],
  argument: string,
): PerkunasError<'INVALID_ARGUMENT'> {
  const place = `${argument}.${name.slice(0, SHOWN)}`
  const meant = known.find((one) => isNear(one.toLowerCase(), name.toLowerCase()))
  const help = meant === undefined ? `known are ${known.join(', ')}` : `did you mean ${meant}?`
  return new PerkunasError('INVALID_ARGUMENT', `${place}: unknown option; ${help}`, { argument: place })
}

/** Whether it takes one letter more, less or other to make one of the other, or two neighbours changed places. */
function isNear(a: string, b: string): boolean {
  const begins = commonStart(a, b)
  const [restA, restB] = [a.slice(begins), b.slice(begins)]
  if (restA.slice(1) === restB.slice(1) || restA.slice(1) === restB || restA === restB.slice(1)) return true
  return restA.slice(0, 2) === [...restB.slice(0, 2)].reverse().join('') && restA.slice(2) === restB.slice(2)
}

function commonStart(a: string, b: string): number {
  let at = 0
  while (at < a.length && a[at] === b[at]) at++
  return at
}
