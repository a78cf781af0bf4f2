// Opening a channel, in the first form (BOLT 2, "Channel Establishment v1").
//
//     opener                                acceptor
//     opening  ── open_channel ──────────>  asked, our user decides
//     awaitingFunding <── accept_channel ── accepted
//     (the wallet makes the transaction)
//     awaitingFundingSigned ── funding_created ─>  awaitingReady
//     awaitingReady <── funding_signed ──
//     (the wallet publishes it)
import { fromHex, type Hex, toHex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import { type ChannelType, encodeChannelType } from '../channel-type.js'
import type { FeatureName } from '../features.js'
import { newSignerState } from '../keys/index.js'
import { fundingOutput, isShutdownScript, type Outpoint } from '../script/index.js'
import {
  type BlockDelta,
  blockDelta,
  type FeeratePerKw,
  type Msat,
  msat,
  type Sat,
  sub,
  toMsat,
} from '../units.js'
import {
  type AcceptChannel,
  type FundingCreated,
  type FundingSigned,
  type OpenChannel,
  type ShortChannelID,
  txIDOfHash,
} from '../wire/index.js'
import { newBook } from './book.js'
import { faultOfRequest } from './checks.js'
import { currentLocal, monitorTerms, nextLocal, nextRemote, signerOf } from './commitments.js'
import { errorMessage, failed, guarded } from './failure.js'
import type { ChannelInput } from './input.js'
import {
  ANNOUNCE_CHANNEL,
  closingForms,
  faultOfAccept,
  faultOfKeys,
  faultOfOpen,
  faultOfWish,
  sideOfAccept,
  sideOfOpen,
  typeOf,
} from './parameters.js'
import {
  type ChannelPolicy,
  commitmentFeerate,
  delayFor,
  depthFor,
  inFlightFor,
  reserveFor,
} from './policy.js'
import { fundedReady } from './ready.js'
import type { Accepted, Asked, AwaitingFunding, AwaitingFundingSigned, Live, Opening } from './state.js'
import { type ChannelEnv, type ChannelKeys, followed, type Step, send, tell, to } from './step.js'
import {
  channelIDOf,
  formatOfTerms,
  fundingKeys,
  type ProposedTerms,
  type SideTerms,
  type Terms,
} from './terms.js'

/** What an opener wants. */
export interface OpenRequest {
  /** Never used before. */
  readonly keyIndex: bigint
  /** 32 random bytes. */
  readonly temporaryID: Hex
  readonly capacity: Sat
  /** A gift to the peer. */
  readonly push?: Msat
  readonly isAnnounced?: boolean
  /** By default anchors, with an alias for what is not announced, if both can. */
  readonly type?: ChannelType
  /** By default type: demand of the peer that it uses the channel before its funding is confirmed, or refuses it. */
  readonly isZeroConf?: boolean
  /** Of commitments; by default what `env.fees` says of those of that type. */
  readonly feerate?: FeeratePerKw
  /** Blocks that the peer's share waits if it closes alone; by default the policy's. */
  readonly toSelfDelay?: BlockDelta
  readonly shutdownScript: Uint8Array
  /** Say the script now, so that nobody can change it later, not even we. */
  readonly isUpfront?: boolean
  readonly alias?: ShortChannelID
  /** Negotiated with the peer. */
  readonly features: readonly FeatureName[]
}

/**
 * Begins to open a channel. The record of the result keeps the key index from being used again, so it must be durable
 * before open_channel leaves, as with every step.
 *
 * @throws PerkunasError INVALID_PARAMS for a wish that can't come true
 */
export function openChannel(request: OpenRequest, env: ChannelEnv): Step {
  const unmeant = faultOfRequest(request)
  if (unmeant !== undefined) throw new PerkunasError('INVALID_PARAMS', unmeant, { rule: unmeant })
  const { keyIndex, temporaryID, capacity, shutdownScript, features, alias } = request
  const { push = msat(0n), isAnnounced = false } = request
  const type = request.type ?? defaultType(features, isAnnounced, request.isZeroConf ?? false)
  const { feerate = commitmentFeerate(env.fees, formatOfTerms({ type })) } = request
  const keys = env.keys(keyIndex)
  const side = ourSide(env.policy, { keys, capacity, isAnnounced, dustLimitOfPeer: env.policy.dustLimit })
  const local = { ...side, toSelfDelay: request.toSelfDelay ?? side.toSelfDelay }
  const terms: ProposedTerms = {
    keyIndex,
    temporaryID,
    opener: 'local',
    type,
    isAnnounced,
    capacity,
    push,
    feerate,
    local: request.isUpfront === true ? { ...local, upfrontShutdown: shutdownScript } : local,
    shutdownScript,
    ...(alias === undefined ? {} : { alias }),
  }
  const fault = isShutdownScript(shutdownScript, closingForms(features))
    ? faultOfWish(terms, features)
    : 'the script to be paid to is not of a standard form'
  if (fault !== undefined) throw new PerkunasError('INVALID_PARAMS', fault, { rule: fault })
  const message: OpenChannel = {
    kind: 'open_channel',
    chainHash: env.chainHash,
    temporaryChannelID: temporaryID,
    fundingSatoshis: capacity,
    pushMsat: push,
    feeratePerKw: feerate,
    channelFlags: isAnnounced ? ANNOUNCE_CHANNEL : 0,
    ...messageOf(terms, keys),
  }
  return to({ phase: 'opening', terms, features, age: 0 }, { effects: [send(message)] })
}

/**
 * A peer opens a channel to us. What is wrong with it, it is told, and no state comes of it; whether there is room for
 * another channel is for `admit` to say beforehand.
 */
export function receivedOpen(
  message: OpenChannel,
  { keyIndex, features }: { readonly keyIndex: bigint; readonly features: readonly FeatureName[] },
  env: ChannelEnv,
): Step {
  const { temporaryChannelID } = message
  const fault =
    faultOfKeys(env.keys(keyIndex).basepoints, message.fundingPubkey) ??
    faultOfOpen(message, { ...env, features })
  const type = typeOf(message.channelType)
  if (fault !== undefined || type === undefined) {
    const reason = fault ?? 'unknown channel_type'
    return to(
      { phase: 'closed', channelID: temporaryChannelID, keyIndex, reason },
      { effects: [send(errorMessage(temporaryChannelID, reason))] },
    )
  }
  const terms = {
    keyIndex,
    temporaryID: temporaryChannelID,
    opener: 'remote' as const,
    type,
    isAnnounced: (message.channelFlags & ANNOUNCE_CHANNEL) !== 0,
    capacity: message.fundingSatoshis,
    push: message.pushMsat,
    feerate: message.feeratePerKw,
  }
  const remotePoint = message.firstPerCommitmentPoint
  return to(
    { phase: 'asked', terms, remote: sideOfOpen(message), remotePoint, features, age: 0 },
    { effects: [{ kind: 'ask', terms }] },
  )
}

/** Our user takes the channel. @throws PerkunasError INVALID_PARAMS for a script or trust that does not fit */
export function accept(
  { terms: proposed, remote, remotePoint, features }: Asked,
  input: ChannelInput & { readonly kind: 'accept' },
  env: ChannelEnv,
): Step {
  const { shutdownScript, isUpfront = false, isZeroConf = false, alias } = input
  const { capacity, isAnnounced, keyIndex, type } = proposed
  if (!isShutdownScript(shutdownScript, closingForms(features)))
    throw invalid('the script to be paid to is not of a standard form')
  if (type.zeroconf && !isZeroConf) throw invalid('the channel type demands to trust the opener')
  const keys = env.keys(keyIndex)
  const local = ourSide(env.policy, { keys, capacity, isAnnounced, dustLimitOfPeer: remote.dustLimit })
  const terms: ProposedTerms = {
    ...proposed,
    local: isUpfront ? { ...local, upfrontShutdown: shutdownScript } : local,
    shutdownScript,
    ...(alias === undefined ? {} : { alias }),
  }
  const minimumDepth = isZeroConf ? 0 : depthFor(env.policy, capacity)
  const message: AcceptChannel = {
    kind: 'accept_channel',
    temporaryChannelID: terms.temporaryID,
    minimumDepth: blockDelta(minimumDepth),
    ...messageOf(terms, keys),
  }
  return to(
    { phase: 'accepted', terms, remote, remotePoint, minimumDepth, features, age: 0 },
    { effects: [send(message)] },
  )
}

/** `accept_channel`: the wallet is asked for the transaction. */
export function receivedAccept(state: Opening, message: AcceptChannel, env: ChannelEnv): Step {
  const { terms, features } = state
  const typeBitmap = encodeChannelType(terms.type)
  const fault =
    faultOfKeys(terms.local.basepoints, message.fundingPubkey) ??
    faultOfAccept(message, terms, { policy: env.policy, features, typeBitmap })
  if (fault !== undefined) return failed(state, env, { cause: 'violation', reason: fault })
  const remote = sideOfAccept(message)
  const { script } = fundingOutput(terms.capacity, fundingKeys(terms.local, remote))
  return to(
    {
      phase: 'awaitingFunding',
      terms,
      remote,
      remotePoint: message.firstPerCommitmentPoint,
      minimumDepth: message.minimumDepth,
      features,
      age: 0,
    },
    { effects: [{ kind: 'fund', amount: terms.capacity, script, feerate: env.fees.opening }] },
  )
}

/** The transaction is there, and the peer's first commitment on it is signed. */
export function funded(state: AwaitingFunding, outpoint: Outpoint, env: ChannelEnv): Step {
  const { remotePoint, features } = state
  const terms = completed(state, outpoint)
  const book = firstBook(terms)
  const signer = newSignerState(book.balances.local)
  const signed = signerOf(terms, env).signRemote(signer, nextRemote({ terms, signer, book }), remotePoint)
  const { channelID, temporaryID } = terms
  return to(
    { phase: 'awaitingFundingSigned', terms, features, signer: signed.next, book, age: 0 },
    {
      monitor: [
        { kind: 'opened', terms: monitorTerms(terms) },
        { kind: 'counterparty', state: nextRemote({ terms, signer, book }), point: remotePoint },
      ],
      effects: [
        tell({ kind: 'named', temporaryID, channelID }),
        send({
          kind: 'funding_created',
          temporaryChannelID: temporaryID,
          fundingTxID: txIDOfHash(outpoint.txid),
          fundingOutputIndex: outpoint.index,
          signature: signed.signatures.signature,
        }),
      ],
    },
  )
}

/** `funding_created`: both first commitments are made, and the opener gets its own. */
export function receivedFundingCreated(state: Accepted, message: FundingCreated, env: ChannelEnv): Step {
  const { remotePoint, features } = state
  const txid = fromHex(message.fundingTxID).reverse()
  if (txid.every((byte) => byte === 0)) {
    return failed(state, env, { cause: 'violation', reason: 'funding_txid is zero' })
  }
  return guarded(state, env, () => {
    const terms = completed(state, { txid, index: message.fundingOutputIndex })
    const book = firstBook(terms)
    const fresh = newSignerState(book.balances.local)
    const signatures = { signature: message.signature, htlcSignatures: [] }
    const signer = signerOf(terms, env)
    const validated = signer.validateLocal(fresh, nextLocal({ terms, signer: fresh, book }), signatures)
    const remoteState = nextRemote({ terms, signer: validated.next, book })
    const signed = signer.signRemote(validated.next, remoteState, remotePoint)
    const { channelID, temporaryID } = terms
    const live = newLive({ terms, features, signer: signed.next, book }, signatures, env)
    const step = to(live, {
      monitor: [
        { kind: 'opened', terms: monitorTerms(terms) },
        { kind: 'holder', state: currentLocal(live), signatures },
        { kind: 'counterparty', state: remoteState, point: remotePoint },
      ],
      effects: [
        tell({ kind: 'named', temporaryID, channelID }),
        send({ kind: 'funding_signed', channelID, signature: signed.signatures.signature }),
        { kind: 'watch', outpoint: terms.funding.outpoint, script: fundingScriptOf(terms) },
      ],
    })
    return followed({ ...step, next: live }, (next) => fundedReady(next, env))
  })
}

/** `funding_signed`: our commitment is safe, so the funding may be published. */
export function receivedFundingSigned(
  state: AwaitingFundingSigned,
  message: FundingSigned,
  env: ChannelEnv,
): Step {
  const { terms, features, signer, book } = state
  return guarded(state, env, () => {
    const signatures = { signature: message.signature, htlcSignatures: [] }
    const { next } = signerOf(terms, env).validateLocal(
      signer,
      nextLocal({ terms, signer, book }),
      signatures,
    )
    const live = newLive({ terms, features, signer: next, book }, signatures, env)
    const { outpoint } = terms.funding
    const step = to(live, {
      monitor: [{ kind: 'holder', state: currentLocal(live), signatures }],
      effects: [
        { kind: 'publishFunding', outpoint },
        { kind: 'watch', outpoint, script: fundingScriptOf(terms) },
      ],
    })
    return followed({ ...step, next: live }, (live) => fundedReady(live, env))
  })
}

/** The output script of a channel's funding. */
export function fundingScriptOf({ local, remote, capacity }: Terms): Uint8Array {
  return fundingOutput(capacity, fundingKeys(local, remote)).script
}

function newLive(
  given: Pick<Live, 'terms' | 'features' | 'signer' | 'book'>,
  signatures: Live['signatures'],
  env: ChannelEnv,
): Live {
  return {
    ...given,
    phase: 'awaitingReady',
    signatures,
    lastSent: 'signature',
    intents: [],
    link: { kind: 'up', ticks: 0 },
    ready: { since: env.height, depth: 0, isSent: false, isReceived: false },
    shutdown: {},
    closing: { signed: 0 },
  }
}

function completed({ terms, remote, minimumDepth }: AwaitingFunding | Accepted, outpoint: Outpoint): Terms {
  return {
    ...terms,
    remote,
    minimumDepth,
    channelID: toHex(channelIDOf(outpoint)),
    funding: { outpoint, amount: terms.capacity },
  }
}

function firstBook({ opener, capacity, push, feerate }: Terms) {
  const rest = sub(toMsat(capacity), push)
  const balances = opener === 'local' ? { local: rest, remote: push } : { local: push, remote: rest }
  return newBook({ opener, balances, feerate })
}

function defaultType(features: readonly FeatureName[], isAnnounced: boolean, zeroconf: boolean): ChannelType {
  return {
    commitments: features.includes('option_anchors') ? 'anchors' : 'static_remotekey',
    scidAlias: !isAnnounced && features.includes('option_scid_alias'),
    zeroconf,
  }
}

function ourSide(
  policy: ChannelPolicy,
  given: {
    readonly keys: ChannelKeys
    readonly capacity: Sat
    readonly isAnnounced: boolean
    readonly dustLimitOfPeer: Sat
  },
): SideTerms {
  const { keys, capacity, isAnnounced, dustLimitOfPeer } = given
  return {
    basepoints: keys.basepoints,
    dustLimit: policy.dustLimit,
    maxInFlight: inFlightFor(policy, capacity, isAnnounced),
    htlcMinimum: policy.htlcMinimum,
    maxAcceptedHtlcs: policy.maxAcceptedHtlcs,
    reserve: reserveFor(policy, capacity, dustLimitOfPeer),
    toSelfDelay: delayFor(policy, capacity),
  }
}

function messageOf({ local, type }: ProposedTerms, keys: ChannelKeys) {
  const { basepoints } = local
  return {
    dustLimitSatoshis: local.dustLimit,
    maxHtlcValueInFlightMsat: local.maxInFlight,
    channelReserveSatoshis: local.reserve,
    htlcMinimumMsat: local.htlcMinimum,
    toSelfDelay: blockDelta(local.toSelfDelay),
    maxAcceptedHtlcs: local.maxAcceptedHtlcs,
    fundingPubkey: basepoints.funding,
    revocationBasepoint: basepoints.revocation,
    paymentBasepoint: basepoints.payment,
    delayedPaymentBasepoint: basepoints.delayedPayment,
    htlcBasepoint: basepoints.htlc,
    firstPerCommitmentPoint: keys.commitmentPoint(0n),
    // Always there, and empty where the script is left open: older nodes want it once both know the feature.
    upfrontShutdownScript: local.upfrontShutdown ?? new Uint8Array(),
    channelType: encodeChannelType(type),
  }
}

function invalid(rule: string): PerkunasError {
  return new PerkunasError('INVALID_PARAMS', rule, { rule })
}
