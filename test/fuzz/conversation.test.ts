import { expect } from 'chai'
import fc from 'fast-check'
import {
  type Index,
  type LedgerEvent,
  type LedgerEventBody,
  PerkunasError,
  transfer,
} from '../../channel/index.js'
import { type ChannelInput, type ChannelState, channelState } from '../../client/conversation.js'
import { type ChannelMessage, channelOf, messages } from '../../client/messages.js'
import { created, restored } from '../../client/records.js'
import { step } from '../../client/step.js'
import {
  agree,
  at,
  type Conversations,
  currentAt,
  deliver,
  propose,
  reachActing,
  settleDown,
  signed,
} from '../client/conversations.js'
import { brokenBytes, runs } from './inputs.js'

const SIZE = 3
/** Who is spoken to. */
const VICTIM = 0

const pay = (all: Conversations, from: Index) =>
  propose(all, from, (draft) => transfer(draft, { from, to: (from + 1) % SIZE, amount: 1n }))

const ledger = (all: Conversations, body: LedgerEventBody, status: LedgerEvent['status'] = 'seen') => {
  const { channelID } = currentAt(all, VICTIM).state
  const event: LedgerEvent = { ...body, channelID, status, cursor: `${body.version}` }
  return { kind: 'ledger', event } as const
}

/** Where a channel may stand when somebody speaks: how it gets there after a first update. */
const PLACES: Readonly<Record<string, (all: Conversations) => void>> = {
  acting: () => undefined,
  'asking its user': (all) => {
    pay(all, 1)
    for (const sent of all.wire.filter(({ to }) => to === VICTIM)) deliver(all, sent)
  },
  'signing what it proposed': (all) => void pay(all, VICTIM),
  'signing what another proposed': (all) => {
    pay(all, 1)
    for (const sent of all.wire.filter(({ to }) => to === VICTIM)) {
      for (const effect of deliver(all, sent)) agree(all, VICTIM, effect)
    }
  },
  final: (all) => {
    propose(all, VICTIM, (draft) => {
      draft.isFinal = true
    })
    settleDown(all)
  },
  registered: (all) => {
    shove(all, ledger(all, registered(0n)))
  },
  funding: (all) => {
    const { record } = at(all.states, VICTIM)
    const machine = { ...record.machine, phase: 'funding', isFunded: false } as const
    all.states[VICTIM] = channelState({ ...record, machine })
  },
}

const registered = (version: bigint): LedgerEventBody => {
  return { kind: 'registered', version, deadline: 99n, state: undefined, signatures: undefined }
}

/** A channel in that place. */
function reach(place: string): Conversations {
  const all = reachActing(SIZE)
  pay(all, 2)
  settleDown(all)
  PLACES[place]?.(all)
  return all
}

/** What anybody could say about the channel, all of it signed by whoever says it where signatures belong. */
function vocabulary(all: Conversations, place: string): readonly ChannelMessage[] {
  const { state, signatures } = currentAt(all, VICTIM)
  const { channelID } = state
  const said: ChannelMessage[] = all.wire.map(({ message }) => message)
  const whole = signatures.filter((signature) => signature !== undefined)
  for (const more of [0n, 1n, 2n, 5n]) {
    const version = state.version + more
    const next = { ...state, version }
    const [one, two] = [signed(all, 1, next), signed(all, 2, next)]
    const everybody = [signed(all, VICTIM, next), one, two]
    const final = { ...next, isFinal: true }
    said.push(
      { kind: 'channelUpdate', state: next, actor: 1, signature: one },
      { kind: 'channelUpdate', state: final, actor: 2, signature: signed(all, 2, final) },
      { kind: 'channelUpdateAcc', channelID, version, actor: VICTIM, signature: one },
      { kind: 'channelUpdateAcc', channelID, version, actor: 1, signature: two },
      { kind: 'channelUpdateRej', channelID, version, actor: VICTIM, reason: 'no', crossed: false },
      { kind: 'channelUpdateRej', channelID, version, actor: 1, reason: 'no', crossed: true },
      { kind: 'closeAuthorization', channelID, version, authorization: one },
      { kind: 'channelSync', channelID, version, usedVersion: version + more },
      { kind: 'signedState', state: next, signatures: place === 'final' ? whole : everybody },
    )
  }
  return said
}

/** Nothing that is handed in may be changed by whoever gets it. */
function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value) || ArrayBuffer.isView(value))
    return value
  for (const inner of Object.values(value)) frozen(inner)
  return Object.freeze(value)
}

