// What others can do with the fees of a closed channel: siphon them, pin what should replace theirs, make prices start again.
import { expect } from 'chai'
import {
  channelSecrets,
  commitmentPoint,
  commitmentSecret,
  deriveSecret,
} from '../../../../backend/bitcoin/keys/index.js'
import type { MonitorEffect } from '../../../../backend/bitcoin/monitor/index.js'
import {
  completeHtlcTransaction,
  FORMATS,
  type HtlcOutput,
  htlcSighash,
  htlcTransaction,
  p2wpkh,
  SIGHASH_ALL,
  sha256,
  type Transaction,
  type TransactionOutput,
  transactionID,
  weightOf,
} from '../../../../backend/bitcoin/script/index.js'
import { feeratePerKw, sat } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import { type Name, preimageOf } from '../channel/pair.js'
import { Arena, type Guard, type Held } from './arena.js'
import { faultOfWitness } from './interpreter.js'
import { SimLedger } from './ledger.js'
import { learnedBy, newestOf, withHtlcs } from './scenarios.js'

describe('monitor: fees', () => {
  for (const commitments of ['anchors', 'static_remotekey'] as const) {
    const [what, rule] =
      commitments === 'anchors'
        ? ['takes others in', 'none of its own fee is there to be siphoned']
        : ['pays its own fee', 'a signature is good for it as it is and for no other']
    it(`f.1 row 19: ${commitments}: an HTLC transaction ${what}: ${rule}`, async () => {
      const arena = await withHtlcs(new SimLedger(), { commitments })
      for (const name of ['alice', 'bob'] as const) {
        const held = newestOf(arena, name)
        expect(held.commitment.htlcs).to.have.length(4)
        for (const output of held.commitment.htlcs) {
          const fee = output.amount - sumOf(htlcTransaction(held.commitment, output).outputs)
          expect(fee === 0n, `${name}: ${fee} sat`).to.equal(commitments === 'anchors')
          expect(htlcSighash(held.commitment, 'remote') === SIGHASH_ALL).to.equal(fee > 0n)
          // What the other side signed, in a transaction with an input and an output of a stranger's.
          const alone = secondLevel(arena, name, { held, output })
          const joined = secondLevel(arena, name, { held, output, extend: strange })
          expect(faultOfWitness(alone, 0, output)).to.equal(undefined)
          expect(faultOfWitness(joined, 0, output) === undefined).to.equal(fee === 0n)
        }
      }
    })
  }

  it('f.1 row 19: the commitments of each form: none lets a third party use a fee that another party pays', () => {
    for (const [name, rules] of Object.entries(FORMATS)) {
      if (rules.remoteHtlcSighash !== SIGHASH_ALL) expect(rules.htlcsPayFee, name).to.equal(false)
    }
  })

  it('f.1 row 19: whatever fees are, an HTLC transaction of ours pays half of what its HTLCs are worth, at most', async () => {
    const ledger = new SimLedger()
    const arena = await withHtlcs(ledger, { incomingExpiry: ledger.height + 90 })
    const { alice } = arena.guards
    arena.guards.bob.isMute = true
    await arena.forceClose('alice')
    await arena.mine()
    // The fees of a day on which nobody gets in, and of their nodes' floor below them: our timeouts want to be in time.
    ledger.estimates = ledger.estimates.map((one) => ({ ...one, feerate: feeratePerKw(2_000_000) }))
    await arena.mine(70, ({ inputs }) => inputs.length > 0)
    const tried = alice.published.filter(({ what }) => what === 'htlc')
    expect(tried.length).to.be.greaterThan(50)
    for (const one of tried)
      expect(feeOf(one)).to.satisfy((fee: bigint) => fee > 0n && 2n * fee <= htlcsIn(one))
    // And when what came in for them is about to be taken back, no less.
    expect(tried.some((one) => 100n * feeOf(one) > 45n * htlcsIn(one))).to.equal(true)
  })

  it('f.1 row 19: the peer pins an HTLC with its preimage in a transaction that pays little -> ours replaces it, and we have the preimage', async () => {
    const ledger = new SimLedger()
    const arena = await withHtlcs(ledger, { incomingExpiry: ledger.height + 40 })
    const { alice, bob } = arena.guards
    const old = newestOf(arena, 'bob')
    bob.isMute = true
    expect(await ledger.submit([old.transaction])).to.equal('accepted')
    await arena.mine()
    const output = old.commitment.htlcs.find(({ htlc }) => htlc.direction === 'received' && htlc.id === 1n)
    if (output === undefined) throw new Error('no HTLC')
    await arena.mineTo(output.htlc.cltvExpiry - 1)
    // 5 000 sat: too little for any block, and too much for a first try of ours.
    const pin = arena.secondLevel('bob', old, output, preimageOf(2))
    expect(await ledger.submit([pin]), ledger.reason).to.equal('accepted')
    expect((5000n * 1000n) / BigInt(weightOf(pin))).to.satisfy((rate: bigint) => rate > 2500n)
    arena.input(alice, { kind: 'seen', transaction: pin })
    await arena.mine(20, (tx) => tx === pin)
    expect(arena.isConfirmed(pin)).to.equal(false)
    expect(ledger.mempool).to.not.include(pin)
    expect(learnedBy(alice.handoffs)).to.deep.equal([1n])
    await arena.finish(['alice'])
    const mine = alice.events.find((event) => event.kind === 'output' && event.amount === output.amount)
    expect(mine).to.deep.include({ by: 'us' })
  })

  it('f.1 row 15: each block the attacker spends another input of a batch -> what is left goes on at its price and to its deadline', async () => {
    const ledger = new SimLedger()
    const arena = await Arena.open(ledger, { incomingExpiry: ledger.height + 100 })
    const { pair, guards } = arena
    const { alice, bob } = guards
    for (let i = 1; i <= 5; i++) pair.offer(pair.alice, 20_000_000n, i, ledger.height + 60)
    pair.settle()
    const old = newestOf(arena, 'bob')
    pair.offer(pair.alice, 1_000_000n, 7, ledger.height + 100)
    pair.settle()
    await arena.work()
    bob.isMute = true
    expect(await ledger.submit([old.transaction])).to.equal('accepted')
    await arena.mine()
    const batch = alice.known.attempts.find(({ members }) => members.length === 5)
    if (batch === undefined) throw new Error('no batch')
    const { due, price: first } = batch
    let before = first?.feerate ?? 0
    for (let i = 1; i <= 5; i++) {
      const output = old.commitment.htlcs.find(({ htlc }) => htlc.id === BigInt(i - 1))
      if (output === undefined) throw new Error('no HTLC')
      ledger.evict(() => true)
      expect(await ledger.submit([arena.secondLevel('bob', old, output, preimageOf(i))])).to.equal('accepted')
      await arena.mine(1, (tx) => isOurs(alice, tx))
      const rest = alice.known.attempts.filter(({ members }) =>
        members.some((one) => batch.members.some(({ index }) => index === one.index)),
      )
      const rates = rest.flatMap(({ price }) => (price === undefined ? [] : [price.feerate]))
      for (const one of rest) {
        expect(one.price?.since, `block ${i}`).to.equal(first?.since)
        expect(one.price?.start).to.equal(first?.start)
        expect(one.due, 'its deadline stays').to.equal(due)
      }
      expect(Math.min(...rates), `block ${i}`).to.be.at.least(before)
      before = Math.min(...rates)
    }
    await arena.finish(['alice'])
  })
})

