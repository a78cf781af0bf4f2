import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import { expect } from 'chai'
import { Wallet } from 'ethers'
import { encryptKeystoreJson } from 'ethers/wallet'
import { isHex } from '../../channel/bytes.js'
import { KeystoreWallet } from '../../wallet/keystore.js'
import { verifyPersonal } from '../../wallet/personal.js'
import { describeWallet, rejects } from './wallet-suite.js'

const CHEAP = { N: 2, r: 1, p: 1 }
const A = '0x7e5f4552091a69125d5dfcb7b8c2659029395bdf'
const KEY_A = hexToBytes(`${'00'.repeat(31)}01`)
const message = utf8ToBytes('a state')

describe('keystore', () => {
  let root = ''
  let count = 0
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'perkunas-keystore-'))
  })
  after(() => rm(root, { recursive: true }))
  const fresh = () => join(root, String(count++), 'keys')
  const open = (directory: string, password = 'secret') =>
    KeystoreWallet.open({ directory, password, scrypt: CHEAP })

  describeWallet('keystore', () => open(fresh()))

  describe('wallet: keystore, files', () => {
    it('a new account is on disk when newAccount returns; reopened, it signs alike', async () => {
      const directory = fresh()
      const made = await (await open(directory)).newAccount()
      const again = await open(directory)
      expect(await again.addresses()).to.deep.equal([made.address])
      expect((await again.account(made.address)).sign(message)).to.equal(made.sign(message))
    })

    it('files: readable by the owner only, named by time and address, no temporary ones left', async () => {
      const directory = fresh()
      const { address } = await (await open(directory)).newAccount()
      const names = await readdir(directory)
      expect(names).to.have.length(1)
      expect(names[0]).to.match(new RegExp(`^UTC--\\d{4}-.*--${address.slice(2)}$`))
      if (process.platform !== 'win32') {
        expect((await stat(join(directory, names[0] ?? ''))).mode & 0o777).to.equal(0o600)
        expect((await stat(directory)).mode & 0o777).to.equal(0o700)
      }
    })

    it('ethers reads what it writes, and it reads what ethers writes', async () => {
      const directory = fresh()
      const wallet = await open(directory)
      const made = await wallet.newAccount()
      const [name = ''] = await readdir(directory)
      const theirs = await Wallet.fromEncryptedJson(await readFile(join(directory, name), 'utf8'), 'secret')
      expect(theirs.address.toLowerCase()).to.equal(made.address)
      await writeFile(
        join(directory, 'UTC--2020-theirs'),
        await encryptKeystoreJson({ address: A, privateKey: `0x${'00'.repeat(31)}01` }, 'secret', {
          scrypt: CHEAP,
        }),
      )
      const again = await open(directory)
      expect(await again.addresses()).to.deep.equal([A, made.address])
      expect(verifyPersonal(message, (await again.account(A)).sign(message), A)).to.equal(true)
    })

    // The key file of the Web3 Secret Storage definition, with its password and its key.
    const published = {
      crypto: {
        cipher: 'aes-128-ctr',
        cipherparams: { iv: '6087dab2f9fdbbfaddc31a909735c1e6' },
        ciphertext: '5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46',
        kdf: 'pbkdf2',
        kdfparams: {
          c: 262144,
          dklen: 32,
          prf: 'hmac-sha256',
          salt: 'ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd',
        },
        mac: '517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2',
      },
      address: '008aeeda4d805471df9b2a5b0f38a0c3bcba786b',
      id: '3198bc9c-6672-5ab3-d995-4942343ae5b6',
      version: 3,
    }

    it('the published example of the format opens', async () => {
      const directory = fresh()
      const wallet = await open(directory, 'testpassword')
      await writeFile(join(directory, 'example.json'), JSON.stringify(published))
      const again = await open(directory, 'testpassword')
      const address = `0x${published.address}`
      if (!isHex(address)) throw new Error('hex expected')
      const account = await again.account(address)
      const imported = await wallet.importSecret(
        hexToBytes('7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d'),
      )
      expect(account.sign(message)).to.equal(imported.sign(message))
    })

    it('an imported secret is kept, once', async () => {
      const directory = fresh()
      const wallet = await open(directory)
      expect((await wallet.importSecret(KEY_A)).address).to.equal(A)
      expect((await wallet.importSecret(KEY_A)).address).to.equal(A)
      expect(await readdir(directory)).to.have.length(1)
      await rejects(wallet.importSecret(new Uint8Array(32)), 'INVALID_ARGUMENT')
    })

    it('a file that can not be written -> the account is not there either', async () => {
      const directory = fresh()
      const wallet = await open(directory)
      await rm(directory, { recursive: true })
      const error: unknown = await wallet.newAccount().catch((reason: unknown) => reason)
      expect(error).to.have.property('code', 'ENOENT')
      expect(await wallet.addresses()).to.deep.equal([])
      await rejects(wallet.account(A), 'UNKNOWN_ACCOUNT')
    })
  })

  describe('wallet: keystore, passwords and damaged files', () => {
    it('a wrong password -> INVALID_KEY_MATERIAL at once, so that no account is made with it', async () => {
      const directory = fresh()
      await (await open(directory)).newAccount()
      await rejects(open(directory, 'Secret'), 'INVALID_KEY_MATERIAL')
    })

    it('a file with another password -> its account alone can not be opened', async () => {
      const directory = fresh()
      const other = await encryptKeystoreJson({ address: A, privateKey: `0x${'00'.repeat(31)}01` }, 'other', {
        scrypt: CHEAP,
      })
      const made = await (await open(directory)).newAccount()
      await writeFile(join(directory, 'UTC--0-first'), other)
      const wallet = await open(directory)
      await rejects(wallet.account(A), 'INVALID_KEY_MATERIAL')
      expect((await wallet.account(made.address)).address).to.equal(made.address)
    })

    it('a file whose address is not that of its key -> INVALID_KEY_MATERIAL', async () => {
      const directory = fresh()
      const made = await (await open(directory)).newAccount()
      const [name = ''] = await readdir(directory)
      const content = await readFile(join(directory, name), 'utf8')
      await writeFile(join(directory, 'UTC--9999-lie'), content.replace(made.address.slice(2), A.slice(2)))
      const wallet = await open(directory)
      await rejects(wallet.account(A), 'INVALID_KEY_MATERIAL')
    })

    it('damaged, foreign, huge or ruinously expensive files -> named as unreadable, the others work', async () => {
      const directory = fresh()
      const made = await (await open(directory)).newAccount()
      const [name = ''] = await readdir(directory)
      const content = await readFile(join(directory, name), 'utf8')
      const bad: Readonly<Record<string, string>> = {
        'UTC--0-cut': content.slice(0, -10),
        'UTC--0-empty': '',
        'UTC--0-list.json': '[]',
        'UTC--0-version': content.replace('"version":3', '"version":4'),
        'UTC--0-address': content.replace(made.address.slice(2), 'xyz'),
        'UTC--0-memory': content.replace('"n":2,', '"n":16777216,'),
        'UTC--0-power': content.replace('"n":2,', '"n":3,'),
        'UTC--0-long': content + ' '.repeat(70_000),
      }
      for (const [bent, text] of Object.entries(bad)) {
        expect(text, bent).to.not.equal(content)
        await writeFile(join(directory, bent), text)
      }
      await writeFile(join(directory, 'README'), 'not a key')
      await writeFile(join(directory, '.leftover.tmp'), 'not a key')
      const wallet = await open(directory)
      expect(wallet.unreadable).to.deep.equal(Object.keys(bad).sort())
      expect(await wallet.addresses()).to.deep.equal([made.address])
    })

    it('a scrypt cost that is none or takes more than a gigabyte -> INVALID_ARGUMENT', async () => {
      const directory = fresh()
      for (const scrypt of [
        { N: 3, r: 8, p: 1 },
        { N: 0, r: 8, p: 1 },
        { N: 2 ** 21, r: 8, p: 1 },
        { N: 2, r: 8, p: 99 },
      ]) {
        await rejects(KeystoreWallet.open({ directory, password: 'secret', scrypt }), 'INVALID_ARGUMENT')
      }
    })

    it('asked for at once -> decrypted once, one account', async () => {
      const directory = fresh()
      const made = await (await open(directory)).newAccount()
      const again = await open(directory)
      const [one, other] = await Promise.all([again.account(made.address), again.account(made.address)])
      expect(one).to.equal(other)
    })

    it('locked while an account is being made -> CLOSED, and nothing is written', async () => {
      const directory = fresh()
      const wallet = await open(directory)
      const making = wallet.newAccount()
      await wallet.lock()
      await rejects(making, 'CLOSED')
      expect(await readdir(directory)).to.deep.equal([])
    })
  })
})
