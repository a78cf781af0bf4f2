// BOLT 3, Appendix C: static_remotekey.
import type { Case } from './cases.js'
import { commitmentCases } from './commitments.js'

/** Every commitment and HTLC transaction of the file. */
export function cases(): readonly Case[] {
  return commitmentCases('bolt03-commitment', 'static_remotekey')
}
