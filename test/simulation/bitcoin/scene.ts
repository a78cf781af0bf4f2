// What all in one simulation on Bitcoin share.
import type { Msat } from '../../../backend/bitcoin/units.js'
import type { PeerID } from '../../../peer/index.js'
import type { SimNetwork } from '../network.js'
import type { Random } from '../random.js'
import type { VirtualTime } from '../time.js'
import type { Calm } from './calm.js'
import type { BitcoinLedger } from './ledger.js'
import type { PaymentOracle } from './oracle.js'

/** The common ground of a run. */
export interface BitcoinScene {
  readonly time: VirtualTime
  readonly network: SimNetwork
  readonly ledger: BitcoinLedger
  readonly oracle: PaymentOracle
  readonly random: Random
  /** Who can expect to be undisturbed. */
  readonly calm: Calm
  /** The most dust that a party lets stand in a commitment, where there is much of it; as usual otherwise. */
  readonly maxDust: Msat | undefined
  /** The play is over: users agree to everything. */
  isEnding: boolean
  /** Nobody is away for longer than a moment any more. */
  isQuiet: boolean
  tell(words: string): void
  /** A cheat goes on chain now. */
  onCheat(): void
  isHonest(peer: PeerID): boolean
}

/** Satoshis that each party owns at the start, in coins of a tenth. */
export const WEALTH = 50_000_000n
