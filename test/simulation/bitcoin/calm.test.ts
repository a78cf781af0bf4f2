import { expect } from 'chai'
import type { Live } from '../../../backend/bitcoin/channel/index.js'
import { msat } from '../../../backend/bitcoin/units.js'
import { Pair } from '../../backend/bitcoin/channel/pair.js'
import { SimNetwork } from '../network.js'
import { Random } from '../random.js'
import { VirtualTime } from '../time.js'
import { Calm } from './calm.js'
import { PaymentOracle } from './oracle.js'
import { BLOCK_MS } from './pace.js'

const ALICE = '0x0a'
const BOB = '0x0b'

/** Two parties over many blocks, of which a pair of machines has the channel. */
function watched() {
  const time = new VirtualTime()
  const network = new SimNetwork(time, new Random('calm'), () => undefined)
  const oracle = new PaymentOracle()
  const calm = new Calm({ time, network, oracle })
  const pair = new Pair().reachNormal({ push: msat(400_000_000n) })
  // Both say where they stand, as after any connection.
  pair.disconnect()
  pair.connect()
  pair.settle()
  const resting = (change = (live: Live) => live) => [
    { name: 'a', id: ALICE, held: [{ channel: 0n, live: pair.live(pair.alice) }] } as const,
    { name: 'b', id: BOB, held: [{ channel: 0n, live: change(pair.live(pair.bob)) }] } as const,
  ]
  return {
    calm,
    network,
    pair,
    resting,
    async pass(blocks: number, each: () => void = () => undefined) {
      for (let i = 0; i < blocks; i++) {
        await time.runUntil(time.now() + BLOCK_MS)
        each()
        calm.look(resting())
      }
    },
    violations: () => oracle.violations.map(({ invariant }) => invariant),
  }
}

describe('simulation on Bitcoin: calm', () => {
  it('two at rest, and two with an HTLC that nobody has decided on -> nothing to say', async () => {
    const { pair, pass, violations } = watched()
    await pass(10)
    pair.add(pair.alice, 5_000_000n, 1)
    pair.settle()
    await pass(10)
    expect(violations()).to.deep.equal([])
  })

  it('a batch that is never answered -> found, once, a block after its time', async () => {
    const { pair, pass, violations } = watched()
    await pass(3)
    pair.add(pair.alice, 5_000_000n, 1)
    pair.input(pair.alice, { kind: 'flush' })
    await pass(2)
    expect(violations()).to.deep.equal([])
    await pass(8)
    expect(new Set(violations())).to.deep.equal(new Set(['honest peers come to rest']))
    expect(violations()).to.have.length(2)
  })

  it('as long as they are disturbed they may wait', async () => {
    for (const disturbing of ['start', 'break', 'cut', 'weather'] as const) {
      const { calm, network, pair, pass, violations } = watched()
      pair.add(pair.alice, 5_000_000n, 1)
      pair.input(pair.alice, { kind: 'flush' })
      if (disturbing === 'cut') network.cut(ALICE, BOB)
      if (disturbing === 'weather') network.weather.latency = 600
      const disturb = () => {
        if (disturbing === 'start') calm.disturb(BOB)
        if (disturbing === 'break') network.disconnect(ALICE, BOB)
      }
      await pass(10, disturb)
      expect(violations(), disturbing).to.deep.equal([])
      network.heal()
      await pass(6)
      expect(violations(), disturbing).to.have.length(2)
    }
  })

  it('a connection that one of the two ends is no excuse', async () => {
    const { network, pair, pass, violations } = watched()
    pair.add(pair.alice, 5_000_000n, 1)
    pair.input(pair.alice, { kind: 'flush' })
    await pass(8, () => network.disconnect(ALICE, BOB, true))
    expect(violations()).to.have.length(2)
  })

  it('I8: at rest they differ -> found at once', () => {
    const { calm, resting, violations } = watched()
    calm.look(
      resting((live) => ({
        ...live,
        book: { ...live.book, balances: { ...live.book.balances, local: msat(1n) } },
      })),
    )
    expect(violations()).to.deep.equal(['no mistake of ours'])
  })

  const closings = [
    { words: 'by command, at rest for blocks', cause: 'command', isFound: true },
    { words: 'by command, just back', cause: 'command', isDisturbed: true, isFound: false },
    { words: 'by command, with an HTLC', cause: 'command', isBusy: true, isFound: false },
    { words: 'for data that nobody lost', cause: 'dataLoss', isDisturbed: true, isFound: true },
    { words: 'for an error of the peer', cause: 'peerError', isFound: false },
    { words: 'for an HTLC, undisturbed', cause: 'expiry', isBusy: true, isFound: true },
    { words: 'for an HTLC, just back', cause: 'expiry', isBusy: true, isDisturbed: true, isFound: false },
    { words: 'for a fee, the chain being quiet', cause: 'feerate', isFound: true },
    { words: 'for a fee, the chain not being quiet', cause: 'feerate', isDisturbed: true, isFound: false },
  ] as const
  for (const { words, cause, isFound, ...how } of closings) {
    it(`closes by force ${words} -> ${isFound ? 'a violation' : 'its right'}`, async () => {
      const { calm, pair, pass, violations } = watched()
      if ('isBusy' in how) {
        pair.add(pair.alice, 5_000_000n, 1)
        pair.settle()
      }
      await pass(20)
      if ('isDisturbed' in how) {
        calm.disturb(BOB)
        calm.disturbChain()
      }
      const failure = { cause, reason: 'HTLC 0 (ours) is open at its deadline' }
      calm.closes({ name: 'a', id: ALICE }, BOB, { ...pair.live(pair.alice), failure })
      expect(violations()).to.deep.equal(isFound ? ['nobody closes without a cause'] : [])
    })
  }
})
