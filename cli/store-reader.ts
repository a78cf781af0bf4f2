// The process that reads an LMDB store for `perkunas store check`: prints the report as JSON. Ends with 1 and a
// message if the store can't be opened; a file whose pages are damaged may end it by a signal.
//
// usage: store-reader.js <path>
import { CHALLENGE_DURATION, EthereumRules } from '../backend/ethereum/index.js'
import { simRules } from '../backend/sim/rules.js'
import { checkStore, type SignatureRules } from '../client/check.js'
import { LmdbStore } from '../persistence/lmdb.js'

/** IDs, messages and signatures depend on neither a chain nor its contracts. */
const RULES: readonly SignatureRules[] = [
  new EthereumRules({ chainID: 0n, holders: new Map(), challengeDuration: CHALLENGE_DURATION }),
  simRules(() => true),
]

try {
  const store = new LmdbStore(process.argv[2] ?? '', { readOnly: true })
  console.log(JSON.stringify(await checkStore(store, RULES)))
  await store.close()
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}
