import { expect } from 'chai'
import fc from 'fast-check'
import { withdrawalMessage } from '../../../backend/sim/encode.js'
import { type LedgerState, SimBackend, type SimCall, SimLedger, SimNode } from '../../../backend/sim/index.js'
import {
  type Address,
  type Asset,
  isError,
  type SignedState,
  type State,
  stateOf,
} from '../../../channel/index.js'
import { MemoryWallet } from '../../../wallet/index.js'
import { failure, turn } from '../../conformance/backend-scene.js'
import { firstState, party, RICH, signedByAll, simWorld } from './world.js'

const ALICE: Address = `0x${'0a'.repeat(20)}`
const BOB: Address = `0x${'0b'.repeat(20)}`

function twoAccounts(options: ConstructorParameters<typeof SimLedger>[0] = {}) {
  const ledger = new SimLedger({ autoMine: 'off', genesisTime: 1000n, ...options })
  const asset = ledger.createAsset()
  ledger.mint(asset, ALICE, 100n)
  const pay = (amount: bigint): SimCall => ({ kind: 'transfer', asset: asset.id, to: BOB, amount })
  return { ledger, asset, pay }
}

describe('backend/sim: blocks and time', () => {
  it('a transaction waits in the mempool until a block has room for it', () => {
    const { ledger, asset, pay } = twoAccounts()
    const hashes = [1n, 2n, 3n].map((amount) => ledger.submit(ALICE, pay(amount)))
    ledger.mine(1, { limit: 0 })
    expect(ledger.mempool.length).to.equal(3)
    ledger.mine(1, { limit: 2 })
    expect(hashes.map((hash) => ledger.whereabouts(hash).kind)).to.deep.equal(['mined', 'mined', 'pending'])
    expect(ledger.balanceOf(asset, BOB)).to.equal(3n)
    expect(ledger.whereabouts('no such transaction').kind).to.equal('unknown')
  })

  it('automatic mining: at once, or one block for all of a turn', async () => {
    const instant = twoAccounts({ autoMine: 'instant' })
    instant.ledger.submit(ALICE, instant.pay(1n))
    expect(instant.ledger.head.number).to.equal(1)
    const micro = twoAccounts({ autoMine: 'microtask' })
    micro.ledger.submit(ALICE, micro.pay(1n))
    micro.ledger.submit(ALICE, micro.pay(1n))
    expect(micro.ledger.head.number).to.equal(0)
    await turn()
    expect([micro.ledger.head.number, micro.ledger.head.receipts.length]).to.deep.equal([1, 2])
  })

  it('time moves by blocks and by advance, and never back', () => {
    const { ledger } = twoAccounts({ blockTime: 12n })
    ledger.mine(2)
    expect(ledger.head.time).to.equal(1024n)
    ledger.advance(100n)
    expect(ledger.head.time).to.equal(1124n)
    ledger.advanceTo(1100n)
    ledger.advanceTo(1200n)
    expect(ledger.head.time).to.equal(1200n)
    ledger.reorg(2)
    expect(ledger.head.time > 1200n).to.equal(true)
  })

  it('a transaction that fails has a reason and no effect', () => {
    const { ledger, asset, pay } = twoAccounts()
    const calls: [SimCall, string][] = [
      [pay(101n), 'insufficient funds'],
      [pay(-1n), 'negative amount'],
      [{ ...pay(1n), kind: 'transfer', asset: '0x00', to: BOB, amount: 1n }, 'unknown asset'],
    ]
    for (const [call, reason] of calls) {
      const hash = ledger.submit(ALICE, call)
      ledger.mine()
      const place = ledger.whereabouts(hash)
      expect(place.kind === 'mined' && place.receipt.reverted).to.equal(reason)
    }
    expect([ledger.balanceOf(asset, ALICE), ledger.balanceOf(asset, BOB)]).to.deep.equal([100n, 0n])
  })

  it('a malformed call is a failed transaction, not a failed ledger', () => {
    const { ledger } = twoAccounts()
    const nonsense: SimCall = JSON.parse('{"kind":"register","signed":{"params":{"ledgerChannel":true}}}')
    const hash = ledger.submit(ALICE, nonsense)
    ledger.mine()
    const place = ledger.whereabouts(hash)
    expect(place.kind === 'mined' && place.receipt.reverted).to.include('contract fault')
  })
})

