import { expect } from 'chai'
import {
  appResolver,
  type CallOptions,
  type ChannelID,
  PerkunasError,
  type StateApp,
  transfer,
} from '../../channel/index.js'
import { type Channel, type ChannelEvent, reject } from '../../client/index.js'
import {
  failure,
  type Group,
  group,
  kill,
  open,
  passTime,
  restarted,
  settled,
  WEALTH,
  who,
} from './parties.js'

const short = { timeouts: { proposal: 500, update: 100, settlement: 30 } }

function balances({ ledger, assets, parties }: Group, asset = 0): bigint[] {
  return parties.map(({ address }) => ledger.balanceOf(assets[asset] ?? assets[0], address))
}

function at<T>(items: readonly T[], i: number): T {
  const item = items[i]
  if (item === undefined) throw new Error(`no item ${i}`)
  return item
}

/** By when an adjudicator is asked to be through, beside the deadline that stands on the ledger then. */
function deadlines(
  { parties, ledger }: Group,
  id: ChannelID,
  { of, call }: { readonly of: number; readonly call: 'register' | 'progress' },
) {
  const { adjudicator } = at(parties, of).backend
  const seen: { readonly asked: bigint | undefined; readonly standing: bigint | undefined }[] = []
  const note = ({ deadline }: CallOptions = {}) =>
    seen.push({ asked: deadline, standing: ledger.dispute(id)?.timeout })
  const { register, progress } = adjudicator
  if (call === 'register') {
    adjudicator.register = (request, options) => {
      note(options)
      return register.call(adjudicator, request, options)
    }
  } else {
    adjudicator.progress = (request, options) => {
      note(options)
      return progress.call(adjudicator, request, options)
    }
  }
  return seen
}

const pay = (channel: Channel, from: number, to: number, amount: bigint) =>
  channel.update((draft) => transfer(draft, { from, to, amount }))

describe('settlement: together', () => {
  it('one participant settles -> one transaction pays everybody, and all others are through with it too', async () => {
    const world = await group(3)
    const channels = await open(world)
    await pay(at(channels, 0), 0, 1, 30n)
    const before = world.ledger.head.number
    await at(channels, 1).settle()
    expect(balances(world)).deep.equals([WEALTH - 30n, WEALTH + 30n, WEALTH])
    await settled(() => world.parties.every(({ client }) => client.channels().length === 0))
    expect(world.ledger.head.number - before).equals(1)
    for (const { store } of world.parties) expect(store.snapshot().size).equals(0)
  })

  it('everybody settles at once -> everybody is paid once', async () => {
    const world = await group(4)
    const channels = await open(world)
    await pay(at(channels, 0), 0, 3, 30n)
    await Promise.all(channels.map((channel) => channel.settle()))
    expect(balances(world)).deep.equals([WEALTH - 30n, WEALTH, WEALTH, WEALTH + 30n])
  })

  it('a participant who authorizes nothing -> the final state is concluded without it', async () => {
    const world = await group(2, { client: short })
    const channels = await open(world)
    await pay(at(channels, 0), 0, 1, 30n)
    who(world, 1).backend.adjudicator.authorizeClose = () => new Promise(() => undefined)
    await at(channels, 0).settle({ timeout: 10_000 }) // for the final state; being paid together gets 50 ms
    await at(channels, 1).settle()
    expect(balances(world)).deep.equals([WEALTH - 30n, WEALTH + 30n])
  })

  it('everybody settles at once -> one of them closes for all, whoever proposed first', async () => {
    for (const size of [2, 2, 2, 2, 3, 3]) {
      const world = await group(size)
      const channels = await open(world)
      let closings = 0
      for (const { backend } of world.parties) {
        const close = backend.adjudicator.close.bind(backend.adjudicator)
        backend.adjudicator.close = async (...request) => {
          closings++
          await close(...request)
        }
      }
      await Promise.all(channels.map((channel) => channel.settle()))
      expect(closings).equals(1)
    }
  })

  it('a settled channel -> its calls end with CLOSED or PHASE_MISMATCH, its observables complete', async () => {
    const world = await group(2)
    const channels = await open(world)
    const phases: string[] = []
    let completed = false
    at(channels, 0).phases$.subscribe({
      next: (phase) => phases.push(phase),
      complete: () => (completed = true),
    })
    await at(channels, 0).settle()
    await settled(() => completed)
    expect(phases.at(0)).equals('acting')
    expect(phases.slice(-3)).deep.equals(['final', 'withdrawing', 'withdrawn'])
    expect(['CLOSED', 'PHASE_MISMATCH']).includes((await failure(pay(at(channels, 0), 0, 1, 1n))).code)
  })
})

