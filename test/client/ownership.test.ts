import { expect } from 'chai'
import type { Channel } from '../../client/index.js'
import { Ownership, type OwnershipHost } from '../../client/ownership.js'
import type { PeerID } from '../../peer/index.js'
import type { Leases } from '../../persistence/index.js'
import { failure, group, open, restarted, who } from './parties.js'

const peer = (n: number): PeerID => `0x02${n.toString(16).padStart(64, '0')}`
const [P, Q, R] = [peer(1), peer(2), peer(3)]

/** Leases that answer as the test says, and what they were asked. */
class ScriptedLeases implements Leases {
  readonly #lost = new AbortController()
  readonly #free = new Set<() => void>()
  readonly held = new Set<string>()
  readonly foreign = new Set<string>()
  /** What a process that is gone had. */
  readonly orphans = new Set<string>()
  readonly said: string[] = []

  get lost(): AbortSignal {
    return this.#lost.signal
  }

  hold(names: readonly string[]): boolean {
    return names.every((name) => this.held.has(name))
  }

  async acquire(names: readonly string[]): Promise<readonly string[] | undefined> {
    this.said.push(`acquire ${names.map((name) => name.at(-1)).join()}`)
    if (names.some((name) => this.foreign.has(name))) return undefined
    for (const name of names) this.held.add(name)
    return names.filter((name) => this.orphans.delete(name))
  }

  async acquireFree(): Promise<readonly string[]> {
    this.said.push('acquireFree')
    const names = [...this.orphans]
    this.orphans.clear()
    for (const name of names) this.held.add(name)
    return names
  }

  async release(names: readonly string[]): Promise<void> {
    this.said.push(`release ${names.map((name) => name.at(-1)).join()}`)
    for (const name of names) this.held.delete(name)
  }

  onFree(handler: () => void): () => void {
    this.#free.add(handler)
    return () => this.#free.delete(handler)
  }

  confirm(): undefined {
    return undefined
  }

  async resign(): Promise<void> {
    this.said.push('resign')
  }

