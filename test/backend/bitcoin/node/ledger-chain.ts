// A simulated chain that keeps Bitcoin's rules, as nodes follow it.
import {
  type BlockID,
  type BroadcastResult,
  type FeeTable,
  NETWORKS,
} from '../../../../backend/bitcoin/chain/index.js'
import type { Followed, NodeChain } from '../../../../backend/bitcoin/node/index.js'
import type { Transaction } from '../../../../backend/bitcoin/script/index.js'
import { feeratePerKw } from '../../../../backend/bitcoin/units.js'
import type { BitcoinLedger } from '../../../simulation/bitcoin/ledger.js'
import { blocksOf, cursorOf } from './cursor.js'

type Follow = Parameters<NodeChain['follow']>

/** The chain of all nodes of a world: each follows it block by block. */
export class LedgerChain implements NodeChain {
  readonly chainHash = NETWORKS.regtest.genesis
  readonly #followers = new Set<() => Promise<void>>()

  constructor(readonly ledger: BitcoinLedger) {}

  async follow(from: Follow[0], handler: Follow[1]): Promise<Followed> {
    const known: BlockID[] = from === undefined ? this.ledger.recent(1) : blocksOf(from)
    let last: Promise<void> = Promise.resolve()
    let isStopped = false
    const next = () => this.ledger.block((known.at(-1)?.height ?? 0) + 1)
    const goOn = async () => {
      for (
        let last = known.at(-1);
        last !== undefined && this.ledger.block(last.height)?.hash !== last.hash && !isStopped;
        last = known.at(-1)
      ) {
        known.pop()
        const cursor = cursorOf(known.slice(-6))
        await handler({ kind: 'disconnected', block: last, isTip: false, cursor })
      }
      for (let block = next(); block !== undefined && !isStopped; block = next()) {
        known.push(block)
        const isTip = block.hash === this.ledger.tip.hash
        await handler({ kind: 'connected', block, isTip, cursor: cursorOf(known.slice(-6)) })
      }
    }
    const follower = () => {
      last = last.then(goOn)
      return last.catch(() => undefined)
    }
    await follower()
    this.#followers.add(follower)
    return {
      ended: new Promise(() => undefined),
      stop: async () => {
        isStopped = true
        this.#followers.delete(follower)
      },
    }
  }

  async broadcast(transactions: readonly Transaction[]): Promise<BroadcastResult> {
    return this.ledger.submit(transactions)
  }

  async feeTable(): Promise<FeeTable> {
    return { floor: feeratePerKw(253), estimates: [{ blocks: 6, feerate: feeratePerKw(500) }] }
  }

  /** A block, which everybody has seen when it resolves. */
  async mine(): Promise<void> {
    this.ledger.mine()
    await this.#seen()
  }

  /** Empty blocks take the place of the newest, one more than those, and what was in these is nowhere. */
  async reorg(depth: number): Promise<void> {
    this.ledger.reorg(depth, { drop: true })
    await this.#seen()
  }

  async #seen(): Promise<void> {
    await Promise.all([...this.#followers].map((follower) => follower()))
  }
}
