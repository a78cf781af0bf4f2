// A party over all its processes: its keys, its coins and its disk stay, its processes come and go. A cheat also keeps old
// disks, and may go on chain with one of them.
import { sha256 } from '../../../backend/bitcoin/script/index.js'
import type { Channel } from '../../../client/index.js'
import { createIdentity, type Identity } from '../../../peer/index.js'
import type { Disk, StoreFault } from '../disk.js'
import { BitcoinProcess, type Owner } from './process.js'
import type { BitcoinScene } from './scene.js'
import { BLOCK_MS } from './scene.js'
import { SimWallet } from './wallet.js'

/** Milliseconds that an honest party is up between two absences, so that it can be in time at all. */
const MIN_UPTIME = 3 * BLOCK_MS
/** Milliseconds that it is away at most, and while channels are settled in the end. */
const MAX_ABSENCE = 4 * BLOCK_MS
const MAX_LATE_ABSENCE = BLOCK_MS
/** Old disks that a cheat keeps. */
const MAX_OLD = 8

const NAMES = ['a', 'b', 'c', 'd', 'e']

/** One party. */
export class BitcoinParty implements Owner {
  readonly name: string
  readonly identity: Identity
  readonly seed: Uint8Array
  readonly wallet: SimWallet
  process: BitcoinProcess | undefined
  /** What a cheat runs on an old disk, without anybody else seeing it. */
  #ghost: BitcoinProcess | undefined
  readonly #old: Disk[] = []
  #disk: Disk = new Map()
  #lives = 0
  #upSince = 0

  constructor(
    index: number,
    readonly scene: BitcoinScene,
    readonly isHonest: boolean,
  ) {
    this.name = NAMES[index] ?? `p${index}`
    this.identity = createIdentity(this.#bytes('identity'))
    this.seed = this.#bytes('seed')
    this.wallet = new SimWallet(scene.ledger, this.#bytes('wallet'))
  }

  get id() {
    return this.identity.id
  }

  /** Starts a process on what the disk holds. */
  start(): void {
    if (this.#ghost !== undefined) return
    this.process?.end()
    this.process = new BitcoinProcess(this, this.scene, this.#disk, `${this.#lives++}`)
    this.#upSince = this.scene.time.now()
  }

  /** Which of its processes this is. */
  get life(): number {
    return this.#lives
  }

  /** Whether the party may be away now without being to blame. */
  get canLeave(): boolean {
    const { isQuiet, time } = this.scene
    return !isQuiet && this.process !== undefined && time.now() - this.#upSince > MIN_UPTIME
  }

  get channels(): readonly Channel[] {
    return this.process?.client.channels() ?? []
  }

  /** Channels with money in them: others wait for weeks for what a peer promised to pay in. */
  get funded(): readonly Channel[] {
    const views = this.process?.node?.channels() ?? []
    const ids = views.flatMap(({ live, temporaryID }) =>
      // The funding is its transaction's first output, so that this is its ID (BOLT 2, `channel_id`).
      live !== undefined && temporaryID !== undefined && this.scene.ledger.has(live.channelID)
        ? [BigInt(temporaryID)]
        : [],
    )
    return this.channels.filter(({ params }) => ids.includes(params.nonce))
  }

  /** Ends the process now; it comes back after a while. */
  kill(): void {
    this.process?.die()
  }

  /** Lets something go wrong at a commit to come. */
  plan(fault: StoreFault): void {
    if (this.process) this.process.store.fault = fault
  }

  /** The party does not see the chain for a while, and the chain not the party. */
  cutChain(ms: number): void {
    const { process } = this
    if (process === undefined) return
    process.port.isCut = true
    this.#upSince = this.scene.time.now() + ms
    this.scene.time.after(ms, () => {
      if (!process.isAlive) return
      process.port.isCut = false
      process.port.changed()
    })
  }

  /** There is a new block. */
  onBlock(): void {
    this.process?.port.changed()
    this.#ghost?.port.changed()
  }

  onDeath(disk: Disk): void {
    if (this.#ghost !== undefined) return
    this.#disk = disk
    this.process = undefined
    const { time, isEnding, isQuiet, random } = this.scene
    const longest = isEnding ? MAX_LATE_ABSENCE : MAX_ABSENCE
    const ms = isQuiet ? 10 : random.fork(`away/${this.name}/${this.#lives}`).int(longest)
    time.after(ms, () => {
      if (this.process === undefined) this.start()
    })
  }

  onFailure(): void {
    const { process } = this
    this.scene.time.after(200, () => process?.isAlive && process.die())
  }

  /** Brings the party back if it is away, and keeps it. */
  comeBack(): void {
    if (this.#ghost !== undefined) return
    if (this.process === undefined) return this.start()
    this.process.defuse()
    this.process.port.isCut = false
    this.process.port.changed()
  }

  /** A cheat keeps what its disk holds now. */
  remember(): void {
    const { process } = this
    if (this.isHonest || process === undefined) return
    this.#old.push(new Map(process.store.disk))
    if (this.#old.length > MAX_OLD) this.#old.shift()
  }

  /** A cheat goes on chain with an old disk: all its channels, as they were then. Its peers never hear of it again. */
  cheat(which: number): void {
    const disk = this.#old[which % Math.max(1, this.#old.length)]
    if (this.isHonest || disk === undefined || this.#ghost !== undefined) return
    this.scene.tell(`${this.name} goes back to an old disk and on chain`)
    this.process?.end()
    this.process = undefined
    const ghost = new BitcoinProcess(this, this.scene, disk, `ghost ${this.#lives++}`, true)
    this.#ghost = ghost
    ghost.bus.kill()
    void ghost.backend.node().then(async (node) => {
      for (const { channel } of node.channels()) await node.forceClose(channel).catch(() => undefined)
    })
  }

  /** Whether anybody of its keys still acts. */
  end(): void {
    this.process?.end()
    this.#ghost?.end()
  }

  #bytes(what: string): Uint8Array {
    return sha256(new TextEncoder().encode(`${what} of ${this.name}`))
  }
}
