// A signer that signs with hashes: it follows the rules of the real one, and costs a hundredth.

import type { ChannelKeys } from '../../../../backend/bitcoin/channel/step.js'
import {
  type Basepoints,
  basepointsOf,
  type ChannelSetup,
  type CommitmentState,
  channelSecrets,
  commitmentSecret,
  insertSecret,
  revokedCount,
  type Signer,
  secretIndexOf,
} from '../../../../backend/bitcoin/keys/index.js'
import { allowClosing, publish, release, sign, validate } from '../../../../backend/bitcoin/keys/policy.js'
import {
  buildCommitment,
  type Commitment,
  type CommitmentSignatures,
  sha256,
  signClosing,
} from '../../../../backend/bitcoin/script/index.js'
import { concat, equalBytes } from '../../../../channel/bytes.js'
import { PerkunasError } from '../../../../channel/errors.js'

/** Keys of a channel whose commitments are signed with hashes, and whose closing is signed for real. */
export function fakeKeys(seed: Uint8Array, keyIndex: bigint): ChannelKeys {
  const secrets = channelSecrets(seed, keyIndex)
  const basepoints = basepointsOf(secrets)
  const secretOf = (number: bigint) => commitmentSecret(secrets.commitmentSeed, number)
  const pointOf = (number: bigint) => fakePoint(secretOf(number))
  return {
    basepoints,
    commitmentPoint: pointOf,
    isSecret: (number, secret) => equalBytes(secretOf(number), secret),
    signer: (setup) => fakeSigner(basepoints, setup, { funding: secrets.funding, secretOf, pointOf }),
  }
}

function fakeSigner(
  own: Basepoints,
  setup: ChannelSetup,
  keys: {
    readonly funding: Uint8Array
    secretOf(number: bigint): Uint8Array
    pointOf(number: bigint): Uint8Array
  },
): Signer {
  function build(holder: 'local' | 'remote', state: CommitmentState, point: Uint8Array): Commitment {
    const [mine, other] = holder === 'local' ? [own, setup.remote] : [setup.remote, own]
    const mix = (base: Uint8Array) => fakePoint(concat(base, point))
    return buildCommitment({
      ...state,
      format: setup.format,
      obscuringFactor: 5n,
      keys: {
        localFunding: mine.funding,
        remoteFunding: other.funding,
        revocation: mix(other.revocation),
        localDelayed: mix(mine.delayedPayment),
        localHtlc: mix(mine.htlc),
        remoteHtlc: mix(other.htlc),
        remotePayment: other.payment,
      },
      opener: setup.opener === holder ? 'local' : 'remote',
      toSelfDelay: setup.toSelfDelay[holder],
      dustLimit: setup.dustLimit[holder],
    })
  }
  const signatureOf = (commitment: Commitment, extra: Uint8Array) => {
    const half = sha256(concat(commitment.txid, extra))
    return concat(half, half)
  }
  const signaturesOf = (commitment: Commitment, key: Uint8Array): CommitmentSignatures => ({
    signature: signatureOf(commitment, key),
    htlcSignatures: commitment.htlcs.map(({ htlc, amount }) =>
      signatureOf(commitment, concat(htlc.paymentHash, new TextEncoder().encode(`${htlc.id} ${amount}`))),
    ),
  })
  const checked = (state: CommitmentState, given: CommitmentSignatures): Commitment => {
    const commitment = build('local', state, keys.pointOf(state.number))
    const expected = signaturesOf(commitment, setup.remote.funding)
    const isSame =
      equalBytes(expected.signature, given.signature) &&
      expected.htlcSignatures.length === given.htlcSignatures.length &&
      expected.htlcSignatures.every((one, i) => equalBytes(one, given.htlcSignatures[i] ?? new Uint8Array()))
    if (!isSame) throw new PerkunasError('INVALID_SIGNATURE', 'bad fake signature', {})
    return commitment
  }
  return {
    basepoints: own,
    commitmentPoint: keys.pointOf,
    localCommitment: (state) => build('local', state, keys.pointOf(state.number)),
    remoteCommitment: (state, point) => build('remote', state, point),
    prepare: () => false,
    takeBack() {},
    signRemote(record, state, point) {
      const commitment = build('remote', state, point)
      const { txid } = commitment
      const next = sign(record, state.number, { funding: state.funding.outpoint, txid, point })
      return { next, commitment, signatures: signaturesOf(commitment, own.funding) }
    },
    validateLocal(record, state, signatures) {
      const commitment = checked(state, signatures)
      const balance = { ours: state.toLocal, htlcs: state.htlcs.length }
      const next = validate(record, state.number, {
        funding: state.funding.outpoint,
        txid: commitment.txid,
        balance,
      })
      return { next, commitment }
    },
    releaseSecret: (record, number) => ({ next: release(record, number), secret: keys.secretOf(number) }),
    dropFunding: () => refuse(),
    acceptSecret(record, number, secret) {
      const known = record.points.find((one) => one.number === number)
      if (number !== revokedCount(record) || number + 1n >= record.signed) return refuse()
      if (known === undefined || !equalBytes(fakePoint(secret), known.point)) {
        const reason = `not the secret of their commitment ${number}`
        throw new PerkunasError('INVALID_MESSAGE', reason, { path: 'secret', reason })
      }
      const secrets = insertSecret(record.secrets, { index: secretIndexOf(number), secret })
      return { next: { ...record, secrets, points: record.points.filter((one) => one !== known) } }
    },
    signLocal(record, state, signatures) {
      const next = publish(record, state.number)
      const commitment = checked(state, signatures)
      return { next, commitment, transaction: commitment.transaction }
    },
    signHtlc: () => refuse(),
    signClosing(record, { closing, balance, fee }) {
      allowClosing(record, { balance, fee })
      return signClosing(closing, keys.funding)
    },
    signClaim: () => refuse(),
  }
}

function fakePoint(of: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(2), sha256(of))
}

function refuse(): never {
  throw new PerkunasError('INVALID_TRANSITION', 'the fake signer refuses', { rule: 'fake' })
}
