// One process of a party: a real client on a simulated disk, network and ledger, which may die at any effect.
import { SimBackend, SimNode } from '../../backend/sim/index.js'
import { type Address, type Backend, type Hex, type State, toHex } from '../../channel/index.js'
import {
  accept,
  type Channel,
  Client,
  type Decision,
  type ProposalDecision,
  reject,
} from '../../client/index.js'
import { messages } from '../../client/messages.js'
import type { PeerID } from '../../peer/index.js'
import { type Account, MemoryWallet, type Wallet } from '../../wallet/index.js'
import type { Disk } from './disk.js'
import { Life, type LifeOwner } from './life.js'
import { name, type Outgoing, type SimBus } from './network.js'
import type { Witness } from './oracle.js'
import { Random } from './random.js'
import { apps, type Scene } from './scene.js'

/** Milliseconds, shorter than real ones so that a run sees many of them end. */
const TIMEOUTS = { proposal: 15_000, update: 8_000, settlement: 4_000 }

/** Phases of a channel that goes on, hence is funded. */
const OPEN = ['acting', 'signing', 'final']

/** Who runs it. */
export interface Owner extends Witness, LifeOwner {
  readonly name: string
  readonly peer: PeerID
  readonly secret: Uint8Array
  readonly outgoing?: Outgoing
  readonly incoming?: (from: PeerID, payload: Uint8Array) => void
  /** What was signed in all its lives: signature → message → state. */
  readonly signed: { readonly messages: Map<Hex, Hex>; readonly states: Map<Hex, State> }
  /** The keys of all that was ever durable. */
  readonly written: Set<string>
  /** The client says that it stopped, though the process lives: its disk failed. */
  onFailure(): void
  onChannel?(channel: Channel): void
}

/** A client's process. */
export class SimProcess extends Life<Owner, Scene> {
  readonly client: Client
  readonly bus: SimBus
  readonly node: SimNode
  readonly backend: SimBackend

  constructor(
    owner: Owner,
    scene: Scene,
    disk: Disk,
    readonly life: number,
  ) {
    const random = scene.random.fork(`${owner.name}/${life}`)
    super(owner, scene, {
      disk,
      random,
      wrote: (batch) => {
        for (const { kind, key } of batch) if (kind === 'put') owner.written.add(key)
      },
    })
    this.node = new SimNode(scene.chain)
    const wallet = this.#recording(new MemoryWallet([owner.secret]))
    const { address } = owner
    this.backend = new SimBackend({
      ledger: this.node,
      account: address,
      wallet,
      finalityDepth: scene.finalityDepth,
      fundInOrder: random.chance(0.3),
    })
    this.bus = scene.network.bus(owner.peer, {
      effect: () => this.effect(),
      outgoing: (to, payload) => {
        if (owner.isHonest) this.#noteSignatures(payload)
        return owner.outgoing?.(to, payload) ?? [payload]
      },
      incoming: (from, payload) => {
        scene.tell(`${owner.name} hears ${name(from)}: ${summary(payload)}`)
        owner.incoming?.(from, payload)
      },
    })
    const entropy = random.fork('entropy')
    this.client = new Client({
      bus: this.bus,
      store: this.store,
      wallet,
      backend: this.#observed(),
      address,
      apps,
      timeouts: TIMEOUTS,
      clock: this.clock,
      entropy: (length) => entropy.bytes(length),
      // A few are enough to have all go to rest and be woken at any moment.
      warmChannels: random.fork('warm').int(3),
    })
    this.client.handleProposals(({ session }) => this.#judgeProposal(session))
    this.client.handleUpdates(({ channel: { peers }, current, proposed, actor }) => {
      const [proposer] = peers.slice(actor)
      // Of more than two, a cheat can make one take for refused what others agree on.
      if (owner.isHonest && peers.length === 2 && proposer !== undefined)
        scene.oracle.asked(owner, name(proposer), { current, proposed })
      return this.#judgeUpdate(proposed)
    })
    this.client.errors$.subscribe((error) => {
      if (!this.isAlive) return
      scene.tell(`${owner.name} error ${error.code}`)
      if (error.code === 'INTERNAL')
        scene.oracle.violated('no mistake of ours', `${owner.name}: ${error.message}`)
      if (error.code === 'STORE_FAILED') owner.onFailure()
    })
    this.client.newChannels$.subscribe((channel) => this.#opened(channel))
  }

  /** Brings the channels back. Must be awaited before anything else is asked of it. */
  async restore(): Promise<void> {
    const { owner, scene } = this
    try {
      for (const channel of await this.client.restore()) {
        if (!this.isAlive) return
        scene.tell(`${owner.name} restored ${short(channel.id)} ${channel.phase} ${channel.state.version}`)
      }
    } catch (error) {
      if (this.isAlive)
        scene.oracle.violated('no mistake of ours', `${owner.name} can't restore: ${String(error)}`)
    }
  }

  /** The process is replaced by another one. */
  end(): void {
    this.isAlive = false
    this.bus.kill()
    this.node.stop()
    void this.backend.close()
  }

  #opened(channel: Channel): void {
    const { owner, scene } = this
    if (!this.effect()) return
    const isEnforced = channel.signedState === undefined
    if (owner.isHonest) scene.oracle.restored(owner, channel.state, isEnforced)
    this.#tell(channel, channel.state)
    owner.onChannel?.(channel)
    channel.updates$.subscribe(({ to }) => {
      if (!this.effect()) return
      this.#tell(channel, to)
      owner.onChannel?.(channel)
    })
    channel.phases$.subscribe((phase) => {
      if (this.isAlive) scene.tell(`${owner.name} ${short(channel.id)} ${phase}`)
      // A channel that is brought back while it is being funded is agreed when it is funded.
      if (this.isAlive && phase === 'acting') this.#tell(channel, channel.state)
    })
  }

  #tell(channel: Channel, state: State): void {
    const { owner, scene } = this
    if (channel.phase === 'funding') return
    const isEnforced = channel.signedState === undefined
    scene.tell(`${owner.name} ${short(channel.id)} at ${state.version}${isEnforced ? ' enforced' : ''}`)
    if (owner.isHonest) {
      if (OPEN.includes(channel.phase)) scene.oracle.opened(owner, channel.id, channel.index)
      scene.oracle.told(owner, channel.index, state, isEnforced ? 'enforced' : 'agreed')
    }
  }

