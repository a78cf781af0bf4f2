// The ways in which a channel with HTLCs both ways ends on chain, each to its last satoshi, on whatever chain.
import { expect } from 'chai'
import type { MonitorHandoff } from '../../../../backend/bitcoin/monitor/index.js'
import type { Transaction } from '../../../../backend/bitcoin/script/index.js'
import type { Name } from '../channel/pair.js'
import { Arena, type ArenaOptions, fulfil, type Held } from './arena.js'
import type { Ledger } from './ledger.js'

/** What both have before. */
const COINS = 5_000_000n
/** Of the anchors, one is left behind by each. */
const ANCHOR = 330n

/**
 * Alice offers 50 000 (hash 1) and 40 000 (hash 2), Bob 30 000 (hash 3) and 20 000 (hash 4), and each something too small
 * to be an output. Alice knows 3, Bob 1.
 */
export async function withHtlcs(ledger: Ledger, options: ArenaOptions = {}): Promise<Arena> {
  const arena = await Arena.open(ledger, options)
  const { pair } = arena
  const now = ledger.height
  pair.offer(pair.alice, 50_000_000n, 1, now + 50)
  pair.offer(pair.alice, 40_000_000n, 2, now + 12)
  pair.offer(pair.bob, 30_000_000n, 3, now + 55)
  pair.offer(pair.bob, 20_000_000n, 4, now + 14)
  pair.offer(pair.alice, 200_000n, 5, now + 20)
  pair.offer(pair.bob, 100_000n, 6, now + 20)
  pair.settle()
  await arena.work()
  return arena
}

/** What happens on the way: a reorg, a restart. */
export type Incident = (arena: Arena) => Promise<void>

/** One of them publishes its newest commitment. */
export async function closedBy(arena: Arena, by: Name, incident: Incident = async () => {}): Promise<void> {
  // Known, and too late for the channel to say it: the HTLCs have to be claimed on chain.
  fulfil(arena, 'alice', 0n, 3)
  fulfil(arena, 'bob', 0n, 1)
  await arena.forceClose(by)
  await incident(arena)
  await arena.finish()
  for (const guard of arena.both) expect(arena.balances(guard.party.name)).to.deep.equal([])

  const { alice, bob } = arena.guards
  expect(endsOf(alice.handoffs)).to.deep.equal([
    'ours 0 receiver',
    'ours 1 offerer',
    'ours 2 offerer',
    'theirs 0 receiver',
    'theirs 1 offerer',
    'theirs 2 offerer',
  ])
  expect(endsOf(bob.handoffs)).to.deep.equal([
    'ours 0 receiver',
    'ours 1 offerer',
    'ours 2 offerer',
    'theirs 0 receiver',
    'theirs 1 offerer',
    'theirs 2 offerer',
  ])
  expect(learnedBy(alice.handoffs)).to.deep.equal([0n])
  expect(learnedBy(bob.handoffs)).to.deep.equal([0n])
  const commitment = arena.spendOfFunding()
  const anchors = commitment.outputs.filter(({ amount }) => amount === ANCHOR).length
  // The opener pays the commitment's fee and both anchors; what is too small to be an output goes to the miners.
  const fee = arena.feeOf(commitment) - 300n
  expect(arena.walletOf('alice') + arena.costsOf('alice')).to.equal(
    COINS + 600_000n - 200n - 50_000n + 30_000n - fee - BigInt(anchors) * ANCHOR + anchorOf(arena, 'alice'),
  )
  expect(arena.walletOf('bob') + arena.costsOf('bob')).to.equal(
    COINS + 400_000n - 100n - 30_000n + 50_000n + anchorOf(arena, 'bob'),
  )
}

/** Bob publishes what he revoked, as it was with all HTLCs, and Alice gets everything. @param also what Bob does then */
export async function cheatedByBob(
  arena: Arena,
  also: (old: Held) => Promise<void> = async () => {},
  incident: Incident = async () => {},
): Promise<void> {
  const { pair, ledger } = arena
  const old = newestOf(arena, 'bob')
  pair.offer(pair.alice, 1_000_000n, 7, ledger.height + 100)
  pair.settle()
  await arena.work()
  arena.guards.bob.isMute = true
  expect(await ledger.submit([old.transaction]), ledger.reason).to.equal('accepted')
  await arena.mine()
  await also(old)
  await incident(arena)
  await arena.finish(['alice'])
}

/** What a party held last. */
export function newestOf(arena: Arena, name: Name): Held {
  const last = [...arena.held(name).values()].at(-1)
  if (last === undefined) throw new Error('no commitment')
  return arena.complete(name, last)
}

/** How HTLCs ended. */
export function endsOf(handoffs: readonly MonitorHandoff[]): readonly string[] {
  return handoffs
    .flatMap((one) =>
      one.kind === 'htlcResolved'
        ? [`${one.htlc.offerer === 'local' ? 'ours' : 'theirs'} ${one.htlc.id} ${one.to}`]
        : [],
    )
    .sort()
}

/** Whose preimages came from the chain. */
export function learnedBy(handoffs: readonly MonitorHandoff[]): readonly bigint[] {
  return handoffs.flatMap((one) => (one.kind === 'learned' ? [one.htlc.id] : []))
}

/** What the child of a commitment took of it. */
function anchorOf(arena: Arena, name: Name): bigint {
  const { published } = arena.guards[name]
  const isConfirmed = published.some(({ what, transactions }) => {
    const last: Transaction | undefined = transactions.at(-1)
    return what === 'anchor' && last !== undefined && arena.isConfirmed(last)
  })
  return isConfirmed ? ANCHOR : 0n
}
