// The parts that a node is put together from.
import type { PerkunasError } from '../../../channel/errors.js'
import { blockHeight } from '../../../channel/units.js'
import { type Clock, systemClock } from '../../../peer/index.js'
import { nextTurn } from '../../../peer/turn.js'
import { ADMISSION_LIMITS, CHANNEL_POLICY } from '../channel/index.js'
import { memoryCounter } from '../keys/index.js'
import { RESOLVER_POLICY } from '../monitor/index.js'
import type { ShortChannelID } from '../wire/index.js'
import { aliasOf } from './alias.js'
import { reserveOfAll } from './anchor-reserve.js'
import { Backups } from './backups.js'
import { Coins } from './coins.js'
import { Connections } from './connections.js'
import { Core } from './core.js'
import type { NodeEvent } from './effects.js'
import { Ends } from './ends.js'
import type { Entry } from './entries.js'
import { Following } from './following.js'
import { Inbound } from './inbound.js'
import { channelKeys } from './keys.js'
import { Mempool } from './mempool.js'
import type { LightningNodeOptions } from './options.js'
import { OwnScripts } from './own-scripts.js'
import { NodePayments } from './payments.js'
import { Performer } from './perform.js'
import { RandomPool } from './random-pool.js'
import type { Restored } from './restore.js'
import { Turns } from './turns.js'

/** See above. */
export interface NodeParts {
  readonly core: Core
  readonly turns: Turns
  readonly connections: Connections
  readonly following: Following
  readonly mempool: Mempool
  readonly coins: Coins
  readonly inbound: Inbound
  readonly backups: Backups
  readonly payments: NodePayments
  /** Where closings may pay us. */
  readonly scripts: OwnScripts
  readonly ends: Ends
  readonly clock: Clock
  readonly schedule: (task: () => void) => void
  readonly random: (bytes: number) => Uint8Array
  readonly alias: () => ShortChannelID
}

/** What the parts tell the node. */
export interface NodeHooks {
  event(event: NodeEvent): void
  /** The views of these channels are other ones. */
  changed(changed: readonly Entry[]): void
  /** Something went wrong, and the node goes on. */
  report(error: PerkunasError): void
  /** It does not. */
  failed(error: PerkunasError): void
  /** A backup is due. */
  backUp(): Promise<void>
}

/** Puts them together. Nothing happens before the first input. @param found what the store has */
export function nodeParts(options: LightningNodeOptions, found: Restored, hooks: NodeHooks): NodeParts {
  const { bus, chain, wallet, store, seed, steps = memoryCounter() } = options
  const { clock = systemClock, schedule = nextTurn } = options
  const report = (error: PerkunasError) => hooks.report(error)
  const pool = new RandomPool()
  const random = (bytes: number) => options.entropy?.(bytes) ?? pool.take(bytes)
  const alias = () => aliasOf(random(8))
  const scripts = new OwnScripts()
  const ends = new Ends()
  const payments = new NodePayments(options, found.payments, {
    order: (run) => turns.command(run),
    eventually: (look, signal) => turns.waiters.until(look, signal),
    random,
  })
  const following = new Following({
    chain,
    turns: () => turns,
    cursor: found.cursor,
    atTip: () => mempool.look(),
    report,
  })
  const core = new Core({
    env: {
      chainHash: chain.chainHash,
      height: found.cursor?.height ?? blockHeight(0),
      fees: following.fees.channelFees(),
      policy: { ...CHANNEL_POLICY, ...options.policy },
      keys: channelKeys({ seed, ownsScript: (script) => scripts.has(script), counter: steps }),
    },
    fees: following.fees.table,
    resolver: { ...RESOLVER_POLICY, ...options.resolver },
    htlcs: options.htlcs ?? payments.desk,
    admission: { ...ADMISSION_LIMITS, ...options.admission },
    nextKeyIndex: found.nextKeyIndex,
  })
  const backups = new Backups({
    chainHash: chain.chainHash,
    node: bus.id,
    seed,
    addressOf: (peer) => bus.addressOf?.(peer),
    random,
    known: found.entries,
  })
  const turns: Turns = new Turns({
    core,
    store,
    clock,
    schedule,
    keep: (changed) => (backups.isOutdated(changed) ? hooks.backUp() : undefined),
    perform: (effect) => performer.perform(effect),
    changed: (changed) => hooks.changed(changed),
    failed: (error) => hooks.failed(error),
  })
  const mempool = new Mempool({ chain, core, turns, clock, report })
  const connections = new Connections(bus, turns)
  const unfunded = (channel: bigint, error: PerkunasError) => ends.blame(channel, error)
  const keepFor = (channel: bigint) => reserveOfAll(core, channel)
  const coins = new Coins({ wallet, turns, id: bus.id, keepFor, unfunded })
  const inbound = new Inbound({ core, turns, wallet, scripts, alias, report })
  const tell = (event: NodeEvent) => hooks.event(event)
  const parts = { turns, connections, coins, inbound }
  const performer = new Performer({ store, chain, wallet, ...parts, tell, report })
  for (const entry of found.entries) {
    core.restore(entry)
    scripts.restore(entry.state)
  }
  return {
    ...parts,
    core,
    following,
    mempool,
    backups,
    payments,
    scripts,
    ends,
    clock,
    schedule,
    random,
    alias,
  }
}
