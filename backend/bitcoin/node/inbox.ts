// What waits to be handled: a queue for each source, which have their turns one after another, so that none keeps the
// others waiting.

/** See above. Within one source order is kept. */
export class Inbox<S, T> {
  /** Sources with something in them, who is next first. */
  readonly #queues = new Map<S, T[]>()

  /** Adds at the end of a source's queue. */
  push(source: S, item: T): void {
    const queue = this.#queues.get(source)
    if (queue === undefined) this.#queues.set(source, [item])
    else queue.push(item)
  }

  get isEmpty(): boolean {
    return this.#queues.size === 0
  }

  /** How much waits of one source. */
  waiting(source: S): number {
    return this.#queues.get(source)?.length ?? 0
  }

  /** Takes the next item, of the source whose turn it is. */
  next(): T | undefined {
    for (const [source, queue] of this.#queues) {
      const item = queue.shift()
      this.#queues.delete(source)
      if (queue.length > 0) this.#queues.set(source, queue)
      return item
    }
    return undefined
  }

  /** Forgets everything. */
  clear(): void {
    this.#queues.clear()
  }
}
