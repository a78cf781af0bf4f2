// An LDK node: LDK's parts put together, and what makes them run. LDK is a library that does nothing by itself: after every
// read from a socket, call, block and timer its events are taken and its messages sent.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Address, OutScript, TEST_NETWORK } from '@scure/btc-signer'
import * as ldk from 'lightningdevkit'
import { fromHex, type Hex, toHex } from '../../channel/bytes.js'
import { ChainView, type Rpc, record, type Tip } from './chain.js'
import { Coins } from './coins.js'
import { type LdkPolicy, userConfig } from './config.js'
import { type LdkEvent, told } from './events.js'
import { freeRecord, replaceCallbacks } from './raw.js'
import { openSockets, type Sockets } from './sockets.js'
import { openStorage } from './storage.js'

/** What a node starts with. */
export interface NodeOptions {
  readonly rpc: Rpc
  /** 32 bytes. */
  readonly seed: Hex
  /** Where it keeps its channels, so that it can be restarted. Without it all is in memory. */
  readonly directory?: string
  readonly policy?: LdkPolicy
  /** Tell what LDK logs. */
  readonly verbose?: boolean
}

const { LDKNetwork_Regtest: REGTEST } = ldk.Network
const REGTEST_ADDRESSES = Address({ ...TEST_NETWORK, bech32: 'bcrt' })
/** Target of what LDK accepts from its peer as lowest fee rate, and of its own: the least that is relayed. */
const MINIMUM_FEERATE = 253
/** Blocks of 10 minutes in which LDK's own clock would not move: it has only the time of blocks. */
const TICK_MS = 1_000

let isLoaded: Promise<boolean> | undefined

/** Loads LDK into this process, once. */
function load(): Promise<boolean> {
  const wasm = createRequire(import.meta.url)
    .resolve('lightningdevkit')
    .replace(/index\.mjs$/, 'liblightningjs.wasm')
  const { log } = console
  // It greets on the standard output, which is its user's.
  console.log = () => {}
  isLoaded ??= ldk.initializeWasmFromBinary(Uint8Array.from(readFileSync(wasm))).then(() => {
    console.log = log
    return true
  })
  return isLoaded
}

/** A running node. What happens to it is told; what it is to do is asked of its parts, and then {@link LdkNode.pump}. */
export class LdkNode {
  readonly id: Hex
  readonly #parts: Parts
  readonly #chain: ChainView
  readonly #tell: (event: LdkEvent) => void
  readonly #sockets: Sockets
  readonly #timer: NodeJS.Timeout
  readonly #waiting = new Set<() => void>()
  /** Work on the chain, one after the other. */
  #work: Promise<void> = Promise.resolve()
  #isPumpDue = false
  #pumps = 0
  /** Claim what arrives at once. */
  claims = true

  private constructor(made: {
    readonly parts: Parts
    readonly chain: ChainView
    readonly sockets: Sockets
    readonly tell: (event: LdkEvent) => void
  }) {
    this.#parts = made.parts
    this.#chain = made.chain
    this.#tell = made.tell
    this.#sockets = made.sockets
    this.id = toHex(made.parts.manager.get_our_node_id())
    this.#timer = setInterval(() => this.#pumpSoon(), TICK_MS)
  }

  /** Starts one that listens on loopback, as it was when it was stopped if its directory is not empty. */
  static async start(options: NodeOptions, tell: (event: LdkEvent) => void): Promise<LdkNode> {
    await load()
    let made: LdkNode | undefined
    const pumpSoon = () => {
      if (made !== undefined) made.#pumpSoon()
    }
    const broadcast = (transactions: readonly Uint8Array[]) => made?.publish(transactions)
    const storage = openStorage(options.directory)
    const { chain, ...parts } = await assemble(options, { storage, tell, broadcast })
    const sockets = await openSockets(parts.peers, pumpSoon)
    made = new LdkNode({ parts: { ...parts, storage }, chain, sockets, tell })
    await made.sync()
    return made
  }

  /** Where it listens, on loopback. */
  get port(): number {
    return this.#sockets.port
  }

  get manager(): ldk.ChannelManager {
    return this.#parts.manager
  }

  get peers(): ldk.PeerManager {
    return this.#parts.peers
  }

  get chainMonitor(): ldk.ChainMonitor {
    return this.#parts.chainMonitor
  }

  get coins(): Coins {
    return this.#parts.coins
  }

  get height(): number {
    return this.#chain.height
  }

  /** What LDK takes for the fee rate that confirms soon, in sat per 1000 weight. */
  set feerate(value: number) {
    this.#parts.fees.current = value
  }

  async connect(peer: Hex, port: number): Promise<void> {
    await this.#sockets.connect(port, fromHex(peer))
    this.pump()
  }

