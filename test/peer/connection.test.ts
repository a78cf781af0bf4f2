import { expect } from 'chai'
import type { PerkunasError } from '../../channel/errors.js'
import { encodeInit, encodePing, MESSAGE_TYPE } from '../../peer/framing.js'
import {
  Connection,
  type ConnectionHandlers,
  type ConnectionLimits,
  type Identity,
  type Init,
  type MemoryStream,
  type MemoryStreamOptions,
  memoryStreams,
  type PeerID,
  type Stream,
} from '../../peer/index.js'
import { Session } from '../../peer/session.js'
import { payload, person, StoppedClock, settle, until } from './support.js'

const alice = person(1)
const bob = person(2)
const mallory = person(3)

interface Setup {
  readonly limits?: Partial<ConnectionLimits>
  readonly clock?: StoppedClock
  readonly init?: Init
  readonly handlers?: Partial<ConnectionHandlers>
  readonly remote?: PeerID
}

/** One side with a record of what its user was told. */
class Side {
  readonly connection: Connection
  readonly payloads: Uint8Array[] = []
  readonly raw: { readonly type: number; readonly payload: Uint8Array }[] = []
  opened = 0
  closed = 0
  error: PerkunasError | undefined

  constructor(stream: Stream, identity: Identity, { limits, clock, init, handlers, remote }: Setup = {}) {
    this.connection = new Connection(
      stream,
      {
        identity,
        introduce: () => init ?? { features: [] },
        ...(remote === undefined ? {} : { remote }),
        ...(limits === undefined ? {} : { limits }),
        clock: clock ?? new StoppedClock(),
      },
      {
        onOpen: () => {
          this.opened++
        },
        onPayload: (_, bytes) => {
          this.payloads.push(bytes)
        },
        onRaw: (_, type, bytes) => {
          this.raw.push({ type, payload: bytes })
          return type <= 17
        },
        onClose: (_, error) => {
          this.closed++
          this.error = error
        },
        ...handlers,
      },
    )
  }
}

function pair(a: Setup = {}, b: Setup = {}, pipe: MemoryStreamOptions = {}) {
  const [left, right] = memoryStreams(pipe)
  const clock = a.clock ?? new StoppedClock()
  const one = new Side(left, alice, { remote: bob.id, ...a, clock })
  const other = new Side(right, bob, { ...b, clock: b.clock ?? clock })
  return { a: one, b: other, left, right, clock }
}

async function opened(a: Setup = {}, b: Setup = {}, pipe: MemoryStreamOptions = {}) {
  const all = pair(a, b, pipe)
  await until(() => all.a.opened + all.b.opened === 2)
  return all
}

/** A session without manners: says whatever it is told to after a proper handshake. */
async function rude(side: Setup = {}) {
  const [left, right] = memoryStreams()
  const clock = side.clock ?? new StoppedClock()
  const victim = new Side(right, bob, { ...side, clock })
  const said: Uint8Array[] = []
  let isUp = false
  let isOver = false
  const session = new Session(
    left,
    {
      identity: mallory,
      remote: bob.id,
      ephemeral: new Uint8Array(32).fill(9),
      clock,
      maxQueueBytes: 1 << 26,
      linger: 1,
    },
    {
      onAuthenticated: () => {
        isUp = true
        return true
      },
      onMessage: (message) => {
        said.push(message)
      },
      onClose: () => {
        isOver = true
      },
    },
  )
  await until(() => isUp)
  return { victim, session, said, clock, isOver: () => isOver }
}

/** The texts of the warnings among messages. */
function warnings(said: readonly Uint8Array[]): readonly string[] {
  return said
    .filter((message) => message[1] === MESSAGE_TYPE.warning && message[0] === 0)
    .map((message) => Buffer.from(message.subarray(36)).toString())
}

