// How fast an LDK node pays.
import { randomBytes } from 'node:crypto'
import { type Hex, toHex } from '../../channel/bytes.js'
import type { LdkEvent } from './events.js'
import type { LdkNode } from './node.js'

/** What is paid, and for how long. */
export interface PaceTerms {
  readonly peer: Hex
  /** Of each payment, in millisatoshis. */
  readonly amount: bigint
  /** Payments at a time. */
  readonly inFlight: number
  readonly seconds: number
}

/** How fast payments were made. */
export interface LdkPace {
  /** Milliseconds from each call to its preimage. */
  readonly samples: readonly number[]
  readonly seconds: number
  /** How often there was no room for one more HTLC. That time is in the samples. */
  readonly refusals: number
}

/** Pays for some seconds, so many at a time. @throws Error if a payment can't be made though nothing is in flight */
export async function pace(
  { peer, amount, inFlight, seconds }: PaceTerms,
  by: {
    readonly node: LdkNode
    readonly listeners: Set<(event: LdkEvent) => void>
    keysend(terms: { readonly peer: Hex; readonly amount: bigint; readonly id: Hex }): Hex
  },
): Promise<LdkPace> {
  const { node, listeners, keysend } = by
  const waiting = new Map<Hex, { resolve(): void; reject(error: Error): void }>()
  const listener = (event: LdkEvent) => {
    if (event.kind === 'paid') waiting.get(event.hash)?.resolve()
    if (event.kind === 'failed' && event.hash !== undefined)
      waiting.get(event.hash)?.reject(new Error(`a payment failed: ${event.reason}`))
  }
  listeners.add(listener)
  let refusals = 0
  // An HTLC has its place until its removal is irrevocable, which is after its payment.
  const isBusy = () => node.manager.list_channels().some((one) => one.get_pending_outbound_htlcs().length > 0)
  const begin = async (): Promise<Hex> => {
    for (;;) {
      try {
        return keysend({ peer, amount, id: toHex(randomBytes(32)) })
      } catch (error) {
        if (!isBusy()) throw error
        refusals++
        await node.pumped()
      }
    }
  }
  // One after the other: where there is no room for one there is none for the next.
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = (): Promise<Hex> => {
    const begun = last.then(begin)
    last = begun.catch(() => {})
    return begun
  }
  const samples: number[] = []
  const started = performance.now()
  const end = started + seconds * 1000
  const payer = async () => {
    for (let since = performance.now(); since < end; ) {
      const hash = await inTurn()
      await new Promise<void>((resolve, reject) => waiting.set(hash, { resolve, reject }))
      waiting.delete(hash)
      const now = performance.now()
      samples.push(now - since)
      since = now
    }
  }
  try {
    await Promise.all(Array.from({ length: inFlight }, payer))
  } finally {
    listeners.delete(listener)
  }
  return { samples, seconds: (performance.now() - started) / 1000, refusals }
}
