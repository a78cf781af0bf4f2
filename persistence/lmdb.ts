// The default store of a process of its own: LMDB behind a journal, which makes a commit durable by one flush.
import { demandNames, type NamesOf } from '../channel/arguments.js'
import { PerkunasError } from '../channel/errors.js'
import { type Engine, EngineStore } from './engine.js'
import { ReadOnlyEngine } from './journal-reader.js'
import { JournaledEngine } from './journaled.js'
import { LmdbTree } from './lmdb-tree.js'
import { Pace } from './pace.js'

/** How an {@link LmdbStore} behaves. */
export interface LmdbOptions {
  /**
   * A commit that nobody else waits for runs on the event loop's own thread while such commits have lately
   * taken less than so many milliseconds (default 1, 0 for never): it saves two thread switches, a third
   * of the time on a fast disk and nothing on a slow one, where it would only keep other channels waiting.
   */
  readonly blockUpTo?: number
  /**
   * Opens a store that another process may be writing, to look at it; commits are refused. What that process commits
   * later is seen some seconds later at most. Default false.
   */
  readonly readOnly?: boolean
}

const OPTION_NAMES: NamesOf<LmdbOptions> = { blockUpTo: true, readOnly: true }

/**
 * A durable store in a directory.
 *
 * Commits of one turn of the event loop, and those that come while the disk is busy, share one record of the journal. Its
 * directory is one thing: the tree without the journal beside it is the past, and does not open; nor may a copy that was
 * made file by file while somebody wrote.
 *
 * One process at a time may write: whoever opens a directory last owns it, and from then on every commit of an
 * earlier owner fails with STORE_FAILED. Two clients with the same keys would sign two states of one version;
 * so the earlier one stops, and the later one has read all that the earlier one ever committed.
 */
export class LmdbStore extends EngineStore {
  /**
   * @param path of a directory, made if it does not exist, unless it is only read
   * @throws PerkunasError STORE_FAILED if it can't be made or opened, or holds a file that is foreign or was cut off; INVALID_ARGUMENT if the path is empty or none, or an option is unknown
   */
  constructor(path: string, options: LmdbOptions = {}) {
    demandNames(options, OPTION_NAMES)
    const { blockUpTo = 1, readOnly = false } = options
    // Without one the library would make a temporary directory, and everything be lost with it.
    if (typeof path !== 'string' || path === '') {
      const message = `the path of a directory for the LMDB store expected, got ${JSON.stringify(path)}`
      throw new PerkunasError('INVALID_ARGUMENT', message, { argument: 'path' })
    }
    super(`LMDB store at ${path}`, opened(path, readOnly, blockUpTo))
  }
}

/** @throws PerkunasError STORE_FAILED, also where the disk has no room for the note that we own it */
function opened(path: string, readOnly: boolean, blockUpTo: number): Engine {
  let tree: LmdbTree | undefined
  try {
    tree = new LmdbTree(path, readOnly)
    return readOnly ? new ReadOnlyEngine(tree) : new JournaledEngine(tree, new Pace(blockUpTo))
  } catch (error) {
    tree?.close().catch(() => undefined)
    throw new PerkunasError(
      'STORE_FAILED',
      `the LMDB store at ${path} can't be opened: ${error instanceof Error ? error.message : String(error)}`,
      { operation: 'open' },
      { cause: error },
    )
  }
}
