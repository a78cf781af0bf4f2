// A client and a Lightning node that nobody here wrote: LDK, over real TCP and a real bitcoind. Opened by either, paid through
// both ways, closed once together and once by LDK alone with a payment under way.
//
//   npm run demo -- ldk            shows what happens, then tables
//   npm run demo -- ldk --json     the same, and one JSON object as the last line
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { accept, type Channel, Client, transfer } from 'perkunas'
import { BitcoinBackend } from 'perkunas/backend/bitcoin'
import { BitcoindSource } from 'perkunas/backend/bitcoin/chain'
import { type LightningNode, sourceChain } from 'perkunas/backend/bitcoin/node'
import { msat } from 'perkunas/backend/bitcoin/units'
import { BitcoindWallet } from 'perkunas/backend/bitcoin/wallet'
import { fromHex, type Hex, toHex } from 'perkunas/channel'
import { createIdentity, PeerBus } from 'perkunas/peer'
import { tcpDialer, tcpListener } from 'perkunas/peer/tcp'
import { LmdbStore } from 'perkunas/persistence/lmdb'
import { type Bitcoind, startBitcoind } from '../../scripts/bitcoind.js'
import { Ldk } from '../../scripts/ldk/ldk.js'
import { type ChannelReport, Screen, type TransactionReport } from './show.js'

const NAMES = ['client', 'LDK'] as const
/** Millisatoshis. */
const CAPACITY = 10_000_000_000n
const PUSH = 4_000_000_000n
const PAYMENT = 5_000_001n
const PAYMENTS = 200
const IN_FLIGHT = 30
/** What is under way when LDK closes alone. */
const HELD = 70_000_007n
/** Blocks that LDK waits for its own when it closes alone. Real channels take a day or two. */
const DELAY = { min: 12, max: 12 }
/** Satoshis of each anchor of a commitment, which nobody need take. */
const ANCHOR = 330n
/** Satoshis that a side pays at most: for its funding, a commitment, claims, and what brings them in. */
const MAX_FEES = 10_000n

let screen: Screen

interface World {
  readonly bitcoind: Bitcoind
  readonly ldk: Ldk
  readonly client: Client
  readonly backend: BitcoinBackend
  readonly node: LightningNode
  readonly wallet: BitcoindWallet
}

/** Runs it. @returns whether all balances are as they must be */
export async function ldkDemo(json: boolean): Promise<boolean> {
  screen = new Screen(json ? process.stderr : process.stdout)
  screen.say('Starting a Bitcoin node (bitcoind, regtest) and an LDK node ...')
  await using bitcoind = await startBitcoind()
  for (const wallet of ['miner', 'ldk']) await bitcoind.rpc('createwallet', [wallet])
  await mine(bitcoind, 101)
  const rpc = { url: `${bitcoind.url}/wallet/ldk`, credentials: bitcoind.credentials }
  await using ldk = await Ldk.start({ rpc, seed: random() })
  screen.say(`  ${bitcoind.subversion}; LDK is ${ldk.id} and listens at 127.0.0.1:${ldk.port}`)
  const path = await mkdtemp(join(tmpdir(), 'perkunas-demo-ldk-'))
  const store = new LmdbStore(path)
  const access = { url: bitcoind.url, credentials: { cookieFile: bitcoind.cookieFile } }
  const source = new BitcoindSource(access)
  const wallet = await BitcoindWallet.open({ ...access, wallet: 'client', store })
  const chain = sourceChain({ source, network: 'regtest', pollingInterval: 50 })
  const backend = new BitcoinBackend({
    chain,
    wallet,
    seed: fromHex(random()),
    policy: {
      toSelfDelay: DELAY,
      maxAcceptedHtlcs: 483,
      maxDustExposure: { fixed: msat(1_000_000_000n) },
    },
  })
  const bus = new PeerBus({ identity: createIdentity(), dialers: [tcpDialer()], ...backend.bus })
  const client = new Client({ bus, store, backend })
  client.handleProposals(accept)
  client.handleUpdates(accept)
  try {
    const address = await bus.listen(tcpListener())
    screen.say(`  the client is ${client.id} and listens at ${address}`)
    bus.connect(ldk.id, `tcp://127.0.0.1:${ldk.port}`)
    const world: World = { bitcoind, ldk, client, backend, node: await backend.node(), wallet }
    await supply(world)
    const together = await cooperative(world)
    const alone = await forced(world)
    const channels = [together.report, alone]
    const ledger = { kind: 'bitcoin', network: 'regtest', node: bitcoind.subversion, peer: 'LDK' }
    const units = { balances: 'sat', fees: 'sat' }
    const { updatesPerSecond } = together
    const terms = { names: NAMES, unit: 'BTC', format: bitcoins, costs: 'fee (sat)' }
    return screen.conclude(channels, terms, { ledger, units, updatesPerSecond, json })
  } finally {
    await client.close()
    await bus.close()
    await backend.close()
    await wallet.close()
    await source.close()
    await store.close()
    await rm(path, { recursive: true, force: true })
  }
}

