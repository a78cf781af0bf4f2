// What clients say to each other: each message once, with its limits. An envelope's sender is the
// authenticated peer, so no message names its sender.
import {
  type AddressMap,
  AUX_LENGTH,
  freezeState,
  MAX_ASSETS,
  MAX_DATA_LENGTH,
  MAX_ID_LENGTH,
  MAX_PARTICIPANTS,
  MAX_SUB_ALLOCATIONS,
  PerkunasError,
  type State,
} from '../channel/index.js'
import {
  amount,
  bool,
  type Codec,
  converted,
  defineMessage,
  hex,
  kept,
  list,
  type MessageOf,
  messageCodec,
  object,
  type Schema,
  text,
  u64,
  uint,
} from '../peer/index.js'

/** UTF-16 units of a reason that we give, and the bytes that a peer's may have. */
const MAX_REASON_LENGTH = 200
const MAX_REASON_BYTES = 1024
/** Bytes of a close authorization. */
const MAX_AUTHORIZATION_BYTES = 4096

const id = hex(32)
const address = hex({ max: MAX_ID_LENGTH })
const index = uint(MAX_PARTICIPANTS - 1)
const reason = text(MAX_REASON_BYTES)
/** A signature in the ledger's form. */
export const signatureSchema = hex({ max: MAX_ID_LENGTH })
const row = list(amount(), { max: MAX_PARTICIPANTS })
/** Balances by asset, then by participant. */
export const balancesSchema = list(row, { max: MAX_ASSETS })
const assets = list(object({ backend: uint(0xffff_ffff), id: hex({ max: MAX_ID_LENGTH }) }), {
  max: MAX_ASSETS,
})
const subAllocation = object({
  channelID: id,
  balances: list(amount(), { max: MAX_ASSETS }),
  indexMap: list(index, { max: MAX_PARTICIPANTS }),
})

/** A participant's addresses, as pairs in ascending order of backend. */
export const addressMapSchema: Schema<AddressMap> = converted(
  list(object({ backend: uint(0xffff_ffff), address }), { min: 1, max: 16 }),
  {
    is: (value): value is AddressMap => typeof value === 'object' && value !== null,
    encode: (map: AddressMap) =>
      Object.entries(map).map(([backend, own]) => ({ backend: Number(backend), address: own })),
    decode: (pairs) => {
      const map: Record<number, `0x${string}`> = {}
      let last = -1
      for (const { backend, address: own } of pairs) {
        if (backend <= last) throw unordered()
        last = backend
        map[backend] = own
      }
      return map
    },
  },
)

/** A state; decoded ones are frozen, and so are those that we make: each goes into a message and two records. */
export const stateSchema: Schema<State> = kept(
  converted(
    object({
      channelID: id,
      version: u64(),
      app: hex({ max: MAX_ID_LENGTH }),
      allocation: object({
        assets,
        balances: balancesSchema,
        locked: list(subAllocation, { max: MAX_SUB_ALLOCATIONS }),
      }),
      data: hex({ max: MAX_DATA_LENGTH }),
      isFinal: bool,
    }),
    {
      is: (value): value is State => typeof value === 'object' && value !== null,
      encode: (state: State) => state,
      decode: freezeState,
    },
  ),
)

/** The proposer asks all peers to open a channel. Without its session ID, which is a hash of the rest. */
export const proposalFields = {
  challengeDuration: u64(),
  /** The proposer's share of the nonce. */
  nonceShare: id,
  app: hex({ max: MAX_ID_LENGTH }),
  data: hex({ max: MAX_DATA_LENGTH }),
  assets,
  balances: balancesSchema,
  /** Who brings what in; the sums are the balances'. */
  agreement: balancesSchema,
  /** The proposer's addresses. */
  participant: addressMapSchema,
  /** Everybody's network identity by participant index, the proposer's first. */
  peers: list(hex(33), { max: MAX_PARTICIPANTS }),
  aux: hex(AUX_LENGTH),
}

