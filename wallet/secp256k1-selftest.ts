// What a provider must answer before it is trusted with a key: recorded answers of @noble/curves to plain and to
// nasty input. Recorded, because a live comparison would cost every process tens of milliseconds at its start;
// a test holds @noble/curves itself to this list.
import { hexToBytes } from '@noble/hashes/utils.js'
import { toHex } from '../channel/bytes.js'
import type { Curve, Secp256k1 } from './secp256k1-curve.js'

const bytes = hexToBytes

const A = bytes('0b1d5d2c8f3e4a6978695a4b3c2d1e0ff0e1d2c3b4a5968778695a4b3c2d1e0f')
const B = bytes('e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff')
const ZERO = new Uint8Array(32)
const N = bytes('fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141')
const LAST = bytes('fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140')
const ONES = new Uint8Array(32).fill(255)
const DIGEST = bytes('5e1f0a3c9b7d2e4f6081a2c3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f50617')

// Public keys of A and B, the negative of A's, an x coordinate that is not on the curve, and a hybrid encoding.
const PA = bytes('03d168d714f63475e517b82cddb66c0633ea032f8b46a9f7677adfd10122390c1f')
const PA65 = bytes(
  '04d168d714f63475e517b82cddb66c0633ea032f8b46a9f7677adfd10122390c1f80b7dbddcc069eab7f4f5d535a176d06780c8b068128f9c0143239bbda03c5c7',
)
const PB = bytes('024d7fcf8dbe13053dde82997cd7335605392352d6b4b288130abcb95cdc25c218')
const MINUS_PA = Uint8Array.from(PA, (byte, i) => (i === 0 ? byte ^ 1 : byte))
const OFF = bytes('020000000000000000000000000000000000000000000000000000000000000005')
const HYBRID = Uint8Array.from(PA65, (byte, i) => (i === 0 ? 6 + ((PA65[64] ?? 0) & 1) : byte))
const BENT = Uint8Array.from(PA65, (byte, i) => (i === 64 ? byte ^ 1 : byte))

// A's signature over DIGEST, and what an attacker makes of it.
const SIGNATURE = bytes(
  '2ecdf8e376b6cbe684d07c25d86f20b93bd8adf9efaa57b884b522713ec46eac3cb13c7768eac87d27e23ead0308c986c5551edf7d33ec2e9a31a4a7db5f4e76',
)
const HIGH = bytes(
  '2ecdf8e376b6cbe684d07c25d86f20b93bd8adf9efaa57b884b522713ec46eacc34ec38897153782d81dc152fcf73677f559be073214b40d25a0b9e4f4d6f2cb',
)
const R_ZERO = Uint8Array.from(SIGNATURE, (byte, i) => (i < 32 ? 0 : byte))
const S_ZERO = Uint8Array.from(SIGNATURE, (byte, i) => (i < 32 ? byte : 0))
const R_ORDER = Uint8Array.from(SIGNATURE, (byte, i) => (i < 32 ? (N[i] ?? 0) : byte))
const WRONG = Uint8Array.from(SIGNATURE, (byte, i) => (i === 40 ? byte ^ 1 : byte))
const SCHNORR = bytes(
  'ece83ec2466142ba252104ea101339dd87e2ec5ea395c31134c56f90101776a9abe11721e98d39b3ef82a84d4a4913a84bb3dd33fc0497dadce165bbb7501975',
)

type Answer = Uint8Array | boolean | undefined
type Question = readonly [
  operation: keyof Curve,
  expected: string,
  ask: (curve: Secp256k1) => Answer | readonly Answer[],
]

