// The operations that `npm run bench -- bolt` measures, with the provider of secp256k1 that this process has.
import { sha256 } from '@noble/hashes/sha2.js'
import { decodeInvoice } from '../backend/bitcoin/invoice/index.js'
import { sharedSecretWith } from '../backend/bitcoin/onion/keys.js'
import { buildOnion, peelOnion } from '../backend/bitcoin/onion/sphinx.js'
import {
  buildCommitment,
  commitmentDigest,
  faultOfSignatures,
  htlcDigests,
  signCommitment,
} from '../backend/bitcoin/script/index.js'
import { lightningMessages } from '../backend/bitcoin/wire/messages.js'
import { fromHex } from '../channel/bytes.js'
import { secp256k1 } from '../wallet/secp256k1.js'
import { exampleCommitment } from './bolt-commitment.js'
import { medianOf, mediansOf } from './median.js'

/** Nanoseconds by operation; those named `ratio` are a quotient. */
export type Results = Readonly<Record<string, number>>

// BOLT 7's fields in a message of 138 bytes with its type.
const CHANNEL_UPDATE =
  '0x010206737e9e18d3e4d0ab4066ccaecdcc10e648c5f1c5413f1610747e0d463fa7fa39c1b02ea2fd694275ecfefe4fe9631f24afd182ab75b805e16cd550941f858c06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f00006d00000100005d50f935010000300000000000000000000000640000000b00000000000186a0'
// BOLT 11's example of a coffee, whose payee is recovered from the signature.
const INVOICE =
  'lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh'
const SHORT = 400
const LONG = 1500

/** Measures all, with the provider that this process has. */
export function measureAll(): Results {
  return { ...wire(), ...onion(), ...invoice(), ...commitments() }
}

function wire(): Results {
  const bytes = fromHex(CHANNEL_UPDATE)
  const message = lightningMessages.decode(bytes)
  if (message.kind !== 'channel_update') throw new Error(`not a channel_update but ${message.kind}`)
  return {
    'channel_update: decode': medianOf(() => lightningMessages.decode(bytes), SHORT),
    'channel_update: encode': medianOf(() => lightningMessages.encode(message), SHORT),
  }
}

function onion(): Results {
  const secrets = Array.from({ length: 20 }, (_, i) => sha256(Uint8Array.of(i)))
  const hops = secrets.map((secret) => ({
    publicKey: secp256k1.publicKey(secret),
    // With its length and HMAC 65 bytes: 20 of them fill the packet.
    payload: new Uint8Array(32).fill(1),
  }))
  const sessionKey = sha256(Uint8Array.of(99))
  const request = { sessionKey, hops, associatedData: sha256(Uint8Array.of(98)) }
  const { packet } = buildOnion(request)
  const [first = sessionKey] = secrets
  const sharedSecret = sharedSecretWith(first)
  const peel = () => peelOnion({ packet, sharedSecret, associatedData: request.associatedData })
  if (peel().kind !== 'forward') throw new Error('the onion does not open')
  return {
    'onion: build for 20 hops': medianOf(() => buildOnion(request), LONG),
    'onion: peel one layer': medianOf(peel, SHORT),
  }
}

function invoice(): Results {
  return { 'invoice: decode and check the signature': medianOf(() => decodeInvoice(INVOICE), SHORT) }
}

function commitments(): Results {
  return Object.assign({}, ...[0, 10, 483].map(commitment))
}

function commitment(htlcs: number): Results {
  const { params, secrets } = exampleCommitment(htlcs)
  const built = buildCommitment(params)
  const signed = signCommitment(built, secrets)
  if (faultOfSignatures(built, signed) !== undefined) throw new Error('the signatures are not good')
  const { remoteFunding, remoteHtlc } = params.keys
  // The same curve operations on digests that are there already.
  const jobs = [
    {
      digest: commitmentDigest(built),
      secret: secrets.funding,
      key: remoteFunding,
      signature: signed.signature,
    },
    ...htlcDigests(built, 'remote').map((digest, i) => ({
      digest,
      secret: secrets.htlc,
      key: remoteHtlc,
      signature: signed.htlcSignatures[i] ?? new Uint8Array(64),
    })),
  ]
  const [build = 0] = mediansOf([() => buildCommitment(params)], SHORT)
  const [bareSign = 0, sign = 0] = mediansOf(
    [
      () => jobs.map(({ digest, secret }) => secp256k1.sign(digest, secret)),
      () => signCommitment(built, secrets),
    ],
    LONG,
  )
  const [bareVerify = 0, verify = 0] = mediansOf(
    [
      () => jobs.every(({ signature, digest, key }) => secp256k1.verify(signature, digest, key)),
      () => faultOfSignatures(built, signed),
    ],
    LONG,
  )
  const name = `commitment, ${htlcs} HTLCs`
  return {
    [`${name}: build`]: build,
    [`${name}: sign`]: sign,
    [`${name}: verify`]: verify,
    [`${name}: bare signing`]: bareSign,
    [`${name}: bare verifying`]: bareVerify,
    [`${name}: ratio of signing`]: sign / bareSign,
    [`${name}: ratio of building and signing`]: (build + sign) / bareSign,
    [`${name}: ratio of verifying`]: verify / bareVerify,
    [`${name}: ratio of building and verifying`]: (build + verify) / bareVerify,
  }
}
