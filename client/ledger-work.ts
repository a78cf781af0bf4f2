// What a channel has under way on its ledger: at most one piece of work of each kind, repeated until it
// succeeds or is no longer wanted.
import {
  type CallOptions,
  type ChannelID,
  isError,
  PerkunasError,
  type RegisterRequest,
  type SignedState,
  type Transaction,
} from '../channel/index.js'
import {
  allSignatures,
  type ChannelEffect,
  type ChannelInput,
  type ChannelRecord,
  currentOf,
  type LedgerEffect,
} from './conversation.js'
import type { World } from './world.js'

/** Milliseconds before work that failed is tried again: doubling from the first to the last. */
const RETRY = { first: 500, last: 60_000 }

/** What ledger work needs of its channel. */
interface Host {
  readonly world: World
  readonly channelID: ChannelID
  record(): ChannelRecord
  dispatch(input: ChannelInput): void
  failed(kind: LedgerEffect['kind'], error: PerkunasError): void
}

/** Runs a channel's {@link LedgerEffect}s. */
export class LedgerWork {
  readonly #host: Host
  readonly #running = new Map<LedgerEffect['kind'], AbortController>()

  constructor(host: Host) {
    this.#host = host
  }

  /** Whether anything is under way, or waits to be tried again. */
  get isBusy(): boolean {
    return this.#running.size > 0
  }

