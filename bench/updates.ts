// How many updates two clients make: two processes over TCP with durable stores, sequentially on one channel and
// over many channels at once, beside what their parts would allow in the same minute.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Table from 'cli-table3'
import type { Hex } from 'perkunas/channel'
import { type Child, start } from './child.js'
import { median, rounded } from './figures.js'
import type { Parts, Speed } from './updates-floor.js'
import { startLedger } from './updates-ledger.js'
import type { PartyCalls } from './updates-party.js'

/** Channels that are busy at once. */
const WIDTHS = [1, 16, 128] as const
const BUSY = Math.max(...WIDTHS)
const ROUNDS = 5
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

/** Microseconds of the parts, and of an update that consists of nothing else, on one channel. */
interface Costs extends Parts {
  readonly roundTrip: number
  readonly sum: number
}

interface Timed extends Speed {
  readonly cpu: number
}

/**
 * Runs it. `--json`: the last line of standard output is one JSON object. `--rounds=n`, 5 by default;
 * `--directory=path` under which the stores lie, the system's for temporary files by default.
 */
export async function run(args: readonly string[]): Promise<void> {
  const option = (name: string) => args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3)
  const rounds = Number(option('rounds') ?? ROUNDS)
  const directory = mkdtempSync(join(option('directory') ?? tmpdir(), 'perkunas-bench-'))
  const module = new URL('./updates-party.js', import.meta.url)
  const [proposer, acceptor]: readonly [Party, Party] = [start(module), start(module)]
  try {
    await using ledger = await startLedger()
    const { contracts } = ledger
    const about = await proposer.call('begin', { directory: join(directory, 'a'), contracts })
    const other = await acceptor.call('begin', { directory: join(directory, 'b'), contracts })
    await Promise.all([about, other].map(({ account }) => ledger.endow(account)))
    await proposer.call('connect', other)
    await proposer.call('open', { peer: other.peer, count: BUSY })
    await acceptor.call('opened', BUSY)
    progress('channels are open')
    const measured = await measure(proposer, acceptor, rounds)
    const idle = await measureIdle(proposer, acceptor, other.peer)
    report({ provider: about.provider, store: 'lmdb', ...measured, idle }, args.includes('--json'))
  } finally {
    await Promise.all([proposer.stop(), acceptor.stop()])
    rmSync(directory, { recursive: true, force: true })
  }
}

async function measure(proposer: Party, acceptor: Party, rounds: number) {
  const cpu = async () => {
    const used = await Promise.all([proposer, acceptor].map((party) => party.call('cpu', null)))
    return used.reduce((sum, each) => sum + each, 0)
  }
  const timed = async (task: () => Promise<Speed>): Promise<Timed> => {
    const before = await cpu()
    const speed = await task()
    return { ...speed, cpu: ((await cpu()) - before) / speed.updates }
  }
  const perSecond = ({ updates, seconds }: Speed) => updates / seconds
  const parts: Costs[] = []
  const runs = WIDTHS.map((channels) => ({ channels, floors: [] as Timed[], speeds: [] as Timed[] }))
  // The first round lets the compiler see everything; it does not count.
  for (let round = 0; round <= rounds; round++) {
    const costs = await proposer.call('parts', null)
    const roundTrip = await proposer.call('roundTrip', await acceptor.call('serveEcho', null))
    const sum = 2 * (costs.sign + costs.verify + costs.commit) + roundTrip
    if (round > 0) parts.push({ ...costs, roundTrip, sum })
    for (const { channels, floors, speeds } of runs) {
      const port = await acceptor.call('serveFloor', channels)
      const floor = await timed(() => proposer.call('floor', { port, channels, seconds: SECONDS }))
      const speed = await timed(() => proposer.call('update', { count: channels, seconds: SECONDS }))
      if (round > 0) {
        floors.push(floor)
        speeds.push(speed)
      }
    }
    progress(round === 0 ? 'warm' : `round ${round} of ${rounds}`)
  }
  const middle = (part: keyof Costs) => median(parts.map((each) => each[part]))
  return {
    parts: {
      sign: middle('sign'),
      verify: middle('verify'),
      commit: middle('commit'),
      disk: middle('disk'),
      roundTrip: middle('roundTrip'),
      sum: middle('sum'),
    },
    // Of each round by itself: a disk that others use too is another one a minute later.
    ratioToSum: rounded(
      median((runs[0]?.speeds ?? []).map((speed, i) => (perSecond(speed) * (parts[i]?.sum ?? 0)) / 1e6)),
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

/** Bytes that a channel takes that does nothing, in both processes. */
async function measureIdle(proposer: Party, acceptor: Party, peer: Hex) {
  const both = [proposer, acceptor]
  const before = await Promise.all(both.map((party) => party.call('memory', null)))
  await proposer.call('open', { peer, count: IDLE })
  await acceptor.call('opened', BUSY + IDLE)
  const after = await Promise.all(both.map((party) => party.call('memory', null)))
  const each = (part: 'resident' | 'heap') =>
    after.map((now, i) => rounded((now[part] - (before[i]?.[part] ?? 0)) / IDLE))
  return { channels: IDLE, residentBytesEach: each('resident'), heapBytesEach: each('heap') }
}

interface Report {
  readonly provider: string
  readonly store: string
  readonly parts: Costs
  /** A lone channel's pace as a share of what the sum of the parts allows. */
  readonly ratioToSum: number
  readonly results: readonly Result[]
  /** Of the proposer and of the acceptor. */
  readonly idle: Awaited<ReturnType<typeof measureIdle>>
}

function report({ provider, store, parts, ratioToSum, results, idle }: Report, json: boolean): void {
  const { disk, sum, ...costs } = parts
  console.log(`secp256k1: ${provider}; store: ${store}; the disk syncs a block in ${disk.toFixed(0)} us`)
  const each = Object.entries(costs).map(([part, time]) => `${part} ${time.toFixed(0)}`)
  console.log(`parts in us: ${each.join(', ')}; of one update ${sum.toFixed(0)} (ratio ${ratioToSum})`)
  const table = new Table({
    head: ['channels', 'updates/s', 'p50 ms', 'p99 ms', 'floor/s', 'ratio', 'cpu us', 'floor cpu us'],
    style: { head: [], border: [] },
  })
  for (const { channels, updatesPerSecond, p50, p99, floorPerSecond, ratio, cpu, floorCPU } of results) {
    table.push([channels, updatesPerSecond, p50, p99, floorPerSecond, ratio, cpu, floorCPU])
  }
  console.log(table.toString())
  const kilobytes = (bytes: readonly number[]) =>
    bytes.map((each) => `${(each / 1024).toFixed(1)} kB`).join(' / ')
  console.log(
    `an idle channel: ${kilobytes(idle.residentBytesEach)} resident, ${kilobytes(idle.heapBytesEach)} of heap`,
  )
  if (!json) return
  const microseconds = Object.fromEntries(
    Object.entries(parts).map(([part, time]) => [part, rounded(time, 1)]),
  )
  console.log(JSON.stringify({ provider, store, parts: microseconds, ratioToSum, results, idle }))
}

function progress(text: string): void {
  console.error(`bench: ${text}`)
}
