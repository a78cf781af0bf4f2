import { hexToBytes } from '@noble/hashes/utils.js'
import { entropyToMnemonic, mnemonicToSeedSync, validateMnemonic } from '@scure/bip39'
import { wordlist as english } from '@scure/bip39/wordlists/english.js'
import { wordlist as spanish } from '@scure/bip39/wordlists/spanish.js'
import { expect } from 'chai'
import { HDNodeWallet } from 'ethers'
import { HDWallet, newMnemonic } from '../../wallet/hd.js'
import { describeWallet, rejects } from './wallet-suite.js'

const JUNK = 'test test test test test test test test test test test junk'

describeWallet('HD', () => HDWallet.open({ mnemonic: JUNK }))

describe('wallet: HD, derivation', () => {
  it('default path -> the accounts that development chains give out', async () => {
    const wallet = await HDWallet.open({ mnemonic: JUNK, accounts: 3 })
    expect(await wallet.addresses()).to.deep.equal([
      '0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266',
      '0x70997970c51812dc3a010c7d01b50e0d17dc79c8',
      '0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc',
    ])
  })

  // Entropy, words and seed with passphrase TREZOR: the reference vectors of BIP 39.
  const vectors = [
    [
      'abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about',
      'c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04',
    ],
    [
      'legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful legal will',
      'f2b94508732bcbacbcc020faefecfc89feafa6649a5491b8c952cede496c214a0c7b3c392d168748f2d4a612bada0753b52a1c7ac53c1e93abd5c6320b9e95dd',
    ],
    [
      'zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote',
      'dd48c104698c30cfe2b6142103248622fb7bb0ff692eebb00089b32d22484e1613912f0a5b694407be899ffd31ed3992c456cdf60f5d4564b8ba3f05a69890ad',
    ],
  ] as const
  for (const [mnemonic, seed] of vectors) {
    it(`BIP 39 vector "${mnemonic.slice(0, 13)}…" -> the accounts of its seed, as ethers derives them`, async () => {
      const theirs = HDNodeWallet.fromSeed(hexToBytes(seed))
      for (const path of ["m/44'/60'/0'/0", "m/44'/60'/0'", "m/44'/60'", 'm/0', 'm']) {
        const wallet = await HDWallet.open({ mnemonic, passphrase: 'TREZOR', path, accounts: 2 })
        expect(await wallet.addresses(), path).to.deep.equal(
          [0, 1].map((i) => theirs.derivePath(`${path}/${i}`.replace(/^m\//, '')).address.toLowerCase()),
        )
      }
    })
  }

  it('a platform without its own key derivation -> the same accounts', async () => {
    const own = globalThis.crypto
    const poor = { getRandomValues: own.getRandomValues.bind(own) }
    Object.defineProperty(globalThis, 'crypto', { value: poor, configurable: true, writable: true })
    try {
      const wallet = await HDWallet.open({ mnemonic: JUNK, accounts: 1 })
      expect(await wallet.addresses()).to.deep.equal(['0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266'])
    } finally {
      Object.defineProperty(globalThis, 'crypto', { value: own, configurable: true, writable: true })
    }
  })

  it('words of another language, with their list', async () => {
    const entropy = new Uint8Array(16).fill(7)
    const mnemonic = entropyToMnemonic(entropy, spanish)
    await rejects(HDWallet.open({ mnemonic }), 'INVALID_KEY_MATERIAL')
    const wallet = await HDWallet.open({ mnemonic, wordlist: spanish, accounts: 1 })
    const theirs = HDNodeWallet.fromSeed(mnemonicToSeedSync(mnemonic))
    expect(await wallet.addresses()).to.deep.equal([
      theirs.derivePath("44'/60'/0'/0/0").address.toLowerCase(),
    ])
  })

  it('a new mnemonic has 24 words, or 12, and a right checksum', () => {
    for (const [bits, words] of [
      [256, 24],
      [128, 12],
    ] as const) {
      const mnemonic = newMnemonic(bits)
      expect(mnemonic.split(' ')).to.have.length(words)
      expect(validateMnemonic(mnemonic, english)).to.equal(true)
    }
    expect(newMnemonic()).to.not.equal(newMnemonic())
  })
})

describe('wallet: HD, bad input and restart', () => {
  it('wrong words, wrong checksum, no words -> INVALID_KEY_MATERIAL, which does not repeat them', async () => {
    for (const mnemonic of [
      JUNK.replace('junk', 'test'),
      JUNK.replace('junk', 'perkunas'),
      JUNK.slice(5),
      '',
    ]) {
      await rejects(HDWallet.open({ mnemonic }), 'INVALID_KEY_MATERIAL')
      const error: unknown = await HDWallet.open({ mnemonic }).catch((reason: unknown) => reason)
      expect(String(error)).to.not.include('test test')
    }
  })

  it('a path that is none -> INVALID_ARGUMENT', async () => {
    for (const path of ['', 'x/0', "m/44''", 'm/4294967296', 'm//0']) {
      await rejects(HDWallet.open({ mnemonic: JUNK, path }), 'INVALID_ARGUMENT')
    }
  })

  it('a number of accounts that is none -> INVALID_ARGUMENT', async () => {
    for (const accounts of [-1, 0.5, Number.NaN, 1e9]) {
      await rejects(HDWallet.open({ mnemonic: JUNK, accounts }), 'INVALID_ARGUMENT')
    }
  })

  it('reopened with its size -> goes on where it was', async () => {
    const before = await HDWallet.open({ mnemonic: JUNK })
    const old = [await before.newAccount(), await before.newAccount()].map(({ address }) => address)
    const after = await HDWallet.open({ mnemonic: JUNK, accounts: before.size })
    expect(await after.addresses()).to.deep.equal(old)
    expect(old).to.not.include((await after.newAccount()).address)
  })

  it('reopened without it -> finds an account up to 20 ahead, and goes on after it', async () => {
    const all = await (await HDWallet.open({ mnemonic: JUNK, accounts: 21 })).addresses()
    const wallet = await HDWallet.open({ mnemonic: JUNK })
    expect((await wallet.account(all[4] ?? '0x')).address).to.equal(all[4])
    expect(await wallet.addresses()).to.deep.equal(all.slice(0, 5))
    expect((await wallet.newAccount()).address).to.equal(all[5])
    const fresh = await HDWallet.open({ mnemonic: JUNK })
    await rejects(fresh.account(all[20] ?? '0x'), 'UNKNOWN_ACCOUNT')
    expect(fresh.size).to.equal(0)
    expect((await fresh.account(all[19] ?? '0x')).address).to.equal(all[19])
    expect(fresh.size).to.equal(20)
  })
})
