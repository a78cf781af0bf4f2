// Values that the tests of this folder share, and a ledger whose signatures cost nothing.
import { sha256 } from '@noble/hashes/sha2.js'
import { utf8ToBytes } from '@noble/hashes/utils.js'
import {
  type Allocation,
  type App,
  apply,
  type Hex,
  initialState,
  type LedgerRules,
  type Machine,
  NO_APP,
  NO_AUX,
  newMachine,
  noApp,
  type Operation,
  type Params,
  PerkunasError,
  type Phase,
  type Rules,
  type State,
  stateOf,
  toHex,
} from '../../channel/index.js'

/** 32 bytes of the same value. */
export const id = (byte: number): Hex => toHex(new Uint8Array(32).fill(byte))
/** 20 bytes of the same value. */
export const address = (byte: number): Hex => toHex(new Uint8Array(20).fill(byte))

export const CHANNEL = id(0xc1)

/** Params of two participants. */
export const params: Params = Object.freeze({
  challengeDuration: 60n,
  participants: [{ 0: address(1) }, { 0: address(2) }],
  app: NO_APP,
  nonce: 1n,
  ledgerChannel: true,
  virtualChannel: false,
  aux: NO_AUX,
})

/** Two assets, nothing locked: 10, 20 and 30, 40. */
export function allocation(changes: Partial<Allocation> = {}): Allocation {
  return {
    assets: [
      { backend: 0, id: '0x0a' },
      { backend: 0, id: '0x0b' },
    ],
    balances: [
      [10n, 20n],
      [30n, 40n],
    ],
    locked: [],
    ...changes,
  }
}

/** The first state of {@link CHANNEL}. */
export function first(changes: Partial<Allocation> = {}, of: Params = params, data: Hex = '0x'): State {
  return initialState(CHANNEL, of, allocation(changes), data)
}

/** A state after another, in which 0 gave `amount` of the first asset to 1. */
export function paid(
  from: State,
  amount: bigint,
  {
    version = from.version + 1n,
    isFinal = false,
  }: { readonly version?: bigint; readonly isFinal?: boolean } = {},
): State {
  const { assets, balances } = from.allocation
  const moved = balances.map((row, asset) =>
    row.map((before, i) =>
      asset > 0 ? before : i === 0 ? before - amount : i === 1 ? before + amount : before,
    ),
  )
  return stateOf(from, { assets, balances: moved, data: from.data, isFinal }, version)
}

const text = (value: unknown) =>
  utf8ToBytes(JSON.stringify(value, (_, each) => (typeof each === 'bigint' ? `${each}n` : each)))

/** Signs by hashing the message with the address: enough to tell who signed what. */
export function signature(of: Params, state: State, participant: number): Hex {
  return toHex(sha256(text([toHex(text(state)), of.participants[participant]])))
}

/** Rules of a ledger that takes everything and whose signatures are {@link signature}. */
export const ledger: LedgerRules = {
  backend: 0,
  channelID: () => CHANNEL,
  message: (_params, state) => text(state),
  verify: (message, signed, participant) => signed === toHex(sha256(text([toHex(message), participant]))),
  faultOfParams: () => undefined,
  faultOfState: () => undefined,
}

/** {@link ledger} with an app, by default none. */
export function rules(app: App = noApp): Rules {
  return { ledger, app }
}

/** The machine after operations that must be taken. */
export function run(machine: Machine, operations: readonly Operation[], by: Rules = rules()): Machine {
  return operations.reduce((before, operation) => {
    const after = apply(before, operation, by)
    if (after instanceof PerkunasError) throw after
    return after
  }, machine)
}

/** The operations by which everybody signs a state that is staged. */
export function signAll(of: Params, state: State): Operation[] {
  return of.participants.map((_, participant) => ({
    kind: 'addSignature',
    participant,
    signature: signature(of, state, participant),
  }))
}

/** The shortest way of a machine into a phase. */
export function reach(phase: Phase): Machine {
  const state = first()
  const start = newMachine(CHANNEL, params, 0)
  const funding: Operation[] = [{ kind: 'init', state }, ...signAll(params, state), { kind: 'enable' }]
  const acting: Operation[] = [...funding, { kind: 'funded' }]
  const last = paid(state, 1n, { isFinal: true })
  const registered: Operation[] = [...acting, { kind: 'registered' }]
  const ways: Record<Phase, readonly Operation[]> = {
    initActing: [],
    initSigning: [{ kind: 'init', state }],
    funding,
    acting,
    signing: [...acting, { kind: 'update', state: paid(state, 1n), actor: 0 }],
    final: [
      ...acting,
      { kind: 'update', state: last, actor: 0 },
      ...signAll(params, last),
      { kind: 'enable' },
    ],
    registering: [...acting, { kind: 'registering' }],
    registered,
    progressing: [...registered, { kind: 'progressing', state: paid(state, 1n) }],
    progressed: [...registered, { kind: 'progressed', state: paid(state, 1n) }],
    withdrawing: [...registered, { kind: 'withdrawing' }],
    withdrawn: [...registered, { kind: 'withdrawing' }, { kind: 'withdrawn' }],
  }
  return run(start, ways[phase])
}

/** A deep copy, frozen to the bottom: whoever writes to it throws. */
export function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const member of Object.values(value)) frozen(member)
  }
  return value
}
