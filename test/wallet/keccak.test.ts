import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { keccak_256 } from '@noble/hashes/sha3.js'
import { utf8ToBytes } from '@noble/hashes/utils.js'
import { expect } from 'chai'
import fc from 'fast-check'
import { toHex } from '../../channel/bytes.js'
import { keccak256 } from '../../wallet/keccak.js'

const EMPTY = '0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470'

describe('Keccak-256', () => {
  it('known answers', () => {
    expect(toHex(keccak256(new Uint8Array()))).to.equal(EMPTY)
    expect(toHex(keccak256(utf8ToBytes('abc')))).to.equal(
      '0x4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45',
    )
    // The selector of an ERC-20 transfer.
    expect(toHex(keccak256(utf8ToBytes('transfer(address,uint256)'))).slice(0, 10)).to.equal('0xa9059cbb')
  })

  it('agrees with @noble/hashes on everything, views into larger buffers included', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40_000, size: 'max' }), fc.nat(200), (bytes, skip) => {
        const view = bytes.subarray(skip)
        expect(keccak256(view)).to.deep.equal(keccak_256(view))
        expect(keccak256(Buffer.from(view))).to.deep.equal(keccak_256(view))
      }),
    )
  })

  it('a digest that was handed out does not change with later calls', () => {
    const first = keccak256(Uint8Array.of(1))
    const copy = first.slice()
    keccak256(Uint8Array.of(2))
    expect(first).to.deep.equal(copy)
  })

  it('works where WebAssembly is not allowed', async () => {
    const here = new URL('../../wallet/keccak.js', import.meta.url)
    const program = `globalThis.WebAssembly = undefined
      const { keccak256 } = await import(${JSON.stringify(here.href)})
      console.log('0x' + Buffer.from(keccak256(new Uint8Array())).toString('hex'))`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program])
    expect(stdout.trim()).to.equal(EMPTY)
  })
})
