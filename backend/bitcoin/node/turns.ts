// The order of a node: what happens is put in a queue; turns of the core take from it what is there; each turn's writes become
// durable in one commit, and only then its effects happen, in their order. What comes meanwhile is the next turn's, and
// shares its commit.
import type { PerkunasError } from '../../../channel/errors.js'
import type { Clock, PeerID } from '../../../peer/index.js'
import type { Store } from '../../../persistence/index.js'
import type { Core } from './core.js'
import type { NodeEffect } from './effects.js'
import type { Entry } from './entries.js'
import { asError, asStoreError } from './faults.js'
import { Inbox } from './inbox.js'
import type { Commands, NodeInput } from './input.js'
import { Unsigned } from './unsigned.js'
import { Waiters } from './waiters.js'

/**
 * Inputs that one turn takes at most, and the time after which it takes no more, in milliseconds. Each turn writes the rows
 * of what it changed anew, and those of a channel with hundreds of HTLCs are long: shorter turns would write them more often.
 */
const TURN = { inputs: 256, milliseconds: 16 }
/** Messages of one peer that wait; one that sends more is not read. */
const MAX_WAITING = 512
/** Where waiting inputs come from that are no peer's. */
const OWN = ''

/** What turns need, and what is to be done at their ends. */
export interface TurnsOptions {
  readonly core: Core
  readonly store: Store
  readonly clock: Clock
  /** Calls back soon, other tasks in between. */
  readonly schedule: (task: () => void) => void
  /** After the commit and before its effects, some of which may have to wait. */
  readonly keep: (changed: readonly Entry[]) => void
  readonly perform: (effect: NodeEffect) => void
  /** After the effects. */
  readonly changed: (changed: readonly Entry[]) => void
  /** There will be no turn any more. */
  readonly failed: (error: PerkunasError) => void
}

/** See above. */
export class Turns {
  /** Who waits for something that turns may bring. */
  readonly waiters = new Waiters()
  readonly #options: TurnsOptions
  readonly #inbox = new Inbox<PeerID | typeof OWN, NodeInput>()
  /** Peers that are not read, since too much of theirs waits. */
  readonly #held = new Map<PeerID, () => void>()
  readonly #unsigned = new Unsigned()
  /** Channels whose next steps may be prepared, once nothing waits any more. */
  readonly #touched = new Set<Entry>()
  #isWorking = false
  #stopped: PerkunasError | undefined
  #idle: (() => void) | undefined

  constructor(options: TurnsOptions) {
    this.#options = options
  }

  /** Why there are no more, if so. */
  get stopped(): PerkunasError | undefined {
    return this.#stopped
  }

  /** @throws why it stopped, if it has */
  mustGoOn(): void {
    if (this.#stopped !== undefined) throw this.#stopped
  }

  /** To be handled in a turn soon. */
  push(input: NodeInput, source: PeerID | typeof OWN = OWN): void {
    if (this.#stopped !== undefined) return
    if (source !== OWN) this.#take(source, this.#unsigned.before(source, input))
    else this.#inbox.push(source, input)
    if (this.#isWorking) return
    this.#isWorking = true
    this.#options.schedule(() => void this.#work())
  }

  /** What a peer says. @returns when more of it is to be read */
  receive(input: NodeInput, peer: PeerID): void | Promise<void> {
    this.push(input, peer)
    if (this.#waiting(peer) < MAX_WAITING) return
    return new Promise((resolve) => {
      const before = this.#held.get(peer)
      this.#held.set(peer, () => {
        before?.()
        resolve()
      })
    })
  }

  /** Runs something in a turn; resolves when that is durable. */
  command<T>(run: (commands: Commands) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#stopped !== undefined) return reject(this.#stopped)
      const ended = this.waiters.onEnd(reject)
      this.push({
        kind: 'command',
        run: (commands) => {
          const answer = (call: () => void) =>
            commands.effect({
              kind: 'call',
              call: () => {
                ended()
                call()
              },
            })
          try {
            const result = run(commands)
            answer(() => resolve(result))
          } catch (cause) {
            answer(() => reject(cause))
          }
        },
      })
    })
  }

