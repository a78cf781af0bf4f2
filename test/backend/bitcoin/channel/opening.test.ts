import { expect } from 'chai'
import { faultOfAdmission, type Occupant } from '../../../../backend/bitcoin/channel/admission.js'
import { fundingScriptOf, openChannel, receivedOpen } from '../../../../backend/bitcoin/channel/open.js'
import { encodeChannelType } from '../../../../backend/bitcoin/channel-type.js'
import type { FeatureName } from '../../../../backend/bitcoin/features.js'
import { blockDelta, blockHeight, feeratePerKw, msat, sat } from '../../../../backend/bitcoin/units.js'
import type {
  AcceptChannel,
  FundingCreated,
  OpenChannel,
  TxID,
} from '../../../../backend/bitcoin/wire/index.js'
import { shortChannelID } from '../../../../backend/bitcoin/wire/index.js'
import { type Hex, toHex } from '../../../../channel/bytes.js'
import { isError } from '../../../../channel/errors.js'
import {
  CHAIN,
  effectKinds,
  errorOf,
  FEATURES_OF_BOTH,
  kinds,
  last,
  OUTPOINT,
  Pair,
  type Party,
  scriptOf,
  sent,
  TEMPORARY,
} from './pair.js'

const ZEROCONF = { commitments: 'anchors', scidAlias: true, zeroconf: true } as const

