// What the channels of a client on Lightning do beyond the suite that all ledgers share.
import { expect } from 'chai'
import type { NodeChain } from '../../../../backend/bitcoin/node/index.js'
import { updateTimeout } from '../../../../backend/bitcoin/protocol/refusals.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { feeratePerKw, msat } from '../../../../backend/bitcoin/units.js'
import { type Amount, isError, PerkunasError, toHex, transfer } from '../../../../channel/index.js'
import { accept, Client, reject } from '../../../../client/index.js'
import { createIdentity, PeerBus } from '../../../../peer/index.js'
import { MemoryStore } from '../../../../persistence/index.js'
import { failure } from '../../../client/parties.js'
import type { LedgerChain } from '../node/ledger-chain.js'
import { bytesOf, CAPACITY, Two, told } from './two.js'

describe('bitcoin: clients', () => {
  it('what a quick peer says while the node is starting waits for it, and costs no connection', async () => {
    let goOn: () => void = () => undefined
    const held = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const slow = (chain: LedgerChain): NodeChain => ({
      chainHash: chain.chainHash,
      follow: async (from, handler) => {
        await held
        return chain.follow(from, handler)
      },
      broadcast: (transactions) => chain.broadcast(transactions),
      feeTable: () => chain.feeTable(),
    })
    await using two = await Two.begin((chain) => ({ chain: slow(chain) }))
    two.second.handleProposals(() => reject('heard you'))
    const proposed = two.propose().catch((error: unknown) => error)
    await Promise.race([two.secondBus.heard, proposed])
    goOn()
    const error: unknown = await proposed
    expect(error instanceof Error && error.message).contains('heard you')
  })

  it('a peer of no known address, and one at whose address nobody is -> refused at once, with the reason', async () => {
    await using two = await Two.begin()
    const stranger = createIdentity(bytesOf('a stranger')).id
    const refused = () => failure(two.propose({ peers: [stranger] }))
    const before = await refused()
    expect(before).to.include({ code: 'PEER_UNREACHABLE' })
    expect(before.facts).deep.equals({ peer: stranger, reason: 'noAddress' })
    const node = await two.backend.node()
    node.connect(stranger, 'memory://nobody')
    expect((await refused()).facts).deep.equals({ peer: stranger, reason: 'refused' })
    node.connect(stranger, 'pigeon://roof')
    expect((await refused()).facts).deep.equals({ peer: stranger, reason: 'noDialer' })
  })

  it('an unknown option of a call of a channel -> INVALID_ARGUMENT that names it, and nothing happens', async () => {
    await using two = await Two.begin()
    two.second.handleProposals(accept)
    const channel = await two.open()
    const { state } = channel
    const hash = toHex(sha256(new Uint8Array(32)))
    const lock = { hash, amount: msat(1_000n), deadline: 100n }
    for (const [method, given, argument] of [
      ['update', [() => undefined, { timeuot: 5 }], 'options.timeuot'],
      ['lock', [{ ...lock, expiry: 5n }], 'request.expiry'],
      ['lock', [lock, { timeuot: 5 }], 'options.timeuot'],
      ['watch', [{ timeout: 5 }], 'options.timeout'],
      ['settle', [{ lock: 'refuse' }], 'options.lock'],
    ] as const) {
      const error = await failure(Reflect.apply(Reflect.get(channel, method), channel, given))
      expect([error.code, error.facts]).deep.equals(['INVALID_ARGUMENT', { argument }])
    }
    expect([channel.state, channel.phase]).deep.equals([state, 'acting'])
    const { signal } = new AbortController()
    await channel.update((draft) => transfer(draft, { from: 0, to: 1, amount: msat(1_000_000n) }), {
      signal,
      timeout: 20_000,
    })
    expect(channel.state).not.equals(state)
  })

  it('a bus that does not show what the backend says -> no client over it', async () => {
    await using two = await Two.begin()
    const bus = new PeerBus({ identity: createIdentity(), dialers: [] })
    const make = () => new Client({ bus, store: new MemoryStore(), backend: two.backend })
    expect(make)
      .to.throw(PerkunasError, /backend\.bus/)
      .with.property('code', 'INVALID_ARGUMENT')
    await bus.close()
  })

  it('an update whose other side is away -> refused, and says so', async () => {
    await using two = await Two.begin()
    const channel = await two.open()
    two.part()
    const give = channel.update((draft) => transfer(draft, { from: 0, to: 1, amount: 5_000_000n }), {
      timeout: 100,
    })
    const error = await failure(give)
    expect(error.code).equals('PAYMENT_REFUSED')
    expect(error.message).contains('it is away')
    const facts = { channel: channel.id, version: 1n, participant: 1 }
    expect(updateTimeout('update', { ...facts, isConnected: false }).message).contains('not connected')
    expect(updateTimeout('update', { ...facts, isConnected: true }).message).not.contains('not connected')
  })

  it('more updates at once than the channel carries HTLCs wait, and each edit is made of what there is then', async () => {
    await using two = await Two.begin(() => ({ policy: { maxAcceptedHtlcs: 1 } }))
    const channel = await two.open()
    const give = (amount: Amount) => channel.update((draft) => transfer(draft, { from: 0, to: 1, amount }))
    const giveUpTo = (amount: Amount) =>
      channel.update((draft) => {
        draft.balances[0] = [CAPACITY - amount, amount]
      })
    await give(100_000_000n)
    await Promise.all([give(1_000_000n), giveUpTo(104_000_000n), give(5_000_000n), giveUpTo(109_000_000n)])
    expect(channel.state.allocation.balances).deep.equals([[CAPACITY - 109_000_000n, 109_000_000n]])
  })

  it('a lock that our own limits refuse is refused at once, and says why', async () => {
    // Room for three of these, which no commitment has an output for.
    const policy = { maxDustExposure: { fixed: msat(1_000_000n) } }
    await using two = await Two.begin(undefined, { policy })
    const channel = await two.open()
    const deadline = BigInt(two.chain.ledger.tip.height) + 60n
    const lock = (n: number) =>
      channel.lock({ hash: toHex(bytesOf(`hash ${n}`)), amount: 300_000n, deadline })
    for (let n = 0; n < 3; n++) await lock(n)
    const refused = await lock(3).catch((error: unknown) => error)
    expect(isError(refused, 'INVALID_TRANSITION') && refused.message).contains('dust')
    expect(channel.locks.length).equals(3)
  })

  it('liquidity: reserve, fee, HTLCs under way and their most, and what the other side may send, are those of both', async () => {
    await using two = await Two.begin(() => ({ policy: { maxAcceptedHtlcs: 2, htlcMinimum: msat(7n) } }))
    const channel = await two.open()
    const { theirs } = two
    const give = (amount: Amount) => channel.update((draft) => transfer(draft, { from: 0, to: 1, amount }))
    const node = await two.backend.node()
    const before = channel.liquidity()
    // One per cent each, and the opener pays the fee and two anchors.
    expect(before.reserve).deep.equals([CAPACITY / 100n, CAPACITY / 100n])
    expect(before).deep.include({ minimum: 7n, receivable: 0n, isFunded: true })
    expect([before.sent.most, before.received.most]).deep.equals([2, 50])
    const { feerate = 0, cost = 0n } = node.channels()[0]?.live ?? {}
    expect(cost).equals((BigInt(feerate) * 1124n) / 1000n + 660n)
    expect(before.settlement).deep.equals({ fee: cost * 1000n, payer: 0, lost: 0n })
    expect(theirs.liquidity().settlement).deep.equals(before.settlement)
    await give(100_000_000n)
    const deadline = BigInt(two.chain.ledger.tip.height) + 60n
    await channel.lock({ hash: toHex(bytesOf('large')), amount: 20_000_000n, deadline })
    // Without an output in any commitment.
    await channel.lock({ hash: toHex(bytesOf('small')), amount: 300_000n, deadline })
    const full = channel.liquidity()
    expect([full.sent.count, full.spendable, full.settlement.lost]).deep.equals([2, 0n, 300_000n])
    expect(full.settlement.fee > before.settlement.fee, 'one more output').equals(true)
    const peer = await two.secondBackend.node()
    await peer.eventually(() => (theirs.locks.length === 2 ? true : undefined))
    const other = theirs.liquidity()
    expect([other.received.count, other.receivable, other.settlement.lost]).deep.equals([2, 0n, 0n])
    expect(other.spendable > 0n && full.receivable === other.spendable).equals(true)
    expect(other.spendable <= 100_000_000n - CAPACITY / 100n).equals(true)
  })

  it('liquidity: what one side may receive is what the other may spend, and goes through to the millisatoshi', async () => {
    await using two = await Two.begin()
    const channel = await two.open()
    const { theirs } = two
    two.first.handleUpdates(accept)
    const sides = [channel, theirs]
    const nodes = [await two.backend.node(), await two.secondBackend.node()]
    for (let i = 0; i < 6; i++) {
      const [from, to] = i % 2 === 0 ? [channel, theirs] : [theirs, channel]
      for (const node of nodes)
        await node.eventually(() => sides.every(({ locks }) => locks.length === 0) || undefined)
      const most = to.liquidity().receivable
      expect(most, `${i}`).equals(from.liquidity().spendable)
      const amount = i < 3 ? most : most / 3n
      await from.update((draft) => transfer(draft, { from: from.index, to: to.index, amount }))
    }
  })

  it('fees that rise are told by both sides, and leave less to send', async () => {
    const table = { floor: feeratePerKw(253), estimates: [{ blocks: 6, feerate: feeratePerKw(500) }] }
    const dear = (chain: LedgerChain) => ({ chain: chainWith(chain, async () => table) })
    await using two = await Two.begin(dear, dear)
    const channel = await two.open()
    const [ours, theirs] = [told(channel), told(two.theirs)]
    const before = channel.liquidity()
    table.estimates = [{ blocks: 6, feerate: feeratePerKw(2500) }]
    const node = await two.backend.node()
    const peer = await two.secondBackend.node()
    const isTold = (all: typeof ours) => (all.some(({ kind }) => kind === 'feeChanged') ? true : undefined)
    await two.chain.mine()
    await node.eventually(() => isTold(ours))
    await peer.eventually(() => isTold(theirs))
    const after = channel.liquidity()
    expect(after.settlement.fee > before.settlement.fee).equals(true)
    expect(after.spendable < before.spendable).equals(true)
    for (const all of [ours, theirs])
      expect(all).deep.equals([{ kind: 'feeChanged', fee: after.settlement.fee }])
  })

  it('a funding that a reorg takes back is told by both sides, also to who listens later, and told again when it is back', async () => {
    await using two = await Two.begin()
    const channel = await two.open()
    const { ledger } = two.chain
    const [ours, theirs] = [told(channel), told(two.theirs)]
    const { confirmations: depth = 0 } = (await two.backend.node()).channels()[0]?.live ?? {}
    const mined =
      depth > 6 ? [] : Array.from({ length: depth }, (_, i) => ledger.block(ledger.tip.height - i))
    const funding = mined.flatMap((block) => block?.transactions ?? []).find(({ isCoinbase }) => !isCoinbase)
    await two.chain.reorg(depth)
    const gone = { kind: 'fundingChanged', isFunded: false }
    expect([ours, theirs, told(channel), channel.liquidity().isFunded]).deep.equals([
      [gone],
      [gone],
      [gone],
      false,
    ])
    if (funding === undefined) throw new Error('the funding was in one of them')
    await two.chain.broadcast([funding.decode()])
    for (let block = 0; block < 6; block++) await two.chain.mine()
    const back = { kind: 'fundingChanged', isFunded: true }
    expect([ours, theirs, told(channel)]).deep.equals([[gone, back], [gone, back], []])
  })

  it('settled with an open lock: nothing is disputed while the other side is there, however long it takes', async () => {
    await using two = await Two.begin()
    const channel = await two.open()
    const [peer] = two.second.channels()
    if (peer === undefined) throw new Error('it is the second’s, too')
    await channel.update((draft) => transfer(draft, { from: 0, to: 1, amount: 100_000_000n }))
    const deadline = BigInt(two.chain.ledger.tip.height) + 60n
    const preimage = bytesOf('preimage')
    const lock = await channel.lock({ hash: toHex(sha256(preimage)), amount: 10_000_000n, deadline })
    const refused = await channel.settle({ locks: 'refuse' }).catch((error: unknown) => error)
    expect(isError(refused, 'INVALID_TRANSITION') && channel.phase).equals('acting')
    const events = told(channel)
    const settled = channel.settle({ timeout: 1 })
    const node = await two.backend.node()
    await node.eventually(() => (channel.phase === 'final' ? true : undefined))
    const late = await channel
      .lock({ hash: toHex(bytesOf('another')), amount: 1n, deadline })
      .catch((error: unknown) => error)
    expect(isError(late, 'PHASE_MISMATCH'), 'nothing is locked any more').equals(true)
    for (let block = 0; block < 3; block++) await two.chain.mine()
    expect([channel.phase, channel.locks.map(({ id }) => id)]).deep.equals(['final', [lock.id]])
    await peer.release(lock.id, toHex(preimage))
    await node.eventually(() => {
      const agreed = node.channels().find(({ live }) => live?.isClosingAgreed)
      return agreed === undefined ? undefined : true
    })
    for (let block = 0; block < 10 && channel.phase !== 'withdrawn'; block++) await two.chain.mine()
    await settled
    expect(events.filter(({ kind }) => kind === 'registered')).deep.equals([])
    expect(peer.state.allocation.balances).deep.equals([[CAPACITY - 110_000_000n, 110_000_000n]])
  })

  it('settled while the other side is away, which comes back in its time: together', async () => {
    await using two = await Two.begin()
    const channel = await two.open()
    await channel.update((draft) => transfer(draft, { from: 0, to: 1, amount: 100_000_000n }))
    const events = told(channel)
    two.part()
    const node = await two.backend.node()
    await node.eventually(() => (node.channels()[0]?.live?.isConnected === false ? true : undefined))
    const settled = channel.settle()
    two.meet()
    await node.eventually(() => (node.channels()[0]?.live?.isClosingAgreed ? true : undefined))
    for (let block = 0; block < 10 && channel.phase !== 'withdrawn'; block++) await two.chain.mine()
    await settled
    expect(events.map(({ kind }) => kind)).deep.equals(['concluded', 'concluded'])
  })

  it('a dispute is told as every ledger tells one, and its claims are obligations', async () => {
    await using two = await Two.begin()
    const channel = await two.open()
    const [peer] = two.second.channels()
    if (peer === undefined) throw new Error('it is the second’s, too')
    await channel.update((draft) => transfer(draft, { from: 0, to: 1, amount: 100_000_000n }))
    const deadline = BigInt(two.chain.ledger.tip.height) + 60n
    const lock = await channel.lock({ hash: toHex(bytesOf('hash')), amount: 10_000_000n, deadline })
    const [ours, theirs] = [told(channel), told(peer)]
    expect(channel.obligations.map(({ action }) => action)).deep.equals(['goOnChain'])
    const settled = channel.settle({ timeout: 1, locks: 'dispute' })
    const node = await two.backend.node()
    await node.eventually(() => (channel.phase === 'registering' ? true : undefined))
    await two.chain.mine()
    const { height } = two.chain.ledger.tip
    const [registered] = ours
    expect(registered).deep.include({ kind: 'registered', status: 'seen', by: 0 })
    expect(theirs).deep.equals(ours)
    expect(told(peer), 'who listens only now hears the same').deep.equals(theirs)
    expect(registered?.deadline).equals(BigInt(height) + channel.params.challengeDuration)
    expect(channel.obligations.map(({ action, lock: about }) => [action, about])).deep.equals([
      ['timeOut', lock.id],
    ])
    for (let block = 0; block < 400 && channel.phase !== 'withdrawn'; block++) await two.chain.mine()
    await settled
    const kinds = ours.map((one) => [one.kind, one.status])
    expect(kinds.slice(0, 2)).deep.equals([
      ['registered', 'seen'],
      ['registered', 'final'],
    ])
    expect(kinds).deep.include(['concluded', 'final'])
    expect(kinds.filter(([kind]) => kind === 'concluded').length).equals(1)
  })

  it('who publishes what was revoked is seen at once, and what is taken for it', async () => {
    await using two = await Two.begin()
    const channel = await two.open()
    const give = (amount: Amount) => channel.update((draft) => transfer(draft, { from: 0, to: 1, amount }))
    await give(100_000_000n)
    const old = two.store.clone()
    await give(300_000_000n)
    const [victim] = two.second.channels()
    if (victim === undefined) throw new Error('it is the second’s, too')
    const cheat = await two.alone(old)
    const events = told(victim)
    cheat.settle({ timeout: 1 }).catch(() => undefined)
    while (cheat.phase !== 'registering') await new Promise(setImmediate)
    for (let block = 0; block < 12; block++) await two.chain.mine()
    const [registered, alarm, ...others] = events
    expect(registered).deep.include({ kind: 'registered', by: 0, status: 'seen' })
    expect(alarm).deep.include({ kind: 'atRisk', reason: 'olderState' })
    const taken = others.filter((one) => one.kind === 'punished')
    expect(taken.map(({ status }) => status)).deep.equals(['seen', 'final'])
    // All that the old commitment gave to who published it.
    expect(taken[0]?.amount).satisfies((amount: bigint) => amount > 880_000_000n && amount <= 900_000_000n)
  })
})

/** The same chain, with other fees. */
function chainWith(chain: LedgerChain, feeTable: NodeChain['feeTable']): NodeChain {
  return {
    chainHash: chain.chainHash,
    follow: (from, handler) => chain.follow(from, handler),
    broadcast: (transactions) => chain.broadcast(transactions),
    feeTable,
  }
}