describe('settlement: alone', () => {
  it('a peer that is gone -> register, deadline, withdraw: our share of the newest state, and the peer finds its own later', async () => {
    const world = await group(2, { client: short })
    const channels = await open(world)
    await pay(at(channels, 0), 0, 1, 30n)
    await pay(at(channels, 1), 1, 0, 10n)
    await kill(who(world, 1))
    let done = false
    const settling = at(channels, 0)
      .settle()
      .then(() => {
        done = true
      })
    await passTime(world, () => done)
    await settling
    expect(balances(world)).deep.equals([WEALTH - 20n, WEALTH - 100n])
    const bob = await restarted(who(world, 1), world, short)
    await passTime(world, () => balances(world)[1] === WEALTH + 20n)
    await settled(() => bob.client.channels().length === 0)
  })

  it('a peer that refuses the end -> the ledger decides', async () => {
    const app: StateApp = {
      kind: 'state',
      id: '0x01',
      faultOfInit: () => undefined,
      faultOfTransition: () => undefined,
    }
    const world = await group(2, { apps: appResolver(app), client: short })
    const channels = await open(world, { app: '0x01', data: '0x00' })
    who(world, 1).client.handleUpdates(() => reject('I am winning'))
    let done = false
    const settling = at(channels, 0)
      .settle()
      .then(() => {
        done = true
      })
    await passTime(world, () => done)
    await settling
    await passTime(world, () => balances(world).every((balance) => balance === WEALTH))
  })

  it('an old state is registered -> refuted by the newest, without anybody calling anything', async () => {
    const world = await group(2, { client: short })
    const [a, b] = await open(world)
    const alice = who(world, 0)
    if (a === undefined || b === undefined) throw new Error('two channels')
    const old = a.signedState
    if (old === undefined) throw new Error('signed by all')
    await pay(a, 0, 1, 60n)
    const events: ChannelEvent[] = []
    b.events$.subscribe((event) => events.push(event))
    const asked = deadlines(world, a.id, { of: 1, call: 'register' })
    await alice.backend.adjudicator.register({ signed: old, subChannels: [] })
    await settled(() => events.some(({ kind }) => kind === 'atRisk'))
    await settled(() => world.ledger.dispute(a.id)?.version === 1n)
    expect(asked.map(({ asked, standing }) => asked !== undefined && asked === standing)).deep.equals([true])
    await passTime(world, () => balances(world).join() === [WEALTH - 60n, WEALTH + 60n].join())
  })

  for (const isRestarted of [false, true]) {
    const when = isRestarted ? ', while we are away' : ''
    it(`a refutation goes away with its block${when} -> what it refuted stands again, and is refuted again`, async () => {
      const world = await group(2, { finalityDepth: 3, autoMine: 'off', client: short })
      const opening = open(world)
      await settled(() => {
        world.ledger.mine()
        return world.parties.every(({ client }) => client.channels()[0]?.phase === 'acting')
      })
      const [a] = await opening
      const [alice, bob] = [who(world, 0), who(world, 1)]
      const old = a?.signedState
      if (a === undefined || old === undefined) throw new Error('signed by all')
      await pay(a, 0, 1, 60n)
      await kill(alice)
      const registered = () => world.ledger.dispute(a.id)?.version
      world.ledger.submit(alice.address, { kind: 'register', signed: old, subChannels: [] })
      world.ledger.mine(1, { limit: 1 })
      const channel = bob.client.channel(a.id)
      const seen: bigint[] = []
      channel?.events$.subscribe((said) => {
        if (said.kind === 'ledger' && said.event.kind === 'registered') seen.push(said.event.version)
      })
      await settled(() => channel?.phase === 'registered' && world.ledger.mempool.length === 1)
      // What was registered first is final before what refutes it is there.
      world.ledger.mine(2, { limit: 0 })
      world.ledger.mine()
      expect(registered()).equals(1n)
      await settled(() => seen.includes(1n))
      if (isRestarted) await kill(bob)
      world.ledger.reorg(1, { drop: true })
      expect(registered()).equals(0n)
      if (isRestarted) await restarted(bob, world, short)
      await settled(() => world.ledger.mempool.length > 0)
      world.ledger.mine()
      expect(registered()).equals(1n)
    })
  }

  it('a dispute is cleared by a state that we signed but never saw complete -> we have it from the ledger', async () => {
    const world = await group(2, { client: short })
    const [a, b] = await open(world)
    const [alice, bob] = [who(world, 0), who(world, 1)]
    if (a === undefined || b === undefined) throw new Error('two channels')
    world.network.hold(bob.peer, alice.peer)
    const paying = pay(a, 0, 1, 60n)
    await settled(() => b.state.version === 1n)
    const signed = b.signedState
    if (signed === undefined) throw new Error('signed by all')
    await bob.backend.adjudicator.checkpoint({ signed, subChannels: [] })
    await settled(() => a.state.version === 1n)
    expect((await paying).version).equals(1n)
  })

  it('an old state is registered while we are away -> refuted as soon as we are back', async () => {
    const world = await group(2, { client: short })
    const [a] = await open(world)
    const alice = who(world, 0)
    const old = a?.signedState
    if (a === undefined || old === undefined) throw new Error('signed by all')
    await pay(a, 0, 1, 60n)
    await kill(who(world, 1))
    await alice.client.close()
    await alice.backend.adjudicator.register({ signed: old, subChannels: [] })
    await restarted(who(world, 1), world, short)
    await settled(() => world.ledger.dispute(a.id)?.version === 1n)
    await passTime(world, () => balances(world)[1] === WEALTH + 60n)
  })

  it('a state registered before all had funded, and reorganised away -> the channel is funded and opens', async () => {
    const world = await group(2, { finalityDepth: 3, client: short })
    const [alice, bob] = [who(world, 0), who(world, 1)]
    const fund = bob.backend.funder.fund.bind(bob.backend.funder)
    let deposit: () => void = () => undefined
    bob.backend.funder.fund = async (...request) => {
      await new Promise<void>((resolve) => {
        deposit = resolve
      })
      return fund(...request)
    }
    const opening = open(world)
    await settled(() => alice.client.channels()[0]?.phase === 'funding' && bob.client.channels().length === 1)
    const channel = at(alice.client.channels(), 0)
    const signed = channel.signedState
    if (signed === undefined) throw new Error('signed by all')
    const sending = new AbortController()
    const { signal } = sending
    void alice.backend.adjudicator.register({ signed, subChannels: [] }, { signal }).catch(() => undefined)
    await settled(() => channel.phase === 'registered')
    sending.abort() // it would be sent again otherwise
    world.ledger.reorg(1, { drop: true })
    await settled(() => channel.phase === 'funding')
    deposit()
    let opened = false
    void opening.then(() => {
      opened = true
    })
    await settled(() => {
      world.ledger.mine()
      return opened
    })
    expect(channel.phase).equals('acting')
  })

  it('the node of the chain stops during a dispute -> the settlement goes on when it is back', async () => {
    const world = await group(2, { client: short })
    const [a] = await open(world)
    if (a === undefined) throw new Error('a channel')
    await pay(a, 0, 1, 10n)
    await kill(who(world, 1))
    who(world, 0).node.stop()
    let done = false
    const settling = a.settle().then(() => {
      done = true
    })
    await settled(() => a.phase === 'registering')
    await new Promise((resolve) => setTimeout(resolve, 50))
    who(world, 0).node.start()
    await passTime(world, () => done)
    await settling
    expect(balances(world)[0]).equals(WEALTH - 10n)
  })

  it('a transaction that the ledger rejects -> tried again, reported, and in the end everybody is paid', async () => {
    const world = await group(2, { client: short })
    const channels = await open(world)
    world.ledger.fail({ how: 'reject', reason: 'try later', kind: 'register' })
    await kill(who(world, 1))
    let done = false
    const settling = at(channels, 0)
      .settle()
      .then(() => {
        done = true
      })
    await passTime(world, () => done)
    await settling
    expect(who(world, 0).errors.some((error: PerkunasError) => error.code === 'TRANSACTION_FAILED')).equals(
      true,
    )
    expect(balances(world)[0]).equals(WEALTH)
  })
})

