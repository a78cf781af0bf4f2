// A copy of the compiled code with one mistake in it, for workers to run.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Mutation } from './mutations.js'

const dist = fileURLToPath(new URL('../../', import.meta.url))
const PARTS = [
  'channel',
  'client',
  'backend',
  'peer',
  'persistence',
  'wallet',
  'test/simulation',
  'test/backend/bitcoin/monitor',
  'test/backend/bitcoin/node',
]

/**
 * The text of a compiled file with the mistake. White space in what is to be found stands for any.
 *
 * @throws Error unless it fits exactly once
 */
export function mutated({ name, file, find, replace }: Mutation): string {
  const text = readFileSync(`${dist}${file}`, 'utf8')
  const pattern = find
    .split(/\s+/)
    .map((word) => word.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('\\s+')
  const parts = text.split(new RegExp(pattern))
  if (parts.length !== 2)
    throw new Error(`"${name}" fits ${parts.length - 1} times into ${file}, once expected`)
  return parts.join(replace)
}

/** Makes the copy; without a mistake, to see that it is one. @returns its worker, and how to remove it */
export function mutant(mutation: Mutation | undefined): { readonly worker: string; remove(): void } {
  const home = `${dist}.mutants/${mutation?.name.replaceAll(/\W+/g, '-') ?? 'none'}-${process.pid}/`
  const text = mutation && mutated(mutation)
  for (const part of PARTS) {
    mkdirSync(`${home}${part}`, { recursive: true })
    cpSync(`${dist}${part}`, `${home}${part}`, {
      recursive: true,
      filter: (path) => !/\.(map|d\.ts)$/.test(path),
    })
  }
  if (mutation && text !== undefined) writeFileSync(`${home}${mutation.file}`, text)
  return {
    worker: `${home}test/simulation/worker.js`,
    remove: () => rmSync(home, { recursive: true, force: true }),
  }
}
