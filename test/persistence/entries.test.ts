// Which modules the entries of persistence/ bring along.
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'

/** All packages that a module imports, itself or through files of ours. */
async function packagesOf(file: URL, seen = new Set<string>()): Promise<Set<string>> {
  const packages = new Set<string>()
  if (seen.has(file.href)) return packages
  seen.add(file.href)
  const code = await readFile(fileURLToPath(file), 'utf8')
  for (const [, name = ''] of code.matchAll(/^(?:import|export)\b(?:[^;'"(]*\bfrom)?\s*['"]([^'"]+)['"]/gm)) {
    if (!name.startsWith('.')) packages.add(name)
    else for (const inner of await packagesOf(new URL(name, file), seen)) packages.add(inner)
  }
  return packages
}

const entry = (name: string) => new URL(`../../persistence/${name}.js`, import.meta.url)

describe('persistence: entries', () => {
  it('the index and IndexedDB need neither Node.js nor LMDB', async () => {
    for (const name of ['index', 'indexeddb']) {
      const found = [...(await packagesOf(entry(name)))].filter((one) => !one.startsWith('@noble/'))
      expect(found).to.deep.equal([])
    }
    expect([...(await packagesOf(entry('lmdb')))]).to.include.members(['lmdb', 'node:fs'])
  })
})
