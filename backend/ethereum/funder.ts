// Funding a channel: each participant deposits its share of each asset, and waits until all have (Perun on Ethereum,
// "Fund"). Who has deposited what is read from the holders, not gathered from logs.

import { demandNames, type NamesOf } from '../../channel/arguments.js'
import {
  type Amount,
  type CallOptions,
  type ChannelID,
  type Funder,
  type FundingRequest,
  faultOfAgreement,
  type Index,
  isError,
  PerkunasError,
} from '../../channel/index.js'
import type { ReadOptions } from './chain.js'
import { addressOf, type Deployment, type Holder, holdings, ourHolders } from './contracts.js'
import type { Depositor } from './depositor.js'
import { becomesFinal, isFinal } from './finality.js'

/** Options of {@link EthereumFunder}. */
export interface FunderOptions {
  /**
   * Whether we deposit only when everybody else has. At most one participant of a channel may want that, or
   * nobody ever begins.
   */
  readonly last?: boolean | ((request: FundingRequest) => boolean)
}

/** The names of {@link FunderOptions}. */
export const FUNDER_NAMES: NamesOf<FunderOptions> = { last: true }

/** One participant's share of one asset that is not there yet. */
interface Missing {
  readonly asset: number
  readonly participant: Index
}

/** Funds channels on one chain. */
export class EthereumFunder implements Funder {
  /** One at a time for each channel looks at what is held and deposits. */
  readonly #turns = new Map<ChannelID, Promise<unknown>>()

  /** @throws PerkunasError INVALID_ARGUMENT if an option is unknown */
  constructor(
    readonly deployment: Deployment,
    readonly depositor: Depositor,
    readonly options: FunderOptions = {},
  ) {
    demandNames(options, FUNDER_NAMES)
  }

