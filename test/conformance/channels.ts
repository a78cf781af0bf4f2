// What channels do for a client's user, whatever the ledger and whatever its protocol: the same program on all of them.
// Cases are chosen by the capabilities. The verdict is what is owned on the ledger in the end.
import { expect } from 'chai'
import { filter, firstValueFrom } from 'rxjs'
import { type Hex, PerkunasError, type Phase } from '../../channel/index.js'
import { accept, type Channel, type LockOutcome, reject } from '../../client/index.js'
import { balances, failure, pay, Scene, secret } from './channels-scene.js'
import type { ChannelSetup, ChannelWorld } from './channels-setup.js'

/** Declares the tests of a ledger's channels. */
export function describeChannels<W extends ChannelWorld>(name: string, setup: ChannelSetup<W>): void {
  const { capabilities } = setup
  const worlds: W[] = []

  async function scene(parties = 2): Promise<Scene> {
    const world = await setup.setup({ parties })
    worlds.push(world)
    return new Scene(world, capabilities.funding === 'opener')
  }

  describe(`channels: ${name}`, () => {
    afterEach(async () => {
      for (const world of worlds.splice(0)) await setup.teardown(world)
    })

    it('a channel opens with the balances that were proposed, and both sides see the same', async () => {
      const opening = await scene()
      const [a, b] = await opening.open()
      expect(a.phase).equals('acting')
      expect(b.phase).equals('acting')
      expect([a.index, b.index]).deep.equals([0, 1])
      expect(balances(a)).deep.equals(opening.initial)
      expect(balances(b)).deep.equals(opening.initial)
      expect(a.peers).deep.equals(b.peers)
      expect(opening.client(0).channel(a.id)).equals(a)
      expect(opening.client(1).channels()).deep.equals([b])
    })

    it('a refused proposal costs nothing: PEER_REJECTED with the reason', async () => {
      const opening = await scene()
      opening.client(1).handleProposals(() => reject('not today'))
      const error = await failure(opening.propose(), 'PEER_REJECTED')
      expect(error.message).contains('not today')
      expect(opening.client(0).channels()).deep.equals([])
      await opening.expectOwned(0, 0n)
    })

    it('a proposal is aborted: ABORTED, and nothing is left of it', async () => {
      const opening = await scene()
      const abort = new AbortController()
      opening.client(1).handleProposals(() => {
        abort.abort()
        return new Promise(() => undefined)
      })
      const proposed = opening.propose({ signal: abort.signal })
      await failure(proposed, 'ABORTED')
      expect(opening.client(0).channels()).deep.equals([])
      await opening.expectOwned(0, 0n)
    })

    it('payments in turns: each is agreed on both sides, to the last unit', async () => {
      const opening = await scene()
      const [a, b] = await opening.open()
      const { unit } = opening.world
      await pay(a, 3n * unit)
      await opening.agree([a, b], opening.after(-3n))
      await pay(b, unit)
      await opening.agree([a, b], opening.after(-2n))
      expect(a.state.version > 0n).equals(true)
    })

    it('payments from both sides at once all arrive', async () => {
      const opening = await scene()
      const [a, b] = await opening.open()
      const { unit } = opening.world
      await pay(a, 4n * unit)
      await opening.agree([a, b], opening.after(-4n))
      await Promise.all([pay(a, unit), pay(b, unit), pay(a, unit), pay(b, unit), pay(b, unit)])
      await opening.agree([a, b], opening.after(-3n))
    })

    it('a payment of more than there is, or from the other side, is refused before anything is sent', async () => {
      const opening = await scene()
      const [a, b] = await opening.open()
      const { version } = a.state
      await failure(pay(a, 1_000n * opening.world.unit), 'INVALID_AMOUNT')
      await failure(
        a.update((draft) => {
          const [row = []] = draft.balances
          row[0] = (row[0] ?? 0n) + 1n
        }),
        'INVALID_STATE',
        'INVALID_AMOUNT',
        'INVALID_TRANSITION',
      )
      expect(a.state.version).equals(version)
      expect(balances(b)).deep.equals(opening.initial)
    })

    it('a refused update changes nothing: PEER_REJECTED with the reason, and the channel goes on', async () => {
      const opening = await scene()
      const [a, b] = await opening.open()
      const { unit } = opening.world
      opening.client(1).handleUpdates(() => reject('too little'))
      await failure(pay(a, unit), 'PEER_REJECTED')
      await opening.agree([a, b], opening.initial)
      opening.client(1).handleUpdates(() => accept())
      await pay(a, unit)
      await opening.agree([a, b], opening.after(-1n))
    })

    it('a handler is shown who proposes what', async () => {
      const opening = await scene()
      const [a, b] = await opening.open()
      const { unit } = opening.world
      const seen: unknown[] = []
      opening.client(1).handleUpdates(({ channel, actor, current, proposed }) => {
        const [before] = current.allocation.balances
        const [after] = proposed.allocation.balances
        seen.push([channel, actor, before, after])
        return accept()
      })
      await pay(a, unit)
      expect(seen).deep.equals([[b, 0, opening.initial, opening.after(-1n)]])
    })

    it('updates$, phases$ and channels tell of every change once', async () => {
      const opening = await scene()
      const [a, b] = await opening.open()
      const told: unknown[] = []
      b.updates$.subscribe(({ to }) => told.push(to.allocation.balances[0]))
      await pay(a, opening.world.unit)
      await pay(a, opening.world.unit)
      await opening.agree([a, b], opening.after(-2n))
      const moves = told.filter((row, i) => String(row) !== String(told[i - 1]))
      expect(moves.at(-1)).deep.equals(opening.after(-2n))
    })

    it('settled together: both get what the channel says', async () => {
      const opening = await scene()
      const [a, b] = await opening.open()
      await pay(a, 2n * opening.world.unit)
      await opening.agree([a, b], opening.after(-2n))
      await opening.passing(Promise.all([a.settle(), b.settle()]))
      await opening.expectOwned(0, -2n)
      await opening.expectOwned(1, 2n)
      expect(opening.client(0).channels()).deep.equals([])
    })

    it('settled alone, the peer gone for good: each gets what the channel says, and its phase follows the dispute', async () => {
      const opening = await scene()
      const [a, b] = await opening.open()
      await pay(a, 2n * opening.world.unit)
      await opening.agree([a, b], opening.after(-2n))
      await opening.party(1).kill()
      const phases: Phase[] = []
      a.phases$.subscribe((phase) => phases.push(phase))
      const registered: Phase[] = []
      a.events$.subscribe((event) => {
        if (event.kind === 'ledger' && event.event.kind === 'registered') registered.push(a.phase)
      })
      await opening.passing(a.settle({ timeout: 200 }))
      await opening.expectOwned(0, -2n)
      const disputed = phases.slice(phases.indexOf('registering'))
      expect(disputed).deep.equals(['registering', 'registered', 'withdrawing', 'withdrawn'])
      expect(registered[0]).equals('registered')
    })

    it('settled alone, the peer back only later: it gets its share, too', async () => {
      const opening = await scene()
      const [a, b] = await opening.open()
      await pay(a, 2n * opening.world.unit)
      await opening.agree([a, b], opening.after(-2n))
      await opening.party(1).kill()
      await opening.passing(a.settle({ timeout: 200 }))
      const again = await opening.party(1).restart()
      const [restored] = await again.restore()
      if (restored !== undefined) await opening.passing(restored.settle())
      await opening.expectOwned(1, 2n)
    })

    it('a restart on either side: the channel goes on where it was', async () => {
      const opening = await scene()
      const [a, b] = await opening.open()
      const { unit } = opening.world
      await pay(a, 3n * unit)
      await opening.agree([a, b], opening.after(-3n))
      for (const who of [0, 1]) {
        await opening.party(who).kill()
        const client = opening.handled(await opening.party(who).restart())
        const restored = await client.restore()
        expect(restored.map(({ id }) => id)).deep.equals([who === 0 ? a.id : b.id])
      }
      const [a2, b2] = [opening.channel(0, a.id), opening.channel(1, b.id)]
      expect(balances(a2)).deep.equals(opening.after(-3n))
      await opening.connected([a2, b2])
      await pay(b2, unit)
      await opening.agree([a2, b2], opening.after(-2n))
      await opening.passing(Promise.all([a2.settle(), b2.settle()]))
      await opening.expectOwned(0, -2n)
      await opening.expectOwned(1, 2n)
    })

    it('a closed client answers every call with CLOSED', async () => {
      const opening = await scene()
      const [a] = await opening.open()
      await opening.client(0).close()
      await failure(pay(a, 1n), 'CLOSED')
      await failure(opening.propose(), 'CLOSED')
    })

    it('liquidity: what it calls spendable can be paid in one update, and nothing more', async () => {
      const opening = await scene()
      const [a, b] = await opening.open()
      await pay(a, 2n * opening.world.unit)
      await opening.agree([a, b], opening.after(-2n))
      const { spendable, minimum, reserve, sent, received, isFunded } = a.liquidity()
      const [balance = 0n] = balances(a)
      expect(spendable > 0n && spendable <= balance - (reserve[0] ?? 0n)).equals(true)
      expect(minimum <= spendable && isFunded).equals(true)
      expect([sent, received].map(({ count }) => count)).deep.equals([0, 0])
      expect(sent.most).greaterThan(0)
      expect(b.liquidity().receivable >= spendable, 'the other knows at least of that').equals(true)
      await failure(pay(a, spendable + 1n), 'INVALID_AMOUNT')
      await pay(a, spendable)
      expect(() => a.liquidity(capabilities.maxAssets)).throws(PerkunasError, /asset/)
      await opening.passing(Promise.all([a.settle(), b.settle()]))
      expect(a.liquidity()).deep.include({ spendable: 0n, receivable: 0n })
    })

    if (capabilities.allocation === 'free') describeFree(scene)
    if (capabilities.locks.includes('hashTime')) describeLocks(scene)
    else {
      it('locks are nothing that this ledger knows: UNSUPPORTED', async () => {
        const opening = await scene()
        const [a] = await opening.open()
        const { hash } = secret()
        await failure(a.lock({ hash, amount: opening.world.unit, deadline: 100n }), 'UNSUPPORTED')
        await failure(a.release(hash, hash), 'UNSUPPORTED')
        await failure(a.cancel(hash, 'no'), 'UNSUPPORTED')
        expect(a.locks).deep.equals([])
      })
    }
    if (!capabilities.apps) {
      it('forced progression is nothing that this ledger knows: UNSUPPORTED', async () => {
        const opening = await scene()
        const [a] = await opening.open()
        await failure(
          a.forceUpdate(() => undefined),
          'UNSUPPORTED',
        )
      })
    }
    if (capabilities.participants.max > 2) {
      it('three participants: everybody pays everybody, and all get their shares', async () => {
        const opening = await scene(3)
        const channels = await opening.openAll()
        const { unit } = opening.world
        for (const channel of channels) await pay(channel, unit)
        await opening.passing(Promise.all(channels.map((channel) => channel.settle())))
        for (const who of [0, 1, 2]) await opening.expectOwned(who, 0n)
      })
    } else {
      it('a third participant is refused before anything is sent', async () => {
        const opening = await scene(3)
        await failure(opening.proposeAll(), 'INVALID_PARAMS', 'UNSUPPORTED')
      })
    }
  })
}

