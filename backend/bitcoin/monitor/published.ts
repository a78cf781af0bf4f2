// A commitment as it is read from the chain, its outputs recognized by their scripts: all there is of one that is revoked.
import { toHex } from '../../../channel/bytes.js'
import { commitmentKeys } from '../keys/index.js'
import {
  anchorScript,
  type Claim,
  claimOfPayment,
  delayedScript,
  FORMATS,
  htlcScripts,
  P2A_SCRIPT,
  type PublishedCommitment,
  type PublishedOutput,
  p2wpkh,
  p2wsh,
  type Transaction,
  toRemoteScript,
  transactionID,
} from '../script/index.js'
import type { MonitorTerms } from './record.js'
import type { RevokedHtlc } from './state.js'

/**
 * The peer's commitment from its transaction. Outputs that it should not have are left out.
 *
 * @param point the peer's, of that number
 * @param htlcs those with an output; which side offered one shows in its script
 * @returns undefined if not even one balance or HTLC is there, so that it is none of that number
 */
export function readCommitment(
  tx: Transaction,
  known: {
    readonly terms: MonitorTerms
    readonly number: bigint
    readonly point: Uint8Array
    readonly htlcs: readonly RevokedHtlc[]
  },
): PublishedCommitment | undefined {
  const { setup, basepoints } = known.terms
  const { format } = setup
  const toSelfDelay = setup.toSelfDelay.remote
  const keys = commitmentKeys(setup.remote, basepoints, known.point)
  const delayed = delayedScript({
    revocation: keys.revocation,
    delayed: keys.localDelayed,
    delay: toSelfDelay,
  })
  const roles = new Map<string, Role>()
  const add = (script: Uint8Array, role: Role) => roles.set(toHex(script), role)
  const scripts = htlcScripts({ ...keys, delayed: FORMATS[format].oneBlockDelay })
  // Equal offered scripts may differ in expiry: the earliest counts, since nothing tells which output is whose.
  const latestFirst = [...known.htlcs].sort((a, b) => b.cltvExpiry - a.cltvExpiry)
  for (const { paymentHash, cltvExpiry } of latestFirst) {
    const offered = scripts.offered(paymentHash)
    const received = scripts.received(paymentHash, cltvExpiry)
    const common = { paymentHash, cltvExpiry }
    add(p2wsh(offered), {
      role: 'htlc',
      witnessScript: offered,
      htlc: { ...common, direction: 'offered' },
    })
    add(p2wsh(received), {
      role: 'htlc',
      witnessScript: received,
      htlc: { ...common, direction: 'received' },
    })
  }
  add(p2wsh(delayed), { role: 'to_local', witnessScript: delayed })
  add(paymentScript(known.terms), { role: 'to_remote' })
  const anchors = [
    ['local_anchor', keys.localFunding],
    ['remote_anchor', keys.remoteFunding],
  ] as const
  for (const [role, key] of anchors) {
    const witnessScript = anchorScript(key)
    if (FORMATS[format].anchors === 'pair') add(p2wsh(witnessScript), { role, witnessScript })
  }
  if (FORMATS[format].anchors === 'shared') add(P2A_SCRIPT, { role: 'shared_anchor' })

  const outputs = tx.outputs.flatMap(({ amount, script }, index): readonly PublishedOutput[] => {
    const role = roles.get(toHex(script))
    return role === undefined ? [] : [{ ...role, index, amount, script }]
  })
  if (!outputs.some(({ role }) => role === 'to_local' || role === 'to_remote' || role === 'htlc'))
    return undefined
  return {
    params: { format, number: known.number, keys, toSelfDelay },
    txid: transactionID(tx),
    outputs,
    delayedScript: delayed,
  }
}

/** Our balance in a commitment of the peer's of which nothing else is known. */
export function claimsOfPayment(terms: MonitorTerms, tx: Transaction): readonly Claim[] {
  const script = toHex(paymentScript(terms))
  const txid = transactionID(tx)
  return tx.outputs.flatMap((output, index) =>
    toHex(output.script) === script
      ? [
          claimOfPayment(terms.setup.format, terms.basepoints.payment, {
            outpoint: { txid, index },
            amount: output.amount,
          }),
        ]
      : [],
  )
}

type WithoutPlace<T> = T extends unknown ? Omit<T, 'index' | 'amount' | 'script'> : never
type Role = WithoutPlace<PublishedOutput>

/** Of the output to_remote in the peer's commitments. */
function paymentScript({ setup, basepoints }: MonitorTerms): Uint8Array {
  return FORMATS[setup.format].oneBlockDelay
    ? p2wsh(toRemoteScript(basepoints.payment))
    : p2wpkh(basepoints.payment)
}
