import { expect } from 'chai'
import { viewOf } from '../../../../backend/bitcoin/channel/book.js'
import { Pair, preimageOf } from './pair.js'

describe('channel: first payment', () => {
  for (const real of [false, true]) {
    it(`opened, paid both ways, ${real ? 'real signatures' : 'fake ones'}`, () => {
      const pair = new Pair({ real }).reachNormal()
      const { alice, bob } = pair
      pair.add(alice, 300_000_000n, 1)
      pair.settle()
      expect(bob.handoffs.map(({ kind }) => kind)).to.deep.equal(['locked'])
      pair.want(bob, {
        kind: 'remove',
        id: 0n,
        removal: { kind: 'fulfill', preimage: preimageOf(1) },
      })
      pair.settle()
      expect(alice.handoffs.map(({ kind }) => kind)).to.deep.equal([
        'added',
        'locked',
        'fulfilled',
        'removed',
      ])
      expect(pair.live(alice).book.balances).to.deep.equal({ local: 700_000_000n, remote: 300_000_000n })
      expect(viewOf(pair.live(bob).book, 'local')).to.deep.equal(viewOf(pair.live(alice).book, 'remote'))
      pair.input(alice, { kind: 'shutdown' })
      pair.settle()
      for (const party of pair.both) {
        expect(
          party.published.map(({ what }) => what),
          party.name,
        ).to.deep.equal(['closing'])
      }
    })
  }
})
