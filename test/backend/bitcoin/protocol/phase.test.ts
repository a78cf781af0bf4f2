// Where a Lightning channel stands while it ends: every ledger's phases, by what the chain shows.
import { expect } from 'chai'
import type { Spent } from '../../../../backend/bitcoin/protocol/ledger.js'
import { phaseOf, type Shown } from '../../../../backend/bitcoin/protocol/phase.js'
import { blockHeight } from '../../../../backend/bitcoin/units.js'
import { type Phase, toHex, transfer } from '../../../../channel/index.js'
import type { Channel } from '../../../../client/index.js'
import { bytesOf, CAPACITY, Two, told } from './two.js'

/** Blocks. */
const DELAY = 40n
const LIVE = { delay: { local: 10, remote: 20 } }

function spent(by: Spent['by'], isNumbered = true): Spent {
  const commitment = isNumbered ? { commitment: { number: 4n, newest: 6n } } : {}
  return { kind: 'spent', by, txid: bytesOf('spent'), height: blockHeight(100), depth: 1, ...commitment }
}

function at(height: number, one?: Spent): () => Shown {
  return () => ({ spent: one, height })
}

/** The phase now and those that it goes through. */
function phasesOf(channel: Channel): Phase[] {
  const phases: Phase[] = []
  channel.phases$.subscribe((phase) => phases.push(phase))
  return phases
}

/** Two whose shares wait for {@link DELAY} both. */
function begin(): Promise<Two> {
  const delay = Number(DELAY)
  return Two.begin(() => ({ policy: { toSelfDelay: { min: delay, max: delay } } }))
}

/** A channel of two that its opener disputes, and whose commitment a block has. */
async function disputed(two: Two): Promise<Channel> {
  const channel = await two.open({ challengeDuration: DELAY })
  await channel.update((draft) => transfer(draft, { from: 0, to: 1, amount: 100_000_000n }))
  channel.settle({ timeout: 1, locks: 'dispute' }).catch(() => undefined)
  two.part()
  const node = await two.backend.node()
  await node.eventually(() => (channel.phase === 'registering' ? true : undefined))
  await two.chain.mine()
  return channel
}

