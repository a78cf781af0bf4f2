// How calls of a Lightning channel's user are refused.
import { PerkunasError } from '../../../channel/index.js'

/** What no Lightning channel can do. */
export function unsupported(what: string): PerkunasError<'UNSUPPORTED'> {
  return new PerkunasError('UNSUPPORTED', `${what} is nothing that a Lightning channel can do`, { what })
}

/** An argument that is not what it should be. */
export function invalid(argument: string, what: string): PerkunasError<'INVALID_ARGUMENT'> {
  return new PerkunasError('INVALID_ARGUMENT', `${argument}: ${what} expected`, { argument })
}

/** A call that its caller ended, in the caller's own words if they are an error of ours. */
export function aborted(call: string, reason: unknown): PerkunasError {
  if (reason instanceof PerkunasError) return reason
  return new PerkunasError('ABORTED', `${call} was aborted`, { call }, { cause: reason })
}
