// The chain by an Esplora server's HTTP API (Blockstream's, and mempool.space's, which has it too), of which nothing is
// trusted that can be checked: blocks are by whoever follows the chain, transactions and hashes are here.
import { demandNames, type NamesOf } from '../../../channel/arguments.js'
import { equalBytes, toHex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import {
  decodeTransaction,
  displayID,
  MAX_TRANSACTION_BYTES,
  type Outpoint,
  transactionID,
} from '../script/index.js'
import { type BlockHeight, feeratePerKw } from '../units.js'
import { MAX_BLOCK_BYTES } from './block.js'
import { type Outgoing, oneByOne, refusalOf, toOutgoing } from './broadcast.js'
import { MAXIMUM_FEERATE, MINIMUM_FEERATE } from './fees.js'
import { decodeHeader, displayHash, HEADER_BYTES } from './header.js'
import { HTTP_NAMES, type HttpOptions, HttpServer } from './http.js'
import { flag, height, object, positive, reversed, text, wrong } from './json.js'
import { isNetwork, NETWORKS, type Network } from './network.js'
import type {
  BlockHash,
  BroadcastResult,
  ChainInfo,
  ChainSource,
  FeeTable,
  RawBlock,
  SourceOptions,
  UnspentOutput,
} from './source.js'

/** Where a server is. */
export interface EsploraOptions extends HttpOptions {
  /** Such as `https://blockstream.info/api`. */
  readonly url: string
}

const OPTION_NAMES: NamesOf<EsploraOptions> = { url: true, ...HTTP_NAMES }

const SHORT = 100_000

/** A {@link ChainSource} over Esplora's HTTP API. Polled less often than a node of one's own: some servers count requests. */
export class EsploraSource implements ChainSource {
  readonly name: string
  readonly #http: HttpServer
  #network: Network | undefined

  /** Connects at the first call. @throws PerkunasError INVALID_ARGUMENT if the address is not one of HTTP, or an option is unknown */
  constructor(options: EsploraOptions) {
    demandNames(options, OPTION_NAMES)
    this.#http = new HttpServer(options.url, options)
    this.name = this.#http.name
  }

  async chainInfo(options: SourceOptions = {}): Promise<ChainInfo> {
    this.#network ??= networkOf((await this.#hashAt(0, options)) ?? wrong('block-height/0', 'a hash', null))
    const bestHash = hashOf(await this.#text('/blocks/tip/hash', options), 'blocks/tip/hash')
    const block = object(await this.#json(`/block/${displayHash(bestHash)}`, options), 'block')
    if (reversed(block['id'], 'id') !== bestHash) wrong('block', 'the block that was asked for', block['id'])
    const blocks = height(block['height'], 'height')
    return { network: this.#network, headers: blocks, blocks, bestHash, syncing: false }
  }

  async rawBlock(at: BlockHeight, options: SourceOptions = {}): Promise<RawBlock | undefined> {
    const hash = await this.#hashAt(at, options)
    if (hash === undefined) return undefined
    const path = `/block/${displayHash(hash)}/raw`
    const bytes = await this.#get(path, options, MAX_BLOCK_BYTES)
    if (bytes === undefined) return undefined
    if (bytes.length < HEADER_BYTES || decodeHeader(bytes).hash !== hash) {
      wrong(path, 'the block that was asked for', toHex(bytes.subarray(0, 20)))
    }
    return { height: at, bytes }
  }

  async unspentOutput(
    { txid, index }: Outpoint,
    options: SourceOptions = {},
  ): Promise<UnspentOutput | undefined> {
    const path = `/tx/${displayID(txid)}`
    const [raw, status, spend] = await Promise.all([
      this.#get(`${path}/raw`, options, MAX_TRANSACTION_BYTES),
      this.#json(`${path}/status`, options),
      this.#json(`${path}/outspend/${index}`, options),
    ])
    if (raw === undefined || status === undefined || spend === undefined) return undefined
    const transaction = decodeTransaction(raw)
    if (!equalBytes(transactionID(transaction), txid)) {
      wrong(path, 'the transaction that was asked for', displayID(transactionID(transaction)))
    }
    if (
      !flag(object(status, 'status')['confirmed'], 'confirmed') ||
      isSpentInBlock(object(spend, 'outspend'))
    ) {
      return undefined
    }
    return transaction.outputs[index]
  }

  async feeTable(options: SourceOptions = {}): Promise<FeeTable> {
    const answer = object(await this.#json('/fee-estimates', options), 'fee-estimates')
    const estimates = Object.entries(answer)
      .filter(([blocks]) => /^[1-9][0-9]{0,4}$/.test(blocks))
      .map(([blocks, perVbyte]) => {
        const perKw = Math.min(MAXIMUM_FEERATE, Math.ceil(positive(perVbyte, 'fee-estimates') * 250))
        return { blocks: Number(blocks), feerate: feeratePerKw(perKw) }
      })
      .sort((a, b) => a.blocks - b.blocks)
    return { floor: MINIMUM_FEERATE, estimates }
  }

  async broadcast(
    transactions: readonly Uint8Array[],
    options: SourceOptions = {},
  ): Promise<BroadcastResult> {
    const all = toOutgoing(transactions)
    if (all.length > 1 && (await this.#broadcastPackage(all, options))) return { kind: 'accepted' }
    return oneByOne(all, (one) => this.#broadcastOne(one, options))
  }

  /** A request or two for each output. */
  async mempoolSpends(
    outpoints: readonly Outpoint[],
    options: SourceOptions = {},
  ): Promise<readonly Uint8Array[]> {
    const found = new Map<string, Uint8Array>()
    for (const { txid, index } of outpoints) {
      const path = `/tx/${displayID(txid)}/outspend/${index}`
      const answer = await this.#json(path, options)
      const spend = answer === undefined ? {} : object(answer, 'outspend')
      if (spend['spent'] !== true || isSpentInBlock(spend)) continue
      const id = text(spend['txid'], 'txid')
      if (!/^[0-9a-f]{64}$/.test(id)) wrong(path, 'an ID', id)
      const raw = found.has(id) ? undefined : await this.#get(`/tx/${id}/raw`, options, MAX_TRANSACTION_BYTES)
      if (raw === undefined) continue
      if (displayID(transactionID(decodeTransaction(raw))) !== id) wrong(path, 'that transaction', id)
      found.set(id, raw)
    }
    return [...found.values()]
  }

  async close(): Promise<void> {
    this.#http.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #broadcastOne({ id, hex }: Outgoing, options: SourceOptions): Promise<BroadcastResult> {
    const status = await this.#json(`/tx/${id}/status`, options)
    if (status !== undefined && flag(object(status, 'status')['confirmed'], 'confirmed'))
      return { kind: 'confirmed' }
    return this.#http.patiently(async () => {
      const request = { path: '/tx', method: 'POST', body: hex, limit: SHORT } as const
      const answer = await this.#http.ask(request, options.signal)
      const said = new TextDecoder().decode(answer.body).trim()
      if (answer.status === 200) {
        return said === id
          ? { kind: status === undefined ? 'accepted' : 'known' }
          : wrong('/tx', 'its ID', said)
      }
      const { code, message } = errorOf(said)
      const refusal = answer.status === 400 ? refusalOf(message, code) : undefined
      if (refusal === undefined) throw this.#http.unreachable(`status ${answer.status} ${said.slice(0, 80)}`)
      return refusal
    }, options.signal)
  }

  /** Whether it took them together: not every server can. */
  async #broadcastPackage(all: readonly Outgoing[], options: SourceOptions): Promise<boolean> {
    const request = {
      path: '/txs/package',
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(all.map(({ hex }) => hex)),
      limit: SHORT,
    } as const
    const { status, body } = await this.#http.patiently(
      () => this.#http.ask(request, options.signal),
      options.signal,
    )
    return status === 200 && object(parse(body, request.path), request.path)['package_msg'] === 'success'
  }

  async #hashAt(at: number, options: SourceOptions): Promise<BlockHash | undefined> {
    const path = `/block-height/${at}`
    const answer = await this.#get(path, options, SHORT)
    return answer && hashOf(new TextDecoder().decode(answer), path)
  }

  async #text(path: string, options: SourceOptions): Promise<string> {
    const answer = await this.#get(path, options, SHORT)
    return new TextDecoder().decode(answer ?? wrong(path, 'an answer', null))
  }

  async #json(path: string, options: SourceOptions): Promise<unknown> {
    const answer = await this.#get(path, options, SHORT)
    return answer && parse(answer, path)
  }

  /** Undefined if there is no such thing. */
  async #get(path: string, { signal }: SourceOptions, limit: number): Promise<Uint8Array | undefined> {
    return this.#http.patiently(async () => {
      const { status, body } = await this.#http.ask({ path, method: 'GET', limit }, signal)
      if (status === 200) return body
      if (status === 404) return undefined
      const said = new TextDecoder().decode(body.subarray(0, 80))
      // Too many requests, or something behind it that is down.
      if (status === 429 || status >= 500) throw this.#http.unreachable(`status ${status} ${said}`)
      throw new PerkunasError(
        'INVALID_MESSAGE',
        `${this.name} answered ${path} with status ${status}: ${said}`,
        { path, reason: `status ${status}` },
      )
    }, signal)
  }
}

