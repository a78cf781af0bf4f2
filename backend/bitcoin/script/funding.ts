// Funding transactions: the one of a single opener, and the one that two sides build together (BOLT 3, "Funding
// Transaction Output", "Calculating Fees for Collaborative Transactions"; BOLT 2, "Interactive Transaction Construction").
import { PerkunasError } from '../../../channel/errors.js'
import { add, type FeeratePerKw, feeratePerKw, type Sat, sat, sub } from '../units.js'
import { encodeOutputs } from './encode.js'
import { dustLimitOf, feeOf } from './fees.js'
import { compareBytes, fundingScript, p2wsh } from './scripts.js'
import { type Outpoint, SEQUENCE_FINAL, type Transaction, type TransactionOutput } from './transaction.js'

/** An output of the wallet that pays for a channel. */
export interface FundingInput {
  readonly outpoint: Outpoint
  readonly amount: Sat
  /** Of the whole input, script or witness included, such as 272 for P2WPKH (41 · 4 + 108). */
  readonly weight: number
}

/** A funding transaction without witnesses. */
export interface FundingTransaction {
  readonly transaction: Transaction
  /** Which output is the channel's. */
  readonly fundingIndex: number
  /** Which output is the change, if there is any. */
  readonly changeIndex?: number
  readonly fee: Sat
}

/** The output that a channel lives on. */
export function fundingOutput(amount: Sat, keys: readonly [Uint8Array, Uint8Array]): TransactionOutput {
  return { amount, script: p2wsh(fundingScript(...keys)) }
}

/**
 * The transaction of a single opener. Change below dust goes to the fee. Outputs are ordered by BIP 69.
 *
 * @throws PerkunasError INVALID_STATE if the inputs don't cover amount and fee
 */
export function buildFunding(request: {
  readonly inputs: readonly FundingInput[]
  readonly output: TransactionOutput
  readonly changeScript: Uint8Array
  readonly feerate: FeeratePerKw
  readonly locktime?: number
  readonly sequence?: number
}): FundingTransaction {
  const { inputs, output, changeScript, feerate } = request
  const total = inputs.reduce((sum, { amount }) => add(sum, amount), sat(0n))
  const weightWith = (outputs: readonly TransactionOutput[]) =>
    4 * (4 + 1 + 1 + encodeOutputs(outputs).length + 4) + inputs.reduce((sum, { weight }) => sum + weight, 0)
  const plainFee = feeOf(feerate, weightWith([output]))
  const changeFee = feeOf(feerate, weightWith([output, { amount: sat(0n), script: changeScript }]))
  const rest = total - output.amount
  if (rest < plainFee) {
    const rule = `inputs of ${total} sat don't cover ${output.amount} sat and a fee of ${plainFee} sat`
    throw new PerkunasError('INVALID_STATE', rule, { rule })
  }
  const change: TransactionOutput | undefined =
    rest - changeFee >= dustLimitOf(changeScript)
      ? { amount: sat(rest - changeFee), script: changeScript }
      : undefined
  const outputs = [output, ...(change === undefined ? [] : [change])].sort((a, b) =>
    a.amount === b.amount ? compareBytes(a.script, b.script) : a.amount < b.amount ? -1 : 1,
  )
  return {
    transaction: {
      version: 2,
      inputs: inputs.map(({ outpoint }) => ({
        outpoint,
        sequence: request.sequence ?? SEQUENCE_FINAL,
        witness: [],
      })),
      outputs,
      locktime: request.locktime ?? 0,
    },
    fundingIndex: outputs.indexOf(output),
    ...(change === undefined ? {} : { changeIndex: outputs.indexOf(change) }),
    fee: change === undefined ? sat(rest) : changeFee,
  }
}

/** What tx_add_input says, as far as it is in the transaction. */
export interface SharedInput {
  readonly serialID: bigint
  readonly outpoint: Outpoint
  readonly sequence: number
}

/** What tx_add_output says. */
export interface SharedOutput extends TransactionOutput {
  readonly serialID: bigint
}

/** The transaction that both sides' inputs and outputs make, in the order of their serial IDs, without witnesses. */
export function buildShared(parts: {
  readonly inputs: readonly SharedInput[]
  readonly outputs: readonly SharedOutput[]
  readonly locktime: number
}): Transaction {
  return {
    version: 2,
    inputs: [...parts.inputs]
      .sort(bySerialID)
      .map(({ outpoint, sequence }) => ({ outpoint, sequence, witness: [] })),
    outputs: [...parts.outputs].sort(bySerialID).map(({ amount, script }) => ({ amount, script })),
    locktime: parts.locktime,
  }
}

/** The least that a side's inputs are counted with for each witness, in bytes. @see BOLT 3, Appendix G */
export const MINIMUM_WITNESS = 107

/**
 * The weight that one side pays for: its inputs and outputs, and if it is the initiator the fields in common.
 *
 * @param contribution of each input the bytes of its witness as in tx_signatures; of the initiator's outputs the
 *   channel's is one
 * @see BOLT 3, "Calculating Fees for Collaborative Transactions" and Appendix G
 */
export function contributionWeight(contribution: {
  readonly initiator: boolean
  readonly witnessBytes: readonly number[]
  readonly outputs: readonly TransactionOutput[]
}): number {
  const { initiator, witnessBytes, outputs } = contribution
  // Version, both counts, lock time; marker and flag.
  const common = initiator ? 4 * (4 + 1 + 1 + 4) + 2 : 0
  const witnesses = Math.max(
    witnessBytes.length * MINIMUM_WITNESS,
    witnessBytes.reduce((sum, bytes) => sum + bytes, 0),
  )
  return common + 4 * (41 * witnessBytes.length + encodeOutputs(outputs).length) + witnesses
}

/** The fee of a contribution, rounded up so that the whole reaches the feerate. */
export function contributionFee(feerate: FeeratePerKw, weight: number): Sat {
  return sat((BigInt(feerate) * BigInt(weight) + 999n) / 1000n)
}

/** What is left for a side's change after its contribution and fee. @throws PerkunasError INVALID_AMOUNT below zero */
export function sharedChange(side: {
  readonly inputs: Sat
  readonly contribution: Sat
  readonly fee: Sat
}): Sat {
  return sub(sub(side.inputs, side.contribution), side.fee)
}

function bySerialID(a: { readonly serialID: bigint }, b: { readonly serialID: bigint }): number {
  return a.serialID < b.serialID ? -1 : a.serialID > b.serialID ? 1 : 0
}

/** The least feerate at which tx_init_rbf may replace an attempt: 25/24 of its feerate, rounded down. @see BOLT 2 */
export function minimumNextFeerate(previous: FeeratePerKw): FeeratePerKw {
  return feeratePerKw(Math.floor((previous * 25) / 24))
}
