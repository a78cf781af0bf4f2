// Transactions between signers (BIP 174, BIP 371), by @scure/btc-signer.
import { Transaction as Psbt, SigHash } from '@scure/btc-signer'
import { equalBytes } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import type { Transaction, TransactionOutput } from '../script/index.js'
import type { Reservations, ReservedCoin } from './reservations.js'

/** A PSBT of a transaction of 400 000 weight with all that signers may want to know. */
const MAX_PSBT_BYTES = 4_000_000

const OPTIONS = {
  allowUnknownVersion: true,
  allowUnknownOutputs: true,
  allowUnknownInputs: true,
  disableScriptCheck: true,
  unknown: 'ignore',
  proprietary: 'ignore',
} as const

/** What there is to say of an input beside what it spends. */
export type InputHints = Parameters<Psbt['addInput']>[0]

/**
 * A transaction as PSBT of version 0.
 *
 * @param spent what each input spends
 * @throws PerkunasError INVALID_ARGUMENT if that is not one for each
 */
export function buildPsbt(
  transaction: Transaction,
  spent: readonly TransactionOutput[],
  hints: (input: number) => InputHints = () => ({}),
): Uint8Array {
  if (spent.length !== transaction.inputs.length) {
    const message = `what each of ${transaction.inputs.length} inputs spends expected, got ${spent.length}`
    throw new PerkunasError('INVALID_ARGUMENT', message, { argument: 'spent' })
  }
  const psbt = new Psbt({ ...OPTIONS, version: transaction.version, lockTime: transaction.locktime })
  for (const [i, { outpoint, sequence }] of transaction.inputs.entries()) {
    const output = spent[i]
    psbt.addInput({
      txid: outpoint.txid.slice().reverse(),
      index: outpoint.index,
      sequence,
      ...(output === undefined ? {} : { witnessUtxo: { amount: output.amount, script: output.script } }),
      ...hints(i),
    })
  }
  for (const { amount, script } of transaction.outputs) psbt.addOutput({ amount, script })
  return psbt.toPSBT(0)
}

/** Reads a PSBT. @throws PerkunasError TOO_LARGE, INVALID_MESSAGE */
export function readPsbt(bytes: Uint8Array): Psbt {
  if (bytes.length > MAX_PSBT_BYTES) {
    throw new PerkunasError('TOO_LARGE', `a PSBT of ${bytes.length} bytes`, {
      limit: MAX_PSBT_BYTES,
      actual: bytes.length,
    })
  }
  try {
    return Psbt.fromPSBT(bytes, OPTIONS)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.slice(0, 200) : 'unreadable'
    throw new PerkunasError(
      'INVALID_MESSAGE',
      `a PSBT expected: ${reason}`,
      { path: 'psbt', reason },
      { cause },
    )
  }
}

/** An input that is the wallet's to sign. */
export interface OwnInput {
  readonly input: number
  readonly coin: ReservedCoin
}

/**
 * The inputs that spend reserved coins.
 *
 * What a PSBT says of them is held against what is known: who lies about an amount would have a fee paid that nobody means,
 * and who asks for another kind of signature could change the transaction afterwards.
 *
 * @throws PerkunasError INVALID_ARGUMENT if it says something else, or an output that any of them depends on is missing
 */
export function ownInputs(psbt: Psbt, reservations: Reservations): readonly OwnInput[] {
  const own: OwnInput[] = []
  let known = 0
  for (let input = 0; input < psbt.inputsLength; input++) {
    const { txid, index, witnessUtxo, sighashType } = psbt.getInput(input)
    if (witnessUtxo !== undefined) known++
    if (txid === undefined || index === undefined) continue
    const coin = reservations.at({ txid: txid.slice().reverse(), index })
    if (coin === undefined) continue
    if (witnessUtxo !== undefined && !isSame(witnessUtxo, coin)) throw refusal(input, 'spends something else')
    if (sighashType !== undefined && sighashType !== SigHash.ALL && sighashType !== SigHash.DEFAULT) {
      throw refusal(input, 'asks for a signature that does not cover the transaction')
    }
    own.push({ input, coin })
  }
  const [first] = own.filter(({ coin }) => coin.kind === 'p2tr')
  // What a version 1 witness signs contains all that is spent.
  if (first !== undefined && known < psbt.inputsLength)
    throw refusal(first.input, 'needs to know all that is spent')
  return own
}

/** A transaction with the final witnesses that a PSBT has for some of its inputs. */
export function takeWitnesses(
  transaction: Transaction,
  psbt: Uint8Array,
  inputs: ReadonlySet<number>,
): Transaction {
  const signed = readPsbt(psbt)
  return {
    ...transaction,
    inputs: transaction.inputs.map((one, i) => {
      const witness = inputs.has(i) ? signed.getInput(i).finalScriptWitness : undefined
      return witness === undefined ? one : { ...one, witness }
    }),
  }
}

function isSame(a: { readonly amount: bigint; readonly script: Uint8Array }, b: TransactionOutput): boolean {
  return a.amount === b.amount && equalBytes(a.script, b.script)
}

function refusal(input: number, reason: string): PerkunasError<'INVALID_ARGUMENT'> {
  return new PerkunasError('INVALID_ARGUMENT', `input ${input} ${reason}`, { argument: 'psbt' })
}
