// What cheats know together: every state that they saw a signature of, and what they could bring before the ledger.

import { simRules } from '../../backend/sim/rules.js'
import type { Hex, Params, SignedState, State } from '../../channel/index.js'
import { toHex } from '../../channel/index.js'
import type { Message } from '../../client/messages.js'
import { signPersonal } from '../../wallet/index.js'
import type { Party } from './party.js'

interface Known {
  readonly state: State
  readonly signatures: (Hex | undefined)[]
}

interface Case {
  readonly params: Params
  readonly states: Map<Hex, Known>
}

const rules = simRules(() => true)

/** Shared by all cheats of a run. */
export class Evidence {
  readonly #cases = new Map<Hex, Case>()
  readonly #cheats = new Map<Hex, Uint8Array>()

  /** A cheat lends its key. */
  join(party: Party): void {
    this.#cheats.set(party.address, party.secret)
  }

  /** The channels that something is known of. */
  get channels(): readonly Hex[] {
    return [...this.#cases.keys()]
  }

  /** The params of a channel. */
  params(channelID: Hex): Params | undefined {
    return this.#cases.get(channelID)?.params
  }

  /** A cheat's own client has a channel, and perhaps a state of it that everybody signed. */
  channel(params: Params, channelID: Hex, signed: SignedState | undefined): void {
    const known = this.#cases.get(channelID) ?? { params, states: new Map() }
    this.#cases.set(channelID, known)
    for (const [i, signature] of (signed?.signatures ?? []).entries()) {
      if (signed) this.#learn(known, signed.state, i, signature)
    }
  }

  /** A cheat heard or said something. */
  message(message: Message, from: Hex): void {
    switch (message.kind) {
      case 'channelUpdate': {
        const known = this.#cases.get(message.state.channelID)
        if (known) this.#learn(known, message.state, message.actor, message.signature)
        return
      }
      case 'channelUpdateAcc': {
        const known = this.#cases.get(message.channelID)
        const index =
          known?.params.participants.findIndex((addresses) => addresses[rules.backend] === from) ?? -1
        for (const { state } of known?.states.values() ?? []) {
          if (known && index >= 0 && state.version === message.version) {
            this.#learn(known, state, index, message.signature)
          }
        }
        return
      }
      case 'signedState': {
        const known = this.#cases.get(message.state.channelID)
        for (const [i, signature] of message.signatures.entries()) {
          if (known) this.#learn(known, message.state, i, signature)
        }
        return
      }
      default:
        return
    }
  }

  /** A cheat's signature over anything. */
  sign(state: State, address: Hex, params: Params): Hex | undefined {
    const secret = this.#cheats.get(address)
    return secret && signPersonal(rules.message(params, state), secret)
  }

  /** All states of a channel that the cheats can have registered, oldest first. */
  complete(channelID: Hex): SignedState[] {
    const known = this.#cases.get(channelID)
    if (known === undefined) return []
    const { params } = known
    const all: SignedState[] = []
    for (const { state, signatures } of known.states.values()) {
      const full = signatures.map((signature, i) => {
        const address = params.participants[i]?.[rules.backend]
        return signature ?? (address && this.sign(state, address, params))
      })
      const list = full.filter((signature): signature is Hex => signature !== undefined)
      if (list.length === full.length) all.push({ params, state, signatures: list })
    }
    return all.sort((a, b) => (a.state.version < b.state.version ? -1 : 1))
  }

  #learn({ params, states }: Case, state: State, index: number, signature: Hex): void {
    const message = rules.message(params, state)
    const addresses = params.participants[index]
    if (addresses === undefined || !rules.verify(message, signature, addresses)) return
    const key = toHex(message)
    const known = states.get(key) ?? { state, signatures: params.participants.map(() => undefined) }
    states.set(key, known)
    known.signatures[index] = signature
  }
}
