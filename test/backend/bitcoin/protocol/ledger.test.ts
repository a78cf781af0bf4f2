// What the chain shows of a Lightning channel, as its user is told.
import { expect } from 'chai'
import {
  chainEvents,
  type Spent,
  spentEvents,
  type Told,
} from '../../../../backend/bitcoin/protocol/ledger.js'
import { sat } from '../../../../backend/bitcoin/units.js'

const TOLD: Told = {
  channelID: `0x${'77'.repeat(32)}`,
  index: 1,
  version: 9n,
  delay: { local: 10, remote: 20 },
  height: 105,
}
const TXID = new Uint8Array(32).fill(3)

function spent(by: Spent['by'], changes: Partial<Spent> = {}): Spent {
  const commitment = { number: 4n, newest: 6n }
  return { kind: 'spent', by, txid: TXID, height: 100, depth: 1, commitment, ...changes }
}

function brief(events: ReturnType<typeof spentEvents>): unknown[] {
  return events.map((one) => {
    if (one.kind !== 'ledger') return one
    const { event } = one
    return event.kind === 'registered'
      ? [event.kind, event.status, event.version, event.by, event.deadline]
      : [event.kind, event.status, 'version' in event ? event.version : undefined]
  })
}

describe('bitcoin: what the chain shows of a channel', () => {
  it('a commitment is registered by its holder, whose share waits until the deadline', () => {
    expect(brief(spentEvents(spent('holderNewest'), TOLD))).deep.equals([['registered', 'seen', 4n, 1, 110n]])
    expect(brief(spentEvents(spent('counterpartyCurrent', { depth: 6 }), TOLD))).deep.equals([
      ['registered', 'final', 4n, 0, 120n],
    ])
  })

  it('a revoked one is an alarm, once', () => {
    const alarm = { kind: 'atRisk', reason: 'olderState', registered: 4n, newest: 6n, deadline: 120n }
    expect(brief(spentEvents(spent('revoked'), TOLD))).deep.equals([
      ['registered', 'seen', 4n, 0, 120n],
      alarm,
    ])
    expect(brief(spentEvents(spent('revoked', { depth: 6 }), TOLD))).deep.equals([
      ['registered', 'final', 4n, 0, 120n],
    ])
  })

  it('what goes away with its block is told as that', () => {
    expect(brief(spentEvents(spent('revoked'), TOLD, true))).deep.equals([
      ['registered', 'reorged', 4n, 0, 120n],
    ])
    const { commitment: _, ...closing } = spent('closing')
    expect(brief(spentEvents(closing, TOLD, true))).deep.equals([['concluded', 'reorged', 9n]])
  })

  it('a closing concludes the newest state, a commitment its own, each once it is final', () => {
    const { commitment: _, ...closing } = spent('closing', { depth: 6 })
    expect(brief(spentEvents(closing, TOLD))).deep.equals([['concluded', 'final', 9n]])
    expect(brief(chainEvents({ kind: 'resolved' }, TOLD))).deep.equals([])
    expect(brief(chainEvents({ kind: 'resolved', number: 4n }, TOLD))).deep.equals([
      ['concluded', 'final', 4n],
    ])
  })

  it('only what is taken as a penalty is punishment', () => {
    const output = { kind: 'output', outpoint: { txid: TXID, index: 0 }, amount: sat(5n), depth: 1 } as const
    expect(chainEvents({ ...output, by: 'us' }, TOLD)).deep.equals([])
    expect(chainEvents({ ...output, by: 'peer' }, TOLD)).deep.equals([])
    expect(chainEvents({ ...output, by: 'us', penalty: 4n }, TOLD)).deep.equals([
      { kind: 'punished', version: 4n, amount: 5000n, status: 'seen' },
    ])
  })

  it('what is no transaction of the channel’s is no event of its states', () => {
    const { commitment: _, ...unknown } = spent('unknown')
    expect(spentEvents(unknown, TOLD)).deep.equals([])
  })
})
