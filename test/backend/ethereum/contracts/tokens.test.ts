import { expect } from 'chai'
import { HostileToken, TestToken } from '../../../../backend/ethereum/artifacts/testing/index.js'
import { assetOf, type Deployed, deployTokenHolder } from '../../../../scripts/contracts.js'
import { at, eventsOf, refused, stranger, TestChannel, type World, world } from './world.js'

const MODE = {
  returnNothing: 1,
  returnFalse: 2,
  lie: 3,
  fee: 4,
  revert: 5,
  burn: 6,
  bomb: 7,
  returnTwo: 8,
} as const
const out = stranger('receiver')

describe('contracts: holder of a token', () => {
  const w = world()
  let token: Deployed
  let holder: Deployed
  const channel = (world_: World) =>
    new TestChannel(world_, { assets: [assetOf(world_.chain.chainID, holder.address)] })

  describe('that is honest', () => {
    beforeEach(async () => {
      token = await w().chain.deploy(TestToken, [w().chain.sender], 1_000n)
      holder = await deployTokenHolder(w().chain, w().adjudicator, token)
    })

    it('deposit after approval, within 100 000 gas each; settle; withdraw', async () => {
      const c = channel(w())
      expect(await holder.read('token')).to.deep.equal([token.address])
      const approval = await token.send('approve', [holder.address, 19n])
      expect(approval.gasUsed).to.be.below(100_000)
      const receipt = await holder.send('deposit', [c.fundingID(0), 10n])
      expect(receipt.gasUsed).to.be.below(100_000)
      expect(eventsOf(holder, receipt)).to.deep.equal([['Deposited', c.fundingID(0), 10n]])
      await holder.send('deposit', [c.fundingID(1), 9n])
      await c.concludeFinal({ balances: [[4n, 15n]] })
      await holder.send('withdraw', c.withdrawal(1, out, 15n))
      expect(await token.readBigint('balanceOf', out)).to.equal(15n)
      expect(await token.readBigint('balanceOf', holder.address)).to.equal(4n)
    })

    it('ether sent along, or no approval -> refused', async () => {
      const c = channel(w())
      const reason = 'message value must be 0 for token deposit'
      await refused(holder, 'deposit', [c.fundingID(0), 1n], reason, { value: 1n })
      await refused(holder, 'deposit', [c.fundingID(0), 1n], 'transferFrom failed')
    })

    it('close -> pays all in one transaction; batches work', async () => {
      const c = channel(w())
      await token.send('approve', [holder.address, 1_000n])
      await holder.send('depositBatch', [
        [c.fundingID(0), c.fundingID(1)],
        [10n, 9n],
      ])
      await w().adjudicator.send('close', c.closing(c.state({ isFinal: true }), [out, stranger('second')]))
      expect(await token.readBigint('balanceOf', out)).to.equal(10n)
      expect(await token.readBigint('balanceOf', stranger('second'))).to.equal(9n)
    })
  })

  describe('that is hostile (safety k)', () => {
    beforeEach(async () => {
      token = await w().chain.deploy(HostileToken)
      holder = await deployTokenHolder(w().chain, w().adjudicator, token)
      await token.send('mint', [w().chain.sender, 1_000n])
    })

    it('returns nothing -> deposits and withdrawals work', async () => {
      await token.send('setMode', [MODE.returnNothing])
      const c = channel(w())
      await c.fund([10n, 9n], holder)
      await c.concludeFinal()
      await holder.send('withdraw', c.withdrawal(0, out, 10n))
      expect(await token.readBigint('balanceOf', out)).to.equal(10n)
    })

    for (const [name, mode, reason] of [
      ['returns false', MODE.returnFalse, 'transferFrom failed'],
      ['returns the number 2', MODE.returnTwo, 'transferFrom failed'],
      ['returns a megabyte of zeros', MODE.bomb, 'transferFrom failed'],
      ['reverts', MODE.revert, 'transferFrom failed'],
      ['returns true without moving', MODE.lie, 'token took a fee'],
      ['takes a fee', MODE.fee, 'token took a fee'],
    ] as const) {
      it(`${name} -> deposits are refused`, async () => {
        await token.send('setMode', [mode])
        await refused(holder, 'deposit', [channel(w()).fundingID(0), 10n], reason)
      })
    }

    it('an address without code -> deposits are refused', async () => {
      const none = await deployTokenHolder(
        w().chain,
        w().adjudicator,
        w().chain.at(HostileToken, stranger('none')),
      )
      await refused(none, 'deposit', [channel(w()).fundingID(0), 10n], 'revert')
    })

    it('a deposit inside a deposit -> the money is not counted twice', async () => {
      const c = channel(w())
      const { chain } = w()
      await token.send('mint', [token.address, 10n])
      await token.send('setCallBack', [holder.address, holder.encode('deposit', c.fundingID(1), 10n)])
      await holder.send('deposit', [c.fundingID(0), 10n])
      expect(await token.read('calledBack')).to.deep.equal([false])
      expect(await c.holdings(holder)).to.deep.equal([10n, 0n])
      expect(await token.readBigint('balanceOf', holder.address)).to.equal(10n)
      expect(await chain.balance(holder.address)).to.equal(0n)
    })

    for (const [name, mode] of [
      ['returns false', MODE.returnFalse],
      ['reverts', MODE.revert],
      ['burns all gas', MODE.burn],
    ] as const) {
      it(`${name} when paying -> ether is settled and paid all the same, the tokens stay withdrawable`, async () => {
        const { adjudicator, asset, chain } = w()
        const both = new TestChannel(w(), {
          assets: [assetOf(chain.chainID, holder.address), asset],
          nonce: BigInt(mode),
        })
        await both.fund([10n, 9n])
        await both.fund([10n, 9n], holder)
        await token.send('setMode', [mode])
        const final = both.state({ isFinal: true })
        const receivers = [stranger(`first ${mode}`), stranger(`second ${mode}`)]
        const receipt = await adjudicator.send('close', both.closing(final, receivers))
        expect(await chain.balance(at(receivers, 0))).to.equal(10n)
        expect(await chain.balance(at(receivers, 1))).to.equal(9n)
        await token.send('setMode', [0])
        if (eventsOf(adjudicator, receipt).some((e) => e[0] === 'AssetFailed'))
          await adjudicator.send('settle', [both.params, final, [], 0])
        await holder.send('withdraw', both.withdrawal(0, out, 10n))
        await holder.send('withdraw', both.withdrawal(1, out, 9n))
        expect(await token.readBigint('balanceOf', out)).to.equal(19n)
      })
    }
  })
})
