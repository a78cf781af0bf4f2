import { hexToBytes } from '@noble/hashes/utils.js'
import { expect } from 'chai'
import { fromHex } from '../../channel/bytes.js'
import { isError } from '../../channel/errors.js'
import { MemoryWallet } from '../../wallet/memory.js'
import { describeWallet } from './wallet-suite.js'

describeWallet('in memory', async () => new MemoryWallet())

describe('wallet: in memory, from secrets', () => {
  const key = (n: number) => hexToBytes(n.toString(16).padStart(64, '0'))
  const A = '0x7e5f4552091a69125d5dfcb7b8c2659029395bdf'
  const B = '0x2b5ad5c4795c026514f8317c7a215e218dccd6cf'

  it('accounts are in the order of their secrets, each once', async () => {
    const wallet = new MemoryWallet([key(1), key(2), key(1)])
    expect(await wallet.addresses()).to.deep.equal([A, B])
  })

  it('secrets are copied: changing or wiping the given ones changes nothing', async () => {
    const secret = key(1)
    const account = await new MemoryWallet([secret]).account(A)
    const hash = fromHex('0x73c654fbeedae29e5b203ba49d2fc6b9471a8ad653e369860fe56ff7ea7fbecb')
    const before = account.sign(hash)
    secret.fill(0)
    expect(account.sign(hash)).to.equal(before)
  })

  it('signDigest -> the raw digest, v 27 or 28', async () => {
    const account = await new MemoryWallet([key(1)]).account(A)
    const digest = fromHex('0xa85ef704e4b5d929cdb5e6f68aa41f3114f0b3f2fce7fdc34efdc8877c59df26')
    const hash = fromHex('0x73c654fbeedae29e5b203ba49d2fc6b9471a8ad653e369860fe56ff7ea7fbecb')
    expect(account.signDigest(digest)).to.equal(account.sign(hash))
  })

  it('what is no secret -> INVALID_ARGUMENT', () => {
    for (const bad of [new Uint8Array(32), new Uint8Array(31).fill(1), new Uint8Array(32).fill(255)]) {
      expect(() => new MemoryWallet([bad]))
        .to.throw()
        .that.satisfies((e: unknown) => isError(e, 'INVALID_ARGUMENT'))
    }
  })
})
