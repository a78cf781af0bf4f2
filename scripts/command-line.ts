// What commands of this repository are called with: whatever is not known is refused with a line that says how it is done.
import { type ParseArgsConfig, parseArgs } from 'node:util'

/** The options of a command, without those that were not given. */
export type Given = Readonly<Record<string, string | boolean | undefined>>

/** What was said on a command line. */
export interface CommandLine {
  readonly values: Given
  readonly positionals: readonly string[]
}

/**
 * Reads a command line. `--help` prints the usage.
 *
 * @param usage how the command is called
 * @param options as `parseArgs` of node:util takes them, none of them `multiple`
 * @param positionals how many words there may be beside them; 0 by default
 * @param words of the command line, this process's by default
 * @returns undefined if nothing is to be done: the usage was printed, and `process.exitCode` is set
 */
export function commandLine({
  usage,
  options,
  positionals: most = 0,
  words = process.argv.slice(2),
}: {
  readonly usage: string
  readonly options: NonNullable<ParseArgsConfig['options']>
  readonly positionals?: number
  readonly words?: readonly string[]
}): CommandLine | undefined {
  const known = { ...options, help: { type: 'boolean', short: 'h' } } as const
  try {
    const { values, positionals } = parseArgs({ args: [...words], options: known, allowPositionals: true })
    if (values.help === true) {
      console.log(usage)
      return undefined
    }
    const [extra] = positionals.slice(most)
    if (extra !== undefined) throw new Error(`unexpected argument '${extra}'`)
    const given: Record<string, string | boolean | undefined> = {}
    for (const [name, value] of Object.entries(values)) if (!Array.isArray(value)) given[name] = value
    return { values: given, positionals }
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${usage}`)
    process.exitCode = 1
    return undefined
  }
}
