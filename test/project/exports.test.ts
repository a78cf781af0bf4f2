import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const entries = Object.keys(JSON.parse(readFileSync(`${root}package.json`, 'utf8')).exports)

/** The names of values that each entry exports. A longer list is a larger promise: change it on purpose. */
const pinned: Record<string, string[]> = JSON.parse(readFileSync(`${root}test/project/exports.json`, 'utf8'))

describe('project: what the package exports', () => {
  it('every entry of package.json is pinned', () => {
    expect(Object.keys(pinned).sort()).deep.equals([...entries].sort())
  })

  for (const entry of entries) {
    it(`${entry} exports the pinned names`, async () => {
      const loaded: object = await import(entry.replace('.', 'perkunas'))
      expect(Object.keys(loaded).sort()).deep.equals(pinned[entry])
    })
  }
})
