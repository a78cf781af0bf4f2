// What an update need not wait for: that its version is used is durable before it is proposed, its state only later.
import { expect } from 'chai'
import fc from 'fast-check'
import {
  type Draft,
  type Hex,
  type Index,
  nextVersion,
  PerkunasError,
  type State,
  sameState,
  transfer,
} from '../../channel/index.js'
import { type ChannelEffect, type ChannelRecord, channelState } from '../../client/conversation.js'
import { type Message, messages } from '../../client/messages.js'
import { created, PARTS, restored } from '../../client/records.js'
import { afterRestart, isReserved } from '../../client/reservation.js'
import { isIdle } from '../../client/update.js'
import {
  agree,
  at,
  type Conversations,
  currentAt,
  deliver,
  feed,
  propose,
  reachActing,
  signed,
} from './conversations.js'
import { failure, group, kill, open, restarted, settled, who } from './parties.js'

const pay = (from: Index, amount = 1n) => ({
  from,
  edit: (draft: Draft) => transfer(draft, { from, to: 1 - from, amount }),
})

const EVENT = {
  channelID: '0x',
  status: 'final',
  cursor: 'c',
  deadline: 60n,
  state: undefined,
  signatures: undefined,
} as const

/** Conversations on disks that lag behind as far as they may. */
class Lives {
  readonly all: Conversations
  readonly disks: ChannelRecord[]
  /** By participant and version: the signatures that have left, in all lives. */
  readonly left = new Map<string, Set<Hex>>()
  /** By signature of a proposal: the version that it was built on. */
  readonly bases = new Map<Hex, bigint>()

  constructor(size = 2) {
    this.all = reachActing(size)
    this.disks = this.all.states.map(({ record }) => record)
  }

  /** Writes what must be written; notes what leaves. To be called after whatever happens. */
  look(): void {
    for (const [i, { record }] of this.all.states.entries()) {
      if (!isReserved(at(this.disks, i), record)) this.disks[i] = record
    }
    for (const { from, message } of this.all.wire) {
      if (message.kind !== 'channelUpdate' && message.kind !== 'channelUpdateAcc') continue
      const version = message.kind === 'channelUpdate' ? message.state.version : message.version
      const key = `${from}/${version}`
      this.left.set(key, (this.left.get(key) ?? new Set<Hex>()).add(message.signature))
    }
  }

  propose(from: Index, amount = 1n): State {
    const state = propose(this.all, from, pay(from, amount).edit)
    this.bases.set(signed(this.all, from, state), currentAt(this.all, from).state.version)
    this.look()
    return state
  }

  /** Hands over the oldest message between two. @returns whether there was one */
  deliver(from: Index, to: Index): boolean {
    const i = this.all.wire.findIndex((sent) => sent.from === from && sent.to === to)
    const [sent] = i < 0 ? [] : this.all.wire.splice(i, 1)
    if (sent === undefined) return false
    for (const effect of deliver(this.all, sent)) {
      if (effect.kind === 'ask') this.built(effect)
      agree(this.all, to, effect)
    }
    this.look()
    return true
  }

  settle(): void {
    for (let first = this.all.wire[0]; first !== undefined; first = this.all.wire[0])
      this.deliver(first.from, first.to)
  }

  /** A process dies, with the connection and what was on its way, and comes back. */
  restart(i: Index): void {
    const { machine } = at(this.disks, i)
    const parts = new Map<string, Uint8Array>()
    for (const [part, write] of created(at(this.disks, i)).entries())
      if (write.kind === 'put') parts.set(at(PARTS, part), write.value)
    this.all.states[i] = channelState(afterRestart(restored(machine.channelID, parts)))
    this.disks[i] = at(this.all.states, i).record
    this.reconnect()
  }

  reconnect(): void {
    this.all.wire.length = 0
    feed(this.all, 0, { kind: 'connected', peer: 1 })
    feed(this.all, 1, { kind: 'connected', peer: 0 })
    this.look()
  }

