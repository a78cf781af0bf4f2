// What the demo prints: progress while it runs, tables at the end. All of it goes to standard error when the result
// is wanted as JSON, so that standard output holds nothing else.
import Table from 'cli-table3'

/** A transaction of a channel. */
export interface TransactionReport {
  readonly txid: string
  readonly kind: string
  /** The name of who paid for it; absent if that can't be told. */
  readonly by?: string
  /** In the ledger's smallest unit. */
  readonly fee: bigint
  /** Where there is such a thing. */
  readonly gas?: bigint
}

/** What became of one channel. Amounts in the ledger's smallest unit. */
export interface ChannelReport {
  readonly id: string
  readonly kind: 'cooperative' | 'dispute' | 'vanished'
  readonly updates: number
  /** By participant, on the chain. */
  readonly balancesBefore: readonly bigint[]
  readonly balancesAfter: readonly bigint[]
  /** What each must own afterwards: before, and what the last agreed state changes, minus the fees paid. */
  readonly expected: readonly bigint[]
  readonly fees: readonly bigint[]
  /** In the order of their blocks. */
  readonly transactions: readonly TransactionReport[]
  readonly seconds: number
}

/** In which words channels are shown. */
export interface Terms {
  readonly names: readonly string[]
  /** Of balances and fees. */
  readonly unit: string
  readonly format: (amount: bigint) => string
  /** Of a transaction. */
  readonly costs: string
}

/** What else there is to say of a whole demo. */
export interface Conclusion {
  /** On which all of it was. */
  readonly ledger: object
  /** Of the amounts in the object. */
  readonly units: object
  readonly updatesPerSecond: number
  readonly json: boolean
}

/** Where the demo's words go. */
export class Screen {
  readonly #out: NodeJS.WriteStream
  #isLineOpen = false

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
  }

  /** One line. */
  say(line: string): void {
    this.#end()
    this.#out.write(`${line}\n`)
  }

  /** A bar that grows on the same line of a terminal, and nothing elsewhere. */
  progress(label: string, done: number, of: number): void {
    if (!this.#out.isTTY) return
    const width = 40
    const filled = Math.round((done / of) * width)
    this.#out.write(`\r  ${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${done}/${of} ${label}`)
    this.#isLineOpen = true
  }

  /**
   * Tells what became of all channels; with `json` also as one object on standard output.
   *
   * @returns whether everybody owns what was agreed
   */
  conclude(channels: readonly ChannelReport[], terms: Terms, { json, ...result }: Conclusion): boolean {
    const ok = channels.every(({ balancesAfter, expected }) => balancesAfter.join() === expected.join())
    this.#report(channels, terms)
    this.say(ok ? '\nAll balances are exactly what was agreed.' : '\nSOME BALANCES ARE NOT WHAT WAS AGREED.')
    const { ledger, units, updatesPerSecond } = result
    if (json)
      process.stdout.write(`${JSON.stringify({ ledger, units, channels, updatesPerSecond, ok }, decimal)}\n`)
    return ok
  }

  /** Tables of balances, transactions and times. */
  #report(channels: readonly ChannelReport[], { names, unit, format, costs }: Terms): void {
    const balances = new Table({
      head: [
        'channel',
        'participant',
        `before (${unit})`,
        `after (${unit})`,
        `fees (${unit})`,
        'as expected',
      ],
      style: { head: [], border: [] },
    })
    const transactions = new Table({
      head: ['channel', 'transaction', costs],
      style: { head: [], border: [] },
    })
    const times = new Table({
      head: ['channel', 'updates', 'updates per second', 'whole life (s)'],
      style: { head: [], border: [] },
    })
    for (const channel of channels) {
      for (const [i, name] of names.entries()) {
        balances.push([
          channel.kind,
          name,
          format(channel.balancesBefore[i] ?? 0n),
          format(channel.balancesAfter[i] ?? 0n),
          format(channel.fees[i] ?? 0n),
          channel.balancesAfter[i] === channel.expected[i] ? 'yes' : 'NO',
        ])
      }
      for (const { txid, kind, by, fee, gas } of channel.transactions) {
        const name = `${by === undefined ? '' : `${by}: `}${kind} ${txid.replace('0x', '').slice(0, 8)}`
        transactions.push([channel.kind, name, String(gas ?? fee)])
      }
      times.push([
        channel.kind,
        channel.updates,
        Math.round(channel.updates / channel.seconds),
        channel.seconds.toFixed(2),
      ])
    }
    for (const table of [balances, transactions, times]) this.say(`\n${table.toString()}`)
  }

  #end(): void {
    if (this.#isLineOpen) this.#out.write('\n')
    this.#isLineOpen = false
  }
}

function decimal(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}
