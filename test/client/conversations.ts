// Channels' conversations without runtimes: pure machines in a wanted state, and whoever carries their messages.
import { closeAuthorization } from '../../backend/sim/contract.js'
import { closeMessage, SIM_BACKEND } from '../../backend/sim/encode.js'
import { simCapabilities, simRules } from '../../backend/sim/rules.js'
import {
  type App,
  apply,
  type Draft,
  draftOf,
  fromHex,
  type Hex,
  type Index,
  initialState,
  type Machine,
  NO_APP,
  NO_AUX,
  newMachine,
  nextVersion,
  noApp,
  type Operation,
  type Params,
  PerkunasError,
  type State,
  stateOf,
} from '../../channel/index.js'
import {
  type ChannelContext,
  type ChannelEffect,
  type ChannelInput,
  type ChannelState,
  channelRecord,
  channelState,
  currentOf,
} from '../../client/conversation.js'
import type { ChannelMessage } from '../../client/messages.js'
import { step } from '../../client/step.js'
import type { PeerID } from '../../peer/index.js'
import { addressOf, secp256k1, signPersonal } from '../../wallet/index.js'

/** A message on its way. */
export interface Sent {
  readonly from: Index
  readonly to: Index
  readonly message: ChannelMessage
}

/** The channel of all participants, who hold it side by side. */
export interface Conversations {
  readonly context: ChannelContext
  readonly params: Params
  /** By participant index. */
  readonly states: ChannelState[]
  /** What was said and has not arrived, oldest first. */
  readonly wire: Sent[]
  /** What was asked of the world, by participant, oldest first. */
  readonly effects: ChannelEffect[][]
  readonly secrets: readonly Uint8Array[]
}

const asset = { backend: SIM_BACKEND, id: `0x${'a5'.repeat(8)}` } as const
/** What each participant has at first. */
export const SHARE = 100n

/** Participants whose channel is funded. */
export function reachActing(size: number, app: App = noApp): Conversations {
  const secrets = Array.from({ length: size }, (_, i) =>
    fromHex(`0x${(i + 11).toString(16).padStart(64, '0')}`),
  )
  const ledger = simRules(() => true)
  const context: ChannelContext = {
    rules: { ledger, app },
    capabilities: simCapabilities(1),
    verifyCloseAuthorization: ({ authorization }) => authorization.length > 42,
  }
  const params: Params = {
    challengeDuration: 60n,
    participants: secrets.map((secret) => ({ [SIM_BACKEND]: addressOf(secp256k1.publicKey(secret)) })),
    app: app.id ?? NO_APP,
    nonce: 7n,
    ledgerChannel: true,
    virtualChannel: false,
    aux: NO_AUX,
  }
  const balances = [secrets.map(() => SHARE)]
  const channelID = ledger.channelID(params)
  const state = initialState(channelID, params, { assets: [asset], balances, locked: [] }, '0x')
  const signatures = secrets.map((secret) => signPersonal(ledger.message(params, state), secret))
  const peers = secrets.map((_, i): PeerID => `0x02${(i + 1).toString(16).padStart(64, '0')}`)
  const states = secrets.map((_, index) => {
    const operations: Operation[] = [
      { kind: 'init', state },
      ...signatures.map(
        (signature, participant) => ({ kind: 'addSignature', participant, signature }) as const,
      ),
      { kind: 'enable' },
      { kind: 'funded' },
    ]
    let machine: Machine = newMachine(channelID, params, index)
    for (const operation of operations) machine = must(apply(machine, operation, context.rules))
    return channelState(channelRecord(machine, peers, balances))
  })
  return { context, params, states, wire: [], effects: secrets.map(() => []), secrets }
}

/** Hands an input to a participant; what it says goes on the wire. @returns what else it asks for */
export function feed(all: Conversations, index: Index, input: ChannelInput): readonly ChannelEffect[] {
  const before = at(all.states, index)
  const { next, effects } = step(before, input, all.context)
  all.states[index] = next
  for (const effect of effects) {
    at(all.effects, index).push(effect)
    if (effect.kind === 'send') all.wire.push({ from: index, to: effect.to, message: effect.message })
  }
  return effects
}

/** Hands a message to whom it is for. */
export function deliver(all: Conversations, { from, to, message }: Sent): readonly ChannelEffect[] {
  return feed(all, to, { kind: 'received', from, message })
}

/** Lets everything arrive in order, everybody agreeing to everything, until nobody has anything to say. */
export function settleDown(all: Conversations): void {
  for (let sent = all.wire.shift(); sent !== undefined; sent = all.wire.shift()) {
    for (const effect of deliver(all, sent)) agree(all, sent.to, effect)
  }
}

/** What an agreeable user, and his signature, make of a question. */
export function agree(all: Conversations, index: Index, effect: ChannelEffect): void {
  if (effect.kind === 'ask' || effect.kind === 'acceptByRule') {
    const { update } = effect
    feed(all, index, { kind: 'accept', update, signature: signed(all, index, update.state) })
  }
  if (effect.kind === 'authorize') {
    const participant = index
    const receiver = addressOf(secp256k1.publicKey(at(all.secrets, index)))
    const message = closeMessage({ state: effect.state, participant, receiver })
    const authorization = closeAuthorization(receiver, signPersonal(message, at(all.secrets, index)))
    for (const more of feed(all, index, { kind: 'authorized', authorization })) agree(all, index, more)
  }
}

/** A participant proposes a change; nothing arrives yet. @returns the state */
export function propose(all: Conversations, index: Index, edit: (draft: Draft) => void): State {
  const { record } = at(all.states, index)
  const draft = draftOf(currentOf(record).state)
  edit(draft)
  const state = stateOf(currentOf(record).state, draft, nextVersion(record.machine))
  feed(all, index, { kind: 'propose', command: 1, state, signature: signed(all, index, state) })
  return state
}

/** A participant's signature over anything. */
export function signed({ context, params, secrets }: Conversations, index: Index, state: State): Hex {
  return signPersonal(context.rules.ledger.message(params, state), at(secrets, index))
}

/** The newest state that a participant holds, with all signatures that it has of it. */
export function currentAt({ states }: Conversations, index: Index) {
  return currentOf(at(states, index).record)
}

/** An item that must be there. */
export function at<T>(items: readonly T[], i: number): T {
  const item = items[i]
  if (item === undefined) throw new Error(`no item ${i}`)
  return item
}

function must<T>(value: T | PerkunasError): T {
  if (value instanceof PerkunasError) throw value
  return value
}
