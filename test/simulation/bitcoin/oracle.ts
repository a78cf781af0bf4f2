// What honest parties were told of their payments, outside of their processes, and what came of it.
import type { Hex } from '../../../channel/index.js'
import type { Invariant, Violation } from '../oracle.js'

/** How a payment ended, as its payer or its payee was told when it was durable. */
type End = 'sent' | 'failed' | 'received'

/** Below that an HTLC may be no output of a commitment. Millisatoshis. */
const DUST = 1_000_000n

/** A party as the oracle knows it. */
export interface Payer {
  readonly name: string
  readonly id: Hex
  readonly isHonest: boolean
}

/** One payment, by its hash. */
interface Told {
  readonly amount: bigint
  /** By the name of who was told. */
  readonly ends: Map<string, Set<End>>
}

/** See above. */
export class PaymentOracle {
  readonly violations: Violation[] = []
  readonly #payments = new Map<Hex, Told>()
  /** What openers give with a channel, by its session. */
  readonly #gifts = new Map<bigint, { from: Hex; to: Hex; amount: bigint; isReal: boolean }>()

  /** Commitments on chain that their holder had revoked to somebody honest. */
  readonly revoked = new Set<Hex>()

  readonly #opened = new Set<bigint>()

  /** Notes a violation. */
  violated(invariant: Invariant, words: string): void {
    this.violations.push({ invariant, words })
  }

  /** A party was told of the end of a payment. */
  told(party: Payer, hash: Hex, amount: bigint, end: End): void {
    const payment = this.#payments.get(hash) ?? { amount, ends: new Map() }
    this.#payments.set(hash, payment)
    const ends = payment.ends.get(party.name) ?? new Set()
    payment.ends.set(party.name, ends)
    ends.add(end)
    if (ends.has('sent') && ends.has('failed')) {
      this.violated(
        'all agree on a version',
        `${party.name} was told that ${hash.slice(0, 8)} was sent and has failed`,
      )
    }
  }

  /** A channel is proposed with which its opener gives something away. */
  gift(session: Hex, gift: { readonly from: Hex; readonly to: Hex; readonly amount: bigint }): void {
    this.#gifts.set(BigInt(session), { ...gift, isReal: false })
  }

  /** Whether a channel had its funding at some time. */
  wasOpened(session: bigint): boolean {
    return this.#opened.has(session)
  }

  /** A channel has its funding. */
  opened(session: bigint): void {
    this.#opened.add(session)
    const gift = this.#gifts.get(session)
    if (gift !== undefined) gift.isReal = true
  }

  /** Millisatoshis that a party is richer by, by what it was told: what it was paid or given, less what it has paid. */
  balance(party: Payer): bigint {
    let sum = 0n
    for (const { from, to, amount, isReal } of this.#gifts.values()) {
      if (isReal && from === party.id) sum -= amount
      if (isReal && to === party.id) sum += amount
    }
    for (const { amount, ends } of this.#payments.values()) {
      const told = ends.get(party.name)
      if (told?.has('received')) sum += amount
      if (told?.has('sent')) sum -= amount
    }
    return sum
  }

  /** When all is over: who was paid by an honest party knows it, and that party knows it too. */
  judge(parties: readonly Payer[]): void {
    for (const [hash, { amount, ends }] of this.#payments) {
      // What is no output of a commitment goes to fees when that gets on chain, whatever was said of it (BOLT 3, "Trimmed Outputs").
      if (amount < DUST) continue
      const of = (end: End) => parties.filter(({ name }) => ends.get(name)?.has(end))
      const payers = [...of('sent'), ...of('failed')]
      const [payer] = payers
      const [payee] = of('received')
      const what = hash.slice(0, 8)
      if (payer === undefined || payee === undefined) {
        if (payee !== undefined && parties.every(({ isHonest }) => isHonest))
          this.violated('agreed balance kept', `${payee.name} has got ${what}, and no payer knows of it`)
        const [sender] = of('sent')
        // Who has the preimage but was not told of its money must be a cheat, or lost it on chain by being late.
        const others = parties.filter((one) => one !== sender)
        if (sender !== undefined && others.every(({ isHonest }) => isHonest)) {
          this.violated('agreed balance kept', `${sender.name} has paid ${what}, and nobody has got it`)
        }
        continue
      }
      if (of('failed').length > 0 && payee.isHonest && payer.isHonest) {
        this.violated(
          'agreed balance kept',
          `${payee.name} has got ${what}, which ${payer.name} takes for failed`,
        )
      }
    }
  }
}
