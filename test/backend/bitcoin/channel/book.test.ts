import { expect } from 'chai'
import fc from 'fast-check'
import {
  addHtlc,
  advance,
  type Book,
  capacityOf,
  changeFee,
  dropUnsigned,
  findHtlc,
  hasToSign,
  isSettled,
  newBook,
  nextViewOf,
  type OpenHtlc,
  removeHtlc,
  viewOf,
} from '../../../../backend/bitcoin/channel/book.js'
import type { Fact } from '../../../../backend/bitcoin/channel/stages.js'
import type { Side } from '../../../../backend/bitcoin/monitor/record.js'
import { blockHeight, feeratePerKw, msat } from '../../../../backend/bitcoin/units.js'

const PREIMAGE = new Uint8Array(32).fill(1)
const empty = newBook({
  opener: 'local',
  balances: { local: msat(700_000n), remote: msat(300_000n) },
  feerate: feeratePerKw(253),
})

function htlc(offerer: Side, id: bigint, amount: bigint): Omit<OpenHtlc, 'stage'> {
  return {
    offerer,
    id,
    amount: msat(amount),
    paymentHash: new Uint8Array(32).fill(9),
    cltvExpiry: blockHeight(500),
    onion: new Uint8Array(1366),
  }
}

function pass(book: Book, ...facts: readonly (readonly [Side, Fact['what']])[]): Book {
  return facts.reduce((at, [by, what]) => advance(at, { by, what }).book, book)
}

/** Of an offered HTLC, or fee: into both commitments. */
const INTO = [
  ['local', 'signature'],
  ['remote', 'revocation'],
  ['remote', 'signature'],
  ['local', 'revocation'],
] as const

