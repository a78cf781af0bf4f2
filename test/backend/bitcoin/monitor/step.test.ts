// The whole way on a chain in memory: what is published, claimed, bumped, undone and final.
import { expect } from 'chai'
import { SimLedger } from './ledger.js'
import { cheatedByBob, closedBy, withHtlcs } from './scenarios.js'

const FORMATS = ['anchors', 'static_remotekey'] as const

for (const commitments of FORMATS) {
  describe(`monitor: on chain, ${commitments}`, () => {
    for (const by of ['alice', 'bob'] as const) {
      it(`${by} publishes the newest commitment, HTLCs both ways -> everybody has what is theirs, to the satoshi`, async () => {
        await closedBy(await withHtlcs(new SimLedger(), { commitments }), by)
      })
    }

    it('Bob publishes a revoked commitment -> Alice has everything', async () => {
      const arena = await withHtlcs(new SimLedger(), { commitments })
      await cheatedByBob(arena)
      const fee = arena.feeOf(arena.spendOfFunding())
      const anchors = commitments === 'anchors' ? 660n : 0n
      expect(arena.walletOf('alice') + arena.costsOf('alice')).to.equal(6_000_000n - fee - anchors)
    })
  })
}
