// A look into the nodes that run here: each step of each channel is held against the rules as it is made, and what a switch
// is told is written down. In a node of a user nothing does so.
import { faultOfStep, isLive, type Live, type OpenHtlc } from '../../../backend/bitcoin/channel/index.js'
import { Desk } from '../../../backend/bitcoin/node/desk.js'
import type { LightningNode } from '../../../backend/bitcoin/node/index.js'
import { Machines } from '../../../backend/bitcoin/node/machines.js'

/** What a switch hears of one HTLC. */
export type Told = 'locked' | 'fulfilled' | 'failed' | 'removed' | 'resolved'

/** One of these, of one channel. */
export interface Notice {
  readonly channel: bigint
  readonly htlc: Pick<OpenHtlc, 'offerer' | 'id'>
  readonly told: Told
}

/** What the switch of one process was told. */
export interface SwitchLog {
  /** In commits of which the process knows that they are durable. */
  readonly durable: Notice[]
  /** In the turn that is under way. */
  readonly open: Notice[]
}

/** What a node holds of one channel with money in it. */
export interface Held {
  readonly channel: bigint
  /** As it is on disk. */
  readonly live: Live
}

const machinesOf = new WeakMap<Desk, Machines>()
const logs = new WeakMap<Desk, SwitchLog>()
let isDone = false

/** What a node's channels are, but for those that it has not looked at since it started. */
export function heldBy({ payments: { desk } }: LightningNode): readonly Held[] {
  const { entries } = machinesOf.get(desk) ?? {}
  return [...(entries?.all ?? [])].flatMap(({ keyIndex: channel, shown }) =>
    isLive(shown) ? [{ channel, live: shown }] : [],
  )
}

/** What a node's switch was told. */
export function switchLog({ payments: { desk } }: LightningNode): SwitchLog {
  return logOf(desk)
}

/** Lets this process look into all its nodes. Once is enough. */
export function lookInside(): void {
  if (isDone) return
  isDone = true
  watchSteps()
  watchSwitches()
}

/** What breaks a rule ends its node, as whatever is a mistake of ours. */
function watchSteps(): void {
  const { apply } = Machines.prototype
  Machines.prototype.apply = function (entry, step) {
    if (this.htlcs instanceof Desk) machinesOf.set(this.htlcs, this)
    const fault = faultOfStep(entry.state, step, this.env)
    if (fault !== undefined) throw new Error(`channel ${entry.keyIndex}: ${fault}`)
    apply.call(this, entry, step)
  }
}

function watchSwitches(): void {
  const { handed, resolved, committed } = Desk.prototype
  Desk.prototype.handed = function (channel, handoff) {
    const { kind } = handoff
    if (kind !== 'added' && kind !== 'refused')
      logOf(this).open.push({ channel, htlc: handoff.htlc, told: kind === 'forgotten' ? 'resolved' : kind })
    return handed.call(this, channel, handoff)
  }
  Desk.prototype.resolved = function (channel, htlc, to) {
    logOf(this).open.push({ channel, htlc, told: 'resolved' })
    return resolved.call(this, channel, htlc, to)
  }
  Desk.prototype.committed = function () {
    const { durable, open } = logOf(this)
    durable.push(...open.splice(0))
    committed.call(this)
  }
}

function logOf(desk: Desk): SwitchLog {
  const known = logs.get(desk) ?? { durable: [], open: [] }
  logs.set(desk, known)
  return known
}