/** Coins for both; LDK has some apart, to bring in its commitments. */
async function supply({ bitcoind, ldk, wallet }: World): Promise<void> {
  const { address: ours } = await wallet.newAddress()
  const theirs = String(await bitcoind.rpc('getnewaddress', ['', 'bech32'], 'ldk'))
  const coins: readonly (readonly [string, number, number])[] = [
    [ours, 1, 5],
    [theirs, 1, 5],
    [await ldk.call('address', null), 0.01, 3],
  ]
  for (const [address, amount, count] of coins) {
    for (let i = 0; i < count; i++) {
      await bitcoind.rpc(
        'sendtoaddress',
        [address, amount, '', '', false, false, null, 'unset', false, 2],
        'miner',
      )
    }
  }
  await mine(bitcoind, 1)
  await ldk.call('sync', null)
}

/** The client opens; who pays without an invoice calls it an update. */
async function cooperative(world: World): Promise<{ report: ChannelReport; updatesPerSecond: number }> {
  const { client, backend, ldk } = world
  screen.say(
    `\nChannel 1: opened by the client, ${PAYMENTS} payments each way, ${IN_FLIGHT} at a time, closed together`,
  )
  const account = await begin(world)
  const channel = await mining(
    world,
    client.proposeChannel({
      peers: [ldk.id],
      allocation: { assets: [backend.asset], balances: [[CAPACITY - PUSH, PUSH]] },
      agreement: [[CAPACITY, 0n]],
      challengeDuration: 144n,
    }),
  )
  const id = await usable(world)
  screen.say(`  opened with ${bitcoins(CAPACITY / 1000n)} BTC, ${bitcoins(PUSH / 1000n)} of it for LDK`)
  const seconds = await traffic(world, channel)
  const updatesPerSecond = Math.round((2 * PAYMENTS) / seconds)
  screen.say(`  ${2 * PAYMENTS} payments, half of them with invoices: ${updatesPerSecond} per second`)
  const shares = await agreed(world, id, [CAPACITY - PUSH, PUSH])
  await mining(world, channel.settle())
  const { reason } = await ldk.event('channelClosed', (one) => one.channel === id)
  screen.say(`  settled: one transaction paid both; LDK says ${reason}`)
  const report = await account(id, { kind: 'cooperative', updates: 2 * PAYMENTS, opener: 0 }, shares)
  return { report, updatesPerSecond }
}

/** LDK opens, and closes alone while the client has not decided about a payment of LDK's. */
async function forced(world: World): Promise<ChannelReport> {
  const { client, ldk, node } = world
  screen.say('\nChannel 2: opened by LDK, which closes it alone with a payment under way')
  const account = await begin(world)
  const arrived = new Promise<Channel>((resolve) => client.newChannels$.subscribe(resolve))
  const temporary = await ldk.call('open', { peer: client.id, value: CAPACITY / 1000n, push: PUSH })
  const refused = ldk
    .event('channelClosed', (one) => one.channel === temporary)
    .then(({ text }) => {
      throw new Error(`no channel with LDK: ${text}`)
    })
  const channel = await mining(world, Promise.race([arrived, refused]))
  const id = await usable(world)
  for (let i = 0; i < 20; i++)
    await channel.update((draft) => transfer(draft, { from: 1, to: 0, amount: PAYMENT }))
  await agreed(world, id, [PUSH - 20n * PAYMENT, CAPACITY - PUSH + 20n * PAYMENT])
  const { paymentHash, invoice } = await node.payments.invoice({
    amount: msat(HELD),
    description: { kind: 'text', text: 'to be decided' },
    isHeld: true,
  })
  const held = new Promise<void>((resolve) =>
    node.payments.events$.subscribe(({ kind }) => kind === 'held' && resolve()),
  )
  await ldk.call('pay', { invoice: invoice?.text ?? '' })
  await held
  await ldk.call('forceClose', id)
  screen.say(
    '  the client paid 20 times; LDK paid once more, and published its commitment before it had an answer',
  )
  await node.payments.release(paymentHash)
  const paid = ldk.event('paid', ({ hash }) => hash === paymentHash)
  await mining(world, Promise.all([channel.settle(), paid]))
  screen.say(
    '  the client took its share, and that payment by its preimage, which LDK learned from the chain',
  )
  const mine = PUSH - 20n * PAYMENT + HELD
  return account(id, { kind: 'dispute', updates: 21, opener: 1 }, [mine, CAPACITY - mine])
}

