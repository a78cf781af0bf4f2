import { expect } from 'chai'
import fc from 'fast-check'
import { deriveRevocationSecret, deriveSecret } from '../../../../backend/bitcoin/keys/index.js'
import {
  buildClaimTransaction,
  buildCommitment,
  type Claim,
  type ClaimKey,
  claimOfHtlcTransaction,
  claimOfOldAnchor,
  claimsOfCounterparty,
  claimsOfHolder,
  claimsOfPunisher,
  claimTransactionWeight,
  dustLimitOf,
  p2wpkh,
  p2wsh,
  readWitnessSignature,
  signClaims,
  weightOf,
  witnessDigest,
} from '../../../../backend/bitcoin/script/index.js'
import { feeratePerKw, msat, sat } from '../../../../backend/bitcoin/units.js'
import { isError } from '../../../../channel/errors.js'
import { secp256k1 } from '../../../../wallet/secp256k1.js'
import { advanceAlice, pairOf, revokeAlice, stateOf } from '../channel.js'
import { commitments, type Generated, preimageOf } from './generate.js'

const TO = p2wpkh(secp256k1.publicKey(new Uint8Array(32).fill(1)))
const FEERATE = feeratePerKw(253)

describe('BOLT 5: claims', () => {
  it('each is of an output of its amount, and together they are what a side can get', () => {
    check(({ params }) => {
      const commitment = buildCommitment(params)
      const amountOf = (claims: readonly Claim[]) => claims.reduce((sum, { amount }) => sum + amount, 0n)
      const sumOf = (...roles: readonly string[]) =>
        commitment.outputs.reduce((sum, { role, amount }) => sum + (roles.includes(role) ? amount : 0n), 0n)
      const offered = commitment.htlcs.filter(({ htlc }) => htlc.direction === 'offered')
      const unknown = offered.reduce((sum, { amount }) => sum + amount, 0n)
      const all = [...claimsOfHolder(commitment), ...claimsOfPunisher(commitment)]
      for (const { outpoint, amount } of all) {
        expect(outpoint.txid).to.deep.equal(commitment.txid)
        expect(commitment.outputs[outpoint.index]?.amount).to.equal(amount)
      }
      expect(amountOf(claimsOfHolder(commitment))).to.equal(
        sumOf('to_local', 'local_anchor', 'shared_anchor'),
      )
      const mine = sumOf('to_remote', 'htlc', 'remote_anchor', 'shared_anchor')
      expect(amountOf(claimsOfPunisher(commitment))).to.equal(mine + sumOf('to_local'))
      expect(amountOf(claimsOfCounterparty(commitment, () => preimageOf(1)))).to.equal(mine)
      expect(amountOf(claimsOfCounterparty(commitment, () => undefined))).to.equal(mine - unknown)
    })
  })

  it('what waits has its sequence and lock time', () => {
    check(({ params }) => {
      const commitment = buildCommitment(params)
      for (const { kind, sequence } of claimsOfHolder(commitment)) {
        if (kind === 'delayed') expect(sequence).to.equal(params.toSelfDelay)
      }
      const claims = claimsOfCounterparty(commitment, () => preimageOf(1))
      const wait = params.format === 'anchors_zero_fee_htlc' ? 1 : 0xffff_fffd
      for (const { kind, sequence, locktime, outpoint } of claims) {
        const output = commitment.outputs[outpoint.index]
        const expected = kind === 'htlc_timeout' && output?.role === 'htlc' ? output.htlc.cltvExpiry : 0
        expect(locktime).to.equal(expected)
        if (kind !== 'anchor') expect(sequence).to.equal(wait)
      }
    })
  })

  it('signed together they weigh what was expected, pay the fee of that, and each signature is by its key', () => {
    check((given) => {
      const commitment = buildCommitment(given.params)
      const second = commitment.htlcs.slice(0, 2).map((output, index) =>
        claimOfHtlcTransaction(commitment, output, {
          by: 'holder',
          outpoint: { txid: new Uint8Array(32), index },
        }),
      )
      const views = [
        [...claimsOfHolder(commitment), ...second],
        claimsOfCounterparty(commitment, () => preimageOf(1)),
        claimsOfPunisher(commitment),
      ]
      for (const claims of views) {
        const total = claims.reduce((sum, { amount }) => sum + amount, 0n)
        const weight = claimTransactionWeight(claims, TO)
        const fee = (BigInt(FEERATE) * BigInt(weight)) / 1000n
        const build = () => buildClaimTransaction({ claims, to: TO, feerate: FEERATE })
        if (total < fee + dustLimitOf(TO)) {
          throwsCode(claims.length === 0 ? 'INVALID_ARGUMENT' : 'INVALID_STATE', build)
          continue
        }
        const tx = signClaims(build(), claims, (key) => secretOf(given, key))
        expect(tx.outputs).to.deep.equal([{ amount: total - fee, script: TO }])
        const longest = {
          ...tx,
          inputs: tx.inputs.map((input, i) => ({
            ...input,
            witness: input.witness.map((item, j) =>
              claims[i]?.witness[j] === 'signature' ? new Uint8Array(73) : item,
            ),
          })),
        }
        expect(weightOf(longest)).to.equal(weight)
        claims.forEach((claim, i) => {
          const at = claim.witness.indexOf('signature')
          if (at < 0 || claim.key === 'none') return
          const read = readWitnessSignature(tx.inputs[i]?.witness[at] ?? new Uint8Array())
          const digest = witnessDigest(tx, i, claim)
          const key = given.params.keys[claim.key]
          expect(secp256k1.verify(read?.compact ?? new Uint8Array(), digest, key), claim.kind).to.equal(true)
        })
      }
    })
  })

  it('an anchor is cleaned up without a signature; what is no anchor -> INVALID_ARGUMENT', () => {
    const [given] = fc.sample(commitments({ formats: ['anchors_zero_fee_htlc'] }), { numRuns: 1, seed: 1 })
    if (given === undefined) throw new Error('no example')
    const commitment = buildCommitment(given.params)
    const anchor = commitment.outputs.find(({ role }) => role === 'local_anchor')
    const other = commitment.outputs.find(({ role }) => role === 'to_local')
    if (anchor === undefined || other === undefined) throw new Error('no such output')
    const claim = claimOfOldAnchor(commitment, anchor)
    expect([claim.sequence, claim.key, claim.witness.includes('signature')]).to.deep.equal([
      16,
      'none',
      false,
    ])
    expect(p2wsh(claim.scriptCode)).to.deep.equal(anchor.script)
    throwsCode('INVALID_ARGUMENT', () => claimOfOldAnchor(commitment, other))
  })
})

