import { expect } from 'chai'
import { PerkunasError } from '../../channel/index.js'
import { accept, Client, reject } from '../../client/index.js'
import { messages } from '../../client/messages.js'
import { failure, group, kill, open, restarted, settled, who } from './parties.js'

describe('client: its user and its means', () => {
  it('reasons that are no well-formed text, or long -> the others hear them all the same', async () => {
    const world = await group(2)
    for (const reason of ['\uD800', '\uFEFFx', 'ü'.repeat(5000), '']) {
      who(world, 1).client.handleProposals(() => reject(reason))
      expect((await failure(open(world))).code).equals('PEER_REJECTED')
    }
  })

  it('accounts are in use as long as their channels, over restarts too', async () => {
    const world = await group(2)
    const [alice] = world.parties
    if (alice === undefined) throw new Error('a party')
    const [a] = await open(world)
    await open(world)
    expect(alice.wallet.usage(alice.address)).equals(2)
    await kill(alice)
    const again = await restarted(alice, world)
    expect(again.wallet.usage(alice.address)).equals(2)
    await again.client.channel(a?.id ?? '0x')?.settle()
    await settled(() => again.wallet.usage(alice.address) === 1)
  })

  it('a store that fails -> the client stops with STORE_FAILED, calls end, nothing more is sent', async () => {
    const world = await group(2)
    const [alice] = world.parties
    const [a] = await open(world)
    if (alice === undefined || a === undefined) throw new Error('a party and a channel')
    const { delivered } = world.network
    alice.store.commit = async () => {
      throw new PerkunasError('STORE_FAILED', 'disk full', { operation: 'commit' })
    }
    const error = await failure(a.update((draft) => draft))
    expect(error.code).equals('STORE_FAILED')
    expect(world.network.delivered).equals(delivered)
    expect(alice.client.channels()).deep.equals([])
    expect((await failure(alice.client.restore())).code).equals('STORE_FAILED')
  })

  it('a store that fails -> peers are hung up on, and whoever calls, until the client is closed', async () => {
    const world = await group(2)
    const [alice, bob] = world.parties
    const [a] = await open(world)
    if (alice === undefined || bob === undefined || a === undefined) throw new Error('parties and a channel')
    alice.store.commit = async () => {
      throw new PerkunasError('STORE_FAILED', 'disk full', { operation: 'commit' })
    }
    await failure(a.update((draft) => draft))
    await settled(() => !bob.bus.isConnected(alice.peer))
    await bob.bus.send(alice.peer, new Uint8Array([1])).catch(() => undefined)
    await settled(() => !bob.bus.isConnected(alice.peer))
    await alice.client.close()
    await bob.bus.send(alice.peer, new Uint8Array([1]))
    expect(bob.bus.isConnected(alice.peer)).equals(true)
  })

  it('a mistake of ours in one channel -> that channel stops with INTERNAL, the others go on', async () => {
    const world = await group(2)
    const [alice] = world.parties
    const [a] = await open(world)
    const [b] = await open(world)
    if (alice === undefined || a === undefined || b === undefined) throw new Error('a party and channels')
    const { send } = alice.bus
    alice.bus.send = (to, payload) => {
      if (messages.decode(payload).kind === 'channelUpdate') throw new Error('bug')
      return send.call(alice.bus, to, payload)
    }
    const failing = failure(a.update((draft) => draft))
    expect((await failing).code).equals('INTERNAL')
    expect(a.phase).equals('signing')
    expect(alice.client.channel(b.id)).equals(b)
  })

  it('opening and using a channel -> nobody complains of anything', async () => {
    for (let i = 0; i < 5; i++) {
      const world = await group(3)
      const [a] = await open(world)
      await a?.update(() => undefined)
      for (const { errors } of world.parties) expect(errors).deep.equals([])
    }
  })

  it('a closed client -> its calls end with CLOSED; closing again is harmless', async () => {
    const world = await group(2)
    const { client } = who(world, 0)
    await client.close()
    await client.close()
    expect((await failure(open(world))).code).equals('CLOSED')
  })

  it('a damaged record -> INVALID_RECORD, and nothing is started', async () => {
    const world = await group(2)
    const [alice] = world.parties
    const [a] = await open(world)
    if (alice === undefined) throw new Error('a party')
    const { store, bus, backend, wallet, apps } = { ...alice, apps: world.apps }
    await alice.client.close()
    await store.commit([{ kind: 'put', key: `channel/${a?.id}/progress`, value: Uint8Array.of(1, 2, 3) }])
    const client = new Client({ bus, store, backend, wallet, apps })
    client.handleProposals(() => accept())
    expect((await failure(client.restore())).code).equals('INVALID_RECORD')
    expect(client.channels()).deep.equals([])
  })
})