/** Payments both ways at once, half of them with invoices. @returns seconds */
async function traffic(world: World, channel: Channel): Promise<number> {
  const { ldk, node, client } = world
  const started = performance.now()
  let done = 0
  const lanes = (pay: (number: number) => Promise<unknown>) => {
    let begun = 0
    const lane = async () => {
      for (let number = begun++; number < PAYMENTS; number = begun++) {
        await pay(number)
        screen.progress('payments', ++done, 2 * PAYMENTS)
      }
    }
    return Array.from({ length: IN_FLIGHT / 2 }, lane)
  }
  const ours = async (number: number) => {
    if (number % 2 === 0) {
      await channel.update((draft) => transfer(draft, { from: 0, to: 1, amount: PAYMENT }))
      return
    }
    const invoice = await ldk.call('invoice', { amount: PAYMENT })
    const { status } = await node.payments.pay({ id: random(), request: { kind: 'invoice', invoice } })
    if (status.kind !== 'succeeded') throw new Error(`a payment to LDK: ${status.kind}`)
  }
  const theirs = async (number: number) => {
    const hash =
      number % 2 === 0
        ? await ldk.call('keysend', { peer: client.id, amount: PAYMENT, id: random() })
        : await invoiced()
    await ldk.event('paid', (one) => one.hash === hash)
  }
  const invoiced = async () => {
    const description = { kind: 'text', text: 'demo' } as const
    const { invoice } = await node.payments.invoice({ amount: msat(PAYMENT), description })
    return ldk.call('pay', { invoice: invoice?.text ?? '' })
  }
  await Promise.all([...lanes(ours), ...lanes(theirs)])
  return (performance.now() - started) / 1000
}

/** LDK's name of the one channel, once LDK can use it, too. */
async function usable({ ldk }: World): Promise<Hex> {
  const [channel] = await ldk.call('channels', null)
  if (channel === undefined) throw new Error('LDK has no channel')
  await ldk.call('usable', channel.id)
  return channel.id
}

/** What both say of who has what, to the millisatoshi. @throws Error if it is not what it must be */
async function agreed(
  world: World,
  id: Hex,
  expected: readonly [bigint, bigint],
): Promise<readonly [bigint, bigint]> {
  const { ldk, node } = world
  await ldk.call('idle', id)
  const view = () => node.channels().find(({ live }) => live?.channelID === id)?.live
  await node.eventually(() => (view()?.htlcs.length === 0 ? true : undefined))
  const theirs = (await ldk.call('channels', null)).find((one) => one.id === id)?.balance
  const said = [view()?.balances.local, theirs]
  if (said.join() !== expected.join())
    throw new Error(`in the channel: ${said}, and ${expected} were expected`)
  screen.say(`  both say: the client ${expected[0]} msat, LDK ${expected[1]} msat`)
  return expected
}

