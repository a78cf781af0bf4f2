#!/usr/bin/env node
// `npx perkunas <command>`: finds the command, reads its options, runs it.
//
// A new command is one line of COMMANDS and a file of its own, which is loaded only when it is called (or by
// --help), so that none needs what only another one needs. The arguments are read by node:util: it does all that
// is needed here, and a command line parser is one more package that everybody installs.
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Command, ExitCode } from './command.js'

/** Each command by its words. No command's words begin with another one's. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  'store check': async () => (await import('./store-check.js')).storeCheck,
  watch: async () => (await import('./watch.js')).watch,
}

async function main(args: readonly string[]): Promise<ExitCode> {
  if (args[0] === '--version') {
    console.log(version())
    return 0
  }
  const words = Object.keys(COMMANDS).find((name) => name.split(' ').every((word, i) => args[i] === word))
  const load = words === undefined ? undefined : COMMANDS[words]
  if (words === undefined || load === undefined) {
    const isAsked = args[0] === '--help' || args[0] === '-h'
    const help = await overview()
    if (isAsked) console.log(help)
    else console.error(args.length === 0 ? help : `there is no command ${args.join(' ')}\n\n${help}`)
    return isAsked ? 0 : 2
  }
  return runCommand(words, await load(), args.slice(words.split(' ').length))
}

async function runCommand(words: string, command: Command, args: readonly string[]): Promise<ExitCode> {
  const help = `perkunas ${words} ${indented(command.usage, '  ')}\n\n${command.summary}`
  const parsed = parse(command, args)
  if (typeof parsed === 'string') {
    console.error(`${parsed}\n\n${help}`)
    return 2
  }
  const { values, positionals } = parsed
  if (values['help'] === true) {
    console.log(help)
    return 0
  }
  const { min, max } = command.positionals
  if (positionals.length < min || positionals.length > max) {
    const wanted = min === max ? String(min) : `${min} to ${max}`
    const noun = max === 1 ? 'argument' : 'arguments'
    console.error(`${wanted} ${noun} expected, got ${positionals.length}\n\n${help}`)
    return 2
  }
  const ended = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ended.abort(signal))
  return command.run({
    positionals,
    options: values,
    print: (line) => console.log(line),
    complain: (line) => console.error(line),
    signal: ended.signal,
  })
}

/** What was given, or what is wrong with it. */
function parse(command: Command, args: readonly string[]) {
  const options = { ...command.options, help: { type: 'boolean', short: 'h' } } as const
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (error) {
    return reason(error)
  }
}

async function overview(): Promise<string> {
  const lines = await Promise.all(
    Object.entries(COMMANDS).map(async ([words, load]) => {
      const { usage, summary } = await load()
      return indented(`  perkunas ${words} ${usage}\n${summary}`, '      ')
    }),
  )
  return ['usage:', ...lines, '  perkunas --version'].join('\n')
}

/** All lines but the first are indented. */
function indented(text: string, by: string): string {
  return text.replaceAll('\n', `\n${by}`)
}

function version(): string {
  // This file is dist/cli/main.js of the package.
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  console.error(reason(error))
  process.exitCode = 2
}
