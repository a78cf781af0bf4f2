// A party over all its processes: its keys, its coins and its disk stay, its processes come and go. A cheat also keeps all
// that its disk ever was, and may go on chain with any of it.
import { sha256 } from '../../../backend/bitcoin/script/index.js'
import type { Channel } from '../../../client/index.js'
import { createIdentity, type Identity } from '../../../peer/index.js'
import type { Write } from '../../../persistence/index.js'
import type { Disk, StoreFault } from '../disk.js'
import type { Outgoing } from '../network.js'
import type { Random } from '../random.js'
import { Conduct } from './conduct.js'
import type { Held } from './inside.js'
import { DiskMemory } from './memory.js'
import { BLOCK_MS } from './pace.js'
import { BitcoinProcess, type Owner } from './process.js'
import type { BitcoinScene } from './scene.js'
import { preimageOf } from './secrets.js'
import { SimWallet } from './wallet.js'

/** Milliseconds that an honest party is up between two absences, so that it can be in time at all. */
const MIN_UPTIME = 3 * BLOCK_MS
/** Milliseconds that it is away at most, and while channels are settled in the end. */
const MAX_ABSENCE = 4 * BLOCK_MS
const MAX_LATE_ABSENCE = BLOCK_MS
/** Blocks after which what had to be done by one is overdue. */
const PATIENCE = 2
/** The share of a cheat's messages that are damaged. */
const LIES = 0.002

const NAMES = ['a', 'b', 'c', 'd', 'e']

/** One party. */
export class BitcoinParty implements Owner {
  readonly name: string
  readonly identity: Identity
  readonly seed: Uint8Array
  readonly wallet: SimWallet
  readonly conduct: Conduct
  process: BitcoinProcess | undefined
  /** What a cheat runs on an old disk, without anybody else seeing it. */
  #ghost: BitcoinProcess | undefined
  readonly #memory = new DiskMemory()
  readonly #lies: Random
  /** What a cheat will do after so many messages more. */
  #ambush: { messages: number; readonly disk: Disk } | undefined
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
    this.#lies = scene.random.fork(`lies/${this.name}`)
    this.wallet = new SimWallet(scene.ledger, this.#bytes('wallet'))
    this.conduct = new Conduct(this, scene.oracle)
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
    this.scene.calm.disturb(this.id)
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

  /** See `Resting`. */
  get held(): readonly Held[] {
    return this.process?.held ?? []
  }

  /** Holds what is on disk against what the node was told. */
  look(): void {
    this.process?.look()
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
    this.scene.calm.disturbChain()
    this.scene.time.after(ms, () => {
      this.scene.calm.disturbChain()
      if (!process.isAlive) return
      process.port.isCut = false
      process.port.changed()
    })
  }

  /** What it has missed though it was there: by its own words the channel had to be on chain before. */
  get overdue(): string | undefined {
    const { process, scene } = this
    if (process === undefined || scene.time.now() - this.#upSince < MIN_UPTIME) return undefined
    for (const { live, phase, channel } of process.node?.channels() ?? []) {
      const [first] = live?.obligations ?? []
      if (first === undefined || phase === 'failed') continue
      if (first.height + PATIENCE < scene.ledger.tip.height)
        return `channel ${channel} is ${phase} though HTLC ${first.htlc.id} was due at ${first.height}`
    }
    return undefined
  }

  /**
   * Millisatoshis in channels that somebody else opened to it and that lost their funding, as far as it was told of them: it
   * asks for fewer blocks than can be undone, so it trusts an opener that far, and one that went back to an old disk does not
   * publish the funding again.
   */
  get forsaken(): bigint {
    const { oracle, ledger } = this.scene
    return (this.process?.node?.channels() ?? [])
      .flatMap(({ live, opener, temporaryID }) => {
        const isLost = opener === 'remote' && live !== undefined && !ledger.has(live.channelID)
        return isLost && temporaryID !== undefined && oracle.wasOpened(BigInt(temporaryID)) ? [live] : []
      })
      .reduce((sum, { balances, htlcs }) => {
        // Whose preimage is known was told, though it is still with who offered it.
        const told = htlcs.filter(({ preimage }) => preimage !== undefined)
        const change = told.map(({ offerer, amount }) => (offerer === 'remote' ? amount : -amount))
        return change.reduce((all, one) => all + one, sum + balances.local)
      }, 0n)
  }

  /** Payments of its own that have no end. */
  get unended(): readonly string[] {
    const { outgoing } = this.process?.node?.payments.list() ?? { outgoing: [] }
    return outgoing.filter(({ status }) => status.kind === 'pending').map(({ paymentHash }) => paymentHash)
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
    this.scene.calm.disturb(this.id)
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

  /** A cheat keeps what its disk holds from now on. */
  wrote(batch: readonly Write[]): void {
    if (!this.isHonest) this.#memory.add(batch)
  }

  /**
   * A cheat gives back what it holds, and goes on chain as if it had not, after so many messages: while the peer counts on it, or
   * just after.
   */
  recant(messages: number): void {
    const { process } = this
    const held = process?.node?.payments.list().incoming.filter(({ status }) => status.kind === 'held') ?? []
    if (this.isHonest || process === undefined || held.length === 0) return
    this.#ambush = { messages, disk: new Map(process.store.disk) }
    this.scene.tell(`${this.name} gives back what it wants`)
    for (const { paymentHash } of held) void process.node?.payments.cancel(paymentHash).catch(() => undefined)
  }

  onHeard(): void {
    if (this.#ambush === undefined || this.#ambush.messages-- > 0) return
    const { disk } = this.#ambush
    this.#ambush = undefined
    this.scene.time.after(0, () => this.#haunt(disk))
  }

  /** A cheat's messages arrive damaged now and then. */
  readonly outgoing: Outgoing = (_, payload) => {
    const random = this.#lies
    if (this.isHonest || this.scene.isQuiet || !random.chance(LIES)) return [payload]
    const at = random.int(payload.length)
    return [payload.map((byte, i) => (i === at ? byte ^ (1 << random.int(8)) : byte))]
  }

  /** A cheat goes on chain with an old disk: all its channels, as they were then. Its peers never hear of it again. */
  cheat(random: Random): void {
    const disk = this.#memory.any(random)
    if (disk !== undefined) this.#haunt(disk)
  }

  #haunt(disk: Disk): void {
    if (this.#ghost !== undefined) return
    const { scene } = this
    scene.tell(`${this.name} goes back to an old disk and on chain`)
    this.process?.end()
    this.process = undefined
    const ghost = new BitcoinProcess(this, scene, disk, `ghost ${this.#lives++}`, true)
    this.#ghost = ghost
    ghost.bus.kill()
    scene.onCheat()
    void ghost.backend.node().then(async (node) => {
      for (const { channel } of node.channels()) await node.forceClose(channel).catch(() => undefined)
      // Whatever was held for its user, it takes.
      for (const { paymentHash, parts, preimage } of node.payments.list().incoming) {
        const known = preimage ?? preimageOf(parts.reduce((sum, { amount }) => sum + amount, 0n))
        await node.payments.release(paymentHash, known).catch(() => undefined)
      }
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
