// The order of a node, with a core of the test's.
import { expect } from 'chai'
import { Core } from '../../../../backend/bitcoin/node/core.js'
import type { Entry } from '../../../../backend/bitcoin/node/entries.js'
import { Turns } from '../../../../backend/bitcoin/node/turns.js'
import { systemClock } from '../../../../peer/index.js'
import { MemoryStore } from '../../../../persistence/index.js'

/** Parts that are made ahead for one channel. */
const PARTS = 3

describe('LightningNode: what is made ahead', () => {
  it('of more channels than keys are kept of -> all of each, and then nothing any more', async () => {
    const entries: readonly Entry[] = [1n, 2n, 3n].map((keyIndex) =>
      Object.assign(Object.create(null), { keyIndex }),
    )
    const made: bigint[] = []
    /** Keeps what it made of one channel, as a node does of some thousands. */
    let kept = { keyIndex: 0n, parts: 0 }
    const core: Core = Object.assign(Object.create(Core.prototype), {
      turn: (inputs: Iterable<unknown>) => {
        expect([...inputs]).to.have.length(1)
        return { writes: [], effects: [], isUnfinished: false }
      },
      committed: () => entries,
      prepare({ keyIndex }: Entry) {
        if (kept.keyIndex !== keyIndex) kept = { keyIndex, parts: 0 }
        if (kept.parts++ === PARTS) return false
        made.push(keyIndex)
        return true
      },
    })
    const tasks: (() => void)[] = []
    const run = () => tasks.shift()?.()
    const turns = new Turns({
      core,
      store: new MemoryStore(),
      clock: systemClock,
      schedule: (task) => tasks.push(task),
      keep: () => {},
      perform: () => {},
      changed: () => {},
      failed: () => {},
    })
    turns.push({ kind: 'tick' })
    run()
    await turns.idle()
    for (let count = 0; tasks.length > 0 && count < 100; count++) run()
    expect(made.join('')).to.equal('111222333')
    expect(tasks).to.have.length(0)
  })
})
