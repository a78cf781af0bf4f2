// What is kept of the HTLCs of a revoked commitment is lost or damaged when the peer publishes it.
import { expect } from 'chai'
import type { MonitorEvent } from '../../../../backend/bitcoin/monitor/index.js'
import { transactionID } from '../../../../backend/bitcoin/script/index.js'
import { msat, sat } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import type { PerkunasError } from '../../../../channel/errors.js'
import type { Write } from '../../../../persistence/index.js'
import { until } from './stranger.js'
import { preimageOf, type TestNode, TestWorld } from './world.js'

const REVOKED = 'lightning-revoked/0/'
const LOSSES: Readonly<Record<string, (key: string, row: Uint8Array) => Write>> = {
  missing: (key) => ({ kind: 'delete', key }),
  damaged: (key, row) => ({
    kind: 'put',
    key,
    value: row.map((byte, i) => (i === row.length - 6 ? byte ^ 1 : byte)),
  }),
}

describe('LightningNode: rows of revoked commitments', () => {
  let world: TestWorld
  let alice: TestNode
  let bob: TestNode

  beforeEach(() => {
    world = new TestWorld()
    alice = world.node('alice')
    bob = world.node('bob')
  })

  afterEach(() => world.stop())

  /** Bob's revoked commitment, with an HTLC that he offered, waits for a block; Alice is away, and her rows of it are whole. */
  async function cheated(): Promise<void> {
    await bob.start()
    await alice.start()
    const capacity = sat(1_000_000n)
    const push = msat(300_000_000n)
    await alice.running.open({ peer: bob.id, address: 'memory://bob', capacity, push })
    await world.chain.mine(6)
    for (const { running } of [alice, bob]) await running.until(0n, ({ phase }) => phase === 'normal')
    const { htlcs } = alice
    const handed = htlcs.handed.bind(htlcs)
    htlcs.handed = (channel, handoff) =>
      handoff.kind === 'locked' ? { wishes: [], effects: [] } : handed(channel, handoff)
    await bob.offer(0n, msat(200_000_000n), 1)
    const isLocked = ({ running }: TestNode) => running.channel(0n)?.live?.htlcs[0]?.stage === 'locked'
    await until(() => isLocked(alice) && isLocked(bob))
    const old = bob.store.clone()
    const removal = { kind: 'fulfill', preimage: preimageOf(1) } as const
    await alice.running.want(0n, { kind: 'want', intent: { kind: 'remove', id: 0n, removal } })
    for (const { running } of [alice, bob]) await running.until(0n, ({ live }) => live?.htlcs.length === 0)
    await alice.stop()
    await bob.stop()
    bob.store = old
    await bob.start()
    await bob.running.forceClose(0n)
    await until(() => world.chain.mempool.size === 1)
    await bob.stop()
  }

  for (const [what, lose] of Object.entries(LOSSES)) {
    it(`one is ${what} -> told, not over, and what the peer makes of its HTLCs is taken`, async () => {
      await cheated()
      const { rows, events, errors } = await begun(lose)
      await world.chain.mine(1)
      await until(() => events.some(({ kind }) => kind === 'unexplained'))
      const [found] = events.flatMap((one) => (one.kind === 'unexplained' ? [one.outputs] : []))
      expect(found?.map(({ amount }) => amount)).to.deep.equal([200_000n])
      expect(errors.map(({ code }) => code)).to.deep.equal(what === 'damaged' ? ['INVALID_RECORD'] : [])
      await world.chain.mine(20)
      expect(alice.running.channel(0n)?.phase).to.equal('failed')
      expect(events.filter(({ kind }) => kind === 'unexplained' || kind === 'resolved')).to.have.length(1)
      await alice.stop()
      const node = await alice.start()
      await world.chain.mine(1)
      expect(rows.length).to.not.equal(0)
      // Bob takes his HTLC back.
      await bob.start()
      await world.chain.mine(60)
      const second = () =>
        [...world.chain.mempool.values()].find(({ inputs }) =>
          inputs.some(
            ({ outpoint }) => toHex(outpoint.txid) === toHex(found?.[0]?.outpoint.txid ?? new Uint8Array()),
          ),
        )
      await until(() => second() !== undefined)
      const spent = second()
      const txid = toHex(spent === undefined ? new Uint8Array() : transactionID(spent))
      await bob.stop()
      await world.chain.mine(1)
      const isPunished = () =>
        [...world.chain.mempool.values()].some(({ inputs }) =>
          inputs.some(({ outpoint }) => toHex(outpoint.txid) === txid),
        )
      await until(isPunished)
      await world.chain.mine(10)
      expect(node.channel(0n)).to.equal(undefined)
    })

    it(`one is ${what}, and there again before the peer spends anything -> its HTLCs are punished, too`, async () => {
      await cheated()
      const { rows, node, events } = await begun(lose)
      await world.chain.mine(1)
      await until(() => events.some(({ kind }) => kind === 'unexplained'))
      await world.chain.mine(10)
      for (const [key, value] of rows) await alice.store.commit([{ kind: 'put', key, value }])
      await world.chain.mine(1)
      await until(() => world.chain.mempool.size > 0)
      await world.chain.mine(6)
      expect(node.channel(0n)).to.equal(undefined)
      const punished = events.flatMap((one) =>
        one.kind === 'output' && one.penalty !== undefined && one.depth === 1 ? [one.amount] : [],
      )
      expect(punished).to.include(200_000n)
    })
  }

  async function begun(lose: (key: string, row: Uint8Array) => Write) {
    const rows = [...alice.store.snapshot()].filter(([key]) => key.startsWith(REVOKED))
    for (const [key, row] of rows) await alice.store.commit([lose(key, row)])
    const node = await alice.start()
    const events: MonitorEvent[] = []
    const errors: PerkunasError[] = []
    node.events$.subscribe((event) => event.kind === 'chain' && events.push(event.event))
    node.errors$.subscribe((error) => errors.push(error))
    return { rows, node, events, errors }
  }
})
