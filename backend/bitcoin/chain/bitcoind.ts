// The chain by a bitcoind of one's own (Bitcoin Core or Knots, 28 or newer; older ones take packages one by one).
//
// New blocks are found by asking for the tip, which costs the node some microseconds. Its ZMQ interface was rejected: the
// package for it needs a native module, and what it tells must be asked for again anyway, since it may lose messages.
import { demandNames } from '../../../channel/arguments.js'
import { PerkunasError } from '../../../channel/errors.js'
import { displayID, type Outpoint } from '../script/index.js'
import { type BlockHeight, feeratePerKw } from '../units.js'
import { MAX_BLOCK_BYTES } from './block.js'
import { type Outgoing, oneByOne, refusalOf, toOutgoing } from './broadcast.js'
import {
  bitcoins,
  feerateOf,
  flag,
  height,
  hexBytes,
  isObject,
  list,
  object,
  reversed,
  text,
  whole,
  wrong,
} from './json.js'
import { BitcoinRpc, RPC_NAMES, RpcError, type RpcOptions, unexpected } from './json-rpc.js'
import { isNetwork } from './network.js'
import type {
  BroadcastResult,
  ChainInfo,
  ChainSource,
  FeeEstimate,
  FeeTable,
  RawBlock,
  SourceOptions,
  UnspentOutput,
} from './source.js'

/** For which numbers of blocks fees are asked for: all that `TARGETS` has, and one between. */
const FEE_BLOCKS = [2, 6, 12, 36, 144, 1008] as const
/** Up to so many blocks estimates are to be on the safe side. */
const URGENT_BLOCKS = 6
/** What the node takes for a height. */
const MAX_HEIGHT = 0x7fff_ffff
/** No such height. */
const OUT_OF_RANGE = -8
/** It is too old to know the method. */
const NO_METHOD = -32601
/** "Misc" is what it says to whoever asks for a pruned block. */
const MISC = -1
/** Peers that are asked for a block that was pruned, one after the other, and for how long in all. */
const PRUNED_PEERS = 4
const PRUNED_PATIENCE = 10_000
const PRUNED_PAUSE = 100

/** A {@link ChainSource} over a node's JSON-RPC. */
export class BitcoindSource implements ChainSource {
  readonly name: string
  readonly #rpc: BitcoinRpc

  /** Connects at the first call. @throws PerkunasError INVALID_ARGUMENT if the address is not one of HTTP, there are no credentials, or an option is unknown */
  constructor(options: RpcOptions) {
    demandNames(options, RPC_NAMES)
    this.#rpc = new BitcoinRpc(options)
    this.name = this.#rpc.http.name
  }

