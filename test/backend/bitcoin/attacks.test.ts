// The table of disclosed attacks in README.md, held against the titles of the tests that it names.
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'

const root = fileURLToPath(new URL('../../../../', import.meta.url))
const here = `${root}test/backend/bitcoin/`

describe('README: disclosed attacks', () => {
  it('each row names tests whose titles name the row, and each title that names one is in its row', () => {
    const named = new Map<string, Set<number>>()
    for (const [name, path] of testFiles()) named.set(name, numbersIn(readFileSync(path, 'utf8')))
    const rows = rowsOf(readFileSync(`${here}README.md`, 'utf8'))
    expect(rows.size).to.be.greaterThan(45)
    for (const [number, files] of rows) {
      expect(files.length, `f ${number}`).to.be.greaterThan(0)
      for (const file of files) expect([...(named.get(file) ?? [])], file).to.include(number)
    }
    for (const [file, numbers] of named) {
      for (const number of numbers) expect(rows.get(number) ?? [], `f ${number} in ${file}`).to.include(file)
    }
  })
})

/** Of this folder and of what peers say to each other, by folder and name. */
function* testFiles(): Generator<readonly [string, string]> {
  for (const folder of readdirSync(here, { withFileTypes: true })) {
    if (!folder.isDirectory()) continue
    for (const file of readdirSync(`${here}${folder.name}`))
      if (file.endsWith('.test.ts')) yield [`${folder.name}/${nameOf(file)}`, `${here}${folder.name}/${file}`]
  }
  for (const file of readdirSync(`${root}test/peer`))
    if (file.endsWith('.test.ts')) yield [`peer/${nameOf(file)}`, `${root}test/peer/${file}`]
}

function nameOf(file: string): string {
  return file.slice(0, -'.test.ts'.length)
}

/** "f 33, f 35", "(f 7, 8, 9)", "f.1 rows 7 and 8", "f.3 row 45", in titles of tests and of groups of them. */
function numbersIn(source: string): Set<number> {
  const titles = [...source.matchAll(/\b(?:it|describe)\(\s*(['"`])(.*?)\1/gs)].map(
    ([, , title = '']) => title,
  )
  const lists = titles.flatMap((title) => [
    ...title.matchAll(/\bf(?:\.\d)?(?: rows?)? (\d+(?:(?:, | and )\d+)*)/g),
  ])
  return new Set(lists.flatMap(([, list = '']) => (list.match(/\d+/g) ?? []).map(Number)))
}

function rowsOf(text: string): ReadonlyMap<number, readonly string[]> {
  const lines = [...text.matchAll(/^\| (\d+) +\|[^|]+\|([^|]+)\|$/gm)]
  return new Map(
    lines.map(([, number, tests = '']) => [
      Number(number),
      [...tests.matchAll(/`([^`]+)`/g)].map(([, one = '']) => one),
    ]),
  )
}