/** Hands an input to the victim, and looks at what it has become. */
function shove(all: Conversations, input: ChannelInput): void {
  const before = frozen(at(all.states, VICTIM))
  const { next, effects } = step(before, frozen(input), all.context)
  const isThrownOut = effects.some((effect) => effect.kind === 'refuse' && effect.cost === 'connection')
  if (isThrownOut && input.kind === 'received')
    expect(next.record, 'what it is thrown out for has changed nothing').equals(before.record)
  for (const effect of effects) structuredClone(plain(effect))
  if (next.record !== before.record) examine(all, next)
  all.states[VICTIM] = next
  for (const effect of effects) if (effect.kind !== 'ask') agree(all, VICTIM, effect)
}

/** Errors go to users and are not written; all else in an effect is plain data. */
function plain(effect: object): object {
  return Object.fromEntries(Object.entries(effect).filter(([, value]) => !(value instanceof PerkunasError)))
}

/** What is true of a channel, whatever was said to it. */
function examine({ context, params }: Conversations, { record }: ChannelState): void {
  const { channelID, current, staging, phase, signedVersion } = record.machine
  if (current === undefined) throw new Error('a channel has a current state')
  if (phase !== 'progressed') {
    expect(signedVersion >= current.state.version).equals(true)
    for (const [i, signature] of current.signatures.entries()) {
      const message = context.rules.ledger.message(params, current.state)
      expect(context.rules.ledger.verify(message, signature ?? '0x', at(params.participants, i))).equals(true)
    }
  }
  if (phase === 'signing') expect(staging).not.equals(undefined)
  if (phase === 'acting') expect(staging).equals(undefined)
  const parts = created(record).flatMap((write): [string, Uint8Array][] =>
    write.kind === 'put' ? [[write.key.split('/')[2] ?? '', write.value]] : [],
  )
  expect(restored(channelID, new Map(parts)), 'what is written comes back').deep.equals(record)
}

/** A message whose bytes were broken on the way, if it is one still, and still about the channel. */
function heard(all: Conversations, bytes: Uint8Array): ChannelMessage | undefined {
  try {
    const message = messages.decode(bytes)
    if ('session' in message || channelOf(message) !== currentAt(all, VICTIM).state.channelID)
      return undefined
    return message
  } catch (error) {
    if (error instanceof PerkunasError) return undefined
    throw error
  }
}

describe('fuzz: what is said to a channel', () => {
  for (const place of Object.keys(PLACES)) {
    it(`${place}: whatever is said or happens -> no exception, and a channel that is whole`, () => {
      const begun = reach(place)
      const words = vocabulary(begun, place)
      const from = fc.integer({ min: 1, max: SIZE - 1 })
      const version = fc.bigInt({ min: 0n, max: 6n })
      const body: fc.Arbitrary<LedgerEventBody> = fc.oneof(
        version.map(registered),
        version.map((of) => ({ kind: 'cleared', version: of }) as const),
        version.map((of) => ({ kind: 'concluded', version: of }) as const),
      )
      const happening = fc.oneof(
        {
          weight: 6,
          arbitrary: fc.record({
            kind: fc.constant('say' as const),
            from,
            message: fc.constantFrom(...words),
          }),
        },
        {
          weight: 4,
          arbitrary: fc.record({
            kind: fc.constant('garble' as const),
            from,
            bytes: brokenBytes(words.map((word) => messages.encode(word))),
          }),
        },
        { weight: 1, arbitrary: fc.record({ kind: fc.constant('connect' as const), from }) },
        {
          weight: 2,
          arbitrary: fc.record({
            kind: fc.constant('ledger' as const),
            body,
            status: fc.constantFrom('seen', 'final', 'reorged'),
          }),
        },
        {
          weight: 1,
          arbitrary: fc.record({
            kind: fc.constant('tell' as const),
            what: fc.constantFrom(
              'settle',
              'patienceOver',
              'closeEnded',
              'progressFailed',
              'paid',
              'funded',
              'fundingFailed',
            ),
          }),
        },
      )
      fc.assert(
        fc.property(fc.array(happening, { minLength: 1, maxLength: 12 }), (happenings) => {
          const all = { ...begun, states: [...begun.states], wire: [...begun.wire], effects: [[], [], []] }
          for (const one of happenings) {
            if (one.kind === 'say') shove(all, { kind: 'received', from: one.from, message: one.message })
            if (one.kind === 'connect') shove(all, { kind: 'connected', peer: one.from })
            if (one.kind === 'ledger') shove(all, ledger(all, one.body, one.status))
            if (one.kind === 'tell') shove(all, { kind: one.what })
            const message = one.kind === 'garble' ? heard(all, one.bytes) : undefined
            if (one.kind === 'garble' && message) shove(all, { kind: 'received', from: one.from, message })
          }
        }),
        runs(60),
      )
    })
  }
})