describe('book of a channel', () => {
  it('an HTLC enters the commitment of the other side first, then ours', () => {
    const offered = addHtlc(empty, htlc('local', 0n, 1000n))
    expect(viewOf(offered, 'remote').htlcs).to.have.length(0)
    const signed = pass(offered, INTO[0])
    expect(viewOf(signed, 'remote')).to.deep.include({ toRemote: 699_000n, toLocal: 300_000n })
    expect(viewOf(signed, 'remote').htlcs[0]).to.deep.include({ direction: 'received', id: 0n })
    expect(viewOf(signed, 'remote', 'oldest').htlcs).to.have.length(0)
    expect(viewOf(signed, 'local').htlcs).to.have.length(0)
    const both = pass(signed, INTO[1], INTO[2])
    expect(viewOf(both, 'local')).to.deep.include({ toLocal: 699_000n, toRemote: 300_000n })
    expect(viewOf(both, 'local', 'oldest').htlcs).to.have.length(0)
    const { locked } = advance(both, { by: 'local', what: 'revocation' })
    expect(locked.map(({ id }) => id)).to.deep.equal([0n])
  })

  it("fulfilled: its amount is the receiver's in each commitment that it has left; failed: the offerer's", () => {
    const locked = pass(addHtlc(empty, htlc('remote', 0n, 1000n)), ...swap(INTO))
    const fulfilled = removeHtlc(
      locked,
      { offerer: 'remote', id: 0n },
      { kind: 'fulfill', preimage: PREIMAGE },
    )
    const signed = pass(fulfilled, INTO[0])
    expect(viewOf(signed, 'remote')).to.deep.include({ toLocal: 299_000n, toRemote: 701_000n, htlcs: [] })
    expect(viewOf(signed, 'local').htlcs).to.have.length(1)
    const after = pass(signed, ...INTO.slice(1))
    expect(after.balances).to.deep.equal({ local: 701_000n, remote: 299_000n })
    expect(isSettled(after)).to.equal(true)
    const failed = removeHtlc(locked, { offerer: 'remote', id: 0n }, { kind: 'fail', reason: PREIMAGE })
    expect(pass(failed, ...INTO).balances).to.deep.equal(empty.balances)
  })

  it('update_fee: in the other commitment when signed, in ours when countersigned; a newer one replaces an unsigned', () => {
    const changed = changeFee(changeFee(empty, feeratePerKw(900)), feeratePerKw(1000))
    expect(changed.changes).to.have.length(1)
    const signed = pass(changed, INTO[0])
    expect([viewOf(signed, 'remote').feerate, viewOf(signed, 'local').feerate]).to.deep.equal([1000, 253])
    expect(viewOf(signed, 'remote', 'oldest').feerate).to.equal(253)
    expect(pass(signed, ...INTO.slice(1))).to.deep.equal({ ...empty, feerate: 1000 })
  })

  it('BOLT 2, "Message Retransmission": what the peer did not sign is forgotten, its ID comes again', () => {
    const locked = pass(addHtlc(empty, htlc('local', 0n, 5000n)), ...INTO)
    const fulfilled = removeHtlc(
      locked,
      { offerer: 'local', id: 0n },
      { kind: 'fulfill', preimage: PREIMAGE },
    )
    const both = addHtlc(fulfilled, htlc('remote', 0n, 1n))
    const dropped = dropUnsigned(both)
    expect(dropped.offered).to.deep.equal({ local: 1n, remote: 0n })
    expect(dropped.htlcs).to.have.length(1)
    expect(findHtlc(dropped, { offerer: 'local', id: 0n })).to.deep.include({
      stage: 'locked',
      preimage: PREIMAGE,
    })
    expect(findHtlc(dropped, { offerer: 'local', id: 0n })).to.not.have.property('removal')
    const signed = pass(both, ['remote', 'signature'])
    expect(dropUnsigned(signed)).to.equal(signed)
  })

  it('whatever happens, each commitment is worth the capacity, and the next view is what a signature makes', () => {
    const acts = fc.array(
      fc.oneof(
        fc.record({
          kind: fc.constant('add' as const),
          by: fc.constantFrom<Side>('local', 'remote'),
          amount: fc.bigInt(1n, 9_000n),
        }),
        fc.record({
          kind: fc.constant('remove' as const),
          at: fc.nat(20),
          how: fc.constantFrom('fulfill' as const, 'fail' as const),
        }),
        fc.record({
          kind: fc.constant('fact' as const),
          by: fc.constantFrom<Side>('local', 'remote'),
          what: fc.constantFrom<Fact['what']>('signature', 'revocation'),
        }),
        fc.record({ kind: fc.constant('fee' as const), feerate: fc.integer({ min: 253, max: 9999 }) }),
        fc.record({ kind: fc.constant('drop' as const) }),
      ),
      { maxLength: 60 },
    )
    fc.assert(
      fc.property(acts, (list) => {
        let book = empty
        for (const act of list) {
          if (act.kind === 'add') book = addHtlc(book, htlc(act.by, book.offered[act.by], act.amount))
          if (act.kind === 'fee') book = changeFee(book, feeratePerKw(act.feerate))
          if (act.kind === 'drop') book = dropUnsigned(book)
          if (act.kind === 'remove') {
            const one = book.htlcs[act.at]
            if (one?.stage !== 'locked') continue
            book = removeHtlc(
              book,
              one,
              act.how === 'fail'
                ? { kind: 'fail', reason: PREIMAGE }
                : { kind: 'fulfill', preimage: PREIMAGE },
            )
          }
          if (act.kind === 'fact') {
            const signsRemote = act.what === 'signature'
            const holder: Side = act.by === 'local' ? 'remote' : 'local'
            const expected = nextViewOf(book, holder)
            const { book: next, hasMoved } = advance(book, act)
            expect(hasMoved).to.equal(next !== book)
            if (signsRemote) {
              expect(hasToSign(book, act.by)).to.equal(hasMoved)
              expect(viewOf(next, holder)).to.deep.equal(expected)
            }
            book = next
          }
          expect(capacityOf(book)).to.equal(1_000_000n)
          for (const holder of ['local', 'remote'] as const) {
            for (const age of ['newest', 'oldest'] as const) {
              const view = viewOf(book, holder, age)
              const sum = view.htlcs.reduce((total, { amount }) => total + amount, 0n)
              expect(view.toLocal + view.toRemote + sum).to.equal(1_000_000n)
            }
          }
        }
      }),
    )
  })
})

function swap(facts: readonly (readonly [Side, Fact['what']])[]): readonly (readonly [Side, Fact['what']])[] {
  return facts.map(([by, what]) => [by === 'local' ? 'remote' : 'local', what] as const)
}
