import { expect } from 'chai'
import {
  type LedgerEvent,
  type LedgerEventBody,
  paymentApp,
  type State,
  stateOf,
  transfer,
} from '../../channel/index.js'
import { type ChannelEffect, channelState } from '../../client/conversation.js'
import { rewound } from '../../client/ledger-event.js'
import { isQuiet } from '../../client/pursue.js'
import {
  agree,
  at,
  type Conversations,
  currentAt,
  deliver,
  feed,
  propose,
  reachActing,
  settleDown,
  signed,
} from './conversations.js'

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
    expect(at(all.states, 0).record.registered).equals(undefined)
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

/** Everybody has signed version 1, and participant 0, who proposed it, has not heard so when version 0 is registered. */
function halfSigned(size: number, edit: { readonly isFinal?: boolean } = {}): Conversations {
  const all = reachActing(size)
  propose(all, 0, (draft) => {
    transfer(draft, { from: 0, to: 1, amount: 1n })
    draft.isFinal = edit.isFinal ?? false
  })
  for (const sent of all.wire.splice(0)) for (const effect of deliver(all, sent)) agree(all, sent.to, effect)
  says(all, registered(0n))
  return all
}

/** The answers reach participant 0. @returns what it asks for then */
function answered(all: Conversations): readonly ChannelEffect[] {
  return all.wire.splice(0).flatMap((sent) => (sent.to === 0 ? deliver(all, sent) : []))
}

/** What our user is told: agreed versions, and what calls come to. */
function told(effects: readonly ChannelEffect[]): (bigint | string)[] {
  return effects.flatMap((effect): (bigint | string)[] => {
    if (effect.kind === 'updated') return [effect.to.version]
    if (effect.kind !== 'resolve') return []
    return ['code' in effect.result ? effect.result.code : `call: ${effect.result.version}`]
  })
}

/** As after a restart. */
function restart(all: Conversations): void {
  all.states[0] = channelState(rewound(at(all.states, 0).record))
}

describe('dispute: a state that gets complete while an older one is registered', () => {
  for (const size of [2, 3]) {
    it(`${size} participants -> it refutes, and is not agreed before its registration is final`, () => {
      const all = halfSigned(size)
      const effects = answered(all)
      expect(versionsRegistered(effects)).deep.equals([1n])
      expect(told(effects)).deep.equals([])
      expect(currentAt(all, 0).state.version).equals(0n)
      expect(told(says(all, registered(1n)))).deep.equals([])
      expect(told(says(all, registered(1n), 'final'))).deep.equals([1n, 'call: 1'])
      expect(currentAt(all, 0).state.version).equals(1n)
    })
  }

  it('it comes too late -> it was never agreed, the older one is concluded with', () => {
    const all = halfSigned(2)
    const effects = [
      ...answered(all),
      ...says(all, { kind: 'concluded', version: 0n }),
      ...says(all, { kind: 'concluded', version: 0n }, 'final'),
      ...feed(all, 0, { kind: 'paid' }),
    ]
    expect(told(effects)).deep.equals([])
    expect(effects.filter(({ kind }) => kind === 'withdraw')).not.deep.equals([])
    expect([machineOf(all).phase, currentAt(all, 0).state.version]).deep.equals(['withdrawn', 0n])
  })

  it('its registration goes away with its block -> it is made again, and still not agreed', () => {
    const all = halfSigned(2)
    answered(all)
    says(all, registered(1n))
    const effects = says(all, registered(1n), 'reorged')
    expect(versionsRegistered(effects)).deep.equals([1n])
    expect(told(effects)).deep.equals([])
  })

  it('the older registration goes away with its block -> it is agreed, and the channel goes on', () => {
    const all = halfSigned(2)
    answered(all)
    expect(told(says(all, registered(0n), 'reorged'))).deep.equals([1n, 'call: 1'])
    expect([machineOf(all).phase, currentAt(all, 0).state.version]).deep.equals(['acting', 1n])
  })

  it('a participant hands it over -> the same as if the last answer had come', () => {
    const all = halfSigned(2)
    const { state, signatures } = currentAt(all, 1)
    const list = signatures.flatMap((signature) => signature ?? [])
    const message = { kind: 'signedState', state, signatures: list } as const
    const effects = feed(all, 0, { kind: 'received', from: 1, message })
    expect(versionsRegistered(effects)).deep.equals([1n])
    expect(told(effects)).deep.equals([])
    expect(versionsRegistered(feed(all, 0, { kind: 'received', from: 1, message }))).deep.equals([])
  })

  it('the ledger shows it in a registration -> agreed when that is final', () => {
    const all = halfSigned(2)
    const { state, signatures } = currentAt(all, 1)
    const list = signatures.flatMap((signature) => signature ?? [])
    const body: LedgerEventBody = {
      ...registered(1n),
      kind: 'registered',
      deadline: DEADLINE,
      state,
      signatures: list,
    }
    expect(told(says(all, body))).deep.equals([])
    expect(told(says(all, body, 'final'))).deep.equals([1n, 'call: 1'])
  })

  it('it is an end -> concluded with at once, and agreed when that is final', () => {
    const all = halfSigned(2, { isFinal: true })
    const withdrawn = answered(all).flatMap((effect) =>
      effect.kind === 'withdraw' ? [effect.transaction.state.version] : [],
    )
    expect(withdrawn).deep.equals([1n])
    expect(told(says(all, { kind: 'concluded', version: 1n }))).deep.equals([])
    expect(told(says(all, { kind: 'concluded', version: 1n }, 'final'))).deep.equals([1n, 'call: 1'])
  })

  it('a restart in between -> refuted with all the same, and agreed when the ledger has it', () => {
    const all = halfSigned(2)
    answered(all)
    restart(all)
    expect(versionsRegistered(says(all, registered(0n)))).deep.equals([1n])
    says(all, registered(1n))
    restart(all)
    for (const version of [0n, 1n]) says(all, registered(version))
    expect(told(says(all, registered(0n), 'final'))).deep.equals([])
    expect(told(says(all, registered(1n), 'final'))).deep.equals([1n])
  })

  it('another one than our user proposed -> the call may try again', () => {
    const all = halfSigned(2)
    const other = stateOf(
      currentAt(all, 0).state,
      { ...currentAt(all, 0).state.allocation, balances: [[50n, 150n]], data: '0x', isFinal: false },
      2n,
    )
    const message = {
      kind: 'signedState',
      state: other,
      signatures: [0, 1].map((i) => signed(all, i, other)),
    } as const
    expect(told(feed(all, 0, { kind: 'received', from: 1, message }))).deep.equals(['UPDATE_CROSSED'])
  })
})

