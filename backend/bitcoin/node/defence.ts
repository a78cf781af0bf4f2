// A channel of which only the monitor can be read, or is known to be right: what its peer publishes is still punished and
// claimed, and preimages that it shows are still learned. Nothing is said to the peer, no commitment of ours is published, and
// no row of the channel is written but those of the monitor: whoever mends the others goes on with it.
//
// Why none of ours, not even at the deadline of an HTLC, although the monitor has our newest commitment with the peer's
// signatures. In a sound store its rows are of the same commit as the channel's, so they would say which one is not revoked. But
// only two records that agree show that (`restore.ts` compares `released` and `secrets` of both), and one of them can't be read,
// in a store that has just shown that it does not keep what was written: after a lost page, or when rows were put back from a
// copy, all rows of a monitor may be as they were earlier, each of them whole. The peer can't be asked: who gains by it says that
// it knows less than it does. A commitment that was revoked since costs the whole channel; an HTLC that is missed costs the HTLC.
// Where the signer's record can be read, and another row is damaged, it would be known; but that it was published would have to
// be written into that record beside rows that are to be mended, or whoever mends them goes on with a channel whose commitment
// is on its way. So our user is told instead by when the channel must be mended or closed by its peer (`lookout.ts`).
import type { PerkunasError } from '../../../channel/errors.js'
import type { PeerID } from '../../../peer/index.js'
import { recoveredChannel } from '../backup/channel.js'
import type { ChannelType } from '../channel-type.js'
import type { Monitor } from '../monitor/index.js'
import type { CommitmentFormat } from '../script/format.js'
import { blockHeight } from '../units.js'
import type { Entry } from './entries.js'

/** What is left of such a channel. */
export interface Defended {
  readonly keyIndex: bigint
  /** Node ID, if that can be read. */
  readonly peer?: PeerID
  readonly monitor: Monitor
  /** Why there is no more of it. */
  readonly error: PerkunasError
}

/** In place of a peer that can't be read. */
const NOBODY: PeerID = `0x${'00'.repeat(33)}`

/** Above what any signer remembers: what is claimed is on chain already, and nothing else is ever signed with this record. */
const LAST_STEP = 2n ** 64n - 1n

const COMMITMENTS: Readonly<Record<CommitmentFormat, ChannelType['commitments']>> = {
  static_remotekey: 'static_remotekey',
  anchors_zero_fee_htlc: 'anchors',
  zero_fee: 'zero_fee',
}

/** The channel as its node holds it: at a standstill but for its monitor. @param destination where its money goes */
export function defendedEntry(
  { keyIndex, peer = NOBODY, monitor: found, error }: Defended,
  destination: Uint8Array,
): Entry {
  const { terms, secrets, failure } = found.known
  const { setup, funding, basepoints } = terms
  const { state } = recoveredChannel(
    {
      peer,
      keyIndex,
      temporaryID: terms.channelID,
      opener: setup.opener,
      type: { commitments: COMMITMENTS[setup.format], scidAlias: false, zeroconf: false },
      capacity: funding.amount,
      funding: funding.outpoint,
      basepoints: setup.remote,
      delays: setup.toSelfDelay,
    },
    { basepoints, destination, height: blockHeight(0) },
  )
  const published = failure?.publish?.number ?? state.signer.published
  const signer = {
    ...state.signer,
    step: LAST_STEP,
    secrets,
    ...(published === undefined ? {} : { published }),
  }
  const shown = { ...state, signer }
  const monitor = unpublished(found)
  return {
    keyIndex,
    peer,
    state: shown,
    monitor,
    watched: new Set(),
    revoked: [],
    written: { state: shown, monitor },
    shown,
    funding: undefined,
    place: undefined,
    stopped: error,
  }
}

/** Without what is to be published of ours: that it is not revoked only the signer's record says. Its row stays as it is. */
function unpublished(monitor: Monitor): Monitor {
  const { failure } = monitor.known
  return failure === undefined
    ? monitor
    : { ...monitor, known: { ...monitor.known, failure: { cause: failure.cause } } }
}
