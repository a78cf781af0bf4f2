// Two processes serve one client on one PostgreSQL store; users in a third process pay it all the time.
import { expect } from 'chai'
import { deployContracts, ether } from '../../backend/ethereum/index.js'
import { type ChannelID, fromHex, type Hex, toHex } from '../../channel/index.js'
import { type Anvil, startAnvil } from '../../scripts/anvil.js'
import { type Postgres, startPostgres } from '../../scripts/postgres.js'
import { Remote } from '../../scripts/remote.js'
import { MemoryWallet } from '../../wallet/index.js'
import { stranger } from '../backend/ethereum/world.js'
import type { Ledger } from './party.js'
import type { ServerCalls, ServerTold } from './server.js'
import type { UsersCalls, UsersTold } from './users.js'

const USERS = 4
const CHANNELS_EACH = 4
/** Milliseconds of a lease. */
const TTL = 2_000
/** Milliseconds in which a channel that lost its process must have gone on. */
const SECONDS = 15_000

/** A process that serves the client, and what it told. */
class Server {
  readonly process: Remote<ServerCalls, ServerTold>
  readonly states = new Map<ChannelID, Map<bigint, string>>()
  readonly errors: string[] = []

  constructor() {
    this.process = new Remote(new URL('./server.js', import.meta.url), (told) => this.#hear(told))
  }

  #hear(told: ServerTold): void {
    if (told.kind === 'error') {
      this.errors.push(told.message)
      return
    }
    const { channel, version, balances } = told
    const states = this.states.get(channel) ?? new Map<bigint, string>()
    this.states.set(channel, states.set(version, balances.join()))
  }
}

