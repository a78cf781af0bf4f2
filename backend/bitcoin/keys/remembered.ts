// What is made of a name again and again, and of few names at a time.

/** A function with a memory of its last results. */
export interface Remembered<Name, Result> {
  (name: Name): Result
  /** Makes what is not there yet. @returns whether it was so */
  prepare(name: Name): boolean
}

/** The same function with a memory. @param kept how many results */
export function remembered<Name, Result>(
  kept: number,
  make: (name: Name) => Result,
): Remembered<Name, Result> {
  const known = new Map<Name, Result>()
  const get = (name: Name): Result => {
    const found = known.get(name)
    if (found !== undefined) return found
    const made = make(name)
    known.set(name, made)
    const [oldest] = known.keys()
    if (known.size > kept && oldest !== undefined) known.delete(oldest)
    return made
  }
  const prepare = (name: Name): boolean => {
    if (known.has(name)) return false
    get(name)
    return true
  }
  return Object.assign(get, { prepare })
}
