// Two channels' ends, each with its monitor, its wallet and its view of one chain. What a runtime does is done here in its
// order: the step's rows are written, then its effects happen. After every step the monitor is read back from its rows.
import { expect } from 'chai'
import { type ChannelState, isLive } from '../../../../backend/bitcoin/channel/state.js'
import type { Step } from '../../../../backend/bitcoin/channel/step.js'
import type { ChannelType } from '../../../../backend/bitcoin/channel-type.js'
import {
  channelSecrets,
  commitmentPoint,
  commitmentSecret,
  deriveSecret,
  type SignerState,
} from '../../../../backend/bitcoin/keys/index.js'
import {
  balancesOf,
  type ClaimableBalance,
  type Monitor,
  type MonitorEffect,
  type MonitorEnv,
  type MonitorEvent,
  type MonitorHandoff,
  type MonitorInput,
  type MonitorStep,
  monitorWrites,
  openRevoked,
  RESOLVER_POLICY,
  REVOKED_ROWS,
  type ResolverPolicy,
  restoredMonitors,
  revokedKey,
  step,
} from '../../../../backend/bitcoin/monitor/index.js'
import type { HolderCommitment } from '../../../../backend/bitcoin/monitor/state.js'
import type { WalletCoin } from '../../../../backend/bitcoin/resolver/attempt.js'
import {
  type Commitment,
  completeCommitment,
  completeHtlcTransaction,
  type HtlcOutput,
  type Outpoint,
  p2wpkh,
  p2wpkhScriptCode,
  SIGHASH_ALL,
  signOwnCommitment,
  type Transaction,
  type TransactionOutput,
  transactionID,
  withWitness,
  witnessDigest,
  witnessSignature,
} from '../../../../backend/bitcoin/script/index.js'
import { blockHeight, msat, type Sat, sat } from '../../../../backend/bitcoin/units.js'
import { type Hex, toHex } from '../../../../channel/bytes.js'
import { secp256k1 } from '../../../../wallet/secp256k1.js'
import { type Name, type Party, preimageOf, scriptOf } from '../channel/pair.js'
import { type Ledger, type LedgerBlock, nameOf } from './ledger.js'
import { MonitoredPair } from './monitored.js'

const DELAY = 6
const COIN = sat(1_000_000n)
/** Of P2WPKH, with its witness. */
const COIN_WEIGHT = 4 * 41 + 108

/** One of the two, as the chain sees it. */
export class Guard {
  monitor: Monitor | undefined
  readonly disk = new Map<string, Uint8Array>()
  readonly watched = new Set<string>()
  readonly handoffs: MonitorHandoff[] = []
  readonly events: MonitorEvent[] = []
  readonly queue: MonitorEffect[] = []
  readonly published: (MonitorEffect & { readonly kind: 'broadcast' })[] = []
  readonly refusals: string[] = []
  readonly coins: { readonly outpoint: Outpoint; readonly amount: Sat }[] = []
  readonly reserved = new Map<string, WalletCoin[]>()
  /** Coins that a block spends. */
  readonly spent = new Set<string>()
  record: SignerState | undefined
  /** Whoever is away sees no blocks and publishes nothing. */
  isAway = false
  /** Publishes nothing, but sees. */
  isMute = false
  readonly missed: (LedgerBlock & { readonly isUndone: boolean })[] = []
  readonly secret: Uint8Array

  constructor(readonly party: Party) {
    this.secret = secp256k1Secret(party.seed)
  }

  /** Of all of its coins, and where its claims go. */
  get script(): Uint8Array {
    return p2wpkh(secp256k1.publicKey(this.secret))
  }

  get known(): Monitor {
    if (this.monitor === undefined) throw new Error(`${this.party.name} has no monitor`)
    return this.monitor
  }
}

