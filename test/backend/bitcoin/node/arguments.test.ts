// What a program without types may give a node: refused where it is said, and never more than one channel's trouble.
import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { LightningNode, type OpenOptions } from '../../../../backend/bitcoin/node/index.js'
import { blockDelta, feeratePerKw, msat, sat } from '../../../../backend/bitcoin/units.js'
import { isError, PerkunasError } from '../../../../channel/errors.js'
import { MemoryStore } from '../../../../persistence/index.js'
import { type TestNode, TestWorld } from './world.js'

/** All that a type has, so that none is forgotten. */
type AllOf<T> = Readonly<Record<keyof T, unknown>>

const WISHES: Readonly<Record<string, object>> = {
  'push below nothing': { push: -1n },
  'more than all pushed': { push: 2n ** 65n },
  'no capacity': { capacity: 0n },
  'a capacity that is a number': { capacity: 5 },
  'more than there is': { capacity: 2n ** 70n },
  'a delay beyond its field': { toSelfDelay: 70_000 },
  'a delay below nothing': { toSelfDelay: -1 },
  'a fraction of a feerate': { feerate: 300.5 },
  'a feerate that nobody relays': { feerate: 1 },
  'a feerate beyond its field': { feerate: 2 ** 33 },
  'a script that is text': { shutdownScript: 'x' },
  'a type that is text': { type: 'anchors' },
  'a type that there is not': { type: { commitments: 'anchor', scidAlias: false, zeroconf: false } },
  'a type that says too little': { type: { commitments: 'anchors' } },
  'a type that neither can': { type: { commitments: 'simple_taproot', scidAlias: false, zeroconf: false } },
}

