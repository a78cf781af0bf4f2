// How channels end when everybody agrees.
import { expect } from 'chai'
import type { Hex, Params, State } from '../../channel/index.js'
import { failure, following, plus, type Scene, scenes } from './backend-scene.js'
import type { BackendSetup, BackendWorld } from './backend-setup.js'

/** Declares the tests of final states, `close` and `withdraw`. */
export function describeClosing<W extends BackendWorld>(setup: BackendSetup<W>): void {
  const { capabilities } = setup
  const open = scenes(setup)
  const crowds = [...new Set([2, Math.min(5, capabilities.participants.max)])]

  /** A funded channel and its final state, in which participant 0 gave 1 to each other one. */
  async function agreed(scene: Scene<W>) {
    const { params, state } = await scene.opened()
    const others = BigInt(params.participants.length - 1)
    const row = params.participants.map((_, i) => (i === 0 ? 10n - others : 11n))
    const last = following(following(state, {}), { balances: [row, row.toReversed()], isFinal: true })
    return { params, first: state, last, signatures: await scene.sign(params, last) }
  }

  describe('a final state', () => {
    for (const parties of crowds) {
      it(`${parties} participants, all withdraw at once -> everybody has his balance of every asset`, async () => {
        const scene = await open({ parties })
        const before = await scene.balances()
        const { params, first, last, signatures } = await agreed(scene)
        await Promise.all(
          scene.world.parties.map((_, index) =>
            scene.adjudicator(index).withdraw({
              params,
              state: last,
              signatures,
              subChannels: [],
              index,
              secondary: index > 0,
            }),
          ),
        )
        expect(await scene.balances()).to.deep.equal(
          plus(before, last.allocation.balances, first.allocation.balances),
        )
      })
    }

    it('one after the other, and twice -> the same', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, first, last, signatures } = await agreed(scene)
      for (const index of [1, 1, 0, 1, 0]) {
        await scene.adjudicator(index).withdraw({ params, state: last, signatures, subChannels: [], index })
      }
      const restarted = await scene.party(0).restart()
      await restarted.adjudicator.withdraw({ params, state: last, signatures: [], subChannels: [], index: 0 })
      expect(await scene.balances()).to.deep.equal(
        plus(before, last.allocation.balances, first.allocation.balances),
      )
    })

    it('one withdraws -> the others have nothing yet, and nothing is lost for them', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, first, last, signatures } = await agreed(scene)
      const deposits = first.allocation.balances
      await scene.adjudicator(1).withdraw({ params, state: last, signatures, subChannels: [], index: 1 })
      const onlyBob = last.allocation.balances.map((row) => row.map((amount, i) => (i === 1 ? amount : 0n)))
      expect(await scene.balances()).to.deep.equal(plus(before, onlyBob, deposits))
      await scene.adjudicator(0).withdraw({ params, state: last, signatures, subChannels: [], index: 0 })
      expect(await scene.balances()).to.deep.equal(plus(before, last.allocation.balances, deposits))
    })

    it("without everybody's valid signature -> a failed transaction, and nothing is paid", async () => {
      const scene = await open()
      const { params, last, signatures } = await agreed(scene)
      const before = await scene.balances()
      const [own = '0x'] = signatures
      for (const bad of [[own, own], [own], []]) {
        await failure(
          scene.adjudicator(0).withdraw({ params, state: last, signatures: bad, subChannels: [], index: 0 }),
          'TRANSACTION_FAILED',
        )
      }
      expect(await scene.balances()).to.deep.equal(before)
    })
  })

  if (!capabilities.cooperativeClose) {
    describe('cooperative close', () => {
      it('is not there -> UNSUPPORTED', async () => {
        const scene = await open()
        const { params, last: state, signatures } = await agreed(scene)
        const { adjudicator } = scene.party(0).backend
        await failure(adjudicator.authorizeClose({ params, state, index: 0 }), 'UNSUPPORTED')
        await failure(
          adjudicator.close({ params, state, signatures, authorizations: [], index: 0 }),
          'UNSUPPORTED',
        )
      })
    })
    return
  }

  const authorize = (scene: Scene<W>, params: Params, state: State): Promise<Hex[]> =>
    Promise.all(
      scene.world.parties.map((_, index) =>
        scene.adjudicator(index).authorizeClose({ params, state, index }),
      ),
    )

  describe('cooperative close', () => {
    for (const parties of crowds) {
      it(`${parties} participants: one sends -> everybody has his balance of every asset`, async () => {
        const scene = await open({ parties })
        const before = await scene.balances()
        const { params, first, last: state, signatures } = await agreed(scene)
        const authorizations = await authorize(scene, params, state)
        const index = parties - 1
        await scene.adjudicator(index).close({ params, state, signatures, authorizations, index })
        expect(await scene.balances()).to.deep.equal(
          plus(before, state.allocation.balances, first.allocation.balances),
        )
      })
    }

    it('all send at once, and again later -> the same', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, first, last: state, signatures } = await agreed(scene)
      const authorizations = await authorize(scene, params, state)
      const close = (index: number) =>
        scene.adjudicator(index).close({ params, state, signatures, authorizations, index })
      await Promise.all([close(0), close(1)])
      await close(0)
      await scene.adjudicator(1).withdraw({ params, state, signatures, subChannels: [], index: 1 })
      expect(await scene.balances()).to.deep.equal(
        plus(before, state.allocation.balances, first.allocation.balances),
      )
    })

    it('an authorisation is good for its state and its participant only', async () => {
      const scene = await open()
      const { params, last: state } = await agreed(scene)
      const [alice = '0x', bob = '0x'] = await authorize(scene, params, state)
      const judge = (participant: number, authorization: Hex, of: State = state) =>
        scene.adjudicator(0).verifyCloseAuthorization({ params, state: of, participant, authorization })
      expect([judge(0, alice), judge(1, bob)]).to.deep.equal([true, true])
      expect([judge(1, alice), judge(0, bob)]).to.deep.equal([false, false])
      const other = { ...state, version: state.version + 1n }
      expect(judge(0, alice, other)).to.equal(false)
      const bent: Hex[] = ['0x', '0x00', `${alice}00`, `0x${alice.slice(4)}`, '0xzz']
      for (const bad of bent) expect(judge(0, bad), bad).to.equal(false)
      expect([judge(2, alice), judge(-1, alice), judge(0.5, alice)]).to.deep.equal([false, false, false])
    })

    it('with a bad authorisation -> it fails, nothing is paid, and the good one still works', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, first, last: state, signatures } = await agreed(scene)
      const paid = await scene.balances()
      const authorizations = await authorize(scene, params, state)
      const [alice = '0x'] = authorizations
      const close = (some: readonly Hex[]) =>
        scene.adjudicator(0).close({ params, state, signatures, authorizations: some, index: 0 })
      for (const bad of [[alice, alice], [alice], [alice, '0x' as const]]) {
        await failure(close(bad), 'TRANSACTION_FAILED', 'INVALID_SIGNATURE', 'INVALID_ARGUMENT')
      }
      expect(await scene.balances()).to.deep.equal(paid)
      await close(authorizations)
      expect(await scene.balances()).to.deep.equal(
        plus(before, state.allocation.balances, first.allocation.balances),
      )
    })

    it('while an old state is registered -> the final one is paid', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, first, last: state, signatures } = await agreed(scene)
      await scene.adjudicator(1).register(await scene.request(params, first))
      const authorizations = await authorize(scene, params, state)
      await scene.adjudicator(0).close({ params, state, signatures, authorizations, index: 0 })
      expect(await scene.balances()).to.deep.equal(
        plus(before, state.allocation.balances, first.allocation.balances),
      )
    })
  })
}