  /** Resolves when what follows from an input is durable. */
  async done(input: NodeInput): Promise<void> {
    this.mustGoOn()
    this.push(input)
    await this.command(() => undefined)
  }

  /** Nothing more is handled. @returns whether it was not so before */
  end(error: PerkunasError): boolean {
    if (this.#stopped !== undefined) return false
    this.#stopped = error
    this.#inbox.clear()
    this.#unsigned.clear()
    for (const go of this.#held.values()) go()
    this.#held.clear()
    this.waiters.end(error)
    return true
  }

  /** Resolves when the turn that is under way is over. */
  async idle(): Promise<void> {
    if (!this.#isWorking) return
    await new Promise<void>((resolve) => {
      this.#idle = resolve
    })
  }

  /** Turn after turn until nothing waits. */
  async #work(): Promise<void> {
    const { schedule, failed } = this.#options
    try {
      let isUnfinished = false
      const isOver = () => !isUnfinished && this.#inbox.isEmpty && this.#unsigned.isEmpty
      const goesOn = () => this.#stopped === undefined && !isOver()
      while (goesOn()) {
        for (const [peer, updates] of this.#unsigned.due(this.#inbox.isEmpty)) this.#take(peer, updates)
        if (isUnfinished || !this.#inbox.isEmpty) isUnfinished = await this.#turn()
        // Sockets have their chance.
        if (goesOn()) await new Promise<void>((resolve) => schedule(resolve))
      }
    } catch (cause) {
      failed(asError(cause, 'node'))
    }
    this.#isWorking = false
    this.#idle?.()
    this.#prepareNext()
  }

  /**
   * Uses the time in which peers are at work: a part at a time, other tasks in between. All of one channel before the next:
   * keys are kept of so many channels only, and of more, in turns, each would be forgotten before its next part was made.
   */
  #prepareNext(): void {
    const [entry] = this.#touched
    if (entry === undefined || this.#isWorking || this.#stopped !== undefined) return
    this.#options.schedule(() => {
      if (this.#isWorking || this.#stopped !== undefined) return
      if (!this.#options.core.prepare(entry)) this.#touched.delete(entry)
      this.#prepareNext()
    })
  }

  #take(peer: PeerID, inputs: readonly NodeInput[]): void {
    for (const input of inputs) this.#inbox.push(peer, input)
  }

  #waiting(peer: PeerID): number {
    return this.#inbox.waiting(peer) + this.#unsigned.waiting(peer)
  }

  /** @returns whether it wants another one */
  async #turn(): Promise<boolean> {
    const { core, store, keep, perform, changed: tell, failed } = this.#options
    const { writes, effects, isUnfinished } = core.turn(this.#taken())
    if (writes.length > 0) {
      try {
        await store.commit(writes)
      } catch (cause) {
        failed(asStoreError(cause))
        return false
      }
      if (this.#stopped !== undefined) return false
    }
    const changed = core.committed()
    keep(changed)
    for (const effect of effects) perform(effect)
    tell(changed)
    for (const entry of changed) this.#touched.add(entry)
    this.waiters.check()
    this.#goOnReading()
    return isUnfinished
  }

  *#taken(): Generator<NodeInput> {
    const { clock } = this.#options
    const end = clock.now() + TURN.milliseconds
    for (let count = 0; count < TURN.inputs && (count === 0 || clock.now() < end); count++) {
      const input = this.#inbox.next()
      if (input === undefined) return
      yield input
    }
  }

  #goOnReading(): void {
    for (const [peer, go] of this.#held) {
      if (this.#waiting(peer) > MAX_WAITING / 2) continue
      this.#held.delete(peer)
      go()
    }
  }
}