describe('BOLT 2: open_channel, as its receiver', () => {
  const refused: readonly (readonly [string, Partial<OpenChannel>, RegExp])[] = [
    ['unknown chain_hash', { chainHash: TEMPORARY }, /chain_hash/],
    ['push_msat > 1000 * funding_satoshis', { pushMsat: msat(1_000_000_001n) }, /push_msat/],
    ['to_self_delay unreasonably large', { toSelfDelay: blockDelta(2017) }, /to_self_delay/],
    ['max_accepted_htlcs > 483', { maxAcceptedHtlcs: 484 }, /max_accepted_htlcs/],
    ['max_accepted_htlcs too small', { maxAcceptedHtlcs: 0 }, /max_accepted_htlcs/],
    ['feerate_per_kw too small for timely processing', { feeratePerKw: feeratePerKw(252) }, /feerate/],
    ['feerate_per_kw unreasonably large', { feeratePerKw: feeratePerKw(100_001) }, /feerate/],
    ['dust_limit_satoshis < 354', { dustLimitSatoshis: sat(353n) }, /dust_limit/],
    ['dust_limit_satoshis > 546', { dustLimitSatoshis: sat(547n) }, /dust_limit/],
    [
      'dust_limit_satoshis > channel_reserve_satoshis',
      { dustLimitSatoshis: sat(546n), channelReserveSatoshis: sat(545n) },
      /dust_limit/,
    ],
    ['channel_reserve_satoshis < our dust limit', { channelReserveSatoshis: sat(353n) }, /dust_limit/],
    ['channel_reserve_satoshis too large', { channelReserveSatoshis: sat(200_001n) }, /reserve/],
    ['htlc_minimum_msat too large', { htlcMinimumMsat: msat(1_000_001n) }, /htlc_minimum/],
    ['max_htlc_value_in_flight_msat too small', { maxHtlcValueInFlightMsat: msat(999n) }, /in_flight/],
    ['funding_satoshis too small', { fundingSatoshis: sat(9_999n) }, /funding_satoshis/],
    ['funding_satoshis of 2^24 without large channels', { fundingSatoshis: sat(1n << 24n) }, /large/],
    ['a funder who can not pay the first fee', { pushMsat: msat(999_000_000n) }, /pay for its commitment/],
    [
      'neither balance above channel_reserve_satoshis',
      {
        fundingSatoshis: sat(20_000n),
        channelReserveSatoshis: sat(4_000n),
        pushMsat: msat(4_000_000n),
        feeratePerKw: feeratePerKw(12_500),
      },
      /neither balance/,
    ],
    [
      'an upfront_shutdown_script of no standard form',
      { upfrontShutdownScript: new Uint8Array(22).fill(9) },
      /upfront/,
    ],
    ['a channel_type that is not defined', { channelType: Uint8Array.of(1) }, /channel_type/],
    [
      'a channel_type that was not negotiated',
      { channelType: encodeChannelType(ZEROCONF) },
      /option_scid_alias, which was not negotiated/,
    ],
  ]
  for (const [rule, change, text] of refused) {
    it(`${rule} -> error, nothing is kept`, () => {
      const { bob } = offer(change)
      expect(bob.state?.phase).to.equal('closed')
      expect(errorOf(bob)).to.match(text)
    })
  }
  it('no channel_type (f 48) -> error', () => {
    const { channelType: _, ...message } = openMessage(new Pair())
    const pair = new Pair()
    pair.commit(pair.bob, receivedOpen(message, { keyIndex: 0n, features: FEATURES_OF_BOTH }, pair.bob.env))
    expect(errorOf(pair.bob)).to.match(/channel_type is missing/)
  })
  it('the funding pays what gets it into a block, and the commitment what its form needs', () => {
    for (const [type, feerate] of [
      [undefined, 2500],
      [{ commitments: 'static_remotekey', scidAlias: false, zeroconf: false }, 30_000],
    ] as const) {
      const pair = new Pair({ fees: { commitment: 2500, fixedCommitment: 30_000, opening: 25_000 } })
      pair.open(type === undefined ? {} : { type })
      pair.deliverAll()
      pair.input(pair.bob, { kind: 'accept', shutdownScript: scriptOf('bob') })
      pair.deliverAll()
      const funding = pair.alice.effects.find((effect) => effect.kind === 'fund')
      expect(funding?.kind === 'fund' && funding.feerate).to.equal(25_000)
      expect(pair.alice.state?.phase === 'awaitingFunding' && pair.alice.state.terms.feerate).to.equal(
        feerate,
      )
    }
  })
  it('our own funding_pubkey comes back -> error', () => {
    const pair = new Pair()
    const { funding } = pair.bob.env.keys(0n).basepoints
    expect(errorOf(offer({ fundingPubkey: funding }).bob)).to.match(/funding_pubkey/)
  })
  it('limits themselves are fine', () => {
    for (const change of [
      { dustLimitSatoshis: sat(354n) },
      { dustLimitSatoshis: sat(546n), channelReserveSatoshis: sat(546n) },
      { toSelfDelay: blockDelta(2016) },
      { maxAcceptedHtlcs: 483 },
      { feeratePerKw: feeratePerKw(253) },
      { pushMsat: msat(500_000_000n) },
      { fundingSatoshis: sat((1n << 24n) - 1n) },
    ]) {
      expect(offer(change).bob.state?.phase, JSON.stringify(Object.keys(change))).to.equal('asked')
    }
  })
  it('option_scid_alias in the type of an announced channel -> error', () => {
    const features = [...FEATURES_OF_BOTH, 'option_scid_alias'] as const
    const type = { commitments: 'anchors', scidAlias: true, zeroconf: false } as const
    const { bob } = offer({ channelType: encodeChannelType(type), channelFlags: 1 }, features)
    expect(errorOf(bob)).to.match(/announced/)
  })
})

