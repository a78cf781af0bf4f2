// npm run demo               two clients on a real Ethereum node
// npm run demo -- bitcoin    two clients with Lightning channels on a real bitcoind
// npm run demo -- ldk        a client and an LDK node on a real bitcoind
//
// With --json the last line of standard output is one JSON object, and everything else goes to standard error.
import { commandLine } from '../../scripts/command-line.js'

const USAGE = 'npm run demo -- [ethereum|bitcoin|ldk] [--json]'

/** Runs the demo of that name. */
async function demo(which: string, json: boolean): Promise<boolean> {
  switch (which) {
    case 'ethereum':
      return (await import('./ethereum.js')).ethereumDemo(json)
    case 'bitcoin':
      return (await import('./bitcoin.js')).bitcoinDemo(json)
    case 'ldk':
      return (await import('./ldk.js')).ldkDemo(json)
    default:
      console.error(`there is no demo called ${which}\n${USAGE}`)
      return false
  }
}

const given = commandLine({ usage: USAGE, options: { json: { type: 'boolean' } }, positionals: 1 })
if (given !== undefined) {
  const [which = 'ethereum'] = given.positionals
  process.exitCode = (await demo(which, given.values['json'] === true)) ? 0 : 1
}
