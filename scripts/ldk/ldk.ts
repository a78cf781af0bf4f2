// Starts an LDK node in a process of its own, for tests, the benchmark and the demo.
import type { Hex } from '../../channel/bytes.js'
import { Remote } from '../remote.js'
import type { LdkEvent } from './events.js'
import type { NodeOptions } from './parts.js'
import type { LdkCalls } from './process.js'

export type { LdkPolicy } from './config.js'
export type { LdkEvent } from './events.js'
export type { NodeOptions } from './parts.js'
export type { LdkChannel } from './process.js'

type EventOf<K extends LdkEvent['kind']> = Extract<LdkEvent, { readonly kind: K }>

/** An LDK node in its process. It listens on loopback. */
export class Ldk implements AsyncDisposable {
  readonly #remote: Remote<LdkCalls, LdkEvent>
  readonly #listeners = new Set<(event: LdkEvent) => void>()
  /** Everything that the node has told so far. */
  readonly events: LdkEvent[] = []
  /** Its public key. */
  id: Hex = '0x'
  port = 0

  private constructor() {
    this.#remote = new Remote(new URL('./process.js', import.meta.url), (event) => {
      this.events.push(event)
      for (const listener of [...this.#listeners]) listener(event)
    })
  }

  /** Starts a node; with the directory and the seed of one that was stopped it goes on as that. */
  static async start(options: NodeOptions): Promise<Ldk> {
    const node = new Ldk()
    try {
      Object.assign(node, await node.#remote.call('begin', options))
    } catch (error) {
      await node.#remote.kill()
      throw error
    }
    return node
  }

  /** Whether it was neither stopped nor killed. */
  get isRunning(): boolean {
    return this.#remote.isRunning
  }

  /** Asks the process. @throws Error with what it says */
  get call(): Remote<LdkCalls, LdkEvent>['call'] {
    return this.#remote.call.bind(this.#remote)
  }

  /** The first event of a kind that fits, whether it was told already or is yet to come. */
  async event<K extends LdkEvent['kind']>(
    kind: K,
    fits: (event: EventOf<K>) => boolean = () => true,
  ): Promise<EventOf<K>> {
    const isWanted = (event: LdkEvent): event is EventOf<K> => isOf(event, kind) && fits(event)
    const known = this.events.find(isWanted)
    if (known !== undefined) return known
    return new Promise((resolve, reject) => {
      const listener = (event: LdkEvent) => {
        if (!isWanted(event)) return
        this.#listeners.delete(listener)
        resolve(event)
      }
      this.#listeners.add(listener)
      void this.#remote.gone.then(() => reject(new Error('the LDK node has ended')))
    })
  }

  /** Ends it as a power cut would. */
  kill(): Promise<void> {
    return this.#remote.kill()
  }

  /** Lets it write itself down and end. May be called again. */
  stop(): Promise<void> {
    return this.#remote.stop()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}

function isOf<K extends LdkEvent['kind']>(event: LdkEvent, kind: K): event is EventOf<K> {
  return event.kind === kind
}
