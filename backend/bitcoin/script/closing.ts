// Closing transactions of both forms, and the scripts that a peer may be paid to (BOLT 3, "Closing Transaction",
// "Legacy Closing Transaction"; BOLT 2, "Closing Initiation").
import { PerkunasError } from '../../../channel/errors.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'
import { type Msat, type Sat, sat, toSat } from '../units.js'
import type { Funding } from './commitment.js'
import { dustLimitOf } from './fees.js'
import { compareBytes, fundingScript } from './scripts.js'
import { witnessDigest } from './sighash.js'
import { fundingWitness } from './signing.js'
import {
  SEQUENCE_FINAL,
  SEQUENCE_REPLACEABLE,
  type Transaction,
  type TransactionOutput,
  withWitness,
} from './transaction.js'

/** What one side gets when a channel is closed. */
export interface ClosingShare {
  readonly balance: Msat
  /** As in its shutdown or closing_complete. */
  readonly script: Uint8Array
}

/** The funding output that a closing transaction spends, with both keys. */
export interface ClosingFunding extends Funding {
  readonly keys: readonly [Uint8Array, Uint8Array]
}

/** A closing transaction without witness, and whose its outputs are. */
export interface Closing<Side extends string> {
  readonly transaction: Transaction
  /** In the order of the transaction's outputs. */
  readonly owners: readonly Side[]
  readonly funding: ClosingFunding
  readonly fee: Sat
}

/** Which outputs a closing transaction has: the names of the fields of closing_tlvs. */
export type ClosingVariant = 'closer_output_only' | 'closee_output_only' | 'closer_and_closee_outputs'

/**
 * The transaction of option_simple_close: the closer pays the fee and chooses the lock time.
 *
 * @throws PerkunasError INVALID_STATE if the closer can't pay the fee, an output other than OP_RETURN is dust, or the
 *   shares exceed the funding; INVALID_ARGUMENT for two equal funding keys
 */
export function buildClosing(request: {
  readonly funding: ClosingFunding
  readonly closer: ClosingShare
  readonly closee: ClosingShare
  /** Taken from the closer. */
  readonly fee: Sat
  readonly locktime: number
  readonly variant: ClosingVariant
}): Closing<'closer' | 'closee'> {
  const { closer, closee, fee, variant } = request
  const closerAmount = toSat(closer.balance) - fee
  if (closerAmount < 0n)
    throw invalid(`a fee of ${fee} sat exceeds the closer's ${toSat(closer.balance)} sat`)
  const outputs: ShareOutput<'closer' | 'closee'>[] = []
  if (variant !== 'closee_output_only') outputs.push(share('closer', sat(closerAmount), closer.script))
  if (variant !== 'closer_output_only') outputs.push(share('closee', toSat(closee.balance), closee.script))
  for (const { owner, amount, script } of outputs) {
    if (amount < dustLimitOf(script)) throw invalid(`the ${owner}'s output of ${amount} sat is dust`)
  }
  return assemble(request.funding, outputs, { sequence: SEQUENCE_REPLACEABLE, locktime: request.locktime })
}

/**
 * The variants that the closer signs for closing_complete, or of which the closee selects one.
 *
 * @see BOLT 2, "Closing Negotiation: closing_complete and closing_sig"
 */
export function closingVariants(request: {
  readonly closer: ClosingShare
  readonly closee: ClosingShare
  readonly fee: Sat
}): readonly ClosingVariant[] {
  const { closer, closee, fee } = request
  const closerAmount = isOpReturn(closer.script) ? 0n : toSat(closer.balance) - fee
  const closerIsDust = closerAmount < dustLimitOf(closer.script)
  const closeeIsDust = !isOpReturn(closee.script) && toSat(closee.balance) < dustLimitOf(closee.script)
  // Only who has less may leave out its own output.
  if (closer.balance < closee.balance) {
    return closerIsDust ? ['closee_output_only'] : ['closer_and_closee_outputs']
  }
  if (closerIsDust) return []
  return closeeIsDust ? ['closer_output_only'] : ['closer_output_only', 'closer_and_closee_outputs']
}

/**
 * The transaction of closing_signed: the opener pays the fee, final and without lock time.
 *
 * @param request `dustLimit` is that of who offers the signature; `omitLocal` leaves out its own output
 * @throws PerkunasError INVALID_STATE if the opener can't pay the fee, or no output is left
 */
