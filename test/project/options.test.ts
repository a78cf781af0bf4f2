// Whatever takes options takes those of its type, and refuses a name that is none of them: it would be passed over.
import { expect } from 'chai'
import {
  BitcoindSource,
  ChainTracker,
  EsploraSource,
  type TrackerOptions,
} from '../../backend/bitcoin/chain/index.js'
import { ADMISSION_LIMITS, CHANNEL_POLICY } from '../../backend/bitcoin/channel/index.js'
import { FEATURES, featuresFor } from '../../backend/bitcoin/features.js'
import { createInvoice, decodeInvoice } from '../../backend/bitcoin/invoice/index.js'
import { RESOLVER_POLICY } from '../../backend/bitcoin/monitor/index.js'
import {
  LightningNode,
  type LightningNodeOptions,
  type SourceChainOptions,
  sourceChain,
} from '../../backend/bitcoin/node/index.js'
import { PAYMENTS_POLICY } from '../../backend/bitcoin/payments/index.js'
import { BitcoinBackend, type BitcoinBackendOptions } from '../../backend/bitcoin/protocol/index.js'
import { BitcoindWallet, HdWallet } from '../../backend/bitcoin/wallet/index.js'
import {
  Chain,
  connect,
  deployContract,
  deployContracts,
  EthereumBackend,
  EthereumFunder,
  EthereumRules,
  TransactionSender,
} from '../../backend/ethereum/index.js'
import { SimBackend, SimLedger } from '../../backend/sim/index.js'
import { isError } from '../../channel/index.js'
import { accept, Client } from '../../client/index.js'
import { RemoteWatcher, Tower } from '../../client/tower/index.js'
import {
  Connection,
  createIdentity,
  memoryNetwork,
  memoryStreams,
  memoryTransport,
  messageCodec,
  messageHeader,
  PeerBus,
  schemaCodec,
  text,
} from '../../peer/index.js'
import { tcpDialer, tcpListener } from '../../peer/tcp.js'
import { defineRecord, MemoryStore } from '../../persistence/index.js'
import { IndexedDBStore } from '../../persistence/indexeddb.js'
import { LmdbStore } from '../../persistence/lmdb.js'
import { PostgresStore } from '../../persistence/postgres.js'
import { HDWallet } from '../../wallet/index.js'
import { KeystoreWallet } from '../../wallet/keystore.js'

/** All options of a type: the compiler lets none be forgotten and none be made up. Names are checked first, so any value will do. */
type All<T extends object> = Readonly<Record<T extends unknown ? keyof T : never, unknown>>
type Parameter<F extends (...given: never) => unknown, N extends number> = NonNullable<Parameters<F>[N]>
type Given<C extends new (...given: never) => unknown, N extends number> = NonNullable<
  ConstructorParameters<C>[N]
>

/** A call, the options that it takes, and how it calls them. */
interface Taker {
  readonly all: object
  readonly call: (options: object) => unknown
  readonly place?: string
}

const X = 'any value'
const store = new MemoryStore()
const identity = createIdentity()
const signal = { signal: X, deadline: X }

function make(type: new (...given: never) => unknown, ...given: readonly unknown[]): unknown {
  return Reflect.construct(type, given)
}

function ask(method: (...given: never) => unknown, ...given: readonly unknown[]): unknown {
  return Reflect.apply(method, undefined, given)
}

/** A static method of a class. */
function open(type: object, method: string, ...given: readonly unknown[]): unknown {
  return Reflect.apply(Reflect.get(type, method), type, given)
}

