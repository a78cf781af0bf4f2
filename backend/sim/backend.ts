// The simulated ledger as one party uses it.
import { demandNames, type NamesOf } from '../../channel/arguments.js'
import {
  type Address,
  type Backend,
  type Capabilities,
  type LedgerRules,
  PerkunasError,
} from '../../channel/index.js'
import type { Wallet } from '../../wallet/index.js'
import { SimAdjudicator } from './adjudicator.js'
import { SimFunder } from './funder.js'
import { SimLedger } from './ledger.js'
import { SimNode } from './node.js'
import { simCapabilities, simRules } from './rules.js'

/** Whose backend it is. */
export interface SimBackendOptions {
  /** The ledger, or the node to reach it by, which a test may stop. */
  readonly ledger: SimLedger | SimNode
  /** Pays the deposits and sends the transactions. */
  readonly account: Address
  /** Keeps the accounts that are participants of channels. */
  readonly wallet: Pick<Wallet, 'account'>
  /** Whom our shares are paid to; `account` if it is left out. */
  readonly receiver?: Address
  /** How many blocks deep something must lie to be final; 1 if it is left out. */
  readonly finalityDepth?: number
  /** Whether to deposit only after all participants before us have; false if it is left out. */
  readonly fundInOrder?: boolean
}

const OPTION_NAMES: NamesOf<SimBackendOptions> = {
  ledger: true,
  account: true,
  wallet: true,
  receiver: true,
  finalityDepth: true,
  fundInOrder: true,
}

/** {@link Backend} on a {@link SimLedger}. */
export class SimBackend implements Backend {
  readonly capabilities: Capabilities
  readonly rules: LedgerRules
  readonly funder: SimFunder
  readonly adjudicator: SimAdjudicator
  /** The connection to the ledger. */
  readonly node: SimNode
  readonly #closing = new AbortController()

  /** @throws PerkunasError INVALID_ARGUMENT if an option is unknown */
  constructor(options: SimBackendOptions) {
    demandNames(options, OPTION_NAMES)
    const { account, wallet, receiver = account, finalityDepth = 1, fundInOrder: inOrder = false } = options
    const node = options.ledger instanceof SimLedger ? new SimNode(options.ledger) : options.ledger
    const closed = this.#closing.signal
    this.node = node
    this.capabilities = simCapabilities(finalityDepth)
    this.rules = simRules((asset) => node.knows(asset))
    this.funder = new SimFunder({ node, account, finalityDepth, inOrder, closed })
    this.adjudicator = new SimAdjudicator({ node, account, wallet, receiver, finalityDepth, closed })
  }

  /** Ends all subscriptions, and all calls that wait with CLOSED. */
  async close(): Promise<void> {
    this.#closing.abort(new PerkunasError('CLOSED', 'the backend was closed', { what: 'backend' }))
  }
}
