// Lightning channels behind the same client, on a real bitcoind: two clients in two processes pay each other over TCP, settle
// one channel together, punish a fraud over another one, and part from a peer that vanishes in the middle of it.
//
//   npm run demo -- bitcoin            shows what happens, then tables
//   npm run demo -- bitcoin --json     the same, and one JSON object as the last line
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { toHex } from 'perkunas/channel'
import { type Bitcoind, startBitcoind } from '../../scripts/bitcoind.js'
import { Remote } from '../../scripts/remote.js'
import { BitcoinOnlooker, type ChannelHistory } from './bitcoin-ledger.js'
import type { PartyCalls, StartOptions } from './bitcoin-party.js'
import { type ChannelReport, Screen } from './show.js'

type Party = Remote<PartyCalls, number>

const NAMES = ['alice', 'bob'] as const
/** Millisatoshis. */
const CAPACITY = 10_000_000_000n
const PUSH = 4_000_000_000n
const PAYMENT = 5_000_000n
const PAYMENTS = 500
const IN_FLIGHT = 30
/** Payments between the state that bob keeps and the newest. */
const LATER = 20
/** HTLCs in flight when bob vanishes, of each side. */
const PENDING = 3
const LOCKED = 50_000_000n
/** Milliseconds after which a block follows that not everybody has read. */
const PATIENCE = 150

let screen: Screen

interface World {
  readonly node: Bitcoind
  /** For the parties' stores. */
  readonly directory: string
  readonly chain: BitcoinOnlooker
  readonly alice: Party
  readonly bob: Party
  readonly there: { readonly peer: `0x${string}`; readonly address: string }
}

/** Runs it. @returns whether all balances are as they must be */
export async function bitcoinDemo(json: boolean): Promise<boolean> {
  screen = new Screen(json ? process.stderr : process.stdout)
  screen.say('Starting a Bitcoin node (bitcoind, regtest) ...')
  await using node = await startBitcoind({ args: ['-fallbackfee=0.00002'] })
  screen.say(`  ${node.subversion}`)
  await node.rpc('createwallet', ['miner'])
  await mine(node, 101)
  const directory = await mkdtemp(join(tmpdir(), 'perkunas-demo-bitcoin-'))
  const parties = NAMES.map((): Party => new Remote(new URL('./bitcoin-party.js', import.meta.url), heard))
  const [alice, bob] = parties
  if (alice === undefined || bob === undefined) throw new Error('two parties')
  try {
    const start = (party: Party, i: number) =>
      party.call('start', partyOptions({ node, directory }, NAMES[i] ?? ''))
    const [here, there] = await Promise.all([start(alice, 0), start(bob, 1)])
    screen.say(`Two clients run in two processes; bob listens at ${there.address}.`)
    for (const { receive } of [here, there]) {
      for (let i = 0; i < 5; i++) await node.rpc('sendtoaddress', [receive, 1], 'miner')
    }
    await mine(node, 1)
    const world = { node, directory, chain: new BitcoinOnlooker(node, NAMES), alice, bob, there }
    const together = await cooperative(world)
    const punished = await punishment(world)
    const alone = await vanished(world, parties)
    const channels = [together.report, punished, alone]
    const ledger = { kind: 'bitcoin', network: 'regtest', node: node.subversion }
    const units = { balances: 'sat', fees: 'sat' }
    const { updatesPerSecond } = together
    const terms = { names: NAMES, unit: 'BTC', format: bitcoins, costs: 'fee (sat)' }
    return screen.conclude(channels, terms, { ledger, units, updatesPerSecond, json })
  } finally {
    for (const party of parties) await party.stop()
    await rm(directory, { recursive: true, force: true })
  }
}

/** Each start has a store of its own. */
function partyOptions({ node, directory }: Pick<World, 'node' | 'directory'>, name: string): StartOptions {
  const { url, cookieFile } = node
  return { name, url, cookieFile, directory: join(directory, crypto.randomUUID()) }
}

let onHeard: (payments: number) => void = () => undefined

function heard(payments: number): void {
  onHeard(payments)
}

