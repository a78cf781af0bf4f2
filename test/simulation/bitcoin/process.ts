// One process of a party: a real client and its Lightning node on a simulated disk, network and chain, which may die at any
// effect.
import { NETWORKS } from '../../../backend/bitcoin/chain/index.js'
import { type ChannelView, type LightningNode, lightningInit } from '../../../backend/bitcoin/node/index.js'
import { BitcoinBackend } from '../../../backend/bitcoin/protocol/index.js'
import { lightningMessages } from '../../../backend/bitcoin/wire/index.js'
import { toHex } from '../../../channel/index.js'
import {
  accept,
  type Channel,
  Client,
  type Decision,
  type ProposalDecision,
  reject,
} from '../../../client/index.js'
import type { Identity } from '../../../peer/index.js'
import type { Write } from '../../../persistence/index.js'
import type { Disk } from '../disk.js'
import { Life, type LifeOwner } from '../life.js'
import type { Outgoing, SimBus } from '../network.js'
import { Random } from '../random.js'
import { ChainPort } from './chain-port.js'
import type { Conduct } from './conduct.js'
import { type Held, heldBy, switchLog } from './inside.js'
import type { Payer } from './oracle.js'
import { BLOCK_MS } from './pace.js'
import { RawBus } from './raw-bus.js'
import { faultOfDisk } from './records.js'
import type { BitcoinScene } from './scene.js'
import type { SimWallet } from './wallet.js'

/** Milliseconds, shorter than real ones so that a run sees many of them end. */
const TIMEOUTS = { proposal: 20_000, update: 15_000, settlement: 8_000 }
const CHAIN_HASH = NETWORKS.regtest.genesis

/** Who runs it. */
export interface Owner extends Payer, LifeOwner {
  readonly name: string
  readonly isHonest: boolean
  readonly identity: Identity
  readonly seed: Uint8Array
  readonly wallet: SimWallet
  readonly conduct: Conduct
  /** The client says that it stopped, though the process lives: its disk failed. */
  onFailure(): void
  /** What it says in the end. */
  readonly outgoing: Outgoing
  /** It was told something. */
  onHeard(): void
  /** Something is on its disk. */
  wrote(batch: readonly Write[]): void
}

/** A client's process. */
export class BitcoinProcess extends Life<Owner, BitcoinScene> {
  readonly client: Client
  readonly backend: BitcoinBackend
  readonly port: ChainPort
  /** None for one that sees nobody. */
  readonly bus: SimBus
  /** Once it has started. */
  node: LightningNode | undefined

