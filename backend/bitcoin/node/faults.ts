// What goes wrong around a node, as errors with a code.
import { PerkunasError } from '../../../channel/errors.js'

/** No channel has that name, or none any more. */
export function unknownChannel(channel: bigint): PerkunasError<'UNKNOWN_CHANNEL'> {
  const message = `there is no channel ${channel}`
  return new PerkunasError('UNKNOWN_CHANNEL', message, { channel: `0x${channel.toString(16)}` })
}

/** What a caller gave is nothing that can be meant. */
export function invalidArgument(argument: string, expected: string): PerkunasError<'INVALID_ARGUMENT'> {
  return new PerkunasError('INVALID_ARGUMENT', `${argument} must be ${expected}`, { argument })
}

/** Anything, with the place where it happened. */
export function asError(cause: unknown, what: string): PerkunasError {
  if (cause instanceof PerkunasError) return cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new PerkunasError('INTERNAL', `${what}: ${reason}`, { where: what }, { cause })
}

/** What a function of our user threw. */
export function asHandlerError(cause: unknown, handler: string): PerkunasError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new PerkunasError('HANDLER_FAILED', `${handler} failed: ${reason}`, { handler }, { cause })
}

/** What a commit threw. */
export function asStoreError(cause: unknown): PerkunasError {
  if (cause instanceof PerkunasError) return cause
  return new PerkunasError('STORE_FAILED', 'a commit failed', { operation: 'commit' }, { cause })
}