  /** Starts work; effects of other kinds are not its business. */
  perform(effect: ChannelEffect): void {
    const { world, dispatch } = this.#host
    const { adjudicator, funder } = world.backend
    const { machine, agreement } = this.#host.record()
    const { params, index } = machine
    switch (effect.kind) {
      case 'cancel':
        for (const kind of effect.what) this.#cancel(kind)
        return
      case 'fund':
        return this.#once(
          effect.kind,
          async (options) => {
            const state = machine.current?.state
            if (state === undefined) return
            await funder.fund({ params, state, index, agreement }, options)
            dispatch({ kind: 'funded' })
          },
          () => dispatch({ kind: 'fundingFailed' }),
        )
      case 'register':
        return this.#persistently(effect.kind, (options) =>
          adjudicator.register(this.#tree(signed(params, effect.transaction)), {
            ...options,
            ...urgent(this.#refutableUntil(effect.transaction)),
          }),
        )
      case 'progress': {
        const { registered, next, signature } = effect
        return this.#once(
          effect.kind,
          (options) =>
            adjudicator.progress(
              { params, registered, next, actor: index, signature },
              { ...options, ...urgent(this.#enforceableUntil()) },
            ),
          () => dispatch({ kind: 'progressFailed' }),
        )
      }
      case 'withdraw': {
        const { transaction, secondary } = effect
        const { state } = transaction
        const signatures = allSignatures(transaction) ?? []
        let hasFailed = false
        return this.#persistently(effect.kind, async (options) => {
          // What we saw registered may be gone with its block, and nobody tells who was away then.
          if (hasFailed && !state.isFinal && signatures.length > 0) {
            const registering = adjudicator.register(this.#tree({ params, state, signatures }), options)
            // An older one may stand registered for good: then that is what is concluded with.
            await registering.catch((cause) => {
              if (!isError(cause, 'TRANSACTION_FAILED')) throw cause
            })
          }
          hasFailed = true
          const subChannels = world.below(state).map((child) => child.state)
          await adjudicator.withdraw({ params, state, signatures, subChannels, index, secondary }, options)
          dispatch({ kind: 'paid' })
        })
      }
      case 'authorize':
        return this.#once(
          effect.kind,
          async () => {
            const authorization = await adjudicator.authorizeClose({ params, state: effect.state, index })
            dispatch({ kind: 'authorized', authorization })
          },
          () => dispatch({ kind: 'patienceOver' }),
        )
      case 'close': {
        const { transaction, authorizations } = effect
        const signatures = allSignatures(transaction) ?? []
        const ended = () => dispatch({ kind: 'closeEnded' })
        return this.#once(
          effect.kind,
          async (options) => {
            await adjudicator.close(
              { params, state: transaction.state, signatures, authorizations, index },
              options,
            )
            ended()
          },
          ended,
        )
      }
      case 'wait': {
        if (this.#running.has('wait')) return
        const controller = new AbortController()
        this.#running.set('wait', controller)
        const cancel = world.clock.after(world.patience, () => {
          this.#running.delete('wait')
          dispatch({ kind: 'patienceOver' })
        })
        controller.signal.addEventListener('abort', cancel)
        return
      }
      default:
        return
    }
  }

  /** Ends all work. */
  stop(): void {
    for (const kind of [...this.#running.keys()]) this.#cancel(kind)
  }

  /** What to register for a state: with all below it, and a sub-channel with all above. Asked for anew at each attempt. */
  #tree(own: SignedState): RegisterRequest {
    const { world, channelID } = this.#host
    const signed = own.params.ledgerChannel ? own : (world.rootOf(channelID) ?? own)
    return { signed, subChannels: world.below(signed.state) }
  }

  /** Until when a state refutes what stands registered; undefined if nothing older does. */
  #refutableUntil({ state }: Transaction): bigint | undefined {
    const { registered } = this.#host.record()
    return registered !== undefined && registered.version < state.version ? registered.deadline : undefined
  }

  /** Until when a step can be enforced: of an app's first one the ledger waits for as long again as for refutations. */
  #enforceableUntil(): bigint | undefined {
    const record = this.#host.record()
    const { registered, machine } = record
    if (registered === undefined) return undefined
    const isFirst = allSignatures(currentOf(record)) !== undefined
    return isFirst ? registered.deadline + machine.params.challengeDuration : registered.deadline
  }

  #cancel(kind: LedgerEffect['kind']): void {
    this.#running
      .get(kind)
      ?.abort(new PerkunasError('ABORTED', `${kind} is no longer wanted`, { call: kind }))
    this.#running.delete(kind)
  }

  /** Runs work once; what it throws is reported and handed to `failed`. */
  #once(
    kind: LedgerEffect['kind'],
    work: (options: CallOptions) => Promise<void>,
    failed: (error: PerkunasError) => void,
  ): void {
    this.#cancel(kind)
    const controller = new AbortController()
    this.#running.set(kind, controller)
    const { signal } = controller
    const run = async () => {
      try {
        const unconfirmed = this.#host.world.confirm()
        if (unconfirmed !== undefined) await unconfirmed
        await work({ signal })
      } catch (cause) {
        if (signal.aborted || isError(cause, 'CLOSED')) return
        const error = asLedgerError(cause, kind)
        this.#host.failed(kind, error)
        failed(error)
      } finally {
        if (this.#running.get(kind) === controller) this.#running.delete(kind)
      }
    }
    void run()
  }

  /** Runs work until it succeeds or is cancelled, with pauses that double. */
  #persistently(kind: LedgerEffect['kind'], work: (options: CallOptions) => Promise<void>): void {
    this.#cancel(kind)
    const controller = new AbortController()
    this.#running.set(kind, controller)
    const { signal } = controller
    const { clock } = this.#host.world
    const attempt = async (pause: number): Promise<void> => {
      try {
        const unconfirmed = this.#host.world.confirm()
        if (unconfirmed !== undefined) await unconfirmed
        await work({ signal })
        if (this.#running.get(kind) === controller) this.#running.delete(kind)
      } catch (cause) {
        // A closed backend does nothing more; the record says what a restart has to do.
        if (signal.aborted || isError(cause, 'CLOSED')) return
        this.#host.failed(kind, asLedgerError(cause, kind))
        const cancel = clock.after(pause, () => void attempt(Math.min(2 * pause, RETRY.last)))
        signal.addEventListener('abort', cancel, { once: true })
      }
    }
    void attempt(RETRY.first)
  }
}

function urgent(deadline: bigint | undefined): Pick<CallOptions, 'deadline'> {
  return deadline === undefined ? {} : { deadline }
}

function signed(params: SignedState['params'], transaction: Transaction): SignedState {
  return { params, state: transaction.state, signatures: allSignatures(transaction) ?? [] }
}

function asLedgerError(cause: unknown, kind: string): PerkunasError {
  if (cause instanceof PerkunasError) return cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new PerkunasError('TRANSACTION_FAILED', `${kind} failed: ${reason}`, { kind, reason }, { cause })
}
