// Virtual time: nothing happens but what somebody has put into its queue, one task after another.
import type { Clock } from '../../client/index.js'

interface Task {
  readonly at: number
  readonly order: number
  run: (() => void) | undefined
}

/** A clock that stands still between tasks. */
export class VirtualTime implements Clock {
  readonly #heap: Task[] = []
  #now = 0
  #order = 0

  now(): number {
    return this.#now
  }

  after(ms: number, callback: () => void): () => void {
    const task: Task = { at: this.#now + Math.max(0, ms), order: this.#order++, run: callback }
    this.#push(task)
    return () => {
      task.run = undefined
    }
  }

  /** Runs every task up to a moment, each followed by all that it sets off, and stands there then. */
  async runUntil(moment: number): Promise<void> {
    for (let [first] = this.#heap; first !== undefined && first.at <= moment; [first] = this.#heap) {
      this.#pop()
      if (first.run === undefined) continue
      this.#now = first.at
      first.run()
      await quiet()
    }
    this.#now = Math.max(this.#now, moment)
  }

  #push(task: Task): void {
    const heap = this.#heap
    let i = heap.push(task) - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      const above = heap[parent]
      if (above === undefined || isBefore(above, task)) break
      heap[i] = above
      i = parent
    }
    heap[i] = task
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      const [left, right] = [heap[child], heap[child + 1]]
      if (left === undefined) break
      if (right !== undefined && isBefore(right, left)) child++
      const least = heap[child]
      if (least === undefined || isBefore(last, least)) break
      heap[i] = least
      i = child
    }
    heap[i] = last
  }
}

/** Until all microtasks have run: nothing else is under way in a simulated process. */
export function quiet(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

function isBefore(a: Task, b: Task): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
