import { once } from 'node:events'
import { expect } from 'chai'
import { memoryNetwork, type PeerID } from '../../peer/index.js'
import { codeOf, event, heard, turn } from './support.js'

const ALICE: PeerID = `0x02${'aa'.repeat(32)}`
const BOB: PeerID = `0x03${'bb'.repeat(32)}`

function meet() {
  const network = memoryNetwork()
  const alice = network.bus(ALICE)
  const bob = network.bus(BOB)
  return { network, alice, bob }
}

describe('peer: memory bus', () => {
  it('send without a connection -> connects both sides, then delivers in order and not in the same turn', async () => {
    const { alice, bob } = meet()
    const all = heard(bob, 4)
    const up = Promise.all([event(alice, 'connected'), event(bob, 'connected')])
    const sent = [1, 2, 3].map((n) => alice.send(BOB, Uint8Array.of(n)))
    expect(alice.isConnected(BOB)).to.equal(false)
    await Promise.all(sent)
    expect(await up).to.deep.equal([BOB, ALICE])
    await alice.send(BOB, Uint8Array.of(4))
    expect(await all).to.deep.equal([1, 2, 3, 4])
  })

  it('a slow handler -> the next payload of that sender waits', async () => {
    const { network, alice, bob } = meet()
    const gate = new EventTarget()
    let running = 0
    let most = 0
    bob.onMessage(async () => {
      most = Math.max(most, ++running)
      await once(gate, 'go')
      running--
    })
    await alice.send(BOB, Uint8Array.of(1))
    await alice.send(BOB, Uint8Array.of(2))
    while (network.delivered < 1) await turn()
    await turn()
    expect(network.delivered).to.equal(1)
    gate.dispatchEvent(new Event('go'))
    while (network.delivered < 2) await turn()
    expect(most).to.equal(1)
  })

  it('a handler that throws -> costs the connection; the next send makes a new one', async () => {
    const { alice, bob } = meet()
    const stop = bob.onMessage(() => {
      throw new Error('bug')
    })
    const down = event(alice, 'disconnected')
    await alice.send(BOB, Uint8Array.of(1))
    expect(await down).to.equal(BOB)
    stop()
    const next = heard(bob, 1)
    await alice.send(BOB, Uint8Array.of(2))
    expect(await next).to.deep.equal([2])
  })

  it('disconnect -> what is on its way is lost, a wanted connection comes back', async () => {
    const { network, alice, bob } = meet()
    const up = event(alice, 'connected')
    alice.connect(BOB)
    await up
    const again = event(bob, 'connected')
    const next = heard(bob, 1)
    await alice.send(BOB, Uint8Array.of(1))
    network.disconnect(ALICE, BOB)
    await again
    await alice.send(BOB, Uint8Array.of(2))
    expect(await next).to.deep.equal([2])
  })

  it('cut -> PEER_UNREACHABLE until healed; heal revives what is wanted', async () => {
    const { network, alice, bob } = meet()
    network.cut(ALICE, BOB)
    expect(await codeOf(alice.send(BOB, Uint8Array.of(1)))).to.equal('PEER_UNREACHABLE')
    bob.connect(ALICE)
    await turn()
    expect(bob.isConnected(ALICE)).to.equal(false)
    const up = event(alice, 'connected')
    network.heal(ALICE, BOB)
    expect(await up).to.equal(BOB)
  })

  it('hold -> kept back in one direction only, in order after resume; drop -> lost', async () => {
    const { network, alice, bob } = meet()
    const toBob = heard(bob, 2)
    const toAlice = heard(alice, 1)
    await alice.send(BOB, Uint8Array.of(0))
    network.hold(ALICE, BOB)
    const undo = network.drop(ALICE, BOB, (payload) => payload[0] === 2)
    for (const n of [1, 2, 3]) await alice.send(BOB, Uint8Array.of(n))
    undo()
    await bob.send(ALICE, Uint8Array.of(9))
    expect(await toAlice).to.deep.equal([9])
    const rest = heard(bob, 3)
    network.resume(ALICE, BOB)
    expect(await toBob).to.deep.equal([0, 1])
    expect(await rest).to.deep.equal([0, 1, 3])
  })

  it('hold and drop -> stay in force over a new connection', async () => {
    const { network, alice, bob } = meet()
    await alice.send(BOB, Uint8Array.of(0))
    network.hold(ALICE, BOB)
    network.drop(ALICE, BOB, (payload) => payload[0] === 2)
    network.disconnect(ALICE, BOB)
    const got = heard(bob, 2)
    for (const n of [1, 2, 3]) await alice.send(BOB, Uint8Array.of(n))
    for (let i = 0; i < 5; i++) await turn()
    expect(network.delivered).to.equal(0)
    network.resume(ALICE, BOB)
    expect(await got).to.deep.equal([1, 3])
  })

  it('close -> disconnects peers, refuses calls, can be repeated; the ID is free again', async () => {
    const { network, alice, bob } = meet()
    await alice.send(BOB, Uint8Array.of(1))
    const down = event(bob, 'disconnected')
    await alice.close()
    await alice.close()
    expect(await down).to.equal(ALICE)
    expect(await codeOf(alice.send(BOB, Uint8Array.of(1)))).to.equal('CLOSED')
    expect(await codeOf(bob.send(ALICE, Uint8Array.of(1)))).to.equal('PEER_UNREACHABLE')
    bob.connect(ALICE)
    const up = event(bob, 'connected')
    network.bus(ALICE)
    expect(await up).to.equal(ALICE)
  })

  it('refuses to be its own peer', async () => {
    const { alice } = meet()
    expect(await codeOf(alice.send(ALICE, Uint8Array.of(1)))).to.equal('INVALID_ARGUMENT')
    expect(() => alice.connect(ALICE)).to.throw()
  })
})
