import { expect } from 'chai'
import fc from 'fast-check'
import { SIM_BACKEND } from '../../backend/sim/encode.js'
import { PerkunasError } from '../../channel/index.js'
import { type ChannelProposal, messages, type SessionMessage } from '../../client/messages.js'
import { newSession, type Session, type SessionInput, sessionID, stepSession } from '../../client/proposal.js'
import { addressOf, secp256k1 } from '../../wallet/index.js'
import { at, type Conversations, currentAt, reachActing, signed } from '../client/conversations.js'
import { brokenBytes, runs } from './inputs.js'

const SIZE = 3

function proposalOf(all: Conversations): ChannelProposal {
  const { assets, balances } = currentAt(all, 0).state.allocation
  const { peers } = at(all.states, 0).record
  const participant = at(all.params.participants, 0)
  const rest = { app: '0x', data: '0x', nonceShare: `0x${'01'.repeat(32)}`, aux: all.params.aux } as const
  const terms = { challengeDuration: 60n, assets, balances, agreement: balances, peers, participant, ...rest }
  return { kind: 'channelProposal', session: sessionID(terms), ...terms }
}

/** What the others could say: shares and addresses that fit or don't, signatures, refusals, the proposal again. */
function vocabulary(all: Conversations, proposal: ChannelProposal): readonly SessionMessage[] {
  const { session } = proposal
  const said: SessionMessage[] = [proposal, { kind: 'channelProposalRej', session, reason: 'no' }]
  for (let i = 1; i < SIZE; i++) {
    const nonceShare = `0x${`0${i}`.repeat(32)}` as const
    const stranger = { [SIM_BACKEND]: addressOf(secp256k1.publicKey(new Uint8Array(32).fill(9))) }
    for (const participant of [at(all.params.participants, i), stranger]) {
      said.push({ kind: 'channelProposalAcc', session, nonceShare, participant })
    }
    said.push({ kind: 'initialSignature', session, signature: signed(all, i, currentAt(all, 0).state) })
  }
  return said
}

function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value) || ArrayBuffer.isView(value))
    return value
  for (const inner of Object.values(value)) frozen(inner)
  return Object.freeze(value)
}

function heard(bytes: Uint8Array, session: string): SessionMessage | undefined {
  try {
    const message = messages.decode(bytes)
    return 'session' in message && message.session === session ? message : undefined
  } catch (error) {
    if (error instanceof PerkunasError) return undefined
    throw error
  }
}

describe('fuzz: what is said in a proposal', () => {
  for (const index of [0, 1]) {
    it(`to participant ${index}: whatever is said or happens -> no exception, and it opens only with all good signatures`, () => {
      const all = reachActing(SIZE)
      const proposal = proposalOf(all)
      const words = vocabulary(all, proposal)
      const from = fc.nat(SIZE - 1).filter((i) => i !== index)
      const participant = at(all.params.participants, index)
      const own: SessionInput[] = [
        { kind: 'begin' },
        { kind: 'accept', contribution: { nonceShare: `0x${'0a'.repeat(32)}`, participant } },
        { kind: 'reject', reason: 'no' },
        { kind: 'connected', peer: 2 },
        { kind: 'disconnected', from: 2 },
      ]
      const happening = fc.oneof(
        { weight: 5, arbitrary: fc.record({ from, message: fc.constantFrom(...words) }) },
        {
          weight: 4,
          arbitrary: fc.record({ from, bytes: brokenBytes(words.map((word) => messages.encode(word))) }),
        },
        { weight: 3, arbitrary: fc.record({ input: fc.constantFrom(...own) }) },
      )
      fc.assert(
        fc.property(fc.array(happening, { maxLength: 12 }), (happenings) => {
          let session: Session = newSession(proposal, index)
          const feed = (input: SessionInput) => {
            const { next, effects } = stepSession(frozen(session), frozen(input), all.context)
            session = next
            for (const effect of effects) {
              if (effect.kind === 'sign')
                feed({ kind: 'signed', signature: signed(all, index, effect.state) })
              if (effect.kind !== 'opened') continue
              const { current } = effect.machine
              const message = all.context.rules.ledger.message(
                effect.machine.params,
                current?.state ?? fail(),
              )
              for (const [i, signature] of current?.signatures.entries() ?? []) {
                const addresses = at(effect.machine.params.participants, i)
                expect(all.context.rules.ledger.verify(message, signature ?? '0x', addresses)).equals(true)
              }
            }
          }
          for (const one of happenings) {
            if ('input' in one) feed(one.input)
            const message =
              'message' in one ? one.message : 'bytes' in one ? heard(one.bytes, proposal.session) : undefined
            if (message && 'from' in one) feed({ kind: 'received', from: one.from, message })
          }
        }),
        runs(100),
      )
    })
  }
})

function fail(): never {
  throw new Error('a state')
}
