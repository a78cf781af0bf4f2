import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { fromHex, isHex, transfer } from '../../channel/index.js'
import { MemoryStore, openEnvelope, type Snapshot, sealEnvelope } from '../../persistence/index.js'
import { failure, group, open, type Party, restarted, settled, who } from './parties.js'

describe('records: versions', () => {
  it('a store of the first version, bare messages -> restored, used, and written in the newest form', async () => {
    const world = await group(2)
    const alice = await restarted(withStore(who(world, 0), stored('alice')), world)
    const bob = await restarted(withStore(who(world, 1), stored('bob')), world)
    const [a, b] = [alice.client.channels()[0], bob.client.channels()[0]]
    expect(a?.state.allocation.balances).deep.equals([[93n, 107n]])
    expect(a?.params.aux).equals(`0x${'00'.repeat(256)}`)
    await a?.update((draft) => transfer(draft, { from: 0, to: 1, amount: 1n }))
    await settled(() => b?.state.allocation.balances[0]?.[1] === 108n)
    const again = await restarted(alice, world)
    expect(again.client.channels()[0]?.state).deep.equals(b?.state)
    const progress = [...alice.store.snapshot()].find(([key]) => key.endsWith('/progress'))
    expect(progress && openEnvelope(...progress)).deep.include({ name: 'channel/progress', version: 3 })
  })

  for (const part of ['terms', 'progress']) {
    it(`${part} of a version to come -> INVALID_RECORD that says so, and nothing is started`, async () => {
      const world = await group(2)
      await open(world)
      const alice = who(world, 0)
      const changed = new Map(alice.store.snapshot())
      for (const [key, value] of changed) {
        if (!key.endsWith(part)) continue
        const { name, version, payload } = openEnvelope(key, value)
        changed.set(key, sealEnvelope(key, { name, version: version + 1, payload }))
      }
      const error = await failure(restarted(withStore(alice, changed), world))
      expect(error.code).equals('INVALID_RECORD')
      expect(error.message).contains('written by a newer release')
    })

    for (const damage of ['with one bit changed', 'of another channel']) {
      it(`${part} ${damage} -> INVALID_RECORD`, async () => {
        const world = await group(2)
        const [a] = await open(world)
        const [b] = await open(world)
        const snapshot = who(world, 0).store.snapshot()
        const mine = `channel/${a?.id}/${part}`
        const bytes = snapshot.get(damage === 'of another channel' ? `channel/${b?.id}/${part}` : mine)
        const changed = bytes?.slice() ?? new Uint8Array()
        if (damage !== 'of another channel') changed[100] = (changed[100] ?? 0) ^ 1
        const party = withStore(who(world, 0), new Map(snapshot).set(mine, changed))
        expect((await failure(restarted(party, world))).code).equals('INVALID_RECORD')
      })
    }

    it(`${part} is missing -> INVALID_RECORD`, async () => {
      const world = await group(2)
      const [a] = await open(world)
      const changed = new Map(who(world, 0).store.snapshot())
      changed.delete(`channel/${a?.id}/${part}`)
      const error = await failure(restarted(withStore(who(world, 0), changed), world))
      expect(error.code).equals('INVALID_RECORD')
    })
  }
})

function withStore(party: Party, snapshot: Snapshot): Party {
  return { ...party, store: new MemoryStore(snapshot) }
}

/** What a client of the first version stored after one update of a channel of two. */
function stored(name: 'alice' | 'bob'): Snapshot {
  const file = new URL('../../../test/client/records-first.json', import.meta.url)
  const all: Record<string, Record<string, string>> = JSON.parse(readFileSync(file, 'utf8'))
  return new Map(
    Object.entries(all[name] ?? {}).map(([key, value]) => [
      key,
      isHex(value) ? fromHex(value) : new Uint8Array(),
    ]),
  )
}