  recall(i: Index): void {
    feed(this.all, i, { kind: 'recall' })
    this.look()
  }

  record(i: Index): ChannelRecord {
    return at(this.all.states, i).record
  }

  /** Whoever is asked has what the proposal was built on. */
  built({ update, current }: Extract<ChannelEffect, { kind: 'ask' }>): void {
    expect(this.bases.get(update.signature), `version ${update.state.version} builds on`).equals(
      current.version,
    )
  }

  expectOneStateEach(): void {
    for (const [key, signatures] of this.left) expect(signatures.size, `states signed as ${key}`).equals(1)
  }
}

/** A channel of two who have agreed on version 1, which participant 0 proposed: so it has reserved version 2. */
function agreedOnce(): Lives {
  const lives = new Lives()
  lives.propose(0)
  lives.settle()
  return lives
}

describe('reservation: what is written before it leaves', () => {
  const onDisk = (lives: Lives) => at(lives.disks, 0).machine.staging?.state.version

  it('what a channel proposes first -> written; whatever it proposes later leaves at once', () => {
    const lives = new Lives()
    lives.propose(0)
    expect(onDisk(lives)).equals(1n)
    lives.settle()
    for (const version of [2n, 3n]) {
      lives.propose(0)
      expect([lives.record(0).machine.staging?.state.version, onDisk(lives)]).deep.equals([
        version,
        undefined,
      ])
      expect(at(lives.disks, 0).reserved).equals(version)
      lives.settle()
      expect(at(lives.disks, 0).machine.current?.state.version).equals(version)
    }
  })

  it('a proposal after one that was refused, or crossed -> its version is reserved as well', () => {
    const lives = agreedOnce()
    lives.propose(0)
    const [sent] = lives.all.wire.splice(0)
    for (const effect of sent ? deliver(lives.all, sent) : []) {
      if (effect.kind === 'ask') feed(lives.all, 1, { kind: 'reject', update: effect.update, reason: 'no' })
    }
    lives.settle()
    expect([at(lives.disks, 0).machine.signedVersion, at(lives.disks, 0).reserved]).deep.equals([2n, 3n])
    lives.propose(0)
    lives.propose(1)
    lives.settle()
    expect(lives.record(0).machine.phase).equals('acting')
    expect(at(lives.disks, 0).reserved).equals(4n)
  })

  it('three participants -> written', () => {
    const lives = new Lives(3)
    for (const version of [1n, 2n]) {
      lives.propose(0)
      expect(onDisk(lives)).equals(version)
      lives.settle()
    }
    expect(lives.record(0).machine.current?.state.version).equals(2n)
  })

  it('a final state, or one that locks funds -> written', () => {
    const { all, disks } = agreedOnce()
    const record = at(disks, 0)
    const { current } = record.machine
    const staged = (change: Partial<State>): ChannelRecord => {
      if (current === undefined) throw new Error('a current state')
      const state = { ...current.state, version: nextVersion(record.machine), ...change }
      const staging = { state, signatures: [signed(all, 0, state), undefined] }
      const machine = { ...record.machine, phase: 'signing' as const, staging, signedVersion: state.version }
      return { ...record, machine, stagedBy: 0 }
    }
    expect(isReserved(record, staged({}))).equals(true)
    expect(isReserved(record, staged({ isFinal: true }))).equals(false)
    const locked = [{ channelID: `0x${'77'.repeat(32)}` as const, balances: [1n], indexMap: [0, 1] }]
    const allocation = { ...currentAt(all, 0).state.allocation, locked }
    expect(isReserved(record, staged({ allocation }))).equals(false)
    expect(isReserved(record, staged({ version: 3n }))).equals(false)
    expect(isReserved(record, { ...staged({}), stagedBy: 1 })).equals(false)
  })
})

