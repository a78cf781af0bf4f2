// A party that cheats: its client is real, but what it says passes through the hands of somebody who drops, changes,
// repeats and invents, and who brings whatever was ever signed before the ledger.
import { draftOf, type Hex, isHex, type State, stateOf, toHex, transfer } from '../../channel/index.js'
import { type Message, messages } from '../../client/messages.js'
import type { PeerID } from '../../peer/index.js'
import type { Call } from './chain.js'
import type { Evidence } from './evidence.js'
import { name } from './network.js'
import { Party } from './party.js'
import { short } from './process.js'
import type { Random } from './random.js'
import { COUNTER, counted, type Scene } from './scene.js'

/** How a cheat treats what its own client wants to say. */
type Mood = 'honest' | 'mute' | 'withholding' | 'refusing' | 'forgetful' | 'twofaced'

const MOODS = { honest: 40, mute: 12, withholding: 12, refusing: 12, forgetful: 12, twofaced: 12 } as const

/** The most messages that a cheat remembers. */
const MEMORY = 400

/** What those who withhold don't say. */
const WITHHELD: readonly Message['kind'][] = ['channelUpdateAcc', 'closeAuthorization']

/** What cheats do. */
const ATTACKS = {
  registerOld: 14,
  registerAny: 6,
  conclude: 6,
  checkpoint: 5,
  belated: 6,
  progress: 6,
  replay: 16,
  equivocate: 10,
  sync: 6,
  refuse: 4,
  garbage: 2,
  mood: 12,
} as const

/** A cheat and its tricks. */
export class Cheat {
  readonly party: Party
  readonly #said: { readonly to: PeerID; readonly payload: Uint8Array }[] = []
  readonly #heard: Uint8Array[] = []
  #mood: Mood = 'honest'
  #moodRandom: Random

  constructor(
    index: number,
    readonly scene: Scene,
    readonly evidence: Evidence,
    /** Everybody's peer and address. */
    readonly others: () => readonly Party[],
  ) {
    this.#moodRandom = scene.random.fork(`mood/${index}`)
    this.party = new Party(index, scene, false, {
      outgoing: (to, payload) => this.#outgoing(to, payload),
      incoming: (from, payload) => this.#incoming(from, payload),
      onChannel: (channel) => evidence.channel(channel.params, channel.id, channel.signedState),
    })
    evidence.join(this.party)
  }

  /** One trick, by chance. */
  attack(random: Random): void {
    const attack = random.weighted(ATTACKS)
    // Mostly where something is to be had still.
    const open = this.party.channels.filter(({ phase }) => phase === 'acting' || phase === 'signing')
    const channelID = random.chance(0.6) ? random.pick(open)?.id : random.pick(this.evidence.channels)
    switch (attack) {
      case 'registerOld':
      case 'registerAny':
        return channelID && this.register(channelID, random, attack === 'registerOld')
      case 'conclude':
        return channelID && this.#conclude(channelID, random)
      case 'checkpoint':
        return channelID && this.#checkpoint(channelID, random)
      case 'belated':
        return this.belated(random)
      case 'progress':
        return channelID && this.#progress(channelID, random)
      case 'replay':
        return this.#replay(random)
      case 'equivocate':
        return channelID && this.#equivocate(channelID, random)
      case 'sync':
        return channelID && this.#lie(channelID, random)
      case 'refuse':
        return channelID && this.#refuse(channelID, random)
      case 'garbage':
        return this.#toSomebody(random, random.bytes(random.int(60)))
      case 'mood':
        this.#mood = random.weighted(MOODS)
        return this.#tell(`is ${this.#mood}`)
    }
  }

  /** Whether what its own client hands in gets to the ledger: who withholds puts nothing in. */
  submits({ kind }: Call): boolean {
    return this.#mood !== 'withholding' || kind !== 'deposit'
  }

  /** How it behaves in the end. */
  settleDown(mood: Mood): void {
    this.#mood = mood
  }

  /** Brings a state before the ledger, the best one for itself among the old or any. */
  register(channelID: Hex, random: Random, isBest: boolean): void {
    const all = this.evidence.complete(channelID)
    const index = this.#indexIn(channelID)
    const worth = ({ state }: (typeof all)[number]) => state.allocation.balances[0]?.[index] ?? 0n
    const [best] = all.toSorted((a, b) => Number(worth(b) - worth(a)))
    const signed = isBest ? best : random.pick(all)
    if (signed) this.#submit({ kind: 'register', signed, subChannels: [] })
  }

