// What the main process of the demo and its parties say to each other.
import { type ChildProcess, fork } from 'node:child_process'
import type { Asset, Hex } from 'perkunas'
import type { DeployedContracts } from 'perkunas/backend/ethereum'

/** What a party starts with. */
export interface PartyOptions {
  readonly name: string
  /** Of the account that is the participant and pays its transactions. */
  readonly secret: Hex
  readonly rpc: string
  readonly contracts: DeployedContracts
}

/** A channel to open; amounts in wei, in decimal. */
export interface Terms {
  readonly peer: Hex
  readonly address: string
  readonly assets: readonly Asset[]
  readonly balances: readonly string[]
  readonly challengeDuration: string
}

/** How a party sees a channel. */
export interface ChannelView {
  readonly phase: string
  readonly version: string
  readonly balances: readonly string[]
  readonly events: readonly string[]
}

/** A call to a party. */
export interface Call {
  readonly id: number
  readonly method: string
  readonly args: readonly unknown[]
}

type Answer =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string }
  | { readonly progress: number }

/** A party's process, as the main process holds it. */
export class Remote {
  readonly #process: ChildProcess
  readonly #calls = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>()
  #last = 0
  onProgress: (updates: number) => void = () => undefined

  constructor(readonly name: string) {
    this.#process = fork(new URL('./ethereum-party.js', import.meta.url), [], {
      execArgv: ['--enable-source-maps'],
    })
    this.#process.on('message', (answer: Answer) => this.#answered(answer))
    this.#process.on('exit', (code) => {
      for (const { reject } of this.#calls.values()) reject(new Error(`${name} ended with code ${code}`))
      this.#calls.clear()
    })
  }

  start(options: PartyOptions): Promise<{ readonly peer: Hex; readonly address: string }> {
    return this.#call('start', options)
  }
  open(terms: Terms): Promise<Hex> {
    return this.#call('open', terms)
  }
  /** @returns seconds that it took */
  pay(channel: Hex, times: number, amount: bigint): Promise<number> {
    return this.#call('pay', channel, times, String(amount))
  }
  keep(channel: Hex): Promise<void> {
    return this.#call('keep', channel)
  }
  settle(channel: Hex): Promise<void> {
    return this.#call('settle', channel)
  }
  cheat(channel: Hex): Promise<string> {
    return this.#call('cheat', channel)
  }
  comeBack(): Promise<void> {
    return this.#call('comeBack')
  }
  over(channel: Hex): Promise<void> {
    return this.#call('over', channel)
  }
  state(channel: Hex): Promise<ChannelView | undefined> {
    return this.#call('state', channel)
  }

  async stop(): Promise<void> {
    await this.#call('stop').catch(() => undefined)
    this.#process.disconnect()
  }

  #call<T>(method: string, ...args: readonly unknown[]): Promise<T> {
    const id = ++this.#last
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve: (result) => resolve(result as T), reject })
      this.#process.send({ id, method, args })
    })
  }

  #answered(answer: Answer): void {
    if ('progress' in answer) return this.onProgress(answer.progress)
    const call = this.#calls.get(answer.id)
    this.#calls.delete(answer.id)
    if ('error' in answer) call?.reject(new Error(`${this.name}: ${answer.error}`))
    else call?.resolve(answer.result)
  }
}
