// Processes that are measured beside each other, each on a core of its own as if on a machine of its own. Left to itself, a
// kernel may wake who receives something on the core of who sent it, although another one is idle: then one waits for whatever
// the other does next.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/**
 * Keeps the main thread of this process, and threads to come, to one core. Linux only, by `taskset` of util-linux.
 *
 * @param which of two processes it is
 * @returns whether it could be done; not where there is one core only
 */
export function keepToCore(which: 0 | 1): boolean {
  const core = allowedCores().at(which === 0 ? 0 : -1)
  if (core === undefined) return false
  const { status } = spawnSync('taskset', ['--cpu-list', '--pid', `${core}`, `${process.pid}`], {
    stdio: 'ignore',
  })
  return status === 0
}

/** By the kernel's numbers; none if there are fewer than two. */
function allowedCores(): readonly number[] {
  if (process.platform !== 'linux') return []
  const [, list = ''] = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  const cores = list.split(',').flatMap((range) => {
    const [first = Number.NaN, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, i) => first + i)
  })
  return cores.length < 2 ? [] : cores
}
