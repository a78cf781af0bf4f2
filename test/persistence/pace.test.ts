// When a commit may block the event loop.
import { expect } from 'chai'
import { Pace } from '../../persistence/pace.js'

/** Lets commits of `milliseconds` happen; gives how many of them blocked. */
function commits(pace: Pace, count: number, milliseconds: (blocks: boolean) => number): number {
  let blocked = 0
  for (let i = 0; i < count; i++) {
    const blocks = pace.blocks(1)
    if (blocks) blocked++
    pace.took(1, milliseconds(blocks))
  }
  return blocked
}

describe('LMDB store: pace', () => {
  it('a quick disk -> lone commits block, those of several do not', () => {
    const pace = new Pace(0.5)
    expect(commits(pace, 100, () => 0.1)).to.equal(100)
    expect(pace.blocks(2)).to.equal(false)
  })

  it('a slow disk -> at most one of 32 blocks, after a few', () => {
    const pace = new Pace(0.5)
    expect(commits(pace, 10, () => 5)).to.be.lessThan(10)
    expect(commits(pace, 320, () => 5)).to.equal(10)
  })

  it('interrupted once, for however long -> goes on blocking', () => {
    const pace = new Pace(0.5)
    commits(pace, 10, () => 0.1)
    commits(pace, 1, () => 1_000)
    expect(commits(pace, 10, () => 0.1)).to.equal(10)
  })

  it('a moment of load, and threads that go on waiting -> blocks again before long', () => {
    const pace = new Pace(0.5)
    commits(pace, 20, () => 20)
    commits(pace, 3 * 32, (blocks) => (blocks ? 0.1 : 5))
    expect(commits(pace, 100, (blocks) => (blocks ? 0.1 : 5))).to.equal(100)
  })

  it('a limit of 0 -> never blocks; Infinity -> always', () => {
    expect(commits(new Pace(0), 100, () => 0)).to.equal(0)
    expect(commits(new Pace(Infinity), 100, () => 1_000)).to.equal(100)
  })
})
