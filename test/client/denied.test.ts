// A participant that says no to what it has signed, and shows it later.
import { expect } from 'chai'
import { type Draft, transfer } from '../../channel/index.js'
import { type Message, messages } from '../../client/messages.js'
import { currentAt, deliver, propose, reachActing, signed } from './conversations.js'
import { group, open, who } from './parties.js'

const pay = (amount: bigint) => (draft: Draft) => transfer(draft, { from: 0, to: 1, amount })
const TIMEOUT = { timeout: 300 }

type Lie = (version: bigint, channelID: `0x${string}`) => Message

const LIES: readonly (readonly [string, Lie])[] = [
  [
    'a rejection',
    (version, channelID) => ({
      kind: 'channelUpdateRej',
      channelID,
      version,
      actor: 0,
      reason: 'no',
      crossed: true,
    }),
  ],
  [
    'a claim that it is used',
    (version, channelID) => ({
      kind: 'channelSync',
      channelID,
      version: version - 1n,
      usedVersion: version,
    }),
  ],
]

/** The second of two, who holds back its first `times` acceptances and says `no`, then shows the state with all signatures. */
async function liar(no: Lie, times: number) {
  const world = await group(2)
  const [a, b] = await open(world)
  await a?.update(pay(1n))
  const { bus } = who(world, 1)
  const send = bus.send.bind(bus)
  let lies = 0
  bus.send = (to, payload) => {
    const message = messages.decode(payload)
    const shown = b?.signedState
    if (message.kind !== 'channelUpdateAcc' || lies >= times || shown === undefined) return send(to, payload)
    lies++
    void send(to, messages.encode(no(message.version, message.channelID)))
    const { state, signatures } = shown
    return send(to, messages.encode({ kind: 'signedState', state, signatures }))
  }
  return { a, lies: () => lies }
}

describe('client: what was refused is not shown signed', () => {
  for (const [name, no] of LIES) {
    for (const times of [1, 5]) {
      it(`${name}, ${times} times at most, then the state itself -> one call pays once at most`, async () => {
        const { a, lies } = await liar(no, times)
        await a?.update(pay(5n), TIMEOUT).catch(() => undefined)
        expect(lies()).greaterThan(0)
        expect(a?.state.allocation.balances[0]?.[0]).to.be.oneOf([94n, 99n])
      })
    }
  }

  it('of three: one says no to what all have signed, and shows it later -> one call pays once', async () => {
    const world = await group(3)
    const [a, b] = await open(world)
    await a?.update(pay(1n))
    const { bus } = who(world, 1)
    const to = who(world, 0).bus.id
    const send = bus.send.bind(bus)
    let denied: bigint | undefined
    b?.updates$.subscribe(({ to: { version } }) => {
      const shown = b.signedState
      if (version !== denied || shown === undefined) return
      const { state, signatures } = shown
      void send(to, messages.encode({ kind: 'signedState', state, signatures }))
    })
    bus.send = (peer, payload) => {
      const message = messages.decode(payload)
      if (message.kind !== 'channelUpdateAcc' || peer !== to || denied !== undefined)
        return send(peer, payload)
      const { version, channelID, actor } = message
      denied = version
      return send(
        peer,
        messages.encode({ kind: 'channelUpdateRej', channelID, version, actor, reason: 'no', crossed: true }),
      )
    }
    const agreed = await a?.update(pay(5n))
    expect(denied).equals(2n)
    expect(agreed?.version).equals(2n)
    expect(a?.state.allocation.balances[0]?.[0]).equals(94n)
  })

  it('after it another state was signed -> that one is not let go, and who shows the first loses the connection', () => {
    const all = reachActing(2)
    const first = propose(all, 0, (draft) => transfer(draft, { from: 1, to: 0, amount: 10n }))
    all.wire.length = 0
    const { channelID } = first
    const no = {
      kind: 'channelUpdateRej',
      channelID,
      version: 1n,
      actor: 0,
      reason: 'no',
      crossed: false,
    } as const
    deliver(all, { from: 1, to: 0, message: no })
    const second = propose(all, 0, pay(1n))
    expect(second.version).equals(2n)
    const signatures = [0, 1].map((i) => signed(all, i, first))
    const effects = deliver(all, {
      from: 1,
      to: 0,
      message: { kind: 'signedState', state: first, signatures },
    })
    expect(effects.map((effect) => (effect.kind === 'refuse' ? effect.cost : effect.kind))).deep.equals([
      'connection',
    ])
    expect(all.states[0]?.record.machine.staging?.state.version).equals(2n)
    expect(currentAt(all, 0).state.version).equals(0n)
  })
})
