// The ledgers whose channels the commands know.
import { CHALLENGE_DURATION, EthereumRules } from '../backend/ethereum/index.js'
import { simRules } from '../backend/sim/rules.js'
import type { SignatureRules } from '../client/check.js'

/** The rules by which signatures are verified; they depend on neither a chain nor its contracts. */
export function signatureRules(): readonly SignatureRules[] {
  return [
    new EthereumRules({ chainID: 0n, holders: new Map(), challengeDuration: CHALLENGE_DURATION }),
    simRules(() => true),
  ]
}
