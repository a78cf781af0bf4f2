// A map that never changes: putting something in gives another map, which shares with the old one all that is the same. So
// the state of a node with thousands of open payments is a value, and a step that touches one of them copies some hundred bytes.
//
// A trie over the hex digits of 32-byte keys. Who picks keys to be alike makes paths of 64 branches at most.
import type { Hex } from '../../../channel/bytes.js'

/** Values by keys of 32 bytes. Plain data; equal contents have equal form. */
export interface Table<T> {
  readonly size: number
  readonly root?: TableNode<T>
}

/** A part of a {@link Table}: one entry, or 16 parts by the next digit of the key. */
export type TableNode<T> =
  | { readonly key: Hex; readonly value: T }
  | { readonly children: readonly (TableNode<T> | undefined)[] }

const EMPTY_TABLE: Table<never> = { size: 0 }
const NO_CHILDREN: readonly undefined[] = Array.from({ length: 16 }, () => undefined)
const emptyBranch = <T>(): readonly (TableNode<T> | undefined)[] => NO_CHILDREN

/** A table with nothing in it. */
export function emptyTable<T>(): Table<T> {
  return EMPTY_TABLE
}

/** The value of a key. */
export function lookUp<T>({ root }: Table<T>, key: Hex): T | undefined {
  let node = root
  for (let depth = 0; node !== undefined; depth++) {
    if ('key' in node) return node.key === key ? node.value : undefined
    node = node.children[digit(key, depth)]
  }
  return undefined
}

/** The table with another value for a key. */
export function put<T>(table: Table<T>, key: Hex, value: T): Table<T> {
  const isNew = lookUp(table, key) === undefined
  return { size: table.size + (isNew ? 1 : 0), root: inserted(table.root, { key, value }, 0) }
}

/** The table without a key. */
export function remove<T>(table: Table<T>, key: Hex): Table<T> {
  if (lookUp(table, key) === undefined) return table
  const root = removed(table.root, key, 0)
  return root === undefined ? EMPTY_TABLE : { size: table.size - 1, root }
}

/** Every value, in the order of their keys. */
export function valuesOf<T>({ root }: Table<T>): readonly T[] {
  return root === undefined ? [] : entriesUnder(root).map(([, value]) => value)
}

/** A key and its two values. */
type Difference<T> = readonly [key: Hex, before: T | undefined, after: T | undefined]

/** What two tables differ in. The work is that of the difference. */
export function differences<T>(before: Table<T>, after: Table<T>): readonly Difference<T>[] {
  const found: Difference<T>[] = []
  compare(before.root, after.root, found)
  return found
}

function inserted<T>(
  node: TableNode<T> | undefined,
  leaf: { readonly key: Hex; readonly value: T },
  depth: number,
): TableNode<T> {
  if (node === undefined) return leaf
  if ('key' in node) {
    if (node.key === leaf.key) return leaf
    const children = emptyBranch<T>().with(digit(node.key, depth), node)
    return inserted({ children }, leaf, depth)
  }
  const at = digit(leaf.key, depth)
  return { children: node.children.with(at, inserted(node.children[at], leaf, depth + 1)) }
}

function removed<T>(node: TableNode<T> | undefined, key: Hex, depth: number): TableNode<T> | undefined {
  if (node === undefined || 'key' in node) return undefined
  const at = digit(key, depth)
  const children = node.children.with(at, removed(node.children[at], key, depth + 1))
  const left = children.filter((child) => child !== undefined)
  const [only] = left
  // A single entry needs no branch, so that the form tells nothing of what was there.
  return left.length === 1 && only !== undefined && 'key' in only ? only : { children }
}

// Into one array: most parts are the same, and a generator for each would cost more than to compare them.
function compare<T>(
  before: TableNode<T> | undefined,
  after: TableNode<T> | undefined,
  found: Difference<T>[],
): void {
  if (before === after) return
  if (before !== undefined && after !== undefined && 'children' in before && 'children' in after) {
    for (let at = 0; at < 16; at++) compare(before.children[at], after.children[at], found)
    return
  }
  const old = new Map(before === undefined ? [] : entriesUnder(before))
  for (const [key, value] of after === undefined ? [] : entriesUnder(after)) {
    const was = old.get(key)
    old.delete(key)
    if (was !== value) found.push([key, was, value])
  }
  for (const [key, value] of old) found.push([key, value, undefined])
}

function entriesUnder<T>(
  node: TableNode<T>,
  found: (readonly [Hex, T])[] = [],
): readonly (readonly [Hex, T])[] {
  if ('key' in node) found.push([node.key, node.value])
  else for (const child of node.children) if (child !== undefined) entriesUnder(child, found)
  return found
}

/** Of the key, behind `0x`. */
function digit(key: Hex, depth: number): number {
  const code = key.charCodeAt(2 + depth)
  return code < 0x61 ? code - 0x30 : code - 0x57
}
