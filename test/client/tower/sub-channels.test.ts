import { expect } from 'chai'
import type { ChannelID, SignedState, State } from '../../../channel/index.js'
import { RemoteWatcher, type TowerEvent, type TowerOptions } from '../../../client/tower/index.js'
import { seen, stored } from '../../../client/tower/records.js'
import { memoryNetwork, type PeerID } from '../../../peer/index.js'
import { MemoryStore, sealEnvelope } from '../../../persistence/index.js'
import { party, simWorld } from '../../backend/sim/world.js'
import { settled } from '../parties.js'
import { paramsOf, type Signers, signedState } from './family.js'
import { speaker, startTower, TOWER } from './world.js'

const ALICE: PeerID = `0x02${'01'.repeat(32)}`

/** A tower, a client that speaks to it, and channels of two parties: one on the ledger, the others below it. */
async function scene(options: Partial<TowerOptions> = {}, finalityDepth = 1) {
  const world = simWorld({ finalityDepth })
  const { ledger, parties, assets } = world
  const by: Signers = {
    rules: party(parties, 0).backend.rules,
    participants: world.params.participants,
    asset: assets[0],
    challengeDuration: 100n,
    sign: (message) => parties.map(({ sign }) => sign(message)),
  }
  const root = paramsOf(by, 1n, { ledgerChannel: true })
  const sub = paramsOf(by, 2n)
  const other = paramsOf(by, 3n)
  /** The root with these children. */
  const parent = (version: bigint, ...children: SignedState[]) => signedState(by, root, version, { children })
  const child = (version: bigint, state: Partial<State> = {}) => signedState(by, sub, version, state)
  const second = (version: bigint, ...children: SignedState[]) =>
    signedState(by, other, version, { children })
  const network = memoryNetwork()
  const store = new MemoryStore()
  const start = (more: Partial<TowerOptions> = {}) =>
    startTower({ ledger }, network, [ALICE], store, { ...options, ...more })
  const tower = await start()
  const alice = speaker(network, ALICE)
  await settled(() => alice.heard.includes('connected'))
  const answered = async (words: string) => {
    await settled(() => alice.heard.includes(words))
  }
  const cheat = party(parties, 1).backend.adjudicator
  const on = (signed: SignedState) => ledger.dispute(signed.state.channelID)?.version
  return {
    ...world,
    by,
    root,
    sub,
    other,
    parent,
    child,
    second,
    network,
    store,
    start,
    tower,
    alice,
    answered,
    cheat,
    on,
  }
}

type Running = Awaited<ReturnType<typeof startTower>>
const count = ({ events }: Running, kind: TowerEvent['kind']) =>
  events.filter((one) => one.kind === kind).length

