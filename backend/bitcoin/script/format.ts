// The forms of a commitment, each as the list of what it does differently. A form that is added later is a row here.
import { SIGHASH_ALL, SIGHASH_SINGLE_ANYONECANPAY, type SighashType } from './signature.js'

/**
 * The form of a channel's commitments, by its feature: `static_remotekey` (bit 12), `anchors_zero_fee_htlc` (22), and
 * of those that are proposed `zero_fee` (40).
 */
export type CommitmentFormat = 'static_remotekey' | 'anchors_zero_fee_htlc' | 'zero_fee'

/** What distinguishes a form. */
export interface FormatRules {
  /** Of the commitment and its HTLC transactions; 3 is topologically restricted until confirmation (BIP 431). */
  readonly version: 2 | 3
  /** `pair`: one for each side that has an output or HTLCs, 330 sat each; `shared`: one that anybody can spend. */
  readonly anchors: 'none' | 'pair' | 'shared'
  /** Whether a feerate applies to the commitment. */
  readonly paysFee: boolean
  /** Whether HTLC transactions pay a fee, of their own amount, at the commitment's feerate. */
  readonly htlcsPayFee: boolean
  /** Whether the counterparty's outputs wait a block: then nothing but anchors can be spent unconfirmed. */
  readonly oneBlockDelay: boolean
  /** With which the counterparty signs HTLC transactions. */
  readonly remoteHtlcSighash: SighashType
  /** Weight of a commitment with two balances, anchors included, and no HTLC. */
  readonly commitmentWeight: number
  /** Weights of the HTLC transactions, witness included. */
  readonly htlcTimeoutWeight: number
  readonly htlcSuccessWeight: number
  /** How many HTLCs each side may have in flight. */
  readonly maxHtlcs: number
}

/** Weight of one HTLC output. */
export const HTLC_OUTPUT_WEIGHT = 172

/** All forms. @see BOLT 3, "Fee Calculation" and "Expected Weights" */
export const FORMATS: Readonly<Record<CommitmentFormat, FormatRules>> = {
  static_remotekey: {
    version: 2,
    anchors: 'none',
    paysFee: true,
    htlcsPayFee: true,
    oneBlockDelay: false,
    remoteHtlcSighash: SIGHASH_ALL,
    commitmentWeight: 724,
    htlcTimeoutWeight: 663,
    htlcSuccessWeight: 703,
    maxHtlcs: 483,
  },
  anchors_zero_fee_htlc: {
    version: 2,
    anchors: 'pair',
    paysFee: true,
    htlcsPayFee: false,
    oneBlockDelay: true,
    remoteHtlcSighash: SIGHASH_SINGLE_ANYONECANPAY,
    commitmentWeight: 1124,
    htlcTimeoutWeight: 666,
    htlcSuccessWeight: 706,
    maxHtlcs: 483,
  },
  zero_fee: {
    version: 3,
    anchors: 'shared',
    paysFee: false,
    htlcsPayFee: false,
    oneBlockDelay: false,
    remoteHtlcSighash: SIGHASH_SINGLE_ANYONECANPAY,
    // 724, and a pay-to-anchor output of 13 bytes.
    commitmentWeight: 776,
    htlcTimeoutWeight: 663,
    htlcSuccessWeight: 703,
    // 10 kvB is the limit of a transaction of version 3.
    maxHtlcs: 114,
  },
}
