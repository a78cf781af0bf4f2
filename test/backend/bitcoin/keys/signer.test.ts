import { expect } from 'chai'
import { memoryCounter, newSignerState, type StepCounter } from '../../../../backend/bitcoin/keys/index.js'
import {
  buildLegacyClosing,
  type Claim,
  type Closing,
  claimsOfHolder,
  p2wpkh,
} from '../../../../backend/bitcoin/script/index.js'
import { feeratePerKw, msat, type Sat, sat } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import { isError, PerkunasError } from '../../../../channel/errors.js'
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

describe('signer: what is made ahead', () => {
  it('prepared by the right points, by others, or not at all -> the same commitments', () => {
    const [prepared, plain] = [pairOf('anchors_zero_fee_htlc'), pairOf('anchors_zero_fee_htlc')]
    const { alice, bob } = prepared
    for (let number = 0n; number < 8n; number++) {
      const state = stateOf({
        number,
        funding: FUNDING,
        feerate: feeratePerKw(1000),
        bob: msat(number * 1000n),
      })
      const point = alice.signer.commitmentPoint(number % 3n === 0n ? number : number + 5n)
      while (bob.signer.prepare(bob.record, point)) {}
      // Not all of it.
      alice.signer.prepare(alice.record, bob.signer.commitmentPoint(number))
      const [one, other] = [prepared, plain].map((pair) => {
        const signed = advanceAlice(pair, state)
        if (number > 0n) revokeAlice(pair, number - 1n)
        return signed
      })
      expect(one).to.deep.equal(other)
      expect(alice.record).to.deep.equal(plain.alice.record)
      expect(bob.record).to.deep.equal(plain.bob.record)
    }
  })
})