describe('tower: sub-channels', () => {
  it('an old child under the current parent -> refuted with the newest tree, again after a reorg', async () => {
    const { ledger, parent, child, tower, alice, answered, cheat, on } = await scene({}, 4)
    const [old, newest] = [child(0n), child(7n)]
    await alice.watch(parent(1n, newest), [newest])
    await answered('watching 1 7')
    void cheat.register({ signed: parent(1n, old), subChannels: [old] }).catch(() => undefined)
    await settled(() => count(tower, 'safe') === 1)
    expect(tower.events[0]).deep.include({
      kind: 'atRisk',
      registered: 0n,
      newest: 7n,
      subChannel: newest.state.channelID,
    })
    expect([on(parent(1n, newest)), on(newest)]).deep.equals([1n, 7n])
    ledger.reorg(1, { drop: true })
    expect(on(newest)).equals(0n)
    await settled(() => count(tower, 'safe') === 2)
    expect(on(newest)).equals(7n)
    expect(tower.tower.metrics).include({ channelsAtRisk: 0, channels: 1 })
    await tower.kill()
  })

  it('a newer child under the same parent, an older one under a newer parent -> of each the newest is kept', async () => {
    const { parent, child, second, start, tower, alice, answered, cheat, on } = await scene()
    const one = child(1n)
    await alice.watch(parent(1n, one), [one])
    await answered('watching 1 1')
    await alice.watch(parent(1n, child(5n)), [child(5n)])
    await answered('watching 1 5')
    await alice.watch(parent(1n, child(3n)), [child(3n)])
    await settled(() => alice.heard.filter((words) => words === 'watching 1 5').length === 2)
    expect(tower.tower.metrics.statesTaken).equals(2)
    const [other, old] = [second(2n), child(4n)]
    await alice.watch(parent(2n, old, other), [old, other])
    await answered('watching 2 5 2')
    await tower.kill()
    const again = await start()
    const wrong = [child(0n), second(0n)]
    await cheat.register({ signed: parent(2n, ...wrong), subChannels: wrong })
    await settled(() => again.kinds().includes('safe'))
    expect([child(0n), second(0n)].map(on)).deep.equals([5n, 2n])
    await again.kill()
  })

  it('children of children -> compared and refuted, too; one that is settled is watched no more', async () => {
    const { parent, child, second, sub, by, tower, alice, answered, cheat, on } = await scene()
    const grandchild = second(6n)
    const above = signedState(by, sub, 2n, { children: [grandchild] })
    await alice.watch(parent(1n, above), [above, grandchild])
    await answered('watching 1 2 6')
    const old = second(1n)
    const same = signedState(by, sub, 2n, { children: [old] })
    await cheat.register({ signed: parent(1n, same), subChannels: [same, old] })
    await settled(() => tower.kinds().includes('safe'))
    expect(on(grandchild)).equals(6n)
    const settledIn = child(3n, {
      allocation: { ...above.state.allocation, balances: [[10n, 10n]], locked: [] },
    })
    await alice.watch(parent(1n, settledIn), [settledIn])
    await answered('watching 1 3')
    await tower.kill()
  })

  it('an old child that came with another parent -> the real tree is registered, the child refuted', async () => {
    const { parent, child, by, tower, alice, answered, cheat, on } = await scene()
    const [old, newest] = [child(0n), child(4n)]
    await alice.watch(parent(1n, newest), [newest])
    await answered('watching 1 4')
    const hub = signedState(by, paramsOf(by, 9n, { ledgerChannel: true }), 1n, { children: [old] })
    await cheat.register({ signed: hub, subChannels: [old] })
    await settled(() => tower.kinds().includes('safe'))
    expect([on(parent(1n, newest)), on(newest)]).deep.equals([1n, 4n])
    await tower.kill()
  })

  it('an old parent with a child that is newer than what the tower has -> refuted with that child', async () => {
    const { parent, child, start, store, tower, alice, answered, cheat, on } = await scene()
    const [known, newer] = [child(4n), child(9n)]
    await alice.watch(parent(2n, known), [known])
    await answered('watching 2 4')
    await cheat.register({ signed: parent(1n, newer), subChannels: [newer] })
    await settled(() => tower.kinds().includes('safe'))
    expect([on(parent(1n, newer)), on(newer)]).deep.equals([2n, 9n])
    await tower.kill()
    for await (const { request, bytes } of stored(store)) {
      expect(request.subChannels.map(({ state }) => state.version)).deep.equals([9n])
      expect(tower.tower.metrics.bytes).equals(bytes)
    }
    await (await start()).kill()
  })

  it('the time of an old child is over, that of its old parent is not -> the parent is refuted all the same', async () => {
    const { ledger, by, sub, parent, start, tower, alice, answered, cheat, on } = await scene()
    const short = { ...sub, challengeDuration: 30n }
    const [old, newest] = [signedState(by, short, 0n), signedState(by, short, 7n)]
    await alice.watch(parent(2n, newest), [newest])
    await answered('watching 2 7')
    await tower.kill()
    await cheat.register({ signed: parent(1n, old), subChannels: [old] })
    ledger.advance(50n)
    const again = await start()
    await settled(() => again.kinds().includes('refuted'))
    expect([on(parent(2n, newest)), on(newest)]).deep.equals([2n, 0n])
    // Nothing can be done for the child any more, which is told as long as it is so.
    await settled(() => again.kinds().includes('refutationFailed'))
    expect(again.tower.metrics).include({ channelsAtRisk: 1 })
    await again.kill()
  })

  it('concluded with an older child -> ended, lost', async () => {
    const { ledger, parent, child, tower, alice, answered, cheat, parties } = await scene()
    const [old, newest] = [child(0n), child(7n)]
    await alice.watch(parent(1n, newest), [newest])
    await answered('watching 1 7')
    ledger.fail({ how: 'reject', reason: 'not now', kind: 'register', from: tower.account, times: 1_000 })
    const signed = parent(1n, old)
    await cheat.register({ signed, subChannels: [old] })
    await settled(() => tower.kinds().includes('refutationFailed'))
    ledger.advance(100n)
    await settled(() => tower.kinds().includes('deadlineNears'))
    const { params, state } = signed
    await party(parties, 1).backend.adjudicator.withdraw({
      params,
      state,
      signatures: [],
      subChannels: [old.state],
      index: 1,
    })
    await settled(() => tower.kinds().includes('ended'))
    expect(tower.events.at(-1)).include({ kind: 'ended', version: 1n, isLost: true })
    expect(tower.tower.metrics).include({
      channelsLost: 1,
      channelsAtRisk: 0,
      channelsNearDeadline: 0,
      channels: 0,
    })
    await tower.kill()
  })

  it('children that do not fit what is locked -> refused, nothing is kept', async () => {
    const { by, root, sub, parent, child, second, store, tower, alice, answered } = await scene()
    const good = child(1n)
    const { state } = parent(3n, good)
    const [locked] = state.allocation.locked
    if (locked === undefined) throw new Error('a locked child')
    const locking = (change: Partial<typeof locked>) =>
      signedState(by, root, 3n, { allocation: { ...state.allocation, locked: [{ ...locked, ...change }] } })
    const ledgerChild = signedState(by, paramsOf(by, 5n, { ledgerChannel: true }), 1n)
    const bob = { ...by, participants: [...by.participants, { 0: `0x${'33'.repeat(20)}` as const }] }
    const third = paramsOf(bob, 6n)
    const wide = signedState({ ...bob, sign: (message) => [...by.sign(message), '0x00'] }, third, 1n)
    const unsigned = { ...good, signatures: [...good.signatures].reverse() }
    const cases: readonly (readonly [SignedState, readonly SignedState[], RegExp])[] = [
      [parent(3n, good), [], /missing/],
      [parent(3n, good), [second(1n)], /missing, or not in its place/],
      [parent(3n, good, second(1n)), [second(1n), good], /not in its place/],
      [parent(3n, good), [good, second(1n)], /nothing is locked/],
      [parent(3n), [good], /nothing is locked/],
      [locking({ balances: [9n] }), [good], /amounts/],
      [locking({ indexMap: [1] }), [good], /index map/],
      [parent(3n, ledgerChild), [ledgerChild], /is a ledger channel/],
      [parent(3n, wide), [wide], /index map/],
      [parent(3n, good), [unsigned], /signature of participant 0/],
      [good, [], /no ledger channel/],
      [
        signedState(by, root, 3n, { children: [signedState(by, sub, 1n, { children: [good] })] }),
        [signedState(by, sub, 1n, { children: [good] }), good],
        /twice/,
      ],
    ]
    for (const [i, [signed, subChannels, reason]] of cases.entries()) {
      const before = alice.heard.length
      await alice.watch(signed, subChannels)
      await settled(() => alice.heard.length > before)
      expect(alice.heard.at(-1), `case ${i}`).match(/^notWatching/)
      const told = tower.events.at(-1)
      expect(told?.kind === 'refused' && told.reason, `case ${i}`).match(reason)
    }
    expect(store.snapshot().size).equals(0)
    await alice.watch(parent(3n, good), [good])
    await answered('watching 3 1')
    await tower.kill()
  })

  it('more signatures than are verified for one message -> refused; those that are held do not count again', async () => {
    const { parent, child, second, tower, alice, answered } = await scene({ limits: { signatures: 4 } })
    const [one, two] = [child(1n), second(1n)]
    await alice.watch(parent(1n, one, two), [one, two])
    await answered('notWatching 1 1 1')
    expect(tower.events.at(-1)).include({
      kind: 'refused',
      reason: 'at most 4 signatures are verified at once, it has 6',
    })
    await alice.watch(parent(1n, one), [one])
    await answered('watching 1 1')
    await alice.watch(parent(2n, one, two), [one, two])
    await answered('watching 2 1 1')
    await tower.kill()
  })
})

