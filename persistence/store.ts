// What a store is: a map from keys to bytes that survives a crash at any moment. Everything above it
// (what the bytes mean, which key belongs to whom) is the caller's.

/** One change of a batch. */
export type Write =
  | { readonly kind: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly kind: 'delete'; readonly key: string }

/** What a scan gives: a key and a copy of its value. */
export type Entry = readonly [key: string, value: Uint8Array]

/** Which part of the keys with a prefix a scan gives. */
export interface ScanOptions {
  /** Only keys that come after this one: the last key of the page before. */
  readonly after?: string
  /** At most so many entries; a positive integer. */
  readonly limit?: number
}

/**
 * Bytes of a key in UTF-8. The tightest engine (LMDB, pages of 4 096 bytes) takes 1 978; one that can be
 * printed in a log line is enough for everybody.
 */
export const MAX_KEY_BYTES = 512

/** Bytes of one value: 16 MiB, far above a channel of 1 024 participants. */
export const MAX_VALUE_BYTES = 0x100_0000

/**
 * A durable map with atomic batches.
 *
 * Keys are non-empty well-formed strings (no lone surrogate; any other character, U+0000 included) of at
 * most {@link MAX_KEY_BYTES} in UTF-8, ordered by those bytes. Values are byte strings of 0 to
 * {@link MAX_VALUE_BYTES}. Both ways they are copied: neither side sees what the other does to an array later.
 *
 * A wrong argument is refused with INVALID_ARGUMENT or TOO_LARGE before any effect, and costs that call alone.
 * Any other failure is the store's end: the call, all calls under way and all later ones reject with
 * STORE_FAILED, because nobody can know what is on disk (after a failed fsync least of all). Open the store
 * anew, in a new process, and go on from what it holds. A closed store rejects with CLOSED.
 *
 * Reads see every batch whose commit has resolved, and each batch whole or not at all. They may see one
 * whose commit has yet to resolve, hence is not durable: whoever acts on what was read awaits the commit.
 */
export interface Store {
  /** The value of a key; `undefined` if there is none. */
  get(key: string): Promise<Uint8Array | undefined>

  /**
   * What `get` gives, at once. Only a store has it that holds everything in this process's memory or maps it there.
   *
   * @throws PerkunasError as `get` rejects
   */
  readonly peek?: (key: string) => Uint8Array | undefined

  /**
   * All entries whose key starts with `prefix` ('' for all), in the order of the keys' UTF-8 bytes.
   *
   * A consistent snapshot: it is taken at the first `next()`, and no commit changes it afterwards. It may
   * hold resources until it is exhausted or left (`break`, `return()`), so don't keep one open for long.
   */
  scan(prefix: string, options?: ScanOptions): AsyncIterable<Entry>

  /**
   * Applies a batch, all or nothing, in its order (the last write to a key wins).
   *
   * Must not resolve before the batch is on disk: messages are released by it, and a signature that outlives
   * our memory of it **can lose funds**. Commits apply in the order of the calls and resolve in that order.
   * They may be called without awaiting each other: those of one turn, and those that come while the disk is
   * busy, become durable together. An empty batch resolves when everything before it is durable.
   */
  commit(batch: readonly Write[]): Promise<void>

  /** Waits for the commits under way, ends open scans, frees everything. Can be called again. Never rejects. */
  close(): Promise<void>
}
