// What a node's user does with payments, by turns of the node.
import { concat, defer, from, type Observable, Subject } from 'rxjs'
import { demandNames, demandObject, type NamesOf } from '../../../channel/arguments.js'
import { type Hex, isHex, toHex } from '../../../channel/bytes.js'
import { isError, PerkunasError } from '../../../channel/errors.js'
import { NETWORKS } from '../chain/index.js'
import type { Currency } from '../invoice/index.js'
import {
  type IncomingPayment,
  type InvoiceRequest,
  type OutgoingPayment,
  PAYMENT_ROWS,
  type PaymentEvent,
  type PaymentID,
  type PaymentsInput,
  type PayRequest,
  pastIncoming,
  pastPayments,
  paymentsPolicy,
  valuesOf,
} from '../payments/index.js'
import { sha256 } from '../script/index.js'
import { type Answer, Desk } from './desk.js'
import type { Commands } from './input.js'
import type { LightningNodeOptions } from './options.js'
import type { Restored } from './restore.js'

/** A payment that is listed may be asked for as it is. */
const PAYMENT_NAMES: NamesOf<OutgoingPayment> = {
  id: true,
  request: true,
  peer: true,
  paymentHash: true,
  amount: true,
  recipient: true,
  since: true,
  parts: true,
  tried: true,
  avoided: true,
  status: true,
  isAcknowledged: true,
}
const PAY_NAMES: NamesOf<{ readonly signal?: AbortSignal; readonly isSettled?: boolean }> = {
  signal: true,
  isSettled: true,
}

/** What payments need of their node. */
export interface PaymentsHost {
  /** Runs something in a turn; resolves when that is durable. */
  order<T>(run: (commands: Commands) => T): Promise<T>
  /** As `LightningNode.eventually`. */
  eventually<T>(look: () => T | undefined, signal?: AbortSignal): Promise<T>
  /** As `Sight.whenSynced`. */
  whenSynced<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T>
  random(bytes: number): Uint8Array
  /** A payment has no encoding. */
  broken(cause: unknown): void
}

/** Payments over a node's channels. */
export class NodePayments {
  /** What decides about HTLCs. */
  readonly desk: Desk
  readonly #host: PaymentsHost
  readonly #store: LightningNodeOptions['store']
  readonly #now: () => number
  /** By the keys of the rows that can't be read. */
  readonly #broken: Restored['brokenPayments']
  readonly #events = new Subject<PaymentEvent>()
  /** Payments whose end is waited for, by so many, and that end. */
  readonly #awaited = new Map<PaymentID, { waiting: number; payment?: OutgoingPayment }>()

  constructor(
    options: LightningNodeOptions,
    { payments: state, brokenPayments }: Pick<Restored, 'payments' | 'brokenPayments'>,
    host: PaymentsHost,
  ) {
    const { bus, chain, payments, store, now = Date.now } = options
    const { identity } = bus
    this.#host = host
    this.#broken = brokenPayments
    this.#store = store
    this.#now = now
    this.desk = new Desk({
      state,
      context: {
        policy: paymentsPolicy(payments),
        currency: currencyOf(chain.chainHash),
        isUnreadable: (paymentHash) => brokenPayments.has(`${PAYMENT_ROWS}in/${paymentHash}`),
        node: {
          id: bus.id,
          sharedSecret: (point, tweak) => identity.ecdh(point, tweak),
          sign: (digest) => identity.sign(digest),
        },
      },
      now,
      entropy: (bytes) => host.random(bytes),
      tell: (event) => this.#tell(event),
      broken: (cause) => host.broken(cause),
    })
  }

