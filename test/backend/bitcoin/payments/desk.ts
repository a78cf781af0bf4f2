// One payment machine with its disk, among channels that do what a test says.
import { expect } from 'chai'
import type { Handoff, Intent, OpenHtlc, Removal } from '../../../../backend/bitcoin/channel/index.js'
import {
  buildOnion,
  decodeFailure,
  encodePayload,
  openFailure,
  type Payload,
  sharedSecretWith,
} from '../../../../backend/bitcoin/onion/index.js'
import {
  type IncomingPayment,
  lookUp,
  NO_PAYMENTS,
  type OutgoingPayment,
  PAYMENT_ROWS,
  PAYMENTS_POLICY,
  type PayableChannel,
  type PaymentEvent,
  type PaymentsContext,
  type PaymentsEffect,
  type PaymentsInput,
  type PaymentsPolicy,
  type PaymentsState,
  pastWrites,
  paymentWrites,
  restoredPayments,
  step,
} from '../../../../backend/bitcoin/payments/index.js'
import { faultOfPayments } from '../../../../backend/bitcoin/payments/invariants.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { blockHeight, type Msat, msat } from '../../../../backend/bitcoin/units.js'
import { shortChannelID } from '../../../../backend/bitcoin/wire/index.js'
import { fromHex, type Hex, toHex } from '../../../../channel/bytes.js'
import type { ErrorCode, PerkunasError } from '../../../../channel/errors.js'
import type { Write } from '../../../../persistence/index.js'
import { secp256k1 } from '../../../../wallet/secp256k1.js'

/** Something of 32 bytes. */
export function bytes32(n: number): Uint8Array {
  const bytes = new Uint8Array(32).fill(0x77)
  new DataView(bytes.buffer).setUint32(28, n)
  return bytes
}

/** The same as text. */
export function hex32(n: number): Hex {
  return toHex(bytes32(n))
}

export const SECRETS = { us: bytes32(1), peer: bytes32(2) } as const
export const US: Hex = toHex(secp256k1.publicKey(SECRETS.us))
export const PEER: Hex = toHex(secp256k1.publicKey(SECRETS.peer))
/** 2026-01-01, in milliseconds. */
export const START = 1_767_225_600_000

/** See above. */
export class Desk {
  state: PaymentsState = NO_PAYMENTS
  readonly disk = new Map<string, Uint8Array>()
  readonly events: PaymentEvent[] = []
  /** Everything that channels were asked for. */
  readonly wanted: (PaymentsEffect & { readonly kind: 'want' })[] = []
  readonly channels: { channelID: Hex; minimum: Msat; most: bigint }[] = []
  now = START
  height = 100
  isSynced = true
  isCatchingUp = false
  /** Channels whose funding is gone. */
  readonly unreliable = new Set<Hex>()
  /** Of payments to us whose records are damaged. */
  readonly unreadable = new Set<Hex>()
  #wasBlind = false
  #steps = 0

  constructor(
    readonly options: { readonly secret?: Uint8Array; readonly policy?: Partial<PaymentsPolicy> } = {},
  ) {}

