import { expect } from 'chai'
import { AbiCoder, getBytes, Interface, ZeroAddress, ZeroHash } from 'ethers'
import {
  Adjudicator,
  AssetHolderERC20,
  AssetHolderETH,
  IApp,
} from '../../../../backend/ethereum/artifacts/index.js'
import {
  assetOf,
  channelIDOf,
  fundingIDOf,
  PARAMS_TUPLE,
  type Party,
  paramsOf,
  party,
  personalDigest,
  STATE_TUPLE,
  type StateData,
  sign,
  stateHashOf,
  stateOf,
  withdrawalAuthHashOf,
} from '../../../../scripts/contracts.js'
import { world } from './world.js'

const byte = (b: string, count: number) => `0x${b.repeat(count)}`
const key1 = party(`0x${'0'.repeat(63)}1`)
const key2 = party(`0x${'0'.repeat(63)}2`)
const params = paramsOf([key1, key2], { nonce: 0xb0b0facen })
const coder = AbiCoder.defaultAbiCoder()
const common = { assets: [assetOf(1337n, byte('11', 20))], balances: [[7n, 3n]] }

const states: readonly { state: StateData; length: number; hash: string; digest: string; sig: string }[] = [
  {
    state: stateOf(params, { ...common, version: 1n }),
    length: 832,
    hash: '0x73c654fbeedae29e5b203ba49d2fc6b9471a8ad653e369860fe56ff7ea7fbecb',
    digest: '0xa85ef704e4b5d929cdb5e6f68aa41f3114f0b3f2fce7fdc34efdc8877c59df26',
    sig: '0x4bf7c6610ccfe8ccb718d5ff9bc86f85c46a54978cf24d1e7d93671ff9532cf7237180f4ec394fbb54e517e03b53ea3133d016137672b5d54f6ffe2e358c99531c',
  },
  {
    state: stateOf(params, {
      ...common,
      version: 2n,
      appData: '0x0102',
      locked: [{ ID: byte('22', 32), balances: [5n], indexMap: [0, 1] }],
    }),
    length: 1152,
    hash: '0x47b78b3e4383330e148142bd1d02b59ce9ca1f524c3ddb5720c48a8d3b5c30f8',
    digest: '0xeb06a3c19b08f93721981b4fac7aeeff3e3945e4885d1cbac60ba59714a96551',
    sig: '0x90ddb9b0221b94e60c96a4eeb3a33c9ee847e23855dc4e920dec2eb6be0cd5fd5ea42edbc851ecde25af4c9c8f306dbab7ef2a0199b821dd7d45eafdde3006961c',
  },
  {
    state: stateOf(params, { ...common, version: 3n, isFinal: true }),
    length: 832,
    hash: '0x009acde05714350e67414875ed95810787f607809d65e330d1de0d16a44953a5',
    digest: '0x0768c11d0b1cf2e9df5398e8efdb4e68f6ab16772cf83130ca4f15de25c63c13',
    sig: '0x87c2c4483b9b19d68b7021aea52542867cb3d55bc192d640ecf84e25909232367d3f255deeba3f90218f2c9916374b4bfd61c03623af86a7b8cec41c9a2bfc6e1b',
  },
]

