import { hexToBytes } from '@noble/hashes/utils.js'
import { expect } from 'chai'
import { getBytes, verifyMessage, Wallet } from 'ethers'
import fc from 'fast-check'
import { fromHex, type Hex, toHex } from '../../channel/bytes.js'
import { isError } from '../../channel/errors.js'
import {
  addressOf,
  personalDigest,
  recoverPersonal,
  signPersonal,
  verifyPersonal,
} from '../../wallet/personal.js'
import { secp256k1 } from '../../wallet/secp256k1.js'

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
const secret = (value: bigint) => hexToBytes(value.toString(16).padStart(64, '0'))
const KEY_A = secret(1n)
const A = '0x7e5f4552091a69125d5dfcb7b8c2659029395bdf'
const B = '0x2b5ad5c4795c026514f8317c7a215e218dccd6cf'

// State hashes, their digests, and A's signatures, as the contracts of the Perun framework compute and accept them.
const VECTORS: readonly { readonly hash: Hex; readonly digest: Hex; readonly signature: Hex }[] = [
  {
    hash: '0x73c654fbeedae29e5b203ba49d2fc6b9471a8ad653e369860fe56ff7ea7fbecb',
    digest: '0xa85ef704e4b5d929cdb5e6f68aa41f3114f0b3f2fce7fdc34efdc8877c59df26',
    signature:
      '0x4bf7c6610ccfe8ccb718d5ff9bc86f85c46a54978cf24d1e7d93671ff9532cf7237180f4ec394fbb54e517e03b53ea3133d016137672b5d54f6ffe2e358c99531c',
  },
  {
    hash: '0x47b78b3e4383330e148142bd1d02b59ce9ca1f524c3ddb5720c48a8d3b5c30f8',
    digest: '0xeb06a3c19b08f93721981b4fac7aeeff3e3945e4885d1cbac60ba59714a96551',
    signature:
      '0x90ddb9b0221b94e60c96a4eeb3a33c9ee847e23855dc4e920dec2eb6be0cd5fd5ea42edbc851ecde25af4c9c8f306dbab7ef2a0199b821dd7d45eafdde3006961c',
  },
  {
    hash: '0x009acde05714350e67414875ed95810787f607809d65e330d1de0d16a44953a5',
    digest: '0x0768c11d0b1cf2e9df5398e8efdb4e68f6ab16772cf83130ca4f15de25c63c13',
    signature:
      '0x87c2c4483b9b19d68b7021aea52542867cb3d55bc192d640ecf84e25909232367d3f255deeba3f90218f2c9916374b4bfd61c03623af86a7b8cec41c9a2bfc6e1b',
  },
]
const WITHDRAWAL = {
  hash: '0x94b73c94c3dee01bcd4e4e7870155def5890f2188f41143a9e7bc89b0677d4fe',
  signature:
    '0x5a73a9d9a08e98e870c9a1786e77c802f83453d2e73e7fc02134d30ba6af12b46a44bb4a03c450b048a8a8d1943b977a689620b163b7691e98fba45a627389ff1c',
} as const

describe('EIP-191 personal messages: signing', () => {
  it('addresses of keys 1 and 2, from either form of the public key', () => {
    expect(addressOf(secp256k1.publicKey(KEY_A))).to.equal(A)
    expect(addressOf(secp256k1.decompress(secp256k1.publicKey(secret(2n))))).to.equal(B)
  })

  it('an address of what is no point -> INVALID_ARGUMENT', () => {
    expect(() => addressOf(new Uint8Array(33)))
      .to.throw()
      .that.satisfies((e: unknown) => isError(e, 'INVALID_ARGUMENT'))
  })

  for (const { hash, digest, signature } of VECTORS) {
    it(`state ${hash.slice(0, 10)} -> the digest and the signature that the chain knows`, () => {
      expect(toHex(personalDigest(fromHex(hash)))).to.equal(digest)
      expect(signPersonal(fromHex(hash), KEY_A)).to.equal(signature)
      expect(verifyPersonal(fromHex(hash), signature, A)).to.equal(true)
      expect(verifyPersonal(fromHex(hash), signature, B)).to.equal(false)
    })
  }

  it('withdrawal authorisation -> the signature that the chain knows', () => {
    expect(signPersonal(fromHex(WITHDRAWAL.hash), KEY_A)).to.equal(WITHDRAWAL.signature)
  })

  it('messages of any length, as ethers signs them', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.bigInt({ min: 1n, max: ORDER - 1n }),
        (message, key) => {
          const theirs = new Wallet(toHex(secret(key)))
          const signature = signPersonal(message, secret(key))
          expect(signature).to.equal(theirs.signMessageSync(message))
          expect(verifyMessage(message, signature)).to.equal(theirs.address)
          expect(verifyPersonal(message, signature, addressOf(secp256k1.publicKey(secret(key))))).to.equal(
            true,
          )
        },
      ),
      { numRuns: 30 },
    )
  })

  it('a bad secret -> INVALID_ARGUMENT', () => {
    expect(() => signPersonal(KEY_A, new Uint8Array(32)))
      .to.throw()
      .that.satisfies((e: unknown) => isError(e, 'INVALID_ARGUMENT'))
  })
})

