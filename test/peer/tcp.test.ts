import { connect, createServer, type Server, type Socket } from 'node:net'
import { expect } from 'chai'
import { isError } from '../../channel/errors.js'
import { type Identity, PeerBus, type PeerBusOptions } from '../../peer/index.js'
import { tcpDialer, tcpListener } from '../../peer/tcp.js'
import { codeOf, event, heard, payload, person, StoppedClock, until } from './support.js'

const alice = person(1)
const bob = person(2)
const carol = person(3)

describe('peer: over TCP', () => {
  const open: PeerBus[] = []
  const servers: Server[] = []
  const sockets: Socket[] = []
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy()
    await Promise.all(open.splice(0).map((bus) => bus.close()))
    await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))))
  })

  async function join(identity: Identity, options: Partial<PeerBusOptions> = {}) {
    const bus = new PeerBus({ identity, dialers: [tcpDialer()], ...options })
    open.push(bus)
    const address = await bus.listen(tcpListener())
    return { bus, address }
  }

  /** A plain socket to a bus, to misbehave on. */
  function visit(address: string): Socket {
    const { port, hostname } = new URL(address)
    const socket = connect(Number(port), hostname)
    socket.on('error', () => undefined)
    sockets.push(socket)
    return socket
  }

  /** A server that takes bytes between a dialer and a bus, and can hold them or cut the line. */
  async function wire(address: string) {
    const { port, hostname } = new URL(address)
    const ends: Socket[] = []
    const server = createServer((near) => {
      const far = connect(Number(port), hostname)
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        from.pipe(to)
        from.on('error', () => to.destroy())
        from.on('close', () => to.destroy())
        ends.push(from)
        sockets.push(from)
      }
    })
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const bound = server.address()
    if (typeof bound !== 'object' || bound === null) throw new Error('no port')
    return { address: `tcp://127.0.0.1:${bound.port}`, ends }
  }

  it('two buses -> payloads of every size in both directions, in order', async () => {
    const a = await join(alice)
    const b = await join(bob)
    a.bus.connect(bob.id, b.address)
    const sizes = [0, 1, 100, 65_533, 65_534, 200_000, 4 * 1024 * 1024]
    const got: number[] = []
    b.bus.onMessage((from, bytes) => {
      got.push(bytes.length)
      expect(from).to.equal(alice.id)
      expect(bytes.every((byte, i) => byte === (i & 0xff))).to.equal(true)
    })
    for (const size of sizes)
      await a.bus.send(
        bob.id,
        Uint8Array.from({ length: size }, (_, i) => i & 0xff),
      )
    await until(() => got.length === sizes.length)
    expect(got).to.deep.equal(sizes)
    const back = heard(a.bus, 2)
    await b.bus.send(alice.id, payload(1))
    await b.bus.send(alice.id, payload(2))
    expect(await back).to.deep.equal([1, 2])
  })

  it('2 100 payloads, across key rotations -> all of them', async () => {
    const a = await join(alice)
    const b = await join(bob)
    a.bus.connect(bob.id, b.address)
    const all = heard(b.bus, 2100)
    for (let i = 0; i < 2100; i++) await a.bus.send(bob.id, payload(i & 0xff))
    expect(await all).to.deep.equal(Array.from({ length: 2100 }, (_, i) => i & 0xff))
  })

  it('both dial at once, many times -> one connection that works', async () => {
    for (let round = 0; round < 25; round++) {
      const a = await join(alice)
      const b = await join(bob)
      const up = Promise.all([event(a.bus, 'connected'), event(b.bus, 'connected')])
      a.bus.connect(bob.id, b.address)
      b.bus.connect(alice.id, a.address)
      await up
      // A connection that is overtaken takes what was sent over it along: repeat until both have heard.
      let isHeard = 0
      const count = () => {
        isHeard++
      }
      const both = Promise.all([heard(a.bus, 1).then(count), heard(b.bus, 1).then(count)])
      while (isHeard < 2) {
        await codeOf(a.bus.send(bob.id, payload(1)))
        await codeOf(b.bus.send(alice.id, payload(2)))
        await new Promise((resolve) => setImmediate(resolve))
      }
      await both
      expect([a.bus.isConnected(bob.id), b.bus.isConnected(alice.id)]).to.deep.equal([true, true])
      await Promise.all([a.bus.close(), b.bus.close()])
    }
  })

  it('a line that is cut -> disconnected on both sides, and connected again', async () => {
    const b = await join(bob)
    const line = await wire(b.address)
    const a = await join(alice, { limits: { backoffMin: 1, backoffMax: 5 } })
    const up = Promise.all([event(a.bus, 'connected'), event(b.bus, 'connected')])
    a.bus.connect(bob.id, line.address)
    await up
    for (let i = 0; i < 3; i++) {
      const down = Promise.all([event(a.bus, 'disconnected'), event(b.bus, 'disconnected')])
      const again = Promise.all([event(a.bus, 'connected'), event(b.bus, 'connected')])
      for (const end of line.ends.splice(0)) end.resetAndDestroy()
      await down
      await again
    }
    const got = heard(b.bus, 1)
    await a.bus.send(bob.id, payload(3))
    expect(await got).to.deep.equal([3])
  })

  it('a line that goes silent -> given up after the ping, and made anew', async () => {
    const b = await join(bob)
    const line = await wire(b.address)
    const limits = { pingInterval: 40, pingTimeout: 40, backoffMin: 1, backoffMax: 5 }
    const a = await join(alice, { limits })
    const up = event(a.bus, 'connected')
    a.bus.connect(bob.id, line.address)
    await up
    const down = event(a.bus, 'disconnected')
    const again = event(a.bus, 'connected')
    for (const end of line.ends.splice(0)) end.unpipe()
    await down
    await again
    const got = heard(b.bus, 1)
    await a.bus.send(bob.id, payload(3))
    expect(await got).to.deep.equal([3])
  })

  it('garbage, silence and a peer that hangs up -> cost their own connection only', async () => {
    const clock = new StoppedClock() // or a busy machine would count as silence
    const b = await join(bob, { clock, limits: { handshakeTimeout: 60 } })
    const closed = [visit(b.address), visit(b.address), visit(b.address)].map(
      (socket) => new Promise((resolve) => socket.once('close', resolve)),
    )
    sockets[0]?.write(new Uint8Array(10_000).fill(0x41))
    sockets[1]?.write(Uint8Array.of(0))
    sockets[2]?.end()
    const a = await join(alice)
    a.bus.connect(bob.id, b.address)
    const got = heard(b.bus, 1)
    await a.bus.send(bob.id, payload(5))
    expect(await got).to.deep.equal([5])
    clock.advance(60)
    await Promise.all(closed)
    expect(b.bus.isConnected(alice.id)).to.equal(true)
  })

  it('a peer that stops reading -> PEER_OVERLOADED within bounds; it reads on -> everything arrives', async () => {
    const b = await join(bob)
    const line = await wire(b.address)
    const a = await join(alice, { limits: { maxQueueBytes: 1_000_000 } })
    a.bus.connect(bob.id, line.address)
    let got = 0
    let sent = 0
    b.bus.onMessage(() => {
      got++
    })
    await a.bus.send(bob.id, payload(1))
    sent++
    await until(() => got === 1)
    for (const end of line.ends) end.pause()
    const before = process.memoryUsage().arrayBuffers
    let code = 'resolved'
    for (let calm = 0; calm < 50; ) {
      code = await codeOf(a.bus.send(bob.id, new Uint8Array(50_000)))
      if (code === 'resolved') {
        sent++
        calm = 0
        continue
      }
      calm++ // full; has the system taken some more in the meantime?
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(code).to.equal('PEER_OVERLOADED')
    expect(process.memoryUsage().arrayBuffers - before).to.be.lessThan(40_000_000)
    for (const end of line.ends) end.resume()
    await until(() => got === sent)
    expect(await codeOf(a.bus.send(bob.id, payload(1)))).to.equal('resolved')
  })

  it('nobody at the port, a bad address, another identity there -> typed errors', async () => {
    const a = await join(alice)
    const gone = await join(bob)
    await gone.bus.close()
    const dial = (address: string) => {
      const bus = new PeerBus({ identity: carol, dialers: [tcpDialer()], addresses: { [bob.id]: address } })
      open.push(bus)
      return reasonOf(bus.send(bob.id, payload(1)))
    }
    expect(await dial(gone.address)).to.equal('refused')
    expect(await dial(a.address)).to.equal('handshakeFailed')
    expect(await dial('ws://127.0.0.1:1')).to.equal('noDialer')
    expect(await dial('tcp://127.0.0.1')).to.equal('badAddress')
    expect(await dial('tcp://no-such-host.invalid:1')).to.equal('failed')
    for (const bad of [
      'tcp://',
      'tcp://localhost',
      'tcp://localhost:0',
      'tcp://a:b:1',
      'tcp://[::1:9',
      'tcp://h:70000',
    ]) {
      expect(await codeOf(tcpDialer().dial(bob.id, bad.slice(6))), bad).to.equal('INVALID_ARGUMENT')
    }
  })

  it('an aborted dial, one that takes too long -> PEER_UNREACHABLE with that reason', async () => {
    const b = await join(bob)
    const address = b.address.slice(6)
    expect(await reasonOf(tcpDialer().dial(bob.id, address, AbortSignal.abort()))).to.equal('aborted')
    const abort = new AbortController()
    const dialled = reasonOf(tcpDialer().dial(bob.id, address, abort.signal))
    abort.abort()
    expect(await dialled).to.equal('aborted')
    const slow = reasonOf(tcpDialer({ timeout: 1 }).dial(bob.id, address))
    const start = performance.now()
    while (performance.now() - start < 5); // timers come before sockets in a turn
    expect(await slow).to.equal('timedOut')
  })

  /** Why a peer can't be reached. */
  async function reasonOf(dialled: Promise<unknown>): Promise<string> {
    try {
      await dialled
    } catch (error) {
      if (isError(error, 'PEER_UNREACHABLE')) return error.facts.reason
      throw error
    }
    return 'reached'
  }

  it('a taken port -> the listener says so; a closed one is free again', async () => {
    const b = await join(bob)
    const port = Number(new URL(b.address).port)
    const a = await join(alice)
    const failed = await a.bus.listen(tcpListener({ port })).catch((error: Error) => error.message)
    expect(failed).to.match(/EADDRINUSE/)
    await b.bus.close()
    expect(await a.bus.listen(tcpListener({ port }))).to.equal(b.address)
  })
})
