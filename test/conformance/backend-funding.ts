// Funding: who deposits what, who is named when somebody doesn't, and how it all comes back.
import { expect } from 'chai'
import { type Balances, faultOfAgreement, type Params, type State } from '../../channel/index.js'
import { failure, plus, type Scene, scenes, turn } from './backend-scene.js'
import type { BackendSetup, BackendWorld } from './backend-setup.js'

/** Declares the tests of `Funder`. */
export function describeFunding<W extends BackendWorld>(setup: BackendSetup<W>): void {
  const open = scenes(setup)
  const crowd = Math.min(5, setup.capabilities.participants.max)

  const fund = (
    scene: Scene<W>,
    index: number,
    request: { readonly params: Params; readonly state: State; readonly agreement?: Balances },
    signal?: AbortSignal,
  ) => {
    const agreement = request.agreement ?? request.state.allocation.balances
    return scene
      .party(index)
      .backend.funder.fund({ ...request, index, agreement }, signal === undefined ? {} : { signal })
  }
  /** What the parties own while these deposits are in the channel. */
  const less = (before: Balances, deposits: Balances) =>
    plus(
      before,
      deposits.map((row) => row.map(() => 0n)),
      deposits,
    )

  describe('funding', () => {
    for (const parties of new Set([2, crowd])) {
      it(`${parties} participants, two assets, all at once -> everybody pays exactly his share`, async () => {
        const scene = await open({ parties })
        const before = await scene.balances()
        const params = scene.params()
        const state = scene.first(params, [
          params.participants.map((_, i) => BigInt(i + 1)),
          params.participants.map((_, i) => BigInt(i * 10)),
        ])
        await scene.fundAll(params, state)
        expect(await scene.balances()).to.deep.equal(less(before, state.allocation.balances))
      })
    }

    it('one after the other -> the first waits for the last', async () => {
      const scene = await open()
      const before = await scene.balances()
      const params = scene.params()
      const state = scene.first(params)
      let isFunded = false
      const first = fund(scene, 0, { params, state }).then(() => {
        isFunded = true
      })
      await scene.world.mine(1)
      await turn()
      expect(isFunded).to.equal(false)
      await fund(scene, 1, { params, state })
      await first
      expect(await scene.balances()).to.deep.equal(less(before, state.allocation.balances))
    })

    it('an agreement that differs from the balances -> it is what is paid', async () => {
      const scene = await open()
      const before = await scene.balances()
      const params = scene.params()
      const state = scene.first(params)
      const agreement = [
        [20n, 0n],
        [7n, 13n],
      ]
      await scene.fundAll(params, state, agreement)
      expect(await scene.balances()).to.deep.equal(less(before, agreement))
    })

    it('an agreement with another sum, another shape or a negative share -> refused, nothing is paid', async () => {
      const scene = await open()
      const before = await scene.balances()
      const params = scene.params()
      const state = scene.first(params)
      for (const agreement of [
        [
          [10n, 11n],
          [10n, 10n],
        ],
        [[10n, 10n]],
        [
          [-1n, 21n],
          [10n, 10n],
        ],
      ]) {
        expect(faultOfAgreement(state, agreement)).to.not.equal(undefined)
        await failure(fund(scene, 0, { params, state, agreement }), 'INVALID_STATE')
      }
      expect(await scene.balances()).to.deep.equal(before)
    })

    it('again, by the same backend and by one after a crash -> nothing is paid twice', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, state } = await scene.opened()
      const agreement = state.allocation.balances
      await fund(scene, 0, { params, state })
      const restarted = await scene.party(1).restart()
      await restarted.funder.fund({ params, state, index: 1, agreement })
      expect(await scene.balances()).to.deep.equal(less(before, agreement))
    })

    it('a crash while waiting for the others -> goes on and pays nothing twice', async () => {
      const scene = await open()
      const before = await scene.balances()
      const params = scene.params()
      const state = scene.first(params)
      const crash = new AbortController()
      const dying = failure(fund(scene, 0, { params, state }, crash.signal), 'ABORTED')
      await turn()
      crash.abort()
      await dying
      const restarted = await scene.party(0).restart()
      const agreement = state.allocation.balances
      await Promise.all([
        restarted.funder.fund({ params, state, index: 0, agreement }),
        fund(scene, 1, { params, state }),
      ])
      expect(await scene.balances()).to.deep.equal(less(before, agreement))
    })

    it('two calls for one channel at once -> nothing is paid twice', async () => {
      const scene = await open()
      const before = await scene.balances()
      const params = scene.params()
      const state = scene.first(params)
      await Promise.all([0, 0, 1, 1].map((index) => fund(scene, index, { params, state })))
      expect(await scene.balances()).to.deep.equal(less(before, state.allocation.balances))
    })

    it('one is absent -> FUNDING_TIMEOUT names him for each asset, and the others take their deposits back', async () => {
      const scene = await open({ parties: Math.min(3, crowd) })
      const last = scene.world.parties.length - 1
      const before = await scene.balances()
      const params = scene.params()
      const state = scene.first(params)
      const present = scene.world.parties.slice(0, last).map((_, index) => index)
      const errors = await scene.passingTime(
        Promise.all(
          present.map((index) => failure(fund(scene, index, { params, state }), 'FUNDING_TIMEOUT')),
        ),
      )
      for (const { facts } of errors) {
        expect(facts).to.deep.equal({
          channel: state.channelID,
          missing: [
            { asset: 0, participants: [last] },
            { asset: 1, participants: [last] },
          ],
        })
      }
      await scene.adjudicator(0).register(await scene.request(params, state))
      await scene.withdrawAll(params, state)
      expect(await scene.balances()).to.deep.equal(before)
    })

    it('one has no share of an asset -> he is not waited for there', async () => {
      const scene = await open()
      const before = await scene.balances()
      const params = scene.params()
      const state = scene.first(params, [
        [5n, 0n],
        [0n, 5n],
      ])
      const error = await scene.passingTime(failure(fund(scene, 0, { params, state }), 'FUNDING_TIMEOUT'))
      expect(error.facts.missing).to.deep.equal([{ asset: 1, participants: [1] }])
      await fund(scene, 1, { params, state })
      expect(await scene.balances()).to.deep.equal(less(before, state.allocation.balances))
    })

    it('a deposit of less than agreed -> FUNDING_TIMEOUT names who is short, and each takes back his own', async () => {
      const scene = await open()
      const before = await scene.balances()
      const params = scene.params()
      const state = scene.first(params)
      // Bob believes in another agreement of the same sum.
      const agreement = [
        [15n, 5n],
        [10n, 10n],
      ]
      const [alice, bob] = await scene.passingTime(
        Promise.all([
          failure(fund(scene, 0, { params, state }), 'FUNDING_TIMEOUT'),
          failure(fund(scene, 1, { params, state, agreement }), 'FUNDING_TIMEOUT'),
        ]),
      )
      expect(alice.facts.missing).to.deep.equal([{ asset: 0, participants: [1] }])
      expect(bob.facts.missing).to.deep.equal([{ asset: 0, participants: [0] }])
      await scene.adjudicator(1).register(await scene.request(params, state))
      await scene.withdrawAll(params, state)
      expect(await scene.balances()).to.deep.equal(before)
    })

    it('a deposit too late -> the channel is funded after all, and is settled by its first state', async () => {
      const scene = await open()
      const before = await scene.balances()
      const params = scene.params()
      const balances = [
        [4n, 6n],
        [1n, 2n],
      ]
      const agreement = [
        [10n, 0n],
        [0n, 3n],
      ]
      const state = scene.first(params, balances)
      await scene.passingTime(failure(fund(scene, 0, { params, state, agreement }), 'FUNDING_TIMEOUT'))
      await fund(scene, 1, { params, state, agreement })
      await scene.adjudicator(0).register(await scene.request(params, state))
      await scene.withdrawAll(params, state)
      expect(await scene.balances()).to.deep.equal(plus(before, balances, agreement))
    })

    it('more than one owns -> a failed transaction; what was paid comes back', async () => {
      const scene = await open()
      const before = await scene.balances()
      const params = scene.params()
      const state = scene.first(params, [
        [10n, 10n],
        [10n ** 30n, 10n],
      ])
      await failure(fund(scene, 0, { params, state }), 'TRANSACTION_FAILED', 'FUNDING_FAILED')
      await scene.adjudicator(0).register(await scene.request(params, state))
      await scene.withdrawAll(params, state)
      expect(await scene.balances()).to.deep.equal(before)
    })

    it('an aborted call -> ABORTED promptly, also if it was aborted before it began', async () => {
      const scene = await open()
      const before = await scene.balances()
      const params = scene.params()
      const state = scene.first(params)
      await failure(fund(scene, 0, { params, state }, AbortSignal.abort()), 'ABORTED')
      expect(await scene.balances()).to.deep.equal(before)
      const controller = new AbortController()
      const waiting = failure(fund(scene, 0, { params, state }, controller.signal), 'ABORTED')
      await turn()
      controller.abort(new Error('the user changed his mind'))
      expect((await waiting).facts.call).to.be.a('string')
    })
  })
}
