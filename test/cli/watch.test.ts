// `perkunas watch` as users run it: a process of its own, on a real node, for clients that go away.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { readDispute } from '../../backend/ethereum/contracts.js'
import { type EthereumBackend, ether } from '../../backend/ethereum/index.js'
import {
  type ChannelID,
  initialState,
  NO_APP,
  NO_AUX,
  type Params,
  type SignedState,
  type State,
  toHex,
  transfer,
} from '../../channel/index.js'
import { accept, type Channel, Client } from '../../client/index.js'
import { RemoteWatcher } from '../../client/tower/index.js'
import { createIdentity, type Identity, memoryNetwork, PeerBus, type PeerID } from '../../peer/index.js'
import { tcpDialer } from '../../peer/tcp.js'
import { MemoryStore } from '../../persistence/index.js'
import { MemoryWallet } from '../../wallet/index.js'
import { type Chain, Party, signedBy, startChain } from '../backend/ethereum/world.js'
import { paramsOf, type Signers, signedState } from '../client/tower/family.js'

const MAIN = fileURLToPath(new URL('../../cli/main.js', import.meta.url))

type Line = Readonly<Record<string, unknown>>

/** A tower's process. */
class Watch {
  readonly lines: Line[] = []
  readonly #child: ChildProcess
  readonly #wake = new Set<() => void>()

  constructor(args: readonly string[]) {
    this.#child = spawn(process.execPath, ['--enable-source-maps', MAIN, 'watch', ...args], {
      stdio: ['ignore', 'pipe', 2],
    })
    if (this.#child.stdout === null) throw new Error('a pipe expected')
    createInterface(this.#child.stdout).on('line', (line) => {
      this.lines.push(JSON.parse(line))
      for (const wake of [...this.#wake]) wake()
    })
  }

  /** The first line that fits. */
  async line(fits: (line: Line) => boolean): Promise<Line> {
    for (;;) {
      const found = this.lines.find(fits)
      if (found !== undefined) return found
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#wake.delete(wake)
          resolve()
        }
        this.#wake.add(wake)
      })
    }
  }

  of(kind: string, channel?: ChannelID): Promise<Line> {
    return this.line(
      (line) => line['kind'] === kind && (channel === undefined || line['channel'] === channel),
    )
  }

  /** @returns how it ended */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<unknown> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return this.#child.exitCode
    const closed = once(this.#child, 'close')
    this.#child.kill(signal)
    const [code] = await closed
    return code
  }
}