describe('tower: publishing sub-channels', () => {
  /** A client's side, with a channel whose states the test gives. */
  async function publisher() {
    const it = await scene()
    await it.alice.bus.close()
    const errors: string[] = []
    const risks: object[] = []
    let tree: { signed: SignedState; subChannels: readonly SignedState[] } | undefined
    const { backend } = party(it.parties, 0)
    const remote = new RemoteWatcher({
      bus: it.network.bus(ALICE),
      tower: TOWER,
      adjudicator: backend.adjudicator,
      wait: 5_000,
      onError: ({ code, message }) => errors.push(`${code}: ${message}`),
    })
    const id: ChannelID = it.by.rules.channelID(it.root)
    const publish = (signed: SignedState, ...subChannels: SignedState[]) => {
      const isFirst = tree === undefined
      tree = { signed, subChannels }
      if (!isFirst) return remote.enabled(id)
      remote.watch(id, undefined, () => undefined, {
        newest: () => tree?.signed,
        subChannels: () => tree?.subChannels ?? [],
        atRisk: (risk) => risks.push(risk),
      })
    }
    return { ...it, remote, publish, errors, risks }
  }

  it('only a child is newer -> an update waits until the tower has it', async () => {
    const { parent, child, store, remote, publish, tower } = await publisher()
    void publish(parent(1n, child(0n)), child(0n))
    await settled(() => remote.unacknowledged === 0)
    for (const version of [1n, 2n]) {
      await publish(parent(1n, child(version)), child(version))
      const held = []
      for await (const { request } of stored(store)) held.push(...request.subChannels)
      expect(held.map(({ state }) => state.version)).deep.equals([version])
    }
    expect(tower.tower.metrics.statesTaken).equals(3)
    remote.close()
    await tower.kill()
  })

  it('a child that does not fit -> NOT_WATCHED once, at risk; the next one is published', async () => {
    const { parent, child, second, remote, publish, errors, risks, tower } = await publisher()
    void publish(parent(1n, child(0n)), child(0n))
    await settled(() => remote.unacknowledged === 0)
    await publish(parent(1n, child(0n)), second(0n))
    await publish(parent(1n, child(1n)), { ...child(1n), signatures: child(0n).signatures })
    expect(errors.map((text) => text.slice(0, 12))).deep.equals(['NOT_WATCHED:'])
    expect(risks).deep.equals([{ reason: 'unwatched', newest: 1n, held: 1n }])
    await publish(parent(1n, child(2n)), child(2n))
    expect(errors).lengthOf(1)
    expect(tower.tower.metrics.statesTaken).equals(2)
    remote.close()
    await tower.kill()
  })

  it('a sub-channel by itself -> is not published: it comes with its parent', async () => {
    const { by, child, sub, remote, tower } = await publisher()
    remote.watch(by.rules.channelID(sub), undefined, () => undefined, {
      newest: () => child(1n),
      atRisk: () => expect.fail('nobody asked the tower'),
    })
    await remote.enabled(by.rules.channelID(sub))
    await settled(() => remote.unacknowledged === 0)
    expect(tower.tower.metrics).include({ requestsRefused: 0, statesTaken: 0 })
    remote.close()
    await tower.kill()
  })
})

describe('tower: what it wrote before it knew of sub-channels', () => {
  it('what was seen of a channel -> is read', async () => {
    const { parent, child, store, start, tower, alice, answered } = await scene()
    await alice.watch(parent(1n, child(1n)), [child(1n)])
    await answered('watching 1 1')
    await tower.kill()
    const [key] = [...store.snapshot().keys()].filter((one) => one.startsWith('tower/seen/'))
    if (key === undefined) throw new Error('what was seen')
    // { cursor: null, standings: [] } as version 1 wrote it.
    const payload = Uint8Array.of(0x92, 0xc0, 0x90)
    await store.commit([
      { kind: 'put', key, value: sealEnvelope(key, { name: 'tower/seen', version: 1, payload }) },
    ])
    expect(await seen.get(store, key)).deep.equals({ cursor: null, standings: [], subChannels: [] })
    await (await start()).kill()
  })
})
