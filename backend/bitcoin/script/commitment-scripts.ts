// The scripts of one commitment, which depend on its keys and not on who has what: whoever knows the keys can make them before
// it is known what the commitment says.
import { type CommitmentFormat, FORMATS } from './format.js'
import {
  anchorScript,
  delayedScript,
  fundingScript,
  type HtlcScripts,
  htlcScripts,
  p2wpkh,
  p2wsh,
  toRemoteScript,
} from './scripts.js'

/** All public keys of one commitment, 33 bytes each. */
export interface CommitmentKeys {
  readonly localFunding: Uint8Array
  readonly remoteFunding: Uint8Array
  readonly revocation: Uint8Array
  readonly localDelayed: Uint8Array
  readonly localHtlc: Uint8Array
  readonly remoteHtlc: Uint8Array
  /** The counterparty's payment basepoint itself (static_remotekey). */
  readonly remotePayment: Uint8Array
}

/** Those that are the same in all commitments of a holder. */
export interface FixedScripts {
  /** The witness script of the output that it spends. */
  readonly funding: Uint8Array
  /** Without witness script where the form pays to a key. */
  readonly toRemote: { readonly script: Uint8Array; readonly witnessScript?: Uint8Array }
  /** Where the form has a pair of them. */
  readonly localAnchor?: WitnessOutput
  readonly remoteAnchor?: WitnessOutput
}

/** See above. */
export interface CommitmentScripts extends FixedScripts {
  /** Its witness script is that of the outputs of HTLC transactions, too. */
  readonly toLocal: WitnessOutput
  readonly htlcs: HtlcScripts
}

/** An output script and the witness script that it is the hash of. */
export interface WitnessOutput {
  readonly script: Uint8Array
  readonly witnessScript: Uint8Array
}

/** What they are made of. */
interface ScriptsGiven {
  readonly format: CommitmentFormat
  readonly keys: CommitmentKeys
  readonly toSelfDelay: number
}

/**
 * Makes them.
 *
 * @param fixed of the same holder, for whoever made them before
 * @throws PerkunasError INVALID_ARGUMENT if the funding keys are the same
 */
export function commitmentScripts(
  given: ScriptsGiven,
  fixed: FixedScripts = fixedScripts(given),
): CommitmentScripts {
  const { format, keys, toSelfDelay } = given
  const delayed = { revocation: keys.revocation, delayed: keys.localDelayed, delay: toSelfDelay }
  return {
    ...fixed,
    toLocal: paidTo(delayedScript(delayed)),
    htlcs: htlcScripts({ ...keys, delayed: FORMATS[format].oneBlockDelay }),
  }
}

/** Makes those that never change. @throws PerkunasError INVALID_ARGUMENT if the funding keys are the same */
export function fixedScripts({ format, keys }: Omit<ScriptsGiven, 'toSelfDelay'>): FixedScripts {
  const { anchors, oneBlockDelay } = FORMATS[format]
  return {
    funding: fundingScript(keys.localFunding, keys.remoteFunding),
    toRemote: oneBlockDelay
      ? paidTo(toRemoteScript(keys.remotePayment))
      : { script: p2wpkh(keys.remotePayment) },
    ...(anchors === 'pair' && {
      localAnchor: paidTo(anchorScript(keys.localFunding)),
      remoteAnchor: paidTo(anchorScript(keys.remoteFunding)),
    }),
  }
}

function paidTo(witnessScript: Uint8Array): WitnessOutput {
  return { script: p2wsh(witnessScript), witnessScript }
}