describe('backend/sim: reorgs', () => {
  it('keep transactions -> back in the mempool, in order, before later ones', () => {
    const { ledger, asset, pay } = twoAccounts()
    ledger.submit(ALICE, pay(1n))
    ledger.mine()
    ledger.submit(ALICE, pay(2n))
    ledger.mine()
    ledger.submit(ALICE, pay(3n))
    const { hash } = ledger.head
    ledger.reorg(2)
    expect(ledger.head.number).to.equal(2)
    expect(ledger.head.hash).to.not.equal(hash)
    expect(ledger.balanceOf(asset, BOB)).to.equal(0n)
    const amounts = ledger.mempool.map(({ call }) => call.kind === 'transfer' && call.amount)
    expect(amounts).to.deep.equal([1n, 2n, 3n])
    ledger.mine()
    expect(ledger.balanceOf(asset, BOB)).to.equal(6n)
  })

  it('drop transactions, all or some -> they are unknown', () => {
    const { ledger, asset, pay } = twoAccounts()
    const [one, two] = [1n, 2n].map((amount) => ledger.submit(ALICE, pay(amount)))
    ledger.mine()
    ledger.reorg(1, { drop: ({ hash }) => hash === one })
    expect([one, two].map((hash) => ledger.whereabouts(hash ?? '').kind)).to.deep.equal([
      'unknown',
      'pending',
    ])
    ledger.mine()
    ledger.reorg(1, { drop: true })
    expect(ledger.mempool).to.deep.equal([])
    expect(ledger.balanceOf(asset, ALICE)).to.equal(100n)
  })

  it('deeper than the chain -> down to the genesis block, which stays', () => {
    const { ledger } = twoAccounts()
    ledger.mine(2)
    ledger.reorg(10, { drop: true })
    expect(ledger.block(0)?.hash).to.equal('genesis')
  })

  it('funds that were given meanwhile stay', () => {
    const { ledger, asset, pay } = twoAccounts()
    ledger.submit(ALICE, pay(10n))
    ledger.mine()
    ledger.mint(asset, ALICE, 7n)
    ledger.reorg(1, { drop: true })
    expect(ledger.balanceOf(asset, ALICE)).to.equal(107n)
  })
})

/** The tables of a ledger in an order that does not depend on its history. */
function tables({ balances, holdings, disputes }: LedgerState) {
  const sorted = <T>(map: Map<string, T>) => [...map].toSorted(([a], [b]) => (a < b ? -1 : 1))
  return { balances: sorted(balances), holdings: sorted(holdings), disputes: sorted(disputes) }
}