  /**
   * Says what it has withheld of channels in which something is registered, best when that can't be refuted any more, or
   * nearly so.
   */
  belated(random: Random): void {
    const { chain } = this.scene
    const isLate = (channelID: Hex): boolean => {
      const dispute = chain.dispute(channelID)
      return dispute?.phase === 'dispute' && dispute.timeout <= chain.head.time + 4n
    }
    const isDisputed = (channelID: Hex): boolean => chain.dispute(channelID)?.phase === 'dispute'
    const channels = this.party.channels.map(({ id }) => id)
    const late = channels.filter(isLate)
    const about = random.pick(late.length > 0 ? late : channels.filter(isDisputed))
    for (const { to, payload } of this.#said) {
      const message = messages.decode(payload)
      const isSignature = message.kind === 'channelUpdateAcc' || message.kind === 'channelUpdate'
      const channelID =
        'channelID' in message ? message.channelID : 'state' in message && message.state.channelID
      if (isSignature && channelID === about) this.#say(to, payload)
    }
  }

  #conclude(channelID: Hex, random: Random): void {
    const all = this.evidence.complete(channelID)
    // An end that came to nothing is the best that a cheat can have: nobody can refute it.
    const end = random.chance(0.8) ? random.pick(all.filter(({ state }) => state.isFinal)) : undefined
    if (end !== undefined) return this.#submit({ kind: 'concludeFinal', signed: end })
    const signed = this.#registered(channelID) ?? random.pick(all)
    if (signed === undefined) return
    const { params, state } = signed
    if (state.isFinal && random.chance(0.5)) this.#submit({ kind: 'concludeFinal', signed })
    else this.#submit({ kind: 'conclude', params, state, subStates: [] })
  }

  #checkpoint(channelID: Hex, random: Random): void {
    const all = this.evidence.complete(channelID)
    const registered = this.scene.chain.dispute(channelID)?.version ?? -1n
    const newer = all.filter(({ state }) => state.version > registered)
    const signed = random.pick(newer.length > 0 && random.chance(0.8) ? newer : all)
    if (signed && !signed.state.isFinal) this.#submit({ kind: 'checkpoint', signed, subChannels: [] })
  }

  #progress(channelID: Hex, random: Random): void {
    const signed = this.#registered(channelID)
    if (signed === undefined || signed.params.app !== COUNTER) return
    const { params, state: from } = signed
    const actor = this.#indexIn(channelID)
    const to = this.#next(from, from.version + 1n, actor, random)
    const signature = to && this.evidence.sign(to, this.party.address, params)
    if (to && signature && actor >= 0) this.#submit({ kind: 'progress', params, from, to, actor, signature })
  }

  #replay(random: Random): void {
    const heard = random.pick(this.#heard)
    if (heard !== undefined && random.chance(0.3)) return this.#toSomebody(random, heard)
    const said = random.pick(this.#said)
    if (said === undefined) return
    if (random.chance(0.7)) return this.#say(said.to, said.payload)
    this.#toSomebody(random, said.payload)
  }

  /** Different states of one version for different participants, or one of a wrong version. */
  #equivocate(channelID: Hex, random: Random): void {
    const held = this.party.holds(channelID)
    const params = this.evidence.params(channelID)
    if (held === undefined || params === undefined) return
    const { channel, state: from } = held
    const version = from.version + BigInt(random.weighted({ 0: 1, 1: 8, 2: 3, 3: 1 }))
    for (const peer of channel.peers) {
      if (peer === this.party.peer) continue
      const state = this.#next(from, version, channel.index, random)
      const signature = state && this.evidence.sign(state, this.party.address, params)
      if (!state || !signature) continue
      const isBad = random.chance(0.25)
      const said = isBad
        ? (this.evidence.complete(channelID)[0]?.signatures[channel.index] ?? '0x')
        : signature
      const message: Message = { kind: 'channelUpdate', state, actor: channel.index, signature: said }
      this.evidence.message(message, this.party.address)
      this.#say(peer, messages.encode(message))
    }
    this.#tell(`equivocates at ${version}`)
  }

  #lie(channelID: Hex, random: Random): void {
    const version = (this.party.holds(channelID)?.state.version ?? 0n) + BigInt(random.int(4))
    if (random.chance(0.5)) {
      const usedVersion = version + BigInt(random.int(3))
      return this.#toAll(channelID, { kind: 'channelSync', channelID, version, usedVersion })
    }
    const signed = random.pick(this.evidence.complete(channelID))
    if (signed === undefined) return
    const { signatures } = signed
    const index = this.#indexIn(channelID)
    const invented = random.chance(0.4) ? this.#next(signed.state, version + 1n, index, random) : undefined
    const state = invented ?? signed.state
    const spoilt = random.chance(0.3) ? signatures.map(() => signatures[0] ?? '0x') : signatures
    this.#toAll(channelID, { kind: 'signedState', state, signatures: spoilt })
  }

  #refuse(channelID: Hex, random: Random): void {
    const version = (this.party.holds(channelID)?.state.version ?? 0n) + BigInt(random.int(3))
    const crossed = random.chance(0.5)
    this.#toAll(channelID, {
      kind: 'channelUpdateRej',
      channelID,
      version,
      actor: random.int(3),
      reason: 'no',
      crossed,
    })
  }

  #outgoing(to: PeerID, payload: Uint8Array): readonly Uint8Array[] {
    const message = messages.decode(payload)
    this.evidence.message(message, this.party.address)
    if (this.#said.length < MEMORY) this.#said.push({ to, payload })
    switch (this.#mood) {
      case 'honest':
        return [payload]
      case 'mute':
        return []
      case 'forgetful':
        return this.#moodRandom.chance(0.4) ? [] : [payload]
      case 'withholding':
        return WITHHELD.includes(message.kind) ? [] : [payload]
      case 'twofaced':
        return [messages.encode(this.#otherwise(message))]
      case 'refusing': {
        if (message.kind !== 'channelUpdateAcc') return [payload]
        const { channelID, version, actor } = message
        return [
          messages.encode({
            kind: 'channelUpdateRej',
            channelID,
            version,
            actor,
            reason: 'no',
            crossed: false,
          }),
        ]
      }
    }
  }

  /** What somebody else hears instead: no two participants get the same share of a nonce or the same actor's state. */
  #otherwise(message: Message): Message {
    const random = this.#moodRandom
    switch (message.kind) {
      case 'channelProposalAcc':
        return { ...message, nonceShare: toHex(random.bytes(32)) }
      case 'channelUpdate': {
        const { state, actor } = message
        const params = this.evidence.params(state.channelID)
        const other = this.#next(state, state.version, actor, random)
        const signature = params && other && this.evidence.sign(other, this.party.address, params)
        if (!other || !signature || actor !== this.#indexIn(state.channelID)) return message
        const changed = { ...message, state: other, signature }
        this.evidence.message(changed, this.party.address)
        return random.chance(0.5) ? changed : message
      }
      default:
        return message
    }
  }

  #incoming(from: PeerID, payload: Uint8Array): void {
    if (this.#heard.length < MEMORY) this.#heard.push(payload)
    const sender = this.others().find(({ peer }) => peer === from)
    if (sender === undefined) return
    try {
      this.evidence.message(messages.decode(payload), sender.address)
    } catch {
      // Another cheat's garbage.
    }
  }

  /** The state that the ledger holds, if the cheats know it. */
  #registered(channelID: Hex) {
    const version = this.scene.chain.dispute(channelID)?.version
    return this.evidence.complete(channelID).find(({ state }) => state.version === version)
  }

  #next(from: State, version: bigint, actor: number, random: Random): State | undefined {
    if (actor < 0) return undefined
    const draft = draftOf(from)
    const row = draft.balances[0] ?? []
    const to = random.int(row.length)
    const amount = BigInt(random.int(from.app === COUNTER ? 4 : 30))
    const payer = from.app === COUNTER ? to : actor
    const payee = from.app === COUNTER ? actor : to
    if (payer !== payee && amount <= (row[payer] ?? 0n)) transfer(draft, { from: payer, to: payee, amount })
    if (from.app === COUNTER) draft.data = counted(draft.data)
    draft.isFinal = random.chance(0.05)
    return stateOf(from, draft, version)
  }

  #indexIn(channelID: Hex): number {
    const { address } = this.party
    return (
      this.evidence.params(channelID)?.participants.findIndex((of) => Object.values(of)[0] === address) ?? -1
    )
  }

  #submit(call: Call): void {
    const about = 'signed' in call ? call.signed.state : 'state' in call ? call.state : undefined
    this.#tell(`${call.kind} ${about ? `${short(about.channelID)} ${about.version}` : ''}`)
    try {
      this.scene.chain.submit(this.party.address, call)
    } catch {
      this.#tell('and is refused by its node')
    }
  }

  #toAll(channelID: Hex, message: Message): void {
    for (const peer of this.party.holds(channelID)?.channel.peers ?? []) {
      if (peer !== this.party.peer) this.#say(peer, messages.encode(message))
    }
  }

  #toSomebody(random: Random, payload: Uint8Array): void {
    const to = random.pick(this.others().filter(({ peer }) => peer !== this.party.peer))
    if (to) this.#say(to.peer, payload)
  }

  #say(to: PeerID, payload: Uint8Array): void {
    if (!isHex(to)) return
    this.#tell(`says to ${name(to)}`)
    this.party.process?.bus.say(to, payload)
  }

  #tell(words: string): void {
    this.scene.tell(`${this.party.name} cheats: ${words}`)
  }
}
