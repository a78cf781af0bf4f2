import { expect } from 'chai'
import fc from 'fast-check'
import { isError, PerkunasError } from '../../channel/errors.js'
import { encodeInit } from '../../peer/framing.js'
import {
  type Bus,
  Connection,
  type Dialer,
  type Identity,
  type MemoryStream,
  memoryTransport,
  PeerBus,
  type PeerBusOptions,
  type PeerID,
  type Stream,
} from '../../peer/index.js'
import { Session } from '../../peer/session.js'
import { codeOf, event, heard, payload, person, StoppedClock, settle, turn, until } from './support.js'

const alice = person(1)
const bob = person(2)
const carol = person(3)

/** Buses that can dial each other by name, and what became of their connections. */
function place(schedule?: (task: () => void) => void) {
  const transport = memoryTransport(schedule === undefined ? {} : { schedule })
  const clock = new StoppedClock()
  const pipes: { readonly dialled: MemoryStream; readonly accepted: MemoryStream }[] = []
  transport.onPipe((dialled, accepted) => pipes.push({ dialled, accepted }))
  const open: PeerBus[] = []
  const join = async (identity: Identity, name: string, options: Partial<PeerBusOptions> = {}) => {
    const failures: PerkunasError[] = []
    const bus = new PeerBus({
      identity,
      dialers: [transport.dialer],
      clock,
      random: () => 1,
      onFailure: (_, error) => failures.push(error),
      ...options,
    })
    await bus.listen(transport.listener(name))
    open.push(bus)
    return { bus, failures }
  }
  return { transport, clock, pipes, join, closeAll: () => Promise.all(open.map((bus) => bus.close())) }
}

