// Disputes: whoever registers an old state is refuted, and after its time the newest one is paid.
import { expect } from 'chai'
import { type Balances, initialState, type RegisterRequest, type State } from '../../channel/index.js'
import { failure, following, plus, type Scene, scenes, turn } from './backend-scene.js'
import type { BackendSetup, BackendWorld } from './backend-setup.js'

/** Declares the tests of `register`, `withdraw` and `checkpoint`. */
export function describeDisputes<W extends BackendWorld>(setup: BackendSetup<W>): void {
  const { capabilities } = setup
  if (capabilities.dispute !== 'refutation') return
  const open = scenes(setup)
  const crowd = Math.min(5, capabilities.participants.max)

  /** A funded channel with its first states; in each, everybody but 0 has one more. */
  async function agreed(scene: Scene<W>) {
    const { params, state } = await scene.opened()
    const others = BigInt(params.participants.length - 1)
    const states: State[] = [state]
    for (let i = 1n; i <= 2n; i++) {
      const row = params.participants.map((_, p) => (p === 0 ? 10n - others * i : 10n + i))
      states.push(following(states.at(-1) ?? state, { balances: [row, row] }))
    }
    const requests = await Promise.all(states.map((each) => scene.request(params, each)))
    const [first, second, third] = states
    const [old, middle, newest] = requests
    if (!first || !second || !third || !old || !middle || !newest) throw new Error('three states')
    const deposits = first.allocation.balances
    return { params, first, second, third, old, middle, newest, deposits }
  }

  describe('disputes', () => {
    for (const parties of new Set([2, crowd])) {
      it(`${parties} participants: a state is registered, its time passes -> it is paid`, async () => {
        const scene = await open({ parties })
        const before = await scene.balances()
        const { params, third, newest, deposits } = await agreed(scene)
        await scene.adjudicator(1).register(newest)
        await scene.withdrawAll(params, third)
        expect(await scene.balances()).to.deep.equal(plus(before, third.allocation.balances, deposits))
      })
    }

    it('an old state is refuted by a newer one, and that by the newest -> the newest is paid', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, third, old, middle, newest, deposits } = await agreed(scene)
      await scene.adjudicator(1).register(old)
      await scene.adjudicator(0).register(middle)
      await scene.adjudicator(1).register(newest)
      await scene.withdrawAll(params, third)
      expect(await scene.balances()).to.deep.equal(plus(before, third.allocation.balances, deposits))
    })

    it('an older state, or the same one again -> ends well and changes nothing', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, third, old, newest, deposits } = await agreed(scene)
      await scene.adjudicator(0).register(newest)
      await scene.adjudicator(1).register(old)
      await scene.adjudicator(1).register(newest)
      await scene.withdrawAll(params, third)
      expect(await scene.balances()).to.deep.equal(plus(before, third.allocation.balances, deposits))
    })

    it('everybody registers the same at once -> ends well for all', async () => {
      const scene = await open({ parties: Math.min(3, crowd) })
      const before = await scene.balances()
      const { params, third, newest, deposits } = await agreed(scene)
      await Promise.all(scene.world.parties.map((_, index) => scene.adjudicator(index).register(newest)))
      await scene.withdrawAll(params, third)
      expect(await scene.balances()).to.deep.equal(plus(before, third.allocation.balances, deposits))
    })

    it('everybody registers another state at once -> the newest stands', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, third, old, middle, newest, deposits } = await agreed(scene)
      // Who comes too late with an older one may be told that it failed.
      await Promise.allSettled([
        scene.adjudicator(1).register(old),
        scene.adjudicator(0).register(newest),
        scene.adjudicator(1).register(middle),
      ])
      await scene.withdrawAll(params, third)
      expect(await scene.balances()).to.deep.equal(plus(before, third.allocation.balances, deposits))
    })

    it('nobody refutes in time -> a newer state comes too late, and the registered one is paid', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, first, old, newest, deposits } = await agreed(scene)
      await scene.adjudicator(1).register(old)
      await scene.world.advance(scene.duration)
      await failure(scene.adjudicator(0).register(newest), 'TRANSACTION_FAILED')
      await scene.withdrawAll(params, first)
      expect(await scene.balances()).to.deep.equal(plus(before, first.allocation.balances, deposits))
      // And once it is over, registering ends well without effect.
      await scene.adjudicator(0).register(newest)
    })

    it('nobody refutes in time -> whoever withdraws with a newer state concludes with the registered one', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, first, third, old, newest, deposits } = await agreed(scene)
      await scene.adjudicator(1).register(old)
      await scene.world.advance(scene.duration)
      await scene.withdrawAll(params, third, { signatures: newest.signed.signatures })
      expect(await scene.balances()).to.deep.equal(plus(before, first.allocation.balances, deposits))
    })

    it("a state without everybody's valid signature -> a failed transaction, and the channel goes on", async () => {
      const scene = await open()
      const { newest } = await agreed(scene)
      const [own = '0x'] = newest.signed.signatures
      for (const signatures of [[own, own], [own], []]) {
        const request: RegisterRequest = { ...newest, signed: { ...newest.signed, signatures } }
        await failure(scene.adjudicator(0).register(request), 'TRANSACTION_FAILED', 'INVALID_SIGNATURE')
      }
      await scene.adjudicator(0).register(newest)
    })

    it('withdrawals of a state that is not over wait for its time', async () => {
      const scene = await open()
      const { params, third, newest } = await agreed(scene)
      await scene.adjudicator(0).register(newest)
      const balances = await scene.balances()
      let isPaid = false
      const request = { params, state: third, signatures: [], subChannels: [], index: 0 }
      const withdrawal = scene
        .adjudicator(0)
        .withdraw(request)
        .then(() => {
          isPaid = true
        })
      await scene.world.mine(1)
      await turn()
      expect(isPaid).to.equal(false)
      expect(await scene.balances()).to.deep.equal(balances)
      await scene.passingTime(withdrawal)
    })

    it('withdrawals one after the other, and twice -> nothing more', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, third, newest, deposits } = await agreed(scene)
      await scene.adjudicator(0).register(newest)
      for (const index of [0, 0, 1, 1]) {
        const request = { params, state: third, signatures: [], subChannels: [], index }
        await scene.passingTime(scene.adjudicator(index).withdraw(request))
      }
      await scene.withdrawAll(params, third)
      expect(await scene.balances()).to.deep.equal(plus(before, third.allocation.balances, deposits))
    })

    it('while a withdrawal waits, the state is refuted -> a withdrawal of the newest one is right', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, first, third, old, newest, deposits } = await agreed(scene)
      await scene.adjudicator(1).register(old)
      const cheat = { params, state: first, signatures: [], subChannels: [], index: 1 }
      const cheating = scene
        .adjudicator(1)
        .withdraw(cheat)
        .catch((error: unknown) => error)
      await scene.adjudicator(0).register(newest)
      await scene.withdrawAll(params, third)
      await scene.passingTime(cheating)
      expect(await scene.balances()).to.deep.equal(plus(before, third.allocation.balances, deposits))
    })

    it('a final state refutes, and is paid without waiting', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, third, old, deposits } = await agreed(scene)
      const last = following(third, { isFinal: true })
      await scene.adjudicator(1).register(old)
      const request = { params, state: last, signatures: await scene.sign(params, last), subChannels: [] }
      await Promise.all([0, 1].map((index) => scene.adjudicator(index).withdraw({ ...request, index })))
      expect(await scene.balances()).to.deep.equal(plus(before, last.allocation.balances, deposits))
    })

    it('aborted calls -> ABORTED promptly; calling again goes on from there', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, second, middle, newest, deposits } = await agreed(scene)
      const aborted = { signal: AbortSignal.abort() }
      const request = { params, state: second, signatures: [], subChannels: [], index: 0 }
      // Aborted before it began: nothing is sent, or the newest state would be registered now.
      await failure(scene.adjudicator(0).register(newest, aborted), 'ABORTED')
      await scene.world.mine(1)
      await scene.adjudicator(0).register(middle)
      await failure(scene.adjudicator(0).withdraw(request, aborted), 'ABORTED')
      const controller = new AbortController()
      const { signal } = controller
      const far = (await scene.adjudicator(0).now()) + 2n * scene.duration
      const waiting = Promise.all([
        failure(scene.adjudicator(0).withdraw(request, { signal }), 'ABORTED'),
        failure(scene.adjudicator(0).waitUntil(far, { signal }), 'ABORTED'),
      ])
      await turn()
      controller.abort()
      await waiting
      await scene.withdrawAll(params, second)
      expect(await scene.balances()).to.deep.equal(plus(before, second.allocation.balances, deposits))
    })

    it('a closed backend -> its waiting calls end with CLOSED, other backends go on', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, third, newest, deposits } = await agreed(scene)
      await scene.adjudicator(0).register(newest)
      const dying = await scene.party(0).restart()
      const request = { params, state: third, signatures: [], subChannels: [], index: 0 }
      const waiting = failure(dying.adjudicator.withdraw(request), 'CLOSED')
      await turn()
      await dying.close()
      await dying.close()
      await waiting
      await scene.withdrawAll(params, third)
      expect(await scene.balances()).to.deep.equal(plus(before, third.allocation.balances, deposits))
    })

    it('two channels at once -> each has its own funds', async () => {
      const scene = await open()
      const before = await scene.balances()
      const one = await agreed(scene)
      const two = await agreed(scene)
      await Promise.all([scene.adjudicator(0).register(one.newest), scene.adjudicator(1).register(two.old)])
      await Promise.all([scene.withdrawAll(one.params, one.third), scene.withdrawAll(two.params, two.first)])
      const between = plus(before, one.third.allocation.balances, one.deposits)
      expect(await scene.balances()).to.deep.equal(plus(between, two.first.allocation.balances, two.deposits))
    })
  })

  describe('checkpoints', () => {
    if (!capabilities.checkpoint) {
      it('are not there -> UNSUPPORTED', async () => {
        const scene = await open()
        const { newest } = await agreed(scene)
        await failure(scene.adjudicator(0).checkpoint(newest), 'UNSUPPORTED')
      })
      return
    }

    it('a newer state clears the dispute -> time passes, nothing can be concluded, the channel goes on', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, third, old, middle, deposits } = await agreed(scene)
      await scene.adjudicator(1).register(old)
      await scene.adjudicator(0).checkpoint(middle)
      await scene.world.advance(scene.duration)
      await failure(scene.adjudicator(1).register(old), 'TRANSACTION_FAILED')
      const last = following(third, { isFinal: true })
      await scene.withdrawAll(params, last, { signatures: await scene.sign(params, last) })
      expect(await scene.balances()).to.deep.equal(plus(before, last.allocation.balances, deposits))
    })

    it('after it, the state of the checkpoint and newer ones can be registered', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, third, old, middle, newest, deposits } = await agreed(scene)
      await scene.adjudicator(1).register(old)
      await scene.adjudicator(0).checkpoint(middle)
      await scene.adjudicator(1).register(middle)
      await scene.adjudicator(0).register(newest)
      await scene.withdrawAll(params, third)
      expect(await scene.balances()).to.deep.equal(plus(before, third.allocation.balances, deposits))
    })

    it('an older state, one not signed by all -> a failed transaction, and the dispute goes on', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, second, old, middle, newest, deposits } = await agreed(scene)
      await scene.adjudicator(0).register(middle)
      await failure(scene.adjudicator(1).checkpoint(old), 'TRANSACTION_FAILED')
      const [own = '0x'] = newest.signed.signatures
      const bad = { ...newest, signed: { ...newest.signed, signatures: [own, own] } }
      await failure(scene.adjudicator(1).checkpoint(bad), 'TRANSACTION_FAILED', 'INVALID_SIGNATURE')
      await scene.withdrawAll(params, second)
      expect(await scene.balances()).to.deep.equal(plus(before, second.allocation.balances, deposits))
    })

    it('twice, and by two at once -> ends well', async () => {
      const scene = await open()
      const { old, middle } = await agreed(scene)
      await scene.adjudicator(1).register(old)
      await Promise.all([0, 1].map((index) => scene.adjudicator(index).checkpoint(middle)))
      await scene.adjudicator(0).checkpoint(middle)
    })
  })

  if (!capabilities.subChannels) return
  describe('sub-channels', () => {
    /** A parent that locks 5 of everybody and of each asset in a child, and two states of the child. */
    async function family(scene: Scene<W>) {
      const { params, state: first } = await scene.opened()
      const childParams = scene.params({ ledgerChannel: false })
      const { assets } = first.allocation
      const childFirst = initialState(
        scene.rules.channelID(childParams),
        childParams,
        { assets, balances: [0, 1].map(() => params.participants.map(() => 5n)), locked: [] },
        '0x',
      )
      const total = BigInt(5 * params.participants.length)
      const locked = [{ channelID: childFirst.channelID, balances: [total, total], indexMap: [] }]
      const parent: State = {
        ...first,
        version: 1n,
        allocation: { assets, balances: [0, 1].map(() => params.participants.map(() => 5n)), locked },
      }
      const childNext = following(childFirst, {
        balances: [
          [1n, 9n],
          [10n, 0n],
        ],
      })
      const child = async (state: State) => scene.signed(childParams, state)
      const request = async (state: State): Promise<RegisterRequest> => ({
        signed: await scene.signed(params, parent),
        subChannels: [await child(state)],
      })
      const deposits: Balances = first.allocation.balances
      const outcome = (of: State) => of.allocation.balances.map((row) => row.map((amount) => amount + 5n))
      return { params, first, parent, childFirst, childNext, request, deposits, outcome }
    }

    it('registered and concluded with the parent -> both outcomes together', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, parent, childNext, request, deposits, outcome } = await family(scene)
      await scene.adjudicator(0).register(await request(childNext))
      await scene.withdrawAll(params, parent, { subChannels: [childNext] })
      expect(await scene.balances()).to.deep.equal(plus(before, outcome(childNext), deposits))
    })

    it('an old state of the child is refuted, the parent staying -> the newest of both', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, parent, childFirst, childNext, request, deposits, outcome } = await family(scene)
      await scene.adjudicator(1).register(await request(childFirst))
      await scene.adjudicator(0).register(await request(childNext))
      await scene.withdrawAll(params, parent, { subChannels: [childNext] })
      expect(await scene.balances()).to.deep.equal(plus(before, outcome(childNext), deposits))
    })

    it('an old parent without the child is refuted by the whole family', async () => {
      const scene = await open()
      const before = await scene.balances()
      const { params, first, parent, childNext, request, deposits, outcome } = await family(scene)
      await scene.adjudicator(1).register(await scene.request(params, first))
      await scene.adjudicator(0).register(await request(childNext))
      await scene.withdrawAll(params, parent, { subChannels: [childNext] })
      expect(await scene.balances()).to.deep.equal(plus(before, outcome(childNext), deposits))
    })

    it('a parent without its child, with a wrong one, or with wrong sums -> a failed transaction', async () => {
      const scene = await open()
      const { params, first, parent, childFirst, childNext, request } = await family(scene)
      const good = await request(childNext)
      const short = { ...good, subChannels: [] }
      const stranger = { ...good, subChannels: [await scene.signed(params, first)] }
      const [locked] = parent.allocation.locked
      if (!locked) throw new Error('a locked child')
      const allocation = { ...parent.allocation, locked: [{ ...locked, balances: [9n, 10n] }] }
      const unequal: RegisterRequest = {
        signed: await scene.signed(params, { ...parent, allocation }),
        subChannels: (await request(childFirst)).subChannels,
      }
      for (const bad of [short, stranger, unequal]) {
        await failure(scene.adjudicator(0).register(bad), 'TRANSACTION_FAILED', 'INVALID_STATE')
      }
      await scene.adjudicator(0).register(good)
    })
  })
}
