import { expect } from 'chai'
import fc from 'fast-check'
import {
  differences,
  emptyTable,
  lookUp,
  put,
  remove,
  type Table,
  type TableNode,
  valuesOf,
} from '../../../../backend/bitcoin/payments/table.js'
import type { Hex } from '../../../../channel/bytes.js'

// Many keys that are alike at their beginning, and at all but their end.
const keys: fc.Arbitrary<Hex> = fc
  .tuple(fc.constantFrom('', 'a', 'ab', '0'.repeat(60), '0'.repeat(63)), fc.nat(40))
  .map(([head, tail]): Hex => `0x${`${head}${tail.toString(16)}`.padEnd(64, '0').slice(0, 64)}`)
const acts = fc.array(fc.tuple(keys, fc.option(fc.nat(3), { nil: undefined })), { maxLength: 60 })
type Acts = readonly (readonly [Hex, number | undefined])[]

describe('payments: table', () => {
  it('says what a Map says, whatever was put and removed', () => {
    fc.assert(
      fc.property(acts, (list) => {
        const { table, map } = built(list)
        expect(table.size).to.equal(map.size)
        for (const [key] of list) expect(lookUp(table, key)).to.equal(map.get(key))
        const sorted = [...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value)
        expect(valuesOf(table)).to.deep.equal(sorted)
      }),
    )
  })
  it('equal contents -> equal form, whatever else was in it', () => {
    fc.assert(
      fc.property(acts, (list) => {
        const { table, map } = built(list)
        expect(table).to.deep.equal(built([...map]).table)
      }),
    )
  })
  it('f 42: keys that somebody chose to be alike -> as any others, no deeper than a key is long', () => {
    const list = Array.from({ length: 2000 }, (_, i): readonly [Hex, number] => [
      `0x${'a'.repeat(60)}${i.toString(16).padStart(4, '0')}`,
      i,
    ])
    const { table, map } = built(list)
    for (const [key, value] of map) expect(lookUp(table, key)).to.equal(value)
    const depthOf = (node: TableNode<number> | undefined): number =>
      node === undefined || 'key' in node ? 0 : 1 + Math.max(...node.children.map(depthOf))
    expect(depthOf(table.root)).to.equal(64)
  })
  it('what was put in stays in the old one and what it shares', () => {
    fc.assert(
      fc.property(acts, acts, (first, second) => {
        const { table, map } = built(first)
        built(second, table, new Map(map))
        expect(table).to.deep.equal(built([...map]).table)
      }),
    )
  })
  it('the differences are those of the contents', () => {
    fc.assert(
      fc.property(acts, acts, (first, second) => {
        const before = built(first)
        const later = built(second, before.table, new Map(before.map))
        const all = new Set([...before.map.keys(), ...later.map.keys()])
        const expected = [...all]
          .filter((key) => before.map.get(key) !== later.map.get(key))
          .map((key) => [key, before.map.get(key), later.map.get(key)])
        expect([...differences(before.table, later.table)].sort()).to.deep.equal(expected.sort())
      }),
    )
  })
})

function built(list: Acts, from: Table<number> = emptyTable(), map = new Map<Hex, number>()) {
  let table = from
  for (const [key, value] of list) {
    if (value === undefined) map.delete(key)
    else map.set(key, value)
    table = value === undefined ? remove(table, key) : put(table, key, value)
  }
  return { table, map }
}
