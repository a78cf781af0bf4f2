import { expect } from 'chai'
import { step } from '../../../../backend/bitcoin/channel/channel.js'
import { closingFunding, shares } from '../../../../backend/bitcoin/channel/closing.js'
import { obligations } from '../../../../backend/bitcoin/channel/expiry.js'
import type { FeatureName } from '../../../../backend/bitcoin/features.js'
import { channelSecrets } from '../../../../backend/bitcoin/keys/index.js'
import {
  buildClosing,
  p2wpkh,
  signClosing,
  type Transaction,
  transactionID,
  weightOf,
} from '../../../../backend/bitcoin/script/index.js'
import { blockHeight, feeratePerKw, msat, type Sat, sat } from '../../../../backend/bitcoin/units.js'
import type { ClosingComplete, ClosingSigned, Shutdown } from '../../../../backend/bitcoin/wire/index.js'
import { equalBytes, toHex } from '../../../../channel/bytes.js'
import { isError } from '../../../../channel/errors.js'
import {
  effectKinds,
  errorOf,
  FEATURES_OF_BOTH,
  last,
  Pair,
  type PairOptions,
  type Party,
  preimageOf,
  scriptOf,
  sent,
} from './pair.js'

const SIMPLE: readonly FeatureName[] = [...FEATURES_OF_BOTH, 'option_simple_close']
const OTHER = p2wpkh(new Uint8Array(33).fill(4))

describe('BOLT 2, "Closing Initiation: shutdown"', () => {
  it('with HTLCs open: none is added any more, the old ones resolve, then both close', () => {
    const pair = shared()
    pair.add(pair.alice, 5_000_000n, 1)
    pair.add(pair.bob, 6_000_000n, 2)
    pair.settle()
    pair.add(pair.alice, 7_000_000n, 3)
    pair.input(pair.alice, { kind: 'shutdown' })
    pair.settle()
    expect(pair.alice.handoffs.at(-1)).to.deep.include({ kind: 'refused', reference: 'alice 3' })
    expect(pair.both.map(({ state }) => state?.phase)).to.deep.equal(['shuttingDown', 'shuttingDown'])
    expect(sent(pair.alice)).to.not.include('closing_signed')
    pair.add(pair.bob, 1_000_000n, 4)
    expect(pair.bob.handoffs.at(-1)).to.deep.include({ kind: 'refused', reference: 'bob 4' })
    pair.want(pair.bob, { kind: 'remove', id: 0n, removal: { kind: 'fulfill', preimage: preimageOf(1) } })
    pair.want(pair.alice, { kind: 'remove', id: 0n, removal: { kind: 'fail', reason: new Uint8Array(9) } })
    pair.settle()
    expect(closedAlike(pair)).to.deep.equal([
      [toHex(scriptOf('alice')), 1_000_000n - 400_000n - 5000n],
      [toHex(scriptOf('bob')), 405_000n],
    ])
  })
  it('an HTLC that gets locked after our shutdown must be failed', () => {
    const pair = shared()
    pair.add(pair.alice, 5_000_000n, 1)
    pair.input(pair.alice, { kind: 'flush' })
    pair.input(pair.bob, { kind: 'shutdown' })
    pair.settle()
    expect(pair.bob.handoffs[0]).to.deep.include({ kind: 'locked', mustFail: 'shuttingDown' })
  })
  it('only if no HTLC is open: one that is not agreed on yet is, and then nothing is said', () => {
    const pair = shared()
    const { alice, bob } = pair
    pair.add(bob, 5_000_000n, 1)
    pair.input(bob, { kind: 'flush' })
    pair.deliver(bob)
    expect(pair.live(alice).book.htlcs.map(({ stage }) => stage)).to.deep.equal(['offered'])
    const refused = pair.input(alice, { kind: 'shutdown', isIdle: true })
    const [effect] = refused.effects
    expect(effect?.kind === 'refuse' && isError(effect.error, 'INVALID_TRANSITION')).to.equal(true)
    expect([refused.effects.length, alice.state?.phase]).to.deep.equal([1, 'normal'])
    pair.settle()
    pair.want(alice, { kind: 'remove', id: 0n, removal: { kind: 'fail', reason: new Uint8Array(9) } })
    pair.settle()
    pair.input(alice, { kind: 'shutdown', isIdle: true })
    expect(alice.state?.phase).to.equal('shuttingDown')
  })
  it('refused while the peer is away, or a second time', () => {
    const pair = shared()
    pair.disconnect()
    pair.input(pair.alice, { kind: 'shutdown' })
    expect(effectKinds(pair.alice).at(-1)).to.equal('refuse')
    pair.connect()
    pair.settle()
    pair.add(pair.alice, 5_000_000n, 1)
    pair.settle()
    pair.input(pair.alice, { kind: 'shutdown' })
    pair.input(pair.alice, { kind: 'shutdown' })
    expect(effectKinds(pair.alice).at(-1)).to.equal('refuse')
    expect(sent(pair.alice).filter((kind) => kind === 'shutdown')).to.have.length(1)
  })
  it('upfront_shutdown_script: no other one is said by us, nor taken from the peer', () => {
    const pair = new Pair().reachNormal({ isUpfront: true }, { isUpfront: true })
    pair.input(pair.alice, { kind: 'shutdown', script: OTHER })
    expect(effectKinds(pair.alice).at(-1)).to.equal('refuse')
    expect(warningTo(pair, { scriptpubkey: OTHER })).to.match(/upfront_shutdown_script/)
  })
  it('a script of no standard form -> warning; one of a later witness version only with anysegwit', () => {
    expect(warningTo(shared(), { scriptpubkey: new Uint8Array(22).fill(9) })).to.match(/standard form/)
    const taproot = Uint8Array.of(0x51, 32, ...new Uint8Array(32).fill(2))
    const features = FEATURES_OF_BOTH.filter((name) => name !== 'option_shutdown_anysegwit')
    expect(warningTo(shared({ features }), { scriptpubkey: taproot })).to.match(/standard form/)
    expect(warningTo(shared(), { scriptpubkey: taproot })).to.equal(undefined)
  })
  it('before channel_ready both close what was just opened', () => {
    const pair = new Pair({ real: true }).reachNormal()
    const fresh = new Pair()
    fresh.open()
    fresh.deliverAll()
    fresh.input(fresh.bob, { kind: 'accept', shutdownScript: scriptOf('bob') })
    fresh.deliverAll()
    fresh.input(fresh.alice, { kind: 'funded', outpoint: pair.live(pair.alice).terms.funding.outpoint })
    fresh.deliverAll()
    fresh.input(fresh.bob, { kind: 'shutdown' })
    fresh.settle()
    expect(closedAlike(fresh)).to.have.length(1)
  })
})

