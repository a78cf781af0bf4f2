// What was done to others, row by row of the list of disclosed weaknesses, on a chain in memory.
import { expect } from 'chai'
import type { MonitorEffect } from '../../../../backend/bitcoin/monitor/index.js'
import { sha256, type Transaction, transactionID } from '../../../../backend/bitcoin/script/index.js'
import { feeratePerKw } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import { preimageOf } from '../channel/pair.js'
import { Arena, fulfil, type Guard, type Held } from './arena.js'
import { SimLedger } from './ledger.js'
import { endsOf, learnedBy, newestOf, withHtlcs } from './scenarios.js'

describe('monitor: attacks', () => {
  it('f.1 row 6: our timeout is evicted again and again -> published every block, at a price that rises to its budget', async () => {
    const { arena, ledger, alice } = await offered(45)
    await arena.mineTo(expiry(alice, 1))
    const rates: number[] = []
    for (let i = 0; i < 25; i++) {
      alice.published.length = 0
      await arena.mine(1, spendsAny)
      expect(
        alice.published.some(({ what }) => what === 'claim'),
        `block ${i}`,
      ).to.equal(true)
      rates.push(alice.known.attempts.find(({ due }) => due !== undefined)?.price?.feerate ?? 0)
      ledger.evict(spendsAny)
    }
    expect(rates).to.deep.equal([...rates].sort((a: number, b: number) => a - b))
    const last = alice.known.attempts.find(({ due }) => due !== undefined)?.last
    expect(last?.fee, 'all but the part of the commitment').to.satisfy(
      (fee: bigint) => fee > 29_000n && fee <= 30_000n,
    )
    await arena.finish(['alice'])
    expect(endsOf(alice.handoffs)).to.include('ours 1 offerer')
  })

  for (const publisher of ['alice', 'bob'] as const) {
    for (const absent of ['trimmed', 'notInCommitment'] as const) {
      for (const isKnown of [false, true]) {
        for (const restarts of [false, true]) {
          const what = `${publisher === 'alice' ? 'our' : 'their'} commitment, ${absent}, preimage ${isKnown ? 'known' : 'unknown'}`
          it(`f.1 rows 7 and 8: ${what}${restarts ? ', restarted' : ''} -> ${isKnown ? 'never' : 'failed when it is final, not before'}`, async () => {
            const arena = await Arena.open(new SimLedger())
            const { pair, ledger, guards } = arena
            const { alice } = guards
            if (absent === 'trimmed') {
              pair.offer(pair.alice, 200_000n, 1, ledger.height + 30)
              pair.settle()
            } else {
              // Signed to Bob, who has not answered: it is in his next commitment and in no other.
              pair.offer(pair.alice, 40_000_000n, 1, ledger.height + 30)
              pair.input(pair.alice, { kind: 'flush' })
            }
            await arena.work()
            guards.bob.isMute = true
            await arena.forceClose(publisher)
            if (publisher === 'bob') guards.alice.isMute = true
            if (isKnown) {
              const preimage = preimageOf(1)
              const htlc = { offerer: 'local', id: 0n } as const
              arena.input(alice, {
                kind: 'updates',
                updates: [{ kind: 'preimage', htlc, paymentHash: sha256(preimage), preimage }],
              })
            }
            await arena.mine(5)
            if (restarts) await arena.restart(alice)
            expect(endsOf(alice.handoffs)).to.deep.equal([])
            await arena.mine(1)
            if (restarts) await arena.restart(alice)
            expect(endsOf(alice.handoffs)).to.deep.equal([`ours 0 ${isKnown ? 'receiver' : 'offerer'}`])
          })
        }
      }
    }
  }

  it('f.1 row 3: a preimage of ours for another HTLC of the same hash -> is not shown on chain, and not learned', async () => {
    const arena = await Arena.open(new SimLedger())
    const { pair, ledger, guards } = arena
    for (let i = 0; i < 2; i++) pair.offer(pair.bob, 30_000_000n, 1, ledger.height + 60)
    pair.settle()
    // Only the second is ours to take.
    fulfil(arena, 'alice', 1n, 1)
    await arena.forceClose('alice')
    await arena.mine(3)
    const [attempt, ...others] = guards.alice.known.attempts.filter(({ kind }) => kind === 'htlc')
    expect(others).to.deep.equal([])
    expect(attempt?.members).to.have.length(1)
    await arena.finish()
    expect(endsOf(guards.alice.handoffs)).to.deep.equal(['theirs 0 offerer', 'theirs 1 receiver'])
    expect(learnedBy(guards.alice.handoffs)).to.deep.equal([])
  })

  it('away during a theft, back before the delay is over -> all is taken from what was missed', async () => {
    const arena = await withHtlcs(new SimLedger())
    arena.guards.alice.isAway = true
    await cheat(arena)
    await arena.mine(2)
    await arena.undo(1)
    await arena.mine(2)
    expect(arena.guards.alice.known.facts).to.deep.equal([])
    await arena.comeBack(arena.guards.alice)
    await arena.finish(['alice'])
    const fee = arena.feeOf(arena.spendOfFunding())
    expect(arena.walletOf('alice') + arena.costsOf('alice')).to.equal(6_000_000n - fee - 660n)
  })

  it('f.1 row 6: the preimage shows in the mempool and is evicted -> it is known all the same', async () => {
    const { arena, ledger, alice, old } = await offered()
    await arena.mine()
    const output = old.commitment.htlcs.find(({ htlc }) => htlc.direction === 'received' && htlc.id === 1n)
    if (output === undefined) throw new Error('no HTLC')
    const success = arena.secondLevel('bob', old, output, preimageOf(2))
    arena.input(alice, { kind: 'seen', transaction: success })
    await arena.work()
    expect(learnedBy(alice.handoffs)).to.deep.equal([1n])
    await arena.restart(alice)
    await arena.finish(['alice'])
    expect(learnedBy(alice.handoffs)).to.deep.equal([1n])
    // The output was ours in the end, and whatever it was forwarded for is paid: never fail what may be fulfilled.
    expect(endsOf(alice.handoffs)).to.include('ours 1 receiver')
    expect(ledger.mempool).to.deep.equal([])
  })

  for (const which of ['current', 'next', 'revoked'] as const) {
    it(`f.1 row 9: the peer takes an HTLC of its ${which} commitment -> we have the preimage`, async () => {
      const arena = await withHtlcs(new SimLedger())
      const { pair, ledger, guards } = arena
      const old = newestOf(arena, 'bob')
      if (which !== 'current') {
        pair.offer(pair.alice, 1_000_000n, 7, ledger.height + 100)
        pair.input(pair.alice, { kind: 'flush' })
        while (pair.deliver(pair.alice)) {}
        if (which === 'revoked') pair.settle()
        await arena.work()
      }
      const shown = which === 'next' ? newestOf(arena, 'bob') : old
      guards.bob.isMute = true
      guards.alice.isMute = true
      expect(await ledger.submit([shown.transaction])).to.equal('accepted')
      await arena.mine()
      const output = shown.commitment.htlcs.find(
        ({ htlc }) => htlc.direction === 'received' && htlc.id === 0n,
      )
      if (output === undefined) throw new Error('no HTLC')
      expect(await ledger.submit([arena.secondLevel('bob', shown, output, preimageOf(1))])).to.equal(
        'accepted',
      )
      await arena.mine()
      expect(guards.alice.events.find(({ kind }) => kind === 'spent')).to.deep.include({
        by: { current: 'counterpartyCurrent', next: 'counterpartyNext', revoked: 'revoked' }[which],
      })
      expect(learnedBy(guards.alice.handoffs)).to.deep.equal([0n])
      guards.alice.isMute = false
      await arena.mine(6)
      await arena.undo(3)
      expect(learnedBy(guards.alice.handoffs), 'once').to.deep.equal([0n])
    })
  }

  it('f.1 rows 10 and 11: equal hashes, one is taken -> by its output, the other is back with us', async () => {
    const arena = await Arena.open(new SimLedger())
    const { pair, ledger, guards } = arena
    const at = ledger.height + 20
    for (const amount of [50_000_000n, 50_000_000n, 60_000_000n]) pair.offer(pair.alice, amount, 1, at)
    pair.settle()
    const held = newestOf(arena, 'bob')
    guards.bob.isMute = true
    expect(await ledger.submit([held.transaction])).to.equal('accepted')
    await arena.mine(2)
    const [first] = held.commitment.htlcs.filter(({ amount }) => amount === 50_000n)
    if (first === undefined) throw new Error('no HTLC')
    expect(await ledger.submit([arena.secondLevel('bob', held, first, preimageOf(1))])).to.equal('accepted')
    await arena.finish(['alice'])
    const taken = guards.alice.events.flatMap((event) =>
      event.kind === 'output' && event.depth === 1 ? [`${event.amount} ${event.by}`] : [],
    )
    expect(taken.sort()).to.deep.equal(
      ['50000 peer', '50000 us', '60000 us', `${toLocalOf(arena)} us`].sort(),
    )
    // Who shows a preimage shows it of all of that hash: all that they were forwarded for is paid.
    expect(learnedBy(guards.alice.handoffs)).to.deep.equal([0n, 1n, 2n])
  })

  it('f.1 row 12: of a batch of penalties the peer takes one after the other -> each is punished, the rest goes on', async () => {
    const ledger = new SimLedger()
    const arena = await withHtlcs(ledger)
    const { guards } = arena
    const old = await cheat(arena)
    const batch = guards.alice.known.attempts.filter(({ members }) => members.length > 1)
    // Whoever mines is with the thief: nothing of ours gets in.
    const isOurs = (tx: Transaction) =>
      guards.alice.published.some(({ transactions }) =>
        transactions.some((one) => toHex(transactionID(one)) === toHex(transactionID(tx))),
      )
    for (const [id, number] of [
      [0n, 1],
      [1n, 2],
    ] as const) {
      const output = old.commitment.htlcs.find(({ htlc }) => htlc.direction === 'received' && htlc.id === id)
      if (output === undefined) throw new Error('no HTLC')
      ledger.evict(isOurs)
      expect(
        await ledger.submit([arena.secondLevel('bob', old, output, preimageOf(number))]),
        ledger.reason,
      ).to.equal('accepted')
      await arena.mine(1, isOurs)
    }
    await arena.finish(['alice'])
    expect(batch).to.have.length(1)
    const fee = arena.feeOf(arena.spendOfFunding())
    expect(arena.walletOf('alice') + arena.costsOf('alice')).to.equal(6_000_000n - fee - 660n)
  })

  it("f.1 row 12: a stranger's transaction pins one part of a batch -> the others go alone", async () => {
    const ledger = new SimLedger()
    const arena = await withHtlcs(ledger)
    const { guards } = arena
    const old = newestOf(arena, 'bob')
    arena.pair.offer(arena.pair.alice, 1_000_000n, 7, ledger.height + 100)
    arena.pair.settle()
    await arena.work()
    guards.bob.isMute = true
    guards.alice.isMute = true
    expect(await ledger.submit([old.transaction])).to.equal('accepted')
    await arena.mine()
    const pinned = old.commitment.htlcs.find(({ htlc }) => htlc.direction === 'received' && htlc.id === 0n)
    if (pinned === undefined) throw new Error('no HTLC')
    // Large and dear: nothing of ours replaces it for a while.
    expect(await ledger.submit([arena.secondLevel('bob', old, pinned, preimageOf(1))])).to.equal('accepted')
    guards.alice.isMute = false
    await arena.mine(2, (tx) => tx.outputs.some(({ amount }) => amount === pinned.amount))
    const spent = guards.alice.events.filter((event) => event.kind === 'output' && event.by === 'us')
    expect(spent.length, 'all but the pinned one').to.be.at.least(old.commitment.htlcs.length)
    await arena.finish(['alice'])
  })

  it('f.1 row 13: the preimage comes after the expiry, or when all is over -> claimed if there is something to claim', async () => {
    for (const isLate of [false, true]) {
      const arena = await withHtlcs(new SimLedger())
      const { guards } = arena
      guards.bob.isMute = !isLate
      await arena.forceClose('alice')
      await arena.mineTo(expiryOfTheirs(guards.alice, 1) + 3)
      fulfil(arena, 'alice', 1n, 4)
      await arena.work()
      await arena.finish(['alice'])
      expect(endsOf(guards.alice.handoffs)).to.include(`theirs 1 ${isLate ? 'offerer' : 'receiver'}`)
    }
  })

  for (const commitments of ['anchors', 'static_remotekey'] as const) {
    it(`f.1 row 14: every block of our close is undone once, ${commitments} -> all claims come again`, async () => {
      const arena = await withHtlcs(new SimLedger(), { commitments })
      const { guards } = arena
      fulfil(arena, 'alice', 0n, 3)
      await arena.forceClose('alice')
      for (let i = 0; i < 40; i++) {
        await arena.mine(2)
        await arena.undo(1)
      }
      await arena.finish(['alice'])
      expect(endsOf(guards.alice.handoffs)).to.deep.equal([
        'ours 0 offerer',
        'ours 1 offerer',
        'ours 2 offerer',
        'theirs 0 receiver',
        'theirs 1 offerer',
        'theirs 2 offerer',
      ])
    })
  }

  it('f.1 row 14: another commitment confirms after a reorg -> its claims are made, those of the first are forgotten', async () => {
    const ledger = new SimLedger()
    const arena = await withHtlcs(ledger)
    const { guards } = arena
    fulfil(arena, 'alice', 0n, 3)
    const theirs = newestOf(arena, 'bob').transaction
    await arena.forceClose('alice')
    await arena.mine(2)
    expect(guards.alice.known.facts.length).to.be.greaterThan(1)
    await arena.undo(2)
    ledger.evict(() => true)
    expect(await ledger.submit([theirs])).to.equal('accepted')
    await arena.finish(['alice'])
    expect(guards.alice.events.filter(({ kind }) => kind === 'spent').at(-1)).to.deep.include({
      by: 'counterpartyCurrent',
      depth: 6,
    })
    expect(endsOf(guards.alice.handoffs)).to.include('theirs 0 receiver')
  })

  it('f.1 row 16: who spent an output shows in its witness, whoever remembers what', async () => {
    const arena = await withHtlcs(new SimLedger())
    const { guards } = arena
    fulfil(arena, 'alice', 0n, 3)
    await arena.forceClose('bob')
    await arena.mine(1)
    // Another copy of us made the claims, and nothing of them is known here.
    guards.alice.monitor = { ...guards.alice.known, attempts: [] }
    for (const key of [...guards.alice.disk.keys()])
      if (key.includes('/attempt/')) guards.alice.disk.delete(key)
    await arena.finish(['alice', 'bob'])
    const spends = guards.alice.events.flatMap((event) =>
      event.kind === 'output' && event.depth === 6 ? [`${event.amount} ${event.by}`] : [],
    )
    // Of ours 50 000 and 40 000 timed out, 30 000 by the preimage; Bob took 20 000 back.
    expect(spends).to.include.members(['50000 us', '40000 us', '30000 us', '20000 peer'])
  })

  it('f.1 row 17: a spend with megabytes of witness beside it -> read, and not kept', async () => {
    const { arena, alice, old } = await offered()
    await arena.mine()
    const output = old.commitment.htlcs.find(({ htlc }) => htlc.direction === 'received' && htlc.id === 1n)
    if (output === undefined) throw new Error('no HTLC')
    const success = arena.secondLevel('bob', old, output, preimageOf(2))
    const huge: Transaction = {
      ...success,
      inputs: success.inputs.map((input, i) =>
        i === 0 ? input : { ...input, witness: [new Uint8Array(3_900_000)] },
      ),
    }
    const before = alice.known.facts.length
    arena.height = arena.ledger.height + 1
    arena.input(alice, {
      kind: 'connected',
      hash: toHex(new Uint8Array(32).fill(0xee)),
      isTip: true,
      transactions: [{ position: 0, transaction: huge }],
    })
    expect(alice.known.facts.length).to.equal(before + 1)
    expect(learnedBy(alice.handoffs)).to.deep.equal([1n])
    const rows = [...alice.disk.values()].reduce((sum, { length }) => sum + length, 0)
    expect(rows).to.be.lessThan(50_000)
  })

  it('f.1 row 18: a node refuses without a good reason -> published again with every block', async () => {
    const { arena, ledger, alice } = await offered()
    await arena.mineTo(expiry(alice, 1) - 1)
    const submit = ledger.submit.bind(ledger)
    ledger.submit = () => Promise.resolve('rejected')
    for (let i = 0; i < 5; i++) {
      alice.published.length = 0
      await arena.mine()
      expect(alice.published.length, `block ${i}`).to.be.greaterThan(0)
    }
    ledger.submit = submit
    await arena.finish(['alice'])
  })

  it('f.1 row 20: many HTLCs close at once with one coin -> few transactions, what is soonest due says so', async () => {
    const arena = await Arena.open(new SimLedger(), { coins: 2 })
    const { pair, ledger, guards } = arena
    for (let i = 0; i < 40; i++)
      pair.offer(pair.alice, 4_000_000n, 100 + i, ledger.height + 40 + (i % 2) * 10)
    pair.settle()
    await arena.forceClose('alice')
    await arena.mineTo(ledger.height + 41)
    const htlcs = guards.alice.known.attempts.filter(({ kind }) => kind === 'htlc')
    expect(htlcs.map(({ members }) => members.length)).to.deep.equal([20])
    expect(htlcs[0]?.coins.length).to.equal(1)
    await arena.finish(['alice'])
    expect(endsOf(guards.alice.handoffs).filter((end) => end.endsWith('offerer')).length).to.equal(40)
  })

  it('f.1 row 20: no coins at all -> the commitment goes alone, HTLCs wait for coins, each request says what is at stake', async () => {
    const ledger = new SimLedger()
    const arena = await withHtlcs(ledger, { coins: 0 })
    const { guards } = arena
    fulfil(arena, 'alice', 0n, 3)
    const asked: MonitorEffect[] = []
    await arena.forceClose('alice')
    ledger.evict(() => true)
    await arena.mine(3)
    const { effects } = arena.input(guards.alice, { kind: 'resume' })
    asked.push(...effects.filter(({ kind }) => kind === 'reserve'))
    expect(asked.map((one) => (one.kind === 'reserve' ? [one.value, one.due] : []))).to.deep.equal([
      [30_000n, expiryOfTheirs(guards.alice, 0)],
    ])
    expect(new Set(guards.alice.published.map(({ what }) => what))).to.deep.equal(new Set(['commitment']))
    expect(guards.alice.known.facts.length).to.be.greaterThan(0)
  })

  it('f.1 row 23, data loss: a commitment that we never knew -> our balance is swept, nothing of ours is published', async () => {
    const arena = await withHtlcs(new SimLedger())
    const { pair, ledger, guards } = arena
    const { alice } = guards
    const stale = { monitor: alice.known, disk: new Map(alice.disk) }
    pair.offer(pair.alice, 1_000_000n, 7, ledger.height + 100)
    pair.settle()
    pair.offer(pair.alice, 1_000_000n, 8, ledger.height + 100)
    pair.settle()
    await arena.work()
    alice.monitor = stale.monitor
    alice.disk.clear()
    for (const [key, value] of stale.disk) alice.disk.set(key, value)
    alice.published.length = 0
    await arena.forceClose('bob')
    arena.input(alice, { kind: 'updates', updates: [{ kind: 'failed', cause: 'dataLoss' }] })
    await arena.mine(1)
    expect(alice.events.find(({ kind }) => kind === 'spent')).to.deep.include({ by: 'future' })
    await arena.mineTo(ledger.height + 20)
    expect(alice.published.every(({ what }) => what === 'claim')).to.equal(true)
    const swept = alice.events.filter(
      (event) => event.kind === 'output' && event.by === 'us' && event.depth === 6,
    )
    expect(swept).to.have.length(1)
    // What the peer may still take with a preimage is not failed before the race for it would be over.
    expect(endsOf(alice.handoffs).some((end) => end.startsWith('ours 0'))).to.equal(false)
    await arena.finish(['alice'])
    expect(endsOf(alice.handoffs)).to.include('ours 0 offerer')
  })

  it('a mempool that is full: the floor rises above what we paid -> bumped with the next block, commitment and claims', async () => {
    const ledger = new SimLedger()
    const arena = await withHtlcs(ledger)
    const { guards } = arena
    fulfil(arena, 'alice', 0n, 3)
    ledger.floor = 6000
    await arena.forceClose('alice')
    expect(guards.alice.known.facts).to.deep.equal([])
    ledger.floor = 9000
    ledger.evict(() => true)
    await arena.mine(2)
    expect(guards.alice.known.facts.length, 'the package got in').to.be.greaterThan(0)
    const before = guards.alice.known.attempts.find(({ kind }) => kind === 'htlc')?.price?.feerate ?? 0
    ledger.floor = before + 2000
    ledger.evict(() => true)
    await arena.mine(2)
    expect(guards.alice.known.attempts.find(({ kind }) => kind === 'htlc')?.price?.feerate).to.be.at.least(
      before + 2000,
    )
    ledger.floor = 253
    await arena.finish(['alice'])
  })

  it('a commitment that pays enough has no child', async () => {
    const ledger = new SimLedger()
    ledger.estimates = [{ blocks: 2, feerate: feeratePerKw(400) }]
    const arena = await withHtlcs(ledger)
    await arena.forceClose('alice')
    await arena.mine(2)
    expect(arena.guards.alice.reserved.size).to.equal(0)
    expect(arena.guards.alice.known.facts.length).to.be.greaterThan(0)
  })
})

