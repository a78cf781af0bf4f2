// A node that lost its store, and what it gets back from its backup with the peer's help (BOLT 2, "Message Retransmission").
import { expect } from 'chai'
import { openBackup } from '../../../../backend/bitcoin/backup/index.js'
import { LightningNode, type NodeEvent } from '../../../../backend/bitcoin/node/index.js'
import { commitmentFee, type Transaction, transactionID } from '../../../../backend/bitcoin/script/index.js'
import { blockDelta, feeratePerKw, msat, sat } from '../../../../backend/bitcoin/units.js'
import { type Hex, toHex } from '../../../../channel/bytes.js'
import { isError } from '../../../../channel/errors.js'
import { createIdentity } from '../../../../peer/index.js'
import { MemoryStore } from '../../../../persistence/index.js'
import { bytesOf, LossyWorld, type Person, turns } from './world.js'

/** Satoshis that a sweep of one output may cost. */
const SWEEP = 2_000n
const ANCHORS = 660n

describe('LightningNode.recover', () => {
  let world: LossyWorld
  let alice: Person
  let bob: Person
  let count = 0

  beforeEach(async () => {
    world = await LossyWorld.begin()
    alice = world.alice
    bob = world.bob
  })
  afterEach(() => world.stop())

  async function pay(from: Person, to: Person, amount: bigint): Promise<void> {
    const id = toHex(bytesOf(`payment ${count++}`))
    const request = { kind: 'spontaneous', peer: to.id, amount: msat(amount) } as const
    const { status } = await from.node.payments.pay({ id, request })
    expect(status.kind).to.equal('succeeded')
    for (const { node } of [from, to])
      await node.eventually(() => node.channels().every(({ live }) => live?.htlcs.length === 0) || undefined)
  }

  /** Offers an HTLC of which only `to` can make a payment, and which it holds. */
  async function held(from: Person, to: Person, amount: bigint): Promise<Hex> {
    const hash = toHex(bytesOf(toHex(bytesOf(`held ${count}`))))
    const id = toHex(bytesOf(`payment ${count++}`))
    const request = {
      kind: 'hash',
      peer: to.id,
      amount: msat(amount),
      paymentHash: hash,
      finalCltvExpiryDelta: blockDelta(40),
    } as const
    const isHeld = new Promise<void>((resolve) => {
      to.node.payments.events$.subscribe(({ kind, payment }) => {
        if (kind === 'held' && payment.paymentHash === hash) resolve()
      })
    })
    from.node.payments.pay({ id, request }).catch(() => undefined)
    await isHeld
    return hash
  }

  /** Nothing that spends a funding output left her. */
  function expectNoCommitment(of: Person, since: number, funding: { readonly txid: Uint8Array }): void {
    for (const tx of of.published.slice(since))
      expect(tx.inputs.map(({ outpoint }) => toHex(outpoint.txid))).to.not.include(toHex(funding.txid))
  }

  function toWallet(person: Person, tx: Transaction): bigint {
    return tx.outputs
      .filter(({ script }) => toHex(script) === toHex(person.wallet.script))
      .reduce((sum, { amount }) => sum + amount, 0n)
  }

  for (const opener of ['alice', 'bob'] as const) {
    it(`${opener} opened: payments, the store is lost, the file made at opening brings back all that is ours`, async () => {
      await world.open(world[opener])
      const [first] = alice.backups
      if (first === undefined) throw new Error('no backup')
      await pay(alice, bob, 70_000_001n)
      await pay(bob, alice, 20_000_000n)
      await pay(alice, bob, 3_000n)
      const [view] = bob.node.channels()
      const theirs = view?.live
      if (view === undefined || theirs === undefined) throw new Error('no channel')
      const balance = theirs.balances.remote / 1000n
      await alice.lose()
      const before = alice.wallet.wealth
      const since = alice.published.length

      const node = await alice.recover(first)
      const told: NodeEvent[] = []
      node.events$.subscribe((event) => told.push(event))
      const { channels } = openBackup(first, alice.seed)
      const funding = channels[0]?.funding
      const key = channels[0]?.keyIndex
      if (funding === undefined || key === undefined) throw new Error('a channel expected')
      expect(node.channel(key)).to.deep.nested.include({
        phase: 'failed',
        'live.failure.cause': 'dataLoss',
        capacity: 1_000_000n,
      })
      for (const call of [node.forceClose(key), node.close(key)]) {
        const error = await call.then(
          () => undefined,
          (cause: unknown) => cause,
        )
        expect(isError(error, 'DATA_LOSS')).to.equal(true)
      }
      await bob.node.until(view.channel, ({ phase }) => phase === 'failed')
      await world.mineUntilOver(alice, 40)

      expect(node.channels()).to.deep.equal([])
      expectNoCommitment(alice, since, funding)
      const closing = world.closing(funding)
      if (closing === undefined) throw new Error('bob did not close')
      const fee = commitmentFee('anchors_zero_fee_htlc', feeratePerKw(theirs.feerate), 0) + ANCHORS
      const due = opener === 'alice' ? balance - fee : balance
      const paid = closing.outputs.findIndex(({ amount }) => amount === due)
      expect(paid, `an output of ${due}`).to.be.at.least(0)
      const sweep = world.closing({ txid: transactionID(closing), index: paid })
      if (sweep === undefined) throw new Error('no sweep')
      const got = toWallet(alice, sweep)
      expect(got > due - SWEEP && got < due, `${got} of ${due}`).to.equal(true)
      expect(alice.wallet.wealth).to.equal(before + got)
      const kinds = told.map((event) => ('event' in event ? event.event.kind : event.kind))
      expect(kinds).to.include.members(['dataLoss', 'spent', 'output', 'resolved', 'closed'])
      expect(alice.errors).to.deep.equal([])
      expect(bob.errors).to.deep.equal([])
    })
  }

  it('no file either: a peer gives back what it keeps for us, and that brings back all that is ours', async () => {
    await world.open(alice)
    await pay(alice, bob, 70_000_000n)
    await alice.lose()
    const before = alice.wallet.wealth
    const since = alice.published.length
    const options = await alice.options()
    const early = new AbortController()
    const { id: nobody } = createIdentity(new Uint8Array(32).fill(5))
    const late = LightningNode.retrieve(options, { peer: nobody, address: 'memory://nobody' }, early)
    early.abort()
    expect(await late.catch((error: unknown) => isError(error, 'ABORTED'))).to.equal(true)
    const backup = await LightningNode.retrieve(options, { peer: bob.id, address: 'memory://bob' })
    const { channels } = openBackup(backup, alice.seed)
    expect(channels.map(({ peer }) => peer)).to.deep.equal([bob.id])
    await alice.recover(backup)
    await bob.node.until(0n, ({ phase }) => phase === 'failed')
    await world.mineUntilOver(alice, 40)
    const [{ funding } = { funding: undefined }] = channels
    if (funding === undefined) throw new Error('no funding')
    expectNoCommitment(alice, since, funding)
    expect(alice.wallet.wealth - before).to.satisfy((got: bigint) => got > 500_000n && got < 530_000n)
  })

  it('before any payment, when nothing shows that we are behind: the peer closes since it is asked to', async () => {
    await world.open(alice)
    const backup = alice.node.backup()
    await alice.lose()
    await alice.recover(backup)
    await bob.node.until(0n, ({ phase }) => phase === 'failed')
    await world.mineUntilOver(alice, 40)
    expect(alice.node.channels()).to.deep.equal([])
  })

  it('HTLCs under way: our balance without them comes back, and nobody is stuck', async () => {
    await world.open(alice)
    const [backup] = alice.backups
    if (backup === undefined) throw new Error('no backup')
    await held(alice, bob, 50_000_000n)
    await held(bob, alice, 30_000_000n)
    const live = bob.node.channel(0n)?.live
    if (live === undefined) throw new Error('no channel')
    expect(live.htlcs).to.have.length(2)
    await alice.lose()
    const before = alice.wallet.wealth
    const since = alice.published.length
    await alice.recover(backup)
    const funding = openBackup(backup, alice.seed).channels[0]?.funding
    if (funding === undefined) throw new Error('a channel expected')
    await bob.node.until(0n, ({ phase }) => phase === 'failed')
    await world.mineUntilOver(alice, 40)
    expect(alice.node.channels()).to.deep.equal([])
    const fee = commitmentFee('anchors_zero_fee_htlc', feeratePerKw(live.feerate), 2) + ANCHORS
    const due = 600_000n - 50_000n - fee
    const got = alice.wallet.wealth - before
    expect(got > due - SWEEP && got < due, `${got} of ${due}`).to.equal(true)
    expectNoCommitment(alice, since, funding)
  })

  it('closed by the peer while the store was lost: the blocks since the backup are gone through', async () => {
    await world.open(bob)
    const backup = alice.node.backup()
    await pay(bob, alice, 100_000_000n)
    await alice.lose()
    await bob.node.forceClose(0n)
    await world.mine(12)
    const before = alice.wallet.wealth
    await alice.recover(backup)
    await world.mineUntilOver(alice, 40)
    expect(alice.node.channels()).to.deep.equal([])
    const got = alice.wallet.wealth - before
    expect(got > 500_000n - SWEEP && got < 500_000n, `${got}`).to.equal(true)
  })

  it('restarted between recovery and closing: the store has it, and it goes on', async () => {
    await world.open(bob)
    const backup = alice.node.backup()
    await bob.stop()
    await alice.lose()
    const before = alice.wallet.wealth
    await alice.recover(backup)
    await alice.stop()
    await alice.start()
    expect(alice.node.channel(0n)?.live?.failure?.cause).to.equal('dataLoss')
    // What is made from then on is a backup of the same channel.
    expect(openBackup(alice.node.backup(), alice.seed).channels).to.deep.equal(
      openBackup(backup, alice.seed).channels,
    )
    await bob.start()
    bob.node.connect(alice.id, 'memory://alice')
    await bob.node.until(0n, ({ phase }) => phase === 'failed')
    await world.mine(1)
    await alice.stop()
    await alice.start()
    await world.mineUntilOver(alice, 40)
    expect(alice.node.channels()).to.deep.equal([])
    expect(alice.wallet.wealth > before + 400_000n - SWEEP).to.equal(true)
  })

  it('a channel of which the backup knows nothing: its key index is never used again', async () => {
    await world.open(alice)
    const [backup] = alice.backups
    if (backup === undefined) throw new Error('no backup')
    const second = await world.open(alice)
    await alice.lose()
    const node = await alice.recover(backup)
    expect(node.channels()).to.have.length(1)
    const third = await node.open({ peer: bob.id, capacity: sat(500_000n) })
    expect(third.channel > second + 1000n).to.equal(true)
  })

  it('a store with channels, another seed, another identity, bytes that are no backup -> refused, nothing written', async () => {
    await world.open(alice)
    const backup = alice.node.backup()
    await alice.stop()
    const full = [...alice.store.snapshot().keys()]
    const since = alice.published.length
    const refused = async (code: string, bytes: Uint8Array, change: object = {}) => {
      const error = await alice.recover(bytes, change).then(
        () => undefined,
        (cause: unknown) => cause,
      )
      expect(error).to.have.property('code', code)
    }
    await refused('INVALID_ARGUMENT', backup)
    expect([...alice.store.snapshot().keys()]).to.deep.equal(full)
    const store = new MemoryStore()
    await refused('INVALID_KEY_MATERIAL', backup, { store, seed: bytesOf('another seed') })
    const altered = backup.slice()
    altered[100] = (altered[100] ?? 0) ^ 1
    await refused('INVALID_RECORD', altered, { store })
    await refused('INVALID_RECORD', backup.subarray(0, -1), { store })
    await refused('INVALID_RECORD', backup.with(8, 2), { store })
    const options = await bob.options({ store, seed: alice.seed })
    const error = await LightningNode.recover(options, backup).catch((cause: unknown) => cause)
    expect(isError(error, 'INVALID_ARGUMENT')).to.equal(true)
    await turns(20)
    expect(store.snapshot().size).to.equal(0)
    expect(alice.published.slice(since)).to.deep.equal([])
  })
})