async function cooperative(world: World): Promise<{ report: ChannelReport; updatesPerSecond: number }> {
  const { alice, bob } = world
  screen.say(`\nChannel 1: funding, ${PAYMENTS} payments each way, ${IN_FLIGHT} at a time, closed together`)
  const account = await begin(world)
  const id = await open(world)
  const pay = (party: Party, offset: number) => {
    onHeard = (payments) => screen.progress('payments', offset + payments, 2 * PAYMENTS)
    return party.call('pay', { id, times: PAYMENTS, amount: PAYMENT, inFlight: IN_FLIGHT })
  }
  const seconds = (await pay(alice, 0)) + (await pay(bob, PAYMENTS))
  const updatesPerSecond = Math.round((2 * PAYMENTS) / seconds)
  screen.say(`  ${2 * PAYMENTS} payments, each on both disks: ${updatesPerSecond} per second`)
  await show(world, id)
  const settled = [alice, bob].map((party) => party.call('settle', { id, timeout: 30_000 }))
  await mining(world, Promise.all(settled))
  screen.say('  settled: one transaction paid both')
  return {
    report: await account(id, 'cooperative', 2 * PAYMENTS, [CAPACITY - PUSH, PUSH]),
    updatesPerSecond,
  }
}

async function punishment(world: World): Promise<ChannelReport> {
  const { alice, bob } = world
  screen.say('\nChannel 2: bob publishes a revoked commitment and is punished')
  const account = await begin(world)
  const id = await open(world)
  await bob.call('keep', id)
  await bob.call('pay', { id, times: LATER, amount: PAYMENT, inFlight: 5 })
  await show(world, id)
  await bob.call('cheat', id)
  screen.say(`  bob paid ${LATER} times, then published his commitment from before he paid`)
  await mining(world, alice.call('over', id))
  screen.say("  alice's client took everything; nobody told it to")
  return await account(id, 'dispute', LATER, [CAPACITY, 0n])
}

async function vanished(world: World, parties: Party[]): Promise<ChannelReport> {
  const { alice, chain } = world
  screen.say('\nChannel 3: bob vanishes with HTLCs in flight')
  const bob: Party = new Remote(new URL('./bitcoin-party.js', import.meta.url), heard)
  parties.push(bob)
  // Bob's first process ended as a cheat: this is another bob, with the same wallet on chain.
  const there = await bob.call('start', partyOptions(world, 'bob'))
  const again = { ...world, bob, there }
  const account = await begin(again)
  const id = await open(again)
  const deadline = BigInt((await chain.height()) + 60)
  const secrets = Array.from({ length: 2 * PENDING }, () => crypto.getRandomValues(new Uint8Array(32)))
  for (const [i, secret] of secrets.entries()) {
    const [party, amount] = [i < PENDING ? alice : bob, LOCKED]
    await party.call('lock', { id, amount, hash: hashOf(secret), deadline })
  }
  await until(async () => (await alice.call('view', id))?.locks === 2 * PENDING)
  screen.say(`  ${PENDING} HTLCs of each side are in flight; alice knows the preimages of bob's`)
  await show(again, id)
  await bob.kill()
  screen.say('  bob is gone')
  for (const secret of secrets.slice(PENDING)) {
    await alice.call('release', { id, hash: hashOf(secret), preimage: toHex(secret) })
  }
  await mining(world, alice.call('settle', { id, timeout: 500 }))
  screen.say('  alice went on chain: she took what she has the preimages of, and got back what timed out')
  const gained = BigInt(PENDING) * LOCKED
  return await account(id, 'vanished', 2 * PENDING, [CAPACITY - PUSH + gained, undefined])
}

/** Opens a channel of alice's with bob, and mines what it needs. */
async function open(world: World): Promise<`0x${string}`> {
  const { alice, bob, there } = world
  const opened = alice.call('open', { ...there, capacity: CAPACITY, push: PUSH })
  const id = await mining(world, opened)
  await until(async () => (await bob.call('view', id))?.phase === 'acting')
  screen.say(
    `  alice funded the channel with ${bitcoins(CAPACITY / 1000n)} BTC, ${bitcoins(PUSH / 1000n)} of it for bob`,
  )
  return id
}

async function show({ alice }: World, id: string): Promise<void> {
  const { balances = [] } = (await alice.call('view', id)) ?? {}
  const [a = 0n, b = 0n] = balances
  screen.say(`  in the channel: alice ${bitcoins(a / 1000n)}, bob ${bitcoins(b / 1000n)}`)
}

