// The process that reads an LMDB store for `perkunas store check`: prints the report as JSON. Ends with 1 and a
// message if the store can't be opened; a file whose pages are damaged may end it by a signal.
//
// usage: store-reader.js <path>
import { checkStore } from '../client/check.js'
import { LmdbStore } from '../persistence/lmdb.js'
import { signatureRules } from './ledgers.js'

try {
  const store = new LmdbStore(process.argv[2] ?? '', { readOnly: true })
  console.log(JSON.stringify(await checkStore(store, signatureRules())))
  await store.close()
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}
