// A party over all its processes: its keys and its disk stay, its processes come and go.
import { fromHex, type Hex, type State, toHex } from '../../channel/index.js'
import type { Channel } from '../../client/index.js'
import type { PeerID } from '../../peer/index.js'
import { addressOf, secp256k1 } from '../../wallet/index.js'
import type { Disk, StoreFault } from './disk.js'
import type { Outgoing } from './network.js'
import { type Owner, SimProcess } from './process.js'
import type { Random } from './random.js'
import type { Scene } from './scene.js'

/** Milliseconds that an honest party is up between two absences, so that it can be in time at all. */
const MIN_UPTIME = 12_000
/** Milliseconds that it is away at most. */
export const MAX_ABSENCE = 15_000

/** How often a process that comes back is soon gone again, for a moment. */
const RELAPSE = 0.2
/** Milliseconds of that moment, at most. */
const MAX_RELAPSE = 500

/** Milliseconds that a party is away at most while channels are settled in the end. */
const MAX_LATE_ABSENCE = 3_000

/** Milliseconds after which a closed client has answered all calls: as long as its disk may take. */
const CLOSING = 200

const NAMES = ['a', 'b', 'c', 'd', 'e']

/** Whatever a cheat adds to its client. */
export interface Tampering {
  readonly outgoing?: Outgoing
  readonly incoming?: (from: PeerID, payload: Uint8Array) => void
  readonly onChannel?: (channel: Channel) => void
}

/** What goes wrong at a commit to come. */
export function drawFault(random: Random): StoreFault {
  return {
    commits: random.int(4),
    how: random.weighted({ before: 3, between: 4, after: 4, error: 1 }),
    effects: random.int(5),
  }
}

/** One party. */
export class Party implements Owner {
  readonly name: string
  readonly peer: PeerID
  readonly secret: Uint8Array
  readonly address: Hex
  readonly outgoing?: Outgoing
  readonly incoming?: (from: PeerID, payload: Uint8Array) => void
  readonly onChannel?: (channel: Channel) => void
  readonly signed = { messages: new Map<Hex, Hex>(), states: new Map<Hex, State>() }
  readonly written = new Set<string>()
  process: SimProcess | undefined
  #disk: Disk = new Map()
  #lives = 0
  #upSince = 0
  #isAway = false

  constructor(
    readonly index: number,
    readonly scene: Scene,
    readonly isHonest: boolean,
    tampering: Tampering = {},
  ) {
    this.name = NAMES[index] ?? `p${index}`
    this.secret = fromHex(`0x${(index + 1).toString(16).padStart(64, '0')}`)
    this.address = addressOf(secp256k1.publicKey(this.secret))
    this.peer = toHex(Uint8Array.from({ length: 33 }, (_, j) => (j === 0 ? 2 : j === 32 ? index + 1 : 0)))
    Object.assign(this, tampering)
  }

  /** Starts a process on what the disk holds. */
  start(): void {
    this.process?.end()
    const life = this.#lives++
    const process = new SimProcess(this, this.scene, this.#disk, life)
    this.process = process
    this.#upSince = this.scene.time.now()
    this.#isAway = false
    const random = this.scene.random.fork(`relapse/${this.name}/${life}`)
    if (life > 0 && !this.scene.isQuiet && random.chance(RELAPSE)) this.plan(drawFault(random))
    void process.restore()
  }

  /** Which of its processes this is. */
  get life(): number {
    return this.#lives
  }

  /** Whether the party may be away now without being to blame. */
  get canLeave(): boolean {
    return (
      !this.scene.isQuiet && this.process !== undefined && this.scene.time.now() - this.#upSince > MIN_UPTIME
    )
  }

  /** Ends the process now; it comes back after a while. */
  kill(): void {
    this.process?.die()
  }

  /** Lets something go wrong at a commit to come. */
  plan(fault: StoreFault): void {
    if (this.process) this.process.store.fault = fault
  }

  /** Ends the process in an orderly way, and starts another at once. */
  async reopen(): Promise<void> {
    const { process } = this
    if (process === undefined) return
    await process.client.close()
    // What its calls come to is told as soon as its disk is idle; then the next one begins.
    this.scene.time.after(CLOSING, () => {
      if (this.process !== process || !process.isAlive) return
      this.#demandSettled(process)
      this.#disk = process.store.disk
      this.start()
    })
  }

  /** The party does not see the chain for a while, and the chain not the party. */
  cutChain(ms: number): void {
    const { process } = this
    if (process === undefined) return
    this.#upSince = this.scene.time.now() + ms
    process.node.stop()
    this.scene.time.after(ms, () => {
      if (process.isAlive) process.node.start()
    })
  }

  onDeath(disk: Disk): void {
    this.#disk = disk
    this.#leave()
  }

  onFailure(): void {
    const { process } = this
    if (process === undefined || !process.isAlive) return
    // Whatever the client was asked has an answer now; a while later nothing of it is left.
    this.scene.time.after(CLOSING, () => {
      if (!process.isAlive) return
      this.#demandSettled(process)
      process.die()
    })
  }

  /** Brings the party back if it is away, and keeps it. */
  comeBack(): void {
    if (this.process === undefined) return this.start()
    this.process.defuse()
    this.process.node.start()
  }

  /** The channels that it has now. */
  get channels(): readonly Channel[] {
    return this.process?.client.channels() ?? []
  }

  /** Where it stands in a channel. */
  holds(channelID: Hex): { readonly channel: Channel; readonly state: State } | undefined {
    const channel = this.process?.client.channel(channelID)
    return channel && { channel, state: channel.state }
  }

  #leave(): void {
    this.process = undefined
    if (this.#isAway) return
    this.#isAway = true
    const { time, isEnding, isQuiet, random } = this.scene
    const isRelapse = time.now() - this.#upSince <= MIN_UPTIME
    const longest = isEnding ? MAX_LATE_ABSENCE : isRelapse ? MAX_RELAPSE : MAX_ABSENCE
    const ms = isQuiet ? 10 : random.fork(`away/${this.name}/${this.#lives}`).int(longest)
    time.after(ms, () => {
      if (this.process === undefined) this.start()
    })
  }

  #demandSettled(process: SimProcess): void {
    if (!this.isHonest) return
    for (const words of process.calls.values()) {
      this.scene.oracle.violated(
        'every promise settles',
        `${this.name} ${words}: open after the client was closed`,
      )
    }
  }
}
