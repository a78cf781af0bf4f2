import { expect } from 'chai'
import fc from 'fast-check'
import {
  FeeEstimator,
  type FeeTable,
  feerateFor,
  feerateWithin,
  MAXIMUM_FEERATE,
  MINIMUM_FEERATE,
  TARGETS,
  UNKNOWN_FEES,
} from '../../../../backend/bitcoin/chain/index.js'
import { bitcoins, feerateOf } from '../../../../backend/bitcoin/chain/json.js'
import { feeratePerKw, MAX_SAT } from '../../../../backend/bitcoin/units.js'
import { PerkunasError } from '../../../../channel/errors.js'
import { failure } from '../../../client/parties.js'
import { MadeChain } from './made.js'

function table(floor: number, estimates: Readonly<Record<number, number>>): FeeTable {
  return {
    floor: feeratePerKw(floor),
    estimates: Object.entries(estimates).map(([blocks, feerate]) => ({
      blocks: Number(blocks),
      feerate: feeratePerKw(feerate),
    })),
  }
}

describe('bitcoin/chain: fees', () => {
  it('between estimates -> interpolated; outside -> the nearest; never below the floor', () => {
    const fees = table(300, { 2: 5000, 6: 1000, 144: 200 })
    expect([1, 2, 3, 4, 6, 75, 144, 2000].map((blocks) => feerateWithin(fees, blocks))).to.deep.equal([
      5000, 5000, 4000, 3000, 1000, 600, 300, 300,
    ])
  })

  it('an estimate that is higher than one for fewer blocks -> lowered to it', () => {
    const fees = table(253, { 2: 1000, 6: 4000, 12: 500 })
    expect([2, 4, 6, 12].map((blocks) => feerateWithin(fees, blocks))).to.deep.equal([1000, 1000, 1000, 500])
  })

  it('no estimate -> what is enough on most days, within the floor', () => {
    expect(feerateFor(table(253, {}), 'urgent')).to.equal(5000)
    expect(feerateFor(table(9000, {}), 'sweep')).to.equal(9000)
    expect(feerateFor(UNKNOWN_FEES, 'background')).to.equal(MINIMUM_FEERATE)
  })

  it('whatever a source says -> within bounds, and more patience never costs more', () => {
    const rates = fc.dictionary(fc.integer({ min: 1, max: 2000 }).map(String), fc.nat(0xffff_ffff), {
      maxKeys: 8,
    })
    const property = (floor: number, estimates: Readonly<Record<string, number>>) => {
      const fees = table(floor, estimates)
      let before: number = MAXIMUM_FEERATE
      for (const blocks of [1, 2, 3, 10, 143, 144, 1008, 5000]) {
        const feerate = feerateWithin(fees, blocks)
        expect(feerate).to.be.within(MINIMUM_FEERATE, before)
        before = feerate
      }
    }
    fc.assert(fc.property(fc.nat(0xffff_ffff), rates, property))
  })

  it('amounts in bitcoins -> exact to the satoshi, up to all that there are', () => {
    const property = (satoshis: bigint) => {
      const written = `${satoshis / 100_000_000n}.${String(satoshis % 100_000_000n).padStart(8, '0')}`
      expect(bitcoins(JSON.parse(written), 'value')).to.equal(satoshis)
    }
    fc.assert(fc.property(fc.bigInt(0n, MAX_SAT), property))
    for (const edge of [0n, 1n, MAX_SAT - 1n, MAX_SAT]) property(edge)
    for (const wrong of [-1, 21_000_000.00000001, Number.NaN, '1', null, 1e300]) {
      expect(() => bitcoins(wrong, 'value'), String(wrong)).to.throw(PerkunasError)
    }
    expect(feerateOf(0.00001, 'feerate')).to.equal(250)
    expect(feerateOf(0.00001001, 'feerate')).to.equal(251)
  })
})

describe('bitcoin/chain: fee estimator', () => {
  it('no answer yet, an answer, an answer without estimates, none -> the last estimates with the newest floor', async () => {
    const source = new MadeChain()
    const fees = new FeeEstimator(source)
    expect(fees.feerate('claim')).to.equal(feerateFor(UNKNOWN_FEES, 'claim'))
    source.feeTable = async () => table(300, { 2: 8000, 1008: 400 })
    expect(await fees.refresh()).to.equal(undefined)
    expect([fees.within(2), fees.within(1008)]).to.deep.equal([8000, 400])
    source.feeTable = async () => table(600, {})
    await fees.refresh()
    expect([fees.within(2), fees.within(1008)]).to.deep.equal([8000, 600])
    source.feeTable = async () => {
      throw new PerkunasError('LEDGER_UNREACHABLE', 'gone', { ledger: 'made' })
    }
    expect((await fees.refresh())?.code).to.equal('LEDGER_UNREACHABLE')
    expect(fees.within(2)).to.equal(8000)
    source.feeTable = async () => {
      throw new PerkunasError('CLOSED', 'closed', { what: 'made' })
    }
    expect(await failure(fees.refresh())).to.include({ code: 'CLOSED' })
  })

  it('with anchors all that a node like us offers on the same day is taken, however full mempools are', async () => {
    const source = new MadeChain()
    const fees = new FeeEstimator(source)
    const dear = { 2: 40_000, 6: 30_000, 12: 25_000, 144: 8000, 1008: 6000 }
    const offered: number[] = []
    for (const floor of [2000, 3200, 5000, 253]) {
      for (let i = 0; i < 200; i++) {
        source.feeTable = async () => table(floor, dear)
        await fees.refresh()
        offered.push(fees.channelFees().commitment)
        const day = offered.slice(-144)
        expect(fees.channelFees().minimum).to.be.at.most(Math.min(...day))
      }
    }
  })

  it('f 19: what a channel goes by -> the least is the lowest of a day, a commitment pays no more than gets it relayed', async () => {
    const source = new MadeChain()
    const fees = new FeeEstimator(source)
    source.feeTable = async () => table(253, { 2: 400, 6: 300, 12: 290, 1008: 260 })
    await fees.refresh()
    source.feeTable = async () => table(253, { 2: 40_000, 6: 30_000, 12: 20_000, 1008: 10_000 })
    await fees.refresh()
    expect(fees.channelFees()).to.deep.equal({
      commitment: 2500,
      fixedCommitment: 30_000,
      minimum: 253,
      fixedMinimum: 260,
      maximum: 250_000,
      sane: 40_000,
      opening: 20_000,
      closing: 20_000,
    })
    for (let i = 0; i < 144; i++) await fees.refresh()
    expect(fees.channelFees()).to.include({ minimum: 253, fixedMinimum: 10_000 })
    expect(Object.keys(TARGETS)).to.include('sweep')
  })
})
