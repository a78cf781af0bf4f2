// The Ethereum backend: one deployment of the contracts on one chain, used by one party.
import { demandNames, type NamesOf } from '../../channel/arguments.js'
import {
  type Address,
  type Asset,
  type Backend,
  type CallOptions,
  type Capabilities,
  MIN_PARTICIPANTS,
  PerkunasError,
} from '../../channel/index.js'
import type { Wallet } from '../../wallet/index.js'
import { EthereumAdjudicator } from './adjudicator.js'
import { address, asset } from './assets.js'
import { CALL_NAMES } from './chain.js'
import { CONNECT_NAMES, type ConnectOptions, connectWith } from './connect.js'
import type { Deployment, Generation } from './contracts.js'
import { newDepositor } from './depositor.js'
import { EventFeed } from './events.js'
import { EthereumFunder, FUNDER_NAMES, type FunderOptions } from './funder.js'
import { CHALLENGE_DURATION, EthereumRules, MAX_ETHEREUM_ASSETS, MAX_ETHEREUM_PARTICIPANTS } from './rules.js'
import type { TransactionSender } from './transactions.js'
import { KNOWN_CONTRACTS, type KnownContracts, verifyContracts } from './verify.js'

/** Options of {@link EthereumBackend.connect}. */
export interface EthereumOptions extends ConnectOptions {
  /** The adjudicator's address, in any case. */
  readonly adjudicator: string
  /** The asset holders that channels may use. Each is checked; an asset of any other is refused in every state. */
  readonly holders: readonly string[]
  /** Signs for participants: closing and withdrawing. */
  readonly wallet: Pick<Wallet, 'account'>
  /** Where withdrawn funds go; the signer's address if not given. */
  readonly receiver?: string
  /** In seconds. */
  readonly challengeDuration?: Capabilities['challengeDuration']
  /** The block of the deployment: no event is looked for before it. The smaller, the longer a first search takes. */
  readonly firstBlock?: number
  /** Code that is trusted beside {@link KNOWN_CONTRACTS}. */
  readonly knownContracts?: KnownContracts
  readonly funding?: FunderOptions
}

const OPTION_NAMES: NamesOf<EthereumOptions> = {
  ...CONNECT_NAMES,
  adjudicator: true,
  holders: true,
  wallet: true,
  receiver: true,
  challengeDuration: true,
  firstBlock: true,
  knownContracts: true,
  funding: true,
}

/** A backend on one chain. Two parties in one process have one each. */
export class EthereumBackend implements Backend {
  readonly capabilities: Capabilities
  readonly rules: EthereumRules
  readonly funder: EthereumFunder
  readonly adjudicator: EthereumAdjudicator
  readonly #feed: EventFeed

  private constructor(
    readonly deployment: Deployment,
    challengeDuration: Capabilities['challengeDuration'],
    funding: FunderOptions,
  ) {
    const { chain, holders, generation } = deployment
    this.rules = new EthereumRules({ chainID: chain.id, holders, challengeDuration })
    this.capabilities = capabilitiesOf({ generation, challengeDuration, finalityDepth: chain.finalityDepth })
    this.#feed = new EventFeed(deployment)
    this.funder = new EthereumFunder(deployment, newDepositor(deployment), funding)
    this.adjudicator = new EthereumAdjudicator(deployment, this.#feed)
  }

  /**
   * Connects to a chain and checks the contracts there.
   *
   * @throws PerkunasError LEDGER_UNREACHABLE, INVALID_CONTRACT, INVALID_ARGUMENT
   */
  static async connect(options: EthereumOptions, callOptions: CallOptions = {}): Promise<EthereumBackend> {
    demandNames(options, OPTION_NAMES)
    demandNames(callOptions, CALL_NAMES, 'callOptions')
    if (!Array.isArray(options.holders) || options.wallet === undefined) {
      const argument = options.wallet === undefined ? 'wallet' : 'holders'
      throw new PerkunasError('INVALID_ARGUMENT', `an Ethereum backend needs ${argument}`, { argument })
    }
    const adjudicator = address(options.adjudicator)
    const holders = options.holders.map(address)
    const { firstBlock = 0, challengeDuration = CHALLENGE_DURATION, funding = {} } = options
    demandNames(funding, FUNDER_NAMES, 'options.funding')
    demandNames(challengeDuration, CHALLENGE_DURATION, 'options.challengeDuration')
    if (!Number.isSafeInteger(firstBlock) || firstBlock < 0) {
      throw new PerkunasError('INVALID_ARGUMENT', `the height of a block expected, got ${firstBlock}`, {
        argument: 'firstBlock',
      })
    }
    const sender = await connectWith(options, callOptions)
    const { chain } = sender
    try {
      const known = { ...KNOWN_CONTRACTS, ...options.knownContracts }
      const verified = await verifyContracts(chain, { adjudicator, holders }, known, callOptions)
      const deployment: Deployment = {
        chain,
        sender,
        wallet: options.wallet,
        adjudicator,
        receiver: address(options.receiver ?? sender.address),
        firstBlock,
        ...verified,
      }
      return new EthereumBackend(deployment, challengeDuration, funding)
    } catch (error) {
      chain.close()
      throw error
    }
  }

  /** The asset that a holder of this chain keeps. */
  asset(holder: Address): Asset {
    return asset({ chainID: this.deployment.chain.id, holder })
  }

  /** Sends this backend's transactions; whoever sends others from the same account should use it, too. */
  get sender(): TransactionSender {
    return this.deployment.sender
  }

  async close(): Promise<void> {
    this.#feed.close()
    this.deployment.chain.close()
  }
}

/** What a deployment of that generation can do. */
export function capabilitiesOf(of: {
  readonly generation: Generation
  readonly challengeDuration: Capabilities['challengeDuration']
  readonly finalityDepth: number
}): Capabilities {
  const { generation, challengeDuration, finalityDepth } = of
  return Object.freeze({
    participants: { min: MIN_PARTICIPANTS, max: MAX_ETHEREUM_PARTICIPANTS },
    maxAssets: MAX_ETHEREUM_ASSETS,
    clock: 'seconds',
    challengeDuration,
    apps: true,
    checkpoint: generation === 'perkunas',
    cooperativeClose: generation === 'perkunas',
    subChannels: true,
    dispute: 'refutation',
    allocation: 'free',
    locks: [],
    updatesInFlight: 1,
    funding: 'each',
    finalityDepth,
  } as const)
}
