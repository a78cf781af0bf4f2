// Sending transactions of one account on one chain, so that each is mined once and none blocks the next: nonces,
// fees, replacement, rebroadcast, reorgs.
import type { Interface, TransactionLike } from 'ethers'
import { demandNames, givenOf, type NamesOf } from '../../channel/arguments.js'
import { type Address, type CallOptions, fromHex, PerkunasError, toHex } from '../../channel/index.js'
import { keccak256 } from '../../wallet/index.js'
import { broadcast, broadcastFirst, isInChain, type Signed, whereabouts } from './broadcast.js'
import { type Chain, type Head, orAborted, type Receipt } from './chain.js'
import { currentFees, type Fees, priceOf, raiseAfter, raisedFees } from './fees.js'
import { finalBlock } from './finality.js'
import { RpcError } from './rpc.js'
import type { TransactionSigner } from './signer.js'
import { type Call, estimateGas, explainRevert, failedCall, type Trial } from './trial.js'

/** How transactions are sent. */
export interface SenderOptions {
  /** A transaction that is in none of this many further blocks ... */
  readonly bumpAfterBlocks: number
  /** ... nor in those of this many milliseconds is replaced by one that offers more. */
  readonly bumpAfter: number
  /** Never offer more than this, in wei per gas. */
  readonly maxFeePerGas: bigint
  /** Added to the estimated gas, in percent. What is not used costs nothing. */
  readonly gasMargin: number
  /** A transaction in no block after this many milliseconds ends the call with TRANSACTION_TIMEOUT. */
  readonly timeout: number
  /** Contracts whose custom errors to name. */
  readonly interfaces?: readonly Interface[]
}

/** Defaults of {@link SenderOptions}. */
export const SENDER_DEFAULTS: SenderOptions = Object.freeze({
  bumpAfterBlocks: 3,
  bumpAfter: 30_000,
  maxFeePerGas: 2_000n * 10n ** 9n,
  gasMargin: 20,
  timeout: 1_800_000,
})

/** The names of {@link SenderOptions}. */
export const SENDER_NAMES: NamesOf<SenderOptions> = {
  bumpAfterBlocks: true,
  bumpAfter: true,
  maxFeePerGas: true,
  gasMargin: true,
  timeout: true,
  interfaces: true,
}

/** A transaction under way. All its variants have one nonce, so at most one is mined. */
interface Pending {
  readonly call: Call
  gas: bigint
  nonce: number
  fees: Fees
  variants: Signed[]
  sentAtBlock: number
  sentAt: number
  readonly since: number
  isMined: boolean
  /** Looks in a row at which another transaction seemed to have its nonce. */
  missed: number
  readonly resolve: (receipt: Receipt) => void
  readonly reject: (error: unknown) => void
}

/** Newer variants push older ones out; as each costs an eighth more, an older one than these is never mined. */
const MAX_VARIANTS = 16
const TRANSFER_GAS = 21_000n
/** So many looks in a row must find a transaction ousted before its call is sent anew. */
const OUSTED_LOOKS = 3
/** Takes a nonce and does nothing. */
const FILLER = 'cancel'

/** Sends one account's transactions on one chain. Two of them for one account would fight for nonces: have one. */
export class TransactionSender {
  readonly address: Address
  readonly #pending: Pending[] = []
  readonly #options: SenderOptions
  readonly #trial: Trial
  #turn: Promise<unknown> = Promise.resolve()
  #tracking = false
  #starting = 0
  /** Since when, and until which mined count, transactions that are not ours are in the way. */
  #blocked:
    | { readonly count: number; readonly block: number; readonly time: number; readonly tries: number }
    | undefined

  /** @throws PerkunasError INVALID_ARGUMENT if an option is unknown */
  constructor(
    readonly chain: Chain,
    readonly signer: TransactionSigner,
    options: Partial<SenderOptions> = {},
  ) {
    demandNames(options, SENDER_NAMES)
    this.address = signer.address
    this.#options = { ...SENDER_DEFAULTS, ...givenOf(options) }
    this.#trial = { chain, from: signer.address, interfaces: options.interfaces ?? [] }
  }

