// Medians of short operations.

/** Nanoseconds for one call, as the median over samples that each last long enough for the clock. */
export function medianOf(operation: () => unknown, milliseconds: number): number {
  return mediansOf([operation], milliseconds)[0] ?? Number.NaN
}

/**
 * Like {@link medianOf} for several operations that are to be compared: their samples take turns, so that whatever
 * else the machine does meets them all.
 */
export function mediansOf(operations: readonly (() => unknown)[], milliseconds: number): readonly number[] {
  const runs = operations.map((operation) => {
    // Compiled, and known how often it goes into a sample of about a millisecond.
    const until = performance.now() + milliseconds / 10
    let calls = 0
    const start = performance.now()
    do {
      operation()
      calls++
    } while (performance.now() < until)
    const once = (performance.now() - start) / calls
    return { operation, calls: Math.max(1, Math.round(1 / once)), samples: [] as number[] }
  })
  const until = performance.now() + milliseconds * operations.length
  do {
    for (const { operation, calls, samples } of runs) {
      const start = process.hrtime.bigint()
      for (let i = 0; i < calls; i++) operation()
      samples.push(Number(process.hrtime.bigint() - start) / calls)
    }
  } while (performance.now() < until || (runs[0]?.samples.length ?? 0) < 5)
  return runs.map(({ samples }) => median(samples))
}

function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const high = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? high : (high + (sorted[middle - 1] ?? high)) / 2
}
