// What very many idle channels cost: how long `Client.restore` takes over an LMDB store, and how much memory a channel
// takes that nothing concerns: right after the restart, after its peer came back, and after it was used.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Table from 'cli-table3'
import { toHex } from 'perkunas/channel'
import { createIdentity } from 'perkunas/peer'
import { randomSecret } from 'perkunas/wallet'
import type { Given } from '../scripts/command-line.js'
import { type Child, start } from './child.js'
import { rounded } from './figures.js'
import type { Memory, PartyCalls } from './restore-party.js'
import type { WriterCalls } from './restore-writer.js'
import { startLedger } from './updates-ledger.js'

/** What is aimed at, for 100 000 channels on two cores. */
const AIMS = { channels: 100_000, seconds: 10, bytesEach: 2_048 } as const
/** Share of the channels that are updated. */
const USED = 0.05

/** One moment of the measured process. */
interface Moment {
  readonly after: string
  /** How long it took to come to it, and how much of that it was at work. */
  readonly seconds: number
  readonly cpuSeconds: number
  /** Bytes resident, all in all. */
  readonly resident: number
  /** Bytes resident more than before the restart, by channel; of it pages of files, and what JavaScript uses. */
  readonly bytesEach: number
  readonly fileBytesEach: number | undefined
  readonly heapBytesEach: number
}

interface Report {
  readonly channels: number
  readonly used: number
  /** Bytes of a channel's records. */
  readonly recordBytes: number
  /** Bytes resident before the restart. */
  readonly before: number
  readonly moments: readonly Moment[]
  readonly aims: typeof AIMS
  readonly isMet: boolean
}

/**
 * Runs it. `--json`: the last line of standard output is one JSON object. `--channels n`, 100 000 by default;
 * `--directory path` under which the stores lie, the system's for temporary files by default.
 */
export async function run(given: Given): Promise<void> {
  const channels = Number(given['channels'] ?? AIMS.channels)
  if (!Number.isSafeInteger(channels) || channels < 1)
    throw new Error('--channels: a positive number expected')
  const directory = mkdtempSync(join(String(given['directory'] ?? tmpdir()), 'perkunas-bench-'))
  try {
    report(await measure(directory, channels), given['json'] === true)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

async function measure(directory: string, channels: number): Promise<Report> {
  await using ledger = await startLedger()
  const { contracts } = ledger
  const owners = ['a', 'b'].map((name) => {
    const identity = randomSecret()
    const owner = {
      directory: join(directory, name),
      secret: toHex(randomSecret()),
      identity: toHex(identity),
    }
    mkdirSync(owner.directory)
    return { ...owner, peer: createIdentity(identity).id }
  })
  progress(`writing ${channels} channels of two clients`)
  const writer: Child<WriterCalls> = start(new URL('./restore-writer.js', import.meta.url))
  let recordBytes: number
  try {
    const written = await writer.call('write', { owners, contracts, channels })
    recordBytes = written.bytesEach
  } finally {
    await writer.stop()
  }
  const parties: Child<PartyCalls>[] = []
  const begin = async (owner: (typeof owners)[number]) => {
    const party: Child<PartyCalls> = start(new URL('./restore-party.js', import.meta.url))
    parties.push(party)
    return { party, peer: owner.peer, ...(await party.call('begin', { ...owner, contracts })) }
  }
  try {
    const [first, second] = owners
    if (first === undefined || second === undefined) throw new Error('two clients')
    const { party, ...here } = await begin(first)
    const before = await party.call('memory', null)
    const moments: Moment[] = []
    let cpu = await party.call('cpu', null)
    const note = async (after: string, seconds: number) => {
      const used = await party.call('cpu', null)
      const now = await party.call('memory', null)
      moments.push(moment({ after, seconds, cpuSeconds: used - cpu }, { now, before, channels }))
      cpu = await party.call('cpu', null)
      progress(after)
    }
    const restored = await party.call('restore', null)
    if (restored.channels !== channels)
      throw new Error(`${restored.channels} of ${channels} channels are back`)
    await note('restored', restored.seconds)
    const other = await begin(second)
    await other.party.call('restore', null)
    const met = performance.now()
    await other.party.call('connect', here)
    await Promise.all([party, other.party].map((one) => one.call('heard', channels)))
    await note('its peer came back', (performance.now() - met) / 1000)
    const used = Math.ceil(channels * USED)
    const { seconds } = await party.call('use', used)
    await note(`${used} were used`, seconds)
    const isMet =
      moments.every(({ bytesEach }) => bytesEach <= AIMS.bytesEach) && restored.seconds < AIMS.seconds
    return { channels, used, recordBytes, before: before.resident, moments, aims: AIMS, isMet }
  } finally {
    await Promise.all(parties.map((party) => party.stop()))
  }
}

function moment(
  { after, seconds, cpuSeconds }: Pick<Moment, 'after' | 'seconds' | 'cpuSeconds'>,
  { now, before, channels }: { now: Memory; before: Memory; channels: number },
): Moment {
  const each = (bytes: number) => rounded(bytes / channels)
  return {
    after,
    seconds: rounded(seconds, 2),
    cpuSeconds: rounded(cpuSeconds, 2),
    resident: now.resident,
    bytesEach: each(now.resident - before.resident),
    fileBytesEach:
      now.file === undefined || before.file === undefined ? undefined : each(now.file - before.file),
    heapBytesEach: each(now.heap - before.heap),
  }
}

function report(figures: Report, json: boolean): void {
  const { channels, recordBytes, before, moments, isMet } = figures
  const megabytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MB`
  console.log(`${channels} channels, ${recordBytes.toFixed(0)} bytes of records each, in LMDB`)
  const table = new Table({
    head: ['after', 'seconds', 'cpu s', 'resident', 'bytes each', 'of it store file', 'JavaScript'],
    style: { head: [], border: [] },
  })
  table.push(['the start', '', '', megabytes(before), '', '', ''])
  for (const { after, seconds, cpuSeconds, resident, bytesEach, fileBytesEach, heapBytesEach } of moments) {
    table.push([
      after,
      seconds,
      cpuSeconds,
      megabytes(resident),
      bytesEach,
      fileBytesEach ?? 'unknown',
      heapBytesEach,
    ])
  }
  console.log(table.toString())
  console.log('memory is read after four garbage collections; "each": more than at the start, by channel')
  const aims = `${AIMS.channels} channels in ${AIMS.seconds} s and ${AIMS.bytesEach} bytes resident each`
  const verdict = channels < AIMS.channels ? 'not tried with so few' : isMet ? 'met' : 'missed'
  console.log(`aims: ${aims}: ${verdict}`)
  if (json) console.log(JSON.stringify(figures))
}

function progress(text: string): void {
  console.error(`bench: ${text}`)
}