describe('backend/sim: any sequence of transactions and reorgs', () => {
  // Three states of one channel, of which the last is final, and what each lets anybody send.
  const { parties, params, assets } = simWorld({ autoMine: 'off' })
  const first = firstState(parties, params, assets)
  const next = (state: State, balances: bigint[][], isFinal = false) =>
    stateOf(state, { assets, balances, data: '0x', isFinal }, state.version + 1n)
  const second = next(first, [
    [1n, 19n],
    [20n, 0n],
  ])
  const last = next(
    second,
    [
      [0n, 20n],
      [3n, 17n],
    ],
    true,
  )
  const states: SignedState[] = [first, second, last].map((state) => signedByAll(parties, params, state))
  const forged: SignedState[] = states.map((each) => ({ ...each, signatures: each.signatures.toReversed() }))
  const { channelID } = first
  const [alice, bob] = [party(parties, 0), party(parties, 1)]

  const authorizations: Promise<`0x${string}`[]> = Promise.all(
    parties.map(({ backend, index }) => backend.adjudicator.authorizeClose({ params, state: last, index })),
  )

  type Step =
    | { readonly kind: 'send'; readonly call: number; readonly amount: bigint; readonly who: number }
    | { readonly kind: 'mine'; readonly limit: number }
    | { readonly kind: 'advance'; readonly seconds: bigint }
    | { readonly kind: 'reorg'; readonly depth: number; readonly drop: boolean }

  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('send' as const),
        call: fc.nat(100),
        amount: fc.constantFrom(0n, 1n, 10n, 10n, 15n),
        who: fc.nat(1),
      }),
    },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('mine' as const), limit: fc.nat(3) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('advance' as const),
        seconds: fc.bigInt({ min: 0n, max: 150n }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('reorg' as const),
        depth: fc.integer({ min: 1, max: 4 }),
        drop: fc.boolean(),
      }),
    },
  )

  function calls(close: readonly `0x${string}`[], who: number, amount: bigint, asset: Asset): SimCall[] {
    const { address: participant } = party(parties, who)
    const pick = (list: readonly SignedState[]) =>
      list.flatMap((signed): SimCall[] => [
        { kind: 'register', signed, subChannels: [] },
        { kind: 'checkpoint', signed, subChannels: [] },
        { kind: 'conclude', params, state: signed.state, subStates: [] },
        { kind: 'concludeFinal', signed },
        { kind: 'close', signed, authorizations: close },
      ])
    const deposit: SimCall = { kind: 'deposit', channelID, participant, asset: asset.id, amount }
    const payment = { channelID, participant, asset: asset.id, receiver: participant }
    const signature = party(parties, who).sign(withdrawalMessage(payment))
    const withdrawal: SimCall = { kind: 'withdraw', ...payment, signature }
    return [deposit, deposit, deposit, deposit, withdrawal, withdrawal, ...pick(states), ...pick(forged)]
  }

  it('creates no funds, pays a channel no more than was put in, and can be undone and repeated exactly', async () => {
    const close = await authorizations
    let concluded = 0
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, isEnded) => {
        const play = () => {
          const world = simWorld({ autoMine: 'off' })
          const checked: { readonly number: number; readonly hash: string; readonly state: LedgerState }[] =
            []
          for (const each of steps) {
            const { ledger } = world
            if (each.kind === 'send') {
              const all = calls(close, each.who, each.amount, assets[each.call % 2 === 0 ? 0 : 1])
              ledger.submit(party(parties, each.who).address, all[each.call % all.length] ?? fail())
            } else if (each.kind === 'mine') ledger.mine(1, { limit: each.limit })
            else if (each.kind === 'advance') ledger.advance(each.seconds)
            else ledger.reorg(each.depth, { drop: each.drop })
            const { number, hash } = ledger.head
            checked.push({ number, hash, state: ledger.snapshot() })
          }
          if (isEnded) {
            const [, , signed = fail()] = states
            world.ledger.submit(alice.address, { kind: 'concludeFinal', signed })
            world.ledger.mine()
          }
          return { ...world, checked }
        }
        const { ledger, checked } = play()
        for (const asset of assets) {
          const held = [alice, bob].map(({ address: participant }) =>
            ledger.holding(asset.id, { channelID, participant }),
          )
          const owned = [alice, bob].map(({ address }) => ledger.balanceOf(asset, address))
          const total = [...held, ...owned].reduce((a, b) => a + b, 0n)
          expect(total).to.equal(2n * RICH)
          expect([...held, ...owned].every((amount) => amount >= 0n)).to.equal(true)
        }
        if (ledger.dispute(channelID)?.phase === 'concluded') concluded++
        const again = play()
        expect(again.ledger.snapshot(), 'deterministic').to.deep.equal(ledger.snapshot())
        const copy = new SimLedger({ autoMine: 'off', state: ledger.snapshot() })
        for (const { number, hash, state } of checked) {
          if (copy.block(number)?.hash !== hash) continue
          copy.reorg(copy.head.number - number, { drop: true })
          expect(tables(copy.snapshot()), 'undone exactly').to.deep.equal(tables(state))
          break
        }
      }),
      { numRuns: 60 },
    )
    expect(concluded, 'some runs get to the end').to.be.greaterThan(0)
  })
})

