// Sends that wait for a connection with their peer.
import type { PerkunasError } from '../channel/errors.js'
import type { Connection } from './connection.js'

interface Waiting {
  /** Undefined for who waits for the connection only. */
  readonly payload: Uint8Array | undefined
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Payloads for one peer in their order, and who waits for their leaving. */
export class Outbox {
  #waiting: Waiting[] = []
  #bytes = 0

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  /** Bytes that wait. */
  get bytes(): number {
    return this.#bytes
  }

  /** Adds a payload, or nothing; resolves when it is handed to a connection, rejects with what {@link fail} says. */
  add(payload?: Uint8Array): Promise<void> {
    this.#bytes += payload?.length ?? 0
    return new Promise((resolve, reject) => {
      this.#waiting.push({ payload, resolve, reject })
    })
  }

  /** Hands everything to a connection. */
  flush(connection: Connection): void {
    for (const { payload, resolve, reject } of this.#take()) {
      try {
        if (payload !== undefined) connection.send(payload)
        resolve()
      } catch (error) {
        reject(error)
      }
    }
  }

  /** Ends every wait. */
  fail(error: PerkunasError): void {
    for (const { reject } of this.#take()) reject(error)
  }

  #take(): readonly Waiting[] {
    const waiting = this.#waiting
    this.#waiting = []
    this.#bytes = 0
    return waiting
  }
}
