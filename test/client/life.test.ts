import { expect } from 'chai'
import { transfer } from '../../channel/index.js'
import { group, open, settled, WEALTH } from './parties.js'

for (const size of [2, 3, 5]) {
  describe(`client: a life of ${size} participants`, () => {
    it('proposal, funding, updates by everybody, cooperative settlement', async () => {
      const world = await group(size)
      const channels = await open(world)
      for (const [i, channel] of channels.entries()) {
        await channel.update((draft) =>
          transfer(draft, { from: i, to: (i + 1) % size, amount: BigInt(i + 1) }),
        )
      }
      await Promise.all(channels.map((channel) => channel.settle()))
      for (const [i, party] of world.parties.entries()) {
        const got = BigInt(i === 0 ? size : i)
        expect(world.ledger.balanceOf(world.assets[0], party.address)).equals(WEALTH - BigInt(i + 1) + got)
        expect(party.errors).deep.equals([])
      }
    })
    it('updates crossing all at once end in one order with all of them applied', async () => {
      const world = await group(size)
      const channels = await open(world)
      const expected = channels.map((_, i) => 100n - BigInt(i + 1) + BigInt(i === 0 ? size : i))
      await Promise.all(
        channels.map((channel, i) =>
          channel.update((draft) => transfer(draft, { from: i, to: (i + 1) % size, amount: BigInt(i + 1) })),
        ),
      )
      // Whoever proposed last knows first; the others' last signatures are on their way.
      await settled(() =>
        channels.every(({ state }) => state.allocation.balances[0]?.join() === expected.join()),
      )
      const last = channels[0]?.state
      for (const channel of channels) {
        expect(channel.state).deep.equals(last)
      }
      for (const { client } of world.parties) await client.close()
    })
  })
}
