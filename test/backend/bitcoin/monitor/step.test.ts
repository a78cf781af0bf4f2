// The whole way on a chain in memory: what is published, claimed, bumped, undone and final.
import { expect } from 'chai'
import { preimageOf } from '../channel/pair.js'
import { Arena, type Guard } from './arena.js'
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

describe('monitor: what is not worth its fee', () => {
  it('the second level of a small HTLC -> abandoned, and the channel is over', async () => {
    const arena = await Arena.open(new SimLedger())
    const { pair, ledger } = arena
    pair.offer(pair.alice, 474_000n, 1, ledger.height + 12)
    pair.settle()
    await arena.work()
    await arena.forceClose('alice')
    await arena.finish(['alice'])
    expect(abandonedBy(arena.guards.alice)).to.deep.equal([474n])
    expect(arena.balances('alice')).to.deep.equal([])
  })

  it('what is left of a batch of which the peer took the rest -> abandoned, and the channel is over', async () => {
    const arena = await Arena.open(new SimLedger())
    const { pair, ledger, guards } = arena
    const at = ledger.height + 12
    pair.offer(pair.alice, 50_000_000n, 1, at)
    pair.offer(pair.alice, 400_000n, 2, at)
    pair.settle()
    await arena.work()
    guards.alice.isMute = true
    await cheatedByBob(arena, async (old) => {
      const [first] = old.commitment.htlcs.filter(({ amount }) => amount === 50_000n)
      if (first === undefined) throw new Error('no HTLC')
      await arena.mine()
      expect(await ledger.submit([arena.secondLevel('bob', old, first, preimageOf(1))])).to.equal('accepted')
      await arena.mine()
      guards.alice.isMute = false
    })
    expect(abandonedBy(guards.alice)).to.deep.equal([400n])
    expect(arena.balances('alice')).to.deep.equal([])
  })
})

function abandonedBy({ events }: Guard): readonly bigint[] {
  return events.flatMap((event) => (event.kind === 'abandoned' ? [event.amount] : []))
}