const http = { timeout: X, patience: X }
const rpc = { ...http, url: X, credentials: X }
const common = { bus: X, store: X, timeouts: {}, clock: X, entropy: X }
const means = { bus: {}, store, backend: {}, wallet: {} }
const connecting = {
  provider: X,
  signer: X,
  requestTimeout: X,
  transactions: {},
  pollingInterval: X,
  patience: X,
  finalityDepth: X,
}
const node = {
  bus: X,
  store: X,
  chain: X,
  wallet: X,
  seed: X,
  policy: {},
  admission: {},
  resolver: {},
  payments: {},
  htlcs: X,
  steps: X,
  onBackup: X,
  clock: X,
  now: X,
  schedule: X,
  entropy: X,
} satisfies All<LightningNodeOptions>
const backend = {
  chain: { chainHash: '0x', follow: noop, broadcast: noop, feeTable: noop },
  wallet: { balance: noop, changeScript: noop, fund: noop, reserveInputs: noop, sign: noop },
  seed: new Uint8Array(32),
}
const withPart = (part: string) => (options: object) => make(BitcoinBackend, { ...backend, [part]: options })

const TAKERS: Readonly<Record<string, Taker>> = {
  'new LmdbStore': {
    all: { blockUpTo: X, readOnly: X } satisfies All<Given<typeof LmdbStore, 1>>,
    call: (options) => make(LmdbStore, '', options),
  },
  'PostgresStore.open': {
    all: { schema: X, readOnly: X, patience: X, share: {} } satisfies All<
      Parameter<typeof PostgresStore.open, 1>
    >,
    call: (options) => open(PostgresStore, 'open', X, options),
  },
  'PostgresStore.open: share': {
    all: { ttl: X },
    call: (share) => open(PostgresStore, 'open', X, { share }),
    place: 'options.share',
  },
  'IndexedDBStore.open': {
    all: { indexedDB: {}, IDBKeyRange: {} } satisfies All<Parameter<typeof IndexedDBStore.open, 1>>,
    call: (options) => open(IndexedDBStore, 'open', X, options),
  },
  'Store.scan': {
    all: { after: 'a', limit: 5 } satisfies All<Parameter<MemoryStore['scan'], 1>>,
    call: (options) => store.scan('', options).next(),
  },
  'KeystoreWallet.open': {
    all: { directory: '', password: X, scrypt: {} } satisfies All<Parameter<typeof KeystoreWallet.open, 0>>,
    call: (options) => open(KeystoreWallet, 'open', options),
  },
  'KeystoreWallet.open: scrypt': {
    all: { N: X, r: X, p: X },
    call: (scrypt) => open(KeystoreWallet, 'open', { directory: '', scrypt }),
    place: 'options.scrypt',
  },
  'HDWallet.open': {
    all: { mnemonic: X, wordlist: [], passphrase: X, path: X, accounts: X } satisfies All<
      Parameter<typeof HDWallet.open, 0>
    >,
    call: (options) => open(HDWallet, 'open', options),
  },
  'new PeerBus': {
    all: {
      identity,
      dialers: X,
      addresses: {},
      limits: {},
      init: {},
      understands: X,
      clock: X,
      random: X,
      onFailure: X,
    } satisfies All<Given<typeof PeerBus, 0>>,
    call: (options) => make(PeerBus, options),
  },
  'new PeerBus: limits': {
    all: {
      maxIncoming: 1,
      maxHandshakes: 1,
      backoffMin: 1,
      backoffMax: 1,
      stableAfter: 1,
      handshakeTimeout: 1,
      pingInterval: 1,
      pingTimeout: 1,
      messagesPerSecond: 1,
      bytesPerSecond: 1,
      maxPayload: 1,
      maxQueueBytes: 1,
      linger: 1,
    } satisfies All<NonNullable<Given<typeof PeerBus, 0>['limits']>>,
    call: (limits) => make(PeerBus, { identity, limits }),
    place: 'options.limits',
  },
  'new PeerBus: init': {
    all: { features: [], networks: [] } satisfies All<NonNullable<Given<typeof PeerBus, 0>['init']>>,
    call: (init) => make(PeerBus, { identity, init }),
    place: 'options.init',
  },
  'new Connection': {
    all: {
      identity: X,
      remote: X,
      introduce: X,
      understands: X,
      limits: {},
      clock: X,
      entropy: X,
    } satisfies All<Given<typeof Connection, 1>>,
    call: (options) => make(Connection, X, options, {}),
  },
  'new Connection: limits': {
    all: {
      handshakeTimeout: 1,
      pingInterval: 1,
      pingTimeout: 1,
      messagesPerSecond: 1,
      bytesPerSecond: 1,
      maxPayload: 1,
      maxQueueBytes: 1,
      linger: 1,
    } satisfies All<NonNullable<Given<typeof Connection, 1>['limits']>>,
    call: (limits) => make(Connection, X, { clock: X, limits }, {}),
    place: 'options.limits',
  },
  tcpDialer: {
    all: { timeout: 5 } satisfies All<Parameter<typeof tcpDialer, 0>>,
    call: (options) => ask(tcpDialer, options),
  },
  tcpListener: {
    all: { host: X, port: 0 } satisfies All<Parameter<typeof tcpListener, 0>>,
    call: (options) => ask(tcpListener, options),
  },
  memoryNetwork: {
    all: { schedule: X } satisfies All<Parameter<typeof memoryNetwork, 0>>,
    call: (options) => ask(memoryNetwork, options),
  },
  memoryStreams: {
    all: { schedule: X, highWaterMark: X } satisfies All<Parameter<typeof memoryStreams, 0>>,
    call: (options) => ask(memoryStreams, options),
  },
  memoryTransport: {
    all: { schedule: X, highWaterMark: X } satisfies All<Parameter<typeof memoryTransport, 0>>,
    call: (options) => ask(memoryTransport, options),
  },
  schemaCodec: {
    all: { maxBytes: 5 } satisfies All<Parameter<typeof schemaCodec, 1>>,
    call: (options) => ask(schemaCodec, text(5), options),
  },
  messageCodec: {
    all: { maxBytes: 5 } satisfies All<Parameter<typeof messageCodec, 1>>,
    call: (options) => ask(messageCodec, [], options),
  },
  messageHeader: {
    all: { maxBytes: 5 } satisfies All<Parameter<typeof messageHeader, 1>>,
    call: (options) => ask(messageHeader, new Uint8Array(6), options),
  },
  'new Client': {
    all: {
      ...common,
      ...means,
      leases: X,
      address: X,
      apps: X,
      watcher: X,
      warmChannels: X,
    } satisfies All<Extract<Given<typeof Client, 0>, { readonly apps?: unknown }>>,
    call: (options) => make(Client, { ...means, ...options }),
  },
  'new Client over a ledger with a protocol of its own': {
    all: { ...common, ...means, backend: { protocol: {} } },
    call: (options) => make(Client, { ...means, backend: { protocol: {} }, ...options }),
  },
  'new Client: timeouts': {
    all: { proposal: 1, update: 1, settlement: 1 },
    call: (timeouts) => make(Client, { ...means, timeouts }),
    place: 'options.timeouts',
  },
  accept: {
    all: { participant: X } satisfies All<Extract<Parameter<typeof accept, 0>, { readonly kind?: never }>>,
    call: (options) => ask(accept, options),
  },
  'Tower.open': {
    all: { bus: X, store: X, backend: X, clients: X, limits: {}, clock: X, onEvent: X } satisfies All<
      Parameter<typeof Tower.open, 0>
    >,
    call: (options) => open(Tower, 'open', options),
  },
  'Tower.open: limits': {
    all: { channels: 1, bytes: 1, signatures: 1 },
    call: (limits) => open(Tower, 'open', { limits }),
    place: 'options.limits',
  },
  'new RemoteWatcher': {
    all: {
      bus: X,
      tower: X,
      address: X,
      adjudicator: X,
      wait: X,
      patience: X,
      clock: X,
      onError: X,
    } satisfies All<Given<typeof RemoteWatcher, 0>>,
    call: (options) => make(RemoteWatcher, options),
  },
  'new SimBackend': {
    all: { ledger: {}, account: X, wallet: X, receiver: X, finalityDepth: 1, fundInOrder: X } satisfies All<
      Given<typeof SimBackend, 0>
    >,
    call: (options) => make(SimBackend, options),
  },
  'new SimLedger': {
    all: { apps: X, autoMine: X, blockTime: X, genesisTime: X, state: undefined } satisfies All<
      Given<typeof SimLedger, 0>
    >,
    call: (options) => make(SimLedger, options),
  },
  'EthereumBackend.connect': {
    all: {
      ...connecting,
      adjudicator: X,
      holders: X,
      wallet: X,
      receiver: X,
      challengeDuration: {},
      firstBlock: X,
      knownContracts: X,
      funding: {},
    } satisfies All<Parameter<typeof EthereumBackend.connect, 0>>,
    call: (options) => open(EthereumBackend, 'connect', options),
  },
  'connect to Ethereum': {
    all: connecting satisfies All<Parameter<typeof connect, 0>>,
    call: (options) =>
      ask(connect, { provider: 5, ...options, ...('provider' in options && { provider: 5 }) }),
  },
  'connect to Ethereum: transactions': {
    all: {
      bumpAfterBlocks: X,
      bumpAfter: X,
      maxFeePerGas: X,
      gasMargin: X,
      timeout: X,
      interfaces: X,
    } satisfies All<Given<typeof TransactionSender, 2>>,
    call: (transactions) => ask(connect, { provider: 'ftp://x', signer: { address: X }, transactions }),
    place: 'options.transactions',
  },
  'connect to Ethereum: the call': {
    all: signal satisfies All<Parameter<typeof connect, 1>>,
    call: (options) => ask(connect, {}, options),
    place: 'callOptions',
  },
  deployContract: { all: signal, call: (options) => ask(deployContract, X, {}, [], options) },
  deployContracts: {
    all: { ...signal, tokens: X } satisfies All<Parameter<typeof deployContracts, 1>>,
    call: (options) => ask(deployContracts, X, options),
  },
  'new EthereumFunder': {
    all: { last: X } satisfies All<Given<typeof EthereumFunder, 2>>,
    call: (options) => make(EthereumFunder, X, X, options),
  },
  'new EthereumRules': {
    all: { chainID: X, holders: X, challengeDuration: {} } satisfies All<Given<typeof EthereumRules, 0>>,
    call: (options) => make(EthereumRules, { challengeDuration: {}, ...options }),
  },
  'new EthereumRules: challengeDuration': {
    all: { min: 5n, max: 6n },
    call: (challengeDuration) => make(EthereumRules, { challengeDuration, holders: new Map() }),
    place: 'options.challengeDuration',
  },
  'new TransactionSender': {
    all: {
      bumpAfterBlocks: X,
      bumpAfter: X,
      maxFeePerGas: X,
      gasMargin: X,
      timeout: X,
      interfaces: X,
    } satisfies All<Given<typeof TransactionSender, 2>>,
    call: (options) => make(TransactionSender, X, X, options),
  },
  'new Chain': {
    all: { pollingInterval: X, patience: X, finalityDepth: X } satisfies All<Given<typeof Chain, 2>>,
    call: (options) => make(Chain, {}, 1n, options),
  },
  'new BitcoinBackend': {
    all: {
      chain: X,
      wallet: X,
      seed: X,
      policy: {},
      admission: {},
      steps: X,
      schedule: X,
      now: X,
      onBackup: X,
      zeroConf: {},
      shutdown: X,
      recover: X,
      payments: {},
    } satisfies All<BitcoinBackendOptions>,
    call: (options) => make(BitcoinBackend, options),
  },
  'new BitcoinBackend: zeroConf': {
    all: { trusts: noop, demands: noop } satisfies All<NonNullable<BitcoinBackendOptions['zeroConf']>>,
    call: withPart('zeroConf'),
    place: 'options.zeroConf',
  },
  'a channel policy': { all: CHANNEL_POLICY, call: withPart('policy'), place: 'policy' },
  'a channel policy: toSelfDelay': {
    all: CHANNEL_POLICY.toSelfDelay,
    call: (toSelfDelay) => withPart('policy')({ toSelfDelay }),
    place: 'policy.toSelfDelay',
  },
  'a channel policy: minimumDepth': {
    all: CHANNEL_POLICY.minimumDepth,
    call: (minimumDepth) => withPart('policy')({ minimumDepth }),
    place: 'policy.minimumDepth',
  },
  'a channel policy: maxInFlightMillionths': {
    all: CHANNEL_POLICY.maxInFlightMillionths,
    call: (maxInFlightMillionths) => withPart('policy')({ maxInFlightMillionths }),
    place: 'policy.maxInFlightMillionths',
  },
  'a channel policy: maxDustExposure': {
    all: { perFeerate: 1n, fixed: 1n },
    call: (maxDustExposure) => withPart('policy')({ maxDustExposure }),
    place: 'policy.maxDustExposure',
  },
  'admission limits': { all: ADMISSION_LIMITS, call: withPart('admission'), place: 'admission' },
  'a payments policy': { all: PAYMENTS_POLICY, call: withPart('payments'), place: 'payments' },
  'a payments policy: maxOpen': {
    all: PAYMENTS_POLICY.maxOpen,
    call: (maxOpen) => withPart('payments')({ maxOpen }),
    place: 'payments.maxOpen',
  },
  'LightningNode.start': { all: node, call: (options) => open(LightningNode, 'start', options) },
  'LightningNode.start: resolver': {
    all: RESOLVER_POLICY,
    call: (resolver) => open(LightningNode, 'start', { ...backend, bus: {}, store, resolver }),
    place: 'resolver',
  },
  'LightningNode.recover': {
    all: node,
    call: (options) => open(LightningNode, 'recover', options, new Uint8Array()),
  },
  'LightningNode.retrieve': {
    all: node,
    call: (options) => open(LightningNode, 'retrieve', options, { peer: X }),
  },
  'LightningNode.retrieve: peer': {
    all: { peer: X, address: X } satisfies All<Parameter<typeof LightningNode.retrieve, 1>>,
    call: (peer) => open(LightningNode, 'retrieve', {}, peer),
    place: 'peer',
  },
  'LightningNode.retrieve: the call': {
    all: { signal: X } satisfies All<Parameter<typeof LightningNode.retrieve, 2>>,
    call: (options) => open(LightningNode, 'retrieve', {}, { peer: X }, options),
    place: 'callOptions',
  },
  sourceChain: {
    all: {
      source: X,
      network: X,
      pollingInterval: X,
      patience: X,
      onStatus: X,
    } satisfies All<SourceChainOptions>,
    call: (options) => ask(sourceChain, options),
  },
  'new ChainTracker': {
    all: {
      source: X,
      network: X,
      from: X,
      pollingInterval: X,
      onStatus: X,
      now: X,
    } satisfies All<TrackerOptions>,
    call: (options) => make(ChainTracker, options),
  },
  'new BitcoindSource': {
    all: rpc satisfies All<Given<typeof BitcoindSource, 0>>,
    call: (options) => make(BitcoindSource, options),
  },
  'new BitcoindSource: credentials': {
    all: { cookieFile: X, user: X, password: X },
    call: (credentials) => make(BitcoindSource, { url: 'http://x', credentials }),
    place: 'credentials',
  },
  'new EsploraSource': {
    all: { ...http, url: X } satisfies All<Given<typeof EsploraSource, 0>>,
    call: (options) => make(EsploraSource, options),
  },
  'HdWallet.open': {
    all: { seed: X, network: X, store: X, prefix: X, birthday: X } satisfies All<
      Parameter<typeof HdWallet.open, 0>
    >,
    call: (options) => open(HdWallet, 'open', options),
  },
  'BitcoindWallet.open': {
    all: { ...rpc, wallet: X, store: X, prefix: X } satisfies All<Parameter<typeof BitcoindWallet.open, 0>>,
    call: (options) => open(BitcoindWallet, 'open', options),
  },
  featuresFor: {
    all: FEATURES,
    call: (policy) => ask(featuresFor, 'init', policy),
    place: 'features',
  },
  defineRecord: {
    all: { name: '', version: X, encode: X, decode: X, migrations: X } satisfies All<
      Parameter<typeof defineRecord, 0>
    >,
    call: (spec) => ask(defineRecord, spec),
    place: 'spec',
  },
  createInvoice: {
    all: {
      currency: X,
      amount: X,
      timestamp: X,
      paymentHash: X,
      paymentSecret: X,
      description: X,
      metadata: X,
      named: X,
      expiry: X,
      minFinalCltvExpiryDelta: X,
      fallbacks: X,
      routes: X,
      features: X,
      unknown: X,
    } satisfies All<Parameter<typeof createInvoice, 0>>,
    call: (given) => ask(createInvoice, given, noop),
    place: 'invoice',
  },
  decodeInvoice: {
    all: { wrongLengths: X } satisfies All<Parameter<typeof decodeInvoice, 1>>,
    call: (options) => ask(decodeInvoice, X, options),
  },
}

