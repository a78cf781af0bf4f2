// Clients on a real chain whose channels are used before their funding is confirmed, with LDK and with each other, and closed
// to where their users chose.
import { expect } from 'chai'
import { BitcoindSource } from '../../../backend/bitcoin/chain/index.js'
import { type LightningNode, sourceChain } from '../../../backend/bitcoin/node/index.js'
import { BitcoinBackend, type ChannelChoices } from '../../../backend/bitcoin/protocol/index.js'
import { BitcoindWallet } from '../../../backend/bitcoin/wallet/index.js'
import { fromHex, isError, toHex, transfer } from '../../../channel/index.js'
import { accept, type Channel, Client } from '../../../client/index.js'
import { createIdentity, PeerBus, type PeerID } from '../../../peer/index.js'
import { tcpDialer, tcpListener } from '../../../peer/tcp.js'
import { MemoryStore } from '../../../persistence/index.js'
import type { Ldk } from '../../../scripts/ldk/ldk.js'
import { PUSH, VALUE } from './meeting.js'
import { randomID } from './our-node.js'
import { Regtest } from './regtest.js'

const CAPACITY = VALUE * 1000n

/** A client with coins. */
interface Person extends AsyncDisposable {
  readonly client: Client
  readonly backend: BitcoinBackend
  readonly bus: PeerBus
  readonly wallet: BitcoindWallet
  readonly address: string
  readonly node: LightningNode
}

