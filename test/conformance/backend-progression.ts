// Forced progression: one participant's step of an app, enforced without the others.
import { expect } from 'chai'
import { NO_APP, type ProgressRequest, type State } from '../../channel/index.js'
import { failure, following, plus, type Scene, scenes } from './backend-scene.js'
import type { BackendSetup, BackendWorld } from './backend-setup.js'

/** Declares the tests of `progress`. */
export function describeProgression<W extends BackendWorld>(setup: BackendSetup<W>): void {
  const { capabilities } = setup
  const open = scenes(setup)

  describe('forced progression', () => {
    const makeApp = setup.app
    if (capabilities.apps && makeApp === undefined) {
      throw new Error('capabilities.apps is true, so that BackendSetup.app is needed')
    }
    if (!capabilities.apps) {
      it('is not there -> UNSUPPORTED', async () => {
        const scene = await open()
        const { params, state } = await scene.opened()
        const next = following(state, {})
        const request = { params, registered: state, next, actor: 0, signature: '0x' as const }
        await failure(scene.adjudicator(0).progress(request), 'UNSUPPORTED')
      })
      return
    }

    /** A funded app channel whose first state is registered. */
    async function registered(scene: Scene<W>) {
      const fixture = makeApp?.(scene.world)
      if (fixture === undefined) throw new Error('the set-up has an app')
      const { params, state } = await scene.opened({ app: fixture.app.id }, fixture.data)
      expect(fixture.app.faultOfInit(params, state), 'the app takes the initial state').to.equal(undefined)
      await scene.adjudicator(0).register(await scene.request(params, state))
      const step = (from: State, actor: number) => {
        const to = fixture.step(from, actor)
        expect(fixture.app.faultOfTransition(params, from, to, actor)).to.equal(undefined)
        return to
      }
      const request = async (from: State, next: State, actor: number): Promise<ProgressRequest> => {
        const signature = await scene.party(actor).sign(scene.rules.message(params, next))
        return { params, registered: from, next, actor, signature }
      }
      const deposits = state.allocation.balances
      return { params, state, fixture, step, request, deposits }
    }

    it('after the time for refutation: steps by two participants -> the last state is paid', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, state, step, request, deposits } = await registered(scene)
      await scene.world.advance(scene.duration)
      const one = step(state, 0)
      await scene.adjudicator(0).progress(await request(state, one, 0))
      const two = step(one, 1)
      await scene.adjudicator(1).progress(await request(one, two, 1))
      await scene.withdrawAll(params, two)
      expect(await scene.balances()).to.deep.equal(plus(before, two.allocation.balances, deposits))
    })

    it('the same step again -> ends well and changes nothing', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, state, step, request, deposits } = await registered(scene)
      await scene.world.advance(scene.duration)
      const one = step(state, 0)
      const progression = await request(state, one, 0)
      await Promise.all([0, 1].map((index) => scene.adjudicator(index).progress(progression)))
      await scene.adjudicator(0).progress(progression)
      await scene.withdrawAll(params, one)
      expect(await scene.balances()).to.deep.equal(plus(before, one.allocation.balances, deposits))
    })

    it('a step that the app refuses -> a failed transaction, and the registered state is paid', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, state, fixture, request, deposits } = await registered(scene)
      const bad = fixture.badStep(state, 0)
      expect(fixture.app.faultOfTransition(params, state, bad, 0), 'the app agrees').to.be.a('string')
      await scene.world.advance(scene.duration)
      await failure(scene.adjudicator(0).progress(await request(state, bad, 0)), 'TRANSACTION_FAILED')
      await scene.withdrawAll(params, state)
      expect(await scene.balances()).to.deep.equal(plus(before, state.allocation.balances, deposits))
    })

    it('a step signed by another than its actor, or by nobody there -> a failed transaction', async () => {
      const scene = await open()
      const { state, step, request } = await registered(scene)
      await scene.world.advance(scene.duration)
      const good = await request(state, step(state, 0), 0)
      for (const bad of [
        { ...good, actor: 1 },
        { ...good, actor: 2 },
        { ...good, signature: '0x' as const },
      ]) {
        await failure(
          scene.adjudicator(0).progress(bad),
          'TRANSACTION_FAILED',
          'INVALID_SIGNATURE',
          'INVALID_ARGUMENT',
        )
      }
      await scene.adjudicator(0).progress(good)
    })

    it('another version, other sums, from another state -> a failed transaction', async () => {
      const scene = await open()
      const { state, step, request } = await registered(scene)
      await scene.world.advance(scene.duration)
      const one = step(state, 0)
      const [row = [], ...rows] = one.allocation.balances
      const more = { ...one.allocation, balances: [row.map((amount) => amount + 1n), ...rows] }
      const bad = [
        await request(state, { ...one, version: one.version + 1n }, 0),
        await request(state, { ...one, allocation: more }, 0),
        await request(one, step(one, 0), 0),
      ]
      for (const each of bad) {
        await failure(scene.adjudicator(0).progress(each), 'TRANSACTION_FAILED', 'INVALID_TRANSITION')
      }
    })

    it('while the state can be refuted -> too early', async () => {
      const scene = await open()
      const { state, step, request } = await registered(scene)
      const progression = await request(state, step(state, 0), 0)
      await failure(scene.adjudicator(0).progress(progression), 'TRANSACTION_FAILED')
      await scene.world.advance(scene.duration)
      await scene.adjudicator(0).progress(progression)
    })

    it('when the time for the next step is over -> too late, and what was progressed to is paid', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, state, step, request, deposits } = await registered(scene)
      await scene.world.advance(scene.duration)
      const one = step(state, 0)
      await scene.adjudicator(0).progress(await request(state, one, 0))
      await scene.world.advance(scene.duration)
      await failure(scene.adjudicator(1).progress(await request(one, step(one, 1), 1)), 'TRANSACTION_FAILED')
      await scene.withdrawAll(params, one)
      expect(await scene.balances()).to.deep.equal(plus(before, one.allocation.balances, deposits))
    })

    it('once it has begun, no signed state can be registered any more', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, state, step, request, deposits } = await registered(scene)
      const newer = following(following(state, {}), {})
      const signed = await scene.request(params, { ...newer, version: 9n })
      await scene.world.advance(scene.duration)
      const one = step(state, 0)
      await scene.adjudicator(0).progress(await request(state, one, 0))
      await failure(scene.adjudicator(1).register(signed), 'TRANSACTION_FAILED')
      await scene.withdrawAll(params, one)
      expect(await scene.balances()).to.deep.equal(plus(before, one.allocation.balances, deposits))
    })

    it('a channel without app -> a failed transaction', async () => {
      const scene = await open()
      const { params, state } = await scene.opened({ app: NO_APP })
      await scene.adjudicator(0).register(await scene.request(params, state))
      await scene.world.advance(scene.duration)
      const next = following(state, {})
      const signature = await scene.party(0).sign(scene.rules.message(params, next))
      await failure(
        scene.adjudicator(0).progress({ params, registered: state, next, actor: 0, signature }),
        'TRANSACTION_FAILED',
        'UNSUPPORTED',
      )
    })
  })
}
