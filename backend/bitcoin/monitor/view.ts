// What follows from the facts: which commitment is on chain, what became of each of its outputs and of those that came of
// them. Who spent an output shows in its witness, since each way needs keys that only one side has; no list of our own
// transactions is needed, and none that we forgot, replaced or lost can be mistaken for the peer's.
import { equalBytes } from '../../../channel/bytes.js'
import type { Outpoint, Transaction } from '../script/index.js'
import type { Sat } from '../units.js'
import { type AbsentHtlc, claimsOf, claimsOfSecondLevel, type OutputClaim } from './claims.js'
import { type Fact, spenderOf } from './facts.js'
import type { Monitor } from './machine.js'
import { type CommitmentBuilder, classifySpend, type FundingSpend } from './spend.js'

/** An output that is ours or may be, and what became of it. */
export interface ChainOutput {
  readonly claim: OutputClaim
  /** scriptPubKey. */
  readonly script: Uint8Array
  /** The transaction that has it. */
  readonly from: Fact
  readonly spent?: { readonly by: 'us' | 'peer'; readonly fact: Fact }
}

/** An output of a revoked commitment that nothing explains: what was remembered of it is lost, or can't be read. */
export interface UnexplainedOutput {
  readonly outpoint: Outpoint
  readonly amount: Sat
  readonly spent?: Fact
}

/** See above. */
export interface View {
  readonly fact: Fact
  readonly spend: FundingSpend
  /** Those of the commitment, then those of HTLC transactions. */
  readonly outputs: readonly ChainOutput[]
  readonly absent: readonly AbsentHtlc[]
  readonly unexplained: readonly UnexplainedOutput[]
}

/** The last view of what a monitor knew: most blocks change nothing of it, and a commitment costs curve operations. */
const seen = new WeakMap<Monitor['known'], { readonly of: Viewed; readonly view: View | undefined }>()

type Viewed = Pick<Monitor, 'known' | 'facts' | 'revoked'>

/** What follows, once the funding output is spent in a block. */
export function viewOf(monitor: Viewed, builder: CommitmentBuilder): View | undefined {
  const { known, facts, revoked } = monitor
  const last = seen.get(known)
  if (last !== undefined && last.of.facts === facts && last.of.revoked === revoked) return last.view
  const view = builtView(monitor, builder)
  seen.set(known, { of: monitor, view })
  return view
}

function builtView(monitor: Viewed, builder: CommitmentBuilder): View | undefined {
  const { known, facts } = monitor
  const found = spenderOf(facts, known.terms.funding.outpoint)
  if (found === undefined) return undefined
  const { fact } = found
  const spend = classifySpend(known, fact.transaction, {
    builder,
    revokedHtlcs: monitor.revoked?.htlcs ?? [],
  })
  const { outputs, absent } = claimsOf(known, spend, fact.height)
  const isOurs = spend.kind === 'holderNewest' || spend.kind === 'holderPrevious'
  const holder = isOurs ? 'us' : 'peer'
  const traced: ChainOutput[] = outputs.map((claim) => traceOf(facts, fact, claim, holder))
  for (const one of facts) {
    if (one === fact) continue
    const second = claimsOfSecondLevel(spend, one.transaction, one.height)
    traced.push(...second.map((claim) => traceOf(facts, one, claim, holder)))
  }
  return { fact, spend, outputs: traced, absent, unexplained: unexplainedOf(facts, fact, spend) }
}

function unexplainedOf(
  facts: readonly Fact[],
  fact: Fact,
  spend: FundingSpend,
): readonly UnexplainedOutput[] {
  if (spend.kind !== 'revoked') return []
  const explained = new Set(spend.commitment.outputs.map(({ index }) => index))
  return fact.transaction.outputs.flatMap(({ amount }, index) => {
    if (explained.has(index)) return []
    const outpoint = { txid: fact.txid, index }
    const spender = spenderOf(facts, outpoint)
    return [{ outpoint, amount, ...(spender === undefined ? {} : { spent: spender.fact }) }]
  })
}

/** How deep a fact is: 1 in the best block. */
export function depthOf({ height }: Pick<Fact, 'height'>, best: number): number {
  return best - height + 1
}

/** The number of the commitment whose revoked HTLCs are to be looked up: again while they don't explain what is on chain. */
export function missingRevoked(view: View, monitor: Pick<Monitor, 'revoked'>): bigint | undefined {
  const { spend, unexplained } = view
  const isLost = spend.kind === 'revoked' && unexplained.some(({ spent }) => spent === undefined)
  return wantedRevoked(view, monitor) ?? (isLost ? spend.commitment.params.number : undefined)
}

/** The number of the commitment that revoked HTLCs are wanted of, before anything is known of them. */
export function wantedRevoked(
  { fact, spend }: View,
  { revoked }: Pick<Monitor, 'revoked'>,
): bigint | undefined {
  if (spend.kind !== 'revoked' || !equalBytes(spend.commitment.txid, fact.txid)) return undefined
  const { number } = spend.commitment.params
  return revoked?.number === number ? undefined : number
}

function traceOf(facts: readonly Fact[], from: Fact, claim: OutputClaim, holder: 'us' | 'peer'): ChainOutput {
  const script = scriptAt(from.transaction, claim)
  const spender = spenderOf(facts, claim.outpoint)
  if (spender === undefined) return { claim, script, from }
  return {
    claim,
    script,
    from,
    spent: { by: whoSpent(claim.kind, holder, spender.witness), fact: spender.fact },
  }
}

/**
 * Who spent an output, by its witness:
 *
 *     to_remote                            the counterparty of who holds the commitment, that is we
 *     to_local, HTLC transaction's output  <sig> 1 <script>: by revocation; <sig> 0 <script>: its holder
 *     HTLC                                 five items: the holder by an HTLC transaction; three: its counterparty
 */
function whoSpent(
  kind: OutputClaim['kind'],
  holder: 'us' | 'peer',
  witness: readonly Uint8Array[],
): 'us' | 'peer' {
  const counterparty = holder === 'us' ? 'peer' : 'us'
  switch (kind) {
    case 'toRemote':
      return 'us'
    case 'anchor':
      return 'us'
    case 'htlc':
      return witness.length === 5 ? holder : counterparty
    default:
      return witness[1]?.length === 1 ? counterparty : holder
  }
}

function scriptAt({ outputs }: Transaction, { outpoint }: OutputClaim): Uint8Array {
  return outputs[outpoint.index]?.script ?? new Uint8Array()
}
