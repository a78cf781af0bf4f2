// How options with unknown names are refused.
import { expect } from 'chai'
import { demandMethods, demandNames, faultOfNames, givenOf } from '../../channel/arguments.js'
import { PerkunasError } from '../../channel/index.js'

const NAMES = { readOnly: true, timeouts: true, patience: true }

describe('arguments: over defaults', () => {
  it('what is undefined is not given; the rest is, as it is', () => {
    const options = { readOnly: undefined, timeouts: null, patience: 0, other: false }
    expect(givenOf(options)).to.deep.equal({ timeouts: null, patience: 0, other: false })
    expect(options).to.have.property('readOnly')
  })
})

describe('arguments: names', () => {
  it('known names, undefined ones and what is inherited are taken', () => {
    class Inheriting {
      readonly readOnly = true
      get other(): number {
        return 5
      }
    }
    const hidden = Object.defineProperty({}, 'other', { value: 5, enumerable: false })
    const bare = Object.assign(Object.create(null), { patience: 5 })
    const inherited = Object.create({ other: 5 })
    for (const value of [
      {},
      { readOnly: true },
      { other: undefined },
      new Inheriting(),
      hidden,
      bare,
      inherited,
    ])
      expect(() => demandNames(value, NAMES)).not.to.throw()
  })

  it('another name is refused with what may be meant: but for the case, or one letter', () => {
    for (const [name, meant] of Object.entries({
      readonly: 'readOnly',
      READONLY: 'readOnly',
      readOnyl: 'readOnly',
      reedOnly: 'readOnly',
      readOnlyy: 'readOnly',
      timeout: 'timeouts',
      timeuots: 'timeouts',
      atience: 'patience',
      patienec: 'patience',
    })) {
      expect(() => demandNames({ readOnly: true, [name]: 0 }, NAMES))
        .to.throw(PerkunasError, `options.${name}: unknown option; did you mean ${meant}?`)
        .with.nested.include({ code: 'INVALID_ARGUMENT', 'facts.argument': `options.${name}` })
    }
  })

  it('a name like none is refused with all that there are; one of the language is none', () => {
    for (const name of ['readOlny1', 'constructor', 'toString', '__proto__', '0', '']) {
      const value = Object.defineProperty({}, name, { value: 5, enumerable: true })
      expect(() => demandNames(value, NAMES, 'limits')).to.throw(
        PerkunasError,
        `limits.${name}: unknown option; known are readOnly, timeouts, patience`,
      )
    }
    expect(faultOfNames({ ['x'.repeat(1000)]: 5 }, NAMES, 'options')?.message).to.have.length.below(250)
  })

  it('what is no object is refused', () => {
    for (const value of [null, undefined, true, 'readOnly', 5, () => undefined])
      expect(() => demandNames(value, NAMES)).to.throw(PerkunasError, 'options: an object expected')
  })

  it('a promise, a path and an object without the method are refused in place of means', () => {
    for (const value of [Promise.resolve({ get: () => 5 }), '/path', {}, null])
      expect(() => demandMethods(value, 'store', ['get']))
        .to.throw(PerkunasError)
        .with.nested.include({ code: 'INVALID_ARGUMENT', 'facts.argument': 'store' })
    expect(() => demandMethods({ get: () => 5 }, 'store', ['get'])).not.to.throw()
  })
})
