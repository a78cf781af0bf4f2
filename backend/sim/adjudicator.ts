// Disputes, conclusions and payments. Each call looks at the ledger first and does only what is still to do.
import {
  type Address,
  type Adjudicator,
  type CallOptions,
  type ChannelID,
  type CloseRequest,
  type Hex,
  type Index,
  type Params,
  PerkunasError,
  type ProgressRequest,
  type RegisterRequest,
  type SignedState,
  type State,
  type Subscription,
  type WithdrawRequest,
} from '../../channel/index.js'
import type { Wallet } from '../../wallet/index.js'
import type { SimCall } from './call.js'
import { closeAuthorization, receiverOfAuthorization } from './contract.js'
import { conclusionTime } from './dispute.js'
import { closeMessage, stateHash, withdrawalMessage } from './encode.js'
import type { SimNode, Waiting } from './node.js'
import { signedBy, simAddress } from './rules.js'
import { SimSubscription } from './subscription.js'

/** Who acts, and how. */
export interface AdjudicatorOptions {
  readonly node: SimNode
  /** Who sends the transactions. */
  readonly account: Address
  /** Keeps the participants' accounts, which sign for their payments. */
  readonly wallet: Pick<Wallet, 'account'>
  /** Whom our shares are paid to. */
  readonly receiver: Address
  readonly finalityDepth: number
  /** Ends everything when the backend is closed. */
  readonly closed: AbortSignal
}

/** {@link Adjudicator} of the simulated ledger. */
export class SimAdjudicator implements Adjudicator {
  constructor(private readonly options: AdjudicatorOptions) {}

  async register(request: RegisterRequest, options?: CallOptions): Promise<void> {
    const isDone = () => this.#isRegistered(request)
    await this.#enforce({ kind: 'register', ...request }, request.signed.state.channelID, isDone, options)
  }

  async checkpoint(request: RegisterRequest, options?: CallOptions): Promise<void> {
    const { channelID, version } = request.signed.state
    const isDone = () => {
      const dispute = this.#ledger.dispute(channelID)
      return dispute?.phase === 'open' && dispute.version >= version
    }
    await this.#enforce({ kind: 'checkpoint', ...request }, channelID, isDone, options)
  }

  async progress(request: ProgressRequest, options?: CallOptions): Promise<void> {
    const { params, registered: from, next: to, actor, signature } = request
    const isDone = () => {
      const dispute = this.#ledger.dispute(to.channelID)
      if (dispute?.phase === 'concluded') return dispute.stateHash === stateHash(to)
      return dispute?.phase === 'forceExec' && dispute.version >= to.version
    }
    const call = { kind: 'progress', params, from, to, actor, signature } as const
    await this.#enforce(call, to.channelID, isDone, options)
  }

  async withdraw(request: WithdrawRequest, options: CallOptions = {}): Promise<void> {
    const { channelID } = request.state
    const isConcluded = () => this.#ledger.dispute(channelID)?.phase === 'concluded'
    while (!isConcluded()) {
      const standing = this.#standing(request)
      const deadline = this.#conclusionTime(standing)
      if (!isFinalAndSigned(request) && deadline !== undefined && this.#ledger.head.time < deadline) {
        const before = this.#ledger.dispute(channelID)
        await this.options.node.untilTime(deadline, this.#waiting('withdraw', options), () =>
          this.#ledger.dispute(channelID) === before ? undefined : true,
        )
      } else {
        await this.#enforce(concludingCall(standing), channelID, isConcluded, options)
      }
    }
    // Another's conclusion may go away with its block.
    await this.#enforce(concludingCall(this.#standing(request)), channelID, isConcluded, options)
    await this.#takeOut(request, options)
  }

  async authorizeClose({
    params,
    state,
    index,
  }: Pick<CloseRequest, 'params' | 'state' | 'index'>): Promise<Hex> {
    const { receiver } = this.options
    const account = await this.#account(params, index)
    return closeAuthorization(
      receiver,
      await account.sign(closeMessage({ state, participant: index, receiver })),
    )
  }

  verifyCloseAuthorization(
    request: Pick<CloseRequest, 'params' | 'state'> & {
      readonly participant: Index
      readonly authorization: Hex
    },
  ): boolean {
    return receiverOfAuthorization(request, request.participant, request.authorization) !== undefined
  }

  async close(request: CloseRequest, options: CallOptions = {}): Promise<void> {
    const { params, state, signatures, authorizations } = request
    const isConcluded = () => this.#ledger.dispute(state.channelID)?.phase === 'concluded'
    const call = { kind: 'close', signed: { params, state, signatures }, authorizations } as const
    await this.#enforce(call, state.channelID, isConcluded, options)
    // Nothing is left for this, unless somebody concluded in another way or an asset failed.
    await this.#takeOut(request, options)
  }

  subscribe(channelID: ChannelID, { cursor }: { readonly cursor?: string } = {}): Subscription {
    const { node, finalityDepth, closed } = this.options
    return new SimSubscription({ node, channelID, finalityDepth, cursor, closed })
  }

