// The pure rules of the simulated ledger: IDs, messages, signatures, limits.
import {
  type Address,
  type AddressMap,
  type Capabilities,
  type Hex,
  isHex,
  type LedgerRules,
  type Params,
  PerkunasError,
  type State,
} from '../../channel/index.js'
import { verifyPersonal } from '../../wallet/index.js'
import { channelIDOf, SIM_BACKEND, stateMessage } from './encode.js'

/** What the simulated ledger can do, at a finality depth. */
export function simCapabilities(finalityDepth: number): Capabilities {
  return {
    participants: { min: 2, max: 256 },
    maxAssets: 32,
    clock: 'seconds',
    challengeDuration: { min: 1n, max: 2n ** 32n - 1n },
    apps: true,
    checkpoint: true,
    cooperativeClose: true,
    subChannels: true,
    dispute: 'refutation',
    allocation: 'free',
    locks: [],
    updatesInFlight: 1,
    funding: 'each',
    finalityDepth,
  }
}

const LIMITS = simCapabilities(1)

/** The rules of a ledger that knows these assets. */
export function simRules(knowsAsset: (id: Hex) => boolean): LedgerRules {
  return Object.freeze<LedgerRules>({
    backend: SIM_BACKEND,
    channelID: channelIDOf,
    message: (_params, state) => stateMessage(state),
    verify(message, signature, participant) {
      const address = simAddress(participant)
      return address !== undefined && verifyPersonal(message, signature, address)
    },
    faultOfParams: faultOfSimParams,
    faultOfState(_params, state) {
      const unknown = state.allocation.assets.find(({ id }) => !knowsAsset(id))
      return unknown ? fault('INVALID_STATE', 'assets of this ledger', unknown.id) : faultOfSimState(state)
    },
  })
}

/** A participant's address on this ledger, if it has one. */
export function simAddress(participant: AddressMap | undefined): Address | undefined {
  const address = participant?.[SIM_BACKEND]
  return isHex(address, 20) ? address : undefined
}

/** Whether a participant signed a state. Never throws. */
export function signedBy(state: State, signature: Hex, participant: AddressMap | undefined): boolean {
  const address = simAddress(participant)
  return address !== undefined && verifyPersonal(stateMessage(state), signature, address)
}

/** What the ledger has against params, beyond the generic rules. */
export function faultOfSimParams(params: Params): PerkunasError | undefined {
  const { participants, challengeDuration } = params
  if (participants.length < LIMITS.participants.min || participants.length > LIMITS.participants.max) {
    return fault('INVALID_PARAMS', `at most ${LIMITS.participants.max} participants`, participants.length)
  }
  const { min, max } = LIMITS.challengeDuration
  if (challengeDuration < min || challengeDuration > max) {
    return fault('INVALID_PARAMS', `a challenge duration from ${min} to ${max} seconds`, challengeDuration)
  }
  const addresses = participants.map(simAddress)
  if (addresses.includes(undefined)) {
    return fault('INVALID_PARAMS', 'an address of 20 bytes for each participant', 'another')
  }
  if (new Set(addresses).size !== addresses.length) {
    return fault('INVALID_PARAMS', 'distinct participants', 'a repeated one')
  }
  return undefined
}

/** What the ledger has against a state, beyond the generic rules and without knowing its assets. */
export function faultOfSimState(state: State): PerkunasError | undefined {
  const { assets } = state.allocation
  if (assets.length > LIMITS.maxAssets) {
    return fault('INVALID_STATE', `at most ${LIMITS.maxAssets} assets`, assets.length)
  }
  const foreign = assets.find(({ backend }) => backend !== SIM_BACKEND)
  return foreign && fault('INVALID_STATE', `assets of backend ${SIM_BACKEND}`, foreign.backend)
}

function fault(code: 'INVALID_PARAMS' | 'INVALID_STATE', rule: string, got: unknown): PerkunasError {
  return new PerkunasError(code, `the simulated ledger takes ${rule}, got ${String(got)}`, { rule })
}