  constructor(
    owner: Owner,
    scene: BitcoinScene,
    disk: Disk,
    life: string,
    /** Of a cheat, on an old disk. */
    readonly isGhost = false,
  ) {
    const random = scene.random.fork(`${owner.name}/${life}`)
    super(owner, scene, { disk, random, wrote: (batch) => void (isGhost || owner.wrote(batch)) })
    const { clock } = this
    this.port = new ChainPort(CHAIN_HASH, scene.ledger, {
      clock,
      random: random.fork('chain'),
      effect: () => this.effect(),
      tell: (words) => scene.tell(`${owner.name} ${words}`),
    })
    this.bus = scene.network.bus(owner.identity.id, {
      effect: () => this.effect(),
      outgoing: (to, payload) => {
        if (owner.isHonest) owner.conduct.says(payload, () => ({ disk: this.store.disk, held: this.held }))
        return owner.outgoing(to, payload)
      },
      incoming: (_, bytes) => {
        scene.tell(`${owner.name} hears ${summary(bytes)}`)
        owner.onHeard()
      },
    })
    const entropy = random.fork('entropy')
    this.backend = new BitcoinBackend({
      chain: this.port,
      wallet: owner.wallet,
      seed: owner.seed,
      schedule: (task) => void clock.after(0, task),
      now: () => scene.time.now() + START,
      policy: {
        toSelfDelay: { min: 8, max: 16 },
        ...(scene.maxDust !== undefined && { maxDustExposure: { fixed: scene.maxDust } }),
      },
    })
    const { init } = lightningInit(CHAIN_HASH)
    this.client = new Client({
      bus: new RawBus(this.bus, owner.identity, init),
      store: this.store,
      backend: this.backend,
      timeouts: TIMEOUTS,
      clock,
      entropy: (length) => entropy.bytes(length),
    })
    this.client.handleProposals(({ session, peers: [from], balances }) => {
      const amount = balances[0]?.[1] ?? 0n
      if (from !== undefined) scene.oracle.gift(session, { from, to: owner.id, amount })
      return this.#judgeProposal(session)
    })
    this.client.handleUpdates(({ channel, proposed }) => this.#judgeUpdate(channel, proposed.version))
    this.client.errors$.subscribe((error) => {
      if (!this.isAlive) return
      scene.tell(`${owner.name} error ${error.code}: ${error.message}`)
      if (error.code === 'INTERNAL' || error.code === 'INVALID_RECORD')
        scene.oracle.violated('no mistake of ours', `${owner.name}: ${error.message}`)
      if (error.code === 'STORE_FAILED') owner.onFailure()
    })
    this.client.newChannels$.subscribe((channel) => {
      if (this.isAlive) scene.tell(`${owner.name} has ${channel.id.slice(2, 8)} ${channel.phase}`)
      channel.phases$.subscribe((phase) => {
        const { live, channel: key } =
          this.node?.channels().find(({ temporaryID }) => temporaryID === nonceOf(channel)) ?? {}
        const { failure } = live ?? {}
        // Two honest nodes never find that the other one has broken the protocol.
        if (
          this.isAlive &&
          failure?.cause === 'violation' &&
          channel.peers.every((peer) => scene.isHonest(peer))
        )
          scene.oracle.violated('no mistake of ours', `${owner.name}: ${failure.reason}`)
        const [peer] = channel.peers.filter((one) => one !== owner.id)
        const held = this.held.find((one) => one.channel === key)
        if (this.isAlive && held && peer !== undefined && owner.isHonest && scene.isHonest(peer))
          scene.calm.closes(owner, peer, held.live)
        const why = live?.failure === undefined ? '' : `: ${live.failure.cause}, ${live.failure.reason}`
        if (this.isAlive) scene.tell(`${owner.name} ${channel.id.slice(2, 8)} ${phase}${why}`)
      })
    })
    void this.#listen()
  }

  /** The process is replaced by another one. */
  end(): void {
    const fault = this.isAlive ? faultOfDisk(this.store.disk) : undefined
    if (fault !== undefined)
      this.scene.oracle.violated('no mistake of ours', `${this.owner.name} has on its disk: ${fault}`)
    if (this.node !== undefined && this.owner.isHonest) this.owner.conduct.ends(switchLog(this.node))
    this.isAlive = false
    this.port.isCut = true
    this.bus.kill()
  }

  /** Its channels with money in them, as they are on disk. */
  get held(): readonly Held[] {
    return this.node === undefined ? [] : heldBy(this.node)
  }

  /** Holds what is on disk against what the node was told. */
  look(): void {
    if (this.node === undefined) return
    const { conduct } = this.owner
    conduct.hears(switchLog(this.node))
    for (const one of this.held) conduct.looks(one)
  }

  /** Notes what the node says of payments when it is durable. */
  async #listen(): Promise<void> {
    const { owner, scene } = this
    const node = await this.backend.node().catch(() => undefined)
    if (node === undefined) return
    this.node = node
    const look = (view: ChannelView | undefined) => {
      const { temporaryID, live } = view ?? {}
      if (temporaryID !== undefined && live !== undefined && live.confirmations > 0)
        scene.oracle.opened(BigInt(temporaryID))
    }
    for (const view of node.channels()) look(view)
    node.changes$.subscribe((key) => look(node.channel(key)))
    node.events$.subscribe((event) => {
      if (owner.isHonest && event.kind === 'stopped')
        scene.oracle.violated('no mistake of ours', `${owner.name}: ${event.error.message}`)
      const isDisagreed = event.kind === 'channel' && event.event.kind === 'disagreement'
      if (isDisagreed && owner.isHonest && scene.isHonest(event.peer))
        scene.oracle.violated('no mistake of ours', `${owner.name}: ${event.event.reason}`)
      const isCheated = event.kind === 'chain' && event.event.kind === 'spent' && event.event.by === 'revoked'
      if (isCheated && owner.isHonest) scene.oracle.revoked.add(toHex(event.event.txid))
    })
    node.payments.events$.subscribe(({ kind, payment }) => {
      if (!this.isAlive || kind === 'held' || kind === 'cancelled') return
      // Who lives on an old disk does not know what it was told.
      if (this.isGhost) return
      const { status } = payment
      const amount = status.kind === 'claimed' ? status.received : 'amount' in payment ? payment.amount : 0n
      scene.tell(`${owner.name} ${kind} ${payment.paymentHash.slice(2, 8)} ${amount}`)
      scene.oracle.told(owner, payment.paymentHash, amount, kind)
    })
  }

  #judgeProposal(session: string): ProposalDecision | Promise<ProposalDecision> {
    const { scene, owner } = this
    const random = new Random(`${scene.random.seed}/${owner.name}/${session}`)
    if (scene.isEnding) return accept()
    if (random.chance(0.06)) return reject('no')
    if (random.chance(0.03)) throw new Error('a bug of the user')
    return accept()
  }

  #judgeUpdate(channel: Channel, version: bigint): Decision | Promise<Decision> {
    const { scene, owner } = this
    if (scene.isEnding) return accept()
    const random = new Random(`${scene.random.seed}/${owner.name}/${channel.id}/${version}`)
    if (random.chance(0.1)) return reject('no')
    if (random.chance(0.02)) throw new Error('a bug of the user')
    if (random.chance(0.7)) return accept()
    const ms = random.chance(0.9) ? random.int(4_000) : random.int(3 * BLOCK_MS)
    return new Promise((resolve) => scene.time.after(ms, () => resolve(accept())))
  }
}

function nonceOf({ params }: Channel): string {
  return `0x${params.nonce.toString(16).padStart(64, '0')}`
}

/** When every run begins, in Unix milliseconds. */
const START = 1_767_225_600_000

function summary(bytes: Uint8Array): string {
  try {
    const message = lightningMessages.decode(bytes)
    const id = 'id' in message ? ` ${message.id}` : ''
    return `${message.kind}${id}`
  } catch {
    return `${bytes.length} bytes`
  }
}
