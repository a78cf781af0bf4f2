// Payments without onions, for tests of nodes alone.
import type { Handoff } from '../../../../backend/bitcoin/channel/index.js'
import type { HtlcKey } from '../../../../backend/bitcoin/monitor/index.js'
import type { Consequence, HtlcSwitch, Wish } from '../../../../backend/bitcoin/node/switch.js'
import { toHex } from '../../../../channel/bytes.js'
import type { Store, Write } from '../../../../persistence/index.js'

/** Payments without onions: whoever knows the preimage of what is locked takes it, everybody else fails it. */
export class TestSwitch implements HtlcSwitch {
  readonly preimages = new Map<string, Uint8Array>()
  /** What was handed on, each once, as the store has it: by HTLC or reference. */
  readonly seen = new Map<string, string>()
  /** Heights at which what came in for HTLCs of channels is taken back. */
  readonly incoming = new Map<bigint, number>()
  #writes: Write[] = []

  /** Takes what the store has in place of what it knew. */
  async restore(store: Store): Promise<void> {
    this.seen.clear()
    this.#writes = []
    for await (const [key, value] of store.scan(SWITCH_ROWS))
      this.seen.set(key.slice(SWITCH_ROWS.length), new TextDecoder().decode(value))
  }

  /** What became of what we sent, by reference. */
  get ends(): ReadonlyMap<string, string> {
    const ends = [...this.seen].filter(([name]) => name.startsWith('sent '))
    return new Map(ends.map(([name, how]) => [name.slice(5), how]))
  }

  /** The sum of what we took. */
  get received(): bigint {
    const taken = [...this.seen].filter(([, what]) => what.startsWith('taken '))
    return taken.reduce((sum, [, what]) => sum + BigInt(what.slice(6)), 0n)
  }

  handed(channel: bigint, handoff: Handoff): Consequence {
    const wishes: Wish[] = []
    switch (handoff.kind) {
      case 'refused':
        this.#see(`sent ${handoff.reference}`, 'refused')
        break
      case 'locked': {
        const { htlc, mustFail } = handoff
        const { offerer, id, amount, paymentHash } = htlc
        const preimage =
          offerer === 'remote' && mustFail === undefined ? this.preimages.get(toHex(paymentHash)) : undefined
        this.#see(`locked ${channel} ${offerer} ${id}`, preimage === undefined ? 'seen' : `taken ${amount}`)
        if (offerer === 'local') break
        const removal =
          preimage === undefined
            ? ({ kind: 'fail', reason: new Uint8Array(10) } as const)
            : ({ kind: 'fulfill', preimage } as const)
        wishes.push({ channel, intent: { kind: 'remove', id, removal } })
        break
      }
      case 'fulfilled':
      case 'failed': {
        const { reference, amount } = handoff.htlc
        this.#see(`sent ${reference}`, `${handoff.kind} ${amount}`)
        break
      }
      case 'removed':
      case 'forgotten':
        this.#see(`${handoff.kind} ${channel} ${handoff.htlc.offerer} ${handoff.htlc.id}`, 'seen')
        break
      case 'added':
        break
    }
    return { wishes, effects: [] }
  }

  learned(channel: bigint, { id }: HtlcKey): Consequence {
    this.#see(`learned ${channel} local ${id}`, 'seen')
    return { wishes: [], effects: [] }
  }

  resolved(channel: bigint, { offerer, id }: HtlcKey, to: 'offerer' | 'receiver'): Consequence {
    this.#see(`resolved ${channel} ${offerer} ${id}`, to)
    return { wishes: [], effects: [] }
  }

  incomingExpiry(channel: bigint): number | undefined {
    return this.incoming.get(channel)
  }

  reached(): Consequence {
    return { wishes: [], effects: [] }
  }

  ticked(): Consequence {
    return { wishes: [], effects: [] }
  }

  attach(): void {}

  resumed(): Consequence {
    return { wishes: [], effects: [] }
  }

  takeWrites(): readonly Write[] {
    const writes = this.#writes
    this.#writes = []
    return writes
  }

  #see(what: string, how: string): void {
    if (this.seen.has(what)) throw new Error(`${what}: ${how} after ${this.seen.get(what)}`)
    this.seen.set(what, how)
    this.#writes.push({ kind: 'put', key: `${SWITCH_ROWS}${what}`, value: new TextEncoder().encode(how) })
  }
}

const SWITCH_ROWS = 'test-switch/'
