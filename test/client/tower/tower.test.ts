import { expect } from 'chai'
import { SimBackend, SimNode } from '../../../backend/sim/index.js'
import { type Draft, draftOf, isError, stateOf, transfer } from '../../../channel/index.js'
import { prometheusText, type RemoteWatcherOptions } from '../../../client/tower/index.js'
import { towerMessages } from '../../../client/tower/messages.js'
import type { PeerID } from '../../../peer/index.js'
import { MemoryWallet, signPersonal } from '../../../wallet/index.js'
import { FaultyStore } from '../../persistence/faulty.js'
import { kill, settled } from '../parties.js'
import { paramsOf, type Signers, signedState } from './family.js'
import { signedOf, speaker, startTower, TOWER, type Watched, watched } from './world.js'

const give = (draft: Draft) => transfer(draft, { from: 0, to: 1, amount: 1n })

/** What the ledger has registered of the channel. */
const registered = ({ world, a }: Watched) => world.ledger.dispute(a.id)?.version

const CAROL: PeerID = `0x02${'03'.repeat(32)}`
const DAVE: PeerID = `0x02${'04'.repeat(32)}`

describe('tower: refuting for who is away', () => {
  it('an old state is registered -> at risk, refuted with the newest, safe; ended when concluded', async () => {
    const scene = await watched()
    const { world, network, store, alice, bob, a, remote } = scene
    const tower = await startTower(world, network, [alice.peer], store)
    const old = signedOf(a)
    await a.update(give)
    await a.update(give)
    await settled(() => remote.unacknowledged === 0)
    await kill(alice)
    await bob.client.close()
    await bob.backend.adjudicator.register({ signed: old, subChannels: [] })
    await settled(() => tower.kinds().includes('safe'))
    expect(tower.kinds()).deep.equals(['atRisk', 'refuted', 'safe'])
    expect(tower.events[0]).include({
      kind: 'atRisk',
      registered: 0n,
      newest: 2n,
      client: alice.peer,
      channel: a.id,
    })
    expect(registered(scene)).equals(2n)
    expect(tower.tower.metrics).include({ refutations: 1, channelsAtRisk: 0, channels: 1, channelsLost: 0 })
    await tower.kill()
  })

  it('killed before the registration, or after it -> refutes when it is back', async () => {
    for (const when of ['before', 'after'] as const) {
      const scene = await watched()
      const { world, network, store, alice, bob, a, remote } = scene
      const first = await startTower(world, network, [alice.peer], store)
      const old = signedOf(a)
      await a.update(give)
      await settled(() => remote.unacknowledged === 0)
      await kill(alice)
      await bob.client.close()
      if (when === 'before') await first.kill()
      // So that the first one sees it, and is gone before it tries again.
      else world.ledger.fail({ how: 'reject', reason: 'not now', kind: 'register', from: first.account })
      await bob.backend.adjudicator.register({ signed: old, subChannels: [] })
      if (when === 'after') {
        await settled(() => first.kinds().includes('refutationFailed'))
        await first.kill()
      }
      expect(registered(scene)).equals(0n)
      const second = await startTower(world, network, [alice.peer], store.clone())
      await settled(() => second.kinds().includes('refuted'))
      expect(registered(scene)).equals(1n)
      await second.kill()
    }
  })

  it('a state that the ledger never takes -> that channel stays at risk, others are refuted', async () => {
    const scene = await watched()
    const { world, network, store, alice, bob, a, remote } = scene
    const tower = await startTower(world, network, [alice.peer, CAROL], store)
    const old = signedOf(a)
    await a.update(give)
    await settled(() => remote.unacknowledged === 0)
    // Carol's tower entry of the same channel has a newer state, with a sub-channel that has an app: no virtual channel
    // may have one, says the ledger.
    const { params } = old
    const by: Signers = {
      rules: bob.backend.rules,
      participants: params.participants,
      asset: world.assets[0],
      challengeDuration: params.challengeDuration,
      sign: (message) => [alice, bob].map(({ secret }) => signPersonal(message, secret)),
    }
    const child = signedState(by, paramsOf(by, 1n, { virtualChannel: true, app: '0x01' }), 0n)
    const carol = speaker(scene.network, CAROL)
    await settled(() => carol.heard.includes('connected'))
    await carol.watch(signedState(by, params, 9n, { children: [child] }), [child])
    await settled(() => carol.heard.includes('watching 9 0'))
    await kill(alice)
    await bob.client.close()
    await bob.backend.adjudicator.register({ signed: old, subChannels: [] })
    await settled(() => tower.kinds().includes('refuted') && tower.kinds().includes('refutationFailed'))
    expect(registered(scene)).equals(1n)
    expect(tower.tower.metrics).include({ channelsAtRisk: 1, refutations: 1 })
    expect(prometheusText(tower.tower.metrics)).match(/^perkunas_tower_channels_at_risk 1$/m)
    await tower.kill()
  })
})

