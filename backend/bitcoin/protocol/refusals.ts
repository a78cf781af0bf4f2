// How calls of a Lightning channel's user are refused.
import { type ChannelID, type Index, PerkunasError } from '../../../channel/index.js'
import type { PeerID } from '../../../peer/index.js'
import type { PaymentFailure } from '../payments/index.js'

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

/** What we had of the channel is lost, and only its peer may end it. */
export function dataLoss(channel: ChannelID): PerkunasError<'DATA_LOSS'> {
  const message = `what we had of channel ${channel} is lost: the peer was asked to close it`
  return new PerkunasError('DATA_LOSS', message, { channel })
}

/** Its peer brought it in, or was to, and all that there was went with it. */
export function neverFunded(channel: ChannelID): PerkunasError<'FUNDING_FAILED'> {
  const message = `the funding of channel ${channel} never confirmed`
  return new PerkunasError('FUNDING_FAILED', message, { channel })
}

/** It is not to be settled with locks. @param count of those that are open */
export function lockedUp(channel: ChannelID, count: number): PerkunasError<'INVALID_TRANSITION'> {
  const rule = 'no open locks'
  const message = `${rule} expected in channel ${channel} to settle it, got ${count}`
  return new PerkunasError('INVALID_TRANSITION', message, { rule })
}

/** The other side has not done its part of a call in time. */
export function updateTimeout(
  call: string,
  {
    channel,
    version,
    participant,
    isConnected,
  }: {
    readonly channel: ChannelID
    readonly version: bigint
    readonly participant: Index
    readonly isConnected: boolean
  },
): PerkunasError<'UPDATE_TIMEOUT'> {
  const away = isConnected ? '' : ': it is not connected'
  const message = `participant ${participant} has not done its part of ${call} in channel ${channel} in time${away}`
  return new PerkunasError('UPDATE_TIMEOUT', message, { channel, version, waitingFor: [participant] })
}

/** A payment to the other side failed: by its will, or since the channel does not take it. */
export function notTaken(
  failure: PaymentFailure | undefined,
  { peer, participant }: { readonly peer: PeerID; readonly participant: Index },
): PerkunasError {
  if (failure?.kind === 'rejected' || failure?.kind === 'malformed') {
    const reason = `failure code ${failure.code}`
    const facts = { peer, participant, reason }
    return new PerkunasError('PEER_REJECTED', `${peer} has not taken it: ${reason}`, facts)
  }
  const rule = failure?.kind === 'noChannel' ? failure.rule : (failure?.kind ?? 'unknown')
  return new PerkunasError('INVALID_TRANSITION', `the channel does not take it: ${rule}`, { rule })
}