describe('BOLT 2: accept_channel, as its receiver', () => {
  const refused: readonly (readonly [string, Partial<AcceptChannel>, RegExp])[] = [
    ['minimum_depth unreasonably large', { minimumDepth: blockDelta(145) }, /minimum_depth/],
    ['channel_reserve_satoshis < our dust limit', { channelReserveSatoshis: sat(353n) }, /dust_limit/],
    [
      'dust_limit_satoshis > our channel_reserve_satoshis',
      { dustLimitSatoshis: sat(355n), channelReserveSatoshis: sat(355n) },
      /above our channel_reserve/,
    ],
    [
      'another channel_type',
      {
        channelType: encodeChannelType({
          commitments: 'static_remotekey',
          scidAlias: false,
          zeroconf: false,
        }),
      },
      /channel_type/,
    ],
    ['to_self_delay above our bound', { toSelfDelay: blockDelta(2017) }, /to_self_delay/],
  ]
  for (const [rule, change, text] of refused) {
    it(`${rule} -> error, nothing was funded`, () => {
      const policies = { alice: { reserveMinimum: sat(354n), reserveMillionths: 0 } }
      const pair = new Pair({ policies })
      pair.open()
      pair.deliverAll()
      pair.input(pair.bob, { kind: 'accept', shutdownScript: scriptOf('bob') })
      const message = last(pair.bob, 'accept_channel')
      pair.input(pair.alice, { kind: 'received', message: { ...message, ...change } })
      expect(pair.alice.state?.phase).to.equal('closed')
      expect(errorOf(pair.alice)).to.match(text)
    })
  }
  it('a wish that can not come true -> INVALID_PARAMS, nothing is sent', () => {
    const pair = new Pair()
    for (const wish of [
      { push: msat(999_000_000n) },
      { capacity: sat(1n << 24n) },
      { type: ZEROCONF },
      { shutdownScript: new Uint8Array(3) },
    ]) {
      try {
        pair.open(wish)
        expect.fail('opened')
      } catch (error) {
        expect(isError(error, 'INVALID_PARAMS'), String(error)).to.equal(true)
      }
    }
    expect(pair.alice.outbox).to.have.length(0)
  })
})

