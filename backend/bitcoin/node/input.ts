// All that can happen to a node.
import type { PeerID } from '../../../peer/index.js'
import type { Block, BlockID, ChainCursor, ChainEvent, FeeTable } from '../chain/index.js'
import type { ChannelInput, FeeEstimates, OpenRequest } from '../channel/index.js'
import type { FeatureName } from '../features.js'
import type { MonitorInput } from '../monitor/index.js'
import type { LightningMessage } from '../wire/index.js'
import type { NodeEffect } from './effects.js'
import type { FundingChild, OwnFunding } from './entries.js'
import type { Consequence } from './switch.js'

/** See above. */
export type NodeInput =
  | {
      readonly kind: 'peerUp'
      readonly peer: PeerID
      /** Counts the connections: messages go over the one for which they were made. */
      readonly connection: number
      readonly features: readonly FeatureName[]
      /** What it gave us to keep. */
      readonly stored?: Uint8Array
    }
  | { readonly kind: 'peerDown'; readonly peer: PeerID }
  | { readonly kind: 'message'; readonly peer: PeerID; readonly message: LightningMessage }
  | {
      readonly kind: 'connected'
      readonly block: Block
      /** No other block follows at once. */
      readonly isTip: boolean
      readonly cursor: ChainCursor
    }
  | { readonly kind: 'disconnected'; readonly block: BlockID; readonly cursor: ChainCursor }
  /** A block that only one channel has not seen yet. */
  | { readonly kind: 'rescanned'; readonly channel: bigint; readonly event: ChainEvent }
  | { readonly kind: 'fees'; readonly table: FeeTable; readonly channels: FeeEstimates }
  /** How far the chain can be relied on from now on. */
  | { readonly kind: 'chain'; readonly isSynced: boolean; readonly isCatchingUp: boolean }
  /** A backup of ours has channels that we know nothing of. */
  | {
      readonly kind: 'behind'
      readonly peer: PeerID
      readonly connection: number
      readonly missing: readonly bigint[]
      readonly backup: Uint8Array
    }
  | { readonly kind: 'tick' }
  /** What was to be said to a peer can't be. */
  | {
      readonly kind: 'unsaid'
      readonly peer: PeerID
      readonly message: LightningMessage
      readonly cause: unknown
    }
  /** To one channel, if it is still there. */
  | { readonly kind: 'channel'; readonly channel: bigint; readonly input: ChannelInput }
  /** To its monitor. */
  | { readonly kind: 'monitor'; readonly channel: bigint; readonly input: MonitorInput }
  | {
      readonly kind: 'funded'
      readonly channel: bigint
      readonly funding: OwnFunding
      readonly index: number
    }
  /** The wallet has signed a child of a channel's funding, in place of the one before. */
  | { readonly kind: 'fundingChild'; readonly channel: bigint; readonly child: FundingChild }
  /** Our user's: runs within the turn. What it throws is its own answer. */
  | { readonly kind: 'command'; readonly run: (commands: Commands) => void }

/** What our user's command may do in its turn. */
export interface Commands {
  /**
   * Opens a channel to a peer that is connected.
   *
   * @returns its key index
   * @throws PerkunasError INVALID_PARAMS, PEER_UNREACHABLE; LEDGER_UNREACHABLE while the chain is not known up to now
   */
  open(peer: PeerID, request: Omit<OpenRequest, 'keyIndex' | 'features'>): bigint
  /**
   * Hands a command to a channel.
   *
   * @throws PerkunasError UNKNOWN_CHANNEL, or why it can't be done
   */
  command(keyIndex: bigint, input: ChannelInput): void
  /** Our user said where a peer is. */
  moved(peer: PeerID): void
  /** Follows what our user commanded of whoever decides about HTLCs. */
  follow(consequence: Consequence): void
  /** Says everything again that may not have been said before a restart. */
  resume(): void
  /** What is to happen when the turn is durable. */
  effect(effect: NodeEffect): void
}