/** See above. */
export class Arena {
  readonly pair: ArenaPair
  readonly guards: Readonly<Record<Name, Guard>>
  readonly policy: ResolverPolicy
  /** Each output that there is, and each transaction that is in a block. */
  readonly #outputs = new Map<string, TransactionOutput>()
  readonly #confirmed = new Map<Hex, Transaction>()
  readonly #funded = new Set<string>()
  readonly #incomingExpiry: number | undefined

  private constructor(
    readonly ledger: Ledger,
    options: ArenaOptions,
  ) {
    this.policy = { ...RESOLVER_POLICY, ...options.policy }
    this.#incomingExpiry = options.incomingExpiry
    const policy = {
      toSelfDelay: { min: DELAY, max: DELAY },
      maxDustExposure: { fixed: msat(900_000_000n) },
    }
    this.pair = new ArenaPair(policy, (party, result) => this.#told(party, result))
    this.guards = { alice: new Guard(this.pair.alice), bob: new Guard(this.pair.bob) }
    this.height = ledger.height
  }

  /** A channel of 1 000 000 sat that Alice funded, 400 000 of them Bob's. */
  static async open(ledger: Ledger, options: ArenaOptions = {}): Promise<Arena> {
    const arena = new Arena(ledger, options)
    const { pair } = arena
    const type = { commitments: options.commitments ?? 'anchors', scidAlias: false, zeroconf: false } as const
    pair.open({ type, push: msat(400_000_000n) })
    pair.deliverAll()
    pair.input(pair.bob, { kind: 'accept', shutdownScript: scriptOf('bob') })
    pair.deliverAll()
    const fund = pair.alice.effects.find((effect) => effect.kind === 'fund')
    if (fund === undefined) throw new Error('nothing to fund')
    const outpoint = await arena.#fund(fund)
    arena.height = ledger.height
    pair.input(pair.alice, { kind: 'funded', outpoint })
    pair.deliverAll()
    for (const party of pair.both) pair.input(party, { kind: 'depth', confirmations: 6 })
    pair.deliverAll()
    for (const name of ['alice', 'bob'] as const) {
      for (let i = 0; i < (options.coins ?? 5); i++) {
        const guard = arena.guards[name]
        guard.coins.push({
          outpoint: await arena.#fund({ script: guard.script, amount: COIN }),
          amount: COIN,
        })
      }
    }
    arena.height = ledger.height
    await arena.work()
    return arena
  }

  get both(): readonly Guard[] {
    return [this.guards.alice, this.guards.bob]
  }

  set height(height: number) {
    for (const party of this.pair.both) party.env = { ...party.env, height: blockHeight(height) }
  }

  env(guard: Guard): MonitorEnv {
    const { party } = guard
    const { record } = guard
    if (record === undefined) throw new Error('no record')
    return {
      height: party.env.height,
      fees: this.ledger.fees(),
      policy: this.policy,
      destination: guard.script,
      record,
      incomingExpiry: () => this.#incomingExpiry,
      signer: ({ setup }) => party.env.keys(0n).signer(setup),
    }
  }

  /** A step, its rows, and its effects in the queue. */
  input(guard: Guard, input: MonitorInput): MonitorStep {
    const before = guard.monitor
    const result = step(before, input, this.env(guard))
    for (const write of monitorWrites(before, result)) {
      if (write.kind === 'put') guard.disk.set(write.key, write.value)
      else guard.disk.delete(write.key)
    }
    guard.monitor = result.next
    expect(plain(this.restored(guard)), 'decode(encode(monitor))').to.deep.equal(plain(result.next))
    guard.handoffs.push(...result.handoffs)
    guard.queue.push(...result.effects)
    return result
  }

  restored(guard: Guard): Monitor {
    const rows = [...guard.disk].filter(([key]) => !key.startsWith(REVOKED_ROWS))
    const monitor = restoredMonitors(rows).get(0n)
    if (monitor === undefined) throw new Error('no monitor')
    return monitor
  }

  /** The process ends, and another one goes on from the rows. */
  async restart(guard: Guard): Promise<void> {
    guard.monitor = this.restored(guard)
    guard.queue.length = 0
    guard.watched.clear()
    this.input(guard, { kind: 'resume' })
    await this.work()
  }

  /** Does what is to be done until nothing is. */
  async work(): Promise<void> {
    for (let rounds = 0; this.both.some(({ queue }) => queue.length > 0); rounds++) {
      if (rounds > 100) throw new Error('it never ends')
      for (const guard of this.both) {
        for (const effect of guard.queue.splice(0)) await this.#do(guard, effect)
      }
    }
  }

  /** Blocks with what the miner has, seen by both. */
  async mine(count = 1, leaves?: (tx: Transaction) => boolean): Promise<void> {
    for (let i = 0; i < count; i++) await this.see(await this.ledger.mine(leaves))
  }

  /** Up to the block of that height. */
  async mineTo(height: number): Promise<void> {
    await this.mine(Math.max(0, height - this.ledger.height))
  }

  /** The newest blocks are gone. */
  async undo(count = 1): Promise<void> {
    for (let i = 0; i < count; i++) {
      const block = await this.ledger.undo()
      for (const tx of block.transactions) this.#confirmed.delete(toHex(transactionID(tx)))
      this.height = block.height - 1
      for (const guard of this.both) {
        if (guard.isAway) guard.missed.push({ ...block, isUndone: true })
        else this.#undone(guard, block)
      }
      await this.work()
    }
  }

  async see(block: LedgerBlock): Promise<void> {
    this.height = block.height
    for (const tx of block.transactions) {
      const txid = transactionID(tx)
      this.#confirmed.set(toHex(txid), tx)
      for (const [index, output] of tx.outputs.entries()) this.#outputs.set(nameOf({ txid, index }), output)
    }
    for (const guard of this.both) {
      if (guard.isAway) guard.missed.push({ ...block, isUndone: false })
      else this.#connect(guard, block, true)
    }
    for (const party of this.pair.both) {
      if (!this.guards[party.name].isAway && party.state !== undefined)
        this.pair.input(party, { kind: 'block' })
    }
    await this.work()
  }

  /** Sees what was missed, restored from its rows. */
  async comeBack(guard: Guard): Promise<void> {
    guard.isAway = false
    guard.monitor = this.restored(guard)
    const { height } = guard.party.env
    for (const block of guard.missed.splice(0)) {
      guard.party.env = {
        ...guard.party.env,
        height: blockHeight(block.isUndone ? block.height - 1 : block.height),
      }
      if (block.isUndone) this.#undone(guard, block)
      else this.#connect(guard, block, false)
      guard.queue.length = 0
    }
    guard.party.env = { ...guard.party.env, height }
    await this.restart(guard)
  }

  /** Ends the channel by a party's newest commitment. */
  async forceClose(name: Name): Promise<void> {
    this.pair.input(this.pair[name], { kind: 'forceClose' })
    await this.work()
    await this.publishOwn(name)
  }

  /** What the channel itself published. */
  async publishOwn(name: Name): Promise<void> {
    for (const { transaction } of this.pair[name].published.splice(0)) await this.ledger.submit([transaction])
  }

  /** Blocks until both are done. */
  async finish(names: readonly Name[] = ['alice', 'bob'], most = 300): Promise<void> {
    for (let i = 0; i < most; i++) {
      if (names.every((name) => this.guards[name].known.isResolved)) return
      await this.mine()
    }
    const left = names.map((name) => {
      const { facts, attempts, settled } = this.guards[name].known
      const claims = attempts.map(({ id, price, last }) => `${id} at ${price?.feerate}, ${last?.fee}`)
      return `${name}: ${facts.length} facts, settled ${settled.length}, ${claims.join('; ')} ${this.guards[name].refusals.slice(-3).join('; ')}`
    })
    throw new Error(`not resolved after ${most} blocks: ${left.join(' | ')}`)
  }

  balances(name: Name): readonly ClaimableBalance[] {
    const guard = this.guards[name]
    return balancesOf(guard.known, this.env(guard))
  }

  /** What is in a party's wallet. */
  walletOf(name: Name): bigint {
    const { script } = this.guards[name]
    const spent = new Set<string>()
    for (const { inputs } of this.#confirmed.values())
      for (const { outpoint } of inputs) spent.add(nameOf(outpoint))
    const isThere = (outpoint: string) => {
      const [txid = ''] = outpoint.split(' ')
      return !spent.has(outpoint) && (this.#funded.has(outpoint) || this.#confirmed.has(txid as Hex))
    }
    return [...this.#outputs]
      .filter(([outpoint, one]) => isThere(outpoint) && toHex(one.script) === toHex(script))
      .reduce((sum, [, { amount }]) => sum + amount, 0n)
  }

  /** The fees of what a party published and a block has, but for commitments. */
  costsOf(name: Name): bigint {
    const own = new Set(
      this.guards[name].published.flatMap(({ what, transactions }) => {
        const last = transactions.at(-1)
        return what === 'commitment' || last === undefined ? [] : [toHex(transactionID(last))]
      }),
    )
    return [...this.#confirmed]
      .filter(([txid]) => own.has(txid))
      .reduce((sum, [, tx]) => sum + this.feeOf(tx), 0n)
  }

  isConfirmed(tx: Transaction): boolean {
    return this.#confirmed.has(toHex(transactionID(tx)))
  }

  /** What closed the channel. */
  spendOfFunding(): Transaction {
    const { outpoint } = this.guards.alice.known.known.terms.funding
    const found = [...this.#confirmed.values()].find(({ inputs }) =>
      inputs.some((one) => nameOf(one.outpoint) === nameOf(outpoint)),
    )
    if (found === undefined) throw new Error('the channel is open')
    return found
  }

  /** The fee of a transaction in a block. */
  feeOf({ inputs, outputs }: Transaction): bigint {
    const paid = inputs.reduce(
      (sum, { outpoint }) => sum + (this.#outputs.get(nameOf(outpoint))?.amount ?? 0n),
      0n,
    )
    return paid - outputs.reduce((sum, { amount }) => sum + amount, 0n)
  }

  async #fund({ script, amount }: { readonly script: Uint8Array; readonly amount: Sat }): Promise<Outpoint> {
    const outpoint = await this.ledger.fund(script, amount)
    this.#outputs.set(nameOf(outpoint), { script, amount })
    this.#funded.add(nameOf(outpoint))
    return outpoint
  }

  /** A commitment of a party's as it was held at some time, complete, whether it is revoked or not. */
  complete(name: Name, { state, signatures }: HolderCommitment): Held {
    const { seed } = this.pair[name]
    const commitment = this.pair.signer(this.pair[name]).localCommitment(state)
    const secrets = channelSecrets(seed, 0n)
    const local = signOwnCommitment(commitment, secrets.funding)
    const transaction = completeCommitment(commitment, { local, remote: signatures.signature })
    return { commitment, transaction, signatures }
  }

  /** All that a party ever held, by number. */
  held(name: Name): ReadonlyMap<bigint, HolderCommitment> {
    const { history } = this.pair.watches[name]
    return new Map(history.flatMap(({ holder }) => holder.map((one) => [one.state.number, one] as const)))
  }

  /** A cheater's HTLC transaction, with a coin of its own where that has to pay. */
  secondLevel(
    name: Name,
    { commitment, signatures }: Held,
    output: HtlcOutput,
    preimage?: Uint8Array,
  ): Transaction {
    const guard = this.guards[name]
    const secrets = channelSecrets(guard.party.seed, 0n)
    const point = commitmentPoint(commitmentSecret(secrets.commitmentSeed, commitment.params.number))
    const paysFee = commitment.params.format === 'static_remotekey'
    const coin = paysFee ? undefined : guard.coins.pop()
    const tx = completeHtlcTransaction(commitment, output, {
      remote: signatures.htlcSignatures[commitment.htlcs.indexOf(output)] ?? new Uint8Array(),
      htlcSecret: deriveSecret(secrets.htlc, point),
      ...(preimage === undefined ? {} : { preimage }),
      ...(coin === undefined
        ? {}
        : {
            extend: (one: Transaction) => ({
              ...one,
              inputs: [...one.inputs, { outpoint: coin.outpoint, sequence: 0xffff_fffd, witness: [] }],
              outputs: [...one.outputs, { amount: sat(coin.amount - 5000n), script: guard.script }],
            }),
          }),
    })
    return coin === undefined
      ? tx
      : this.#signCoin(guard, tx, 1, { amount: coin.amount, script: guard.script })
  }

  #told(party: Party, result: Step): void {
    const guard = this.guards[party.name]
    if (isRecorded(result.next)) guard.record = result.next.signer
    if (result.monitor.length > 0) this.input(guard, { kind: 'updates', updates: result.monitor })
  }

  #undone(guard: Guard, { height, hash, transactions }: LedgerBlock): void {
    for (const { inputs } of transactions)
      for (const { outpoint } of inputs) guard.spent.delete(nameOf(outpoint))
    this.input(guard, { kind: 'disconnected', height, hash })
  }

  #connect(guard: Guard, { hash, transactions }: LedgerBlock, isTip: boolean): void {
    for (const { inputs } of transactions)
      for (const { outpoint } of inputs) guard.spent.add(nameOf(outpoint))
    const given = new Set<Transaction>()
    for (let isFirst = true; ; isFirst = false) {
      const fresh = transactions
        .map((transaction, position) => ({ transaction, position }))
        .filter(({ transaction: tx }) => !given.has(tx) && this.#isWatched(guard, tx))
      if (fresh.length === 0 && !isFirst) return
      for (const { transaction } of fresh) given.add(transaction)
      const { handoffs, effects } = this.input(guard, { kind: 'connected', hash, transactions: fresh, isTip })
      for (const effect of effects) if (effect.kind === 'watch') guard.watched.add(nameOf(effect.outpoint))
      for (const { kind, ...rest } of handoffs) {
        const { state } = guard.party
        if (state === undefined) continue
        if (kind === 'channelSpent' && 'by' in rest)
          this.pair.input(guard.party, { kind: 'spent', by: rest.by })
        if (kind === 'channelResolved') this.pair.input(guard.party, { kind: 'resolved' })
      }
    }
  }

  #isWatched({ watched }: Guard, tx: Transaction): boolean {
    return tx.inputs.some(({ outpoint }) => watched.has(nameOf(outpoint)))
  }

  async #do(guard: Guard, effect: MonitorEffect): Promise<void> {
    switch (effect.kind) {
      case 'watch':
        guard.watched.add(nameOf(effect.outpoint))
        return
      case 'unwatch':
        for (const one of effect.outpoints) guard.watched.delete(nameOf(one))
        return
      case 'lookup': {
        const key = revokedKey(0n, effect.number)
        const row = guard.disk.get(key)
        const htlcs = row === undefined ? [] : openRevoked(key, row)
        this.input(guard, { kind: 'revokedHtlcs', number: effect.number, htlcs })
        return
      }
      case 'reserve':
        return this.#reserve(guard, effect)
      case 'release': {
        for (const coin of guard.reserved.get(effect.attempt) ?? []) {
          if (!guard.spent.has(nameOf(coin.outpoint))) guard.coins.push(coin)
        }
        guard.reserved.delete(effect.attempt)
        return
      }
      case 'tell':
        guard.events.push(effect.event)
        return
      case 'broadcast':
        return this.#publish(guard, effect)
    }
  }

  #reserve(guard: Guard, { attempt, amount, feerate }: MonitorEffect & { readonly kind: 'reserve' }): void {
    const fresh: WalletCoin[] = []
    let sum = 0n
    while (sum < amount && guard.coins.length > 0) {
      const coin = guard.coins.pop()
      if (coin === undefined) break
      fresh.push({ ...coin, script: guard.script, weight: COIN_WEIGHT })
      sum += coin.amount - (BigInt(feerate) * BigInt(COIN_WEIGHT)) / 1000n
    }
    if (fresh.length === 0) return
    guard.reserved.set(attempt, [...(guard.reserved.get(attempt) ?? []), ...fresh])
    this.input(guard, { kind: 'coins', attempt, coins: fresh, change: guard.script })
  }

