// Claims: every way of ours to an output of a commitment or an HTLC transaction that is on chain, as data
// (BOLT 5, "Commitment Transaction", "Revoked Transaction Close Handling").
//
//     commitment     output            claim                            who signs with what
//     ours           to_local          delayed                          local delayed
//     ours           HTLC transaction  delayed                          local delayed
//     ours           anchor            anchor (or anybody, after 16)    local funding
//     theirs         to_remote         payment                          our payment basepoint
//     theirs         HTLC we offered   htlc_timeout                     our HTLC key in their commitment
//     theirs         HTLC they offered htlc_preimage                    our HTLC key in their commitment
//     theirs         anchor            anchor                           our funding
//     theirs,        to_local, HTLCs   penalty                          revocation
//       revoked      HTLC transaction  penalty                          revocation
//
// "Local" is the holder of the commitment, as in commitment.ts: of theirs, we are "remote".
import { PerkunasError } from '../../../channel/errors.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'
import { add, type FeeratePerKw, type Sat, sat, sub } from '../units.js'
import {
  type Commitment,
  type CommitmentOutput,
  type HtlcOutput,
  htlcTransactionAmount,
  type PublishedCommitment,
  type PublishedOutput,
} from './commitment.js'
import { countBytes, encodeOutputs } from './encode.js'
import { dustLimitOf, feeOf } from './fees.js'
import { type CommitmentFormat, FORMATS } from './format.js'
import { p2wpkhScriptCode, toRemoteScript } from './scripts.js'
import { witnessDigest } from './sighash.js'
import { SIGHASH_ALL, witnessSignature } from './signature.js'
import type { Outpoint, Transaction } from './transaction.js'

/** The key whose secret signs a claim, by its role in the commitment; `none` where anybody may claim. */
export type ClaimKey =
  | 'localDelayed'
  | 'localFunding'
  | 'remoteFunding'
  | 'remotePayment'
  | 'remoteHtlc'
  | 'revocation'
  | 'none'

/** One output that can be spent, and how. */
export interface Claim {
  readonly kind: 'delayed' | 'payment' | 'htlc_timeout' | 'htlc_preimage' | 'penalty' | 'anchor'
  readonly outpoint: Outpoint
  readonly amount: Sat
  /** Confirmations of the output that must be there when the claim gets into a block (BIP 68). */
  readonly sequence: number
  /** Height below which it can't get into a block; 0 for none. */
  readonly locktime: number
  readonly key: ClaimKey
  /** What the signature commits to. */
  readonly scriptCode: Uint8Array
  /** In its place stands the signature. */
  readonly witness: readonly (Uint8Array | 'signature')[]
}

// Replaceable, without a relative lock time.
const NOW = 0xffff_fffd
const EMPTY = new Uint8Array()
const ONE = Uint8Array.of(1)
// r and s of 32 bytes, DER, sighash byte, and one byte that BOLT 3 counts although low s never needs it.
const SIGNATURE_LENGTH = 73

/**
 * What the holder of a published commitment can claim itself: the delayed balance and the anchors. Its HTLCs it gets by
 * HTLC transactions, then by {@link claimOfHtlcTransaction}.
 */
export function claimsOfHolder(commitment: Commitment): readonly Claim[] {
  return commitment.outputs.flatMap((output) => {
    const at = place(output, commitment.txid)
    if (output.role === 'to_local') return [delayedClaim(commitment, at)]
    return anchorClaims(output, at, 'local_anchor')
  })
}

/**
 * What its counterparty can claim of a published commitment that is not revoked.
 *
 * @param preimageOf the preimage of an HTLC, if it is known: without it an HTLC that the holder offered can't be claimed
 */
export function claimsOfCounterparty(
  commitment: Commitment,
  preimageOf: (output: HtlcOutput) => Uint8Array | undefined,
): readonly Claim[] {
  return commitment.outputs.flatMap((output) => {
    const at = place(output, commitment.txid)
    if (output.role === 'to_remote') {
      return [claimOfPayment(commitment.params.format, commitment.params.keys.remotePayment, at)]
    }
    if (output.role !== 'htlc') return anchorClaims(output, at, 'remote_anchor')
    const { witnessScript, htlc } = output
    const common = {
      ...at,
      sequence: delayOf(commitment),
      key: 'remoteHtlc',
      scriptCode: witnessScript,
    } as const
    if (htlc.direction === 'received') {
      const witness = ['signature', EMPTY, witnessScript] as const
      return [{ ...common, kind: 'htlc_timeout', locktime: htlc.cltvExpiry, witness } as const]
    }
    const preimage = preimageOf(output)
    if (preimage === undefined) return []
    const witness = ['signature', preimage, witnessScript] as const
    return [{ ...common, kind: 'htlc_preimage', locktime: 0, witness } as const]
  })
}