describe('settlement: when it is too late to refute', () => {
  it('a state gets complete then -> nobody is told that it is agreed, and all are paid by the registered one', async () => {
    const world = await group(2, { client: short })
    const [a] = await open(world)
    const [alice, bob] = [who(world, 0), who(world, 1)]
    if (a === undefined) throw new Error('a channel')
    const told: bigint[] = []
    a.updates$.subscribe(({ to }) => told.push(to.version))
    world.network.hold(bob.peer, alice.peer)
    const paying = failure(pay(a, 0, 1, 60n))
    await settled(() => bob.client.channel(a.id)?.state.version === 1n)
    bob.node.stop()
    const settling = a.settle({ timeout: 1 })
    await settled(() => a.phase === 'registered')
    alice.node.stop()
    world.ledger.advance(60n)
    world.network.resume(bob.peer, alice.peer)
    await settled(() => a.obligations.length > 0) // it has what it could refute with
    expect((await paying).code).equals('UPDATE_TIMEOUT')
    expect([a.state.version, a.signedState?.state.version, told]).deep.equals([0n, 0n, []])
    alice.node.start()
    await settling
    expect([told, balances(world)[0]]).deep.equals([[], WEALTH])
  })

  it('an old state was registered while we saw no ledger -> we are paid by it, whatever fails on the way', async () => {
    const world = await group(2, { client: short })
    const [a] = await open(world)
    const alice = who(world, 0)
    const old = a?.signedState
    if (a === undefined || old === undefined) throw new Error('signed by all')
    await pay(a, 0, 1, 60n)
    await kill(who(world, 1))
    alice.node.stop()
    world.ledger.submit(who(world, 1).address, { kind: 'register', signed: old, subChannels: [] })
    await settled(() => world.ledger.dispute(a.id)?.phase === 'dispute')
    world.ledger.advance(60n)
    const withdraw = alice.backend.adjudicator.withdraw.bind(alice.backend.adjudicator)
    let failures = 0
    alice.backend.adjudicator.withdraw = async (...request) => {
      if (failures++ === 0) throw new PerkunasError('LEDGER_UNREACHABLE', 'a moment', { ledger: 'sim' })
      return withdraw(...request)
    }
    alice.node.start()
    await settled(() => balances(world)[0] === WEALTH)
    await settled(() => alice.client.channels().length === 0)
  })
})

