// Where closings may pay us: a signer signs no other.
import { toHex } from '../../../channel/bytes.js'
import { type ChannelState, isLive } from '../channel/index.js'

/** See above. */
export class OwnScripts {
  /** In hex. */
  readonly #all = new Set<string>()

  add(script: Uint8Array): void {
    this.#all.add(toHex(script))
  }

  has(script: Uint8Array): boolean {
    return this.#all.has(toHex(script))
  }

  /** Where a restored channel may be paid to when it closes. */
  restore(state: ChannelState): void {
    if (!isLive(state)) return
    const { terms, shutdown } = state
    for (const script of [terms.shutdownScript, terms.local.upfrontShutdown, shutdown.local]) {
      if (script !== undefined) this.add(script)
    }
  }
}
