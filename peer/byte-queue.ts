// Bytes that came in pieces, to be taken in pieces of other sizes. Each byte is copied at most twice on average,
// however small the pieces, and not at all when a piece holds what is asked for.

const NONE = new Uint8Array(0)

/** A queue of bytes. */
export class ByteQueue {
  #buffer: Uint8Array = NONE
  #start = 0
  #end = 0
  /** Whether the buffer is ours to write into; a piece that came is not. */
  #owned = false

  /** How many bytes wait. */
  get length(): number {
    return this.#end - this.#start
  }

  /** Adds a piece, which nobody may change afterwards. */
  push(piece: Uint8Array): void {
    const { length } = this
    if (length === 0) {
      this.#buffer = piece
      this.#start = 0
      this.#end = piece.length
      this.#owned = false
      return
    }
    const size = length + piece.length
    if (!this.#owned || this.#end + piece.length > this.#buffer.length) {
      // Twice what is needed: the next move comes only after as many bytes again.
      const room = this.#owned && size * 2 <= this.#buffer.length ? this.#buffer : new Uint8Array(size * 2)
      room.set(this.#buffer.subarray(this.#start, this.#end))
      this.#buffer = room
      this.#start = 0
      this.#end = length
      this.#owned = true
    }
    this.#buffer.set(piece, this.#end)
    this.#end += piece.length
  }

  /** Takes `count` bytes, or undefined if there are fewer. Valid until the next `push`. */
  take(count: number): Uint8Array | undefined {
    if (this.length < count) return undefined
    const from = this.#start
    this.#start += count
    const taken = this.#buffer.subarray(from, this.#start)
    if (this.#start === this.#end) this.clear()
    return taken
  }

  /** Forgets everything. */
  clear(): void {
    this.#buffer = NONE
    this.#start = 0
    this.#end = 0
    this.#owned = false
  }
}