const QUESTIONS: readonly Question[] = [
  [
    'sign',
    '2ecdf8e376b6cbe684d07c25d86f20b93bd8adf9efaa57b884b522713ec46eac3cb13c7768eac87d27e23ead0308c986c5551edf7d33ec2e9a31a4a7db5f4e76,true',
    (c) => signed(c, DIGEST, A),
  ],
  [
    'sign',
    '88fd1b11c5d588331bbdd73c43bf4d3feee7f082d97e66de2c92a1a4e7f3fb754a869fb36f131d77a0c2fa143986ca2c88edf3cb9c22c18a813e96fe7b5a4d9a,true',
    (c) => signed(c, ONES, B),
  ],
  [
    'sign',
    '919026f3e239ea52cf530eb6d345dc2b56ef0928f1e9ad20d8f360284dc6504814395e7137e2204f15b69239010f3c34fbb3c858a29b0d106b1fa65bc0047263,false',
    (c) => signed(c, ZERO, LAST),
  ],
  ['sign', 'refused', (c) => signed(c, DIGEST, ZERO)],
  ['sign', 'refused', (c) => signed(c, DIGEST, N)],
  ['sign', 'refused', (c) => signed(c, DIGEST.subarray(1), A)],
  [
    'verify',
    'true,false,false,false,false,false,false',
    (c) =>
      [SIGNATURE, HIGH, R_ZERO, S_ZERO, R_ORDER, WRONG, SIGNATURE.subarray(1)].map((s) =>
        c.verify(s, DIGEST, PA),
      ),
  ],
  [
    'verify',
    'true,false,false,false,false,false,false,false',
    (c) =>
      [PA65, PB, MINUS_PA, OFF, HYBRID, BENT, PA.subarray(1), ZERO].map((p) =>
        c.verify(SIGNATURE, DIGEST, p),
      ),
  ],
  [
    'recover',
    '04d168d714f63475e517b82cddb66c0633ea032f8b46a9f7677adfd10122390c1f80b7dbddcc069eab7f4f5d535a176d06780c8b068128f9c0143239bbda03c5c7,041678a282b9257e6c54f0ed5eb17801a7f1e9a3d39e4093a37b39d66b4c823ed0f80580e91832a7ee986d4877fed715aa0307e867b4bc0e958832b5e8e86327c2',
    (c) => [c.recover(SIGNATURE, 1, DIGEST), c.recover(SIGNATURE, 0, DIGEST)],
  ],
  [
    'recover',
    'undefined,undefined,undefined,undefined,undefined',
    (c) => [HIGH, R_ZERO, S_ZERO, R_ORDER, SIGNATURE.subarray(1)].map((s) => c.recover(s, 1, DIGEST)),
  ],
  [
    'recover',
    'undefined',
    (c) => [c.recover(Uint8Array.from([...OFF.subarray(1), ...SIGNATURE.subarray(32)]), 0, DIGEST)],
  ],
  ['publicKey', '03d168d714f63475e517b82cddb66c0633ea032f8b46a9f7677adfd10122390c1f', (c) => c.publicKey(A)],
  [
    'publicKey',
    '0379be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798',
    (c) => c.publicKey(LAST),
  ],
  ['publicKey', 'refused', (c) => c.publicKey(ZERO)],
  ['publicKey', 'refused', (c) => c.publicKey(N)],
  [
    'isPoint',
    'true,true,false,false,false,false,false,false,false',
    (c) =>
      [PA, PA65, OFF, HYBRID, BENT, PA.subarray(1), ZERO, new Uint8Array(33), new Uint8Array(65)].map(
        c.isPoint,
      ),
  ],
  ['convert', '03d168d714f63475e517b82cddb66c0633ea032f8b46a9f7677adfd10122390c1f', (c) => c.compress(PA65)],
  ['convert', '03d168d714f63475e517b82cddb66c0633ea032f8b46a9f7677adfd10122390c1f', (c) => c.compress(PA)],
  [
    'convert',
    '04d168d714f63475e517b82cddb66c0633ea032f8b46a9f7677adfd10122390c1f80b7dbddcc069eab7f4f5d535a176d06780c8b068128f9c0143239bbda03c5c7',
    (c) => c.decompress(PA),
  ],
  ['convert', 'refused', (c) => c.compress(OFF)],
  ['convert', 'refused', (c) => c.decompress(HYBRID)],
  ['convert', 'refused', (c) => c.compress(BENT)],
  ['ecdh', 'a92deb0bdfeb1ecee724154f91a57088c9fdee445ec6b05304e4ee153a7154dd', (c) => c.ecdh(PB, A)],
  ['ecdh', 'a92deb0bdfeb1ecee724154f91a57088c9fdee445ec6b05304e4ee153a7154dd', (c) => c.ecdh(PA65, B)],
  ['ecdh', 'refused', (c) => c.ecdh(OFF, A)],
  ['ecdh', 'refused', (c) => c.ecdh(PA, ZERO)],
  ['ecdh', 'refused', (c) => c.ecdh(PA, N)],
  ['add', '03d168d714f63475e517b82cddb66c0633ea032f8b46a9f7677adfd10122390c1f', (c) => c.add(PA)],
  ['add', '03c178663698754c1873fef570eaa4f7a01a106fc801799df981df5a6c99ee71d6', (c) => c.add(PA65, PB)],
  ['add', '036a99c7c5b933f212aa02464b1964920c1bfb219beb5c463e92aaff20094c4672', (c) => c.add(PA, PA)],
  [
    'add',
    '024d7fcf8dbe13053dde82997cd7335605392352d6b4b288130abcb95cdc25c218',
    (c) => c.add(PA, MINUS_PA, PB),
  ],
  ['add', 'refused', (c) => c.add(PA, MINUS_PA)],
  ['add', 'refused', (c) => c.add(PA, OFF)],
  ['add', 'refused', (c) => c.add()],
  [
    'multiply',
    '03f993632de3cbe766d2b7a29e66d0b7e00e9f5f8f091f0b74ed1ba16b8d706494',
    (c) => c.multiply(PA, B),
  ],
  [
    'multiply',
    '02d168d714f63475e517b82cddb66c0633ea032f8b46a9f7677adfd10122390c1f',
    (c) => c.multiply(PA65, LAST),
  ],
  ['multiply', 'refused', (c) => c.multiply(PA, ZERO)],
  ['multiply', 'refused', (c) => c.multiply(PA, N)],
  ['multiply', 'refused', (c) => c.multiply(OFF, A)],
  [
    'tweakAdd',
    '03c178663698754c1873fef570eaa4f7a01a106fc801799df981df5a6c99ee71d6',
    (c) => c.tweakAdd(PA, B),
  ],
  [
    'tweakAdd',
    '03d168d714f63475e517b82cddb66c0633ea032f8b46a9f7677adfd10122390c1f',
    (c) => c.tweakAdd(PA65, ZERO),
  ],
  ['tweakAdd', 'refused', (c) => c.tweakAdd(MINUS_PA, A)],
  ['tweakAdd', 'refused', (c) => c.tweakAdd(PA, N)],
  ['tweakAdd', 'refused', (c) => c.tweakAdd(OFF, A)],
  [
    'tweakSecret',
    'ebff40107424315161534537291b0cffe1d3c5b7a99b8d7f71635547392b1d0e',
    (c) => c.tweakSecret(A, B),
  ],
  [
    'tweakSecret',
    '0b1d5d2c8f3e4a6978695a4b3c2d1e0ff0e1d2c3b4a5968778695a4b3c2d1e0f',
    (c) => c.tweakSecret(A, ZERO),
  ],
  ['tweakSecret', 'refused', (c) => c.tweakSecret(LAST, new Uint8Array(32).fill(1, 31))],
  ['tweakSecret', 'refused', (c) => c.tweakSecret(A, N)],
  ['tweakSecret', 'refused', (c) => c.tweakSecret(ZERO, A)],
  [
    'multiplySecret',
    '385e285f1441ed6220d11d9cca857ffac7aeba7a0550e44985bdc2c641bf7979',
    (c) => c.multiplySecret(A, B),
  ],
  ['multiplySecret', 'refused', (c) => c.multiplySecret(A, ZERO)],
  ['multiplySecret', 'refused', (c) => c.multiplySecret(N, A)],
  [
    'schnorrSign',
    'ece83ec2466142ba252104ea101339dd87e2ec5ea395c31134c56f90101776a9abe11721e98d39b3ef82a84d4a4913a84bb3dd33fc0497dadce165bbb7501975',
    (c) => c.schnorrSign(DIGEST, A, B),
  ],
  [
    'schnorrSign',
    'd059b7dd274941953afb75076e11cc966d952df60fb5ac6240df814c26e8dde3b0b155b23a83ccc8fedf4374575a831f7d7efca39164003cc7273cbf6ccce926',
    (c) => c.schnorrSign(ONES, LAST),
  ],
  ['schnorrSign', 'refused', (c) => c.schnorrSign(DIGEST, ZERO)],
  [
    'schnorrVerify',
    'true,false,false',
    (c) => [SCHNORR, SIGNATURE, R_ORDER].map((s) => c.schnorrVerify(s, DIGEST, PA.subarray(1))),
  ],
  [
    'schnorrVerify',
    'false,false,false,false',
    (c) => [PB.subarray(1), OFF.subarray(1), PA, ZERO].map((p) => c.schnorrVerify(SCHNORR, DIGEST, p)),
  ],
]

function signed(curve: Secp256k1, digest: Uint8Array, secret: Uint8Array): readonly Answer[] {
  const { signature, recovery } = curve.sign(digest, secret)
  return [signature, recovery === 1]
}

/**
 * Puts the recorded questions.
 *
 * @param curve the provider behind its checks
 * @param has the provider's own operations; what it borrows from @noble/curves is not asked
 * @returns the first question that is answered differently, `undefined` if there is none
 */
export function selfTest(curve: Secp256k1, has: Curve): string | undefined {
  const wrong = QUESTIONS.findIndex(
    ([operation, expected, ask]) => has[operation] !== undefined && outcome(() => ask(curve)) !== expected,
  )
  return wrong < 0 ? undefined : `${QUESTIONS[wrong]?.[0]} (question ${wrong})`
}

function outcome(ask: () => Answer | readonly Answer[]): string {
  try {
    const answer = ask()
    return (Array.isArray(answer) ? answer : [answer]).map(show).join()
  } catch {
    return 'refused'
  }
}

function show(answer: Answer): string {
  return answer instanceof Uint8Array ? toHex(answer).slice(2) : String(answer)
}
