// The signatures of the peer: whatever nodes would not relay, or somebody else could change, is refused when it comes.
import { expect } from 'chai'
import type { FeatureName } from '../../../../backend/bitcoin/features.js'
import { msat } from '../../../../backend/bitcoin/units.js'
import type { LightningMessage } from '../../../../backend/bitcoin/wire/index.js'
import { toHex } from '../../../../channel/bytes.js'
import { errorOf, FEATURES_OF_BOTH, kinds, last, OUTPOINT, Pair, scriptOf, sent } from './pair.js'

const ORDER = 0xffff_ffff_ffff_ffff_ffff_ffff_ffff_fffe_baae_dce6_af48_a03b_bfd2_5e8c_d036_4141n
const SIMPLE: readonly FeatureName[] = [...FEATURES_OF_BOTH, 'option_simple_close']

/** What is wrong with a signature that was good. */
const FAULTS: readonly (readonly [string, (signature: Uint8Array) => Uint8Array])[] = [
  ['a high s', (one) => Uint8Array.from([...one.subarray(0, 32), ...scalar(ORDER - number(one, 32))])],
  ['an s beyond the order', (one) => Uint8Array.from([...one.subarray(0, 32), ...scalar(ORDER)])],
  ['an s of zero', (one) => Uint8Array.from([...one.subarray(0, 32), ...scalar(0n)])],
  ['an r of zero', (one) => Uint8Array.from([...scalar(0n), ...one.subarray(32)])],
  ['an r beyond the order', (one) => Uint8Array.from([...scalar(ORDER), ...one.subarray(32)])],
  ['another r', (one) => Uint8Array.from([...scalar(number(one, 0) ^ 1n), ...one.subarray(32)])],
]

describe('f 4: signatures that are not strict and of low s', () => {
  for (const [what, change] of FAULTS) {
    it(`${what} in funding_created or funding_signed -> error, nothing is published`, () => {
      const pair = created()
      const message = last(pair.alice, 'funding_created')
      refused(pair, 'bob', { ...message, signature: change(message.signature) })
      expect(pair.bob.state?.phase).to.equal('closed')

      const other = created()
      other.deliver(other.alice)
      const signed = last(other.bob, 'funding_signed')
      refused(other, 'alice', { ...signed, signature: change(signed.signature) })
      expect(other.alice.state?.phase).to.equal('closed')
      expect(other.alice.effects.map(({ kind }) => kind)).to.not.include('publishFunding')
    })

    it(`${what} in commitment_signed, of the commitment or of one HTLC -> error, no secret of ours leaves`, () => {
      for (const at of [-1, 0, 1]) {
        const pair = busy()
        const message = last(pair.alice, 'commitment_signed')
        expect(message.htlcSignature).to.have.length(2)
        const secrets = sent(pair.bob).filter((kind) => kind === 'revoke_and_ack').length
        const holders = kinds(pair.bob).filter((kind) => kind === 'holder').length
        refused(pair, 'bob', {
          ...message,
          signature: at < 0 ? change(message.signature) : message.signature,
          htlcSignature: message.htlcSignature.map((one, i) => (i === at ? change(one) : one)),
        })
        expect(sent(pair.bob).filter((kind) => kind === 'revoke_and_ack')).to.have.length(secrets)
        expect(kinds(pair.bob).filter((kind) => kind === 'holder')).to.have.length(holders)
        // What is published instead is the one before.
        expect(pair.bob.published.map(({ what: one }) => one)).to.deep.equal(['commitment'])
      }
    })

    it(`${what} in closing_signed, closing_complete or closing_sig -> the closing is not published`, () => {
      for (const [features, kind, from] of [
        [FEATURES_OF_BOTH, 'closing_signed', 'alice'],
        [SIMPLE, 'closing_complete', 'alice'],
        [SIMPLE, 'closing_sig', 'bob'],
      ] as const) {
        const pair = new Pair({ real: true, features }).reachNormal({ push: msat(400_000_000n) })
        pair.input(pair.alice, { kind: 'shutdown' })
        const to = pair.other(pair[from])
        for (let i = 0; !sent(pair[from]).includes(kind); i++) {
          if (i > 20) throw new Error(`no ${kind}`)
          if (!pair.deliver(pair.alice)) pair.deliver(pair.bob)
        }
        while (pair[from].outbox.some((one) => one.kind !== kind) && pair.deliver(pair[from])) {}
        const before = to.published.length
        pair.input(to, { kind: 'received', message: changed(last(pair[from], kind), change) })
        expect(sent(to), kind).to.include('warning')
        expect(to.published, kind).to.have.length(before)
      }
    })
  }
})

function refused(pair: Pair, by: 'alice' | 'bob', message: LightningMessage): void {
  pair.input(pair[by], { kind: 'received', message })
  expect(errorOf(pair[by])).to.match(/signature/)
}

function changed(message: LightningMessage, change: (signature: Uint8Array) => Uint8Array): LightningMessage {
  const entries = Object.entries(message).map(([key, value]) => [
    key,
    value instanceof Uint8Array && value.length === 64 ? change(value) : value,
  ])
  return { ...message, ...Object.fromEntries(entries) }
}

function created(): Pair {
  const pair = new Pair({ real: true })
  pair.open()
  pair.deliverAll()
  pair.input(pair.bob, { kind: 'accept', shutdownScript: scriptOf('bob') })
  pair.deliverAll()
  pair.input(pair.alice, { kind: 'funded', outpoint: OUTPOINT })
  return pair
}

/** Alice has signed two HTLCs; they have arrived, and their signatures have not. */
function busy(): Pair {
  const pair = new Pair({ real: true }).reachNormal()
  pair.add(pair.alice, 10_000_000n, 1)
  pair.add(pair.alice, 20_000_000n, 2)
  pair.input(pair.alice, { kind: 'flush' })
  while (pair.alice.outbox[0]?.kind === 'update_add_htlc') pair.deliver(pair.alice)
  return pair
}

function number(bytes: Uint8Array, from: number): bigint {
  return BigInt(toHex(bytes.subarray(from, from + 32)))
}

function scalar(value: bigint): Uint8Array {
  const text = value.toString(16).padStart(64, '0')
  return Uint8Array.from({ length: 32 }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16))
}
