// Our node in a process of its own, as a test holds it: it can be killed, and goes on from its disk.
import { randomBytes } from 'node:crypto'
import { fromHex, type Hex, toHex } from '../../../channel/index.js'
import { createIdentity } from '../../../peer/index.js'
import type { Ldk } from '../../../scripts/ldk/ldk.js'
import { Remote } from '../../../scripts/remote.js'
import { VALUE } from './meeting.js'
import type { Ended, PartyCalls, PartyChannel, PartyOptions, Told } from './party.js'
import type { Regtest } from './regtest.js'

/** Who is reached where. */
type Place = Pick<Ldk, 'id' | 'port'>

const NOWHERE: Place = { id: '0x', port: 0 }

/** Our node: its process comes and goes. */
export class OurNode {
  #process: Remote<PartyCalls, Told> | undefined
  readonly #options: PartyOptions
  id: Hex = '0x'
  port = 0
  readonly received = new Map<Hex, Ended>()
  readonly errors: string[] = []
  readonly #told = new Set<string>()
  readonly #listeners = new Map<string, () => void>()

  private constructor(
    readonly regtest: Regtest,
    { id, port }: Place,
  ) {
    const { url, credentials } = regtest.bitcoind
    this.#options = {
      rpc: { url, credentials },
      seed: randomID(),
      identity: randomID(),
      directory: regtest.directory(),
      wallet: `ours ${randomID()}`,
      peer: { id, port },
    }
    this.id = createIdentity(fromHex(this.#options.identity)).id
  }

  /** A new one, with coins, that knows where LDK is. */
  static async begin(regtest: Regtest, ldk: Ldk): Promise<OurNode> {
    const node = new OurNode(regtest, ldk)
    await node.start()
    await regtest.give(await node.call('address', null), 0.02, 3)
    await node.seen()
    return node
  }

  /** Two, of which each knows where the other is. The first has coins. */
  static async pair(regtest: Regtest): Promise<readonly [OurNode, OurNode]> {
    const [first, second] = [new OurNode(regtest, NOWHERE), new OurNode(regtest, NOWHERE)]
    first.knows(second)
    await first.start()
    second.knows(first)
    await second.start()
    await regtest.give(await first.call('address', null), 0.02)
    await first.call('connect', second.port)
    return [first, second]
  }

  /** Where its peer is: heard of when it starts. */
  knows({ id, port }: Place): void {
    Object.assign(this.#options, { peer: { id, port } })
  }

  /** Opens a channel that both can use. */
  async opened(ldk: Ldk, push: bigint): Promise<{ readonly channel: bigint; readonly id: Hex }> {
    const channel = await this.call('open', { value: VALUE, push })
    const { id = '0x' } = await this.view(channel)
    await this.regtest.mine()
    await this.call('usable', channel)
    await ldk.call('usable', id)
    return { channel, id }
  }

  /** What it says of a channel. */
  async view(channel: bigint): Promise<PartyChannel> {
    const found = (await this.call('channels', null)).find((one) => one.channel === channel)
    if (found === undefined) throw new Error(`there is no channel ${channel}`)
    return found
  }

  /** It has read the chain up to its newest block. */
  async seen(): Promise<void> {
    await this.call('seen', Number(await this.regtest.bitcoind.rpc('getblockcount')))
  }

  async start(): Promise<void> {
    this.#process = new Remote(new URL('./party.js', import.meta.url), (told) => this.#hear(told))
    Object.assign(this, await this.#process.call('begin', this.#options))
  }

  get call(): Remote<PartyCalls, Told>['call'] {
    const process = this.#process
    if (process === undefined) throw new Error('the party is dead')
    return process.call.bind(process)
  }

  get gone(): Promise<void> {
    return this.#process?.gone ?? Promise.resolve()
  }

  /** Its disk is gone; another process begins from a backup. */
  async lose(backup: Hex): Promise<void> {
    await this.kill()
    const directory = this.regtest.directory()
    Object.assign(this.#options, { directory })
    this.#process = new Remote(new URL('./party.js', import.meta.url), (told) => this.#hear(told))
    Object.assign(this, await this.#process.call('begin', { ...this.#options, recover: backup }))
  }

  async kill(): Promise<void> {
    await this.#process?.kill()
    this.#process = undefined
  }

  async stop(): Promise<void> {
    await this.#process?.stop()
    this.#process = undefined
  }

  /** The end, or the holding, of a payment to us. */
  async event(kind: Ended['kind'], hash: Hex): Promise<void> {
    if (this.#told.has(`${kind} ${hash}`)) return
    await new Promise<void>((resolve) => {
      this.#listeners.set(`${kind} ${hash}`, resolve)
    })
  }

  #hear(told: Told): void {
    if (told.kind === 'payment') {
      const name = `${told.ended.kind} ${told.ended.hash}`
      this.#told.add(name)
      this.#listeners.get(name)?.()
    }
    if (told.kind === 'error') this.errors.push(told.message)
    else if (told.ended.kind === 'received') this.received.set(told.ended.hash, told.ended)
  }
}

/** 32 random bytes. */
export function randomID(): Hex {
  return toHex(randomBytes(32))
}
