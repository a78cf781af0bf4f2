// What peers keep for each other (BOLT 1, "The `peer_storage` and `peer_storage_retrieval` Messages").
import { expect } from 'chai'
import { openBackup } from '../../../../backend/bitcoin/backup/index.js'
import { sealBackup, sealBlob } from '../../../../backend/bitcoin/backup/seal.js'
import { lightningInit, NODE_FEATURES, type NodeEvent } from '../../../../backend/bitcoin/node/index.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { msat, sat } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import type { PerkunasError } from '../../../../channel/errors.js'
import { StoppedClock } from '../../../peer/support.js'
import { type StrangeChannel, Stranger, until } from './stranger.js'
import { CHAIN_HASH } from './test-chain.js'
import { preimageOf, type TestNode, TestWorld } from './world.js'

const blobOf = (fill: number, length = 1000) => new Uint8Array(length).fill(fill)

describe('LightningNode: peer storage', () => {
  let world: TestWorld
  let alice: TestNode
  let clock: StoppedClock
  const strangers: Stranger[] = []

  beforeEach(async () => {
    world = new TestWorld()
    clock = new StoppedClock()
    alice = world.node('alice')
    await alice.start({ clock })
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

  /** With a channel that is in use. */
  async function friend(): Promise<{ readonly mallory: Stranger; readonly channel: StrangeChannel }> {
    const mallory = await meet('mallory')
    const channel = mallory.open(1, { push: msat(400_000_000n) })
    await channel.use(world)
    await until(() => alice.running.channel(0n)?.phase === 'normal')
    return { mallory, channel }
  }

  /** What somebody hears who comes back, up to channel_reestablish or an error. */
  async function heardAgain(mallory: Stranger): Promise<readonly string[]> {
    mallory.bus.disconnect(alice.id, 'for a while')
    await until(() => !alice.running.isConnected(mallory.id))
    mallory.heard.length = 0
    mallory.bus.connect(alice.id, 'memory://alice')
    await until(() => alice.running.isConnected(mallory.id))
    await until(() => mallory.heard.some(({ kind }) => kind === 'channel_reestablish'))
    return mallory.heard.map((one) =>
      one.kind === 'peer_storage_retrieval' ? `${one.kind} ${one.blob[0]} ${one.blob.length}` : one.kind,
    )
  }

  const kept = () => alice.store.snapshot().get(`lightning-stored/${strangers[0]?.id}`)

  it('what a peer with a channel gives is durable, and given back before anything else, also after a restart', async () => {
    const { mallory } = await friend()
    expect(await heardAgain(mallory)).to.not.include('peer_storage_retrieval')
    mallory.say({ kind: 'peer_storage', blob: blobOf(1, 65_531) })
    await until(() => kept() !== undefined)
    const again = await heardAgain(mallory)
    expect(again[0]).to.equal('peer_storage_retrieval 1 65531')
    expect(again).to.include('channel_reestablish')
    await alice.crash()
    expect((await heardAgain(mallory))[0]).to.equal('peer_storage_retrieval 1 65531')
  })

  it('more than one in a minute -> the first and the last are kept, however many there are', async () => {
    const { mallory } = await friend()
    for (let i = 1; i <= 200; i++) mallory.say({ kind: 'peer_storage', blob: blobOf(i) })
    mallory.say({ kind: 'shutdown', channelID: `0x${'99'.repeat(32)}`, scriptpubkey: new Uint8Array(22) })
    await until(() => mallory.heard.at(-1)?.kind === 'error')
    const first = kept()
    expect((await heardAgain(mallory))[0]).to.equal('peer_storage_retrieval 1 1000')
    clock.advance(60_000)
    await until(() => kept() !== first)
    expect((await heardAgain(mallory))[0]).to.equal('peer_storage_retrieval 200 1000')
  })

  it('without a channel, without a funding on the chain, without the feature -> nothing is kept', async () => {
    const rows = () => [...alice.store.snapshot().keys()].filter((key) => /stored|kept/.test(key))
    const poor = await meet('poor')
    poor.say({ kind: 'peer_storage', blob: blobOf(1) })
    await poor.open(1).fund()
    poor.say({ kind: 'peer_storage', blob: blobOf(2) })
    poor.say({ kind: 'shutdown', channelID: `0x${'99'.repeat(32)}`, scriptpubkey: new Uint8Array(22) })
    await until(() => poor.heard.at(-1)?.kind === 'error')
    expect(rows()).to.deep.equal([])
    const { option_provide_storage: _, ...features } = NODE_FEATURES
    const { init } = lightningInit(CHAIN_HASH, features)
    expect(init.features).to.not.include(43)
    expect(lightningInit(CHAIN_HASH).init.features).to.include(43)
  })

  it('the last channel is over -> kept for 2016 blocks more, and then gone', async function () {
    this.timeout(30_000)
    const { mallory, channel } = await friend()
    mallory.say({ kind: 'peer_storage', blob: blobOf(7) })
    await until(() => kept() !== undefined)
    const [theirs] = channel
      .input({ kind: 'forceClose' })
      .effects.flatMap((effect) => (effect.kind === 'publish' ? [effect.transaction] : []))
    if (theirs === undefined) throw new Error('nothing is published')
    await world.chain.broadcast([theirs])
    for (let i = 0; i < 20 && alice.running.channels().length > 0; i++) {
      await world.chain.mine(1)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await until(() => alice.running.channels().length === 0)
    await world.chain.mine(2000)
    await alice.crash()
    mallory.bus.disconnect(alice.id, 'for a while')
    mallory.heard.length = 0
    mallory.bus.connect(alice.id, 'memory://alice')
    await until(() => mallory.heard.some(({ kind }) => kind === 'peer_storage_retrieval'))
    await world.chain.mine(20)
    await until(() => kept() === undefined)
    expect([...alice.store.snapshot().keys()].filter((key) => key.includes('kept'))).to.deep.equal([])
  })

  it('two nodes keep the backup of each other: from the first channel on, and a new one with each', async () => {
    const bob = world.node('bob')
    const b = await bob.start()
    const { channel } = await alice.running.open({
      peer: bob.id,
      address: 'memory://bob',
      capacity: sat(1_000_000n),
    })
    await world.chain.mine(6)
    await alice.running.until(channel, ({ phase }) => phase === 'normal')
    await b.until(0n, ({ phase }) => phase === 'normal')
    const rows = () => [alice, bob].map(({ store }) => store.snapshot())
    await until(() =>
      rows().every((all) => [...all.keys()].some((key) => key.startsWith('lightning-stored/'))),
    )
    const seed = sha256(new TextEncoder().encode('seed of alice'))
    const given = blobIn(bob, alice)
    expect(given?.length).to.equal(1024)
    expect(given && openBackup(given, seed).channels.map(({ keyIndex }) => keyIndex)).to.deep.equal([0n])
    await alice.running.open({ peer: bob.id, capacity: sat(300_000n) })
    clock.advance(60_000)
    await world.chain.mine(6)
    await alice.running.until(1n, ({ phase }) => phase === 'normal')
    // Bob keeps one a minute.
    await bob.crash()
    await until(() => (blobIn(bob, alice)?.length ?? 0) > 0 && channelsIn(blobIn(bob, alice), seed) === 2)
  })

  it('begun with an older copy of the store -> a peer that kept more shows it: told, kept there, and nothing doubtful is published', async () => {
    const [bob, carol] = [world.node('bob'), world.node('carol')]
    await bob.start({ clock })
    await carol.start()
    const inUse = async (peer: TestNode) => {
      const options = { peer: peer.id, address: `memory://${peer.name}`, capacity: sat(1_000_000n) }
      const { channel } = await alice.running.open(options)
      await world.chain.mine(6)
      await alice.running.until(channel, ({ phase }) => phase === 'normal')
      clock.advance(60_000)
    }
    await inUse(carol)
    await inUse(bob)
    const seed = sha256(new TextEncoder().encode('seed of alice'))
    const old = alice.store.clone()
    await inUse(bob)
    await until(() => channelsIn(blobIn(bob, alice), seed) === 3)
    await alice.stop()
    await carol.stop()
    alice.store = old
    const behind: (NodeEvent & { readonly kind: 'behind' })[] = []
    const errors: PerkunasError[] = []
    const node = await alice.start({ clock })
    node.events$.subscribe((event) => event.kind === 'behind' && behind.push(event))
    node.errors$.subscribe((error) => errors.push(error))
    await node.until(1n, ({ live }) => live?.isConnected === true)
    await until(() => behind.length > 0)
    expect(behind.map(({ peer, missing }) => [peer, missing])).to.deep.equal([[bob.id, [2n]]])
    expect(errors.map(({ code, facts }) => [code, facts])).to.deep.equal([['DATA_LOSS', { channel: '0x2' }]])
    expect(channelsIn(behind[0]?.backup, seed)).to.equal(3)

    // Carol has not shown that we know the newest of her channel; Bob has.
    await node.forceClose(0n)
    expect(node.channel(0n)?.live?.failure).to.include({ cause: 'dataLoss' })
    expect(world.chain.mempool.size).to.equal(0)
    await node.forceClose(1n)
    expect(node.channel(1n)?.live?.failure).to.include({ cause: 'command' })
    expect(world.chain.mempool.size).to.equal(1)
    clock.advance(60_000)
    await until(() => channelsIn(blobIn(bob, alice), seed) === 3)
  })

  it('a peer gives back what is no backup, an older one, or many -> nothing is told of', async () => {
    const { mallory } = await friend()
    const told: string[] = []
    alice.running.events$.subscribe(({ kind }) => told.push(kind))
    const own = alice.running.backup()
    for (const blob of [own, own.slice(0, 60), blobOf(5)]) {
      await heardAgain(mallory)
      for (let i = 0; i < 50; i++) mallory.say({ kind: 'peer_storage_retrieval', blob })
      mallory.say({ kind: 'shutdown', channelID: `0x${'99'.repeat(32)}`, scriptpubkey: new Uint8Array(22) })
      await until(() => mallory.heard.at(-1)?.kind === 'error')
    }
    expect(told).to.not.include('behind')
    expect(alice.running.stopped).to.equal(undefined)
  })

  it('a peer gives back a backup of the same seed, but of another node or chain -> nothing is told of, nothing doubted', async () => {
    const { mallory } = await friend()
    const seed = sha256(new TextEncoder().encode('seed of alice'))
    const told: string[] = []
    alice.running.events$.subscribe(({ kind }) => told.push(kind))
    const own = openBackup(alice.running.backup(), seed)
    const newer = { ...own, channels: own.channels.map((one) => ({ ...one, keyIndex: 40n })) }
    const others = [
      { ...newer, node: mallory.id },
      { ...newer, chainHash: toHex(new Uint8Array(32).fill(7)) },
      newer,
    ]
    for (const [i, backup] of others.entries()) {
      await heardAgain(mallory)
      mallory.say({
        kind: 'peer_storage_retrieval',
        blob: sealBackup(backup, seed, new Uint8Array(24).fill(i)),
      })
      mallory.say({ kind: 'shutdown', channelID: `0x${'99'.repeat(32)}`, scriptpubkey: new Uint8Array(22) })
      await until(() => mallory.heard.some(({ kind }) => kind === 'error'))
      expect(told.includes('behind'), `backup ${i}`).to.equal(i === 2)
    }
  })

  it('perhaps behind -> no commitment of ours is published, but what is ours by a preimage is claimed from the peer’s', async () => {
    const { mallory } = await friend()
    const seed = sha256(new TextEncoder().encode('seed of alice'))
    const bob = world.node('bob')
    await bob.start({ clock })
    const options = {
      peer: bob.id,
      address: 'memory://bob',
      capacity: sat(1_000_000n),
      push: msat(500_000_000n),
    }
    const { channel } = await alice.running.open(options)
    await world.chain.mine(6)
    for (const { running } of [alice, bob])
      await running.until(running === alice.running ? channel : 0n, ({ phase }) => phase === 'normal')
    const { htlcs } = alice
    const handed = htlcs.handed.bind(htlcs)
    const isOpen = () => alice.running.channel(channel)?.live?.htlcs[0]?.stage === 'locked'
    htlcs.handed = (of, handoff) =>
      handoff.kind === 'locked' ? { wishes: [], effects: [] } : handed(of, handoff)
    await bob.offer(0n, msat(200_000_000n), 1)
    await until(isOpen)
    await alice.stop()
    await bob.running.forceClose(0n)
    await until(() => world.chain.mempool.size === 1)
    const [theirs] = world.chain.mempool.values()
    if (theirs === undefined) throw new Error('no commitment')
    world.chain.mempool.clear()
    await bob.stop()

    const node = await alice.start({ clock })
    await until(() => node.isConnected(mallory.id))
    const behind: string[] = []
    node.events$.subscribe(({ kind }) => kind === 'behind' && behind.push(kind))
    const own = openBackup(node.backup(), seed)
    const newer = { ...own, channels: own.channels.map((one) => ({ ...one, keyIndex: 40n + one.keyIndex })) }
    mallory.say({ kind: 'peer_storage_retrieval', blob: sealBackup(newer, seed, new Uint8Array(24)) })
    await until(() => behind.length > 0)
    const preimage = preimageOf(1)
    const removal = { kind: 'fulfill', preimage } as const
    await node.want(channel, { kind: 'want', intent: { kind: 'remove', id: 0n, removal } })
    await world.chain.mine(50)
    expect(node.channel(channel)?.live?.failure).to.include({ cause: 'dataLoss' })
    expect(world.chain.mempool.size).to.equal(0)
    await world.chain.broadcast([theirs])
    await world.chain.mine(1)
    const isClaimed = () =>
      [...world.chain.mempool.values()].some(({ inputs }) =>
        inputs.some(({ witness }) => witness.some((item) => toHex(item) === toHex(preimage))),
      )
    await until(isClaimed)
  })

  it('a blob has one of few lengths, holds the largest channels that fit, and opens by its seed alone', async () => {
    const bob = world.node('bob')
    await bob.start()
    await alice.running.open({ peer: bob.id, address: 'memory://bob', capacity: sat(1_000_000n) })
    const seed = sha256(new TextEncoder().encode('seed of alice'))
    const { cursor: _, ...backup } = openBackup(alice.running.backup(), seed)
    const [one] = backup.channels
    if (one === undefined) throw new Error('no channel')
    const many = Array.from({ length: 300 }, (_, i) => ({
      ...one,
      keyIndex: BigInt(i),
      capacity: sat(BigInt(1000 + ((i * 37) % 300))),
    }))
    for (const [count, length] of [
      [0, 1024],
      [1, 1024],
      [10, 4096],
      [30, 16_384],
      [300, 65_531],
    ] as const) {
      const channels = many.slice(0, count)
      const options = { nonce: new Uint8Array(24).fill(count & 1), lengths: [1024, 4096, 16_384, 65_531] }
      const blob = sealBlob({ ...backup, channels }, seed, options)
      expect(blob.length, `${count} channels`).to.equal(length)
      const opened = openBackup(blob, seed)
      const least = Math.min(...opened.channels.map(({ capacity }) => Number(capacity)))
      const left = channels.filter(
        ({ keyIndex }) => !opened.channels.some((two) => two.keyIndex === keyIndex),
      )
      expect(left.every(({ capacity }) => Number(capacity) <= least)).to.equal(true)
      expect(left.length > 0).to.equal(count === 300)
      expect(() => openBackup(blob, new Uint8Array(32))).to.throw('another seed')
    }
  })

  function blobIn({ store }: TestNode, of: TestNode): Uint8Array | undefined {
    const row = store.snapshot().get(`lightning-stored/${of.id}`)
    if (row === undefined) return undefined
    const text = Buffer.from(row)
    const at = text.indexOf('PKBACKUP')
    // The record's checksum follows.
    for (const length of [1024, 4096]) {
      const blob = row.subarray(at, at + length)
      if (channelsIn(blob, sha256(new TextEncoder().encode(`seed of ${of.name}`))) !== undefined) return blob
    }
    return undefined
  }

  function channelsIn(blob: Uint8Array | undefined, seed: Uint8Array): number | undefined {
    try {
      return blob && openBackup(blob, seed).channels.length
    } catch {
      return undefined
    }
  }
})