describe('bitcoin: the phase of a channel', () => {
  it('is what its parties agreed on, until the chain shows another', () => {
    expect(phaseOf({ phase: 'awaitingReady', live: LIVE }, at(100))).equals('funding')
    expect(phaseOf({ phase: 'normal', live: LIVE }, at(100))).equals('acting')
    expect(phaseOf({ phase: 'shuttingDown', live: LIVE }, at(100))).equals('final')
    expect(phaseOf({ phase: 'negotiating', live: LIVE }, at(100, spent('closing', false)))).equals(
      'withdrawing',
    )
    expect(phaseOf({ phase: 'failed', live: LIVE }, at(100))).equals('registering')
    expect(phaseOf({ phase: 'failed', live: LIVE }, at(100, spent('closing', false)))).equals('withdrawing')
    expect(phaseOf({ phase: 'failed', live: LIVE }, at(100, spent('unknown', false)))).equals('withdrawing')
  })

  it('a commitment is registered as long as its holder’s share waits', () => {
    for (const [by, deadline] of [
      ['holderNewest', 110],
      ['holderPrevious', 110],
      ['counterpartyCurrent', 120],
      ['revoked', 120],
    ] as const) {
      expect(phaseOf({ phase: 'failed', live: LIVE }, at(100, spent(by))), by).equals('registered')
      expect(phaseOf({ phase: 'failed', live: LIVE }, at(deadline - 1, spent(by))), by).equals('registered')
      expect(phaseOf({ phase: 'failed', live: LIVE }, at(deadline, spent(by))), by).equals('withdrawing')
    }
  })

  it('a dispute goes through its phases on both sides, each at its block', async () => {
    await using two = await begin()
    const channel = await disputed(two)
    const { theirs } = two
    const [registered] = told(channel)
    const [ours, others] = [phasesOf(channel), phasesOf(theirs)]
    const deadline = Number(registered?.deadline)
    expect([channel.phase, theirs.phase]).deep.equals(['registered', 'registered'])
    while (two.chain.ledger.tip.height < deadline - 1) await two.chain.mine()
    // Ours waits for its delay; theirs was final long before, and is over.
    expect([channel.phase, theirs.phase]).deep.equals(['registered', 'withdrawn'])
    await two.chain.mine()
    expect(channel.phase).equals('withdrawing')
    await two.end(channel)
    expect(ours).deep.equals(['registered', 'withdrawing', 'withdrawn'])
    expect(others).deep.equals(['registered', 'withdrawn'])
  })

  it('a lock that lasts longer than the delay: withdrawing until it is over, at the block of the deadline', async () => {
    await using two = await begin()
    const channel = await two.open({ challengeDuration: DELAY })
    await channel.update((draft) => transfer(draft, { from: 0, to: 1, amount: 100_000_000n }))
    const { theirs } = two
    const deadline = BigInt(two.chain.ledger.tip.height) + DELAY + 20n
    await channel.lock({ hash: toHex(bytesOf('hash')), amount: 10_000_000n, deadline })
    const peer = await two.secondBackend.node()
    await peer.eventually(() => (theirs.locks.length === 1 ? true : undefined))
    channel.settle({ timeout: 1, locks: 'dispute' }).catch(() => undefined)
    two.part()
    const node = await two.backend.node()
    await node.eventually(() => (channel.phase === 'registering' ? true : undefined))
    await two.chain.mine()
    const end = two.chain.ledger.tip.height + Number(DELAY)
    // Nothing of the peer's is to be done at that block: that it has come is all that happens.
    while (two.chain.ledger.tip.height < end - 1) await two.chain.mine()
    expect([channel.phase, theirs.phase]).deep.equals(['registered', 'registered'])
    await two.chain.mine()
    expect([channel.phase, theirs.phase]).deep.equals(['withdrawing', 'withdrawing'])
    await two.end(channel)
    await two.end(theirs)
    expect(two.first.channels()).deep.equals([])
    expect(two.second.channels()).deep.equals([])
  })

  it('the event that tells of a commitment comes when the phase says so, too', async () => {
    await using two = await begin()
    const channel = await two.open({ challengeDuration: DELAY })
    const { theirs } = two
    const seen: unknown[] = []
    for (const one of [channel, theirs])
      one.events$.subscribe((event) => {
        if (event.kind === 'ledger' && event.event.kind === 'registered') seen.push(one.phase)
      })
    channel.settle({ timeout: 1, locks: 'dispute' }).catch(() => undefined)
    two.part()
    const node = await two.backend.node()
    await node.eventually(() => (channel.phase === 'registering' ? true : undefined))
    await two.chain.mine()
    expect(seen).deep.equals(['registered', 'registered'])
  })

  it('a reorg that takes the commitment out leads back, and the next block with it there again', async () => {
    await using two = await begin()
    const channel = await disputed(two)
    const phases = phasesOf(channel)
    await two.chain.reorg(1)
    expect(channel.phase).equals('registering')
    await two.chain.mine()
    expect(channel.phase).equals('registered')
    while (channel.phase === 'registered') await two.chain.mine()
    expect(phases).deep.equals(['registered', 'registering', 'registered', 'withdrawing'])
    await two.end(channel)
  })

  it('after a restart it is where it was', async () => {
    for (const more of [0, 50]) {
      await using two = await begin()
      await disputed(two)
      const store = two.store.clone()
      for (let block = 0; block < more; block++) two.chain.ledger.mine()
      const again = await two.alone(store)
      expect(phasesOf(again)).deep.equals([more === 0 ? 'registered' : 'withdrawing'])
      await again.settle({ timeout: 1, signal: AbortSignal.abort() }).catch(() => undefined)
      const settled = again.settle({ timeout: 1 })
      await two.end(again)
      await settled
    }
  })

  it('a closing in a block: withdrawing until it is final, on both sides', async () => {
    await using two = await begin()
    const channel = await two.open({ challengeDuration: DELAY })
    await channel.update((draft) => transfer(draft, { from: 0, to: 1, amount: 100_000_000n }))
    const { theirs } = two
    const phases = [phasesOf(channel), phasesOf(theirs)]
    const settled = channel.settle()
    const node = await two.backend.node()
    await node.eventually(() => (node.channels()[0]?.live?.isClosingAgreed ? true : undefined))
    await two.chain.mine()
    await two.end(channel)
    await settled
    for (const all of phases) expect(all).deep.equals(['acting', 'final', 'withdrawing', 'withdrawn'])
    expect(theirs.state.allocation.balances).deep.equals([[CAPACITY - 100_000_000n, 100_000_000n]])
  })

  it('can be asked for, with all that the chain shows, while the end of a channel is being written', async () => {
    await using two = await begin()
    const channel = await disputed(two)
    const errors: unknown[] = []
    const obligations: number[] = []
    const { store } = two
    const commit = store.commit.bind(store)
    store.commit = (writes) => {
      try {
        told(channel)
        obligations.push(channel.obligations.length)
      } catch (cause) {
        errors.push(cause)
      }
      return commit(writes)
    }
    await two.end(channel)
    expect(errors).deep.equals([])
    expect([channel.phase, obligations.at(-1)]).deep.equals(['withdrawn', 0])
  })
})
