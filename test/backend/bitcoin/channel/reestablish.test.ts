import { expect } from 'chai'
import type { ChannelInput } from '../../../../backend/bitcoin/channel/input.js'
import { channelSecrets, commitmentSecret } from '../../../../backend/bitcoin/keys/index.js'
import { blockHeight, feeratePerKw, msat } from '../../../../backend/bitcoin/units.js'
import type { ChannelReestablish, LightningMessage } from '../../../../backend/bitcoin/wire/index.js'
import { effectKinds, errorOf, kinds, Pair, type Party, preimageOf, sent, sentBy } from './pair.js'

describe('BOLT 2, "Message Retransmission"', () => {
  it('before any payment: channel_ready again from both, and nothing else', () => {
    const pair = new Pair({ real: true }).reachNormal()
    reconnect(pair)
    for (const party of pair.both) {
      expect(since(party)).to.deep.equal(['channel_reestablish', 'channel_ready'])
      expect(last(party)).to.deep.include({ nextCommitmentNumber: 1n, nextRevocationNumber: 0n })
    }
  })
  it('after a payment: no channel_ready; numbers, the last secret and our point are those of BOLT 2', () => {
    const pair = paid()
    reconnect(pair)
    for (const party of pair.both) {
      const { signer } = pair.live(party)
      expect(since(party)).to.deep.equal(['channel_reestablish'])
      expect(last(party)).to.deep.include({
        nextCommitmentNumber: signer.validated,
        nextRevocationNumber: signer.signed - 1n,
      })
      const other = pair.other(party)
      const keys = other.env.keys(0n)
      expect(keys.isSecret(signer.signed - 2n, last(party).yourLastPerCommitmentSecret)).to.equal(true)
      const own = party.env.keys(0n).commitmentPoint(signer.validated - 1n)
      expect(last(party).myCurrentPerCommitmentPoint).to.deep.equal(own)
    }
  })

  // What Alice sent, message by message, and how much of it Bob got.
  for (let got = 0; got <= 3; got++) {
    it(`two HTLCs and a signature, of which ${got} arrived -> ${got === 3 ? 'the answer' : 'the same bytes'} again`, () => {
      const pair = paid()
      pair.add(pair.alice, 5_000_000n, 11)
      pair.add(pair.alice, 6_000_000n, 12)
      pair.input(pair.alice, { kind: 'flush' })
      const first = [...pair.alice.outbox]
      expect(first.map(({ kind }) => kind)).to.deep.equal([
        'update_add_htlc',
        'update_add_htlc',
        'commitment_signed',
      ])
      for (let i = 0; i < got; i++) pair.deliver(pair.alice)
      reconnect(pair, { deliver: false })
      for (const party of pair.both) pair.deliver(party)
      if (got < 3) expect(pair.alice.outbox).to.deep.equal(first)
      else expect(pair.bob.outbox.map(({ kind }) => kind)).to.deep.equal(['revoke_and_ack'])
      pair.settle()
      const numbers = pair.live(pair.bob).book.htlcs.map(({ amount, stage }) => [amount, stage])
      expect(numbers).to.deep.equal([
        [5_000_000n, 'locked'],
        [6_000_000n, 'locked'],
      ])
    })
  }

  it('a revocation and a signature that both were lost come again in the order of the first time', () => {
    for (const order of ['revocation first', 'signature first']) {
      const pair = paid()
      const { alice, bob } = pair
      pair.add(bob, 1_000_000n, 20)
      if (order === 'signature first') {
        pair.add(alice, 2_000_000n, 21)
        pair.input(alice, { kind: 'flush' })
      }
      pair.input(bob, { kind: 'flush' })
      while (pair.deliver(bob)) {}
      if (order === 'revocation first') {
        pair.add(alice, 2_000_000n, 21)
        pair.input(alice, { kind: 'flush' })
      }
      const lost = alice.outbox.map(({ kind }) => kind)
      expect(lost.indexOf('revoke_and_ack') < lost.indexOf('commitment_signed'), order).to.equal(
        order === 'revocation first',
      )
      reconnect(pair, { deliver: false })
      for (const party of pair.both) pair.deliver(party)
      expect(
        alice.outbox.map(({ kind }) => kind),
        order,
      ).to.deep.equal(lost)
      pair.settle()
      expect(pair.live(bob).book.htlcs.map(({ stage }) => stage)).to.deep.equal(['locked', 'locked'])
    }
  })

  it('update_fee that was signed comes again as it was', () => {
    const pair = paid()
    pair.want(pair.alice, { kind: 'fee', feerate: feeratePerKw(1500) })
    pair.input(pair.alice, { kind: 'flush' })
    reconnect(pair)
    pair.settle()
    expect(pair.both.map((party) => pair.live(party).book.feerate)).to.deep.equal([1500, 1500])
  })

  it('a preimage that came with no signature is kept, and handed on once', () => {
    const pair = paid()
    const { alice, bob } = pair
    pair.add(alice, 5_000_000n, 11)
    pair.settle()
    pair.want(bob, { kind: 'remove', id: 1n, removal: { kind: 'fulfill', preimage: preimageOf(11) } })
    pair.input(bob, { kind: 'flush' })
    pair.deliver(bob)
    const fulfilled = () => alice.handoffs.filter((one) => one.kind === 'fulfilled' && one.htlc.id === 1n)
    expect(fulfilled()).to.have.length(1)
    pair.crash(alice)
    expect(pair.live(alice).book.htlcs[0]).to.deep.include({ stage: 'locked', preimage: preimageOf(11) })
    pair.connect()
    pair.settle()
    expect(fulfilled()).to.have.length(1)
    expect(alice.handoffs.at(-1)?.kind).to.equal('removed')
  })

  it('shutdown comes again, behind the HTLCs from before it', () => {
    const pair = paid()
    pair.add(pair.alice, 5_000_000n, 11)
    pair.input(pair.alice, { kind: 'flush' })
    pair.input(pair.alice, { kind: 'shutdown' })
    pair.disconnect()
    pair.connect()
    for (const party of pair.both) pair.deliver(party)
    expect(pair.alice.outbox.map(({ kind }) => kind)).to.deep.equal([
      'update_add_htlc',
      'commitment_signed',
      'shutdown',
    ])
    pair.settle()
    expect(pair.live(pair.bob).book.htlcs).to.have.length(1)
    expect(pair.both.map(({ state }) => state?.phase)).to.deep.equal(['shuttingDown', 'shuttingDown'])
  })
})

