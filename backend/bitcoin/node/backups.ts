// A node's backup: what of it, and when it is made anew.

import type { PeerID } from '../../../peer/index.js'
import { channelBackup } from '../backup/channel.js'
import type { NodeBackup } from '../backup/contents.js'
import { NONCE_BYTES, openBackup, sealBackup, sealBlob } from '../backup/seal.js'
import type { ChainCursor } from '../chain/index.js'
import { isLive } from '../channel/index.js'
import { blockHeight } from '../units.js'
import type { Entry } from './entries.js'

/** Headers that a backup keeps: a reorg deeper than that makes the chain to be read anew by hand. */
const HEADERS = 24

/** Lengths of what peers keep: some take no more than the first, none more than the last. */
const BLOB_BYTES = [1024, 4096, 16_384, 65_531]

/** What is backed up. */
export interface BackedUp {
  readonly entries: Iterable<Entry>
  readonly nextKeyIndex: bigint
  readonly cursor: ChainCursor | undefined
}

/** What a backup is made of beside the channels. */
export interface BackupSource {
  readonly chainHash: NodeBackup['chainHash']
  readonly node: PeerID
  readonly seed: Uint8Array
  /** Channels that the store had. */
  readonly known: readonly Entry[]
  addressOf(peer: PeerID): string | undefined
  random(bytes: number): Uint8Array
}

/** See above. */
export class Backups {
  readonly #source: BackupSource
  /** Key indices of the channels that the last one has. */
  readonly #kept = new Set<bigint>()
  /** The last one for peers, as long as it is up to date. */
  #blob: Uint8Array | undefined

  constructor(source: BackupSource) {
    this.#source = source
    this.outdatedBy(source.known)
  }

  /** Channels that came into being or ended since this was last asked. */
  outdatedBy(changed: readonly Entry[]): readonly Entry[] {
    const found: Entry[] = []
    for (const entry of changed) {
      const { keyIndex } = entry
      const has = isLive(entry.state)
      if (has === this.#kept.has(keyIndex)) continue
      found.push(entry)
      this.#blob = undefined
      if (has) this.#kept.add(keyIndex)
      else this.#kept.delete(keyIndex)
    }
    return found
  }

  /** Sealed, of now. */
  make(given: BackedUp): Uint8Array {
    const { seed, random } = this.#source
    return sealBackup(this.#contents(given), seed, random(NONCE_BYTES))
  }

  /** The same for peers to keep: of few lengths, with as many channels as the longest of them holds. */
  makeBlob(given: BackedUp): Uint8Array {
    const { seed, random } = this.#source
    const contents = this.#contents(given)
    const { cursor } = contents
    const short = cursor === undefined ? {} : { cursor: { ...cursor, headers: cursor.headers.slice(-1) } }
    this.#blob ??= sealBlob({ ...contents, ...short }, seed, {
      nonce: random(NONCE_BYTES),
      lengths: BLOB_BYTES,
    })
    return this.#blob
  }

  #contents(given: BackedUp): NodeBackup {
    const { chainHash, node, addressOf } = this.#source
    const entries = [...given.entries].filter(({ shown }) => isLive(shown))
    const channels = entries.flatMap(({ shown, peer, place }) => {
      if (!isLive(shown)) return []
      const address = addressOf(peer)
      return channelBackup(shown, {
        peer,
        ...(address === undefined ? {} : { address }),
        ...(place === undefined ? {} : { place }),
      })
    })
    const cursor = given.cursor === undefined ? undefined : before(given.cursor, entries)
    return {
      chainHash,
      node,
      nextKeyIndex: given.nextKeyIndex,
      channels,
      ...(cursor === undefined ? {} : { cursor }),
    }
  }
}

/**
 * The channels of a backup that are newer than all that we know; none if it can't be read, or is none of ours: who gives it
 * back can't make one, and may keep whatever it likes in its place. One of the same seed may be of another of our nodes, or of
 * another chain, and come from a peer of both: it says nothing about this one.
 *
 * @param own whose it must be; `nextKeyIndex` of the store: channels that came later are not in it
 */
export function missingFrom(
  blob: Uint8Array,
  {
    seed,
    node,
    chainHash,
    nextKeyIndex,
  }: Pick<BackupSource, 'seed' | 'node' | 'chainHash'> & { readonly nextKeyIndex: bigint },
): readonly bigint[] {
  try {
    const { channels, ...of } = openBackup(blob, seed)
    if (of.node !== node || of.chainHash !== chainHash) return []
    return channels.map(({ keyIndex }) => keyIndex).filter((keyIndex) => keyIndex >= nextKeyIndex)
  } catch {
    return []
  }
}

/** A place below all that is on chain of channels that are about to end, as far as headers go. */
function before({ height, headers }: ChainCursor, entries: readonly Entry[]): ChainCursor {
  const heights = entries.flatMap(({ monitor }) => monitor?.facts.map((fact) => fact.height) ?? [])
  const least = Math.min(height, ...heights.map((one) => one - 1))
  const left = Math.max(1, headers.length - (height - least))
  const kept = headers.slice(0, left)
  return { height: blockHeight(height - (headers.length - left)), headers: kept.slice(-HEADERS) }
}