describe('takeover: two processes, one client', () => {
  let anvil: Anvil
  let postgres: Postgres
  let ledger: Ledger
  let servers: readonly [Server, Server]
  let users: Remote<UsersCalls, UsersTold>
  let addresses: readonly [string, string]
  /** Of each user, in their order: whom it reaches first is the server of the same parity. */
  let channels: readonly (readonly ChannelID[])[]
  let peers: readonly Hex[]
  const paid = new Map<ChannelID, number[]>()
  const signedTwice: string[] = []
  let isOver = false

  beforeEach(async function () {
    this.timeout(120_000)
    isOver = false
    ;[anvil, postgres] = await Promise.all([startAnvil(), startPostgres()])
    const deployer = await stranger(anvil)
    const { adjudicator, ethHolder: holder, firstBlock } = await deployContracts(deployer)
    deployer.chain.close()
    ledger = { rpc: anvil.url, adjudicator, holder, firstBlock }
    servers = [new Server(), new Server()]
    const [secret, identity] = [await key(), await key()]
    const abouts = []
    for (const { process } of servers) {
      const options = { ledger, keys: { secret, payer: await key() }, identity, ttl: TTL }
      abouts.push(await process.call('begin', { ...options, database: postgres.url }))
      await process.call('restore', null)
    }
    const [one, two] = abouts
    if (one === undefined || two === undefined) throw new Error('two servers')
    expect(one.peer).to.equal(two.peer)
    addresses = [one.address, two.address]
    paid.clear()
    signedTwice.length = 0
    users = new Remote(new URL('./users.js', import.meta.url), (told) => {
      if (told.kind === 'signedTwice') signedTwice.push(`${told.channel} ${told.version}`)
      else paid.set(told.channel, [...(paid.get(told.channel) ?? []), told.at])
    })
    const begun = await Promise.all(
      Array.from({ length: USERS }, async (_, i) =>
        users.call('begin', {
          ledger,
          keys: { secret: await key(), payer: await key() },
          identity: await key(),
          peer: one.peer,
          addresses: i % 2 === 0 ? addresses : [...addresses].reverse(),
          channels: CHANNELS_EACH,
          // One of each server's.
          isPatient: i >= 2,
        }),
      ),
    )
    channels = begun.map((user) => user.channels)
    peers = begun.map((user) => user.peer)
  })

  afterEach(async function () {
    this.timeout(60_000)
    isOver = true
    await Promise.all([users.kill(), ...servers.map(({ process }) => process.kill())])
    await Promise.all([anvil.stop(), postgres.stop()])
  })

  /** A fresh secret key, whose account has ether. */
  async function key(): Promise<Hex> {
    const secret = toHex(crypto.getRandomValues(new Uint8Array(32)))
    const [address] = await new MemoryWallet([fromHex(secret)]).addresses()
    await anvil.rpc('anvil_setBalance', [address, `0x${ether('1000').toString(16)}`])
    return secret
  }

  /** Waits until something is so; with the test's own time limit, which comes if it never is, this ends, too. */
  async function until(isSo: () => boolean): Promise<void> {
    while (!isSo() && !isOver) await new Promise((resolve) => setTimeout(resolve, 20))
  }

  /** Waits until each of these channels has been paid on so many times since then. */
  function paidOn(ids: readonly ChannelID[], times: number, since: number): Promise<void> {
    return until(() => ids.every((id) => (paid.get(id) ?? []).filter((at) => at > since).length >= times))
  }

  /** The channels that a server has, by its own word. */
  async function served({ process }: Server): Promise<ChannelID[]> {
    return (await process.call('channels', null)).map(({ id }) => id).sort()
  }

  /** Milliseconds after a moment at which the last of these channels had gone on. */
  function slowest(ids: readonly ChannelID[], since: number): number {
    return Math.max(...ids.map((id) => ((paid.get(id) ?? []).find((at) => at > since) ?? Infinity) - since))
  }

  /** Ends all payments, and demands that both sides have the same, with all that was ever agreed on before. */
  async function demandWhole(survivor: Server): Promise<void> {
    await users.call('rest', null)
    await survivor.process.call('rest', null)
    const all = channels.flat()
    let theirs = new Map<ChannelID, string>()
    let ours = new Map<ChannelID, string>()
    const versionOf = (id: ChannelID) => BigInt(ours.get(id)?.split(':')[0] ?? -1)
    const told = (id: ChannelID) => servers.flatMap(({ states }) => [...(states.get(id)?.keys() ?? [])])
    // What was under way may still be agreed on, and told a moment later. What was told and is lost is waited for in vain.
    const isLast = (id: ChannelID) => told(id).every((version) => version <= versionOf(id))
    const same = () => all.every((id) => ours.has(id) && ours.get(id) === theirs.get(id) && isLast(id))
    while (!same()) {
      const shown = ({ version, balances }: { version: bigint; balances: readonly bigint[] }) =>
        `${version}: ${balances.join()}`
      theirs = new Map((await users.call('channels', null)).map((had) => [had.id, shown(had)]))
      ours = new Map((await survivor.process.call('channels', null)).map((had) => [had.id, shown(had)]))
    }
    for (const id of all) {
      for (const server of servers) {
        for (const [older, balances] of server.states.get(id) ?? []) {
          // Whoever told it: one version has one content.
          for (const other of servers) {
            expect(other.states.get(id)?.get(older) ?? balances, `${id} ${older}`).to.equal(balances)
          }
        }
      }
    }
    expect(signedTwice).to.deep.equal([])
  }

  it('one is killed under load -> every channel goes on within seconds, nothing is lost or signed twice', async function () {
    this.timeout(120_000)
    const [victim, survivor] = servers
    const even = channels.filter((_, i) => i % 2 === 0).flat()
    const odd = channels.filter((_, i) => i % 2 === 1).flat()
    expect(await served(victim)).to.deep.equal([...even].sort())
    expect(await served(survivor)).to.deep.equal([...odd].sort())
    expect(await survivor.process.call('refusal', peers[0] ?? '0x')).to.equal('SERVED_ELSEWHERE')
    await paidOn([...even, ...odd], 3, 0)

    const killed = Date.now()
    await victim.process.kill()
    await paidOn([...even, ...odd], 3, killed)
    expect(await served(survivor)).to.deep.equal([...even, ...odd].sort())
    expect(slowest(even, killed)).to.be.lessThan(SECONDS)

    await demandWhole(survivor)
    await Promise.all(channels.map(([id = '0x']) => users.call('settle', id)))
    expect(
      survivor.errors.filter((message) => /INTERNAL|STORE_FAILED|TWO STATES/.test(message)),
    ).to.deep.equal([])
  })

  it('one stands still under load, and goes on later -> it signs nothing more, ends, and keeps nobody', async function () {
    this.timeout(120_000)
    const [sleeper, survivor] = servers
    const all = channels.flat()
    // The sleeper's users are the first and the third; the third one waits for it.
    const [first = [], second = [], , fourth = []] = channels
    const watchful = [...first, ...second, ...fourth]
    await paidOn(all, 3, 0)
    const stopped = Date.now()
    sleeper.process.signal('SIGSTOP')
    await paidOn(watchful, 3, stopped)
    expect(await served(survivor)).to.deep.equal([...all].sort())
    expect(slowest(watchful, stopped)).to.be.lessThan(SECONDS)

    const continued = Date.now()
    sleeper.process.signal('SIGCONT')
    await until(() => sleeper.errors.some((message) => /^STORE_FAILED: .*taken for dead/.test(message)))
    expect(await served(sleeper)).to.deep.equal([])
    // It has not died, and its connections stand: who kept one is sent away, and goes to the other.
    await paidOn(all, 2, continued)
    await demandWhole(survivor)
  })
})
