// Somebody who speaks to a node as a peer does and keeps to no rule: connections are real, what is said over them is chosen.

import { wireID } from '../../../../backend/bitcoin/channel/failure.js'
import {
  type ChannelInput,
  type ChannelState,
  isLive,
  type OpenRequest,
  openChannel,
  type Step,
  step,
} from '../../../../backend/bitcoin/channel/index.js'
import { fundingScriptOf } from '../../../../backend/bitcoin/channel/open.js'
import { CHANNEL_POLICY } from '../../../../backend/bitcoin/channel/policy.js'
import type { ChannelEnv } from '../../../../backend/bitcoin/channel/step.js'
import type { FeatureName } from '../../../../backend/bitcoin/features.js'
import { memoryCounter } from '../../../../backend/bitcoin/keys/index.js'
import { lightningInit } from '../../../../backend/bitcoin/node/index.js'
import { channelKeys } from '../../../../backend/bitcoin/node/keys.js'
import {
  type Outpoint,
  p2wpkh,
  sha256,
  type Transaction,
  transactionID,
} from '../../../../backend/bitcoin/script/index.js'
import { blockHeight, feeratePerKw, sat } from '../../../../backend/bitcoin/units.js'
import { type LightningMessage, lightningMessages } from '../../../../backend/bitcoin/wire/index.js'
import { toHex } from '../../../../channel/bytes.js'
import { createIdentity, PeerBus, type PeerID } from '../../../../peer/index.js'
import { CHAIN_HASH } from './test-chain.js'
import type { TestNode, TestWorld } from './world.js'

const FEATURES: readonly FeatureName[] = [
  'option_static_remotekey',
  'option_channel_type',
  'option_anchors',
  'option_shutdown_anysegwit',
]

/** See above. */
export class Stranger {
  readonly bus: PeerBus
  readonly heard: LightningMessage[] = []
  readonly #env: ChannelEnv
  #keyIndex = 0n

  private constructor(
    world: TestWorld,
    readonly node: PeerID,
    name: string,
  ) {
    const secret = sha256(new TextEncoder().encode(`stranger ${name}`))
    this.bus = new PeerBus({
      identity: createIdentity(secret),
      dialers: [world.transport.dialer],
      limits: { backoffMin: 1, backoffMax: 5 },
      ...lightningInit(CHAIN_HASH),
    })
    this.bus.onRaw(
      lightningMessages.schemas.map(({ type }) => type).filter((type) => ![16, 18, 19].includes(type)),
      (_, type, payload) => {
        const message = lightningMessages.decode(Uint8Array.of(type >> 8, type & 0xff, ...payload))
        if (message.kind !== 'unknown') this.heard.push(message)
      },
    )
    const keys = channelKeys({ seed: secret, ownsScript: () => true, counter: memoryCounter() })
    const feerate = feeratePerKw(1000)
    this.#env = {
      chainHash: CHAIN_HASH,
      height: blockHeight(100),
      fees: {
        commitment: feerate,
        fixedCommitment: feerate,
        minimum: feeratePerKw(253),
        fixedMinimum: feeratePerKw(253),
        opening: feerate,
        maximum: feeratePerKw(100_000),
        sane: feerate,
        closing: feerate,
      },
      policy: CHANNEL_POLICY,
      keys,
    }
  }

  /** Connected with a node. */
  static async meet(world: TestWorld, node: TestNode, name: string): Promise<Stranger> {
    const stranger = new Stranger(world, node.id, name)
    stranger.bus.connect(node.id, `memory://${node.name}`)
    await until(() => stranger.bus.isConnected(node.id) && node.running.isConnected(stranger.id))
    return stranger
  }

  get id(): PeerID {
    return this.bus.id
  }

  say(message: LightningMessage): void {
    const bytes = lightningMessages.encode(message)
    this.bus.sendRaw(this.node, ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0), bytes.subarray(2))
  }

  /** What an error said last. */
  errors(): readonly string[] {
    return this.heard.flatMap((one) =>
      one.kind === 'error' ? [`${one.channelID} ${new TextDecoder().decode(one.data)}`] : [],
    )
  }

  /** A channel that it opens, with money in it for nobody yet. */
  open(number: number, request: Partial<OpenRequest> = {}): StrangeChannel {
    const opened = openChannel(
      {
        keyIndex: this.#keyIndex++,
        temporaryID: toHex(sha256(Uint8Array.of(number >> 8, number & 0xff))),
        capacity: sat(1_000_000n),
        shutdownScript: p2wpkh(sha256(Uint8Array.of(7)).subarray(0, 33)),
        features: FEATURES,
        ...request,
      },
      this.#env,
    )
    return new StrangeChannel(this, this.#env, opened)
  }

  close(): Promise<void> {
    return this.bus.close()
  }
}