  async #publish(guard: Guard, effect: MonitorEffect & { readonly kind: 'broadcast' }): Promise<void> {
    if (guard.isAway || guard.isMute) return
    const { transactions, spent, attempt } = effect
    guard.published.push(effect)
    const signed = transactions.map((tx, i) =>
      spent === undefined || i < transactions.length - 1 ? tx : this.#signCoins(guard, tx, spent),
    )
    const verdict = await this.ledger.submit(signed)
    if (verdict === 'accepted') return
    guard.refusals.push(`${effect.what}: ${verdict}, ${this.ledger.reason}`)
    if (attempt !== undefined) this.input(guard, { kind: 'refused', attempt, why: verdict })
  }

  #signCoins(guard: Guard, tx: Transaction, spent: readonly TransactionOutput[]): Transaction {
    return spent.reduce(
      (done, output, i) =>
        toHex(output.script) === toHex(guard.script) ? this.#signCoin(guard, done, i, output) : done,
      tx,
    )
  }

  #signCoin({ secret }: Guard, tx: Transaction, input: number, { amount }: TransactionOutput): Transaction {
    const key = secp256k1.publicKey(secret)
    const digest = witnessDigest(tx, input, { amount, scriptCode: p2wpkhScriptCode(key) })
    const signature = witnessSignature(secp256k1.sign(digest, secret).signature, SIGHASH_ALL)
    return withWitness(tx, input, [signature, key])
  }
}