export function buildLegacyClosing(request: {
  readonly funding: ClosingFunding
  readonly local: ClosingShare
  readonly remote: ClosingShare
  readonly opener: 'local' | 'remote'
  readonly fee: Sat
  readonly dustLimit: Sat
  readonly omit?: 'local' | 'remote'
}): Closing<'local' | 'remote'> {
  const { opener, fee, dustLimit, omit } = request
  const outputs: ShareOutput<'local' | 'remote'>[] = []
  for (const owner of ['local', 'remote'] as const) {
    const { balance, script } = request[owner]
    const amount = toSat(balance) - (owner === opener ? fee : 0n)
    if (amount < 0n) throw invalid(`a fee of ${fee} sat exceeds the opener's ${toSat(balance)} sat`)
    if (owner !== omit && amount >= dustLimit) outputs.push({ owner, amount: sat(amount), script })
  }
  return assemble(request.funding, outputs, { sequence: SEQUENCE_FINAL, locktime: 0 })
}

/** Signs as one of the two, compact. */
export function signClosing(closing: Closing<string>, fundingSecret: Uint8Array): Uint8Array {
  return secp256k1.sign(closingDigest(closing), fundingSecret).signature
}

/** Whether a signature is by that funding key. */
export function verifyClosing(
  closing: Closing<string>,
  signature: Uint8Array,
  fundingKey: Uint8Array,
): boolean {
  return secp256k1.verify(signature, closingDigest(closing), fundingKey)
}

/** With both signatures, in the order of `funding.keys`. */
export function completeClosing(
  { transaction, funding }: Closing<string>,
  signatures: readonly [Uint8Array, Uint8Array],
): Transaction {
  const [one, other] = funding.keys
  return withWitness(
    transaction,
    0,
    fundingWitness(fundingScript(one, other), [
      { key: one, signature: signatures[0] },
      { key: other, signature: signatures[1] },
    ]),
  )
}

/** Whether a peer may be paid to a script at closing. @see BOLT 2, "Closing Initiation: shutdown" */
export function isShutdownScript(
  script: Uint8Array,
  negotiated: { readonly anySegwit: boolean; readonly simpleClose: boolean },
): boolean {
  const [first = 0, second = 0, third = 0] = script
  if (first === 0x00) return second === script.length - 2 && (second === 20 || second === 32)
  if (first >= 0x51 && first <= 0x60) {
    return negotiated.anySegwit && second === script.length - 2 && second >= 2 && second <= 40
  }
  if (first !== 0x6a || !negotiated.simpleClose) return false
  if (second === 76) return third >= 76 && third <= 80 && script.length === 3 + third
  return second >= 6 && second <= 75 && script.length === 2 + second
}

/** Whether a script is provably unspendable: its output carries no amount, and its owner gets nothing. */
export function isOpReturn(script: Uint8Array): boolean {
  return script[0] === 0x6a
}

interface ShareOutput<Side> extends TransactionOutput {
  readonly owner: Side
}

function share<Side>(owner: Side, amount: Sat, script: Uint8Array): ShareOutput<Side> {
  return { owner, amount: isOpReturn(script) ? sat(0n) : amount, script }
}

function assemble<Side extends string>(
  funding: ClosingFunding,
  outputs: ShareOutput<Side>[],
  { sequence, locktime }: { readonly sequence: number; readonly locktime: number },
): Closing<Side> {
  if (outputs.length === 0) throw invalid('no output is left')
  outputs.sort((a, b) =>
    a.amount === b.amount ? compareBytes(a.script, b.script) : a.amount < b.amount ? -1 : 1,
  )
  const fee = funding.amount - outputs.reduce((sum, { amount }) => sum + amount, 0n)
  if (fee < 0n) throw invalid('the shares exceed the funding amount')
  return {
    transaction: {
      version: 2,
      inputs: [{ outpoint: funding.outpoint, sequence, witness: [] }],
      outputs: outputs.map(({ amount, script }) => ({ amount, script })),
      locktime,
    },
    owners: outputs.map(({ owner }) => owner),
    funding,
    fee: sat(fee),
  }
}

function closingDigest({ transaction, funding }: Closing<string>): Uint8Array {
  return witnessDigest(transaction, 0, {
    amount: funding.amount,
    scriptCode: fundingScript(...funding.keys),
  })
}

function invalid(rule: string): PerkunasError {
  return new PerkunasError('INVALID_STATE', rule, { rule })
}