describe('BOLT 2, "Message Retransmission": numbers that do not fit', () => {
  it('next_commitment_number of 0 -> error, our newest commitment is published', () => {
    const pair = offered(paid(), { nextCommitmentNumber: 0n })
    expect(pair.alice.state?.phase).to.equal('failed')
    expect(pair.alice.published.map(({ what }) => what)).to.deep.equal(['commitment'])
  })
  it('the peer proves that we are behind -> nothing is published, ever; it is asked to close', () => {
    const pair = paid()
    const { alice } = pair
    const secret = (number: bigint) => secretOf(pair, number)
    const { released } = pair.live(alice).signer
    const ahead = { nextRevocationNumber: released + 3n, yourLastPerCommitmentSecret: secret(released + 2n) }
    offered(pair, ahead)
    expect(pair.live(alice)).to.deep.nested.include({ phase: 'failed', 'failure.cause': 'dataLoss' })
    expect(errorOf(alice)).to.match(/lost data/)
    expect(kinds(alice).at(-1)).to.equal('failed')
    const inputs: readonly ChannelInput[] = [
      { kind: 'forceClose' },
      { kind: 'block' },
      { kind: 'spent', by: 'commitment' },
      { kind: 'disconnected' },
      { kind: 'connected', features: pair.features },
      { kind: 'received', message: { kind: 'error', channelID: '0x', data: new Uint8Array() } },
    ]
    for (const input of inputs) pair.input(alice, input)
    expect(alice.published).to.have.length(0)
    // On each connection the peer is asked again.
    expect(sent(alice).filter((kind) => kind === 'error')).to.have.length(2)
    // With numbers that show it, for those who go by these.
    expect(last(alice).nextCommitmentNumber).to.equal(pair.live(alice).signer.validated)
    const told = alice.effects.flatMap((effect) => (effect.kind === 'tell' ? [effect.event.kind] : []))
    expect(told.at(-1)).to.equal('dataLoss')
    pair.crash(alice)
    expect(pair.live(alice).failure?.cause).to.equal('dataLoss')
  })

  it('the peer says that it lost all data -> error and no disconnection, so that it can ask us to close', () => {
    const pair = paid()
    const { alice } = pair
    offered(pair, {
      nextCommitmentNumber: 1n,
      nextRevocationNumber: 0n,
      yourLastPerCommitmentSecret: new Uint8Array(32),
    })
    expect(errorOf(alice)).to.match(/lost its data/)
    expect(effectKinds(alice).slice(-2)).to.deep.equal(['send', 'tell'])
    expect(alice.published).to.have.length(0)
    const { channelID } = pair.live(alice).terms
    pair.input(alice, { kind: 'received', message: { kind: 'error', channelID, data: new Uint8Array() } })
    expect(alice.published.map(({ what }) => what)).to.deep.equal(['commitment'])
  })

  it('a channel that failed tells how far it is, and then error', () => {
    const pair = paid()
    pair.input(pair.alice, { kind: 'forceClose' })
    reconnect(pair, { deliver: false })
    expect(since(pair.alice)).to.deep.equal(['channel_reestablish', 'error'])
    expect(last(pair.alice).nextCommitmentNumber).to.equal(pair.live(pair.alice).signer.validated)
    pair.deliverAll()
    expect(pair.live(pair.bob).failure?.cause).to.equal('peerError')
    expect(pair.bob.published.map(({ what }) => what)).to.deep.equal(['commitment'])
  })
  it('we have lost data, and the peer has closed meanwhile -> nothing is published', () => {
    const pair = outdated()
    const { alice } = pair
    pair.deliverAll()
    expect(pair.live(alice).failure?.cause).to.equal('dataLoss')
    expect(alice.published).to.have.length(0)
  })
  it('the peer says error before its numbers -> nothing is published until they come, for some blocks', () => {
    const pair = outdated()
    const { alice, bob } = pair
    const [numbers, error] = bob.outbox
    if (numbers === undefined || error === undefined) throw new Error('both')
    bob.outbox = []
    pair.input(alice, { kind: 'received', message: error })
    reach(pair, 105)
    expect(alice.published).to.have.length(0)
    pair.disconnect()
    pair.crash(alice)
    pair.connect()
    bob.outbox = []
    pair.input(alice, { kind: 'received', message: numbers })
    expect(pair.live(alice).failure?.cause).to.equal('dataLoss')
    reach(pair, 200)
    expect(alice.published).to.have.length(0)
  })
  it('numbers that fit, or none for some blocks, after error -> our newest commitment is published', () => {
    for (const isHeard of [true, false]) {
      const pair = paid()
      const { alice } = pair
      const { channelID } = pair.live(alice).terms
      pair.disconnect()
      pair.connect()
      pair.input(alice, {
        kind: 'received',
        message: { kind: 'error', channelID, data: new TextEncoder().encode('no more') },
      })
      expect(alice.state?.phase).to.equal('normal')
      if (isHeard) pair.deliver(pair.bob)
      else reach(pair, 106)
      expect(pair.live(alice).failure).to.deep.equal({
        cause: 'peerError',
        reason: 'the peer says: no more',
      })
      expect(alice.published.map(({ what }) => what)).to.deep.equal(['commitment'])
    }
  })

  const unproven: readonly (readonly [string, (pair: Pair) => Partial<ChannelReestablish>])[] = [
    [
      'claims that we are behind, with a wrong secret',
      (pair) => ({
        nextRevocationNumber: pair.live(pair.alice).signer.released + 3n,
        yourLastPerCommitmentSecret: new Uint8Array(32).fill(1),
      }),
    ],
    [
      'expects a commitment that we never signed',
      (pair) => ({ nextCommitmentNumber: pair.live(pair.alice).signer.signed + 1n }),
    ],
    [
      'expects one that it had revoked',
      (pair) => ({ nextCommitmentNumber: pair.live(pair.alice).signer.signed - 1n }),
    ],
    [
      'has a wrong secret for the right number',
      () => ({ yourLastPerCommitmentSecret: new Uint8Array(32).fill(1) }),
    ],
    [
      'is two revocations behind',
      (pair) => {
        const { released } = pair.live(pair.alice).signer
        return {
          nextRevocationNumber: released - 2n,
          yourLastPerCommitmentSecret: secretOf(pair, released - 3n),
        }
      },
    ],
    ['says a number beyond all', () => ({ nextRevocationNumber: 2n ** 64n - 1n })],
  ]
  for (const [what, change] of unproven) {
    it(`f 24: the peer ${what} -> error, and the channel stays`, () => {
      const pair = paid()
      pair.add(pair.alice, 1_000_000n, 40)
      pair.settle()
      pair.add(pair.alice, 1_000_000n, 41)
      pair.settle()
      const before = pair.live(pair.alice)
      offered(pair, change(pair))
      expect(pair.alice.published).to.have.length(0)
      expect(pair.live(pair.alice)).to.deep.include({ phase: 'normal', book: before.book })
      expect(effectKinds(pair.alice).slice(-3)).to.deep.equal(['send', 'tell', 'disconnect'])
      expect(errorOf(pair.alice)).to.match(/expected|not ours/)
      pair.isConnected = true
      pair.disconnect()
      pair.connect()
      pair.settle()
      pair.add(pair.bob, 1_000_000n, 42)
      pair.settle()
      expect(pair.alice.handoffs.at(-1)?.kind).to.equal('locked')
    })
  }
})

