// A Lightning node as the protocol of a client: proposals open channels, updates are payments to the neighbour, and its
// channels are the client's.
import { type ChannelID, isError, PerkunasError, toHex } from '../../../channel/index.js'
import type {
  Channel,
  Decision,
  ProposalOptions,
  ProtocolHost,
  RunningProtocol,
} from '../../../client/index.js'
import type { PeerID } from '../../../peer/index.js'
import type { ChannelView, InboundChannel, LightningNode, OpenDecision } from '../node/index.js'
import { shortOf } from '../node/reserve.js'
import type { IncomingPayment, PaymentEvent } from '../payments/index.js'
import { channelIDOf, LightningChannel, type LightningChannelHost } from './channel.js'
import { type ChannelChoices, isTrusted, openingChoices, takingChoices } from './choices.js'
import { lockedIn, unlocked } from './outcome.js'
import { isOpen } from './phase.js'
import { type OpeningBounds, openingOf, proposalOf } from './proposal.js'
import { aborted } from './refusals.js'
import { lockOf, proposalOfHtlc } from './view.js'

/** What the protocol of one client is made of. */
export interface LightningProtocolOptions extends OpeningBounds {
  readonly choices: ChannelChoices
  /** Brings the node back or begins a new one. */
  start(host: ProtocolHost): Promise<LightningNode>
  /** As `PeerBus.reach`; resolves at once if the bus can't tell. */
  reach(peer: PeerID): Promise<void>
}

/** See above. The node starts at once, so that peers find it; what comes to nothing then, every call says. */
export class LightningProtocol implements RunningProtocol {
  readonly #options: LightningProtocolOptions
  readonly #host: ProtocolHost
  readonly #starting: Promise<LightningNode>
  readonly #channels = new Map<bigint, LightningChannel>()
  /** Channels that are being funded: our user is told of them once they can be used. */
  readonly #coming = new Set<bigint>()
  readonly #unsubscribe: (() => void)[] = []
  #node: LightningNode | undefined
  #ended: PerkunasError | undefined

  constructor(options: LightningProtocolOptions, host: ProtocolHost) {
    this.#options = options
    this.#host = host
    this.#starting = this.#start()
    this.#starting.catch((cause) => this.#end(asError(cause)))
  }

