/** Milliseconds between blocks. */
export const BLOCK_MS = 20_000