/** An HTLC transaction that its holder signs as it is now, with what the other side signed once. */
function secondLevel(
  arena: Arena,
  name: Name,
  given: {
    readonly held: Held
    readonly output: HtlcOutput
    readonly extend?: (tx: Transaction) => Transaction
  },
): Transaction {
  const { held, output, extend } = given
  const { commitment, signatures } = held
  const secrets = channelSecrets(arena.pair[name].seed, 0n)
  const point = commitmentPoint(commitmentSecret(secrets.commitmentSeed, commitment.params.number))
  const { direction, paymentHash } = output.htlc
  const preimage = [1, 2, 3, 4].map(preimageOf).find((one) => toHex(sha256(one)) === toHex(paymentHash))
  return completeHtlcTransaction(commitment, output, {
    remote: signatures.htlcSignatures[commitment.htlcs.indexOf(output)] ?? new Uint8Array(),
    htlcSecret: deriveSecret(secrets.htlc, point),
    ...(direction === 'received' && preimage !== undefined ? { preimage } : {}),
    ...(extend === undefined ? {} : { extend }),
  })
}

function strange(tx: Transaction): Transaction {
  const outpoint = { txid: new Uint8Array(32).fill(0xee), index: 3 }
  return {
    ...tx,
    inputs: [...tx.inputs, { outpoint, sequence: 0xffff_fffd, witness: [] }],
    outputs: [...tx.outputs, { amount: sat(1000n), script: p2wpkh(new Uint8Array(33).fill(2)) }],
  }
}

type Broadcast = MonitorEffect & { readonly kind: 'broadcast' }

function feeOf({ transactions, spent = [] }: Broadcast): bigint {
  return sumOf(spent) - sumOf(transactions.at(-1)?.outputs ?? [])
}

/** What HTLCs bring in: their outputs are P2WSH, coins are P2WPKH. */
function htlcsIn({ spent = [] }: Broadcast): bigint {
  return sumOf(spent.filter(({ script }) => script.length === 34))
}

function sumOf(outputs: readonly TransactionOutput[]): bigint {
  return outputs.reduce((sum, { amount }) => sum + amount, 0n)
}

function isOurs({ published }: Guard, tx: Transaction): boolean {
  const id = toHex(transactionID(tx))
  return published.some(({ transactions }) => transactions.some((one) => toHex(transactionID(one)) === id))
}