describe('perkunas watch: a watchtower in a process of its own', function () {
  this.timeout(60_000)
  let chain: Chain
  let alice: Party
  let bob: Party
  let ours: EthereumBackend
  let theirs: EthereumBackend
  let directory: string
  let identity: Identity
  let args: readonly string[]
  let tower: Watch

  before(async () => {
    chain = await startChain()
  })
  after(() => chain[Symbol.asyncDispose]())

  beforeEach(async () => {
    ;[alice, bob] = await Promise.all([Party.create(chain), Party.create(chain)])
    ;[ours, theirs] = await Promise.all([alice.connect(), bob.connect()])
    directory = await mkdtemp(join(tmpdir(), 'perkunas-watch-'))
    identity = createIdentity()
    const secret = crypto.getRandomValues(new Uint8Array(32))
    const [payer = ''] = await new MemoryWallet([secret]).addresses()
    await chain.anvil.rpc('anvil_setBalance', [payer, `0x${ether('10').toString(16)}`])
    await writeFile(join(directory, 'key'), toHex(secret))
    const { adjudicator, ethHolder, firstBlock } = chain.contracts
    const options = {
      store: join(directory, 'store'),
      identity: join(directory, 'identity'),
      key: join(directory, 'key'),
      rpc: chain.anvil.url,
      adjudicator,
      holder: ethHolder,
      client: identity.id,
      listen: '127.0.0.1:0',
      'first-block': String(firstBlock),
      polling: '20',
      'metrics-port': '0',
    }
    args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])
    tower = new Watch(args)
  })

  afterEach(async () => {
    await tower.end('SIGKILL')
    await Promise.all([alice.close(), bob.close()])
    await rm(directory, { recursive: true, force: true })
  })

  const versionOn = async (id: ChannelID) => (await readDispute(theirs.deployment, id, {})).version

  /** States 0 to 3 of a channel, signed by both; nobody's client has it. */
  function states(seed: number): readonly SignedState[] {
    const params: Params = {
      challengeDuration: 3_600n,
      nonce: BigInt(alice.address) + BigInt(seed),
      participants: [{ 1: alice.address }, { 1: bob.address }],
      app: NO_APP,
      ledgerChannel: true,
      virtualChannel: false,
      aux: NO_AUX,
    }
    const allocation = {
      assets: [ours.asset(chain.contracts.ethHolder)],
      balances: [[100n, 100n]],
      locked: [],
    }
    const first = initialState(ours.rules.channelID(params), params, allocation, '0x')
    return [0n, 1n, 2n, 3n].map((version) => signed(params, { ...first, version }))
  }

  const signed = (params: Params, state: State): SignedState => ({
    params,
    state,
    signatures: signedBy([alice, bob], ours, params, state),
  })

  /** Publishes states as alice's client would. */
  async function publisher() {
    const ready = await tower.of('ready')
    const bus = new PeerBus({ identity, dialers: [tcpDialer()] })
    const id = String(ready['id']) as PeerID
    const remote = new RemoteWatcher({
      bus,
      tower: id,
      address: String(ready['address']),
      adjudicator: ours.adjudicator,
    })
    const publish = (state: SignedState, subChannels: readonly SignedState[] = []) => {
      remote.watch(state.state.channelID, undefined, () => undefined, {
        newest: () => state,
        subChannels: () => subChannels,
        atRisk: () => undefined,
      })
    }
    const done = async (count: number) => {
      while (remote.unacknowledged > 0) await new Promise((resolve) => setTimeout(resolve, 5))
      const { text } = await metrics(ready)
      expect(text).match(new RegExp(`^perkunas_tower_channels ${count}$`, 'm'))
      await bus.close()
    }
    return { publish, done }
  }

  async function metrics(ready: Line) {
    const response = await fetch(`http://127.0.0.1:${ready['metricsPort']}/metrics`)
    return { type: response.headers.get('content-type'), text: await response.text() }
  }

  it('a client goes away, the other one registers an old state -> refuted; SIGTERM ends it in order', async () => {
    const ready = await tower.of('ready')
    const network = memoryNetwork()
    const towerBus = new PeerBus({ identity, dialers: [tcpDialer()] })
    const remote = new RemoteWatcher({
      bus: towerBus,
      tower: String(ready['id']) as PeerID,
      address: String(ready['address']),
      adjudicator: ours.adjudicator,
    })
    const peers: readonly PeerID[] = [identity.id, createIdentity().id]
    const [client, other] = [alice, bob].map(
      (party, i) =>
        new Client({
          bus: network.bus(peers[i] ?? '0x'),
          store: new MemoryStore(),
          wallet: party.wallet,
          backend: i === 0 ? ours : theirs,
          ...(i === 0 && { watcher: remote }),
        }),
    )
    if (client === undefined || other === undefined) throw new Error('two clients')
    other.handleProposals(() => accept())
    other.handleUpdates(() => accept())
    const channel: Channel = await client.proposeChannel({
      peers: peers.slice(1),
      allocation: { assets: [ours.asset(chain.contracts.ethHolder)], balances: [[100n, 100n]] },
      challengeDuration: 3_600n,
    })
    const old = channel.signedState
    for (let i = 0; i < 5; i++) {
      await channel.update((draft) => transfer(draft, { from: 0, to: 1, amount: 1n }))
    }
    while (remote.unacknowledged > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    await client.close()
    await towerBus.close()
    // It would refute its own cheating.
    for (const theirChannel of other.channels()) theirChannel.close()
    if (old === undefined) throw new Error('signatures expected')
    await theirs.adjudicator.register({ signed: old, subChannels: [] })
    // Each is told by its own look at the chain, in either order.
    await tower.of('safe', channel.id)
    await tower.of('refuted', channel.id)
    expect(await versionOn(channel.id)).equals(5n)
    const { type, text } = await metrics(ready)
    expect(type).equals('text/plain; version=0.0.4')
    expect(text).match(/^perkunas_tower_refutations_total 1$/m)
    expect(await tower.end('SIGTERM')).equals(0)
  })

  it('killed before the registration -> refutes when it is back', async () => {
    const [old, , , newest] = states(1)
    if (old === undefined || newest === undefined) throw new Error('states')
    const { publish, done } = await publisher()
    publish(newest)
    await done(1)
    await tower.end('SIGKILL')
    await theirs.adjudicator.register({ signed: old, subChannels: [] })
    tower = new Watch(args)
    await tower.of('safe')
    expect(await versionOn(old.state.channelID)).equals(3n)
  })

  it('killed when it has seen the registration -> refutes when it is back', async () => {
    const [old, , , newest] = states(2)
    if (old === undefined || newest === undefined) throw new Error('states')
    const { publish, done } = await publisher()
    publish(newest)
    await done(1)
    await chain.anvil.rpc('evm_setAutomine', [false])
    const registering = theirs.adjudicator.register({ signed: old, subChannels: [] })
    while (!(await hasPending())) await new Promise((resolve) => setTimeout(resolve, 5))
    await chain.anvil.rpc('evm_mine')
    await tower.of('atRisk')
    await tower.end('SIGKILL')
    await registering
    tower = new Watch(args)
    await tower.of('ready')
    await chain.anvil.rpc('evm_setAutomine', [true])
    await chain.anvil.rpc('evm_mine')
    await tower.of('safe')
    expect(await versionOn(old.state.channelID)).equals(3n)
  })

  it('a reorg takes the refutation away -> refutes again', async () => {
    const [old, , , newest] = states(3)
    if (old === undefined || newest === undefined) throw new Error('states')
    // So that a block which has just been made is not final.
    await tower.end('SIGKILL')
    tower = new Watch([...args, '--finality', '3'])
    const { publish, done } = await publisher()
    publish(newest)
    await done(1)
    await theirs.adjudicator.register({ signed: old, subChannels: [] })
    await tower.of('safe')
    tower.lines.length = 0
    // What is sent again stays in the pool until this has looked.
    await chain.anvil.rpc('evm_setAutomine', [false])
    await chain.anvil.rpc('anvil_reorg', [1, []])
    await tower.of('atRisk')
    expect(await versionOn(old.state.channelID)).equals(0n)
    await chain.anvil.rpc('evm_setAutomine', [true])
    while (!tower.lines.some(({ kind }) => kind === 'safe')) {
      await chain.anvil.rpc('evm_mine')
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    expect(await versionOn(old.state.channelID)).equals(3n)
  })

  it('a channel whose refutation always fails -> the others are refuted', async () => {
    const [first] = states(4)
    const [old, , , newest] = states(5)
    if (old === undefined || newest === undefined || first === undefined) throw new Error('states')
    const { params, state } = first
    const by: Signers = {
      rules: ours.rules,
      participants: params.participants,
      asset: ours.asset(chain.contracts.ethHolder),
      challengeDuration: params.challengeDuration,
      sign: (message) => [alice, bob].map((party) => party.sign(message)),
    }
    // A sub-channel in a sub-channel, and so on: deeper than the contract goes.
    const below: SignedState[] = []
    for (let depth = 9; depth > 0; depth--) {
      below.unshift(signedState(by, paramsOf(by, BigInt(depth)), 0n, { children: below.slice(0, 1) }))
    }
    const { publish, done } = await publisher()
    publish(signedState(by, params, 3n, { children: below.slice(0, 1) }), below)
    publish(newest)
    await done(2)
    await theirs.adjudicator.register({ signed: first, subChannels: [] })
    await tower.of('refutationFailed', state.channelID)
    await theirs.adjudicator.register({ signed: old, subChannels: [] })
    await tower.of('safe', old.state.channelID)
    expect(await versionOn(old.state.channelID)).equals(3n)
    expect(await versionOn(state.channelID)).equals(0n)
  })

  async function hasPending(): Promise<boolean> {
    const block = await chain.anvil.rpc('eth_getBlockByNumber', ['pending', false])
    return JSON.stringify(block).includes('"transactions":["0x')
  }
})
