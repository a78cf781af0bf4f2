// All that a cheat's disk ever was: what each commit wrote, so that the disk after any of them can be had again.
import { MONITOR_ROWS } from '../../../backend/bitcoin/monitor/rows.js'
import type { Write } from '../../../persistence/index.js'
import type { Disk } from '../disk.js'
import type { Random } from '../random.js'

/** See above. */
export class DiskMemory {
  readonly #commits: (readonly Write[])[] = []
  /** After which commits a new commitment of its own was there. */
  readonly #turning: number[] = []

  /** Something is durable. */
  add(batch: readonly Write[]): void {
    this.#commits.push(batch)
    if (batch.some(({ kind, key }) => kind === 'put' && isCommitment(key)))
      this.#turning.push(this.#commits.length)
  }

  /** The disk with any of its commitments, each as likely as any other; none before it has one. */
  any(random: Random): Disk | undefined {
    const count = random.pick(this.#turning)
    return count === undefined ? undefined : this.#after(count)
  }

  #after(count: number): Disk {
    const disk = new Map<string, Uint8Array>()
    for (const write of this.#commits.slice(0, count).flat()) {
      if (write.kind === 'put') disk.set(write.key, write.value)
      else disk.delete(write.key)
    }
    return disk
  }
}

/** `lightning-monitor/<key index>/holder/<number>`. */
function isCommitment(key: string): boolean {
  return key.startsWith(MONITOR_ROWS) && key.split('/')[2] === 'holder'
}