describe('BOLT 2, "Closing Negotiation: closing_signed"', () => {
  it('the opener offers within its range, the other agrees, both have the same transaction', () => {
    for (const by of ['alice', 'bob'] as const) {
      const pair = shared({ real: true })
      pair.input(pair[by], { kind: 'shutdown' })
      pair.settle()
      expect(closedAlike(pair)).to.deep.equal([
        [toHex(scriptOf('alice')), 600_000n],
        [toHex(scriptOf('bob')), 400_000n],
      ])
      expect(sent(pair.alice).filter((kind) => kind === 'closing_signed')).to.have.length(1)
      expect(sent(pair.bob).filter((kind) => kind === 'closing_signed')).to.have.length(1)
    }
  })
  it('each transaction that was signed is in the monitor', () => {
    const pair = shared()
    pair.input(pair.alice, { kind: 'shutdown' })
    pair.settle()
    for (const party of pair.both) {
      const known = party.monitor.filter((one) => one.kind === 'closing')
      expect(
        known.some((one) => one.kind === 'closing' && one.isComplete),
        party.name,
      ).to.equal(true)
    }
  })
  it('a balance that is dust goes to the miners', () => {
    const pair = new Pair({ real: true }).reachNormal({ push: msat(353_999n) })
    pair.input(pair.alice, { kind: 'shutdown' })
    pair.settle()
    expect(closedAlike(pair).map(([script]) => script)).to.deep.equal([toHex(scriptOf('alice'))])
  })
  it('a fee beyond what the opener has, a bad signature, or something open -> warning, nothing is signed', () => {
    for (const [change, text] of [
      [{ feeSatoshis: sat(600_001n) }, /has not that much/],
      [{ signature: new Uint8Array(64).fill(1) }, /bad signature/],
    ] as const) {
      const pair = upToOffer()
      const message = { ...last(pair.alice, 'closing_signed'), ...change }
      pair.input(pair.bob, { kind: 'received', message })
      expect(textOf(pair)).to.match(text)
      expect(pair.bob.published).to.have.length(0)
    }
    const pair = shared()
    pair.add(pair.alice, 5_000_000n, 1)
    pair.settle()
    pair.input(pair.alice, { kind: 'shutdown' })
    pair.settle()
    const message: ClosingSigned = {
      kind: 'closing_signed',
      channelID: pair.live(pair.bob).terms.channelID,
      feeSatoshis: sat(500n),
      signature: new Uint8Array(64),
    }
    pair.input(pair.bob, { kind: 'received', message })
    expect(textOf(pair)).to.match(/something is open/)
  })
  it('fee ranges without a common fee -> warning', () => {
    const pair = upToOffer()
    const message = last(pair.alice, 'closing_signed')
    const feeRange = { minFeeSatoshis: sat(1n), maxFeeSatoshis: sat(2n) }
    pair.input(pair.bob, { kind: 'received', message: { ...message, feeRange } })
    expect(textOf(pair)).to.match(/overlap/)
    expect(pair.bob.published).to.have.length(0)
  })
  it('a peer without fee ranges: its fee is taken if it lies within ours', () => {
    const pair = upToOffer()
    const { feeRange: _, ...message } = last(pair.alice, 'closing_signed')
    pair.alice.outbox.length = 0
    pair.input(pair.bob, { kind: 'received', message })
    expect(pair.bob.published).to.have.length(1)
    pair.deliverAll()
    expect(closedAlike(pair)).to.have.length(2)
  })
  it('the connection is lost at each message -> negotiated anew, and the same in the end', () => {
    for (let cut = 0; cut < 5; cut++) {
      const pair = shared()
      pair.input(pair.alice, { kind: 'shutdown' })
      for (let i = 0; i < cut; i++) if (!pair.deliver(pair.alice)) pair.deliver(pair.bob)
      pair.disconnect()
      for (const party of pair.both) pair.crash(party)
      pair.connect()
      pair.settle()
      expect(closedAlike(pair), `cut ${cut}`).to.have.length(2)
    }
  })
  it('f 26: a peer can not have us sign closings without end', () => {
    const pair = upToOffer()
    const { alice, bob } = pair
    for (let i = 0; i < 30 && !sent(bob).includes('warning'); i++) {
      pair.disconnect()
      pair.connect()
      alice.env = { ...alice.env, fees: { ...alice.env.fees, closing: feeratePerKw(1000 + i) } }
      pair.settle()
    }
    expect(pair.live(bob).closing.signed).to.be.at.most(20)
  })
  it('an error after both signed -> the closing is published, and our commitment when a day has not confirmed it', () => {
    const pair = agreed()
    const { bob } = pair
    const { channelID } = pair.live(bob).terms
    pair.input(bob, { kind: 'received', message: { kind: 'error', channelID, data: new Uint8Array() } })
    expect(whatOf(bob)).to.deep.equal(['closing', 'closing'])
    at(pair, 100 + 143)
    expect(whatOf(bob)).to.deep.equal(['closing', 'closing'])
    pair.crash(bob)
    at(pair, 100 + 144)
    expect(whatOf(bob)).to.deep.equal(['closing', 'closing', 'commitment'])
    expect(bob.monitor.at(-1)).to.deep.include({ kind: 'failed', cause: 'expiry' })
    at(pair, 100 + 145)
    expect(whatOf(bob)).to.have.length(3)
  })
  it('force-close after both signed -> our commitment, and once', () => {
    const pair = agreed()
    const { bob } = pair
    pair.input(bob, { kind: 'forceClose' })
    expect(whatOf(bob)).to.deep.equal(['closing', 'commitment'])
    expect(bob.monitor.at(-1)).to.have.nested.property('publish.number', 0n)
    pair.input(bob, { kind: 'forceClose' })
    expect(effectKinds(bob).at(-1)).to.equal('refuse')
  })
  it('force-close while a closing has its time after an error -> our commitment at once', () => {
    const pair = agreed()
    const { bob } = pair
    const { channelID } = pair.live(bob).terms
    pair.input(bob, { kind: 'received', message: { kind: 'error', channelID, data: new Uint8Array() } })
    pair.input(bob, { kind: 'forceClose' })
    expect(whatOf(bob)).to.deep.equal(['closing', 'closing', 'commitment'])
    expect(effectKinds(bob).at(-1)).to.equal('publish')
  })
  it('no block takes what both signed for a day -> the channel fails, and our commitment is published', () => {
    const pair = agreed()
    at(pair, 100 + 143)
    expect(pair.both.map(({ state }) => state?.phase)).to.deep.equal(['negotiating', 'negotiating'])
    for (const party of pair.both) pair.crash(party)
    at(pair, 100 + 144)
    expect(pair.both.map((party) => whatOf(party))).to.deep.equal([
      ['closing', 'commitment'],
      ['closing', 'commitment'],
    ])
    expect(pair.live(pair.alice).failure?.cause).to.equal('expiry')
  })
  it('an unconfirmed funding is no reason to close alone', () => {
    const pair = agreed()
    pair.input(pair.bob, { kind: 'depth', confirmations: 0 })
    at(pair, 100 + 500)
    expect(whatOf(pair.bob)).to.deep.equal(['closing'])
  })
})

