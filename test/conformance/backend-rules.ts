// IDs, messages, signatures and limits: the pure part of a backend; and its clock.
import { expect } from 'chai'
import fc from 'fast-check'
import {
  type AddressMap,
  type Allocation,
  type Asset,
  EMPTY,
  faultOfParams,
  faultOfState,
  fromHex,
  type Hex,
  isHex,
  NO_APP,
  NO_AUX,
  type Params,
  type State,
  toHex,
} from '../../channel/index.js'
import { type Scene, scenes } from './backend-scene.js'
import type { BackendSetup, BackendWorld } from './backend-setup.js'

/** Declares the tests of `LedgerRules`, and of time. */
export function describeRules<W extends BackendWorld>(setup: BackendSetup<W>): void {
  const { capabilities, anyApp, stranger, twins } = setup
  const open = scenes(setup)

  function refusesParams({ rules }: Scene<W>, params: Params): boolean {
    return (faultOfParams(params) ?? rules.faultOfParams(params)) !== undefined
  }

  function refusesState({ rules }: Scene<W>, params: Params, state: State): boolean {
    return (faultOfState(params, state) ?? rules.faultOfState(params, state)) !== undefined
  }

  describe('capabilities', () => {
    it('every backend has those that were declared', async () => {
      const { world } = await open()
      for (const { backend } of world.parties) expect(backend.capabilities).to.deep.equal(capabilities)
    })
  })

  describe('channel IDs', () => {
    it('the same params -> the same ID of 32 bytes, for everybody', async () => {
      const scene = await open()
      const params = scene.params()
      const [id = EMPTY, ...others] = scene.world.parties.map(({ backend }) =>
        backend.rules.channelID(structuredClone(params)),
      )
      expect(isHex(id, 32)).to.equal(true)
      for (const other of others) expect(other).to.equal(id)
    })

    for (const field of [
      'challengeDuration',
      'participants',
      'app',
      'nonce',
      'ledgerChannel',
      'virtualChannel',
      'aux',
    ] as const) {
      it(`another ${field} -> another ID, or params that the ledger refuses`, async () => {
        const scene = await open()
        const one = scene.params()
        // Differs from `one` in every field.
        const other: Params = {
          challengeDuration: one.challengeDuration - 1n,
          participants: [stranger(0), stranger(1), stranger(2)],
          app: anyApp,
          nonce: one.nonce + 1n,
          ledgerChannel: false,
          virtualChannel: true,
          aux: toHex(new Uint8Array(256).fill(255)),
        }
        const pairs: readonly (readonly [Params, Params])[] = [
          [one, { ...one, [field]: other[field] }],
          [other, { ...other, [field]: one[field] }],
        ]
        for (const [before, changed] of pairs) {
          if (refusesParams(scene, changed)) continue
          expect(scene.rules.channelID(changed)).to.not.equal(scene.rules.channelID(before))
        }
      })
    }

    it('participants in another order, one more, one less -> another ID', async () => {
      const scene = await open()
      const [a, b, c] = [stranger(0), stranger(1), stranger(2)]
      const ids = [
        [a, b],
        [b, a],
        [a, b, c],
        [a, c],
        [c, a, b],
      ]
        .filter(({ length }) => length <= capabilities.participants.max)
        .map((participants) => scene.rules.channelID(scene.params({ participants, nonce: 1n })))
      expect(new Set(ids).size).to.equal(ids.length)
    })

    it('nonces next to each other and at the limits -> different IDs', async () => {
      const scene = await open()
      const nonces = [0n, 1n, 255n, 256n, 2n ** 64n, 2n ** 255n, 2n ** 256n - 1n]
      const ids = nonces.map((nonce) => scene.rules.channelID(scene.params({ nonce })))
      expect(new Set(ids).size).to.equal(nonces.length)
    })
  })

  describe('signatures over states', () => {
    /** A state with something in every field, and the ways to change one of them. */
    function sample(scene: Scene<W>): { params: Params; state: State; changed: Record<string, State> } {
      const app = capabilities.apps ? anyApp : NO_APP
      const params = scene.params({ app })
      const assets = scene.world.assets.slice(0, 2)
      const child = { channelID: toHex(new Uint8Array(32).fill(7)), balances: [3n, 4n], indexMap: [1, 0] }
      const allocation: Allocation = {
        assets,
        balances: [
          [10n, 20n],
          [30n, 40n],
        ],
        locked: capabilities.subChannels ? [child] : [],
      }
      const data: Hex = capabilities.apps ? '0x0123' : EMPTY
      const first = scene.first(params)
      const state: State = { ...first, version: 5n, allocation, data }
      const within = (changes: Partial<Allocation>): State => ({
        ...state,
        allocation: { ...allocation, ...changes },
      })
      const lock = (changes: Partial<typeof child>) => within({ locked: [{ ...child, ...changes }] })
      return {
        params,
        state,
        changed: {
          channelID: { ...state, channelID: toHex(new Uint8Array(32).fill(9)) },
          version: { ...state, version: 6n },
          app: { ...state, app: app === NO_APP ? anyApp : NO_APP },
          data: { ...state, data: '0x0124' },
          'shorter data': { ...state, data: '0x01' },
          isFinal: { ...state, isFinal: true },
          'order of assets': within({ assets: assets.toReversed() }),
          'a balance': within({
            balances: [
              [11n, 20n],
              [30n, 40n],
            ],
          }),
          'balances of two participants': within({
            balances: [
              [20n, 10n],
              [30n, 40n],
            ],
          }),
          'balances of two assets': within({
            balances: [
              [30n, 40n],
              [10n, 20n],
            ],
          }),
          ...(capabilities.subChannels && {
            'no locked funds': within({ locked: [] }),
            'locked channel': lock({ channelID: toHex(new Uint8Array(32).fill(8)) }),
            'locked balances': lock({ balances: [4n, 3n] }),
            'index map': lock({ indexMap: [0, 1] }),
            'no index map': lock({ indexMap: [] }),
          }),
        },
      }
    }

    it('each participant: its own is valid, for nobody else', async () => {
      const scene = await open()
      const { params, state } = sample(scene)
      const message = scene.rules.message(params, state)
      for (const [i, signature] of (await scene.sign(params, state)).entries()) {
        for (const [j, { backend, participant }] of scene.world.parties.entries()) {
          expect(backend.rules.verify(message, signature, participant)).to.equal(i === j)
        }
      }
    })

    it('a change of any one field -> the signature is not valid any more, or the state is refused', async () => {
      const scene = await open()
      const { params, state, changed } = sample(scene)
      const { participant } = scene.party(0)
      const [signature = EMPTY] = await scene.sign(params, state)
      expect(scene.rules.verify(scene.rules.message(params, state), signature, participant)).to.equal(true)
      for (const [name, other] of Object.entries(changed)) {
        const isRefused =
          refusesState(scene, params, other) || other.channelID !== scene.rules.channelID(params)
        const isValid = () => scene.rules.verify(scene.rules.message(params, other), signature, participant)
        // The ID is bound by the message although nobody would ask for a foreign one.
        if (!isRefused || name === 'channelID') expect(isValid(), name).to.equal(false)
      }
    })

    it('a signature of another form: short, long, empty, no hex, upper case -> not valid, nothing thrown', async () => {
      const scene = await open()
      const { params, state } = sample(scene)
      const { participant } = scene.party(0)
      const message = scene.rules.message(params, state)
      const [signature = EMPTY] = await scene.sign(params, state)
      const upper: Hex = `0x${signature.slice(2).toUpperCase()}`
      const bad: Hex[] = [EMPTY, `${signature}00`, `0x${signature.slice(4)}`, `${signature}0`, '0xzz', upper]
      for (const other of bad) expect(scene.rules.verify(message, other, participant), other).to.equal(false)
    })

    it('any one byte changed, or any bytes at all -> not valid, nothing thrown', async () => {
      const scene = await open()
      const { params, state } = sample(scene)
      const { participant } = scene.party(0)
      const message = scene.rules.message(params, state)
      const [signature = EMPTY] = await scene.sign(params, state)
      const original = fromHex(signature)
      fc.assert(
        fc.property(fc.nat(original.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
          const other = original.map((byte, i) => (i === at ? byte ^ change : byte))
          return !scene.rules.verify(message, toHex(other), participant)
        }),
        { numRuns: 50 },
      )
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 100 }), (any, text) => {
          return !scene.rules.verify(text, toHex(any), participant)
        }),
        { numRuns: 50 },
      )
    })

    it('a participant without an address here, or with a malformed one -> not valid, nothing thrown', async () => {
      const scene = await open()
      const { params, state } = sample(scene)
      const message = scene.rules.message(params, state)
      const [signature = EMPTY] = await scene.sign(params, state)
      const { backend } = scene.rules
      const bad: AddressMap[] = [{}, { [backend]: EMPTY }, { [backend]: '0xzz' }, { [backend + 99]: '0x01' }]
      for (const participant of bad) {
        expect(scene.rules.verify(message, signature, participant)).to.equal(false)
      }
    })

    if (twins) {
      it('safety f: other forms that recover the same signer (high s, other v, compact) -> not valid', async () => {
        const scene = await open()
        const { params, state } = sample(scene)
        const message = scene.rules.message(params, state)
        const [signature = EMPTY] = await scene.sign(params, state)
        for (const twin of twins(signature)) {
          expect(scene.rules.verify(message, twin, scene.party(0).participant), twin).to.equal(false)
        }
      })
    }
  })

  describe('limits', () => {
    const strangers = (n: number) => Array.from({ length: n }, (_, i) => stranger(i))

    it('as many participants as the capabilities say -> taken; one more or less -> refused', async () => {
      const scene = await open()
      const { min, max } = capabilities.participants
      const refuses = (n: number) => refusesParams(scene, scene.params({ participants: strangers(n) }))
      expect([min - 1, min, max, max + 1].map(refuses)).to.deep.equal([true, false, false, true])
    })

    it('the shortest and the longest challenge duration -> taken; beyond -> refused', async () => {
      const scene = await open()
      const { min, max } = capabilities.challengeDuration
      const refuses = (challengeDuration: bigint) => refusesParams(scene, scene.params({ challengeDuration }))
      expect([min - 1n, min, max, max + 1n].map(refuses)).to.deep.equal([true, false, false, true])
    })

    it('a repeated participant -> refused', async () => {
      const scene = await open()
      const [a, b] = [stranger(0), stranger(1)]
      expect(refusesParams(scene, scene.params({ participants: [a, b, { ...a }] }))).to.equal(true)
    })

    it('a participant without an address on this ledger, or with one of another length -> refused', async () => {
      const scene = await open()
      const { backend } = scene.rules
      const address = stranger(1)[backend] ?? EMPTY
      for (const bad of [{ [backend + 99]: address }, { [backend]: `${address}00` as const }]) {
        expect(refusesParams(scene, scene.params({ participants: [stranger(0), bad] }))).to.equal(true)
      }
    })

    it('the assets of the ledger -> taken', async () => {
      const scene = await open()
      const params = scene.params()
      expect(refusesState(scene, params, scene.first(params))).to.equal(false)
    })

    it('unknown assets, and those of another ledger -> refused', async () => {
      const scene = await open()
      const params = scene.params()
      const state = scene.first(params)
      const { assets } = state.allocation
      const [first, second] = assets
      if (!first || !second) throw new Error('the set-up must give two assets')
      const unknown: Asset = { backend: second.backend, id: `${second.id}ff` }
      const foreign: Asset = { backend: second.backend + 99, id: second.id }
      for (const bad of [unknown, foreign]) {
        const allocation = { ...state.allocation, assets: [first, bad] }
        expect(refusesState(scene, params, { ...state, allocation })).to.equal(true)
      }
    })

    it('more assets than the capabilities say -> refused', async () => {
      const scene = await open()
      const params = scene.params()
      const [asset] = scene.world.assets
      if (!asset) throw new Error('the set-up must give two assets')
      const assets = Array.from({ length: capabilities.maxAssets + 1 }, (_, i): Asset => {
        const suffix = i.toString(16).padStart(8, '0')
        return { ...asset, id: `0x${asset.id.slice(2, -8)}${suffix}` }
      })
      const balances = assets.map(() => params.participants.map(() => 1n))
      const state = { ...scene.first(params), allocation: { assets, balances, locked: [] } }
      expect(refusesState(scene, params, state)).to.equal(true)
    })

    it('balances for another number of participants -> refused', async () => {
      const scene = await open()
      const params = scene.params()
      const state = scene.first(params)
      const allocation = { ...state.allocation, balances: [[1n], [1n]] }
      expect(refusesState(scene, params, { ...state, allocation })).to.equal(true)
    })

    it('params that are fine -> taken with no app, no aux and flags of a ledger channel', async () => {
      const scene = await open()
      expect(refusesParams(scene, scene.params({ aux: NO_AUX, app: NO_APP }))).to.equal(false)
    })
  })

  describe('time', () => {
    it('now follows the ledger, and is the same for everybody', async () => {
      const scene = await open()
      const before = await scene.adjudicator(0).now()
      await scene.world.advance(1000n)
      const after = await scene.adjudicator(0).now()
      expect(after - before >= 1000n).to.equal(true)
      expect(await scene.adjudicator(1).now()).to.equal(after)
    })

    it('waitUntil a time that is past -> returns at once; a later one -> when it has come', async () => {
      const scene = await open()
      const now = await scene.adjudicator(0).now()
      await scene.adjudicator(0).waitUntil(now)
      let isOver = false
      const waiting = scene
        .adjudicator(0)
        .waitUntil(now + 1000n)
        .then(() => {
          isOver = true
        })
      await scene.world.mine(1)
      expect(isOver).to.equal(false)
      await scene.world.advance(1000n)
      await waiting
      expect((await scene.adjudicator(0).now()) >= now + 1000n).to.equal(true)
    })
  })
}
