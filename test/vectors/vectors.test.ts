import { expect } from 'chai'
import { namesItsSource, vectorFiles } from './suite.js'

for (const { file, cases } of await vectorFiles()) {
  describe(`vectors: ${file}`, () => {
    it('names its source', () => {
      expect(namesItsSource(file)).to.equal(true)
    })
    for (const { name, run, pending } of cases) {
      // A pending case is listed by mocha as such, with its reason.
      if (pending === undefined) it(name, run)
      else it(`${name} (${pending})`)
    }
  })
}
