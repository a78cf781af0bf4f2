// Enforcing what was agreed by the adjudicator contract. Every method looks at the chain first and does what is
// left to do; when a transaction fails it looks again, because somebody else's may have come first.

import {
  type Adjudicator,
  type CallOptions,
  type ChannelID,
  type CloseRequest,
  type Hex,
  isError,
  type LedgerEvent,
  PerkunasError,
  type ProgressRequest,
  type RegisterRequest,
  type SignedState,
  type State,
  type Subscription,
  toHex,
  type WithdrawRequest,
} from '../../channel/index.js'
import { verifyPersonal } from '../../wallet/index.js'
import { ADJUDICATOR } from './abi.js'
import { ETHEREUM } from './assets.js'
import { paramsArgument, signedStateArgument, stateArgument } from './calls.js'
import type { ReadOptions } from './chain.js'
import { addressOf, callData, type Deployment, isConcluded, readDispute, settlingGas } from './contracts.js'
import { encodeCursor } from './cursor.js'
import { stateHash } from './encoding.js'
import type { EventFeed } from './events.js'
import { becomesFinal } from './finality.js'
import { closeHash, joinCloseAuthorization, splitCloseAuthorization } from './messages.js'
import { withdrawAssets } from './payout.js'
import { withdraw } from './withdraw.js'

/** Settles channels on one chain. */
export class EthereumAdjudicator implements Adjudicator {
  constructor(
    readonly deployment: Deployment,
    readonly feed: EventFeed,
  ) {}

  async register(request: RegisterRequest, options: CallOptions = {}): Promise<void> {
    const { signed, subChannels } = request
    const isDone = (at: ReadOptions) => this.#isRegistered([signed, ...subChannels], at)
    const values = [signedStateArgument(signed), subChannels.map(signedStateArgument)]
    await this.#once('register', values, isDone, options)
  }

  async progress(request: ProgressRequest, options: CallOptions = {}): Promise<void> {
    const { params, registered, next, actor, signature } = request
    const isDone = async (at: ReadOptions) => {
      const { version, phase } = await readDispute(this.deployment, next.channelID, at)
      return phase === 'concluded' || (phase === 'forced execution' && version >= next.version)
    }
    const values = [paramsArgument(params), stateArgument(registered), stateArgument(next), actor, signature]
    await this.#once('progress', values, isDone, options)
  }

  async withdraw(request: WithdrawRequest, options: CallOptions = {}): Promise<void> {
    await withdraw(this.deployment, request, options)
  }

  async authorizeClose(request: Pick<CloseRequest, 'params' | 'state' | 'index'>): Promise<Hex> {
    this.#demandOwnContracts('a cooperative close')
    const { params, state, index } = request
    const { wallet, receiver } = this.deployment
    const account = await wallet.account(addressOf(params, index))
    return joinCloseAuthorization(receiver, await account.sign(this.#closeMessage(state, receiver)))
  }

  verifyCloseAuthorization(
    request: Pick<CloseRequest, 'params' | 'state'> & {
      readonly participant: number
      readonly authorization: Hex
    },
  ): boolean {
    const { params, state, participant, authorization } = request
    const address = params.participants[participant]?.[ETHEREUM]
    const parts = splitCloseAuthorization(authorization)
    if (address === undefined || parts === undefined) return false
    return verifyPersonal(this.#closeMessage(state, parts.receiver), parts.signature, address)
  }

  async close(request: CloseRequest, options: CallOptions = {}): Promise<void> {
    this.#demandOwnContracts('a cooperative close')
    const { params, state, authorizations } = request
    const parts = authorizations.map((authorization, participant) => {
      const split = splitCloseAuthorization(authorization)
      if (split !== undefined) return split
      throw new PerkunasError('INVALID_SIGNATURE', `participant ${participant}: 85 bytes expected`, {
        participant,
      })
    })
    const values = [
      paramsArgument(params),
      stateArgument(state),
      parts.map(({ receiver }) => receiver),
      parts.map(({ signature }) => signature),
    ]
    const isDone = (at: ReadOptions) => isConcluded(this.deployment, params, state, at)
    await this.#once('close', values, isDone, options, settlingGas(state, true))
    // A payment that fails leaves the money in the holder.
    await withdrawAssets(this.deployment, { params, state, index: request.index, subChannels: [] }, options)
  }

  async checkpoint(request: RegisterRequest, options: CallOptions = {}): Promise<void> {
    this.#demandOwnContracts('checkpoint')
    const { signed, subChannels } = request
    for (const one of [signed, ...subChannels]) {
      const isDone = async (at: ReadOptions) => {
        const { phase, version } = await readDispute(this.deployment, one.state.channelID, at)
        return phase === 'none' && version >= one.state.version
      }
      await this.#once('checkpoint', [signedStateArgument(one)], isDone, options)
    }
  }

  async cursor(options: CallOptions = {}): Promise<string> {
    const { chain, firstBlock } = this.deployment
    const { number } = await chain.head(options)
    return encodeCursor({ done: Math.max(firstBlock - 1, number - chain.finalityDepth), pending: [] })
  }

  subscribe(channelID: ChannelID, options: { readonly cursor?: string } = {}): Subscription {
    return this.feed.subscribe(channelID, options.cursor)
  }

  listen(
    channelID: ChannelID,
    onEvent: (event: LedgerEvent) => void,
    options: { readonly cursor?: string } = {},
  ): Pick<Subscription, 'close'> {
    return this.feed.listen(channelID, onEvent, options.cursor)
  }

  async now(): Promise<bigint> {
    return (await this.deployment.chain.head()).timestamp
  }

  async waitUntil(deadline: bigint, options: CallOptions = {}): Promise<void> {
    await this.deployment.chain.until((head) => (head.timestamp >= deadline ? true : undefined), options)
  }

  /**
   * Sends a call unless its work is done; a failure is none if the work is done after all. Ends when it is done
   * finally: what another's transaction did may go away with its block.
   */
  async #once(
    method: string,
    values: readonly unknown[],
    isDone: (options: ReadOptions) => Promise<boolean>,
    options: CallOptions,
    spareGas = 0n,
  ): Promise<void> {
    const { chain, sender, adjudicator } = this.deployment
    const data = callData(ADJUDICATOR, method, values)
    do {
      if (await isDone(options)) continue
      try {
        const { deadline } = options
        await sender.send(
          { kind: method, to: adjudicator, data, spareGas, ...(deadline === undefined ? {} : { deadline }) },
          options,
        )
        return
      } catch (error) {
        if (!isError(error, 'TRANSACTION_FAILED') || !(await isDone(options))) throw error
      }
    } while (!(await becomesFinal(chain, isDone, options)))
  }

  /** Whether each state, or a newer one, is registered, or its channel concluded. */
  async #isRegistered(states: readonly SignedState[], options: ReadOptions): Promise<boolean> {
    for (const { params, state } of states) {
      const { phase, version, stateHash: hash } = await readDispute(this.deployment, state.channelID, options)
      if (phase === 'none') {
        if (!(await isConcluded(this.deployment, params, state, options))) return false
      } else if (phase !== 'concluded' && version <= state.version && hash !== toHex(stateHash(state))) {
        return false
      }
    }
    return true
  }

  #closeMessage(state: State, receiver: Hex): Uint8Array {
    const { chain, adjudicator } = this.deployment
    return closeHash({ chainID: chain.id, adjudicator }, stateHash(state), receiver)
  }

  #demandOwnContracts(what: string): void {
    if (this.deployment.generation === 'perkunas') return
    throw new PerkunasError('UNSUPPORTED', `the adjudicator at this address has no ${what}`, { what })
  }
}
