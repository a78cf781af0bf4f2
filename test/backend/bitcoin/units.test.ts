import { expect } from 'chai'
import fc from 'fast-check'
import {
  add,
  type BlockDelta,
  type BlockHeight,
  blockHeight,
  MAX_MSAT,
  MAX_SAT,
  type Msat,
  msat,
  type Sat,
  sat,
  sub,
  toMsat,
  toSat,
  wireAmount,
} from '../../../backend/bitcoin/units.js'
import { PerkunasError } from '../../../channel/errors.js'

type Takes<Given, Expected> = [Given] extends [Expected] ? true : false

describe('units: amounts', () => {
  it('a mix-up does not type-check', () => {
    // Compiled, or not: a `true` here would be a type error.
    const mixUps: readonly [
      Takes<Msat, Sat>,
      Takes<Sat, Msat>,
      Takes<bigint, Sat>,
      Takes<bigint, Msat>,
      Takes<BlockDelta, BlockHeight>,
      Takes<number, BlockHeight>,
      Takes<Msat, Parameters<typeof add<Sat>>[1]>,
      Takes<Sat, Parameters<typeof toSat>[0]>,
    ] = [false, false, false, false, false, false, false, false]
    expect(mixUps).to.not.include(true)
  })

  it('constructors take what there can be, and refuse the rest', () => {
    expect([sat(0n), sat(MAX_SAT), msat(0n), msat(MAX_MSAT)]).to.deep.equal([0n, MAX_SAT, 0n, MAX_MSAT])
    for (const run of [() => sat(-1n), () => sat(MAX_SAT + 1n), () => msat(-1n), () => msat(MAX_MSAT + 1n)]) {
      expect(run).to.throw(PerkunasError).with.property('code', 'INVALID_AMOUNT')
    }
    expect(wireAmount<Msat>(2n ** 64n - 1n)).to.equal(2n ** 64n - 1n)
    expect(() => wireAmount<Msat>(2n ** 64n))
      .to.throw(PerkunasError)
      .with.property('code', 'INVALID_AMOUNT')
  })

  it('msat to sat rounds down; sat to msat and back is exact', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: MAX_SAT }), fc.bigInt({ min: 0n, max: 999n }), (n, part) => {
        const amount = sat(n)
        expect(toSat(toMsat(amount))).to.equal(amount)
        if (n < MAX_SAT) expect(toSat(add(toMsat(amount), msat(part)))).to.equal(amount)
      }),
    )
  })

  it('sub undoes add, and never goes below zero', () => {
    const amounts = fc.bigInt({ min: 0n, max: MAX_SAT / 2n })
    fc.assert(
      fc.property(amounts, amounts, (x, y) => {
        const [a, b] = [sat(x), sat(y)]
        expect(sub(add(a, b), b)).to.equal(a)
        if (x < y)
          expect(() => sub(a, b))
            .to.throw(PerkunasError)
            .with.property('code', 'INVALID_AMOUNT')
      }),
    )
  })

  it('block heights are whole numbers of 32 bits', () => {
    expect(blockHeight(0xffff_ffff)).to.equal(0xffff_ffff)
    for (const wrong of [-1, 1.5, 2 ** 32, Number.NaN]) {
      expect(() => blockHeight(wrong))
        .to.throw(PerkunasError)
        .with.property('code', 'INVALID_ARGUMENT')
    }
  })
})
