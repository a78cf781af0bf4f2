// An LDK node's view of the chain: every block of bitcoind's, in order, and back again where the chain has changed.
import { bitcoindCall } from '../bitcoind.js'
import type { Movement } from './coins.js'
import { displayed, hashOf } from './events.js'

/** Who is told of blocks. */
export interface BlockListener {
  connected(block: Uint8Array, height: number): void | Promise<void>
  /** @param header of the block that is gone, 80 bytes */
  disconnected(header: Uint8Array, height: number): void
}

/** A block by its place. */
export interface Tip {
  readonly height: number
  /** In the byte order of hashes. */
  readonly hash: Uint8Array
}

/** Where a node's calls go. */
export interface Rpc {
  readonly url: string
  /** `user:password` */
  readonly credentials: string
}

/** Blocks that are fetched at once. */
const AHEAD = 24

/** bitcoind, as an LDK node uses it. */
export class ChainView {
  readonly #rpc: Rpc
  /** The hash of each block that was told, by its height, as it is shown. */
  readonly #told = new Map<number, string>()
  #height: number

  private constructor(rpc: Rpc, tip: Tip) {
    this.#rpc = rpc
    this.#height = tip.height
    this.#told.set(tip.height, displayed(tip.hash))
  }

  /** Begins at the newest block, or where a node was before it was restarted. */
  static async begin(rpc: Rpc, at?: Tip): Promise<{ readonly view: ChainView; readonly tip: Tip }> {
    const tip = at ?? (await newest(rpc))
    return { view: new ChainView(rpc, tip), tip }
  }

  /** Height of the block that was told last. */
  get height(): number {
    return this.#height
  }

  call(method: string, params: readonly unknown[] = []): Promise<unknown> {
    return bitcoindCall({ ...this.#rpc, method, params })
  }

  /** Tells everything up to the newest block. */
  async sync(listener: BlockListener): Promise<void> {
    for (;;) {
      const count = Number(await this.call('getblockcount'))
      if (this.#height > count || (await this.#hashAt(this.#height)) !== this.#told.get(this.#height)) {
        await this.#goBack(listener)
      } else if (this.#height < count) {
        await this.#goOn(Math.min(AHEAD, count - this.#height), listener)
      } else {
        return
      }
    }
  }

  /** Tells so many blocks more, or fewer if the chain changes meanwhile. */
  async #goOn(count: number, listener: BlockListener): Promise<void> {
    const heights = Array.from({ length: count }, (_, i) => this.#height + 1 + i)
    const fetched = heights.map(async (height) => {
      const hash = await this.#hashAt(height)
      return { hash, block: await this.#bytes('getblock', [hash, 0]) }
    })
    for (const { hash, block } of await Promise.all(fetched)) {
      if (displayed(block.subarray(4, 36)) !== this.#told.get(this.#height)) return
      this.#height++
      this.#told.set(this.#height, hash)
      await listener.connected(block, this.#height)
    }
  }

  /** The block at a height, of bytes. */
  async blockAt(height: number): Promise<Uint8Array> {
    return this.#bytes('getblock', [await this.#hashAt(height), 0])
  }

  /** The transactions of the block at a height, of bytes each. */
  async transactionsAt(height: number): Promise<readonly Uint8Array[]> {
    return (await this.#blockAt(height)).map(({ hex }) => Uint8Array.from(Buffer.from(String(hex), 'hex')))
  }

  /** The same, as a wallet reads them. */
  async movementsAt(height: number): Promise<readonly Movement[]> {
    return (await this.#blockAt(height)).map(({ txid, vin, vout }) => ({
      txid: String(txid),
      spends: list(vin).map((one) => ({ txid: String(one['txid']), index: Number(one['vout']) })),
      pays: list(vout).map(({ value, scriptPubKey }) => {
        const { address } = record(scriptPubKey)
        return { address: typeof address === 'string' ? address : undefined, amount: satoshis(value) }
      }),
    }))
  }

  async #goBack(listener: BlockListener): Promise<void> {
    const header = await this.#bytes('getblockheader', [this.#told.get(this.#height), false])
    listener.disconnected(header, this.#height)
    this.#told.delete(this.#height)
    this.#height--
    // Where a node began there is no hash of what came before; the header has it.
    this.#told.set(this.#height, displayed(header.subarray(4, 36)))
  }

  async #blockAt(height: number): Promise<readonly Json[]> {
    return list(record(await this.call('getblock', [await this.#hashAt(height), 2]))['tx'])
  }

  async #hashAt(height: number): Promise<string> {
    return String(await this.call('getblockhash', [height]))
  }

  async #bytes(method: string, params: readonly unknown[]): Promise<Uint8Array> {
    return Uint8Array.from(Buffer.from(String(await this.call(method, params)), 'hex'))
  }
}

/** Bitcoins in JSON as satoshis. */
function satoshis(amount: unknown): bigint {
  return BigInt(Math.round(Number(amount) * 1e8))
}

type Json = Readonly<Record<string, unknown>>

/** An object of JSON. */
export function record(value: unknown): Json {
  if (typeof value !== 'object' || value === null) throw new Error(`an object expected, got ${String(value)}`)
  return { ...value }
}

function list(value: unknown): readonly Json[] {
  if (!Array.isArray(value)) throw new Error(`a list expected, got ${String(value)}`)
  return value.map(record)
}

async function newest(rpc: Rpc): Promise<Tip> {
  const { blocks, bestblockhash } = record(
    await bitcoindCall({ ...rpc, method: 'getblockchaininfo', params: [] }),
  )
  return { height: Number(blocks), hash: hashOf(String(bestblockhash)) }
}
