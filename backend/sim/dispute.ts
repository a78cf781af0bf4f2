// How the contract stores states and ends disputes. Meanings are those of the Perun contracts on Ethereum
// ("register", "progress", "conclude"), with their known gaps closed: see the comments.
import type { AppResolver, Index, Params, SignedState, State } from '../../channel/index.js'
import {
  type Amount,
  faultByApp,
  faultOfParams,
  faultOfState,
  faultOfTransition,
  NO_APP,
  sameAssets,
  sameLocked,
  sum,
  totals,
} from '../../channel/index.js'
import type { Dispute, SimCall, SimEvent } from './call.js'
import { channelIDOf, stateHash } from './encode.js'
import { demand, present } from './revert.js'
import { faultOfSimParams, faultOfSimState, signedBy } from './rules.js'
import type { World } from './world.js'

/** What a transaction runs in. */
export interface Context {
  readonly world: World
  /** Time of the block. */
  readonly now: bigint
  readonly apps: AppResolver
  emit(event: SimEvent): void
}

type Call<K extends SimCall['kind']> = Extract<SimCall, { kind: K }>

/** Registers a tree of states, or refutes older ones: parents before children, depth first. */
export function register(context: Context, { signed, subChannels }: Call<'register'>): void {
  demand(signed.params.ledgerChannel, 'not ledger')
  forEachInTree(signed, subChannels, (member) => {
    registerOne(context, member)
  })
}

/**
 * Clears the disputes of a tree with a newer state of its root. Without a dispute it only raises the version below
 * which nothing can be registered.
 */
export function checkpoint(context: Context, { signed, subChannels }: Call<'checkpoint'>): void {
  demand(signed.params.ledgerChannel, 'not ledger')
  forEachInTree(signed, subChannels, (member) => {
    checkSigned(member)
    const { state, signatures } = member
    const { channelID, version, isFinal } = state
    const known = context.world.dispute(channelID)
    const isRoot = member === signed
    // A descendant that nobody disputes needs nothing.
    if (!isRoot && known?.phase !== 'dispute') return
    demand(!isRoot || !isFinal, 'state final')
    if (known !== undefined) {
      demand(known.phase === 'dispute' || known.phase === 'open', 'incorrect phase')
      if (known.phase === 'dispute') demand(context.now < known.timeout, 'refutation timeout passed')
      // Were the root's same version enough, anybody could put off a conclusion for ever: clear, register, clear.
      demand(isRoot ? version > known.version : version >= known.version, 'invalid version')
    }
    store(context, member, 'open')
    context.emit({ kind: 'cleared', channelID, version, state, signatures })
  })
}

/** Enforces one participant's step of an app channel. */
export function progress(context: Context, call: Call<'progress'>): void {
  const { params, from, to, actor, signature } = call
  const dispute = present(context.world.dispute(from.channelID), 'not registered')
  demand(dispute.phase === 'dispute' || dispute.phase === 'forceExec', 'invalid phase')
  if (dispute.phase === 'dispute') demand(context.now >= dispute.timeout, 'timeout not passed')
  else demand(context.now < dispute.timeout, 'timeout passed')
  demand(params.app !== NO_APP, 'must have app')
  demand(channelIDOf(params) === from.channelID, 'invalid params')
  demand(stateHash(from) === dispute.stateHash, 'wrong old state')
  const version = from.version + 1n
  const fault = faultOfTransition({ params, from, to, actor, version }) ?? faultOfSimState(to)
  demand(fault === undefined, fault?.message ?? '')
  demand(sameLocked(from.allocation.locked, to.allocation.locked), 'locked funds changed')
  demand(signedBy(to, signature, params.participants[actor]), 'invalid signature')
  const app = present(context.apps(params.app), 'unknown app')
  const refusal = faultByApp(app, params, from, to, actor)
  demand(refusal === undefined, refusal?.message ?? '')
  const { timeout } = store(context, { params, state: to }, 'forceExec')
  context.emit({ kind: 'progressed', channelID: to.channelID, state: to, actor, timeout })
}

/** Concludes a registered tree whose time is over. @returns the outcome by asset and participant */
export function conclude(context: Context, { params, state, subStates }: Call<'conclude'>): Amount[][] {
  demand(params.ledgerChannel, 'not ledger')
  demand(channelIDOf(params) === state.channelID, 'invalid params')
  demand(context.world.dispute(state.channelID)?.phase !== 'concluded', 'already concluded')
  return concludeTree(context, state, [...subStates])
}

/** Concludes a final state at once. */
export function concludeFinal(context: Context, signed: SignedState): Amount[][] {
  const { params, state } = signed
  demand(params.ledgerChannel, 'not ledger')
  demand(state.isFinal, 'state not final')
  demand(state.allocation.locked.length === 0, 'has sub-channels')
  checkSigned(signed)
  demand(context.world.dispute(state.channelID)?.phase !== 'concluded', 'concluded already')
  store(context, signed, 'concluded')
  context.emit({ kind: 'concluded', channelID: state.channelID, version: state.version })
  return state.allocation.balances.map((row) => [...row])
}

