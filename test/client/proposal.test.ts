import { expect } from 'chai'
import { Packr } from 'msgpackr'
import { fromHex, isError, type PerkunasError, toHex } from '../../channel/index.js'
import { accept, reject } from '../../client/index.js'
import { type ChannelProposal, messages } from '../../client/messages.js'
import { unpack } from '../../peer/msgpack.js'
import { Mallory } from './mallory.js'
import {
  failure,
  type Group,
  group,
  next,
  open,
  type Party,
  passTime,
  settled,
  WEALTH,
  who,
} from './parties.js'

/** An encoder without any limit. */
const byItself = new Packr({ useRecords: false, moreTypes: false, variableMapSize: true })
const short = { timeouts: { proposal: 200, update: 200, settlement: 50 } }

async function untouched(world: Group): Promise<void> {
  for (const party of world.parties) {
    expect(world.ledger.balanceOf(world.assets[0], party.address)).equals(WEALTH)
    expect(party.client.channels()).deep.equals([])
  }
}

/** The next thing that a client complains of. */
function complaint(party: Party): Promise<PerkunasError> {
  return new Promise((resolve) => {
    const subscription = party.client.errors$.subscribe((error) => {
      subscription.unsubscribe()
      resolve(error)
    })
  })
}

describe('proposal: refusals and silences', () => {
  it('more than the proposer owns -> FUNDING_FAILED that names the channel and why; the others get theirs back', async () => {
    const world = await group(2)
    const allocation = { assets: [world.assets[0]], balances: [[WEALTH + 1n, 5n]] }
    const error = await failure(open(world, { allocation }))
    if (!isError(error, 'FUNDING_FAILED')) throw error
    expect(isError(error.cause, 'TRANSACTION_FAILED')).equals(true)
    expect(error.message.split(error.facts.channel), 'named once').has.length(2)
    const channel = who(world, 0).client.channel(error.facts.channel)
    expect(channel?.id).equals(error.facts.channel)
    await passTime(world, () => world.parties.every(({ client }) => client.channels().length === 0))
    await untouched(world)
  })

  it('a participant who rejects -> everybody ends with PEER_REJECTED that names it and its reason', async () => {
    const world = await group(3)
    who(world, 2).client.handleProposals(() => reject('too small'))
    const others = complaint(who(world, 1))
    const error = await failure(open(world))
    expect(isError(error, 'PEER_REJECTED') && error.facts).deep.equals({
      peer: who(world, 2).peer,
      participant: 2,
      reason: 'too small',
    })
    expect((await others).code).equals('PEER_REJECTED')
    await untouched(world)
  })

  it('a handler that throws -> a refusal for the others, HANDLER_FAILED for its own client, which goes on', async () => {
    const world = await group(2)
    who(world, 1).client.handleProposals(() => {
      throw new Error('bug')
    })
    const own = complaint(who(world, 1))
    expect((await failure(open(world))).code).equals('PEER_REJECTED')
    expect((await own).code).equals('HANDLER_FAILED')
    who(world, 1).client.handleProposals(() => accept())
    expect((await open(world)).length).equals(2)
  })

  it('a participant who never decides -> PROPOSAL_TIMEOUT that names it, on all sides', async () => {
    const world = await group(3, { client: short })
    who(world, 2).client.handleProposals(() => new Promise(() => undefined))
    const others = complaint(who(world, 1))
    const error = await failure(open(world))
    expect(isError(error, 'PROPOSAL_TIMEOUT') && error.facts.waitingFor).deep.equals([2])
    expect(['PROPOSAL_TIMEOUT', 'PEER_REJECTED']).includes((await others).code)
    await untouched(world)
  })

  it('nobody listens -> PEER_UNREACHABLE', async () => {
    const world = await group(2)
    await who(world, 1).client.close()
    await who(world, 1).bus.close()
    expect((await failure(open(world))).code).equals('PEER_UNREACHABLE')
  })

  it('aborted before it is agreed -> ABORTED, and the others end it too', async () => {
    const world = await group(2)
    const controller = new AbortController()
    who(world, 1).client.handleProposals(() => {
      controller.abort()
      return new Promise(() => undefined)
    })
    const others = complaint(who(world, 1))
    expect((await failure(open(world, { signal: controller.signal }))).code).equals('ABORTED')
    expect((await others).code).equals('PEER_REJECTED')
    await untouched(world)
  })

  for (const [what, change] of [
    ['no other peer', { peers: [] }],
    ['a challenge duration of 0', { challengeDuration: 0n }],
    ['a challenge duration of 2^64', { challengeDuration: 2n ** 64n }],
    ['an unknown app', { app: '0x1234' as const }],
    ['an agreement of other sums', { agreement: [[1n, 2n]] }],
  ] as const) {
    it(`our own proposal with ${what} -> refused before anything is sent`, async () => {
      const world = await group(2)
      const error = await failure(open(world, change))
      expect(['INVALID_PARAMS', 'INVALID_STATE', 'INVALID_ARGUMENT']).includes(error.code)
      expect(world.network.delivered).equals(0)
    })
  }

  it('our own proposal with something locked -> UNSUPPORTED before anything is sent; with an empty list it opens', async () => {
    const world = await group(2)
    const allocation = { assets: [world.assets[0]], balances: [[100n, 100n]] }
    const lock = { channelID: `0x${'01'.repeat(32)}`, balances: [1n], indexMap: [] }
    const locking = { ...allocation, locked: [lock] }
    expect((await failure(open(world, { allocation: locking }))).code).equals('UNSUPPORTED')
    expect(world.network.delivered).equals(0)
    await open(world, { allocation: Object.assign({ locked: [] }, allocation) })
  })
})

