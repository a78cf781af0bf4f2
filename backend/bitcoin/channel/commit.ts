// commitment_signed and revoke_and_ack of the peer (BOLT 2, "Committing Updates So Far", "Completing the Transition to the
// Updated State").
//
// Our new commitment, with the peer's signatures, is in the record and in the monitor before the secret of the old one
// leaves: both come of the same step.
import { revokedCount } from '../keys/index.js'
import type { CommitmentSigned, RevokeAndAck } from '../wire/index.js'
import { type Advanced, advance } from './book.js'
import { currentLocal, isAwaitingRevocation, nextLocal, signerOf } from './commitments.js'
import { failed, guarded } from './failure.js'
import { canPay, mustFail } from './limits.js'
import type { Live } from './state.js'
import { type ChannelEnv, type Handoff, type Step, send, tell, to } from './step.js'

/** `commitment_signed`: checked, taken, and answered by the revocation of what it replaces. */
export function receivedCommitment(live: Live, message: CommitmentSigned, env: ChannelEnv): Step {
  const { book } = advance(live.book, { by: 'remote', what: 'signature' })
  if (live.terms.opener === 'remote' && book.changes.length > 0 && !canPay(live, book, 'local')) {
    return failed(live, env, { cause: 'violation', reason: 'the opener can not pay the fee it asked for' })
  }
  const signatures = { signature: message.signature, htlcSignatures: message.htlcSignature }
  return guarded(live, env, () => {
    const signer = signerOf(live.terms, env)
    const state = nextLocal({ ...live, book })
    const validated = signer.validateLocal(live.signer, state, signatures)
    const number = state.number - 1n
    const released = signer.releaseSecret(validated.next, number)
    const after = advance(book, { by: 'local', what: 'revocation' })
    const next: Live = {
      ...live,
      signer: released.next,
      book: after.book,
      signatures,
      lastSent: 'revocation',
    }
    return to(next, {
      monitor: [
        { kind: 'holder', state: currentLocal(next), signatures },
        { kind: 'released', number },
      ],
      handoffs: handoffsOf(next, after, env),
      effects: [
        send({
          kind: 'revoke_and_ack',
          channelID: live.terms.channelID,
          perCommitmentSecret: released.secret,
          nextPerCommitmentPoint: signer.commitmentPoint(number + 2n),
        }),
        ...feeEvents(live, next),
      ],
    })
  })
}

/** `revoke_and_ack`: what we signed last is the peer's only commitment now. */
export function receivedRevocation(live: Live, message: RevokeAndAck, env: ChannelEnv): Step {
  const { perCommitmentSecret: secret, nextPerCommitmentPoint } = message
  if (!isAwaitingRevocation(live)) {
    return failed(live, env, { cause: 'violation', reason: 'revoke_and_ack although nothing was signed' })
  }
  return guarded(live, env, () => {
    const number = revokedCount(live.signer)
    const { next: signer } = signerOf(live.terms, env).acceptSecret(live.signer, number, secret)
    const after = advance(live.book, { by: 'remote', what: 'revocation' })
    const { batch: _, ...rest } = live
    const next: Live = {
      ...rest,
      signer,
      book: after.book,
      remoteNextPoint: nextPerCommitmentPoint,
      link: live.link.kind === 'up' ? { kind: 'up', ticks: 0 } : live.link,
    }
    return to(next, {
      monitor: [{ kind: 'revoked', number, secret }],
      handoffs: handoffsOf(next, after, env),
      effects: feeEvents(live, next),
    })
  })
}

function handoffsOf(live: Live, { locked, gone }: Advanced, env: ChannelEnv): readonly Handoff[] {
  const isRefusing = locked.some(({ offerer }) => offerer === 'remote') ? mustFail(live, env) : undefined
  return [
    ...gone.map((htlc): Handoff => {
      const { offerer, removal, preimage } = htlc
      const isFailure = offerer === 'local' && preimage === undefined && removal !== undefined
      return isFailure ? { kind: 'failed', htlc, removal } : { kind: 'removed', htlc }
    }),
    ...locked.map((htlc): Handoff => {
      const why = htlc.offerer === 'remote' ? isRefusing?.(htlc) : undefined
      return { kind: 'locked', htlc, ...(why === undefined ? {} : { mustFail: why }) }
    }),
  ]
}

function feeEvents(before: Live, { book: { feerate } }: Live) {
  return feerate === before.book.feerate ? [] : [tell({ kind: 'feeChanged', feerate })]
}