describe('channel opening', () => {
  it('the funding is published only after a valid funding_signed, and the first commitments are in both monitors', () => {
    const pair = new Pair({ real: true })
    pair.open()
    pair.deliverAll()
    pair.input(pair.bob, { kind: 'accept', shutdownScript: scriptOf('bob') })
    pair.deliverAll()
    pair.input(pair.alice, { kind: 'funded', outpoint: OUTPOINT })
    expect(kinds(pair.alice)).to.deep.equal(['opened', 'counterparty'])
    expect(effectKinds(pair.alice)).to.not.include('publishFunding')
    pair.deliver(pair.alice)
    expect(kinds(pair.bob)).to.deep.equal(['opened', 'holder', 'counterparty'])
    pair.deliver(pair.bob)
    expect(kinds(pair.alice)).to.deep.equal(['opened', 'counterparty', 'holder'])
    expect(effectKinds(pair.alice)).to.include('publishFunding')
  })

  it('a bad signature in funding_signed -> error, the wallet takes its coins back', () => {
    const pair = upToFunded()
    pair.deliver(pair.alice)
    const message = last(pair.bob, 'funding_signed')
    pair.input(pair.alice, {
      kind: 'received',
      message: { ...message, signature: new Uint8Array(64).fill(1) },
    })
    expect(pair.alice.state?.phase).to.equal('closed')
    expect(effectKinds(pair.alice)).to.include('abortFunding')
    expect(effectKinds(pair.alice)).to.not.include('publishFunding')
  })

  it('f 4: a signature with a high s in funding_created -> error', () => {
    const pair = new Pair({ real: true })
    pair.open()
    pair.deliverAll()
    pair.input(pair.bob, { kind: 'accept', shutdownScript: scriptOf('bob') })
    pair.deliverAll()
    pair.input(pair.alice, { kind: 'funded', outpoint: OUTPOINT })
    const message = last(pair.alice, 'funding_created')
    const highS = { ...message, signature: withHighS(message.signature) }
    pair.input(pair.bob, { kind: 'received', message: highS })
    expect(pair.bob.state?.phase).to.equal('closed')
    expect(errorOf(pair.bob)).to.match(/bad signature/)
  })

  it('f 47: an all-zero funding_txid -> error, no throw', () => {
    const pair = upToFunded()
    const message = last(pair.alice, 'funding_created')
    const fundingTxID = toHex(new Uint8Array(32)) as TxID
    pair.input(pair.bob, { kind: 'received', message: { ...message, fundingTxID } as FundingCreated })
    expect(errorOf(pair.bob)).to.match(/funding_txid/)
  })

  for (const [what, wrong] of [
    ['a lower amount', { amount: sat(999_999n) }],
    ['another script', { script: scriptOf('alice') }],
  ] as const) {
    it(`f 1: the funding output has ${what} -> never ready, fails without publishing anything`, () => {
      const pair = upToFunded()
      pair.deliverAll()
      const { terms } = pair.live(pair.bob)
      const output = { amount: terms.capacity, script: fundingScriptOf(terms), ...wrong }
      pair.input(pair.bob, { kind: 'depth', confirmations: 6, output })
      expect(pair.bob.state?.phase).to.equal('failed')
      expect(pair.bob.published).to.have.length(0)
      expect(sent(pair.bob)).to.not.include('channel_ready')
    })
  }
  it('f 1: the right output -> ready at the agreed depth and not before', () => {
    const pair = upToFunded()
    pair.deliverAll()
    const { terms } = pair.live(pair.bob)
    const output = { amount: terms.capacity, script: fundingScriptOf(terms) }
    pair.input(pair.bob, { kind: 'depth', confirmations: terms.minimumDepth - 1, output })
    expect(sent(pair.bob)).to.not.include('channel_ready')
    pair.input(pair.bob, { kind: 'depth', confirmations: terms.minimumDepth, output })
    expect(sent(pair.bob)).to.include('channel_ready')
  })

  it('f 2: a coinbase output is not ready before 100 confirmations', () => {
    const pair = upToFunded()
    pair.deliverAll()
    pair.input(pair.bob, { kind: 'depth', confirmations: 99, isCoinbase: true })
    expect(sent(pair.bob)).to.not.include('channel_ready')
    pair.input(pair.bob, { kind: 'depth', confirmations: 100, isCoinbase: true })
    expect(sent(pair.bob)).to.include('channel_ready')
  })

  it('f 2: the funding is reorged out -> nothing is added until it is back', () => {
    const pair = new Pair().reachNormal()
    pair.input(pair.alice, { kind: 'depth', confirmations: 0 })
    pair.add(pair.alice, 1_000_000n, 1)
    expect(pair.alice.handoffs.at(-1)).to.deep.include({ kind: 'refused' })
    pair.input(pair.alice, { kind: 'depth', confirmations: 1 })
    pair.add(pair.alice, 1_000_000n, 1)
    pair.settle()
    expect(pair.bob.handoffs.at(-1)).to.deep.include({ kind: 'locked' })
  })

  it('f 2: the funding is reorged out -> what its opener adds must fail, until it is as deep again as was asked for', () => {
    const pair = new Pair().reachNormal({ push: msat(300_000_000n) })
    const { alice, bob } = pair
    const { minimumDepth } = pair.live(bob).terms
    const isRefused = (by: Party, number: number) => {
      pair.add(by, 1_000_000n, number)
      pair.settle()
      const locked = pair.other(by).handoffs.at(-1)
      expect(locked).to.deep.nested.include({ kind: 'locked', 'htlc.offerer': 'remote' })
      return locked?.kind === 'locked' && locked.mustFail === 'unconfirmed'
    }
    // The other side sees another chain.
    pair.input(bob, { kind: 'depth', confirmations: 0 })
    expect(isRefused(alice, 1)).to.equal(true)
    expect(effectKinds(bob)).to.include('tell')
    expect(bob.effects).to.deep.include({ kind: 'tell', event: { kind: 'unconfirmed' } })
    pair.input(bob, { kind: 'depth', confirmations: minimumDepth - 1 })
    expect(isRefused(alice, 2)).to.equal(true)
    pair.input(bob, { kind: 'depth', confirmations: minimumDepth })
    expect(isRefused(alice, 3)).to.equal(false)
    // Nobody but who funded it can take it back.
    pair.input(alice, { kind: 'depth', confirmations: 0 })
    expect(isRefused(bob, 4)).to.equal(true)
    pair.input(alice, { kind: 'depth', confirmations: 1 })
    expect(isRefused(bob, 5)).to.equal(false)
  })

  it('an unconfirmed funding is forgotten after 2016 blocks by who did not pay for it; who paid fails, since it may confirm yet', () => {
    const pair = upToFunded()
    pair.deliverAll()
    at(pair, 100 + 2015)
    for (const { state } of pair.both) expect(state?.phase).to.equal('awaitingReady')
    at(pair, 100 + 2016)
    expect(pair.bob.state?.phase).to.equal('closed')
    expect(pair.live(pair.alice).failure).to.include({ cause: 'expiry' })
    expect(kinds(pair.alice)).to.include('failed')
  })

  it('so is one that failed before; but not if its funding confirmed after all', () => {
    for (const confirmations of [0, 1]) {
      const pair = upToFunded()
      pair.deliverAll()
      const { bob } = pair
      pair.input(bob, { kind: 'forceClose' })
      expect(kinds(bob)).to.include('failed')
      pair.input(bob, { kind: 'depth', confirmations })
      at(pair, 100 + 2015)
      expect(bob.state?.phase).to.equal('failed')
      at(pair, 100 + 2016)
      expect(bob.state?.phase).to.equal(confirmations === 0 ? 'closed' : 'failed')
    }
  })

  it('zero-conf: only if the acceptor trusts the opener; ready without a confirmation', () => {
    const features = [...FEATURES_OF_BOTH, 'option_scid_alias', 'option_zeroconf'] as const
    const alias = shortChannelID(77n)
    const pair = new Pair({ features })
    pair.open({ type: ZEROCONF, alias })
    pair.deliverAll()
    expect(() => pair.input(pair.bob, { kind: 'accept', shutdownScript: scriptOf('bob') })).to.throw(/trust/)
    pair.input(pair.bob, { kind: 'accept', shutdownScript: scriptOf('bob'), isZeroConf: true, alias })
    pair.deliverAll()
    pair.input(pair.alice, { kind: 'funded', outpoint: OUTPOINT })
    pair.deliverAll()
    expect(pair.both.map(({ state }) => state?.phase)).to.deep.equal(['normal', 'normal'])
    expect(pair.live(pair.bob).ready.remoteAlias).to.equal(77n)
  })

  it('zero-conf: without a confirmation after 2016 blocks our commitment is out, and all is forgotten after as many more', () => {
    for (const confirmations of [0, 1]) {
      const pair = upToFunded({ isZeroConf: true })
      pair.deliverAll()
      const { bob } = pair
      expect(bob.state?.phase).to.equal('normal')
      at(pair, 100 + 2015)
      expect(bob.state?.phase).to.equal('normal')
      pair.input(bob, { kind: 'depth', confirmations })
      at(pair, 100 + 2016)
      expect(bob.state?.phase).to.equal(confirmations === 0 ? 'failed' : 'normal')
      expect(bob.published.map(({ what }) => what)).to.deep.equal(confirmations === 0 ? ['commitment'] : [])
      expect(pair.alice.state?.phase, 'who funded goes on').to.equal('normal')
      at(pair, 100 + 2 * 2016 - 1)
      expect(bob.state?.phase).to.equal(confirmations === 0 ? 'failed' : 'normal')
      at(pair, 100 + 2 * 2016)
      expect(bob.state?.phase).to.equal(confirmations === 0 ? 'closed' : 'normal')
    }
  })

  for (const how of ['never confirms', 'is not what was agreed on'] as const) {
    it(`zero-conf: the funding ${how}, HTLCs are open -> they end with the channel, each once`, () => {
      const pair = upToFunded({ isZeroConf: true, push: msat(400_000_000n) })
      pair.deliverAll()
      const { alice, bob } = pair
      pair.add(alice, 20_000_000n, 1)
      pair.add(bob, 30_000_000n, 2)
      pair.settle()
      bob.handoffs.length = 0
      const give = (confirmations: number) => {
        const output = { amount: sat(1n), script: new Uint8Array(34) }
        pair.input(bob, { kind: 'depth', confirmations, output })
      }
      if (how === 'never confirms') at(pair, 100 + 2 * 2016 - 1)
      else for (let depth = 1; depth < 6; depth++) give(depth)
      expect([bob.state?.phase, bob.handoffs]).to.deep.equal(['failed', []])
      if (how === 'never confirms') at(pair, 100 + 2 * 2016)
      else give(6)
      expect(bob.state?.phase).to.equal('closed')
      const ended = bob.handoffs.map((one) => (one.kind === 'forgotten' ? one.htlc.offerer : one.kind))
      expect(ended).to.have.members(['local', 'remote'])
      at(pair, 100 + 2 * 2016 + 1)
      expect(bob.handoffs).to.have.length(2)
    })
  }

  it('f 30: a second channel_ready may bring another alias, but no other point', () => {
    const pair = new Pair().reachNormal()
    const message = last(pair.bob, 'channel_ready')
    const alias = { ...message, shortChannelID: shortChannelID(5n) }
    pair.input(pair.alice, { kind: 'received', message: alias })
    expect(pair.live(pair.alice)).to.deep.nested.include({ phase: 'normal', 'ready.remoteAlias': 5n })
    const other = { ...message, secondPerCommitmentPoint: pair.alice.env.keys(0n).basepoints.htlc }
    pair.input(pair.alice, { kind: 'received', message: other })
    expect(pair.alice.state?.phase).to.equal('failed')
  })

  it('f 30: announcement_signatures that come too early are left alone', () => {
    const pair = upToFunded()
    pair.deliverAll()
    const before = pair.bob.state
    const { channelID } = pair.live(pair.bob).terms
    const signature = new Uint8Array(64)
    pair.input(pair.bob, {
      kind: 'received',
      message: {
        kind: 'announcement_signatures',
        channelID,
        shortChannelID: shortChannelID(1n),
        nodeSignature: signature,
        bitcoinSignature: signature,
      },
    })
    expect(pair.bob.state).to.equal(before)
  })

  it('f 34: the connection is lost at each message of the opening -> both forget it, or both have it', () => {
    for (let cut = 0; cut < 6; cut++) {
      const pair = new Pair()
      pair.open()
      let delivered = 0
      const deliver = () => {
        while (delivered < cut && (pair.deliver(pair.alice) || pair.deliver(pair.bob))) delivered++
      }
      deliver()
      if (pair.bob.state?.phase === 'asked')
        pair.input(pair.bob, { kind: 'accept', shutdownScript: scriptOf('bob') })
      deliver()
      if (pair.alice.state?.phase === 'awaitingFunding')
        pair.input(pair.alice, { kind: 'funded', outpoint: OUTPOINT })
      deliver()
      pair.disconnect()
      pair.connect()
      const phases = pair.both.map(({ state }) => state?.phase ?? 'none')
      const isOpen = phases[0] === 'awaitingReady'
      if (isOpen) expect(phases, `cut ${cut}`).to.deep.equal(['awaitingReady', 'awaitingReady'])
      // Bob may have signed what Alice never saw signed: she tells nobody of the funding, so he forgets it in time.
      else expect(phases[0], `cut ${cut}`).to.equal('closed')
      expect(effectKinds(pair.alice).includes('publishFunding')).to.equal(isOpen)
    }
  })

  it('f 31: whoever waits gives up: a user who does not answer, a funding that does not come', () => {
    const pair = new Pair()
    pair.open()
    pair.deliverAll()
    pair.input(pair.bob, { kind: 'tick' })
    expect(pair.bob.state?.phase).to.equal('asked')
    pair.input(pair.bob, { kind: 'tick' })
    expect(pair.bob.state?.phase).to.equal('closed')
    for (let i = 0; i < 59; i++) pair.input(pair.alice, { kind: 'tick' })
    expect(pair.alice.state?.phase).to.equal('opening')
    pair.input(pair.alice, { kind: 'tick' })
    expect(pair.alice.state?.phase).to.equal('closed')
  })

  it('f 31: coins that are kept for a funding are free again, whatever the peer does not answer', () => {
    const silent = upToFunded()
    silent.alice.outbox.length = 0
    for (let i = 0; i < 60; i++) silent.input(silent.alice, { kind: 'tick' })
    expect(silent.alice.state?.phase).to.equal('closed')
    const lost = upToFunded()
    lost.disconnect()
    // It comes when the attempt is over: the wallet was slower than the peer.
    const slow = new Pair()
    slow.open()
    slow.deliverAll()
    slow.input(slow.bob, { kind: 'accept', shutdownScript: scriptOf('bob') })
    slow.deliverAll()
    slow.disconnect()
    slow.input(slow.alice, { kind: 'funded', outpoint: OUTPOINT })
    for (const { alice } of [silent, lost, slow]) {
      expect(effectKinds(alice)).to.include('abortFunding')
      expect(effectKinds(alice)).to.not.include('publishFunding')
    }
  })

  it('our user says no -> the peer is told why', () => {
    const pair = new Pair()
    pair.open()
    pair.deliverAll()
    pair.input(pair.bob, { kind: 'reject', reason: 'no more channels' })
    expect(errorOf(pair.bob)).to.equal('no more channels')
    pair.deliverAll()
    expect(pair.alice.state?.phase).to.equal('closed')
  })
})