  /**
   * What becomes of payments, when it is durable. Who begins to listen hears first of every end that is not
   * {@link acknowledge}d, and of what is held; so nothing is lost by a restart, and one event may come more than once.
   */
  get events$(): Observable<PaymentEvent> {
    return defer(() => concat(from(this.desk.unacknowledged()), this.#events))
  }

  /** All payments that are not over. */
  list(): { readonly outgoing: readonly OutgoingPayment[]; readonly incoming: readonly IncomingPayment[] } {
    const { outgoing, incoming } = this.desk.state
    return { outgoing: [...valuesOf(outgoing)], incoming: [...valuesOf(incoming)] }
  }

  /**
   * Pays, once for each ID: whoever asks again with the same ID and request is told how that payment ended or stands, also after
   * a restart.
   *
   * @param payment `id`: 32 random bytes of the caller's
   * @param options `isSettled`: whether the payment counts as {@link acknowledge}d when this resolves, as it does otherwise
   * @returns the payment when it has succeeded or failed; its status tells why
   * @throws PerkunasError INVALID_ARGUMENT, INVALID_MESSAGE, PAYMENT_REFUSED, PAYMENT_EXISTS before anything is sent, as well as
   *   LEDGER_UNREACHABLE while the chain is not known up to now and will not be in half a minute; INVALID_RECORD if its record
   *   can't be read; CLOSED;
   *   ABORTED ends the waiting, and nothing new is tried: what is under way may still be paid
   */
  async pay(
    payment: { readonly id: PaymentID; readonly request: PayRequest },
    options: { readonly signal?: AbortSignal; readonly isSettled?: boolean } = {},
  ): Promise<OutgoingPayment> {
    demandNames(payment, PAYMENT_NAMES, 'payment')
    demandNames(options, PAY_NAMES)
    const { signal, isSettled = true } = options
    const { id } = payment
    this.#demandReadable(`out/${id}`)
    const end = this.#awaited.get(id) ?? { waiting: 0 }
    end.waiting++
    this.#awaited.set(id, end)
    try {
      const begun = await this.#host.whenSynced(() => this.#begin(payment), signal)
      if (begun !== undefined && 'id' in begun && begun.status.kind !== 'pending') return begun
      const result = await this.#host.eventually(() => end.payment, signal)
      // Not waited for: at worst its end is told once more after a restart.
      if (isSettled) this.acknowledge({ kind: 'sent', payment: result }).catch(() => undefined)
      return result
    } catch (cause) {
      if (signal?.aborted) await this.#order({ kind: 'abandon', id }).catch(() => undefined)
      throw cause
    } finally {
      end.waiting--
      if (end.waiting === 0) this.#awaited.delete(id)
    }
  }

  /**
   * Makes an invoice (BOLT 11). It is on disk when it is handed out.
   *
   * @throws PerkunasError INVALID_ARGUMENT, INVALID_AMOUNT, PAYMENT_EXISTS, INVALID_RECORD, CLOSED
   */
  async invoice(request: InvoiceRequest): Promise<IncomingPayment> {
    demandObject(request, 'request')
    const { preimage } = request
    const isPreimage = preimage instanceof Uint8Array && preimage.length === 32
    const paymentHash = request.paymentHash ?? (isPreimage ? toHex(sha256(preimage)) : undefined)
    this.#demandReadable(`in/${paymentHash}`)
    const past = paymentHash && (await pastIncoming(this.#store, paymentHash))
    const made = await this.#order({ kind: 'createInvoice', request, isPast: past !== undefined })
    if (made !== undefined && !('id' in made)) return made
    throw new PerkunasError('INTERNAL', 'no invoice came of it', { where: 'payments' })
  }

  /**
   * Takes a held payment. Resolves when its preimage is on disk, and on its way to the payer.
   *
   * @param preimage if only our user has it
   * @throws PerkunasError INVALID_ARGUMENT; UNKNOWN_PAYMENT if there is none, or it is over
   */
  async release(paymentHash: Hex, preimage?: Uint8Array): Promise<void> {
    demandHash(paymentHash, 'paymentHash')
    const release = () => this.#order({ kind: 'release', paymentHash, ...(preimage && { preimage }) })
    await this.#host.whenSynced(release)
  }

  /** Takes an invoice back, or gives a held payment back. @throws PerkunasError UNKNOWN_PAYMENT if there is none */
  async cancel(paymentHash: Hex): Promise<void> {
    demandHash(paymentHash, 'paymentHash')
    await this.#order({ kind: 'cancel', paymentHash })
  }

  /** Our user knows of the end of a payment; it is not told again. */
  async acknowledge(event: Pick<PaymentEvent, 'kind' | 'payment'>): Promise<void> {
    demandObject(event, 'event')
    const { payment } = event
    demandObject(payment, 'event.payment')
    const of = 'id' in payment ? 'outgoing' : 'incoming'
    const key = 'id' in payment ? payment.id : payment.paymentHash
    demandHash(key, 'event.payment')
    await this.#order({ kind: 'acknowledge', of, key })
  }

  /** Nothing more is to come. */
  end(): void {
    this.#events.complete()
  }

  /** What can't be read may be under way, or paid. @throws PerkunasError INVALID_RECORD */
  #demandReadable(name: string): void {
    const error = this.#broken.get(`${PAYMENT_ROWS}${name}`)
    if (error !== undefined) throw error
  }

  /** Whoever waits for the end of one payment finds it by its ID: many may wait for many. */
  #tell(event: PaymentEvent): void {
    if (event.kind === 'sent' || event.kind === 'failed') {
      const end = this.#awaited.get(event.payment.id)
      if (end !== undefined) end.payment = event.payment
    }
    this.#events.next(event)
  }

  /** What is over meanwhile is in the store when it is asked once more. */
  async #begin(payment: { readonly id: PaymentID; readonly request: PayRequest }): Promise<Answer> {
    const begin = async () => {
      const past = await pastPayments(this.#store, payment, this.#now())
      return this.#order({ kind: 'pay', ...payment, past })
    }
    try {
      return await begin()
    } catch (error) {
      if (isError(error, 'PAYMENT_EXISTS')) return begin()
      throw error
    }
  }

  /** Gives a command; resolves when what came of it is durable. */
  #order(input: PaymentsInput): Promise<Answer> {
    return this.#host.order((commands) => {
      const { consequence, answer } = this.desk.command(input)
      commands.follow(consequence)
      return answer
    })
  }
}

function demandHash(value: Hex, argument: string): void {
  if (isHex(value, 32)) return
  throw new PerkunasError('INVALID_ARGUMENT', `${argument}: 32 bytes as hex expected`, { argument })
}

/** What invoices call a chain (BOLT 11, "Human-Readable Part"); one that nobody knows is somebody's own. */
function currencyOf(chainHash: Hex): Currency {
  switch (chainHash) {
    case NETWORKS.main.genesis:
      return 'bc'
    case NETWORKS.test.genesis:
    case NETWORKS.testnet4.genesis:
      return 'tb'
    case NETWORKS.signet.genesis:
      return 'tbs'
    default:
      return 'bcrt'
  }
}
