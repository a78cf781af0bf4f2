// What holds of a channel after every step, whatever came in. Tests ask after each; what they compare between the two
// sides, or between steps, they do themselves.

import { revokedCount } from '../keys/index.js'
import { ANCHOR_AMOUNT } from '../script/index.js'
import { toMsat } from '../units.js'
import { viewOf } from './book.js'
import { isAwaitingRevocation } from './commitments.js'
import { MAX_HTLCS } from './policy.js'
import type { Live } from './state.js'

/** The first rule that does not hold, or undefined. */
export function faultOfChannel(live: Live): string | undefined {
  return faultOfAmounts(live) ?? faultOfNumbers(live) ?? faultOfIDs(live) ?? faultOfReserve(live)
}

/** I1: balances and HTLCs are the capacity in each of the four commitments; nothing is negative. */
function faultOfAmounts({ book, terms }: Live): string | undefined {
  for (const holder of ['local', 'remote'] as const) {
    for (const age of ['newest', 'oldest'] as const) {
      const { toLocal, toRemote, htlcs } = viewOf(book, holder, age)
      const sum = htlcs.reduce((total, { amount }) => total + amount, toLocal + toRemote)
      if (sum !== toMsat(terms.capacity)) return `I1: ${holder} ${age} is worth ${sum} msat`
      if (toLocal < 0n || toRemote < 0n) return `I1: ${holder} ${age} has a negative balance`
      for (const direction of ['offered', 'received']) {
        if (htlcs.filter((one) => one.direction === direction).length > MAX_HTLCS)
          return `I1: ${holder} ${age} has too many HTLCs ${direction}`
      }
    }
  }
  return undefined
}

/** I2: the peer has at most two commitments that are not revoked, we have one; what is awaited can be repeated. */
function faultOfNumbers(live: Live): string | undefined {
  const { signer, batch, phase } = live
  const open = signer.signed - revokedCount(signer)
  if (open < 1n || open > 2n) return `I2: the peer has ${open} commitments`
  if (signer.validated - signer.released !== 1n) return 'I2: we have other than one commitment'
  if (phase !== 'failed' && isAwaitingRevocation(live) !== (batch !== undefined)) {
    return 'I2: a batch is kept as long as its revocation is awaited'
  }
  return undefined
}

/** I4: an ID names one HTLC, and is below the next one of its direction. */
function faultOfIDs({ book }: Live): string | undefined {
  for (const offerer of ['local', 'remote'] as const) {
    const ids = book.htlcs.filter((one) => one.offerer === offerer).map(({ id }) => id)
    if (new Set(ids).size !== ids.length) return `I4: an ID of ${offerer} names two HTLCs`
    if (ids.some((id) => id >= book.offered[offerer])) return `I4: an ID of ${offerer} is not given out yet`
  }
  return undefined
}

/** I5: who does not pay fees keeps its reserve beside everything it offers, unless it never had it. */
function faultOfReserve({ book, terms }: Live): string | undefined {
  const anchors = toMsat(ANCHOR_AMOUNT)
  for (const side of ['local', 'remote'] as const) {
    const isOffering = book.htlcs.some(({ offerer, stage }) => offerer === side && stage === 'countersigned')
    if (!isOffering || terms.opener === side) continue
    const view = viewOf(book, side)
    const { reserve } = terms[side === 'local' ? 'remote' : 'local']
    if (view.toLocal < toMsat(reserve)) {
      return `I5: ${side} has ${view.toLocal} msat of ${reserve} sat (${anchors})`
    }
  }
  return undefined
}
