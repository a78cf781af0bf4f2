// Blocks off the wire. What a source says a block contains is held against the block's header, so that all that is left to
// trust is the header, which costs work to forge.
import { equalBytes } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import { decodeTransaction, sha256d, type Transaction } from '../script/index.js'
import type { BlockHeight } from '../units.js'
import type { Block, BlockTransaction } from './events.js'
import { decodeHeader, HEADER_BYTES, type Header } from './header.js'
import { NETWORKS, type Network } from './network.js'
import { invalid, Reader, type Scanned, scanTransaction } from './scan.js'

/** What consensus allows (BIP 141). */
export const MAX_BLOCK_BYTES = 4_000_000
/** Version, one input, one output, lock time. */
const LEAST_TRANSACTION = 60

/** A block with the header that it was checked against. */
export interface DecodedBlock extends Block {
  readonly header: Header
  /** Its 80 bytes. */
  readonly rawHeader: Uint8Array
}

/**
 * Reads a block and checks that its transactions and their witnesses are those of its header (BIP 141, "Commitment
 * structure"). That work was done for the header is for `faultOfHeader` to say.
 *
 * @throws PerkunasError TOO_LARGE beyond {@link MAX_BLOCK_BYTES}; INVALID_MESSAGE if it is no block or not the header's
 */
export function decodeBlock(
  bytes: Uint8Array,
  { height, network }: { readonly height: BlockHeight; readonly network: Network },
): DecodedBlock {
  if (bytes.length > MAX_BLOCK_BYTES) {
    throw new PerkunasError('TOO_LARGE', `a block of ${bytes.length} bytes`, {
      limit: MAX_BLOCK_BYTES,
      actual: bytes.length,
    })
  }
  const reader = new Reader(bytes)
  const rawHeader = reader.take(HEADER_BYTES)
  const header = decodeHeader(rawHeader)
  const count = reader.count()
  if (count === 0 || count * LEAST_TRANSACTION > bytes.length)
    throw invalid('so many transactions do not fit')
  const scanned: Scanned[] = []
  for (let i = 0; i < count; i++) scanned.push(scanTransaction(reader))
  if (reader.at !== bytes.length) throw invalid('bytes follow its last transaction')
  checkTransactions(header, scanned)
  checkWitnesses(scanned, height >= NETWORKS[network].segwitFrom)
  return {
    header,
    rawHeader,
    height,
    hash: header.hash,
    previous: header.previous,
    time: header.time,
    transactions: scanned.map((one, position) => new LazyTransaction(one, position)),
  }
}

class LazyTransaction implements BlockTransaction {
  readonly txid: Uint8Array
  readonly bytes: Uint8Array
  readonly spends: readonly Uint8Array[]
  readonly pays: readonly Uint8Array[]
  readonly isCoinbase: boolean
  #value: Transaction | undefined

  constructor(
    { txid, bytes, spends, pays }: Scanned,
    readonly position: number,
  ) {
    this.txid = txid
    this.bytes = bytes
    this.isCoinbase = position === 0
    // What it has instead of an outpoint is the same for all of them.
    this.spends = this.isCoinbase ? [] : spends
    this.pays = pays
  }

  decode(): Transaction {
    this.#value ??= decodeTransaction(this.bytes)
    return this.#value
  }
}

function checkTransactions(header: Header, transactions: readonly Scanned[]): void {
  const [coinbase] = transactions
  // Also what tells transactions from inner nodes of the tree, which have 64 bytes, as a transaction may have: taking a
  // level more or less for transactions would make the first one something that does not look like this.
  if (coinbase === undefined || !isCoinbase(coinbase)) throw invalid('its first transaction makes no money')
  if (!equalBytes(merkleRoot(transactions.map(({ txid }) => txid)), header.merkleRoot)) {
    throw invalid('its transactions are not those of its header')
  }
}

/** @param committed whether a commitment counts at that height */
function checkWitnesses(transactions: readonly Scanned[], committed: boolean): void {
  const [coinbase] = transactions
  const commitment = committed && coinbase !== undefined ? witnessCommitmentOf(coinbase) : undefined
  if (commitment === undefined) {
    if (transactions.some(({ hasWitness }) => hasWitness)) throw invalid('witnesses that nothing commits to')
    return
  }
  const [reserved, ...others] = coinbase?.firstWitness ?? []
  if (others.length > 0 || reserved?.length !== 32) throw invalid('its coinbase has no witness')
  const [, ...rest] = transactions.map(({ witnessID }) => witnessID)
  const root = merkleRoot([new Uint8Array(32), ...rest])
  if (!equalBytes(hashPair(root, reserved), commitment))
    throw invalid('its witnesses are not those of its header')
}

function isCoinbase({ spends: [outpoint, ...others] }: Scanned): boolean {
  return (
    outpoint !== undefined &&
    others.length === 0 &&
    outpoint.every((byte, i) => byte === (i < 32 ? 0x00 : 0xff))
  )
}

const COMMITMENT_HEADER = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed]

/** In the last output that has the form of one. */
function witnessCommitmentOf({ pays }: Scanned): Uint8Array | undefined {
  return pays
    .findLast((script) => script.length >= 38 && COMMITMENT_HEADER.every((byte, i) => script[i] === byte))
    ?.subarray(6, 38)
}

/** @throws PerkunasError INVALID_MESSAGE if the same root stands for another list as well (CVE-2012-2459) */
function merkleRoot(leaves: readonly Uint8Array[]): Uint8Array {
  let level = leaves
  while (level.length > 1) {
    const next: Uint8Array[] = []
    for (let i = 0; i < level.length; i += 2) {
      const left = level[i] ?? new Uint8Array(32)
      const right = level[i + 1]
      if (right !== undefined && equalBytes(left, right)) throw invalid('it repeats transactions')
      next.push(hashPair(left, right ?? left))
    }
    level = next
  }
  return level[0] ?? new Uint8Array(32)
}

function hashPair(left: Uint8Array, right: Uint8Array): Uint8Array {
  const both = new Uint8Array(64)
  both.set(left)
  both.set(right, 32)
  return sha256d(both)
}