  async fund(request: FundingRequest, options: CallOptions = {}): Promise<void> {
    const fault = faultOfAgreement(request.state, request.agreement)
    if (fault) throw fault
    const { chain, sender } = this.deployment
    const started = await chain.head(options)
    const deadline = started.timestamp + request.params.challengeDuration
    const ending = new AbortController()
    const signal = options.signal ? AbortSignal.any([options.signal, ending.signal]) : ending.signal
    const ours = this.#inTurn(request.state.channelID, async () => {
      // A deposit of an earlier life of this process may be on its way: it must be seen before another is made.
      await sender.quiet({ signal })
      await this.#deposit(request, deadline, { signal })
    })
    try {
      await Promise.all([ours, this.#allFunded(request, { deadline, ours }, { signal })])
    } finally {
      ending.abort()
      ours.catch(() => undefined)
    }
  }

  async #inTurn(channelID: ChannelID, act: () => Promise<void>): Promise<void> {
    const before = this.#turns.get(channelID)
    const turn = (before ?? Promise.resolve()).then(act)
    const after = turn.catch(() => undefined)
    this.#turns.set(channelID, after)
    try {
      await turn
    } finally {
      if (this.#turns.get(channelID) === after) this.#turns.delete(channelID)
    }
  }

  /** Deposits our share of each asset, as far as it is not there. */
  async #deposit(request: FundingRequest, deadline: bigint, options: CallOptions): Promise<void> {
    const { last = false } = this.options
    const { chain } = this.deployment
    const { index } = request
    const areOthersIn = async (at: ReadOptions) =>
      (await this.#missing(request, at)).every(({ participant }) => participant === index)
    const isLast = typeof last === 'function' ? last(request) : last
    if (isLast) {
      await chain.until(async (head) => {
        if (await isFinal(chain, head, areOthersIn, options)) return true
        // The other waiter, who finds the same, says who is late.
        return head.timestamp >= deadline ? true : undefined
      }, options)
      if (!(await areOthersIn(options))) return
    }
    const outcomes = await Promise.allSettled(
      ourHolders(this.deployment, request.state).map(({ asset, holder }) =>
        this.#depositAsset(request, asset, holder, isLast, options),
      ),
    )
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }

  async #depositAsset(
    request: FundingRequest,
    asset: number,
    holder: Holder,
    isLast: boolean,
    options: CallOptions,
  ): Promise<void> {
    const { params, state, index } = request
    const { chain } = this.deployment
    const participant = addressOf(params, index)
    const held = (at: ReadOptions) => holdings(chain, holder, state.channelID, participant, at)
    const isThere = async (at: ReadOptions) => (await held(at)) >= share
    const share = shareOf(request, asset, index)
    const others = params.participants.flatMap((_, other) => {
      const atLeast = shareOf(request, asset, other)
      return !isLast || other === index || atLeast === 0n
        ? []
        : [{ participant: addressOf(params, other), atLeast }]
    })
    // What is there may go away with its block: a deposit of an earlier life, or one that somebody made for us.
    while (!(await becomesFinal(chain, isThere, options))) {
      const before = await held(options)
      if (before >= share) continue
      const amount = share - before
      const deposit = { holder, channelID: state.channelID, participant, amount, held: before, others }
      try {
        await this.depositor(deposit, options)
        return
      } catch (error) {
        if (!isError(error, 'TRANSACTION_FAILED')) throw error
        // Somebody else may have deposited for us.
        if ((await held(options)) <= before) throw error
      }
    }
  }

  /**
   * Waits until every share is there, finally. Nobody is blamed for being late before our own deposits are through:
   * where they are not, the fault is likely on our side.
   */
  async #allFunded(
    request: FundingRequest,
    { deadline, ours }: { readonly deadline: bigint; readonly ours: Promise<void> },
    options: CallOptions,
  ): Promise<void> {
    let isWorking = true
    const done = () => {
      isWorking = false
    }
    ours.then(done, done)
    const { chain } = this.deployment
    const areAllIn = async (at: ReadOptions) => (await this.#missing(request, at)).length === 0
    await chain.until(async (head) => {
      if (await isFinal(chain, head, areAllIn, options)) return true
      if (head.timestamp < deadline || isWorking) return undefined
      // A deposit that came in time may still become final.
      const missing = await this.#missing(request, options)
      if (missing.length > 0) throw late(request, missing)
      return undefined
    }, options)
  }

  /** Whose shares are less than agreed. Each participant's are looked at by themselves: nobody pays for another. */
  async #missing(request: FundingRequest, at: ReadOptions): Promise<readonly Missing[]> {
    const { params, state } = request
    const { chain } = this.deployment
    const shares = ourHolders(this.deployment, state).flatMap(({ asset, holder }) =>
      params.participants.map(async (_, participant): Promise<Missing | undefined> => {
        const share = shareOf(request, asset, participant)
        if (share === 0n) return undefined
        const held = await holdings(chain, holder, state.channelID, addressOf(params, participant), at)
        return held < share ? { asset, participant } : undefined
      }),
    )
    return (await Promise.all(shares)).filter((missing) => missing !== undefined)
  }
}

function shareOf({ agreement }: FundingRequest, asset: number, participant: Index): Amount {
  return agreement[asset]?.[participant] ?? 0n
}

function late(
  { state, params }: FundingRequest,
  missing: readonly Missing[],
): PerkunasError<'FUNDING_TIMEOUT'> {
  const assets = [...new Set(missing.map(({ asset }) => asset))]
  const facts = assets.map((asset) => ({
    asset,
    participants: missing.filter((one) => one.asset === asset).map(({ participant }) => participant),
  }))
  const who = facts
    .map(({ asset, participants }) => `asset ${asset} by ${participants.join(', ')}`)
    .join('; ')
  return new PerkunasError(
    'FUNDING_TIMEOUT',
    `not funded within ${params.challengeDuration} s: ${who} (channel ${state.channelID})`,
    { channel: state.channelID, missing: facts },
  )
}
