// Two channel machines against each other: their disks, the wires between them, and what must hold after every step.
import { expect } from 'chai'
import { step } from '../../../../backend/bitcoin/channel/channel.js'
import type { ChannelInput, Intent } from '../../../../backend/bitcoin/channel/input.js'
import { wantsFlush } from '../../../../backend/bitcoin/channel/intents.js'
import { faultOfStep } from '../../../../backend/bitcoin/channel/invariants.js'
import { type OpenRequest, openChannel, receivedOpen } from '../../../../backend/bitcoin/channel/open.js'
import { CHANNEL_POLICY, type ChannelPolicy } from '../../../../backend/bitcoin/channel/policy.js'
import { channelWrites, restoredChannels } from '../../../../backend/bitcoin/channel/record.js'
import { disconnected } from '../../../../backend/bitcoin/channel/reestablish.js'
import { type ChannelState, isLive, type Live } from '../../../../backend/bitcoin/channel/state.js'
import type { ChannelEnv, ChannelKeys, Handoff, Step } from '../../../../backend/bitcoin/channel/step.js'
import type { FeatureName } from '../../../../backend/bitcoin/features.js'
import {
  basepointsOf,
  channelSecrets,
  commitmentPoint,
  commitmentSecret,
  createSigner,
  memoryCounter,
  type Signer,
} from '../../../../backend/bitcoin/keys/index.js'
import type { MonitorUpdate } from '../../../../backend/bitcoin/monitor/record.js'
import { p2wpkh, sha256, type Transaction } from '../../../../backend/bitcoin/script/index.js'
import { blockHeight, feeratePerKw, msat, sat } from '../../../../backend/bitcoin/units.js'
import {
  type LightningMessage,
  lightningMessages,
  type MessageByKind,
} from '../../../../backend/bitcoin/wire/index.js'
import { equalBytes, type Hex, toHex } from '../../../../channel/bytes.js'
import { fakeKeys } from './fake-signer.js'

export type Name = 'alice' | 'bob'

/** One of the two, with all that it did. */
export interface Party {
  readonly name: Name
  readonly seed: Uint8Array
  state: ChannelState | undefined
  env: ChannelEnv
  keys: Map<bigint, ChannelKeys>
  /** What is durable. */
  readonly disk: Map<string, Uint8Array>
  /** On the way to the other. */
  outbox: LightningMessage[]
  readonly handoffs: Handoff[]
  readonly monitor: MonitorUpdate[]
  readonly published: { readonly what: string; readonly transaction: Transaction }[]
  readonly effects: Step['effects'][number][]
}

/** Options of {@link pair}. */
export interface PairOptions {
  readonly real?: boolean
  /** Leaves out the disk, and what is checked after each step. */
  readonly isQuick?: boolean
  readonly features?: readonly FeatureName[]
  readonly policies?: Readonly<Partial<Record<Name, Partial<ChannelPolicy>>>>
  readonly fees?: Partial<Record<keyof ChannelEnv['fees'], number>>
}

export const FEATURES_OF_BOTH: readonly FeatureName[] = [
  'option_static_remotekey',
  'option_channel_type',
  'option_anchors',
  'option_shutdown_anysegwit',
]
export const CHAIN: Hex = toHex(new Uint8Array(32).fill(6))
export const TEMPORARY: Hex = toHex(new Uint8Array(32).fill(7))
export const OUTPOINT = { txid: new Uint8Array(32).fill(5), index: 1 }

/** Where a party is paid to. */
export function scriptOf(name: Name): Uint8Array {
  return p2wpkh(sha256(new TextEncoder().encode(name)).subarray(0, 33))
}

/** Two parties who have not met. */
export class Pair {
  readonly alice: Party
  readonly bob: Party
  readonly features: readonly FeatureName[]
  isConnected = true

  constructor(readonly options: PairOptions = {}) {
    this.features = options.features ?? FEATURES_OF_BOTH
    this.alice = this.#party('alice', 1)
    this.bob = this.#party('bob', 2)
  }

  other({ name }: Party): Party {
    return name === 'alice' ? this.bob : this.alice
  }

  get both(): readonly Party[] {
    return [this.alice, this.bob]
  }

  /** Alice begins. */
  open(request: Partial<OpenRequest> = {}): void {
    const { alice } = this
    this.commit(
      alice,
      openChannel(
        {
          keyIndex: 0n,
          temporaryID: TEMPORARY,
          capacity: sat(1_000_000n),
          shutdownScript: scriptOf('alice'),
          features: this.features,
          ...request,
        },
        alice.env,
      ),
    )
  }