  async chainInfo(options: SourceOptions = {}): Promise<ChainInfo> {
    const info = object(await this.#call('getblockchaininfo', [], options), 'getblockchaininfo')
    const chain = text(info['chain'], 'chain')
    const [headers, blocks] = [height(info['headers'], 'headers'), height(info['blocks'], 'blocks')]
    return {
      network: isNetwork(chain) ? chain : wrong('chain', 'a network', chain),
      headers,
      blocks,
      bestHash: reversed(info['bestblockhash'], 'bestblockhash'),
      syncing: flag(info['initialblockdownload'], 'initialblockdownload') || headers > blocks,
    }
  }

  async rawBlock(at: BlockHeight, options: SourceOptions = {}): Promise<RawBlock | undefined> {
    if (at > MAX_HEIGHT) return undefined
    const hash = await this.#call('getblockhash', [at], options, (error) => error.code === OUT_OF_RANGE)
    if (hash instanceof RpcError) return undefined
    const bytes = (await this.#block(hash, options)) ?? (await this.#prunedBlock(hash, options))
    if (bytes !== undefined) return { height: at, bytes }
    const message = `${this.name} has pruned block ${at}, and none of its peers gave it back`
    throw new PerkunasError('BLOCK_UNAVAILABLE', message, { height: at })
  }

  async unspentOutput(
    { txid, index }: Outpoint,
    options: SourceOptions = {},
  ): Promise<UnspentOutput | undefined> {
    const answer = await this.#call('gettxout', [displayID(txid), index, false], options)
    if (answer === null) return undefined
    const { value, scriptPubKey } = object(answer, 'gettxout')
    const amount = bitcoins(value, 'value')
    return { amount, script: hexBytes(object(scriptPubKey, 'scriptPubKey')['hex'], 'hex') }
  }

  async feeTable(options: SourceOptions = {}): Promise<FeeTable> {
    const calls = FEE_BLOCKS.map((blocks) => ({
      method: 'estimatesmartfee',
      params: [blocks, blocks <= URGENT_BLOCKS ? 'CONSERVATIVE' : 'ECONOMICAL'],
    }))
    const [info, ...answers] = await this.#rpc.batch([{ method: 'getmempoolinfo' }, ...calls], options)
    if (info instanceof RpcError) throw unexpected('getmempoolinfo', info)
    const { mempoolminfee, minrelaytxfee } = object(info, 'getmempoolinfo')
    const floor = Math.max(
      feerateOf(mempoolminfee, 'mempoolminfee'),
      feerateOf(minrelaytxfee, 'minrelaytxfee'),
    )
    return {
      floor: feeratePerKw(floor),
      estimates: FEE_BLOCKS.flatMap((blocks, i): FeeEstimate[] => {
        const answer = answers[i]
        // Without enough blocks seen it has no estimate, which is no reason to guess one.
        const feerate = isObject(answer) && !(answer instanceof RpcError) ? answer['feerate'] : undefined
        return feerate === undefined ? [] : [{ blocks, feerate: feerateOf(feerate, 'feerate') }]
      }),
    }
  }

  async broadcast(
    transactions: readonly Uint8Array[],
    options: SourceOptions = {},
  ): Promise<BroadcastResult> {
    const all = toOutgoing(transactions)
    if (all.length > 1) {
      const together = await this.#broadcastPackage(all, options)
      if (together !== undefined) return together
    }
    return oneByOne(all, (one) => this.#broadcastOne(one, options))
  }

  /** None of a node that has no `gettxspendingprevout`, older than 24. */
  async mempoolSpends(
    outpoints: readonly Outpoint[],
    options: SourceOptions = {},
  ): Promise<readonly Uint8Array[]> {
    if (outpoints.length === 0) return []
    const asked = outpoints.map(({ txid, index }) => ({ txid: displayID(txid), vout: index }))
    const isUnknown = ({ code }: RpcError) => code === NO_METHOD
    const found = await this.#call('gettxspendingprevout', [asked], options, isUnknown)
    if (found instanceof RpcError) return []
    const ids = list(found, 'gettxspendingprevout').flatMap((one) => {
      const id = object(one, 'gettxspendingprevout')['spendingtxid']
      return id === undefined ? [] : [text(id, 'spendingtxid')]
    })
    const calls = [...new Set(ids)].map((id) => ({ method: 'getrawtransaction', params: [id] }))
    const answers = calls.length === 0 ? [] : await this.#rpc.batch(calls, options)
    // In a block by now, or evicted: then it is no matter of the mempool any more.
    return answers.flatMap((one) => (one instanceof RpcError ? [] : [hexBytes(one, 'getrawtransaction')]))
  }

  async close(): Promise<void> {
    this.#rpc.http.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #broadcastOne(transaction: Outgoing, options: SourceOptions): Promise<BroadcastResult> {
    const [known, sent] = await this.#rpc.batch(
      [
        { method: 'getmempoolentry', params: [transaction.id] },
        // No limit of the node's to the fee: what is paid for a penalty is decided elsewhere.
        { method: 'sendrawtransaction', params: [transaction.hex, 0] },
      ],
      options,
    )
    if (!(sent instanceof RpcError)) return { kind: known instanceof RpcError ? 'accepted' : 'known' }
    const refusal = refusalOf(sent.message, sent.code)
    if (refusal === undefined) throw unexpected('sendrawtransaction', sent)
    return refusal
  }

  /** Undefined if the node does not take them together. */
  async #broadcastPackage(
    all: readonly Outgoing[],
    options: SourceOptions,
  ): Promise<BroadcastResult | undefined> {
    const answers = await this.#rpc.batch(
      [
        ...all.map(({ id }) => ({ method: 'getmempoolentry', params: [id] })),
        { method: 'submitpackage', params: [all.map(({ hex }) => hex), 0] },
      ],
      options,
    )
    const answer = answers.at(-1)
    if (answer instanceof RpcError || object(answer, 'submitpackage')['package_msg'] !== 'success')
      return undefined
    const wereKnown = answers.slice(0, -1).every((one) => !(one instanceof RpcError))
    return { kind: wereKnown ? 'known' : 'accepted' }
  }

  /** Undefined if the node has only its header. */
  async #block(hash: unknown, options: SourceOptions): Promise<Uint8Array | undefined> {
    const limit = 2 * MAX_BLOCK_BYTES + 1000
    try {
      return hexBytes(await this.#rpc.call('getblock', [hash, 0], { ...options, limit }), 'getblock')
    } catch (error) {
      if (error instanceof RpcError && error.code === MISC) return undefined
      throw unexpected('getblock', error)
    }
  }

  async #prunedBlock(hash: unknown, options: SourceOptions): Promise<Uint8Array | undefined> {
    const peers = list(await this.#call('getpeerinfo', [], options), 'getpeerinfo')
    const started = performance.now()
    for (const peer of peers.slice(0, PRUNED_PEERS)) {
      const id = whole(object(peer, 'peer')['id'], 'id')
      // Refused by a peer that has gone or does not have it: the next one may.
      const asked = await this.#call('getblockfrompeer', [hash, id], options, () => true)
      if (asked instanceof RpcError) continue
      const until = performance.now() + PRUNED_PATIENCE / PRUNED_PEERS
      while (performance.now() < Math.min(until, started + PRUNED_PATIENCE)) {
        const bytes = await this.#block(hash, options)
        if (bytes !== undefined) return bytes
        await this.#rpc.http.pause(PRUNED_PAUSE, options.signal)
      }
    }
    return undefined
  }

  /** @param isAnswer which errors of the node are answers; all others mean that it does not do what it should */
  async #call(
    method: string,
    params: readonly unknown[],
    options: SourceOptions,
    isAnswer: (error: RpcError) => boolean = () => false,
  ): Promise<unknown> {
    try {
      return await this.#rpc.call(method, params, options)
    } catch (error) {
      if (error instanceof RpcError && isAnswer(error)) return error
      throw unexpected(method, error)
    }
  }
}
