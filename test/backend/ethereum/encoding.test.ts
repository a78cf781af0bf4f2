import { expect } from 'chai'
import { AbiCoder, hexlify, keccak256 } from 'ethers'
import fc from 'fast-check'
import { ADJUDICATOR, TYPES } from '../../../backend/ethereum/abi.js'
import { asset } from '../../../backend/ethereum/assets.js'
import {
  paramsArgument,
  shownStates,
  signedStateArgument,
  stateArgument,
} from '../../../backend/ethereum/calls.js'
import { callData } from '../../../backend/ethereum/contracts.js'
import {
  channelIDOf,
  encodeParams,
  encodeState,
  encodeWithdrawalAuth,
  fundingID,
  stateHash,
  withdrawalHash,
} from '../../../backend/ethereum/encoding.js'
import {
  EMPTY,
  type Hex,
  MAX_AMOUNT,
  MAX_UINT64,
  NO_APP,
  NO_AUX,
  type Params,
  type State,
  toHex,
} from '../../../channel/index.js'
import { addressOf, personalDigest, secp256k1, signPersonal } from '../../../wallet/index.js'

const A: Hex = '0x7e5f4552091a69125d5dfcb7b8c2659029395bdf'
const B: Hex = '0x2b5ad5c4795c026514f8317c7a215e218dccd6cf'
const secretOfA = new Uint8Array(32).fill(1, 31)

/** The vectors' channel and states (Perun on Ethereum, "Test vectors"). */
const params: Params = {
  challengeDuration: 60n,
  nonce: 0xb0b0facen,
  participants: [{ 1: A }, { 1: B }],
  app: NO_APP,
  ledgerChannel: true,
  virtualChannel: false,
  aux: NO_AUX,
}
const channelID: Hex = '0xee99b9f202d95fd1f727406524c54636bd5d08a5a708c3acdf0d8a8ecfa50ff4'

function vectorState(
  version: bigint,
  other: Partial<State> & { locked?: State['allocation']['locked'] } = {},
): State {
  const { locked = [], ...rest } = other
  return {
    channelID,
    version,
    app: NO_APP,
    allocation: {
      assets: [asset({ chainID: 1337n, holder: `0x${'11'.repeat(20)}` })],
      balances: [[7n, 3n]],
      locked,
    },
    data: EMPTY,
    isFinal: false,
    ...rest,
  }
}

const vectors = [
  {
    name: 'version 1, no app data',
    state: vectorState(1n),
    length: 832,
    hash: '0x73c654fbeedae29e5b203ba49d2fc6b9471a8ad653e369860fe56ff7ea7fbecb',
    digest: '0xa85ef704e4b5d929cdb5e6f68aa41f3114f0b3f2fce7fdc34efdc8877c59df26',
    signature:
      '0x4bf7c6610ccfe8ccb718d5ff9bc86f85c46a54978cf24d1e7d93671ff9532cf7237180f4ec394fbb54e517e03b53ea3133d016137672b5d54f6ffe2e358c99531c',
  },
  {
    name: 'version 2, app data, locked funds',
    state: vectorState(2n, {
      data: '0x0102',
      locked: [{ channelID: `0x${'22'.repeat(32)}`, balances: [5n], indexMap: [0, 1] }],
    }),
    length: 1152,
    hash: '0x47b78b3e4383330e148142bd1d02b59ce9ca1f524c3ddb5720c48a8d3b5c30f8',
    digest: '0xeb06a3c19b08f93721981b4fac7aeeff3e3945e4885d1cbac60ba59714a96551',
    signature:
      '0x90ddb9b0221b94e60c96a4eeb3a33c9ee847e23855dc4e920dec2eb6be0cd5fd5ea42edbc851ecde25af4c9c8f306dbab7ef2a0199b821dd7d45eafdde3006961c',
  },
  {
    name: 'version 3, final',
    state: vectorState(3n, { isFinal: true }),
    length: 832,
    hash: '0x009acde05714350e67414875ed95810787f607809d65e330d1de0d16a44953a5',
    digest: '0x0768c11d0b1cf2e9df5398e8efdb4e68f6ab16772cf83130ca4f15de25c63c13',
    signature:
      '0x87c2c4483b9b19d68b7021aea52542867cb3d55bc192d640ecf84e25909232367d3f255deeba3f90218f2c9916374b4bfd61c03623af86a7b8cec41c9a2bfc6e1b',
  },
]

const hex = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }).map(toHex)
const amount = fc.oneof(fc.bigInt(0n, 100n), fc.bigInt(0n, MAX_AMOUNT), fc.constant(MAX_AMOUNT))
const participant = fc.oneof(
  hex(20).map((address) => ({ 1: address })),
  fc.record({ 1: hex(20), 4: fc.integer({ min: 1, max: 70 }).chain(hex) }),
)
const anyParams: fc.Arbitrary<Params> = fc.record({
  challengeDuration: fc.bigInt(0n, MAX_UINT64),
  nonce: amount,
  participants: fc.array(participant, { maxLength: 6 }),
  app: fc.oneof(fc.constant(NO_APP), hex(20)),
  ledgerChannel: fc.boolean(),
  virtualChannel: fc.boolean(),
  aux: fc.constant(NO_AUX),
})
const anyAsset = fc.oneof(
  fc.record({ chainID: fc.bigInt(1n, MAX_AMOUNT), holder: hex(20) }).map(asset),
  fc.record({ backend: fc.constantFrom(0, 2, 7), id: fc.integer({ min: 0, max: 70 }).chain(hex) }),
)
const anyState: fc.Arbitrary<State> = fc
  .record({ assets: fc.integer({ min: 1, max: 4 }), participants: fc.integer({ min: 1, max: 5 }) })
  .chain(({ assets, participants }) => {
    const amounts = (length: number) => fc.array(amount, { minLength: length, maxLength: length })
    const map = fc.shuffledSubarray([...Array(participants).keys()])
    return fc.record({
      channelID: hex(32),
      version: fc.bigInt(0n, MAX_UINT64),
      app: fc.constant(NO_APP),
      allocation: fc.record({
        assets: fc.array(anyAsset, { minLength: assets, maxLength: assets }),
        balances: fc.array(amounts(participants), { minLength: assets, maxLength: assets }),
        locked: fc.array(fc.record({ channelID: hex(32), balances: amounts(assets), indexMap: map }), {
          maxLength: 3,
        }),
      }),
      data: fc.integer({ min: 0, max: 300 }).chain(hex),
      isFinal: fc.boolean(),
    })
  })

