// The parts that a node is put together from.
import type { PerkunasError } from '../../../channel/errors.js'
import { type Clock, type PeerID, systemClock } from '../../../peer/index.js'
import { nextTurn } from '../../../peer/turn.js'
import type { Store } from '../../../persistence/index.js'
import { admissionLimits } from '../channel/admission.js'
import { channelPolicy } from '../channel/checks.js'
import { memoryCounter } from '../keys/index.js'
import { resolverPolicy } from '../resolver/policy.js'
import { blockHeight } from '../units.js'
import type { ShortChannelID } from '../wire/index.js'
import { aliasOf } from './alias.js'
import { anchoredOf, reserveOf } from './anchor-reserve.js'
import { Backups, missingFrom } from './backups.js'
import { Coins } from './coins.js'
import { Connections } from './connections.js'
import { Core } from './core.js'
import { defendedEntry } from './defence.js'
import type { NodeEffect, NodeEvent } from './effects.js'
import { Ends } from './ends.js'
import type { Entry } from './entries.js'
import { asError } from './faults.js'
import { Following } from './following.js'
import { Hold } from './hold.js'
import { Inbound } from './inbound.js'
import { channelKeys } from './keys.js'
import { Lookout } from './lookout.js'
import { Mempool } from './mempool.js'
import type { LightningNodeOptions } from './options.js'
import { OwnScripts } from './own-scripts.js'
import { NodePayments } from './payments.js'
import { Performer } from './perform.js'
import { Quarantine } from './quarantine.js'
import { RandomPool } from './random-pool.js'
import { Reserve } from './reserve.js'
import type { Restored } from './restore.js'
import { NODE_KEYS, NODE_RECORDS } from './rows.js'
import { Sight } from './sight.js'
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
  readonly reserve: Reserve
  readonly quarantine: Quarantine
  readonly lookout: Lookout
  readonly backups: Backups
  /** What waits for them. */
  readonly hold: Hold
  /** Has a peer keep our backup, if it is there and does that for others. */
  readonly entrust: (peer: PeerID) => void
  readonly payments: NodePayments
  /** Where closings may pay us. */
  readonly scripts: OwnScripts
  readonly ends: Ends
  readonly sight: Sight
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

/**
 * Puts them together. Nothing happens before the first input.
 *
 * @param found what the store has; `destination`: where the money of channels goes of which that can't be read
 */
