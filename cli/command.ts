// What a subcommand of `perkunas` is.
import type { ParseArgsConfig } from 'node:util'

/**
 * How a command ended, as its process's exit code: 0 all is well, 1 it looked and something is wrong, 2 it was called
 * in a wrong way or could not begin.
 */
export type ExitCode = 0 | 1 | 2

/** What a command was called with, and how it speaks. */
export interface Invocation {
  /** As many as {@link Command.positionals} allows. */
  readonly positionals: readonly string[]
  /** By name, as {@link Command.options} declares them; absent if not given. */
  readonly options: Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>
  /** A line of the result, on standard output. */
  print(line: string): void
  /** A line for people, on standard error. */
  complain(line: string): void
  /** Aborts when the process is asked to end (SIGINT, SIGTERM); a command that runs for long finishes in order. */
  readonly signal: AbortSignal
}

/** A subcommand. */
export interface Command {
  /** What follows its words: '<path> [--json]'; of several lines none is indented. */
  readonly usage: string
  /** What it does, in lines that are not indented. */
  readonly summary: string
  /** Its options, as `parseArgs` of node:util takes them. */
  readonly options: NonNullable<ParseArgsConfig['options']>
  /** Fewest and most arguments beside the options. */
  readonly positionals: { readonly min: number; readonly max: number }
  /** An error that it throws is printed, and ends the process with 2. */
  run(invocation: Invocation): Promise<ExitCode>
}
