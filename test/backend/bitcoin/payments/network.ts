// Two nodes with channels between them: on each side the channel machines and the payment machine over one disk, written in
// one commit.
import { expect } from 'chai'
import { step as channelStep } from '../../../../backend/bitcoin/channel/channel.js'
import type { ChannelInput } from '../../../../backend/bitcoin/channel/input.js'
import { wantsFlush } from '../../../../backend/bitcoin/channel/intents.js'
import { channelWrites } from '../../../../backend/bitcoin/channel/record.js'
import { type ChannelState, isLive } from '../../../../backend/bitcoin/channel/state.js'
import type { Handoff, Step } from '../../../../backend/bitcoin/channel/step.js'
import { sharedSecretWith } from '../../../../backend/bitcoin/onion/index.js'
import {
  NO_PAYMENTS,
  PAYMENT_ROWS,
  PAYMENTS_POLICY,
  type PaymentEvent,
  type PaymentsContext,
  type PaymentsEffect,
  type PaymentsInput,
  type PaymentsPolicy,
  type PaymentsState,
  pastPayments,
  pastWrites,
  payableChannel,
  paymentWrites,
  restoredPayments,
  step,
} from '../../../../backend/bitcoin/payments/index.js'
import { faultOfPayments } from '../../../../backend/bitcoin/payments/invariants.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { msat, sat } from '../../../../backend/bitcoin/units.js'
import type { Hex } from '../../../../channel/bytes.js'
import { toHex } from '../../../../channel/bytes.js'
import { secp256k1 } from '../../../../wallet/secp256k1.js'
import { type Name, Pair, type PairOptions, type Party, scriptOf } from '../channel/pair.js'
import { applyTo, bytes32, START } from './desk.js'

const POLICY = { maxAcceptedHtlcs: 483, maxDustExposure: { fixed: msat(900_000_000n) } }

/** One channel of the network. */
class Line extends Pair {
  constructor(
    readonly network: Network,
    readonly number: number,
    options: PairOptions,
  ) {
    super({ fees: { sane: 10_000 }, policies: { alice: POLICY, bob: POLICY }, ...options })
  }

  override commit(party: Party, result: Step): void {
    this.network.side(party.name).commit([{ kind: 'stepped', line: this, result }])
  }

  // The disk alone: what is checked after each step is the payments'.
  override write(party: Party, { next }: Step): void {
    applyTo(party.disk, channelWrites(party.state, next))
    party.state = next
  }

  /** Both are ready, with half of it on each side. */
  begin(): this {
    this.open({ capacity: sat(1_000_000n), push: msat(500_000_000n) })
    this.deliverAll()
    this.input(this.bob, { kind: 'accept', shutdownScript: scriptOf('bob') })
    this.deliverAll()
    const outpoint = { txid: bytes32(0xf00 + this.number), index: 0 }
    this.input(this.alice, { kind: 'funded', outpoint })
    this.deliverAll()
    for (const party of this.both) this.input(party, { kind: 'depth', confirmations: 6 })
    this.deliverAll()
    return this
  }

  get channelID(): Hex {
    return this.live(this.alice).terms.channelID
  }
}

type Work =
  | { readonly kind: 'stepped'; readonly line: Line; readonly result: Step }
  | { readonly kind: 'payments'; readonly input: PaymentsInput }

/** Ends a process in the middle of something. */
export class Crash extends Error {
  constructor(readonly side: Side) {
    super(`${side.name} ended`)
  }
}

/** Where in a commit a process ends: nothing is written, or all of it, and so many of the effects happen. */
export type CrashAt = 'before' | number

/** One node. */
export class Side {
  payments: PaymentsState = NO_PAYMENTS
  readonly disk = new Map<string, Uint8Array>()
  readonly events: PaymentEvent[] = []
  readonly handoffs: Handoff[] = []
  /** The next commit is not written, or no more than so many of its effects happen. */
  crashAt: CrashAt | undefined
  /** The same of a later commit. */
  crashIn: { readonly commits: number; readonly at: CrashAt } | undefined
  readonly id: Hex
  #entropy = 0
  #commits = 0

  constructor(
    readonly network: Network,
    readonly name: Name,
    readonly secret: Uint8Array,
    readonly policy: Partial<PaymentsPolicy> = {},
  ) {
    this.id = toHex(secp256k1.publicKey(secret))
  }

