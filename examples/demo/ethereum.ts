// The whole main job on a real Ethereum node: two clients in two processes open channels over TCP, pay a thousand
// times, settle one channel together, and fight out a dispute over another one.
//
//   npm run demo               shows what happens, then tables
//   npm run demo -- --json     the same, and one JSON object as the last line
import { formatEther, HDNodeWallet } from 'ethers'
import type { Hex } from 'perkunas'
import { asset, connect, deployContracts, ether } from 'perkunas/backend/ethereum'
import { fromHex, isHex } from 'perkunas/channel'
import { MemoryWallet } from 'perkunas/wallet'
import { ANVIL_MNEMONIC, startAnvil } from '../../scripts/anvil.js'
import { Remote } from './calls.js'
import { Onlooker } from './ledger.js'
import { type ChannelReport, Screen } from './show.js'

const UPDATES = 1_000
const DISPUTED_UPDATES = 10
const DURATION = 3_600n
const NAMES = ['alice', 'bob'] as const
const DEPOSITS = [ether('10'), ether('5')] as const
const PAYMENT = ether('0.001')

let screen: Screen

/** Runs it. @returns whether all balances are as they must be */
export async function ethereumDemo(json: boolean): Promise<boolean> {
  screen = new Screen(json ? process.stderr : process.stdout)
  screen.say('Starting an Ethereum node (anvil) and deploying the contracts ...')
  await using node = await startAnvil()
  const secrets = [0, 1, 2].map(secretOf)
  const contracts = await deployAs(secrets[2] ?? '0x', node.url)
  screen.say(`  adjudicator ${contracts.adjudicator}, holder of ETH ${contracts.ethHolder}`)
  const chain = new Onlooker(node.url)
  const addresses = await Promise.all(secrets.slice(0, 2).map(addressOf))
  const [alice, bob] = [new Remote('alice'), new Remote('bob')]
  try {
    const start = (remote: Remote, i: number) =>
      remote.start({ name: remote.name, secret: secrets[i] ?? '0x', rpc: node.url, contracts })
    const [, there] = await Promise.all([start(alice, 0), start(bob, 1)])
    screen.say(`Two clients run in two processes; bob listens at ${there.address}.`)
    const terms = {
      ...there,
      assets: [asset({ chainID: BigInt(node.chainID), holder: contracts.ethHolder })],
      balances: DEPOSITS.map(String),
      challengeDuration: String(DURATION),
    }
    const world = { alice, bob, chain, addresses, open: () => alice.open(terms) }
    const together = await cooperative(world)
    const fought = await dispute(world)
    const channels = [together.report, fought]
    const ledger = { kind: 'ethereum', chainID: node.chainID, ...contracts }
    const units = { balances: 'wei', fees: 'wei', gas: 'gas' }
    const { updatesPerSecond } = together
    const words = { names: NAMES, unit: 'ETH', format: formatEther, costs: 'gas' }
    return screen.conclude(channels, words, { ledger, units, updatesPerSecond, json })
  } finally {
    await Promise.all([alice.stop(), bob.stop()])
    chain.close()
  }
}

interface World {
  readonly alice: Remote
  readonly bob: Remote
  readonly chain: Onlooker
  readonly addresses: readonly string[]
  open(): Promise<Hex>
}

async function cooperative(world: World): Promise<{ report: ChannelReport; updatesPerSecond: number }> {
  const { alice, bob } = world
  screen.say('\nChannel 1: proposal, funding, a thousand updates, one settlement together')
  const account = await begin(world)
  const id = await world.open()
  screen.say(`  alice and bob opened ${id}`)
  alice.onProgress = (updates) => screen.progress('updates', updates, UPDATES)
  bob.onProgress = (updates) => screen.progress('updates', UPDATES / 2 + updates, UPDATES)
  const first = await alice.pay(id, UPDATES / 2, 2n * PAYMENT)
  const second = await bob.pay(id, UPDATES / 2, PAYMENT)
  const updatesPerSecond = Math.round(UPDATES / (first + second))
  screen.say(`  ${UPDATES} updates, each signed by both and on both disks: ${updatesPerSecond} per second`)
  const net = BigInt(UPDATES / 2) * PAYMENT
  await Promise.all([alice.settle(id), bob.over(id)])
  screen.say('  settled: one transaction paid both')
  return { report: await account(id, 'cooperative', UPDATES, [-net, net]), updatesPerSecond }
}