describe('BOLT 2, "Closing Negotiation: closing_complete and closing_sig"', () => {
  it('each side pays for its own, and both are complete on both sides', () => {
    const pair = shared({ real: true, features: SIMPLE })
    pair.input(pair.bob, { kind: 'shutdown' })
    pair.settle()
    expect(sent(pair.alice)).to.not.include('closing_signed')
    const ids = pair.both.map(({ published }) =>
      published.map(({ transaction }) => toHex(transactionID(transaction))).sort(),
    )
    expect(ids[0]).to.have.length(2)
    expect(ids[0]).to.deep.equal(ids[1])
    for (const { transaction } of pair.alice.published) {
      const paid = new Map(transaction.outputs.map(({ script, amount }) => [toHex(script), amount]))
      const full = [
        paid.get(toHex(scriptOf('alice'))) === 600_000n,
        paid.get(toHex(scriptOf('bob'))) === 400_000n,
      ]
      expect(full.filter((one) => one)).to.have.length(1)
    }
  })
  it('another with a higher fee takes its place', () => {
    const pair = shared({ features: SIMPLE })
    pair.input(pair.alice, { kind: 'shutdown' })
    pair.settle()
    pair.input(pair.alice, { kind: 'bumpClosing', fee: sat(5000n) })
    pair.settle()
    const mine = pair.alice.published.at(-1)?.transaction.outputs
    expect(mine?.map(({ amount }) => amount).sort()).to.deep.equal([400_000n, 595_000n])
    expect(pair.bob.published.at(-1)?.transaction.outputs).to.deep.equal(mine)
  })
  it('no block takes it -> every six blocks one of ours that pays half as much again, up to what is urgent', () => {
    const pair = shared({ features: SIMPLE, real: true, fees: { sane: 4000 } })
    const { alice } = pair
    const fees = () => alice.published.map(({ transaction }) => 1_000_000n - total(transaction))
    pair.input(alice, { kind: 'shutdown' })
    pair.settle()
    const [first = 0n] = fees()
    at(pair, 105)
    expect(fees().at(-1)).to.equal(first)
    // Bob bumps his own, too; of both the one that pays more counts.
    for (let height = 106; height <= 160; height++) {
      at(pair, height)
      pair.settle()
    }
    const paid = [...new Set(fees())]
    expect(paid.length).to.be.within(3, 8)
    for (const [i, fee] of paid.entries()) if (i > 0) expect(fee > (paid[i - 1] ?? 0n)).to.equal(true)
    const weight = weightOf(alice.published.at(-1)?.transaction ?? expect.fail('nothing is published'))
    const rate = (Number(paid.at(-1)) * 1000) / weight
    expect(rate).to.be.within(3000, 4100)
    for (const party of pair.both) expect(party.state?.phase).to.equal('negotiating')
  })
  it('no block takes it and our share is small -> no more than a tenth of it goes for another', () => {
    const pair = new Pair({ features: SIMPLE, real: true, fees: { sane: 50_000 } }).reachNormal({
      push: msat(960_000_000n),
    })
    const { alice } = pair
    pair.input(alice, { kind: 'shutdown' })
    pair.settle()
    for (let height = 106; height <= 200; height += 1) {
      at(pair, height)
      pair.settle()
    }
    const own = alice.published.map(({ transaction }) =>
      transaction.outputs.find(({ script }) => equalBytes(script, scriptOf('alice'))),
    )
    for (const output of own) expect((output?.amount ?? 0n) >= 36_000n).to.equal(true)
    expect(own.some((output) => (output?.amount ?? 40_000n) < 39_000n)).to.equal(true)
  })
  it('who has nothing signs nothing of its own, and the other closes', () => {
    const pair = new Pair({ features: SIMPLE, real: true }).reachNormal()
    pair.input(pair.alice, { kind: 'shutdown' })
    pair.settle()
    expect(sent(pair.bob)).to.not.include('closing_complete')
    expect(pair.both.map(({ published }) => published.length)).to.deep.equal([1, 1])
  })
  it('a fee beyond the balance, another closer script of no form, a missing or bad signature -> warning', () => {
    for (const [change, text] of [
      [{ feeSatoshis: sat(600_001n) }, /has not that much/],
      [{ closerScriptpubkey: new Uint8Array(3) }, /closer_scriptpubkey/],
      [{ closerAndCloseeOutputs: new Uint8Array(64).fill(1) }, /bad signature/],
    ] as const) {
      const pair = shared({ features: SIMPLE })
      pair.input(pair.alice, { kind: 'shutdown' })
      while (
        !sent(pair.alice).includes('closing_complete') &&
        (pair.deliver(pair.alice) || pair.deliver(pair.bob))
      ) {}
      while (pair.bob.state?.phase !== 'negotiating' && pair.deliver(pair.alice)) {}
      const message = { ...last(pair.alice, 'closing_complete'), ...change }
      pair.input(pair.bob, { kind: 'received', message })
      expect(textOf(pair)).to.match(text)
      expect(pair.bob.published).to.have.length(0)
    }
  })
  it('another fee that can not be: below what is relayed, above our share, in the older form', () => {
    const pair = agreed({ features: SIMPLE })
    for (const fee of [sat(1n), sat(600_001n), sat(2_100_000_000_000_000n)]) {
      pair.input(pair.alice, { kind: 'bumpClosing', fee })
      expect(refusalOf(pair), `${fee}`).to.equal('INVALID_AMOUNT')
    }
    const legacy = agreed()
    legacy.input(legacy.alice, { kind: 'bumpClosing', fee: sat(5000n) })
    expect(refusalOf(legacy)).to.equal('UNSUPPORTED')
  })
  for (const [name, offer] of [
    ['pays nothing', { fee: 0n, locktime: 100 }],
    ['pays less than is relayed', { fee: 150n, locktime: 100 }],
    ['is locked for a century', { fee: 5000n, locktime: 4_100_000_000 }],
    ['is locked for some hours', { fee: 5000n, locktime: 107 }],
  ] as const) {
    it(`a closing of the peer's that ${name} settles nothing, and takes nobody hostage`, () => {
      const pair = shared({ real: true, features: SIMPLE })
      const { alice } = pair
      onlyPeerCompletes(pair, offer)
      expect(sent(alice)).to.include('closing_sig')
      expect(whatOf(alice)).to.deep.equal([])
      expect(pair.live(alice).closing).to.deep.include({ signed: 1 })
      expect(pair.live(alice).closing.complete).to.equal(undefined)
      // It may confirm some day, all the same.
      expect(alice.monitor.at(-1)).to.deep.include({ kind: 'closing', isComplete: false })
      const { channelID } = pair.live(alice).terms
      pair.input(alice, { kind: 'received', message: { kind: 'error', channelID, data: new Uint8Array() } })
      expect(whatOf(alice)).to.deep.equal(['commitment'])
    })
  }
  it('a lock time some blocks ahead of us is one of a peer that knows them', () => {
    const pair = shared({ real: true, features: SIMPLE })
    onlyPeerCompletes(pair, { fee: 5000n, locktime: 106 })
    expect(whatOf(pair.alice)).to.deep.equal(['closing'])
  })
  it('of several closings the one that pays most counts, and only our own gets more time', () => {
    const pair = shared({ real: true, features: SIMPLE })
    const { alice } = pair
    onlyPeerCompletes(pair, { fee: 5000n, locktime: 100 })
    const best = pair.live(alice).closing.complete
    pair.input(alice, { kind: 'received', message: completeOfBob(pair, { fee: 200n, locktime: 100 }) })
    expect(pair.live(alice).closing.complete).to.equal(best)
    at(pair, 150)
    pair.input(alice, { kind: 'received', message: completeOfBob(pair, { fee: 6000n, locktime: 100 }) })
    expect(pair.live(alice).closing.complete).to.not.equal(best)
    expect(pair.live(alice).patience?.closing).to.equal(100)
    pair.disconnect()
    pair.connect()
    pair.settle()
    pair.input(alice, { kind: 'bumpClosing', fee: sat(9000n) })
    pair.settle()
    expect(pair.live(alice).patience?.closing).to.equal(150)
    at(pair, 293)
    expect(alice.state?.phase).to.equal('negotiating')
    at(pair, 294)
    expect(whatOf(alice).at(-1)).to.equal('commitment')
  })
  it('a peer that had another script in closing_complete may come back with the one of its shutdown', () => {
    const pair = shared({ real: true, features: SIMPLE })
    const { alice, bob } = pair
    onlyPeerCompletes(pair, { fee: 5000n, locktime: 100 }, OTHER)
    expect(pair.live(alice).shutdown.remote).to.deep.equal(OTHER)
    pair.disconnect()
    pair.connect()
    pair.settle()
    for (const party of pair.both) expect(sent(party), party.name).to.not.include('warning')
    expect(pair.live(alice).shutdown.remote).to.deep.equal(scriptOf('bob'))
    // Each has one of its own, signed by both.
    const byAlice = alice.published.at(-1)?.transaction
    expect(bob.published.map(({ transaction }) => transaction)).to.deep.include(byAlice)
  })
  it('a peer can not change its script without end', () => {
    const pair = agreed({ features: SIMPLE })
    const { channelID } = pair.live(pair.bob).terms
    for (let i = 0; i < 30 && !sent(pair.bob).includes('warning'); i++) {
      const scriptpubkey = i % 2 === 0 ? OTHER : scriptOf('alice')
      pair.input(pair.bob, { kind: 'received', message: { kind: 'shutdown', channelID, scriptpubkey } })
    }
    expect(textOf(pair)).to.match(/not the one of before/)
    expect(pair.live(pair.bob).closing.signed).to.equal(20)
  })
  it('in the older form the script stays', () => {
    const pair = agreed()
    expect(warningTo(pair, { scriptpubkey: OTHER })).to.match(/not the one of before/)
  })
  it('a closing_complete for a script that we have left is ignored', () => {
    const pair = shared({ features: SIMPLE })
    pair.input(pair.alice, { kind: 'shutdown' })
    pair.settle()
    const message = { ...last(pair.alice, 'closing_complete'), closeeScriptpubkey: OTHER }
    const { state } = pair.bob
    if (state === undefined) throw new Error('no channel')
    const result = step(state, { kind: 'received', message }, pair.bob.env)
    expect(result.next).to.equal(state)
    expect(result.effects).to.deep.equal([])
  })
  it('f 26: replacements of the peer come to an end', () => {
    const pair = shared({ features: SIMPLE })
    pair.input(pair.alice, { kind: 'shutdown' })
    pair.settle()
    for (let i = 1; i <= 30 && !sent(pair.bob).includes('warning'); i++) {
      pair.input(pair.alice, { kind: 'bumpClosing', fee: sat(1000n + BigInt(i)) })
      pair.settle()
    }
    expect(textOf(pair)).to.match(/too often/)
    expect(pair.live(pair.bob).closing.signed).to.equal(20)
  })
})

