// What a ledger tells: everything that happened, also to whoever comes late, and what a reorg took away.
import { expect } from 'chai'
import { type LedgerEvent, type State, type Subscription, sameState } from '../../channel/index.js'
import { failure, following, plus, type Scene, scenes, turn } from './backend-scene.js'
import type { BackendSetup, BackendWorld } from './backend-setup.js'

const DEPTH = 3

/** Declares the tests of `subscribe`. */
export function describeEvents<W extends BackendWorld>(setup: BackendSetup<W>): void {
  const { capabilities } = setup
  if (capabilities.dispute !== 'refutation') return
  const open = scenes(setup)

  /** A funded channel and what registers its first three states. */
  async function agreed(scene: Scene<W>) {
    const { params, state } = await scene.opened()
    const one = following(state, {
      balances: [
        [9n, 11n],
        [10n, 10n],
      ],
    })
    const states: State[] = [
      state,
      one,
      following(one, {
        balances: [
          [1n, 19n],
          [20n, 0n],
        ],
      }),
    ]
    const requests = await Promise.all(states.map((each) => scene.request(params, each)))
    const [old, middle, newest] = requests
    if (!old || !middle || !newest) throw new Error('three states')
    return { params, id: state.channelID, states, old, middle, newest }
  }

  describe('events', () => {
    it('registered, refuted, concluded -> told to a subscriber of the beginning, in order', async () => {
      const scene = await open()
      const { params, id, states, old, newest } = await agreed(scene)
      const subscription = scene.adjudicator(0).subscribe(id)
      const reading = read(subscription, (event) => event.kind === 'concluded' && event.status === 'final')
      await scene.adjudicator(1).register(old)
      await scene.adjudicator(0).register(newest)
      await scene.withdrawAll(params, states[2] ?? fail())
      const events = await scene.mining(reading)
      expect(of('seen', events)).to.deep.equal(['registered 0', 'registered 2', 'concluded 2'])
      expect(of('final', events)).to.deep.equal(['registered 0', 'registered 2', 'concluded 2'])
      for (const event of events) expect(event.channelID).to.equal(id)
    })

    it('an event shows its state and signatures, or says that it can not; its deadline is right', async () => {
      const scene = await open()
      const { id, states, middle } = await agreed(scene)
      await scene.adjudicator(1).register(middle)
      const now = await scene.adjudicator(0).now()
      const [event] = await read(scene.adjudicator(0).subscribe(id), () => true)
      if (event?.kind !== 'registered') throw new Error(`registered expected, got ${event?.kind}`)
      if (event.state) expect(sameState(event.state, states[1] ?? fail())).to.equal(true)
      if (event.signatures) expect(event.signatures).to.deep.equal(middle.signed.signatures)
      expect(event.deadline <= now + scene.duration).to.equal(true)
      expect(event.deadline > now).to.equal(true)
    })

    it('a refutation does not extend the deadline', async () => {
      const scene = await open()
      const { id, old, newest } = await agreed(scene)
      await scene.adjudicator(1).register(old)
      await scene.world.advance(scene.duration / 2n)
      await scene.adjudicator(0).register(newest)
      const events = await read(scene.adjudicator(0).subscribe(id), ({ version }) => version === 2n)
      const deadlines = events.map((event) => event.kind === 'registered' && event.deadline)
      expect(new Set(deadlines).size).to.equal(1)
    })

    it('a subscriber after the fact, also after a restart -> is told all of it', async () => {
      const scene = await open()
      const { params, id, states, old, newest } = await agreed(scene)
      await scene.adjudicator(1).register(old)
      await scene.adjudicator(0).register(newest)
      await scene.withdrawAll(params, states[2] ?? fail())
      await scene.world.mine(200)
      const restarted = await scene.party(0).restart()
      for (const adjudicator of [scene.adjudicator(1), restarted.adjudicator]) {
        const events = await scene.mining(
          read(adjudicator.subscribe(id), (event) => event.kind === 'concluded' && event.status === 'final'),
        )
        expect(of('final', events)).to.deep.equal(['registered 0', 'registered 2', 'concluded 2'])
      }
    })

    it('with the cursor of a final event -> is told what came after it, and nothing before', async () => {
      const scene = await open()
      const { id, old, middle, newest } = await agreed(scene)
      for (const request of [old, middle]) await scene.adjudicator(1).register(request)
      const isLast = (event: LedgerEvent) => event.version === 1n && event.status === 'final'
      const events = await scene.mining(read(scene.adjudicator(0).subscribe(id), isLast))
      const cursorOf = (version: bigint) => {
        const event = events.find((each) => each.version === version && each.status === 'final')
        return event?.cursor ?? fail()
      }
      const restarted = await scene.party(0).restart()
      await scene.adjudicator(0).register(newest)
      for (const [version, expected] of [
        [0n, ['registered 1', 'registered 2']],
        [1n, ['registered 2']],
      ] as const) {
        const again = await scene.mining(
          read(
            restarted.adjudicator.subscribe(id, { cursor: cursorOf(version) }),
            (event) => event.version === 2n && event.status === 'final',
          ),
        )
        expect(of('final', again)).to.deep.equal(expected)
      }
    })

    it('two subscribers of a channel, and one of another -> each is told its own', async () => {
      const scene = await open()
      const one = await agreed(scene)
      const two = await agreed(scene)
      await Promise.all([scene.adjudicator(0).register(one.old), scene.adjudicator(1).register(two.newest)])
      const first = () => true
      const [a, b, c] = await Promise.all([
        read(scene.adjudicator(0).subscribe(one.id), first),
        read(scene.adjudicator(0).subscribe(one.id), first),
        read(scene.adjudicator(0).subscribe(two.id), first),
      ])
      expect([a, b, c].map((events) => of('seen', events))).to.deep.equal([
        ['registered 0'],
        ['registered 0'],
        ['registered 2'],
      ])
    })

    it('close while it waits -> the iteration ends; close of the backend too', async () => {
      const scene = await open()
      const { id } = await agreed(scene)
      const restarted = await scene.party(0).restart()
      const closed = restarted.adjudicator.subscribe(id)
      const orphan = restarted.adjudicator.subscribe(id)
      const reading = Promise.all([read(closed, () => false), read(orphan, () => false)])
      await turn()
      closed.close()
      closed.close()
      await restarted.close()
      expect(await reading).to.deep.equal([[], []])
    })

    if (capabilities.checkpoint) {
      it('a checkpoint -> cleared, with its version', async () => {
        const scene = await open()
        const { id, old, middle } = await agreed(scene)
        await scene.adjudicator(1).register(old)
        await scene.adjudicator(0).checkpoint(middle)
        const events = await read(scene.adjudicator(1).subscribe(id), ({ kind }) => kind === 'cleared')
        expect(of('seen', events)).to.deep.equal(['registered 0', 'cleared 1'])
      })
    }

    const makeApp = setup.app
    if (capabilities.apps && makeApp) {
      it('an enforced step -> progressed, with its actor and the next deadline', async () => {
        const scene = await open()
        const { app, data, step } = makeApp(scene.world)
        const { params, state } = await scene.opened({ app: app.id }, data)
        await scene.adjudicator(0).register(await scene.request(params, state))
        await scene.world.advance(scene.duration)
        const next = step(state, 1)
        const signature = await scene.party(1).sign(scene.rules.message(params, next))
        await scene.adjudicator(1).progress({ params, registered: state, next, actor: 1, signature })
        const now = await scene.adjudicator(0).now()
        const events = await read(
          scene.adjudicator(0).subscribe(state.channelID),
          ({ version }) => version === 1n,
        )
        const event = events.at(-1)
        if (event?.kind !== 'progressed') throw new Error(`progressed expected, got ${event?.kind}`)
        if (event.actor !== undefined) expect(event.actor).to.equal(1)
        if (event.state) expect(sameState(event.state, next)).to.equal(true)
        expect(event.deadline > now && event.deadline <= now + scene.duration).to.equal(true)
      })
    }

    it('seen at once, final only when it is deep enough', async () => {
      const scene = await open({ finalityDepth: DEPTH })
      const { id, old } = await scene.mining(agreed(scene))
      const events = scene.adjudicator(0).subscribe(id)[Symbol.asyncIterator]()
      const registering = scene.adjudicator(1).register(old)
      expect(line((await events.next()).value)).to.equal('registered 0 seen')
      let isFinal = false
      const final = events.next().then(({ value }) => {
        isFinal = true
        return line(value)
      })
      await turn()
      expect(isFinal).to.equal(false)
      await scene.world.mine(DEPTH - 1)
      expect(await final).to.equal('registered 0 final')
      await registering
    })

    const { reorg } = setup
    if (reorg) {
      it('its block is replaced -> reorged, then seen and final again', async () => {
        const scene = await open({ finalityDepth: DEPTH })
        const { id, old } = await scene.mining(agreed(scene))
        const events = scene.adjudicator(0).subscribe(id)[Symbol.asyncIterator]()
        const register = () => scene.adjudicator(1).register(old)
        const registering = register().catch(register)
        expect(line((await events.next()).value)).to.equal('registered 0 seen')
        await reorg(scene.world, 1)
        expect(line((await events.next()).value)).to.equal('registered 0 reorged')
        const again = (async () => [line((await events.next()).value), line((await events.next()).value)])()
        await scene.mining(registering)
        expect(await scene.mining(again)).to.deep.equal(['registered 0 seen', 'registered 0 final'])
      })

      it('a withdrawal that has ended is final: a reorg that is less deep takes nothing back', async () => {
        const scene = await open({ finalityDepth: DEPTH })
        const before = await scene.balances()
        const { params, states } = await scene.mining(agreed(scene))
        const [first = fail(), one = fail()] = states
        const last = following(one, { isFinal: true })
        const request = { params, state: last, signatures: await scene.sign(params, last), subChannels: [] }
        await scene.mining(
          Promise.all([0, 1].map((index) => scene.adjudicator(index).withdraw({ ...request, index }))),
        )
        await reorg(scene.world, DEPTH - 1)
        const expected = plus(before, last.allocation.balances, first.allocation.balances)
        expect(await scene.balances()).to.deep.equal(expected)
      })

      it("another's conclusion is not final -> whoever was paid by it has not ended; its block is replaced -> all the same", async () => {
        const scene = await open({ finalityDepth: DEPTH })
        const before = await scene.balances()
        const { params, id, states } = await scene.mining(agreed(scene))
        const [first = fail(), one = fail()] = states
        const last = following(one, { isFinal: true })
        const signed = { params, state: last, signatures: await scene.sign(params, last) }
        const indexes = [0, 1]
        const authorizations = setup.capabilities.cooperativeClose
          ? await Promise.all(
              indexes.map((index) => scene.adjudicator(index).authorizeClose({ params, state: last, index })),
            )
          : undefined
        const events = scene.adjudicator(0).subscribe(id)[Symbol.asyncIterator]()
        const bob = scene.adjudicator(1)
        const end = () =>
          authorizations
            ? bob.close({ ...signed, authorizations, index: 1 })
            : bob.withdraw({ ...signed, subChannels: [], index: 1 })
        const ending = end()
        for (;;) {
          const { value } = await events.next()
          if (value?.kind === 'concluded' && value.status === 'seen') break
        }
        let hasEnded = false
        const withdrawing = scene.adjudicator(0).withdraw({ ...signed, subChannels: [], index: 0 })
        const ended = withdrawing.then(() => {
          hasEnded = true
        })
        await scene.world.mine(1)
        for (let i = 0; i < 20; i++) await turn()
        expect(hasEnded).to.equal(false)
        await reorg(scene.world, 2)
        await scene.mining(Promise.all([ending, ended]))
        const expected = plus(before, last.allocation.balances, first.allocation.balances)
        expect(await scene.balances()).to.deep.equal(expected)
      })

      it("another's registration is not final -> whoever registers the same has not ended; its block is replaced -> registered all the same", async () => {
        const scene = await open({ finalityDepth: DEPTH })
        const { id, old } = await scene.mining(agreed(scene))
        const events = scene.adjudicator(0).subscribe(id)[Symbol.asyncIterator]()
        const registering = scene.adjudicator(1).register(old)
        expect(line((await events.next()).value)).to.equal('registered 0 seen')
        let hasEnded = false
        const ended = scene
          .adjudicator(0)
          .register(old)
          .then(() => {
            hasEnded = true
          })
        await scene.world.mine(1)
        for (let i = 0; i < 20; i++) await turn()
        expect(hasEnded).to.equal(false)
        await reorg(scene.world, 2)
        await scene.mining(Promise.all([registering, ended]))
        const isFinal = (event: LedgerEvent) => event.status === 'final'
        const told = await scene.mining(read(scene.adjudicator(0).subscribe(id), isFinal))
        expect(of('final', told)).to.deep.equal(['registered 0'])
      })

      it('a refutation is lost with its block -> it can be made again, and the newest state is paid', async () => {
        const scene = await open({ finalityDepth: DEPTH })
        const before = await scene.balances()
        const { params, id, states, old, newest } = await scene.mining(agreed(scene))
        const [first = fail(), , last = fail()] = states
        await scene.mining(scene.adjudicator(1).register(old))
        const events = scene.adjudicator(0).subscribe(id)[Symbol.asyncIterator]()
        const register = () => scene.adjudicator(0).register(newest)
        const registering = register().catch(register)
        for (;;) {
          if (line((await events.next()).value) === 'registered 2 seen') break
        }
        await reorg(scene.world, 1)
        await scene.mining(registering)
        await scene.withdrawAll(params, last)
        const expected = plus(before, last.allocation.balances, first.allocation.balances)
        expect(await scene.balances()).to.deep.equal(expected)
      })
    }

    it('a malformed cursor -> INVALID_ARGUMENT', async () => {
      const scene = await open()
      const { id } = await agreed(scene)
      const bad = async () => read(scene.adjudicator(0).subscribe(id, { cursor: 'nonsense' }), () => false)
      await failure(bad(), 'INVALID_ARGUMENT')
    })
  })
}

/** Events up to the first that fits, or to the end. */
async function read(
  subscription: Subscription,
  isLast: (event: LedgerEvent) => boolean,
): Promise<LedgerEvent[]> {
  const events: LedgerEvent[] = []
  for await (const event of subscription) {
    events.push(event)
    if (isLast(event)) break
  }
  subscription.close()
  return events
}

function of(status: LedgerEvent['status'], events: readonly LedgerEvent[]): string[] {
  return events.filter((event) => event.status === status).map(({ kind, version }) => `${kind} ${version}`)
}

function line(event: LedgerEvent | undefined): string {
  return event === undefined ? 'the end' : `${event.kind} ${event.version} ${event.status}`
}

function fail(): never {
  throw new Error('the test has it')
}
