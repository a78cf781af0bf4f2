// LDK's parts, put together to a node, new or as it was.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import * as ldk from 'lightningdevkit'
import { fromHex, type Hex } from '../../channel/bytes.js'
import { ChainView, type Rpc, type Tip } from './chain.js'
import { Coins } from './coins.js'
import { type LdkPolicy, userConfig } from './config.js'
import type { LdkEvent } from './events.js'
import { freeRecord, replaceCallbacks } from './raw.js'
import type { openStorage } from './storage.js'

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
/** Target of what LDK accepts from its peer as lowest fee rate, and of its own: the least that is relayed. */
const MINIMUM_FEERATE = 253

let isLoaded: Promise<boolean> | undefined

/** Loads LDK into this process, once. */
export function load(): Promise<boolean> {
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

/** What a node is made of. */
export type Parts = Omit<Awaited<ReturnType<typeof assemble>>, 'chain'> & {
  readonly storage: ReturnType<typeof openStorage>
}

/** Puts LDK's parts together, new or as they were. */
export async function assemble(
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
