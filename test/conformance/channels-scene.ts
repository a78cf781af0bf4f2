// What the suite of channels works with: the parties of one test, their channels, and what each owns on the ledger.
import { sha256 } from '@noble/hashes/sha2.js'
import { expect } from 'chai'
import {
  type Amount,
  type ErrorCode,
  isError,
  type PerkunasError,
  toHex,
  transfer,
} from '../../channel/index.js'
import { accept, type Channel, type Client, type ProposalOptions } from '../../client/index.js'
import type { ChannelParty, ChannelWorld, Secret } from './channels-setup.js'

/** Everything about one test. */
export class Scene {
  /** What each participant begins with. */
  readonly initial: readonly Amount[]
  readonly #before: Promise<readonly Amount[]>

  constructor(
    readonly world: ChannelWorld,
    isOpenersMoney: boolean,
  ) {
    const { unit, parties } = world
    const share = 10n * unit
    this.initial = [0, 1].map((who) => (isOpenersMoney && who > 0 ? 0n : share))
    this.#before = Promise.all(parties.map((_, i) => world.balanceOf(i)))
    for (const { client } of parties) this.handled(client)
  }

  /** Accepts everything. */
  handled(client: Client): Client {
    client.handleProposals(accept)
    client.handleUpdates(accept)
    return client
  }

  party(who: number): ChannelParty {
    const party = this.world.parties[who]
    if (party === undefined) throw new Error(`the set-up made no party ${who}`)
    return party
  }

  client(who: number): Client {
    return this.party(who).client
  }

  channel(who: number, id: Channel['id']): Channel {
    const channel = this.client(who).channel(id)
    if (channel === undefined) throw new Error(`party ${who} has no channel ${id}`)
    return channel
  }

  /** Balances after the first participant's changed by so many units, and the second's by as many the other way. */
  after(units: bigint): readonly Amount[] {
    const [a = 0n, b = 0n] = this.initial
    return [a + units * this.world.unit, b - units * this.world.unit]
  }

  async propose(options: Partial<ProposalOptions> = {}): Promise<Channel> {
    await this.#before
    const { asset, challengeDuration } = this.world
    return await this.mining(
      this.client(0).proposeChannel({
        peers: [this.party(1).peer],
        allocation: { assets: [asset], balances: [[...this.initial]] },
        challengeDuration,
        ...options,
      }),
    )
  }

  /** A channel of the first two parties. */
  async open(): Promise<readonly [Channel, Channel]> {
    const opened = next(this.client(1))
    return [await this.propose(), await this.mining(opened)]
  }

  proposeAll(): Promise<Channel> {
    const { parties, unit } = this.world
    return this.propose({
      peers: parties.slice(1).map(({ peer }) => peer),
      allocation: { assets: [this.world.asset], balances: [parties.map(() => 10n * unit)] },
    })
  }

  /** A channel of all parties. */
  async openAll(): Promise<readonly Channel[]> {
    const opened = this.world.parties.slice(1).map(({ client }) => next(client))
    return [await this.proposeAll(), ...(await this.mining(Promise.all(opened)))]
  }

  /** Waits until both sides see the same balances: the last word of an update is on its way when its caller goes on. */
  async agree(channels: readonly Channel[], expected: readonly Amount[]): Promise<void> {
    const row = expected.join()
    await until(
      () => channels.every((channel) => balances(channel).join() === row && channel.locks.length === 0),
      () =>
        `${channels.map((channel) => `${balances(channel).join()} (${channel.phase})`).join(' and ')}, ${row} expected`,
    )
  }

  /** Waits until the parties of restarted channels can speak again. */
  async connected(channels: readonly Channel[]): Promise<void> {
    await until(
      () => channels.every(({ phase }) => phase === 'acting'),
      () => channels.map(({ phase }) => phase).join(),
    )
  }

  /** The ID of the lock on a hash, as soon as this side has it. */
  async lockOf(channel: Channel, hash: string): Promise<`0x${string}`> {
    const find = () => channel.locks.find((lock) => lock.hash === hash)?.id
    await until(
      () => find() !== undefined,
      () => `no lock on ${hash}`,
    )
    return find() ?? '0x'
  }

  /** A deadline for locks that leaves time for all that a test does. */
  async deadline(): Promise<bigint> {
    return (await this.world.now()) + (this.world.lockDuration ?? this.world.challengeDuration)
  }

  /** Lets blocks come while a promise waits for them. */
  mining<T>(promise: Promise<T>): Promise<T> {
    return this.#meanwhile(promise, 'block')
  }

  /** Lets deadlines pass while a promise waits for them. */
  passing<T>(promise: Promise<T>): Promise<T> {
    return this.#meanwhile(promise, 'deadline')
  }

  async #meanwhile<T>(promise: Promise<T>, wait: 'block' | 'deadline'): Promise<T> {
    let isSettled = false
    const watched = promise.finally(() => {
      isSettled = true
    })
    watched.catch(() => undefined)
    while (!isSettled) {
      await this.world.pass(wait)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    return watched
  }

  /** What a party owns on the ledger, against what it had: so many units more, less at most the ledger's fees. */
  async expectOwned(who: number, units: bigint): Promise<void> {
    const before = (await this.#before)[who] ?? 0n
    const expected = before + units * this.world.unit
    const owned = await this.world.balanceOf(who)
    const isRight = owned <= expected && owned >= expected - this.world.costs
    expect(
      isRight,
      `party ${who} owns ${owned}, ${expected} less at most ${this.world.costs} expected`,
    ).equals(true)
  }
}

/** The balances of its only asset. */
export function balances(channel: Channel): readonly Amount[] {
  return channel.state.allocation.balances[0] ?? []
}

/** Pays the next participant. */
export function pay(channel: Channel, amount: Amount) {
  const to = (channel.index + 1) % channel.peers.length
  return channel.update((draft) => transfer(draft, { from: channel.index, to, amount }))
}

/** A preimage that nobody knows, and its hash. */
export function secret(): Secret {
  const bytes = crypto.getRandomValues(new Uint8Array(32))
  return { preimage: toHex(bytes), hash: toHex(sha256(bytes)) }
}

/** The next channel that a client opens. */
export function next(client: Client): Promise<Channel> {
  return new Promise((resolve) => {
    const subscription = client.newChannels$.subscribe((channel) => {
      subscription.unsubscribe()
      resolve(channel)
    })
  })
}

/** Resolves once something is so. @throws Error with what is so instead, if that takes ten seconds */
export async function until(done: () => boolean, what: () => string): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!done()) {
    if (Date.now() > deadline) throw new Error(`it never happens: ${what()}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** The error of a call that has to fail, with one of these codes. */
export async function failure(
  promise: Promise<unknown>,
  ...codes: readonly ErrorCode[]
): Promise<PerkunasError> {
  const error: unknown = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  )
  for (const code of codes) if (isError(error, code)) return error
  if (error !== undefined) throw error
  throw new Error(`it should have failed with ${codes.join(' or ')}`)
}