  /** Resolves when something is true. It is looked at after everything that happens to this node. */
  async until(isTrue: () => boolean): Promise<void> {
    if (isTrue()) return
    await new Promise<void>((resolve) => {
      const look = () => {
        if (!isTrue()) return
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
    })
  }

  /** Resolves when its events have been taken and its messages sent the next time. */
  pumped(): Promise<void> {
    const since = this.#pumps
    return this.until(() => this.#pumps > since)
  }

  /** Takes LDK's events, acts on them, writes it down, and sends what LDK has to say. */
  pump(): void {
    const { events, chainEvents, handler, inbox, manager, storage, peers } = this.#parts
    let taken: readonly ldk.Event[]
    do {
      events.process_pending_events(handler)
      chainEvents.process_pending_events(handler)
      taken = inbox.splice(0)
      for (const event of taken) this.#act(event)
      // What is done about an event may make another one.
    } while (taken.length > 0)
    if (storage.isKept && manager.get_and_clear_needs_persistence()) storage.writeManager(manager.write())
    peers.process_events()
    this.#pumps++
    for (const look of [...this.#waiting]) look()
  }

  /** Reads the chain up to its newest block, and publishes what waits. */
  async sync(): Promise<void> {
    await this.#inTurn(async () => {
      const { coins, chainMonitor, manager } = this.#parts
      const listeners = [chainMonitor.as_Listen(), manager.as_Listen()]
      await this.#chain.sync({
        connected: async (block, height) => {
          // First: what LDK wants to pay for at this height is made of them.
          if (coins.isUsed) coins.connected(await this.#chain.movementsAt(height), height)
          for (const listener of listeners) listener.block_connected(block, height)
        },
        disconnected: (header, height) => {
          coins.disconnected(height)
          for (const listener of listeners) listener.block_disconnected(header, height)
        },
      })
      this.pump()
    })
    await this.#inTurn(async () => {})
  }

  /** Publishes transactions in order. What the chain refuses is told. */
  publish(transactions: readonly Uint8Array[]): void {
    void this.#inTurn(async () => {
      for (const transaction of transactions) {
        try {
          await this.#chain.call('sendrawtransaction', [Buffer.from(transaction).toString('hex')])
        } catch (error) {
          this.#tell({ kind: 'refused', reason: error instanceof Error ? error.message : String(error) })
        }
      }
    })
  }

  /** Hangs up, writes itself down and stops. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#sockets.close()
    await this.#inTurn(async () => {})
    const { manager, storage } = this.#parts
    if (storage.isKept) storage.writeManager(manager.write())
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#work.then(work)
    this.#work = done.catch(() => {})
    return done
  }

  #pumpSoon(): void {
    if (this.#isPumpDue) return
    this.#isPumpDue = true
    setImmediate(() => {
      this.#isPumpDue = false
      this.pump()
    })
  }

  #act(event: ldk.Event): void {
    const { manager, policy, bumper } = this.#parts
    const said = told(event)
    if (said !== undefined) this.#tell(said)
    if (event instanceof ldk.Event_OpenChannelRequest) {
      const { temporary_channel_id: id, counterparty_node_id: peer } = event
      const accepted = policy.zeroConf
        ? manager.accept_inbound_channel_from_trusted_peer_0conf(id, peer, 0n)
        : manager.accept_inbound_channel(id, peer, 0n)
      done(accepted)
    } else if (event instanceof ldk.Event_FundingGenerationReady) {
      void this.#inTurn(() => this.#fund(event))
    } else if (event instanceof ldk.Event_PendingHTLCsForwardable) {
      manager.process_pending_htlc_forwards()
    } else if (event instanceof ldk.Event_PaymentClaimable) {
      const preimage = event.purpose.preimage()
      if (this.claims && preimage instanceof ldk.Option_ThirtyTwoBytesZ_Some)
        manager.claim_funds(preimage.some)
    } else if (event instanceof ldk.Event_SpendableOutputs) {
      void this.#inTurn(() => this.#sweep(event))
    } else if (event instanceof ldk.Event_BumpTransaction) {
      bumper.handle_event(event.bump_transaction)
    }
  }

  /** Makes a funding transaction from bitcoind's wallet; LDK publishes it. */
  async #fund(event: ldk.Event_FundingGenerationReady): Promise<void> {
    const { manager } = this.#parts
    const { temporary_channel_id: id, counterparty_node_id: peer } = event
    const address = REGTEST_ADDRESSES.encode(OutScript.decode(event.output_script))
    const amount = (Number(event.channel_value_satoshis) / 1e8).toFixed(8)
    const empty = await this.#chain.call('createrawtransaction', [[], [{ [address]: amount }]])
    const options = { changePosition: 1, fee_rate: 5, lockUnspents: true, change_type: 'bech32' }
    const { hex } = record(await this.#chain.call('fundrawtransaction', [empty, options]))
    const signed = record(await this.#chain.call('signrawtransactionwithwallet', [hex]))
    const transaction = Uint8Array.from(Buffer.from(String(signed['hex']), 'hex'))
    const funded = manager.funding_transaction_generated(id, peer, transaction)
    // The attempt may have ended meanwhile; what LDK refuses ends it too, with an event.
    if (funded instanceof ldk.Result_NoneAPIErrorZ_Err) {
      this.#tell({ kind: 'refused', reason: reasonOf(funded.err) })
    }
    this.pump()
  }

  /** Sends outputs of a closed channel to bitcoind's wallet, where they stay segwit: LDK funds a channel by nothing else. */
  async #sweep(event: ldk.Event_SpendableOutputs): Promise<void> {
    const { spender, fees } = this.#parts
    const script = await this.#newScript()
    const none = ldk.Option_u32Z.constructor_none()
    const feerate = Math.max(fees.current, 500)
    const swept = spender.spend_spendable_outputs(event.outputs, [], script, feerate, none)
    if (swept instanceof ldk.Result_TransactionNoneZ_OK) this.publish([swept.res])
    else this.#tell({ kind: 'refused', reason: 'outputs of a closed channel can not be spent' })
  }

  async #newScript(): Promise<Uint8Array> {
    const address = await this.#chain.call('getnewaddress', ['', 'bech32'])
    return OutScript.encode(REGTEST_ADDRESSES.decode(String(address)))
  }
}

