// A look at the directory and the file of an LMDB store before the library is let at them: it maps the file into
// memory and follows whatever page numbers it finds there, which for a foreign or cut-off file ends the process.
import { closeSync, fstatSync, mkdirSync, openSync, readSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'

/**
 * Makes the directory of a store, unless we only read it, and looks whether what is in it can be opened. Damage within
 * the pages is not looked for.
 *
 * @param path not empty
 * @throws Error that says why not: none of the library's, nor of a type of ours
 */
export function prepare(path: string, readOnly: boolean): void {
  if (!readOnly) makeDirectory(path)
  // The library takes a device for a disk of its own.
  if (!isDirectory(path)) throw new Error('there is no such directory')
  const file = join(path, 'data.mdb')
  const stat = statSync(file, { throwIfNoEntry: false })
  if (stat === undefined) {
    if (readOnly) throw new Error('there is no data.mdb in it')
    return
  }
  if (!stat.isFile()) throw new Error('data.mdb is no file')
  const descriptor = openSync(file, 'r')
  try {
    // Whoever died before the first write left it empty, and the library begins anew.
    if (readOnly || fstatSync(descriptor).size > 0) look(descriptor)
  } catch (error) {
    // Only a page that points out of itself makes us do so.
    throw error instanceof RangeError ? new Error('data.mdb is damaged') : error
  } finally {
    closeSync(descriptor)
  }
}

/** Like `mkdirSync` with `recursive`, which never returns where a file system says ENOENT, as /proc does. */
function makeDirectory(path: string): void {
  if (isDirectory(path)) return
  try {
    mkdirSync(path)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    const parent = dirname(path)
    // Another process may have made it meanwhile.
    if (code === 'EEXIST' && isDirectory(path)) return
    if (code !== 'ENOENT' || isDirectory(parent)) throw error
    makeDirectory(parent)
    makeDirectory(path)
  }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

// LMDB's file, little-endian as all our platforms: pages of one size, each with a header of 24 bytes (its flags at 18, the
// length of its list of nodes at 20; places are counted from the header's end). The first two are written in turn by
// commits. After the header they have: the magic number, the version (both 4 bytes), an address, the size of the mapping
// (8 each), two trees of 48 bytes (free pages, entries; the first begins with the page size, either ends with its root), the
// last page and the commit (8 each).
const MAGIC = 0xbeefc0de
const HEADER = 24
const AT = { magic: 24, pageSize: 48, roots: [88, 136], lastPage: 144, commit: 152, end: 160 } as const
/** The root of a tree, counted from its beginning. */
const ROOT_OF_TREE = 40
const NO_PAGE = 0xffff_ffff_ffff_ffffn
const PAGE_SIZES = { min: 256, max: 65_536 }
const PAGE = { branch: 0x01, leaf: 0x02 }
const NODE = { onPages: 0x01, isTree: 0x02 }

/** @throws Error if it is no file of LMDB, or some of its pages are missing; RangeError if a page makes no sense */
function look(descriptor: number): void {
  const first = read(descriptor, 0, AT.end)
  const pageSize = first?.getUint32(AT.pageSize, true) ?? 0
  const isSize =
    pageSize >= PAGE_SIZES.min && pageSize <= PAGE_SIZES.max && Number.isInteger(Math.log2(pageSize))
  const second = isSize ? read(descriptor, pageSize, AT.end) : undefined
  if (first?.getUint32(AT.magic, true) !== MAGIC || !isSize) throw new Error('data.mdb is no file of LMDB')
  if (second === undefined) throw new Error('data.mdb was cut off')
  if (second.getUint32(AT.magic, true) !== MAGIC) throw new Error('data.mdb is no file of LMDB')
  const [one, two] = [first, second].map((meta) => meta.getBigUint64(AT.commit, true))
  const newest = (one ?? 0n) >= (two ?? 0n) ? first : second
  const last = newest.getBigUint64(AT.lastPage, true)
  const roots = AT.roots.map((at) => newest.getBigUint64(at, true))
  if (roots.some((root) => root !== NO_PAGE && root > last)) throw new Error('data.mdb is damaged')
  // Looked at last: while others write it only grows. Bytes after the last page are a commit's that came to nothing.
  const pages = BigInt(Math.floor(fstatSync(descriptor).size / pageSize))
  // Free pages at the end need not have been written.
  if (pages <= last && isCut({ descriptor, pageSize, pages }, roots)) throw new Error('data.mdb was cut off')
}

interface Pages {
  readonly descriptor: number
  readonly pageSize: number
  /** How many there are. */
  readonly pages: bigint
}

/** Whether trees lead to a page after the end. */
function isCut({ descriptor, pageSize, pages }: Pages, roots: readonly bigint[]): boolean {
  const waiting = roots.filter((root) => root !== NO_PAGE)
  for (let seen = 0n; seen <= pages; seen++) {
    const number = waiting.pop()
    if (number === undefined) return false
    const page = number < pages ? read(descriptor, Number(number) * pageSize, pageSize) : undefined
    if (page === undefined) return true
    const flags = page.getUint16(18, true)
    for (let at = HEADER; at < HEADER + page.getUint16(20, true); at += 2) {
      const node = HEADER + page.getUint16(at, true)
      const data = node + 8 + page.getUint16(node + 6, true)
      if ((flags & PAGE.branch) !== 0) waiting.push(page.getBigUint64(node, true) & 0xffff_ffff_ffffn)
      if ((flags & PAGE.leaf) === 0) continue
      const kind = page.getUint16(node + 4, true)
      if ((kind & NODE.onPages) !== 0) {
        if (page.getBigUint64(data, true) + page.getBigUint64(data + 16, true) > pages) return true
      } else if ((kind & NODE.isTree) !== 0) {
        const root = page.getBigUint64(data + ROOT_OF_TREE, true)
        if (root !== NO_PAGE) waiting.push(root)
      }
    }
  }
  throw new RangeError('pages point in a circle')
}

/** @returns `undefined` if the file ends before */
function read(descriptor: number, position: number, length: number): DataView | undefined {
  const view = new DataView(new ArrayBuffer(length))
  return readSync(descriptor, view, { position }) < length ? undefined : view
}
