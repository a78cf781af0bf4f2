import { expect } from 'chai'
import type { Adjudicator, LedgerEvent, PerkunasError, Subscription } from '../../channel/index.js'
import { localWatcher } from '../../client/index.js'
import { group, open, settled } from './parties.js'

const id = `0x${'01'.repeat(32)}` as const

function event(cursor: string): LedgerEvent {
  return { kind: 'concluded', version: 0n, channelID: id, status: 'final', cursor }
}

describe('watcher: subscriptions', () => {
  it('one that breaks -> reported, and made again from the last event on; closing ends it', async () => {
    const asked: (string | undefined)[] = []
    let isClosed = false
    const subscribe = (_: string, options: { readonly cursor?: string } = {}): Subscription => {
      asked.push(options.cursor)
      return {
        close: () => {
          isClosed = true
        },
        async *[Symbol.asyncIterator]() {
          yield event(`after ${asked.length}`)
          if (asked.length < 3) throw new Error('the node spoke nonsense')
        },
      }
    }
    const errors: PerkunasError[] = []
    const pauses: (() => void)[] = []
    const clock = {
      now: () => 0,
      after: (_ms: number, callback: () => void) => {
        pauses.push(callback)
        return () => undefined
      },
    }
    const watcher = localWatcher({ subscribe } as Partial<Adjudicator> as Adjudicator, clock, (error) =>
      errors.push(error),
    )
    const seen: string[] = []
    const watching = watcher.watch(id, 'stored', ({ cursor }) => seen.push(cursor))
    for (const round of [1, 2]) {
      await settled(() => pauses.length === round)
      pauses[round - 1]?.()
    }
    await settled(() => seen.length === 3)
    expect(asked).deep.equals(['stored', 'after 1', 'after 2'])
    expect(errors.map(({ code }) => code)).deep.equals(['LEDGER_UNREACHABLE', 'LEDGER_UNREACHABLE'])
    watching.close()
    expect(isClosed).equals(true)
  })

  it('a new channel is watched from before our signature on', async () => {
    const world = await group(2)
    for (const { backend } of world.parties) {
      const { adjudicator } = backend
      Object.assign(adjudicator, { cursor: async () => '0:0:genesis' })
    }
    const asked: (string | undefined)[] = []
    for (const { backend } of world.parties) {
      const subscribe = backend.adjudicator.subscribe.bind(backend.adjudicator)
      backend.adjudicator.subscribe = (channelID, options) => {
        asked.push(options?.cursor)
        return subscribe(channelID, options)
      }
    }
    await open(world)
    expect(asked).deep.equals(['0:0:genesis', '0:0:genesis'])
  })
})