describe('contracts: generation 1, vectors', () => {
  const w = world()

  it('channelID -> the ID of the vector', async () => {
    const id = '0xee99b9f202d95fd1f727406524c54636bd5d08a5a708c3acdf0d8a8ecfa50ff4'
    // The vector's length leaves out the offset word in front.
    expect(getBytes(coder.encode([PARAMS_TUPLE], [params])).length).to.equal(32 + 544)
    expect(channelIDOf(params)).to.equal(id)
    expect(await w().adjudicator.read('channelID', params)).to.deep.equal([id])
  })

  for (const { state, length, hash, digest, sig } of states) {
    it(`hashState of version ${state.version} -> the hash of the vector`, async () => {
      expect(getBytes(coder.encode([STATE_TUPLE], [state])).length).to.equal(length)
      expect(await w().adjudicator.read('hashState', state)).to.deep.equal([hash])
      expect(personalDigest(stateHashOf(state))).to.equal(digest)
      expect(sign(key1, hash)).to.equal(sig)
    })
  }

  it('register of a state of the vectors takes the signature of the vector', async () => {
    const { state, hash, sig } = states[0] ?? expect.fail()
    await w().adjudicator.send('register', [{ params, state, sigs: [sig, sign(key2, hash)] }, []])
  })

  it('funding IDs -> those of the vectors', () => {
    expect(fundingIDOf(channelIDOf(params), key1.address)).to.equal(
      '0xe8cf5e80b59305dbb931ce33ce10919c67e5316239c067427e730aec48f798b4',
    )
    expect(fundingIDOf(ZeroHash, ZeroAddress)).to.equal(
      '0xad3228b676f7d3cd4284a5443f17f1962b36e491b30a40b2405849e597ba5fb5',
    )
  })

  it('withdrawal authorisation -> hash and signature of the vector, and the holder takes it', async () => {
    const authorization = {
      channelID: channelIDOf(params),
      participant: { ethAddress: key1.address, ccAddress: '0x' },
      receiver: key2.address,
      amount: 7n,
    }
    const hash = '0x94b73c94c3dee01bcd4e4e7870155def5890f2188f41143a9e7bc89b0677d4fe'
    expect(withdrawalAuthHashOf(authorization)).to.equal(hash)
    const sig =
      '0x5a73a9d9a08e98e870c9a1786e77c802f83453d2e73e7fc02134d30ba6af12b46a44bb4a03c450b048a8a8d1943b977a689620b163b7691e98fba45a627389ff1c'
    expect(sign(key1, hash)).to.equal(sig)

    const { chain, accounts } = w()
    const boss = (accounts[1] as Party).address
    const holder = await chain.deploy(AssetHolderETH, boss)
    const fundingID = fundingIDOf(authorization.channelID, key1.address)
    await holder.send('deposit', [fundingID, 7n], { value: 7n })
    await holder.send('setOutcome', [authorization.channelID, params.participants, [7n, 0n]], { from: boss })
    await holder.send('withdraw', [authorization, sig])
    expect(await chain.balance(key2.address)).to.equal(7n)
  })
})

describe('contracts: generation 1, ABI', () => {
  const selectors: readonly [
    string,
    { readonly abi: Parameters<typeof Interface.from>[0] },
    Record<string, string>,
  ][] = [
    [
      'Adjudicator',
      Adjudicator,
      {
        channelID: '0xdb77bb27',
        hashState: '0x7a114d3d',
        disputes: '0x11be1997',
        register: '0xe9aa7e02',
        progress: '0x4c8a2c90',
        conclude: '0xe7c01d05',
        concludeFinal: '0x75a87223',
      },
    ],
    [
      'AssetHolderETH',
      AssetHolderETH,
      {
        deposit: '0x1de26e16',
        withdraw: '0xfca0f778',
        setOutcome: '0x295482ce',
        holdings: '0xae9ee18c',
        settled: '0xd945af1d',
        adjudicator: '0x53c2ed8e',
      },
    ],
    ['AssetHolderERC20', AssetHolderERC20, { token: '0xfc0c546a' }],
    ['IApp', IApp, { validTransition: '0xf7530b41' }],
  ]
  for (const [name, artifact, expected] of selectors) {
    it(`${name} -> the selectors of the table`, () => {
      const abi = Interface.from(artifact.abi)
      for (const [method, selector] of Object.entries(expected))
        expect(abi.getFunction(method)?.selector, method).to.equal(selector)
    })
  }

  it('events -> the topics of the tables, and the same arguments are indexed', () => {
    const topics: Record<string, string> = {
      ChannelUpdate: '0x895ef5a5fc3efd313a300b006d6ce97ff0670dfe04f6eea90417edf924fa786b',
      Deposited: '0xcd2fe07293de5928c5df9505b65a8d6506f8668dfe81af09090920687edc48a9',
      OutcomeSet: '0xef898d6cd3395b6dfe67a3c1923e5c726c1b154e979fb0a25a9c41d0093168b8',
      Withdrawn: '0xd0b6e7d0170f56c62f87de6a8a47a0ccf41c86ffb5084d399d8eb62e823f2a81',
    }
    const abis = [Interface.from(Adjudicator.abi), Interface.from(AssetHolderETH.abi)]
    for (const [name, topic] of Object.entries(topics)) {
      const event = abis.map((abi) => abi.getEvent(name)).find((e) => e !== null)
      expect(event?.topicHash, name).to.equal(topic)
      expect(event?.inputs.map((i) => i.indexed === true)).to.deep.equal(event?.inputs.map((_, i) => i === 0))
    }
  })

  it('disputes -> names and types of the view', () => {
    const outputs = Interface.from(Adjudicator.abi).getFunction('disputes')?.outputs ?? []
    expect(outputs.map((o) => `${o.type} ${o.name}`)).to.deep.equal([
      'uint64 timeout',
      'uint64 challengeDuration',
      'uint64 version',
      'uint8 phase',
      'bytes32 stateHash',
      'bool hasApp',
    ])
  })
})
