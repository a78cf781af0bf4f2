// Two clients in processes of their own, killed again and again while they open, pay, settle and fight, and what must
// hold in the end: nothing that both have agreed on is lost, nothing is stuck, and every wei is where it belongs.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deployContracts, ether } from '../../backend/ethereum/index.js'
import { type ChannelID, fromHex, type Hex, toHex } from '../../channel/index.js'
import { startAnvil } from '../../scripts/anvil.js'
import { Remote } from '../../scripts/remote.js'
import { MemoryWallet } from '../../wallet/index.js'
import { stranger } from '../backend/ethereum/world.js'
import { Random } from '../simulation/random.js'
import { check } from './check.js'
import { Onlooker } from './ledger.js'
import type { PartyCalls, PartyOptions, Told, View } from './party.js'

/** What a run does. */
export interface CrashOptions {
  readonly seed: string
  /** How often a process is killed. */
  readonly kills: number
  /** Hears what happens, a line each. */
  readonly onLine?: (line: string) => void
}

/** What came of it. */
export interface CrashReport {
  readonly kills: number
  /** How often the killed process last told that phase of a channel, or 'none'. */
  readonly phases: Readonly<Record<string, number>>
  /** By what was being done. */
  readonly actions: Readonly<Record<string, number>>
  readonly channels: number
  /** States of channels that a process told as agreed. */
  readonly states: number
  readonly transactions: number
}

const DEPOSITS = [1_000_000n, 500_000n] as const
const DURATION = 3_600n
const FINALITY = 2
/** Milliseconds between blocks, at least and at most. */
const BLOCKS = [5, 60] as const
/** Milliseconds that both have to end everything, once nobody is killed any more. */
const PATIENCE = 60_000
const NAMES = ['alice', 'bob'] as const

/**
 * Runs it.
 *
 * @throws Error naming the seed and what does not hold
 */
export async function runCrashes(options: CrashOptions): Promise<CrashReport> {
  const directory = await mkdtemp(join(tmpdir(), 'perkunas-crash-'))
  await using ending = new Ending()
  ending.add(() => rm(directory, { recursive: true, force: true }))
  const world = await World.begin(options, directory, ending)
  const phases: Record<string, number> = {}
  const actions: Record<string, number> = {}
  let kills = 0
  while (kills < options.kills) {
    const { action, killed } = await world.round()
    kills += killed.length
    actions[action] = (actions[action] ?? 0) + killed.length
    for (const phase of killed) phases[phase] = (phases[phase] ?? 0) + 1
  }
  return { kills, phases, actions, ...(await world.end()) }
}

/** One participant: its process comes and goes. */
class Party {
  /** Undefined while it is dead. */
  process: Remote<PartyCalls, Told> | undefined
  about: { readonly peer: Hex; readonly address: string } | undefined
  /** By channel and version: everybody's balances, as this one told them. */
  readonly states = new Map<ChannelID, Map<bigint, string>>()
  readonly phases = new Map<ChannelID, string>()
  /** Which participant it is. */
  readonly indices = new Map<ChannelID, number>()
  readonly errors: string[] = []

  constructor(
    readonly name: string,
    readonly account: Hex,
    readonly options: PartyOptions,
    readonly say: (line: string) => void,
  ) {}

  /** Starts the process; its client has nothing to do before `restore`. */
  async start(): Promise<void> {
    this.process = new Remote<PartyCalls, Told>(new URL('./party.js', import.meta.url), (told) =>
      this.#hear(told),
    )
    this.about = await this.process.call('begin', this.options)
  }

  async kill(): Promise<void> {
    const { process } = this
    this.process = undefined
    await process?.kill()
  }

