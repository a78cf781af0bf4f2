import { expect } from 'chai'
import {
  type Draft,
  draftOf,
  isError,
  type State,
  sameState,
  stateOf,
  transfer,
} from '../../channel/index.js'
import { accept, type Channel, reject } from '../../client/index.js'
import { messages } from '../../client/messages.js'
import { Mallory } from './mallory.js'
import { failure, type Group, group, kill, open, restarted, settled, who } from './parties.js'

const pay = (from: number, to: number, amount: bigint) => (draft: Draft) =>
  transfer(draft, { from, to, amount })

describe('update: agreement', () => {
  it('a handler that rejects -> PEER_REJECTED; the version stays unused and the next update has a higher one', async () => {
    const world = await group(2)
    const [a, b] = await two(world)
    who(world, 1).client.handleUpdates(() => reject('no'))
    const error = await failure(a.update(pay(0, 1, 1n)))
    expect(isError(error, 'PEER_REJECTED') && error.facts.reason).equals('no')
    expect(a.state.version).equals(0n)
    who(world, 1).client.handleUpdates(() => accept())
    expect((await a.update(pay(0, 1, 2n))).version).equals(2n)
    expect(b.state.version).equals(2n)
    expect((await b.update(pay(1, 0, 2n))).version).equals(3n)
  })

  it('one of three rejects -> nobody moves on, and the next update works for all', async () => {
    const world = await group(3)
    const channels = await open(world)
    const [a] = channels
    who(world, 2).client.handleUpdates(() => reject('no'))
    expect((await failure(channel(a).update(pay(0, 1, 1n)))).code).equals('PEER_REJECTED')
    who(world, 2).client.handleUpdates(() => accept())
    await channel(channels[1]).update(pay(1, 2, 5n))
    await settled(() => channels.every(({ state }) => state.allocation.balances[0]?.[2] === 105n))
    for (const { state, phase } of channels) expect([state, phase]).deep.equals([channel(a).state, 'acting'])
  })

  it('a handler that throws -> a refusal for the proposer, HANDLER_FAILED for its own client; the channel goes on', async () => {
    const world = await group(2)
    const [a] = await two(world)
    who(world, 1).client.handleUpdates(() => {
      throw new Error('bug')
    })
    expect((await failure(a.update(pay(0, 1, 1n)))).code).equals('PEER_REJECTED')
    expect(who(world, 1).errors.map(({ code }) => code)).deep.equals(['HANDLER_FAILED'])
    who(world, 1).client.handleUpdates(async () => {
      throw new Error('bug')
    })
    expect((await failure(a.update(pay(0, 1, 1n)))).code).equals('PEER_REJECTED')
    who(world, 1).client.handleUpdates(() => accept())
    await a.update(pay(0, 1, 1n))
  })

  it('a handler that gives no decision, or no text as its reason -> the same; a promise of any make counts', async () => {
    const world = await group(2)
    const [a] = await two(world)
    const bob = who(world, 1)
    const unprintable = {
      toString() {
        throw new Error('bug')
      },
    }
    // What only untyped programs can give.
    const answers: unknown[] = [undefined, 7, {}, { accept: 'yes' }, { accept: false }, 1n]
    answers.push({ accept: false, reason: Symbol('no') }, { accept: false, reason: unprintable })
    for (const answer of answers) {
      bob.client.handleUpdates(JSON.parse.bind(undefined, 'null', () => answer))
      expect((await failure(a.update(pay(0, 1, 1n)))).code).equals('PEER_REJECTED')
    }
    expect(bob.errors.map(({ code }) => code)).deep.equals(answers.map(() => 'HANDLER_FAILED'))
    const { then } = Promise.prototype
    const foreign = new Proxy(Promise.resolve(accept()), {
      get: (target, key) => (key === 'then' ? then.bind(target) : Reflect.get(target, key)),
      getPrototypeOf: () => null,
    })
    bob.client.handleUpdates(() => foreign)
    await a.update(pay(0, 1, 1n))
  })

  it('an edit that throws, or breaks a rule -> its own error before anything is sent', async () => {
    const world = await group(2)
    const [a] = await two(world)
    const { delivered } = world.network
    for (const [code, edit] of [
      ['INVALID_AMOUNT', pay(0, 1, 101n)],
      ['INVALID_TRANSITION', (draft: Draft) => Object.assign(draft, { balances: [[100n, 101n]] })],
      ['INVALID_STATE', (draft: Draft) => Object.assign(draft, { balances: [[200n]] })],
      ['INVALID_STATE', (draft: Draft) => Object.assign(draft, { data: '0x01' })],
      ['UNSUPPORTED', (draft: Draft) => Object.assign(draft, { locked: [] })],
      ['UNSUPPORTED', (draft: Draft) => Object.assign(draft, { assets: [...draft.assets] })],
    ] as const) {
      expect((await failure(a.update(edit))).code).equals(code)
    }
    expect(world.network.delivered).equals(delivered)
    await a.update(pay(0, 1, 1n))
  })

  it('a peer that does not answer -> UPDATE_TIMEOUT; when it does after all, the state counts', async () => {
    const world = await group(2)
    const [a, b] = await two(world)
    let decide: () => void = () => undefined
    who(world, 1).client.handleUpdates(() => new Promise((resolve) => (decide = () => resolve(accept()))))
    const error = await failure(a.update(pay(0, 1, 7n), { timeout: 30 }))
    expect(isError(error, 'UPDATE_TIMEOUT') && [error.facts.version, error.facts.waitingFor]).deep.equals([
      1n,
      [1],
    ])
    expect(a.phase).equals('signing')
    decide()
    await settled(() => a.state.version === 1n && b.state.version === 1n)
    expect(sameState(a.state, b.state)).equals(true)
  })

  it('aborted -> ABORTED at once; the next call waits for what becomes of the signed state', async () => {
    const world = await group(2)
    const [a] = await two(world)
    let decide: () => void = () => undefined
    const asked = new Promise<void>((heard) => {
      who(world, 1).client.handleUpdates(
        () =>
          new Promise((resolve) => {
            decide = () => resolve(accept())
            heard()
          }),
      )
    })
    const controller = new AbortController()
    const first = failure(a.update(pay(0, 1, 7n), { signal: controller.signal }))
    await asked
    controller.abort()
    expect((await first).code).equals('ABORTED')
    const second = a.update(pay(0, 1, 1n))
    who(world, 1).client.handleUpdates(() => accept())
    decide()
    expect((await second).allocation.balances[0]).deep.equals([92n, 108n])
  })

  it('a connection lost in the middle -> the update ends well after it stands again, whichever message was lost', async () => {
    for (const kind of ['channelUpdate', 'channelUpdateAcc'] as const) {
      const world = await group(2)
      const [a, b] = await two(world)
      const [alice, bob] = [who(world, 0), who(world, 1)]
      const [from, to] = kind === 'channelUpdate' ? [alice, bob] : [bob, alice]
      const stop = world.network.drop(from.peer, to.peer, (payload) => {
        if (messages.decode(payload).kind !== kind) return false
        queueMicrotask(() => world.network.disconnect(from.peer, to.peer))
        stop()
        return true
      })
      await a.update(pay(0, 1, 3n))
      await settled(() => b.state.version === 1n)
      expect(sameState(a.state, b.state)).equals(true)
      await b.update(pay(1, 0, 1n))
    }
  })

  it('every message said twice -> nothing changes', async () => {
    const world = await group(3)
    const channels = await open(world)
    for (const from of world.parties) {
      const send = from.bus.send.bind(from.bus)
      from.bus.send = async (to, payload) => {
        await send(to, payload)
        await send(to, payload)
      }
    }
    for (let i = 0; i < 9; i++) await channel(channels[i % 3]).update(pay(i % 3, (i + 1) % 3, 1n))
    await settled(() => channels.every(({ state }) => state.version === 9n))
    for (const { state } of channels) expect(sameState(state, channel(channels[0]).state)).equals(true)
    for (const { errors } of world.parties) expect(errors).deep.equals([])
  })

  it('three of whom two answer late -> what the proposer has agreed on meanwhile is not given up', async () => {
    const world = await group(3)
    const channels = await open(world)
    const [alice, bob, carol] = [who(world, 0), who(world, 1), who(world, 2)]
    world.network.hold(bob.peer, carol.peer)
    const a = channel(channels[0])
    await a.update(pay(0, 1, 1n))
    const second = a.update(pay(0, 1, 2n))
    await settled(() => a.phase === 'signing')
    world.network.resume(bob.peer, carol.peer)
    expect((await second).version).equals(2n)
    await settled(() => channels.every(({ state }) => state.version === 2n))
    expect([...alice.errors, ...bob.errors, ...carol.errors]).deep.equals([])
  })

  it('two propose the same state at once -> it is agreed on by all', async () => {
    const world = await group(3)
    const channels = await open(world)
    await Promise.allSettled([
      channel(channels[0]).update(pay(0, 1, 1n)),
      channel(channels[2]).update(pay(0, 1, 1n)),
    ])
    await channel(channels[1]).update(pay(1, 2, 1n))
    const { version } = channel(channels[1]).state
    await settled(() => channels.every(({ state }) => state.version === version))
  })

  it('a dead process -> restored with its channel; a half signed update is finished, never signed twice', async () => {
    const world = await group(2)
    const [a, b] = await two(world)
    await a.update(pay(0, 1, 1n))
    let decide: (() => void) | undefined
    who(world, 1).client.handleUpdates(
      () =>
        new Promise((resolve) => {
          decide = () => resolve(accept())
        }),
    )
    const pending = failure(a.update(pay(0, 1, 10n)))
    await settled(() => decide !== undefined)
    await kill(who(world, 0))
    expect((await pending).code).equals('CLOSED')
    const alice = await restarted(who(world, 0), world)
    const [mine, his] = [channel(alice.client.channel(a.id)), b]
    // Its version is known to be used, what it was only to the other.
    expect(mine.phase).equals('acting')
    decide?.()
    await settled(() => mine.state.version === 2n && his.state.version === 2n)
    expect(mine.state.allocation.balances[0]).deep.equals([89n, 111n])
    await his.update(pay(1, 0, 11n))
  })
})

