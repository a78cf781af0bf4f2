// What samples say: medians and percentiles.

/** The value below which a share (0 to 1) of the samples lies. */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
}

/** The middle of the samples. */
export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5)
}

/** A number with `digits` behind the point, as a number. */
export function rounded(value: number, digits = 0): number {
  return Number(value.toFixed(digits))
}
