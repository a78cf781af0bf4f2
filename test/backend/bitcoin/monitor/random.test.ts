// Random HTLCs, any commitment that was ever signed, any incidents: at the end all that is ours is in our wallet, and
// every HTLC of ours has ended once, rightly.
import { expect } from 'chai'
import fc from 'fast-check'
import { revokedOf } from '../../../../backend/bitcoin/monitor/state.js'
import { sha256, transactionID } from '../../../../backend/bitcoin/script/index.js'
import { toHex } from '../../../../channel/bytes.js'
import { type CommonAct, commonActs, names, playCommon } from '../channel/acts.js'
import { type Name, preimageOf } from '../channel/pair.js'
import { Arena, fulfil } from './arena.js'
import { nameOf, SimLedger } from './ledger.js'

type Act =
  | {
      readonly kind: 'add'
      readonly by: Name
      readonly amount: bigint
      readonly number: number
      readonly expiry: number
    }
  | { readonly kind: 'fulfil'; readonly by: Name; readonly at: number }
  | CommonAct

type Incident =
  | { readonly kind: 'mine'; readonly count: number }
  | { readonly kind: 'undo'; readonly count: number }
  | { readonly kind: 'restart'; readonly who: Name }
  | { readonly kind: 'late'; readonly who: Name; readonly at: number }
  | { readonly kind: 'floor'; readonly floor: number }
  | { readonly kind: 'evict' }

const acts: fc.Arbitrary<readonly Act[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('add' as const),
        by: names,
        amount: fc.oneof(
          fc.constantFrom(200_000n, 5_000_000n, 5_000_000n),
          fc.bigInt(1_500_000n, 60_000_000n),
        ),
        number: fc.integer({ min: 1, max: 4 }),
        expiry: fc.constantFrom(10, 10, 15, 50),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('fulfil' as const), by: names, at: fc.nat(5) }) },
    ...commonActs({ fee: 0, flush: 3, deliver: 4, messages: 4, feerate: 253 }),
  ),
  { minLength: 5, maxLength: 25 },
)
const incidents: fc.Arbitrary<readonly Incident[]> = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({ kind: fc.constant('mine' as const), count: fc.integer({ min: 1, max: 8 }) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('undo' as const), count: fc.integer({ min: 1, max: 5 }) }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), who: names }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('late' as const), who: names, at: fc.nat(5) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('floor' as const),
        floor: fc.integer({ min: 253, max: 3000 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('evict' as const) }) },
  ),
  { maxLength: 12 },
)

describe('monitor: random', () => {
  for (const commitments of ['anchors', 'static_remotekey'] as const) {
    it(`${commitments}: any HTLCs, any commitment, any incidents -> nobody honest loses a satoshi that is not a fee`, async () => {
      await fc.assert(
        fc.asyncProperty(acts, names, fc.nat(20), incidents, async (list, publisher, age, rest) => {
          const arena = await Arena.open(new SimLedger(), { commitments, coins: 12 })
          for (const act of list) play(arena, act)
          await arena.work()
          await ended(arena, { publisher, age, rest })
        }),
        { numRuns: 6, endOnFailure: true },
      )
    })
  }
})

function play(arena: Arena, act: Act): void {
  const { pair } = arena
  switch (act.kind) {
    case 'add':
      return pair.offer(pair[act.by], act.amount, act.number, arena.ledger.height + act.expiry)
    case 'fulfil':
      return know(arena, act.by, act.at)
    default:
      return playCommon(pair, act)
  }
}

/** A party learns the preimage of one of those that it could claim. */
function know(arena: Arena, by: Name, at: number): void {
  const { state } = arena.pair[by]
  if (state === undefined || !('book' in state)) return
  const open = state.book.htlcs.filter(({ offerer, stage }) => offerer === 'remote' && stage === 'locked')
  const htlc = open[at % Math.max(1, open.length)]
  if (htlc === undefined) return
  const number = [1, 2, 3, 4].find((one) => toHex(sha256(preimageOf(one))) === toHex(htlc.paymentHash)) ?? 0
  fulfil(arena, by, htlc.id, number)
}

