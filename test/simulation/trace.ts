// What happened, in order: two runs of one seed must tell the same story.
import { createHash, type Hash } from 'node:crypto'

/** A story and its fingerprint. */
export class Trace {
  readonly #hash: Hash = createHash('sha256')
  readonly #lines: string[] = []
  readonly #keep: boolean
  #digest: string | undefined

  /** @param keep whether to remember the words too */
  constructor(keep: boolean) {
    this.#keep = keep
  }

  /** Adds something that happened. @param at virtual milliseconds */
  tell(at: number, words: string): void {
    const line = `${(at / 1000).toFixed(3)} ${words}`
    this.#hash.update(`${line}\n`)
    if (this.#keep) this.#lines.push(line)
  }

  /** The words, if they were kept. */
  get lines(): readonly string[] {
    return this.#lines
  }

  /** Ends the story. @returns its SHA-256, in hex */
  digest(): string {
    this.#digest ??= this.#hash.digest('hex')
    return this.#digest
  }
}