describe('options', () => {
  for (const [name, { all, call, place = 'options' }] of Object.entries(TAKERS)) {
    it(`${name} takes ${Object.keys(all).join(', ')}`, async () => {
      expect(Object.keys(all)).not.to.have.length(0)
      const outcome = await outcomeOf(call, all)
      expect(outcome instanceof Error ? outcome.message : '').not.to.contain('unknown option')
    })

    it(`${name} refuses a name that it does not know`, async () => {
      const wrong = `${Object.keys(all)[0]}x`
      const outcome = await outcomeOf(call, { [wrong]: X })
      expect(isError(outcome, 'INVALID_ARGUMENT') && outcome.facts.argument).to.equal(`${place}.${wrong}`)
    })
  }

  it('of a ledger with a protocol of its own, a client takes nothing that only others have', async () => {
    const options = { ...means, backend: { protocol: {} }, leases: {} }
    const outcome = await outcomeOf((given) => make(Client, given), options)
    expect(isError(outcome, 'INVALID_ARGUMENT') && outcome.facts.argument).to.equal('options.leases')
  })

  it('accept takes no text and no null -> INVALID_ARGUMENT', async () => {
    for (const given of [null, 'yes', 5]) {
      const outcome = await outcomeOf(() => ask(accept, given), {})
      expect(isError(outcome, 'INVALID_ARGUMENT') && outcome.facts.argument).to.equal('options')
    }
  })

  it('a path in place of a store -> INVALID_ARGUMENT that names it', async () => {
    const at = { url: 'http://127.0.0.1:1', credentials: { cookieFile: X }, wallet: X }
    const seed = new Uint8Array(32)
    for (const call of [
      (given: object) => open(HdWallet, 'open', { ...given, seed, network: 'regtest', birthday: 'tip' }),
      (given: object) => open(BitcoindWallet, 'open', { ...given, ...at }),
      (given: object) => make(Client, { ...means, ...given }),
      (given: object) => open(Tower, 'open', { ...means, clients: [], ...given, wallet: undefined }),
      (given: object) => open(LightningNode, 'start', { ...backend, bus: {}, ...given }),
    ]) {
      for (const given of ['/path', Promise.resolve(store), {}, null]) {
        const outcome = await outcomeOf(call, { store: given })
        expect(isError(outcome, 'INVALID_ARGUMENT') && outcome.facts.argument).to.equal('options.store')
      }
    }
  })
})

async function outcomeOf(call: (options: object) => unknown, options: object): Promise<unknown> {
  try {
    return await call(options)
  } catch (error) {
    return error
  }
}

function noop(): void {}