describe('waits have an end', () => {
  it('a signature that is not answered for two ticks -> the connection is closed, the channel stays', () => {
    const pair = paid()
    pair.add(pair.alice, 1_000_000n, 30)
    pair.input(pair.alice, { kind: 'flush' })
    pair.input(pair.alice, { kind: 'tick' })
    expect(effectKinds(pair.alice)).to.not.include('disconnect')
    pair.input(pair.alice, { kind: 'tick' })
    expect(effectKinds(pair.alice)).to.include('disconnect')
    pair.connect()
    pair.settle()
    expect(pair.live(pair.bob).book.htlcs).to.have.length(1)
  })
  it('channel_reestablish that does not come for two ticks -> likewise', () => {
    const pair = paid()
    pair.disconnect()
    pair.connect()
    for (let i = 0; i < 2; i++) pair.input(pair.alice, { kind: 'tick' })
    expect(effectKinds(pair.alice).at(-1)).to.equal('disconnect')
  })
  it('at rest no tick does anything', () => {
    const pair = paid()
    const before = pair.alice.state
    for (let i = 0; i < 5; i++) pair.input(pair.alice, { kind: 'tick' })
    expect(pair.alice.state).to.equal(before)
  })
})

/** After a payment of Alice's that was fulfilled. */
function paid(): Pair {
  const pair = new Pair().reachNormal({ push: msat(400_000_000n) })
  pair.add(pair.alice, 3_000_000n, 1)
  pair.settle()
  pair.want(pair.bob, { kind: 'remove', id: 0n, removal: { kind: 'fulfill', preimage: preimageOf(1) } })
  pair.settle()
  return pair
}

