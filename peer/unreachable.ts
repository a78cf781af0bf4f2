// Why there is no connection with a peer: the reason for programs, a sentence for people.
import { isError, PerkunasError, type UnreachableReason } from '../channel/errors.js'
import type { PeerID } from './identity.js'

/** The error for a peer without a connection; `why` goes on after "no connection with 0x02…: ". */
export function unreachable(
  peer: PeerID,
  reason: UnreachableReason,
  why: string,
  cause?: unknown,
): PerkunasError<'PEER_UNREACHABLE'> {
  const options = cause === undefined ? {} : { cause }
  return new PerkunasError(
    'PEER_UNREACHABLE',
    `no connection with ${peer}: ${why}`,
    { peer, reason },
    options,
  )
}

/** What dialling an address came to, as whoever wants to send is told. */
export function failedDial(peer: PeerID, address: string, cause: unknown): PerkunasError<'PEER_UNREACHABLE'> {
  if (isError(cause, 'PEER_UNREACHABLE')) return cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  if (isError(cause, 'INVALID_ARGUMENT')) {
    return unreachable(peer, 'badAddress', `${address} is no address: ${reason}`, cause)
  }
  if (isError(cause, 'HANDSHAKE_FAILED') || isError(cause, 'PEER_MISBEHAVED')) {
    return unreachable(peer, 'handshakeFailed', `somebody is at ${address}, but ${reason}`, cause)
  }
  return unreachable(peer, 'failed', `dialling ${address}: ${reason}`, cause)
}