describe('dispute: a checkpoint', () => {
  const cleared = (
    version: bigint,
    state?: State,
    signatures?: readonly `0x${string}`[],
  ): LedgerEventBody => {
    return { kind: 'cleared', version, state, signatures }
  }

  it('the channel goes on when it is final: before that, what it cleared may come back too late to be refuted', () => {
    const all = halfSigned(2)
    const { state, signatures } = currentAt(all, 1)
    const body = cleared(
      1n,
      state,
      signatures.flatMap((signature) => signature ?? []),
    )
    expect(told(says(all, body))).deep.equals([])
    expect(machineOf(all).phase).equals('registered')
    expect(told(says(all, body, 'final'))).deep.equals([1n, 'call: 1'])
    expect(machineOf(all).phase).equals('acting')
  })

  it('our user wants the end -> the newest state is registered again', () => {
    const all = agreedOn(2n)
    feed(all, 0, { kind: 'dispute', wanted: 'settlement' })
    says(all, registered(2n))
    expect(versionsRegistered(says(all, cleared(2n)))).deep.equals([2n])
    says(all, cleared(2n), 'final')
    expect([machineOf(all).phase, at(all.states, 0).record.wanted]).deep.equals(['registering', 'settlement'])
  })

  it('a registration of the same version after it -> stands, whenever the checkpoint is final', () => {
    const all = agreedOn(2n)
    says(all, registered(0n))
    says(all, cleared(2n))
    says(all, registered(2n))
    says(all, cleared(2n), 'final')
    expect([machineOf(all).phase, at(all.states, 0).record.registered?.version]).deep.equals([
      'registered',
      2n,
    ])
  })

  it('a registration after it goes away -> the channel goes on when the checkpoint is final', () => {
    const all = agreedOn(2n)
    says(all, registered(0n))
    says(all, cleared(1n))
    says(all, registered(2n))
    says(all, registered(2n), 'reorged')
    expect(machineOf(all).phase).equals('registered')
    says(all, cleared(1n), 'final')
    expect(machineOf(all).phase).equals('acting')
  })
})

describe('dispute: a state that was not refuted in time', () => {
  it('a conclusion goes away, and with it what it was made with -> what is registered then is refuted', () => {
    const all = agreedOn(2n)
    says(all, registered(0n))
    says(all, { kind: 'concluded', version: 0n })
    expect(machineOf(all).phase).equals('withdrawing')
    says(all, { kind: 'concluded', version: 0n }, 'reorged')
    says(all, registered(0n), 'reorged')
    expect(at(all.states, 0).record.registered).equals(undefined)
    expect(versionsRegistered(says(all, registered(1n)))).deep.equals([2n])
    expect(machineOf(all).phase).equals('withdrawing')
  })

  it('a step that was enforced on it goes away -> ours is current again, and what was registered is known', () => {
    const app = paymentApp('0x0c')
    const all = reachActing(2, app)
    const first = currentAt(all, 0).state
    propose(all, 0, (draft) => transfer(draft, { from: 0, to: 1, amount: 1n }))
    settleDown(all)
    says(all, registered(0n))
    const draft = {
      assets: first.allocation.assets,
      balances: [[101n, 99n]],
      data: first.data,
      isFinal: false,
    }
    const forced = stateOf(first, draft, 1n)
    const progressed: LedgerEventBody = {
      kind: 'progressed',
      version: 1n,
      deadline: 2_000n,
      state: forced,
      actor: 1,
    }
    says(all, progressed)
    expect(currentAt(all, 0).state).deep.equals(forced)
    says(all, progressed, 'reorged')
    expect([machineOf(all).phase, currentAt(all, 0).state.allocation.balances]).deep.equals([
      'registered',
      [[99n, 101n]],
    ])
    expect(at(all.states, 0).record.registered).deep.equals({ version: 0n, deadline: DEADLINE })
  })

  it('our user forces a step on a state that is not registered -> not before it is', () => {
    const app = paymentApp('0x0c')
    const all = reachActing(2, app)
    propose(all, 0, (draft) => transfer(draft, { from: 0, to: 1, amount: 1n }))
    settleDown(all)
    says(all, registered(0n))
    const { state } = currentAt(all, 0)
    const draft = {
      assets: state.allocation.assets,
      balances: [[98n, 102n]],
      data: state.data,
      isFinal: false,
    }
    const next = stateOf(state, draft, 2n)
    const force = { kind: 'force', state: next, signature: signed(all, 0, next) } as const
    expect(feed(all, 0, force)).deep.equals([])
    says(all, registered(1n))
    expect(feed(all, 0, force).map(({ kind }) => kind)).deep.equals(['cancel', 'progress'])
  })
})
