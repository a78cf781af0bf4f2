// The largest records that a channel can come to: whatever a peer says, there is room for them in the store.
import { expect } from 'chai'
import type { Attribution, OpenHtlc, Removal } from '../../../../backend/bitcoin/channel/book.js'
import {
  CHANNEL_ROWS,
  channelWrites,
  isLive,
  type Live,
  restoredChannels,
} from '../../../../backend/bitcoin/channel/index.js'
import type { UpdateMessage } from '../../../../backend/bitcoin/channel/input.js'
import { MAX_HTLCS, MAX_REASON } from '../../../../backend/bitcoin/channel/policy.js'
import { blockHeight, msat } from '../../../../backend/bitcoin/units.js'
import { Pair } from './pair.js'

const ATTRIBUTION: Attribution = {
  htlcHoldTimes: Array.from({ length: 20 }, () => 0xffff_ffff),
  truncatedHmacs: new Uint8Array(840).fill(0xff),
}
const LONGEST: Removal = { kind: 'fail', reason: new Uint8Array(MAX_REASON), attribution: ATTRIBUTION }

describe('the largest records of a channel', () => {
  it('a book with 483 HTLCs each way and as many on their way out, all of them failed at length -> written and read', () => {
    const live = liveOf(new Pair().reachNormal())
    const htlcs = (['local', 'remote'] as const).flatMap((offerer) =>
      Array.from(
        { length: 2 * MAX_HTLCS },
        (_, i): OpenHtlc => ({
          offerer,
          id: 2n ** 64n - 2n - BigInt(i),
          amount: msat(2n ** 50n),
          paymentHash: new Uint8Array(32).fill(i),
          cltvExpiry: blockHeight(2 ** 31),
          blindedPath: new Uint8Array(33).fill(2),
          ...(offerer === 'local' ? { reference: 'x'.repeat(1000) } : { preimage: new Uint8Array(32) }),
          stage: 'removalCountersigned',
          removal: LONGEST,
        }),
      ),
    )
    const { channelID } = live.terms
    const updates = htlcs.slice(0, 2 * MAX_HTLCS).flatMap(({ id }): readonly UpdateMessage[] => [
      {
        kind: 'update_add_htlc',
        channelID,
        id,
        amountMsat: msat(2n ** 50n),
        paymentHash: new Uint8Array(32),
        cltvExpiry: blockHeight(2 ** 31),
        onionRoutingPacket: new Uint8Array(1366),
      },
      {
        kind: 'update_fail_htlc',
        channelID,
        id,
        reason: new Uint8Array(MAX_REASON),
        attributionData: ATTRIBUTION,
      },
    ])
    const signed = {
      kind: 'commitment_signed' as const,
      channelID,
      signature: new Uint8Array(64),
      htlcSignature: Array.from({ length: 2 * MAX_HTLCS }, () => new Uint8Array(64)),
    }
    const largest: Live = {
      ...live,
      book: { ...live.book, htlcs },
      batch: { updates: updates.slice(0, -1), signed },
      intents: [
        ...htlcs.slice(0, 2 * MAX_HTLCS).map(({ id }) => ({ kind: 'remove' as const, id, removal: LONGEST })),
        ...htlcs.slice(0, MAX_HTLCS).map(({ amount, paymentHash, cltvExpiry }) => ({
          kind: 'add' as const,
          reference: 'x'.repeat(1000),
          amount,
          paymentHash,
          cltvExpiry,
          onion: new Uint8Array(1366),
        })),
      ],
    }
    const disk = new Map<string, Uint8Array>()
    for (const one of channelWrites(undefined, largest)) if (one.kind === 'put') disk.set(one.key, one.value)
    const read = restoredChannels(disk).get(0n)
    expect(read !== undefined && isLive(read) && read.book).to.deep.equal(largest.book)
    // A quarter is left for what a later release may add.
    expect(disk.get(`${CHANNEL_ROWS}0/state`)?.length).to.be.within(8_000_000, 12 * 1024 * 1024)
  })

  it('a failure with a reason of 65 kB -> cut, the HTLC fails, and nothing of the rest is kept', () => {
    const pair = new Pair().reachNormal()
    const { alice } = pair
    for (const number of [1, 2]) pair.add(alice, 5_000_000n, number)
    pair.settle()
    const { channelID } = liveOf(pair).terms
    const lengths = [MAX_REASON, MAX_REASON + 1, 65_400]
    const kept = lengths.map((length) => {
      const reason = new Uint8Array(length).fill(7)
      const message = { kind: 'update_fail_htlc', channelID, id: 0n, reason } as const
      const before = alice.state
      const { next } = pair.input(alice, { kind: 'received', message })
      alice.state = before
      const found = isLive(next) ? next.book.htlcs.find(({ id }) => id === 0n) : undefined
      return found?.removal
    })
    const reasons = kept.flatMap((removal) => (removal?.kind === 'fail' ? [removal.reason] : []))
    expect(reasons.map(({ length }) => length)).to.deep.equal([MAX_REASON, 292, 292])
    expect(reasons.map(({ buffer }) => buffer.byteLength)).to.deep.equal([MAX_REASON, 292, 292])
  })
})

function liveOf({ alice: { state } }: Pair): Live {
  if (state === undefined || !isLive(state)) throw new Error('no channel')
  return state
}
