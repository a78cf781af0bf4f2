// Channels driven to random states with real signatures: every commitment ever signed of either side is on chain once, is
// recognized for what it is, and every output that is ours can be spent as its claim says.
import { expect } from 'chai'
import fc from 'fast-check'
import type { ChannelType } from '../../../../backend/bitcoin/channel-type.js'
import { claimsOf, claimsOfSecondLevel } from '../../../../backend/bitcoin/monitor/claims.js'
import type { MonitorState } from '../../../../backend/bitcoin/monitor/state.js'
import {
  type Commitment,
  htlcTransaction,
  p2wpkh,
  sha256,
  type Transaction,
} from '../../../../backend/bitcoin/script/index.js'
import { msat, sat } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import { type CommonAct, commonActs, names, playCommon } from '../channel/acts.js'
import { type Name, type Party, preimageOf } from '../channel/pair.js'
import { MonitoredPair } from './monitored.js'

type Act =
  | {
      readonly kind: 'add'
      readonly by: Name
      readonly amount: bigint
      readonly number: number
      readonly expiry: number
    }
  | { readonly kind: 'remove'; readonly by: Name; readonly at: number; readonly fulfill: boolean }
  | CommonAct

const acts: fc.Arbitrary<readonly Act[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('add' as const),
        by: names,
        // Around what is trimmed, equal ones, and large ones; few hashes, so that some are equal too.
        amount: fc.oneof(
          fc.constantFrom(353_999n, 1_500_000n, 5_000_000n, 5_000_000n),
          fc.bigInt(1n, 60_000_000n),
        ),
        number: fc.integer({ min: 1, max: 3 }),
        expiry: fc.constantFrom(400, 400, 500, 640),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('remove' as const),
        by: names,
        at: fc.nat(5),
        fulfill: fc.boolean(),
      }),
    },
    ...commonActs({ fee: 1, flush: 4, deliver: 6, messages: 4, feerate: 2500 }),
  ),
  { minLength: 10, maxLength: 40 },
)

const TYPES: readonly ChannelType[] = [
  { commitments: 'anchors', scidAlias: false, zeroconf: false },
  { commitments: 'static_remotekey', scidAlias: false, zeroconf: false },
]

describe('monitor: claims', () => {
  for (const type of TYPES) {
    it(`${type.commitments}: every commitment that was ever signed, every output, every spend`, () => {
      const seen = new Map<string, number>()
      fc.assert(
        fc.property(acts, fc.constantFrom(450, 100, 700), (list, confirmedAt) => {
          const pair = started(type)
          for (const act of list) play(pair, act)
          for (const party of pair.both) checkLive(pair, party, confirmedAt, seen)
          for (const party of pair.both) checkRevoked(pair, party, confirmedAt, seen)
        }),
        { numRuns: 8, endOnFailure: true },
      )
      for (const kind of [
        'holderNewest',
        'holderPrevious',
        'counterpartyCurrent',
        'counterpartyNext',
        'revoked',
        'secondLevel',
      ])
        expect(seen.get(kind), kind).to.be.greaterThan(0)
    })
  }
})

function started(type: ChannelType): MonitoredPair {
  const policy = { maxDustExposure: { fixed: msat(900_000_000n) } }
  const pair = new MonitoredPair({ policies: { alice: policy, bob: policy }, fees: { sane: 10_000 } })
  pair.reachNormal({ type, push: msat(400_000_000n) })
  return pair
}