describe('update: a hostile participant', () => {
  const cases: readonly (readonly [
    string,
    (m: Mallory, s: Signed) => Promise<Parameters<Mallory['say']>[1]>,
    string,
  ])[] = [
    [
      'a wrong signature',
      async (_m, s) => s.update(s.next(1n), `0x${'22'.repeat(64)}1b`),
      'INVALID_SIGNATURE',
    ],
    [
      'a signature over another state',
      async (m, s) => s.update(s.next(1n), await m.sign(s.params, s.next(9n))),
      'INVALID_SIGNATURE',
    ],
    [
      'a version that is past',
      async (m, s) => s.signed(m, { ...s.next(1n), version: 0n }),
      'INVALID_TRANSITION',
    ],
    [
      'a version that is to come',
      async (m, s) => s.signed(m, { ...s.next(1n), version: 2n }),
      'INVALID_TRANSITION',
    ],
    [
      'version 2^64 - 1',
      async (m, s) => s.signed(m, { ...s.next(1n), version: 2n ** 64n - 1n }),
      'INVALID_TRANSITION',
    ],
    ['other totals', async (m, s) => s.signed(m, s.with([[150n, 100n]])), 'INVALID_TRANSITION'],
    ['a balance for three', async (m, s) => s.signed(m, s.with([[100n, 50n, 50n]])), 'INVALID_STATE'],
    ['locked funds', async (m, s) => s.signed(m, s.locking()), 'INVALID_TRANSITION'],
    ['another app', async (m, s) => s.signed(m, { ...s.next(1n), app: '0x12' }), 'INVALID_TRANSITION'],
    ['data', async (m, s) => s.signed(m, { ...s.next(1n), data: '0x12' }), 'INVALID_STATE'],
    [
      'somebody else as actor',
      async (m, s) => ({ ...(await s.signed(m, s.next(1n))), actor: 1 }),
      'INVALID_TRANSITION',
    ],
  ]
  for (const [what, spoil, code] of cases) {
    it(`proposes ${what} -> ${code}; the channel stays as it was`, async () => {
      const { mallory, victim, signed, theirs } = await duel()
      await mallory.say(victim, await spoil(mallory, signed))
      await settled(() => victim.errors.length > 0)
      expect(victim.errors.map((error) => error.code)).deep.equals([code])
      expect([theirs.state.version, theirs.phase]).deep.equals([0n, 'acting'])
    })
  }

  it('proposes two states of one version -> at most one is ever signed', async () => {
    const { mallory, victim, signed, theirs } = await duel()
    victim.client.handleUpdates(async () => {
      await new Promise((resolve) => setTimeout(resolve, 5))
      return accept()
    })
    await mallory.say(victim, await signed.signed(mallory, signed.next(1n)))
    await mallory.say(victim, await signed.signed(mallory, signed.next(2n)))
    await mallory.say(victim, await signed.signed(mallory, signed.next(3n)))
    await mallory.hear('channelUpdateAcc')
    await mallory.hear('channelUpdateRej')
    await mallory.hear('channelUpdateRej')
    expect(theirs.state.allocation.balances[0]).deep.equals([99n, 101n])
    expect(mallory.heard.filter(({ kind }) => kind === 'channelUpdateAcc')).deep.equals([])
  })

  it('proposes on and on what our user has not answered -> few questions, then refusals; answered, the channel goes on', async () => {
    const { mallory, victim, signed, theirs } = await duel()
    const answers: (() => void)[] = []
    victim.client.handleUpdates(
      () =>
        new Promise((resolve) => {
          answers.push(() => resolve(accept()))
        }),
    )
    for (let version = 1n; version <= 40n; version++) {
      await mallory.say(victim, await signed.signed(mallory, { ...signed.next(1n), version }))
    }
    for (let i = 16; i < 40; i++) {
      expect((await mallory.hear('channelUpdateRej')).reason).equals(
        'this participant has yet to decide on others',
      )
    }
    expect(answers).has.length(16)
    for (const answer of answers) answer()
    victim.client.handleUpdates(() => accept())
    await settled(() => theirs.phase === 'acting')
    await mallory.say(victim, await signed.signed(mallory, { ...signed.next(1n), version: 41n }))
    expect((await mallory.hear('channelUpdateAcc')).version).equals(41n)
  })

  it('refuses an update and signs it all the same -> the refused version is never the newest', async () => {
    const { mallory, victim, theirs, signed } = await duel()
    const first = failure(theirs.update(pay(1, 0, 50n)))
    const update = await mallory.hear('channelUpdate')
    const { channelID } = update.state
    await mallory.say(victim, {
      kind: 'channelUpdateRej',
      actor: 1,
      channelID,
      version: 1n,
      reason: 'no',
      crossed: false,
    })
    expect((await first).code).equals('PEER_REJECTED')
    const signature = await mallory.sign(signed.params, update.state)
    await mallory.say(victim, { kind: 'channelUpdateAcc', channelID, actor: 1, version: 1n, signature })
    const second = theirs.update(pay(1, 0, 1n))
    const next = await mallory.hear('channelUpdate')
    expect(next.state.version).equals(2n)
    await mallory.say(victim, {
      kind: 'channelUpdateAcc',
      actor: 1,
      channelID,
      version: 2n,
      signature: await mallory.sign(signed.params, next.state),
    })
    expect((await second).allocation.balances[0]).deep.equals([101n, 99n])
  })

  it('refuses the end and signs it all the same -> nothing else is signed after it, since nothing would refute it', async () => {
    const { mallory, victim, theirs } = await duel()
    const ending = failure(
      theirs.update((draft) => {
        draft.isFinal = true
      }),
    )
    const { state } = await mallory.hear('channelUpdate')
    const { channelID, version } = state
    const refusal = { actor: 1, channelID, version, reason: 'no', crossed: false }
    await mallory.say(victim, { kind: 'channelUpdateRej', ...refusal })
    expect((await ending).code).equals('PEER_REJECTED')
    expect((await failure(theirs.update(pay(1, 0, 1n)))).code).equals('INVALID_TRANSITION')
    expect([theirs.state.version, theirs.phase]).deep.equals([0n, 'acting'])
  })

  it('answers with a wrong signature -> INVALID_SIGNATURE, the update stays unanswered, and a right one still counts', async () => {
    const { mallory, victim, theirs, signed } = await duel()
    const pending = theirs.update(pay(1, 0, 50n))
    const { state } = await mallory.hear('channelUpdate')
    const { channelID, version } = state
    await mallory.say(victim, { kind: 'channelUpdateAcc', channelID, actor: 1, version, signature: '0x00' })
    await settled(() => victim.errors.length > 0)
    expect(victim.errors[0]?.code).equals('INVALID_SIGNATURE')
    const signature = await mallory.sign(signed.params, state)
    await mallory.say(victim, { kind: 'channelUpdateAcc', channelID, actor: 1, version, signature })
    expect((await pending).version).equals(1n)
  })

  it('claims to be far ahead, or hands over a state that not all signed -> refused, nothing changes', async () => {
    const { mallory, victim, theirs, signed } = await duel()
    const { id } = theirs
    await mallory.say(victim, {
      kind: 'channelSync',
      channelID: id,
      version: 2n ** 63n,
      usedVersion: 2n ** 63n,
    })
    await settled(() => victim.errors.length === 1)
    const state = signed.next(50n)
    const own = await mallory.sign(signed.params, state)
    await mallory.say(victim, { kind: 'signedState', state, signatures: [own, own] })
    await settled(() => victim.errors.length === 2)
    expect(victim.errors.map(({ code }) => code)).deep.equals(['INVALID_MESSAGE', 'INVALID_SIGNATURE'])
    expect([theirs.state.version, theirs.phase]).deep.equals([0n, 'acting'])
    const [next] = await Promise.all([
      theirs.update(pay(1, 0, 1n)).then(({ version }) => version),
      mallory.hear('channelUpdate').then(async (update) => {
        const signature = await mallory.sign(signed.params, update.state)
        await mallory.say(victim, {
          kind: 'channelUpdateAcc',
          actor: 1,
          channelID: id,
          version: update.state.version,
          signature,
        })
      }),
    ])
    expect(next).equals(1n)
  })

  it('speaks of a channel that she has no part in -> UNKNOWN_CHANNEL, and its participants notice nothing', async () => {
    const world = await group(3)
    const [alice, bob, carol] = [who(world, 0), who(world, 1), who(world, 2)]
    const a = await alice.client.proposeChannel({
      peers: [bob.peer],
      allocation: { assets: [world.assets[0]], balances: [[5n, 5n]] },
      challengeDuration: 60n,
    })
    const mallory = await Mallory.over(carol, world)
    await mallory.say(alice, { kind: 'channelSync', channelID: a.id, version: 9n, usedVersion: 9n })
    await mallory.say(alice, {
      kind: 'channelUpdateRej',
      actor: 1,
      channelID: a.id,
      version: 1n,
      reason: '',
      crossed: false,
    })
    await settled(() => alice.errors.length === 2)
    expect(alice.errors.map(({ code }) => code)).deep.equals(['UNKNOWN_CHANNEL', 'UNKNOWN_CHANNEL'])
    await a.update(pay(0, 1, 1n))
  })

  it('sends garbage -> her connection is lost, all other channels go on', async () => {
    const world = await group(3)
    const [alice, bob] = [who(world, 0), who(world, 1)]
    const a = await alice.client.proposeChannel({
      peers: [bob.peer],
      allocation: { assets: [world.assets[0]], balances: [[5n, 5n]] },
      challengeDuration: 60n,
    })
    const mallory = await Mallory.over(who(world, 2), world)
    for (let length = 0; length < 40; length++) {
      await mallory.shout(alice, crypto.getRandomValues(new Uint8Array(length * 7)))
    }
    await a.update(pay(0, 1, 1n))
  })
})