  /** Something is free. */
  tell(): void {
    for (const handler of this.#free) handler()
  }

  lose(): void {
    this.#lost.abort(new Error('taken for dead'))
  }
}

/** A client's store with channels of these peers, and which of them were brought back, pass by pass. */
function scene(stored: readonly (readonly PeerID[])[]) {
  const leases = new ScriptedLeases()
  const passes: string[] = []
  const inUse = new Set<PeerID>([P, Q, R])
  const failures: unknown[] = []
  const host: OwnershipHost = {
    async restore(isOurs): Promise<readonly Channel[]> {
      await Promise.resolve()
      passes.push(
        stored
          .filter(isOurs)
          .map((peers) => peers.map((one) => one.at(-1)).join('+'))
          .join(' '),
      )
      leases.said.push('restore')
      return []
    },
    isInUse: (one) => inUse.has(one),
    fail: (cause) => failures.push(cause),
  }
  return { leases, passes, inUse, failures, ownership: new Ownership(leases, host) }
}

describe('client: peers of several processes', () => {
  it('begin -> what nobody serves is brought back after it was acquired; what others serve is not', async () => {
    const { ownership, leases, passes } = scene([[P], [P, Q], [R]])
    for (const one of [P, Q]) leases.orphans.add(one)
    leases.foreign.add(R)
    await ownership.begin()
    expect(passes).deep.equals(['1 1+2'])
    expect(leases.said).deep.equals(['acquireFree', 'restore', 'acquire 3'])
    expect(ownership.serves([P, Q])).equals(true)
    expect(await ownership.serves([R])).equals(false)
  })

  it('begin with channels of a time without leases -> acquired, read again, brought back', async () => {
    const { ownership, leases, passes } = scene([[P], [R]])
    await ownership.begin()
    expect(passes).deep.equals(['', '1 3'])
    expect(leases.said).deep.equals(['acquireFree', 'restore', 'acquire 1', 'acquire 3', 'restore'])
  })

  it('idle while it is being acquired, alone or with another one -> not given up before whoever asked goes on', async () => {
    const { ownership, leases, inUse } = scene([])
    await ownership.begin()
    leases.orphans.add(P)
    inUse.delete(P)
    expect(await ownership.serves([P])).equals(true)
    expect([...leases.held]).deep.equals([P])
    const both = ownership.serves([P, Q])
    ownership.sweep([P])
    expect(await both).equals(true)
    expect([...leases.held]).deep.equals([P, Q])
    leases.foreign.add(R)
    expect(await ownership.serves([P, R])).equals(false)
    expect([...leases.held]).deep.equals([Q])
  })

  it('a peer of a process that is gone calls -> its channels are here before it is served', async () => {
    const { ownership, leases, passes } = scene([[P], [Q]])
    for (const one of [P, Q]) leases.foreign.add(one)
    await ownership.begin()
    passes.length = 0
    leases.foreign.delete(P)
    leases.orphans.add(P)
    const [first, second] = [ownership.serves([P]), ownership.serves([P])]
    expect(await Promise.all([first, second])).deep.equals([true, true])
    expect(passes).deep.equals(['1'])
    // A stranger has nothing in the store: it is not read.
    expect(await ownership.serves([R])).equals(true)
    expect(passes).deep.equals(['1'])
  })

  it('a peer calls before begin -> served after it, with its channels of a time without leases', async () => {
    const { ownership, leases, passes } = scene([[P]])
    expect(await ownership.serves([P])).equals(true)
    expect(passes).deep.equals(['', '1'])
    await ownership.begin()
    expect(leases.said).deep.equals(['acquireFree', 'restore', 'acquire 1', 'restore', 'acquire 1'])
  })

  it('a process is gone -> all that it had, at once, and once only', async () => {
    const { ownership, leases, passes } = scene([[P], [Q], [R]])
    for (const one of [Q, R]) leases.foreign.add(one)
    await ownership.begin()
    expect(passes).deep.equals(['', '1'])
    passes.length = 0
    leases.foreign.clear()
    for (const one of [P, Q, R]) leases.orphans.add(one)
    leases.tell()
    leases.tell()
    expect(await ownership.serves([Q, R])).equals(true)
    // P's channels were here, and those of the store are older.
    expect(passes).deep.equals(['2 3'])
  })

  it('sweep -> gives up who has nothing to do with us, and nobody else', async () => {
    const { ownership, leases, inUse } = scene([])
    await ownership.begin()
    leases.said.length = 0
    await ownership.serves([P])
    await ownership.serves([Q])
    inUse.delete(P)
    ownership.sweep([P, Q, R])
    expect(leases.said).deep.equals(['acquire 1', 'acquire 2', 'release 1'])
    expect(ownership.serves([Q])).equals(true)
    expect(ownership.serves([P])).not.equals(true)
  })

  it('taken for dead, or a store that fails -> the client is told, and nobody is served', async () => {
    const { ownership, leases, failures } = scene([])
    await ownership.begin()
    leases.acquire = () => Promise.reject(new Error('no server'))
    expect(await ownership.serves([P])).equals(false)
    leases.lose()
    expect(failures.map(String)).deep.equals(['Error: no server', 'Error: taken for dead'])
    await ownership.close()
    expect(leases.said.at(-1)).equals('resign')
  })

  it('a client whose store fails, or that is closed -> gives all up', async () => {
    for (const ends of ['fails', 'closed']) {
      const world = await group(2)
      const leases = new ScriptedLeases()
      const alice = await restarted(who(world, 0), world, { leases })
      const [a] = await open({ ...world, parties: [alice, who(world, 1)] })
      expect(leases.said).not.includes('resign')
      if (ends === 'closed') await alice.client.close()
      else {
        Object.assign(alice.store, { commit: () => Promise.reject(new Error('no room')) })
        await failure(a?.update(() => undefined) ?? Promise.resolve())
      }
      expect(
        leases.said.filter((word) => word === 'resign'),
        ends,
      ).lengthOf(1)
    }
  })
})
