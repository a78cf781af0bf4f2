// Two machines against each other, with everything that can happen to them in any order.
import { expect } from 'chai'
import fc from 'fast-check'
import { type View, viewOf } from '../../../../backend/bitcoin/channel/book.js'
import { step } from '../../../../backend/bitcoin/channel/channel.js'
import type { ChannelInput } from '../../../../backend/bitcoin/channel/input.js'
import type { ChannelType } from '../../../../backend/bitcoin/channel-type.js'
import type { HtlcKey } from '../../../../backend/bitcoin/monitor/record.js'
import { msat } from '../../../../backend/bitcoin/units.js'
import { type CommonAct, commonActs, names, playCommon } from './acts.js'
import { type Name, Pair, type Party, preimageOf } from './pair.js'

type Act =
  | { readonly kind: 'add'; readonly by: Name; readonly amount: bigint }
  | {
      readonly kind: 'remove'
      readonly by: Name
      readonly at: number
      readonly how: 'fulfill' | 'fail' | 'malformed'
    }
  | CommonAct
  | { readonly kind: 'disconnect' }
  | { readonly kind: 'connect' }
  /** Before the record of the next message or flush is written, or after so many of its effects. */
  | { readonly kind: 'crash'; readonly by: Name; readonly on: 'flush' | 'message'; readonly after: number }

const amounts = fc.oneof(
  fc.constantFrom(1n, 353_999n, 354_000n, 354_001n, 2_000_000n, 2_000_000n, 600_000_000n),
  fc.bigInt(1n, 200_000_000n),
)
const acts: fc.Arbitrary<readonly Act[]> = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('add' as const), by: names, amount: amounts }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('remove' as const),
        by: names,
        at: fc.nat(10),
        how: fc.constantFrom('fulfill' as const, 'fulfill' as const, 'fail' as const, 'malformed' as const),
      }),
    },
    ...commonActs({ fee: 1, flush: 5, deliver: 8, messages: 5, feerate: 5000 }),
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('disconnect' as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('connect' as const) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('crash' as const),
        by: names,
        on: fc.constantFrom('flush' as const, 'message' as const),
        after: fc.integer({ min: -1, max: 4 }),
      }),
    },
  ),
  { minLength: 5, maxLength: 80 },
)

const TYPES: readonly ChannelType[] = [
  { commitments: 'anchors', scidAlias: false, zeroconf: false },
  { commitments: 'static_remotekey', scidAlias: false, zeroconf: false },
]

describe('two channel machines', () => {
  it('whatever is wanted, delivered, lost and restarted: I1 to I8 hold and nobody loses a millisatoshi', () => {
    run({ real: false, runs: Number(process.env['CHANNEL_RUNS'] ?? 60) })
  })
  it('the same with real signatures and encoded messages', () => {
    run({ real: true, runs: 4 })
  })
})

function run({ real, runs }: { readonly real: boolean; readonly runs: number }): void {
  const setups = fc.record({
    type: fc.constantFrom(...TYPES),
    maxAcceptedHtlcs: fc.constantFrom(3, 483),
    push: fc.constantFrom(0n, 500_000_000n),
  })
  fc.assert(
    fc.property(setups, acts, ({ type, maxAcceptedHtlcs, push }, list) => {
      const policy = { maxAcceptedHtlcs, maxDustExposure: { fixed: msat(900_000_000n) } }
      const pair = new Pair({ real, policies: { alice: policy, bob: policy }, fees: { sane: 10_000 } })
      pair.reachNormal({ type, push: msat(push) })
      const game = new Game(pair)
      for (const act of list) game.play(act)
      game.finish(push)
    }),
    { numRuns: runs },
  )
}

/** What was wanted, and what came of it. */
class Game {
  #number = 0
  readonly #amounts = new Map<string, bigint>()

  constructor(readonly pair: Pair) {}

  play(act: Act): void {
    const { pair } = this
    switch (act.kind) {
      case 'add': {
        const party = pair[act.by]
        const number = ++this.#number
        this.#amounts.set(`${party.name} ${number}`, act.amount)
        pair.add(party, act.amount, number)
        return
      }
      case 'remove':
        return this.#remove(pair[act.by], act)
      case 'disconnect':
        return pair.disconnect()
      case 'connect':
        return pair.connect()
      case 'crash':
        return this.#crash(pair[act.by], act)
      default:
        playCommon(pair, act)
        if (act.kind === 'settle') this.#compare()
    }
  }

  /** Everything is brought to its end, and the books are closed. */
  finish(push: bigint): void {
    const { pair } = this
    pair.connect()
    pair.settle()
    for (let round = 0; round < 4; round++) {
      for (const party of pair.both) {
        for (let at = 0; this.#locked(party).length > at; at++) {
          this.#remove(party, { at, how: (at + round) % 3 === 0 ? 'fail' : 'fulfill' })
        }
      }
      pair.settle()
    }
    this.#compare()
    let expected = push
    for (const party of pair.both) {
      const live = pair.live(party)
      expect(live.book.htlcs, `${party.name}: HTLCs left`).to.deep.equal([])
      expect(live.intents).to.deep.equal([])
      expect(live.phase).to.equal('normal')
      const sign = party.name === 'alice' ? 1n : -1n
      expected += sign * this.#outcomes(party)
    }
    expect(pair.live(pair.bob).book.balances.local).to.equal(expected)
    expect(pair.live(pair.alice).book.balances.remote).to.equal(expected)
    for (const party of pair.both) checkMonitor(party)
    pair.input(pair.alice, { kind: 'shutdown' })
    pair.settle()
    const ids = pair.both.map(({ published }) => published.at(-1)?.transaction.outputs)
    expect(ids[0]).to.deep.equal(ids[1])
    expect(pair.both.map(({ published }) => published.map(({ what }) => what))).to.deep.equal([
      ['closing'],
      ['closing'],
    ])
  }