/** What its counterparty can claim of a published commitment that was revoked: everything. */
export function claimsOfPunisher(commitment: PublishedCommitment): readonly Claim[] {
  return commitment.outputs.flatMap((output) => {
    const at = place(output, commitment.txid)
    switch (output.role) {
      case 'to_local':
        return [delayedPenalty(commitment, at)]
      case 'to_remote':
        return [claimOfPayment(commitment.params.format, commitment.params.keys.remotePayment, at)]
      case 'htlc':
        return [penalty(at, output.witnessScript, commitment.params.keys.revocation)]
      default:
        return anchorClaims(output, at, 'remote_anchor')
    }
  })
}

/**
 * The output of an HTLC transaction.
 *
 * @param by the commitment's holder after its delay, or at once who punishes it for publishing a revoked one
 * @param outpoint of the HTLC transaction that was seen on chain, wherever its holder put the output
 */
export function claimOfHtlcTransaction(
  commitment: Commitment,
  output: HtlcOutput,
  { by, outpoint }: { readonly by: 'holder' | 'punisher'; readonly outpoint: Outpoint },
): Claim {
  return claimOfDelayed(commitment, { by, outpoint, amount: htlcTransactionAmount(commitment, output) })
}

/** An output that pays to the delayed script of a commitment: its balance, or of HTLC transactions as seen on chain. */
export function claimOfDelayed(
  commitment: Pick<PublishedCommitment, 'params' | 'delayedScript'>,
  { by, outpoint, amount }: { readonly by: 'holder' | 'punisher' } & Pick<Claim, 'outpoint' | 'amount'>,
): Claim {
  const at = { outpoint, amount }
  return by === 'holder' ? delayedClaim(commitment, at) : delayedPenalty(commitment, at)
}

/**
 * The counterparty's balance, which needs nothing of the commitment that it is in (static_remotekey).
 *
 * @param remotePayment the counterparty's payment basepoint
 */
export function claimOfPayment(
  format: CommitmentFormat,
  remotePayment: Uint8Array,
  at: Pick<Claim, 'outpoint' | 'amount'>,
): Claim {
  const common = { ...at, kind: 'payment', locktime: 0, key: 'remotePayment' } as const
  if (!FORMATS[format].oneBlockDelay) {
    const scriptCode = p2wpkhScriptCode(remotePayment)
    return { ...common, sequence: NOW, scriptCode, witness: ['signature', remotePayment] }
  }
  const scriptCode = toRemoteScript(remotePayment)
  return { ...common, sequence: 1, scriptCode, witness: ['signature', scriptCode] }
}

/** An anchor of a pair 16 blocks later, when anybody may clean it up. */
export function claimOfOldAnchor({ txid }: Commitment, output: CommitmentOutput): Claim {
  if (output.role !== 'local_anchor' && output.role !== 'remote_anchor') {
    throw new PerkunasError('INVALID_ARGUMENT', `an anchor expected, got ${output.role}`, {
      argument: 'output',
    })
  }
  return {
    ...place(output, txid),
    kind: 'anchor',
    sequence: 16,
    locktime: 0,
    key: 'none',
    scriptCode: output.witnessScript,
    witness: [EMPTY, output.witnessScript],
  }
}

/** Weight of a claim as an input, its signature at its longest. */
export function claimWeight({ witness }: Claim): number {
  if (witness.length === 0) return 4 * 41
  return witness.reduce(
    (sum, item) => {
      const length = item === 'signature' ? SIGNATURE_LENGTH : item.length
      return sum + countBytes(length) + length
    },
    4 * 41 + 1,
  )
}

/**
 * One transaction for any number of claims, with one output that gets all but the fee.
 *
 * Its lock time is the latest of the claims, so what is urgent should not stand together with what must wait.
 *
 * @throws PerkunasError INVALID_STATE if the fee leaves less than dust; INVALID_ARGUMENT without claims
 */