function describeFree(scene: () => Promise<Scene>): void {
  it('an update may share out anew as its proposer likes, if the other agrees', async () => {
    const opening = await scene()
    const [a, b] = await opening.open()
    const { unit } = opening.world
    await a.update((draft) => {
      const [row = []] = draft.balances
      row[0] = (row[0] ?? 0n) - 2n * unit
      row[1] = (row[1] ?? 0n) + 2n * unit
    })
    await opening.agree([a, b], opening.after(-2n))
  })
}

/** What became of a lock. */
async function outcomeOf(channel: Channel, hash: Hex): Promise<LockOutcome> {
  const event = await firstValueFrom(
    channel.events$.pipe(filter((one) => one.kind === 'unlocked' && one.hash === hash)),
  )
  if (event.kind !== 'unlocked') throw new Error('it was asked for')
  return event.outcome
}

function describeLocks(scene: () => Promise<Scene>): void {
  it('a lock is released by its preimage: the money is the other side’s', async () => {
    const opening = await scene()
    const [a, b] = await opening.open()
    const { preimage, hash } = secret()
    const { unit } = opening.world
    const lock = await a.lock({ hash, amount: unit, deadline: await opening.deadline() })
    expect(lock).deep.include({ kind: 'hashTime', from: 0, amount: unit, hash })
    const ended = outcomeOf(a, hash)
    const held = await opening.lockOf(b, hash)
    await failure(b.release(held, secret().preimage), 'INVALID_ARGUMENT')
    await failure(b.release(secret().hash, preimage), 'INVALID_ARGUMENT')
    await b.release(held, preimage)
    await opening.agree([a, b], opening.after(-1n))
    expect(a.locks).deep.equals([])
    expect(await ended).deep.equals({ kind: 'released', preimage })
  })

  it('a lock is cancelled: the money is back', async () => {
    const opening = await scene()
    const [a, b] = await opening.open()
    const { hash } = secret()
    await a.lock({ hash, amount: opening.world.unit, deadline: await opening.deadline() })
    await b.cancel(await opening.lockOf(b, hash), 'no goods')
    await opening.agree([a, b], opening.initial)
    expect(b.locks).deep.equals([])
    // Nobody listened until now: it was kept.
    expect(await outcomeOf(a, hash)).deep.include({ kind: 'cancelled' })
  })

  it('what is locked is neither side’s to spend, and the sum stays', async () => {
    const opening = await scene()
    const [a] = await opening.open()
    const { hash } = secret()
    const { unit } = opening.world
    await a.lock({ hash, amount: 6n * unit, deadline: await opening.deadline() })
    const { balances: rows, locked } = a.state.allocation
    const total = [...(rows[0] ?? []), ...locked.map((each) => each.balances[0] ?? 0n)]
    expect(total.reduce((x, y) => x + y)).equals(opening.initial.reduce((x, y) => x + y))
    await failure(pay(a, 6n * unit), 'INVALID_AMOUNT')
  })

  it('a lock survives a restart on both sides and is released after it', async () => {
    const opening = await scene()
    const [a, b] = await opening.open()
    const { preimage, hash } = secret()
    await a.lock({ hash, amount: opening.world.unit, deadline: await opening.deadline() })
    await opening.lockOf(b, hash)
    for (const who of [0, 1]) {
      await opening.party(who).kill()
      await opening.handled(await opening.party(who).restart()).restore()
    }
    const [a2, b2] = [opening.channel(0, a.id), opening.channel(1, b.id)]
    await opening.connected([a2, b2])
    await b2.release(await opening.lockOf(b2, hash), preimage)
    await opening.agree([a2, b2], opening.after(-1n))
    await opening.party(0).kill()
    await opening.handled(await opening.party(0).restart()).restore()
    expect(await outcomeOf(opening.channel(0, a.id), hash)).deep.equals({ kind: 'released', preimage })
  })

  // The time of who is gone is short, since blocks come fast here: each lock is to have some of its own when it is over.
  it('the payer gone: a lock whose preimage is known is taken on the ledger', async () => {
    const opening = await scene()
    const [a, b] = await opening.open()
    const { preimage, hash } = secret()
    await pay(a, 2n * opening.world.unit)
    await opening.agree([a, b], opening.after(-2n))
    await a.lock({ hash, amount: opening.world.unit, deadline: await opening.deadline() })
    const held = await opening.lockOf(b, hash)
    await opening.party(0).kill()
    b.release(held, preimage).catch(() => undefined)
    await opening.passing(b.settle({ timeout: 20 }))
    await opening.expectOwned(1, 3n)
  })

  it('the payee gone: a lock comes back on the ledger after its deadline', async () => {
    const opening = await scene()
    const [a, b] = await opening.open()
    const { hash } = secret()
    await a.lock({ hash, amount: opening.world.unit, deadline: await opening.deadline() })
    await opening.lockOf(b, hash)
    expect(a.obligations.length).greaterThan(0)
    await opening.party(1).kill()
    await opening.passing(a.settle({ timeout: 20 }))
    await opening.expectOwned(0, 0n)
  })
}