  /** Up to channel_ready on both sides. */
  reachNormal(
    request: Partial<OpenRequest> = {},
    accept: Partial<ChannelInput & { kind: 'accept' }> = {},
  ): this {
    this.open(request)
    this.deliverAll()
    this.input(this.bob, { kind: 'accept', shutdownScript: scriptOf('bob'), ...accept })
    this.deliverAll()
    this.input(this.alice, { kind: 'funded', outpoint: OUTPOINT })
    this.deliverAll()
    for (const party of this.both) this.input(party, { kind: 'depth', confirmations: 6 })
    this.deliverAll()
    for (const party of this.both) expect(party.state?.phase, party.name).to.equal('normal')
    return this
  }

  /** An input, and everything that follows at once. */
  input(party: Party, input: ChannelInput): Step {
    const { state } = party
    if (state === undefined) throw new Error(`${party.name} has no channel`)
    const result = step(state, input, party.env)
    this.commit(party, result)
    return result
  }

  /** The record is written, then effects happen. */
  commit(party: Party, result: Step): void {
    this.write(party, result)
    this.release(party, result.effects)
  }

  write(party: Party, result: Step): void {
    const { next, handoffs, monitor } = result
    const before = party.state
    party.state = next
    party.handoffs.push(...handoffs)
    party.monitor.push(...monitor)
    if (this.options.isQuick === true) return
    for (const one of channelWrites(before, next)) {
      if (one.kind === 'put') party.disk.set(one.key, one.value)
      else party.disk.delete(one.key)
    }
    const lasting = isLive(next) ? lastingOf(next) : next
    expect(this.restored(party), `${party.name}: decode(encode(state))`).to.deep.equal(lasting)
    expect(faultOfStep(before, result, party.env), party.name).to.equal(undefined)
  }

  release(party: Party, effects: Step['effects']): void {
    for (const effect of effects) {
      party.effects.push(effect)
      if (effect.kind === 'send' && this.isConnected) party.outbox.push(this.#wire(effect.message))
      if (effect.kind === 'publish') party.published.push(effect)
      if (effect.kind === 'disconnect') this.disconnect()
    }
  }

  /** The next message from a party arrives. */
  deliver(from: Party): boolean {
    const message = from.outbox.shift()
    if (message === undefined) return false
    const to = this.other(from)
    if (to.state === undefined) {
      if (message.kind !== 'open_channel') throw new Error(`${message.kind} without a channel`)
      this.commit(to, receivedOpen(message, { keyIndex: 0n, features: this.features }, to.env))
    } else this.input(to, { kind: 'received', message })
    return true
  }

  deliverAll(): void {
    while (this.deliver(this.alice) || this.deliver(this.bob)) {}
  }

  /** Signs and delivers until nothing is left to do. */
  settle(): void {
    for (let round = 0; round < 200; round++) {
      let isDone = true
      for (const party of this.both) {
        if (party.state !== undefined && isLive(party.state) && wantsFlush(party.state)) {
          this.input(party, { kind: 'flush' })
          isDone = false
        }
      }
      while (this.deliver(this.alice) || this.deliver(this.bob)) isDone = false
      if (isDone) return
    }
    throw new Error('the two never come to rest')
  }

  disconnect(): void {
    if (!this.isConnected) return
    this.isConnected = false
    for (const party of this.both) {
      party.outbox = []
      if (party.state !== undefined) this.input(party, { kind: 'disconnected' })
    }
  }

  connect(): void {
    if (this.isConnected) return
    this.isConnected = true
    for (const party of this.both)
      if (party.state !== undefined) this.input(party, { kind: 'connected', features: this.features })
  }

  /** The process ends, and another one begins with what is on disk. */
  crash(party: Party): void {
    party.state = this.restored(party)
    party.keys = new Map()
    this.disconnect()
  }

  restored({ disk }: Party): ChannelState | undefined {
    return restoredChannels(disk).get(0n)
  }

  /** Puts another state in the place of a party's. */
  replace(party: Party, state: ChannelState): void {
    for (const one of channelWrites(undefined, state))
      if (one.kind === 'put') party.disk.set(one.key, one.value)
    party.state = state
  }

  want(party: Party, intent: Intent): Step {
    return this.input(party, { kind: 'want', intent })
  }

  add(
    party: Party,
    amount: bigint,
    number: number,
    cltvExpiry = 500,
    reference = `${party.name} ${number}`,
  ): Step {
    return this.want(party, {
      kind: 'add',
      reference,
      amount: msat(amount),
      paymentHash: sha256(preimageOf(number)),
      cltvExpiry: blockHeight(cltvExpiry),
      onion: new Uint8Array(1366).fill(number & 0xff),
    })
  }

  live(party: Party): Live {
    const { state } = party
    if (state === undefined || !isLive(state)) throw new Error(`${party.name} has no live channel`)
    return state
  }

  #party(name: Name, seed: number): Party {
    const { fees = {}, policies = {} } = this.options
    const party: Party = {
      name,
      seed: new Uint8Array(32).fill(seed),
      state: undefined,
      keys: new Map(),
      disk: new Map(),
      outbox: [],
      handoffs: [],
      monitor: [],
      published: [],
      effects: [],
      env: {
        chainHash: CHAIN,
        height: blockHeight(100),
        fees: {
          commitment: feeratePerKw(fees.commitment ?? 1000),
          fixedCommitment: feeratePerKw(fees.fixedCommitment ?? fees.commitment ?? 1000),
          minimum: feeratePerKw(fees.minimum ?? 253),
          fixedMinimum: feeratePerKw(fees.fixedMinimum ?? fees.minimum ?? 253),
          maximum: feeratePerKw(fees.maximum ?? 100_000),
          sane: feeratePerKw(fees.sane ?? 2500),
          opening: feeratePerKw(fees.opening ?? 1000),
          closing: feeratePerKw(fees.closing ?? 1000),
        },
        policy: { ...CHANNEL_POLICY, ...policies[name] },
        keys: (keyIndex) => {
          const known = party.keys.get(keyIndex)
          if (known !== undefined) return known
          const made = this.options.real === true ? realKeys(party, keyIndex) : fakeKeys(party.seed, keyIndex)
          party.keys.set(keyIndex, made)
          return made
        },
      },
    }
    return party
  }