export function buildClaimTransaction(request: {
  readonly claims: readonly Claim[]
  readonly to: Uint8Array
  readonly feerate: FeeratePerKw
  /** 3 if it spends an unconfirmed transaction of version 3. */
  readonly version?: 2 | 3
  /** At least, for what the claims don't demand themselves. */
  readonly locktime?: number
}): Transaction {
  const { claims, to, feerate } = request
  if (claims.length === 0) throw new PerkunasError('INVALID_ARGUMENT', 'no claims', { argument: 'claims' })
  const total = claims.reduce((sum, { amount }) => add(sum, amount), sat(0n))
  const fee = feeOf(feerate, claimTransactionWeight(claims, to))
  const least = dustLimitOf(to)
  if (total < fee + least) {
    const rule = `${total} sat cover neither a fee of ${fee} sat nor an output of ${least} sat`
    throw new PerkunasError('INVALID_STATE', rule, { rule })
  }
  return {
    version: request.version ?? 2,
    inputs: claims.map(({ outpoint, sequence }) => ({ outpoint, sequence, witness: [] })),
    outputs: [{ amount: sub(total, fee), script: to }],
    locktime: Math.max(request.locktime ?? 0, ...claims.map(({ locktime }) => locktime)),
  }
}

/** Weight of {@link buildClaimTransaction}'s result when signed, signatures at their longest. */
export function claimTransactionWeight(claims: readonly Claim[], to: Uint8Array): number {
  const counts = countBytes(claims.length)
  const base = 4 * (4 + counts + 1 + 4 + encodeOutputs([{ amount: sat(0n), script: to }]).length)
  const inputs = claims.reduce((sum, claim) => sum + claimWeight(claim), 0)
  const witnesses = claims.filter(({ witness }) => witness.length > 0).length
  // Marker and flag; beside inputs that have a witness, one that has none counts its zero.
  return base + inputs + (witnesses === 0 ? 0 : 2 + claims.length - witnesses)
}

/** The witness of a claim in any transaction; `secret` is that of `claim.key`, and unused for `none`. */
export function signClaim(
  tx: Transaction,
  input: number,
  claim: Claim,
  secret: Uint8Array | undefined,
): readonly Uint8Array[] {
  const signature = () => {
    if (secret === undefined) {
      throw new PerkunasError('INVALID_ARGUMENT', `the secret of ${claim.key} expected`, {
        argument: 'secret',
      })
    }
    const digest = witnessDigest(tx, input, claim)
    return witnessSignature(secp256k1.sign(digest, secret).signature, SIGHASH_ALL)
  }
  return claim.witness.map((item) => (item === 'signature' ? signature() : item))
}

/** Signs every input of a transaction of claims, in their order. */
export function signClaims(
  tx: Transaction,
  claims: readonly Claim[],
  secretOf: (key: ClaimKey) => Uint8Array | undefined,
): Transaction {
  return {
    ...tx,
    inputs: tx.inputs.map((one, i) => {
      const claim = claims[i]
      return claim === undefined ? one : { ...one, witness: signClaim(tx, i, claim, secretOf(claim.key)) }
    }),
  }
}

type Place = Pick<Claim, 'outpoint' | 'amount'>
type Delayed = Pick<PublishedCommitment, 'params' | 'delayedScript'>

function place({ index, amount }: PublishedOutput, txid: Uint8Array): Place {
  return { outpoint: { txid, index }, amount }
}

function delayedClaim({ params, delayedScript }: Delayed, at: Place): Claim {
  const witness = ['signature', EMPTY, delayedScript] as const
  const sequence = params.toSelfDelay
  return {
    ...at,
    kind: 'delayed',
    sequence,
    locktime: 0,
    key: 'localDelayed',
    scriptCode: delayedScript,
    witness,
  }
}

function delayedPenalty({ delayedScript }: Delayed, at: Place): Claim {
  return penalty(at, delayedScript, ONE)
}

/** @param branch what leads to the revocation: 1 in the delayed script, the key itself in an HTLC */
function penalty(at: Place, witnessScript: Uint8Array, branch: Uint8Array): Claim {
  const witness = ['signature', branch, witnessScript] as const
  return {
    ...at,
    kind: 'penalty',
    sequence: NOW,
    locktime: 0,
    key: 'revocation',
    scriptCode: witnessScript,
    witness,
  }
}

function anchorClaims(
  output: PublishedOutput,
  at: Place,
  own: 'local_anchor' | 'remote_anchor',
): readonly Claim[] {
  const common = { ...at, kind: 'anchor', sequence: NOW, locktime: 0 } as const
  if (output.role === 'shared_anchor') {
    return [{ ...common, key: 'none', scriptCode: EMPTY, witness: [] }]
  }
  if (output.role !== own) return []
  const { witnessScript } = output
  const key = own === 'local_anchor' ? 'localFunding' : 'remoteFunding'
  return [{ ...common, key, scriptCode: witnessScript, witness: ['signature', witnessScript] }]
}

function delayOf({ params }: Commitment): number {
  return FORMATS[params.format].oneBlockDelay ? 1 : NOW
}