describe('forced progression', () => {
  /** Data is one byte that may only grow by one; who acts takes one coin from the other. */
  const counter: StateApp = {
    kind: 'state',
    id: '0x0c',
    faultOfInit: (_params, state) => (state.data === '0x00' ? undefined : 'begin at 0'),
    faultOfTransition: (_params, from, to) =>
      Number(to.data) === Number(from.data) + 1 ? undefined : 'count by one',
  }
  const move = (channel: Channel, by: 'update' | 'forceUpdate') =>
    channel[by]((draft) => {
      draft.data = `0x${(Number(draft.data) + 1).toString(16).padStart(2, '0')}`
      transfer(draft, { from: 1 - channel.index, to: channel.index, amount: 1n })
    })

  it('a peer that no longer answers -> the ledger enforces our step, and pays by it', async () => {
    const world = await group(2, { apps: appResolver(counter), client: short })
    const channels = await open(world, { app: '0x0c', data: '0x00' })
    await move(at(channels, 0), 'update')
    await kill(who(world, 1))
    let forced = false
    const forcing = move(at(channels, 0), 'forceUpdate').then(() => {
      forced = true
    })
    await passTime(world, () => forced)
    await forcing
    expect(at(channels, 0).phase).equals('progressed')
    expect(at(channels, 0).state.version).equals(2n)
    // Nothing is forgotten before it is paid.
    expect(who(world, 0).store.snapshot().size).equals(2)
    let done = false
    const settling = at(channels, 0)
      .settle()
      .then(() => {
        done = true
      })
    await passTime(world, () => done)
    await settling
    expect(balances(world)[0]).equals(WEALTH + 2n)
    await restarted(who(world, 1), world, short)
    await passTime(world, () => balances(world)[1] === WEALTH - 2n)
  })

  it('steps of ours -> asked for by when the ledger takes them, a registration without a hurry', async () => {
    const world = await group(2, { apps: appResolver(counter), client: short })
    const channels = await open(world, { app: '0x0c', data: '0x00', challengeDuration: 60n })
    const { id } = at(channels, 0)
    await kill(who(world, 1))
    const registering = deadlines(world, id, { of: 0, call: 'register' })
    const stepping = deadlines(world, id, { of: 0, call: 'progress' })
    const forcing = move(at(channels, 0), 'forceUpdate')
    await settled(() => world.ledger.dispute(id) !== undefined)
    world.ledger.advanceTo(world.ledger.dispute(id)?.timeout ?? 0n)
    await forcing
    expect((await move(at(channels, 0), 'forceUpdate')).version).equals(2n)
    expect(registering).deep.equals([{ asked: undefined, standing: undefined }])
    // Before the first step of an app the ledger waits once more.
    expect(
      stepping.map(
        ({ asked, standing }) => asked !== undefined && standing !== undefined && asked - standing,
      ),
    ).deep.equals([60n, 0n])
    await kill(who(world, 0))
  })

  it('a step that breaks the rules of the app -> APP_REFUSED, and the channel still pays out', async () => {
    const world = await group(2, { apps: appResolver(counter), client: short })
    const channels = await open(world, { app: '0x0c', data: '0x00' })
    await kill(who(world, 1))
    let error: PerkunasError | undefined
    const forcing = failure(
      at(channels, 0).forceUpdate((draft) => {
        draft.data = '0x07'
      }),
    ).then((caught) => {
      error = caught
    })
    await passTime(world, () => error !== undefined)
    await forcing
    expect(error?.code).equals('APP_REFUSED')
    let done = false
    const settling = at(channels, 0)
      .settle()
      .then(() => {
        done = true
      })
    await passTime(world, () => done)
    await settling
    expect(balances(world)[0]).equals(WEALTH)
  })

  it('a client that is closed while it waits for the ledger -> CLOSED at once', async () => {
    const world = await group(2, { apps: appResolver(counter), client: short })
    const channels = await open(world, { app: '0x0c', data: '0x00' })
    await kill(who(world, 1))
    const forcing = failure(move(at(channels, 0), 'forceUpdate'))
    await settled(() => world.ledger.deadlines.length > 0 && at(channels, 0).phase === 'registered')
    await who(world, 0).client.close()
    expect((await forcing).code).equals('CLOSED')
  })

  it('a channel without an app -> UNSUPPORTED', async () => {
    const world = await group(2)
    const channels = await open(world)
    expect((await failure(at(channels, 0).forceUpdate(() => undefined))).code).equals('UNSUPPORTED')
  })
})
