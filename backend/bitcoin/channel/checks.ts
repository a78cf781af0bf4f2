// What our own side says of channels: held against what can be meant where it is said, since what comes of it later can't be
// refused any more.
import { demandNames, givenOf, type NamesOf } from '../../../channel/arguments.js'
import { PerkunasError } from '../../../channel/errors.js'
import { type ChannelType, isChannelType } from '../channel-type.js'
import { isAmount, isCount } from '../figures.js'
import type { BlockDelta, FeeratePerKw, Msat, Sat } from '../units.js'
import type { Intent } from './input.js'
import { CHANNEL_POLICY, type ChannelPolicy, DUST_LIMITS, MAX_HTLCS, MIN_FEERATE } from './policy.js'

const MAX_SAT = 21n * 10n ** 14n
const MILLION = 1_000_000
/** Characters, of which each may be some bytes. */
const MAX_REFERENCE = 250
/** What records of text don't hold. */
const NO_TEXT = /^\uFEFF|\p{Surrogate}/u
const MAX_U16 = 0xffff
const EXPOSURE_NAMES: NamesOf<ChannelPolicy['maxDustExposure']> = { fixed: true, perFeerate: true }
const MAX_U32 = 0xffff_ffff

/**
 * A node's policy: the defaults, and what its user wants otherwise.
 *
 * @throws PerkunasError INVALID_ARGUMENT if a name is unknown, a figure is none, or bounds are the wrong way round
 */
export function channelPolicy(wanted: Partial<ChannelPolicy> = {}): ChannelPolicy {
  demandNames(wanted, CHANNEL_POLICY, 'policy')
  const { toSelfDelay = {}, minimumDepth = {}, maxInFlightMillionths = {}, maxDustExposure = {} } = wanted
  demandNames(toSelfDelay, CHANNEL_POLICY.toSelfDelay, 'policy.toSelfDelay')
  demandNames(minimumDepth, CHANNEL_POLICY.minimumDepth, 'policy.minimumDepth')
  demandNames(maxInFlightMillionths, CHANNEL_POLICY.maxInFlightMillionths, 'policy.maxInFlightMillionths')
  demandNames(maxDustExposure, EXPOSURE_NAMES, 'policy.maxDustExposure')
  const policy: ChannelPolicy = { ...CHANNEL_POLICY, ...givenOf(wanted) }
  const name = faultyPart(policy)
  if (name === undefined) return policy
  const argument = `policy.${name}`
  throw new PerkunasError('INVALID_ARGUMENT', `${argument} is not what a channel can have`, { argument })
}

/** What of a wish is held against bounds that do not depend on the peer. */
export interface Figures {
  readonly capacity: Sat
  readonly push?: Msat
  readonly feerate?: FeeratePerKw
  readonly toSelfDelay?: BlockDelta
  readonly type?: ChannelType
  readonly shutdownScript: Uint8Array
}

/** What is wrong with the figures of a wish to open a channel, or undefined. */
export function faultOfRequest(request: Figures): string | undefined {
  const { capacity, push = 0n, feerate = MIN_FEERATE, toSelfDelay = 0, type, shutdownScript } = request
  if (!isAmount(capacity, 1n, MAX_SAT)) return `the capacity is 1 to ${MAX_SAT} sat`
  if (!isAmount(push, 0n, capacity * 1000n)) return 'push is an amount within the capacity'
  if (!isCount(feerate, MIN_FEERATE, MAX_U32)) return `the feerate is ${MIN_FEERATE} sat/kw or more`
  if (!isCount(toSelfDelay, 0, MAX_U16)) return `toSelfDelay is 0 to ${MAX_U16} blocks`
  if (type !== undefined && !isChannelType(type)) return 'the type is one of BOLT 2'
  return shutdownScript instanceof Uint8Array ? undefined : 'the script to be paid to is bytes'
}

/** What of an intent has no encoding, or undefined. */
export function faultOfIntent(intent: Intent): string | undefined {
  switch (intent.kind) {
    case 'add': {
      const { reference, amount, paymentHash, cltvExpiry, onion, blindedPath } = intent
      if (typeof reference !== 'string' || reference.length > MAX_REFERENCE) return 'reference'
      if (NO_TEXT.test(reference)) return 'reference'
      if (!isAmount(amount, 1n, MAX_SAT * 1000n)) return 'amount'
      if (!isBytes(paymentHash, 32)) return 'paymentHash'
      if (!isCount(cltvExpiry, 0, MAX_U32)) return 'cltvExpiry'
      if (!isBytes(onion, 1366)) return 'onion'
      return blindedPath === undefined || isBytes(blindedPath, 33) ? undefined : 'blindedPath'
    }
    case 'remove':
      return isAmount(intent.id, 0n, 2n ** 64n - 1n) ? undefined : 'id'
    case 'fee':
      return isCount(intent.feerate, 0, MAX_U32) ? undefined : 'feerate'
    default:
      return 'kind'
  }
}

function faultyPart(policy: ChannelPolicy): string | undefined {
  const { maxInFlightMillionths, maxDustExposure, toSelfDelay, minimumDepth } = policy
  const holds: Readonly<Record<keyof ChannelPolicy, boolean>> = {
    minimumFunding: isAmount(policy.minimumFunding, 0n, MAX_SAT),
    dustLimit: isAmount(policy.dustLimit, DUST_LIMITS.min, MAX_SAT),
    reserveMillionths: isCount(policy.reserveMillionths, 0, MILLION),
    reserveMinimum: isAmount(policy.reserveMinimum, 0n, MAX_SAT),
    reserveAcceptedMillionths: isCount(policy.reserveAcceptedMillionths, 0, MILLION),
    toSelfDelay: isRange(toSelfDelay, MAX_U16),
    maxAcceptedHtlcs: isCount(policy.maxAcceptedHtlcs, 1, MAX_HTLCS),
    maxInFlightMillionths: [maxInFlightMillionths?.announced, maxInFlightMillionths?.unannounced].every(
      (share) => isCount(share, 1, MILLION),
    ),
    htlcMinimum: isAmount(policy.htlcMinimum, 0n, MAX_SAT * 1000n),
    htlcMinimumAccepted: isAmount(policy.htlcMinimumAccepted, 0n, MAX_SAT * 1000n),
    // None at all is for who accepts a channel to say of it: see the input `accept`.
    minimumDepth: isRange(minimumDepth, MAX_U16) && minimumDepth.min > 0,
    minimumDepthAccepted: isCount(policy.minimumDepthAccepted, 0, MAX_U32),
    maxDustExposure: isExposure(maxDustExposure),
    closingFeeMultiple: isCount(policy.closingFeeMultiple, 1, MAX_U16),
  }
  return Object.entries(holds).find(([, isSo]) => !isSo)?.[0]
}

function isExposure(limit: ChannelPolicy['maxDustExposure'] | undefined): boolean {
  if (typeof limit !== 'object' || limit === null) return false
  return isAmount('fixed' in limit ? limit.fixed : limit.perFeerate, 0n, MAX_SAT * 1000n)
}

function isRange(range: { readonly min: number; readonly max: number } | undefined, most: number): boolean {
  return isCount(range?.max, 0, most) && isCount(range?.min, 0, range.max)
}

function isBytes(value: unknown, length: number): boolean {
  return value instanceof Uint8Array && value.length === length
}
