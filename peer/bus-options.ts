// What a bus over connections is made of, and what it puts up with.
import type { NamesOf } from '../channel/arguments.js'
import type { PerkunasError } from '../channel/errors.js'
import type { Clock } from './clock.js'
import type { ConnectionLimits } from './connection.js'
import type { Init } from './framing.js'
import type { Identity, PeerID } from './identity.js'
import type { Dialer } from './stream.js'

/** What a bus puts up with, beside the limits of each connection. Times in milliseconds. */
export interface BusLimits {
  /** Connections with peers that we neither want nor dialled. */
  readonly maxIncoming: number
  /** Incoming streams whose peer has not introduced itself yet, authenticated or not; one more closes the oldest. */
  readonly maxHandshakes: number
  /** First wait before a wanted connection is tried again; doubles, with jitter. */
  readonly backoffMin: number
  readonly backoffMax: number
  /** A connection that lived as long makes the next wait short again. */
  readonly stableAfter: number
}

/** What applies unless something else is said. */
export const BUS_LIMITS: BusLimits = {
  maxIncoming: 1024,
  maxHandshakes: 64,
  backoffMin: 200,
  backoffMax: 30_000,
  stableAfter: 10_000,
}

/** What a bus is made of. */
export interface PeerBusOptions {
  readonly identity: Identity
  /** Tried for addresses of their scheme; the first one also for addresses without one. */
  readonly dialers?: readonly Dialer[]
  /**
   * Where peers can be dialled, by their ID; several addresses of one, separated by commas, are dialled in turn. Read
   * once; `connect` tells of more.
   */
  readonly addresses?: Readonly<Record<PeerID, string>>
  readonly limits?: Partial<BusLimits & ConnectionLimits>
  /** Feature bits and chains for `init`; none if absent. */
  readonly init?: Pick<Init, 'features' | 'networks'>
  /** Even feature bits of peers that we can live with. */
  readonly understands?: (feature: number) => boolean
  readonly clock?: Clock
  /** From 0 to 1, for jitter. */
  readonly random?: () => number
  /** Is told why a connection, opened or not, came to its end; for logs. `peer` is absent before authentication. */
  readonly onFailure?: (peer: PeerID | undefined, error: PerkunasError) => void
}

/** The names of {@link PeerBusOptions}. */
export const BUS_NAMES: NamesOf<PeerBusOptions> = {
  identity: true,
  dialers: true,
  addresses: true,
  limits: true,
  init: true,
  understands: true,
  clock: true,
  random: true,
  onFailure: true,
}
/** The names of what it is to say in `init`. */
export const INIT_NAMES: NamesOf<NonNullable<PeerBusOptions['init']>> = { features: true, networks: true }
