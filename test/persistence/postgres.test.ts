// PostgreSQL for real: a server of our own, killed, cut off, starved, and asked about what it keeps.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { Client } from 'pg'
import { isError } from '../../channel/errors.js'
import type { Store, Write } from '../../persistence/index.js'
import { PostgresStore } from '../../persistence/postgres.js'
import { type Postgres, startPostgres } from '../../scripts/postgres.js'
import { describeStore } from '../conformance/store.js'

let server: Postgres

/** Runs SQL as an operator. */
async function sql(text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: server.url })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(text)).rows
  } finally {
    await client.end()
  }
}

let schemas = 0
const schemaOf = new WeakMap<object, string>()
async function open(schema = `test_${++schemas}`): Promise<PostgresStore> {
  const store = await PostgresStore.open(server.url, { schema })
  schemaOf.set(store, schema)
  return store
}

const put = (key: string, ...values: number[]): Write => ({
  kind: 'put',
  key,
  value: Uint8Array.from(values),
})

async function reasonOf(call: Promise<unknown>): Promise<string> {
  const outcome = await call.then(
    () => 'resolved',
    (error: unknown) => error,
  )
  return isError(outcome, 'STORE_FAILED') ? outcome.message : `no STORE_FAILED: ${String(outcome)}`
}

async function entries(store: Store, prefix: string): Promise<(readonly [string, Uint8Array])[]> {
  const found: (readonly [string, Uint8Array])[] = []
  for await (const entry of store.scan(prefix)) found.push(entry)
  return found
}

