import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const FOLDERS = ['channel', 'wallet', 'peer', 'persistence', 'client', 'cli', 'backend', 'test/conformance']

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) return entry.name === 'artifacts' ? [] : sources(path)
    return path.endsWith('.ts') ? [path] : []
  })
}

const EXPORT = /^export (?:declare )?(?:abstract |async )?(?:function\*?|class|interface|type|const) (\w+)/
const files = FOLDERS.flatMap(sources)

describe('project: documentation', () => {
  it('every file begins by saying what it is', () => {
    const silent = files.filter(
      (file) => !/^(#!.*\n)?(\/\/|\/\*)/.test(readFileSync(join(root, file), 'utf8')),
    )
    expect(silent).deep.equals([])
  })

  it('every exported symbol has a doc comment', () => {
    const missing = files.flatMap((file) => {
      const lines = readFileSync(join(root, file), 'utf8').split('\n')
      return lines.flatMap((line, i) => {
        const name = EXPORT.exec(line)?.[1]
        if (name === undefined) return []
        const overload = new RegExp(`^export (?:async )?function ${name}\\b`).test(lines[i - 1] ?? '')
        return overload || (lines[i - 1] ?? '').trimEnd().endsWith('*/')
          ? []
          : [`${relative('.', file)}: ${name}`]
      })
    })
    expect(missing).deep.equals([])
  })
})
