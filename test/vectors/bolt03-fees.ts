// BOLT 3, "Fee Calculation", "Dust Limits" and Appendix A; BOLT 5, "Penalty Transactions Weight Calculation".
import { expect } from 'chai'
import {
  commitmentFee,
  commitmentWeight,
  dustLimitOf,
  htlcFee,
  isTrimmed,
  trimThreshold,
} from '../../backend/bitcoin/script/fees.js'
import { type CommitmentFormat, FORMATS, HTLC_OUTPUT_WEIGHT } from '../../backend/bitcoin/script/format.js'
import { minimumNextFeerate } from '../../backend/bitcoin/script/funding.js'
import { delayedScript, htlcScripts } from '../../backend/bitcoin/script/scripts.js'
import { feeratePerKw, msat, sat } from '../../backend/bitcoin/units.js'
import { type Case, load } from './cases.js'

type ByFormat = Readonly<Record<'static_remotekey' | 'anchors', number>>

interface File {
  readonly weights: {
    readonly commitment_base: ByFormat
    readonly commitment_per_htlc: number
    readonly htlc_timeout: ByFormat
    readonly htlc_success: ByFormat
    readonly to_local_penalty_witness: number
    readonly offered_htlc_penalty_witness: number
    readonly accepted_htlc_penalty_witness: number
    readonly penalty_input: number
  }
  readonly dust_limits_sat: Readonly<
    Record<'p2pkh' | 'p2sh' | 'p2wpkh' | 'p2wsh' | 'p2a' | 'unknown_segwit', number>
  >
  readonly commitment_example: {
    readonly feerate_per_kw: number
    readonly dust_limit_sat: number
    readonly offered_htlcs_msat: readonly number[]
    readonly received_htlcs_msat: readonly number[]
    readonly htlc_timeout_fee_sat: number
    readonly htlc_success_fee_sat: number
    readonly untrimmed: {
      readonly offered_msat: readonly number[]
      readonly received_msat: readonly number[]
    }
    readonly weight: number
    readonly base_fee_sat: number
    readonly actual_fee_sat: number
  }
  readonly rbf_example: { readonly previous_feerate: number; readonly minimum_next_feerate: number }
}

const FORMAT_OF: Readonly<Record<keyof ByFormat, CommitmentFormat>> = {
  static_remotekey: 'static_remotekey',
  anchors: 'anchors_zero_fee_htlc',
}

/** Weights, limits and both examples. */
export function cases(): readonly Case[] {
  const { weights, dust_limits_sat, commitment_example, rbf_example } = load<File>('bolt03-fees')
  return [
    ...(['static_remotekey', 'anchors'] as const).map((name) => ({
      name: `weights of ${name}`,
      run: () => {
        const rules = FORMATS[FORMAT_OF[name]]
        expect(rules.commitmentWeight).to.equal(weights.commitment_base[name])
        expect(HTLC_OUTPUT_WEIGHT).to.equal(weights.commitment_per_htlc)
        expect(rules.htlcTimeoutWeight).to.equal(weights.htlc_timeout[name])
        expect(rules.htlcSuccessWeight).to.equal(weights.htlc_success[name])
      },
    })),
    { name: 'weights of penalty witnesses', run: () => checkPenalties(weights) },
    { name: 'dust limits', run: () => checkDust(dust_limits_sat) },
    { name: 'example: trimming and fee of a commitment', run: () => checkExample(commitment_example) },
    {
      name: 'example: the least feerate that replaces a funding transaction',
      run: () => {
        const next = minimumNextFeerate(feeratePerKw(rbf_example.previous_feerate))
        expect(next).to.equal(rbf_example.minimum_next_feerate)
      },
    },
  ]
}

/** Witnesses as the specification counts them: signatures of 73 bytes, heights of three bytes (below 2^23). */
function checkPenalties(weights: File['weights']): void {
  const key = new Uint8Array(33)
  const witness = (...lengths: readonly number[]) => lengths.reduce((sum, length) => sum + 1 + length, 1)
  // The specification leaves the delay more room than 16 bits need.
  const delayed = delayedScript({ revocation: key, delayed: key, delay: 0xffff }).length
  expect(witness(73, 1, delayed)).to.be.at.most(weights.to_local_penalty_witness)
  const scripts = htlcScripts({ revocation: key, localHtlc: key, remoteHtlc: key, delayed: false })
  expect(witness(73, 33, scripts.offered(new Uint8Array(32)).length)).to.equal(
    weights.offered_htlc_penalty_witness,
  )
  expect(witness(73, 33, scripts.received(new Uint8Array(32), 800_000).length)).to.equal(
    weights.accepted_htlc_penalty_witness,
  )
  expect(weights.penalty_input).to.equal(4 * 41)
}

function checkDust(limits: File['dust_limits_sat']): void {
  const script = (length: number, ...start: readonly number[]) => {
    const made = new Uint8Array(length)
    made.set(start)
    return made
  }
  expect(dustLimitOf(script(25, 0x76, 0xa9, 0x14))).to.equal(BigInt(limits.p2pkh))
  expect(dustLimitOf(script(23, 0xa9, 0x14))).to.equal(BigInt(limits.p2sh))
  expect(dustLimitOf(script(22, 0x00, 0x14))).to.equal(BigInt(limits.p2wpkh))
  expect(dustLimitOf(script(34, 0x00, 0x20))).to.equal(BigInt(limits.p2wsh))
  expect(dustLimitOf(script(4, 0x51, 0x02, 0x4e, 0x73))).to.equal(BigInt(limits.p2a))
  expect(dustLimitOf(script(42, 0x60, 0x28))).to.equal(BigInt(limits.unknown_segwit))
}

function checkExample(example: File['commitment_example']): void {
  const feerate = feeratePerKw(example.feerate_per_kw)
  const dustLimit = sat(BigInt(example.dust_limit_sat))
  const format = 'static_remotekey'
  const kept = (direction: 'offered' | 'received', amounts: readonly number[]) =>
    amounts.filter(
      (amount) => !isTrimmed(msat(BigInt(amount)), trimThreshold(format, { feerate, dustLimit }, direction)),
    )
  const offered = kept('offered', example.offered_htlcs_msat)
  const received = kept('received', example.received_htlcs_msat)
  const count = offered.length + received.length
  const fee = commitmentFee(format, feerate, count)
  expect(htlcFee(format, feerate, 'offered')).to.equal(BigInt(example.htlc_timeout_fee_sat))
  expect(htlcFee(format, feerate, 'received')).to.equal(BigInt(example.htlc_success_fee_sat))
  expect(offered).to.deep.equal(example.untrimmed.offered_msat)
  expect(received).to.deep.equal(example.untrimmed.received_msat)
  expect(commitmentWeight(format, count)).to.equal(example.weight)
  expect(fee).to.equal(BigInt(example.base_fee_sat))
  // What is trimmed goes to the miners too.
  const all = [...example.offered_htlcs_msat, ...example.received_htlcs_msat]
  const trimmed =
    all.reduce((sum, amount) => sum + amount, 0) -
    [...offered, ...received].reduce((sum, amount) => sum + amount, 0)
  expect(fee + BigInt(trimmed / 1000)).to.equal(BigInt(example.actual_fee_sat))
}