  #hear(told: Told): void {
    if (told.kind === 'error') {
      this.errors.push(told.message)
      return this.say(`${this.name}: ${told.message}`)
    }
    const { channel, phase } = told
    this.phases.set(channel, phase)
    if (told.kind === 'phase') return
    this.indices.set(channel, told.index)
    const states = this.states.get(channel) ?? new Map<bigint, string>()
    const balances = told.balances.join()
    const known = states.get(told.version)
    // Two agreed states of one version are the end of everything.
    if (known !== undefined && known !== balances) {
      this.errors.push(`TWO STATES of version ${told.version}: ${known} and ${balances}`)
    }
    this.states.set(channel, states.set(told.version, balances))
  }
}

class World {
  readonly #random: Random
  readonly #deck: Action[] = []

  private constructor(
    readonly seed: string,
    readonly parties: readonly [Party, Party],
    readonly onlooker: Onlooker,
    readonly before: readonly bigint[],
    readonly say: (line: string) => void,
  ) {
    this.#random = new Random(seed)
  }

  static async begin(options: CrashOptions, directory: string, ending: Ending): Promise<World> {
    const { seed, onLine: say = () => undefined } = options
    const random = new Random(`${seed}/world`)
    const anvil = await startAnvil()
    ending.add(() => anvil.stop())
    const deployer = await stranger(anvil)
    const { adjudicator, ethHolder: holder, firstBlock } = await deployContracts(deployer)
    deployer.chain.close()
    // From now on transactions wait for a block, as they do elsewhere.
    await anvil.rpc('evm_setAutomine', [false])
    ending.add(mining(() => anvil.rpc('evm_mine'), random.fork('blocks')))
    const parties: Party[] = []
    for (const name of NAMES) {
      const secret = toHex(random.bytes(32))
      const [account] = await new MemoryWallet([fromHex(secret)]).addresses()
      if (account === undefined) throw new Error('a wallet with a key has an address')
      await anvil.rpc('anvil_setBalance', [account, `0x${ether('1000').toString(16)}`])
      const shared = { rpc: anvil.url, adjudicator, holder, firstBlock, finalityDepth: FINALITY }
      const identity = toHex(random.bytes(32))
      const party = new Party(
        name,
        account,
        { ...shared, secret, identity, directory: join(directory, name) },
        say,
      )
      ending.add(() => party.kill())
      parties.push(party)
    }
    const [alice, bob] = parties
    if (alice === undefined || bob === undefined) throw new Error('two parties expected')
    const onlooker = new Onlooker(anvil, { adjudicator, holder })
    const before = [await onlooker.balanceOf(alice.account), await onlooker.balanceOf(bob.account)]
    return new World(seed, [alice, bob], onlooker, before, say)
  }

