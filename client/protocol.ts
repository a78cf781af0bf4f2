// How a ledger whose channels are not states that everybody signs brings its own way of agreeing on the next state.
//
// `Client` runs one protocol: the unanimous one, or the one of its backend. Whatever the protocol, users see proposals,
// updates and channels in the same form, and none of them sees another protocol's words.
import type { NamesOf } from '../channel/arguments.js'
import type { Capabilities, ChannelID, PerkunasError } from '../channel/index.js'
import type { Bus } from '../peer/index.js'
import type { Store } from '../persistence/index.js'
import type { Wallet } from '../wallet/index.js'
import type { Channel } from './channel.js'
import type { Clock, Entropy } from './environment.js'
import type { ChannelProposal } from './messages.js'
import {
  COMMON_NAMES,
  type CommonOptions,
  type ProposalOptions,
  type Timeouts,
  type UpdateRequest,
} from './options.js'
import type { ProposalDecision } from './sessions.js'
import type { Decision } from './world.js'

/** What a protocol has of its client: its means, and its user's answers. */
export interface ProtocolHost {
  readonly bus: Bus
  readonly store: Store
  readonly clock: Clock
  readonly entropy: Entropy
  readonly timeouts: Timeouts
  /** Asks our user. A handler that throws makes this throw or reject: answer that we can't decide now. */
  decideProposal(proposal: ChannelProposal): ProposalDecision | Promise<ProposalDecision>
  /** Asks our user. A handler that throws makes this throw or reject. */
  decideUpdate(update: UpdateRequest): Decision | Promise<Decision>
  /** A channel is open, or was brought back. */
  opened(channel: Channel): void
  /** Something went wrong that ends no call of our user's. */
  report(error: PerkunasError): void
  /** The protocol has stopped by itself and for good: nothing leaves any more, every call is answered with the error. */
  ended(error: PerkunasError): void
}

/** A protocol that runs. Its calls are those of `Client`, with the same promises. */
export interface RunningProtocol {
  /** As `Client.proposeChannel`. */
  propose(options: ProposalOptions): Promise<Channel>
  /** As `Client.channel`. */
  channel(id: ChannelID): Channel | undefined
  /** As `Client.channels`. */
  channels(): readonly Channel[]
  /** As `Client.restore`. */
  restore(): Promise<readonly Channel[]>
  /** Stops it; what stands on disk is enough to go on from. Calls under way are answered with CLOSED. Idempotent. */
  close(): Promise<void>
}

/** How the parties of a channel come to agree on the next state. */
export interface ChannelProtocol {
  /** Makes it run for a client. It hears its peers from now on, and does nothing else before `restore` or `propose`. */
  start(host: ProtocolHost): RunningProtocol
}

/** A ledger with a protocol of its own, whole. */
export interface ProtocolBackend {
  readonly capabilities: Capabilities
  readonly protocol: ChannelProtocol
  /** Stops background work. Idempotent. */
  close(): Promise<void>
}

/** What a client is made of on a ledger with a protocol of its own, which brings its keys with it. */
export interface ProtocolOptions extends CommonOptions {
  readonly backend: ProtocolBackend
  /** Not asked: such a backend holds its keys itself. */
  readonly wallet?: Wallet
}

/** The names of {@link ProtocolOptions}: what else clients may be made of has no meaning on such a ledger. */
export const PROTOCOL_NAMES: NamesOf<ProtocolOptions> = { ...COMMON_NAMES, backend: true, wallet: true }
