// Who is told what a bus hears, and what becomes of it when somebody fails.
import type { MessageHandler, PeerEvent, PeerHandler } from './bus.js'
import type { PeerID } from './identity.js'

/** Takes messages that are not Perun payloads. As {@link MessageHandler}. */
export type RawHandler = (from: PeerID, type: number, payload: Uint8Array) => void | Promise<void>

/** Is told what a handler threw. */
export type OnThrown = (cause: unknown) => void

const ERROR = 17

/**
 * The handlers of a bus. They are called at once, in the order they were added; a result is a promise only if one
 * of theirs was, and never rejects: what they throw goes to `onThrown`, once per call.
 */
export class Dispatch {
  readonly #messages = new Set<MessageHandler>()
  readonly #peers = new Set<PeerHandler>()
  readonly #raw = new Map<number, Set<RawHandler>>()

  /** Adds a handler of payloads; the result removes it. */
  onMessage(handler: MessageHandler): () => void {
    this.#messages.add(handler)
    return () => this.#messages.delete(handler)
  }

  /** Adds a handler of connections; the result removes it. */
  onPeer(handler: PeerHandler): () => void {
    this.#peers.add(handler)
    return () => this.#peers.delete(handler)
  }

  /** Adds a handler of messages of some types; the result removes it. */
  onRaw(types: readonly number[], handler: RawHandler): () => void {
    for (const type of types) this.#raw.set(type, (this.#raw.get(type) ?? new Set()).add(handler))
    return () => {
      for (const type of types) {
        const handlers = this.#raw.get(type)
        handlers?.delete(handler)
        if (handlers?.size === 0) this.#raw.delete(type)
      }
    }
  }

  /** Tells of a connection. */
  report(event: PeerEvent, onThrown: OnThrown): void {
    for (const handler of [...this.#peers]) {
      try {
        handler(event)
      } catch (cause) {
        onThrown(cause)
      }
    }
  }

  /** Hands a payload on. */
  message(from: PeerID, payload: Uint8Array, onThrown: OnThrown): void | Promise<void> {
    return callAll(this.#messages, (handler) => handler(from, payload), onThrown)
  }

  /** Hands another message on; `false` if nobody knows its type. Errors (17) need nobody. */
  raw(from: PeerID, type: number, payload: Uint8Array, onThrown: OnThrown): boolean | Promise<void> {
    const handlers = this.#raw.get(type)
    if (handlers === undefined) return type === ERROR
    return callAll(handlers, (handler) => handler(from, type, payload), onThrown) ?? true
  }
}

function callAll<H>(
  handlers: ReadonlySet<H>,
  call: (handler: H) => void | Promise<void>,
  onThrown: OnThrown,
): Promise<void> | undefined {
  let pending: Promise<void>[] | undefined
  try {
    for (const handler of handlers) {
      const result = call(handler)
      if (result === undefined) continue
      pending ??= []
      pending.push(result)
    }
  } catch (cause) {
    for (const other of pending ?? []) other.catch(() => undefined) // one failure is enough
    onThrown(cause)
    return undefined
  }
  return pending === undefined ? undefined : Promise.all(pending).then(() => undefined, onThrown)
}
