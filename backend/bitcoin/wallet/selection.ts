// Which coins pay for a transaction, and what is left. Pure; the choice is @scure/btc-signer's, the sums are exact.
//
// Its feerates are whole satoshis a vbyte, so it chooses for the next higher one; what the transaction pays is computed for
// the feerate that was asked for.
import { Address, NETWORK, OutScript, selectUTXO } from '@scure/btc-signer'
import { type Facts, PerkunasError } from '../../../channel/errors.js'
import { dustLimitOf, encodeWithoutWitness, type TransactionOutput } from '../script/index.js'
import { type FeeratePerKw, type Sat, sat } from '../units.js'
import type { Coin, CoinKind } from './wallet.js'

/** The weight of an input that spends a coin of that kind, with its witness, at most. */
export const INPUT_WEIGHT: Readonly<Record<CoinKind, number>> = {
  // Outpoint, empty script, sequence; two items, a signature of at most 72 bytes, a key.
  p2wpkh: 4 * 41 + 108,
  // One item, a signature of 64 bytes.
  p2tr: 4 * 41 + 66,
}

/** Marker and flag of segwit. */
const SEGWIT_WEIGHT = 2

/** What a choice is made for. */
export interface Selection {
  /** From which to choose, all of them free. */
  readonly coins: readonly Coin[]
  readonly outputs: readonly TransactionOutput[]
  readonly feerate: FeeratePerKw
  readonly changeScript: Uint8Array
  /** What must be left of `coins`, change included. */
  readonly keep: Sat
}

/** What was chosen. */
export interface Selected {
  readonly coins: readonly Coin[]
  readonly fee: Sat
  /** Absent if it would be dust: then it is in the fee. */
  readonly change?: Sat
}

/**
 * Chooses coins for outputs and fee.
 *
 * @throws PerkunasError INSUFFICIENT_FUNDS
 */
export function selectCoins(selection: Selection): Selected {
  const { coins, outputs, keep } = selection
  const target = outputs.reduce((sum, { amount }) => sum + amount, 0n)
  const available = total(coins)
  const chosen = candidates(selection)
    .map((some) => pay(some, selection))
    .find((one) => one !== undefined)
  if (chosen === undefined) throw insufficient({ needed: target + keep, available, keep })
  const left = available - total(chosen.coins) + (chosen.change ?? 0n)
  if (left < keep) throw insufficient({ needed: target + chosen.fee + keep, available, keep })
  return chosen
}

/** A fee, rounded up, so that the transaction reaches its feerate. */
export function feeFor(feerate: FeeratePerKw, weight: number): bigint {
  return (BigInt(feerate) * BigInt(weight) + 999n) / 1000n
}

/** Too little. Parts that are 0 are not told. */
export function insufficient(facts: Facts['INSUFFICIENT_FUNDS']): PerkunasError<'INSUFFICIENT_FUNDS'> {
  const { needed, available, keep = 0n, unconfirmed = 0n, immature = 0n, reserved = 0n } = facts
  const rest = Object.entries({ unconfirmed, immature, reserved }).filter(([, amount]) => amount > 0n)
  const stays = keep > 0n ? `, of which ${keep} sat must stay in the wallet,` : ''
  const besides = rest.map(([part, amount]) => `${amount} sat ${part}`).join(', ')
  return new PerkunasError(
    'INSUFFICIENT_FUNDS',
    `${needed} sat and fees needed${stays} ${available} sat confirmed and free${besides && `; besides ${besides}`}`,
    { needed, available, ...(keep > 0n && { keep }), ...Object.fromEntries(rest) },
  )
}

/** Choices, the better first: the library's, or if that finds none, all that are worth more than they cost. */
function candidates({ coins, outputs, feerate, changeScript }: Selection): readonly (readonly Coin[])[] {
  const worth = coins.filter(({ amount, kind }) => amount > feeFor(feerate, INPUT_WEIGHT[kind]))
  const change = OutScript.decode(changeScript)
  if (change === undefined) return [worth]
  const chosen = selectUTXO(
    worth.map(({ outpoint, amount, script, kind }) => ({
      txid: outpoint.txid.slice().reverse(),
      index: outpoint.index,
      witnessUtxo: { amount, script },
      // Says that it is spent by its key; which one does not matter to the weight.
      ...(kind === 'p2tr' ? { tapInternalKey: script.subarray(2) } : {}),
    })),
    outputs.map(({ amount, script }) => ({ amount, script })),
    'default',
    {
      feePerByte: BigInt(Math.ceil((feerate * 4) / 1000)),
      changeAddress: Address(NETWORK).encode(change),
      dust: 1n,
      dustRelayFeeRate: dustLimitOf(changeScript),
      allowUnknownOutputs: true,
      disableScriptCheck: true,
    },
  )
  const ids = new Set(chosen?.inputs.map(({ txid, index }) => `${txid?.join()}:${index}`))
  const isChosen = ({ outpoint: { txid, index } }: Coin) =>
    ids.has(`${txid.slice().reverse().join()}:${index}`)
  return chosen === undefined ? [worth] : [worth.filter(isChosen), worth]
}

/** Undefined if the coins don't suffice. */
function pay(coins: readonly Coin[], { outputs, feerate, changeScript }: Selection): Selected | undefined {
  const target = outputs.reduce((sum, { amount }) => sum + amount, 0n)
  const rest = total(coins) - target
  const fee = feeFor(feerate, weightWith(coins, outputs))
  if (coins.length === 0 || rest < fee) return undefined
  const withChange = [...outputs, { amount: sat(0n), script: changeScript }]
  const change = rest - feeFor(feerate, weightWith(coins, withChange))
  return change >= dustLimitOf(changeScript)
    ? { coins, fee: sat(rest - change), change: sat(change) }
    : { coins, fee: sat(rest) }
}

function weightWith(coins: readonly Coin[], outputs: readonly TransactionOutput[]): number {
  const inputs = coins.map(({ outpoint }) => ({ outpoint, sequence: 0, witness: [] }))
  const frame = 4 * encodeWithoutWitness({ version: 2, inputs, outputs, locktime: 0 }).length
  const witnesses = coins.reduce((sum, { kind }) => sum + INPUT_WEIGHT[kind] - 4 * 41, 0)
  return frame + SEGWIT_WEIGHT + witnesses
}

function total(coins: readonly Coin[]): bigint {
  return coins.reduce((sum, { amount }) => sum + amount, 0n)
}
