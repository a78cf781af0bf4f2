import { expect } from 'chai'
import { channelPolicy } from '../../../../backend/bitcoin/channel/checks.js'
import { CHANNEL_POLICY, type ChannelPolicy } from '../../../../backend/bitcoin/channel/policy.js'
import { BitcoinBackend } from '../../../../backend/bitcoin/protocol/index.js'
import { isError } from '../../../../channel/errors.js'
import { BitcoinLedger } from '../../../simulation/bitcoin/ledger.js'
import { SimWallet } from '../../../simulation/bitcoin/wallet.js'
import { LedgerChain } from '../node/ledger-chain.js'

/** Figures as a program without types may give them. */
const UNMEANT: readonly (readonly [keyof ChannelPolicy, unknown])[] = [
  ['dustLimit', -5n],
  ['dustLimit', 353n],
  ['minimumFunding', 10_000],
  ['reserveMillionths', Number.NaN],
  ['reserveMinimum', 2n ** 64n],
  ['reserveAcceptedMillionths', 1_000_001],
  ['toSelfDelay', { min: 5000, max: 1 }],
  ['toSelfDelay', { min: 144, max: 70_000 }],
  ['maxAcceptedHtlcs', 1000],
  ['maxAcceptedHtlcs', 1.5],
  ['maxInFlightMillionths', { announced: 0, unannounced: 1 }],
  ['htlcMinimum', -1n],
  ['htlcMinimumAccepted', '1'],
  ['minimumDepth', { min: -1, max: -1 }],
  ['minimumDepth', { min: 0, max: 6 }],
  ['minimumDepthAccepted', Number.POSITIVE_INFINITY],
  ['maxDustExposure', {}],
  ['maxDustExposure', { fixed: -1n }],
  ['closingFeeMultiple', 0],
]

describe('the policy of a node', () => {
  it('without a wish the defaults; each wish in the place of one', () => {
    expect(channelPolicy()).to.deep.equal(CHANNEL_POLICY)
    expect(channelPolicy({ maxAcceptedHtlcs: 3 })).to.deep.equal({ ...CHANNEL_POLICY, maxAcceptedHtlcs: 3 })
    const unsaid = Object.fromEntries(['dustLimit', 'toSelfDelay'].map((name) => [name, undefined]))
    expect(channelPolicy(unsaid)).to.deep.equal(CHANNEL_POLICY)
  })
  for (const [name, value] of UNMEANT) {
    it(`${name}: ${shown(value)} -> INVALID_ARGUMENT, of a backend before it has begun`, () => {
      const policy = Object.fromEntries([[name, value]])
      const chain = new LedgerChain(new BitcoinLedger(1))
      const wallet = new SimWallet(chain.ledger, new Uint8Array(32).fill(1))
      const seed = new Uint8Array(32).fill(2)
      for (const run of [
        () => channelPolicy(policy),
        () => new BitcoinBackend({ chain, wallet, seed, policy }),
      ]) {
        expect(argumentOf(run)).to.equal(`policy.${name}`)
      }
    })
  }
})

function argumentOf(run: () => unknown): string | undefined {
  try {
    run()
    return undefined
  } catch (cause) {
    return isError(cause, 'INVALID_ARGUMENT') ? cause.facts.argument : String(cause)
  }
}

function shown(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value)
  return Object.entries(value)
    .map(([name, one]) => `${name} ${one}`)
    .join(', ')
}