describe('room for channels', () => {
  const peer = (n: number): Hex => toHex(Uint8Array.of(2, n >> 16, (n >> 8) & 0xff, n & 0xff))

  it('f 25: a temporary ID in use by the same peer is refused, by another it is not', () => {
    const all = [{ peer: peer(1), temporaryID: TEMPORARY, isFunded: true }]
    expect(faultOfAdmission(all, { peer: peer(1), temporaryID: TEMPORARY })).to.match(/in use/)
    expect(faultOfAdmission(all, { peer: peer(2), temporaryID: TEMPORARY })).to.equal(undefined)
  })

  it('f 33, f 35: 10 000 opens that are never funded -> at most 4 of a peer and 50 peers, friends get in', () => {
    const all: Occupant[] = [{ peer: peer(9_999_999), temporaryID: CHAIN, isFunded: true }]
    let waiting = 0
    for (let i = 0; i < 10_000; i++) {
      const one = { peer: peer(i % 2000), temporaryID: toHex(Uint8Array.of(i >> 8, i & 0xff)) }
      if (faultOfAdmission(all, one) !== undefined) continue
      all.push({ ...one, isFunded: false })
      waiting++
    }
    expect(waiting).to.equal(4 * 50)
    expect(faultOfAdmission(all, { peer: peer(9_999_999), temporaryID: TEMPORARY })).to.equal(undefined)
    expect(faultOfAdmission(all, { peer: peer(5000), temporaryID: TEMPORARY })).to.match(/too many peers/)
  })
})