describe('interop/ldk: clients', () => {
  let regtest: Regtest
  let ldk: Ldk
  before(async function () {
    this.timeout(60_000)
    regtest = await Regtest.start()
    ldk = await regtest.ldk({ policy: { zeroConf: true, scidPrivacy: true } })
  })
  after(async () => {
    await regtest[Symbol.asyncDispose]()
  })

  async function person(choices: ChannelChoices): Promise<Person> {
    const { url, cookieFile } = regtest.bitcoind
    const access = { url, credentials: { cookieFile } }
    const source = new BitcoindSource(access)
    const store = new MemoryStore()
    const wallet = await BitcoindWallet.open({ ...access, wallet: randomID(), store: new MemoryStore() })
    const chain = sourceChain({ source, network: 'regtest', pollingInterval: 20 })
    const backend = new BitcoinBackend({ chain, wallet, seed: fromHex(randomID()), ...choices })
    const bus = new PeerBus({ identity: createIdentity(), dialers: [tcpDialer()], ...backend.bus })
    const client = new Client({ bus, store, backend })
    client.handleProposals(accept)
    client.handleUpdates(accept)
    const address = await bus.listen(tcpListener())
    await regtest.give((await wallet.newAddress()).address, 0.02, 3)
    const node = await backend.node()
    await seen(node)
    const close = async () => {
      await client.close()
      await bus.close()
      await backend.close()
      await wallet.close()
      await source.close()
    }
    return { client, backend, bus, wallet, address, node, [Symbol.asyncDispose]: close }
  }

  async function seen(node: LightningNode): Promise<void> {
    const height = Number(await regtest.bitcoind.rpc('getblockcount'))
    await node.eventually(() => (node.height >= height ? true : undefined))
  }

  async function propose({ client, backend }: Person, peer: PeerID, delay = 144n): Promise<Channel> {
    return client.proposeChannel({
      peers: [peer],
      allocation: { assets: [backend.asset], balances: [[CAPACITY - PUSH, PUSH]] },
      agreement: [[CAPACITY, 0n]],
      challengeDuration: delay,
    })
  }

  /** Nothing of it is in a block, and it can be used. */
  function expectYoung({ node }: Person): void {
    const [view] = node.channels()
    expect([view?.phase, view?.live?.confirmations]).to.deep.equal(['normal', 0])
  }

  async function pay(channel: Channel, amount: bigint): Promise<void> {
    const from = channel.index
    await channel.update((draft) => transfer(draft, { from, to: 1 - from, amount }))
  }

  /** Blocks, until the channel is over. */
  async function settled(channel: Channel, { node }: Person): Promise<void> {
    let isOver = false
    const end = channel.settle().finally(() => {
      isOver = true
    })
    await node.eventually(() => (node.channels()[0]?.live?.isClosingAgreed === false ? undefined : true))
    while (!isOver) {
      await regtest.mine()
      await Promise.race([seen(node), end])
    }
    await end
  }

  /** What a script has in outputs, in satoshis. */
  async function owned(script: Uint8Array): Promise<number> {
    const found = await regtest.bitcoind.rpc('scantxoutset', ['start', [`raw(${toHex(script).slice(2)})`]])
    const total: unknown = Object(found).total_amount
    return Math.round(Number(total) * 1e8)
  }

  it('with LDK, which trusts us and is told to: paid both ways at once, closed to the script that was said upfront', async function () {
    this.timeout(30_000)
    const script = Uint8Array.of(0, 20, ...fromHex(randomID()).subarray(0, 20))
    const shutdown = () => ({ script, isUpfront: true })
    await using ours = await person({ zeroConf: { demands: () => true }, shutdown })
    ours.bus.connect(ldk.id, `tcp://127.0.0.1:${ldk.port}`)
    const channel = await propose(ours, ldk.id)
    expectYoung(ours)
    await pay(channel, 12_000_345n)
    const got = await ldk.call('keysend', { peer: ours.client.id, amount: 1_000_001n, id: randomID() })
    await ldk.event('paid', ({ hash }) => hash === got)
    await ours.node.eventually(() => (channel.locks.length === 0 ? true : undefined))
    const balance = CAPACITY - PUSH - 12_000_345n + 1_000_001n
    expect(channel.state.allocation.balances).to.deep.equal([[balance, CAPACITY - balance]])
    await regtest.mine()
    await settled(channel, ours)
    const fee = Number(balance / 1000n) - (await owned(script))
    expect(fee).to.be.within(1, 5_000)
  })

  it('with LDK, which we trust as we choose: one channel at once, the other waits for confirmations', async function () {
    this.timeout(30_000)
    const trusts = ({ capacity }: { readonly capacity: bigint }) => capacity === VALUE
    await using ours = await person({ zeroConf: { trusts } })
    const opened: Channel[] = []
    ours.client.newChannels$.subscribe((channel) => opened.push(channel))
    await ldk.call('connect', { peer: ours.client.id, port: Number(new URL(ours.address).port) })
    await ldk.call('open', { peer: ours.client.id, value: VALUE, push: PUSH })
    const channel = await ours.node.eventually(() => opened[0])
    expectYoung(ours)
    await pay(channel, 5_000_001n)
    expect(channel.state.allocation.balances).to.deep.equal([
      [CAPACITY - PUSH + 5_000_001n, PUSH - 5_000_001n],
    ])
    const temporary = await ldk.call('open', { peer: ours.client.id, value: VALUE / 2n, push: PUSH })
    const waiting = await ours.node.eventually(() =>
      ours.node.channels().find(({ live }, i) => i > 0 && live),
    )
    expect([waiting.phase, waiting.live?.minimumDepth]).to.deep.equal(['awaitingReady', 3])
    // It is with bitcoind then.
    await ldk.event('channelPending', (one) => one.temporary === temporary)
    await ldk.call('sync', null)
    await regtest.mine(3)
    expect(await ours.node.eventually(() => opened[1])).to.include({ phase: 'acting' })
    for (const one of opened) await settled(one, ours)
  })

  it('of ours, each trusting the other: used at once, disputed before a block has it; both get their shares', async function () {
    this.timeout(60_000)
    await using alice = await person({ zeroConf: {} })
    await using bob = await person({ zeroConf: { trusts: ({ peer }) => peer === alice.client.id } })
    alice.bus.connect(bob.client.id, bob.address)
    const channel = await propose(alice, bob.client.id, 6n)
    expectYoung(alice)
    await pay(channel, 200_000_000n)
    const [theirs] = bob.client.channels()
    if (theirs === undefined) throw new Error('it is his, too')
    await pay(theirs, 50_000_000n)
    const balanceOf = async () => (await bob.wallet.balance()).confirmed
    const before = await balanceOf()
    alice.bus.release(bob.client.id)
    alice.bus.disconnect(bob.client.id, 'parted')
    let isOver = false
    const end = theirs.settle({ timeout: 1 }).finally(() => {
      isOver = true
    })
    while (!isOver) {
      await regtest.mine(6)
      await Promise.race([seen(bob.node), end])
    }
    await end
    const gained = (await balanceOf()) - before
    expect(Number(gained)).to.be.within(430_000, 450_000)
    const error: unknown = await pay(theirs, 1n).catch((cause: unknown) => cause)
    expect(isError(error, 'PHASE_MISMATCH')).to.equal(true)
  })
})
