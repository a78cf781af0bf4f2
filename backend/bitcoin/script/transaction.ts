// A Bitcoin transaction as a value: its bytes (by @scure/btc-signer), ID and weight.
import { RawTx } from '@scure/btc-signer'
import { toHex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import { sat } from '../units.js'
import { encodeSegwitBody } from './encode.js'
import { sha256d } from './hash.js'
import type { Transaction } from './shape.js'

export type { Outpoint, Transaction, TransactionInput, TransactionOutput } from './shape.js'

/** What a block can hold (BIP 141), so no transaction is longer: the limit before anything is parsed. */
export const MAX_TRANSACTION_BYTES = 4_000_000

/** Final by its sequence: neither lock time nor replacement applies. */
export const SEQUENCE_FINAL = 0xffff_ffff
/** Lock time applies, and the transaction may be replaced (BIP 125). */
export const SEQUENCE_REPLACEABLE = 0xffff_fffd

const NO_BYTES = new Uint8Array()

/**
 * The bytes that are relayed: with witnesses if any input has one.
 *
 * @throws PerkunasError INVALID_ARGUMENT if a part has no form in a transaction, such as an ID that has not 32 bytes
 */
export function encodeTransaction(tx: Transaction): Uint8Array {
  return encode(
    tx,
    tx.inputs.some(({ witness }) => witness.length > 0),
  )
}

/** The bytes without witnesses, of which the ID is made. @throws PerkunasError INVALID_ARGUMENT likewise */
export function encodeWithoutWitness(tx: Transaction): Uint8Array {
  return encode(tx, false)
}

/**
 * Reads one transaction that fills `bytes`.
 *
 * @throws PerkunasError TOO_LARGE beyond {@link MAX_TRANSACTION_BYTES}; INVALID_MESSAGE if it is anything else than
 *   one transaction in its only encoding, or moves more money than there is
 */
export function decodeTransaction(bytes: Uint8Array): Transaction {
  if (bytes.length > MAX_TRANSACTION_BYTES) {
    throw new PerkunasError('TOO_LARGE', `transaction of ${bytes.length} bytes`, {
      limit: MAX_TRANSACTION_BYTES,
      actual: bytes.length,
    })
  }
  try {
    const raw = RawTx.decode(bytes)
    if (raw.segwitFlag === true && raw.witnesses?.every((items) => items.length === 0) !== false) {
      throw new Error('marked as segwit without any witness')
    }
    return {
      version: raw.version,
      inputs: raw.inputs.map(({ txid, index, finalScriptSig, sequence }, i) => ({
        outpoint: { txid: txid.slice().reverse(), index },
        sequence,
        ...(finalScriptSig.length > 0 ? { scriptSig: finalScriptSig } : {}),
        witness: raw.witnesses?.[i] ?? [],
      })),
      outputs: raw.outputs.map(({ amount, script }) => ({ amount: sat(amount), script })),
      locktime: raw.lockTime,
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.slice(0, 200) : 'unreadable'
    throw new PerkunasError(
      'INVALID_MESSAGE',
      `a transaction expected: ${reason}`,
      { path: 'transaction', reason },
      { cause },
    )
  }
}

/** The transaction's ID: 32 bytes as in an outpoint. It does not change by signing segwit inputs. */
export function transactionID(tx: Transaction): Uint8Array {
  const plain = tx.inputs.every(({ scriptSig }) => scriptSig === undefined)
  return sha256d(plain ? encodeSegwitBody(tx) : encode(tx, false))
}

/** An ID the way that people and RPC write it: reversed, hex digits without `0x`. */
export function displayID(txid: Uint8Array): string {
  return toHex(txid.slice().reverse()).slice(2)
}

/** Weight (BIP 141): four times the bytes without witnesses, plus the bytes of the witnesses. */
export function weightOf(tx: Transaction): number {
  return 3 * encode(tx, false).length + encodeTransaction(tx).length
}

/** The same transaction with the witness of one input. */
export function withWitness(tx: Transaction, input: number, witness: readonly Uint8Array[]): Transaction {
  return { ...tx, inputs: tx.inputs.map((one, i) => (i === input ? { ...one, witness } : one)) }
}

function encode(tx: Transaction, witnesses: boolean): Uint8Array {
  try {
    return RawTx.encode({
      version: tx.version,
      segwitFlag: witnesses,
      inputs: tx.inputs.map(({ outpoint, sequence, scriptSig }) => ({
        txid: outpoint.txid.slice().reverse(),
        index: outpoint.index,
        finalScriptSig: scriptSig ?? NO_BYTES,
        sequence,
      })),
      outputs: tx.outputs.map(({ amount, script }) => ({ amount, script })),
      witnesses: witnesses ? tx.inputs.map(({ witness }) => [...witness]) : undefined,
      lockTime: tx.locktime,
    })
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.slice(0, 200) : 'it has no encoding'
    throw new PerkunasError(
      'INVALID_ARGUMENT',
      `a transaction expected: ${reason}`,
      { argument: 'tx' },
      { cause },
    )
  }
}
