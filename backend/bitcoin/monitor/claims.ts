// What is to be claimed of a commitment on chain, output by output (BOLT 5, "Unilateral Close Handling: Local Commitment
// Transaction", "Unilateral Close Handling: Remote Commitment Transaction", "Revoked Transaction Close Handling").
//
//     on chain          output           our claim                            earliest       the competitor
//     ours              to_local         after the delay                      conf + delay   -
//     ours              offered HTLC     HTLC-timeout, then its output        expiry + 1     peer with preimage, at once
//     ours              received HTLC    HTLC-success, then its output        conf           peer after expiry
//     ours, theirs      anchor           at once                              conf           anybody after 16
//     theirs            to_remote        our payment key                      conf           -
//     theirs            HTLC we offered  our HTLC key                         expiry + 1     peer's HTLC-success
//     theirs            HTLC they did    our HTLC key with the preimage       conf           peer's HTLC-timeout
//     theirs, revoked   all, and their   revocation key                       conf           peer after delay or expiry
//                       HTLC transactions
//     theirs, future    to_remote        our payment key                      conf           -
//
// Where the form has it, "conf" is a block later for all but anchors and penalties. Everything here follows from the
// record and the chain, so nothing of it is stored.
import { equalBytes } from '../../../channel/bytes.js'
import type { CommitmentOnChain } from '../keys/index.js'
import {
  type Claim,
  type Commitment,
  type CommitmentOutput,
  type CommitmentSignatures,
  claimOfDelayed,
  claimsOfCounterparty,
  claimsOfHolder,
  claimsOfPunisher,
  FORMATS,
  type Htlc,
  type HtlcOutput,
  htlcTransaction,
  type Outpoint,
  type PublishedCommitment,
  type PublishedOutput,
  p2wsh,
  type Transaction,
  transactionID,
} from '../script/index.js'
import type { Sat } from '../units.js'
import { claimsOfPayment } from './published.js'
import type { HtlcKey, Side } from './record.js'
import type { FundingSpend } from './spend.js'
import { keyOf, liveHtlcs, type MonitorState, preimageOf } from './state.js'

/** How an output is spent. */
export type Recipe =
  /** In any transaction, by `Signer.signClaim` with {@link contextOf}. */
  | { readonly kind: 'claim'; readonly claim: Claim }
  /** By the transaction that the peer signed already: `Signer.signHtlc`. Its output is a `secondLevel` then. */
  | {
      readonly kind: 'htlcTransaction'
      readonly commitment: Commitment
      readonly output: HtlcOutput
      /** The peer's signature. */
      readonly remote: Uint8Array
      readonly preimage?: Uint8Array
    }

/** An HTLC that is an output. The ID is not known of a revoked commitment's. */
export interface HtlcOnChain {
  readonly offerer: Side
  readonly id?: bigint
  readonly paymentHash: Uint8Array
  readonly cltvExpiry: number
}

/** One output that is ours, or may become ours. Heights are of blocks that can contain a transaction. */
export interface OutputClaim {
  readonly outpoint: Outpoint
  readonly kind: 'toLocal' | 'toRemote' | 'anchor' | 'htlc' | 'secondLevel'
  readonly amount: Sat
  readonly htlc?: HtlcOnChain
  /** The lowest block in which our claim is valid. */
  readonly earliest: number
  /** The lowest block in which someone else's may be. */
  readonly competitorAt?: number
  /** The last block in which ours does not meet a competitor; `earliest` where it always may. */
  readonly deadline?: number
  /** Absent while the preimage of an HTLC is not known. */
  readonly recipe?: Recipe
}

/** An HTLC that is in a commitment which may not confirm any more, and is not an output of the one that did. */
export interface AbsentHtlc {
  readonly htlc: HtlcKey
  readonly paymentHash: Uint8Array
  readonly why: 'trimmed' | 'notInCommitment'
  /** Known: then it is fulfilled whatever became of its output. */
  readonly preimage?: Uint8Array
}

/** What follows of a funding output's spend. */
export interface ChainClaims {
  readonly outputs: readonly OutputClaim[]
  /** With each HTLC of `outputs`, all that a commitment which might have confirmed contained. */
  readonly absent: readonly AbsentHtlc[]
}

/**
 * The claims of a commitment on chain; of a closing transaction there are none.
 *
 * @param confirmedAt height of its block, or of the next one while it is unconfirmed
 */
export function claimsOf(state: MonitorState, spend: FundingSpend, confirmedAt: number): ChainClaims {
  const at = { state, confirmedAt }
  switch (spend.kind) {
    case 'holderNewest':
    case 'holderPrevious':
      return { outputs: holderClaims(at, spend.commitment, spend.signatures), absent: absentOf(state, spend) }
    case 'counterpartyCurrent':
    case 'counterpartyNext':
      return { outputs: counterpartyClaims(at, spend.commitment), absent: absentOf(state, spend) }
    case 'revoked':
      return { outputs: revokedClaims(at, spend.commitment), absent: absentOf(state, spend) }
    case 'future':
    case 'unknown':
      return {
        outputs: claimsOfPayment(state.terms, spend.transaction).map((claim) =>
          entry(at, { kind: 'toRemote', claim }),
        ),
        absent: absentOf(state, spend),
      }
    case 'closing':
      return { outputs: [], absent: absentOf(state, spend) }
  }
}