  #wire(message: LightningMessage): LightningMessage {
    if (this.options.real !== true) return message
    const decoded = lightningMessages.decode(lightningMessages.encode(message))
    if (decoded === undefined || !('kind' in decoded)) throw new Error(`${message.kind} does not decode`)
    return decoded as LightningMessage
  }
}

function realKeys({ seed, name }: Party, keyIndex: bigint): ChannelKeys {
  const secrets = channelSecrets(seed, keyIndex)
  const counter = memoryCounter()
  let made: Signer | undefined
  const pointOf = (number: bigint) => commitmentPoint(commitmentSecret(secrets.commitmentSeed, number))
  return {
    basepoints: basepointsOf(secrets),
    commitmentPoint: pointOf,
    isSecret: (number, secret) => equalBytes(commitmentSecret(secrets.commitmentSeed, number), secret),
    signer: (setup) => {
      made ??= createSigner(secrets, setup, (script) => equalBytes(script, scriptOf(name)), counter)
      return made
    },
  }
}

/** Of the payment with that number. */
export function preimageOf(number: number): Uint8Array {
  const bytes = new Uint8Array(32)
  new DataView(bytes.buffer).setUint32(0, number)
  return bytes
}

/** Every message that a party sent. */
export function sentBy({ effects }: Party): readonly LightningMessage[] {
  return effects.flatMap((effect) => (effect.kind === 'send' ? [effect.message] : []))
}

/** Their kinds. */
export function sent(party: Party): readonly string[] {
  return sentBy(party).map(({ kind }) => kind)
}

/** The last of a kind. */
export function last<K extends LightningMessage['kind']>(party: Party, kind: K): MessageByKind<K> {
  const found = sentBy(party).filter((one): one is MessageByKind<K> => one.kind === kind)
  const message = found.at(-1)
  if (message === undefined) throw new Error(`no ${kind} was sent`)
  return message
}

/** The text of the last error. */
export function errorOf(party: Party): string {
  return new TextDecoder().decode(last(party, 'error').data)
}

/** What the monitor was told. */
export function kinds({ monitor }: Party): readonly string[] {
  return monitor.map(({ kind }) => kind)
}

/** What was done. */
export function effectKinds({ effects }: Party): readonly string[] {
  return effects.map(({ kind }) => kind)
}

/** With something in every row and every part of it. */
export function busyPair(): Pair {
  const pair = new Pair().reachNormal({ push: msat(400_000_000n), isUpfront: true })
  const { alice, bob } = pair
  pair.add(bob, 20_000_000n, 2)
  pair.add(bob, 21_000_000n, 3)
  pair.add(alice, 1_000_000n, 4)
  pair.settle()
  pair.want(alice, { kind: 'remove', id: 0n, removal: { kind: 'fulfill', preimage: preimageOf(2) } })
  pair.want(alice, { kind: 'remove', id: 1n, removal: { kind: 'fail', reason: new Uint8Array(3).fill(7) } })
  pair.want(alice, { kind: 'fee', feerate: pair.live(alice).book.feerate })
  pair.add(alice, 30_000_000n, 5)
  pair.add(bob, 40_000_000n, 6)
  for (const party of pair.both) pair.input(party, { kind: 'flush' })
  while (pair.deliver(bob)) {}
  pair.add(alice, 31_000_000n, 7)
  return pair
}

/** What outlives a restart. */
function lastingOf(live: Live): Live {
  return disconnected(live)
}