describe('tower: a deadline that nears', () => {
  it('a quarter of the time is left -> told once, though the ledger was silent, and counted; each attempt says by when; refuted after all -> safe', async () => {
    const scene = await watched()
    const { world, network, store, alice, bob, a, remote } = scene
    const ledger = new SimNode(world.ledger)
    const backend = new SimBackend({ ledger, account: `0x${'09'.repeat(20)}`, wallet: new MemoryWallet() })
    const deadlines: (bigint | undefined)[] = []
    const register = backend.adjudicator.register.bind(backend.adjudicator)
    let isRefused = true
    const refusing: typeof register = async (request, options) => {
      deadlines.push(options?.deadline)
      if (isRefused) throw new Error('not now')
      return register(request, options)
    }
    const waitUntil = backend.adjudicator.waitUntil.bind(backend.adjudicator)
    let isSilent = true
    const silent: typeof waitUntil = async (...args) => {
      if (!isSilent) return waitUntil(...args)
      isSilent = false
      throw new Error('no answer')
    }
    Object.assign(backend.adjudicator, { register: refusing, waitUntil: silent })
    const pauses: (() => void)[] = []
    const clock = {
      now: () => 0,
      after: (ms: number, callback: () => void) => {
        if (ms === 15_000) queueMicrotask(callback)
        else if (ms < 10_000) pauses.push(callback)
        return () => undefined
      },
    }
    const tower = await startTower(world, network, [alice.peer], store, { backend, clock })
    const old = signedOf(a)
    await a.update(give)
    await settled(() => remote.unacknowledged === 0)
    await kill(alice)
    await bob.client.close()
    await bob.backend.adjudicator.register({ signed: old, subChannels: [] })
    await settled(() => tower.kinds().includes('refutationFailed'))
    const [atRisk] = tower.events
    if (atRisk?.kind !== 'atRisk') throw new Error('at risk')
    const { deadline } = atRisk
    const { challengeDuration } = old.params
    world.ledger.advanceTo(deadline - challengeDuration / 4n - 1n)
    pauses.shift()?.()
    await settled(() => deadlines.length === 2)
    expect(tower.kinds()).not.includes('deadlineNears')
    expect(tower.tower.metrics).include({ channelsAtRisk: 1, channelsNearDeadline: 0 })
    world.ledger.advanceTo(deadline - challengeDuration / 4n)
    await settled(() => tower.kinds().includes('deadlineNears'))
    const warnings = tower.events.filter(({ kind }) => kind === 'deadlineNears')
    expect(warnings).deep.equals([{ ...atRisk, kind: 'deadlineNears' }])
    expect(tower.tower.metrics).include({ channelsAtRisk: 1, channelsNearDeadline: 1 })
    isRefused = false
    pauses.shift()?.()
    await settled(() => tower.kinds().includes('safe'))
    expect(tower.tower.metrics).include({ channelsAtRisk: 0, channelsNearDeadline: 0, refutations: 1 })
    expect(deadlines).deep.equals([deadline, deadline, deadline])
    expect(registered(scene)).equals(1n)
    await tower.kill()
    await backend.close()
  })
})

