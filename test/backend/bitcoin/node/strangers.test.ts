// What peers may do to a node that owes them nothing: channels without money, names of others, floods, nonsense.
import { expect } from 'chai'
import fc from 'fast-check'
import { lightningInit, type NodeBus } from '../../../../backend/bitcoin/node/index.js'
import { sha256, transactionID } from '../../../../backend/bitcoin/script/index.js'
import { msat, sat } from '../../../../backend/bitcoin/units.js'
import {
  type LightningMessage,
  lightningMessages,
  type OpenChannel,
} from '../../../../backend/bitcoin/wire/index.js'
import { toHex } from '../../../../channel/bytes.js'
import { createIdentity, type PeerID } from '../../../../peer/index.js'
import type { Field } from '../../../../peer/wire/fields.js'
import { decodeField } from '../../../../peer/wire/tlv.js'
import { secp256k1 } from '../../../../wallet/secp256k1.js'
import { messagesOf } from '../arbitrary.js'
import { Stranger, until } from './stranger.js'
import { CHAIN_HASH } from './test-chain.js'
import { preimageOf, type TestNode, TestWorld } from './world.js'

type RawHandler = Parameters<NodeBus['onRaw']>[1]

const isNormal = ({ phase }: { phase: string }) => phase === 'normal'
const aPoint = secp256k1.publicKey(new Uint8Array(32).fill(7))

function sample(field: Field<unknown>): unknown {
  return decodeField(field, field.format === 'point' ? aPoint : new Uint8Array(field.least), 'sample')
}