function play(pair: MonitoredPair, act: Act): void {
  switch (act.kind) {
    case 'add':
      return pair.offer(pair[act.by], act.amount, act.number, act.expiry)
    case 'remove': {
      const party = pair[act.by]
      const htlcs = pair
        .live(party)
        .book.htlcs.filter(({ offerer, stage }) => offerer === 'remote' && stage === 'locked')
      const htlc = htlcs[act.at % Math.max(1, htlcs.length)]
      if (htlc === undefined) return
      const number = [1, 2, 3].find((one) => toHex(hashOf(one)) === toHex(htlc.paymentHash)) ?? 0
      pair.want(party, {
        kind: 'remove',
        id: htlc.id,
        removal: act.fulfill
          ? { kind: 'fulfill', preimage: preimageOf(number) }
          : { kind: 'fail', reason: new Uint8Array(256) },
      })
      return
    }
    default:
      return playCommon(pair, act)
  }
}

function hashOf(number: number): Uint8Array {
  return sha256(preimageOf(number))
}

/** In every state that a monitor was in, each commitment that could be published then. */
function checkLive(pair: MonitoredPair, party: Party, confirmedAt: number, seen: Map<string, number>): void {
  const done = new Set<string>()
  const signer = pair.signer(party)
  for (const state of pair.watches[party.name].history) {
    const ours = state.holder.map((one, i) => ({
      commitment: signer.localCommitment(one.state),
      kind: i === state.holder.length - 1 ? 'holderNewest' : 'holderPrevious',
    }))
    const theirs = state.counterparty.map((one, i) => ({
      commitment: signer.remoteCommitment(one.state, one.point),
      kind: i === 0 ? 'counterpartyCurrent' : 'counterpartyNext',
    }))
    for (const { commitment, kind } of [...ours, ...theirs]) {
      const name = `${kind} ${toHex(commitment.txid)} ${state.preimages.length}`
      if (done.has(name)) continue
      done.add(name)
      checkCommitment(pair, party, state, { commitment, kind, confirmedAt })
      seen.set(kind, (seen.get(kind) ?? 0) + 1)
    }
  }
}

function checkCommitment(
  pair: MonitoredPair,
  party: Party,
  state: MonitorState,
  expected: { readonly commitment: Commitment; readonly kind: string; readonly confirmedAt: number },
): void {
  const { commitment, kind, confirmedAt } = expected
  const tx = commitment.transaction
  const spend = pair.classify(party, tx, state)
  expect(spend.kind).to.equal(kind)
  const claims = claimsOf(state, spend, confirmedAt)
  pair.verify(party, spend, claims, { tx, confirmedAt })

  // Every HTLC output once; every HTLC is an output or absent, and trimmed ones are.
  const holder = kind.startsWith('holder')
  const roles = holder ? ['to_local', 'local_anchor', 'htlc'] : ['to_remote', 'remote_anchor', 'htlc']
  const expectedOutputs = commitment.outputs
    .filter(({ role }) => roles.includes(role))
    .map(({ index }) => index)
  expect(claims.outputs.map(({ outpoint }) => outpoint.index).sort(byNumber)).to.deep.equal(
    expectedOutputs.sort(byNumber),
  )
  expect(claims.absent.filter(({ why }) => why === 'trimmed')).to.have.length(commitment.trimmed.length)
  for (const { htlc, recipe, earliest, competitorAt = 0, deadline = 0 } of claims.outputs) {
    if (htlc === undefined) continue
    const isKnown = state.preimages.some(
      (one) => one.htlc.id === htlc.id && one.htlc.offerer === htlc.offerer,
    )
    expect(recipe !== undefined, 'a recipe unless the preimage is missing').to.equal(
      htlc.offerer === 'local' || isKnown,
    )
    expect(deadline).to.equal(Math.max(earliest, competitorAt - 1))
    const soonest = confirmedAt + (commitment.params.format === 'static_remotekey' ? 0 : 1)
    const after = Math.max(soonest, htlc.cltvExpiry + 1)
    expect([earliest, competitorAt]).to.deep.equal(
      htlc.offerer === 'local' ? [after, soonest] : [soonest, after],
    )
  }
}