describe('closing alone', () => {
  it('our newest commitment, complete, once; the peer gets an error; nothing is signed any more', () => {
    const pair = shared({ real: true })
    pair.input(pair.alice, { kind: 'forceClose' })
    const [published] = pair.alice.published
    expect(published?.what).to.equal('commitment')
    expect(published?.transaction.inputs[0]?.witness).to.have.length(4)
    expect(errorOf(pair.alice)).to.match(/closed by its user/)
    pair.input(pair.alice, { kind: 'forceClose' })
    expect(pair.alice.published).to.have.length(1)
    pair.deliverAll()
    expect(pair.live(pair.bob).failure?.cause).to.equal('peerError')
  })
  it('the funding is spent by a commitment of the peer -> failed, nothing of ours is published', () => {
    const pair = shared()
    pair.input(pair.alice, { kind: 'spent', by: 'commitment' })
    expect(pair.live(pair.alice).failure?.cause).to.equal('onChain')
    expect(pair.alice.published).to.have.length(0)
    pair.input(pair.alice, { kind: 'resolved' })
    expect(pair.alice.state?.phase).to.equal('closed')
    expect(pair.alice.disk.size).to.equal(1)
  })
  it('f 46: what the peer says in an error is shown as plain ASCII and cut', () => {
    const pair = shared()
    const { channelID } = pair.live(pair.alice).terms
    const data = Uint8Array.from([27, 10, 0xe2, 0x80, 0xa8, 65, ...new Uint8Array(1000).fill(66)])
    pair.input(pair.alice, { kind: 'received', message: { kind: 'error', channelID, data } })
    const reason = pair.live(pair.alice).failure?.reason ?? ''
    expect(reason).to.match(/^the peer says: \?\?\?\?\?AB+$/)
    expect(reason.length).to.be.lessThan(520)
  })

  it('an HTLC of ours that is open 3 blocks after its expiry -> on chain; not a block earlier', () => {
    const pair = shared()
    pair.add(pair.alice, 5_000_000n, 1, 500)
    pair.settle()
    at(pair, 502)
    expect(pair.both.map(({ state }) => state?.phase)).to.deep.equal(['normal', 'normal'])
    at(pair, 503)
    expect(pair.live(pair.alice).failure?.cause).to.equal('expiry')
    expect(pair.bob.state?.phase).to.equal('normal')
  })
  it('one that we can claim, 36 blocks before its expiry if the peer does not take it out', () => {
    const pair = shared()
    pair.add(pair.alice, 5_000_000n, 1, 500)
    pair.settle()
    pair.disconnect()
    at(pair, 463)
    pair.want(pair.bob, { kind: 'remove', id: 0n, removal: { kind: 'fulfill', preimage: preimageOf(1) } })
    at(pair, 463)
    expect(pair.bob.state?.phase).to.equal('normal')
    at(pair, 464)
    expect(pair.live(pair.bob).failure?.cause).to.equal('expiry')
    expect(pair.alice.state?.phase).to.equal('normal')
  })
  it('small ones are fought for from the deadline on at which they are worth it together', () => {
    const pair = shared()
    // Two that fall due together, one before, and one that has no output.
    for (const [i, amount, expiry] of [
      [0, 400_000n, 490],
      [1, 353_000n, 495],
      [2, 400_000n, 500],
      [3, 400_000n, 500],
      [4, 900_000n, 600],
    ] as const)
      pair.add(pair.alice, amount, i, expiry)
    pair.settle()
    pair.disconnect()
    for (let i = 0n; i < 5n; i++) {
      const removal = { kind: 'fulfill', preimage: preimageOf(Number(i)) } as const
      pair.want(pair.bob, { kind: 'remove', id: i, removal })
    }
    const due = obligations(pair.live(pair.bob)).map(({ height, htlc }) => [htlc.id, height])
    expect(due).to.deep.equal([
      [0n, 464],
      [2n, 464],
      [3n, 464],
      [4n, 564],
    ])
    at(pair, 463)
    expect(pair.bob.state?.phase).to.equal('normal')
    at(pair, 464)
    expect(pair.live(pair.bob).failure?.cause).to.equal('expiry')
    expect(pair.alice.state?.phase).to.equal('normal')
  })
  it('what is not worth a commitment is not fought for', () => {
    const pair = shared()
    pair.add(pair.alice, 999_999n, 1, 500)
    pair.settle()
    at(pair, 600)
    expect(pair.alice.state?.phase).to.equal('normal')
  })
})