  #judgeProposal(session: string): ProposalDecision | Promise<ProposalDecision> {
    const { scene, owner } = this
    if (scene.isEnding || !owner.isHonest) return accept()
    const random = new Random(`${scene.random.seed}/${owner.name}/${session}`)
    if (random.chance(0.06)) return reject('no')
    if (random.chance(0.03)) throw new Error('a bug of the user')
    if (random.chance(0.8)) return accept()
    return this.#later(random.int(random.chance(0.8) ? 1_000 : 20_000), accept())
  }

  #judgeUpdate(state: State): Decision | Promise<Decision> {
    const { scene, owner } = this
    if (scene.isEnding || !owner.isHonest) return accept()
    const random = new Random(`${scene.random.seed}/${owner.name}/${short(state.channelID)}/${state.version}`)
    if (random.chance(0.08)) return reject('no')
    if (random.chance(0.02)) throw new Error('a bug of the user')
    if (random.chance(0.8)) return accept()
    return this.#later(random.int(random.chance(0.9) ? 1_000 : 15_000), accept())
  }

  #later<T>(ms: number, value: T): Promise<T> {
    return new Promise((resolve) => {
      this.scene.time.after(ms, () => resolve(value))
    })
  }

  /** The backend, noting which states are asked for their message. */
  #observed(): Backend {
    const { capabilities, rules, funder, adjudicator } = this.backend
    return {
      capabilities,
      funder,
      adjudicator,
      rules: {
        ...rules,
        message: (params, state) => {
          const message = rules.message(params, state)
          this.owner.signed.states.set(toHex(message), state)
          return message
        },
      },
      close: () => this.backend.close(),
    }
  }

  /** The wallet, noting what is signed. */
  #recording(wallet: MemoryWallet): Wallet {
    const account = async (address: Address): Promise<Account> => {
      const inner = await wallet.account(address)
      return {
        address: inner.address,
        sign: (message) => {
          const signature = inner.sign(message)
          this.owner.signed.messages.set(signature, toHex(message))
          return signature
        },
      }
    }
    return {
      account,
      addresses: () => wallet.addresses(),
      newAccount: () => wallet.newAccount(),
      incrementUsage: (address) => wallet.incrementUsage(address),
      decrementUsage: (address) => wallet.decrementUsage(address),
      lock: () => wallet.lock(),
    }
  }

  #noteSignatures(payload: Uint8Array): void {
    const message = messages.decode(payload)
    if (message.kind !== 'channelUpdate' && message.kind !== 'channelUpdateAcc') return
    const state = this.owner.signed.states.get(this.owner.signed.messages.get(message.signature) ?? '0x')
    if (state === undefined) return
    const channel = this.client.channel(state.channelID)
    if (channel === undefined) return
    const { oracle } = this.scene
    oracle.signatureLeft(this.owner, channel.index, state)
    if (message.kind === 'channelUpdate') oracle.proposed(name(this.owner.peer), state, channel.state.version)
  }
}

/** A message for people. */
function summary(payload: Uint8Array): string {
  try {
    const message = messages.decode(payload)
    if ('session' in message) return `${message.kind} ${short(message.session)}`
    if ('state' in message)
      return `${message.kind} ${short(message.state.channelID)} ${message.state.version}`
    const crossed = 'crossed' in message && message.crossed ? ' crossed' : ''
    const used = 'usedVersion' in message ? `/${message.usedVersion}` : ''
    return `${message.kind} ${short(message.channelID)} ${message.version}${used}${crossed}`
  } catch {
    return `${payload.length} bytes`
  }
}

/** A channel ID for people. */
export function short(channelID: Hex): string {
  return channelID.slice(2, 8)
}