describe('reservation: after a restart', () => {
  it('nothing had been reserved -> nothing is forgotten: who only answers goes on at once', () => {
    const lives = agreedOnce()
    lives.restart(1)
    expect([lives.record(1).forgotten, isIdle(at(lives.all.states, 1))]).deep.equals([undefined, true])
    lives.settle()
    lives.propose(1)
    lives.settle()
    expect(currentAt(lives.all, 0).state.version).equals(2n)
  })

  it('a forgotten proposal that arrived -> it comes back with all signatures, over another restart too', () => {
    const lives = agreedOnce()
    const state = lives.propose(0, 3n)
    lives.deliver(0, 1)
    expect(currentAt(lives.all, 1).state.version).equals(2n)
    lives.restart(0)
    feed(lives.all, 0, { kind: 'ledger', event: { ...EVENT, kind: 'cleared', version: 0n } })
    lives.look()
    lives.restart(0)
    expect([lives.record(0).forgotten, currentAt(lives.all, 0).state.version]).deep.equals([2n, 1n])
    expect(isIdle(at(lives.all.states, 0))).equals(false)
    lives.settle()
    expect(sameState(currentAt(lives.all, 0).state, state)).equals(true)
    expect(currentAt(lives.all, 0).signatures).deep.equals(currentAt(lives.all, 1).signatures)
    expect(lives.record(0).forgotten).equals(undefined)
  })

  it('a forgotten proposal that was lost -> used up by both, and the next one has a higher version', () => {
    const lives = agreedOnce()
    lives.propose(0, 3n)
    lives.restart(0)
    lives.settle()
    expect(lives.record(0).forgotten).equals(undefined)
    for (const i of [0, 1]) expect(nextVersion(lives.record(i).machine)).equals(3n)
    lives.propose(0, 5n)
    lives.settle()
    for (const i of [0, 1]) expect(currentAt(lives.all, i).state.version).equals(3n)
    lives.expectOneStateEach()
  })

  it('a forgotten proposal whose answer is being thought about -> asked for, it is never signed', () => {
    const lives = agreedOnce()
    lives.propose(0)
    const [sent] = lives.all.wire.splice(0)
    const [asked] = sent ? deliver(lives.all, sent) : []
    lives.restart(0)
    lives.settle()
    expect(lives.record(0).forgotten).equals(undefined)
    if (asked) agree(lives.all, 1, asked)
    lives.settle()
    expect([0, 1].map((i) => currentAt(lives.all, i).state.version)).deep.equals([1n, 1n])
  })

  it('the answer to a forgotten proposal comes -> its state is asked for, and counts', () => {
    const lives = agreedOnce()
    lives.propose(0)
    const [sent] = lives.all.wire.splice(0)
    const [asked] = sent ? deliver(lives.all, sent) : []
    lives.restart(0)
    lives.all.wire.length = 0
    if (asked) agree(lives.all, 1, asked)
    lives.settle()
    expect([0, 1].map((i) => currentAt(lives.all, i).state.version)).deep.equals([2n, 2n])
  })

  it('the other proposes another state of the forgotten version -> crossed, and nobody signs both', () => {
    const lives = agreedOnce()
    lives.propose(0)
    lives.all.wire.length = 0
    lives.propose(1, 7n)
    lives.restart(0)
    lives.settle()
    const results = lives.all.effects
      .flat()
      .flatMap((effect) => (effect.kind === 'resolve' ? [effect.result] : []))
    expect(results.at(-1)).deep.include({ code: 'UPDATE_CROSSED' })
    lives.propose(1, 7n)
    lives.settle()
    expect([0, 1].map((i) => currentAt(lives.all, i).state.version)).deep.equals([3n, 3n])
    lives.expectOneStateEach()
  })

  it('the other builds on what is forgotten -> not considered before that is here', () => {
    const lives = agreedOnce()
    lives.propose(0)
    lives.deliver(0, 1)
    lives.restart(0)
    lives.all.wire.length = 0
    lives.propose(1, 7n)
    lives.settle()
    expect([0, 1].map((i) => currentAt(lives.all, i).state.version)).deep.equals([2n, 2n])
    lives.propose(1, 7n)
    lives.settle()
    expect([0, 1].map((i) => currentAt(lives.all, i).state.version)).deep.equals([4n, 4n])
  })

  it('who was asked had not the channel yet -> asked again when it says where it stands', () => {
    const lives = agreedOnce()
    lives.restart(0)
    lives.all.wire.length = 0
    feed(lives.all, 1, { kind: 'connected', peer: 0 })
    lives.settle()
    expect(lives.record(0).forgotten).equals(undefined)
  })

  it('it is registered by who withheld it -> taken from the ledger, as anything that we signed', () => {
    const lives = agreedOnce()
    const state = lives.propose(0)
    const signatures = [0, 1].map((i) => signed(lives.all, i, state))
    lives.restart(0)
    const event = { ...EVENT, kind: 'registered', version: 2n, state, signatures } as const
    feed(lives.all, 0, { kind: 'ledger', event })
    expect(currentAt(lives.all, 0).state.version).equals(2n)
    lives.look()
    expect(lives.record(0).forgotten).equals(undefined)
  })

  it('an older one is registered -> refuted with the newest that is known', () => {
    const lives = agreedOnce()
    lives.propose(0)
    lives.restart(0)
    const effects = feed(lives.all, 0, {
      kind: 'ledger',
      event: { ...EVENT, kind: 'registered', version: 0n },
    })
    const refutations = effects.flatMap((effect) =>
      effect.kind === 'register' ? [effect.transaction.state.version] : [],
    )
    expect(refutations).deep.equals([1n])
  })

  it('any messages lost, either dies at any time, whoever proposes -> one state of a version, built on what both have; then both go on', () => {
    const index = fc.nat(1)
    const move = fc.oneof(
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('pay' as const), i: index }) },
      { weight: 8, arbitrary: fc.record({ kind: fc.constant('deliver' as const), i: index }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('restart' as const), i: index }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('reconnect' as const), i: index }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('recall' as const), i: index }) },
    )
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
        const lives = new Lives()
        let amount = 0n
        for (const { kind, i } of moves) {
          if (kind === 'pay' && isIdle(at(lives.all.states, i))) lives.propose(i, ++amount % 3n)
          if (kind === 'deliver') lives.deliver(i, 1 - i)
          if (kind === 'restart') lives.restart(i)
          if (kind === 'reconnect') lives.reconnect()
          if (kind === 'recall') lives.recall(i)
          lives.expectOneStateEach()
        }
        lives.reconnect()
        lives.settle()
        for (const i of [0, 1]) {
          const versions = [0, 1].map((it) => currentAt(lives.all, it).state)
          expect(sameState(at(versions, 0), at(versions, 1))).equals(true)
          expect(isIdle(at(lives.all.states, i)), `participant ${i} may go on`).equals(true)
          const { version } = lives.propose(i)
          lives.settle()
          for (const it of [0, 1]) expect(currentAt(lives.all, it).state.version).equals(version)
        }
        lives.expectOneStateEach()
      }),
      { numRuns: 300 },
    )
  })
})

