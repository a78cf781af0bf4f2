// What makes our channel machine a node, as far as a test needs one: its disk, its line to LDK, its wallet.
// One channel. Whatever can go wrong between two of its steps can be made to.
import { randomBytes } from 'node:crypto'
import {
  CHANNEL_POLICY,
  type ChannelEnv,
  type ChannelEvent,
  type ChannelInput,
  type ChannelKeys,
  type ChannelPolicy,
  type ChannelState,
  channelWrites,
  faultOfAdmission,
  faultOfChannel,
  type Handoff,
  isChannelMessage,
  isLive,
  type Live,
  type OpenHtlc,
  type OpenRequest,
  openChannel,
  receivedOpen,
  restoredChannels,
  type Step,
  step,
  wantsFlush,
  wireID,
} from '../../../backend/bitcoin/channel/index.js'
import type { FeatureName, FeaturePolicy } from '../../../backend/bitcoin/features.js'
import {
  basepointsOf,
  channelSecrets,
  commitmentPoint,
  commitmentSecret,
  createSigner,
  memoryCounter,
  nodeSecret,
  type Signer,
} from '../../../backend/bitcoin/keys/index.js'
import type { MonitorUpdate } from '../../../backend/bitcoin/monitor/record.js'
import {
  displayID,
  encodeTransaction,
  type Outpoint,
  p2wpkh,
  type Transaction,
} from '../../../backend/bitcoin/script/index.js'
import { blockHeight, feeratePerKw, msat, sat } from '../../../backend/bitcoin/units.js'
import { joinShortChannelID, type LightningMessage } from '../../../backend/bitcoin/wire/index.js'
import { equalBytes, fromHex, type Hex, toHex } from '../../../channel/index.js'
import { createIdentity, type Identity } from '../../../peer/index.js'
import type { Ldk } from '../../../scripts/ldk/ldk.js'
import { Door, dial, type Heard, type Line, OURS, REGTEST } from './line.js'
import { type PaymentTerms, Purse } from './purse.js'
import type { Regtest } from './regtest.js'

/** What becomes of a payment. */
export type Outcome =
  | { readonly kind: 'paid'; readonly hash: Hex; readonly preimage: Hex }
  | { readonly kind: 'failed'; readonly hash: Hex; readonly failure: string }
  | { readonly kind: 'refused'; readonly hash: Hex; readonly reason: string }
  /** Of LDK's making: it is here, and will be claimed, failed or held. */
  | { readonly kind: 'arrived'; readonly hash: Hex; readonly amount: bigint; readonly htlc: OpenHtlc }
  | { readonly kind: 'removed'; readonly hash: Hex }

/** A message that passes by, in the order in which our machine meets it. */
export interface Passing {
  readonly direction: 'in' | 'out'
  readonly message: LightningMessage
  /** How many went before. */
  readonly at: number
}

/**
 * What happens to a message: `cut`: the line is cut instead; `crash`: the process ends instead, with all that is not on
 * disk; `last`: it arrives, and then the line is cut.
 */
export type Fault = 'cut' | 'crash' | 'last'

/** How ours is to be. */
export interface OursOptions {
  readonly policy?: Partial<ChannelPolicy>
  readonly features?: FeaturePolicy
  /** In sat per 1000 weight. */
  readonly feerate?: number
  readonly isZeroConf?: boolean
}

const POLICY: ChannelPolicy = {
  ...CHANNEL_POLICY,
  minimumDepth: { min: 1, max: 1 },
  maxAcceptedHtlcs: 483,
  maxDustExposure: { fixed: msat(5_000_000_000n) },
}

/** Our side of one channel with LDK. */
export class Ours implements AsyncDisposable {
  readonly identity: Identity
  readonly id: Hex
  readonly #purse: Purse
  readonly #seed = Uint8Array.from(randomBytes(32))
  #counter = memoryCounter()
  readonly #options: OursOptions
  readonly #regtest: Regtest
  /** What is durable. */
  readonly disk = new Map<string, Uint8Array>()
  readonly monitor: MonitorUpdate[] = []
  readonly outcomes: Outcome[] = []
  readonly events: ChannelEvent[] = []
  readonly published: { readonly what: string; readonly transaction: Transaction }[] = []
  readonly refusals: string[] = []
  state: ChannelState | undefined
  line: Line | undefined
  feerate: number
  /** Says what happens to a message, if anything. Called for those of the channel alone. */
  fault: (passing: Passing) => Fault | undefined = () => undefined
  /** What becomes of payments that arrive. */
  claims: 'claim' | 'fail' | 'hold' = 'claim'
  passed: Passing[] = []
  readonly #listeners = new Set<() => void>()
  readonly #fundings = new Map<string, string>()
  /** Of the channel's keys: another for each attempt to open one. */
  #keyIndex = 0n
  #keys: ChannelKeys | undefined
  #height = 0
  #work: Promise<void> = Promise.resolve()
  #isFlushDue = false
  #door: Door | undefined
  /** Negotiated on the last line. */
  #features: readonly FeatureName[] = []
  #error: unknown

