import { expect } from 'chai'
import fc from 'fast-check'
import { transfer } from '../../channel/index.js'
import { messages } from '../../client/messages.js'
import { CHANNELS, restored } from '../../client/records.js'
import { Mallory } from '../client/mallory.js'
import { group, open, settled, who } from '../client/parties.js'
import { brokenBytes } from './inputs.js'

const ROUNDS = 150

describe('fuzz: a client', () => {
  it('a participant who sends broken messages of every kind -> its own connection at most; all others go on', async () => {
    const unhandled: unknown[] = []
    const note = (cause: unknown) => void unhandled.push(cause)
    process.on('unhandledRejection', note)
    try {
      const world = await group(3)
      const [alice, bob] = [who(world, 0), who(world, 1)]
      const [channel] = await open({ ...world, parties: [alice, bob] })
      if (channel === undefined) throw new Error('a channel')
      const mallory = await Mallory.over(who(world, 2), world)
      const { params, state, session } = await mallory.open(alice)
      await settled(() => alice.client.channels().length === 2)
      const { channelID } = state
      const next = { ...state, version: 1n }
      const signature = await mallory.sign(params, next)
      const samples = [
        messages.encode(mallory.proposal([alice.peer])),
        messages.encode({ kind: 'channelProposalRej', session: session as `0x${string}`, reason: 'no' }),
        messages.encode({ kind: 'channelUpdate', state: next, actor: 0, signature }),
        messages.encode({ kind: 'channelUpdateAcc', channelID, version: 1n, actor: 1, signature }),
        messages.encode({
          kind: 'channelUpdateRej',
          channelID,
          version: 1n,
          actor: 1,
          reason: 'no',
          crossed: false,
        }),
        messages.encode({ kind: 'channelSync', channelID, version: 0n, usedVersion: 3n }),
        messages.encode({ kind: 'signedState', state: next, signatures: [signature, signature] }),
        messages.encode({ kind: 'closeAuthorization', channelID, version: 0n, authorization: signature }),
        // Of a channel that is none of hers.
        messages.encode({ kind: 'channelSync', channelID: channel.id, version: 9n, usedVersion: 9n }),
      ]
      const inputs = fc.sample(brokenBytes(samples), ROUNDS)
      for (const input of inputs) await mallory.shout(alice, input).catch(() => undefined)
      const before = channel.state.version
      await channel.update((draft) => transfer(draft, { from: 0, to: 1, amount: 5n }))
      expect(channel.state.version).equals(before + 1n)
      expect(alice.client.channel(channelID)?.state.allocation.balances).deep.equals([[100n, 100n]])
      for (const id of [channel.id, channelID]) {
        const parts = new Map<string, Uint8Array>()
        for await (const [key, value] of alice.store.scan(`${CHANNELS}${id}/`)) {
          parts.set(key.slice(CHANNELS.length + id.length + 1), value)
        }
        expect(restored(id, parts).machine.current?.state).deep.equals(alice.client.channel(id)?.state)
      }
      await new Promise((resolve) => setImmediate(resolve))
      expect(unhandled).deep.equals([])
      const mistakes = alice.errors.filter(({ code }) => code === 'INTERNAL')
      expect(mistakes).deep.equals([])
    } finally {
      process.off('unhandledRejection', note)
    }
  })
})