/** One of them publishes a commitment of its own, the newest if `age` is zero; an old one is a theft. */
async function ended(
  arena: Arena,
  {
    publisher,
    age,
    rest,
  }: { readonly publisher: Name; readonly age: number; readonly rest: readonly Incident[] },
): Promise<void> {
  const held = [...arena.held(publisher).values()].sort((a, b) => Number(b.state.number - a.state.number))
  const victim = publisher === 'alice' ? 'bob' : 'alice'
  const aged = held[age % held.length]
  // What is released, and whose secret did not arrive, is nothing that anybody would publish.
  const isTheft = aged !== undefined && aged.state.number < revokedOf(arena.guards[victim].known.known)
  const chosen = isTheft ? aged : held[0]
  if (chosen === undefined) throw new Error('nothing is held')
  const honest: readonly Name[] = isTheft ? [victim] : ['alice', 'bob']
  const total = 25_000_000n
  const stolen = arena.complete(publisher, chosen)
  if (isTheft) {
    arena.guards[publisher].isMute = true
    expect(await arena.ledger.submit([stolen.transaction])).to.equal('accepted')
  } else await arena.forceClose(publisher)
  for (const one of rest) await happen(arena, one)
  if (arena.ledger instanceof SimLedger) arena.ledger.floor = 253
  await arena.finish(honest, 400)

  const commitment = arena.spendOfFunding()
  // The victim's own came first, as it may before the theft is in a block.
  if (isTheft && toHex(transactionID(commitment)) !== toHex(transactionID(stolen.transaction))) return
  const left = commitment.outputs.filter(({ amount }) => amount === 330n).length
  if (isTheft) {
    const [name = 'alice'] = honest
    const balance = arena.walletOf(name) + arena.costsOf(name)
    // All of the channel, less what the commitment itself gives to the miners and what it is not worth to take.
    expect(balance).to.equal(
      12_000_000n + 1_000_000n - arena.feeOf(commitment) - lost(arena, name, commitment.outputs),
    )
    return
  }
  const sum = honest.reduce((all, name) => all + arena.walletOf(name) + arena.costsOf(name), 0n)
  const anchors = honest.some((name) =>
    arena.guards[name].published.some(({ what, transactions }) => {
      const last = transactions.at(-1)
      return what === 'anchor' && last !== undefined && arena.isConfirmed(last)
    }),
  )
    ? 330n
    : 0n
  expect(sum).to.equal(total - arena.feeOf(commitment) - BigInt(left) * 330n + anchors)
  for (const name of honest) {
    const ends = arena.guards[name].handoffs.flatMap((one) =>
      one.kind === 'htlcResolved' ? [`${one.htlc.offerer} ${one.htlc.id}`] : [],
    )
    expect(new Set(ends).size, 'each HTLC ends once').to.equal(ends.length)
  }
  agree(arena)
}

/** What one has fulfilled, the other must not have failed. */
function agree(arena: Arena): void {
  const endOf = (name: Name) =>
    new Map(
      arena.guards[name].handoffs.flatMap((one) =>
        one.kind === 'htlcResolved' ? [[`${one.htlc.offerer} ${one.htlc.id}`, one.to] as const] : [],
      ),
    )
  const [alice, bob] = [endOf('alice'), endOf('bob')]
  for (const [mine, theirs] of [
    [alice, bob],
    [bob, alice],
  ] as const) {
    for (const [key, to] of theirs) {
      if (!key.startsWith('remote') || to !== 'receiver') continue
      const id = BigInt(key.slice('remote '.length))
      expect(mine.get(`local ${id}`) ?? 'receiver', key).to.equal('receiver')
    }
  }
}

function lost(arena: Arena, name: Name, outputs: readonly { readonly amount: bigint }[]): bigint {
  const { abandoned } = arena.guards[name].known
  const anchors = outputs.filter(({ amount }) => amount === 330n).length
  return (
    BigInt(anchors) * 330n + abandoned.reduce((sum, { index }) => sum + (outputs[index]?.amount ?? 0n), 0n)
  )
}

async function happen(arena: Arena, one: Incident): Promise<void> {
  const ledger = arena.ledger
  if (!(ledger instanceof SimLedger)) return
  switch (one.kind) {
    case 'mine':
      return arena.mine(one.count)
    case 'undo':
      // Deeper than what counts as final nothing is undone, not in several goes either.
      return ledger.height - one.count < Math.max(100, ledger.peak - 5) ? undefined : arena.undo(one.count)
    case 'restart':
      return arena.restart(arena.guards[one.who])
    case 'late': {
      know(arena, one.who, one.at)
      return arena.work()
    }
    case 'floor':
      ledger.floor = one.floor
      return
    case 'evict': {
      // But for the theft itself: what would be on chain then is another story.
      const { outpoint } = arena.guards.alice.known.known.terms.funding
      ledger.evict(({ inputs }) => !inputs.some((input) => nameOf(input.outpoint) === nameOf(outpoint)))
      return
    }
  }
}