const channelProposal = defineMessage({
  name: 'channelProposal',
  version: 1,
  fields: { session: id, ...proposalFields },
})
/** Everybody who accepts tells everybody. */
const channelProposalAcc = defineMessage({
  name: 'channelProposalAcc',
  version: 1,
  fields: { session: id, nonceShare: id, participant: addressMapSchema },
})
/** Whoever refuses, or gives up, tells everybody. */
const channelProposalRej = defineMessage({
  name: 'channelProposalRej',
  version: 1,
  fields: { session: id, reason },
})
/** A signature over the initial state. */
const initialSignature = defineMessage({
  name: 'initialSignature',
  version: 1,
  fields: { session: id, signature: signatureSchema },
})
const channelUpdate = defineMessage({
  name: 'channelUpdate',
  version: 1,
  fields: { state: stateSchema, actor: index, signature: signatureSchema },
})
/** Answers the proposal of `actor`: of one version there may be two, and whoever holds the other must not take this for its. */
const channelUpdateAcc = defineMessage({
  name: 'channelUpdateAcc',
  version: 1,
  fields: { channelID: id, version: u64(), actor: index, signature: signatureSchema },
})
/** `crossed`: refused only because another state of this version was there first. */
const channelUpdateRej = defineMessage({
  name: 'channelUpdateRej',
  version: 1,
  fields: { channelID: id, version: u64(), actor: index, reason, crossed: bool },
})
/** An agreement to be paid for the final state together with all others. */
const closeAuthorization = defineMessage({
  name: 'closeAuthorization',
  version: 1,
  fields: { channelID: id, version: u64(), authorization: hex({ max: MAX_AUTHORIZATION_BYTES }) },
})
/**
 * What the sender holds of a channel, said whenever a connection stands again: the version of its newest state,
 * and the highest version that it will not sign any more.
 */
const channelSync = defineMessage({
  name: 'channelSync',
  version: 1,
  fields: { channelID: id, version: u64(), usedVersion: u64() },
})
/** The newest state with all signatures, for a participant who lacks it. */
const signedState = defineMessage({
  name: 'signedState',
  version: 1,
  fields: { state: stateSchema, signatures: list(signatureSchema, { max: MAX_PARTICIPANTS }) },
})

const definitions = [
  channelProposal,
  channelProposalAcc,
  channelProposalRej,
  initialSignature,
  channelUpdate,
  channelUpdateAcc,
  channelUpdateRej,
  closeAuthorization,
  channelSync,
  signedState,
] as const

/** Everything that clients say to each other. */
export type Message = MessageOf<(typeof definitions)[number]>
/** A message of that kind. */
export type MessageOfKind<K extends Message['kind']> = Extract<Message, { readonly kind: K }>
/** Asks all peers to open a channel. */
export type ChannelProposal = MessageOfKind<'channelProposal'>
/** Says yes to a proposal. */
export type ChannelProposalAcc = MessageOfKind<'channelProposalAcc'>
/** Says no to a proposal. */
export type ChannelProposalRej = MessageOfKind<'channelProposalRej'>
/** Proposes the next state. */
export type ChannelUpdate = MessageOfKind<'channelUpdate'>
/** Signs a proposed state. */
export type ChannelUpdateAcc = MessageOfKind<'channelUpdateAcc'>
/** Refuses a proposed state. */
export type ChannelUpdateRej = MessageOfKind<'channelUpdateRej'>
/** Says what the sender holds of a channel. */
export type ChannelSync = MessageOfKind<'channelSync'>
/** Messages of a proposal's conversation. */
export type SessionMessage = MessageOfKind<
  'channelProposal' | 'channelProposalAcc' | 'channelProposalRej' | 'initialSignature'
>
/** Messages of a channel's conversation. */
export type ChannelMessage = Exclude<Message, SessionMessage>

/** Bytes to messages and back. Decoding throws INVALID_MESSAGE or TOO_LARGE, whatever came. */
export const messages: Codec<Message> = messageCodec(definitions)

/** The channel that a message is about. */
export function channelOf(message: ChannelMessage): State['channelID'] {
  return 'state' in message ? message.state.channelID : message.channelID
}

/** A reason as it may be sent: short, and well-formed whatever it is made of. */
export function reasonOf(words: string): string {
  return `${words}`.slice(0, MAX_REASON_LENGTH).replace(/\p{Surrogate}|^\uFEFF/gu, '\uFFFD')
}

function unordered(): PerkunasError<'INVALID_MESSAGE'> {
  const reason = 'backends in ascending order expected'
  return new PerkunasError('INVALID_MESSAGE', reason, { path: '', reason })
}
