// What both benchmarks of two processes do: a directory for the stores, what the machine allows in the same minute, what
// idle channels take, and how all that is told.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Given } from '../scripts/command-line.js'
import { type Child, start } from './child.js'
import { median, rounded } from './figures.js'
import type { CommonCalls } from './party.js'
import type { Parts } from './updates-floor.js'

type Party = Child<CommonCalls>

/** Microseconds of the parts. */
export interface Costs extends Parts {
  readonly roundTrip: number
}

/**
 * Runs with two processes of a module and a directory for their stores, and removes all of it.
 *
 * @param given `--rounds n`, 5 by default; `--directory path`, the system's for temporary files by default
 */
export async function withParties<Calls extends CommonCalls>(
  module: URL,
  given: Given,
  work: (given: {
    readonly parties: readonly [Child<Calls>, Child<Calls>]
    readonly directory: string
    readonly rounds: number
  }) => Promise<void>,
): Promise<void> {
  const rounds = Number(given['rounds'] ?? 5)
  if (!Number.isSafeInteger(rounds) || rounds < 1) throw new Error('--rounds: a positive number expected')
  const directory = mkdtempSync(join(String(given['directory'] ?? tmpdir()), 'perkunas-bench-'))
  const parties: readonly [Child<Calls>, Child<Calls>] = [start(module), start(module)]
  try {
    await work({ parties, directory, rounds })
  } finally {
    await Promise.all(parties.map((party) => party.stop()))
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Rounds, before each of which the parts are timed. The first lets the compiler see everything; it does not count. */
export async function inRounds(
  [first, second]: readonly [Party, Party],
  rounds: number,
  round: (counts: boolean) => Promise<void>,
): Promise<readonly Costs[]> {
  const costs: Costs[] = []
  await keepApart(first, second)
  for (let i = 0; i <= rounds; i++) {
    const parts = await first.call('parts', null)
    const roundTrip = await first.call('roundTrip', await second.call('serveEcho', null))
    if (i > 0) costs.push({ ...parts, roundTrip })
    await round(i > 0)
    progress(i === 0 ? 'warm' : `round ${i} of ${rounds}`)
  }
  return costs
}

/** Both are at work: from now on each has a core of its own, if there are two. */
async function keepApart(first: Party, second: Party): Promise<void> {
  const kept = [await first.call('keepToCore', 0), await second.call('keepToCore', 1)]
  const isApart = !kept.includes(false)
  progress(
    isApart ? 'each process has a core of its own' : 'processes share cores, as taskset and two are needed',
  )
}

/** The middle of each part. */
export function middleCosts(costs: readonly Costs[]): Costs {
  const middle = (part: keyof Costs) => median(costs.map((each) => each[part]))
  return {
    sign: middle('sign'),
    verify: middle('verify'),
    commit: middle('commit'),
    disk: middle('disk'),
    roundTrip: middle('roundTrip'),
  }
}

/** Microseconds of processor time that both have used. */
export async function cpuOf(parties: readonly Party[]): Promise<number> {
  const used = await Promise.all(parties.map((party) => party.call('cpu', null)))
  return used.reduce((sum, each) => sum + each, 0)
}

/** Bytes that a channel takes that does nothing, in both processes. */
export interface Idle {
  readonly channels: number
  readonly residentBytesEach: readonly number[]
  readonly heapBytesEach: readonly number[]
}

/** Measures it. @param open so many more channels */
export async function measureIdle(
  parties: readonly Party[],
  channels: number,
  open: () => Promise<void>,
): Promise<Idle> {
  const memory = () => Promise.all(parties.map((party) => party.call('memory', null)))
  const before = await memory()
  await open()
  const after = await memory()
  const each = (part: 'resident' | 'heap') =>
    after.map((now, i) => rounded((now[part] - (before[i]?.[part] ?? 0)) / channels))
  return { channels, residentBytesEach: each('resident'), heapBytesEach: each('heap') }
}

/** What was measured, and with what. */
export interface Measured {
  readonly provider: string
  readonly parts: Costs & { readonly [part: string]: number }
  readonly idle: Idle
}

/** Tells the figures around a table. @param given `note`: what is said beside the parts */
export function report(
  { provider, parts, idle, ...others }: Measured,
  given: { readonly table: string; readonly note?: string; readonly json: boolean },
): void {
  const store = 'lmdb'
  const { disk, sign, verify, commit, roundTrip } = parts
  console.log(`secp256k1: ${provider}; store: ${store}; the disk syncs a block in ${disk.toFixed(0)} us`)
  const each = Object.entries({ sign, verify, commit, roundTrip })
    .map(([part, time]) => `${part} ${time.toFixed(0)}`)
    .join(', ')
  console.log(`parts in us: ${each}${given.note ?? ''}`)
  console.log(given.table)
  const kilobytes = (bytes: readonly number[]) =>
    bytes.map((each) => `${(each / 1024).toFixed(1)} kB`).join(' / ')
  console.log(
    `an idle channel: ${kilobytes(idle.residentBytesEach)} resident, ${kilobytes(idle.heapBytesEach)} of heap`,
  )
  if (!given.json) return
  const microseconds = Object.fromEntries(
    Object.entries(parts).map(([part, time]) => [part, rounded(time, 1)]),
  )
  console.log(JSON.stringify({ provider, store, parts: microseconds, ...others, idle }))
}

/** For whoever waits. */
export function progress(text: string): void {
  console.error(`bench: ${text}`)
}
