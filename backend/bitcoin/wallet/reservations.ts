// Coins that are kept for somebody, on disk before anybody knows of it.
import { type Hex, toHex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import { bytes, hex, list, object, oneOf, schemaCodec, text } from '../../../peer/index.js'
import { defineRecord, type Store } from '../../../persistence/index.js'
import { outpointKey } from '../chain/outpoint.js'
import { outpoint, sats } from '../channel/schemas.js'
import type { Outpoint, TransactionOutput } from '../script/index.js'
import type { Coin, CoinKind, Reservation, ReservationID } from './wallet.js'

/** Characters of {@link Reservation.purpose}. */
const MAX_PURPOSE = 200
/** Inputs of one transaction, by its size far above. */
const MAX_COINS = 10_000

/** A coin as it is remembered as long as somebody may sign for it: then it may be spent already, by what was signed before. */
export interface ReservedCoin extends TransactionOutput {
  readonly outpoint: Outpoint
  readonly kind: CoinKind
}

interface Row {
  readonly id: ReservationID
  readonly purpose: string
  readonly coins: readonly ReservedCoin[]
}

const coin = object({
  outpoint,
  amount: sats,
  script: bytes({ max: 34 }),
  kind: oneOf('p2wpkh', 'p2tr'),
})
const codec = schemaCodec(
  object({ id: hex(16), purpose: text(MAX_PURPOSE), coins: list(coin, { max: MAX_COINS }) }),
)
const row = defineRecord<Row>({
  name: 'bitcoin-reservation',
  version: 1,
  encode: codec.encode,
  decode: codec.decode,
})

/** The reservations of one wallet. */
export class Reservations {
  readonly #store: Store
  readonly #prefix: string
  readonly #rows = new Map<ReservationID, Row>()
  readonly #coins = new Map<Hex, ReservedCoin>()

  private constructor(store: Store, prefix: string) {
    this.#store = store
    this.#prefix = `${prefix}reservation/`
  }

  /** Reads what a store has under a prefix. @throws PerkunasError INVALID_RECORD, STORE_FAILED */
  static async open(store: Store, prefix: string): Promise<Reservations> {
    const reservations = new Reservations(store, prefix)
    for await (const [, value] of row.scan(store, reservations.#prefix)) reservations.#add(value)
    return reservations
  }

  /** All, in no order. */
  all(): readonly Reservation[] {
    return [...this.#rows.values()].map(asReservation)
  }

  /** The coins of all. */
  coins(): readonly ReservedCoin[] {
    return [...this.#coins.values()]
  }

  /** The coin that is reserved at an output. */
  at(of: Outpoint): ReservedCoin | undefined {
    return this.#coins.get(outpointKey(of))
  }

  /** Whose coins those of a reservation are. */
  coinsOf(id: ReservationID): readonly ReservedCoin[] {
    return this.#rows.get(id)?.coins ?? []
  }

  /**
   * Keeps coins. Durable when it returns.
   *
   * @throws PerkunasError INVALID_ARGUMENT, TOO_LARGE if the purpose is too long; STORE_FAILED
   */
  async reserve(purpose: string, coins: readonly Coin[]): Promise<Reservation> {
    if (purpose.length > MAX_PURPOSE) {
      const message = `purpose: at most ${MAX_PURPOSE} characters expected, got ${purpose.length}`
      throw new PerkunasError('INVALID_ARGUMENT', message, { argument: 'purpose' })
    }
    const id = toHex(crypto.getRandomValues(new Uint8Array(16)))
    const kept = coins.map(({ outpoint: at, amount, script, kind }) => ({
      outpoint: at,
      amount,
      script,
      kind,
    }))
    const value = { id, purpose, coins: kept }
    await this.#store.commit([row.put(`${this.#prefix}${id}`, value)])
    this.#add(value)
    return asReservation(value)
  }

  /** Frees coins. Durable when it returns. @throws PerkunasError STORE_FAILED */
  async release(id: ReservationID): Promise<void> {
    if (!this.#rows.has(id)) return
    await this.#store.commit([{ kind: 'delete', key: `${this.#prefix}${id}` }])
    for (const one of this.coinsOf(id)) this.#coins.delete(outpointKey(one.outpoint))
    this.#rows.delete(id)
  }

  #add(value: Row): void {
    this.#rows.set(value.id, value)
    for (const one of value.coins) this.#coins.set(outpointKey(one.outpoint), one)
  }
}

function asReservation({ id, purpose, coins }: Row): Reservation {
  return { id, purpose, outpoints: coins.map((one) => one.outpoint) }
}