describe('tower: what clients say', () => {
  it("older, garbage, somebody else's, a nonsense cursor -> what is kept stays as it is", async () => {
    const scene = await watched()
    const { world, network, store, alice, bob, a, remote } = scene
    const tower = await startTower(world, network, [alice.peer, CAROL], store)
    const old = signedOf(a)
    await a.update(give)
    await settled(() => remote.unacknowledged === 0)
    await alice.client.close()
    remote.close()
    const { bus, heard, watch } = speaker(scene.network, CAROL)
    await settled(() => heard.includes('connected'))
    const newest = signedOf(scene.b)
    await watch(newest, [], 'no cursor')
    await watch(old)
    const { state, params, signatures } = newest
    const [first = '0x', second = '0x'] = signatures
    await watch({ params, state: stateOf(state, draftOf(state), 5n), signatures })
    await watch({ params, state: { ...state, version: 6n }, signatures: [second, first] })
    await watch({ params: { ...params, nonce: 7n }, state: { ...state, version: 7n }, signatures })
    await watch({ params, state: { ...state, version: 8n }, signatures: [first] })
    await settled(() => heard.length === 7)
    expect(heard).deep.equals([
      'connected',
      'watching 1',
      'watching 1',
      'notWatching 5',
      'notWatching 6',
      'notWatching 7',
      'notWatching 8',
    ])
    await bus.send(TOWER, Uint8Array.of(1, 2, 3))
    await settled(() => heard.includes('disconnected'))
    await bob.client.close()
    await bob.backend.adjudicator.register({ signed: old, subChannels: [] })
    await settled(() => tower.kinds().filter((kind) => kind === 'safe').length === 2)
    expect(registered(scene)).equals(1n)
    await tower.kill()
  })

  it('who is no client -> is sent away, and costs nothing', async () => {
    const scene = await watched()
    const { world, network, store, alice, a } = scene
    const tower = await startTower(world, network, [alice.peer], store)
    const { heard, watch } = speaker(scene.network, CAROL)
    await settled(() => heard.includes('disconnected'))
    await watch(signedOf(a)).catch(() => undefined)
    await settled(() => tower.tower.metrics.requestsRefused > 0)
    expect([...store.snapshot().keys()].filter((key) => key.includes(CAROL))).deep.equals([])
    await tower.kill()
  })

  it('more channels or bytes than a client may have -> refused, the client is told at risk; a newer state goes on', async () => {
    for (const limits of [{ channels: 0 }, { bytes: 100 }]) {
      const refused: string[] = []
      const scene = await watched({ onError: ({ code }) => refused.push(code) })
      const { world, network, store, alice, a, events } = scene
      const tower = await startTower(world, network, [alice.peer], store, { limits })
      await settled(() => refused.length === 1)
      expect(refused).deep.equals(['NOT_WATCHED'])
      expect(events).deep.equals([{ kind: 'atRisk', reason: 'unwatched', newest: 0n, held: undefined }])
      expect(store.snapshot().size).equals(0)
      await a.update(give)
      await settled(() => refused.length === 2)
      await tower.kill()
    }
  })

  it('a disk that fails -> nothing is acknowledged, `failure` says why', async () => {
    const scene = await watched()
    const { world, network, store, alice, remote } = scene
    const faulty = new FaultyStore(store, () => ({ kind: 'error', code: 'ENOSPC', batch: 'lost' }))
    const tower = await startTower(world, network, [alice.peer], faulty)
    const error = await tower.tower.failure.catch((cause: unknown) => cause)
    expect(isError(error, 'STORE_FAILED')).equals(true)
    expect(remote.unacknowledged).equals(1)
    await tower.kill()
  })
})

describe('tower: a mistake of ours in handling a request', () => {
  it('-> is told, and costs the client its connection; others go on', async () => {
    const scene = await watched()
    const { world, network, store, a } = scene
    const ledger = new SimNode(world.ledger)
    const backend = new SimBackend({ ledger, account: `0x${'09'.repeat(20)}`, wallet: new MemoryWallet() })
    const message: typeof backend.rules.message = () => {
      throw new TypeError('a field is missing')
    }
    const rules = { ...backend.rules, message }
    const { capabilities, funder, adjudicator } = backend
    const close = () => backend.close()
    const broken = { capabilities, funder, adjudicator, rules, close }
    const tower = await startTower(world, network, [CAROL, DAVE], store, { backend: broken })
    const [carol, dave] = [speaker(network, CAROL), speaker(network, DAVE)]
    await settled(() => carol.heard.includes('connected') && dave.heard.includes('connected'))
    await carol.watch(signedOf(a))
    await settled(() => carol.heard.includes('disconnected'))
    const told = tower.events.find(({ kind }) => kind === 'error')
    expect(told?.kind === 'error' && told.error.code).equals('INTERNAL')
    expect(told?.kind === 'error' && told.error.message).match(/a field is missing/)
    rules.message = backend.rules.message
    await dave.watch(signedOf(a))
    await settled(() => dave.heard.includes('watching 0'))
    expect(tower.tower.metrics).include({ channels: 1, statesTaken: 1 })
    await tower.kill()
    await backend.close()
  })
})

