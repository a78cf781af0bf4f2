import { expect } from 'chai'
import { newSignerState } from '../../../../backend/bitcoin/keys/index.js'
import {
  buildLegacyClosing,
  type Claim,
  type Closing,
  claimsOfHolder,
  p2wpkh,
} from '../../../../backend/bitcoin/script/index.js'
import { isError } from '../../../../channel/errors.js'
import { feeratePerKw, msat, type Sat, sat } from '../../../../channel/units.js'
import { advanceAlice, pairOf, revokeAlice, stateOf } from '../channel.js'

const FUNDING = { outpoint: { txid: new Uint8Array(32).fill(5), index: 0 }, amount: sat(1_000_000n) }
const OURS = p2wpkh(new Uint8Array(33).fill(2))
const THEIRS = p2wpkh(new Uint8Array(33).fill(3))

/** Alice's first commitment, which is revoked, and her second one, in which Bob has so much. */
function revoked(bob = msat(300_000_000n)) {
  const pair = pairOf('anchors_zero_fee_htlc', { ownsScript: (script) => script === OURS })
  const state = stateOf({ number: 0n, funding: FUNDING, feerate: feeratePerKw(1000), bob: msat(0n) })
  const old = advanceAlice(pair, state)
  const next = { ...state, number: 1n, toLocal: msat(1_000_000_000n - bob), toRemote: bob }
  const newest = advanceAlice(pair, next)
  revokeAlice(pair, 0n)
  return { pair, old, newest }
}

describe('signer: claims', () => {
  it('the funding key signs anchors, and nothing else that is called an anchor -> INVALID_TRANSITION', () => {
    const { pair, old } = revoked()
    const { signer, record } = pair.alice
    const { commitment, point } = old
    const { transaction } = commitment
    // The revoked commitment itself, dressed up as a claim by the funding key.
    const [anchor] = claimsOfHolder(commitment).filter(({ kind }) => kind === 'anchor')
    if (anchor === undefined) throw new Error('no anchor')
    const disguised: Claim = {
      ...anchor,
      outpoint: FUNDING.outpoint,
      amount: FUNDING.amount,
      scriptCode: commitment.fundingScript,
    }
    const sign = (claim: Claim, holder: 'local' | 'remote') => () =>
      signer.signClaim(record, transaction, 0, claim, { commitment, holder, point })
    expect(sign(anchor, 'local')).not.to.throw()
    refused(sign(disguised, 'local'))
    refused(sign({ ...disguised, key: 'remoteFunding' }, 'remote'))
  })
})

describe('signer: closing', () => {
  const keysOf = (pair: ReturnType<typeof pairOf>) => ({ ...FUNDING, keys: pair.keys })

  it('a fee that is stated but goes to the peer -> INVALID_TRANSITION', () => {
    const balances = [msat(600_000_000n), msat(400_000_000n)] as const
    const pair = pairOf('anchors_zero_fee_htlc', { balances, ownsScript: (script) => script === OURS })
    const sign = (kept: bigint, fee: Sat) => () =>
      pair.alice.signer.signClosing(newSignerState(balances[0]), {
        closing: buildLegacyClosing({
          funding: keysOf(pair),
          local: { balance: msat(kept * 1000n), script: OURS },
          remote: { balance: msat(1_000_000_000n - kept * 1000n), script: THEIRS },
          opener: 'local',
          fee: sat(500n),
          dustLimit: sat(354n),
        }),
        side: 'local',
        balance: balances[0],
        fee,
      })
    expect(sign(600_000n, sat(500n))).not.to.throw()
    refused(sign(599_999n, sat(501n)))
    refused(sign(10_000n, sat(590_500n)))
    refused(sign(500n, sat(600_000n)))
  })

  it('a commitment that is called a closing, even one that pays us all we have -> INVALID_TRANSITION', () => {
    const { pair, old, newest } = revoked(msat(1_000_000_000n - 660_000n))
    const { signer, record } = pair.alice
    const sign = (transaction: Closing<string>['transaction']) => () =>
      signer.signClosing(record, {
        closing: { transaction, owners: [], funding: keysOf(pair), fee: old.commitment.fee },
        side: 'local',
        balance: record.balance.ours,
        fee: sat(record.balance.ours / 1000n),
      })
    refused(sign(old.commitment.transaction))
    refused(sign(newest.commitment.transaction))
  })
})

function refused(act: () => unknown): void {
  expect(act)
    .to.throw()
    .that.satisfies((error: unknown) => isError(error, 'INVALID_TRANSITION'))
}