async function dispute(world: World): Promise<ChannelReport> {
  const { alice, bob, chain } = world
  screen.say('\nChannel 2: bob registers an old state and is refuted')
  const account = await begin(world)
  const id = await world.open()
  screen.say(`  alice and bob opened ${id}`)
  await bob.keep(id)
  await bob.pay(id, DISPUTED_UPDATES, ether('0.1'))
  const version = await bob.cheat(id)
  screen.say(`  bob paid ${DISPUTED_UPDATES} times, then registered version ${version}, from before he paid`)
  await until(async () => (await chain.sent()).filter(({ name }) => name === 'register').length === 2)
  const seen = await alice.state(id)
  if (!seen?.events.includes('atRisk')) throw new Error('alice was not warned')
  screen.say(`  alice's client refuted it with version ${seen.version}; nobody told it to`)
  await bob.comeBack()
  await chain.pass(DURATION + 1n)
  await Promise.all([alice.over(id), bob.over(id)])
  screen.say('  the challenge duration passed, both are paid by the newest state')
  const net = BigInt(DISPUTED_UPDATES) * ether('0.1')
  return await account(id, 'dispute', DISPUTED_UPDATES, [net, -net])
}

/** Notes what is owned now; the result makes the report when the channel is over. */
async function begin({ chain, addresses }: World) {
  await chain.turn()
  const balancesBefore = await chain.balances(addresses)
  const started = performance.now()
  return async (
    id: string,
    kind: ChannelReport['kind'],
    updates: number,
    change: readonly bigint[],
  ): Promise<ChannelReport> => {
    const seconds = (performance.now() - started) / 1000
    const sent = await chain.sent()
    const balancesAfter = await chain.balances(addresses)
    const fees = addresses.map((address) =>
      sent.reduce((total, { from, fee }) => (from === address ? total + fee : total), 0n),
    )
    const expected = balancesBefore.map((before, i) => before + (change[i] ?? 0n) - (fees[i] ?? 0n))
    const transactions = sent.map(({ txid, from, name, fee, gas }) => {
      const by = NAMES[addresses.indexOf(from)]
      return { txid, kind: name, ...(by === undefined ? {} : { by }), fee, gas }
    })
    return { id, kind, updates, balancesBefore, balancesAfter, expected, fees, transactions, seconds }
  }
}

async function deployAs(secret: Hex, url: string) {
  const wallet = new MemoryWallet([fromHex(secret)])
  const signer = await wallet.account((await wallet.addresses())[0] ?? '0x')
  const sender = await connect({ provider: url, signer })
  try {
    return await deployContracts(sender)
  } finally {
    sender.chain.close()
  }
}

async function addressOf(secret: Hex): Promise<string> {
  return (await new MemoryWallet([fromHex(secret)]).addresses())[0] ?? '0x'
}

/** The secret of one of the node's accounts that own ether. */
function secretOf(index: number): Hex {
  const { privateKey } = HDNodeWallet.fromPhrase(ANVIL_MNEMONIC, undefined, `m/44'/60'/0'/0/${index}`)
  if (!isHex(privateKey)) throw new Error('a private key is hex')
  return privateKey
}

async function until(done: () => Promise<boolean>): Promise<void> {
  const limit = performance.now() + 30_000
  while (!(await done())) {
    if (performance.now() > limit) throw new Error('what should happen did not within 30 seconds')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