function shared(options: PairOptions = {}): Pair {
  return new Pair(options).reachNormal({ push: msat(400_000_000n) })
}

/** Both have signed a closing. */
function agreed(options: PairOptions = {}): Pair {
  const pair = shared(options)
  pair.input(pair.alice, { kind: 'shutdown' })
  pair.settle()
  return pair
}

/** Alice closes; Bob does not answer her transaction, and sends one of his own. */
function onlyPeerCompletes(pair: Pair, offer: Offer, script?: Uint8Array): void {
  const { alice, bob } = pair
  pair.input(alice, { kind: 'shutdown' })
  pair.deliver(alice)
  pair.deliver(bob)
  alice.outbox = []
  bob.outbox = []
  pair.input(alice, { kind: 'received', message: completeOfBob(pair, offer, script) })
  alice.outbox = []
}

interface Offer {
  readonly fee: bigint
  readonly locktime: number
}

/** Of a transaction with both outputs. */
function completeOfBob(pair: Pair, { fee, locktime }: Offer, script = scriptOf('bob')): ClosingComplete {
  const live = pair.live(pair.bob)
  const { local, remote: closee } = shares(live)
  const closer = { ...local, script }
  const terms = { closer, closee, fee: sat(fee), locktime, variant: 'closer_and_closee_outputs' } as const
  const closing = buildClosing({ funding: closingFunding(live), ...terms })
  return {
    kind: 'closing_complete',
    channelID: live.terms.channelID,
    closerScriptpubkey: closer.script,
    closeeScriptpubkey: closee.script,
    feeSatoshis: sat(fee),
    locktime,
    closerAndCloseeOutputs: signClosing(closing, channelSecrets(pair.bob.seed, 0n).funding),
  }
}

