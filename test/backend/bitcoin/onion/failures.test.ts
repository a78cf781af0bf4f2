import { expect } from 'chai'
import fc from 'fast-check'
import {
  BADONION,
  decodeFailure,
  encodeFailure,
  type Failure,
  failureCode,
  NODE,
  PERM,
  UPDATE,
} from '../../../../backend/bitcoin/onion/failures.js'
import { blockHeight, type Msat, wireAmount } from '../../../../backend/bitcoin/units.js'
import { load } from '../../../vectors/cases.js'

interface Published {
  readonly failures: readonly {
    readonly name: string
    readonly type: number
    readonly flags: readonly string[]
  }[]
}

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 })
const update = fc.uint8Array({ maxLength: 200 })
const u16 = fc.nat(0xffff)
const amount = fc.bigInt(0n, 2n ** 64n - 1n).map((value) => wireAmount<Msat>(value))
const height = fc.nat(0xffff_ffff).map(blockHeight)

/** One generator for each failure: a failure that is missing here does not compile. */
const failures: {
  readonly [K in Failure['kind']]: fc.Arbitrary<Omit<Extract<Failure, { kind: K }>, 'kind'>>
} = {
  temporary_node_failure: fc.constant({}),
  permanent_node_failure: fc.constant({}),
  required_node_feature_missing: fc.constant({}),
  invalid_onion_version: fc.record({ sha256OfOnion: hash }),
  invalid_onion_hmac: fc.record({ sha256OfOnion: hash }),
  invalid_onion_key: fc.record({ sha256OfOnion: hash }),
  temporary_channel_failure: fc.record({ channelUpdate: update }),
  permanent_channel_failure: fc.constant({}),
  required_channel_feature_missing: fc.constant({}),
  unknown_next_peer: fc.constant({}),
  amount_below_minimum: fc.record({ htlcMsat: amount, channelUpdate: update }),
  fee_insufficient: fc.record({ htlcMsat: amount, channelUpdate: update }),
  incorrect_cltv_expiry: fc.record({ cltvExpiry: height, channelUpdate: update }),
  expiry_too_soon: fc.record({ channelUpdate: update }),
  incorrect_or_unknown_payment_details: fc.record({ htlcMsat: amount, height }),
  final_incorrect_cltv_expiry: fc.record({ cltvExpiry: height }),
  final_incorrect_htlc_amount: fc.record({ incomingHtlcAmt: amount }),
  channel_disabled: fc.record({ disabledFlags: u16, channelUpdate: update }),
  expiry_too_far: fc.constant({}),
  invalid_onion_payload: fc.record({ type: fc.bigInt(0n, 2n ** 64n - 1n), offset: u16 }),
  mpp_timeout: fc.constant({}),
  invalid_onion_blinding: fc.record({ sha256OfOnion: hash }),
}
const anyFailure = fc.oneof(
  ...Object.entries(failures).map(([kind, fields]) =>
    fields.map((values): Failure => ({ kind, ...values }) as Failure),
  ),
)

describe('BOLT 4: failure messages', () => {
  it('all 22 are here, with the published codes and flags', () => {
    const flags: Readonly<Record<string, number>> = { BADONION, PERM, NODE, UPDATE }
    const published = load<Published>('messages').failures
    expect(published).to.have.length(22)
    expect(published.map(({ name }) => name)).to.have.members(Object.keys(failures))
    for (const { name, type, flags: names } of published) {
      const [one] = fc.sample(
        anyFailure.filter(({ kind }) => kind === name),
        { numRuns: 1, seed: 1 },
      )
      expect(one && failureCode(one)).to.equal(type)
      expect(names.reduce((sum, flag) => sum | (flags[flag] ?? 0), 0)).to.equal(type & 0xf000)
    }
  })

  it('decode ∘ encode is the identity, also of what comes behind', () => {
    fc.assert(
      fc.property(anyFailure, fc.uint8Array({ maxLength: 40 }), (failure, extra) => {
        expect(decodeFailure(encodeFailure(failure, extra))).to.deep.equal({ failure, extra })
      }),
    )
  })

  it('any bytes -> a value that encodes to the same bytes; a fault in known fields leaves the code readable', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), anyFailure, fc.nat(), (random, failure, at) => {
        const known = encodeFailure(failure)
        for (const message of [random, known.subarray(0, at % (known.length + 1))]) {
          const decoded = decodeFailure(message)
          if (decoded === undefined) expect(message.length).to.be.below(2)
          else expect(encodeFailure(decoded.failure, decoded.extra)).to.deep.equal(message)
        }
      }),
    )
    expect(decodeFailure(Uint8Array.of(0xc0, 5, 1))?.failure).to.deep.equal({
      kind: 'unknown',
      code: 0xc005,
      data: Uint8Array.of(1),
    })
  })
})