/**
 * The outputs of HTLC transactions of a commitment on chain: after the delay its holder's, at once the punisher's. Wherever
 * the holder put them and whatever else it spends, they are recognized by their script.
 *
 * @param tx spends outputs of the commitment
 * @param confirmedAt height of its block
 */
export function claimsOfSecondLevel(
  spend: FundingSpend,
  tx: Transaction,
  confirmedAt: number,
): readonly OutputClaim[] {
  const by = spend.kind === 'revoked' ? 'punisher' : 'holder'
  if (spend.kind !== 'revoked' && spend.kind !== 'holderNewest' && spend.kind !== 'holderPrevious') return []
  const { commitment } = spend
  const isOfCommitment = ({ outpoint }: { readonly outpoint: Outpoint }) =>
    equalBytes(outpoint.txid, commitment.txid)
  if (!tx.inputs.some(isOfCommitment)) return []
  const script = p2wsh(commitment.delayedScript)
  const txid = transactionID(tx)
  return tx.outputs.flatMap((output, index) => {
    if (!equalBytes(output.script, script)) return []
    const { amount } = output
    const claim = claimOfDelayed(commitment, { by, outpoint: { txid, index }, amount })
    const competitorAt = by === 'punisher' ? confirmedAt + commitment.params.toSelfDelay : undefined
    return [entry({ confirmedAt }, { kind: 'secondLevel', claim, competitorAt })]
  })
}

/** With which a signer signs the claims of a spend; undefined for a closing. */
export function contextOf(spend: FundingSpend): CommitmentOnChain | undefined {
  switch (spend.kind) {
    case 'holderNewest':
    case 'holderPrevious':
      return { commitment: spend.commitment, holder: 'local', point: spend.point }
    case 'counterpartyCurrent':
    case 'counterpartyNext':
    case 'revoked':
      return { commitment: spend.commitment, holder: 'remote', point: spend.point }
    case 'future':
    case 'unknown':
      return { commitment: { params: { number: spend.number ?? 0n } }, holder: 'remote' }
    case 'closing':
      return undefined
  }
}

interface At {
  readonly state: MonitorState
  readonly confirmedAt: number
}

function holderClaims(
  at: At,
  commitment: Commitment,
  { htlcSignatures }: CommitmentSignatures,
): readonly OutputClaim[] {
  const balances = claimsOfHolder(commitment).map((claim) =>
    entry(at, { kind: claim.kind === 'anchor' ? 'anchor' : 'toLocal', claim }),
  )
  const htlcs = commitment.htlcs.map((output, i): OutputClaim => {
    const { htlc, amount } = output
    const remote = htlcSignatures[i]
    const key = keyOf('local', htlc)
    const preimage = htlc.direction === 'received' ? preimageOf(at.state, key) : undefined
    const isKnown = remote !== undefined && (htlc.direction === 'offered' || preimage !== undefined)
    const plain = htlcTransaction(commitment, output)
    const [input] = plain.inputs
    const earliest = earliestOf(at, { sequence: input?.sequence ?? 0, locktime: plain.locktime })
    return {
      outpoint: { txid: commitment.txid, index: output.index },
      kind: 'htlc',
      amount,
      htlc: onChain(htlc, key.offerer, htlc.id),
      ...times(earliest, rivalOf(at, commitment, htlc)),
      ...(isKnown
        ? {
            recipe: {
              kind: 'htlcTransaction',
              commitment,
              output,
              remote,
              ...(preimage === undefined ? {} : { preimage }),
            },
          }
        : {}),
    }
  })
  return [...balances, ...htlcs]
}

function counterpartyClaims(at: At, commitment: Commitment): readonly OutputClaim[] {
  const preimage = ({ htlc }: HtlcOutput) => preimageOf(at.state, keyOf('remote', htlc))
  const claims = byIndex(claimsOfCounterparty(commitment, preimage))
  return commitment.outputs.flatMap((output) => {
    const claim = claims.get(output.index)
    if (output.role !== 'htlc') return claim === undefined ? [] : [entry(at, { kind: kindOf(output), claim })]
    const { htlc, amount } = output
    const shown = onChain(htlc, keyOf('remote', htlc).offerer, htlc.id)
    const competitorAt = rivalOf(at, commitment, { ...htlc, direction: other(htlc.direction) })
    if (claim !== undefined) return [entry(at, { kind: 'htlc', claim, competitorAt, htlc: shown })]
    const outpoint = { txid: commitment.txid, index: output.index }
    const earliest = at.confirmedAt + waitOf(commitment)
    return [{ outpoint, kind: 'htlc', amount, htlc: shown, ...times(earliest, competitorAt) } as const]
  })
}

