// The contract: runs one call against the world. Funds lie under funding IDs, one for each participant of a
// channel; an outcome redistributes them, and each participant takes its own.
import {
  type Address,
  type Amount,
  concat,
  fromHex,
  type Hex,
  type SignedState,
  toHex,
} from '../../channel/index.js'
import { verifyPersonal } from '../../wallet/index.js'
import type { SimCall } from './call.js'
import { type Context, checkpoint, conclude, concludeFinal, progress, register } from './dispute.js'
import { closeMessage, withdrawalMessage } from './encode.js'
import { demand, present } from './revert.js'
import { simAddress } from './rules.js'

/** {@link Context}, plus which assets there are and work. */
export interface Machine extends Context {
  readonly sender: Address
  exists(asset: Hex): boolean
  /** Whether the asset refuses to be moved now. */
  isBroken(asset: Hex): boolean
}

/** Runs a call. @throws Revert; the caller then undoes what was changed */
export function run(machine: Machine, call: SimCall): void {
  switch (call.kind) {
    case 'transfer':
      transfer(machine, call.asset, { from: machine.sender, to: call.to, amount: call.amount })
      break
    case 'deposit':
      deposit(machine, call)
      break
    case 'register':
      register(machine, call)
      break
    case 'checkpoint':
      checkpoint(machine, call)
      break
    case 'progress':
      progress(machine, call)
      break
    case 'conclude':
      settle(machine, call, conclude(machine, call))
      break
    case 'concludeFinal':
      settle(machine, call.signed, concludeFinal(machine, call.signed))
      break
    case 'close':
      close(machine, call.signed, call.authorizations)
      break
    case 'withdraw':
      withdraw(machine, call)
      break
  }
}

/** The agreement of a participant to be paid by a cooperative close: receiver, then signature. */
export function closeAuthorization(receiver: Address, signature: Hex): Hex {
  return toHex(concat(fromHex(receiver), fromHex(signature)))
}

/** The receiver of a participant's agreement to a cooperative close, or undefined if it is none. */
export function receiverOfAuthorization(
  { params, state }: Pick<SignedState, 'params' | 'state'>,
  participant: number,
  authorization: Hex,
): Address | undefined {
  const address = simAddress(params.participants[participant])
  const receiver: Address = `0x${authorization.slice(2, 42)}`
  const signature: Hex = `0x${authorization.slice(42)}`
  if (address === undefined) return undefined
  return verifyPersonal(closeMessage({ state, participant, receiver }), signature, address)
    ? receiver
    : undefined
}

function transfer(
  machine: Machine,
  asset: Hex,
  move: { readonly from: Address; readonly to: Address; readonly amount: bigint },
): void {
  take(machine, asset, move.from, move.amount)
  machine.world.addBalance(asset, move.to, move.amount)
}

function take({ world, exists, isBroken }: Machine, asset: Hex, from: Address, amount: bigint): void {
  demand(exists(asset), 'unknown asset')
  demand(!isBroken(asset), 'asset failed')
  demand(amount >= 0n, 'negative amount')
  demand(world.balance(asset, from) >= amount, 'insufficient funds')
  world.addBalance(asset, from, -amount)
}

function deposit(machine: Machine, call: Extract<SimCall, { kind: 'deposit' }>): void {
  const { asset, amount, channelID, participant } = call
  // Whatever came after the outcome is fixed would be nobody's.
  demand(machine.world.dispute(channelID)?.phase !== 'concluded', 'channel concluded')
  take(machine, asset, machine.sender, amount)
  machine.world.setHolding(asset, call, machine.world.holding(asset, call) + amount)
  machine.emit({ kind: 'deposited', channelID, participant, asset, amount })
}

function withdraw(machine: Machine, call: Extract<SimCall, { kind: 'withdraw' }>): void {
  const { channelID, participant, asset, receiver, signature } = call
  demand(machine.world.dispute(channelID)?.phase === 'concluded', 'channel not settled')
  demand(verifyPersonal(withdrawalMessage(call), signature, participant), 'signature verification failed')
  demand(!machine.isBroken(asset), 'asset failed')
  pay(machine, asset, { channelID, participant, receiver })
}

function close(machine: Machine, signed: SignedState, authorizations: readonly Hex[]): void {
  const { params, state } = signed
  demand(authorizations.length === params.participants.length, 'authorizations length mismatch')
  settle(machine, signed, concludeFinal(machine, signed))
  for (const [i, authorization] of authorizations.entries()) {
    const receiver = present(receiverOfAuthorization(signed, i, authorization), 'invalid authorization')
    const participant = present(simAddress(params.participants[i]), 'invalid params')
    for (const { id } of state.allocation.assets) {
      // An asset that fails does not hold up the others: what it holds can be withdrawn later.
      if (!machine.isBroken(id)) pay(machine, id, { channelID: state.channelID, participant, receiver })
    }
  }
}

function pay(
  { world, emit }: Machine,
  asset: Hex,
  payment: { readonly channelID: Hex; readonly participant: Address; readonly receiver: Address },
): void {
  const amount = world.holding(asset, payment)
  if (amount === 0n) return
  world.setHolding(asset, payment, 0n)
  world.addBalance(asset, payment.receiver, amount)
  const { channelID, participant } = payment
  emit({ kind: 'withdrawn', channelID, participant, asset, amount })
}

/** Redistributes what is held for a channel. Where that is too little, everybody keeps his own deposit. */
function settle(
  { world }: Machine,
  { params, state }: Pick<SignedState, 'params' | 'state'>,
  outcome: readonly (readonly Amount[])[],
): void {
  const { channelID, allocation } = state
  const holders = params.participants.map((addresses) => ({
    channelID,
    participant: present(simAddress(addresses), 'invalid params'),
  }))
  for (const [a, { id }] of allocation.assets.entries()) {
    const held = holders.map((holder) => world.holding(id, holder))
    const due = outcome[a] ?? []
    let surplus = total(held) - total(due)
    if (surplus < 0n) continue
    for (const [i, holder] of holders.entries()) {
      // The ledger does not know who should have deposited what. A surplus goes to those who put in more than they
      // get; the reference lets it vanish.
      const back = min(surplus, max(0n, (held[i] ?? 0n) - (due[i] ?? 0n)))
      surplus -= back
      world.setHolding(id, holder, (due[i] ?? 0n) + back)
    }
  }
}

function total(amounts: readonly Amount[]): Amount {
  return amounts.reduce((a, b) => a + b, 0n)
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
