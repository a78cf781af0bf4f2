// The signer of one channel: the only code that touches its secrets. Everything else holds points.
import { equalBytes, fromHex, type Hex, toHex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import { type Claim, type ClaimKey, signClaim } from '../script/claims.js'
import { type Closing, signClosing } from '../script/closing.js'
import {
  buildCommitment,
  type Commitment,
  type Funding,
  type Htlc,
  type HtlcOutput,
  type PublishedCommitment,
} from '../script/commitment.js'
import {
  type CommitmentKeys,
  commitmentScripts,
  type FixedScripts,
  fixedScripts,
} from '../script/commitment-scripts.js'
import type { CommitmentFormat } from '../script/format.js'
import { obscuringFactor } from '../script/number.js'
import { anchorScript } from '../script/scripts.js'
import {
  type CommitmentSignatures,
  completeCommitment,
  completeHtlcTransaction,
  faultOfSignatures,
  type HtlcCompletion,
  signCommitment,
  signOwnCommitment,
} from '../script/signing.js'
import {
  type Outpoint,
  SEQUENCE_FINAL,
  SEQUENCE_REPLACEABLE,
  type Transaction,
} from '../script/transaction.js'
import type { FeeratePerKw, Msat, Sat } from '../units.js'
import { type Basepoints, basepointsOf, type ChannelSecrets, commitmentKeys } from './channel-keys.js'
import { commitmentPoint, deriveRevocationSecret, deriveSecret } from './derive.js'
import {
  allowClosing,
  dropFunding,
  publish,
  release,
  revoke,
  type SignerState,
  sign,
  validate,
} from './policy.js'
import { remembered } from './remembered.js'
import { commitmentSecrets, findCommitmentSecret } from './secrets.js'
import { type StepCounter, stepMemory } from './step-memory.js'

/** What both sides agreed on when they opened the channel. */
export interface ChannelSetup {
  readonly format: CommitmentFormat
  /** Who sent open_channel and pays the fees. */
  readonly opener: 'local' | 'remote'
  /** The peer's. */
  readonly remote: Basepoints
  /** What the owner of a commitment must wait: each was demanded by the other side. */
  readonly toSelfDelay: { readonly local: number; readonly remote: number }
  /** Of the owner of a commitment. */
  readonly dustLimit: { readonly local: Sat; readonly remote: Sat }
}

/** What differs from one commitment to the next, as its holder sees it: "local" is the holder. */
export interface CommitmentState {
  readonly number: bigint
  readonly funding: Funding
  readonly feerate: FeeratePerKw
  readonly toLocal: Msat
  readonly toRemote: Msat
  readonly htlcs: readonly Htlc[]
}

/** A commitment on chain, or about to be, and whose it is. */
export interface CommitmentOnChain {
  readonly commitment: { readonly params: Pick<PublishedCommitment['params'], 'number'> }
  readonly holder: 'local' | 'remote'
  /** The holder's per-commitment point; where it is not known, nothing can be claimed but our balance and anchor. */
  readonly point?: Uint8Array
}

/**
 * Keeps a channel's secrets and signs with them what the rules of policy.ts allow.
 *
 * Every step takes the record of what was signed and returns the next one, which must be durable before the signature or
 * secret that comes with it leaves the process: **a lost record can lose funds**. A step that is refused throws
 * PerkunasError INVALID_TRANSITION and changes nothing. So is one with a record that is older than the last signature or
 * secret that was given away (rule `stale-record`), but for what StepMemory lets pass.
 */
export interface Signer {
  readonly basepoints: Basepoints
  /** Our per-commitment point; public. */
  commitmentPoint(number: bigint): Uint8Array
  /** A commitment of ours without signatures: nothing is checked but the state itself. */
  localCommitment(state: CommitmentState): Commitment
  /** A commitment of theirs, likewise. */
  remoteCommitment(state: CommitmentState, point: Uint8Array): Commitment
  /**
   * Makes ahead what of the next commitments is known: their keys and scripts, which cost more than signatures. Without it
   * they are made when they are needed. Each call makes a part, which takes a quarter of a millisecond.
   *
   * @param point theirs, of the commitment that we sign next, if it is known
   * @returns whether anything was left to be made
   */
  prepare(record: SignerState, point?: Uint8Array): boolean

  /**
   * A mistake of ours ended a step before anything of it left: this record, of which it was made, is the newest again, and what
   * came of it must never be used. Of a record that was too old nothing is taken back.
   */
  takeBack(record: SignerState): void

  /** Signs their next commitment: what commitment_signed carries. */
  signRemote(
    record: SignerState,
    state: CommitmentState,
    point: Uint8Array,
  ): {
    readonly next: SignerState
    readonly commitment: Commitment
    readonly signatures: CommitmentSignatures
  }

  /**
   * Checks their signatures on our next commitment.
   *
   * @throws PerkunasError INVALID_SIGNATURE if one of them is bad or they are too few or too many
   */
  validateLocal(
    record: SignerState,
    state: CommitmentState,
    signatures: CommitmentSignatures,
  ): { readonly next: SignerState; readonly commitment: Commitment }

  /** The secret that revokes a commitment of ours. */
  releaseSecret(
    record: SignerState,
    number: bigint,
  ): { readonly next: SignerState; readonly secret: Uint8Array }

  /** A funding output can't confirm any more; without this its commitments are asked for before every secret. */
  dropFunding(record: SignerState, funding: Outpoint): { readonly next: SignerState }

  /** Takes the secret that revokes a commitment of theirs. @throws PerkunasError INVALID_MESSAGE if it is wrong */
  acceptSecret(record: SignerState, number: bigint, secret: Uint8Array): { readonly next: SignerState }

  /**
   * Completes a commitment of ours for the chain, after checking their signatures once more.
   *
   * @throws PerkunasError INVALID_SIGNATURE if they are not on that commitment
   */
  signLocal(
    record: SignerState,
    state: CommitmentState,
    signatures: CommitmentSignatures,
  ): { readonly next: SignerState; readonly commitment: Commitment; readonly transaction: Transaction }

  /** Completes an HTLC transaction of our commitment that {@link signLocal} completed. */
  signHtlc(
    record: SignerState,
    commitment: Commitment,
    output: HtlcOutput,
    given: HtlcCompletion,
  ): Transaction

  /**
   * Signs a closing transaction.
   *
   * @throws PerkunasError INVALID_TRANSITION with HTLCs open, if it pays us less than our balance without our fee or to a
   *   script that is not ours, if the miners get less than that fee, or if it may be a commitment
   */
  signClosing(record: SignerState, request: ClosingToSign): Uint8Array

  /**
   * The witness of one claim in a transaction; others' inputs may stand beside it.
   *
   * @throws PerkunasError INVALID_TRANSITION if its key is not ours, a penalty's commitment was not revoked, or the funding
   *   key is to sign something else than our anchor
   */
  signClaim(
    record: SignerState,
    tx: Transaction,
    input: number,
    claim: Claim,
    onChain: CommitmentOnChain,
  ): readonly Uint8Array[]
}

/** A closing transaction, and what it should give us. */
export interface ClosingToSign {
  readonly closing: Closing<string>
  /** Ours in it, by the name that `closing.owners` uses. */
  readonly side: string
  readonly balance: Msat
  /** What of it we pay to the miners, an omitted output included. */
  readonly fee: Sat
}

/**
 * A signer that has the secrets in memory.
 *
 * @param ownsScript whether a closing transaction may pay us there
 * @param counter where it remembers, beside its record, how far it went
 */
export function createSigner(
  secrets: ChannelSecrets,
  setup: ChannelSetup,
  ownsScript: (script: Uint8Array) => boolean,
  counter: StepCounter,
): Signer {
  const basepoints = basepointsOf(secrets)
  const memory = stepMemory(basepoints.funding, counter)
  const openerFirst = setup.opener === 'local' ? [basepoints, setup.remote] : [setup.remote, basepoints]
  const [openerPoints = basepoints, accepterPoints = basepoints] = openerFirst
  const factor = obscuringFactor(openerPoints.payment, accepterPoints.payment)
  // Each is needed for its point and its keys, and then leaves.
  const secretOf = remembered(KEPT_POINTS, commitmentSecrets(secrets.commitmentSeed))
  // Each is said to the peer, and needed again when the peer signs.
  const pointOf = remembered(KEPT_POINTS, (number: bigint) => commitmentPoint(secretOf(number)))
  // What a commitment has of its holder's point alone.
  const localForm = remembered(KEPT_FORMS, (number: bigint) => {
    const own = { holder: { ...secrets, point: secretOf(number) } }
    return formOf('local', commitmentKeys(basepoints, setup.remote, pointOf(number), own))
  })
  const remoteForm = remembered(KEPT_FORMS, (point: Hex) =>
    formOf('remote', commitmentKeys(setup.remote, basepoints, fromHex(point), { counterparty: secrets })),
  )
  /** Scripts that are the same in all commitments of a holder. */
  const fixed: { [holder in 'local' | 'remote']?: FixedScripts } = {}

  function formOf(holder: 'local' | 'remote', keys: CommitmentKeys) {
    const { format } = setup
    fixed[holder] ??= fixedScripts({ format, keys })
    const toSelfDelay = setup.toSelfDelay[holder]
    return { keys, scripts: commitmentScripts({ format, keys, toSelfDelay }, fixed[holder]) }
  }

  const buildLocal = (state: CommitmentState) => build('local', state, localForm(state.number))
  const buildRemote = (state: CommitmentState, point: Uint8Array) =>
    build('remote', state, remoteForm(toHex(point)))

  function build(
    holder: 'local' | 'remote',
    state: CommitmentState,
    { keys, scripts }: ReturnType<typeof formOf>,
  ): Commitment {
    const params = {
      ...state,
      format: setup.format,
      obscuringFactor: factor,
      keys,
      opener: setup.opener === holder ? ('local' as const) : ('remote' as const),
      toSelfDelay: setup.toSelfDelay[holder],
      dustLimit: setup.dustLimit[holder],
    }
    return buildCommitment(params, scripts)
  }

  function buildSigned(state: CommitmentState, signatures: CommitmentSignatures): Commitment {
    const commitment = buildLocal(state)
    const fault = faultOfSignatures(commitment, signatures)
    if (fault === undefined) return commitment
    const what = fault.kind === 'htlc' ? `HTLC ${fault.index}` : fault.kind
    throw new PerkunasError('INVALID_SIGNATURE', `commitment ${state.number}: bad signature (${what})`, {})
  }

  function claimSecret(record: SignerState, key: ClaimKey, { commitment, holder, point }: CommitmentOnChain) {
    const { number } = commitment.params
    switch (key) {
      case 'localDelayed':
        return holder === 'local' && point !== undefined
          ? deriveSecret(secrets.delayedPayment, point)
          : undefined
      case 'localFunding':
        return holder === 'local' ? secrets.funding : undefined
      case 'remoteFunding':
        return holder === 'remote' ? secrets.funding : undefined
      case 'remotePayment':
        return holder === 'remote' ? secrets.payment : undefined
      case 'remoteHtlc':
        return holder === 'remote' && point !== undefined
          ? deriveSecret(secrets.htlc, point, basepoints.htlc)
          : undefined
      case 'revocation': {
        const revealed = holder === 'remote' ? findCommitmentSecret(record.secrets, number) : undefined
        return revealed === undefined ? undefined : deriveRevocationSecret(secrets.revocation, revealed)
      }
      case 'none':
        return undefined
    }
  }

  return {
    basepoints,
    commitmentPoint: pointOf,
    localCommitment: buildLocal,
    remoteCommitment: buildRemote,

    prepare: ({ validated }, point) =>
      localForm.prepare(validated) ||
      // That is said when the commitment before it is revoked.
      pointOf.prepare(validated + 1n) ||
      (point !== undefined && remoteForm.prepare(toHex(point))),

    takeBack: (record) => memory.takeBack(record),

    signRemote(record, state, point) {
      const commitment = buildRemote(state, point)
      const { txid } = commitment
      const funding = state.funding.outpoint
      const signed = sign(record, state.number, { funding, txid, point })
      const signatures = signCommitment(commitment, {
        funding: secrets.funding,
        htlc: deriveSecret(secrets.htlc, point, basepoints.htlc),
      })
      const what = `${state.number} ${toHex(txid)} ${toHex(point)}`
      const next = memory.pass(record, signed, { kind: 'sign', what })
      return { next, commitment, signatures }
    },

    validateLocal(record, state, signatures) {
      const commitment = buildSigned(state, signatures)
      const { txid } = commitment
      const balance = { ours: state.toLocal, htlcs: state.htlcs.length }
      const next = validate(record, state.number, { funding: state.funding.outpoint, txid, balance })
      return { next, commitment }
    },

    releaseSecret(record, number) {
      const released = release(record, number)
      const secret = secretOf(number)
      return { next: memory.pass(record, released, { kind: 'release', what: `${number}` }), secret }
    },

    dropFunding: (record, funding) => ({ next: dropFunding(record, funding) }),

    acceptSecret: (record, number, secret) => ({ next: revoke(record, number, secret) }),

    signLocal(record, state, signatures) {
      const published = publish(record, state.number)
      const commitment = buildSigned(state, signatures)
      const local = signOwnCommitment(commitment, secrets.funding)
      const transaction = completeCommitment(commitment, { local, remote: signatures.signature })
      const next = memory.pass(record, published, { kind: 'publish', what: `${state.number}` })
      return { next, commitment, transaction }
    },

    signHtlc(record, commitment, output, given) {
      memory.refuseOld(record)
      const { number } = commitment.params
      if (record.published !== number) throw refused(`our commitment ${number} is not published`)
      const htlcSecret = deriveSecret(secrets.htlc, pointOf(number), basepoints.htlc)
      return completeHtlcTransaction(commitment, output, { ...given, htlcSecret })
    },

    signClosing(record, { closing, side, balance, fee }) {
      memory.refuseOld(record)
      allowClosing(record, { balance, fee })
      const at = closing.owners.indexOf(side)
      const output = closing.transaction.outputs[at]
      const paid = output?.amount ?? 0n
      refuseCommitment(closing.transaction)
      const { outputs } = closing.transaction
      const burnt = closing.funding.amount - outputs.reduce((sum, { amount }) => sum + amount, 0n)
      if (fee > burnt)
        throw refused(`our fee of ${fee} sat is more than the ${burnt} sat that the miners get`)
      if (output !== undefined && !ownsScript(output.script)) throw refused('our output is not ours')
      if (paid + fee < balance / 1000n)
        throw refused(`${paid} sat and a fee of ${fee} sat are less than our balance`)
      return signClosing(closing, secrets.funding)
    },

    signClaim(record, tx, input, claim, onChain) {
      // It signs commitments too, which are not to be had by this way.
      if (FUNDING_KEYS.includes(claim.key) && !equalBytes(claim.scriptCode, anchorScript(basepoints.funding)))
        throw refused('the funding key signs no other claim than of our anchor')
      const secret = claimSecret(record, claim.key, onChain)
      if (secret === undefined && claim.key !== 'none') {
        throw refused(
          `no secret of ${claim.key} for ${onChain.holder} commitment ${onChain.commitment.params.number}`,
        )
      }
      return signClaim(tx, input, claim, secret)
    },
  }
}

/** Of ours: the current, the next, the one after it, and one to spare. */
const KEPT_POINTS = 4
/** Of each side: the next, and the one before it. */
const KEPT_FORMS = 2
const FUNDING_KEYS: readonly ClaimKey[] = ['localFunding', 'remoteFunding']

/** What spends the funding with the sequence of a commitment is no closing, whatever it is called. */
function refuseCommitment({ inputs }: Transaction): void {
  const sequence = inputs[0]?.sequence
  if (inputs.length === 1 && (sequence === SEQUENCE_FINAL || sequence === SEQUENCE_REPLACEABLE)) return
  throw refused('a closing transaction has one input, final or replaceable')
}

function refused(rule: string): PerkunasError {
  return new PerkunasError('INVALID_TRANSITION', `refused to sign: ${rule}`, { rule })
}
