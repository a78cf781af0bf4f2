// How the suite for channels gets at clients on a ledger.
import type { Amount, Asset, Capabilities, Hex } from '../../channel/index.js'
import type { Client } from '../../client/index.js'
import type { PeerID } from '../../peer/index.js'

/** Somebody with a client, whose peers are the other parties of the world. */
export interface ChannelParty {
  readonly peer: PeerID
  /** The client that runs now. Its handlers are the suite's to set. */
  readonly client: Client
  /** Ends the client without a word, as a crash does; its store and its keys stay. */
  kill(): Promise<void>
  /** A new client on the same store and keys, connected again; the suite calls `restore`. */
  restart(): Promise<Client>
}

/** A ledger with clients on it. */
export interface ChannelWorld {
  readonly parties: readonly ChannelParty[]
  readonly asset: Asset
  /** A small amount of the asset of which each party owns at least 20, and which is above every limit of the ledger. */
  readonly unit: Amount
  /** How long the channels' disputes last, in the ledger's time. */
  readonly challengeDuration: bigint
  /** How long the tests' locks last, in the ledger's time; where `capabilities.locks` has any. */
  readonly lockDuration?: bigint
  /** What a party may lose, at most, to fees that the ledger takes in that asset; 0 where it takes none. */
  readonly costs: Amount
  /** What a party owns outside of channels, without fees that are paid in another asset. */
  balanceOf(party: number): Promise<Amount>
  /**
   * Lets the ledger go on by itself (`block`: what was sent gets onto it), or up to what somebody waits for (`deadline`).
   * The suite calls it again and again while something waits.
   */
  pass(until: 'block' | 'deadline'): Promise<void>
  /** The ledger's time now. */
  now(): Promise<bigint>
}

/** How the suite gets at clients on a ledger. */
export interface ChannelSetup<W extends ChannelWorld = ChannelWorld> {
  readonly capabilities: Capabilities
  /** Clients that share nothing with those of other tests. Transactions must get onto the ledger without being asked for. */
  setup(options: { readonly parties: number }): Promise<W>
  /** Closes everything of a world. */
  teardown(world: W): Promise<void>
}

/** A preimage and its SHA-256, for locks. */
export interface Secret {
  readonly preimage: Hex
  readonly hash: Hex
}