describe('LightningNode: arguments', () => {
  let world: TestWorld
  let a: LightningNode
  let bob: TestNode

  beforeEach(async () => {
    world = new TestWorld()
    bob = world.node('bob')
    a = await world.node('alice').start()
    await bob.start()
    await a.open({ peer: bob.id, capacity: sat(1_000_000n), push: msat(300_000_000n) })
    await world.chain.mine(6)
    await a.until(0n, ({ phase }) => phase === 'normal')
  })

  afterEach(() => world.stop())

  for (const [name, wish] of Object.entries(WISHES)) {
    it(`open with ${name} -> INVALID_PARAMS, and the node goes on`, async () => {
      const options: OpenOptions = Object.assign({ peer: bob.id, capacity: sat(1_000_000n) }, wish)
      expect(await codeOf(a.open(options))).to.equal('INVALID_PARAMS')
      expect(a.stopped).to.equal(undefined)
      expect(a.channels()).to.have.length(1)
    })
  }

  it('what is no argument at all -> INVALID_ARGUMENT from each call, and the node goes on', async () => {
    const peer = bob.id
    const calls: readonly (readonly [method: string, ...given: readonly unknown[]])[] = [
      ['open'],
      ['open', { capacity: 5n }],
      ['open', { peer: 'bob', capacity: 5n }],
      ['open', { peer, capacity: 100_000n, address: 5 }],
      ['connect'],
      ['handleChannels'],
      ['close'],
      ['close', 0n, { script: 'x' }],
      ['forceClose'],
      ['bumpClosing', undefined, 300n],
      ['until', undefined, () => true],
      ['want', undefined, { kind: 'unwant', reference: 'x' }],
      ['want', 0n],
      ['want', 0n, { kind: 'shutdown' }],
      ['want', 0n, { kind: 'want' }],
    ]
    for (const [i, [method, ...given]] of calls.entries()) {
      const call = async () => Reflect.apply(Reflect.get(a, method), a, given)
      expect(await codeOf(call()), `${i}: ${method}`).to.equal('INVALID_ARGUMENT')
    }
    expect(a.stopped).to.equal(undefined)
    expect([a.channel(0n)?.phase, a.channel(0n)?.stopped]).to.deep.equal(['normal', undefined])
  })

  it('an unknown option -> INVALID_ARGUMENT that names it; the same right is taken', async () => {
    const peer = bob.id
    const wish = { peer, capacity: sat(1_000_000n) }
    for (const [method, given, argument] of [
      ['open', [{ ...wish, pushed: 5n }], 'options.pushed'],
      ['open', [{ ...wish, typ: 'anchors' }], 'options.typ'],
      ['open', [wish, { signl: 5 }], 'callOptions.signl'],
      ['close', [0n, { isIdel: true }], 'options.isIdel'],
    ] as const) {
      const error: unknown = await Reflect.apply(Reflect.get(a, method), a, given).catch((e: unknown) => e)
      expect(isError(error, 'INVALID_ARGUMENT') && error.facts.argument).to.equal(argument)
    }
    expect(a.channel(0n)?.phase).to.equal('normal')
    const opened: OpenOptions = {
      peer,
      address: 'bob',
      capacity: sat(100_000n),
      push: msat(0n),
      feerate: feeratePerKw(1000),
      isAnnounced: false,
      type: { commitments: 'static_remotekey', scidAlias: true, zeroconf: false } as const,
      toSelfDelay: blockDelta(144),
      shutdownScript: new Uint8Array([0x51, 0x02, 0x4e, 0x73]),
      isUpfront: false,
      isZeroConf: false,
    } satisfies AllOf<OpenOptions>
    expect((await a.open(opened)).phase).not.to.equal('normal')
    await a.close(0n, { script: new Uint8Array([0x51, 0x02, 0x4e, 0x73]), isIdle: true })
  })

  it('what is no signal -> INVALID_ARGUMENT that names it, and the node goes on', async () => {
    const { signal } = new AbortController()
    const wish = { peer: bob.id, capacity: sat(1_000_000n) }
    for (const [method, given, argument] of [
      ['until', [0n, () => false, { signal }], 'signal'],
      ['eventually', [() => undefined, 'soon'], 'signal'],
      ['open', [wish, { signal: new AbortController() }], 'callOptions.signal'],
      ['open', [wish, { signal: null }], 'callOptions.signal'],
    ] as const) {
      const error: unknown = await Promise.resolve(Reflect.apply(Reflect.get(a, method), a, given)).catch(
        (e: unknown) => e,
      )
      expect(isError(error, 'INVALID_ARGUMENT') && error.facts.argument).to.equal(argument)
    }
    await world.chain.mine(1)
    expect((await a.until(0n, ({ phase }) => phase === 'normal', signal)).phase).to.equal('normal')
    expect(a.stopped).to.equal(undefined)
  })

  it('a decision with a name that nobody knows -> refused, and told by name', async () => {
    const errors: PerkunasError[] = []
    bob.running.errors$.subscribe((error) => errors.push(error))
    const cold = { accept: true, shutdownscript: new Uint8Array([0x51, 0x02, 0x4e, 0x73]) } as const
    bob.running.handleChannels(() => cold)
    expect(await codeOf(a.open({ peer: bob.id, capacity: sat(1_000_000n) }))).to.equal('PEER_REJECTED')
    expect(errors.map(({ code, message }) => [code, message])).to.deep.equal([
      [
        'HANDLER_FAILED',
        'handleChannels failed: decision.shutdownscript: unknown option; did you mean shutdownScript?',
      ],
    ])
  })

  for (const [name, options] of Object.entries<object>({
    'a resolver with a fraction of a block': { resolver: { race: 0.5 } },
    'a resolver that spends more than all': { resolver: { budgetMillionths: 2_000_000 } },
    'payments of no parts': { payments: { maxParts: 0 } },
    'payments with too little time': { payments: { minFinalCltvExpiryDelta: 5 } },
    'payments of an unknown kind': { payments: { spontaneous: 'maybe' } },
    'payments that are text': { payments: 'all' },
    'admission of a negative number': { admission: { unfundedPerPeer: -1 } },
    'an unknown reserve': { admission: { anchorReserve: 'some' } },
    'a policy with a negative reserve': { policy: { reserveMinimum: -1n } },
    'a short seed': { seed: new Uint8Array(5) },
    'no wallet': { wallet: undefined },
    'a wallet that is not there yet': { wallet: Promise.resolve({}) },
    'a chain that is none': { chain: { chainInfo: () => undefined } },
    'the path of a counter': { steps: '/tmp/steps' },
    'a backup that is no function': { onBackup: 5 },
  }))
    it(`start with ${name} -> INVALID_ARGUMENT, before anything is read`, async () => {
      const store = new MemoryStore()
      let isRead = false
      store.scan = () => {
        isRead = true
        throw new Error('read')
      }
      const carol = world.node('carol')
      expect(await codeOf(carol.start(Object.assign({ store }, options)))).to.equal('INVALID_ARGUMENT')
      expect(isRead).to.equal(false)
    })

  it('start() -> INVALID_ARGUMENT', async () => {
    expect(await codeOf(Reflect.apply(LightningNode.start, LightningNode, [undefined]))).to.equal(
      'INVALID_ARGUMENT',
    )
  })

  it('what is wanted of a channel and has no encoding -> INVALID_ARGUMENT, and the channel goes on', async () => {
    const add = {
      kind: 'add',
      reference: 'one',
      amount: msat(5000n),
      paymentHash: new Uint8Array(32),
      cltvExpiry: 300,
      onion: new Uint8Array(1366),
    } as const
    for (const change of [
      { onion: new Uint8Array(3) },
      { paymentHash: new Uint8Array(3) },
      { amount: -5n },
      { reference: 'x'.repeat(251) },
      { reference: 5 },
      { reference: '\uD800' },
      { reference: '\uFEFFone' },
      { cltvExpiry: 0.5 },
      { kind: 'x' },
    ]) {
      const intent = Object.assign({}, add, change)
      expect(await codeOf(a.want(0n, { kind: 'want', intent }))).to.equal('INVALID_ARGUMENT')
    }
    expect(a.stopped).to.equal(undefined)
    expect(a.channel(0n)?.stopped).to.equal(undefined)
  })

  it('a message of ours that has no encoding costs its channel and no other', async () => {
    const eve = world.node('eve')
    // Temporary channel IDs are 32 bytes; here they are not.
    const e = await eve.start({ entropy: (bytes) => randomBytes(bytes === 32 && isShort ? 3 : bytes) })
    let isShort = false
    await e.open({ peer: bob.id, capacity: sat(1_000_000n) })
    isShort = true
    expect(await codeOf(e.open({ peer: bob.id, capacity: sat(1_000_000n) }))).to.equal('INTERNAL')
    isShort = false
    expect(e.stopped).to.equal(undefined)
    await e.open({ peer: bob.id, capacity: sat(1_000_000n) })
    await world.chain.mine(6)
    await e.until(0n, ({ phase }) => phase === 'normal')
    await e.until(2n, ({ phase }) => phase === 'normal')
  })
})

async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call
    return 'done'
  } catch (cause) {
    return cause instanceof PerkunasError ? cause.code : `untyped: ${cause}`
  }
}
