// Preimages in what the peer publishes: whichever commitment it spends, and however, a preimage of what we offered is 32
// bytes in the witness.
//
// Only HTLCs that we offered learn from it. One of the peer's with the same hash stays as it is: its preimage is ours to
// give, and was not asked for by who pays it.
import { toHex } from '../../../channel/bytes.js'
import { sha256, type Transaction } from '../script/index.js'
import type { MonitorUpdate } from './record.js'
import { liveHtlcs, type MonitorState, preimageOf } from './state.js'

/** What is to be learned of a transaction that spends what is watched. */
export function preimagesIn(
  known: MonitorState,
  { inputs }: Transaction,
): readonly (MonitorUpdate & { readonly kind: 'preimage' })[] {
  const open = liveHtlcs(known).filter(
    (htlc) => htlc.offerer === 'local' && preimageOf(known, htlc) === undefined,
  )
  if (open.length === 0) return []
  const found = new Map<string, Uint8Array>()
  for (const { witness } of inputs) {
    // The script comes last, and no way to spend an HTLC needs more than four items before it.
    for (const item of witness.slice(0, 4)) if (item.length === 32) found.set(toHex(sha256(item)), item)
  }
  return open.flatMap(({ offerer, id, paymentHash }) => {
    const preimage = found.get(toHex(paymentHash))
    return preimage === undefined
      ? []
      : [{ kind: 'preimage', htlc: { offerer, id }, paymentHash, preimage } as const]
  })
}
