// BOLT 10: finding nodes by DNS, as far as it is words: names of queries, and names and ports in answers. Asking is for
// others; answers prove nothing, for who answers may be anybody.
import { bech32 } from '@scure/base'
import { fromHex, toHex } from '../../channel/bytes.js'
import { PerkunasError } from '../../channel/errors.js'
import { isPeerID, type PeerID } from '../../peer/identity.js'

/** What is asked of a seed. */
export interface SeedConditions {
  /** Realm; 0 is Bitcoin. */
  readonly realm?: number
  /** Kinds of address, each a bit: see {@link ADDRESS_BITS}. For SRV queries only. */
  readonly addressTypes?: number
  /** One node instead of a random selection. */
  readonly nodeID?: PeerID
  /** How many nodes. */
  readonly count?: number
}

/** What a seed takes for conditions that are not there. */
export const SEED_DEFAULTS = { realm: 0, addressTypes: 6, count: 25 } as const

/** Bits of kinds of address: the numbers of BOLT 7 as positions. */
export const ADDRESS_BITS = { ipv4: 2, ipv6: 4 } as const

/** A node of which a seed tells: the name under which its address is to be asked for, and its port. */
export interface SeedResult {
  readonly nodeID: PeerID
  readonly port: number
}

/**
 * The name to ask for.
 *
 * @param root the seed's own name
 * @throws PerkunasError INVALID_ARGUMENT for numbers that are none, or a node ID that is no point
 */
export function seedQuery(conditions: SeedConditions, root: string): string {
  const { realm, addressTypes, nodeID, count } = conditions
  const labels: string[] = []
  for (const [key, value, max] of [
    ['r', realm, 255],
    ['a', addressTypes, 255],
    ['n', count, 65_535],
  ] as const) {
    if (value === undefined) continue
    if (!Number.isInteger(value) || value < 0 || value > max) throw invalidArgument(key)
    labels.push(`${key}${value}`)
  }
  if (nodeID !== undefined) labels.push(nodeLabel(nodeID))
  return [...labels, root].join('.')
}

/**
 * Reads the name of a query, as a seed does: from its root outwards, the later of two conditions of a kind replacing the
 * earlier one. Conditions that are not known are passed over.
 *
 * @throws PerkunasError INVALID_MESSAGE if the name is not below `root`, or a condition says nothing
 */
export function parseSeedQuery(name: string, root: string): SeedConditions {
  const out: { -readonly [K in keyof SeedConditions]: SeedConditions[K] } = {}
  for (const label of labelsBelow(name, root).reverse()) {
    const key = label.charAt(0)
    if (key === 'r') out.realm = numberOf(label, 255)
    else if (key === 'a') out.addressTypes = numberOf(label, 255)
    else if (key === 'n') out.count = numberOf(label, 65_535)
    else if (key === 'l') out.nodeID = nodeOf(label)
  }
  return out
}

/**
 * Reads an entry of an answer to an SRV query, whose target is a virtual host name: the node's ID and the seed's own name.
 *
 * @throws PerkunasError INVALID_MESSAGE if the name or the port can't be a node's
 */
export function parseSeedResult(target: string, port: number, root: string): SeedResult {
  const [label, ...others] = labelsBelow(target, root)
  if (label === undefined || others.length > 0) throw malformed('target', 'not a virtual host name')
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw malformed('port', `${port}`)
  return { nodeID: nodeOf(label), port }
}

/** The virtual host name of a node. @throws PerkunasError INVALID_ARGUMENT if it is no point */
export function virtualHostname(nodeID: PeerID, root: string): string {
  return `${nodeLabel(nodeID)}.${root}`
}

function nodeLabel(nodeID: PeerID): string {
  if (!isPeerID(nodeID)) throw invalidArgument('nodeID')
  return bech32.encode('ln', bech32.toWords(fromHex(nodeID, 33)), false)
}

function nodeOf(label: string): PeerID {
  const decoded = label.length <= 63 ? bech32.decodeUnsafe(label, 63) : undefined
  const bytes = decoded?.prefix === 'ln' ? bech32.fromWordsUnsafe(decoded.words) : undefined
  const id = bytes === undefined ? undefined : toHex(bytes)
  return isPeerID(id) ? id : malformedNode()
}

function malformedNode(): never {
  throw malformed('node', 'not a node ID in bech32')
}

/** The labels in front of a root, in the order in which they stand. Names of DNS have no case and at most 253 characters. */
function labelsBelow(name: string, root: string): string[] {
  const lower = name.toLowerCase().replace(/\.$/, '')
  if (name.length > 254) throw malformed('name', 'too long')
  const suffix = root.toLowerCase()
  if (lower === suffix) return []
  if (!lower.endsWith(`.${suffix}`)) throw malformed('name', 'not below the seed')
  return lower.slice(0, -suffix.length - 1).split('.')
}

function numberOf(label: string, max: number): number {
  const text = label.slice(1)
  const value = Number(text)
  if (!/^\d{1,5}$/.test(text) || value > max) throw malformed('condition', `number up to ${max} expected`)
  return value
}

function malformed(path: string, reason: string): PerkunasError<'INVALID_MESSAGE'> {
  return new PerkunasError('INVALID_MESSAGE', `DNS seed: ${path}: ${reason}`, { path, reason })
}

function invalidArgument(argument: string): PerkunasError<'INVALID_ARGUMENT'> {
  return new PerkunasError('INVALID_ARGUMENT', `DNS seed: ${argument} is out of range`, { argument })
}
