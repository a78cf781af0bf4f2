import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { expect } from 'chai'
import * as wallet from '../../wallet/index.js'
import * as keystore from '../../wallet/keystore.js'

const here = new URL('../../wallet/index.js', import.meta.url)

describe('wallet: the public surface', () => {
  it('what the entries export', () => {
    expect(Object.keys(wallet)).to.deep.equal([
      'DEFAULT_PATH',
      'HDWallet',
      'MemoryWallet',
      'addressOf',
      'keccak256',
      'loadSecp256k1',
      'newMnemonic',
      'personalDigest',
      'randomSecret',
      'recoverPersonal',
      'secp256k1',
      'signDigest',
      'signPersonal',
      'verifyPersonal',
    ])
    expect(Object.keys(keystore)).to.deep.equal(['KeystoreWallet', 'STANDARD_COST'])
  })

  it('the browser-safe entry imports neither Node.js modules nor ethers, directly or through our own files', async () => {
    const seen = new Set<string>()
    const foreign = new Set<string>()
    const queue = [here.href]
    for (let href = queue.pop(); href !== undefined; href = queue.pop()) {
      if (seen.has(href)) continue
      seen.add(href)
      const source = await readFile(new URL(href), 'utf8')
      for (const [, specifier = ''] of source.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)) {
        if (specifier.startsWith('.')) queue.push(new URL(specifier, href).href)
        else foreign.add(specifier)
      }
    }
    expect([...seen].some((href) => href.endsWith('/secp256k1-native.js'))).to.equal(true)
    expect([...foreign].sort()).to.deep.equal([
      '@noble/curves/secp256k1.js',
      '@noble/curves/utils.js',
      '@noble/hashes/sha2.js',
      '@noble/hashes/sha3.js',
      '@noble/hashes/utils.js',
      '@scure/bip32',
      '@scure/bip39',
      '@scure/bip39/wordlists/english.js',
      'hash-wasm',
      'tiny-secp256k1',
    ])
  })

  it('it loads where there is no `process`', async () => {
    const program = `const { log } = console
      delete globalThis.process
      const { secp256k1 } = await import(${JSON.stringify(here.href)})
      log(secp256k1.name)`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program])
    expect(stdout.trim()).to.equal('wasm')
  })
})