  constructor(regtest: Regtest, options: OursOptions = {}) {
    this.#regtest = regtest
    this.#options = options
    const secret = nodeSecret(this.#seed)
    this.identity = createIdentity(secret)
    this.#purse = new Purse(secret)
    this.id = this.identity.id
    this.feerate = options.feerate ?? 1000
  }

  /** Where we are paid to: a key of nobody's, since who has it does not matter here. */
  get shutdownScript(): Uint8Array {
    return p2wpkh(fromHex(this.id))
  }

  get live(): Live {
    const { state } = this
    if (state === undefined || !isLive(state))
      throw new Error(`the channel is ${state?.phase ?? 'not there'}`)
    return state
  }

  get channel(): Hex {
    return this.live.terms.channelID
  }

  /** Our balance, without what is in flight. */
  get balance(): bigint {
    return this.live.book.balances.local
  }

  /** Dials LDK, and brings the channel back if there is one. */
  async connect(ldk: Ldk): Promise<void> {
    await ldk.call('awaitPeer', { peer: this.id, isGone: true })
    await this.#joins(await (await dial(ldk, this.#line())).opened())
  }

  /** Lets LDK dial us. */
  async beCalled(ldk: Ldk): Promise<void> {
    await ldk.call('awaitPeer', { peer: this.id, isGone: true })
    this.#door ??= await new Door(this.#line()).open()
    const { id, port } = this.#door
    const [line] = await Promise.all([this.#door.visitor(), ldk.call('connect', { peer: id, port })])
    await this.#joins(await line.opened())
  }

  /** Hangs up. */
  async disconnect(): Promise<void> {
    const { line } = this
    if (line === undefined) return
    line.close()
    await line.closed()
  }

  /** Opens a channel with LDK. What comes of it is seen in `state`. */
  async open(request: Partial<OpenRequest> = {}): Promise<void> {
    await this.sync()
    const wish: OpenRequest = {
      keyIndex: this.#freshKeys(),
      temporaryID: toHex(randomBytes(32)),
      capacity: sat(1_000_000n),
      shutdownScript: this.shutdownScript,
      features: this.#features,
      ...request,
    }
    this.#commit(openChannel(wish, this.#env()))
  }

  /** The channel has its first commitments, and its funding is published, whoever does that. */
  async signed(ldk: Ldk): Promise<void> {
    await this.until(() => this.state !== undefined && isLive(this.state))
    await this.#work
    await ldk.call('sync', null)
  }

  /** Both can use the channel, whose funding is mined. */
  async usable(ldk: Ldk): Promise<void> {
    await this.sync()
    await this.until(() => this.state?.phase === 'normal')
    await ldk.call('usable', this.channel)
  }

  /** Sends an input to the machine. */
  input(input: ChannelInput): void {
    const { state } = this
    if (state === undefined) throw new Error('there is no channel')
    this.#commit(step(state, input, this.#env()))
  }

  /** Pays an invoice of LDK's, or without one. @returns the payment's hash */
  pay(to: Hex, terms: PaymentTerms): Hex {
    const intent = this.#purse.offer(to, terms, this.#height)
    this.input({ kind: 'want', intent })
    return toHex(intent.paymentHash)
  }

  /** An invoice that LDK can pay. */
  invoice(amount: bigint): string {
    return this.#purse.invoice(amount)
  }

  /** Ends a payment that is held. */
  resolve(hash: Hex, how: 'claim' | 'fail'): void {
    const arrived = this.outcomes.find((one) => one.kind === 'arrived' && one.hash === hash)
    if (arrived?.kind !== 'arrived') throw new Error(`no payment ${hash} is held`)
    this.#resolve(arrived.htlc, how)
  }

  /** What became of a payment, as soon as something did. */
  async outcome<K extends Outcome['kind']>(
    hash: Hex,
    ...kinds: readonly K[]
  ): Promise<Extract<Outcome, { kind: K }>> {
    const find = () =>
      this.outcomes.find(
        (one): one is Extract<Outcome, { kind: K }> =>
          one.hash === hash && kinds.some((kind) => kind === one.kind),
      )
    await this.until(() => find() !== undefined)
    const found = find()
    if (found === undefined) throw new Error('unreachable')
    return found
  }

  /** Nothing is in flight, on our side. */
  async idle(): Promise<void> {
    await this.until(
      () =>
        this.live.link.kind === 'up' &&
        this.live.book.htlcs.length === 0 &&
        this.live.intents.length === 0 &&
        this.live.batch === undefined &&
        !wantsFlush(this.live),
    )
  }

  /** Reads the chain. */
  async sync(): Promise<void> {
    await this.#work
    const { bitcoind } = this.#regtest
    const height = Number(await bitcoind.rpc('getblockcount'))
    const isNew = height !== this.#height
    this.#height = height
    if (this.state === undefined) return
    if (isNew) this.input({ kind: 'block' })
    if (isLive(this.state)) await this.#look(this.state.terms.funding.outpoint)
  }

  /** Resolves when something is true, looked at after everything that happens here. @throws what broke a step */
  async until(isTrue: () => boolean): Promise<void> {
    const look = () => {
      if (this.#error !== undefined) throw this.#error
      return isTrue()
    }
    if (look()) return
    await new Promise<void>((resolve, reject) => {
      const listener = () => {
        try {
          if (!look()) return
          resolve()
        } catch (error) {
          reject(error)
        }
        this.#listeners.delete(listener)
      }
      this.#listeners.add(listener)
    })
  }

  /** The process ends, and another one begins with what is on disk. */
  restart(): void {
    this.#keys = undefined
    const { line } = this
    this.line = undefined
    line?.cut()
    this.state = restoredChannels(this.disk).get(this.#keyIndex)
    // Whoever is restored was disconnected, whatever it was told.
    if (this.state !== undefined) this.#commit(step(this.state, { kind: 'disconnected' }, this.#env()))
  }

  /** The process ends, and another one begins with what was on disk at another time. */
  restore(disk: ReadonlyMap<string, Uint8Array>): void {
    this.disk.clear()
    for (const [key, value] of disk) this.disk.set(key, value)
    this.#counter = memoryCounter()
    this.restart()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.disconnect()
    await this.#door?.[Symbol.asyncDispose]()
  }

  #line() {
    const { features = OURS } = this.#options
    return { identity: this.identity, features }
  }

  async #joins(line: Line): Promise<void> {
    this.line = line
    this.#features = [...line.negotiated]
    const isCurrent = () => this.line === line
    line.onMessage = (message) => {
      if (isCurrent()) this.#receive(message)
    }
    line.onClose = () => {
      if (!isCurrent()) return
      this.line = undefined
      if (this.state !== undefined) this.input({ kind: 'disconnected' })
      this.#tell()
    }
    if (this.state !== undefined) this.input({ kind: 'connected', features: this.#features })
    // What came before anybody listened.
    for (const message of line.heard.splice(0)) line.onMessage(message)
    this.#resume()
  }

  /** What was to be done about payments that are here may have been lost with a process. */
  #resume(): void {
    const { state } = this
    if (this.claims === 'hold' || state === undefined || !isLive(state)) return
    for (const { offerer, id, stage } of state.book.htlcs) {
      const arrived = this.outcomes.find((one) => one.kind === 'arrived' && one.htlc.id === id)
      const isWanted = state.intents.some((one) => one.kind === 'remove' && one.id === id)
      if (offerer === 'remote' && stage === 'locked' && !isWanted && arrived?.kind === 'arrived')
        this.#resolve(arrived.htlc, this.claims)
    }
  }

  #receive(message: Heard): void {
    try {
      if (message.kind === 'unknown' || !isChannelMessage(message)) return
      const fault = this.#faultOf('in', message)
      if (fault !== undefined) this.#lose(fault)
      if (fault === 'cut') return
      const { state } = this
      if (
        message.kind === 'open_channel' &&
        (state === undefined || state.phase === 'closed' || state.phase === 'failed')
      ) {
        const { temporaryChannelID: temporaryID } = message
        const fault = faultOfAdmission([], { peer: this.id, temporaryID })
        if (fault !== undefined) throw new Error(fault)
        this.#commit(
          receivedOpen(message, { keyIndex: this.#freshKeys(), features: this.#features }, this.#env()),
        )
      } else if (state !== undefined && isFor(message, state)) {
        this.input({ kind: 'received', message })
      } else if (message.kind === 'channel_reestablish') {
        const data = new TextEncoder().encode('unknown channel')
        this.line?.send({ kind: 'error', channelID: message.channelID, data })
      }
    } catch (error) {
      this.#error ??= error
      this.#tell()
    }
  }

  /** Sends a message, unless something happens to it. */
  #send(message: LightningMessage): 'sent' | 'lost' | 'ended' {
    const { line } = this
    if (line === undefined) return 'lost'
    const fault = this.#faultOf('out', message)
    if (fault === 'crash') {
      this.restart()
      return 'ended'
    }
    if (fault !== 'cut') line.send(message)
    if (fault !== undefined) this.#lose(fault)
    return 'sent'
  }

  #faultOf(direction: 'in' | 'out', message: LightningMessage): Fault | undefined {
    const passing = { direction, message, at: this.passed.length }
    this.passed.push(passing)
    return this.fault(passing)
  }

  /** The line is no more; the machine hears of it when it is through with this message. */
  #lose(fault: Fault): void {
    const { line } = this
    this.line = undefined
    if (fault === 'last') line?.close()
    else line?.cut()
    setImmediate(() => {
      if (this.state !== undefined) this.input({ kind: 'disconnected' })
      this.#tell()
    })
  }

  /** The record is written, then effects happen. */
  #commit(result: Step): void {
    const { next, handoffs, monitor, effects } = result
    for (const one of channelWrites(this.state, next)) {
      if (one.kind === 'put') this.disk.set(one.key, one.value)
      else this.disk.delete(one.key)
    }
    this.state = next
    this.monitor.push(...monitor)
    const fault = isLive(next) ? faultOfChannel(next) : undefined
    if (fault !== undefined) this.#error ??= new Error(`the channel is broken: ${fault}`)
    for (const handoff of handoffs) this.#handOff(handoff)
    for (const effect of effects) {
      if (effect.kind !== 'send') this.#effect(effect)
      // Of a process that has ended nothing follows any more.
      else if (this.#send(effect.message) === 'ended') return
    }
    this.#flushSoon()
    this.#tell()
  }

  #effect(effect: Exclude<Step['effects'][number], { kind: 'send' }>): void {
    switch (effect.kind) {
      case 'disconnect':
        this.line?.dismiss(effect.reason)
        return
      case 'ask':
        return void setImmediate(() => {
          if (this.state?.phase !== 'asked') return
          const { isZeroConf = false } = this.#options
          this.input({ kind: 'accept', shutdownScript: this.shutdownScript, isZeroConf })
        })
      case 'fund':
        return this.#later(() => this.#fund(effect))
      case 'publishFunding':
        return this.#later(() => this.#publishHex(this.#fundings.get(displayID(effect.outpoint.txid)) ?? ''))
      case 'abortFunding':
        return
      case 'watch':
        return
      case 'publish':
        this.published.push(effect)
        return this.#later(() =>
          this.#publishHex(Buffer.from(encodeTransaction(effect.transaction)).toString('hex')),
        )
      case 'tell':
        this.events.push(effect.event)
        return
      case 'refuse':
        this.refusals.push(effect.error.message)
    }
  }

  #handOff(handoff: Handoff): void {
    switch (handoff.kind) {
      case 'added':
        return
      case 'refused':
        this.outcomes.push({ kind: 'refused', hash: hexOf(handoff.reference), reason: handoff.error.message })
        return
      case 'locked': {
        const { htlc, mustFail } = handoff
        if (htlc.offerer === 'local') return
        const hash = toHex(htlc.paymentHash)
        this.outcomes.push({ kind: 'arrived', hash, amount: htlc.amount, htlc })
        const how = mustFail === undefined ? this.claims : 'fail'
        // A step of its own, like everything that somebody wants of a channel.
        if (how !== 'hold') setImmediate(() => this.#resolve(htlc, how))
        return
      }
      case 'fulfilled':
        this.outcomes.push({
          kind: 'paid',
          hash: toHex(handoff.htlc.paymentHash),
          preimage: toHex(handoff.preimage),
        })
        return
      case 'failed':
        this.outcomes.push({
          kind: 'failed',
          hash: toHex(handoff.htlc.paymentHash),
          failure: this.#purse.failureOf(handoff.htlc, handoff.removal),
        })
        return
      case 'removed':
        if (handoff.htlc.offerer === 'local') return
        this.outcomes.push({ kind: 'removed', hash: toHex(handoff.htlc.paymentHash) })
    }
  }

  #resolve(htlc: OpenHtlc, how: 'claim' | 'fail'): void {
    try {
      this.input({ kind: 'want', intent: this.#purse.answer(htlc, how, this.#height) })
    } catch (error) {
      this.#error ??= error
      this.#tell()
    }
  }

  /** What is wanted in one turn is signed together. */
  #flushSoon(): void {
    if (this.#isFlushDue || this.state === undefined || !isLive(this.state) || !wantsFlush(this.state)) return
    this.#isFlushDue = true
    setImmediate(() => {
      this.#isFlushDue = false
      try {
        this.input({ kind: 'flush' })
      } catch (error) {
        this.#error ??= error
        this.#tell()
      }
    })
  }

  #later(work: () => Promise<void>): void {
    this.#work = this.#work.then(work).catch((error: unknown) => {
      this.#error ??= error
      this.#tell()
    })
  }

  async #fund(effect: Step['effects'][number] & { kind: 'fund' }): Promise<void> {
    const { transaction, txid, index } = await this.#regtest.fundingOf(effect)
    this.#fundings.set(txid, transaction)
    this.input({ kind: 'funded', outpoint: { txid: fromHex(`0x${txid}`).reverse(), index } })
  }

  /** What the chain does not take is remembered: the other side's may have been there before. */
  async #publishHex(transaction: string): Promise<void> {
    await this.#regtest.publish(transaction).catch((error: Error) => this.refusals.push(error.message))
  }

  /** What the chain says of the funding output. */
  async #look({ txid, index }: Outpoint): Promise<void> {
    const found = await this.#regtest.output(displayID(txid), index)
    if (found === undefined) return this.input({ kind: 'depth', confirmations: 0 })
    const { confirmations, block, position, amount, script, isSpent } = found
    this.input({
      kind: 'depth',
      confirmations,
      ...(confirmations > 0 && {
        shortChannelID: joinShortChannelID({ block, transaction: position, output: index }),
        output: { amount: sat(amount), script },
      }),
    })
    const isClosing = this.published.some(({ what }) => what === 'closing')
    if (isSpent) this.input({ kind: 'spent', by: isClosing ? 'closing' : 'commitment' })
  }

  #env(): ChannelEnv {
    return {
      chainHash: REGTEST,
      height: blockHeight(this.#height),
      fees: {
        commitment: feeratePerKw(this.feerate),
        fixedCommitment: feeratePerKw(this.feerate),
        minimum: feeratePerKw(253),
        fixedMinimum: feeratePerKw(253),
        opening: feeratePerKw(this.feerate),
        maximum: feeratePerKw(100_000),
        sane: feeratePerKw(2500),
        closing: feeratePerKw(this.feerate),
      },
      policy: { ...POLICY, ...this.#options.policy },
      keys: (keyIndex) => {
        this.#keys ??= this.#channelKeys(keyIndex)
        return this.#keys
      },
    }
  }

  #freshKeys(): bigint {
    this.state = undefined
    this.#keys = undefined
    this.#keyIndex++
    return this.#keyIndex
  }

  #channelKeys(keyIndex: bigint): ChannelKeys {
    const secrets = channelSecrets(this.#seed, keyIndex)
    let made: Signer | undefined
    const secretOf = (number: bigint) => commitmentSecret(secrets.commitmentSeed, number)
    return {
      basepoints: basepointsOf(secrets),
      commitmentPoint: (number) => commitmentPoint(secretOf(number)),
      isSecret: (number, secret) => equalBytes(secretOf(number), secret),
      signer: (setup) => {
        const isOurs = (script: Uint8Array) => equalBytes(script, this.shutdownScript)
        made ??= createSigner(secrets, setup, isOurs, this.#counter)
        return made
      },
    }
  }

  #tell(): void {
    for (const look of [...this.#listeners]) look()
  }
}

/** Whether a message is about this channel, or about all. */
function isFor(message: LightningMessage, state: ChannelState): boolean {
  const ids: readonly unknown[] = [
    'channelID' in message ? message.channelID : undefined,
    'temporaryChannelID' in message ? message.temporaryChannelID : undefined,
  ]
  const own = state.phase === 'closed' ? [] : [state.terms.temporaryID]
  return [...own, wireID(state), `0x${'00'.repeat(32)}`].some((id) => ids.includes(id))
}

function hexOf(reference: string): Hex {
  return `0x${reference.slice(2)}`
}