/** Bob's commitment is published, Bob does nothing, and Alice's timeouts are to come. */
/** @param incoming blocks until what came in for it is taken back, if it was forwarded */
async function offered(incoming?: number): Promise<{
  readonly arena: Arena
  readonly ledger: SimLedger
  readonly alice: Guard
  readonly old: Held
}> {
  const ledger = new SimLedger()
  const arena = await withHtlcs(ledger, {
    ...(incoming === undefined ? {} : { incomingExpiry: ledger.height + incoming }),
  })
  const old = newestOf(arena, 'bob')
  arena.guards.bob.isMute = true
  expect(await ledger.submit([old.transaction])).to.equal('accepted')
  await arena.mine()
  return { arena, ledger, alice: arena.guards.alice, old }
}

/** Bob publishes what he revoked, and Alice sees it in a block. */
async function cheat(arena: Arena): Promise<Held> {
  const { pair, ledger, guards } = arena
  const old = newestOf(arena, 'bob')
  pair.offer(pair.alice, 1_000_000n, 7, ledger.height + 100)
  pair.settle()
  await arena.work()
  guards.bob.isMute = true
  expect(await ledger.submit([old.transaction])).to.equal('accepted')
  await arena.mine()
  return old
}

function spendsAny({ inputs }: Transaction): boolean {
  return inputs.length > 0
}

function expiry(guard: Guard, id: number): number {
  return expiryOf(guard, 'offered', id)
}

function expiryOfTheirs(guard: Guard, id: number): number {
  return expiryOf(guard, 'received', id)
}

function expiryOf({ known }: Guard, direction: 'offered' | 'received', id: number): number {
  const htlcs = known.known.holder.at(-1)?.state.htlcs ?? []
  return htlcs.find((one) => one.direction === direction && one.id === BigInt(id))?.cltvExpiry ?? 0
}

function toLocalOf(arena: Arena): bigint {
  const event = arena.guards.alice.events.find((one) => one.kind === 'output' && one.amount > 100_000n)
  return event?.kind === 'output' ? event.amount : 0n
}
