// Blocks of our own making, on regtest's rules: what no real node would hand out, and chains that are there at once.
import {
  decodeHeader,
  displayHash,
  faultOfHeader,
  type Header,
} from '../../../../backend/bitcoin/chain/header.js'
import type {
  BroadcastResult,
  ChainInfo,
  ChainSource,
  FeeTable,
  RawBlock,
} from '../../../../backend/bitcoin/chain/index.js'
import { NETWORKS } from '../../../../backend/bitcoin/chain/network.js'
import {
  encodeTransaction,
  encodeWithoutWitness,
  sha256d,
  type Transaction,
  type TransactionOutput,
} from '../../../../backend/bitcoin/script/index.js'
import { blockHeight, feeratePerKw, sat } from '../../../../backend/bitcoin/units.js'
import { concat, fromHex, type Hex } from '../../../../channel/bytes.js'

/** What a block is made of; everything has a default. */
export interface Recipe {
  readonly previous: Hex
  readonly height: number
  /** Beside the coinbase. */
  readonly transactions?: readonly Transaction[]
  /** Of the coinbase, beside its commitment. */
  readonly outputs?: readonly TransactionOutput[]
  readonly time?: number
  readonly bits?: number
  /** Makes the block another one. */
  readonly salt?: number
  /** False: with as little work as an honest one has not. */
  readonly worked?: boolean
  /** Instead of the right one. */
  readonly merkleRoot?: Uint8Array
  /** False: the coinbase does not commit to witnesses. */
  readonly commits?: boolean
}

/** The bytes of a block. */
export function makeBlock(recipe: Recipe): Uint8Array {
  const { previous, height, transactions = [], time = 1_700_000_000 + 600 * height, worked = true } = recipe
  const { bits = NETWORKS.regtest.easiestBits } = recipe
  const coinbase = coinbaseOf(recipe)
  const all = [coinbase, ...transactions]
  const root = recipe.merkleRoot ?? merkleRoot(all.map((tx) => sha256d(encodeWithoutWitness(tx))))
  const header = new Uint8Array(80)
  const view = new DataView(header.buffer)
  view.setInt32(0, 0x2000_0000, true)
  header.set(fromHex(previous), 4)
  header.set(root, 36)
  view.setUint32(68, time, true)
  view.setUint32(72, bits, true)
  for (let nonce = 0; ; nonce++) {
    view.setUint32(76, nonce, true)
    if ((faultOfHeader(decodeHeader(header), 'regtest') === undefined) === worked) break
  }
  return concat(header, compactSize(all.length), ...all.map(encodeTransaction))
}

/** The root of a Merkle tree as blocks have it. */
export function merkleRoot(leaves: readonly Uint8Array[]): Uint8Array {
  let level = leaves
  while (level.length > 1) {
    const pairs = Array.from({ length: Math.ceil(level.length / 2) }, (_, i) => i)
    level = pairs.map((i) => {
      const left = level[2 * i] ?? new Uint8Array()
      return sha256d(concat(left, level[2 * i + 1] ?? left))
    })
  }
  return level[0] ?? new Uint8Array()
}

function coinbaseOf({
  height,
  salt = 0,
  transactions = [],
  outputs = [],
  commits = true,
}: Recipe): Transaction {
  const root = merkleRoot([new Uint8Array(32), ...transactions.map((tx) => sha256d(encodeTransaction(tx)))])
  const commitment = concat(
    new Uint8Array([0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed]),
    sha256d(concat(root, new Uint8Array(32))),
  )
  const scriptSig = new Uint8Array(9)
  scriptSig[0] = 8
  new DataView(scriptSig.buffer).setUint32(1, height, true)
  new DataView(scriptSig.buffer).setUint32(5, salt, true)
  return {
    version: 2,
    inputs: [
      {
        outpoint: { txid: new Uint8Array(32), index: 0xffff_ffff },
        sequence: 0xffff_ffff,
        scriptSig,
        witness: commits ? [new Uint8Array(32)] : [],
      },
    ],
    outputs: [
      ...(outputs.length > 0 ? outputs : [{ amount: sat(0n), script: new Uint8Array([0x51]) }]),
      ...(commits ? [{ amount: sat(0n), script: commitment }] : []),
    ],
    locktime: 0,
  }
}

function compactSize(count: number): Uint8Array {
  return count < 0xfd ? new Uint8Array([count]) : new Uint8Array([0xfd, count & 0xff, count >> 8])
}

/** A source over blocks of our own making, which goes wherever it is told to. */
export class MadeChain implements ChainSource {
  readonly name = 'made'
  /** By height. */
  readonly blocks: Uint8Array[] = [makeBlock({ previous: `0x${'00'.repeat(32)}`, height: 0, commits: false })]
  #salt = 0
  /** What the source says instead, if anything. */
  lie: Partial<Pick<ChainSource, 'chainInfo' | 'rawBlock'>> = {}

  get height(): number {
    return this.blocks.length - 1
  }

  header(height = this.height): Header {
    return decodeHeader(this.blocks[height] ?? new Uint8Array(80))
  }

  /** Adds a block. */
  mine(transactions: readonly Transaction[] = [], outputs: readonly TransactionOutput[] = []): void {
    const { height } = this
    const previous = this.header().hash
    const recipe = { previous, height: height + 1, salt: ++this.#salt, transactions, outputs }
    this.blocks.push(makeBlock(recipe))
  }

  /** Forgets the newest blocks. */
  drop(count: number): void {
    this.blocks.length = Math.max(1, this.blocks.length - count)
  }

  async chainInfo(): Promise<ChainInfo> {
    if (this.lie.chainInfo !== undefined) return this.lie.chainInfo()
    const height = blockHeight(this.height)
    const bestHash = this.header().hash
    return { network: 'regtest', headers: height, blocks: height, bestHash, syncing: false }
  }

  async rawBlock(height: number): Promise<RawBlock | undefined> {
    if (this.lie.rawBlock !== undefined) return this.lie.rawBlock(blockHeight(height))
    const bytes = this.blocks[height]
    return bytes && { height: blockHeight(height), bytes }
  }

  async unspentOutput(): Promise<undefined> {
    return undefined
  }

  async feeTable(): Promise<FeeTable> {
    return { floor: feeratePerKw(253), estimates: [] }
  }

  async broadcast(): Promise<BroadcastResult> {
    return { kind: 'accepted' }
  }

  async close(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}

  /** The hashes, as people write them. */
  hashes(): readonly string[] {
    return this.blocks.map((_, height) => displayHash(this.header(height).hash))
  }
}
