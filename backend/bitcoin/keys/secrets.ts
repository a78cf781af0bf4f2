// Per-commitment secrets: made from one seed, and kept of the other side in 49 entries (BOLT 3, "Per-commitment Secret
// Requirements" and "Efficient Per-commitment Secret Storage").
import { equalBytes } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import { sha256 } from '../script/hash.js'
import { MAX_COMMITMENT_NUMBER } from '../script/number.js'

/** Secrets are indexed downwards from here: commitment 0 has this index. */
export const FIRST_SECRET_INDEX = MAX_COMMITMENT_NUMBER

/** The index of a commitment's secret. @throws PerkunasError INVALID_ARGUMENT outside 48 bits */
export function secretIndexOf(commitmentNumber: bigint): bigint {
  return checked(FIRST_SECRET_INDEX - commitmentNumber)
}

/** The secret of an index, 32 bytes, from a seed of 32 bytes. */
export function generateSecret(seed: Uint8Array, index: bigint): Uint8Array {
  return descend(seed, 48, checked(index))
}

/** The secret of our commitment. */
export function commitmentSecret(seed: Uint8Array, commitmentNumber: bigint): Uint8Array {
  return generateSecret(seed, secretIndexOf(commitmentNumber))
}

/**
 * The secrets of our commitments, with a memory of the way to the last one: neighbours have most of it in common, so that one
 * after another costs some hashes instead of forty.
 */
export function commitmentSecrets(seed: Uint8Array): (commitmentNumber: bigint) => Uint8Array {
  let known: SecretEntry | undefined
  return (commitmentNumber) => {
    const index = secretIndexOf(commitmentNumber)
    const stem = (index >> STEM_BITS) << STEM_BITS
    if (known?.index !== stem) known = { index: stem, secret: descend(seed, 48, stem) }
    return descend(known.secret, Number(STEM_BITS), index)
  }
}

/** Bits of an index in which neighbours differ. */
const STEM_BITS = 8n

/** What was received of the peer's secrets: plain data, frozen, so that what is written of it can be kept with it. */
export interface SecretStore {
  /** At position b the latest secret whose index ends in exactly b zero bits, from which later ones follow. */
  readonly entries: readonly (SecretEntry | undefined)[]
  /** The index of the secret that must come next; -1 when all have come. */
  readonly next: bigint
}

/** One known secret. */
export interface SecretEntry {
  readonly index: bigint
  readonly secret: Uint8Array
}

/** No secret yet. */
export const EMPTY_SECRETS: SecretStore = { entries: [], next: FIRST_SECRET_INDEX }

/**
 * Adds the next secret, after checking that every secret known so far follows from it or it is on another branch.
 *
 * @throws PerkunasError INVALID_MESSAGE if the secret does not fit those before, or is not the next: the peer then keeps
 *   something that we could not punish it for, and the channel must fail
 */
export function insertSecret(store: SecretStore, { index, secret }: SecretEntry): SecretStore {
  if (secret.length !== 32) throw refused(`32 bytes expected, got ${secret.length}`)
  if (index !== store.next) throw refused(`index ${store.next} expected, got ${index}`)
  const place = trailingZeros(index)
  for (let b = 0; b < place; b++) {
    const known = store.entries[b]
    if (known !== undefined && !equalBytes(descend(secret, place, known.index), known.secret)) {
      throw refused(`it does not lead to the secret of index ${known.index}`)
    }
  }
  const entries = Array.from({ length: Math.max(store.entries.length, place + 1) }, (_, b) =>
    b === place ? Object.freeze({ index, secret }) : store.entries[b],
  )
  return Object.freeze({ entries, next: index - 1n })
}

/** The secret of an index, or undefined if it has not come yet. */
export function findSecret(store: SecretStore, index: bigint): Uint8Array | undefined {
  for (const [b, known] of store.entries.entries()) {
    // Same bits above the lowest b: then the known one is on the way to it.
    if (known !== undefined && known.index >> BigInt(b) === index >> BigInt(b)) {
      return descend(known.secret, b, index)
    }
  }
  return undefined
}

/** The secret of the peer's revoked commitment, or undefined if it is not revoked. */
export function findCommitmentSecret(store: SecretStore, commitmentNumber: bigint): Uint8Array | undefined {
  return findSecret(store, secretIndexOf(commitmentNumber))
}

/** From the secret of a prefix to one below it: for each of the lowest `bits` that is set, flip it and hash. */
function descend(from: Uint8Array, bits: number, index: bigint): Uint8Array {
  let secret = from
  for (let b = bits - 1; b >= 0; b--) {
    if (((index >> BigInt(b)) & 1n) === 0n) continue
    const flipped = secret.slice()
    const at = b >> 3
    flipped[at] = (flipped[at] ?? 0) ^ (1 << (b & 7))
    secret = sha256(flipped)
  }
  return secret
}

function trailingZeros(index: bigint): number {
  let b = 0
  while (b < 48 && ((index >> BigInt(b)) & 1n) === 0n) b++
  return b
}

function checked(index: bigint): bigint {
  if (index < 0n || index > FIRST_SECRET_INDEX) {
    throw new PerkunasError('INVALID_ARGUMENT', `an index of 48 bits expected, got ${index}`, {
      argument: 'index',
    })
  }
  return index
}

function refused(reason: string): PerkunasError {
  return new PerkunasError('INVALID_MESSAGE', `per-commitment secret: ${reason}`, {
    path: 'per_commitment_secret',
    reason,
  })
}