describe('signer: claims', () => {
  const state = {
    funding: { outpoint: { txid: new Uint8Array(32), index: 0 }, amount: sat(1_000_000n) },
    feerate: feeratePerKw(1000),
    bob: msat(300_000_000n),
  }

  it('a penalty before the secret came, and a key of the other side -> INVALID_TRANSITION', () => {
    const pair = pairOf('anchors_zero_fee_htlc')
    const signed = advanceAlice(pair, stateOf({ ...state, number: 0n }))
    const { commitment, point } = signed
    const sign = (by: 'alice' | 'bob', claims: readonly Claim[]) => () => {
      const { signer, record } = pair[by]
      const tx = buildClaimTransaction({ claims, to: TO, feerate: FEERATE })
      const holder = by === 'alice' ? 'local' : 'remote'
      return claims.map((claim, i) => signer.signClaim(record, tx, i, claim, { commitment, holder, point }))
    }
    const penalties = claimsOfPunisher(commitment).filter(({ kind }) => kind === 'penalty')
    expect(penalties).to.have.length(1)
    throwsCode('INVALID_TRANSITION', sign('bob', penalties))
    throwsCode('INVALID_TRANSITION', sign('alice', penalties))
    throwsCode('INVALID_TRANSITION', sign('bob', claimsOfHolder(commitment)))
    throwsCode(
      'INVALID_TRANSITION',
      sign(
        'alice',
        claimsOfCounterparty(commitment, () => undefined),
      ),
    )
    expect(sign('alice', claimsOfHolder(commitment))).not.to.throw()
    advanceAlice(pair, stateOf({ ...state, number: 1n }))
    revokeAlice(pair, 0n)
    expect(sign('bob', penalties)).not.to.throw()
    throwsCode('INVALID_TRANSITION', sign('alice', penalties))
  })

  it('an HTLC transaction of a commitment that is not published -> INVALID_TRANSITION', () => {
    const pair = pairOf('anchors_zero_fee_htlc')
    const paymentHash = new Uint8Array(32)
    const htlc = {
      direction: 'offered',
      id: 0n,
      amount: msat(50_000_000n),
      paymentHash,
      cltvExpiry: 500,
    } as const
    const {
      commitment,
      signatures,
      state: signed,
    } = advanceAlice(pair, stateOf({ ...state, number: 0n, htlcs: [htlc] }))
    const [output] = commitment.htlcs
    const [remote] = signatures.htlcSignatures
    if (output === undefined || remote === undefined) throw new Error('no HTLC')
    const { signer, record } = pair.alice
    throwsCode('INVALID_TRANSITION', () => signer.signHtlc(record, commitment, output, { remote }))
    const { next } = signer.signLocal(record, signed, signatures)
    expect(signer.signHtlc(next, commitment, output, { remote }).locktime).to.equal(500)
  })

  it('signatures on another commitment -> INVALID_SIGNATURE, and nothing is validated or published', () => {
    const pair = pairOf('anchors_zero_fee_htlc')
    const { signatures } = advanceAlice(pair, stateOf({ ...state, number: 0n }))
    const other = stateOf({ ...state, bob: msat(299_999_000n), number: 0n })
    const { signer, record } = pair.alice
    throwsCode('INVALID_SIGNATURE', () => signer.signLocal(record, other, signatures))
    throwsCode('INVALID_SIGNATURE', () => signer.validateLocal(record, other, signatures))
    expect(record.published).to.equal(undefined)
  })
})

function secretOf(
  { local, remote, point, pointSecret, remoteHtlc }: Generated,
  key: ClaimKey,
): Uint8Array | undefined {
  switch (key) {
    case 'localDelayed':
      return deriveSecret(local.delayedPayment, point)
    case 'localFunding':
      return local.funding
    case 'remoteFunding':
      return remote.funding
    case 'remotePayment':
      return remote.payment
    case 'remoteHtlc':
      return remoteHtlc
    case 'revocation':
      return deriveRevocationSecret(remote.revocation, pointSecret)
    case 'none':
      return undefined
  }
}

function check(rule: (given: Generated) => void): void {
  fc.assert(fc.property(commitments(), rule), { numRuns: 40 })
}

function throwsCode(
  code: 'INVALID_ARGUMENT' | 'INVALID_STATE' | 'INVALID_TRANSITION' | 'INVALID_SIGNATURE',
  act: () => unknown,
): void {
  expect(act)
    .to.throw()
    .that.satisfies((error: unknown) => isError(error, code))
}
