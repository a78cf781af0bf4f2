// What is in the mempool and concerns a node's channels: a preimage that somebody shows and takes away again before a block
// has it, or the peer's commitment that pays too little to get into one. A hint, on which nothing depends.
import { fromHex, type Hex, toHex } from '../../../channel/bytes.js'
import type { PerkunasError } from '../../../channel/errors.js'
import type { Clock } from '../../../peer/index.js'
import { decodeOutpoint, encodeOutpoint } from '../chain/index.js'
import { isLive } from '../channel/index.js'
import { isAtRest } from '../monitor/index.js'
import type { Outpoint } from '../script/index.js'
import type { Core } from './core.js'
import type { Entry } from './entries.js'
import { asError } from './faults.js'
import type { NodeChain } from './ports.js'
import type { Turns } from './turns.js'

/** Between two looks, in milliseconds; another one follows each block. */
const LOOK = 15_000
/** Outputs in one question. */
const MAX_ASKED = 500

/** What looking needs of its node. */
export interface MempoolOptions {
  readonly chain: Pick<NodeChain, 'mempoolSpends'>
  readonly core: Pick<Core, 'watching'>
  readonly turns: Turns
  readonly clock: Clock
  readonly report: (error: PerkunasError) => void
}

/** See above. */
export class Mempool {
  readonly #options: MempoolOptions
  #isLooking = false
  #cancel: () => void = () => {}

  constructor(options: MempoolOptions) {
    this.#options = options
  }

  /** Looks now and from now on. */
  begin(): void {
    const { chain, clock, turns } = this.#options
    if (chain.mempoolSpends === undefined || turns.stopped !== undefined) return
    this.look()
    this.#cancel = clock.after(LOOK, () => this.begin())
  }

  /** Looks no more. */
  end(): void {
    this.#cancel()
  }

  /** Looks once, unless it looks already. */
  look(): void {
    const { turns, report } = this.#options
    if (this.#isLooking || turns.stopped !== undefined) return
    this.#isLooking = true
    this.#lookNow()
      .catch((cause: unknown) => {
        if (turns.stopped === undefined) report(asError(cause, 'chain'))
      })
      .finally(() => {
        this.#isLooking = false
      })
  }

  async #lookNow(): Promise<void> {
    const { chain, turns } = this.#options
    const watching = this.#watching()
    const all = [...watching.keys()].map((key) => decodeOutpoint(fromHex(key)))
    for (let at = 0; at < all.length; at += MAX_ASKED) {
      const found = (await chain.mempoolSpends?.(all.slice(at, at + MAX_ASKED))) ?? []
      for (const transaction of found) {
        const concerned = new Set(
          transaction.inputs.flatMap(({ outpoint }) => watching.get(keyOf(outpoint)) ?? []),
        )
        for (const { keyIndex: channel } of concerned)
          turns.push({ kind: 'monitor', channel, input: { kind: 'seen', transaction } })
      }
    }
  }

  /** What a node must know soon: of channels that end, and of those with something in flight. */
  #watching(): ReadonlyMap<Hex, readonly Entry[]> {
    const watching = new Map<Hex, readonly Entry[]>()
    for (const entry of this.#options.core.watching) {
      const { monitor, state, watched } = entry
      if (monitor === undefined || !isLive(state)) continue
      if (isAtRest(monitor) && state.book.htlcs.length === 0) continue
      for (const key of watched) watching.set(key, [...(watching.get(key) ?? []), entry])
    }
    return watching
  }
}

function keyOf(outpoint: Outpoint): Hex {
  return toHex(encodeOutpoint(outpoint))
}