describe('signer: records that are too old', () => {
  const first = stateOf({ number: 0n, funding: FUNDING, feerate: feeratePerKw(1000), bob: msat(0n) })
  const second = { ...first, number: 1n, toLocal: msat(700_000_000n), toRemote: msat(300_000_000n) }

  /** Alice's records on the way to her second commitment, and that of Bob before he signed it. */
  function walk(counter: StepCounter = memoryCounter()) {
    const pair = pairOf('anchors_zero_fee_htlc', { counter })
    const signed0 = advanceAlice(pair, first)
    const old = pair.alice.record
    const bob = pair.bob.record
    const signed1 = advanceAlice(pair, second)
    const before = pair.alice.record
    revokeAlice(pair, 0n)
    return { pair, old, before, bob, signed0, signed1, counter }
  }

  it('our revoked commitment by the record of when it was not -> INVALID_TRANSITION', () => {
    const { pair, old, before, signed0, signed1 } = walk()
    const { signer, record } = pair.alice
    stale(() => signer.signLocal(old, first, signed0.signatures))
    stale(() => signer.signLocal(before, first, signed0.signatures))
    expect(signer.signLocal(record, second, signed1.signatures).next.published).to.equal(1n)
  })
  it('the same by a signer made anew over the same counter -> INVALID_TRANSITION', () => {
    const { old, before, pair, signed0, signed1, counter } = walk()
    const again = pairOf('anchors_zero_fee_htlc', { counter }).alice.signer
    stale(() => again.signLocal(old, first, signed0.signatures))
    stale(() => again.signLocal(before, first, signed0.signatures))
    expect(again.signLocal(pair.alice.record, second, signed1.signatures).next.published).to.equal(1n)
  })
  it('the counter forgot, by a restored disk -> the running signer still knows', () => {
    const { pair, old, signed0 } = walk({ load: () => undefined, store: () => undefined })
    stale(() => pair.alice.signer.signLocal(old, first, signed0.signatures))
  })
  it('the same by another channel of that counter -> its own steps alone count', () => {
    const { counter } = walk()
    const other = pairOf('anchors_zero_fee_htlc', { counter, index: 1n })
    const signed = advanceAlice(other, first)
    expect(other.alice.signer.signLocal(other.alice.record, first, signed.signatures).next.step).to.equal(1n)
  })
  it('the record before the last secret was lost -> the same secret again, nothing else', () => {
    const { pair, before, signed1, counter } = walk()
    const again = pairOf('anchors_zero_fee_htlc', { counter }).alice.signer
    stale(() => again.signLocal(before, second, signed1.signatures))
    const { next, secret } = again.releaseSecret(before, 0n)
    expect(secret).to.deep.equal(pair.alice.signer.releaseSecret(pair.alice.record, 0n).secret)
    expect(next).to.deep.equal(pair.alice.record)
  })
  it('the record of what was signed for the peer was lost -> the same again, or our own way out', () => {
    const { pair, bob, signed1 } = walk()
    const { signer } = pair.bob
    const { signatures, next } = signer.signRemote(bob, second, signed1.point)
    expect(signatures).to.deep.equal(signed1.signatures)
    expect(next.step).to.equal(pair.bob.record.step)
    stale(() => signer.signRemote(bob, { ...second, feerate: feeratePerKw(1001) }, signed1.point))
  })
  it('a secret that never left is taken back -> our way out is open again, and what came of it is worth nothing', () => {
    const { pair, before, signed1, counter } = walk()
    const { signer } = pair.alice
    stale(() => signer.signLocal(before, second, signed1.signatures))
    signer.takeBack(before)
    const { next } = signer.signLocal(before, second, signed1.signatures)
    expect(next.published).to.equal(1n)
    stale(() => signer.releaseSecret(before, 0n))
    // Who did not make it can't say that it has not left.
    const lost = walk()
    const again = pairOf('anchors_zero_fee_htlc', { counter: lost.counter }).alice.signer
    again.takeBack(lost.before)
    stale(() => again.signLocal(lost.before, second, lost.signed1.signatures))
    expect(counter.load(toHex(signer.basepoints.funding))?.kind).to.equal('publish')
  })
  it('published by the record before a signature -> the record of that signature releases nothing any more', () => {
    const pair = pairOf('anchors_zero_fee_htlc')
    const { signer } = pair.alice
    advanceAlice(pair, first)
    const signed1 = advanceAlice(pair, second)
    const before = pair.alice.record
    const theirs = { ...first, toLocal: msat(0n), toRemote: first.toLocal }
    const ahead = signer.signRemote(before, theirs, pair.bob.signer.commitmentPoint(0n)).next
    const { next } = signer.signLocal(before, second, signed1.signatures)
    stale(() => signer.releaseSecret(ahead, 0n))
    expect(signer.signLocal(before, second, signed1.signatures).next).to.deep.equal(next)
  })
  it('a closing transaction by an old balance -> INVALID_TRANSITION', () => {
    const { pair, old } = walk()
    const closing = buildLegacyClosing({
      funding: { ...FUNDING, keys: pair.keys },
      local: { balance: first.toLocal, script: OURS },
      remote: { balance: first.toRemote, script: THEIRS },
      opener: 'local',
      fee: sat(500n),
      dustLimit: sat(354n),
    })
    const request = { closing, side: 'local', balance: first.toLocal, fee: sat(500n) }
    stale(() => pair.alice.signer.signClosing(old, request))
  })
  it('the counter can not store -> no secret leaves, and the step can be made later', () => {
    let broken = false
    const inner = memoryCounter()
    const counter: StepCounter = {
      load: (channel) => inner.load(channel),
      store(channel, mark) {
        if (broken) throw new PerkunasError('STORE_FAILED', 'disk full', { operation: 'store' })
        inner.store(channel, mark)
      },
    }
    const pair = pairOf('anchors_zero_fee_htlc', { counter })
    advanceAlice(pair, first)
    advanceAlice(pair, second)
    broken = true
    expect(() => revokeAlice(pair, 0n))
      .to.throw()
      .that.satisfies((error: unknown) => isError(error, 'STORE_FAILED'))
    broken = false
    revokeAlice(pair, 0n)
    expect(pair.alice.record.released).to.equal(1n)
  })
})

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

function stale(act: () => unknown): void {
  expect(act)
    .to.throw()
    .that.satisfies(
      (error: unknown) => isError(error, 'INVALID_TRANSITION') && error.facts.rule === 'stale-record',
    )
}
