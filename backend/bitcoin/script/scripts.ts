// The scripts of BOLT 3, by the names that it gives them.
import { concat, equalBytes } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import { assemble } from './assemble.js'
import { hash160, ripemd160, sha256 } from './hash.js'

/** Pay-to-anchor (BIP 433): anybody may spend it, with an empty witness. */
export const P2A_SCRIPT: Uint8Array = Uint8Array.of(0x51, 0x02, 0x4e, 0x73)

/** The output script of a version 0 witness script. */
export function p2wsh(witnessScript: Uint8Array): Uint8Array {
  return segwitScript(0, sha256(witnessScript))
}

/** The output script of a key, version 0. */
export function p2wpkh(publicKey: Uint8Array): Uint8Array {
  return segwitScript(0, hash160(publicKey))
}

/** What a signature for {@link p2wpkh} commits to (BIP 143, "scriptCode"). */
export function p2wpkhScriptCode(publicKey: Uint8Array): Uint8Array {
  return assemble('DUP', 'HASH160', hash160(publicKey), 'EQUALVERIFY', 'CHECKSIG')
}

/**
 * The funding output's 2-of-2, whose keys are in lexicographic order whoever's they are.
 *
 * @throws PerkunasError INVALID_ARGUMENT if the keys are the same
 * @see BOLT 3, "Funding Transaction Output"
 */
export function fundingScript(one: Uint8Array, other: Uint8Array): Uint8Array {
  if (equalBytes(one, other)) {
    throw new PerkunasError('INVALID_ARGUMENT', 'two different funding keys expected', {
      argument: 'fundingKeys',
    })
  }
  const [first, second] = compareBytes(one, other) < 0 ? [one, other] : [other, one]
  return assemble(2, first, second, 2, 'CHECKMULTISIG')
}

/**
 * Pays the holder after a delay, or at once whoever has the revocation key: the output to_local, and the output of every
 * HTLC transaction.
 *
 * @see BOLT 3, "to_local Output"
 */
export function delayedScript(keys: {
  readonly revocation: Uint8Array
  readonly delayed: Uint8Array
  readonly delay: number
}): Uint8Array {
  const { revocation, delayed, delay } = keys
  return assemble(
    'IF',
    revocation,
    'ELSE',
    delay,
    'CHECKSEQUENCEVERIFY',
    'DROP',
    delayed,
    'ENDIF',
    'CHECKSIG',
  )
}

/** The output to_remote where there are anchors: spendable after one block. @see BOLT 3, "to_remote Output" */
export function toRemoteScript(remotePayment: Uint8Array): Uint8Array {
  return assemble(remotePayment, 'CHECKSIGVERIFY', 1, 'CHECKSEQUENCEVERIFY')
}

/** An anchor: of its owner at once, of anybody after 16 blocks. @see BOLT 3, "to_local_anchor and to_remote_anchor" */
export function anchorScript(funding: Uint8Array): Uint8Array {
  return assemble(funding, 'CHECKSIG', 'IFDUP', 'NOTIF', 16, 'CHECKSEQUENCEVERIFY', 'ENDIF')
}

/** The keys in the HTLC outputs of one commitment. */
export interface HtlcScriptKeys {
  readonly revocation: Uint8Array
  /** Of the holder. */
  readonly localHtlc: Uint8Array
  /** Of the counterparty. */
  readonly remoteHtlc: Uint8Array
  /** Whether all but the revocation must wait a block (anchors). */
  readonly delayed: boolean
}

/** Builds the HTLC outputs of one commitment: everything but hash and expiry is encoded once. */
export interface HtlcScripts {
  /** An HTLC that the holder offered. @see BOLT 3, "Offered HTLC Outputs" */
  offered(paymentHash: Uint8Array): Uint8Array
  /** An HTLC that the holder received. @see BOLT 3, "Received HTLC Outputs" */
  received(paymentHash: Uint8Array, cltvExpiry: number): Uint8Array
}

/** Prepares {@link HtlcScripts}. */
export function htlcScripts({ revocation, localHtlc, remoteHtlc, delayed }: HtlcScriptKeys): HtlcScripts {
  const start = assemble(
    'DUP',
    'HASH160',
    hash160(revocation),
    'EQUAL',
    'IF',
    'CHECKSIG',
    'ELSE',
    remoteHtlc,
    'SWAP',
    'SIZE',
    32,
    'EQUAL',
  )
  const end = delayed ? [0x68, 0x51, 0xb2, 0x75, 0x68] : [0x68, 0x68]
  // NOTIF: no preimage of 32 bytes on the stack, so it is the holder's HTLC-timeout transaction.
  const offeredStart = concat(
    start,
    assemble('NOTIF', 'DROP', 2, 'SWAP', localHtlc, 2, 'CHECKMULTISIG', 'ELSE', 'HASH160'),
    Uint8Array.of(0x14),
  )
  const offeredEnd = Uint8Array.from([0x88, 0xac, ...end])
  // IF: the preimage is there, so it is the holder's HTLC-success transaction.
  const receivedStart = concat(start, assemble('IF', 'HASH160'), Uint8Array.of(0x14))
  const receivedMiddle = assemble('EQUALVERIFY', 2, 'SWAP', localHtlc, 2, 'CHECKMULTISIG', 'ELSE', 'DROP')
  const receivedEnds = new Map<number, Uint8Array>()
  const receivedEnd = (cltvExpiry: number) => {
    const known = receivedEnds.get(cltvExpiry)
    if (known !== undefined) return known
    const made = concat(
      receivedMiddle,
      assemble(cltvExpiry, 'CHECKLOCKTIMEVERIFY', 'DROP', 'CHECKSIG'),
      Uint8Array.from(end),
    )
    receivedEnds.set(cltvExpiry, made)
    return made
  }
  return {
    offered: (paymentHash) => join(offeredStart, shortened(paymentHash), offeredEnd),
    received: (paymentHash, cltvExpiry) =>
      join(receivedStart, shortened(paymentHash), receivedEnd(cltvExpiry)),
  }
}

/** Of payment hashes: an HTLC is in several commitments of either side, one after the other. */
const known = new WeakMap<Uint8Array, Uint8Array>()

function shortened(paymentHash: Uint8Array): Uint8Array {
  const found = known.get(paymentHash)
  if (found !== undefined) return found
  const made = ripemd160(paymentHash)
  known.set(paymentHash, made)
  return made
}

/** Lexicographic order of byte strings: negative, zero or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

function segwitScript(version: number, program: Uint8Array): Uint8Array {
  const script = new Uint8Array(2 + program.length)
  script[0] = version
  script[1] = program.length
  script.set(program, 2)
  return script
}

function join(start: Uint8Array, hash: Uint8Array, end: Uint8Array): Uint8Array {
  const script = new Uint8Array(start.length + 20 + end.length)
  script.set(start)
  script.set(hash, start.length)
  script.set(end, start.length + 20)
  return script
}
