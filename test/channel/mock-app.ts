// An app whose data and actions say what it answers (Perun core protocol, "Mock app").
import {
  type ActionApp,
  type AppID,
  fromHex,
  type Hex,
  type Params,
  type StateApp,
  toHex,
} from '../../channel/index.js'
import { address, allocation } from './sample.js'

/** What an action or a state's data makes the app do. */
export const OPERATIONS = ['valid', 'error', 'transitionError', 'actionError', 'panic'] as const
export type MockOperation = (typeof OPERATIONS)[number]

export const MOCK_APP: AppID = address(0xaa)

/** The operation as 8 bytes, big-endian. */
export function mock(operation: MockOperation): Hex {
  const bytes = new Uint8Array(8)
  bytes[7] = OPERATIONS.indexOf(operation)
  return toHex(bytes)
}

function perform(data: Hex): string | undefined {
  const bytes = fromHex(data, 8)
  const operation = OPERATIONS[Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0))]
  if (operation === 'panic') throw new Error('the mock app panics as told')
  if (operation === undefined) return 'no such operation'
  return operation === 'valid' ? undefined : operation
}

/** Judges a transition by the data of the state before it. */
export const mockStateApp: StateApp = {
  kind: 'state',
  id: MOCK_APP,
  faultOfInit: (_params, state) => perform(state.data),
  faultOfTransition: (_params, from) => perform(from.data),
}

/** Judges each action by itself; a step moves 1 of the first asset from 0 to 1 for each participant that acted. */
export const mockActionApp: ActionApp = {
  kind: 'action',
  id: MOCK_APP,
  init: () => ({ allocation: allocation(), data: mock('valid') }),
  faultOfAction: (_params, _state, _participant, action) => perform(action),
  apply(_params, { allocation: before, data }, actions) {
    const moved = BigInt(actions.filter((action) => action !== undefined).length)
    const [row = [], ...rows] = before.balances
    const [payer = 0n, payee = 0n] = row
    return {
      allocation: { ...before, balances: [[payer - moved, payee + moved], ...rows] },
      data,
      isFinal: false,
    }
  },
}

/** Params of a channel with the mock app. */
export function mockParams(of: Params): Params {
  return { ...of, app: MOCK_APP }
}