  async propose(options: ProposalOptions): Promise<Channel> {
    const { timeouts, clock } = this.#host
    const { signal } = options
    if (this.#ended !== undefined) throw this.#ended
    const { choices } = this.#options
    const { peer, capacity, push, delay } = openingOf(options, this.#options)
    if (signal?.aborted) throw aborted('proposeChannel', signal.reason)
    const node = await this.#started()
    const chosen = await openingChoices(choices, { peer, capacity })
    const expiry = new AbortController()
    const stop = clock.after(timeouts.proposal, () => expiry.abort())
    const both = signal ? AbortSignal.any([signal, expiry.signal]) : expiry.signal
    let opened: ChannelView
    try {
      if (!node.isConnected(peer)) await unlessAborted(this.#options.reach(peer), both)
      opened = await node.open({ ...chosen, peer, capacity, push, toSelfDelay: delay }, { signal: both })
    } catch (error) {
      if (signal?.aborted) throw aborted('proposeChannel', signal.reason)
      if (!expiry.signal.aborted) throw error
      throw node.isConnected(peer) ? timedOut(timeouts.proposal) : unreachable(peer, timeouts.proposal)
    } finally {
      stop()
    }
    try {
      const { phase, live } = await node.until(
        opened.channel,
        (view) => view.phase !== 'awaitingReady',
        signal,
      )
      if (live?.failure?.cause === 'expiry') throw this.#fundingTimeout(opened)
      if (phase !== 'normal') throw this.#fundingFailure(opened, undefined)
    } catch (error) {
      if (isError(error, 'FUNDING_TIMEOUT')) throw error
      throw signal?.aborted ? aborted('proposeChannel', signal.reason) : this.#fundingFailure(opened, error)
    }
    const channel = this.#channels.get(opened.channel)
    if (channel === undefined) throw this.#fundingFailure(opened, undefined)
    return channel
  }

  channel(id: ChannelID): Channel | undefined {
    return this.channels().find((channel) => channel.id === id)
  }

  channels(): readonly Channel[] {
    return [...this.#channels.values()]
  }

  /** The node brings its channels back when it starts; this waits for it. */
  async restore(): Promise<readonly Channel[]> {
    await this.#started()
    return this.channels()
  }

  async close(): Promise<void> {
    this.#end(new PerkunasError('CLOSED', 'the client is closed', { what: 'client' }))
    const node = await this.#starting.catch(() => undefined)
    await node?.stop()
  }

  async #started(): Promise<LightningNode> {
    if (this.#ended !== undefined) throw this.#ended
    const node = await this.#starting
    if (this.#ended !== undefined) throw this.#ended
    return node
  }

  async #start(): Promise<LightningNode> {
    const host = this.#host
    const node = await this.#options.start(host)
    this.#node = node
    if (this.#ended !== undefined) return node
    node.handleChannels((request) => this.#decideOpen(request))
    for (const view of node.channels()) this.#look(view, true)
    const changes = node.changes$.subscribe((key) => this.#changed(key))
    const payments = node.payments.events$.subscribe((event) => this.#onPayment(event))
    const events = node.events$.subscribe((event) => {
      if (event.kind === 'stopped')
        this.#channels.get(event.channel)?.tell({ kind: 'error', error: event.error })
      if (event.kind === 'reserve' && event.missing > 0n) host.report(shortOf(event))
      if (event.kind === 'chain') this.#channels.get(event.channel)?.tellChain(event.event)
      if (event.kind === 'channel' && event.event.kind === 'dataLoss')
        this.#channels.get(event.channel)?.tellDataLoss()
      if (event.kind === 'channel' && event.event.kind === 'feeChanged')
        this.#channels.get(event.channel)?.tellFee()
    })
    const errors = node.errors$.subscribe({
      next: (error) => host.report(error),
      complete: () => node.stopped && this.#end(node.stopped),
    })
    this.#unsubscribe.push(...[changes, payments, events, errors].map((one) => () => one.unsubscribe()))
    return node
  }

  #changed(key: bigint): void {
    const view = this.#node?.channel(key)
    if (view !== undefined && isOpen(view)) return this.#look(view)
    const channel = this.#channels.get(key)
    this.#channels.delete(key)
    this.#coming.delete(key)
    channel?.changed(view)
  }

  /** @param isBack it was there before the node started */
  #look(view: ChannelView, isBack = false): void {
    if (!isOpen(view)) return
    const known = this.#channels.get(view.channel)
    const channel = known ?? new LightningChannel(this.#channelHost(), view)
    this.#channels.set(view.channel, channel)
    known?.changed(view)
    // Before its funding is there, it can be settled and nothing else.
    const isYoung = view.phase === 'awaitingReady'
    if (known === undefined && isYoung && !isBack) this.#coming.add(view.channel)
    else if (known === undefined || (!isYoung && this.#coming.delete(view.channel)))
      this.#host.opened(channel)
  }

  #channelHost(): LightningChannelHost {
    const node = this.#node
    if (node === undefined) throw new PerkunasError('INTERNAL', 'no node yet', { where: 'protocol' })
    const { clock, entropy, timeouts } = this.#host
    const ended = () => this.#ended
    return {
      node,
      chainHash: this.#options.asset.id,
      clock,
      entropy,
      timeouts,
      get ended() {
        return ended()
      },
      forget: ({ key }) => void this.#channels.delete(key),
    }
  }

  async #decideOpen(request: InboundChannel): Promise<OpenDecision> {
    const { peer, capacity, push, temporaryID, toSelfDelay: delay } = request
    const { self, asset, choices } = this.#options
    const isZeroConf = await isTrusted(choices, request)
    if (request.type.zeroconf && !isZeroConf)
      return { accept: false, reason: 'the channel would be used before its funding is confirmed' }
    const proposal = proposalOf({ peer, capacity, push, delay, temporaryID }, self, asset)
    const decision = await this.#host.decideProposal(proposal)
    if (decision.accept === true)
      return { accept: true, isZeroConf, ...(await takingChoices(choices, request)) }
    return { accept: false, reason: `${decision.reason}` }
  }

  #onPayment(event: PaymentEvent): void {
    if (event.kind === 'held') void this.#decideHeld(event.payment)
    else if ((event.kind === 'sent' || event.kind === 'failed') && this.#tellUnlocked(event)) return
    // What came for an invoice is between the node and whoever made that.
    else if ('id' in event.payment || event.payment.invoice === undefined) void this.#acknowledge(event)
  }

  /** A lock of ours is over: it is acknowledged once our user has heard of it. @returns whether it was one */
  #tellUnlocked(event: PaymentEvent & { readonly kind: 'sent' | 'failed' }): boolean {
    const name = lockedIn(event.payment)
    const channel = name === undefined ? undefined : this.#channels.get(BigInt(name))
    const outcome = unlocked(event.payment)
    if (channel === undefined || outcome === undefined) return false
    channel.tellUnlocked(outcome, () => void this.#acknowledge(event))
    return true
  }

  /** What somebody pays without having been asked is an update to decide on. What we can't take by ourselves is a lock. */
  async #decideHeld({ paymentHash, preimage, parts, invoice }: IncomingPayment): Promise<void> {
    const node = this.#node
    const [part] = parts
    if (node === undefined || preimage === undefined || invoice !== undefined || part === undefined) return
    try {
      const decision = await this.#decision(paymentHash, part.channelID)
      if (decision.accept) await node.payments.release(paymentHash)
      else await node.payments.cancel(paymentHash)
    } catch (cause) {
      // It was over before we had decided, or the client is closed.
      if (isError(cause, 'INVALID_ARGUMENT') || this.#ended !== undefined) return
      this.#host.report(asError(cause))
      // What can't be taken now goes back, rather than wait for its deadline.
      await node.payments.cancel(paymentHash).catch(() => undefined)
    }
  }

  async #decision(paymentHash: string, channelID: string): Promise<Decision> {
    const view = this.#node?.channel(BigInt(channelID))
    const channel = view && this.#channels.get(view.channel)
    if (view === undefined || channel === undefined || !isOpen(view))
      return { accept: false, reason: 'no channel' }
    channel.changed(view)
    const htlc = view.live.htlcs.find(
      (one) => one.offerer === 'remote' && toHex(one.paymentHash) === paymentHash,
    )
    if (htlc === undefined) return { accept: false, reason: 'it is gone' }
    const lock = lockOf(htlc, view.opener ?? 'local')
    const states = proposalOfHtlc(channel.state, lock)
    try {
      return await this.#host.decideUpdate({ channel, ...states, actor: lock.from })
    } catch (cause) {
      this.#host.report(handlerFailed(cause))
      return { accept: false, reason: 'this participant can not decide now' }
    }
  }

  async #acknowledge(event: Exclude<PaymentEvent, { readonly kind: 'held' }>): Promise<void> {
    await this.#node?.payments.acknowledge(event).catch(() => undefined)
  }

  /** Only we fund: no block took our funding before the peer forgot the channel. */
  #fundingTimeout({ channel }: ChannelView): PerkunasError<'FUNDING_TIMEOUT'> {
    const id = channelIDOf(this.#options.self, channel)
    const message = `channel ${id} is given up: no block took its funding in two weeks`
    const missing = [{ asset: 0, participants: [0] }]
    return new PerkunasError('FUNDING_TIMEOUT', message, { channel: id, missing })
  }

  #fundingFailure({ channel }: ChannelView, cause: unknown): PerkunasError {
    const id = channelIDOf(this.#options.self, channel)
    const message = `channel ${id} was given up before its funding was confirmed`
    return new PerkunasError('FUNDING_FAILED', message, { channel: id }, { cause })
  }

  #end(error: PerkunasError): void {
    if (this.#ended !== undefined) return
    this.#ended = error
    for (const unsubscribe of this.#unsubscribe.splice(0)) unsubscribe()
    for (const channel of this.#channels.values()) channel.complete()
    if (error.code !== 'CLOSED') this.#host.report(error)
    this.#host.ended(error)
  }
}

function timedOut(ms: number): PerkunasError<'PROPOSAL_TIMEOUT'> {
  const message = `participant 1 has not answered the proposal in ${ms} ms`
  return new PerkunasError('PROPOSAL_TIMEOUT', message, { session: '0x', waitingFor: [1] })
}

function unreachable(peer: PeerID, ms: number): PerkunasError<'PEER_UNREACHABLE'> {
  const message = `no Lightning connection with ${peer} has come up in ${ms} ms`
  return new PerkunasError('PEER_UNREACHABLE', message, { peer, reason: 'timedOut' })
}

/** What a promise comes to, unless the signal is first. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

function handlerFailed(cause: unknown): PerkunasError<'HANDLER_FAILED'> {
  const handler = 'update handler'
  return new PerkunasError('HANDLER_FAILED', `the ${handler} threw`, { handler }, { cause })
}

function asError(cause: unknown): PerkunasError {
  if (cause instanceof PerkunasError) return cause
  const message = cause instanceof Error ? cause.message : `${cause}`
  return new PerkunasError('INTERNAL', message, { where: 'Lightning protocol' }, { cause })
}