function revokedClaims(at: At, commitment: PublishedCommitment): readonly OutputClaim[] {
  const claims = byIndex(claimsOfPunisher(commitment))
  return commitment.outputs.flatMap((output) => {
    const claim = claims.get(output.index)
    if (claim === undefined) return []
    const kind = kindOf(output)
    if (output.role === 'htlc') {
      const { htlc } = output
      const competitorAt = rivalOf(at, commitment, { ...htlc, direction: other(htlc.direction) })
      const offerer = htlc.direction === 'offered' ? 'remote' : 'local'
      return [entry(at, { kind, claim, competitorAt, htlc: onChain(htlc, offerer) })]
    }
    const competitorAt =
      output.role === 'to_local' ? at.confirmedAt + commitment.params.toSelfDelay : undefined
    return [entry(at, { kind, claim, competitorAt })]
  })
}

/**
 * When the other side can take an HTLC. @param htlc its direction as we see it: what we offered the other side can take at
 * once, if it has the preimage; what we received it can take back after expiry
 */
function rivalOf(
  { confirmedAt }: Pick<At, 'confirmedAt'>,
  commitment: Pick<PublishedCommitment, 'params'>,
  { direction, cltvExpiry }: Pick<Htlc, 'direction' | 'cltvExpiry'>,
): number {
  const soonest = confirmedAt + waitOf(commitment)
  return direction === 'offered' ? soonest : Math.max(soonest, cltvExpiry + 1)
}

function entry(
  at: Pick<At, 'confirmedAt'>,
  given: {
    readonly kind: OutputClaim['kind']
    readonly claim: Claim
    readonly competitorAt?: number | undefined
    readonly htlc?: HtlcOnChain
  },
): OutputClaim {
  const { kind, claim, competitorAt, htlc } = given
  return {
    outpoint: claim.outpoint,
    kind,
    amount: claim.amount,
    ...(htlc === undefined ? {} : { htlc }),
    ...times(earliestOf(at, claim), competitorAt),
    recipe: { kind: 'claim', claim },
  }
}

/** By BIP 68 as long after the output as the sequence says, and by lock time above that height. */
function earliestOf(
  { confirmedAt }: Pick<At, 'confirmedAt'>,
  { sequence, locktime }: Pick<Claim, 'sequence' | 'locktime'>,
): number {
  const wait = sequence < 0x8000_0000 ? sequence & 0xffff : 0
  return Math.max(confirmedAt + wait, locktime === 0 ? 0 : locktime + 1)
}

function times(earliest: number, competitorAt: number | undefined) {
  if (competitorAt === undefined) return { earliest }
  return { earliest, competitorAt, deadline: Math.max(earliest, competitorAt - 1) }
}

function absentOf(state: MonitorState, spend: FundingSpend): readonly AbsentHtlc[] {
  const isOurs = spend.kind === 'holderNewest' || spend.kind === 'holderPrevious'
  const known = isOurs || spend.kind === 'counterpartyCurrent' || spend.kind === 'counterpartyNext'
  const holder = isOurs ? 'local' : 'remote'
  const names = (htlcs: readonly Htlc[]) =>
    new Set(htlcs.map((htlc) => keyOf(holder, htlc)).map(({ offerer, id }) => `${offerer} ${id}`))
  const outputs = names(known ? spend.commitment.htlcs.map(({ htlc }) => htlc) : [])
  const trimmed = names(known ? spend.commitment.trimmed : [])
  return liveHtlcs(state).flatMap(({ offerer, id, paymentHash }): readonly AbsentHtlc[] => {
    const name = `${offerer} ${id}`
    if (outputs.has(name)) return []
    const htlc = { offerer, id }
    const preimage = preimageOf(state, htlc)
    const why = trimmed.has(name) ? 'trimmed' : 'notInCommitment'
    return [{ htlc, paymentHash, why, ...(preimage === undefined ? {} : { preimage }) }]
  })
}

function kindOf({ role }: CommitmentOutput | PublishedOutput): OutputClaim['kind'] {
  if (role === 'to_local') return 'toLocal'
  if (role === 'to_remote') return 'toRemote'
  return role === 'htlc' ? 'htlc' : 'anchor'
}

function onChain(htlc: Pick<Htlc, 'paymentHash' | 'cltvExpiry'>, offerer: Side, id?: bigint): HtlcOnChain {
  const { paymentHash, cltvExpiry } = htlc
  return { offerer, paymentHash, cltvExpiry, ...(id === undefined ? {} : { id }) }
}

function byIndex(claims: readonly Claim[]): ReadonlyMap<number, Claim> {
  return new Map(claims.map((claim) => [claim.outpoint.index, claim]))
}

function other(direction: Htlc['direction']): Htlc['direction'] {
  return direction === 'offered' ? 'received' : 'offered'
}

function waitOf({ params }: Pick<PublishedCommitment, 'params'>): number {
  return FORMATS[params.format].oneBlockDelay ? 1 : 0
}
