// Funding: each participant deposits under its own name, and everybody watches until all have.
import {
  type Address,
  type Amount,
  type CallOptions,
  type Funder,
  type FundingRequest,
  faultOfAgreement,
  type Hex,
  PerkunasError,
} from '../../channel/index.js'
import type { SimNode } from './node.js'
import { simAddress } from './rules.js'

/** Who funds, and how. */
export interface FunderOptions {
  readonly node: SimNode
  /** Whose funds are deposited. */
  readonly account: Address
  /** How deep a deposit must lie to count. */
  readonly finalityDepth: number
  /** Whether to deposit only after all participants before us have. */
  readonly inOrder: boolean
  /** Ends everything when the backend is closed. */
  readonly closed: AbortSignal
}

type Shares = readonly { readonly asset: number; readonly participants: readonly number[] }[]

/** One call of `fund`. */
interface Job {
  readonly request: FundingRequest
  readonly participant: Address
  /** Ledger time when the waiting ends. */
  readonly deadline: bigint
  /** Hashes of our deposits. */
  readonly sent: string[]
  /** Set while deposits are handed in, which may mine blocks and so ask the job again. */
  isDepositing: boolean
}

/** {@link Funder} of the simulated ledger. What is done is read from the ledger each time, so a restart costs nothing. */
export class SimFunder implements Funder {
  constructor(private readonly options: FunderOptions) {}

  async fund(request: FundingRequest, { signal }: CallOptions = {}): Promise<void> {
    const { params, state, agreement } = request
    const { node, closed } = this.options
    const participant = simAddress(params.participants[request.index])
    if (participant === undefined) {
      throw new PerkunasError('INVALID_ARGUMENT', `no participant ${request.index} on this ledger`, {
        argument: 'index',
      })
    }
    const fault = faultOfAgreement(state, agreement)
    if (fault) throw fault

    const deadline = node.ledger.head.time + params.challengeDuration
    const job: Job = { request, participant, deadline, sent: [], isDepositing: false }
    const waiting = { call: 'fund', signal: signal ? AbortSignal.any([signal, closed]) : closed }
    const forget = node.ledger.announce(deadline)
    try {
      await node.until(() => this.#isDone(job), waiting)
    } finally {
      forget()
    }
  }

  /** Deposits what is missing. @returns true once everybody has, undefined until then @throws PerkunasError if it fails */
  #isDone(job: Job): true | undefined {
    const { request, deadline } = job
    const { ledger } = this.options.node
    const { channelID } = request.state
    if (job.isDepositing) return undefined
    let missing = this.#missing(request)
    const isConcluded = ledger.dispute(channelID)?.phase === 'concluded'
    const earlier = missing.some(({ participants }) => participants.some((i) => i < request.index))
    if (!isConcluded && ledger.head.time < deadline && !(this.options.inOrder && earlier)) {
      this.#deposit(job)
      missing = this.#missing(request)
    }
    this.#demandNoneReverted(job)
    if (missing.length === 0) return true
    if (isConcluded) {
      throw new PerkunasError('FUNDING_FAILED', `channel ${channelID} was concluded before it was funded`, {
        channel: channelID,
      })
    }
    if (ledger.head.time < deadline) return undefined
    const who = missing.map(
      ({ asset, participants }) => `asset ${asset} by participants ${participants.join(', ')}`,
    )
    throw new PerkunasError('FUNDING_TIMEOUT', `channel ${channelID} is not funded: ${who.join('; ')}`, {
      channel: channelID,
      missing,
    })
  }

  /**
   * Hands in our missing deposits. Nothing waits between looking and handing in, so that two calls for one channel
   * don't both deposit.
   */
  #deposit(job: Job): void {
    const { node, account } = this.options
    const { ledger } = node
    const { state, agreement, index } = job.request
    const { channelID, allocation } = state
    const { participant } = job
    job.isDepositing = true
    try {
      for (const [i, { id: asset }] of allocation.assets.entries()) {
        this.#demandNoneReverted(job)
        const share = agreement[i]?.[index] ?? 0n
        const amount = share - ledger.holding(asset, { channelID, participant }) - this.#onItsWay(job, asset)
        if (amount <= 0n) continue
        job.sent.push(ledger.submit(account, { kind: 'deposit', channelID, participant, asset, amount }))
      }
    } finally {
      job.isDepositing = false
    }
  }

  /** What waits to be mined as a deposit of ours: our own, perhaps from before a crash. */
  #onItsWay({ request, participant }: Job, asset: Hex): Amount {
    let amount = 0n
    for (const { call } of this.options.node.ledger.mempool) {
      if (call.kind !== 'deposit' || call.channelID !== request.state.channelID) continue
      if (call.asset === asset && call.participant === participant) amount += call.amount
    }
    return amount
  }

  #demandNoneReverted({ request, sent }: Job): void {
    for (const hash of sent) {
      const place = this.options.node.ledger.whereabouts(hash)
      if (place.kind !== 'mined' || place.receipt.reverted === undefined) continue
      const reason = place.receipt.reverted
      throw new PerkunasError(
        'TRANSACTION_FAILED',
        `the deposit for channel ${request.state.channelID} failed: ${reason}`,
        { kind: 'deposit', hash, reason },
      )
    }
  }

  /** Who has not deposited his share, by deposits that are final. */
  #missing({ params, state, agreement }: FundingRequest): Shares {
    const { node, finalityDepth: depth } = this.options
    const { ledger } = node
    const deposits = new Map<string, Amount>()
    for (const { event, block } of ledger.logs(state.channelID)) {
      if (event.kind !== 'deposited' || ledger.head.number - block.number + 1 < depth) continue
      const key = `${event.asset}/${event.participant}`
      deposits.set(key, (deposits.get(key) ?? 0n) + event.amount)
    }
    return state.allocation.assets.flatMap(({ id }, asset) => {
      const participants = params.participants.flatMap((addresses, i) => {
        const deposited = deposits.get(`${id}/${simAddress(addresses)}`) ?? 0n
        return deposited < (agreement[asset]?.[i] ?? 0n) ? [i] : []
      })
      return participants.length > 0 ? [{ asset, participants }] : []
    })
  }
}
