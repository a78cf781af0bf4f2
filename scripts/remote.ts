// A process of a test's own, that can be asked something, tells something, and can be killed at any moment.
import { type ChildProcess, fork } from 'node:child_process'

/** What a process can be asked: one argument and a result, both fit for a structured clone. */
export type Calls = Readonly<Record<string, (argument: never) => unknown>>

interface Request {
  readonly id: number
  readonly name: string
  readonly argument: unknown
}

type Message =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string }
  | { readonly told: unknown }

/** A process that answers `C` and tells `T` unasked. */
export class Remote<C extends Calls, T> {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, { resolve(result: never): void; reject(error: Error): void }>()
  /** Resolves when the process has ended, however that happened. */
  readonly gone: Promise<void>
  #last = 0

  /** @param onTold hears what the process tells */
  constructor(module: URL, onTold: (told: T) => void) {
    this.#child = fork(module, {
      serialization: 'advanced',
      execArgv: ['--enable-source-maps'],
      stdio: ['ignore', 2, 2, 'ipc'],
    })
    this.#child.on('message', (message: Message) => {
      if ('told' in message) return onTold(message.told as T) // from `serve` of that module
      const caller = this.#waiting.get(message.id)
      this.#waiting.delete(message.id)
      if ('error' in message) caller?.reject(new Error(message.error))
      else caller?.resolve(message.result as never)
    })
    this.gone = new Promise((resolve) => {
      this.#child.once('exit', (code, signal) => {
        for (const { reject } of this.#waiting.values()) reject(new Error(`process ended: ${signal ?? code}`))
        this.#waiting.clear()
        resolve()
      })
    })
  }

  /** @throws Error with the process's own message, or because it is gone */
  call<K extends keyof C & string>(
    name: K,
    argument: Parameters<C[K]>[0],
  ): Promise<Awaited<ReturnType<C[K]>>> {
    const request: Request = { id: ++this.#last, name, argument }
    return new Promise((resolve, reject) => {
      if (!this.#child.connected) return reject(new Error('process ended'))
      this.#waiting.set(request.id, { resolve, reject })
      this.#child.send(request, (error) => error && reject(error))
    })
  }

  /** Whether it can be asked something. */
  get isRunning(): boolean {
    return this.#child.connected
  }

  /** Ends it as a power cut would, and returns when it is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.gone
  }

  /** Makes it stand still, or go on. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal)
  }

  /** Lets it end by itself, and returns when it has. */
  async stop(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect()
    await this.gone
  }
}

/** Answers the calls of the process that started this one, and ends with it. @returns tells that process something */
export function serve(calls: Calls, end: () => Promise<void>): (told: unknown) => void {
  process.on('message', ({ id, name, argument }: Request) => {
    const answer = async () => await calls[name]?.(argument as never)
    answer().then(
      (result) => process.connected && process.send?.({ id, result }),
      (error: unknown) =>
        process.connected &&
        process.send?.({
          id,
          error: error instanceof Error ? (error.stack ?? error.message) : String(error),
        }),
    )
  })
  process.once('disconnect', () => void end().finally(() => process.exit()))
  return (told) => void (process.connected && process.send?.({ told }))
}
