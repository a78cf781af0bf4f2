// What goes wrong is told once: to the call that it ends, or else on `errors$`.
import { expect } from 'chai'
import {
  type AppID,
  appResolver,
  type Draft,
  isError,
  noApp,
  type Params,
  PerkunasError,
  type State,
  type StateApp,
  transfer,
} from '../../channel/index.js'
import { accept, type Channel, type ProposalOptions, reject } from '../../client/index.js'
import { createIdentity } from '../../peer/index.js'
import {
  failure,
  group,
  kill,
  open,
  type Party,
  passTime,
  restarted,
  settled,
  WEALTH,
  who,
} from './parties.js'

const give = (draft: Draft) => transfer(draft, { from: 0, to: 1, amount: 1n })
const codes = ({ errors }: Party) => errors.map(({ code }) => code)

describe('client: an error is told once', () => {
  it('a refused proposal -> to the caller alone; to a third participant on errors$', async () => {
    const world = await group(3)
    who(world, 2).client.handleProposals(() => reject('too small'))
    expect((await failure(open(world))).code).equals('PEER_REJECTED')
    await settled(() => codes(who(world, 1)).length > 0)
    expect(world.parties.map(codes)).deep.equals([[], ['PEER_REJECTED'], []])
  })

  it('a peer that can not be reached -> to the caller alone', async () => {
    const world = await group(3)
    await kill(who(world, 1))
    await kill(who(world, 2))
    const error = await failure(open(world))
    expect(isError(error, 'PEER_UNREACHABLE') && error.facts.reason).equals('refused')
    await settled(() => !who(world, 0).bus.isConnected(who(world, 1).peer))
    expect(codes(who(world, 0))).deep.equals([])
  })

  it('a timeout -> to the caller alone', async () => {
    const world = await group(2, { client: { timeouts: { proposal: 50 } } })
    who(world, 1).client.handleProposals(() => new Promise(() => undefined))
    expect((await failure(open(world))).code).equals('PROPOSAL_TIMEOUT')
    expect(codes(who(world, 0))).deep.equals([])
  })

  it('an abort, a closed client -> to the caller alone', async () => {
    const world = await group(2)
    let asked = 0
    who(world, 1).client.handleProposals(() => {
      asked++
      return new Promise(() => undefined)
    })
    const controller = new AbortController()
    const aborted = failure(open(world, { signal: controller.signal }))
    controller.abort()
    expect((await aborted).code).equals('ABORTED')
    const closed = failure(open(world))
    await settled(() => asked > 0)
    await who(world, 0).client.close()
    expect((await closed).code).equals('CLOSED')
    expect(codes(who(world, 0))).deep.equals([])
  })

  it('funding that fails -> to the caller; to one who has given up the call, and to the others, on errors$', async () => {
    for (const givesUp of [false, true]) {
      const world = await group(2)
      const [alice, bob] = [who(world, 0), who(world, 1)]
      bob.backend.funder.fund = () => new Promise(() => undefined)
      const controller = new AbortController()
      const opening = failure(open(world, { signal: controller.signal }))
      await settled(() => world.ledger.balanceOf(world.assets[0], alice.address) < WEALTH)
      if (givesUp) controller.abort()
      await passTime(world, () => world.ledger.balanceOf(world.assets[0], alice.address) === WEALTH)
      expect((await opening).code).equals(givesUp ? 'ABORTED' : 'FUNDING_TIMEOUT')
      expect(codes(alice)).deep.equals(givesUp ? ['FUNDING_TIMEOUT'] : [])
    }
  })

  it('a store that fails while a channel is opened -> to both, who must hear it, once each', async () => {
    const world = await group(2)
    const alice = who(world, 0)
    alice.store.commit = async () => {
      throw new PerkunasError('STORE_FAILED', 'disk full', { operation: 'commit' })
    }
    expect((await failure(open(world))).code).equals('STORE_FAILED')
    expect(codes(alice)).deep.equals(['STORE_FAILED'])
  })

  it('a step that the ledger refuses -> to the caller alone', async () => {
    const takes: StateApp = { ...noApp, id: '0x0c', faultOfInit: ok, faultOfTransition: ok }
    const world = await group(2, { apps: appResolver(takes), client: { timeouts: { settlement: 50 } } })
    const [alice, bob] = [who(world, 0), who(world, 1)]
    const [a] = await open(world, { app: '0x0c' })
    await kill(bob)
    alice.backend.adjudicator.progress = async () => {
      throw new PerkunasError('TRANSACTION_FAILED', 'no', { kind: 'progress', reason: 'no' })
    }
    let error: PerkunasError | undefined
    const forcing = failure(a?.forceUpdate(give) ?? Promise.resolve()).then((caught) => {
      error = caught
    })
    await passTime(world, () => error !== undefined)
    await forcing
    expect(error?.code).equals('TRANSACTION_FAILED')
    expect(codes(alice).filter((code) => code === 'TRANSACTION_FAILED')).deep.equals([])
  })

  it('a whole life of a channel -> nobody complains of anything', async () => {
    const world = await group(2)
    const [a, b] = await open(world)
    await a?.update(give)
    await Promise.all([a?.settle(), b?.settle()])
    await settled(() => world.parties.every(({ client }) => client.channels().length === 0))
    expect(world.parties.map(codes)).deep.equals([[], []])
  })
})

