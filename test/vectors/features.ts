// BOLT 9: the table of features with contexts and dependencies; BOLT 2: the defined channel types; proposals.
import { expect } from 'chai'
import { type ChannelType, decodeChannelType, encodeChannelType } from '../../backend/bitcoin/channel-type.js'
import {
  bitmapOf,
  bitsOf,
  FEATURE_NAMES,
  FEATURES,
  type FeatureContext,
  featuresFor,
} from '../../backend/bitcoin/features.js'
import { bytes, type Case, digits, load } from './cases.js'

interface Row {
  readonly name: string
  readonly even: number
  readonly odd: number
  readonly contexts: readonly string[]
  readonly depends_on: readonly string[]
}

interface File {
  readonly features: readonly (Row & { readonly assumed: boolean })[]
  readonly invoice_features_bolt12: readonly Pick<Row, 'name' | 'even' | 'odd'>[]
  readonly channel_types: readonly { readonly bits: readonly number[]; readonly bitmap: string }[]
  readonly proposals: readonly (Row & { readonly channel_type: boolean; readonly pull_request: number })[]
}

const LETTERS: Readonly<Record<string, FeatureContext>> = {
  I: 'init',
  N: 'node',
  C: 'channel',
  '9': 'invoice',
  B: 'blinded',
  T: 'channel type',
}

/** Each row, each type, each proposal. */
export function cases(): readonly Case[] {
  const file = load<File>('features')
  return [
    ...file.features.map((row) => ({
      name: `${row.name} ${row.even}/${row.odd}`,
      run: () => checkRow(row, row.assumed),
    })),
    {
      name: 'there are no others but proposals',
      run: () => {
        const known = [...file.features, ...file.proposals].map(({ name }) => name).sort()
        expect([...FEATURE_NAMES].sort()).to.deep.equal(known)
      },
    },
    ...file.invoice_features_bolt12.map(({ name, even, odd }) => ({
      name: `BOLT 12 invoice: ${name} ${even}/${odd}`,
      run: () => {
        const all = Object.fromEntries(FEATURE_NAMES.map((one) => [one, 'optional' as const]))
        expect([...bitsOf(featuresFor('offer invoice', all))]).to.deep.equal([odd])
        const required = Object.fromEntries(FEATURE_NAMES.map((one) => [one, 'required' as const]))
        expect([...bitsOf(featuresFor('offer invoice', required))]).to.deep.equal([even])
      },
    })),
    ...file.channel_types.map(({ bits, bitmap }) => ({
      name: `channel type ${bits.join('+')} -> ${bitmap}`,
      run: () => {
        expect(digits(bitmapOf(bits))).to.equal(bitmap)
        const type: ChannelType = {
          commitments: bits.includes(22) ? 'anchors' : 'static_remotekey',
          scidAlias: bits.includes(46),
          zeroconf: bits.includes(50),
        }
        expect(digits(encodeChannelType(type))).to.equal(bitmap)
        expect(decodeChannelType(bytes(bitmap))).to.deep.equal(type)
        // Longer than need be, or with a bit of no type, it is another string of bytes and no type.
        expect(decodeChannelType(bytes(`00${bitmap}`))).to.equal(undefined)
        expect(decodeChannelType(bitmapOf([...bits, 16]))).to.equal(undefined)
      },
    })),
    ...file.proposals.map((row) => ({
      name: `proposal ${row.name} ${row.even}/${row.odd}`,
      run: () => {
        const feature = checkRow(
          { ...row, contexts: [...row.contexts, ...(row.channel_type ? ['T'] : [])] },
          false,
        )
        expect(feature.proposal).to.equal(row.pull_request)
        const type = decodeChannelType(bitmapOf([row.even]))
        expect(type === undefined).to.equal(!row.channel_type)
      },
    })),
  ]
}

function checkRow({ name, even, odd, contexts, depends_on }: Row, assumed: boolean) {
  const known = FEATURE_NAMES.find((one) => one === name)
  if (known === undefined) throw new Error(`unknown feature ${name}`)
  const feature = FEATURES[known]
  expect([feature.bit, feature.bit + 1]).to.deep.equal([even, odd])
  expect(feature.assumed === true).to.equal(assumed)
  expect(feature.needs).to.deep.equal(depends_on)
  // The table has no contexts any more for what everybody has, and none for gossip_queries, which `init` still shows.
  if (!assumed && name !== 'gossip_queries') {
    expect(feature.contexts.filter((context) => context !== 'offer invoice')).to.deep.equal(
      contexts.map((letter) => LETTERS[letter]),
    )
  }
  return feature
}
