// What a node is made of, and what our user decides.
import {
  demandFunction,
  demandMethods,
  demandNames,
  demandObject,
  invalidArgument,
  type NamesOf,
} from '../../../channel/arguments.js'
import type { Hex } from '../../../channel/bytes.js'
import type { Clock, PeerID } from '../../../peer/index.js'
import type { Store } from '../../../persistence/index.js'
import { admissionLimits } from '../channel/admission.js'
import { channelPolicy } from '../channel/checks.js'
import type { AdmissionLimits, Asked, ChannelPolicy } from '../channel/index.js'
import type { StepCounter } from '../keys/index.js'
import type { ResolverPolicy } from '../monitor/index.js'
import { type PaymentsPolicy, paymentsPolicy } from '../payments/index.js'
import { resolverPolicy } from '../resolver/policy.js'
import type { BlockDelta, FeeratePerKw, Msat, Sat } from '../units.js'
import type { OnchainWallet } from '../wallet/index.js'
import type { NodeBus, NodeChain } from './ports.js'
import type { HtlcSwitch } from './switch.js'

/** What a node is made of. The node closes none of it. */
export interface LightningNodeOptions {
  /** With `init` and `understands` of `lightningInit`. */
  readonly bus: NodeBus
  /** One store for one node: its keys begin with `lightning`. */
  readonly store: Store
  readonly chain: NodeChain
  readonly wallet: Pick<
    OnchainWallet,
    'balance' | 'changeScript' | 'fund' | 'reserveInputs' | 'sign' | 'published' | 'reservations' | 'release'
  >
  /** All keys of channels come from it: 16 bytes or more. Who loses it loses the money. */
  readonly seed: Uint8Array
  readonly policy?: Partial<ChannelPolicy>
  readonly admission?: Partial<AdmissionLimits>
  /** What monitors go by on chain. */
  readonly resolver?: Partial<ResolverPolicy>
  /** What becomes of payments. */
  readonly payments?: Partial<PaymentsPolicy>
  /** What decides about HTLCs, if not the node's own payments. */
  readonly htlcs?: HtlcSwitch
  /** What signers remember beside the store; see `StepCounter`, `fileCounter`. By default what this process has seen. */
  readonly steps?: StepCounter
  /**
   * Keeps a backup, see {@link LightningNode.recover}: when the node starts with channels, and whenever one begins or is
   * over, one after the other. What a new channel leads to waits for its promise: no money is in a channel of which there is
   * no backup. All other channels go on meanwhile. If it throws, that is reported and the node goes on.
   */
  readonly onBackup?: (backup: Uint8Array) => void | Promise<void>
  readonly clock?: Clock
  /** Unix time in milliseconds, for what invoices say. */
  readonly now?: () => number
  /** Calls back soon, other tasks in between: turns of the node are apart by it. By default the event loop's next turn. */
  readonly schedule?: (task: () => void) => void
  /** Random bytes. */
  readonly entropy?: (bytes: number) => Uint8Array
}

/** The names of {@link LightningNodeOptions}. */
export const NODE_NAMES: NamesOf<LightningNodeOptions> = {
  bus: true,
  store: true,
  chain: true,
  wallet: true,
  seed: true,
  policy: true,
  admission: true,
  resolver: true,
  payments: true,
  htlcs: true,
  steps: true,
  onBackup: true,
  clock: true,
  now: true,
  schedule: true,
  entropy: true,
}

/**
 * Holds all of our user's choices against what can be meant, before anything is read, written or said.
 *
 * @throws PerkunasError INVALID_ARGUMENT
 */
export function demandOptions(options: LightningNodeOptions): void {
  demandNames(options, NODE_NAMES)
  demandMeans(options)
  demandObject(options.bus, 'options.bus')
  demandMethods(options.store, 'options.store', ['get', 'scan', 'commit'])
  channelPolicy(options.policy)
  admissionLimits(options.admission)
  resolverPolicy(options.resolver)
  paymentsPolicy(options.payments)
}

/**
 * Holds what a node does its work by against what it must be.
 *
 * @throws PerkunasError INVALID_ARGUMENT
 */
export function demandMeans(
  options: Pick<LightningNodeOptions, 'chain' | 'wallet' | 'seed' | 'steps' | 'onBackup'>,
): void {
  demandObject(options, 'options')
  const { chain, wallet, seed, steps, onBackup } = options
  demandMethods(chain, 'options.chain', ['follow', 'broadcast', 'feeTable'])
  demandMethods(wallet, 'options.wallet', ['balance', 'changeScript', 'fund', 'reserveInputs', 'sign'])
  if (!(seed instanceof Uint8Array) || seed.length < 16)
    throw invalidArgument('options.seed', '16 bytes or more')
  if (steps !== undefined) demandMethods(steps, 'options.steps', ['load', 'store'])
  if (onBackup !== undefined) demandFunction(onBackup, 'options.onBackup')
}

/** A channel to be opened. */
export interface OpenOptions {
  /** Node ID. */
  readonly peer: PeerID
  /** Where it is, if the bus does not know; remembered. */
  readonly address?: string
  readonly capacity: Sat
  /** A gift to the peer. */
  readonly push?: Msat
  readonly feerate?: FeeratePerKw
  readonly isAnnounced?: boolean
  /** What its commitments look like (BOLT 2, "Defined Channel Types"); by default anchors, if both can. */
  readonly type?: InboundChannel['type']
  /** Blocks that the peer's share waits if it closes alone; by default the policy's. */
  readonly toSelfDelay?: BlockDelta
  /** Where we are paid to when it closes in agreement; by default a script of the wallet. */
  readonly shutdownScript?: Uint8Array
  /** Say the script now, so that nobody can change it later, not even we. */
  readonly isUpfront?: boolean
  /**
   * Demand of the peer that it uses the channel before its funding is confirmed, or refuses it. Both must show
   * `option_zeroconf`. Without it that is the peer's to decide, and some do if they trust us.
   */
  readonly isZeroConf?: boolean
}

/** The names of {@link OpenOptions}. */
export const OPEN_NAMES: NamesOf<OpenOptions> = {
  peer: true,
  address: true,
  capacity: true,
  push: true,
  feerate: true,
  isAnnounced: true,
  type: true,
  toSelfDelay: true,
  shutdownScript: true,
  isUpfront: true,
  isZeroConf: true,
}

/** A channel that a peer wants to open to us. */
export interface InboundChannel {
  readonly channel: bigint
  /** Node ID. */
  readonly peer: PeerID
  readonly temporaryID: Hex
  readonly capacity: Sat
  /** What the peer gives us. */
  readonly push: Msat
  readonly feerate: FeeratePerKw
  readonly isAnnounced: boolean
  /** Blocks that our share waits if we close alone. */
  readonly toSelfDelay: number
  readonly type: Asked['terms']['type']
}

/** What our user says to it. */
export type OpenDecision =
  | {
      readonly accept: true
      readonly shutdownScript?: Uint8Array
      readonly isUpfront?: boolean
      /** Use it before its funding is confirmed: who opened it may still take that back. */
      readonly isZeroConf?: boolean
    }
  | { readonly accept: false; readonly reason: string }

/** The names of {@link OpenDecision}. */
export const DECISION_NAMES: NamesOf<OpenDecision> = {
  accept: true,
  shutdownScript: true,
  isUpfront: true,
  isZeroConf: true,
  reason: true,
}

/** Decides; what it throws counts as a refusal, as does a decision with a name that nobody knows. */
export type OpenHandler = (request: InboundChannel) => OpenDecision | Promise<OpenDecision>
