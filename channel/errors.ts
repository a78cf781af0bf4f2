// What can go wrong, as one closed list. The code is for programs and never changes, the message is for
// people, the facts are for tests and logs. A failure's blame is a fact, not a phrase.

/** As in bytes.ts, which imports this file. */
type Hex = `0x${string}`

/** Why there is no connection with a peer. */
export type UnreachableReason =
  /** Nobody has said where the peer is, and it has not called. */
  | 'noAddress'
  /** No dialer takes addresses of that scheme. */
  | 'noDialer'
  /** The address is malformed. */
  | 'badAddress'
  /** Nobody listens at the address. */
  | 'refused'
  /** Nothing came from the address, or from the connection, in time. */
  | 'timedOut'
  /** Somebody is there, who has not proved to be that peer. */
  | 'handshakeFailed'
  /** The connection that there was is over, or there is none yet. */
  | 'lost'
  /** It was no longer wanted. */
  | 'aborted'
  /** Whatever else the network says; the message tells. */
  | 'failed'

/** What each failure carries: the whole list. */
export interface Facts {
  // Arguments and values
  /** A caller handed in something that can never be right. */
  INVALID_ARGUMENT: { readonly argument: string }
  /** An amount is negative, too large, or not in canonical form. */
  INVALID_AMOUNT: { readonly actual: bigint }
  /** Params break a rule of their own: participants, duration, nonce, app. */
  INVALID_PARAMS: { readonly rule: string }
  /** A state (allocation, sub-allocation, data) breaks a rule of its own. */
  INVALID_STATE: { readonly rule: string }
  /** A state may not follow another one. */
  INVALID_TRANSITION: { readonly rule: string }
  /** A signature is malformed, not canonical, or by somebody else. */
  INVALID_SIGNATURE: { readonly participant?: number }
  /** An app refused a state, a transition or an action. */
  APP_REFUSED: { readonly rule: string }
  /** Bytes of a peer, a chain or a store are not what their type demands. */
  INVALID_MESSAGE: { readonly path: string; readonly reason: string }
  /** A message or a record is larger than its limit. */
  TOO_LARGE: { readonly limit: number; readonly actual: number }

  // Wallet
  /** The wallet holds no account for that address. */
  UNKNOWN_ACCOUNT: { readonly address: string }
  /** A keystore file or mnemonic can't be opened. */
  INVALID_KEY_MATERIAL: { readonly reason: string }
  /** The forced secp256k1 provider can't be had. */
  PROVIDER_UNAVAILABLE: { readonly provider: string }

  // Peers
  /** No connection to the peer can be made, or it was lost. */
  PEER_UNREACHABLE: { readonly peer: Hex; readonly reason: UnreachableReason }
  /** The peer is not who it should be, or its handshake failed. */
  HANDSHAKE_FAILED: { readonly reason: string }
  /** The peer sent something that breaks the protocol; the connection is closed. */
  PEER_MISBEHAVED: { readonly peer: Hex; readonly reason: string }
  /** The peer said no. */
  PEER_REJECTED: { readonly peer: Hex; readonly participant: number; readonly reason: string }
  /** Another process of this client serves one of these peers. */
  SERVED_ELSEWHERE: { readonly peers: readonly Hex[] }
  /** The peer is sent more than it takes. */
  PEER_OVERLOADED: { readonly peer: Hex }

