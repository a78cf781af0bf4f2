import { expect } from 'chai'
import { becomesFinal } from '../../../backend/ethereum/finality.js'
import { connect, type TransactionSender } from '../../../backend/ethereum/index.js'
import { isError, PerkunasError } from '../../../channel/index.js'
import { type Anvil, startAnvil } from '../../../scripts/anvil.js'
import { MemoryWallet } from '../../../wallet/index.js'

describe('ethereum: finality', () => {
  let anvil: Anvil
  let sender: TransactionSender

  before(async () => {
    anvil = await startAnvil()
    const signer = await new MemoryWallet().newAccount()
    sender = await connect({ provider: anvil.url, signer, pollingInterval: 10, finalityDepth: 3 })
    await anvil.rpc('anvil_mine', ['0xa'])
  })

  after(async () => {
    sender.chain.close()
    await anvil.stop()
  })

  it('what is so since a block -> true when that block is final, and not before', async () => {
    const { number } = await sender.chain.head()
    const looks: number[] = []
    const holding = becomesFinal(sender.chain, async ({ block }) => {
      if (block !== undefined) looks.push(block)
      return block === undefined || block >= number
    })
    for (let i = 0; i < 5; i++) {
      await anvil.rpc('evm_mine')
      await sender.chain.tick()
    }
    expect(await holding).to.equal(true)
    expect(looks.at(-1)).to.equal(Math.max(...looks))
    expect(looks.slice(0, -1).every((block) => block < number)).to.equal(true)
  })

  it('what is no longer so in the newest block -> false', async () => {
    expect(await becomesFinal(sender.chain, async () => false)).to.equal(false)
  })

  it('a node that mixes up its blocks within a reorg -> what it said then does not count', async () => {
    let isFirst = true
    const mixedUp = async ({ block }: { readonly block?: number }) => {
      if (block === undefined || !isFirst) return false
      isFirst = false
      await anvil.rpc('anvil_reorg', [1, []])
      return true
    }
    expect(await becomesFinal(sender.chain, mixedUp)).to.equal(false)
  })

  it('contracts that are younger than the final block -> not final yet; gone from the newest -> the error', async () => {
    const young = new PerkunasError('INVALID_CONTRACT', 'no code', { address: '0x', reason: 'no code' })
    let looks = 0
    const holding = becomesFinal(sender.chain, async ({ block }) => {
      if (block !== undefined && looks++ < 2) throw young
      return true
    })
    await anvil.rpc('evm_mine')
    expect(await holding).to.equal(true)
    const gone = await becomesFinal(sender.chain, async () => Promise.reject(young)).catch((e: unknown) => e)
    expect(isError(gone, 'INVALID_CONTRACT')).to.equal(true)
  })
})
