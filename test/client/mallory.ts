// A participant who speaks the protocol by hand, so that she can say anything at any time.
import { initialState, NO_APP, NO_AUX, type Params, type State, toHex } from '../../channel/index.js'
import { type ChannelProposal, type Message, type MessageOfKind, messages } from '../../client/messages.js'
import { nonceOf, sessionID } from '../../client/proposal.js'
import type { Bus, PeerID } from '../../peer/index.js'
import type { Group, Party } from './parties.js'

/** Speaks by hand in the name of a party, whose own client is silenced. */
export class Mallory {
  readonly heard: Message[] = []
  readonly #waiting = new Set<() => void>()
  readonly bus: Bus

  private constructor(
    readonly party: Party,
    readonly group: Group,
    bus: Bus,
  ) {
    this.bus = bus
    bus.onMessage((_from, payload) => {
      this.heard.push(messages.decode(payload))
      for (const check of [...this.#waiting]) check()
    })
  }

  /** Takes over a party. */
  static async over(party: Party, group: Group): Promise<Mallory> {
    await party.client.close()
    await party.bus.close()
    return new Mallory(party, group, group.network.bus(party.peer))
  }

  /** Says something. */
  async say(to: Party, message: Message): Promise<void> {
    await this.bus.send(to.peer, messages.encode(message))
  }

  /** Says bytes. */
  async shout(to: Party, bytes: Uint8Array): Promise<void> {
    await this.bus.send(to.peer, bytes)
  }

  /** The next message of a kind that has not been taken yet. */
  hear<K extends Message['kind']>(kind: K): Promise<MessageOfKind<K>> {
    return new Promise((resolve) => {
      const check = () => {
        const i = this.heard.findIndex((message) => message.kind === kind)
        if (i < 0) return
        const [message] = this.heard.splice(i, 1)
        this.#waiting.delete(check)
        resolve(message as MessageOfKind<K>)
      }
      this.#waiting.add(check)
      check()
    })
  }

  /** A proposal of hers; `change` may spoil it, and the session ID is made to fit afterwards. */
  proposal(to: readonly PeerID[], change: Partial<ChannelProposal> = {}): ChannelProposal {
    const { session, kind: _, ...rest } = { kind: 0, session: undefined, ...this.terms(to), ...change }
    return { kind: 'channelProposal', session: session ?? sessionID(rest), ...rest }
  }

  terms(to: readonly PeerID[]): Omit<ChannelProposal, 'kind' | 'session'> {
    const balances = [[this.party, ...to].map(() => 100n)]
    return {
      challengeDuration: 60n,
      nonceShare: toHex(crypto.getRandomValues(new Uint8Array(32))),
      app: NO_APP,
      data: '0x',
      assets: [this.group.assets[0]],
      balances,
      agreement: balances,
      participant: { [this.party.backend.rules.backend]: this.party.address },
      peers: [this.party.peer, ...to],
      aux: NO_AUX,
    }
  }

  /** Opens a two-party channel with a victim honestly, as proposer, deposits, and returns its first state. */
  async open(victim: Party): Promise<{ params: Params; state: State; session: string }> {
    const proposal = this.proposal([victim.peer])
    await this.say(victim, proposal)
    const acc = await this.hear('channelProposalAcc')
    const { rules, funder } = this.party.backend
    const params: Params = {
      challengeDuration: proposal.challengeDuration,
      participants: [proposal.participant, acc.participant],
      app: proposal.app,
      nonce: nonceOf([proposal.nonceShare, acc.nonceShare]),
      ledgerChannel: true,
      virtualChannel: false,
      aux: proposal.aux,
    }
    const { assets, balances } = proposal
    const state = initialState(
      rules.channelID(params),
      params,
      { assets, balances, locked: [] },
      proposal.data,
    )
    const signature = await this.sign(params, state)
    await this.say(victim, { kind: 'initialSignature', session: proposal.session, signature })
    await funder.fund({ params, state, index: 0, agreement: balances })
    return { params, state, session: proposal.session }
  }

  /** Her signature over a state. */
  async sign(params: Params, state: State): Promise<`0x${string}`> {
    const account = await (await this.keys()).account(this.party.address)
    return account.sign(this.party.backend.rules.message(params, state))
  }

  /** Her keys: the wallet of her client was locked when it closed. */
  async keys() {
    const { MemoryWallet } = await import('../../wallet/index.js')
    return new MemoryWallet([this.party.secret])
  }
}
