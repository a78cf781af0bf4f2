// Every call comes to an end, whoever is silent, aborts, closes or starts at an awkward moment.
import { expect } from 'chai'
import { appResolver, type Draft, PerkunasError, paymentApp, transfer } from '../../channel/index.js'
import { messages } from '../../client/messages.js'
import { Mallory } from './mallory.js'
import { failure, group, kill, open, passTime, restarted, settled, who } from './parties.js'

const give = (draft: Draft) => transfer(draft, { from: 0, to: 1, amount: 1n })
const silent = () => new Promise<never>(() => undefined)

async function pair(options: Parameters<typeof group>[1] = {}) {
  const world = await group(2, options)
  const [a, b] = await open(world)
  if (a === undefined || b === undefined) throw new Error('two channels')
  return { world, a, b, alice: who(world, 0), bob: who(world, 1) }
}

describe('client: every call ends', () => {
  it('update with an aborted signal -> ABORTED, nothing is sent, the next one works', async () => {
    const { world, a } = await pair()
    const { delivered } = world.network
    expect((await failure(a.update(give, { signal: AbortSignal.abort() }))).code).equals('ABORTED')
    expect([a.phase, a.state.version, world.network.delivered]).deep.equals(['acting', 0n, delivered])
    expect((await a.update(give)).version).equals(1n)
  })

  it('aborted by its own edit -> ABORTED, nothing is sent', async () => {
    const { world, a } = await pair()
    const controller = new AbortController()
    const { delivered } = world.network
    const edit = (draft: Draft) => {
      give(draft)
      controller.abort()
    }
    const error = await failure(a.update(edit, { signal: controller.signal }))
    expect([error.code, a.phase, world.network.delivered]).deep.equals(['ABORTED', 'acting', delivered])
  })

  it('aborted while it waits for its turn -> ABORTED at once', async () => {
    const { a, bob } = await pair()
    bob.client.handleUpdates(silent)
    let over = false
    const first = failure(a.update(give, { timeout: 200 })).then(() => {
      over = true
    })
    const controller = new AbortController()
    const second = failure(a.update(give, { signal: controller.signal }))
    controller.abort()
    expect((await second).code).equals('ABORTED')
    expect(over).equals(false)
    await first
  })

  it('settle and forceUpdate with an aborted signal -> ABORTED, and nothing has begun', async () => {
    const app = paymentApp('0x0c')
    const world = await group(2, { apps: appResolver(app) })
    const [a] = await open(world, { app: app.id })
    const signal = AbortSignal.abort()
    expect(a && (await failure(a.settle({ signal }))).code).equals('ABORTED')
    expect(a && (await failure(a.forceUpdate(give, { signal }))).code).equals('ABORTED')
    expect(a?.phase).equals('acting')
  })

  it('settle behind updates that nobody answers -> the dispute begins after the time of one settlement', async () => {
    const { world, a, bob } = await pair({
      client: { timeouts: { settlement: 30, update: 60_000 } },
    })
    bob.client.handleUpdates(silent)
    const updates = [1, 2, 3].map(() => failure(a.update(give)))
    let done = false
    const settling = a.settle().then(() => {
      done = true
    })
    await passTime(world, () => done)
    await settling
    expect((await Promise.all(updates)).map(({ code }) => code)).not.includes('INTERNAL')
  })

  it('forceUpdate of a step that throws or breaks a rule, or of a final channel -> refused before any dispute', async () => {
    const app = paymentApp('0x0c')
    const world = await group(2, { apps: appResolver(app) })
    const [a] = await open(world, { app: app.id })
    if (a === undefined) throw new Error('a channel')
    const mine = new Error('mine')
    const thrower = () => {
      throw mine
    }
    expect(await failure(a.forceUpdate(thrower))).equals(mine)
    const take = (draft: Draft) => transfer(draft, { from: 1, to: 0, amount: 1n })
    expect((await failure(a.forceUpdate(take))).code).equals('APP_REFUSED')
    expect(a.phase).equals('acting')
    await a.update((draft) => {
      draft.isFinal = true
    })
    expect((await failure(a.forceUpdate(give))).code).equals('PHASE_MISMATCH')
  })

  it('closed while a channel is being written down -> CLOSED, nothing runs on, a restart opens it', async () => {
    const world = await group(2)
    const alice = who(world, 0)
    let held: () => void = () => undefined
    const commit = alice.store.commit.bind(alice.store)
    const writing = new Promise<void>((begun) => {
      alice.store.commit = async (writes) => {
        begun()
        await new Promise<void>((resolve) => {
          held = resolve
        })
        await commit(writes)
      }
    })
    const opening = failure(
      alice.client.proposeChannel({
        peers: [who(world, 1).peer],
        allocation: { assets: [world.assets[0]], balances: [[100n, 100n]] },
        challengeDuration: 60n,
      }),
    )
    await writing
    await settled(() => who(world, 1).client.channels().length === 1)
    await alice.client.close()
    held()
    expect((await opening).code).equals('CLOSED')
    expect(alice.client.channels()).deep.equals([])
    const again = await restarted(alice, world)
    await settled(() => again.client.channels()[0]?.phase === 'acting')
  })

  it('an update that comes while the channel is still being written down -> is answered all the same', async () => {
    let slow = false
    const world = await group(2, { client: { timeouts: { update: 2_000 } } })
    const bob = who(world, 1)
    const commit = bob.store.commit.bind(bob.store)
    bob.store.commit = async (writes) => {
      // Nothing is to be deposited by Bob, so Alice need not wait for him.
      if (!slow) await settled(() => slow)
      await commit(writes)
    }
    const channel = await who(world, 0).client.proposeChannel({
      peers: [bob.peer],
      allocation: { assets: [world.assets[0]], balances: [[100n, 0n]] },
      challengeDuration: 60n,
    })
    let heard = false
    bob.bus.onMessage((_, payload) => {
      heard ||= messages.decode(payload).kind === 'channelUpdate'
    })
    const updating = channel.update(give)
    await settled(() => heard)
    slow = true
    expect((await updating).version).equals(1n)
    expect(bob.errors).deep.equals([])
  })

  it('messages that come before restore is through -> are said again, and the update ends well', async () => {
    const { world, a, alice, bob } = await pair()
    await kill(bob)
    const error = await failure(a.update(give, { timeout: 20 }))
    expect(error.code).equals('UPDATE_TIMEOUT')
    const store = bob.store.clone()
    const scan = store.scan.bind(store)
    store.scan = async function* (...range) {
      // Alice sees the connection at once and says what she has to say.
      const { delivered } = world.network
      await settled(() => world.network.delivered >= delivered + 2)
      yield* scan(...range)
    }
    bob.store.clone = () => store
    const restarting = restarted(bob, world)
    world.network.heal(alice.peer, bob.peer)
    alice.bus.connect(bob.peer)
    const again = await restarting
    expect(again.errors).deep.equals([])
    await settled(() => a.state.version === 1n && again.client.channel(a.id)?.state.version === 1n)
  })

  it('news of used versions while an update is being made -> it is made again with a higher one', async () => {
    const world = await group(2)
    const [, b] = await open(world)
    if (b === undefined) throw new Error('a channel')
    const bob = who(world, 1)
    const mallory = await Mallory.over(who(world, 0), world)
    const commit = bob.store.commit.bind(bob.store)
    let write: () => void = () => undefined
    const writing = new Promise<void>((begun) => {
      bob.store.commit = async (writes) => {
        begun()
        await new Promise<void>((resolve) => {
          write = resolve
        })
        bob.store.commit = commit
        await commit(writes)
      }
    })
    await mallory.say(bob, { kind: 'channelSync', channelID: b.id, version: 0n, usedVersion: 5n })
    await writing
    const updating = failure(
      b.update((draft) => transfer(draft, { from: 1, to: 0, amount: 1n }), { timeout: 300 }),
    )
    write()
    expect((await mallory.hear('channelUpdate')).state.version).equals(6n)
    expect((await updating).code).equals('UPDATE_TIMEOUT')
  })

  it('a peer that takes no more for a moment -> a new connection repairs what could not be sent', async () => {
    const { a, alice, bob } = await pair()
    const send = alice.bus.send.bind(alice.bus)
    let refused = 0
    alice.bus.send = (to, payload) => {
      if (refused > 0) return send(to, payload)
      refused++
      return Promise.reject(new PerkunasError('PEER_OVERLOADED', 'too much waits', { peer: to }))
    }
    const updating = a.update(give)
    await settled(() => refused > 0)
    alice.bus.connect(bob.peer)
    expect((await updating).version).equals(1n)
  })
})
