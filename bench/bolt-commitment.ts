// A commitment with any number of HTLCs, as both sides of a channel see it.
import { sha256 } from '@noble/hashes/sha2.js'
import {
  basepointsOf,
  channelSecrets,
  commitmentKeys,
  commitmentPoint,
  deriveSecret,
} from '../backend/bitcoin/keys/index.js'
import type { CommitmentParams } from '../backend/bitcoin/script/index.js'
import { feeratePerKw, msat, sat } from '../backend/bitcoin/units.js'

/** A commitment and what its holder's counterparty signs it with. */
export interface Example {
  readonly params: CommitmentParams
  readonly secrets: { readonly funding: Uint8Array; readonly htlc: Uint8Array }
}

/** All HTLCs differ in amount, hash and expiry, half of them go each way. */
export function exampleCommitment(htlcCount: number): Example {
  const seed = new Uint8Array(32).fill(7)
  const local = channelSecrets(seed, 0n)
  const remote = channelSecrets(seed, 1n)
  const point = commitmentPoint(sha256(seed))
  const htlcs = Array.from({ length: htlcCount }, (_, i) => ({
    direction: i % 2 === 0 ? ('offered' as const) : ('received' as const),
    id: BigInt(i),
    amount: msat(10_000_000n + 1_000n * BigInt(i)),
    paymentHash: sha256(Uint8Array.of(i & 0xff, i >> 8)),
    cltvExpiry: 800_000 + i,
  }))
  const amount = sat(100_000_000n)
  const inFlight = htlcs.reduce((sum, htlc) => sum + htlc.amount, 0n)
  const toRemote = msat(20_000_000_000n)
  return {
    params: {
      format: 'anchors_zero_fee_htlc',
      number: 42n,
      obscuringFactor: 0x2bb038521914n,
      funding: { outpoint: { txid: sha256(Uint8Array.of(1)), index: 0 }, amount },
      keys: commitmentKeys(basepointsOf(local), basepointsOf(remote), point),
      opener: 'local',
      toSelfDelay: 144,
      dustLimit: sat(354n),
      feerate: feeratePerKw(2500),
      toLocal: msat(amount * 1000n - inFlight - toRemote),
      toRemote,
      htlcs,
    },
    secrets: { funding: remote.funding, htlc: deriveSecret(remote.htlc, point) },
  }
}