describe('LightningNode: strangers', () => {
  let world: TestWorld
  let alice: TestNode
  const strangers: Stranger[] = []

  beforeEach(async () => {
    world = new TestWorld()
    alice = world.node('alice')
    await alice.start()
  })

  afterEach(async () => {
    await Promise.all(strangers.splice(0).map((one) => one.close()))
    await world.stop()
  })

  async function meet(name: string): Promise<Stranger> {
    const stranger = await Stranger.meet(world, alice, name)
    strangers.push(stranger)
    return stranger
  }

  /** A channel of a stranger's with a balance of ours in it, in use, and the transaction that funds it. */
  async function funded(stranger: Stranger) {
    const channel = stranger.open(1, { push: msat(400_000_000n) })
    const outpoint = await channel.use(world)
    await until(() => alice.running.channel(0n)?.phase === 'normal')
    return { channel, outpoint }
  }

  it('f 1: a peer names an output that its transaction does not have -> never ready, nothing of ours is published', async () => {
    const mallory = await meet('mallory')
    const channel = mallory.open(1, { push: msat(400_000_000n) })
    await channel.until('awaitingFunding')
    const funding = channel.funding()
    await channel.fund({ txid: transactionID(funding), index: 1 })
    await world.chain.broadcast([funding])
    await world.chain.mine(5)
    await until(() => alice.running.channel(0n)?.phase === 'failed')
    await world.chain.mine(1)
    await until(() => alice.running.channel(0n) === undefined)
    channel.hear()
    expect(mallory.heard.map(({ kind }) => kind)).to.not.include('channel_ready')
    expect(world.chain.mempool.size).to.equal(0)
  })

  it('f 25: the funding of a channel for another one of the same peer -> refused, the first goes on', async () => {
    const mallory = await meet('mallory')
    const { channel, outpoint } = await funded(mallory)
    const before = [...alice.store.snapshot()].map(([key, value]) => `${key} ${toHex(value)}`)
    const other = mallory.open(2)
    await other.until('awaitingFunding')
    other.input({ kind: 'funded', outpoint })
    await other.until('awaitingFundingSigned')
    await until(() => {
      other.hear()
      return other.state.phase === 'closed'
    })
    expect(mallory.errors().at(-1)).to.match(/in use/)
    expect(alice.running.channels().map(({ channel: one }) => one)).to.deep.equal([0n])
    const after = [...alice.store.snapshot()].map(([key, value]) => `${key} ${toHex(value)}`)
    expect(after.filter((row) => !row.startsWith('lightning-node/next'))).to.deep.equal(
      before.filter((row) => !row.startsWith('lightning-node/next')),
    )
    // It hears what is said to its name.
    channel.input({ kind: 'shutdown' })
    await until(() => alice.running.channel(0n)?.phase === 'negotiating')
  })

  for (const when of ['while it waits', 'when it is forgotten']) {
    it(`f 25: another peer names our channel's funding as its own, ${when} -> what is published is seen all the same`, async function () {
      this.timeout(30_000)
      const mallory = await meet('mallory')
      const { channel, outpoint } = await funded(mallory)
      const other = (await meet('mole')).open(1)
      await other.fund(outpoint)
      expect(alice.running.channels()).to.have.length(2)
      if (when === 'when it is forgotten') {
        await world.chain.mine(2016)
        await until(() => alice.running.channels().length === 1)
      }
      const result = channel.input({ kind: 'forceClose' })
      const [theft] = result.effects.flatMap((effect) =>
        effect.kind === 'publish' ? [effect.transaction] : [],
      )
      if (theft === undefined) throw new Error('nothing is published')
      await world.chain.broadcast([theft])
      const seen: string[] = []
      alice.running.events$.subscribe((event) => {
        if (event.kind === 'chain' && event.event.kind === 'spent')
          seen.push(`${event.channel} ${event.event.by}`)
      })
      await world.chain.mine(1)
      await until(() => seen.length > 0)
      expect(seen).to.include('0 counterpartyCurrent')
    })
  }

  it('f 33, f 35: a crowd opens channels that it never funds, all at once -> bounded, nothing on disk, friends get in and pay', async () => {
    const bob = world.node('bob')
    const b = await bob.start()
    const { channel } = await alice.running.open({
      peer: bob.id,
      address: 'memory://bob',
      capacity: sat(1_000_000n),
      push: msat(1n),
    })
    await world.chain.mine(6)
    await alice.running.until(channel, isNormal)
    await b.until(0n, isNormal)
    const rows = alice.store.snapshot().size
    const crowd = await Promise.all(Array.from({ length: 55 }, (_, i) => meet(`one of many ${i}`)))
    const message = strangersOpen(crowd[0])
    for (const [i, stranger] of crowd.entries()) {
      for (let j = 0; j < 30; j++)
        stranger.say({ ...message, temporaryChannelID: toHex(sha256(Uint8Array.of(i, j))) })
    }
    bob.htlcs.preimages.set(toHex(sha256(preimageOf(1))), preimageOf(1))
    await alice.offer(channel, msat(2_000_000n), 1)
    await until(() => crowd.every(({ heard }) => heard.length >= 30))
    expect(alice.running.channels()).to.have.length(1 + 50 * 4)
    await until(() => alice.htlcs.ends.has('alice 1'))
    expect(alice.htlcs.ends.get('alice 1')).to.equal('fulfilled 2000000')
    expect(alice.store.snapshot().size, 'nothing of theirs is written').to.be.at.most(rows + 5)
    const counts = new Map<PeerID, number>()
    for (const { peer } of alice.running.channels()) counts.set(peer, (counts.get(peer) ?? 0) + 1)
    expect(Math.max(...counts.values())).to.equal(4)
    // A friend has its own room.
    await b.open({ peer: alice.id, capacity: sat(500_000n) })
    // With their connections all of it is gone.
    await Promise.all(crowd.map((one) => one.close()))
    await until(() => alice.running.channels().length === 2)
  })

  it('f 34: opens and lost connections, all at once, in any order -> the node lives, and keeps nothing', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat({ max: 2 }), fc.constantFrom('open', 'open', 'lost', 'fund', 'turn')), {
          minLength: 5,
          maxLength: 25,
        }),
        async (acts) => {
          const names = ['race 0', 'race 1', 'race 2']
          const all = await Promise.all(names.map(meet))
          const open: ReturnType<Stranger['open']>[][] = [[], [], []]
          for (const [i, [who, what]] of acts.entries()) {
            const stranger = all[who]
            if (stranger === undefined) throw new Error('nobody')
            try {
              if (what === 'open') open[who]?.push(stranger.open(i))
              if (what === 'fund') {
                const last = open[who]?.at(-1)
                last?.hear()
                if (last?.state.phase === 'awaitingFunding')
                  last.input({ kind: 'funded', outpoint: { txid: new Uint8Array(32).fill(i + 1), index: 0 } })
              }
            } catch (error) {
              // Its connection is not back yet.
              expect(error).to.have.property('code', 'PEER_UNREACHABLE')
            }
            if (what === 'lost') stranger.bus.disconnect(stranger.node, 'as a cheat does')
            if (what === 'turn') await new Promise((resolve) => setImmediate(resolve))
          }
          await Promise.all(all.map((one) => one.close()))
          const isUnfunded = () => alice.running.channels().every(({ live }) => live !== undefined)
          await until(isUnfunded)
          expect(alice.running.stopped).to.equal(undefined)
        },
      ),
      { numRuns: 10 },
    )
  })

  it('f 13: channels whose funding never comes -> their monitors are few, and gone with them', async function () {
    this.timeout(30_000)
    const mallory = await meet('mallory')
    for (let i = 0; i < 4; i++) await mallory.open(i).fund()
    const rows = () => [...alice.store.snapshot().keys()].filter((key) => /monitor|channel/.test(key))
    expect(rows().length).to.be.greaterThan(4)
    const fifth = mallory.open(9)
    await until(() => {
      fifth.hear()
      return fifth.state.phase === 'closed'
    })
    expect(mallory.errors().at(-1)).to.match(/too many/)
    await world.chain.mine(2016)
    await until(() => alice.running.channels().length === 0)
    expect(rows()).to.deep.equal([])
  })

  it('fundings that confirm and are other transactions -> no room for more, and gone once they are final', async () => {
    const mallory = await meet('mallory')
    const empty = [...alice.store.snapshot().keys()].length
    for (let i = 0; i < 4; i++) {
      const outpoint = { txid: sha256(Uint8Array.of(i)), index: 0 }
      const inputs = [{ outpoint, sequence: 0xffff_ffff, witness: [] }]
      const outputs = [{ amount: sat(0n), script: Uint8Array.of(0x6a) }]
      const other = { version: 2, inputs, outputs, locktime: 0 }
      await mallory.open(i).fund({ txid: transactionID(other), index: 0 })
      await world.chain.broadcast([other])
    }
    await world.chain.mine(1)
    await until(() => alice.running.channels().every(({ live }) => live?.failure?.cause === 'funding'))
    await world.chain.mine(1)
    expect(alice.running.channels()).to.have.length(4)
    const fifth = mallory.open(9)
    await until(() => {
      fifth.hear()
      return fifth.state.phase === 'closed'
    })
    expect(mallory.errors().at(-1)).to.match(/too many/)
    await world.chain.mine(3)
    expect(alice.running.channels()).to.have.length(4)
    await world.chain.mine(1)
    await until(() => alice.running.channels().length === 0)
    const left = () => [...alice.store.snapshot().keys()].filter((key) => !/cursor|next/.test(key))
    await until(() => left().length <= empty)
    await mallory.open(10).fund()
  })

  it('f 37: a peer says more than is handled -> it is not read until some of that is done, others are, and nothing is lost', async () => {
    const [loud, quiet] = [await meet('loud'), await meet('quiet')].map(({ id }) => id)
    if (loud === undefined || quiet === undefined) throw new Error('nobody')
    await alice.stop()
    let hear: RawHandler | undefined
    const answered = new Map<PeerID, number>()
    const waiting: (() => void)[] = []
    let isHeld = false
    const { init } = lightningInit(CHAIN_HASH)
    const inits = { local: { ...init }, remote: { ...init } }
    const bus: NodeBus = {
      id: alice.id,
      identity: createIdentity(new Uint8Array(32).fill(3)),
      onRaw: (_, handler) => {
        hear = handler
        return () => {}
      },
      onPeer: () => () => {},
      sendRaw: (to) => void answered.set(to, (answered.get(to) ?? 0) + 1),
      connect() {},
      release() {},
      disconnect() {},
      isConnected: () => true,
      initsOf: () => inits,
    }
    await alice.start({
      bus,
      schedule: (task) => (isHeld ? void waiting.push(task) : void setImmediate(task)),
    })
    isHeld = true
    const say = (from: PeerID) =>
      hear?.(from, 36, Uint8Array.from([...new Uint8Array(32).fill(9), ...aPoint]))
    const answers = Array.from({ length: 600 }, () => say(loud))
    const isWaiting = (one: unknown) => one instanceof Promise
    expect(answers.findIndex(isWaiting), 'it is told to wait').to.equal(510)
    expect(say(quiet)).to.equal(undefined)
    let isRead = false
    const last = answers.at(-1)
    if (last instanceof Promise) last.then(() => (isRead = true))
    await new Promise((resolve) => setImmediate(resolve))
    expect(isRead, 'before anything is handled').to.equal(false)
    isHeld = false
    for (const task of waiting.splice(0)) task()
    await Promise.all(answers)
    await until(() => answered.get(loud) === 600 && answered.get(quiet) === 1)
  })

  it('f 48: any message of any kind from a peer without a channel -> an error at most, nothing is kept', async () => {
    const mallory = await meet('mallory')
    const rows = alice.store.snapshot().size
    const kinds = lightningMessages.schemas.filter(
      ({ kind, type }) => kind !== 'open_channel' && ![1, 16, 17, 18, 19].includes(type),
    )
    expect(kinds.length).to.be.greaterThan(35)
    for (const schema of kinds) {
      for (const message of fc.sample(messagesOf(schema, sample), { numRuns: 3, seed: 1 })) {
        if (!mallory.bus.isConnected(alice.id)) {
          mallory.bus.connect(alice.id, `memory://${alice.name}`)
          await until(() => mallory.bus.isConnected(alice.id) && alice.running.isConnected(mallory.id))
        }
        mallory.say(message as LightningMessage)
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    const count = mallory.heard.length
    mallory.say({
      kind: 'channel_ready',
      channelID: `0x${'77'.repeat(32)}`,
      secondPerCommitmentPoint: aPoint,
    })
    await until(() => mallory.heard.length > count)
    expect(new Set(mallory.heard.map(({ kind }) => kind))).to.deep.equal(new Set(['error']))
    expect(alice.running.stopped).to.equal(undefined)
    expect(alice.running.channels()).to.deep.equal([])
    expect(alice.store.snapshot().size).to.equal(rows)
  })
})

/** The message with which somebody opens a channel. */
function strangersOpen(stranger: Stranger | undefined): OpenChannel {
  if (stranger === undefined) throw new Error('nobody')
  const said: LightningMessage[] = []
  const say = stranger.say.bind(stranger)
  stranger.say = (message) => void said.push(message)
  stranger.open(0)
  stranger.say = say
  const [message] = said
  if (message?.kind !== 'open_channel') throw new Error('nothing')
  return message
}