describe('tower: what is forgotten, a disk that fails later', () => {
  it('forgotten before its state is durable -> the ledger is not listened to for it', async () => {
    const scene = await watched()
    const { world, network, store, a } = scene
    const signed = signedOf(a)
    const ledger = new SimNode(world.ledger)
    const backend = new SimBackend({ ledger, account: `0x${'09'.repeat(20)}`, wallet: new MemoryWallet() })
    const subscribe = backend.adjudicator.subscribe.bind(backend.adjudicator)
    let open = 0
    const counted: typeof subscribe = (...args) => {
      const subscription = subscribe(...args)
      const close = subscription.close.bind(subscription)
      open++
      return Object.assign(subscription, {
        close: () => {
          open--
          close()
        },
      })
    }
    Object.assign(backend.adjudicator, { subscribe: counted })
    let write = () => {}
    const writing = new Promise<void>((resolve) => {
      write = resolve
    })
    const commit = store.commit.bind(store)
    const slow = Object.assign(store, {
      commit: (batch: Parameters<typeof commit>[0]) => writing.then(() => commit(batch)),
    })
    const tower = await startTower(world, network, [CAROL], slow, { backend })
    const { bus, heard, watch } = speaker(scene.network, CAROL)
    await settled(() => heard.includes('connected'))
    await watch(signed)
    await settled(() => tower.tower.metrics.channels === 1)
    await bus.send(TOWER, towerMessages.encode({ kind: 'unwatch', channelID: a.id }))
    await settled(() => tower.tower.metrics.channels === 0)
    write()
    await settled(() => heard.includes('watching 0'))
    expect({ open, channels: tower.tower.metrics.channels, kept: store.snapshot().size }).deep.equals({
      open: 0,
      channels: 0,
      kept: 0,
    })
    await tower.kill()
    await backend.close()
  })

  it('an event of the ledger that can not be written -> `failure` says why, and nothing else does', async () => {
    const scene = await watched()
    const { world, network, store, alice, bob, a, remote } = scene
    const faulty = new FaultyStore(store, (number) =>
      number > 1 ? { kind: 'error', code: 'ENOSPC', batch: 'lost' } : undefined,
    )
    const tower = await startTower(world, network, [alice.peer], faulty)
    await settled(() => remote.unacknowledged === 0)
    const unhandled: unknown[] = []
    const listeners = process.listeners('unhandledRejection')
    process
      .removeAllListeners('unhandledRejection')
      .on('unhandledRejection', (cause) => unhandled.push(cause))
    try {
      await bob.backend.adjudicator.register({ signed: signedOf(a), subChannels: [] })
      const error = await tower.tower.failure.catch((cause: unknown) => cause)
      expect(isError(error, 'STORE_FAILED')).equals(true)
      await new Promise((resolve) => setImmediate(resolve))
    } finally {
      process.removeAllListeners('unhandledRejection')
      for (const listener of listeners) process.on('unhandledRejection', listener)
    }
    expect(unhandled).deep.equals([])
    await tower.kill()
  })
})

describe('tower: publishing', () => {
  it('a tower that comes late -> gets the newest state of each channel, once', async () => {
    const scene = await watched({ patience: 20 })
    const { world, network, store, alice, a, remote, events } = scene
    for (let i = 0; i < 20; i++) await a.update(give)
    await settled(() => events.length > 0)
    expect(events[0]).include({ kind: 'atRisk', reason: 'unwatched', held: undefined })
    const tower = await startTower(world, network, [alice.peer], store)
    await settled(() => remote.unacknowledged === 0)
    expect(tower.tower.metrics).include({ statesTaken: 1, channels: 1 })
    await tower.kill()
    await a.update(give)
    const again = await startTower(world, network, [alice.peer], store)
    await settled(() => remote.unacknowledged === 0)
    expect(again.tower.metrics).include({ statesTaken: 1, channels: 1 })
    await again.kill()
  })

  it('an update that waits -> is told only when the tower has it; without a tower after that time, at risk', async () => {
    const options: Partial<RemoteWatcherOptions> = { wait: 50 }
    const scene = await watched(options)
    const { world, network, store, alice, a, b, events } = scene
    const tower = await startTower(world, network, [alice.peer], store)
    await a.update(give)
    await b.update(give)
    const stored = [...store.snapshot().keys()].filter((key) => key.startsWith('tower/state/'))
    expect(stored).lengthOf(1)
    expect(tower.tower.metrics.statesTaken).at.least(2)
    await tower.kill()
    expect((await a.update(give)).version).equals(3n)
    expect(events.at(-1)).include({ kind: 'atRisk', reason: 'unwatched', newest: 3n, held: 2n })
  })

  it('a channel that is settled -> the tower forgets it', async () => {
    const scene = await watched()
    const { world, network, store, alice, a, remote } = scene
    const tower = await startTower(world, network, [alice.peer], store)
    await settled(() => remote.unacknowledged === 0)
    await a.settle()
    await settled(() => tower.tower.metrics.channels === 0)
    expect(store.snapshot().size).equals(0)
    expect(tower.tower.metrics).include({ bytes: 0, channelsLost: 0 })
    await tower.kill()
  })
})
