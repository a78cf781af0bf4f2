// Every file of vectors with its cases. A file without a module is a failure, and so is a module without a file:
// what was published must not be forgotten by forgetting an import.
import { type Case, load, readText } from './cases.js'

/** Every file, by what it is about. */
const FILES = [
  // wire, features, peer, wallet
  'bip340',
  'bolt01',
  'bolt02-splicing',
  'bolt07-extended-queries',
  'bolt07-gossip',
  'bolt07-routing',
  'bolt08-handshake',
  'bolt10-dns',
  'features',
  'messages',
  'wire-messages',
  // keys and script
  'bolt03-commitment',
  'bolt03-commitment-anchors',
  'bolt03-commitment-zero-fee',
  'bolt03-dual-funding',
  'bolt03-fees',
  'bolt03-funding',
  'bolt03-keys',
  'bolt03-secrets',
  'simple-taproot',
  // onion
  'bolt04-attribution',
  'bolt04-blinded-onion-message',
  'bolt04-blinded-payment-onion',
  'bolt04-onion',
  'bolt04-onion-error',
  'bolt04-route-blinding',
  // invoice
  'bolt11',
  'bolt12-format',
  'bolt12-invoices',
  'bolt12-offers',
  'bolt12-payer-proof',
  'bolt12-signature',
] as const

/** A file and its cases, one of which fails if something is wrong with the file as a whole. */
export interface VectorFile {
  /** Such as `bolt01.json`. */
  readonly file: string
  readonly cases: readonly Case[]
}

/** All files in the order of their names. */
export async function vectorFiles(): Promise<readonly VectorFile[]> {
  return Promise.all(
    [...FILES].sort().map(async (file) => ({ file: `${file}.json`, cases: await casesOf(file) })),
  )
}

async function casesOf(file: string): Promise<readonly Case[]> {
  try {
    const loaded: { cases?: () => readonly Case[] } = await import(`./${file}.js`)
    if (loaded.cases === undefined) throw new Error(`${file}.ts exports no cases()`)
    const cases = loaded.cases()
    if (cases.length === 0) throw new Error(`${file}.ts has no cases`)
    const names = new Set<string>()
    for (const { name, pending } of cases) {
      if (names.has(name)) throw new Error(`${file}.ts has two cases named ${name}`)
      names.add(name)
      if (pending !== undefined && !mayBePending(file)) {
        throw new Error(`${file}.ts: ${name} is pending, but its subject is in the specification`)
      }
    }
    return cases
  } catch (error) {
    return [{ name: 'has a module with cases', run: () => Promise.reject(error) }]
  }
}

/** Only proposals, and the flows of splicing, which need a whole channel to play, may have pending cases. */
function mayBePending(file: string): boolean {
  const { status } = load<{ readonly status?: string }>(file)
  return file === 'bolt02-splicing' || (status?.startsWith('proposal') ?? false)
}

/** Whether the file names where its figures were published. */
export function namesItsSource(file: string): boolean {
  return /"source": ".+"/.test(readText(file.replace(/\.json$/, '')))
}
