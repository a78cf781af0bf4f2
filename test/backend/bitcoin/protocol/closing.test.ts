// How long a peer is waited for when a channel is to be settled together.
import { expect } from 'chai'
import { Waiters } from '../../../../backend/bitcoin/node/waiters.js'
import {
  type Closing,
  COMEBACKS,
  closeTogether,
  OVERDUE_BLOCKS,
  type Patience,
} from '../../../../backend/bitcoin/protocol/closing.js'
import { blockHeight } from '../../../../backend/bitcoin/units.js'
import { isError, PerkunasError } from '../../../../channel/index.js'
import { VirtualTime } from '../../../simulation/time.js'

const TIMEOUT = 1000

/** A channel whose peer does what the test says. */
class Scene {
  readonly time = new VirtualTime()
  readonly #waiters = new Waiters()
  height = 100
  isConnected = true
  isClosingAgreed = false
  expiries: number[] = []
  /** What `close` was asked, each time. */
  readonly said: boolean[] = []
  /** What a `close` that must find no HTLC meets. */
  refusal: PerkunasError | undefined

  /** Something happens; all that follows at once is done when it resolves. */
  async happens(what: () => void): Promise<void> {
    what()
    this.#waiters.check()
    await new Promise(setImmediate)
  }

  async block(height: number): Promise<void> {
    await this.happens(() => {
      this.height = height
    })
  }

  async comesBack(): Promise<void> {
    for (const isConnected of [false, true])
      await this.happens(() => {
        this.isConnected = isConnected
      })
  }

  async waits(ms: number): Promise<void> {
    await this.happens(() => undefined)
    await this.time.runUntil(this.time.now() + ms)
    await this.happens(() => undefined)
  }

  /** Begins; tells how it has ended, if it has. */
  begin(locks: Patience['locks']): { result: unknown } {
    const end: { result: unknown } = { result: undefined }
    const scene = this
    const closing: Closing = {
      node: {
        get height() {
          return scene.height
        },
        close: async (_, { isIdle = false } = {}) => {
          this.said.push(isIdle)
          if (isIdle && this.refusal !== undefined) throw this.refusal
        },
        eventually: (look, signal) => this.#waiters.until(look, signal),
      },
      clock: this.time,
      channel: 0n,
      look: () => ({
        phase: 'acting',
        live: {
          isClosingAgreed: this.isClosingAgreed,
          isConnected: this.isConnected,
          htlcs: this.expiries.map((expiry) => ({ cltvExpiry: blockHeight(expiry) })),
        },
      }),
    }
    const patience: Patience = { timeout: TIMEOUT, locks, signal: new AbortController().signal }
    closeTogether(closing, patience).then(
      (result) => {
        end.result = result
      },
      (error: unknown) => {
        end.result = error
      },
    )
    return end
  }
}

describe('bitcoin: settling together', () => {
  it('a lock that is over for some blocks and still there -> the time of the peer runs, though it is there', async () => {
    const scene = new Scene()
    scene.expiries = [160, 150]
    const end = scene.begin('wait')
    await scene.waits(100 * TIMEOUT)
    await scene.block(160 + OVERDUE_BLOCKS - 1)
    await scene.waits(100 * TIMEOUT)
    expect(end.result).equals(undefined)
    await scene.block(160 + OVERDUE_BLOCKS)
    await scene.waits(TIMEOUT - 1)
    expect(end.result).equals(undefined)
    await scene.waits(1)
    expect(end.result).equals(false)
  })

  it('an expiry of the peer’s choice that is absurd is waited for no longer than a lock may last', async () => {
    const scene = new Scene()
    scene.expiries = [400_000_000]
    const end = scene.begin('wait')
    await scene.block(100 + 2016 + OVERDUE_BLOCKS)
    await scene.waits(TIMEOUT)
    expect(end.result).equals(false)
  })

  it('a peer that comes back again and again and never agrees -> as often as its time is over five times', async () => {
    for (const expiries of [[], [90]]) {
      const scene = new Scene()
      scene.expiries = expiries
      const end = scene.begin('wait')
      for (let back = 1; back < 2 * COMEBACKS; back++) {
        await scene.waits(TIMEOUT / 2)
        expect(end.result, `after ${back}`).equals(undefined)
        await scene.comesBack()
      }
      expect(scene.said.length).equals(2 * COMEBACKS)
      await scene.waits(TIMEOUT / 2)
      expect(end.result).equals(false)
    }
  })

  it('while a lock is open that it may release, it may come back as often as it likes', async () => {
    const scene = new Scene()
    scene.expiries = [160]
    const end = scene.begin('wait')
    for (let back = 0; back < 10 * COMEBACKS; back++) {
      await scene.waits(TIMEOUT / 2)
      await scene.comesBack()
    }
    expect(end.result).equals(undefined)
    await scene.happens(() => {
      scene.expiries = []
      scene.isClosingAgreed = true
    })
    expect(end.result).equals(true)
  })

  it('locks: refuse -> asked in the moment in which it begins, also when the peer is back', async () => {
    const scene = new Scene()
    scene.isConnected = false
    const end = scene.begin('refuse')
    const rule = 'no open locks'
    scene.refusal = new PerkunasError('INVALID_TRANSITION', rule, { rule })
    await scene.comesBack()
    expect(scene.said).deep.equals([true])
    expect(isError(end.result, 'INVALID_TRANSITION')).equals(true)
  })
})