  async now(): Promise<bigint> {
    return this.#ledger.head.time
  }

  async waitUntil(deadline: bigint, options: CallOptions = {}): Promise<void> {
    await this.options.node.untilTime(deadline, this.#waiting('waitUntil', options))
  }

  get #ledger() {
    return this.options.node.ledger
  }

  #waiting(call: string, { signal }: CallOptions = {}): Waiting {
    const { closed } = this.options
    return { call, signal: signal ? AbortSignal.any([signal, closed]) : closed }
  }

  #enforce(call: SimCall, channelID: ChannelID, isDone: () => boolean, options?: CallOptions): Promise<void> {
    const { node, account: from, finalityDepth: depth } = this.options
    return node.enforce(channelID, isDone, { from, call, depth }, this.#waiting(call.kind, options))
  }

  #isRegistered({ signed, subChannels }: RegisterRequest): boolean {
    const root = this.#ledger.dispute(signed.state.channelID)
    if (root === undefined || root.phase === 'open') return false
    if (root.phase === 'concluded' || root.version > signed.state.version) return true
    return [signed, ...subChannels].every(({ state }) => {
      const dispute = this.#ledger.dispute(state.channelID)
      return dispute !== undefined && dispute.phase !== 'open' && dispute.version >= state.version
    })
  }

  /**
   * The request with the states that stand registered, as far as they are and the chain shows them: nothing else can be
   * concluded. A final state needs none.
   */
  #standing(request: WithdrawRequest): WithdrawRequest {
    if (isFinalAndSigned(request)) return request
    const find = (channelID: ChannelID, candidate: State | undefined): State | undefined => {
      const dispute = this.#ledger.dispute(channelID)
      if (dispute === undefined || dispute.phase === 'open') return candidate
      const isRegistered = (state: State) => stateHash(state) === dispute.stateHash
      if (candidate !== undefined && isRegistered(candidate)) return candidate
      for (const { event } of this.#ledger.logs(channelID)) {
        if ('state' in event && isRegistered(event.state)) return event.state
      }
      return candidate
    }
    const state = find(request.state.channelID, request.state) ?? request.state
    const subChannels: State[] = []
    const descend = ({ allocation }: State): void => {
      for (const { channelID } of allocation.locked) {
        const given = request.subChannels.find((it) => it.channelID === channelID)
        const child = find(channelID, given)
        if (child === undefined) continue
        subChannels.push(child)
        descend(child)
      }
    }
    descend(state)
    return { ...request, state, subChannels }
  }

  /** When the whole tree can be concluded, if it is registered. */
  #conclusionTime({ state, subChannels }: WithdrawRequest): bigint | undefined {
    let latest = 0n
    for (const member of [state, ...subChannels]) {
      const dispute = this.#ledger.dispute(member.channelID)
      if (dispute === undefined || dispute.phase === 'open') return undefined
      const time = dispute.phase === 'concluded' ? 0n : conclusionTime(dispute, member)
      if (time > latest) latest = time
    }
    return latest
  }

  /** Pays our share of every asset out. One that fails does not hold up the others. */
  async #takeOut(
    { params, state, index }: { readonly params: Params; readonly state: State; readonly index: Index },
    options: CallOptions,
  ): Promise<void> {
    const { channelID } = state
    const { receiver } = this.options
    const account = await this.#account(params, index)
    const participant = account.address
    const payments = state.allocation.assets.map(async ({ id: asset }) => {
      // Also what is paid already is waited for: until it is final, a reorg may take it back.
      const isDone = () => this.#ledger.holding(asset, { channelID, participant }) === 0n
      const payment = { channelID, participant, asset, receiver }
      const signature = await account.sign(withdrawalMessage(payment))
      await this.#enforce({ kind: 'withdraw', ...payment, signature }, channelID, isDone, options)
    })
    for (const result of await Promise.allSettled(payments)) {
      if (result.status === 'rejected') throw result.reason
    }
  }

  async #account(params: Params, index: Index) {
    const address = simAddress(params.participants[index])
    if (address === undefined) {
      throw new PerkunasError('INVALID_ARGUMENT', `no participant ${index} on this ledger`, {
        argument: 'index',
      })
    }
    return this.options.wallet.account(address)
  }
}

function concludingCall(request: WithdrawRequest): SimCall {
  const { params, state, signatures, subChannels: subStates } = request
  return isFinalAndSigned(request)
    ? { kind: 'concludeFinal', signed: { params, state, signatures } }
    : { kind: 'conclude', params, state, subStates }
}

function isFinalAndSigned({ params, state, signatures }: SignedState): boolean {
  return (
    state.isFinal &&
    state.allocation.locked.length === 0 &&
    signatures.length === params.participants.length &&
    signatures.every((signature, i) => signedBy(state, signature, params.participants[i]))
  )
}
