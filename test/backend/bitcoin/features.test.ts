import { expect } from 'chai'
import fc from 'fast-check'
import {
  type CommitmentFormat,
  decodeChannelType,
  encodeChannelType,
} from '../../../backend/bitcoin/channel-type.js'
import {
  bitmapOf,
  bitsOf,
  demandOf,
  FEATURE_NAMES,
  FEATURES,
  type FeatureName,
  type FeaturePolicy,
  faultOfFeatures,
  featuresFor,
  hasBit,
  negotiate,
  offers,
  unionOf,
} from '../../../backend/bitcoin/features.js'
import { PerkunasError } from '../../../channel/errors.js'

const sets = fc.uniqueArray(fc.integer({ min: 0, max: 600 })).map((bits) => bits.sort((a, b) => a - b))
const everything: FeaturePolicy = Object.fromEntries(FEATURE_NAMES.map((name) => [name, 'optional']))

describe('features: bitmaps', () => {
  it('bits to bitmap and back -> the same, without leading zero bytes', () => {
    fc.assert(
      fc.property(sets, (bits) => {
        const bitmap = bitmapOf(bits)
        expect([...bitsOf(bitmap)]).to.deep.equal(bits)
        expect(bitmap[0]).to.not.equal(0)
        expect(bits.every((bit) => hasBit(bitmap, bit))).to.equal(true)
      }),
    )
  })

  it('any bytes -> the bits that hasBit tells', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bitmap) => {
        const expected = Array.from({ length: 8 * bitmap.length + 8 }, (_, bit) => bit).filter((bit) =>
          hasBit(bitmap, bit),
        )
        expect([...bitsOf(bitmap)]).to.deep.equal(expected)
      }),
    )
  })

  it('union of two -> the bits of either, whatever their lengths', () => {
    fc.assert(
      fc.property(sets, sets, fc.nat({ max: 3 }), (a, b, zeros) => {
        const padded = Uint8Array.from([...new Uint8Array(zeros), ...bitmapOf(a)])
        expect(unionOf(padded, bitmapOf(b))).to.deep.equal(bitmapOf([...a, ...b]))
        expect(unionOf(bitmapOf(b), padded)).to.deep.equal(bitmapOf([...a, ...b]))
      }),
    )
  })

  it('bits below zero, broken, or beyond a message -> refused', () => {
    for (const bit of [-1, 0.5, Number.NaN, 8 * 65_535]) {
      expect(() => bitmapOf([bit]))
        .to.throw(PerkunasError)
        .with.property('code', 'INVALID_ARGUMENT')
    }
  })
})

describe('features: contexts and dependencies', () => {
  it('all we have, in each place -> only what belongs there, odd', () => {
    expect([...bitsOf(featuresFor('channel', everything))]).to.deep.equal([])
    expect([...bitsOf(featuresFor('blinded', everything))]).to.deep.equal([])
    expect([...bitsOf(featuresFor('offer', everything))]).to.deep.equal([])
    expect([...bitsOf(featuresFor('offer invoice', everything))]).to.deep.equal([17])
    expect([...bitsOf(featuresFor('invoice', everything))]).to.deep.equal([9, 15, 17, 25, 37, 49, 57])
    const init = [...bitsOf(featuresFor('init', everything))]
    expect(init).to.include(63).and.not.include(49)
  })

  it('a feature without one that it needs -> refused to show, and to accept', () => {
    for (const name of FEATURE_NAMES) {
      for (const needed of FEATURES[name].needs) {
        const without: FeaturePolicy = Object.fromEntries(
          FEATURE_NAMES.filter((one) => one !== needed).map((one) => [one, 'optional']),
        )
        const bitmap = bitmapOf([FEATURES[name].bit + 1])
        if (FEATURES[needed].assumed) {
          expect(featuresFor('init', without).length).to.be.greaterThan(0)
          continue
        }
        expect(() => featuresFor('init', without))
          .to.throw(PerkunasError, needed)
          .with.property('code', 'INVALID_ARGUMENT')
        const lacking = [needed, ...needsOf(name).filter((one) => one !== needed)].find(
          (one) => !FEATURES[one].assumed,
        )
        expect(faultOfFeatures(bitmap, everything)).to.deep.equal({
          kind: 'missing dependency',
          feature: name,
          needs: lacking,
        })
      }
    }
  })

  it('an even bit that we do not have -> refused, be it known or not; an odd one -> ignored', () => {
    const ours: FeaturePolicy = { option_anchors: 'optional' }
    expect(faultOfFeatures(bitmapOf([22, 12, 101, 61, 27]), ours)).to.equal(undefined)
    expect(faultOfFeatures(bitmapOf([62]), ours)).to.deep.equal({ kind: 'unknown required', bit: 62 })
    expect(faultOfFeatures(bitmapOf([22, 100]), ours)).to.deep.equal({ kind: 'unknown required', bit: 100 })
  })

  it('a bitmap of 65535 ones -> judged at once', () => {
    expect(faultOfFeatures(new Uint8Array(65_535).fill(0xff), everything)).to.deep.equal({
      kind: 'unknown required',
      bit: 2,
    })
    expect(faultOfFeatures(new Uint8Array(65_535).fill(0xaa), everything)).to.equal(undefined)
  })
})

describe('features: negotiation', () => {
  it('offered by both, or demanded by us -> negotiated; assumed -> always', () => {
    const ours = bitmapOf([62, 35, 23, 29])
    const theirs = bitmapOf([35, 22, 61])
    const both = negotiate(ours, theirs)
    const expected: readonly FeatureName[] = ['option_splice', 'option_quiesce', 'option_anchors']
    for (const name of FEATURE_NAMES) {
      const assumed = FEATURES[name].assumed === true
      expect(both.has(name), name).to.equal(assumed || expected.includes(name))
    }
  })

  it('both bits of a feature -> required', () => {
    expect(demandOf(bitmapOf([16, 17]), 'basic_mpp')).to.equal('required')
    expect(demandOf(bitmapOf([17]), 'basic_mpp')).to.equal('optional')
    expect(demandOf(bitmapOf([18]), 'basic_mpp')).to.equal(undefined)
    expect(offers(bitmapOf([]), 'payment_secret')).to.equal(true)
  })
})

describe('features: channel types', () => {
  const formats: readonly CommitmentFormat[] = ['static_remotekey', 'anchors', 'zero_fee', 'simple_taproot']

  it('each type -> its own bytes, and back', () => {
    const seen = new Set<string>()
    for (const commitments of formats) {
      for (const scidAlias of [false, true]) {
        for (const zeroconf of [false, true]) {
          const type = { commitments, scidAlias, zeroconf }
          const bitmap = encodeChannelType(type)
          expect(decodeChannelType(bitmap)).to.deep.equal(type)
          seen.add(bitmap.join())
        }
      }
    }
    expect(seen.size).to.equal(16)
  })

  it('any other bytes -> no type', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), (bitmap) => {
        const type = decodeChannelType(bitmap)
        if (type !== undefined) expect(encodeChannelType(type)).to.deep.equal(bitmap)
      }),
    )
    for (const bits of [[], [22], [13], [12, 23], [46], [12, 22, 44]]) {
      expect(decodeChannelType(bitmapOf(bits)), bits.join()).to.equal(undefined)
    }
  })
})

function needsOf(name: FeatureName): readonly FeatureName[] {
  return FEATURES[name].needs
}
