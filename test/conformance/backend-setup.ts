// How the suite for backends gets at a ledger.
import type {
  AddressMap,
  AppID,
  Asset,
  Backend,
  Capabilities,
  Hex,
  Index,
  State,
  StateApp,
} from '../../channel/index.js'

/** Somebody who takes part in the tests' channels. */
export interface BackendParty {
  readonly backend: Backend
  /** Its address as a participant. */
  readonly participant: AddressMap
  /** Signs as that participant. */
  sign(message: Uint8Array): Hex | Promise<Hex>
  /** A backend as after a crash: same accounts, same ledger, and nothing in memory. Closed by `teardown`. */
  restart(): Promise<Backend>
}

/** A ledger with parties on it. */
export interface BackendWorld {
  readonly parties: readonly BackendParty[]
  /** At least two, of which each party owns at least 1000 units. */
  readonly assets: readonly Asset[]
  /** Lets at least that much time of the ledger's clock pass, and mines a block that shows it. */
  advance(duration: bigint): Promise<void>
  /** Mines blocks. */
  mine(blocks: number): Promise<void>
  /** What a party owns outside of channels, at the newest block. Leave out what its transactions cost. */
  balanceOf(party: number, asset: Asset): Promise<bigint>
}

/** An app whose steps the ledger can enforce, for the tests of forced progression. */
export interface AppFixture {
  /** The app; its ID is where the ledger knows it. */
  readonly app: StateApp
  /** Data of an initial state. */
  readonly data: Hex
  /** A state that `actor` may turn `from` into, where everybody owns something in `from`. */
  step(from: State, actor: Index): State
  /** A state that keeps all generic rules and that the app refuses. */
  badStep(from: State, actor: Index): State
}

/** How the suite gets at a ledger. */
export interface BackendSetup<W extends BackendWorld = BackendWorld> {
  /** What the backends of `setup` can do; `finalityDepth` may be what is asked for. */
  readonly capabilities: Capabilities
  /**
   * A ledger with that many parties, who share nothing with those of other tests. Transactions must be mined without
   * being asked for, soon.
   */
  setup(options: { readonly parties: number; readonly finalityDepth: number }): Promise<W>
  /** Closes everything of a world. */
  teardown(world: W): Promise<void>
  /** Replaces the last blocks by empty ones; what was in them may come back or not. Leave it out where it can't be. */
  reorg?(world: W, depth: number): Promise<void>
  /** Where {@link Capabilities.apps}. */
  readonly app?: (world: W) => AppFixture
  /** Some app's ID that is well-formed on this ledger. */
  readonly anyApp: AppID
  /** Well-formed addresses of strangers, different for each number; nobody has to own them. */
  stranger(index: number): AddressMap
  /** Other forms of a valid signature that the ledger refuses: see {@link ecdsaTwins}. */
  twins?(signature: Hex): readonly Hex[]
}