  /** Both alive, restored, and in touch. */
  async #revive(): Promise<void> {
    const [alice, bob] = this.parties
    const dead = this.parties.filter(({ process }) => process === undefined)
    await Promise.all(dead.map((party) => party.start()))
    if (alice.about && bob.about) {
      for (const party of dead) {
        const other = party === alice ? bob : alice
        await other.process?.call('connect', party.about ?? alice.about)
        await party.process?.call('connect', other.about ?? bob.about)
      }
    }
    await Promise.all(dead.map((party) => party.process?.call('restore', null)))
  }

  /** Something is begun, and somebody is killed in the middle of it. */
  async round(): Promise<{ readonly action: string; readonly killed: readonly string[] }> {
    const random = this.#random
    await this.#revive()
    const action = this.#draw()
    const views = action === 'open' || action === 'idle' ? [] : await this.#opened()
    const both = random.chance(0.1)
    const [first, second] = random.chance(0.5) ? [0, 1] : [1, 0]
    const victims = (both || action === 'dispute' ? [first, second] : [first]).map((i) => this.#party(i))
    const killed = victims.map((victim) => this.#phaseOf(victim))
    if (action === 'dispute') await victims[0]?.kill()
    if (random.chance(0.4)) {
      // At a commit of its own, if it comes to that.
      const doom = {
        commits: random.int(action === 'pay' || action === 'cross' ? 20 : 4),
        when: random.pick(WHEN),
      }
      this.say(`${action}, ${doom.commits} commits, then ${named(victims)} dies`)
      for (const victim of victims)
        await victim.process?.call('doom', { ...doom, when: doom.when ?? 'after' })
      this.#act(action, views)
      await Promise.race([pause(SPAN[action]), ...victims.map(({ process }) => process?.gone)])
    } else {
      // Most steps are short: dense at the beginning.
      const delay = SPAN[action] * (random.int(1_000) / 1_000) ** 2
      this.say(`${action}, ${delay.toFixed(1)} ms, then ${named(victims)} dies`)
      this.#act(action, views)
      await pause(delay)
    }
    await Promise.all(victims.map((victim) => victim.kill()))
    // The other one goes on alone for a while, or begins to settle.
    if (random.chance(0.3)) await pause(random.int(400))
    if (random.chance(0.2)) {
      // Once more, while it comes back.
      const [victim] = victims
      await victim?.start()
      void victim?.process?.call('restore', null).catch(() => undefined)
      await pause(random.int(60))
      killed.push('restoring')
      await victim?.kill()
    }
    return { action, killed }
  }

  /** All is brought to its end, and checked. */
  async end() {
    await this.#revive()
    const deadline = Date.now() + PATIENCE
    for (;;) {
      const views = await this.#views()
      if (views.every((channels) => channels.length === 0)) break
      if (Date.now() > deadline) {
        const stuck = views.flatMap((channels, i) => channels.map((view) => `${NAMES[i]}: ${shown(view)}`))
        const heard = this.parties.flatMap(({ name, errors }) => errors.slice(-5).map((e) => `${name}: ${e}`))
        throw this.#broken(['stuck:', ...stuck, ...heard])
      }
      for (const [i, channels] of views.entries()) {
        for (const { id, phase } of channels) {
          if (phase === 'acting' || phase === 'signing' || phase === 'final') this.#ask(i, 'settle', id)
        }
      }
      await this.#passTime(views)
      await pause(100)
    }
    return await this.#check()
  }

  /** Each action once, in an order of chance, and all over again. */
  #draw(): Action {
    if (this.#deck.length === 0) this.#deck.push(...ACTIONS)
    const at = this.#random.int(this.#deck.length)
    const [action = 'idle'] = this.#deck.splice(at, 1)
    return action
  }

  /** What there is, with a channel at least that both can use. */
  async #opened(): Promise<readonly (readonly View[])[]> {
    for (;;) {
      const views = await this.#views()
      if (this.#acting(views).length > 0) return views
      this.#open(this.#random.int(2))
      const until = Date.now() + 5_000
      while (Date.now() < until && this.#acting(await this.#views()).length === 0) await pause(20)
    }
  }

  /** What each of the living says of its channels. */
  async #views(): Promise<readonly (readonly View[])[]> {
    return await Promise.all(
      this.parties.map(async ({ process }) => (await process?.call('channels', null)) ?? []),
    )
  }

  #act(action: Action, views: readonly (readonly View[])[]): void {
    const random = this.#random
    const i = random.int(2)
    if (action === 'open') return this.#open(i)
    const channel = random.pick(this.#acting(views))
    if (channel === undefined) return
    switch (action) {
      case 'pay':
        return this.#ask(i, 'pay', { channel, count: 200 })
      case 'cross':
        for (const each of [0, 1]) this.#ask(each, 'pay', { channel, count: 200 })
        return
      case 'settle':
        this.#ask(i, 'settle', channel)
        if (random.chance(0.5)) this.#ask(1 - i, 'settle', channel)
        return
      case 'cheat':
        this.#ask(1 - i, 'pay', { channel, count: 20 })
        return this.#ask(i, 'cheat', channel)
      case 'dispute':
        // Only one is there to hear it.
        for (const each of [0, 1]) this.#ask(each, 'settle', channel)
        return
      default:
        return
    }
  }

  #open(i: number): void {
    const peer = this.#party(1 - i).about?.peer
    if (peer !== undefined) this.#ask(i, 'open', { peer, balances: DEPOSITS, challengeDuration: DURATION })
  }

  /** Asks for something that may fail in every way but one: a lie. */
  #ask<K extends keyof PartyCalls & string>(
    i: number,
    name: K,
    argument: Parameters<PartyCalls[K]>[0],
  ): void {
    const party = this.#party(i)
    void party.process?.call(name, argument).catch((error: Error) => {
      const [line = ''] = error.message.split('\n')
      this.say(`${party.name}: ${name}: ${line}`)
    })
  }

  #acting(views: readonly (readonly View[])[]): readonly ChannelID[] {
    const [ours = [], theirs = []] = views
    const isActing = ({ phase }: View) => phase === 'acting' || phase === 'signing'
    const there = new Set(theirs.filter(isActing).map(({ id }) => id))
    return ours.filter((view) => isActing(view) && there.has(view.id)).map(({ id }) => id)
  }

  /** The newest phase that a party told of any channel that is not over. */
  #phaseOf(party: Party): string {
    const open = [...party.phases.values()].filter((phase) => phase !== 'withdrawn')
    return open.at(-1) ?? 'none'
  }

  /**
   * Lets the ledger's time pass all deadlines, unless an old state stands there that somebody who is alive now has
   * still to refute: whoever has a whole challenge duration for it and does not do it is found stuck.
   */
  async #passTime(views: readonly (readonly View[])[]): Promise<void> {
    const now = await this.onlooker.now()
    for (const [id, { version, isConcluded, deadline }] of await this.onlooker.channels()) {
      const newest = views.flat().filter((view) => view.id === id && view.phase !== 'withdrawn')
      if (!isConcluded && now < deadline && newest.some((view) => view.version > version)) return
    }
    await this.onlooker.anvil.rpc('evm_increaseTime', [Number(2n * DURATION)])
  }

  async #check() {
    const { parties, onlooker, before } = this
    const { broken, channels, transactions } = await check({ parties, onlooker, before, deposits: DEPOSITS })
    if (broken.length > 0) throw this.#broken(broken)
    const states = parties
      .flatMap((party) => [...party.states.values()])
      .reduce((sum, { size }) => sum + size, 0)
    return { channels, states, transactions }
  }

  #broken(lines: readonly string[]): Error {
    return new Error([`seed ${this.seed}:`, ...lines].join('\n  '))
  }

  #party(i: number): Party {
    const party = this.parties[i]
    if (party === undefined) throw new Error(`no party ${i}`)
    return party
  }
}