export function nodeParts(
  options: LightningNodeOptions,
  found: Restored & { readonly destination: Uint8Array },
  hooks: NodeHooks,
): NodeParts {
  const { bus, chain, wallet, store, seed, steps = memoryCounter() } = options
  const { clock = systemClock, schedule = nextTurn } = options
  const report = (error: PerkunasError) => hooks.report(error)
  const reported = (error: PerkunasError) => {
    report(error)
    return error
  }
  const pool = new RandomPool()
  const random = (bytes: number) => options.entropy?.(bytes) ?? pool.take(bytes)
  const alias = () => aliasOf(random(8))
  const admission = admissionLimits(options.admission)
  const quarantine = new Quarantine(found.quarantined)
  const lookout = new Lookout(found.quarantined, found.spent)
  const scripts = new OwnScripts()
  const ends = new Ends()
  const payments = new NodePayments(options, found, {
    order: (run) => turns.command(run),
    eventually: (look, signal) => turns.waiters.until(look, signal),
    whenSynced: (call, signal) => sight.whenSynced(call, signal),
    random,
    broken: (cause) => hooks.event({ kind: 'payments', error: reported(asError(cause, 'payments')) }),
  })
  const following = new Following({
    chain,
    turns: () => turns,
    cursor: found.cursor,
    atTip: () => {
      mempool.look()
      reserve.look()
    },
    report,
    failed: (error) => hooks.failed(error),
  })
  const core = new Core({
    env: {
      chainHash: chain.chainHash,
      height: found.cursor?.height ?? blockHeight(0),
      fees: following.fees.channelFees(),
      policy: channelPolicy(options.policy),
      keys: channelKeys({ seed, ownsScript: (script) => scripts.has(script), counter: steps }),
    },
    fees: following.fees.table,
    resolver: resolverPolicy(options.resolver),
    htlcs: options.htlcs ?? payments.desk,
    admission,
    quarantine,
    lookout,
    nextKeyIndex: found.nextKeyIndex,
    kept: found.kept,
    addresses: found.addresses,
    addressOf: (peer) => bus.addressOf?.(peer),
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
    keep: (changed) => {
      const outdated = backups.outdatedBy(changed)
      if (outdated.length === 0) return
      hold.outdated(outdated)
      reserve.look()
    },
    perform: (effect) => hold.perform(effect),
    changed: (changed) => hooks.changed(changed),
    failed: (error) => hooks.failed(error),
  })
  const sight = new Sight({ core, waiters: turns.waiters, clock })
  const hold = new Hold({
    backUp: () => hooks.backUp(),
    isKept: options.onBackup !== undefined,
    perform: (effect) => {
      if (turns.stopped === undefined) performer.perform(effect)
    },
    released: () => turns.waiters.check(),
  })
  const mempool = new Mempool({ chain, core, turns, clock, report })
  const stored = (peer: PeerID) => (core.keepsFor(peer) ? storedOf(store, peer, report) : undefined)
  const connections = new Connections(bus, turns, stored)
  const entrust = (peer: PeerID) => {
    const connection = connections.of(peer)
    if (connection === undefined || core.isBehind || !quarantine.isEmpty || !core.offersStorage(peer)) return
    const { entries, nextKeyIndex } = core
    const blob = backups.makeBlob({ entries: entries.all, nextKeyIndex, cursor: following.cursor })
    connections.send({ kind: 'send', peer, connection, message: { kind: 'peer_storage', blob } })
  }
  const returned = ({ peer, connection, blob }: NodeEffect & { kind: 'returned' }) => {
    const { nextKeyIndex } = core
    const missing = missingFrom(blob, { seed, node: bus.id, chainHash: chain.chainHash, nextKeyIndex })
    if (missing.length > 0) turns.push({ kind: 'behind', peer, connection, missing, backup: blob })
  }
  const unfunded = (channel: bigint, error: PerkunasError) => ends.blame(channel, error)
  const keepFor = (channel: bigint) => reserveOf(anchoredOf(core, channel), core.env.fees)
  const coins = new Coins({ wallet, turns, id: bus.id, quarantine, keepFor, unfunded })
  const tell = (event: NodeEvent) => hooks.event(event)
  const isStopped = () => turns.stopped !== undefined
  const reserve = new Reserve({ core, wallet, tell, report, isStopped })
  const inbound = new Inbound({ core, turns, wallet, scripts, alias, admission, reserve, report })
  const parts = { turns, connections, coins, inbound, entrust }
  const performer = new Performer({ store, chain, wallet, ...parts, returned, tell, report })
  for (const entry of found.entries) {
    core.restore(entry)
    scripts.restore(entry.state)
  }
  const { destination } = found
  for (const one of found.defended) core.defend(defendedEntry(one, destination))
  return {
    ...parts,
    core,
    following,
    mempool,
    reserve,
    quarantine,
    lookout,
    backups,
    hold,
    payments,
    scripts,
    ends,
    sight,
    clock,
    schedule,
    random,
    alias,
  }
}

/** What a peer has us keep. What can't be read is as good as lost: the node goes on without it. */
async function storedOf(
  store: Store,
  peer: PeerID,
  report: (error: PerkunasError) => void,
): Promise<Uint8Array | undefined> {
  try {
    const key = NODE_KEYS.stored(peer)
    const row = await store.get(key)
    return row && NODE_RECORDS.stored.open(key, row).blob
  } catch (cause) {
    report(asError(cause, 'store'))
    return undefined
  }
}