/** @throws Error with LDK's reason */
export function done(result: ldk.Result_NoneAPIErrorZ): void {
  if (result instanceof ldk.Result_NoneAPIErrorZ_Err) throw new Error(reasonOf(result.err))
}

/** What LDK says of a call that it refuses. */
export function reasonOf(error: ldk.APIError): string {
  const name = error.constructor.name.replace(/^APIError_?/, '')
  return 'err' in error ? `${name}: ${String(error.err)}` : name
}

type Parts = Omit<Awaited<ReturnType<typeof assemble>>, 'chain'> & {
  readonly storage: ReturnType<typeof openStorage>
}

/** Puts LDK's parts together, new or as they were. */
async function assemble(
  options: NodeOptions,
  outer: {
    readonly storage: ReturnType<typeof openStorage>
    readonly tell: (event: LdkEvent) => void
    readonly broadcast: (transactions: readonly Uint8Array[]) => void
  },
) {
  const { policy = {}, seed: seedHex, rpc, verbose = false } = options
  const seed = fromHex(seedHex, 32)
  const { storage, tell, broadcast } = outer
  const seconds = Math.floor(Date.now() / 1000)
  const fees = { current: policy.feerate ?? 1_000 }
  const logger = loggerOf(verbose ? tell : undefined)
  const estimator = ldk.FeeEstimator.new_impl({
    get_est_sat_per_1000_weight: (target) =>
      // For these two it means the least that is accepted of the peer.
      ldk.ConfirmationTarget[target]?.includes('MinAllowed') ? MINIMUM_FEERATE : fees.current,
  })
  const broadcaster = ldk.BroadcasterInterface.new_impl({ broadcast_transactions: broadcast })
  const keys = ldk.KeysManager.constructor_new(seed, BigInt(seconds), process.pid)
  const [entropy, signer, signers] = [keys.as_EntropySource(), keys.as_NodeSigner(), keys.as_SignerProvider()]
  const noFilter = ldk.Option_FilterZ.constructor_none()
  const chainMonitor = ldk.ChainMonitor.constructor_new(
    noFilter,
    broadcaster,
    logger,
    estimator,
    storage.persist,
  )
  const graph = ldk.NetworkGraph.constructor_new(REGTEST, logger)
  const scorer = ldk.ProbabilisticScorer.constructor_new(
    ldk.ProbabilisticScoringDecayParameters.constructor_default(),
    graph,
    logger,
  )
  const router = ldk.DefaultRouter.constructor_new(
    graph,
    logger,
    entropy,
    ldk.MultiThreadedLockableScore.constructor_new(scorer.as_Score()).as_LockableScore(),
    ldk.ProbabilisticScoringFeeParameters.constructor_default(),
  )
  const messageRouter = ldk.DefaultMessageRouter.constructor_new(graph, entropy)
  const config = userConfig(policy)
  const watch = chainMonitor.as_Watch()
  const common = [router.as_Router(), messageRouter.as_MessageRouter(), logger] as const
  const { manager, chain } = await begin()

  async function begin() {
    const { kept } = storage
    if (kept === undefined) {
      const { view, tip } = await ChainView.begin(rpc)
      const best = ldk.BestBlock.constructor_new(tip.hash, tip.height)
      const parameters = ldk.ChainParameters.constructor_new(REGTEST, best)
      const made = ldk.ChannelManager.constructor_new(
        estimator,
        watch,
        broadcaster,
        ...common,
        entropy,
        signer,
        signers,
        config,
        parameters,
        seconds,
      )
      return { manager: made, chain: view }
    }
    const monitors = kept.monitors.map((bytes) => {
      const read = ldk.UtilMethods.constructor_C2Tuple_ThirtyTwoBytesChannelMonitorZ_read(
        bytes,
        entropy,
        signers,
      )
      if (read instanceof ldk.Result_C2Tuple_ThirtyTwoBytesChannelMonitorZDecodeErrorZ_OK)
        return read.res.get_b()
      throw new Error('a monitor that was written can not be read')
    })
    const read = ldk.UtilMethods.constructor_C2Tuple_ThirtyTwoBytesChannelManagerZ_read(
      kept.manager,
      entropy,
      signer,
      signers,
      estimator,
      watch,
      broadcaster,
      ...common,
      config,
      monitors,
    )
    if (!(read instanceof ldk.Result_C2Tuple_ThirtyTwoBytesChannelManagerZDecodeErrorZ_OK)) {
      throw new Error('the node that was written can not be read')
    }
    const back = read.res.get_b()
    const tip = tipOf(back.current_best_block())
    const { view } = await ChainView.begin(rpc, tip)
    for (const monitor of monitors) {
      // Monitors are not written at every block.
      for (let height = tipOf(monitor.current_best_block()).height + 1; height <= tip.height; height++) {
        const block = await view.blockAt(height)
        const parts = (await view.transactionsAt(height)).map((bytes, at) =>
          ldk.TwoTuple_usizeTransactionZ.constructor_new(at, bytes),
        )
        monitor.block_connected(block.subarray(0, 80), parts, height, broadcaster, estimator, logger)
      }
      watch.watch_channel(monitor.get_funding_txo().get_a(), monitor)
    }
    return { manager: back, chain: view }
  }

  const ignore = ldk.IgnoringMessageHandler.constructor_new()
  const gossip = ldk.P2PGossipSync.constructor_new(graph, ldk.Option_UtxoLookupZ.constructor_none(), logger)
  const messenger = ldk.OnionMessenger.constructor_new(
    entropy,
    signer,
    logger,
    manager.as_NodeIdLookUp(),
    messageRouter.as_MessageRouter(),
    manager.as_OffersMessageHandler(),
    manager.as_AsyncPaymentsMessageHandler(),
    manager.as_DNSResolverMessageHandler(),
    ignore.as_CustomOnionMessageHandler(),
  )
  const peers = ldk.PeerManager.constructor_new(
    manager.as_ChannelMessageHandler(),
    gossip.as_RoutingMessageHandler(),
    messenger.as_OnionMessageHandler(),
    ignore.as_CustomMessageHandler(),
    seconds,
    Uint8Array.from(randomBytes(32)),
    logger,
    signer,
  )
  const coins = new Coins(keys.get_node_secret_key())
  const wallet = ldk.Wallet.constructor_new(coins.source, logger)
  const bumper = ldk.BumpTransactionEventHandler.constructor_new(
    broadcaster,
    wallet.as_CoinSelectionSource(),
    signers,
    logger,
  )
  const inbox: ldk.Event[] = []
  const handler = ldk.EventHandler.new_impl({
    handle_event(event) {
      inbox.push(event)
      return ldk.Result_NoneReplayEventZ.constructor_ok()
    },
  })
  return {
    policy,
    fees,
    manager,
    chain,
    chainMonitor,
    peers,
    coins,
    bumper,
    inbox,
    handler,
    events: manager.as_EventsProvider(),
    chainEvents: chainMonitor.as_EventsProvider(),
    spender: keys.as_OutputSpender(),
    /** Held only so that they live as long as the node. */
    held: [
      graph,
      scorer,
      gossip,
      messenger,
      ignore,
      wallet,
      estimator,
      broadcaster,
      logger,
      messageRouter,
      router,
    ],
  }
}

function tipOf(best: ldk.BestBlock): Tip {
  return { height: best.get_height(), hash: best.get_block_hash() }
}

function loggerOf(tell: ((event: LdkEvent) => void) | undefined): ldk.Logger {
  const logger = ldk.Logger.new_impl({
    log(record) {
      tell?.({ kind: 'log', text: `${ldk.Level[record.get_level()]?.slice(9)} ${record.get_args()}` })
    },
  })
  if (tell === undefined) replaceCallbacks(logger, { log: (one = 0n) => freeRecord(one) })
  return logger
}