describe('EIP-191 personal messages: verifying, as strictly as the chain', () => {
  const message = fromHex('0x73c654fbeedae29e5b203ba49d2fc6b9471a8ad653e369860fe56ff7ea7fbecb')
  const good = signPersonal(message, KEY_A)
  const r = good.slice(2, 66)
  const s = BigInt(`0x${good.slice(66, 130)}`)
  const word = (value: bigint) => value.toString(16).padStart(64, '0')
  const flipped = good.endsWith('1b') ? '1c' : '1b'
  const refused: Readonly<Record<string, string>> = {
    'v 0': `0x${r}${word(s)}00`,
    'v 1': `0x${r}${word(s)}01`,
    'v 26': `0x${r}${word(s)}1a`,
    'v 29': `0x${r}${word(s)}1d`,
    'the other v': `0x${r}${word(s)}${flipped}`,
    'upper-half s with the other v, which recovers the same key': `0x${r}${word(ORDER - s)}${flipped}`,
    'upper-half s': `0x${r}${word(ORDER - s)}${good.slice(-2)}`,
    '64 bytes (EIP-2098)': good.slice(0, 130),
    '66 bytes': `${good}00`,
    'no bytes': '0x',
    'r 0': `0x${word(0n)}${good.slice(66)}`,
    's 0': `0x${r}${word(0n)}${good.slice(-2)}`,
    'r the group order': `0x${word(ORDER)}${good.slice(66)}`,
    'upper-case hex': `0x${good.slice(2).toUpperCase()}`,
    'no 0x': good.slice(2),
    'not hex': `0x${'zz'.repeat(65)}`,
  }
  for (const [what, signature] of Object.entries(refused)) {
    it(`${what} -> false`, () => {
      // As from a peer: the type says what it should be, not what it is.
      const claimed: Hex = `0x${signature.replace(/^0x/, '')}`
      const given = what === 'no 0x' ? JSON.parse(JSON.stringify(signature)) : claimed
      expect(verifyPersonal(message, given, A)).to.equal(false)
      expect(recoverPersonal(message, given)).to.not.equal(A)
    })
  }

  it('the good one -> true, and only for its message and its address', () => {
    expect(verifyPersonal(message, good, A)).to.equal(true)
    expect(recoverPersonal(message, good)).to.equal(A)
    expect(verifyPersonal(message.subarray(1), good, A)).to.equal(false)
    expect(verifyPersonal(message, good, B)).to.equal(false)
    expect(verifyPersonal(message, good, `0x${'00'.repeat(20)}`)).to.equal(false)
    expect(verifyPersonal(message, good, `0x${A.slice(2).toUpperCase()}`)).to.equal(false)
  })

  it('any change of a byte -> false', () => {
    fc.assert(
      fc.property(fc.nat(64), fc.integer({ min: 1, max: 255 }), (i, change) => {
        const bent = toHex(getBytes(good).map((byte, j) => (i === j ? byte ^ change : byte)))
        expect(verifyPersonal(message, bent, A)).to.equal(false)
      }),
    )
  })

  it('anything at all that is no signature -> false, never an exception', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const given = JSON.parse(JSON.stringify(value))
        expect(verifyPersonal(message, given, A)).to.equal(false)
        expect(verifyPersonal(given, good, A)).to.equal(false)
        expect(verifyPersonal(message, good, given)).to.equal(false)
      }),
    )
  })
})