function isSpentInBlock(spend: Readonly<Record<string, unknown>>): boolean {
  if (!flag(spend['spent'], 'spent')) return false
  return flag(object(spend['status'], 'status')['confirmed'], 'confirmed')
}

function networkOf(genesis: BlockHash): Network {
  const name = Object.keys(NETWORKS).find((one) => isNetwork(one) && NETWORKS[one].genesis === genesis)
  return name !== undefined && isNetwork(name)
    ? name
    : wrong('block-height/0', 'the first block of a network of Bitcoin', displayHash(genesis))
}

function hashOf(text: string, path: string): BlockHash {
  return reversed(text.trim(), path)
}

function parse(body: Uint8Array, path: string): unknown {
  const said = new TextDecoder().decode(body)
  try {
    return JSON.parse(said)
  } catch {
    return wrong(path, 'JSON', said.slice(0, 80))
  }
}

/** What the node said, which the server passes on: `sendrawtransaction RPC error: {"code":-26,"message":"dust"}`. */
function errorOf(said: string): { readonly code: number; readonly message: string } {
  const [, code, message] = /"code":\s*(-?\d+).*?"message":\s*"([^"]*)"/s.exec(said) ?? []
  return { code: Number(code ?? 0), message: message ?? said.slice(0, 200) }
}
