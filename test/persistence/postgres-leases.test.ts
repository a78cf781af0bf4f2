// Several processes on one PostgreSQL store: who holds what, and what becomes of those that stand still or die.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import fc from 'fast-check'
import { isError } from '../../channel/errors.js'
import type { Leases, Write } from '../../persistence/index.js'
import { PostgresStore } from '../../persistence/postgres.js'
import { type Postgres, startPostgres } from '../../scripts/postgres.js'
import { slowRoad } from './slow-road.js'

const CHILD = fileURLToPath(new URL('./lease-child.js', import.meta.url))
/** Milliseconds of a lease in these tests. */
const TTL = 2_000

describe('PostgreSQL leases', () => {
  let server: Postgres
  let schemas = 0
  let schema: string
  const stores: PostgresStore[] = []
  const children: ChildProcess[] = []

  before(async function () {
    this.timeout(60_000)
    server = await startPostgres()
  })
  after(() => server.stop())
  beforeEach(() => {
    schema = `leases_${++schemas}`
  })
  afterEach(async () => {
    for (const child of children.splice(0)) {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL')
        await once(child, 'exit')
      }
    }
    for (const store of stores.splice(0)) await store.close()
  })

  async function process(ttl = TTL): Promise<{ store: PostgresStore; leases: Leases }> {
    const store = await PostgresStore.open(server.url, { schema, share: { ttl } })
    stores.push(store)
    if (store.leases === undefined) throw new Error('a shared store has leases')
    return { store, leases: store.leases }
  }

  /** Another process, committing under a name; `read` gives the lines that it has printed. */
  function child(name: string): {
    child: ChildProcess
    lines: () => string[]
    said: (count: number) => Promise<void>
  } {
    const started = spawn(globalThis.process.execPath, [CHILD, server.url, schema, String(TTL), name], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    children.push(started)
    let output = ''
    started.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk
    })
    const lines = () => output.split('\n').slice(0, -1)
    const said = async (count: number) => {
      while (lines().length < count) await once(started.stdout, 'data')
    }
    return { child: started, lines, said }
  }

  /** Waits until something is free, as a client does, and acquires it. */
  function takenOver(leases: Leases): Promise<readonly string[]> {
    return new Promise((resolve, reject) => {
      const stop = leases.onFree(() => {
        stop()
        leases.acquireFree().then(resolve, reject)
      })
    })
  }

  it('a name -> held by the first, by nobody else until it is released', async () => {
    const [one, two] = [await process(), await process()]
    expect(await one.leases.acquire(['a'])).to.deep.equal([])
    expect(one.leases.hold(['a'])).to.equal(true)
    expect(await two.leases.acquire(['a'])).to.equal(undefined)
    expect(await two.leases.acquire(['b', 'a'])).to.equal(undefined)
    expect(two.leases.hold(['a'])).to.equal(false)
    expect(await two.leases.acquire(['b'])).to.deep.equal([])
    await one.leases.release(['a'])
    expect(one.leases.hold(['a'])).to.equal(false)
    expect(await two.leases.acquire(['a'])).to.deep.equal([])
  })

  it('any acquisitions by three processes -> what was acquired together is always held by one of them', async function () {
    this.timeout(60_000)
    const name = fc.constantFrom('a', 'b', 'c', 'd', 'e')
    const steps = fc.array(fc.tuple(fc.nat(2), fc.uniqueArray(name, { minLength: 1, maxLength: 3 })), {
      maxLength: 12,
    })
    await fc.assert(
      fc.asyncProperty(steps, async (acquisitions) => {
        schema = `leases_${++schemas}`
        const processes = [await process(60_000), await process(60_000), await process(60_000)]
        const parties: string[][] = []
        const got = await Promise.all(
          acquisitions.map(async ([who, names]) => {
            const taken = await processes[who]?.leases.acquire(names)
            if (taken !== undefined) parties.push(names)
            return taken
          }),
        )
        for (const [i, [who, names]] of acquisitions.entries()) {
          if (got[i] !== undefined) expect(processes[who]?.leases.hold(names)).to.equal(true)
        }
        for (const names of parties) {
          const holders = processes.filter(({ leases }) => names.some((one) => leases.hold([one])))
          expect(holders.length).to.equal(1)
          expect(holders[0]?.leases.hold(names)).to.equal(true)
        }
        for (const store of stores.splice(0)) await store.close()
      }),
      { numRuns: 8 },
    )
  })

  it('a party -> goes to another process as a whole, by any of its names', async () => {
    const [one, two] = [await process(), await process()]
    await one.leases.acquire(['a', 'b'])
    await one.leases.acquire(['c'])
    await one.leases.acquire(['b', 'c'])
    await one.store.close()
    expect([...((await two.leases.acquire(['c'])) ?? [])].sort()).to.deep.equal(['a', 'b', 'c'])
    expect(two.leases.hold(['a', 'b', 'c'])).to.equal(true)
  })

  it('a process closes its store -> others may have what it held at once, and are told', async () => {
    const [one, two] = [await process(60_000), await process(1_000)]
    await one.leases.acquire(['a'])
    const taken = takenOver(two.leases)
    await one.store.close()
    expect(await taken).to.deep.equal(['a'])
  })

  it('a process dies -> others have what it held when its lease has run out, with all that it committed', async () => {
    const { child: other, lines, said } = child('a')
    await said(20)
    const { store, leases } = await process()
    expect(await leases.acquire(['a'])).to.equal(undefined)
    const taken = takenOver(leases)
    const killed = performance.now()
    other.kill('SIGKILL')
    expect(await taken).to.deep.equal(['a'])
    expect(performance.now() - killed).to.be.lessThan(3 * TTL)
    const count = Buffer.from((await store.get('a')) ?? []).readUIntBE(0, 3)
    // One commit may have been under way.
    expect(count - Number(lines().at(-1))).to.be.oneOf([0, 1])
  })

  it('a process stands still for longer than its lease -> its commit is refused when it goes on', async () => {
    const { child: other, lines, said } = child('a')
    await said(20)
    other.kill('SIGSTOP')
    const { store, leases } = await process()
    expect(await takenOver(leases)).to.deep.equal(['a'])
    const before = await store.get('a')
    const ended = once(other, 'exit')
    other.kill('SIGCONT')
    await ended
    expect(lines().at(-1)).to.match(/^STORE_FAILED: .*this process was taken for dead/)
    expect(await store.get('a')).to.deep.equal(before)
    await store.commit([{ kind: 'put', key: 'a', value: Uint8Array.of(0, 0, 7) }])
  })

  it('a process stands still, and nobody wants what it holds -> it goes on', async () => {
    const { child: other, lines, said } = child('a')
    await said(20)
    other.kill('SIGSTOP')
    const before = lines().length
    await new Promise((resolve) => setTimeout(resolve, 1.5 * TTL))
    other.kill('SIGCONT')
    await said(before + 20)
    expect(Number(lines().at(-1))).to.be.greaterThan(before)
  })

  it('taken for dead -> told by `lost` or by the next commit, acquires nothing more, its commits change nothing', async () => {
    const put = (value: number): Write[] => [{ kind: 'put', key: 'a', value: Uint8Array.of(value) }]
    const one = await process(60_000)
    await one.leases.acquire(['a'])
    await one.store.commit(put(1))
    // An exclusive owner ends all others, alive or not.
    await using later = await PostgresStore.open(server.url, { schema })
    const failure = await one.store.commit(put(2)).catch((error: unknown) => error)
    expect(isError(failure, 'STORE_FAILED') && failure.message).to.match(/taken for dead/)
    expect(one.leases.lost.aborted).to.equal(true)
    expect(await later.get('a')).to.deep.equal(Uint8Array.of(1))

    const two = await process(60_000)
    await using _last = await PostgresStore.open(server.url, { schema })
    const refused = await two.leases.acquire(['b']).catch((error: unknown) => error)
    expect(isError(refused, 'STORE_FAILED') && refused.message).to.match(/taken for dead/)
    expect(two.leases.lost.aborted).to.equal(true)

    const three = await process(400)
    expect(three.leases.confirm()).to.equal(undefined)
    await using _very = await PostgresStore.open(server.url, { schema })
    if (!three.leases.lost.aborted) await once(three.leases.lost, 'abort')
    const confirmed = await three.leases.confirm()?.catch((error: unknown) => error)
    expect(isError(confirmed, 'STORE_FAILED')).to.equal(true)
  })

  it('answers that take longer than a lease -> are waited for; what needs no commit waits for one in time', async function () {
    this.timeout(30_000)
    await using road = await slowRoad(server.url)
    const options = { schema, share: { ttl: 100 }, patience: 5_000 }
    await using store = await PostgresStore.open(road.url, options)
    const { leases } = store
    if (leases === undefined) throw new Error('a shared store has leases')
    road.delay = 130
    expect(await leases.acquire(['a'])).to.deep.equal([])
    let confirmed: unknown = 'not yet'
    const confirming = Promise.resolve(leases.confirm()).then(() => {
      confirmed = 'yes'
    })
    await leases.acquire(['b'])
    expect(confirmed).to.equal('not yet')
    road.delay = 0
    await confirming
    await store.commit([{ kind: 'put', key: 'a', value: Uint8Array.of(1) }])
    expect(leases.lost.aborted).to.equal(false)
  })

  it('no answer in time for as long as the server may be away -> what needs no commit fails', async () => {
    await using road = await slowRoad(server.url)
    await using store = await PostgresStore.open(road.url, { schema, share: { ttl: 100 }, patience: 300 })
    road.delay = 150
    while (store.leases?.confirm() === undefined) await new Promise((resolve) => setTimeout(resolve, 10))
    const error = await store.leases?.confirm()?.catch((cause: unknown) => cause)
    expect(isError(error, 'STORE_FAILED')).to.equal(true)
  })

  it('no answers until the lease ran out and another process took over -> not a commit is taken any more', async () => {
    await using road = await slowRoad(server.url)
    await using store = await PostgresStore.open(road.url, { schema, share: { ttl: 300 } })
    await store.leases?.acquire(['a'])
    await store.commit([{ kind: 'put', key: 'a', value: Uint8Array.of(1) }])
    const unblock = road.block()
    const late = store.commit([{ kind: 'put', key: 'a', value: Uint8Array.of(2) }]).catch((cause) => cause)
    const other = await process()
    expect(await takenOver(other.leases)).to.deep.equal(['a'])
    unblock()
    const refused = await late
    expect(isError(refused, 'STORE_FAILED') && refused.message).to.match(/taken for dead/)
    expect(await other.store.get('a')).to.deep.equal(Uint8Array.of(1))
  })

  it('a process resigns -> others have all at once, with what it committed; it commits and acquires nothing more', async () => {
    const [one, two] = [await process(60_000), await process(1_000)]
    await one.leases.acquire(['a', 'b'])
    const taken = takenOver(two.leases)
    const written = one.store.commit([{ kind: 'put', key: 'a', value: Uint8Array.of(1) }]).then(
      () => 1,
      () => undefined,
    )
    await one.leases.resign()
    await one.leases.resign()
    expect([...(await taken)].sort()).to.deep.equal(['a', 'b'])
    expect((await two.store.get('a'))?.[0]).to.equal(await written)
    const late = await one.store.commit([{ kind: 'delete', key: 'a' }]).catch((error: unknown) => error)
    expect(isError(late, 'STORE_FAILED') && late.message).to.match(/has given it up/)
    const more = await one.leases.acquire(['c']).catch((error: unknown) => error)
    expect(isError(more, 'STORE_FAILED')).to.equal(true)
    expect(two.leases.hold(['a', 'b'])).to.equal(true)
  })
})