/** One channel of a stranger's. */
export class StrangeChannel {
  state: ChannelState
  #read = 0

  constructor(
    readonly stranger: Stranger,
    readonly env: ChannelEnv,
    first: Step,
  ) {
    this.state = first.next
    this.#read = stranger.heard.length
    this.#say(first)
  }

  get channelID() {
    return wireID(this.state)
  }

  /** Some point of its own. */
  get point(): Uint8Array {
    return this.env.keys(0n).basepoints.payment
  }

  input(input: ChannelInput): Step {
    const result = step(this.state, input, this.env)
    this.state = result.next
    this.#say(result)
    return result
  }

  /** Hears what was said to it until it is in that phase. */
  async until(phase: ChannelState['phase']): Promise<void> {
    await until(() => {
      this.hear()
      return this.state.phase === phase || this.state.phase === 'closed'
    })
    if (this.state.phase !== phase) throw new Error(`it is over: ${this.stranger.errors().at(-1)}`)
  }

  /** Up to the first commitments. @param outpoint of its funding, that may be any; by default of its own */
  async fund(outpoint?: Outpoint): Promise<Outpoint> {
    await this.until('awaitingFunding')
    const chosen = outpoint ?? { txid: sha256(new TextEncoder().encode(this.#name())), index: 0 }
    this.input({ kind: 'funded', outpoint: chosen })
    await this.until('awaitingReady')
    return chosen
  }

  /** Puts its funding into blocks, and on until it is in use here. @returns the funding's output */
  async use({ chain }: TestWorld): Promise<Outpoint> {
    await this.until('awaitingFunding')
    const funding = this.funding()
    const outpoint = await this.fund({ txid: transactionID(funding), index: 0 })
    await chain.broadcast([funding])
    await chain.mine(6)
    this.input({ kind: 'depth', confirmations: 6 })
    await this.until('normal')
    return outpoint
  }

  /** A transaction with the right funding output. */
  funding(): Transaction {
    if (this.state.phase !== 'awaitingFunding') throw new Error(this.state.phase)
    const { terms, remote } = this.state
    const filled = { ...terms, remote, channelID: terms.temporaryID, minimumDepth: 0 }
    const script = fundingScriptOf({
      ...filled,
      funding: { outpoint: { txid: new Uint8Array(32), index: 0 }, amount: terms.capacity },
    })
    return {
      version: 2,
      inputs: [
        {
          outpoint: { txid: sha256(new TextEncoder().encode(this.#name())), index: 0 },
          sequence: 0xffff_fffd,
          witness: [],
        },
      ],
      outputs: [{ amount: terms.capacity, script }],
      locktime: 0,
    }
  }

  /** Takes what came for it. */
  hear(): void {
    const { heard } = this.stranger
    for (; this.#read < heard.length; this.#read++) {
      const message = heard[this.#read]
      if (message === undefined) continue
      const id =
        'channelID' in message
          ? message.channelID
          : 'temporaryChannelID' in message
            ? message.temporaryChannelID
            : undefined
      const temporary = 'terms' in this.state ? this.state.terms.temporaryID : undefined
      if (id !== undefined && (id === this.channelID || id === temporary))
        this.input({ kind: 'received', message })
    }
  }

  #say({ effects }: Step): void {
    for (const effect of effects) if (effect.kind === 'send') this.stranger.say(effect.message)
  }

  #name(): string {
    const id = 'terms' in this.state ? this.state.terms.temporaryID : ''
    return `${this.stranger.id} ${id} ${isLive(this.state)}`
  }
}

/** Turns of the event loop until it is so. */
export async function until(isSo: () => boolean): Promise<void> {
  for (let i = 0; i < 20_000; i++) {
    if (isSo()) return
    await new Promise((resolve) => setImmediate(resolve))
  }
  throw new Error(`never: ${isSo}`)
}
