// What goes wrong around a node, as errors with a code.
import { invalidArgument } from '../../../channel/arguments.js'
import { PerkunasError } from '../../../channel/errors.js'
import { faultOfPeerID } from '../../../peer/index.js'

/** No channel has that name, or none any more. */
export function unknownChannel(channel: bigint): PerkunasError<'UNKNOWN_CHANNEL'> {
  const message = `there is no channel ${channel}`
  return new PerkunasError('UNKNOWN_CHANNEL', message, { channel: `0x${channel.toString(16)}` })
}

/** The chain is not known up to now: what should be done on it may be wrong by now, or never be seen. */
export function notSynced(what: string): PerkunasError<'LEDGER_UNREACHABLE'> {
  const message = `${what}: the chain is not known up to now`
  return new PerkunasError('LEDGER_UNREACHABLE', message, { ledger: 'bitcoin' })
}

/** @throws PerkunasError INVALID_ARGUMENT if it is no name of a channel */
export function demandChannel(channel: unknown): void {
  if (typeof channel === 'bigint') return
  throw invalidArgument('channel', 'the name of a channel here, a bigint')
}

/** @throws PerkunasError INVALID_ARGUMENT if it is no node ID, or the address no text */
export function demandPeer(peer: unknown, address: unknown): void {
  const fault = faultOfPeerID(peer)
  if (fault !== undefined) throw new PerkunasError('INVALID_ARGUMENT', fault, { argument: 'peer' })
  if (address !== undefined && typeof address !== 'string') throw invalidArgument('address', 'text')
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
