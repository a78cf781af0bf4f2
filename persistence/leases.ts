// How several processes on one store agree on who serves what.

/**
 * Names, each of which is held by one process at most. What the names mean is their users' affair; whoever holds one is
 * the only one to read and write what belongs to it.
 *
 * Names that were once acquired together form a party: from then on they are held by the same process, and go to
 * another one together. (A client names its peers; the peers of one channel form a party, so that each channel has one
 * owner.)
 *
 * A process holds what it acquired until it releases it, resigns, closes its store or dies. It says that it lives by
 * renewing a lease; when that has run out, by the store's clock, other processes may declare it dead and take all that it
 * held. That is safe whatever the process believes of itself: from then on the store refuses each commit of it, checked
 * in the commit's own transaction, and it never comes back but as a new process.
 */
export interface Leases {
  /**
   * Acquires all the names and whatever is of their parties, or nothing.
   *
   * @returns what was taken from a process that is gone, hence may have something in the store; `undefined` if another
   *   process holds one of them
   * @throws PerkunasError STORE_FAILED if the store can't be asked, or this process has lost all
   */
  acquire(names: readonly string[]): Promise<readonly string[] | undefined>

  /** Acquires all that nobody holds. @returns its names @throws as {@link Leases.acquire} */
  acquireFree(): Promise<readonly string[]>

  /** Whether these names are held, as one party. What was acquired and not released is held, see {@link Leases.lost}. */
  hold(names: readonly string[]): boolean

  /** Gives names up, and forgets of which party they were: nothing may be in the store that belongs to them. */
  release(names: readonly string[]): Promise<void>

  /** Calls back whenever there may be names that nobody holds; the result ends that. */
  onFree(handler: () => void): () => void

  /**
   * Makes sure that this process still holds what it acquired, for what it does without a commit. Nothing is asked
   * while its lease runs.
   *
   * @throws PerkunasError STORE_FAILED if it has lost all
   */
  confirm(): Promise<void> | undefined

  /**
   * This process serves nothing any more: gives up all that it holds, at once where the store can be asked, and renews no
   * more. The store refuses each commit of it from then on, those that are under way among them, so that whoever takes
   * over reads all that was written. Never rejects; idempotent.
   */
  resign(): Promise<void>

  /** Aborts, with a PerkunasError STORE_FAILED, when this process was declared dead and has lost all. */
  readonly lost: AbortSignal
}
