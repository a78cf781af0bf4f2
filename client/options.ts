// What a client is given and asked for: its means, proposals, and the answers of its user.

import { demandNames, demandObject, type NamesOf } from '../channel/arguments.js'
import type {
  Address,
  AddressMap,
  Allocation,
  AppID,
  AppResolver,
  Backend,
  Balances,
  Hex,
  State,
} from '../channel/index.js'
import type { Bus, PeerID } from '../peer/index.js'
import type { Leases, Store } from '../persistence/index.js'
import type { Wallet } from '../wallet/index.js'
import type { Channel } from './channel.js'
import type { Clock, Entropy } from './environment.js'
import type { ChannelProposal } from './messages.js'
import type { ProposalDecision } from './sessions.js'
import type { Watcher } from './watcher.js'
import type { Decision } from './world.js'

/** How long others get for their part, in milliseconds. */
export interface Timeouts {
  /** For a proposal, from the first message to the last signature; funding has the ledger's own deadline. */
  readonly proposal: number
  /** For an update. */
  readonly update: number
  /** For their part of a cooperative settlement, before we go on alone. */
  readonly settlement: number
}

/** The timeouts that a client has unless told otherwise. */
export const defaultTimeouts: Timeouts = { proposal: 60_000, update: 30_000, settlement: 10_000 }

/** What a client is made of, whatever its ledger. */
export interface CommonOptions {
  /** Our identity and our peers. */
  readonly bus: Bus
  readonly store: Store
  readonly timeouts?: Partial<Timeouts>
  readonly clock?: Clock
  readonly entropy?: Entropy
}

/** What a client is made of. */
export interface ClientOptions extends CommonOptions {
  /** The ledger: its rules, its Funder and its Adjudicator. */
  readonly backend: Backend
  readonly wallet: Wallet
  /**
   * Where several processes share the keys and the store of one client: the store's leases. Each peer is then served
   * by one process, which has all channels with it. A peer that reaches another process is sent away, and should know
   * the addresses of all processes, or one that leads to each of them in turn; likewise `proposeChannel` throws
   * SERVED_ELSEWHERE. When a process is gone, the others take over its channels, which come by `newChannels$`. Each
   * process needs an account of its own to pay for transactions, or their numbers would collide.
   */
  readonly leases?: Leases
  /** Which of the wallet's addresses we are by default; otherwise its first, or a new one. */
  readonly address?: Address
  /** The apps that our channels may have, besides none. */
  readonly apps?: AppResolver
  /** Sees what happens on the ledger; by default one in this process. */
  readonly watcher?: Watcher
  /**
   * How many channels without anything to do are kept running, 256 by default: each takes some 20 kB, against half of
   * one at rest, and saves the 0.1 ms of waking it up.
   */
  readonly warmChannels?: number
}

/** A channel that we want. */
export interface ProposalOptions {
  /** The other participants' network identities; participant 0 is us. */
  readonly peers: readonly PeerID[]
  /** Assets and everybody's initial balances, by asset, then by participant. */
  readonly allocation: Pick<Allocation, 'assets' | 'balances'>
  /**
   * How long an old state may be refuted, in the ledger's unit (`Capabilities.clock`). Where each side names its own, a channel
   * has the longest of them: `Channel.params` says which it became.
   */
  readonly challengeDuration: bigint
  /** Who brings what in; by default everybody the own initial balance. Sums must be the balances'. */
  readonly agreement?: Balances
  readonly app?: AppID
  /** The app's initial data. */
  readonly data?: Hex
  readonly aux?: Hex
  /** With which of our wallet's addresses; by default the client's. */
  readonly participant?: AddressMap
  /** Ends the call with ABORTED. Before everybody has signed it ends the proposal; later the channel is opened all the same. */
  readonly signal?: AbortSignal
}

/** The names of {@link CommonOptions}. */
export const COMMON_NAMES: NamesOf<CommonOptions> = {
  bus: true,
  store: true,
  timeouts: true,
  clock: true,
  entropy: true,
}
/** The names of {@link ClientOptions}. */
export const CLIENT_NAMES: NamesOf<ClientOptions> = {
  ...COMMON_NAMES,
  backend: true,
  wallet: true,
  leases: true,
  address: true,
  apps: true,
  watcher: true,
  warmChannels: true,
}
/** The names of {@link ProposalOptions}. */
export const PROPOSAL_NAMES: NamesOf<ProposalOptions> = {
  peers: true,
  allocation: true,
  challengeDuration: true,
  agreement: true,
  app: true,
  data: true,
  aux: true,
  participant: true,
  signal: true,
}
/** What an allocation may say that is proposed. */
export const ALLOCATION_NAMES: NamesOf<Allocation> = { assets: true, balances: true, locked: true }

/** Says what we think of a proposal: `accept()` or `reject(reason)`. */
export type ProposalHandler = (proposal: ChannelProposal) => ProposalDecision | Promise<ProposalDecision>

/** A state that a participant proposes. */
export interface UpdateRequest {
  readonly channel: Channel
  readonly current: State
  readonly proposed: State
  /** The index of who proposes it. */
  readonly actor: number
}

/** Says what we think of a proposed state: `accept()` or `reject(reason)`. It has passed all rules already. */
export type UpdateHandler = (update: UpdateRequest) => Decision | Promise<Decision>

const ACCEPT_NAMES: NamesOf<{ readonly participant?: AddressMap }> = { participant: true }

/** A handler's yes. @throws PerkunasError INVALID_ARGUMENT if an option is unknown */
export function accept(
  options: { readonly participant?: AddressMap } | ChannelProposal | UpdateRequest = {},
): ProposalDecision & { readonly accept: true } {
  demandObject(options, 'options')
  // `handleProposals(accept)` hands in the proposal, whose participant is its proposer.
  const isRequest = 'kind' in options || 'proposed' in options
  if (!isRequest) demandNames(options, ACCEPT_NAMES)
  const participant = !isRequest && 'participant' in options ? options.participant : undefined
  return { accept: true, ...(participant && { participant }) }
}

/** A handler's no, with what the others are told (up to 200 characters). */
export function reject(reason: string): { readonly accept: false; readonly reason: string } {
  return { accept: false, reason }
}
