// Funding: each participant deposits under its own name, and everybody watches until all have.
import {
  type Address,
  type Amount,
  type CallOptions,
  type Funder,
  type FundingRequest,
  faultOfAgreement,
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

type Step =
  | { readonly kind: 'deposit'; readonly asset: number; readonly amount: Amount }
  | { readonly kind: 'failed'; readonly error: PerkunasError }
  | { readonly kind: 'timeout'; readonly missing: Shares }
  | { readonly kind: 'funded' }

/** {@link Funder} of the simulated ledger. What is done is read from the ledger each time, so a restart costs nothing. */
export class SimFunder implements Funder {
  constructor(private readonly options: FunderOptions) {}

  async fund(request: FundingRequest, { signal }: CallOptions = {}): Promise<void> {
    const { params, state, agreement } = request
    const { node, account, closed } = this.options
    const participant = simAddress(params.participants[request.index])
    if (participant === undefined) {
      throw new PerkunasError('INVALID_ARGUMENT', `no participant ${request.index} on this ledger`, {
        argument: 'index',
      })
    }
    const fault = faultOfAgreement(state, agreement)
    if (fault) throw fault

    const deadline = node.ledger.head.time + params.challengeDuration
    const sent: string[] = []
    const waiting = { call: 'fund', signal: signal ? AbortSignal.any([signal, closed]) : closed }
    const forget = node.ledger.announce(deadline)
    try {
      for (;;) {
        const step = await node.until(() => this.#next(request, participant, deadline, sent), waiting)
        switch (step.kind) {
          case 'funded':
            return
          case 'failed':
            throw step.error
          case 'timeout':
            throw new PerkunasError(
              'FUNDING_TIMEOUT',
              `channel ${state.channelID} is not funded: ${step.missing
                .map(({ asset, participants }) => `asset ${asset} by participants ${participants.join(', ')}`)
                .join('; ')}`,
              { channel: state.channelID, missing: step.missing },
            )
          case 'deposit': {
            const asset = state.allocation.assets[step.asset]?.id ?? '0x'
            const { channelID } = state
            const call = { kind: 'deposit', channelID, participant, asset, amount: step.amount } as const
            sent.push(node.ledger.submit(account, call))
          }
        }
      }
    } finally {
      forget()
    }
  }

  #next(
    request: FundingRequest,
    participant: Address,
    deadline: bigint,
    sent: readonly string[],
  ): Step | undefined {
    const { ledger } = this.options.node
    const { channelID } = request.state
    for (const hash of sent) {
      const place = ledger.whereabouts(hash)
      if (place.kind !== 'mined' || place.receipt.reverted === undefined) continue
      const reason = place.receipt.reverted
      const message = `the deposit for channel ${channelID} failed: ${reason}`
      const facts = { kind: 'deposit', hash, reason }
      return { kind: 'failed', error: new PerkunasError('TRANSACTION_FAILED', message, facts) }
    }
    const missing = this.#missing(request, this.options.finalityDepth)
    if (missing.length === 0) return { kind: 'funded' }
    if (ledger.dispute(channelID)?.phase === 'concluded') {
      const message = `channel ${channelID} was concluded before it was funded`
      return {
        kind: 'failed',
        error: new PerkunasError('FUNDING_FAILED', message, { channel: channelID }),
      }
    }
    if (ledger.head.time >= deadline) return { kind: 'timeout', missing }
    const others = missing.some(({ participants }) => participants.some((i) => i < request.index))
    return this.options.inOrder && others ? undefined : this.#ownDeposit(request, participant)
  }

  /** What is still to be deposited by us, counting what is on its way. */
  #ownDeposit({ state, agreement, index }: FundingRequest, participant: Address): Step | undefined {
    const { ledger } = this.options.node
    const { channelID, allocation } = state
    for (const [asset, { id }] of allocation.assets.entries()) {
      let amount = agreement[asset]?.[index] ?? 0n
      amount -= ledger.holding(id, { channelID, participant })
      for (const { call } of ledger.mempool) {
        if (call.kind !== 'deposit' || call.channelID !== channelID || call.asset !== id) continue
        if (call.participant === participant) amount -= call.amount
      }
      if (amount > 0n) return { kind: 'deposit', asset, amount }
    }
    return undefined
  }

  /** Who has not deposited his share, by deposits at least `depth` blocks deep. */
  #missing({ params, state, agreement }: FundingRequest, depth: number): Shares {
    const { ledger } = this.options.node
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