describe('peer: bus over connections', () => {
  let here = place()
  beforeEach(() => {
    here = place()
  })
  afterEach(() => here.closeAll())

  it('reach: each address once, and why the last one came to nothing', async () => {
    const addresses = {
      [bob.id]: 'memory://nobody,memory://bob',
      [carol.id]: 'memory://nobody,memory://none',
    }
    const { bus: a } = await here.join(alice, 'alice', { addresses })
    await here.join(bob, 'bob')
    await a.reach(bob.id)
    expect(a.isConnected(bob.id)).to.equal(true)
    await a.reach(bob.id)
    const error: unknown = await a.reach(carol.id).catch((cause: unknown) => cause)
    expect(isError(error, 'PEER_UNREACHABLE') && error.facts.reason).to.equal('refused')
    expect(isError(error, 'PEER_UNREACHABLE') && error.message).to.contain('memory://none')
  })

  const meet = async (options: Partial<PeerBusOptions> = {}) => {
    const a = await here.join(alice, 'alice', { addresses: { [bob.id]: 'memory://bob' }, ...options })
    const b = await here.join(bob, 'bob', { addresses: { [alice.id]: 'memory://alice' }, ...options })
    return { a: a.bus, b: b.bus, failures: { a: a.failures, b: b.failures } }
  }

  it('send to an address -> dials, authenticates, delivers in order with the authenticated sender', async () => {
    const { a, b } = await meet()
    const from: string[] = []
    b.onMessage((peer) => {
      from.push(peer)
    })
    const all = heard(b, 5)
    const sends = [1, 2, 3].map((n) => a.send(bob.id, payload(n)))
    expect(a.isConnected(bob.id)).to.equal(false)
    await Promise.all(sends)
    expect(a.isConnected(bob.id)).to.equal(true)
    await a.send(bob.id, payload(4))
    await a.send(bob.id, payload(5))
    expect(await all).to.deep.equal([1, 2, 3, 4, 5])
    expect(new Set(from)).to.deep.equal(new Set([alice.id]))
    expect(here.pipes).to.have.length(1)
  })

  it('the connection that one side made -> serves both', async () => {
    const { a, b } = await meet()
    const up = event(b, 'connected')
    await a.send(bob.id, payload(1))
    await up
    const answer = heard(a, 1)
    await b.send(alice.id, payload(2))
    expect(await answer).to.deep.equal([2])
    expect(here.pipes).to.have.length(1)
  })

  it('nobody there, no address, ourselves, no key -> typed errors', async () => {
    const { a } = await meet({ addresses: { [carol.id]: 'memory://nowhere' } })
    expect(await codeOf(a.send(carol.id, payload(1)))).to.equal('PEER_UNREACHABLE')
    expect(await codeOf(a.send(bob.id, payload(1)))).to.equal('PEER_UNREACHABLE')
    expect(await codeOf(a.send(alice.id, payload(1)))).to.equal('INVALID_ARGUMENT')
    expect(await codeOf(a.send('0x02', payload(1)))).to.equal('INVALID_ARGUMENT')
    expect(await codeOf(a.send(`0x02${'ff'.repeat(32)}`, payload(1)))).to.equal('INVALID_ARGUMENT')
    expect(() => a.sendRaw(bob.id, 33_001, payload(1)))
      .to.throw()
      .with.property('code', 'PEER_UNREACHABLE')
    expect(() => a.connect(alice.id))
      .to.throw()
      .with.property('code', 'INVALID_ARGUMENT')
    expect(() => new PeerBus({ identity: alice, addresses: { '0x00': 'memory://x' } })).to.throw(
      'addresses: a peer ID is 33 bytes in lower-case hex, as 0x02… or 0x03…; got "0x00"',
    )
  })

  it('a peer ID that is none -> INVALID_ARGUMENT that says what is wrong with it', async () => {
    const { a } = await meet()
    const point = `0x02${'ff'.repeat(32)}` as const
    const { id } = bob
    for (const [bad, message] of [
      ['0x02', 'a peer ID is 33 bytes in lower-case hex, as 0x02… or 0x03…; got "0x02"'],
      [`0x${id.slice(2).toUpperCase()}`, 'in lower-case hex'],
      [`0x${'11'.repeat(500)}`, 'got 1002 characters'],
      [point, `${point} is no peer ID: no secp256k1 public key in compressed form`],
      [alice.id, `${alice.id} is this bus's own ID`],
    ] as const) {
      const failed = a.send(bad as `0x${string}`, payload(1)).catch((error: Error) => error.message)
      expect(await failed).to.contain(message)
    }
  })

  it('no connection -> the error says why, for programs and for people', async () => {
    const nowhere = person(4).id
    const addresses = {
      [bob.id]: 'memory://nobody',
      [carol.id]: 'memory://alice',
      [nowhere]: 'carrier-pigeon://coop',
    }
    await here.join(person(5), 'alice')
    const { bus } = await here.join(alice, 'a', { addresses })
    const failing: Dialer = { scheme: 'fail', dial: () => Promise.reject(new Error('no cable')) }
    const odd: Dialer = {
      scheme: 'odd',
      dial: () =>
        Promise.reject(new PerkunasError('INVALID_ARGUMENT', 'a number expected', { argument: '' })),
    }
    const other = await here.join(person(6), 'b', {
      dialers: [failing, odd],
      addresses: { [bob.id]: 'fail://x', [carol.id]: 'odd://x' },
    })
    const why = async (from: PeerBus, to: PeerID) => {
      const error = await from.send(to, payload(1)).catch((thrown) => thrown)
      if (!isError(error, 'PEER_UNREACHABLE')) throw error
      expect(error.facts.peer).to.equal(to)
      return [error.facts.reason, error.message.replace(to, 'them')]
    }
    const none = 'no connection with them: '
    expect(await why(bus, person(7).id)).to.deep.equal([
      'noAddress',
      `${none}no address of that peer is known (\`addresses\` or \`connect\` of the bus give one), and it has not called`,
    ])
    expect(await why(bus, bob.id)).to.deep.equal(['refused', `${none}nobody listens at memory://nobody`])
    expect(await why(bus, nowhere)).to.deep.equal([
      'noDialer',
      `${none}no dialer for carrier-pigeon://coop (there are: memory://)`,
    ])
    expect(await why(bus, carol.id)).to.deep.equal([
      'handshakeFailed',
      `${none}somebody is at memory://alice, but the handshake failed: the stream ended; the other side may have another ID`,
    ])
    expect(await why(other.bus, bob.id)).to.deep.equal(['failed', `${none}dialling fail://x: no cable`])
    expect(await why(other.bus, carol.id)).to.deep.equal([
      'badAddress',
      `${none}odd://x is no address: a number expected`,
    ])
  })

  it('silence at the address -> handshakeFailed when its time is over, with the cause', async () => {
    const server = here.transport.listener('silent')
    await server.listen(() => undefined)
    const { bus } = await here.join(alice, 'alice', { addresses: { [bob.id]: 'memory://silent' } })
    const sent = bus.send(bob.id, payload(1)).catch((thrown) => thrown)
    await settle()
    here.clock.advance(10_000)
    const error = await sent
    if (!isError(error, 'PEER_UNREACHABLE')) throw error
    expect(error.facts.reason).to.equal('handshakeFailed')
    expect(isError(error.cause, 'HANDSHAKE_FAILED') && error.cause.facts.reason).to.equal(
      'not finished in time',
    )
  })

  it('somebody else at the address -> PEER_UNREACHABLE, and they learn nothing', async () => {
    const { a, failures } = await meet({ addresses: { [carol.id]: 'memory://bob' } })
    expect(await codeOf(a.send(carol.id, payload(1)))).to.equal('PEER_UNREACHABLE')
    await settle()
    expect(failures.b.map(({ facts }) => facts)).to.deep.equal([{ reason: 'ACT1_BAD_TAG' }])
  })

  it('connected is reported before the first payload, disconnected when it is over', async () => {
    const { a, b } = await meet()
    const told: string[] = []
    b.onPeer(({ kind, peer }) => told.push(`${kind} ${peer === alice.id}`))
    b.onMessage((_, [n]) => {
      told.push(`payload ${n}`)
    })
    await a.send(bob.id, payload(1))
    await until(() => told.length === 2)
    await a.close()
    await until(() => told.length === 3)
    expect(told).to.deep.equal(['connected true', 'payload 1', 'disconnected true'])
  })

  it('a wanted connection that is lost -> made again after a wait that doubles, until it holds', async () => {
    const { a, b } = await meet({ limits: { backoffMin: 100, backoffMax: 1000, stableAfter: 5000 } })
    const up = event(a, 'connected')
    a.connect(bob.id)
    await up
    const waits: (number | undefined)[] = []
    for (let i = 0; i < 6; i++) {
      const down = event(a, 'disconnected')
      here.pipes.at(-1)?.dialled.destroy()
      await down
      await until(() => !b.isConnected(alice.id))
      // Timers of the connection itself are far away; the nearest one is the next attempt.
      waits.push(here.clock.next)
      const again = Promise.all([event(a, 'connected'), event(b, 'connected')])
      here.clock.advance(here.clock.next ?? 0)
      await again
    }
    expect(waits).to.deep.equal([100, 200, 400, 800, 1000, 1000])
    here.clock.advance(5000)
    const down = event(a, 'disconnected')
    here.pipes.at(-1)?.dialled.destroy()
    await down
    expect(here.clock.next).to.equal(100)
  })

  it('a wanted peer that is away -> tried again until it is there; released -> not any more', async () => {
    const a = await here.join(alice, 'alice', { limits: { backoffMin: 100, backoffMax: 100 } })
    a.bus.connect(bob.id, 'memory://bob')
    for (let i = 0; i < 5; i++) {
      await until(() => here.clock.waiting === 1)
      here.clock.advance(100)
    }
    await until(() => here.clock.waiting === 1)
    const b = await here.join(bob, 'bob')
    const up = Promise.all([event(a.bus, 'connected'), event(b.bus, 'connected')])
    here.clock.advance(100)
    expect(await up).to.deep.equal([bob.id, alice.id])
    a.bus.release(bob.id)
    const down = event(a.bus, 'disconnected')
    await b.bus.close()
    await down
    await settle()
    expect(here.clock.waiting).to.equal(0)
    expect(a.failures.length).to.be.greaterThan(4)
  })

  it('several addresses -> dialled in turn, until the peer is at one of them', async () => {
    const a = await here.join(alice, 'alice', { limits: { backoffMin: 100, backoffMax: 100 } })
    await here.join(carol, 'carol')
    await here.join(bob, 'bob')
    const up = event(a.bus, 'connected')
    a.bus.connect(bob.id, 'memory://nobody,memory://carol,memory://bob')
    for (let i = 1; i <= 2; i++) {
      await until(() => a.failures.length === i && here.clock.waiting > 0)
      here.clock.advance(100)
    }
    expect(await up).to.equal(bob.id)
    expect(a.failures.length).to.equal(2)
  })

  it('send while the next attempt is waited for -> tries at once', async () => {
    const a = await here.join(alice, 'alice')
    a.bus.connect(bob.id, 'memory://bob')
    await until(() => here.clock.waiting === 1)
    const b = await here.join(bob, 'bob')
    const got = heard(b.bus, 1)
    await a.bus.send(bob.id, payload(1))
    expect(await got).to.deep.equal([1])
  })

  it('a handler that throws on a bad payload -> the peer is told, the connection ends, others go on', async () => {
    const { a, b, failures } = await meet()
    const c = await here.join(carol, 'carol', { addresses: { [bob.id]: 'memory://bob' } })
    const warned: string[] = []
    a.onRaw([1], (_, __, bytes) => {
      warned.push(Buffer.from(bytes.subarray(34)).toString())
    })
    const facts = { path: 'kind', reason: 'unknown message' }
    b.onMessage(async (_, [n]) => {
      if (n === 1) throw new PerkunasError('INVALID_MESSAGE', 'kind: unknown message', facts)
      if (n === 2) throw new Error('secret of ours')
    })
    await c.bus.send(bob.id, payload(9))
    for (const n of [1, 2]) {
      await a.send(bob.id, payload(n))
      await until(() => !a.isConnected(bob.id) && !b.isConnected(alice.id))
    }
    expect(warned).to.deep.equal(['kind: unknown message', 'internal error'])
    expect(failures.b.map(({ code }) => code)).to.deep.equal(['PEER_MISBEHAVED', 'HANDLER_FAILED'])
    const got = heard(b, 1)
    await c.bus.send(bob.id, payload(8))
    expect(await got).to.deep.equal([8])
    expect(c.bus.isConnected(bob.id)).to.equal(true)
  })

  it('a handler of connections that throws -> reported, and everything goes on', async () => {
    const { a, b, failures } = await meet()
    b.onPeer(() => {
      throw new PerkunasError('INVALID_STATE', 'bug', { rule: 'bug' })
    })
    const got = heard(b, 1)
    await a.send(bob.id, payload(1))
    expect(await got).to.deep.equal([1])
    expect(failures.b.map(({ facts }) => facts)).to.deep.equal([{ handler: 'onPeer' }])
  })

  it('two handlers, one behind and one that throws -> one failure, no stray rejection', async () => {
    const { a, b, failures } = await meet()
    b.onMessage(async () => {
      await turn()
      throw new Error('late')
    })
    b.onMessage(() => {
      throw new Error('at once')
    })
    await a.send(bob.id, payload(1))
    await until(() => !a.isConnected(bob.id))
    await settle()
    expect(failures.b.map(({ code }) => code)).to.deep.equal(['HANDLER_FAILED'])
  })

  it('a peer that numbers no connections -> its newest one is used', async () => {
    const { b } = await meet()
    const dial = async (n: number) => {
      const told = { opened: 0, closed: 0 }
      const connection = new Connection(
        await here.transport.dialer.dial(bob.id, 'bob'),
        { identity: carol, remote: bob.id, introduce: () => ({ features: [] }), clock: here.clock },
        {
          onOpen: () => told.opened++,
          onPayload: () => undefined,
          onRaw: () => true,
          onClose: () => told.closed++,
        },
      )
      await until(() => told.opened === 1)
      const got = heard(b, 1)
      connection.send(payload(n))
      expect(await got).to.deep.equal([n])
      return { connection, told }
    }
    const first = await dial(1)
    const second = await dial(2)
    await until(() => first.told.closed === 1)
    expect(b.isConnected(carol.id)).to.equal(true)
    second.connection.close()
    await until(() => !b.isConnected(carol.id))
  })

  it('disconnect -> the peer is told why; nothing more of it is handled', async () => {
    const { a, b } = await meet()
    const warned: string[] = []
    a.onRaw([1], (_, __, bytes) => {
      warned.push(Buffer.from(bytes.subarray(34)).toString())
    })
    const got: number[] = []
    b.onMessage((_, [n = 0]) => {
      got.push(n)
      b.disconnect(alice.id, 'two signatures for one version')
    })
    for (const n of [1, 2, 3]) await a.send(bob.id, payload(n))
    await until(() => !a.isConnected(bob.id))
    expect(warned).to.deep.equal(['two signatures for one version'])
    expect(got).to.deep.equal([1])
    b.disconnect(alice.id, 'again')
    b.disconnect(carol.id, 'never met')
  })

  it('raw messages -> to their handlers only; an even type that nobody handles ends the connection', async () => {
    const { a, b } = await meet()
    const seen: string[] = []
    const stop = b.onRaw([258, 33_000], (from, type, [n]) => {
      seen.push(`${from === alice.id} ${type} ${n}`)
    })
    await a.send(bob.id, payload(1))
    for (const type of [258, 33_000, 33_001]) a.sendRaw(bob.id, type, payload(7))
    await until(() => seen.length === 2)
    expect(seen).to.deep.equal(['true 258 7', 'true 33000 7'])
    stop()
    a.sendRaw(bob.id, 258, payload(7))
    await until(() => !a.isConnected(bob.id) && !b.isConnected(alice.id))
    expect(seen).to.have.length(2)
  })

  it('too many strangers -> the next one is sent away; those we know are not', async () => {
    const { b } = await meet({ limits: { maxIncoming: 2 } })
    const strangers: Bus[] = []
    for (let n = 10; n < 14; n++) {
      const { bus } = await here.join(person(n), `stranger ${n}`, { addresses: { [bob.id]: 'memory://bob' } })
      strangers.push(bus)
      await bus.send(bob.id, payload(n))
      await settle()
    }
    expect(strangers.map((bus) => bus.isConnected(bob.id))).to.deep.equal([true, true, false, false])
    b.connect(person(13).id)
    await strangers[3]?.send(bob.id, payload(1))
    await settle()
    expect(strangers[3]?.isConnected(bob.id)).to.equal(true)
  })

  it('too many handshakes at once -> the oldest is closed; an honest one still gets through', async () => {
    const { a, b } = await meet({ limits: { maxHandshakes: 3 } })
    let over = 0
    const idle = async (): Promise<Stream> => {
      const stream = await here.transport.dialer.dial(bob.id, 'bob')
      stream.start({ onData: () => undefined, onDrain: () => undefined, onClose: () => over++ })
      return stream
    }
    for (let i = 0; i < 10; i++) await idle()
    await settle()
    expect(over).to.equal(7)
    const got = heard(b, 1)
    await a.send(bob.id, payload(1))
    expect(await got).to.deep.equal([1])
    await settle()
    expect(over).to.equal(8)
  })

  it('too many that prove a key and say no more -> the oldest is closed; an honest one still gets through', async () => {
    const { a, b } = await meet({ limits: { maxHandshakes: 3 } })
    let authenticated = 0
    let over = 0
    for (let n = 10; n < 20; n++) {
      const stream = await here.transport.dialer.dial(bob.id, 'bob')
      const { clock } = here
      const options = { identity: person(n), remote: bob.id, clock, maxQueueBytes: 1_000, linger: 10 }
      new Session(
        stream,
        { ...options, ephemeral: new Uint8Array(32).fill(100 + n) },
        {
          onAuthenticated: () => {
            authenticated++
            return true
          },
          onMessage: () => undefined,
          onClose: () => {
            over++
          },
        },
      )
      await settle()
    }
    expect([authenticated, over]).to.deep.equal([10, 7])
    const got = heard(b, 1)
    await a.send(bob.id, payload(1))
    expect(await got).to.deep.equal([1])
  })

  it('f 48: who proved a key and has not introduced itself is not connected: nothing that is for peers is for it', async () => {
    const { b } = await meet()
    const mole = person(40)
    const connected: PeerID[] = []
    b.onPeer(({ kind, peer }) => void (kind === 'connected' && connected.push(peer)))
    const said: Uint8Array[] = []
    let isUp = false
    const session = new Session(
      await here.transport.dialer.dial(bob.id, 'bob'),
      {
        identity: mole,
        remote: bob.id,
        clock: here.clock,
        maxQueueBytes: 1_000,
        linger: 10,
        ephemeral: new Uint8Array(32).fill(44),
      },
      {
        onAuthenticated: () => {
          isUp = true
          return true
        },
        onMessage: (message) => void said.push(message),
        onClose: () => undefined,
      },
    )
    await until(() => isUp && said.length === 1)
    expect(() => b.sendRaw(mole.id, 257, new Uint8Array(9)))
      .to.throw()
      .with.property('code', 'PEER_UNREACHABLE')
    expect([b.isConnected(mole.id), connected]).to.deep.equal([false, []])
    await settle()
    expect(said.map((message) => message[1])).to.deep.equal([16])
    session.send(encodeInit({ features: [] }))
    await until(() => b.isConnected(mole.id))
    b.sendRaw(mole.id, 257, new Uint8Array(9))
    await until(() => said.length === 2)
  })

  it('a stranger that comes and goes -> leaves nothing behind', async () => {
    const { b } = await meet()
    for (let i = 0; i < 20; i++) {
      const { bus } = await here.join(person(50 + i), `passer-by ${i}`, {
        addresses: { [bob.id]: 'memory://bob' },
      })
      const got = heard(b, 1)
      await bus.send(bob.id, payload(1))
      await got
      await bus.close()
      await until(() => !b.isConnected(bus.id))
    }
    await settle()
    expect(here.clock.waiting).to.equal(0)
  })

  it('an old connection that is dead without a sign -> replaced by the new one on both sides', async () => {
    for (const [one, other] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      here = place()
      const keeper = await here.join(one, 'keeper')
      const first = await here.join(other, 'first', { addresses: { [one.id]: 'memory://keeper' } })
      await first.bus.send(one.id, payload(1))
      await settle()
      here.pipes[0]?.dialled.stall() // a machine that lost its power, and comes back with an empty memory
      const second = await here.join(other, 'second', { addresses: { [one.id]: 'memory://keeper' } })
      const told: string[] = []
      keeper.bus.onPeer(({ kind }) => told.push(kind))
      const got = heard(keeper.bus, 1)
      await second.bus.send(one.id, payload(2))
      expect(await got).to.deep.equal([2])
      expect(told).to.deep.equal(['disconnected', 'connected'])
      const back = heard(second.bus, 1)
      await keeper.bus.send(other.id, payload(3))
      expect(await back).to.deep.equal([3])
      const closing = Promise.all([keeper.bus.close(), first.bus.close(), second.bus.close()])
      await settle()
      here.clock.advance(1000) // lingering with the dead one
      await closing
    }
  })

  it('close -> everything ends, twice is once, and every call says CLOSED', async () => {
    const { a, b } = await meet()
    await a.send(bob.id, payload(1))
    const down = event(b, 'disconnected')
    await Promise.all([a.close(), a.close()])
    await a.close()
    expect(await down).to.equal(alice.id)
    expect(await codeOf(a.send(bob.id, payload(1)))).to.equal('CLOSED')
    expect(() => a.connect(bob.id))
      .to.throw()
      .with.property('code', 'CLOSED')
    expect(await codeOf(a.listen(here.transport.listener('again')))).to.equal('CLOSED')
    expect(await codeOf(b.send(alice.id, payload(1)))).to.equal('PEER_UNREACHABLE')
  })

  it('close while dialling -> the waiting sends end with CLOSED', async () => {
    const { a } = await meet()
    const sent = codeOf(a.send(bob.id, payload(1)))
    await a.close()
    expect(await sent).to.equal('CLOSED')
    await settle()
    expect(here.pipes.every(({ dialled }) => dialled.bytesOnTheirWay === 0)).to.equal(true)
  })
})