/** Options of an arena. */
export interface ArenaOptions {
  readonly commitments?: ChannelType['commitments']
  readonly policy?: Partial<ResolverPolicy>
  /** Of what came in for the HTLCs that are offered: absent if they are payments of their own. */
  readonly incomingExpiry?: number
  /** In each wallet, of 1 000 000 sat. */
  readonly coins?: number
}

/** A commitment that can be published. */
export interface Held {
  readonly commitment: Commitment
  readonly transaction: Transaction
  readonly signatures: HolderCommitment['signatures']
}

/** A pair whose steps are shown to somebody else too. */
class ArenaPair extends MonitoredPair {
  readonly #told: (party: Party, result: Step) => void

  constructor(policy: object, told: (party: Party, result: Step) => void) {
    super({ policies: { alice: policy, bob: policy }, fees: { sane: 10_000 } })
    this.#told = told
  }

  override write(party: Party, result: Step): void {
    super.write(party, result)
    this.#told(party, result)
  }
}

/** Fulfils an HTLC that the other side offered. */
export function fulfil(arena: Arena, name: Name, id: bigint, number: number): void {
  const removal = { kind: 'fulfill', preimage: preimageOf(number) } as const
  arena.pair.want(arena.pair[name], { kind: 'remove', id, removal })
}

function isRecorded(state: ChannelState): state is ChannelState & { readonly signer: SignerState } {
  return isLive(state) || state.phase === 'awaitingFundingSigned'
}

/** Without order where rows have none. */
function plain({ known, attempts, ...rest }: Monitor) {
  const name = ({ htlc }: Monitor['known']['preimages'][number]) => `${htlc.offerer} ${htlc.id}`
  return {
    ...rest,
    attempts: [...attempts].sort((a, b) => (a.id < b.id ? -1 : 1)),
    known: {
      ...known,
      preimages: [...known.preimages].sort((a, b) => (name(a) < name(b) ? -1 : 1)),
      closings: known.closings.length,
    },
  }
}

function secp256k1Secret(seed: Uint8Array): Uint8Array {
  return seed.map((byte) => byte + 40)
}
