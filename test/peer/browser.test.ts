import { readdirSync, readFileSync } from 'node:fs'
import { expect } from 'chai'

describe('peer: in a browser', () => {
  it('no file but tcp.ts imports a module of Node.js, and none imports tcp.ts', () => {
    const folder = new URL('../../peer/', import.meta.url)
    const files = readdirSync(folder).filter((name) => name.endsWith('.js'))
    const importers = files.filter((name) => {
      const text = readFileSync(new URL(name, folder), 'utf8')
      return /^import .*from ['"](node:|\.\/tcp)/m.test(text) || /\bBuffer\b|\brequire\(/.test(text)
    })
    expect(importers).to.deep.equal(['tcp.js'])
    expect(files.length).to.be.greaterThan(15)
  })
})
