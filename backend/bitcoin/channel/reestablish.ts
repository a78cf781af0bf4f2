// After a reconnection: both say how far they are, and repeat exactly what the other one missed (BOLT 2, "Message
// Retransmission").
//
//     the peer expects as           it has                      we
//     next_commitment_number
//       signed                      everything                  –
//       signed - 1                  missed our last batch       repeat it as it was
//       0                           nothing                     fail: it asks us to
//       anything else               lost data, or lies          error, and stay
//     next_revocation_number
//       released                    everything                  –
//       released - 1                missed our last revocation  repeat it
//       0, and 1 above              says it lost all data       error, and hear it out: it asks us to close
//       more, with that secret      more than we know           we lost data: never publish, ask the peer to close
//       anything else               lost data, or lies          error, and stay
//
// Without proof nothing is closed: the peer can close by itself, and who only claims that we are behind gets nothing.

import type { FeatureName } from '../features.js'
import { revokedCount } from '../keys/index.js'
import { MAX_COMMITMENT_NUMBER } from '../script/index.js'
import type { ChannelReestablish } from '../wire/index.js'
import { dropUnsigned } from './book.js'
import { isAwaitingRevocation, signerOf } from './commitments.js'
import { errorMessage, failed, warned } from './failure.js'
import { fundedReady, readyMessage } from './ready.js'
import { isLive, type Live } from './state.js'
import { type ChannelEnv, type Effect, followed, type Step, send, tell, to } from './step.js'

const NO_SECRET = new Uint8Array(32)

/** The peer is there. */
export function connected(live: Live, features: readonly FeatureName[], env: ChannelEnv): Step {
  const { channelID, keyIndex } = live.terms
  const fresh: Live = { ...disconnected(live), features, link: { kind: 'reestablishing', ticks: 0 } }
  // Without any data it is what a channel with its first commitments says (BOLT 2, "Message Retransmission").
  const next = live.signer.validated === 0n ? 1n : live.signer.validated
  const reestablish = send({
    kind: 'channel_reestablish',
    channelID,
    nextCommitmentNumber: next,
    nextRevocationNumber: revokedCount(live.signer),
    yourLastPerCommitmentSecret: lastSecret(live),
    myCurrentPerCommitmentPoint: env.keys(keyIndex).commitmentPoint(next - 1n),
  })
  if (live.phase !== 'failed') return to(fresh, { effects: [reestablish] })
  const { cause, reason } = live.failure ?? { cause: undefined, reason: 'the channel failed' }
  const error = send(errorMessage(channelID, reason))
  // Who lost data must see so before it closes for our error. Who has not closes when it sees that we are behind, or when it
  // is asked to.
  const lost = cause === 'dataLoss' ? [tell({ kind: 'dataLoss', reason })] : []
  return to(fresh, { effects: [reestablish, error, ...lost] })
}

/**
 * `error` of a peer that has not told how far it is. It may know that we are behind: what we would publish for it could be
 * revoked. So that is waited for, and some blocks later done all the same.
 */
export function receivedEarlyError(live: Live, reason: string, { height }: ChannelEnv): Step {
  if (live.patience?.error !== undefined) return to(live)
  return to({ ...live, patience: { ...live.patience, error: { at: height, reason } } })
}

/** The peer is gone: what it did not sign never was, and a closing is negotiated anew. */
export function disconnected(live: Live): Live {
  const { signed, complete } = live.closing
  return {
    ...live,
    book: dropUnsigned(live.book),
    link: { kind: 'down' },
    closing: { signed, ...(complete === undefined ? {} : { complete }) },
  }
}

/** `channel_reestablish`. */
export function receivedReestablish(live: Live, message: ChannelReestablish, env: ChannelEnv): Step {
  if (live.link.kind !== 'reestablishing') return warned(live, 'channel_reestablish on a channel that is up')
  const step = compared(live, message, env)
  const { next } = step
  const { error } = live.patience ?? {}
  if (error === undefined || !isLive(next) || next.phase === 'failed') return step
  const { reason } = error
  return followed({ ...step, next }, (one) => failed(one, env, { cause: 'peerError', reason, silent: true }))
}

