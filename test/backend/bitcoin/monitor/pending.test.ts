// The peer's commitment waits in a mempool, and pays too little to get out of it: what is ours there must be claimed in time.
import { expect } from 'chai'
import { isAtRest } from '../../../../backend/bitcoin/monitor/index.js'
import { type Transaction, transactionID, weightOf } from '../../../../backend/bitcoin/script/index.js'
import { feeratePerKw } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import { Arena, fulfil } from './arena.js'
import { nameOf, SimLedger } from './ledger.js'
import { endsOf, newestOf, withHtlcs } from './scenarios.js'

describe("monitor: the peer's commitment in a mempool", () => {
  it('with an HTLC at stake -> our anchor pays for both, more with each block, and what is ours is claimed in time', async () => {
    const { arena, ledger, alice, theirs } = await waiting()
    await arena.mine(3, leftOut(ledger, theirs, 1000n))
    expect(alice.published, 'nobody told us of it').to.deep.equal([])
    expect(isAtRest(alice.known)).to.equal(true)
    arena.input(alice, { kind: 'seen', transaction: theirs })
    await arena.work()
    const [first] = alice.published
    expect(first?.what).to.equal('anchor')
    expect(first?.transactions.map(idOf)).to.include(idOf(theirs))
    const rates: bigint[] = []
    for (let i = 0; i < 8; i++) {
      arena.input(alice, { kind: 'seen', transaction: theirs })
      await arena.mine(1, leftOut(ledger, theirs, 1_000_000n))
      rates.push(rateWithChild(arena, ledger, theirs))
      if (i === 4) await arena.restart(alice)
    }
    expect(rates).to.deep.equal([...rates].sort((a, b) => Number(a - b)))
    expect(rates.at(-1)).to.satisfy((rate: bigint) => rate > (rates[0] ?? 0n))
    // Now it is enough.
    arena.input(alice, { kind: 'seen', transaction: theirs })
    await arena.mine(1, leftOut(ledger, theirs, 1000n))
    expect(arena.isConfirmed(theirs)).to.equal(true)
    await arena.finish(['alice'])
    expect(endsOf(alice.handoffs)).to.include.members(['theirs 0 receiver', 'ours 1 offerer'])
    expect(alice.reserved.size, 'no coin is kept').to.equal(0)
  })

  it('ours is to be published too -> both are paid for, and whichever gets in is claimed', async () => {
    const { arena, ledger, alice, theirs } = await waiting()
    await arena.forceClose('alice')
    arena.input(alice, { kind: 'seen', transaction: theirs })
    await arena.mine(2, leftOut(ledger, theirs, 1000n))
    const parents = alice.published.filter(({ what }) => what === 'anchor').map((one) => one.transactions[0])
    expect(new Set(parents.map((tx) => (tx === undefined ? '' : idOf(tx)))).size).to.equal(2)
    await arena.finish(['alice'])
    expect(endsOf(alice.handoffs)).to.include('theirs 0 receiver')
    expect(alice.reserved.size).to.equal(0)
  })

  it('nothing of ours has to be in time there -> nobody pays for it', async () => {
    const arena = await Arena.open(new SimLedger())
    const { alice } = arena.guards
    const theirs = newestOf(arena, 'bob').transaction
    expect(await arena.ledger.submit([theirs])).to.equal('accepted')
    arena.input(alice, { kind: 'seen', transaction: theirs })
    await arena.mine(1, ({ inputs }) => inputs.length > 0)
    expect(alice.published).to.deep.equal([])
  })

  it('it is evicted, or something else takes its place -> coins are free again, and all is as before', async () => {
    const { arena, ledger, alice, theirs } = await waiting()
    arena.input(alice, { kind: 'seen', transaction: theirs })
    await arena.work()
    expect(alice.reserved.size).to.equal(1)
    const coins = alice.coins.length
    ledger.evict(() => true)
    await arena.mine(1)
    expect(alice.known.pending, 'a block without it is no proof').to.not.equal(undefined)
    ledger.evict(() => true)
    await arena.mine(1)
    await arena.mine(1)
    expect(alice.reserved.size).to.equal(0)
    expect(alice.coins.length).to.equal(coins + 1)
    expect(alice.known).to.deep.include({ attempts: [] })
    expect(alice.known.pending).to.equal(undefined)
    expect(isAtRest(alice.known)).to.equal(true)
  })

  it('a revoked commitment, or a transaction that is not what it says -> is not helped', async () => {
    const { arena, ledger, alice, theirs } = await waiting()
    const { pair } = arena
    pair.offer(pair.alice, 1_000_000n, 9, ledger.height + 100)
    pair.settle()
    await arena.work()
    arena.input(alice, { kind: 'seen', transaction: theirs })
    const newest = newestOf(arena, 'bob').transaction
    const changed = { ...newest, outputs: newest.outputs.slice(1) }
    arena.input(alice, { kind: 'seen', transaction: changed })
    arena.input(alice, { kind: 'seen', transaction: { ...newest, inputs: [] } })
    await arena.work()
    expect(alice.known.pending).to.equal(undefined)
    expect(alice.published.filter(({ what }) => what === 'anchor')).to.deep.equal([])
  })
})

/** Bob's commitment is in the mempool; Alice could claim an HTLC of it, and another one of hers expires soon. */
async function waiting() {
  const ledger = new SimLedger()
  // Due in 11 blocks: what came in for them is taken back then, two races later.
  const arena = await withHtlcs(ledger, { incomingExpiry: ledger.height + 48 })
  const { alice, bob } = arena.guards
  bob.isMute = true
  fulfil(arena, 'alice', 0n, 3)
  const theirs = newestOf(arena, 'bob').transaction
  expect(await ledger.submit([theirs])).to.equal('accepted')
  // Three times what it pays.
  ledger.estimates = [{ blocks: 2, feerate: feeratePerKw(3000) }]
  return { arena, ledger, alice, theirs }
}

/** A miner who takes a transaction only together with a child, and only for so much. */
function leftOut(ledger: SimLedger, theirs: Transaction, least: bigint) {
  return (tx: Transaction) => {
    const isOf = (one: Transaction) =>
      one.inputs.some(({ outpoint }) => toHex(outpoint.txid) === idOf(theirs))
    if (idOf(tx) !== idOf(theirs) && !isOf(tx)) return false
    return !ledger.mempool.some((one) => isOf(one) && packageRate(theirs, one) >= least)
  }
}

/** What both pay, in sat/kw: a child of one coin of 1 000 000 sat. */
function packageRate(theirs: Transaction, child: Transaction): bigint {
  const paid = (tx: Transaction, brought: bigint) =>
    brought - tx.outputs.reduce((sum, { amount }) => sum + amount, 0n)
  const coins = BigInt(child.inputs.length - 1) * 1_000_000n
  const fee = paid(theirs, 1_000_000n) + paid(child, 330n + coins)
  return (fee * 1000n) / BigInt(weightOf(theirs) + weightOf(child))
}

function rateWithChild(arena: Arena, ledger: SimLedger, theirs: Transaction): bigint {
  expect(arena.isConfirmed(theirs)).to.equal(false)
  const child = ledger.mempool.find(({ inputs }) =>
    inputs.some(({ outpoint }) => nameOf(outpoint).startsWith(idOf(theirs))),
  )
  if (child === undefined) throw new Error('no child')
  return packageRate(theirs, child)
}

function idOf(tx: Transaction): string {
  return toHex(transactionID(tx))
}
