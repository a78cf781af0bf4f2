// Payments as a node's switch: what channels hand on goes to the payments machine, and what that wants goes to channels, all
// within a turn. What it has written is part of the turn's commit; what it tells, it tells after it.
import type { Hex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import type { PeerID } from '../../../peer/index.js'
import type { Write } from '../../../persistence/index.js'
import type { Handoff, OpenHtlc } from '../channel/index.js'
import type { HtlcKey } from '../monitor/index.js'
import {
  type IncomingPayment,
  type OutgoingPayment,
  openAhead,
  type PaymentEvent,
  type PaymentsContext,
  type PaymentsInput,
  type PaymentsState,
  pastWrites,
  paymentWrites,
  Sessions,
  step,
  writableState,
} from '../payments/index.js'
import { blockHeight } from '../units.js'
import type { NodeEffect } from './effects.js'
import type { Consequence, HtlcSwitch, SwitchChannels, Unwish, Wish } from './switch.js'

/** Onions that are taken off ahead, or session keys made, before others have their turn: a quarter of a millisecond. */
const ONIONS_AHEAD = 2

/** What a desk needs of its node. */
export interface DeskOptions {
  /** As the store has it. */
  readonly state: PaymentsState
  readonly context: Pick<PaymentsContext, 'policy' | 'currency' | 'node' | 'isUnreadable'>
  /** Milliseconds since 1970. */
  now(): number
  /** Random bytes. */
  entropy(bytes: number): Uint8Array
  /** After the commit. */
  tell(event: PaymentEvent): void
  /** A payment has no encoding, which is a mistake of ours: it stays as it was. */
  broken(cause: unknown): void
}

/** What a command came to. */
export type Answer = OutgoingPayment | IncomingPayment | undefined

/** See above. */
export class Desk implements HtlcSwitch {
  readonly #options: DeskOptions
  #channels: SwitchChannels | undefined
  #state: PaymentsState
  #written: PaymentsState
  /** As it is on disk. */
  #durable: PaymentsState
  #past: Write[] = []
  readonly #answers: Answers
  readonly #sessions: Sessions

  constructor(options: DeskOptions) {
    this.#sessions = new Sessions(options.entropy)
    this.#answers = {
      session: (peer) => this.#sessions.take(peer),
      isUnreadable: options.context.isUnreadable,
      isReliable: (name) => this.#around.isReliable(BigInt(name)),
      channels: (peer) =>
        this.#around.payable(peer).map(([channel, { minimum, spendable }]) => {
          return { channelID: channelName(channel), minimum, spendable }
        }),
    }
    this.#options = options
    this.#state = options.state
    this.#written = options.state
    this.#durable = options.state
  }

  attach(channels: SwitchChannels): void {
    this.#channels = channels
  }

  /** All payments that are not over, as far as memory goes. */
  get state(): PaymentsState {
    return this.#state
  }

  handed(channel: bigint, handoff: Handoff): Consequence {
    return this.#do({ kind: 'handed', channelID: channelName(channel), handoff }).consequence
  }

  learned(channel: bigint, htlc: HtlcKey, preimage: Uint8Array): Consequence {
    return this.#do({ kind: 'learned', channelID: channelName(channel), htlc, preimage }).consequence
  }

  resolved(channel: bigint, htlc: HtlcKey, to: 'offerer' | 'receiver'): Consequence {
    return this.#do({ kind: 'resolved', channelID: channelName(channel), htlc, to }).consequence
  }

  reached(): Consequence {
    return this.#do({ kind: 'block' }).consequence
  }

  ticked(): Consequence {
    return this.#do({ kind: 'tick' }).consequence
  }

  resumed(): Consequence {
    return this.#do({ kind: 'resumed' }).consequence
  }

  /**
   * Does what our user commands.
   *
   * @throws PerkunasError why it can't be done
   */
  command(input: PaymentsInput): { readonly consequence: Consequence; readonly answer: Answer } {
    const { consequence, answer, error } = this.#do(input)
    if (error !== undefined) throw error
    return { consequence, answer }
  }

  /** What was told of the state on disk and is not acknowledged. */
  unacknowledged(): readonly PaymentEvent[] {
    const { effects } = step(this.#durable, { kind: 'resumed' }, this.#stepContext())
    return effects.flatMap((effect) => (effect.kind === 'tell' ? [effect.event] : []))
  }

  prepare(peer: PeerID, htlcs: readonly OpenHtlc[]): boolean {
    return (
      openAhead(htlcs, this.#options.context.node, ONIONS_AHEAD) || this.#sessions.prepare(peer, ONIONS_AHEAD)
    )
  }

  committed(): void {
    this.#durable = this.#written
  }

  takeWrites(): readonly Write[] {
    const writes = [...this.#openWrites(), ...this.#past]
    this.#written = this.#state
    this.#past = []
    return writes
  }

  #openWrites(): readonly Write[] {
    try {
      return paymentWrites(this.#written, this.#state)
    } catch {
      this.#state = writableState(this.#written, this.#state, (cause) => this.#options.broken(cause))
      return paymentWrites(this.#written, this.#state)
    }
  }

  get #around(): SwitchChannels {
    if (this.#channels === undefined)
      throw new PerkunasError('INTERNAL', 'payments without channels', { where: 'desk' })
    return this.#channels
  }

  #stepContext(): PaymentsContext {
    return new StepContext(this.#options, this.#around, this.#answers)
  }

  #do(input: PaymentsInput): {
    readonly consequence: Consequence
    readonly answer: Answer
    readonly error: PerkunasError | undefined
  } {
    const { tell } = this.#options
    const { next, effects } = step(this.#state, input, this.#stepContext())
    this.#state = next
    const wishes: Wish[] = []
    const unwishes: Unwish[] = []
    const after: NodeEffect[] = []
    let answer: Answer
    let error: PerkunasError | undefined
    for (const effect of effects) {
      switch (effect.kind) {
        case 'want':
          wishes.push({ channel: BigInt(effect.channelID), intent: effect.intent })
          break
        case 'unwant':
          unwishes.push({ channel: BigInt(effect.channelID), reference: effect.reference })
          break
        case 'archive':
          this.#past.push(...pastWrites(effect.payment))
          break
        case 'tell': {
          const { event } = effect
          after.push({ kind: 'call', call: () => tell(event) })
          break
        }
        case 'answer':
          answer = effect.payment
          break
        case 'refuse':
          error = effect.error
          break
      }
    }
    return { consequence: { wishes, unwishes, effects: after }, answer, error }
  }
}

/** What of the world is asked by functions. They are made once for all steps, and belong to no object. */
type Answers = Required<Pick<PaymentsContext, 'isReliable' | 'isUnreadable' | 'channels' | 'session'>>

/** What one step knows of the world. A class, since one is made for each step: of what costs something, what it asks for. */
class StepContext implements PaymentsContext {
  readonly now: number
  readonly height: PaymentsContext['height']
  readonly isSynced: boolean
  readonly isCatchingUp: boolean
  readonly policy: PaymentsContext['policy']
  readonly currency: PaymentsContext['currency']
  readonly node: PaymentsContext['node']
  readonly isReliable: Answers['isReliable']
  readonly isUnreadable: Answers['isUnreadable']
  readonly channels: Answers['channels']
  readonly session: Answers['session']
  readonly #draw: DeskOptions['entropy']
  #entropy: Uint8Array | undefined

  constructor({ context, now, entropy }: DeskOptions, around: SwitchChannels, answers: Answers) {
    this.now = now()
    this.height = blockHeight(around.height)
    this.isSynced = around.isSynced
    this.isCatchingUp = around.isCatchingUp
    this.policy = context.policy
    this.currency = context.currency
    this.node = context.node
    this.isReliable = answers.isReliable
    this.isUnreadable = answers.isUnreadable
    this.channels = answers.channels
    this.session = answers.session
    this.#draw = entropy
  }

  get entropy(): Uint8Array {
    this.#entropy ??= this.#draw(32)
    return this.#entropy
  }
}

/**
 * What payments call a channel: the index of its keys as 32 bytes. Not BOLT 2's `channel_id`, which a peer may claim for a
 * channel that another peer has with us, as long as the funding is in no block.
 */
export function channelName(channel: bigint): Hex {
  return `0x${channel.toString(16).padStart(64, '0')}`
}
