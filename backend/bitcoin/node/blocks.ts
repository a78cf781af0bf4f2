// What blocks and fees mean to the channels of a node.
import type { Hex } from '../../../channel/bytes.js'
import { type Block, type ChainEvent, cursorRecord } from '../chain/index.js'
import { isLive, type Live } from '../channel/index.js'
import { commitmentFeerate } from '../channel/policy.js'
import { formatOfTerms } from '../channel/terms.js'
import { isAtRest, type SpendingTransaction } from '../monitor/index.js'
import { blockHeight } from '../units.js'
import type { Entry } from './entries.js'
import type { NodeInput } from './input.js'
import type { Machines } from './machines.js'
import { NODE_KEYS } from './rows.js'
import { isUsable } from './views.js'

/** A feerate is changed if it is off by a fifth. */
const FEE_TOLERANCE = 5

/** A block more. */
export function blockConnected(
  machines: Machines,
  { block, isTip, cursor }: NodeInput & { kind: 'connected' },
): void {
  const { height, hash } = block
  machines.env = { ...machines.env, height }
  machines.draft.write(cursorRecord.put(NODE_KEYS.cursor, cursor))
  for (const { entry, input, writes } of machines.chain.changes(block)) {
    machines.draft.write(...writes)
    machines.input(entry, input)
  }
  const spends = machines.chain.spends(block)
  for (const entry of machines.watching) {
    const { monitor } = entry
    const transactions = spends.get(entry) ?? []
    if (monitor !== undefined && (transactions.length > 0 || !isAtRest(monitor)))
      monitorBlock(machines, entry, { hash, isTip, block, transactions })
    if (isLive(entry.state) && needsBlock(entry, entry.state, isTip)) machines.input(entry, { kind: 'block' })
  }
  if (isTip) {
    for (const entry of machines.chain.unconfirmed()) {
      machines.publishFunding(entry)
      machines.bumpFunding(entry)
    }
  }
  machines.consult(() => machines.htlcs.reached(height))
}

/** Whether a channel asks for the height. Patience ends only at the tip, and only if nothing is on chain. */
function needsBlock({ monitor }: Entry, { book, ready, patience }: Live, isTip: boolean): boolean {
  const isWaiting = patience !== undefined && isTip && monitor?.facts.length === 0
  return book.htlcs.length > 0 || ready.depth === 0 || isWaiting
}

/** What a monitor begins to watch may be spent in the same block. */
function monitorBlock(
  machines: Machines,
  entry: Entry,
  given: {
    readonly hash: Hex
    readonly isTip: boolean
    readonly block: Block
    readonly transactions: readonly SpendingTransaction[]
  },
): void {
  const { hash, isTip, block } = given
  for (let { transactions } = given; ; ) {
    const { size } = entry.watched
    machines.monitorInput(entry, { kind: 'connected', hash, transactions, isTip })
    if (entry.watched.size <= size) return
    const again = machines.chain.spends(block).get(entry) ?? []
    if (again.length === transactions.length) return
    transactions = again
  }
}

/** A block less. */
export function blockDisconnected(
  machines: Machines,
  { block, cursor }: NodeInput & { kind: 'disconnected' },
): void {
  machines.env = { ...machines.env, height: blockHeight(Math.max(0, block.height - 1)) }
  machines.draft.write(cursorRecord.put(NODE_KEYS.cursor, cursor))
  for (const { entry, input, writes } of machines.chain.undone(block, machines.entries.all)) {
    machines.draft.write(...writes)
    machines.input(entry, input)
  }
  for (const entry of machines.watching) {
    if (entry.monitor !== undefined && entry.monitor.facts.length > 0)
      machines.monitorInput(entry, { kind: 'disconnected', ...block })
  }
}

/** A block that a channel alone has not seen, since its records could not be read then. Nothing is published meanwhile. */
export function blockRescanned(machines: Machines, entry: Entry, event: ChainEvent): void {
  const { env } = machines
  const { height } = event.block
  const isMore = event.kind === 'connected'
  machines.env = { ...env, height: blockHeight(isMore ? height : Math.max(0, height - 1)) }
  const { chain, draft } = machines
  const changes = isMore ? chain.changes(event.block, entry) : chain.undone(event.block, [entry])
  for (const { input, writes } of changes) {
    draft.write(...writes)
    machines.input(entry, input)
  }
  if (event.kind === 'connected') {
    const { block } = event
    const transactions = chain.spends(block).get(entry) ?? []
    if (entry.monitor !== undefined && (transactions.length > 0 || !isAtRest(entry.monitor)))
      monitorBlock(machines, entry, { hash: block.hash, isTip: false, block, transactions })
  } else if (entry.monitor !== undefined && entry.monitor.facts.length > 0)
    machines.monitorInput(entry, { kind: 'disconnected', ...event.block })
  machines.env = { ...machines.env, height: env.height }
}

/** Other fees: who opened a channel keeps its commitments near to what gets them into blocks. */
export function feesChanged(machines: Machines, { table, channels }: NodeInput & { kind: 'fees' }): void {
  machines.env = { ...machines.env, fees: channels }
  machines.fees = table
  for (const entry of machines.entries.all) {
    const { state } = entry
    if (!isUsable(state) || state.terms.opener !== 'local') continue
    const feerate = commitmentFeerate(channels, formatOfTerms(state.terms))
    const now = state.book.changes.at(-1)?.feerate ?? state.book.feerate
    const isNear = Math.abs(feerate - now) * FEE_TOLERANCE < now
    if (!isNear) machines.input(entry, { kind: 'want', intent: { kind: 'fee', feerate } })
  }
}
