// What every ledger must do, as a suite that the author of a backend runs against it. Cases are chosen by the
// capabilities, which are data. The verdict is always the balance on the ledger, to the last unit.
import type { Hex } from '../../channel/index.js'
import { describeClosing } from './backend-closing.js'
import { describeDisputes } from './backend-dispute.js'
import { describeEvents } from './backend-events.js'
import { describeFunding } from './backend-funding.js'
import { describeProgression } from './backend-progression.js'
import { describeRules } from './backend-rules.js'
import type { BackendSetup, BackendWorld } from './backend-setup.js'

/** Declares the tests of a backend. */
export function describeBackend<W extends BackendWorld>(name: string, setup: BackendSetup<W>): void {
  describe(`backend: ${name}`, () => {
    describeRules(setup)
    describeFunding(setup)
    describeClosing(setup)
    describeDisputes(setup)
    describeProgression(setup)
    describeEvents(setup)
  })
}

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

/** The forms of an ECDSA signature (65 bytes, r ‖ s ‖ v) over secp256k1 that Ethereum's contracts refuse. */
export function ecdsaTwins(signature: Hex): readonly Hex[] {
  const r = signature.slice(2, 66)
  const s = signature.slice(66, 130)
  const v = signature.slice(130)
  const high = (ORDER - BigInt(`0x${s}`)).toString(16).padStart(64, '0')
  return [
    `0x${r}${high}${v === '1b' ? '1c' : '1b'}`,
    `0x${r}${high}${v}`,
    `0x${r}${s}${v === '1b' ? '00' : '01'}`,
    `0x${r}${s}`,
  ]
}
