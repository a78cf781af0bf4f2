// The human-readable part of a BOLT 11 invoice: a currency and, if the payee asks for one, an amount.
import { PerkunasError } from '../../../channel/errors.js'
import { MAX_MSAT, type Msat, msat } from '../units.js'
import { refuse } from './refuse.js'

/** Bitcoin's networks by the prefixes of BIP 173: mainnet, testnet, signet, regtest. */
export type Currency = 'bc' | 'tb' | 'tbs' | 'bcrt'

/** What the human-readable part says. */
export interface Prefix {
  readonly currency: Currency
  /** The least that is to be paid; nothing if the payer may choose. */
  readonly amount?: Msat
}

// A bitcoin is 10^11 thousandths of a satoshi. The `p` is a tenth of one, so that its last digit must be 0.
const BITCOIN = 100_000_000_000n
const MULTIPLIERS = [
  ['', BITCOIN],
  ['m', BITCOIN / 1000n],
  ['u', BITCOIN / 1_000_000n],
  ['n', BITCOIN / 1_000_000_000n],
] as const

// More than 21 million bitcoins can't be asked for in any unit: 2.1 · 10^19 `p`.
const MAX_DIGITS = 20

/**
 * Reads a human-readable part in lower case. Amounts may be in any unit, not only the largest that fits.
 *
 * @throws PerkunasError INVALID_MESSAGE: unknown-prefix, invalid-amount, invalid-multiplier, sub-millisatoshi
 */
export function parsePrefix(text: string): Prefix {
  const [, currency, amount = ''] = /^ln([a-z]*)(.*)$/s.exec(text) ?? []
  if (!isCurrency(currency)) return refuse('invoice.prefix', 'unknown-prefix', text.slice(0, 40))
  return amount === '' ? { currency } : { currency, amount: parseAmount(amount) }
}

/**
 * Writes a human-readable part, the amount in its shortest form.
 *
 * @throws PerkunasError INVALID_AMOUNT if the amount is zero; INVALID_ARGUMENT if the currency is unknown
 */
export function formatPrefix({ currency, amount }: Prefix): string {
  if (!isCurrency(currency))
    throw new PerkunasError('INVALID_ARGUMENT', `currency: bc, tb, tbs or bcrt expected, got ${currency}`, {
      argument: 'currency',
    })
  return `ln${currency}${amount === undefined ? '' : formatAmount(msat(amount))}`
}

function isCurrency(text: string | undefined): text is Currency {
  return text === 'bc' || text === 'tb' || text === 'tbs' || text === 'bcrt'
}

function parseAmount(text: string): Msat {
  const [, digits, unit = ''] = /^(\d+)(.*)$/s.exec(text) ?? []
  if (digits === undefined || digits.length > MAX_DIGITS || digits.startsWith('0'))
    return refuse('invoice.amount', 'invalid-amount', text.slice(0, 40))
  const number = BigInt(digits)
  let amount: bigint
  if (unit === 'p') {
    if (number % 10n !== 0n) return refuse('invoice.amount', 'sub-millisatoshi', text)
    amount = number / 10n
  } else {
    const multiplier = MULTIPLIERS.find(([letter]) => letter === unit)
    if (multiplier === undefined) return refuse('invoice.amount', 'invalid-multiplier', text.slice(0, 40))
    amount = number * multiplier[1]
  }
  if (amount > MAX_MSAT) return refuse('invoice.amount', 'invalid-amount', text)
  return msat(amount)
}

function formatAmount(amount: Msat): string {
  if (amount === 0n)
    throw new PerkunasError('INVALID_AMOUNT', 'an invoice asks for more than 0 or for no amount', {
      actual: amount,
    })
  for (const [letter, size] of MULTIPLIERS) if (amount % size === 0n) return `${amount / size}${letter}`
  return `${amount * 10n}p`
}