describe('peer: connection', () => {
  it('two sides -> each knows the other, then payloads pass in both directions in order', async () => {
    const { a, b } = await opened()
    expect(a.connection.remote).to.equal(bob.id)
    expect(b.connection.remote).to.equal(alice.id)
    for (let i = 0; i < 100; i++) {
      a.connection.send(payload(i))
      b.connection.send(payload(100 + i))
    }
    await until(() => a.payloads.length + b.payloads.length === 200)
    expect(b.payloads.map(([n]) => n)).to.deep.equal(Array.from({ length: 100 }, (_, i) => i))
    expect(a.payloads.map(([n]) => n)).to.deep.equal(Array.from({ length: 100 }, (_, i) => 100 + i))
  })

  it('payloads from nothing to the limit -> whole; one byte more -> TOO_LARGE', async () => {
    const { a, b } = await opened({ limits: { maxPayload: 300_000 } }, { limits: { maxPayload: 300_000 } })
    const sizes = [0, 65_533, 65_534, 300_000]
    for (const size of sizes) a.connection.send(new Uint8Array(size).fill(size & 0xff))
    await until(() => b.payloads.length === sizes.length)
    expect(b.payloads.map(({ length }) => length)).to.deep.equal(sizes)
    expect(() => a.connection.send(new Uint8Array(300_001))).to.throw(/at most 300000/)
  })

  it('bytes in pieces of every size -> the same messages', async () => {
    const [left, far] = memoryStreams()
    const [near, right] = memoryStreams()
    // A wire between the two that cuts what it carries into pieces of 1 to 40 bytes.
    const relay = (from: MemoryStream, to: MemoryStream) =>
      from.start({
        onData: (bytes) => {
          for (let at = 0, size = 1; at < bytes.length; at += size, size = (size % 40) + 1) {
            to.write(bytes.slice(at, at + size))
          }
        },
        onDrain: () => undefined,
        onClose: () => to.destroy(),
      })
    relay(far, near)
    relay(near, far)
    const a = new Side(left, alice, { remote: bob.id })
    const b = new Side(right, bob)
    await until(() => a.opened + b.opened === 2)
    for (const size of [0, 1, 1000, 70_000]) a.connection.send(new Uint8Array(size))
    await until(() => b.payloads.length === 4)
    expect(b.payloads.map(({ length }) => length)).to.deep.equal([0, 1, 1000, 70_000])
  })

  it('what is sent in one turn -> leaves as one write', async () => {
    const { a, b, left } = await opened()
    await settle()
    let writes = 0
    const write = left.write.bind(left)
    left.write = (bytes) => {
      writes++
      return write(bytes)
    }
    for (let i = 0; i < 20; i++) a.connection.send(payload(i))
    await until(() => b.payloads.length === 20)
    expect(writes).to.equal(1)
  })

  it('many messages at once -> at most 8 are handled in one turn', async () => {
    let inTurn = 0
    let most = 0
    let total = 0
    const { a } = await opened(
      {},
      {
        handlers: {
          onPayload: () => {
            total++
            if (inTurn++ === 0) setImmediate(() => (inTurn = 0))
            most = Math.max(most, inTurn)
          },
        },
      },
    )
    for (let i = 0; i < 100; i++) a.connection.send(payload(i))
    await until(() => total === 100)
    expect(most).to.be.at.most(8)
  })

  it('the wrong static key -> refused by both before anything is said', async () => {
    const { a, b } = pair({ remote: mallory.id })
    await until(() => a.closed + b.closed === 2)
    expect([a.opened, b.opened]).to.deep.equal([0, 0])
    expect(b.error?.facts).to.deep.equal({ reason: 'ACT1_BAD_TAG' })
    expect(a.error?.code).to.equal('HANDSHAKE_FAILED')
  })

  it('ourselves on the other side -> HANDSHAKE_FAILED', async () => {
    const [left, right] = memoryStreams()
    const a = new Side(left, alice, { remote: alice.id })
    const b = new Side(right, alice)
    await until(() => a.closed + b.closed === 2)
    expect(a.error?.code).to.equal('HANDSHAKE_FAILED')
    expect(a.opened + b.opened).to.equal(0)
  })

  it('garbage instead of a handshake -> closed at the first act, nothing answered', async () => {
    const [left, right] = memoryStreams()
    const answers: Uint8Array[] = []
    let isOver = false
    left.start({
      onData: (bytes) => answers.push(bytes),
      onDrain: () => undefined,
      onClose: () => {
        isOver = true
      },
    })
    const b = new Side(right, bob)
    left.write(new TextEncoder().encode(`GET / HTTP/1.1\r\nHost: perkunas\r\n\r\n${'x'.repeat(50)}`))
    await until(() => isOver && b.closed === 1)
    expect(answers).to.deep.equal([])
    expect(b.error?.facts).to.deep.equal({ reason: 'ACT1_BAD_VERSION' })
  })

  it('garbage after the handshake -> PEER_MISBEHAVED, nothing handled', async () => {
    const { a, b, left } = await opened()
    await settle()
    left.write(new Uint8Array(100).fill(1))
    await until(() => b.closed === 1)
    expect(b.error?.facts).to.deep.equal({ peer: alice.id, reason: 'not authentic' })
    expect(b.payloads).to.deep.equal([])
    await until(() => a.closed === 1)
  })

  it('a handshake that does not end -> closed after its time, whatever trickles in', async () => {
    const clock = new StoppedClock()
    const [left, right] = memoryStreams()
    left.start({ onData: () => undefined, onDrain: () => undefined, onClose: () => undefined })
    const b = new Side(right, bob, { clock, limits: { handshakeTimeout: 1000 } })
    for (let i = 0; i < 49; i++) {
      left.write(payload(0))
      await settle()
      clock.advance(20)
    }
    expect(b.closed).to.equal(0)
    clock.advance(20)
    await until(() => b.closed === 1)
    expect(b.error?.facts).to.deep.equal({ reason: 'not finished in time' })
    expect(clock.waiting).to.equal(0)
  })

  it('a peer that never introduces itself -> closed after the same time', async () => {
    const { victim, clock, isOver } = await rude({ limits: { handshakeTimeout: 1000 } })
    clock.advance(999)
    await settle()
    expect(victim.closed).to.equal(0)
    clock.advance(1)
    await until(() => victim.closed === 1 && isOver())
    expect(victim.opened).to.equal(0)
  })

  const breaches: readonly (readonly [string, readonly Uint8Array[], RegExp])[] = [
    ['a payload before init', [Uint8Array.of(0xc5, 0x0b, 1)], /init expected/],
    ['init twice', [encodeInit({ features: [] }), encodeInit({ features: [] })], /init twice/],
    ['a required feature nobody knows', [encodeInit({ features: [1, 900] })], /unknown required feature 900/],
    [
      'an even type nobody knows',
      [encodeInit({ features: [] }), Uint8Array.of(0x80, 0, 1)],
      /unknown message type 32768/,
    ],
    ['an empty message', [encodeInit({ features: [] }), new Uint8Array(0)], /too short/],
    ['a ping cut short', [encodeInit({ features: [] }), encodePing(1).subarray(0, 4)], /too short/],
    ['a fragment of nothing', [encodeInit({ features: [] }), Uint8Array.of(0xc5, 0x0d)], /too short/],
    [
      'a fragment of 4 GiB',
      [encodeInit({ features: [] }), Uint8Array.of(0xc5, 0x0d, 255, 255, 255, 255, 0, 0, 0, 0, 1)],
      /at most 4194304/,
    ],
    [
      'a payload between two fragments',
      [
        encodeInit({ features: [] }),
        Uint8Array.from([0xc5, 0x0d, 0, 2, 0, 0, 0, 0, 0, 0, ...new Uint8Array(65_525)]),
        Uint8Array.of(0xc5, 0x0b, 1),
      ],
      /inside another/,
    ],
  ]
  for (const [what, messages, reason] of breaches) {
    it(`${what} -> told why, closed with PEER_MISBEHAVED, nothing handed on`, async () => {
      const { victim, session, said, isOver } = await rude()
      for (const message of messages) session.send(message)
      await until(() => victim.closed === 1 && isOver())
      expect(victim.error?.code).to.equal('PEER_MISBEHAVED')
      expect(warnings(said).join()).to.match(reason)
      expect(victim.payloads).to.deep.equal([])
    })
  }

  it('f 48: any message before init but an error or a warning -> closed, nothing handed on, nothing said but our init and why', async () => {
    for (const type of [2, 18, 19, 32, 36, 38, 128, 132, 136, 256, 257, 258, 265, 513, 0x8001]) {
      const { victim, session, said, isOver } = await rude()
      session.send(Uint8Array.of(type >> 8, type & 0xff, ...new Uint8Array(90)))
      session.send(encodeInit({ features: [] }))
      session.send(Uint8Array.of(0, 36, ...new Uint8Array(90)))
      await until(() => victim.closed === 1 && isOver())
      expect(victim.error?.code, String(type)).to.equal('PEER_MISBEHAVED')
      expect([victim.opened, victim.raw, victim.payloads]).to.deep.equal([0, [], []])
      const types = said.map((message) => ((message[0] ?? 0) << 8) | (message[1] ?? 0))
      expect(types).to.deep.equal([MESSAGE_TYPE.init, MESSAGE_TYPE.warning])
    }
  })

  it('an odd type nobody knows -> ignored; a ping -> answered with as many bytes', async () => {
    const { victim, session, said } = await rude()
    for (const message of [encodeInit({ features: [1] }), Uint8Array.of(0x80, 1, 1), encodePing(5)])
      session.send(message)
    await until(() => said.length === 2)
    expect(said[1]).to.deep.equal(Uint8Array.from([0, 19, 0, 5, 0, 0, 0, 0, 0]))
    expect([victim.opened, victim.closed]).to.deep.equal([1, 0])
  })

  it('no network in common -> closed; one in common, or none named -> open', async () => {
    const one: Init = { features: [], networks: [`0x${'01'.repeat(32)}`] }
    const other: Init = { features: [], networks: [`0x${'02'.repeat(32)}`] }
    const both: Init = { features: [], networks: [`0x${'02'.repeat(32)}`, `0x${'01'.repeat(32)}`] }
    await opened({ init: one }, { init: both })
    await opened({ init: one }, {})
    const { a, b } = pair({ init: one }, { init: other })
    await until(() => a.closed + b.closed === 2)
    expect(a.error?.code ?? b.error?.code).to.equal('PEER_MISBEHAVED')
  })

  it('more messages per second than allowed -> PEER_MISBEHAVED; as many over time -> fine (f 37)', async () => {
    const limits = { messagesPerSecond: 10 }
    const slow = await opened({}, { limits })
    for (let i = 0; i < 10; i++) {
      for (let j = 0; j < 10; j++) slow.a.connection.send(payload(1))
      await until(() => slow.b.payloads.length === 10 * (i + 1))
      slow.clock.advance(1000)
    }
    expect(slow.b.closed).to.equal(0)
    const quick = await opened({}, { limits })
    for (let i = 0; i < 25; i++) quick.a.connection.send(payload(1))
    await until(() => quick.a.closed + quick.b.closed === 2)
    expect(quick.b.error?.facts).to.deep.equal({ peer: alice.id, reason: 'too many messages' })
    expect(quick.b.payloads).to.have.length(19) // and the init
  })

  it('more bytes per second than allowed, sent or asked for by pings -> PEER_MISBEHAVED', async () => {
    const limits = { bytesPerSecond: 10_000 }
    const { a, b } = await opened({}, { limits })
    a.connection.send(new Uint8Array(21_000))
    await until(() => b.closed === 1)
    expect(b.error?.facts).to.deep.equal({ peer: alice.id, reason: 'too many bytes' })
    const { victim, session } = await rude({ limits })
    for (const message of [encodeInit({ features: [] }), encodePing(15_000), encodePing(15_000)])
      session.send(message)
    await until(() => victim.closed === 1)
    expect(victim.error?.facts).to.deep.equal({ peer: mallory.id, reason: 'too many bytes' })
  })

  it('a handler that is behind -> reading stops, and goes on where it stopped (f 37)', async () => {
    const waiting: (() => void)[] = []
    const sizes: number[] = []
    const { a, b, left } = await opened(
      { limits: { maxQueueBytes: 4_000_000 } },
      {
        handlers: {
          onPayload: (_, bytes) => {
            sizes.push(bytes.length)
            return new Promise((resolve) => waiting.push(resolve))
          },
        },
      },
    )
    for (let i = 0; i < 100; i++) a.connection.send(new Uint8Array(10_000 + i))
    await settle()
    expect(sizes).to.deep.equal([10_000])
    // One write of 256 KiB at most is out; the receiver holds some of it, and the rest waits with the sender.
    expect(left.bytesOnTheirWay).to.be.at.most(300_000)
    while (sizes.length < 100) {
      waiting.shift()?.()
      await settle()
    }
    expect(sizes).to.deep.equal(Array.from({ length: 100 }, (_, i) => 10_000 + i))
    expect(b.closed).to.equal(0)
  })

  it('a peer that reads nothing -> PEER_OVERLOADED at the limit, memory bounded, then it goes on (f 37)', async () => {
    let isReading = false
    const release: (() => void)[] = []
    let got = 0
    const { a } = await opened(
      { limits: { maxQueueBytes: 500_000 } },
      {
        handlers: {
          onPayload: () => {
            got++
            return isReading ? undefined : new Promise<void>((resolve) => release.push(resolve))
          },
        },
      },
    )
    let sent = 0
    const fill = async () => {
      for (let i = 0; i < 5; i++) {
        try {
          for (;;) {
            a.connection.send(new Uint8Array(10_000))
            sent++
          }
        } catch (error) {
          expect(error).to.have.property('code', 'PEER_OVERLOADED')
        }
        await settle()
      }
    }
    await fill()
    expect(sent * 10_000).to.be.lessThan(1_500_000)
    const before = sent
    await fill()
    expect(sent).to.equal(before)
    isReading = true
    for (const resolve of release) resolve()
    await until(() => got === sent)
    a.connection.send(payload(1))
    await until(() => got === sent + 1)
  })

  it('silence -> a ping; an answer -> all is well; no answer -> PEER_UNREACHABLE', async () => {
    const limits = { pingInterval: 1000, pingTimeout: 300 }
    const { a, b, left, clock } = await opened({ limits }, { limits, clock: new StoppedClock() })
    for (let i = 0; i < 60; i++) {
      clock.advance(100)
      await settle()
      expect(a.closed).to.equal(0)
    }
    left.stall() // last heard this moment, by a pong; so 1000 ms to a ping, and 300 ms more
    clock.advance(1299)
    await settle()
    expect(a.closed).to.equal(0)
    clock.advance(1)
    await until(() => a.closed === 1)
    expect(a.error?.code).to.equal('PEER_UNREACHABLE')
    expect(a.error?.message).to.match(/does not answer/)
    expect(clock.waiting).to.equal(0)
    expect(b.closed).to.equal(0) // it can't know, its own clock has not moved
  })

  it('silence while our own handler is behind -> no reason to give the peer up', async () => {
    const release: (() => void)[] = []
    const limits = { pingInterval: 1000, pingTimeout: 300 }
    const clock = new StoppedClock()
    const { a, b } = await opened(
      {},
      {
        clock,
        limits,
        handlers: { onPayload: () => new Promise<void>((resolve) => release.push(resolve)) },
      },
    )
    a.connection.send(payload(1))
    await until(() => release.length === 1)
    for (let i = 0; i < 10; i++) {
      clock.advance(1000)
      await settle()
    }
    expect(b.closed).to.equal(0)
    release[0]?.()
    await settle()
    clock.advance(300)
    await settle()
    expect(b.closed).to.equal(0)
  })

  it('close -> what was queued arrives first; again -> nothing; send afterwards -> PEER_UNREACHABLE', async () => {
    const { a, b } = await opened()
    a.connection.send(payload(7))
    a.connection.close()
    a.connection.close()
    expect(() => a.connection.send(payload(8)))
      .to.throw()
      .with.property('code', 'PEER_UNREACHABLE')
    await until(() => a.closed === 1 && b.closed === 1)
    expect(b.payloads).to.deep.equal([payload(7)])
    expect(a.error).to.equal(undefined)
    expect(b.error?.code).to.equal('PEER_UNREACHABLE')
    a.connection.close()
    a.connection.destroy()
    await settle()
    expect([a.closed, b.closed]).to.deep.equal([1, 1])
  })

  it('close towards a peer that takes nothing -> ended after lingering', async () => {
    const { a, left, clock } = await opened({ limits: { linger: 500 } })
    left.stall()
    a.connection.send(payload(1))
    a.connection.close()
    await settle()
    expect(a.closed).to.equal(0)
    clock.advance(500)
    await until(() => a.closed === 1)
    expect(clock.waiting).to.be.at.most(1) // the other side's own
  })

  it('raw messages -> handed on with their type; bad types and sizes -> refused', async () => {
    const { a, b } = await opened({}, { handlers: {} })
    a.connection.sendRaw(33_001, payload(1, 2))
    a.connection.sendRaw(17, new Uint8Array(34))
    await until(() => b.raw.length === 2)
    expect(b.raw).to.deep.equal([
      { type: 33_001, payload: payload(1, 2) },
      { type: 17, payload: new Uint8Array(34) },
    ])
    expect(() => a.connection.sendRaw(65_536, payload()))
      .to.throw()
      .with.property('code', 'INVALID_ARGUMENT')
    expect(() => a.connection.sendRaw(1, new Uint8Array(65_534)))
      .to.throw()
      .with.property('code', 'TOO_LARGE')
  })
})
