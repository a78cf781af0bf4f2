// A process for the tests to kill or to starve: commits without end, and says on its standard output what has
// become durable.
//
// usage: store-child.js <path or postgres URL> <channels> <blockUpTo or schema> <bytes per value>
// prints "<channel> <version>" after each commit; "<code>: <message>" and ends once the store fails
import { writeSync } from 'node:fs'
import { PerkunasError } from '../../channel/errors.js'
import type { Store } from '../../persistence/index.js'
import { LmdbStore } from '../../persistence/lmdb.js'
import { PostgresStore } from '../../persistence/postgres.js'

const [path = '', channels, option = '', size] = process.argv.slice(2)

/** Each batch raises a counter, keeps it twice, and adds a row: enough to see a torn or a lost batch. */
async function serve(store: Store, channel: number): Promise<never> {
  const stored = await store.get(`state/${channel}`)
  let version = stored === undefined ? 0 : Buffer.from(stored).readUInt32BE()
  while (true) {
    version++
    const value = new Uint8Array(Number(size))
    new DataView(value.buffer).setUint32(0, version)
    await store.commit([
      { kind: 'put', key: `state/${channel}`, value },
      { kind: 'put', key: `log/${channel}/${String(version).padStart(9, '0')}`, value },
      { kind: 'delete', key: `mark/${channel}/${version - 1}` },
      { kind: 'put', key: `mark/${channel}/${version}`, value },
    ])
    writeSync(1, `${channel} ${version}\n`)
  }
}

let store: Store | undefined
try {
  const open = path.startsWith('postgres:')
    ? await PostgresStore.open(path, { schema: option })
    : new LmdbStore(path, { blockUpTo: Number(option) })
  store = open
  await Promise.all(Array.from({ length: Number(channels) }, (_, channel) => serve(open, channel)))
} catch (error) {
  writeSync(1, error instanceof PerkunasError ? `${error.code}: ${error.message}\n` : `${String(error)}\n`)
  await store?.close()
}
