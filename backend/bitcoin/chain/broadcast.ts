// Handing transactions on, and what nodes say to them: Bitcoin Core's words, which Esplora's servers pass on.
import { toHex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import { decodeTransaction, displayID, transactionID } from '../script/index.js'
import type { BroadcastResult } from './source.js'

/** More than a child and its parents is not judged together (BIP 331). */
const MAX_PACKAGE = 25

/** A transaction as nodes want it. */
export interface Outgoing {
  readonly id: string
  readonly hex: string
}

/** @throws PerkunasError INVALID_ARGUMENT if there is none or too many; INVALID_MESSAGE if one is no transaction */
export function toOutgoing(transactions: readonly Uint8Array[]): readonly Outgoing[] {
  if (transactions.length === 0 || transactions.length > MAX_PACKAGE) {
    throw new PerkunasError(
      'INVALID_ARGUMENT',
      `1 to ${MAX_PACKAGE} transactions expected, got ${transactions.length}`,
      { argument: 'transactions' },
    )
  }
  return transactions.map((bytes) => ({
    id: displayID(transactionID(decodeTransaction(bytes))),
    hex: toHex(bytes).slice(2),
  }))
}

/** Whether it is on its way or there already. */
function isTaken({ kind }: BroadcastResult): boolean {
  return kind === 'accepted' || kind === 'known' || kind === 'confirmed'
}

/**
 * Hands transactions on one after the other, each of which may spend the one before it, as far as they are taken. Parents that
 * are in a block already are no part of a package any more.
 *
 * @returns what was said to the last one that was sent
 */
export async function oneByOne(
  all: readonly Outgoing[],
  send: (one: Outgoing) => Promise<BroadcastResult>,
): Promise<BroadcastResult> {
  let last: BroadcastResult = { kind: 'known' }
  for (const one of all) {
    last = await send(one)
    if (!isTaken(last)) return last
  }
  return last
}

const VERIFY_ERROR = -25
const VERIFY_REJECTED = -26
const ALREADY_CONFIRMED = -27
const NOT_DECODED = -22

/**
 * What a refusal means.
 *
 * @param code of JSON-RPC
 * @returns undefined if it is no judgement of the transaction, but an error of the node
 */
export function refusalOf(reason: string, code: number): BroadcastResult | undefined {
  if (code === ALREADY_CONFIRMED || reason.includes('txn-already-known')) return { kind: 'confirmed' }
  if (code !== VERIFY_ERROR && code !== VERIFY_REJECTED && code !== NOT_DECODED) return undefined
  if (/txn-already-in-mempool|txn-same-nonwitness-data-in-mempool/.test(reason)) return { kind: 'known' }
  if (/missingorspent|missing inputs/i.test(reason)) return { kind: 'missingInputs', reason }
  if (/fee not met|insufficient fee|mempool full/.test(reason)) return { kind: 'feeTooLow', reason }
  return { kind: 'rejected', reason }
}
