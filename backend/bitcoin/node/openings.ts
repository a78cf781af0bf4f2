// How channels of a node begin: by our wish or a peer's, each with keys that no other ever has.
import { fromHex, type Hex, toHex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import type { PeerID } from '../../../peer/index.js'
import {
  type AdmissionLimits,
  type ChannelInput,
  type ChannelState,
  faultOfAdmission,
  isLive,
  type Live,
  type OpenRequest,
  openChannel,
  receivedOpen,
} from '../channel/index.js'
import { channelIDOf } from '../channel/terms.js'
import { transactionID } from '../script/index.js'
import type { FundingCreated, OpenChannel } from '../wire/index.js'
import type { Entry } from './entries.js'
import type { NodeInput } from './input.js'
import type { Machines } from './machines.js'
import { NODE_KEYS, NODE_RECORDS } from './rows.js'

/** See above. */
export class Openings {
  readonly #machines: Machines
  readonly #admission: AdmissionLimits
  #nextKeyIndex: bigint

  constructor(machines: Machines, admission: AdmissionLimits, nextKeyIndex: bigint) {
    this.#machines = machines
    this.#admission = admission
    this.#nextKeyIndex = nextKeyIndex
  }

  /** The first key index that was never used. */
  get nextKeyIndex(): bigint {
    return this.#nextKeyIndex
  }

  /**
   * Opens a channel to a peer that is connected.
   *
   * @returns its key index
   * @throws PerkunasError INVALID_PARAMS, PEER_UNREACHABLE
   */
  open(peer: PeerID, request: Omit<OpenRequest, 'keyIndex' | 'features'>): bigint {
    const machines = this.#machines
    const features = machines.peers.get(peer)?.features
    if (features === undefined) {
      const message = `${peer} is not connected`
      throw new PerkunasError('PEER_UNREACHABLE', message, { peer, reason: 'lost' })
    }
    const keyIndex = this.#nextKeyIndex
    const begun = openChannel({ ...request, keyIndex, features }, machines.env)
    this.#takeKeyIndex()
    machines.apply(this.#begin(keyIndex, peer, begun.next), begun)
    return keyIndex
  }

  /** A peer opens one. */
  received(peer: PeerID, message: OpenChannel): void {
    const machines = this.#machines
    const { temporaryChannelID: temporaryID } = message
    const features = machines.peers.get(peer)?.features ?? []
    const occupants = [...machines.entries.all].map(({ peer, state }) => ({
      peer,
      temporaryID: 'terms' in state ? state.terms.temporaryID : state.channelID,
      isFunded: isLive(state) && isFunded(state),
    }))
    const fault = faultOfAdmission(occupants, { peer, temporaryID }, this.#admission)
    if (fault !== undefined) return this.refuse(peer, temporaryID, fault)
    const keyIndex = this.#nextKeyIndex
    const begun = receivedOpen(message, { keyIndex, features }, machines.env)
    if (begun.next.phase === 'closed') {
      for (const effect of begun.effects) if (effect.kind === 'send') machines.send(peer, effect.message)
      return
    }
    this.#takeKeyIndex()
    machines.apply(this.#begin(keyIndex, peer, begun.next), begun)
  }

  /** Tells a peer that of this channel nothing comes. */
  refuse(peer: PeerID, channelID: Hex, text: string): void {
    this.#machines.send(peer, { kind: 'error', channelID, data: new TextEncoder().encode(text) })
  }

  /**
   * What a peer's funding comes to if its output is that of another channel with it: the two would have one name, and what
   * is said to the one could reach the other. Undefined if it is none.
   */
  refusal(
    { peer }: Entry,
    { fundingTxID, fundingOutputIndex }: FundingCreated,
  ): (ChannelInput & { kind: 'reject' }) | undefined {
    const txid = fromHex(fundingTxID).reverse()
    const id = toHex(channelIDOf({ txid, index: fundingOutputIndex }))
    if (this.#machines.entries.named(peer, id) === undefined) return undefined
    return { kind: 'reject', reason: 'the funding output is in use' }
  }

  /** The wallet pays for a channel that was to be opened, if it still is. */
  funded({ channel, funding, index }: NodeInput & { kind: 'funded' }): void {
    const machines = this.#machines
    const entry = machines.entries.get(channel)
    if (entry === undefined || entry.state.phase !== 'awaitingFunding') {
      return machines.draft.effect({ kind: 'release', reservation: funding.reservation })
    }
    entry.funding = funding
    const txid = transactionID(funding.transaction)
    machines.input(entry, { kind: 'funded', outpoint: { txid, index } })
  }

  /** A child pays for a funding of ours, too, if that still is in no block. */
  bumped({ channel, child }: NodeInput & { kind: 'fundingChild' }): void {
    const { draft, entries } = this.#machines
    const entry = entries.get(channel)
    const { reservation, transaction, fee } = child
    if (entry?.funding === undefined || entry.place !== undefined) {
      // It may have been there before, and then it is published by now.
      if (entry?.funding?.child?.reservation !== reservation) draft.effect({ kind: 'release', reservation })
      return
    }
    entry.funding = { ...entry.funding, child }
    draft.write(NODE_RECORDS.ownFunding.put(NODE_KEYS.ownFunding(channel), entry.funding))
    this.#machines.publishFunding(entry)
    draft.effect({
      kind: 'tell',
      event: { kind: 'fundingBumped', channel, peer: entry.peer, transaction, fee },
    })
  }

  #takeKeyIndex(): void {
    this.#nextKeyIndex += 1n
    this.#machines.draft.write(NODE_RECORDS.next.put(NODE_KEYS.next, { keyIndex: this.#nextKeyIndex }))
  }

  #begin(keyIndex: bigint, peer: PeerID, state: ChannelState): Entry {
    const entry: Entry = {
      keyIndex,
      peer,
      state,
      monitor: undefined,
      watched: new Set(),
      revoked: [],
      written: undefined,
      shown: state,
      funding: undefined,
      place: undefined,
      stopped: undefined,
    }
    this.#machines.entries.add(entry)
    return entry
  }
}

/** What a peer calls the funding of a channel may confirm and be none. */
function isFunded({ ready, terms, failure }: Live): boolean {
  return terms.opener === 'local' || (ready.depth > 0 && failure?.cause !== 'funding')
}