describe('proposal: connections', () => {
  it('one that is replaced in the midst, as when both dial at once -> the channel opens all the same', async () => {
    for (const lost of ['channelProposal', 'channelProposalAcc', 'initialSignature'] as const) {
      const world = await group(2)
      const [alice, bob] = [who(world, 0), who(world, 1)]
      const stop = world.network.drop(
        lost === 'channelProposalAcc' ? bob.peer : alice.peer,
        lost === 'channelProposalAcc' ? alice.peer : bob.peer,
        (payload) => {
          if (messages.decode(payload).kind !== lost) return false
          queueMicrotask(() => world.network.disconnect(alice.peer, bob.peer))
          stop()
          return true
        },
      )
      alice.bus.connect(bob.peer)
      await settled(() => alice.bus.isConnected(bob.peer))
      expect(await open(world)).has.length(2)
    }
  })
})

describe('proposal: said again', () => {
  it('one that is over, because its proposer has not heard the last word -> the word again, no second question', async () => {
    const world = await group(2)
    const [alice, bob] = [who(world, 0), who(world, 1)]
    let asked = 0
    bob.client.handleProposals(() => {
      asked++
      return accept()
    })
    const stop = world.network.drop(
      bob.peer,
      alice.peer,
      (payload) => messages.decode(payload).kind === 'initialSignature',
    )
    const opening = open(world)
    await settled(() => bob.client.channels().length === 1)
    stop()
    alice.bus.connect(bob.peer)
    world.network.disconnect(alice.peer, bob.peer)
    expect(await opening).has.length(2)
    expect(asked).equals(1)
  })

  it('one that was refused -> the refusal again, no second question', async () => {
    const world = await group(2)
    const bob = who(world, 1)
    let asked = 0
    bob.client.handleProposals(() => {
      asked++
      return reject('no')
    })
    const mallory = await Mallory.over(who(world, 0), world)
    const proposal = mallory.proposal([bob.peer])
    for (let i = 0; i < 3; i++) {
      await mallory.say(bob, proposal)
      expect((await mallory.hear('channelProposalRej')).reason).equals('no')
    }
    expect(asked).equals(1)
  })
})

