// The same on a real node: it takes what is published, and at the end everybody has what is theirs.
import { expect } from 'chai'
import { type Bitcoind, bitcoindBinary, startBitcoind } from '../../../../scripts/bitcoind.js'
import { Chain } from '../chain.js'
import { preimageOf } from '../channel/pair.js'
import { type Arena, fulfil } from './arena.js'
import { RegtestLedger } from './regtest.js'
import { cheatedByBob, closedBy, newestOf, withHtlcs } from './scenarios.js'

describe('bitcoind: monitor', () => {
  let node: Bitcoind
  let chain: Chain

  before(async function () {
    // On a fresh clone the node is downloaded first, and how long that takes is not for us to say.
    this.timeout(300_000)
    bitcoindBinary()
    node = await startBitcoind()
    chain = await Chain.start(node, 10)
  })
  after(() => node?.stop())

  for (const commitments of ['anchors', 'static_remotekey'] as const) {
    describe(commitments, () => {
      it('our commitment and theirs, HTLCs both ways -> swept, to the satoshi', async () => {
        const arena = await withHtlcs(await RegtestLedger.on(node, chain), { commitments })
        await closedBy(arena, 'alice')
        expect(arena.guards.alice.refusals.concat(arena.guards.bob.refusals)).to.deep.equal([])
      })

      it('theirs, with reorgs of 1 to 5 blocks on the way, and a restart -> swept, to the satoshi', async () => {
        const arena = await withHtlcs(await RegtestLedger.on(node, chain), { commitments })
        await closedBy(arena, 'bob', async () => {
          for (const depth of [1, 2, 3, 4, 5]) {
            await arena.mine(depth)
            await arena.undo(depth)
            await arena.restart(arena.guards.alice)
          }
        })
      })

      it('revoked -> all is ours', async () => {
        const arena = await withHtlcs(await RegtestLedger.on(node, chain), { commitments })
        await cheatedByBob(arena)
        const fee = arena.feeOf(arena.spendOfFunding())
        const anchors = commitments === 'anchors' ? 660n : 0n
        expect(arena.walletOf('alice') + arena.costsOf('alice')).to.equal(6_000_000n - fee - anchors)
      })

      it('revoked, and the peer takes HTLCs to the second level, with reorgs -> all is ours', async () => {
        const arena = await withHtlcs(await RegtestLedger.on(node, chain), { commitments })
        const { ledger, guards } = arena
        guards.alice.isMute = true
        await cheatedByBob(
          arena,
          async (old) => {
            await arena.mine()
            const received = old.commitment.htlcs.find(
              ({ htlc }) => htlc.direction === 'received' && htlc.id === 0n,
            )
            if (received === undefined) throw new Error('no HTLC')
            const success = arena.secondLevel('bob', old, received, preimageOf(1))
            expect(await ledger.submit([success]), ledger.reason).to.equal('accepted')
            guards.alice.isMute = false
            await arena.mine()
          },
          async () => {
            await arena.undo(3)
            await arena.mine(2)
          },
        )
        const fee = arena.feeOf(arena.spendOfFunding())
        const second = commitments === 'anchors' ? 0n : 703n
        const anchors = commitments === 'anchors' ? 660n : 0n
        expect(arena.walletOf('alice') + arena.costsOf('alice')).to.equal(6_000_000n - fee - anchors - second)
      })
    })
  }

  describe('a full mempool', () => {
    let full: Bitcoind
    let ledger: RegtestLedger
    let arena: Arena

    before(async () => {
      full = await startBitcoind({ args: ['-maxmempool=5'] })
      ledger = await RegtestLedger.on(full, await Chain.start(full, 1))
      arena = await withHtlcs(ledger)
      await ledger.fill(42, (i) => 10 + i / 4)
    })
    after(() => full?.stop())

    it('its floor rises above a commitment, then above a claim -> a package, then a replacement', async () => {
      const { alice } = arena.guards
      arena.height = ledger.height
      fulfil(arena, 'alice', 0n, 3)
      const commitment = newestOf(arena, 'alice').transaction
      const floor = ledger.fees().floor
      expect(await ledger.submit([commitment]), 'alone it is worth nothing').to.equal('feeTooLow')
      await arena.forceClose('alice')
      expect(await ledger.has(commitment), alice.refusals.join('; ')).to.equal(true)
      await arena.mine()
      await arena.mine(1, ({ inputs }) => inputs.length > 1)
      const claimOf = () =>
        alice.known.attempts.find(({ kind, last }) => kind === 'htlc' && last !== undefined)
      const first = claimOf()
      expect(first?.price?.feerate).to.be.at.least(floor)

      await ledger.fill(10, () => 40)
      const raised = ledger.fees().floor
      expect(raised).to.be.greaterThan(first?.price?.feerate ?? raised)
      await arena.see(await ledger.mine(() => true))
      const second = claimOf()
      expect(second?.id).to.equal(first?.id)
      expect(second?.price?.feerate).to.be.at.least(raised)
      expect(await ledger.has(second?.last?.transaction ?? commitment), alice.refusals.join('; ')).to.equal(
        true,
      )
    })
  })
})
