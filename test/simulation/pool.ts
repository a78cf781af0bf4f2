// Runs seeds side by side in processes of their own.
import { type ChildProcess, fork, spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { RunOptions, RunResult } from './play.js'

/** When a run is taken for endless: a busy machine alone makes none so. */
export interface Patience {
  /** Milliseconds after which it may be, and after which that is looked at again. */
  readonly doubtful: number
  /** Seconds of a processor that it has used since it was looked at first. */
  readonly endless: number
}

const PATIENCE: Patience = { doubtful: 120_000, endless: 60 }

/** The worker of the code as it is. */
export const WORKER = fileURLToPath(new URL('./worker.js', import.meta.url))

/** What to do. */
export interface Work {
  readonly worker?: string
  readonly tasks: Iterable<RunOptions>
  readonly patience?: Patience
  /** Gets every result as it comes; returns whether to go on. */
  onResult(result: RunResult): boolean
}

/** Runs all tasks, or as many as are wanted. */
export async function runAll({ worker = WORKER, tasks, patience = PATIENCE, onResult }: Work): Promise<void> {
  const queue = tasks[Symbol.iterator]()
  let goesOn = true
  const lane = async () => {
    let child = start(worker)
    for (let next = queue.next(); goesOn && next.done !== true; next = queue.next()) {
      const result = await ask(child, next.value, patience)
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

function ask(child: ChildProcess, task: RunOptions, { doubtful, endless }: Patience): Promise<RunResult> {
  return new Promise((resolve) => {
    const { seed, steps } = task
    const broken = (words: string) => {
      end()
      const violations = [{ invariant: 'no mistake of ours', words } as const]
      resolve({ seed, steps, violations, hash: '', trace: [] })
    }
    let before: number | undefined
    const timer = setInterval(() => {
      const used = processorTime(child)
      before ??= used
      if (used === undefined || used - (before ?? 0) >= endless) broken('the run does not end')
    }, doubtful)
    const onMessage = (result: unknown) => {
      end()
      resolve(result as RunResult)
    }
    const onExit = () => broken('the process of the run died')
    const end = () => {
      clearInterval(timer)
      child.off('message', onMessage)
      child.off('exit', onExit)
    }
    child.once('message', onMessage)
    child.once('exit', onExit)
    child.send(task)
  })
}

/** Seconds of a processor that a process has used, which ps gives as `[[days-]hours:]minutes:seconds`. */
function processorTime({ pid }: ChildProcess): number | undefined {
  const { status, stdout } = spawnSync('ps', ['-o', 'time=', '-p', String(pid)], { encoding: 'utf8' })
  if (status !== 0) return undefined
  const [time = '', days = '0'] = stdout.trim().split('-').toReversed()
  return time.split(':').reduce((sum, part) => 60 * sum + Number(part), 0) + 86_400 * Number(days)
}