/** Notes what is owned now; the result makes the report when the channel is over. */
async function begin({ node, chain, alice, bob }: World) {
  await mine(node, 1)
  const height = await chain.height()
  const wealth = () => Promise.all([alice.call('wealth', null), walletOf(node, bob)])
  const balancesBefore = await wealth()
  const started = performance.now()
  return async (
    id: string,
    kind: ChannelReport['kind'],
    updates: number,
    /** What each has of the channel in the end, in millisatoshis, fees aside; undefined for who is not there to take it. */
    shares: readonly (bigint | undefined)[],
  ): Promise<ChannelReport> => {
    const seconds = (performance.now() - started) / 1000
    const balancesAfter = await wealth()
    const history = closedBy(await chain.since(height), shares)
    const fees = feesOf(history)
    const expected = balancesBefore.map((before, i) => {
      const share = shares[i]
      if (share === undefined) return balancesAfter[i] ?? 0n
      // The opener has paid for the channel and for what it leaves lying.
      const opened = i === 0 ? CAPACITY / 1000n + leftBy(history, shares) : 0n
      return before - opened + share / 1000n - (fees[i] ?? 0n)
    })
    const transactions = history.transactions.map(({ txid, kind: what, payer, fee }) => {
      const by = NAMES[payer ?? -1]
      return { txid, kind: what, ...(by === undefined ? {} : { by }), fee }
    })
    return { id, kind, updates, balancesBefore, balancesAfter, expected, fees, transactions, seconds }
  }
}

/** Of two versions of a closing, each side pays for its own (BOLT 2, "Closing Negotiation"): who got all of its share did not. */
function closedBy(history: ChannelHistory, shares: readonly (bigint | undefined)[]): ChannelHistory {
  const transactions = history.transactions.map((one) => {
    const whole = one.received.findIndex((amount, i) => amount === (shares[i] ?? -1n) / 1000n)
    const isClosing = one.kind === 'commitment or closing' && one.received.every((amount) => amount > 0n)
    return isClosing && whole >= 0 ? { ...one, payer: 1 - whole } : one
  })
  return { ...history, transactions }
}

function feesOf({ transactions }: ChannelHistory): readonly bigint[] {
  return NAMES.map((_, i) =>
    transactions.reduce((sum, { payer, fee }) => (payer === i ? sum + fee : sum), 0n),
  )
}

/** What lies there unclaimed at the opener's cost: anchors, not the share of somebody who is gone. */
function leftBy({ left, transactions }: ChannelHistory, shares: readonly (bigint | undefined)[]): bigint {
  if (shares.every((share) => share !== undefined)) return left
  const commitments = transactions.filter(({ kind }) => kind === 'commitment or closing').length
  return BigInt(commitments) * 2n * ANCHOR
}

const ANCHOR = 330n

/** What a wallet in the node has, whoever uses it: satoshis. */
async function walletOf(node: Bitcoind, party: Party): Promise<bigint> {
  if (party.isRunning) return await party.call('wealth', null)
  const { mine: own } = (await node.rpc('getbalances', [], 'bob')) as { mine: { trusted: number } }
  return BigInt(Math.round(own.trusted * 1e8))
}

async function mine(node: Bitcoind, blocks: number): Promise<void> {
  const address = await node.rpc('getnewaddress', [], 'miner')
  await node.rpc('generatetoaddress', [blocks, address])
}

/** Mines one block after another until it is done: the next when those who are there have read the last. */
async function mining<T>({ node, chain, alice, bob }: World, promise: Promise<T>): Promise<T> {
  let isDone = false
  const done = promise.finally(() => {
    isDone = true
  })
  done.catch(() => undefined)
  while (!isDone) {
    await mine(node, 1)
    const height = await chain.height()
    const read = [alice, bob].map((party) => party.call('reached', height).catch(() => undefined))
    await Promise.race([Promise.all(read), new Promise((resolve) => setTimeout(resolve, PATIENCE))])
  }
  return await done
}

async function until(done: () => Promise<boolean>): Promise<void> {
  const limit = performance.now() + 30_000
  while (!(await done())) {
    if (performance.now() > limit) throw new Error('what should happen did not within 30 seconds')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function hashOf(secret: Uint8Array): `0x${string}` {
  return toHex(createHash('sha256').update(secret).digest())
}

function bitcoins(satoshis: bigint): string {
  const digits = satoshis.toString().padStart(9, '0')
  return `${digits.slice(0, -8)}.${digits.slice(-8)}`
}
