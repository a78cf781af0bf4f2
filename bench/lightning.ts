// How many payments two Lightning nodes make over one channel: two processes over TCP with durable stores on a real chain,
// one payment after another and many at a time, beside what parts of it cost in the same minute.

import { join } from 'node:path'
import Table from 'cli-table3'
import { type Bitcoind, startBitcoind } from '../scripts/bitcoind.js'
import type { Given } from '../scripts/command-line.js'
import type { Child } from './child.js'
import { median, rounded } from './figures.js'
import type { Pace, PartyCalls } from './lightning-party.js'
import { type Rivals, startRivals } from './lightning-rivals.js'
import { AMOUNT, CAPACITY, HTLCS, mine } from './lightning-terms.js'
import { cpuOf, inRounds, measureIdle, middleCosts, progress, report, withParties } from './two-processes.js'

/** Payments that are under way at a time. */
const WIDTHS = [1, 30, 300] as const
const SECONDS = 3
const IDLE = 40

type Party = Child<PartyCalls>

/** One width's results. */
interface Result {
  readonly inFlight: number
  readonly paymentsPerSecond: number
  /** Milliseconds from the call to the preimage. */
  readonly p50: number
  readonly p99: number
  /** Microseconds of processor time of both processes for one payment. */
  readonly cpu: number
  /** What two LDK nodes did in the same run. */
  readonly ldk?: Pick<Result, 'paymentsPerSecond' | 'p50' | 'p99' | 'cpu'>
  /** How many times as much: the median of the rounds. */
  readonly ratio?: number
}

/**
 * Runs it. `--json`: the last line of standard output is one JSON object. `--alone`: without two LDK nodes (WASM, nothing
 * stored) that do the same in turns. `--rounds n`, 5 by default;
 * `--directory path` under which the stores lie, the system's for temporary files by default.
 */
export async function run(given: Given): Promise<void> {
  const module = new URL('./lightning-party.js', import.meta.url)
  await using bitcoind = await startBitcoind()
  await withParties<PartyCalls>(module, given, async ({ parties, directory, rounds }) => {
    const [payer, payee] = parties
    const { url, cookieFile } = bitcoind
    // A chain without blocks counts as one that is still being fetched.
    await mine(bitcoind, 1)
    const about = await payer.call('begin', { directory: join(directory, 'a'), url, cookieFile })
    const other = await payee.call('begin', { directory: join(directory, 'b'), url, cookieFile })
    // A coin for each channel: nothing unconfirmed is spent.
    await bitcoind.rpc('generatetoaddress', [IDLE + 2, about.coins])
    await mine(bitcoind, 101)
    const scene = { bitcoind, payer, payee }
    await open(scene, other, 1, 1)
    progress('the channel is open')
    await using rivals = given['alone'] === true ? undefined : await startRivals()
    if (rivals !== undefined) progress('two LDK nodes have one, too')
    const measured = await measure(parties, { peer: other.peer, rounds, rivals })
    const idle = await measureIdle(parties, IDLE, () => open(scene, other, IDLE, IDLE + 1))
    const table = tableOf(measured.results)
    tellTerms(rivals !== undefined)
    report({ provider: about.provider, ...measured, idle }, { table, json: given['json'] === true })
  })
}

/** What the figures are of. */
function tellTerms(isCompared: boolean): void {
  const channel = `a channel of ${CAPACITY} sat with anchors, up to ${HTLCS} HTLCs each way`
  console.log(
    `two processes over TCP, ${channel}; payments of ${AMOUNT} sat without an invoice, ${SECONDS} s at a time`,
  )
  console.log('ours: in LMDB, on the disk before anything that depends on it is sent')
  if (isCompared)
    console.log('LDK: in WASM, nothing stored, what arrives is claimed at once; the same in turns')
}

interface Scene {
  readonly bitcoind: Bitcoind
  readonly payer: Party
  readonly payee: Party
}

type Other = Awaited<ReturnType<PartyCalls['begin']>>

async function open({ bitcoind, payer, payee }: Scene, other: Other, count: number, all: number) {
  const height = Number(await bitcoind.rpc('getblockcount'))
  await Promise.all([payer.call('read', height), payee.call('read', height)])
  await payer.call('open', { peer: other.peer, address: other.address, count })
  const isPublished = async () => {
    const { size } = (await bitcoind.rpc('getmempoolinfo')) as { readonly size: number } // as documented
    return size >= count
  }
  while (!(await isPublished())) await new Promise((resolve) => setTimeout(resolve, 20))
  await mine(bitcoind, 6)
  await Promise.all([payer.call('usable', all), payee.call('usable', all)])
}

/** With the processor time of both processes for one payment, in microseconds. */
type CostlyPace = Pace & { readonly cpu: number }

async function measure(
  parties: readonly [Party, Party],
  given: { readonly peer: Other['peer']; readonly rounds: number; readonly rivals: Rivals | undefined },
) {
  const { peer, rounds, rivals } = given
  const [payer] = parties
  const runs = WIDTHS.map((inFlight) => {
    return { inFlight, paces: [] as CostlyPace[], theirs: [] as CostlyPace[] }
  })
  const costs = await inRounds(parties, rounds, async (counts) => {
    for (const { inFlight, paces, theirs } of runs) {
      const ours = () => payer.call('pay', { peer, inFlight, seconds: SECONDS })
      const pace = await withCost(ours, () => cpuOf(parties))
      if (counts) paces.push(pace)
      if (rivals === undefined) continue
      const rival = await withCost(() => rivals.pay({ inFlight, seconds: SECONDS }), rivals.cpu)
      if (counts) theirs.push(rival)
    }
  })
  const results = runs.map(({ inFlight, paces, theirs }): Result => {
    const ratio = () => median(paces.map((pace, i) => perSecond(pace) / perSecond(theirs[i] ?? pace)))
    return {
      inFlight,
      ...middleOf(paces),
      ...(theirs.length === 0 ? {} : { ldk: middleOf(theirs), ratio: rounded(ratio(), 2) }),
    }
  })
  return { parts: { ...middleCosts(costs) }, results }
}

async function withCost(pay: () => Promise<Pace>, cpu: () => Promise<number>): Promise<CostlyPace> {
  const before = await cpu()
  const pace = await pay()
  return { ...pace, cpu: ((await cpu()) - before) / pace.payments }
}

function perSecond({ payments, seconds }: Pace): number {
  return payments / seconds
}

function middleOf(paces: readonly CostlyPace[]): Pick<Result, 'paymentsPerSecond' | 'p50' | 'p99' | 'cpu'> {
  return {
    paymentsPerSecond: rounded(median(paces.map(perSecond))),
    p50: rounded(median(paces.map(({ p50 }) => p50)), 2),
    p99: rounded(median(paces.map(({ p99 }) => p99)), 2),
    cpu: rounded(median(paces.map(({ cpu }) => cpu))),
  }
}

function tableOf(results: readonly Result[]): string {
  const table = new Table({
    head: [
      'in flight',
      'payments/s',
      'p50 ms',
      'p99 ms',
      'cpu us',
      'LDK/s',
      'p50 ms',
      'p99 ms',
      'cpu us',
      'ratio',
    ],
    style: { head: [], border: [] },
  })
  for (const { inFlight, paymentsPerSecond, p50, p99, cpu, ldk, ratio } of results) {
    const theirs = [ldk?.paymentsPerSecond ?? '', ldk?.p50 ?? '', ldk?.p99 ?? '', ldk?.cpu ?? '', ratio ?? '']
    table.push([inFlight, paymentsPerSecond, p50, p99, cpu, ...theirs])
  }
  return table.toString()
}
