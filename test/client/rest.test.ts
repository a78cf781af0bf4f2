import { expect } from 'chai'
import { PerkunasError, transfer } from '../../channel/index.js'
import { messages } from '../../client/messages.js'
import { Resync } from '../../client/resync.js'
import type { Slot } from '../../client/slot.js'
import { Warm } from '../../client/warm.js'
import { group, kill, open, restarted, settled, WEALTH, who } from './parties.js'

describe('rest: channels that nothing concerns', () => {
  for (const [hasPeek, place] of [
    [true, 'to be read from the store'],
    [false, 'their bytes kept'],
  ] as const) {
    it(`all let go at once after each step, ${place} -> updates, listeners, handles and settlement as ever`, async () => {
      const world = await group(2, { client: { warmChannels: 0 }, hasPeek })
      const channels = [...(await open(world)), ...(await open(world)), ...(await open(world))]
      const seen = channels.map(() => [] as (bigint | string)[])
      for (const [i, channel] of channels.entries()) {
        channel.updates$.subscribe({
          next: ({ to }) => seen[i]?.push(to.version),
          complete: () => seen[i]?.push('over'),
        })
        channel.phases$.subscribe((phase) => phase !== 'signing' && seen[i]?.push(phase))
      }
      for (const from of [0, 1, 0]) {
        for (const channel of channels.filter(({ index }) => index === from)) {
          const { id, state } = channel
          await channel.update((draft) => transfer(draft, { from, to: 1 - from, amount: 5n }))
          expect(channel.state.version).equals(state.version + 1n)
          expect(who(world, from).client.channel(id)).equals(channel)
        }
      }
      await settled(() => channels.every(({ state }) => state.version === 3n))
      await Promise.all(channels.map((channel) => channel.settle()))
      await settled(() => seen.every((one) => one.at(-1) === 'over'))
      for (const one of seen) {
        expect(one.filter((word) => typeof word === 'bigint')).deep.equals([1n, 2n, 3n, 4n])
        expect(one[0]).equals('acting')
      }
      expect(world.ledger.balanceOf(world.assets[0], who(world, 1).address)).equals(WEALTH + 15n)
    })
  }

  it('both come back and agree where their channels stand -> none is woken for it; then they go on', async () => {
    const world = await group(2)
    const opened = [...(await open(world)), ...(await open(world))]
    await opened[0]?.update((draft) => transfer(draft, { from: 0, to: 1, amount: 5n }))
    await settled(() => opened[1]?.state.version === 1n)
    for (const party of world.parties) await kill(party)
    const parties = [await restarted(who(world, 0), world), await restarted(who(world, 1), world)]
    const read: string[] = []
    const heard: string[] = []
    for (const { store, bus, name } of parties) {
      const { peek } = store
      Object.assign(store, { peek: (key: string) => [read.push(key), peek?.(key)][1] })
      bus.onMessage((_, payload) => void heard.push(`${name} ${messages.decode(payload).kind}`))
    }
    await settled(() => heard.length >= 4)
    expect(heard.toSorted()).deep.equals([
      'alice channelSync',
      'alice channelSync',
      'bob channelSync',
      'bob channelSync',
    ])
    expect(read).deep.equals([])
    for (const channel of parties[0]?.client.channels() ?? []) {
      await channel.update((draft) => transfer(draft, { from: 0, to: 1, amount: 1n }))
    }
    const shares = parties[1]?.client.channels().map(({ state }) => state.allocation.balances[0]?.[1])
    expect(shares?.toSorted()).deep.equals([101n, 106n])
    expect(parties.flatMap(({ errors }) => errors)).deep.equals([])
  })

  it('the disk fails when one is to be woken, or gives an older record -> STORE_FAILED, and the client stops', async () => {
    for (const how of ['input/output error', 'another record'] as const) {
      const world = await group(2)
      const [a] = await open(world)
      const older = who(world, 0).store.clone()
      await a?.update((draft) => transfer(draft, { from: 0, to: 1, amount: 5n }))
      const alice = await restarted(who(world, 0), world)
      const [channel] = alice.client.channels()
      const peek = (key: string) => {
        if (how === 'another record') return older.peek?.(key)
        throw new PerkunasError('STORE_FAILED', how, { operation: 'get' })
      }
      Object.assign(alice.store, { peek })
      expect(() => channel?.state).throws(how)
      expect(alice.client.channels()).deep.equals([])
      expect(alice.errors.map(({ code }) => code)).deep.equals(['STORE_FAILED'])
    }
  })

  it('a restored channel of which nobody has spoken -> closed with its client: CLOSED, complete', async () => {
    const world = await group(2)
    await open(world)
    const { client } = await restarted(who(world, 0), world)
    const [channel] = client.channels()
    await client.close()
    let isComplete = false
    channel?.updates$.subscribe({ complete: () => (isComplete = true) })
    expect(isComplete).equals(true)
    expect(channel?.phase).equals('acting')
    const error = await channel?.update(() => undefined).catch((cause: { code: string }) => cause)
    expect(error).deep.include({ code: 'CLOSED' })
  })

  it('more than the limit run -> the longest unused go, the busy and those just used stay', () => {
    const log: string[] = []
    const slot = (name: string, busy = false) => {
      let fresh = true
      const rest = () => {
        if (fresh || busy) {
          fresh = false
          return false
        }
        log.push(name)
        return true
      }
      return { rest } as Partial<Slot> as Slot
    }
    const warm = new Warm(2)
    warm.add(slot('busy', true))
    for (const name of ['a', 'b', 'c', 'd', 'e']) warm.add(slot(name))
    for (let i = 0; i < 10; i++) warm.trim()
    expect(log).deep.equals(['a', 'b', 'c', 'd'])
  })
})

describe('resync: a connection with very many channels', () => {
  function scene(count: number) {
    const told = new Set<number>()
    const waiting: (() => void)[] = []
    const slots = Array.from({ length: count }, (_, i) => {
      const connected = (peer: string) => {
        if (peer === '0x01') told.add(i)
      }
      return { isAwake: i >= count - 10, connected } as Partial<Slot> as Slot
    })
    const clock = {
      now: () => 0,
      after: (_: number, callback: () => void) => {
        waiting.push(callback)
        return () => void waiting.splice(waiting.indexOf(callback), 1)
      },
    }
    return { told, waiting, slots: new Set(slots), resync: new Resync(clock) }
  }

  it('a peer that says nothing -> some at once, the others little by little', () => {
    const { told, waiting, slots, resync } = scene(1_000)
    resync.begin('0x01', slots)
    expect(told.size).equals(256)
    expect(told.has(999)).equals(true) // where something is under way comes first
    waiting[0]?.()
    expect(told.size).equals(320)
    while (waiting.length > 0) waiting[0]?.()
    expect(told.size).equals(1_000)
  })

  it('a peer that says as much -> never more than a window ahead of it, without waiting', () => {
    const { told, waiting, slots, resync } = scene(1_000)
    resync.begin('0x01', slots)
    for (let heard = 1; told.size < 1_000; heard++) {
      resync.heard('0x01')
      expect(told.size).within(heard, heard + 256)
    }
    expect(waiting.length).equals(0)
  })

  it('the connection is lost -> nothing more until it stands again, then all', () => {
    const { told, waiting, slots, resync } = scene(1_000)
    resync.begin('0x01', slots)
    resync.end('0x01')
    resync.heard('0x01')
    expect([told.size, waiting.length]).deep.equals([256, 0])
    resync.begin('0x01', slots)
    while (waiting.length > 0) waiting[0]?.()
    expect(told.size).equals(1_000)
  })
})
