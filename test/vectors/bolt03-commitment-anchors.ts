// BOLT 3, Appendix F: anchors with zero-fee HTLC transactions.
import type { Case } from './cases.js'
import { commitmentCases } from './commitments.js'

/** Every commitment and HTLC transaction of the file. */
export function cases(): readonly Case[] {
  return commitmentCases('bolt03-commitment-anchors', 'anchors_zero_fee_htlc')
}