  /**
   * Sends a call and waits until it is final. It is tried before it is sent, so that most calls that can't succeed
   * cost nothing.
   *
   * @throws PerkunasError TRANSACTION_FAILED with the contract's reason; TRANSACTION_TIMEOUT, LEDGER_UNREACHABLE,
   *   ABORTED: the transaction may be mined yet
   */
  async send(call: Call, options: CallOptions = {}): Promise<Receipt> {
    let mined: Promise<Receipt> | undefined
    this.#starting++
    try {
      const gas = await this.#gasOf(call, options)
      mined = new Promise<Receipt>((resolve, reject) => {
        const turn = this.#turn.then(async () => {
          if (options.signal?.aborted) return
          await this.#submit({ call, gas, resolve, reject })
        })
        this.#turn = turn.catch(reject)
      })
      await orAborted(this.#turn, options.signal)
    } finally {
      this.#starting--
      // Whoever aborts hears nothing of what becomes of it.
      mined?.catch(() => undefined)
    }
    return orAborted(mined, options.signal)
  }

  /** Whether all that is left to do is to wait for further blocks. */
  get isIdle(): boolean {
    return !this.chain.isAsked && this.#starting === 0 && this.#pending.every(({ isMined }) => isMined)
  }

  /**
   * Waits until no transaction of this account is unmined that this sender knows nothing of: those of an earlier
   * life of the process, whose effects are to be seen before anything is decided anew. One that is stuck is
   * replaced by an empty one.
   */
  async quiet(options: CallOptions = {}): Promise<void> {
    await this.chain.until(async (head) => {
      const mined = await this.chain.transactionCount(this.address, 'latest', options)
      const known = await this.chain.transactionCount(this.address, 'pending', options)
      const ours = this.#pending.filter(({ nonce, call }) => nonce >= mined && call.kind !== FILLER)
      if (known - mined <= ours.length) return true
      // With transactions of ours pending, their review does it.
      if (this.#pending.length === 0) this.#unblock(mined, head)
      return undefined
    }, options)
  }

  async #gasOf(call: Call, options: CallOptions): Promise<bigint> {
    const gas = await estimateGas(this.#trial, call, options)
    return gas + (gas * BigInt(this.#options.gasMargin)) / 100n + (call.spareGas ?? 0n)
  }

  /** Signs and broadcasts under a nonce that is free, whatever the node says of nonces. One at a time. */
  async #submit(
    draft: Pick<Pending, 'call' | 'gas' | 'resolve' | 'reject'>,
    first?: { readonly nonce: number; readonly fees: Fees },
  ): Promise<void> {
    const head = await this.chain.head()
    const now = Date.now()
    let nonce = first?.nonce ?? (await this.#nextNonce())
    let fees = first?.fees ?? (await currentFees(this.chain, head))
    for (let attempt = 0; ; attempt++) {
      const variant = await this.#sign(draft.call, draft.gas, nonce, fees)
      const outcome = await broadcastFirst(this.chain, variant)
      if (outcome.kind === 'sent') {
        this.#pending.push({
          ...draft,
          nonce,
          fees,
          variants: [variant],
          sentAtBlock: head.number,
          sentAt: now,
          since: now,
          isMined: false,
          missed: 0,
        })
        this.#pending.sort((a, b) => a.nonce - b.nonce)
        void this.#track()
        return
      }
      const again = attempt < 20
      if (again && outcome.kind === 'nonce used') {
        nonce = Math.max(nonce + 1, await this.#nextNonce())
      } else if (again && outcome.kind === 'nonce taken') {
        if (first) return
        nonce++
      } else if (again && outcome.kind === 'underpriced') {
        const raised = raisedFees(fees, await currentFees(this.chain, head), this.#options.maxFeePerGas)
        if (raised === undefined) throw failedCall(this.#trial, draft.call, outcome.error)
        fees = raised
      } else {
        throw failedCall(this.#trial, draft.call, outcome.error)
      }
    }
  }

  async #nextNonce(): Promise<number> {
    const known = await this.chain.transactionCount(this.address, 'pending')
    return Math.max(known, (this.#pending.at(-1)?.nonce ?? -1) + 1)
  }

  async #sign(call: Call, gas: bigint, nonce: number, fees: Fees): Promise<Signed> {
    const transaction: TransactionLike<string> = {
      type: fees.kind === 'legacy' ? 0 : 2,
      chainId: this.chain.id,
      nonce,
      gasLimit: gas,
      data: call.data,
      value: call.value ?? 0n,
      ...(call.to === undefined ? {} : { to: call.to }),
      ...(fees.kind === 'legacy'
        ? { gasPrice: fees.gasPrice }
        : { maxFeePerGas: fees.maxFee, maxPriorityFeePerGas: fees.tip }),
    }
    const raw = await this.signer.sign(transaction)
    return { raw, hash: toHex(keccak256(fromHex(raw))) }
  }

  /** Looks after what is pending until nothing is. */
  async #track(): Promise<void> {
    if (this.#tracking) return
    this.#tracking = true
    try {
      while (this.#pending.length > 0) {
        try {
          await this.#review(await this.chain.tick())
        } catch (error) {
          // The callers hear of it and may end; the transactions are followed on.
          for (const { reject } of this.#pending) reject(error)
          if (this.chain.closed.aborted) return
        }
      }
    } finally {
      this.#tracking = false
    }
  }

  async #review(head: Head): Promise<void> {
    const mined = await this.chain.transactionCount(this.address, 'latest')
    for (const entry of [...this.#pending]) {
      if (entry.nonce >= mined) {
        entry.isMined = false
        await this.#hasten(entry, mined, head)
        continue
      }
      const receipt = await this.#receiptOf(entry, head)
      entry.isMined = receipt !== undefined
      if (receipt === undefined) {
        entry.missed = (await this.#isOusted(entry, head)) ? entry.missed + 1 : 0
        if (entry.missed >= OUSTED_LOOKS) this.#sendAnew(entry)
      } else if (receipt.blockNumber <= finalBlock(this.chain, head)) {
        this.#drop(entry)
        if (receipt.succeeded) entry.resolve(receipt)
        else entry.reject(await explainRevert(this.#trial, entry, receipt))
      }
    }
    const lowest = this.#pending[0]
    if (lowest !== undefined && lowest.nonce > mined) this.#unblock(mined, head)
    else this.#blocked = undefined
  }

  /**
   * Whether another transaction has the nonce, finally, so that ours can't come after all. A node that is busy with
   * a block, and one of several behind one address, may know of the nonce and not yet of the transaction.
   */
  async #isOusted({ nonce, variants }: Pending, head: Head): Promise<boolean> {
    const { chain, address } = this
    const used = await chain.transactionCount(address, finalBlock(chain, head)).catch((error: unknown) => {
      // During a reorg a node may not even have the block.
      if (error instanceof RpcError) return 0
      throw error
    })
    if (used <= nonce) return false
    for (const { hash } of variants) if ((await whereabouts(this.chain, hash)) !== 'nowhere') return false
    return true
  }

  /** A node may still show the receipt of a block that it has replaced: what is to be final is looked at twice. */
  async #receiptOf({ variants }: Pending, head: Head): Promise<Receipt | undefined> {
    for (const { hash } of [...variants].reverse()) {
      const receipt = await this.chain.receipt(hash)
      if (receipt === undefined) continue
      if (receipt.blockNumber > finalBlock(this.chain, head) || (await isInChain(this.chain, receipt)))
        return receipt
    }
    return undefined
  }

  /** Sees to it that an unmined transaction is in the node's pool and offers enough. */
  async #hasten(entry: Pending, mined: number, head: Head): Promise<void> {
    if (Date.now() - entry.since > this.#options.timeout) {
      const { kind } = entry.call
      const hash = entry.variants.at(-1)?.hash
      entry.reject(
        new PerkunasError(
          'TRANSACTION_TIMEOUT',
          `the ${kind} transaction ${hash} is in no block after ${this.#options.timeout} ms`,
          { kind, ...(hash === undefined ? {} : { hash }) },
        ),
      )
    }
    const newest = entry.variants.at(-1)
    if (newest === undefined) return
    if (this.#isStuck(entry, head) && entry.nonce === mined) {
      const fees = raisedFees(entry.fees, await currentFees(this.chain, head), this.#options.maxFeePerGas)
      if (fees !== undefined) {
        const variant = await this.#sign(entry.call, entry.gas, entry.nonce, fees)
        entry.variants = [...entry.variants.slice(1 - MAX_VARIANTS), variant]
        // Also when the node refuses: the next try has to offer more.
        entry.fees = fees
        entry.sentAtBlock = head.number
        entry.sentAt = Date.now()
        await broadcast(this.chain, variant)
        return
      }
    }
    if ((await whereabouts(this.chain, newest.hash)) === 'nowhere') await broadcast(this.chain, newest)
  }

  #isStuck({ sentAtBlock, sentAt, fees }: Pending, head: Head): boolean {
    const blocks = head.number - sentAtBlock
    if (blocks >= 1 && head.baseFee !== undefined && priceOf(fees) < head.baseFee) return true
    // The first in the row holds up all others, so it is as urgent as the most urgent of them.
    const deadlines = this.#pending.flatMap(({ call, isMined }) => (isMined ? [] : (call.deadline ?? [])))
    const [nearest] = deadlines.sort((a, b) => (a < b ? -1 : 1))
    const left = nearest === undefined ? undefined : Number(nearest - head.timestamp)
    const due = raiseAfter(left, this.#options)
    return blocks >= due.bumpAfterBlocks && Date.now() - sentAt >= due.bumpAfter
  }

  #sendAnew(entry: Pending): void {
    this.#drop(entry)
    const turn = this.#turn.then(async () => {
      const gas = await this.#gasOf(entry.call, {})
      await this.#submit({ call: entry.call, gas, resolve: entry.resolve, reject: entry.reject })
    })
    this.#turn = turn.catch(entry.reject)
  }

  /** A nonce below ours is missing or held by a stuck transaction that is not ours: takes it, if that lasts. */
  #unblock(mined: number, head: Head): void {
    if (this.#blocked?.count !== mined) {
      this.#blocked = { count: mined, block: head.number, time: Date.now(), tries: 0 }
      return
    }
    const { block, time, tries } = this.#blocked
    if (head.number - block < this.#options.bumpAfterBlocks || Date.now() - time < this.#options.bumpAfter)
      return
    this.#blocked = { count: mined, block: head.number, time: Date.now(), tries: tries + 1 }
    const filler: Call = { kind: FILLER, to: this.address, data: '0x' }
    const ignore = () => undefined
    this.#turn = this.#turn.then(async () => {
      const current = await currentFees(this.chain, head)
      // What got stuck offers less than the going price, or about that; the next try offers twice as much.
      const fees = raisedFees(multiplied(current, 2n ** BigInt(tries)), current, this.#options.maxFeePerGas)
      if (fees === undefined) return
      const draft = { call: filler, gas: TRANSFER_GAS, resolve: ignore, reject: ignore }
      await this.#submit(draft, { nonce: mined, fees })
    }, ignore)
    this.#turn = this.#turn.catch(ignore)
  }

  #drop(entry: Pending): void {
    const at = this.#pending.indexOf(entry)
    if (at >= 0) this.#pending.splice(at, 1)
  }
}

function multiplied(fees: Fees, factor: bigint): Fees {
  return fees.kind === 'legacy'
    ? { kind: 'legacy', gasPrice: factor * fees.gasPrice }
    : { kind: 'dynamic', maxFee: factor * fees.maxFee, tip: factor * fees.tip }
}