/** Notes what is owned now; the result makes the report when the channel is over. */
async function begin(world: World) {
  const { bitcoind, ldk, wallet } = world
  await mine(bitcoind, 1)
  await ldk.call('sync', null)
  const from = await heightOf(bitcoind)
  const wealth = async (): Promise<readonly [bigint, bigint]> => {
    const { confirmed, unconfirmed, reserved } = await wallet.balance()
    const { coins } = await ldk.call('balances', null)
    const bitcoins = Number(await bitcoind.rpc('getbalance', ['*', 0], 'ldk'))
    return [confirmed + unconfirmed + reserved, coins + BigInt(Math.round(bitcoins * 1e8))]
  }
  const balancesBefore = await wealth()
  const started = performance.now()
  return async (
    id: string,
    given: { readonly kind: ChannelReport['kind']; readonly updates: number; readonly opener: 0 | 1 },
    /** What each has of the channel in the end, in millisatoshis. */
    shares: readonly [bigint, bigint],
  ): Promise<ChannelReport> => {
    const { kind, updates, opener } = given
    const seconds = (performance.now() - started) / 1000
    // LDK's share comes later: it waits for what nobody can undo.
    await mining(world, swept(world), 12)
    const brought = (side: 0 | 1) => (side === opener ? CAPACITY / 1000n : 0n)
    const whole = ([0, 1] as const).map(
      (side) => (balancesBefore[side] ?? 0n) - brought(side) + (shares[side] ?? 0n) / 1000n,
    )
    const rounded = CAPACITY / 1000n - shares.reduce((sum, share) => sum + share / 1000n, 0n)
    const look = async () => {
      const balancesAfter = await wealth()
      const { total, transactions } = await costsOf(bitcoind, from)
      // What is missing of each is what it paid; together that is what miners got, and anchors that nobody wanted.
      const fees = whole.map((amount, side) => amount - (balancesAfter[side] ?? 0n))
      const missing = fees.reduce((sum, fee) => sum + fee, 0n) + rounded - total
      const isRight =
        missing % ANCHOR === 0n &&
        missing >= 0n &&
        missing <= 2n * ANCHOR &&
        fees.every((fee) => fee >= 0n && fee <= MAX_FEES)
      return { isRight, balancesAfter, expected: isRight ? balancesAfter : whole, fees, transactions }
    }
    // A sweep that is in no block yet has paid nobody.
    let seen = await look()
    for (let blocks = 0; !seen.isRight && blocks < 20; blocks++) {
      await mine(bitcoind, 1)
      await ldk.call('sync', null)
      await new Promise((resolve) => setTimeout(resolve, 100))
      seen = await look()
    }
    const { isRight: _, ...found } = seen
    return { id, kind, updates, balancesBefore, seconds, ...found }
  }
}

/** Resolves when nothing of a channel is left to be taken, by nobody. */
async function swept({ bitcoind, ldk, node }: World): Promise<void> {
  for (;;) {
    await ldk.call('sync', null)
    const { claimable } = await ldk.call('balances', null)
    const waiting = await bitcoind.rpc('getrawmempool')
    if (claimable.length === 0 && node.channels().length === 0 && `${waiting}` === '') return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** What the transactions of blocks since a height have cost, in satoshis. */
async function costsOf(
  bitcoind: Bitcoind,
  from: number,
): Promise<{ readonly total: bigint; readonly transactions: readonly TransactionReport[] }> {
  const transactions: TransactionReport[] = []
  const to = await heightOf(bitcoind)
  let funding = ''
  for (let height = from + 1; height <= to; height++) {
    const hash = await bitcoind.rpc('getblockhash', [height])
    const block = (await bitcoind.rpc('getblock', [hash, 2])) as {
      tx: { txid: string; fee?: number; vin: { txid?: string }[]; vout: { value: number }[] }[]
    }
    for (const { txid, fee = 0, vin, vout } of block.tx.slice(1)) {
      const isFunding = vout.some(({ value }) => Math.round(value * 1e11) === Number(CAPACITY))
      if (isFunding) funding = txid
      const isEnd = vin.some((input) => input.txid === funding)
      const kind = isFunding ? 'funding' : isEnd ? 'commitment or closing' : 'claim'
      transactions.push({ txid, kind, fee: BigInt(Math.round(fee * 1e8)) })
    }
  }
  const total = transactions.reduce((sum, { fee }) => sum + fee, 0n)
  return { total, transactions }
}

async function heightOf(bitcoind: Bitcoind): Promise<number> {
  return Number(await bitcoind.rpc('getblockcount'))
}

async function mine(bitcoind: Bitcoind, blocks: number): Promise<void> {
  const address = await bitcoind.rpc('getnewaddress', [], 'miner')
  await bitcoind.rpc('generatetoaddress', [blocks, address])
}

/** Mines a block, or several, now and then, which LDK reads, until it is done. */
async function mining<T>({ bitcoind, ldk }: World, promise: Promise<T>, blocks = 1): Promise<T> {
  let isDone = false
  const done = promise.finally(() => {
    isDone = true
  })
  done.catch(() => undefined)
  while (!isDone) {
    await mine(bitcoind, blocks)
    await ldk.call('sync', null)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return await done
}

function random(): Hex {
  return toHex(crypto.getRandomValues(new Uint8Array(32)))
}

function bitcoins(satoshis: bigint): string {
  const digits = satoshis.toString().padStart(9, '0')
  return `${digits.slice(0, -8)}.${digits.slice(-8)}`
}