const abi = AbiCoder.defaultAbiCoder()

describe('ethereum: encoding', () => {
  it('channel ID of the vector', () => {
    expect(channelIDOf(params)).to.equal(channelID)
  })

  it('funding IDs of the vectors', () => {
    expect(fundingID(channelID, A)).to.equal(
      '0xe8cf5e80b59305dbb931ce33ce10919c67e5316239c067427e730aec48f798b4',
    )
    expect(fundingID(`0x${'00'.repeat(32)}`, `0x${'00'.repeat(20)}`)).to.equal(
      '0xad3228b676f7d3cd4284a5443f17f1962b36e491b30a40b2405849e597ba5fb5',
    )
  })

  for (const { name, state, length, hash, digest, signature } of vectors) {
    it(`state hash, digest and signature of the vector: ${name}`, () => {
      expect(encodeState(state)).to.have.length(length)
      const message = stateHash(state)
      expect(toHex(message)).to.equal(hash)
      expect(toHex(personalDigest(message))).to.equal(digest)
      expect(addressOf(secp256k1.publicKey(secretOfA))).to.equal(A)
      expect(signPersonal(message, secretOfA)).to.equal(signature)
    })
  }

  it('withdrawal authorisation of the vector', () => {
    const auth = { channelID, participant: { ethAddress: A, ccAddress: EMPTY }, receiver: B, amount: 7n }
    const hash = withdrawalHash(auth)
    expect(toHex(hash)).to.equal('0x94b73c94c3dee01bcd4e4e7870155def5890f2188f41143a9e7bc89b0677d4fe')
    expect(signPersonal(hash, secretOfA)).to.equal(
      '0x5a73a9d9a08e98e870c9a1786e77c802f83453d2e73e7fc02134d30ba6af12b46a44bb4a03c450b048a8a8d1943b977a689620b163b7691e98fba45a627389ff1c',
    )
  })

  it("params are encoded as by ethers' coder", () => {
    fc.assert(
      fc.property(anyParams, (value) => {
        expect(toHex(encodeParams(value))).to.equal(abi.encode([TYPES.params], [paramsArgument(value)]))
      }),
    )
  })

  it("states are encoded as by ethers' coder", () => {
    fc.assert(
      fc.property(anyState, (value) => {
        const expected = abi.encode([TYPES.state], [stateArgument(value)])
        expect(toHex(encodeState(value))).to.equal(expected)
        expect(hexlify(stateHash(value))).to.equal(keccak256(expected))
      }),
    )
  })

  it("withdrawal authorisations are encoded as by ethers' coder", () => {
    fc.assert(
      fc.property(hex(32), hex(20), hex(20), amount, (id, ethAddress, receiver, value) => {
        const auth = { channelID: id, participant: { ethAddress, ccAddress: EMPTY }, receiver, amount: value }
        const argument = [id, [ethAddress, EMPTY], receiver, value]
        expect(toHex(encodeWithdrawalAuth(auth))).to.equal(abi.encode([TYPES.withdrawalAuth], [argument]))
      }),
    )
  })

  it('an encoding that threw leaves nothing behind', () => {
    const broken = vectorState(1n, {
      allocation: { assets: [{ backend: 1, id: '0x00' }], balances: [[1n]], locked: [] },
    })
    expect(() => encodeState(broken)).to.throw('52 bytes')
    expect(channelIDOf(params)).to.equal(channelID)
  })

  it('states read back from calldata hash to the same', () => {
    fc.assert(
      fc.property(anyParams, anyState, anyState, (someParams, state, child) => {
        const signed = { params: someParams, state, signatures: [`0x${'ab'.repeat(65)}` as const] }
        const calldata = callData(ADJUDICATOR, 'register', [
          signedStateArgument(signed),
          [signedStateArgument({ ...signed, state: child })],
        ])
        const shown = shownStates(calldata)
        expect(shown).to.have.length(2)
        expect(shown.map((one) => toHex(stateHash(one.state)))).to.eql(
          [state, child].map((s) => toHex(stateHash(s))),
        )
        expect(shown[0]?.signatures).to.eql(signed.signatures)
      }),
    )
  })

  it('calldata that is garbage shows no state and throws nothing', () => {
    const calldata = callData(ADJUDICATOR, 'register', [
      signedStateArgument({ params, state: vectorState(1n), signatures: [] }),
      [],
    ])
    expect(shownStates(EMPTY)).to.eql([])
    expect(shownStates('0x12')).to.eql([])
    expect(shownStates('0xdeadbeef')).to.eql([])
    fc.assert(
      fc.property(fc.integer({ min: 8, max: calldata.length - 2 }), (cut) => {
        const even = cut - (cut % 2)
        shownStates(`0x${calldata.slice(2, even)}`)
        shownStates(`0x${calldata.slice(2, even)}ff${calldata.slice(even + 2)}`)
      }),
    )
  })
})