describe('peer: both dial at once', () => {
  /** Runs tasks in order, each after a number of turns that the test chose. */
  function delays(numbers: readonly number[]): (task: () => void) => void {
    let at = 0
    return (task) => {
      let left = numbers[at++ % numbers.length] ?? 0
      const wait = (): void => {
        if (left-- <= 0) task()
        else setImmediate(wait)
      }
      setImmediate(wait)
    }
  }

  it('whatever the timing -> exactly one connection, the same on both sides, and it works', async () => {
    const runs = fc.record({
      network: fc.array(fc.nat(6), { minLength: 1, maxLength: 40 }),
      head: fc.integer({ min: -8, max: 8 }),
      swap: fc.boolean(),
    })
    let twice = 0
    await fc.assert(
      fc.asyncProperty(runs, async ({ network, head, swap }) => {
        const here = place(delays(network))
        const [first, second] = swap ? [bob, alice] : [alice, bob]
        const one = await here.join(first, 'one', { addresses: { [second.id]: 'memory://two' } })
        const other = await here.join(second, 'two', { addresses: { [first.id]: 'memory://one' } })
        if (head > 0) one.bus.connect(second.id)
        else other.bus.connect(first.id)
        for (let i = 0; i < Math.abs(head); i++) await turn()
        if (head > 0) other.bus.connect(first.id)
        else one.bus.connect(second.id)
        await until(() => one.bus.isConnected(second.id) && other.bus.isConnected(first.id))
        for (let i = 0; i < 5; i++) await settle()
        if (here.pipes.length > 1) twice++
        expect(one.bus.isConnected(second.id)).to.equal(true)
        expect(other.bus.isConnected(first.id)).to.equal(true)
        // One pipe is left. Through it both ends hear each other; had each kept another one, neither would.
        const both = Promise.all([heard(one.bus, 1), heard(other.bus, 1)])
        await one.bus.send(second.id, payload(1))
        await other.bus.send(first.id, payload(2))
        expect(await both).to.deep.equal([[2], [1]])
        expect(one.failures.concat(other.failures).every(({ code }) => code !== 'PEER_MISBEHAVED')).to.equal(
          true,
        )
        await here.closeAll()
      }),
      { numRuns: 200 },
    )
    expect(twice).to.be.greaterThan(20)
  })
})
