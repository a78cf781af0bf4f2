// Calls from one process into another that it has started, over the channel that Node.js puts between them.
import { fork } from 'node:child_process'

/** What a child can be asked; arguments and results must survive a structured clone. */
export type Calls = Readonly<Record<string, (argument: never) => unknown>>

/** A child process that answers `C`. */
export interface Child<C extends Calls> {
  /** @throws Error with the child's own message, or because it is gone */
  call<K extends keyof C & string>(name: K, argument: Parameters<C[K]>[0]): Promise<Awaited<ReturnType<C[K]>>>
  /** Lets it end by itself, and returns when it has. */
  stop(): Promise<void>
}

interface Request {
  readonly id: number
  readonly name: string
  readonly argument: unknown
}

interface Answer {
  readonly id: number
  readonly result?: unknown
  readonly error?: string
}

/** Starts a module that calls {@link serve}. Node.js's own options (`--cpu-prof`) are handed on. */
export function start<C extends Calls>(module: URL): Child<C> {
  const child = fork(module, {
    serialization: 'advanced',
    execArgv: [...process.execArgv, '--expose-gc'],
    stdio: ['ignore', 2, 2, 'ipc'],
  })
  const waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>()
  let last = 0
  child.on('message', (message) => {
    const { id, result, error } = message as Answer // our own module is at the other end
    const caller = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) caller?.resolve(result)
    else caller?.reject(new Error(error))
  })
  const gone = new Promise<void>((resolve) => {
    child.once('exit', (code) => {
      for (const { reject } of waiting.values())
        reject(new Error(`a process of the benchmark ended: ${code}`))
      resolve()
    })
  })
  return {
    call(name, argument) {
      const request: Request = { id: ++last, name, argument }
      return new Promise((resolve, reject) => {
        waiting.set(request.id, {
          resolve: (result) => resolve(result as Awaited<ReturnType<C[typeof name]>>), // its answer to `name`
          reject,
        })
        child.send(request)
      })
    },
    async stop() {
      if (child.connected) child.disconnect()
      await gone
    },
  }
}

/** Answers the calls of the process that started this one, and ends with it. */
export function serve(calls: Calls, end: () => Promise<void>): void {
  process.on('message', (message) => {
    const { id, name, argument } = message as Request // from `start`
    const answer = async () => await calls[name]?.(argument as never)
    answer().then(
      (result) => process.send?.({ id, result }),
      (error: unknown) => process.send?.({ id, error: error instanceof Error ? error.stack : String(error) }),
    )
  })
  process.once('disconnect', () => void end().finally(() => process.exit()))
}