describe('client: what is wrong is said before anything is sent', () => {
  const seen: { readonly participants: Params['participants']; readonly nonce: bigint; version: bigint }[] =
    []
  const fussy: StateApp = {
    kind: 'state',
    id: '0x0c',
    faultOfInit: ({ participants, nonce }: Params, { data, version }: State) => {
      seen.push({ participants, nonce, version })
      if (data === '0xff') throw new Error('out of range')
      return data === '0x00' ? undefined : 'begin at 0'
    },
    faultOfTransition: ok,
  }
  const app: AppID = '0x0c'

  it('a first state that the app refuses, or at which it throws -> APP_REFUSED, and nothing is sent', async () => {
    const world = await group(2, { apps: appResolver(fussy) })
    for (const data of ['0x01', '0xff'] as const) {
      const error = await failure(open(world, { app, data }))
      expect(isError(error, 'APP_REFUSED') && error.facts.rule).equals(
        data === '0x01' ? 'begin at 0' : 'the app threw',
      )
    }
    expect(world.network.delivered).equals(0)
  })

  it("a peer's first state that the app refuses -> the user is not asked", async () => {
    const world = await group(2, { apps: appResolver(fussy) })
    const [alice, bob] = [who(world, 0), who(world, 1)]
    const lax = { ...fussy, faultOfInit: ok }
    let asked = 0
    bob.client.handleProposals(() => {
      asked++
      return accept()
    })
    const again = await restarted(alice, world, { apps: appResolver(lax) })
    const proposing = (data: '0x00' | '0x01') =>
      again.client.proposeChannel({
        peers: [bob.peer],
        allocation: { assets: [world.assets[0]], balances: [[5n, 5n]] },
        challengeDuration: 60n,
        app,
        data,
      })
    const error = await failure(proposing('0x01'))
    expect(isError(error, 'PEER_REJECTED') && error.facts.reason).contains('begin at 0')
    expect(asked).equals(0)
    expect(codes(bob)).deep.equals(['APP_REFUSED'])
    await proposing('0x00')
    expect(asked).equals(1)
  })

  it('the app is asked with the terms first: others have no address yet; then with everything', async () => {
    const world = await group(2, { apps: appResolver(fussy) })
    seen.length = 0
    await open(world, { app, data: '0x00' })
    const own = { 0: who(world, 0).address }
    expect(seen[0]).deep.equals({ participants: [own, {}], nonce: 0n, version: 0n })
    const last = seen.at(-1)
    expect(last?.participants).deep.equals([own, { 0: who(world, 1).address }])
    expect(last?.nonce).not.equals(0n)
  })

  it('peers that are none, ourselves -> INVALID_ARGUMENT that says which and why', async () => {
    const world = await group(2)
    const good = who(world, 1).peer
    const point = `0x02${'ff'.repeat(32)}` as const
    for (const [peers, message] of [
      [
        ['0xabc' as const],
        'peers[0]: a peer ID is 33 bytes in lower-case hex, as 0x02… or 0x03…; got "0xabc"',
      ],
      [[good, point], `peers[1]: ${point} is no peer ID: no secp256k1 public key in compressed form`],
      [[who(world, 0).peer], "is this client's own ID, which need not be there"],
    ] as const) {
      const balances = [[1n, ...peers.map(() => 1n)]]
      const error = await failure(open(world, { peers, allocation: { assets: [world.assets[0]], balances } }))
      expect(error.code).equals('INVALID_ARGUMENT')
      expect(error.message).contains(message)
    }
    expect(world.network.delivered).equals(0)
  })

  it('an unknown asset, a duration beyond the ledger, an account that is not ours -> refused at once', async () => {
    const world = await group(2)
    const balances = [[1n, 1n]]
    const stranger = `0x${'11'.repeat(20)}` as const
    for (const [change, code] of [
      [{ allocation: { assets: [{ backend: 0, id: '0xffff' as const }], balances } }, 'INVALID_STATE'],
      [{ challengeDuration: 2n ** 40n }, 'INVALID_PARAMS'],
      [{ participant: { 0: stranger } }, 'UNKNOWN_ACCOUNT'],
      [{ participant: { 7: who(world, 0).address } }, 'INVALID_ARGUMENT'],
    ] as const) {
      expect((await failure(open(world, change))).code).equals(code)
    }
    expect(world.network.delivered).equals(0)
  })

  it('the arrays of the caller stay the caller’s own', async () => {
    const world = await group(2)
    const balances = [[5n, 5n]]
    const [a] = await open(world, { allocation: { assets: [world.assets[0]], balances } })
    balances[0]?.fill(9n)
    expect(a?.state.allocation.balances).deep.equals([[5n, 5n]])
  })
})