describe('backend/sim: injected faults', () => {
  it('a rejected transaction -> TRANSACTION_FAILED with its reason; only so many, of that kind and account', () => {
    const { ledger, pay } = twoAccounts()
    ledger.fail({ how: 'reject', kind: 'transfer', from: ALICE, reason: 'fee too low', times: 2 })
    for (let i = 0; i < 2; i++) {
      expect(() => ledger.submit(ALICE, pay(1n)))
        .to.throw()
        .satisfies((e: unknown) => isError(e, 'TRANSACTION_FAILED') && e.facts.reason === 'fee too low')
    }
    ledger.submit(BOB, pay(1n))
    ledger.submit(ALICE, pay(1n))
    expect(ledger.mempool.length).to.equal(2)
  })

  it('a reverted transaction -> mined without effect', () => {
    const { ledger, asset, pay } = twoAccounts()
    ledger.fail({ how: 'revert', reason: 'out of gas' })
    ledger.submit(ALICE, pay(1n))
    ledger.submit(ALICE, pay(2n))
    ledger.mine()
    expect(ledger.balanceOf(asset, BOB)).to.equal(2n)
  })

  it('a backend whose transaction reverts once -> TRANSACTION_FAILED; calling again goes on', async () => {
    const { ledger, parties, params, assets } = simWorld()
    const first = firstState(parties, params, assets)
    const signed = signedByAll(parties, params, first)
    const { adjudicator } = party(parties, 0).backend
    ledger.fail({ how: 'revert', kind: 'register', reason: 'out of gas' })
    const error = await failure(adjudicator.register({ signed, subChannels: [] }), 'TRANSACTION_FAILED')
    expect(error.facts).to.include({ kind: 'register', reason: 'out of gas' })
    await adjudicator.register({ signed, subChannels: [] })
    expect(ledger.dispute(first.channelID)?.phase).to.equal('dispute')
  })

  it('one asset refuses -> the other is paid, the failure is reported, and the rest is paid when it works', async () => {
    const { ledger, parties, params, assets } = simWorld()
    const first = firstState(parties, params, assets)
    const agreement = first.allocation.balances
    await Promise.all(
      parties.map(({ backend, index }) => backend.funder.fund({ params, state: first, index, agreement })),
    )
    const last = stateOf(
      first,
      { assets, balances: first.allocation.balances.map((r) => [...r]), data: '0x', isFinal: true },
      1n,
    )
    const { signatures } = signedByAll(parties, params, last)
    const authorizations = await Promise.all(
      parties.map(({ backend, index }) => backend.adjudicator.authorizeClose({ params, state: last, index })),
    )
    const { backend, address } = party(parties, 0)
    ledger.setBroken(assets[0], true)
    const close = { params, state: last, signatures, authorizations, index: 0 }
    await failure(backend.adjudicator.close(close), 'TRANSACTION_FAILED')
    const owned = () => assets.map((asset) => ledger.balanceOf(asset, address))
    expect(owned()).to.deep.equal([RICH - 10n, RICH])
    const withdrawal = { params, state: last, signatures, subChannels: [], index: 0 }
    await failure(backend.adjudicator.withdraw(withdrawal), 'TRANSACTION_FAILED')
    ledger.setBroken(assets[0], false)
    await backend.adjudicator.withdraw(withdrawal)
    expect(owned()).to.deep.equal([RICH, RICH])
  })

  it('the account of the participant is not in the wallet -> UNKNOWN_ACCOUNT', async () => {
    const { ledger, parties, params, assets } = simWorld()
    const wallet = new MemoryWallet()
    const backend = new SimBackend({ ledger, account: party(parties, 0).address, wallet })
    const state = firstState(parties, params, assets)
    await failure(backend.adjudicator.authorizeClose({ params, state, index: 0 }), 'UNKNOWN_ACCOUNT')
    await failure(backend.adjudicator.authorizeClose({ params, state, index: 2 }), 'INVALID_ARGUMENT')
  })
})