  get context(): PaymentsContext {
    const { secret = SECRETS.us, policy } = this.options
    return {
      now: this.now,
      height: blockHeight(this.height),
      isSynced: this.isSynced,
      isCatchingUp: this.isCatchingUp,
      entropy: sha256(Uint8Array.of(...secret, ...bytes32(this.#steps))),
      policy: { ...PAYMENTS_POLICY, ...policy },
      currency: 'bcrt',
      node: {
        id: toHex(secp256k1.publicKey(secret)),
        sharedSecret: sharedSecretWith(secret),
        sign: (digest) => secp256k1.sign(digest, secret),
      },
      isUnreadable: (paymentHash) => this.unreadable.has(paymentHash),
      isReliable: (channelID) => !this.unreliable.has(channelID),
      channels: () =>
        this.channels.map((one): PayableChannel => ({ ...one, spendable: () => msat(one.most) })),
    }
  }

  /** A channel over which so much can be paid. */
  channel(n: number, most = 1_000_000_000n, minimum = 1n): Hex {
    const channelID = hex32(0xc000 + n)
    this.channels.push({ channelID, minimum: msat(minimum), most })
    return channelID
  }

  /** One input, with everything that always holds after it. */
  give(input: PaymentsInput): readonly PaymentsEffect[] {
    this.#steps++
    const { context } = this
    deepFreeze(this.state)
    const { next, effects } = step(this.state, input, context)
    expect(step(this.state, input, context), 'the same again').to.deep.equal({ next, effects })
    if (!this.isSynced) this.#wasBlind = true
    else if (input.kind === 'block' || input.kind === 'tick') this.#wasBlind = false
    expect(faultOfPayments(next, this.#wasBlind)).to.equal(undefined)
    const writes = [
      ...paymentWrites(this.state, next),
      ...effects.flatMap((one) => (one.kind === 'archive' ? pastWrites(one.payment) : [])),
    ]
    applyTo(this.disk, writes)
    const lasting = { ...next, recent: NO_PAYMENTS.recent }
    expect(this.restored(), 'decode(encode(state))').to.deep.equal(lasting)
    this.state = next
    for (const effect of effects) {
      if (effect.kind === 'tell') this.events.push(effect.event)
      if (effect.kind === 'want') this.wanted.push(effect)
    }
    return effects
  }

  restored(): PaymentsState {
    return restoredPayments([...this.disk].filter(([key]) => key.startsWith(PAYMENT_ROWS)))
  }

  hand(channelID: Hex, handoff: Handoff): readonly PaymentsEffect[] {
    return this.give({ kind: 'handed', channelID, handoff })
  }

  outgoing(id: Hex): OutgoingPayment {
    const found = lookUp(this.state.outgoing, id)
    if (found === undefined) throw new Error(`no payment ${id}`)
    return found
  }

  incoming(paymentHash: Hex): IncomingPayment {
    const found = lookUp(this.state.incoming, paymentHash)
    if (found === undefined) throw new Error(`no payment ${paymentHash}`)
    return found
  }

  /** The kinds of what was told. */
  get told(): readonly string[] {
    return this.events.map(({ kind }) => kind)
  }

  /** What it wants added and not handed anything for. */
  adds(): readonly Add[] {
    return this.wanted.flatMap(({ channelID, intent }) =>
      intent.kind === 'add' ? [{ channelID, ...intent }] : [],
    )
  }

  /** The channel makes a wish an HTLC. */
  added({ channelID, ...intent }: Add, id: bigint): OpenHtlc {
    const { reference, amount, paymentHash, cltvExpiry } = intent
    this.hand(channelID, { kind: 'added', reference, htlc: { offerer: 'local', id } })
    return { offerer: 'local', id, amount, paymentHash, cltvExpiry, reference, stage: 'locked' }
  }

  /** What a channel was asked to remove an HTLC with. */
  removalOf(channelID: Hex, id: bigint): Removal | undefined {
    const found = this.wanted.filter(
      (one) => one.channelID === channelID && one.intent.kind === 'remove' && one.intent.id === id,
    )
    expect(found.length, `answers to HTLC ${id}`).to.be.oneOf([0, 1])
    const intent = found[0]?.intent
    return intent?.kind === 'remove' ? intent.removal : undefined
  }
}

/** A wish for an HTLC. */
export type Add = Intent & { readonly kind: 'add' } & { readonly channelID: Hex }

/** An HTLC to us, with its onion. */
export interface ToUs {
  readonly id: bigint
  readonly amount: bigint
  readonly paymentHash: Hex
  readonly cltvExpiry?: number
  /** Over what is usual; `undefined` leaves a record out. */
  readonly payload?: { readonly [K in keyof Payload]?: Payload[K] | undefined }
  readonly payment?: { readonly paymentSecret: Uint8Array; readonly total: bigint }
  readonly onion?: Uint8Array
  readonly blindedPath?: Uint8Array
}

export const SESSION = bytes32(0x5e55)

/** One that is to be sent on. */
export function forwardHtlc(paymentHash: Hex): OpenHtlc {
  const payload = encodePayload({
    amtToForward: msat(900n),
    outgoingCltvValue: blockHeight(140),
    shortChannelID: shortChannelID(1n),
  })
  const hops = [US, PEER].map((id) => ({ publicKey: fromHex(id), payload }))
  const { packet: onion } = buildOnion({ sessionKey: SESSION, hops, associatedData: fromHex(paymentHash) })
  return { ...htlcToUs({ id: 9n, amount: 1000n, paymentHash }), onion }
}

/** Its form as a channel hands it on. */
export function htlcToUs(to: ToUs): OpenHtlc {
  const { id, amount, paymentHash, payment, payload = {}, blindedPath } = to
  const cltvExpiry = blockHeight(to.cltvExpiry ?? 145)
  const records = {
    amtToForward: msat(amount),
    outgoingCltvValue: cltvExpiry,
    ...(payment && {
      paymentData: { paymentSecret: payment.paymentSecret, totalMsat: msat(payment.total) },
    }),
    ...payload,
  }
  const encoded = encodePayload(
    Object.fromEntries(Object.entries(records).filter(([, value]) => value !== undefined)),
  )
  const { packet } = buildOnion({
    sessionKey: SESSION,
    hops: [{ publicKey: fromHex(US), payload: encoded }],
    associatedData: fromHex(paymentHash),
  })
  return {
    offerer: 'remote',
    id,
    amount: msat(amount),
    paymentHash: fromHex(paymentHash),
    cltvExpiry,
    onion: to.onion ?? packet,
    ...(blindedPath && { blindedPath }),
    stage: 'locked',
  }
}

/** What the payer of {@link htlcToUs} reads: the failure's name and fields. */
export function readFailure(removal: Removal | undefined) {
  if (removal?.kind !== 'fail') return removal?.kind
  const sharedSecret = sharedSecretWith(SESSION)(fromHex(US))
  const opened = openFailure([sharedSecret], { packet: removal.reason })
  return opened.failure && decodeFailure(opened.failure.message)?.failure
}

/** The code of the error that a command met. */
export function refusal(effects: readonly PaymentsEffect[]): ErrorCode | undefined {
  return errorOf(effects)?.code
}

/** The error that a command met. */
export function errorOf(effects: readonly PaymentsEffect[]): PerkunasError | undefined {
  const found = effects.find((one) => one.kind === 'refuse')
  return found?.error
}

/** What a command came to. */
export function answer(effects: readonly PaymentsEffect[]): OutgoingPayment | IncomingPayment {
  const found = effects.find((one) => one.kind === 'answer')
  if (found === undefined) throw errorOf(effects) ?? new Error('no answer')
  return found.payment
}

/** Writes as a store does. */
export function applyTo(disk: Map<string, Uint8Array>, writes: readonly Write[]): void {
  for (const one of writes) {
    if (one.kind === 'put') disk.set(one.key, one.value)
    else disk.delete(one.key)
  }
}

function deepFreeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || Object.isFrozen(value))
    return
  Object.freeze(value)
  for (const one of Object.values(value)) deepFreeze(one)
}
