import { expect } from 'chai'
import { type LedgerEvent, type LedgerEventBody, transfer } from '../../channel/index.js'
import type { ChannelEffect } from '../../client/conversation.js'
import { isQuiet, rewound } from '../../client/dispute.js'
import { at, type Conversations, currentAt, feed, propose, reachActing, settleDown } from './conversations.js'

const DEADLINE = 1_000n

function says(all: Conversations, body: LedgerEventBody, status: LedgerEvent['status'] = 'seen') {
  const { channelID } = currentAt(all, 0).state
  return feed(all, 0, { kind: 'ledger', event: { ...body, channelID, status, cursor: 'c1' } })
}

const registered = (version: bigint): LedgerEventBody => {
  return { kind: 'registered', version, deadline: DEADLINE, state: undefined, signatures: undefined }
}

/** Two participants who have agreed on a version above the first ones. */
function agreedOn(version: bigint): Conversations {
  const all = reachActing(2)
  for (let i = 0n; i < version; i++) {
    propose(all, 0, (draft) => transfer(draft, { from: 0, to: 1, amount: 1n }))
    settleDown(all)
  }
  return all
}

const machineOf = (all: Conversations) => at(all.states, 0).record.machine
const versionsRegistered = (effects: readonly ChannelEffect[]) =>
  effects.flatMap((effect) => (effect.kind === 'register' ? [effect.transaction.state.version] : []))

describe('dispute: events that a reorg takes back', () => {
  it('a refutation -> what it refuted stands again and is refuted', () => {
    const all = agreedOn(2n)
    says(all, registered(0n))
    says(all, registered(0n), 'final')
    says(all, registered(2n))
    expect(versionsRegistered(says(all, registered(2n), 'reorged'))).deep.equals([2n])
    expect(at(all.states, 0).record.registered).deep.equals({ version: 0n, deadline: DEADLINE })
    expect(machineOf(all).phase).equals('registered')
  })

  it('one of several refutations -> the one before it stands', () => {
    const all = agreedOn(3n)
    for (const version of [0n, 1n, 2n]) says(all, registered(version))
    says(all, registered(2n), 'reorged')
    expect(at(all.states, 0).record.registered?.version).equals(1n)
  })

  it('a dispute from its beginning, oldest event first -> the channel goes on', () => {
    const all = agreedOn(2n)
    for (const version of [0n, 1n]) says(all, registered(version))
    for (const version of [0n, 1n]) says(all, registered(version), 'reorged')
    expect(at(all.states, 0).record.registered).equals(undefined)
    expect(machineOf(all).phase).equals('acting')
  })

  it('a checkpoint -> the dispute that it cleared stands again and is refuted', () => {
    const all = agreedOn(2n)
    says(all, registered(0n))
    says(all, { kind: 'cleared', version: 1n })
    expect(machineOf(all).phase).equals('acting')
    expect(versionsRegistered(says(all, { kind: 'cleared', version: 1n }, 'reorged'))).deep.equals([2n])
    expect(at(all.states, 0).record.registered?.version).equals(0n)
  })

  it('a registration after a final checkpoint -> the channel goes on, whatever was registered before', () => {
    const all = agreedOn(3n)
    says(all, registered(0n))
    says(all, { kind: 'cleared', version: 1n })
    says(all, registered(2n))
    says(all, { kind: 'cleared', version: 1n }, 'final')
    says(all, registered(2n), 'reorged')
    expect(machineOf(all).phase).equals('acting')
  })

  it('one that was told before a restart only -> forgotten', () => {
    const all = agreedOn(1n)
    says(all, registered(1n))
    const { record } = at(all.states, 0)
    all.states[0] = { ...at(all.states, 0), overruled: [], record: rewound(record) }
    says(all, registered(1n), 'reorged')
    expect(machineOf(all).phase).equals('acting')
  })
})

describe('dispute: when a channel may rest', () => {
  it('a dispute is cleared -> not before that is final, since what was registered may come back', () => {
    const all = agreedOn(2n)
    expect(isQuiet(at(all.states, 0), all.context)).equals(true)
    says(all, registered(0n))
    says(all, { kind: 'cleared', version: 1n })
    expect(isQuiet(at(all.states, 0), all.context)).equals(false)
    says(all, { kind: 'cleared', version: 1n }, 'final')
    expect(isQuiet(at(all.states, 0), all.context)).equals(true)
  })
})

describe('dispute: where a restart begins to read', () => {
  it('a final registration -> before it, since what refutes it may go; a final checkpoint -> behind it', () => {
    const all = agreedOn(2n)
    says(all, registered(0n), 'final')
    expect(at(all.states, 0).record.cursor).equals(undefined)
    says(all, { kind: 'cleared', version: 1n }, 'final')
    expect(at(all.states, 0).record.cursor).equals('c1')
  })
})