describe('backend/sim: nodes', () => {
  it('a stopped node -> LEDGER_UNREACHABLE for its own party only', async () => {
    const { parties, params, assets } = simWorld()
    const state = firstState(parties, params, assets)
    const signed = signedByAll(parties, params, state)
    const [alice, bob] = [party(parties, 0), party(parties, 1)]
    alice.node.stop()
    const agreement = state.allocation.balances
    await failure(alice.backend.adjudicator.now(), 'LEDGER_UNREACHABLE')
    await failure(alice.backend.adjudicator.register({ signed, subChannels: [] }), 'LEDGER_UNREACHABLE')
    await failure(alice.backend.funder.fund({ params, state, index: 0, agreement }), 'LEDGER_UNREACHABLE')
    expect(alice.backend.rules.faultOfState(params, state), 'rules need no node').to.equal(undefined)
    await bob.backend.adjudicator.register({ signed, subChannels: [] })
    alice.node.start()
    await alice.backend.adjudicator.register({ signed, subChannels: [] })
  })

  it('stopped while calls wait and while somebody subscribes -> they go on when it starts', async () => {
    const { ledger, parties, params, assets } = simWorld()
    const state = firstState(parties, params, assets)
    const signed = signedByAll(parties, params, state)
    const [alice, bob] = [party(parties, 0), party(parties, 1)]
    const agreement = state.allocation.balances
    let isFunded = false
    const funding = alice.backend.funder.fund({ params, state, index: 0, agreement }).then(() => {
      isFunded = true
    })
    const events = alice.backend.adjudicator.subscribe(state.channelID)[Symbol.asyncIterator]()
    const next = events.next()
    await turn()
    alice.node.stop()
    await bob.backend.funder.fund({ params, state, index: 1, agreement })
    await bob.backend.adjudicator.register({ signed, subChannels: [] })
    ledger.mine(3)
    await turn()
    expect(isFunded).to.equal(false)
    alice.node.start()
    await funding
    const { value } = await next
    expect(value && `${value.kind} ${value.status}`).to.equal('registered seen')
  })

  it('a deadline that somebody waits for can be asked, so that a test advances to it', async () => {
    const { ledger, parties } = simWorld()
    const { adjudicator } = party(parties, 0).backend
    const now = await adjudicator.now()
    expect(ledger.deadlines).to.deep.equal([])
    const asked = ledger.whenWaiting()
    const waiting = Promise.all([adjudicator.waitUntil(now + 50n), adjudicator.waitUntil(now + 20n)])
    expect(await asked).to.equal(now + 50n)
    expect(ledger.deadlines).to.deep.equal([now + 20n, now + 50n])
    expect(await ledger.whenWaiting()).to.equal(now + 20n)
    ledger.advanceTo(now + 50n)
    await waiting
    expect(ledger.deadlines).to.deep.equal([])
  })

  it('funding in order -> nobody deposits before those in front of him', async () => {
    const { ledger, parties, params, assets } = simWorld({ parties: 3 })
    const state = firstState(parties, params, assets)
    const agreement = state.allocation.balances
    const backends = parties.map(({ address }) => {
      const wallet = new MemoryWallet()
      return new SimBackend({ ledger: new SimNode(ledger), account: address, wallet, fundInOrder: true })
    })
    const fund = (index: number) => backends[index]?.funder.fund({ params, state, index, agreement })
    const later = Promise.all([fund(2), fund(1)])
    await turn()
    expect([...ledger.logs(state.channelID)]).to.deep.equal([])
    await Promise.all([fund(0), later])
    const depositors = [...ledger.logs(state.channelID)].map(({ event }) =>
      event.kind === 'deposited' ? parties.findIndex(({ address }) => address === event.participant) : -1,
    )
    expect(depositors).to.deep.equal([0, 0, 1, 1, 2, 2])
  })
})

function fail(): never {
  throw new Error('the test has it')
}