/** Alice is back with what she had before the last payment, and Bob, who has closed meanwhile, has greeted her. */
function outdated(): Pair {
  const pair = new Pair({ real: true }).reachNormal({ push: msat(400_000_000n) })
  const { alice, bob } = pair
  const old = new Map(alice.disk)
  pair.add(alice, 5_000_000n, 1)
  pair.settle()
  pair.disconnect()
  pair.input(bob, { kind: 'forceClose' })
  alice.disk.clear()
  for (const [key, value] of old) alice.disk.set(key, value)
  pair.crash(alice)
  pair.connect()
  return pair
}

/** Alice hears of a block at that height. */
function reach(pair: Pair, height: number): void {
  const { alice } = pair
  alice.env = { ...alice.env, height: blockHeight(height) }
  pair.input(alice, { kind: 'block' })
}

const mark = new WeakMap<Party, number>()

function reconnect(pair: Pair, { deliver = true } = {}): void {
  pair.disconnect()
  for (const party of pair.both) mark.set(party, party.effects.length)
  pair.connect()
  if (deliver) pair.deliverAll()
}

/** Kinds of what was sent since the last reconnection. */
function since(party: Party): readonly string[] {
  return messages(party).map(({ kind }) => kind)
}

function messages(party: Party): readonly LightningMessage[] {
  return party.effects
    .slice(mark.get(party) ?? 0)
    .flatMap((effect) => (effect.kind === 'send' ? [effect.message] : []))
}

function last(party: Party): ChannelReestablish {
  const found = sentBy(party).filter((one): one is ChannelReestablish => one.kind === 'channel_reestablish')
  const message = found.at(-1)
  if (message === undefined) throw new Error('no channel_reestablish')
  return message
}

/** Alice gets Bob's channel_reestablish with a change. */
function offered(pair: Pair, change: Partial<ChannelReestablish>): Pair {
  pair.disconnect()
  pair.connect()
  const message = last(pair.bob)
  pair.bob.outbox.length = 0
  pair.input(pair.alice, { kind: 'received', message: { ...message, ...change } })
  return pair
}

/** Alice's own secret, which Bob could only have from her. */
function secretOf({ alice }: Pair, number: bigint): Uint8Array {
  return commitmentSecret(channelSecrets(alice.seed, 0n).commitmentSeed, number)
}