/** What is done in a round, and within how many milliseconds the kill comes. */
type Action = keyof typeof SPAN

const ACTIONS: readonly Action[] = ['open', 'pay', 'cross', 'settle', 'dispute', 'cheat', 'idle']

const WHEN = ['before', 'after'] as const

const SPAN = {
  open: 1_200,
  pay: 150,
  cross: 150,
  settle: 1_000,
  dispute: 2_000,
  cheat: 800,
  idle: 100,
} as const

/** Makes blocks at moments of chance. @returns ends it */
function mining(mine: () => Promise<unknown>, random: Random): () => Promise<void> {
  let isOver = false
  const run = async () => {
    while (!isOver) {
      await pause(random.between(...BLOCKS))
      await mine()
    }
  }
  const running = run()
  return async () => {
    isOver = true
    await running
  }
}

/** What is to be undone, the last first. */
class Ending implements AsyncDisposable {
  readonly #tasks: (() => Promise<void>)[] = []

  add(task: () => Promise<void>): void {
    this.#tasks.push(task)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let task = this.#tasks.pop(); task !== undefined; task = this.#tasks.pop()) await task()
  }
}

function shown({ id, phase, version }: View): string {
  return `${id} ${phase}, version ${version}`
}

function named(parties: readonly Party[]): string {
  return parties.map(({ name }) => name).join(' and ')
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
