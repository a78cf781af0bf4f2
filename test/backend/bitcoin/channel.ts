// Two signers of one channel, and the way from one commitment to the next.
import {
  basepointsOf,
  type ChannelSecrets,
  type CommitmentState,
  channelSecrets,
  createSigner,
  memoryCounter,
  newSignerState,
  type Signer,
  type SignerState,
  type StepCounter,
} from '../../../backend/bitcoin/keys/index.js'
import type {
  Commitment,
  CommitmentFormat,
  CommitmentSignatures,
  Funding,
  Htlc,
} from '../../../backend/bitcoin/script/index.js'
import { type FeeratePerKw, type Msat, msat, type Sat, sat } from '../../../backend/bitcoin/units.js'

/** One of the two. */
export interface Side {
  readonly signer: Signer
  record: SignerState
}

/** Alice opened the channel to Bob. */
export interface Pair {
  readonly format: CommitmentFormat
  readonly alice: Side
  readonly bob: Side
  /** Alice's signer as a cheat has it: made anew, without memory of what it gave away. */
  readonly forgetful: () => Signer
  readonly keys: readonly [Uint8Array, Uint8Array]
}

/** A commitment with the other side's signatures. */
export interface Signed {
  readonly state: CommitmentState
  readonly commitment: Commitment
  readonly signatures: CommitmentSignatures
  /** Alice's, of that commitment. */
  readonly point: Uint8Array
}

const SEED = new Uint8Array(32).fill(9)

/** Two fresh signers. @param index makes another channel */
export function pairOf(
  format: CommitmentFormat,
  options: {
    readonly index?: bigint
    readonly delay?: number
    readonly dustLimit?: Sat
    readonly balances?: readonly [Msat, Msat]
    readonly counter?: StepCounter
    readonly ownsScript?: (script: Uint8Array) => boolean
  } = {},
): Pair {
  const { index = 0n, delay = 6, dustLimit = sat(354n), balances = [msat(0n), msat(0n)] } = options
  const { counter = memoryCounter() } = options
  const alice = channelSecrets(SEED, 2n * index)
  const bob = channelSecrets(SEED, 2n * index + 1n)
  const side = (
    own: ChannelSecrets,
    other: ChannelSecrets,
    opener: 'local' | 'remote',
    balance: Msat,
    memory = counter,
  ): Side => ({
    signer: createSigner(
      own,
      {
        format,
        opener,
        remote: basepointsOf(other),
        toSelfDelay: { local: delay, remote: delay },
        dustLimit: { local: dustLimit, remote: dustLimit },
      },
      options.ownsScript ?? (() => true),
      memory,
    ),
    record: newSignerState(balance),
  })
  return {
    format,
    alice: side(alice, bob, 'local', balances[0]),
    bob: side(bob, alice, 'remote', balances[1]),
    forgetful: () => side(alice, bob, 'local', balances[0], memoryCounter()).signer,
    keys: [basepointsOf(alice).funding, basepointsOf(bob).funding],
  }
}

/** Bob signs Alice's next commitment, and she checks it. */
export function advanceAlice({ alice, bob }: Pair, state: CommitmentState): Signed {
  const point = alice.signer.commitmentPoint(state.number)
  const signed = bob.signer.signRemote(bob.record, state, point)
  bob.record = signed.next
  const validated = alice.signer.validateLocal(alice.record, state, signed.signatures)
  alice.record = validated.next
  return { state, commitment: validated.commitment, signatures: signed.signatures, point }
}

/** Alice revokes a commitment of hers, and Bob checks the secret. */
export function revokeAlice({ alice, bob }: Pair, number: bigint): void {
  const released = alice.signer.releaseSecret(alice.record, number)
  alice.record = released.next
  bob.record = bob.signer.acceptSecret(bob.record, number, released.secret).next
}

/** A state of Alice's commitment: what is not in HTLCs nor Bob's is hers. */
export function stateOf(given: {
  readonly number: bigint
  readonly funding: Funding
  readonly feerate: FeeratePerKw
  readonly bob: Msat
  readonly htlcs?: readonly Htlc[]
}): CommitmentState {
  const { number, funding, feerate, bob, htlcs = [] } = given
  const inFlight = htlcs.reduce((sum, { amount }) => sum + amount, 0n)
  return {
    number,
    funding,
    feerate,
    toLocal: msat(funding.amount * 1000n - bob - inFlight),
    toRemote: bob,
    htlcs,
  }
}
