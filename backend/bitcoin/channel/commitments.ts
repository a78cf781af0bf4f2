// The two commitments of a channel by number, and the signer that makes them.
import type { CommitmentState, Signer } from '../keys/index.js'
import { revokedCount, type SignerState } from '../keys/index.js'
import type { MonitorTerms } from '../monitor/record.js'
import { type Book, commitmentOf, viewOf } from './book.js'
import { type ChannelState, isLive, type Live } from './state.js'
import type { ChannelEnv } from './step.js'
import { type ProposedTerms, type SideTerms, setupOf, type Terms } from './terms.js'

type WithBook = { readonly terms: Terms; readonly signer: SignerState; readonly book: Book }

/** The signer of a channel. */
export function signerOf(terms: ProposedTerms & { readonly remote: SideTerms }, env: ChannelEnv): Signer {
  return env.keys(terms.keyIndex).signer(setupOf(terms))
}

/** Our newest commitment that the peer signed. */
export function currentLocal({ terms, signer, book }: WithBook): CommitmentState {
  return commitmentOf(viewOf(book, 'local'), { number: signer.validated - 1n, funding: terms.funding })
}

/** The commitment of ours that the peer signs next, if `book` says that it did. */
export function nextLocal({ terms, signer, book }: WithBook): CommitmentState {
  return commitmentOf(viewOf(book, 'local'), { number: signer.validated, funding: terms.funding })
}

/** The peer's commitment that we sign next, if `book` says that we did. */
export function nextRemote({ terms, signer, book }: WithBook): CommitmentState {
  return commitmentOf(viewOf(book, 'remote'), { number: signer.signed, funding: terms.funding })
}

/**
 * Makes a part of what its next commitments need and is known already, for when there is nothing else to do. Changes no state.
 * It takes some kilobytes, which a channel that nobody has paid through yet does without.
 *
 * @returns whether anything was left to be made: then there may be more
 */
export function prepare(state: ChannelState, env: ChannelEnv): boolean {
  if (!isLive(state) || state.link.kind !== 'up' || state.phase === 'failed') return false
  if (state.signer.signed <= 1n) return false
  return signerOf(state.terms, env).prepare(state.signer, state.remoteNextPoint)
}

/** Whether the peer has not yet revoked what we replaced by our last signature. */
export function isAwaitingRevocation({ signer }: Pick<Live, 'signer'>): boolean {
  return signer.signed > revokedCount(signer) + 1n
}

/** What a monitor begins with. */
export function monitorTerms(terms: Terms): MonitorTerms {
  const { channelID, keyIndex, local, funding } = terms
  return { channelID, keyIndex, setup: setupOf(terms), basepoints: local.basepoints, funding }
}
