// A process for the tests to stop, to continue and to kill: acquires a name on a shared store, then counts its commits.
//
// usage: lease-child.js <postgres URL> <schema> <milliseconds of a lease> <name>
// prints "<count>" after each commit; "<code>: <message>" and ends once the store fails
import { writeSync } from 'node:fs'
import { PerkunasError } from '../../channel/errors.js'
import { PostgresStore } from '../../persistence/postgres.js'

const [url = '', schema = '', ttl, name = ''] = process.argv.slice(2)
const store = await PostgresStore.open(url, { schema, share: { ttl: Number(ttl) } })
try {
  await store.leases?.acquire([name])
  for (let count = 1; ; count++) {
    await store.commit([{ kind: 'put', key: name, value: Uint8Array.of(count >> 16, count >> 8, count) }])
    writeSync(1, `${count}\n`)
  }
} catch (error) {
  writeSync(1, error instanceof PerkunasError ? `${error.code}: ${error.message}\n` : `${String(error)}\n`)
  await store.close()
}
