import { expect } from 'chai'
import fc from 'fast-check'
import { type ChannelID, type Params, PerkunasError, type State } from '../../channel/index.js'
import { Tower, type TowerEvent } from '../../client/tower/index.js'
import { towerMessages } from '../../client/tower/messages.js'
import { type Stored, stored } from '../../client/tower/records.js'
import type { Bus, MessageHandler, PeerID } from '../../peer/index.js'
import { MemoryStore } from '../../persistence/index.js'
import { firstState, party, signedByAll, simWorld } from '../backend/sim/world.js'
import { brokenBytes, runs } from './inputs.js'

const CLIENT: PeerID = `0x02${'11'.repeat(32)}`
const OTHER: PeerID = `0x02${'22'.repeat(32)}`
const CHANNELS = 4
const LIMITS = { channels: 3, bytes: 5_000 }

/** What a client says, and the version of a channel that it may make a tower hold. */
interface Word {
  readonly payload: Uint8Array
  readonly good?: { readonly id: ChannelID; readonly version: bigint }
}

/** A bus that only hands in payloads, and keeps what is answered. */
function mouth() {
  const handlers: MessageHandler[] = []
  const answers: Uint8Array[] = []
  const bus: Bus = {
    id: OTHER,
    send: (_, payload) => {
      answers.push(payload)
      return Promise.resolve()
    },
    connect: () => undefined,
    release: () => undefined,
    isConnected: () => true,
    onMessage: (handler) => {
      handlers.push(handler)
      return () => void handlers.splice(handlers.indexOf(handler), 1)
    },
    onPeer: () => () => undefined,
    disconnect: () => undefined,
    close: () => Promise.resolve(),
  }
  const hear = async (payload: Uint8Array) => {
    for (const handler of handlers) await handler(CLIENT, payload)
  }
  return { bus, hear, answers }
}

/** States of several channels, right ones and wrong ones, and all else that can be said. */
function vocabulary() {
  const world = simWorld()
  const { parties, assets } = world
  const words: Word[] = []
  for (let c = 0; c < CHANNELS; c++) {
    const params: Params = { ...world.params, nonce: BigInt(c) + 1n }
    const first = firstState(parties, params, assets)
    const id = first.channelID
    const watch = (signed: ReturnType<typeof signedByAll>, subChannels: (typeof signed)[] = []) =>
      towerMessages.encode({ kind: 'watch', signed, subChannels, cursor: null })
    for (const version of [0n, 1n, 2n, 7n]) {
      const state: State = { ...first, version }
      const signed = signedByAll(parties, params, state)
      const [one = '0x', two = '0x'] = signed.signatures
      words.push({ payload: watch(signed), good: { id, version } })
      words.push({ payload: watch({ ...signed, signatures: [two, one] }) })
      words.push({ payload: watch({ ...signed, signatures: [one] }) })
      words.push({ payload: watch({ ...signed, state: { ...state, version: version + 90n } }) })
      words.push({ payload: watch({ ...signed, params: { ...params, nonce: 99n } }) })
      words.push({ payload: watch({ ...signed, params: { ...params, challengeDuration: 2n ** 64n - 1n } }) })
      words.push({ payload: watch({ ...signed, params: { ...params, participants: [] } }) })
      words.push({ payload: watch(signed, [{ ...signed, signatures: [] }]) })
    }
    words.push({ payload: towerMessages.encode({ kind: 'unwatch', channelID: id }) })
    const versions = { channelID: id, version: 3n, subChannels: [] }
    words.push({ payload: towerMessages.encode({ kind: 'watching', ...versions }) })
    words.push({ payload: towerMessages.encode({ kind: 'notWatching', ...versions, reason: 'no' }) })
  }
  return { backend: party(parties, 0).backend, words }
}

describe('fuzz: a tower', () => {
  it('whatever an admitted client says, in any order -> typed refusals at most, nothing half-changed, within its limits', async () => {
    const { backend, words } = vocabulary()
    const broken = brokenBytes(words.map(({ payload }) => payload)).map((payload): Word => ({ payload }))
    const word = fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...words) },
      { weight: 1, arbitrary: broken },
    )
    const taken = new Set<string>()
    await fc.assert(
      fc.asyncProperty(fc.array(word, { minLength: 5, maxLength: 60 }), async (said) => {
        const store = new MemoryStore()
        const { bus, hear, answers } = mouth()
        const events: TowerEvent[] = []
        const open = () =>
          Tower.open({
            bus,
            store,
            backend,
            clients: [CLIENT],
            limits: LIMITS,
            onEvent: (event) => events.push(event),
          })
        const tower = await open()
        const work = said.map(({ payload }) =>
          hear(payload).catch((error: unknown) => {
            if (!(error instanceof PerkunasError) || error.code === 'INTERNAL') throw error
          }),
        )
        await Promise.all(work)
        for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
        const held: Stored[] = []
        for await (const one of stored(store)) held.push(one)
        const bytes = held.reduce((sum, one) => sum + one.bytes, 0)
        expect(tower.metrics).include({ channels: held.length, bytes })
        expect(held.length).at.most(LIMITS.channels)
        expect(bytes).at.most(LIMITS.bytes)
        expect(events.filter(({ kind }) => kind !== 'refused')).deep.equals([])
        for (const { request, client } of held) {
          const { channelID: id, version } = request.signed.state
          expect(client).equals(CLIENT)
          const goods = said.flatMap(({ good }) =>
            good !== undefined && good.id === id ? [good.version] : [],
          )
          expect(goods, 'only what all have signed').includes(version)
          taken.add(id)
        }
        // What was said last to be on its disk is.
        const told = new Map<string, bigint>()
        for (const answer of answers) {
          const message = towerMessages.decode(answer)
          if (message.kind === 'watching') told.set(message.channelID, message.version)
        }
        for (const { request } of held) {
          expect(told.get(request.signed.state.channelID)).equals(request.signed.state.version)
        }
        tower.close()
        // A restart finds it as it was.
        const again = await open()
        expect(again.metrics).include({ channels: held.length, bytes })
        again.close()
      }),
      runs(40),
    )
    expect(taken.size, 'the test takes some').equals(CHANNELS)
    await backend.close()
  })
})