function compared(live: Live, message: ChannelReestablish, env: ChannelEnv): Step {
  const { nextCommitmentNumber, nextRevocationNumber, yourLastPerCommitmentSecret: secret } = message
  const { signed, released } = live.signer
  const keys = env.keys(live.terms.keyIndex)
  const isGenuine =
    nextRevocationNumber === 0n
      ? secret.every((byte) => byte === 0)
      : nextRevocationNumber <= MAX_COMMITMENT_NUMBER && keys.isSecret(nextRevocationNumber - 1n, secret)
  if (nextRevocationNumber > released && isGenuine) {
    const reason = 'the peer proved that we lost data; please close the channel'
    return failed(live, env, { cause: 'dataLoss', reason })
  }
  if (nextCommitmentNumber === 0n) {
    return failed(live, env, { cause: 'violation', reason: 'next_commitment_number is 0' })
  }
  const missedBatch = nextCommitmentNumber + 1n === signed && isAwaitingRevocation(live)
  const missedRevocation = nextRevocationNumber + 1n === released
  if (!isGenuine) return disagreed(live, 'your_last_per_commitment_secret is not ours')
  const fits =
    (nextCommitmentNumber === signed || missedBatch) &&
    (nextRevocationNumber === released || missedRevocation)
  if (!fits && nextCommitmentNumber === 1n && nextRevocationNumber === 0n) {
    const reason = 'the peer says that it lost its data'
    const error = send(errorMessage(live.terms.channelID, reason))
    return to(heard(live), { effects: [error, tell({ kind: 'disagreement', reason })] })
  }
  if (nextCommitmentNumber !== signed && !missedBatch)
    return disagreed(live, `next_commitment_number ${signed} expected`)
  if (nextRevocationNumber !== released && !missedRevocation)
    return disagreed(live, `next_revocation_number ${released} expected`)

  const revocation = missedRevocation ? [repeatedRevocation(live, env)] : []
  const batch =
    missedBatch && live.batch !== undefined ? [...live.batch.updates, live.batch.signed].map(send) : []
  const isFirst = nextCommitmentNumber === 1n && live.signer.validated === 1n
  const ready = isFirst && live.ready.isSent ? [send(readyMessage(live.terms, env))] : []
  const { local: scriptpubkey } = live.shutdown
  const shutdown: readonly Effect[] =
    scriptpubkey === undefined
      ? []
      : [send({ kind: 'shutdown', channelID: live.terms.channelID, scriptpubkey })]
  const effects: readonly Effect[] = [
    ...ready,
    ...(live.lastSent === 'revocation' ? [...batch, ...revocation] : [...revocation, ...batch]),
    // After the batch, which may hold HTLCs from before it.
    ...shutdown,
  ]
  const up: Live = { ...live, link: { kind: 'up', ticks: 0 } }
  return followed({ ...to(up, { effects }), next: up }, (next) => fundedReady(next, env))
}

function lastSecret({ signer }: Live): Uint8Array {
  // The one that came last is the one of the lowest index.
  const known = signer.secrets.entries.filter((one) => one !== undefined)
  const last = known.find(({ index }) => index === signer.secrets.next + 1n)
  return last?.secret ?? NO_SECRET
}

function repeatedRevocation({ terms, signer: record }: Live, env: ChannelEnv): Effect {
  const signer = signerOf(terms, env)
  const number = record.released - 1n
  return send({
    kind: 'revoke_and_ack',
    channelID: terms.channelID,
    perCommitmentSecret: signer.releaseSecret(record, number).secret,
    nextPerCommitmentPoint: signer.commitmentPoint(number + 2n),
  })
}

/** What the peer says does not fit, and that is all that it will say. */
function heard(live: Live): Live {
  return { ...live, link: { kind: 'reestablishing', ticks: 0, isHeard: true } }
}

function disagreed(live: Live, reason: string): Step {
  return to(heard(live), {
    effects: [
      send(errorMessage(live.terms.channelID, reason)),
      tell({ kind: 'disagreement', reason }),
      { kind: 'disconnect', reason },
    ],
  })
}
