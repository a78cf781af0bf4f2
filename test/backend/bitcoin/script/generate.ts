// Commitments of every form with anything in them, edges included.
import fc from 'fast-check'
import {
  basepointsOf,
  type ChannelSecrets,
  channelSecrets,
  commitmentKeys,
  commitmentPoint,
  deriveSecret,
} from '../../../../backend/bitcoin/keys/index.js'
import {
  type CommitmentFormat,
  type CommitmentParams,
  FORMATS,
  type Htlc,
  sha256,
} from '../../../../backend/bitcoin/script/index.js'
import { feeratePerKw, msat, sat } from '../../../../backend/bitcoin/units.js'

const SEED = new Uint8Array(32).fill(5)

/** Parameters of a commitment and the secrets of both. */
export interface Generated {
  readonly params: CommitmentParams
  readonly local: ChannelSecrets
  readonly remote: ChannelSecrets
  readonly point: Uint8Array
  /** Which revokes the commitment. */
  readonly pointSecret: Uint8Array
  /** Derived for this commitment. */
  readonly localHtlc: Uint8Array
  readonly remoteHtlc: Uint8Array
}

/** The preimage of an HTLC in what is generated here. */
export function preimageOf(kind: number): Uint8Array {
  return new Uint8Array(32).fill(kind)
}

const local = channelSecrets(SEED, 0n)
const remote = channelSecrets(SEED, 1n)
const pointSecret = sha256(SEED)
const point = commitmentPoint(pointSecret)
const secrets = {
  pointSecret,
  local,
  remote,
  point,
  localHtlc: deriveSecret(local.htlc, point),
  remoteHtlc: deriveSecret(remote.htlc, point),
}
const keys = commitmentKeys(basepointsOf(local), basepointsOf(remote), point)

/** Amounts around what is trimmed, equal ones, and large ones. */
const amounts = fc.oneof(
  fc.bigInt({ min: 1n, max: 5_000_000n }),
  fc.constantFrom(353_999n, 354_000n, 354_001n, 1_000_000n, 1_000_000n, 1n),
  fc.bigInt({ min: 1n, max: 2_000_000_000n }),
)

function htlcs(maxLength: number): fc.Arbitrary<readonly Htlc[]> {
  return fc
    .array(
      fc.record({
        direction: fc.constantFrom('offered' as const, 'received' as const),
        amount: amounts.map(msat),
        paymentHash: fc.integer({ min: 0, max: 3 }).map((kind) => sha256(preimageOf(kind))),
        cltvExpiry: fc.oneof(fc.constantFrom(500_000, 500_001), fc.integer({ min: 65_536, max: 8_000_000 })),
      }),
      { maxLength },
    )
    .map((list) => list.map((one, i) => ({ ...one, id: BigInt(i) })))
}

/** Balances that leave at least one output. */
export function commitments(
  options: { readonly maxHtlcs?: number; readonly formats?: readonly CommitmentFormat[] } = {},
): fc.Arbitrary<Generated> {
  const { maxHtlcs = 12, formats = ['static_remotekey', 'anchors_zero_fee_htlc', 'zero_fee'] } = options
  return fc
    .record({
      format: fc.constantFrom(...formats),
      number: fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 48n - 1n }), fc.constantFrom(0n, 2n ** 48n - 1n)),
      obscuringFactor: fc.bigInt({ min: 0n, max: 2n ** 48n - 1n }),
      opener: fc.constantFrom('local' as const, 'remote' as const),
      toSelfDelay: fc.constantFrom(0, 1, 16, 17, 144, 2016, 65_535),
      dustLimit: fc.constantFrom(354n, 546n, 1000n).map(sat),
      feerate: fc.oneof(fc.integer({ min: 253, max: 20_000 }), fc.constant(0)),
      htlcs: htlcs(maxHtlcs),
      mine: fc.oneof(fc.bigInt({ min: 1_000_000_000n, max: 9_000_000_000n }), fc.constant(1_000_000_001n)),
      theirs: fc.oneof(fc.bigInt({ min: 0n, max: 9_000_000_000n }), fc.constantFrom(0n, 354_000n, 353_999n)),
    })
    .map(({ mine, theirs, format, feerate, ...rest }) => {
      const inFlight = rest.htlcs.reduce((sum, { amount }) => sum + amount, 0n)
      // Whole satoshis in all: the rest goes to the first.
      const odd = (mine + theirs + inFlight) % 1000n
      const toLocal = mine + (odd === 0n ? 0n : 1000n - odd)
      return {
        ...secrets,
        params: {
          ...rest,
          format,
          feerate: feeratePerKw(FORMATS[format].paysFee ? feerate : 0),
          keys,
          funding: {
            outpoint: { txid: sha256(SEED), index: 7 },
            amount: sat((toLocal + theirs + inFlight) / 1000n),
          },
          // Who opened has the large one, to pay the anchors from.
          toLocal: msat(rest.opener === 'local' ? toLocal : theirs),
          toRemote: msat(rest.opener === 'local' ? theirs : toLocal),
        },
      }
    })
}