/** Ledger time from which a registered state may be concluded. */
export function conclusionTime(dispute: Dispute, state: State): bigint {
  // An app channel has one more duration for its first forced step; a final state can't take one.
  const awaitsSteps = dispute.phase === 'dispute' && dispute.app !== NO_APP && !state.isFinal
  return dispute.timeout + (awaitsSteps ? dispute.challengeDuration : 0n)
}

function registerOne(context: Context, signed: SignedState): void {
  checkSigned(signed)
  const { state, signatures } = signed
  const { channelID, version } = state
  const known = context.world.dispute(channelID)
  if (known !== undefined) {
    if (known.stateHash === stateHash(state) && known.phase !== 'open') return
    demand(known.phase === 'open' ? version >= known.version : version > known.version, 'invalid version')
    demand(known.phase === 'dispute' || known.phase === 'open', 'incorrect phase')
    if (known.phase === 'dispute') demand(context.now < known.timeout, 'refutation timeout passed')
  }
  const { timeout } = store(context, signed, 'dispute')
  context.emit({ kind: 'registered', channelID, state, signatures, timeout })
}

function concludeTree(context: Context, state: State, rest: State[]): Amount[][] {
  const { channelID } = state
  const dispute = present(context.world.dispute(channelID), 'not registered')
  demand(dispute.phase !== 'open', 'not registered')
  demand(dispute.stateHash === stateHash(state), 'invalid state')
  // Each descendant's own time must be over too, whichever parent asks; the reference does not look.
  if (dispute.phase !== 'concluded') {
    demand(context.now >= conclusionTime(dispute, state), 'timeout not passed yet')
    context.world.setDispute(channelID, { ...dispute, phase: 'concluded' })
    context.emit({ kind: 'concluded', channelID, version: state.version })
  }
  const outcome = state.allocation.balances.map((row) => [...row])
  for (const { channelID: childID, indexMap } of state.allocation.locked) {
    const child = present(rest.shift(), 'subStates too short')
    demand(child.channelID === childID, 'invalid sub-channel id')
    for (const [asset, row] of concludeTree(context, child, rest).entries()) {
      for (const [participant, amount] of row.entries()) {
        const target = outcome[asset]
        const index = indexMap.length === 0 ? participant : (indexMap[participant] ?? -1)
        const before = present(target?.[index], 'index map out of range')
        if (target) target[index] = before + amount
      }
    }
  }
  return outcome
}

/** Visits a signed state and all that its locked funds need, and checks that they belong together. */
function forEachInTree(
  root: SignedState,
  subChannels: readonly SignedState[],
  visit: (member: SignedState) => void,
): void {
  const rest = [...subChannels]
  const descend = (parent: SignedState) => {
    visit(parent)
    for (const locked of parent.state.allocation.locked) {
      const child = present(rest.shift(), 'subChannels too short')
      const { params, state } = child
      demand(state.channelID === locked.channelID, 'invalid sub-channel id')
      // Its own deposits would never be paid out by its own outcome.
      demand(!params.ledgerChannel, 'ledger channel as sub-channel')
      demand(sameAssets(parent.state.allocation.assets, state.allocation.assets), 'unequal assets')
      const total = totals(state.allocation)
      demand(
        locked.balances.every((amount, i) => amount === total[i]),
        'unequal balances',
      )
      demand(fits(locked.indexMap, params, parent.params), 'invalid index map')
      descend(child)
    }
  }
  descend(root)
}

function fits(indexMap: readonly Index[], child: Params, parent: Params): boolean {
  return indexMap.length === 0
    ? child.participants.length <= parent.participants.length
    : indexMap.length === child.participants.length
}

function checkSigned({ params, state, signatures }: SignedState): void {
  const fault =
    faultOfParams(params) ?? faultOfSimParams(params) ?? faultOfState(params, state) ?? faultOfSimState(state)
  demand(fault === undefined, fault?.message ?? '')
  demand(channelIDOf(params) === state.channelID, 'invalid params')
  if (params.virtualChannel) {
    demand(params.app === NO_APP, 'cannot have app')
    demand(sum(totals(state.allocation)) === sum(state.allocation.balances.flat()), 'funds locked')
  }
  demand(signatures.length === params.participants.length, 'signatures length mismatch')
  for (const [i, signature] of signatures.entries()) {
    demand(signedBy(state, signature, params.participants[i]), 'invalid signature')
  }
}

function store(
  { world, now }: Context,
  { params, state }: Pick<SignedState, 'params' | 'state'>,
  phase: Dispute['phase'],
): Dispute {
  const known = world.dispute(state.channelID)
  // A refutation does not extend the time that is running.
  const runs = known?.phase === 'dispute' && phase === 'dispute'
  const dispute: Dispute = {
    phase,
    version: state.version,
    stateHash: stateHash(state),
    app: state.app,
    challengeDuration: params.challengeDuration,
    timeout:
      state.isFinal || phase === 'concluded' ? now : runs ? known.timeout : now + params.challengeDuration,
  }
  world.setDispute(state.channelID, dispute)
  return dispute
}