  /** I8: at rest both say the same of both commitments. */
  #compare(): void {
    const { pair } = this
    if (!pair.isConnected) return
    const [alice, bob] = pair.both.map((party) => pair.live(party))
    if (alice === undefined || bob === undefined) return
    if (alice.link.kind !== 'up' || bob.link.kind !== 'up') return
    expect(sorted(viewOf(alice.book, 'local'))).to.deep.equal(sorted(viewOf(bob.book, 'remote')))
    expect(sorted(viewOf(alice.book, 'remote'))).to.deep.equal(sorted(viewOf(bob.book, 'local')))
    expect(alice.signer.signed).to.equal(bob.signer.validated)
    expect(bob.signer.signed).to.equal(alice.signer.validated)
    expect([alice.batch, bob.batch]).to.deep.equal([undefined, undefined])
  }

  /** I7: each wish is refused or added once, each HTLC locked once on each side, and ends once. @returns what was paid */
  #outcomes(party: Party): bigint {
    const other = this.pair.other(party)
    let paid = 0n
    for (const [reference, amount] of this.#amounts) {
      if (!reference.startsWith(party.name)) continue
      const own = party.handoffs.filter((one) =>
        'reference' in one ? one.reference === reference : one.htlc.reference === reference,
      )
      const kinds = own.map(({ kind }) => kind).join(' ')
      if (kinds === 'refused') continue
      expect(kinds, reference).to.be.oneOf(['added locked fulfilled removed', 'added locked failed'])
      const added = own.find((one) => one.kind === 'added')
      if (added?.kind !== 'added') throw new Error('added')
      const theirs = other.handoffs.filter(
        (one) =>
          'htlc' in one && one.kind !== 'added' && isSame(one.htlc, { offerer: 'remote', id: added.htlc.id }),
      )
      expect(theirs.map(({ kind }) => kind).join(' '), reference).to.equal('locked removed')
      const [locked] = theirs
      expect(locked?.kind === 'locked' && locked.htlc.amount, reference).to.equal(amount)
      if (kinds.includes('fulfilled')) paid += amount
    }
    return paid
  }

  #locked(party: Party) {
    return this.pair
      .live(party)
      .book.htlcs.filter(({ offerer, stage }) => offerer === 'remote' && stage === 'locked')
  }

  #remove(party: Party, { at, how }: { readonly at: number; readonly how: string }): void {
    const htlcs = this.#locked(party)
    const htlc = htlcs[at % Math.max(1, htlcs.length)]
    if (htlc === undefined) return
    const number = Array.from({ length: this.#number }, (_, i) => i + 1).find((n) => {
      const added = this.pair
        .other(party)
        .handoffs.find((one) => one.kind === 'added' && one.htlc.id === htlc.id)
      return added?.kind === 'added' && added.reference.endsWith(` ${n}`)
    })
    const preimage = preimageOf(number ?? 0)
    this.pair.want(party, {
      kind: 'remove',
      id: htlc.id,
      removal:
        how === 'fulfill'
          ? { kind: 'fulfill', preimage }
          : how === 'fail'
            ? { kind: 'fail', reason: new Uint8Array(256).fill(1) }
            : { kind: 'malformed', sha256OfOnion: new Uint8Array(32), failureCode: 0x8004 },
    })
  }

  #crash(party: Party, { on, after }: { readonly on: 'flush' | 'message'; readonly after: number }): void {
    const { pair } = this
    const { state } = party
    const message = pair.other(party).outbox.shift()
    const input: ChannelInput | undefined =
      on === 'flush' ? { kind: 'flush' } : message === undefined ? undefined : { kind: 'received', message }
    if (state !== undefined && input !== undefined && after >= 0) {
      const result = step(state, input, party.env)
      pair.write(party, result)
      pair.release(party, result.effects.slice(0, after))
      // What left before the crash may still arrive.
      while (pair.isConnected && pair.deliver(party)) {}
    } else if (state !== undefined && input !== undefined) {
      step(state, input, party.env)
    }
    pair.crash(party)
  }
}

/** Each side lists HTLCs in the order in which it saw them. */
function sorted(view: View): View {
  const key = ({ direction, id }: View['htlcs'][number]) => `${direction} ${id.toString().padStart(9)}`
  return { ...view, htlcs: [...view.htlcs].sort((a, b) => (key(a) < key(b) ? -1 : 1)) }
}

function isSame(a: HtlcKey, b: HtlcKey): boolean {
  return a.id === b.id && a.offerer === b.offerer
}

/** M1: no number has two commitments of the peer, and each that is revoked was known before. */
function checkMonitor({ monitor, name }: Party): void {
  const known = new Set<bigint>()
  let revoked = 0n
  let released = 0n
  let holder = 0n
  for (const update of monitor) {
    if (update.kind === 'counterparty') {
      expect(known.has(update.state.number), `${name}: two commitments ${update.state.number}`).to.equal(
        false,
      )
      known.add(update.state.number)
    }
    if (update.kind === 'revoked') {
      expect(known.has(update.number + 1n) && update.number === revoked, `${name}: revoked`).to.equal(true)
      revoked++
    }
    if (update.kind === 'holder') {
      expect(update.state.number).to.equal(holder++)
    }
    if (update.kind === 'released') {
      // I3: the newer commitment is there before the secret of the older one leaves.
      expect(update.number === released && holder === released + 2n, `${name}: released`).to.equal(true)
      released++
    }
  }
}