describe('proposal: a hostile proposer', () => {
  type Change = (m: Mallory, victim: Party) => Partial<ChannelProposal>
  const wrong: readonly (readonly [string, Change])[] = [
    ['herself alone', (m) => ({ peers: [m.party.peer] })],
    [
      'the same peer twice',
      (m, v) => ({
        peers: [m.party.peer, v.peer, v.peer],
        balances: [[1n, 1n, 1n]],
        agreement: [[1n, 1n, 1n]],
      }),
    ],
    ['another proposer', (m, v) => ({ peers: [v.peer, m.party.peer] })],
    ['balances for three', () => ({ balances: [[1n, 1n, 1n]], agreement: [[1n, 1n, 1n]] })],
    [
      'unequal dimensions',
      () => ({
        balances: [
          [1n, 1n],
          [1n, 1n],
        ],
        agreement: [
          [1n, 1n],
          [1n, 1n],
        ],
      }),
    ],
    ['an agreement of other sums', () => ({ agreement: [[100n, 101n]] })],
    ['an agreement of other dimensions', () => ({ agreement: [[200n]] })],
    [
      'amounts whose sum is more than an amount',
      () => ({ balances: [[2n ** 256n - 1n, 1n]], agreement: [[2n ** 256n - 1n, 1n]] }),
    ],
    ['a challenge duration of 0', () => ({ challengeDuration: 0n })],
    ['a challenge duration beyond the ledger', () => ({ challengeDuration: 2n ** 64n - 1n })],
    ['an unknown asset', () => ({ assets: [{ backend: 0, id: '0xffff' }] })],
    ['an unknown app', () => ({ app: '0xabcd' })],
    ['data without an app', () => ({ data: '0x01' })],
    ["the victim's own address", (_m, v) => ({ participant: { [v.backend.rules.backend]: v.address } })],
    ['a session ID that is no hash of it', () => ({ session: `0x${'42'.repeat(32)}` })],
  ]
  for (const [what, change] of wrong) {
    it(`proposes ${what} -> refused with a reason, nothing is funded`, async () => {
      const world = await group(2)
      const victim = who(world, 1)
      const mallory = await Mallory.over(who(world, 0), world)
      const complained = complaint(victim)
      await mallory.say(victim, mallory.proposal([victim.peer], change(mallory, victim)))
      expect((await mallory.hear('channelProposalRej')).reason).not.equals('')
      expect(['INVALID_PARAMS', 'INVALID_STATE', 'INVALID_AMOUNT', 'PEER_MISBEHAVED']).includes(
        (await complained).code,
      )
      await untouched(world)
    })
  }

  it('proposes 1 025 participants -> the connection is lost, the client goes on', async () => {
    const world = await group(3)
    const victim = who(world, 1)
    const mallory = await Mallory.over(who(world, 0), world)
    const many = Array.from({ length: 1025 }, (_, i) => toHex(Uint8Array.from({ length: 33 }, () => i & 255)))
    const proposal = mallory.proposal([victim.peer], { session: `0x${'00'.repeat(32)}` })
    expect(() => messages.encode({ ...proposal, peers: many })).throws()
    const wire: unknown = unpack(messages.encode(proposal))
    if (!Array.isArray(wire)) throw new Error('a message is a list')
    const at = wire.findIndex(
      (field) => Array.isArray(field) && field[0] instanceof Uint8Array && field[0].length === 33,
    )
    expect(at).greaterThan(0)
    await mallory.shout(
      victim,
      Uint8Array.from(
        byItself.pack(wire.map((field, i) => (i === at ? many.map((id) => fromHex(id)) : field))),
      ),
    )
    await new Promise((resolve) => mallory.bus.onPeer(resolve))
    expect(mallory.bus.isConnected(victim.peer)).equals(false)
    await openWith(world, 2, 1)
  })

  const byHand: readonly (readonly [string, unknown, unknown])[] = [
    ['a negative amount', 'balances', [[-1, 101]]],
    ['an amount of 33 bytes', 'balances', [[new Uint8Array(33).fill(1), Uint8Array.of(1)]]],
    ['an amount with a leading zero', 'balances', [[Uint8Array.of(0, 1), Uint8Array.of(1)]]],
    ['a challenge duration of 2^64', 60, 2 ** 64],
    ['a challenge duration below 0', 60, -1],
  ]
  for (const [what, field, value] of byHand) {
    it(`writes ${what} by hand -> the connection is lost, the client goes on`, async () => {
      const world = await group(3)
      const victim = who(world, 1)
      const mallory = await Mallory.over(who(world, 0), world)
      const wire: unknown = unpack(messages.encode(mallory.proposal([victim.peer])))
      if (!Array.isArray(wire)) throw new Error('a message is a list')
      const isRow = (it: unknown) =>
        Array.isArray(it) && Array.isArray(it[0]) && it[0][0] instanceof Uint8Array
      const at = wire.findIndex((it) => (field === 'balances' ? isRow(it) : it === field))
      expect(at).greaterThan(0)
      const lost = new Promise((resolve) =>
        mallory.bus.onPeer(({ kind }) => kind === 'disconnected' && resolve(kind)),
      )
      await mallory.shout(victim, Uint8Array.from(byItself.pack(wire.with(at, value))))
      await lost
      await openWith(world, 2, 1)
    })
  }

  it('proposes and withdraws, on and on -> few questions, then PEER_OVERLOADED; others are still asked', async () => {
    const world = await group(3)
    const victim = who(world, 1)
    let asked = 0
    victim.client.handleProposals(() => {
      asked++
      return new Promise(() => undefined)
    })
    const mallory = await Mallory.over(who(world, 0), world)
    for (let i = 0; i < 80; i++) {
      const proposal = mallory.proposal([victim.peer])
      const { session } = proposal
      await mallory.say(victim, proposal)
      await mallory.say(victim, { kind: 'channelProposalRej', session, reason: 'changed my mind' })
    }
    for (let i = 64; i < 80; i++) await mallory.hear('channelProposalRej')
    expect(asked).equals(64)
    expect(victim.errors.filter(({ code }) => code === 'PEER_OVERLOADED')).has.length(16)
    victim.client.handleProposals(() => accept())
    await openWith(world, 2, 1)
  })

  it('signs the initial state wrongly -> the victim ends it and funds nothing', async () => {
    const world = await group(2)
    const victim = who(world, 1)
    const mallory = await Mallory.over(who(world, 0), world)
    const proposal = mallory.proposal([victim.peer])
    await mallory.say(victim, proposal)
    await mallory.hear('channelProposalAcc')
    const complained = complaint(victim)
    await mallory.say(victim, {
      kind: 'initialSignature',
      session: proposal.session,
      signature: `0x${'11'.repeat(65)}`,
    })
    expect((await complained).code).equals('INVALID_SIGNATURE')
    await untouched(world)
  })

  it('never deposits -> FUNDING_TIMEOUT names her, and the victim has its deposit back', async () => {
    const world = await group(2)
    const victim = who(world, 1)
    const mallory = await Mallory.over(who(world, 0), world)
    mallory.party.backend.funder.fund = async () => undefined
    const errors: PerkunasError[] = []
    victim.client.errors$.subscribe((error) => errors.push(error))
    await mallory.open(victim)
    await settled(() => world.ledger.balanceOf(world.assets[0], victim.address) < WEALTH)
    await passTime(world, () => world.ledger.balanceOf(world.assets[0], victim.address) === WEALTH)
    const timeout = errors.find((error) => error.code === 'FUNDING_TIMEOUT')
    expect(timeout !== undefined && isError(timeout, 'FUNDING_TIMEOUT') && timeout.facts.missing).deep.equals(
      [{ asset: 0, participants: [0] }],
    )
  })

  it('vanishes before she has signed -> the victim ends it with PEER_UNREACHABLE', async () => {
    const world = await group(2)
    const victim = who(world, 1)
    const mallory = await Mallory.over(who(world, 0), world)
    await mallory.say(victim, mallory.proposal([victim.peer]))
    await mallory.hear('channelProposalAcc')
    const complained = complaint(victim)
    await mallory.bus.close()
    expect((await complained).code).equals('PEER_UNREACHABLE')
    await untouched(world)
  })

  it('speaks of sessions that nobody began -> nothing happens, and what is kept is bounded', async () => {
    const world = await group(3)
    const victim = who(world, 1)
    const mallory = await Mallory.over(who(world, 0), world)
    for (let i = 0; i < 200; i++) {
      const session = `0x${i.toString(16).padStart(64, '0')}` as const
      await mallory.say(victim, { kind: 'initialSignature', session, signature: '0x' })
    }
    await openWith(world, 2, 1)
  })
})

async function openWith(world: Group, proposer: number, other: number): Promise<void> {
  const opened = next(who(world, other).client)
  await who(world, proposer).client.proposeChannel({
    peers: [who(world, other).peer],
    allocation: { assets: [world.assets[0]], balances: [[5n, 5n]] },
    challengeDuration: 60n,
  })
  await opened
}
