// How many updates two clients make: two processes over TCP with durable stores, sequentially on one channel and
// over many channels at once, beside what their parts would allow in the same minute.

import { join } from 'node:path'
import Table from 'cli-table3'
import type { Given } from '../scripts/command-line.js'
import type { Child } from './child.js'
import { median, rounded } from './figures.js'
import { cpuOf, inRounds, measureIdle, middleCosts, progress, report, withParties } from './two-processes.js'
import type { Speed } from './updates-floor.js'
import { startLedger } from './updates-ledger.js'
import type { PartyCalls } from './updates-party.js'

/** Channels that are busy at once. */
const WIDTHS = [1, 16, 128] as const
const BUSY = Math.max(...WIDTHS)
const SECONDS = 1
const IDLE = 500

type Party = Child<PartyCalls>

/** One width's results. */
interface Result {
  readonly channels: number
  readonly updatesPerSecond: number
  /** Milliseconds from the call to the durable state. */
  readonly p50: number
  readonly p99: number
  /** What the bare parts did in the same run. */
  readonly floorPerSecond: number
  /** `updatesPerSecond / floorPerSecond`, the median of the rounds. */
  readonly ratio: number
  /** Microseconds of processor time of both processes for one update: ours, and the bare parts'. */
  readonly cpu: number
  readonly floorCPU: number
}

interface Timed extends Speed {
  readonly cpu: number
}

/**
 * Runs it. `--json`: the last line of standard output is one JSON object. `--rounds n`, 5 by default;
 * `--directory path` under which the stores lie, the system's for temporary files by default.
 */
export function run(options: Given): Promise<void> {
  const module = new URL('./updates-party.js', import.meta.url)
  return withParties<PartyCalls>(module, options, async ({ parties, directory, rounds }) => {
    const [proposer, acceptor] = parties
    await using ledger = await startLedger()
    const { contracts } = ledger
    const about = await proposer.call('begin', { directory: join(directory, 'a'), contracts })
    const other = await acceptor.call('begin', { directory: join(directory, 'b'), contracts })
    await Promise.all([about, other].map(({ account }) => ledger.endow(account)))
    const { peer } = other
    await proposer.call('connect', other)
    await proposer.call('open', { peer, count: BUSY })
    await acceptor.call('opened', BUSY)
    progress('channels are open')
    const measured = await measure(parties, rounds)
    const idle = await measureIdle(parties, IDLE, async () => {
      await proposer.call('open', { peer, count: IDLE })
      await acceptor.call('opened', BUSY + IDLE)
    })
    const { parts, ratioToSum, results } = measured
    const note = `; of one update ${parts.sum.toFixed(0)} (ratio ${ratioToSum})`
    const given = { table: tableOf(results), note, json: options['json'] === true }
    report({ provider: about.provider, ...measured, idle }, given)
  })
}

async function measure(parties: readonly [Party, Party], rounds: number) {
  const [proposer, acceptor] = parties
  const timed = async (task: () => Promise<Speed>): Promise<Timed> => {
    const before = await cpuOf(parties)
    const speed = await task()
    return { ...speed, cpu: ((await cpuOf(parties)) - before) / speed.updates }
  }
  const perSecond = ({ updates, seconds }: Speed) => updates / seconds
  const runs = WIDTHS.map((channels) => ({ channels, floors: [] as Timed[], speeds: [] as Timed[] }))
  const costs = await inRounds(parties, rounds, async (counts) => {
    for (const { channels, floors, speeds } of runs) {
      const port = await acceptor.call('serveFloor', channels)
      const floor = await timed(() => proposer.call('floor', { port, channels, seconds: SECONDS }))
      const speed = await timed(() => proposer.call('update', { count: channels, seconds: SECONDS }))
      if (!counts) continue
      floors.push(floor)
      speeds.push(speed)
    }
  })
  // An update that consists of nothing else, on one channel.
  const sums = costs.map(({ sign, verify, commit, roundTrip }) => 2 * (sign + verify + commit) + roundTrip)
  return {
    parts: { ...middleCosts(costs), sum: median(sums) },
    // Of each round by itself: a disk that others use too is another one a minute later.
    ratioToSum: rounded(
      median((runs[0]?.speeds ?? []).map((speed, i) => (perSecond(speed) * (sums[i] ?? 0)) / 1e6)),
      3,
    ),
    results: runs.map(({ channels, floors, speeds }): Result => {
      return {
        channels,
        updatesPerSecond: rounded(median(speeds.map(perSecond))),
        p50: rounded(median(speeds.map(({ p50 }) => p50)), 3),
        p99: rounded(median(speeds.map(({ p99 }) => p99)), 3),
        floorPerSecond: rounded(median(floors.map(perSecond))),
        cpu: rounded(median(speeds.map((speed) => speed.cpu))),
        floorCPU: rounded(median(floors.map((floor) => floor.cpu))),
        ratio: rounded(median(speeds.map((speed, i) => perSecond(speed) / perSecond(floors[i] ?? speed))), 3),
      }
    }),
  }
}

function tableOf(results: readonly Result[]): string {
  const table = new Table({
    head: ['channels', 'updates/s', 'p50 ms', 'p99 ms', 'floor/s', 'ratio', 'cpu us', 'floor cpu us'],
    style: { head: [], border: [] },
  })
  for (const { channels, updatesPerSecond, p50, p99, floorPerSecond, ratio, cpu, floorCPU } of results) {
    table.push([channels, updatesPerSecond, p50, p99, floorPerSecond, ratio, cpu, floorCPU])
  }
  return table.toString()
}
