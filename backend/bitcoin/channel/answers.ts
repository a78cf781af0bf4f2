// Which message is answered in which phase, and how: one table, so that nothing is left to chance.
//
//     handle   by the function of that message, which may still find fault with what it says
//     ignore   as if it had not come
//     warn     warning, and the connection is closed: after the next one both begin from what they signed
//     fail     error, and the channel ends
import type { LightningMessage } from '../wire/index.js'
import type { ChannelState } from './state.js'
import { isLive } from './state.js'

/** Messages that name a channel, and those that open one. */
export type ChannelMessageKind = Exclude<
  LightningMessage['kind'],
  | 'init'
  | 'ping'
  | 'pong'
  | 'peer_storage'
  | 'peer_storage_retrieval'
  | 'onion_message'
  | 'channel_announcement'
  | 'node_announcement'
  | 'channel_update'
  | 'query_short_channel_ids'
  | 'reply_short_channel_ids_end'
  | 'query_channel_range'
  | 'reply_channel_range'
  | 'gossip_timestamp_filter'
>

/** Where a channel stands, as far as messages are concerned: its phase, or that it is not connected. */
export type Situation = Exclude<ChannelState['phase'], never> | 'down' | 'reestablishing'

/** What is done with a message. */
export type Answer = 'handle' | 'ignore' | 'warn' | 'fail'

/** All situations. */
export const SITUATIONS: readonly Situation[] = [
  'opening',
  'asked',
  'accepted',
  'awaitingFunding',
  'awaitingFundingSigned',
  'down',
  'reestablishing',
  'awaitingReady',
  'normal',
  'shuttingDown',
  'negotiating',
  'failed',
  'closed',
]

/** What is not said of a situation: before anything is signed a stray message costs the attempt, later the connection. */
const OTHERWISE: Readonly<Record<Situation, Answer>> = {
  opening: 'fail',
  asked: 'fail',
  accepted: 'fail',
  awaitingFunding: 'fail',
  awaitingFundingSigned: 'fail',
  down: 'ignore',
  reestablishing: 'warn',
  awaitingReady: 'warn',
  normal: 'warn',
  shuttingDown: 'warn',
  negotiating: 'warn',
  failed: 'ignore',
  closed: 'ignore',
}

type Row = Readonly<Partial<Record<Situation, Answer>>>

const UP: readonly Situation[] = ['awaitingReady', 'normal', 'shuttingDown', 'negotiating']
const COMMITTED: readonly Situation[] = ['normal', 'shuttingDown', 'negotiating']
const CLOSING: readonly Situation[] = ['shuttingDown', 'negotiating']

function rows(situations: readonly Situation[], answer: Answer): Row {
  return Object.fromEntries(situations.map((one) => [one, answer]))
}

/** Updates and signatures before channel_ready break a rule that no reconnection mends. */
const UPDATE: Row = { ...rows(COMMITTED, 'handle'), awaitingReady: 'fail' }
/** Proposals that were not negotiated. */
const NEVER: Row = {}
/** Told and forgotten wherever it comes; nothing it says is an order. */
const TEXT: Row = rows(
  SITUATIONS.filter((one) => one !== 'closed' && one !== 'down'),
  'handle',
)

/** The table. A situation that a row lacks has what {@link OTHERWISE} says. */
export const ANSWERS: Readonly<Record<ChannelMessageKind, Row>> = {
  error: TEXT,
  warning: TEXT,
  // Again for the same temporary ID: BOLT 2 lets an opener start over after a reconnection, which ended the first.
  open_channel: {},
  accept_channel: { opening: 'handle' },
  funding_created: { accepted: 'handle' },
  funding_signed: { awaitingFundingSigned: 'handle' },
  channel_ready: rows(UP, 'handle'),
  channel_reestablish: { reestablishing: 'handle' },
  update_add_htlc: { ...UPDATE, negotiating: 'fail' },
  update_fulfill_htlc: { ...UPDATE, negotiating: 'fail' },
  update_fail_htlc: { ...UPDATE, negotiating: 'fail' },
  update_fail_malformed_htlc: { ...UPDATE, negotiating: 'fail' },
  // Of an opener that did not know yet that all is settled.
  update_fee: UPDATE,
  commitment_signed: UPDATE,
  revoke_and_ack: UPDATE,
  shutdown: rows(UP, 'handle'),
  closing_signed: rows(CLOSING, 'handle'),
  closing_complete: rows(CLOSING, 'handle'),
  closing_sig: rows(CLOSING, 'handle'),
  // Premature, or of a channel that we don't announce.
  announcement_signatures: rows(UP, 'ignore'),
  stfu: NEVER,
  open_channel2: NEVER,
  accept_channel2: NEVER,
  tx_add_input: NEVER,
  tx_add_output: NEVER,
  tx_remove_input: NEVER,
  tx_remove_output: NEVER,
  tx_complete: NEVER,
  tx_signatures: NEVER,
  tx_init_rbf: NEVER,
  tx_ack_rbf: NEVER,
  tx_abort: NEVER,
  splice_init: NEVER,
  splice_ack: NEVER,
  splice_locked: NEVER,
  start_batch: NEVER,
}

/** Where a channel stands. */
export function situationOf(state: ChannelState): Situation {
  if (!isLive(state) || state.phase === 'failed') return state.phase
  return state.link.kind === 'up' ? state.phase : state.link.kind
}

/** What is done with a message there. */
export function answerTo(situation: Situation, kind: ChannelMessageKind): Answer {
  return ANSWERS[kind][situation] ?? OTHERWISE[situation]
}

/** Whether a message is one of a channel at all. */
export function isChannelMessage(
  message: LightningMessage,
): message is LightningMessage & { readonly kind: ChannelMessageKind } {
  return message.kind in ANSWERS
}
