// What a value that is not as its schema demands is answered with: the reason, and the path to the place.
import { PerkunasError } from '../channel/errors.js'

/** Ends a check. @throws PerkunasError INVALID_MESSAGE with an empty path, which enclosing objects fill in */
export function refuse(reason: string): never {
  throw new PerkunasError('INVALID_MESSAGE', reason, { path: '', reason })
}

/** Ends a check. @throws PerkunasError TOO_LARGE */
export function tooLarge(limit: number, actual: number): never {
  throw new PerkunasError('TOO_LARGE', `at most ${limit} expected, got ${actual}`, { limit, actual })
}

/** The same failure, seen from one level further out. */
export function inside(segment: string, error: unknown): unknown {
  if (!(error instanceof PerkunasError)) return error
  const { facts } = error
  if ('path' in facts) {
    const path = facts.path === '' ? segment : `${segment}.${facts.path}`
    return new PerkunasError('INVALID_MESSAGE', `${path}: ${facts.reason}`, { path, reason: facts.reason })
  }
  if ('actual' in facts && 'limit' in facts)
    return new PerkunasError('TOO_LARGE', `${segment}: ${error.message}`, facts)
  return new PerkunasError(
    'INVALID_MESSAGE',
    `${segment}: ${error.message}`,
    { path: segment, reason: error.message },
    { cause: error },
  )
}

/** Ends a check of a part. @throws PerkunasError what `check` throws, with that part in its path */
export function within(segment: string, check: () => never): never {
  try {
    return check()
  } catch (error) {
    throw inside(segment, error)
  }
}

/** What something is, for messages to people; never its content, which may be long or secret. */
export function kindOf(value: unknown): string {
  if (value === null) return 'nil'
  if (Array.isArray(value)) return 'list'
  return value instanceof Uint8Array ? 'binary' : typeof value
}