/** Makes the server read its settings again, and waits until it has. */
async function reloaded(setting: string, value: string): Promise<void> {
  await sql('SELECT pg_reload_conf()')
  while ((await sql(`SELECT current_setting('${setting}') AS value`))[0]?.['value'] !== value) {
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Cuts all connections of stores. */
async function cut(): Promise<void> {
  await sql(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'perkunas' AND pid <> pg_backend_pid()",
  )
}

/** Commits and reads until told to stop; every commit that resolved must be there. */
async function busy(store: Store, isOver: () => boolean): Promise<number> {
  let version = 0
  while (!isOver()) {
    version++
    await store.commit([put('counter', version & 255, version >> 8), put(`log/${version}`, 1)])
    const value = await store.get('counter')
    expect((value?.[0] ?? 0) + 256 * (value?.[1] ?? 0)).to.equal(version)
  }
  return version
}

/** A way to the server on which what is said can get stuck, and arrive when its connection is long given up. */
async function slowDoor(port: number) {
  const held: { readonly inner: Socket; readonly bytes: Buffer[] }[] = []
  let isHolding = false
  const door = createServer((socket) => {
    const inner = connect(`${server.folder}/.s.PGSQL.5432`).on('error', () => undefined)
    const said = { inner, bytes: [] as Buffer[] }
    socket.on('error', () => undefined)
    inner.on('data', (data) => socket.write(data))
    socket.on('close', () => said.bytes.length === 0 && inner.end())
    socket.on('data', (data) => {
      if (!isHolding) return inner.write(data)
      if (said.bytes.push(data) === 1) held.push(said)
      // Given up by the client, not by the server.
      isHolding = false
      socket.destroy()
    })
  })
  await new Promise<void>((resolve) => {
    door.listen(`${server.folder}/.s.PGSQL.${port}`, resolve)
  })
  return {
    url: `${server.url}&port=${port}`,
    /** What is said next gets stuck, and costs its connection. */
    hold: () => {
      isHolding = true
    },
    /** What got stuck arrives; resolves when the server has done it. */
    async arrive(): Promise<number> {
      for (const { inner, bytes } of held) {
        inner.end(Buffer.concat(bytes))
        await once(inner, 'close')
      }
      return held.length
    },
    close: () => door.close(),
  }
}

const CHILD = fileURLToPath(new URL('./store-child.js', import.meta.url))

describe('PostgreSQL', () => {
  before(async function () {
    this.timeout(60_000)
    server = await startPostgres()
  })
  after(() => server.stop())

  describeStore('PostgreSQL', {
    setup: () => open(),
    async teardown(store) {
      await store.close()
      await sql(`DROP SCHEMA ${schemaOf.get(store)} CASCADE`)
    },
    reopen: (store) => open(schemaOf.get(store)),
  })

  describe('opening', () => {
    it('no server, a schema that is none, a server that flushes nothing, tables of a newer release -> STORE_FAILED', async () => {
      const nowhere = PostgresStore.open('postgres://perkunas@/postgres?host=/nowhere', { patience: 100 })
      expect(await reasonOf(nowhere)).to.match(/^the PostgreSQL store perkunas can't be opened: .*ENOENT/)
      for (const schema of ['', 'A', 'a"; DROP TABLE x; --', 'a'.repeat(64)]) {
        expect(await reasonOf(PostgresStore.open(server.url, { schema }))).to.match(/a schema of 1 to 63 of/)
      }
      await sql('ALTER SYSTEM SET fsync TO off')
      await reloaded('fsync', 'off')
      expect(await reasonOf(open('careless'))).to.match(/its server runs with fsync off/)
      await sql('ALTER SYSTEM RESET fsync')
      await reloaded('fsync', 'on')
      await (await open('newer')).close()
      await sql('UPDATE newer.layout SET version = 2')
      expect(await reasonOf(open('newer'))).to.match(/layout 2 of a newer release, this one knows 1/)
    })

    it('no URL, or none of PostgreSQL -> INVALID_ARGUMENT, not the database that is there by default', async () => {
      const before = { ...process.env }
      const { host, database } = new Client({ connectionString: server.url })
      Object.assign(process.env, { PGHOST: host, PGDATABASE: database, PGUSER: 'perkunas' })
      try {
        for (const url of ['', 'garbage', 'http://127.0.0.1/x', '/tmp']) {
          const caught = await PostgresStore.open(url, { patience: 100 }).catch((error: unknown) => error)
          expect(isError(caught, 'INVALID_ARGUMENT'), url).equals(true)
        }
      } finally {
        for (const name of ['PGHOST', 'PGDATABASE', 'PGUSER']) delete process.env[name]
        Object.assign(process.env, before)
      }
    })

    it('two processes make the tables at once -> one store, the later one owns it', async () => {
      const stores = await Promise.all([open('twins'), open('twins'), open('twins')])
      const commits = await Promise.allSettled(stores.map((store, i) => store.commit([put('a', i)])))
      const owners = commits.flatMap(({ status }, i) => (status === 'fulfilled' ? [i] : []))
      expect(owners.length).to.equal(1)
      expect(await stores[owners[0] ?? 0]?.get('a')).to.deep.equal(Uint8Array.from(owners))
      for (const store of stores) await store.close()
    })

    it('a role whose commits are not waited for -> ours are, and a stricter setting stays', async () => {
      const store = await open('durable')
      await store.close()
      await sql(`CREATE TABLE durable.seen (setting text);
        CREATE FUNCTION durable.see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          INSERT INTO durable.seen VALUES (current_setting('synchronous_commit')); RETURN NEW;
        END $$;
        CREATE TRIGGER see BEFORE INSERT ON durable.entries FOR EACH ROW EXECUTE FUNCTION durable.see();`)
      for (const setting of ['off', 'local', 'on', 'remote_apply']) {
        await sql(`ALTER ROLE perkunas SET synchronous_commit TO ${setting}`)
        await using again = await open('durable')
        await again.commit([put('a', 1)])
      }
      await sql('ALTER ROLE perkunas RESET synchronous_commit')
      const seen = await sql('SELECT setting FROM durable.seen')
      expect(seen.map(({ setting }) => setting)).to.deep.equal(['on', 'on', 'on', 'remote_apply'])
    })

    it('read only -> shows what another one writes, refuses to commit, makes nothing', async () => {
      const missing = PostgresStore.open(server.url, { schema: 'missing', readOnly: true })
      expect(await reasonOf(missing)).to.match(/relation "missing.layout" does not exist/)
      await using writer = await open('shown')
      await writer.commit([put('a', 1)])
      await using reader = await PostgresStore.open(server.url, { schema: 'shown', readOnly: true })
      expect(await reader.get('a')).to.deep.equal(Uint8Array.of(1))
      expect(await reasonOf(reader.commit([put('a', 2)]))).to.match(/open for reading only/)
      await writer.commit([put('b', 1)])
      expect((await entries(writer, '')).map(([key]) => key)).to.deep.equal(['a', 'b'])
    })
  })

  describe('values', () => {
    it('small and large ones in any order -> a scan gives them all, whatever it reads at once', async () => {
      await using store = await open()
      const sizes = Array.from({ length: 150 }, (_, i) => (i % 7 === 3 ? 65_530 + i : i * 3))
      await store.commit(
        sizes.map((size, i) => ({
          kind: 'put',
          key: `k${String(i).padStart(3, '0')}`,
          value: new Uint8Array(size).fill(i),
        })),
      )
      const found = await entries(store, 'k')
      expect(found.map(([, value]) => value.length)).to.deep.equal(sizes)
      expect(found.every(([, value], i) => value.every((byte) => byte === i))).to.equal(true)
    })

    it('a batch too large for one statement -> all of it, or nothing once another process owns the store', async () => {
      const LARGE = 3_000_000
      await using store = await open('large')
      const batch = (fill: number): Write[] =>
        ['a', 'b', 'c', 'd'].map((key) => ({ kind: 'put', key, value: new Uint8Array(LARGE).fill(fill) }))
      await store.commit(batch(1))
      await using later = await open('large')
      expect(await reasonOf(store.commit(batch(2)))).to.match(/another process has opened it since/)
      for (const key of ['a', 'b', 'c', 'd']) {
        const value = await later.get(key)
        expect([value?.length, value?.[0], value?.at(-1)]).to.deep.equal([LARGE, 1, 1])
      }
    })
  })

  describe('a server that fails', () => {
    it('connections cut again and again -> commits and reads go on, none is lost', async () => {
      await using store = await open()
      let isOver = false
      const working = busy(store, () => isOver)
      for (let i = 0; i < 10; i++) await cut()
      isOver = true
      const versions = await working
      expect((await entries(store, 'log/')).length).to.equal(versions)
    })

    it('a scan under way when its connection is cut -> STORE_FAILED, never a scan with a hole', async () => {
      await using store = await open()
      await store.commit(Array.from({ length: 200 }, (_, i) => put(`k${i}`, i)))
      const iterator = store.scan('')[Symbol.asyncIterator]()
      await iterator.next()
      await cut()
      const rest = async () => {
        while ((await iterator.next()).done !== true);
      }
      expect(await reasonOf(rest())).to.match(/failed to scan/)
      expect(await reasonOf(store.get('k1'))).to.match(/failed to scan/)
    })

    it('the server dies and comes back -> commits wait for it, none that had resolved is lost', async function () {
      this.timeout(60_000)
      await using store = await PostgresStore.open(server.url, { schema: 'crashed', patience: 30_000 })
      let isOver = false
      const working = busy(store, () => isOver)
      await server.crash()
      isOver = true
      const versions = await working
      expect((await entries(store, 'log/')).length).to.equal(versions)
    })

    it('a commit that got stuck, was repeated, and arrives after the next one -> changes nothing', async () => {
      const door = await slowDoor(5434)
      await using store = await PostgresStore.open(door.url, { schema: 'late' })
      await store.commit([put('a', 1)])
      door.hold()
      await store.commit([put('a', 2)])
      await store.commit([put('a', 3)])
      expect(await door.arrive()).to.equal(1)
      expect(await store.get('a')).to.deep.equal(Uint8Array.of(3))
      door.close()
    })

    it('a release that got stuck, and arrives when its name is acquired again -> the name stays held', async () => {
      const door = await slowDoor(5435)
      const share = { ttl: 60_000 }
      await using one = await PostgresStore.open(door.url, { schema: 'late_leases', share })
      await using other = await PostgresStore.open(server.url, { schema: 'late_leases', share })
      await one.leases?.acquire(['x'])
      door.hold()
      await one.leases?.release(['x'])
      await one.leases?.acquire(['x'])
      expect(await door.arrive()).to.equal(1)
      expect(one.leases?.hold(['x'])).to.equal(true)
      expect(await other.leases?.acquire(['x'])).to.equal(undefined)
      door.close()
    })

    it('tables of a release that did not number commits -> are brought up to date', async () => {
      await using old = await open('unnumbered')
      await old.commit([put('a', 1)])
      await sql('ALTER TABLE unnumbered.owners DROP COLUMN commits')
      await using store = await open('unnumbered')
      await store.commit([put('b', 2)])
      expect((await entries(store, '')).map(([key]) => key)).to.deep.equal(['a', 'b'])
    })

    it('unreachable for longer than the patience -> STORE_FAILED', async () => {
      // The server's door, which is closed later.
      const path = `${server.folder}/.s.PGSQL.5433`
      const sockets = new Set<Socket>()
      const door = createServer((socket) => {
        const inner = connect(`${server.folder}/.s.PGSQL.5432`)
        for (const one of [socket, inner]) sockets.add(one.on('error', () => undefined))
        socket.pipe(inner).pipe(socket)
      })
      await new Promise<void>((resolve) => {
        door.listen(path, resolve)
      })
      await using store = await PostgresStore.open(`${server.url}&port=5433`, {
        schema: 'door',
        patience: 300,
      })
      await store.commit([put('a', 1)])
      door.close()
      for (const socket of sockets) socket.destroy()
      expect(await reasonOf(store.commit([put('a', 2)]))).to.match(/failed to commit \(connect ENOENT/)
      expect(await reasonOf(store.get('a'))).to.match(/failed to commit/)
      await using again = await open('door')
      expect(await again.get('a')).to.deep.equal(Uint8Array.of(1))
    })
  })

  describe('owners', () => {
    it('a process killed while it commits -> every batch whole, none lost that had resolved', async function () {
      this.timeout(60_000)
      const last = new Map<number, number>()
      for (const reports of [1, 40, 150]) {
        const child = spawn(process.execPath, [CHILD, server.url, '8', 'killed', '64'], {
          stdio: ['ignore', 'pipe', 'inherit'],
        })
        let output = ''
        child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
          output += chunk
          if (output.split('\n').length > reports) child.kill('SIGKILL')
        })
        await once(child, 'close')
        await using store = await open('killed')
        for (const line of output.slice(0, output.lastIndexOf('\n')).split('\n')) {
          const [channel = '', version = ''] = line.split(' ')
          last.set(Number(channel), Number(version))
        }
        for (let channel = 0; channel < 8; channel++) {
          const [state] = await entries(store, `state/${channel}`)
          const version = state === undefined ? 0 : Buffer.from(state[1]).readUInt32BE()
          const reported = last.get(channel) ?? 0
          // One commit of each channel may have been under way.
          expect(version - reported, `channel ${channel} after ${reports}`).to.be.oneOf([0, 1])
          last.set(channel, version)
          expect((await entries(store, `log/${channel}/`)).length).to.equal(version)
          expect((await entries(store, `mark/${channel}/`)).length).to.equal(version === 0 ? 0 : 1)
        }
      }
    })

    it('opened by another process while one commits -> that one stops, and nothing of it comes later', async () => {
      const child = spawn(process.execPath, [CHILD, server.url, '4', 'overtaken', '64'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const closed = once(child, 'close')
      let output = ''
      let taken: PostgresStore | undefined
      let seen: unknown
      for await (const chunk of child.stdout.setEncoding('utf8')) {
        output += String(chunk)
        if (taken === undefined && output.split('\n').length > 50) {
          taken = await open('overtaken')
          seen = await entries(taken, '')
        }
      }
      await closed
      expect(output.trimEnd().split('\n').at(-1)).to.match(
        /^STORE_FAILED: .*another process has opened it since/,
      )
      if (taken === undefined) throw new Error('the child ended before it was overtaken')
      expect(await entries(taken, '')).to.deep.equal(seen)
      await taken.commit([put('x', 1)])
      await taken.close()
    })
  })
})