  party(line: Line): Party {
    return line[this.name]
  }

  /** An input of the payments. @returns its own effects */
  give(input: PaymentsInput): readonly PaymentsEffect[] {
    return this.commit([{ kind: 'payments', input }])
  }

  /** What the store has of payments that are over. */
  past(input: Parameters<typeof pastPayments>[1]): ReturnType<typeof pastPayments> {
    return pastPayments({ get: async (key) => this.disk.get(key) }, input, this.network.now)
  }

  /** Everything that follows from a beginning, in one commit. @returns effects of the payments */
  commit(beginning: readonly Work[]): readonly PaymentsEffect[] {
    const { network } = this
    const states = new Map<Line, ChannelState>()
    const steps: { readonly line: Line; readonly result: Step }[] = []
    const effects: PaymentsEffect[] = []
    let { payments } = this
    const queue = [...beginning]
    const stepped = (line: Line, result: Step) => {
      steps.push({ line, result })
      states.set(line, result.next)
      this.handoffs.push(...result.handoffs)
      const channelID = line.number < network.lines.length ? line.channelID : undefined
      for (const handoff of result.handoffs)
        if (channelID !== undefined)
          queue.push({ kind: 'payments', input: { kind: 'handed', channelID, handoff } })
    }
    const wanted = (channelID: Hex, input: ChannelInput) => {
      const line = network.lines.find((one) => one.channelID === channelID)
      const state = line && (states.get(line) ?? this.party(line).state)
      if (line === undefined || state === undefined) throw new Error(`no channel ${channelID}`)
      const result = channelStep(state, input, this.party(line).env)
      for (const effect of result.effects)
        if (effect.kind === 'refuse' && input.kind !== 'unwant')
          throw new Error(`${this.name}: ${effect.error.message}`)
      stepped(line, result)
    }
    for (let work = queue.shift(); work !== undefined; work = queue.shift()) {
      if (work.kind === 'stepped') {
        stepped(work.line, work.result)
        continue
      }
      const done = step(payments, work.input, this.#context(states))
      payments = done.next
      for (const effect of done.effects) {
        if (effect.kind === 'want') wanted(effect.channelID, { kind: 'want', intent: effect.intent })
        else if (effect.kind === 'unwant')
          wanted(effect.channelID, { kind: 'unwant', reference: effect.reference })
        else effects.push(effect)
      }
    }
    // All payments are looked at, so not each time.
    const fault = this.#commits++ % 16 === 0 ? faultOfPayments(payments) : undefined
    if (fault !== undefined) throw new Error(`${this.name}: ${fault}`)
    const { crashIn } = this
    if (crashIn !== undefined) {
      const isNow = crashIn.commits === 0
      this.crashIn = isNow ? undefined : { ...crashIn, commits: crashIn.commits - 1 }
      if (isNow) this.crashAt = crashIn.at
    }
    const { crashAt } = this
    this.crashAt = undefined
    if (crashAt === 'before') throw new Crash(this)
    for (const { line, result } of steps) line.write(this.party(line), result)
    applyTo(this.disk, [
      ...paymentWrites(this.payments, payments),
      ...effects.flatMap((one) => (one.kind === 'archive' ? pastWrites(one.payment) : [])),
    ])
    this.payments = payments
    let left = crashAt ?? Number.POSITIVE_INFINITY
    for (const { line, result } of steps)
      for (const effect of result.effects) {
        if (left-- <= 0) throw new Crash(this)
        line.release(this.party(line), [effect])
      }
    for (const effect of effects) {
      if (left-- <= 0) throw new Crash(this)
      if (effect.kind === 'tell') this.events.push(effect.event)
    }
    if (crashAt !== undefined) throw new Crash(this)
    return effects
  }

  /** Ends, and begins again with what is on disk. */
  restart(): void {
    this.crashAt = undefined
    this.payments = restoredPayments([...this.disk].filter(([key]) => key.startsWith(PAYMENT_ROWS)))
    for (const line of this.network.lines) line.crash(this.party(line))
    this.give({ kind: 'resumed' })
  }

  /** Of all channels, in msat. */
  get balance(): bigint {
    return this.network.lines.reduce((sum, line) => sum + line.live(this.party(line)).book.balances.local, 0n)
  }

  #context(states: ReadonlyMap<Line, ChannelState>): PaymentsContext {
    const { network, secret, policy, id } = this
    const [first] = network.lines
    if (first === undefined) throw new Error('no channels')
    return {
      now: network.now,
      height: this.party(first).env.height,
      isSynced: true,
      isCatchingUp: false,
      entropy: sha256(Uint8Array.of(...secret, ...bytes32(this.#entropy++))),
      policy: { ...PAYMENTS_POLICY, ...policy },
      currency: 'bcrt',
      node: { id, sharedSecret: sharedSecretWith(secret), sign: (digest) => secp256k1.sign(digest, secret) },
      isReliable: () => true,
      isUnreadable: () => false,
      channels: () =>
        network.lines.flatMap((line) => {
          const party = this.party(line)
          const state = states.get(line) ?? party.state
          const found = state && payableChannel(state, party.env)
          return found === undefined ? [] : [found]
        }),
    }
  }
}

/** Two nodes. */
export class Network {
  now = START
  readonly alice: Side
  readonly bob: Side
  readonly lines: Line[] = []
  /** Payments whose payer has their preimage from the chain. */
  learned = 0

  constructor(
    options: {
      readonly channels?: number
      readonly policy?: Partial<PaymentsPolicy>
      readonly real?: boolean
    } = {},
  ) {
    const { channels = 1, policy, real = false } = options
    this.alice = new Side(this, 'alice', bytes32(0xa11ce), policy)
    this.bob = new Side(this, 'bob', bytes32(0xb0b), policy)
    for (let number = 0; number < channels; number++) {
      this.lines.push(new Line(this, number, { real }).begin())
    }
  }

  side(name: Name): Side {
    return this[name]
  }

  other({ name }: Side): Side {
    return name === 'alice' ? this.bob : this.alice
  }

  get both(): readonly Side[] {
    return [this.alice, this.bob]
  }

  /** Messages and signatures until nothing is left to do. */
  settle(): void {
    for (const line of this.lines) line.connect()
    for (let round = 0; round < 1000; round++) {
      let isDone = true
      for (const line of this.lines) {
        for (const party of line.both) if (this.flush(line, party)) isDone = false
        while (line.deliver(line.alice) || line.deliver(line.bob)) isDone = false
      }
      if (isDone) return
    }
    throw new Error('they never come to rest')
  }

  flush(line: Line, party: Party): boolean {
    if (party.state === undefined || !isLive(party.state) || !wantsFlush(party.state)) return false
    line.input(party, { kind: 'flush' })
    return true
  }

  /** A channel goes on chain as it stands; then its HTLCs are where the preimages are that their receivers gave. */
  close(line: Line): void {
    line.input(line.alice, { kind: 'forceClose' })
    if (line.live(line.bob).phase !== 'failed') line.input(line.bob, { kind: 'spent', by: 'commitment' })
  }

  /** What is left in a channel that is closed comes to its end on chain. */
  resolve(line: Line): void {
    const { channelID } = line
    for (const payee of this.both) {
      const payer = this.other(payee)
      const ids = new Set([
        ...line
          .live(payer.party(line))
          .book.htlcs.flatMap(({ offerer, id }) => (offerer === 'local' ? [id] : [])),
        ...line
          .live(payee.party(line))
          .book.htlcs.flatMap(({ offerer, id }) => (offerer === 'remote' ? [id] : [])),
      ])
      for (const id of ids) {
        const known = line
          .live(payee.party(line))
          .book.htlcs.find((one) => one.offerer === 'remote' && one.id === id)?.preimage
        const to = known === undefined ? 'offerer' : 'receiver'
        const [ours, theirs] = [
          { offerer: 'local', id },
          { offerer: 'remote', id },
        ] as const
        if (known !== undefined) {
          const effects = payer.give({ kind: 'learned', channelID, htlc: ours, preimage: known })
          if (effects.some(({ kind }) => kind === 'tell')) this.learned++
        }
        payer.give({ kind: 'resolved', channelID, htlc: ours, to })
        payee.give({ kind: 'resolved', channelID, htlc: theirs, to })
      }
    }
  }

  /** Nothing is left of any payment in any channel that is not closed. */
  expectRest(): void {
    for (const line of this.lines)
      for (const party of line.both) {
        const { book, intents, phase } = line.live(party)
        if (phase === 'failed') continue
        expect(book.htlcs, party.name).to.deep.equal([])
        expect(intents).to.deep.equal([])
        expect(phase).to.equal('normal')
      }
  }
}
