// What is ours and when, as a user sees it, from the open channel to the last confirmation.
import { expect } from 'chai'
import { type ClaimableBalance, isAtRest, obligationsOf } from '../../../../backend/bitcoin/monitor/index.js'
import { Arena, fulfil } from './arena.js'
import { SimLedger } from './ledger.js'
import { cheatedByBob, withHtlcs } from './scenarios.js'

describe('monitor: balances and obligations', () => {
  it('open -> what a close would give, and each HTLC as what it depends on', async () => {
    const arena = await withHtlcs(new SimLedger())
    fulfil(arena, 'alice', 0n, 3)
    const at = arena.ledger.height
    const fee =
      arena.complete('alice', [...arena.held('alice').values()].at(-1) ?? fail()).commitment.fee - 300n
    expect(shown(arena.balances('alice'))).to.deep.equal([
      `contentious 30000 until ${at + 55}`,
      `maybePreimage 20000 before ${at + 14 + 1}`,
      `maybeTimeout 40000 from ${at + 12 + 1}`,
      `maybeTimeout 50000 from ${at + 50 + 1}`,
      `onClose ${600_000n - 90_200n - 660n - fee}`,
    ])
    expect(isAtRest(arena.guards.alice.known)).to.equal(true)
    expect(obligationsOf(arena.guards.alice.known, arena.env(arena.guards.alice))).to.deep.equal([
      { kind: 'watch', within: 6 },
    ])
  })

  it('our commitment wanted -> by when its most urgent HTLC needs it; in a block -> each claim by when', async () => {
    const arena = await withHtlcs(new SimLedger())
    const { alice, bob } = arena.guards
    const opened = arena.ledger.height
    fulfil(arena, 'alice', 0n, 3)
    bob.isMute = true
    await arena.forceClose('alice')
    expect(obligationsOf(alice.known, arena.env(alice))).to.deep.include({
      kind: 'commitment',
      // The peer takes back what it offered from 56 blocks on; the race for it begins 18 before.
      height: opened + 37,
      value: 120_000n,
    })
    await arena.mine()
    const claims = obligationsOf(alice.known, arena.env(alice)).map((one) =>
      one.kind === 'claim' ? `${one.value} by ${one.height}` : one.kind,
    )
    expect(claims).to.deep.equal([
      `40000 by ${opened + 13}`,
      `50000 by ${opened + 51}`,
      `30000 by ${opened + 55}`,
    ])
    await arena.mine()
    const balances = shown(arena.balances('alice'))
    // HTLC-success is in a block: its output waits for the delay as the balance does.
    expect(balances).to.include(`awaitingDelay 30000 from ${opened + 2 + 6}`)
    expect(
      balances.some((one) => one.startsWith('awaitingDelay 50') && one.endsWith(`from ${opened + 1 + 6}`)),
    ).to.equal(true)
    await arena.mine(6)
    expect(shown(arena.balances('alice')).some((one) => one.startsWith('awaitingConfirmations'))).to.equal(
      true,
    )
    await arena.finish(['alice'])
    expect(arena.balances('alice')).to.deep.equal([])
    expect(obligationsOf(alice.known, arena.env(alice))).to.deep.equal([])
  })

  it('a theft -> punishable, with the delay as deadline', async () => {
    const arena = await withHtlcs(new SimLedger())
    arena.guards.alice.isMute = true
    await cheatedByBob(arena, async () => {
      const confirmedAt = arena.ledger.height
      const balances = shown(arena.balances('alice'))
      expect(balances.filter((one) => one.startsWith('punishable'))).to.have.length(5)
      expect(balances.some((one) => one.endsWith(`until ${confirmedAt + 6 - 1}`))).to.equal(true)
      expect(obligationsOf(arena.guards.alice.known, arena.env(arena.guards.alice)).length).to.equal(5)
      arena.guards.alice.isMute = false
    })
  })

  it('a closing that both signed -> published until it is in a block, and final six deep', async () => {
    const ledger = new SimLedger()
    const arena = await Arena.open(ledger)
    const { pair, guards } = arena
    pair.input(pair.alice, { kind: 'shutdown' })
    pair.settle()
    await arena.work()
    expect(isAtRest(guards.alice.known)).to.equal(false)
    await arena.mine(1, () => true)
    expect(guards.alice.published.map(({ what }) => what)).to.deep.equal(['closing'])
    await arena.mine(1)
    expect(guards.alice.events.at(-1)).to.deep.include({ kind: 'spent', by: 'closing', depth: 1 })
    await arena.undo(1)
    ledger.evict(() => true)
    await arena.mine(2)
    await arena.mine(4)
    expect(guards.alice.known.isResolved).to.equal(false)
    await arena.mine(1)
    expect(guards.alice.known.isResolved).to.equal(true)
    expect(guards.alice.handoffs.at(-1)).to.deep.equal({ kind: 'channelResolved' })
    expect(pair.alice.state?.phase).to.equal('closed')
    expect(guards.alice.watched.size).to.equal(0)
  })
})

function shown(balances: readonly ClaimableBalance[]): readonly string[] {
  return balances
    .map((one) => {
      switch (one.kind) {
        case 'onClose':
          return `onClose ${one.amount}`
        case 'contentious':
          return `contentious ${one.amount} until ${one.deadline}`
        case 'maybePreimage':
          return `maybePreimage ${one.amount} before ${one.height}`
        case 'punishable':
          return `punishable ${one.amount} until ${one.deadline}`
        default:
          return `${one.kind} ${one.amount} from ${one.height}`
      }
    })
    .sort()
}

function fail(): never {
  throw new Error('no commitment')
}
