// Runs seeds side by side in processes of their own.
import { type ChildProcess, fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { RunOptions, RunResult } from './run.js'

/** Milliseconds after which a run is taken for endless. */
const ENDLESS = 120_000

/** The worker of the code as it is. */
export const WORKER = fileURLToPath(new URL('./worker.js', import.meta.url))

/** What to do. */
export interface Work {
  readonly worker?: string
  readonly tasks: Iterable<RunOptions>
  /** Gets every result as it comes; returns whether to go on. */
  onResult(result: RunResult): boolean
}

/** Runs all tasks, or as many as are wanted. */
export async function runAll({ worker = WORKER, tasks, onResult }: Work): Promise<void> {
  const queue = tasks[Symbol.iterator]()
  let goesOn = true
  const lane = async () => {
    let child = start(worker)
    for (let next = queue.next(); goesOn && next.done !== true; next = queue.next()) {
      const result = await ask(child, next.value)
      if (!child.connected || result.hash === '') {
        child.kill('SIGKILL')
        child = start(worker)
      }
      goesOn = goesOn && onResult(result)
    }
    child.kill('SIGKILL')
  }
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), 8) }, lane))
}

function start(worker: string): ChildProcess {
  return fork(worker, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], serialization: 'advanced' })
}

function ask(child: ChildProcess, task: RunOptions): Promise<RunResult> {
  return new Promise((resolve) => {
    const { seed, steps } = task
    const broken = (words: string) => {
      end()
      const violations = [{ invariant: 'no mistake of ours', words } as const]
      resolve({ seed, steps, violations, hash: '', trace: [] })
    }
    const timer = setTimeout(() => broken(`the run does not end within ${ENDLESS / 1000} s`), ENDLESS)
    const onMessage = (result: unknown) => {
      end()
      resolve(result as RunResult)
    }
    const onExit = () => broken('the process of the run died')
    const end = () => {
      clearTimeout(timer)
      child.off('message', onMessage)
      child.off('exit', onExit)
    }
    child.once('message', onMessage)
    child.once('exit', onExit)
    child.send(task)
  })
}
