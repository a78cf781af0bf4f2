// Proposal to BOLT 3, pull request 1228: version 3 with pay-to-anchor.
import type { Case } from './cases.js'
import { commitmentCases } from './commitments.js'

/** Every commitment and HTLC transaction of the file. */
export function cases(): readonly Case[] {
  return commitmentCases('bolt03-commitment-zero-fee', 'zero_fee')
}
