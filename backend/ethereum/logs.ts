// Reading logs of many blocks from nodes that limit how many they give at once, each in its own way.
import type { CallOptions, Hex } from '../../channel/index.js'
import type { Address } from '../../wallet/index.js'
import type { Chain, Log } from './chain.js'
import { RpcError, unreachable } from './rpc.js'

/** Which logs. */
export interface LogFilter {
  readonly address: Address
  readonly topics: readonly (Hex | readonly Hex[] | null)[]
}

/** A span of blocks, both ends included. */
export interface Span {
  readonly from: number
  readonly to: number
}

/** Blocks asked for at once in the beginning; after each success twice as many, after each refusal half. */
const FIRST_CHUNK = 10_000
/** A single block whose logs a node refuses to give this often is a failing node. */
const MAX_REFUSALS = 5

/**
 * Reads the logs of a span of blocks in order, in as many requests as the node makes necessary.
 *
 * @param take is given each part and the block up to which nothing is missing then
 * @throws PerkunasError LEDGER_UNREACHABLE, also if the node refuses even the logs of one block; ABORTED
 */
export async function scanLogs(
  chain: Chain,
  filter: LogFilter,
  { from, to }: Span,
  take: (logs: readonly Log[], upTo: number) => void | Promise<void>,
  options?: CallOptions,
): Promise<void> {
  let refusals = 0
  for (let next = from, chunk = FIRST_CHUNK; next <= to; ) {
    const last = Math.min(to, next + chunk - 1)
    let logs: Log[]
    try {
      logs = await chain.logs({ ...filter, from: next, to: last }, options)
    } catch (error) {
      // The words and codes for "too many" differ between providers; other errors fail for one block as well.
      if (!(error instanceof RpcError)) throw error
      if (next === last && ++refusals >= MAX_REFUSALS) throw unreachable(chain.rpc.name, error)
      chunk = Math.max(1, Math.floor((last - next + 1) / 2))
      continue
    }
    refusals = 0
    await take(logs.filter(belongs(filter)), last)
    next = last + 1
    chunk *= 2
  }
}

/** What a node must not be trusted with: only logs of the address and topics that were asked for. */
function belongs({ address, topics }: LogFilter): (log: Log) => boolean {
  return (log) =>
    log.address === address &&
    topics.every((topic, i) => {
      const actual = log.topics[i]
      return topic === null || (actual !== undefined && (topic === actual || topic.includes(actual)))
    })
}