function openMessage(pair: Pair, features: readonly FeatureName[] = FEATURES_OF_BOTH): OpenChannel {
  const { effects } = openChannel(
    {
      keyIndex: 0n,
      temporaryID: TEMPORARY,
      capacity: sat(1_000_000n),
      shutdownScript: scriptOf('alice'),
      features,
    },
    pair.alice.env,
  )
  const [effect] = effects
  if (effect?.kind !== 'send' || effect.message.kind !== 'open_channel') throw new Error('open_channel')
  return effect.message
}

function offer(change: Partial<OpenChannel>, features: readonly FeatureName[] = FEATURES_OF_BOTH): Pair {
  const pair = new Pair({ features })
  const message = { ...openMessage(pair, features), ...change }
  pair.commit(pair.bob, receivedOpen(message, { keyIndex: 0n, features }, pair.bob.env))
  return pair
}

function upToFunded({ isZeroConf = false, push = msat(0n) } = {}): Pair {
  const pair = new Pair()
  pair.open({ push })
  pair.deliverAll()
  pair.input(pair.bob, { kind: 'accept', shutdownScript: scriptOf('bob'), isZeroConf })
  pair.deliverAll()
  pair.input(pair.alice, { kind: 'funded', outpoint: OUTPOINT })
  return pair
}

function at(pair: Pair, height: number): void {
  for (const party of pair.both) {
    party.env = { ...party.env, height: blockHeight(height) }
    pair.input(party, { kind: 'block' })
  }
}

const ORDER = 0xffff_ffff_ffff_ffff_ffff_ffff_ffff_fffe_baae_dce6_af48_a03b_bfd2_5e8c_d036_4141n

function withHighS(signature: Uint8Array): Uint8Array {
  const s = BigInt(toHex(signature.subarray(32)))
  const high = (ORDER - s).toString(16).padStart(64, '0')
  const bytes = Uint8Array.from({ length: 32 }, (_, i) => Number.parseInt(high.slice(2 * i, 2 * i + 2), 16))
  return Uint8Array.from([...signature.subarray(0, 32), ...bytes])
}
