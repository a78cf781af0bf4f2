// npm run demo               two clients on a real Ethereum node
// npm run demo -- bitcoin    two clients with Lightning channels on a real bitcoind
// npm run demo -- ldk        a client and an LDK node on a real bitcoind
//
// With --json the last line of standard output is one JSON object, and everything else goes to standard error.
const [which = 'ethereum'] = process.argv.slice(2).filter((word) => !word.startsWith('--'))
const json = process.argv.includes('--json')

/** Runs the demo of that name. */
async function demo(): Promise<boolean> {
  switch (which) {
    case 'ethereum':
      return (await import('./ethereum.js')).ethereumDemo(json)
    case 'bitcoin':
      return (await import('./bitcoin.js')).bitcoinDemo(json)
    case 'ldk':
      return (await import('./ldk.js')).ldkDemo(json)
    default:
      console.error(`npm run demo [-- ethereum|bitcoin|ldk] [--json]: there is no demo called ${which}`)
      return false
  }
}

process.exitCode = (await demo()) ? 0 : 1