function whatOf({ published }: Party): readonly string[] {
  return published.map(({ what }) => what)
}

function refusalOf({ alice }: Pair): string | undefined {
  const effect = alice.effects.at(-1)
  return effect?.kind === 'refuse' ? effect.error.code : undefined
}

function total({ outputs }: Transaction): bigint {
  return outputs.reduce((sum, { amount }) => sum + amount, 0n)
}

/** Alice has offered, and Bob has not heard it. */
function upToOffer(): Pair {
  const pair = shared()
  pair.input(pair.alice, { kind: 'shutdown' })
  while (!sent(pair.alice).includes('closing_signed')) if (!pair.deliver(pair.alice)) pair.deliver(pair.bob)
  pair.alice.outbox.length = 0
  return pair
}

/** What the last closing of both pays, without regard to the fee, which Alice pays. */
function closedAlike(pair: Pair): readonly (readonly [string, Sat])[] {
  const [alice, bob] = pair.both.map(({ published }) => published.at(-1)?.transaction)
  if (alice === undefined || bob === undefined) throw new Error('not closed')
  expect(alice.outputs).to.deep.equal(bob.outputs)
  expect(pair.live(pair.alice).terms.funding.outpoint).to.deep.equal(alice.inputs[0]?.outpoint)
  const total = alice.outputs.reduce((sum, { amount }) => sum + amount, 0n)
  const fee = pair.live(pair.alice).terms.capacity - total
  return alice.outputs
    .map(({ script, amount }) => {
      const hex = toHex(script)
      return [hex, sat(hex === toHex(scriptOf('alice')) ? amount + fee : amount)] as const
    })
    .sort(([a]) => (a === toHex(scriptOf('alice')) ? -1 : 1))
}

/** What Bob warns of when he gets such a shutdown. */
function warningTo(pair: Pair, change: Partial<Shutdown>): string | undefined {
  const { channelID } = pair.live(pair.bob).terms
  const message: Shutdown = { kind: 'shutdown', channelID, scriptpubkey: scriptOf('alice'), ...change }
  pair.input(pair.bob, { kind: 'received', message })
  return sent(pair.bob).includes('warning') ? textOf(pair) : undefined
}

function textOf({ bob }: Pair): string {
  return new TextDecoder().decode(last(bob, 'warning').data)
}

function at(pair: Pair, height: number): void {
  for (const party of pair.both) {
    party.env = { ...party.env, height: blockHeight(height) }
    pair.input(party, { kind: 'block' })
  }
}
