// What is made of a name again and again, and of few names at a time.

/** The same function with a memory of its last results. @param kept how many */
export function remembered<Name, Given extends readonly unknown[], Result>(
  kept: number,
  make: (name: Name, ...given: Given) => Result,
): (name: Name, ...given: Given) => Result {
  const known = new Map<Name, Result>()
  return (name, ...given) => {
    const found = known.get(name)
    if (found !== undefined) return found
    const made = make(name, ...given)
    known.set(name, made)
    const [oldest] = known.keys()
    if (known.size > kept && oldest !== undefined) known.delete(oldest)
    return made
  }
}