describe('reservation: clients', () => {
  it('two updates -> the first proposal is durable before it leaves, the second one is not written before its answer', async () => {
    const world = await group(2)
    const [a] = await open(world)
    const { store, bus } = who(world, 0)
    const log: string[] = []
    const commit = store.commit.bind(store)
    store.commit = async (batch) => {
      await commit(batch)
      log.push('commit')
    }
    const send = bus.send.bind(bus)
    bus.send = (to, payload) => {
      log.push(messages.decode(payload).kind)
      return send(to, payload)
    }
    for (const words of [
      ['commit', 'channelUpdate', 'commit'],
      ['channelUpdate', 'commit'],
      ['channelUpdate', 'commit'],
    ]) {
      await a?.update(pay(0).edit)
      expect(log.splice(0)).deep.equals(words)
    }
  })

  it('nobody answers in time -> what was proposed is written, and said again after a restart', async () => {
    const world = await group(2)
    const [a, b] = await open(world)
    await a?.update(pay(0).edit)
    await kill(who(world, 1))
    const error = a && (await failure(a.update(pay(0, 5n).edit, { timeout: 20 })))
    expect(error?.code).equals('UPDATE_TIMEOUT')
    const alice = await restarted(who(world, 0), world)
    const mine = alice.client.channels()[0]
    expect([mine?.phase, mine?.state.version]).deep.equals(['signing', 1n])
    await restarted(who(world, 1), world)
    await settled(() => mine?.state.version === 2n)
    expect(b?.id).equals(mine?.id)
  })

  it('the commit of the answer fails -> STORE_FAILED; after a restart what the other has comes back, and updates go on', async () => {
    const world = await group(2)
    const [a, b] = await open(world)
    const { store } = who(world, 0)
    await a?.update(pay(0).edit)
    const commit = store.commit.bind(store)
    store.commit = async () => {
      throw new PerkunasError('STORE_FAILED', 'disk full', { operation: 'commit' })
    }
    const error = a && (await failure(a.update(pay(0, 5n).edit)))
    expect(error?.code).equals('STORE_FAILED')
    expect(b?.state.version).equals(2n)
    store.commit = commit
    const alice = await restarted(who(world, 0), world)
    const mine = alice.client.channels()[0]
    await mine?.update(pay(0, 7n).edit)
    expect(mine?.state.allocation.balances).deep.equals([[87n, 113n]])
    await b?.update(pay(1, 1n).edit)
    expect(b?.state.allocation.balances).deep.equals([[88n, 112n]])
  })

  it('both come back at the same place, and either proposes -> it is asked what is forgotten, and both go on', async () => {
    for (const proposer of [0, 1] as const) {
      const world = await group(2)
      const [a, b] = await open(world)
      await a?.update(pay(0).edit)
      await b?.update(pay(1).edit)
      for (const party of world.parties) await kill(party)
      const parties = [await restarted(who(world, 0), world), await restarted(who(world, 1), world)]
      const channels = parties.map(({ client }) => client.channels()[0])
      await channels[proposer]?.update(pay(proposer, 3n).edit)
      await channels[1 - proposer]?.update(pay(1 - proposer, 1n).edit)
      await settled(() => channels[0]?.state.version === channels[1]?.state.version)
      expect(parties.flatMap(({ errors }) => errors)).deep.equals([])
    }
  })

  it('the lease of a process ran out -> a reserved proposal does not leave', async () => {
    const world = await group(2)
    const said: Message['kind'][] = []
    const lost = new AbortController()
    let isOver = false
    const leases = {
      lost: lost.signal,
      hold: () => true,
      acquire: async () => [],
      acquireFree: async () => [],
      release: async () => undefined,
      onFree: () => () => undefined,
      confirm: () =>
        isOver
          ? Promise.reject(new PerkunasError('STORE_FAILED', 'taken for dead', { operation: 'confirm' }))
          : undefined,
      resign: async () => undefined,
    }
    const alice = await restarted(who(world, 0), world, { leases })
    const parties = [alice, who(world, 1)]
    const [a] = await open({ ...world, parties })
    await a?.update(pay(0).edit)
    const { bus } = alice
    const send = bus.send.bind(bus)
    bus.send = (to, payload) => {
      said.push(messages.decode(payload).kind)
      return send(to, payload)
    }
    isOver = true
    const error = a && (await failure(a.update(pay(0).edit)))
    expect(error?.code).equals('STORE_FAILED')
    expect(said).deep.equals([])
  })

  it('put to rest while what it proposed is not answered -> nothing of it is lost', async () => {
    const world = await group(2, { client: { warmChannels: 0 } })
    const [a] = await open(world)
    await a?.update(pay(0).edit)
    await kill(who(world, 1))
    const pending = a?.update(pay(0, 5n).edit, { timeout: 50 })
    const error = pending && (await failure(pending))
    expect(error?.code).equals('UPDATE_TIMEOUT')
    expect(a?.phase).equals('signing')
    await restarted(who(world, 1), world)
    await settled(() => a?.state.version === 2n)
  })
})