  // Proposals and channels
  /** Not everybody answered a proposal in time. */
  PROPOSAL_TIMEOUT: { readonly session: Hex; readonly waitingFor: readonly number[] }
  /** Not everybody funded in time; what was deposited is on its way back. */
  FUNDING_TIMEOUT: {
    readonly channel: Hex
    /** Who has not funded, per asset index. */
    readonly missing: readonly { readonly asset: number; readonly participants: readonly number[] }[]
  }
  /** Funding failed for another reason than time; what was deposited is on its way back. */
  FUNDING_FAILED: { readonly channel: Hex }
  /** Not everybody answered an update in time. The signature that we gave stays valid: see `Channel.update`. */
  UPDATE_TIMEOUT: { readonly channel: Hex; readonly version: bigint; readonly waitingFor: readonly number[] }
  /** Another participant proposed a state of the same version at the same time. */
  UPDATE_CROSSED: { readonly channel: Hex; readonly version: bigint }
  /** The channel's phase does not allow this call. */
  PHASE_MISMATCH: { readonly channel: Hex; readonly expected: readonly string[]; readonly actual: string }
  /** What we have of the channel is lost, or older than what the peer has: only the peer may end it, and was asked to. */
  DATA_LOSS: { readonly channel: Hex }
  /** No such channel. */
  UNKNOWN_CHANNEL: { readonly channel: Hex }
  /** A channel with this ID is there already. */
  CHANNEL_EXISTS: { readonly channel: Hex }
  /** The caller's AbortSignal ended the call. What was signed or sent before stays valid. */
  ABORTED: { readonly call: string }
  /** The object was closed. */
  CLOSED: { readonly what: string }
  /** A mistake of ours: what it happened in is stopped, and nothing is done about it on a ledger. */
  INTERNAL: { readonly where: string }
  /** A user's handler threw; it counts as a refusal. */
  HANDLER_FAILED: { readonly handler: string }

  /** A watchtower does not watch over a state of ours. */
  NOT_WATCHED: { readonly channel: Hex; readonly version: bigint; readonly reason: string }

  // Payments
  /** A payment with that ID or payment hash is there already, and another one. */
  PAYMENT_EXISTS: { readonly payment: Hex }
  /** No such payment, or it is over. */
  UNKNOWN_PAYMENT: { readonly payment: Hex }
  /** A payment can't be begun; nothing of it was sent. */
  PAYMENT_REFUSED: { readonly rule: string }

  // Ledgers
  /** The node of a chain does not answer. */
  LEDGER_UNREACHABLE: { readonly ledger: string }
  /** A transaction was refused or reverted. */
  TRANSACTION_FAILED: { readonly kind: string; readonly hash?: string; readonly reason: string }
  /** A transaction was not mined in time. */
  TRANSACTION_TIMEOUT: { readonly kind: string; readonly hash?: string }
  /** A contract at an address is not one that we know, or is bound to another one than expected. */
  INVALID_CONTRACT: { readonly address: string; readonly reason: string }
  /** What the ledger can't do, by its capabilities. */
  UNSUPPORTED: { readonly what: string }
  /** A node has no more than the header of a block: it was pruned. */
  BLOCK_UNAVAILABLE: { readonly height: number }
  /**
   * A wallet has less on the ledger, confirmed and free (`available`), than is asked for with its fee. Amounts in the asset's unit.
   * Of what else there is, each part is in one of the others; they are absent if they are 0, or not looked for.
   */
  INSUFFICIENT_FUNDS: {
    readonly needed: bigint
    readonly available: bigint
    /** Of `needed`: what must stay in the wallet, as for the fees of channels that close. */
    readonly keep?: bigint
    /** In no block, or not as deep as was asked for. */
    readonly unconfirmed?: bigint
    /** New money that is too young to be spent. */
    readonly immature?: bigint
    /** Kept for other transactions, as fundings of channels and claims. */
    readonly reserved?: bigint
  }

  // Storage
  /** A commit failed: the process must not go on from its memory. */
  STORE_FAILED: { readonly operation: string }
  /** A record was written by a newer version of this package, or is damaged. */
  INVALID_RECORD: { readonly key: string; readonly reason: string }
}

/** The closed list of codes. */
export type ErrorCode = keyof Facts

/** Every error that this package throws or hands to a caller. */
export class PerkunasError<C extends ErrorCode = ErrorCode> extends Error {
  override readonly name = 'PerkunasError'

  /**
   * @param code for programs
   * @param message what was expected, what came, which channel
   * @param facts for tests; never secrets, never whole states
   */
  constructor(
    readonly code: C,
    message: string,
    readonly facts: Facts[C],
    options?: ErrorOptions,
  ) {
    super(message, options)
  }
}

/** Narrows a caught value to the error with that code. */
export function isError<C extends ErrorCode>(error: unknown, code: C): error is PerkunasError<C> {
  return error instanceof PerkunasError && error.code === code
}

/** For the end of an exhaustive `switch`: a new member breaks the build where it is not handled. */
export function absurd(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`)
}
