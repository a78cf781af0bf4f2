// What the tests of a backend have in common: channels of its parties, waiting, and reading the verdict.
import { expect } from 'chai'
import {
  type Allocation,
  type Amount,
  type Balances,
  type CallOptions,
  type ErrorCode,
  type Hex,
  initialState,
  NO_APP,
  NO_AUX,
  type Params,
  PerkunasError,
  type RegisterRequest,
  type SignedState,
  type State,
  stateOf,
} from '../../channel/index.js'
import type { BackendParty, BackendSetup, BackendWorld } from './backend-setup.js'

/** Everything about one test. */
export class Scene<W extends BackendWorld = BackendWorld> {
  /** The challenge duration of the tests' channels: long enough for all that happens in a test without `advance`. */
  readonly duration: bigint

  constructor(
    readonly world: W,
    readonly setup: BackendSetup<W>,
  ) {
    const { min, max } = setup.capabilities.challengeDuration
    this.duration = max < 3600n ? max : min > 3600n ? min : 3600n
  }

  get rules() {
    return this.party(0).backend.rules
  }

  party(index: number): BackendParty {
    const party = this.world.parties[index]
    if (party === undefined) throw new Error(`the set-up made no party ${index}`)
    return party
  }

  adjudicator(index: number) {
    return this.party(index).backend.adjudicator
  }

  /** Params of a new channel of all parties. */
  params(changes: Partial<Params> = {}): Params {
    const nonce = crypto
      .getRandomValues(new Uint32Array(2))
      .reduce((n, word) => n * 2n ** 32n + BigInt(word), 0n)
    return {
      challengeDuration: this.duration,
      participants: this.world.parties.map(({ participant }) => participant),
      app: NO_APP,
      nonce,
      ledgerChannel: true,
      virtualChannel: false,
      aux: NO_AUX,
      ...changes,
    }
  }

  /** The initial state of a channel over the first assets, with these balances or 10 for everybody of two assets. */
  first(params: Params, balances: Balances = this.even(params), data: Hex = '0x'): State {
    const assets = this.world.assets.slice(0, balances.length)
    const allocation: Allocation = { assets, balances: balances.map((row) => [...row]), locked: [] }
    return initialState(this.rules.channelID(params), params, allocation, data)
  }

  /** 10 for everybody, of two assets. */
  even(params: Params): Balances {
    return [0, 1].map(() => params.participants.map(() => 10n))
  }

  async sign(params: Params, state: State): Promise<Hex[]> {
    const message = this.rules.message(params, state)
    return Promise.all(this.world.parties.map(async (party) => party.sign(message)))
  }

  async signed(params: Params, state: State): Promise<SignedState> {
    return { params, state, signatures: await this.sign(params, state) }
  }

  /** Everybody's signature, for `register`. */
  async request(params: Params, state: State): Promise<RegisterRequest> {
    return { signed: await this.signed(params, state), subChannels: [] }
  }

  /** Everybody funds at once. */
  async fundAll(
    params: Params,
    state: State,
    agreement: Balances = state.allocation.balances,
  ): Promise<void> {
    await Promise.all(
      this.world.parties.map(({ backend }, index) =>
        backend.funder.fund({ params, state, index, agreement }),
      ),
    )
  }

  /** A funded channel of all parties. */
  async opened(changes: Partial<Params> = {}, data: Hex = '0x'): Promise<{ params: Params; state: State }> {
    const params = this.params(changes)
    const state = this.first(params, this.even(params), data)
    await this.fundAll(params, state)
    return { params, state }
  }

  /** Everybody withdraws at once, and time passes until all have. */
  async withdrawAll(params: Params, state: State, options: Settling = {}): Promise<void> {
    const { signatures = [], subChannels = [] } = options
    await this.passingTime(
      Promise.all(
        this.world.parties.map((_, index) =>
          this.adjudicator(index).withdraw({ params, state, signatures, subChannels, index }),
        ),
      ),
    )
  }

  /** What each party owns, by asset, of the first assets. */
  async balances(assets = 2): Promise<Amount[][]> {
    return Promise.all(
      this.world.assets
        .slice(0, assets)
        .map((asset) =>
          Promise.all(this.world.parties.map((_, party) => this.world.balanceOf(party, asset))),
        ),
    )
  }

  /** Lets time pass while a promise waits for it. */
  async passingTime<T>(promise: Promise<T>): Promise<T> {
    return this.#meanwhile(promise, () => this.world.advance(this.duration))
  }

  /** Mines while a promise waits for blocks. */
  async mining<T>(promise: Promise<T>): Promise<T> {
    return this.#meanwhile(promise, () => this.world.mine(1))
  }

  async #meanwhile<T>(promise: Promise<T>, act: () => Promise<void>): Promise<T> {
    let settled = false
    const watched = promise.finally(() => {
      settled = true
    })
    // Its failure is reported below; until then it must not count as unhandled.
    watched.catch(() => undefined)
    for (;;) {
      await turn()
      if (settled) return watched
      await act()
    }
  }
}

/** How to settle, beyond the state. */
export interface Settling extends CallOptions {
  readonly signatures?: readonly Hex[]
  readonly subChannels?: readonly State[]
}

/** The state after `state`, one version up. */
export function following(
  state: State,
  changes: { readonly balances?: Balances; readonly isFinal?: boolean; readonly data?: Hex },
): State {
  const { balances = state.allocation.balances, isFinal = false, data = state.data } = changes
  const { assets } = state.allocation
  return stateOf(
    state,
    { assets, balances: balances.map((row) => [...row]), isFinal, data },
    state.version + 1n,
  )
}

/** `before` with the differences of an outcome to what was deposited. */
export function plus(before: Balances, outcome: Balances, deposited: Balances): Amount[][] {
  return before.map((row, asset) =>
    row.map((amount, i) => amount + (outcome[asset]?.[i] ?? 0n) - (deposited[asset]?.[i] ?? 0n)),
  )
}

/** The error that a promise must fail with. */
export async function failure<C extends ErrorCode>(
  promise: Promise<unknown>,
  ...codes: readonly C[]
): Promise<PerkunasError<C>> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error, `fails with ${codes.join(' or ')}`).to.be.instanceOf(PerkunasError)
  const isExpected = (e: unknown): e is PerkunasError<C> =>
    e instanceof PerkunasError && codes.some((code) => e.code === code)
  if (!isExpected(error)) throw error
  return error
}

/** Lets everything that is ready run. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

/** Declares tests that each have a scene of their own. */
export function scenes<W extends BackendWorld>(
  setup: BackendSetup<W>,
  defaults: { readonly parties?: number; readonly finalityDepth?: number } = {},
) {
  const worlds: W[] = []
  afterEach(async () => {
    for (const world of worlds.splice(0)) await setup.teardown(world)
  })
  return async (options = defaults): Promise<Scene<W>> => {
    const { parties = 2, finalityDepth = setup.capabilities.finalityDepth } = { ...defaults, ...options }
    const world = await setup.setup({ parties, finalityDepth })
    worlds.push(world)
    return new Scene(world, setup)
  }
}
