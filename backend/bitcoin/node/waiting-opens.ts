// Channels that peers open while the last blocks are still on their way to us: each is answered once they are there.
import type { PeerID } from '../../../peer/index.js'
import type { OpenChannel } from '../wire/index.js'

interface WaitingOpen {
  readonly peer: PeerID
  readonly message: OpenChannel
}

/** A peer costs no more than a few of them, and all together not more than so many. */
const MOST = { ofOne: 4, ofAll: 64 } as const
/** Ticks for which one waits: a source that never hands out what it promises is as good as none. */
const PATIENCE = 2

/** See above. Nothing of it is stored: who opens a channel begins anew after a restart. */
export class WaitingOpens {
  #all: { readonly open: WaitingOpen; ticks: number }[] = []

  /** @returns whether it may wait */
  add(peer: PeerID, message: OpenChannel): boolean {
    const ofOne = this.#all.filter(({ open }) => open.peer === peer).length
    if (ofOne >= MOST.ofOne || this.#all.length >= MOST.ofAll) return false
    this.#all.push({ open: { peer, message }, ticks: 0 })
    return true
  }

  /** The peer is gone, and nobody waits for an answer. */
  forget(peer: PeerID): void {
    this.#all = this.#all.filter(({ open }) => open.peer !== peer)
  }

  /** All of them, in their order. */
  takeAll(): readonly WaitingOpen[] {
    const all = this.#all
    this.#all = []
    return all.map(({ open }) => open)
  }

  /** A tick has passed. @returns those that have waited too long, which wait no more */
  ticked(): readonly WaitingOpen[] {
    for (const one of this.#all) one.ticks++
    const late = this.#all.filter(({ ticks }) => ticks >= PATIENCE)
    this.#all = this.#all.filter(({ ticks }) => ticks < PATIENCE)
    return late.map(({ open }) => open)
  }
}