/** Each commitment of the other side that is revoked now, and its HTLC transactions. */
function checkRevoked(
  pair: MonitoredPair,
  party: Party,
  confirmedAt: number,
  seen: Map<string, number>,
): void {
  const state = pair.monitor(party)
  const signer = pair.signer(party)
  const known = new Map(
    pair.watches[party.name].history.flatMap(({ counterparty }) =>
      counterparty.map((one) => [one.state.number, one] as const),
    ),
  )
  for (let number = 0n; number < 2n ** 48n - 1n - state.secrets.next; number += 1n) {
    const one = known.get(number)
    if (one === undefined) throw new Error(`commitment ${number}`)
    const commitment = signer.remoteCommitment(one.state, one.point)
    const tx = commitment.transaction
    const spend = pair.classify(party, tx)
    expect(spend.kind).to.equal('revoked')
    const claims = claimsOf(state, spend, confirmedAt)
    const all = commitment.outputs.filter(({ role }) => role !== 'local_anchor')
    expect(claims.outputs).to.have.length(all.length)
    expect(pair.verify(party, spend, claims, { tx, confirmedAt })).to.equal(all.length)
    const soonest = confirmedAt + (commitment.params.format === 'static_remotekey' ? 0 : 1)
    for (const { kind, competitorAt, htlc } of claims.outputs) {
      if (kind === 'toLocal') expect(competitorAt).to.equal(confirmedAt + commitment.params.toSelfDelay)
      if (htlc === undefined) continue
      // Of those whose outputs can't be told apart the earliest: equal offered scripts have any expiry.
      const expiries = commitment.htlcs
        .filter((one) => toHex(one.htlc.paymentHash) === toHex(htlc.paymentHash))
        .map((one) => one.htlc.cltvExpiry)
      const expected = htlc.offerer === 'remote' ? Math.max(soonest, Math.min(...expiries) + 1) : soonest
      expect(competitorAt, `revoked HTLC of ${htlc.offerer}`).to.equal(expected)
    }
    seen.set('revoked', (seen.get('revoked') ?? 0) + 1)

    for (const output of commitment.htlcs) {
      const second = htlcTransaction(commitment, output)
      const outputs = claimsOfSecondLevel(spend, second, confirmedAt + 2)
      expect(outputs).to.have.length(1)
      expect(outputs[0]?.deadline).to.equal(confirmedAt + 2 + commitment.params.toSelfDelay - 1)
      pair.verify(party, spend, { outputs }, { tx: second, confirmedAt: confirmedAt + 2 })
      seen.set('secondLevel', (seen.get('secondLevel') ?? 0) + 1)
    }
    if (commitment.htlcs.length > 1) checkAggregated(pair, party, { commitment, spend, confirmedAt })
  }
}

/** The other side may take several HTLCs in one transaction, with inputs and outputs of its own between them. */
function checkAggregated(
  pair: MonitoredPair,
  party: Party,
  of: {
    readonly commitment: Commitment
    readonly spend: ReturnType<MonitoredPair['classify']>
    readonly confirmedAt: number
  },
): void {
  const each = of.commitment.htlcs.map((output) => htlcTransaction(of.commitment, output))
  const [first] = each
  if (first === undefined) return
  const tx: Transaction = {
    ...first,
    inputs: [
      {
        outpoint: { txid: new Uint8Array(32).fill(9), index: 0 },
        sequence: 1,
        witness: [new Uint8Array(400_000)],
      },
      ...each.flatMap(({ inputs }) => inputs),
    ],
    outputs: [
      { amount: sat(1000n), script: p2wpkh(new Uint8Array(33).fill(3)) },
      ...each.flatMap(({ outputs }) => outputs),
    ],
  }
  const outputs = claimsOfSecondLevel(of.spend, tx, of.confirmedAt)
  expect(outputs.map(({ outpoint }) => outpoint.index)).to.deep.equal(each.map((_, i) => i + 1))
  pair.verify(party, of.spend, { outputs }, { tx, confirmedAt: of.confirmedAt })
}

function byNumber(a: number, b: number): number {
  return a - b
}