describe('client: handlers and edits that are misunderstood', () => {
  it('handleProposals(accept), handleUpdates(accept) -> accept', async () => {
    const world = await group(2)
    who(world, 1).client.handleProposals(accept)
    who(world, 1).client.handleUpdates(accept)
    const [a, b] = await open(world)
    await a?.update(give)
    expect(b?.params.participants[1]).deep.equals({ 0: who(world, 1).address })
  })

  for (const given of [undefined, true, 'yes', {}, { accept: 'yes' }]) {
    it(`a handler that gives ${JSON.stringify(given)} -> a refusal, and HANDLER_FAILED that says what is expected`, async () => {
      const world = await group(2)
      const bob = who(world, 1)
      Reflect.apply(bob.client.handleProposals, bob.client, [async () => given]) // JavaScript has no types
      expect((await failure(open(world))).code).equals('PEER_REJECTED')
      bob.client.handleProposals(accept)
      const [a] = await open(world)
      for (const handler of [() => given, async () => given]) {
        Reflect.apply(bob.client.handleUpdates, bob.client, [handler])
        expect((await failure(a?.update(give) ?? Promise.resolve())).code).equals('PEER_REJECTED')
      }
      expect(bob.errors.map(({ message }) => message)).deep.equals(
        ['proposal', 'update', 'update'].map(
          (which) =>
            `the ${which} handler gave ${JSON.stringify(given)}; accept() or reject(reason) expected`,
        ),
      )
    })
  }

  it('an accept with an account that is not ours -> UNKNOWN_ACCOUNT before the others hear of it', async () => {
    const world = await group(2)
    const bob = who(world, 1)
    bob.client.handleProposals(() => accept({ participant: { 0: `0x${'11'.repeat(20)}` } }))
    expect((await failure(open(world))).code).equals('PEER_REJECTED')
    expect(codes(bob)).deep.equals(['UNKNOWN_ACCOUNT'])
  })

  it('an edit that is async, an amount that is a number, more than there is -> said at once', async () => {
    const world = await group(2)
    const [a] = await open(world)
    if (a === undefined) throw new Error('a channel')
    const asyncEdit = async (draft: Draft) => give(draft)
    const late = await failure(a.update(asyncEdit))
    expect([late.code, late.message]).deep.equals([
      'INVALID_ARGUMENT',
      'a function that edits the draft at once expected, got one that returns a promise',
    ])
    const number = await failure(
      a.update((draft) => Reflect.apply(transfer, undefined, [draft, { from: 0, to: 1, amount: 5 }])),
    )
    expect(number.message).equals('an amount as bigint expected, got number 5')
    const much = await failure(a.update((draft) => transfer(draft, { from: 0, to: 1, amount: 101n })))
    expect([much.code, much.message]).deep.equals([
      'INVALID_AMOUNT',
      "participant 0 can't transfer 101 of asset 0: it has 100",
    ])
    const less = await failure(a.update((draft) => transfer(draft, { from: 0, to: 1, amount: -1n })))
    expect(less.message).equals("-1 can't be transferred: an amount from 0 up expected")
  })

  it('calls of a channel whose client is closed -> CLOSED', async () => {
    const world = await group(2, { apps: appResolver({ ...noApp, id: '0x0c' }) })
    const [a] = await open(world, { app: '0x0c' })
    if (a === undefined) throw new Error('a channel')
    await who(world, 0).client.close()
    for (const call of [a.update(give), a.forceUpdate(give), a.settle(), a.watch()]) {
      const { code, message } = await failure(call)
      expect([code, message]).deep.equals(['CLOSED', 'the client is closed'])
    }
  })

  it('an unknown option of a call -> INVALID_ARGUMENT that names it, before any effect; the same right is taken', async () => {
    const world = await group(2)
    const [channel] = await open(world)
    if (channel === undefined) throw new Error('a channel')
    const { client, bus } = who(world, 0)
    const refused = async (owner: object, method: string, ...given: readonly unknown[]) => {
      const call = async (): Promise<unknown> => Reflect.apply(Reflect.get(owner, method), owner, given)
      const error = await call().catch((cause: unknown) => cause)
      return isError(error, 'INVALID_ARGUMENT') && error.facts.argument
    }
    const { state } = channel
    expect(await refused(channel, 'update', give, { timeuot: 5 })).equals('options.timeuot')
    expect(await refused(channel, 'forceUpdate', give, { timeuot: 5 })).equals('options.timeuot')
    expect(await refused(channel, 'settle', { lock: 'refuse' })).equals('options.lock')
    expect(await refused(channel, 'watch', { timeout: 5 })).equals('options.timeout')
    const allocation = { assets: state.allocation.assets, balances: state.allocation.balances }
    const proposal = { peers: [who(world, 1).peer], allocation, challengeDuration: 3600n }
    expect(await refused(client, 'proposeChannel', { ...proposal, challenge: 5n })).equals(
      'options.challenge',
    )
    const locking = { ...proposal, allocation: { ...allocation, lock: [] } }
    expect(await refused(client, 'proposeChannel', locking)).equals('options.allocation.lock')
    expect([channel.state, channel.phase, client.channels().length]).deep.equals([state, 'acting', 1])
    expect(bus.id).equals(client.id)

    const { signal } = new AbortController()
    const options = {
      ...proposal,
      allocation: { ...allocation, locked: [] },
      agreement: allocation.balances,
      app: undefined,
      data: undefined,
      aux: undefined,
      participant: undefined,
      signal,
    } satisfies Readonly<Record<keyof ProposalOptions, unknown>>
    const another: Channel = await Reflect.apply(client.proposeChannel, client, [options])
    expect(another.phase).equals('acting')
    expect((await channel.update(give, { signal, timeout: 5_000 })).version).equals(1n)
    await channel.settle({ signal, timeout: 5_000, locks: 'wait' })
    await channel.watch({ signal })
  })

  it('a client without one of its means -> INVALID_ARGUMENT that names it', async () => {
    const { Client } = await import('../../client/index.js')
    const { bus, store, wallet, backend } = who(await group(1), 0)
    const means = { bus, store, wallet, backend }
    for (const name of ['bus', 'store', 'wallet', 'backend'] as const) {
      expect(() => new Client({ ...means, [name]: undefined })).throws(`a client needs a ${name}`)
    }
    expect(createIdentity().id).not.equals(bus.id)
  })
})

function ok(): undefined {
  return undefined
}
