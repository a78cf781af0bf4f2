// An LDK node: what makes LDK's parts run. LDK is a library that does nothing by itself: after every read from a socket, call,
// block and timer its events are taken and its messages sent.
import { Address, OutScript, TEST_NETWORK } from '@scure/btc-signer'
import * as ldk from 'lightningdevkit'
import { fromHex, type Hex, toHex } from '../../channel/bytes.js'
import { type ChainView, record } from './chain.js'
import type { Coins } from './coins.js'
import { type LdkEvent, told } from './events.js'
import { assemble, load, type NodeOptions, type Parts } from './parts.js'
import { openSockets, type Sockets } from './sockets.js'
import { openStorage } from './storage.js'

const REGTEST_ADDRESSES = Address({ ...TEST_NETWORK, bech32: 'bcrt' })
/** Blocks of 10 minutes in which LDK's own clock would not move: it has only the time of blocks. */
const TICK_MS = 1_000

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