interface Signed {
  readonly params: Parameters<Mallory['sign']>[0]
  /** The first state after an honest payment by Mallory. */
  next(amount: bigint): State
  with(balances: bigint[][]): State
  locking(): State
  update(state: State, signature: `0x${string}`): Parameters<Mallory['say']>[1] & { kind: 'channelUpdate' }
  signed(mallory: Mallory, state: State): Promise<Parameters<Mallory['say']>[1] & { kind: 'channelUpdate' }>
}

/** A channel between a hostile participant 0 and a victim 1 who accepts every update. */
async function duel() {
  const world = await group(2)
  const victim = who(world, 1)
  const mallory = await Mallory.over(who(world, 0), world)
  const { params, state } = await mallory.open(victim)
  await settled(() => victim.client.channels()[0]?.phase === 'acting')
  const theirs = channel(victim.client.channels()[0])
  const signed: Signed = {
    params,
    next(amount) {
      const draft = draftOf(state)
      transfer(draft, { from: 0, to: 1, amount })
      return stateOf(state, draft, 1n)
    },
    with: (balances) => stateOf(state, { ...draftOf(state), balances }, 1n),
    locking: () => ({
      ...stateOf(state, draftOf(state), 1n),
      allocation: {
        ...state.allocation,
        balances: [[90n, 100n]],
        locked: [{ channelID: `0x${'01'.repeat(32)}`, balances: [10n], indexMap: [] }],
      },
    }),
    update: (next, signature) => ({ kind: 'channelUpdate', state: next, actor: 0, signature }),
    async signed(by, next) {
      return signed.update(next, await by.sign(params, next))
    },
  }
  return { world, victim, mallory, theirs, signed }
}

async function two(world: Group): Promise<[Channel, Channel]> {
  const [a, b] = await open(world)
  return [channel(a), channel(b)]
}

function channel(found: Channel | undefined): Channel {
  if (found === undefined) throw new Error('no channel')
  return found
}
