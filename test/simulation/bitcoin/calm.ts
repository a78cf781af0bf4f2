// Liveness: two honest parties that nothing has disturbed for a while have nothing under way between them, agree on both
// commitments, and neither closes a channel by force.
//
// Disturbed are who starts or dies, two between whom a connection breaks or is not possible, and all while the network is
// slow; for what depends on fees and heights, all for whom the chain is.
import { type Live, type View, viewOf } from '../../../backend/bitcoin/channel/index.js'
import type { PeerID } from '../../../peer/index.js'
import type { SimNetwork } from '../network.js'
import type { VirtualTime } from '../time.js'
import type { Held } from './inside.js'
import type { PaymentOracle } from './oracle.js'
import { BLOCK_MS } from './pace.js'

/** Milliseconds after which a disturbance of processes and connections is over: what was interrupted has begun anew. */
const SETTLING = 45_000
/** The same for the chain, whose fees a peer may doubt for some blocks. */
const CHAIN_SETTLING = 14 * BLOCK_MS
/** Milliseconds without a disturbance before an HTLC's deadline, in which it could have been resolved. */
const BEFORE_EXPIRY = 12 * BLOCK_MS
/** Blocks in a row at which something under way is the same: then it is stuck. */
const PATIENCE = 3
/** Milliseconds that most messages need, in weather that is not slow. */
const LATENCY = 50

/** An honest party with its process. */
export interface Resting {
  readonly name: string
  readonly id: PeerID
  /** Its channels with money in them, as they are on disk; none while it is away. */
  readonly held: readonly Held[]
}

/** What surrounds the parties. */
export interface CalmScene {
  readonly time: VirtualTime
  readonly network: SimNetwork
  readonly oracle: Pick<PaymentOracle, 'violated'>
}

/** See above. */
export class Calm {
  readonly #scene: CalmScene
  readonly #disturbed = new Map<string, number>()
  #chainDisturbed = 0
  /** What was under way at the last block, and at how many before without a disturbance. */
  #underWay = new Map<string, number>()
  /** Channels in which nothing was, and at how many blocks. */
  #atRest = new Map<string, number>()
  readonly #closed = new Set<string>()

  constructor(scene: CalmScene) {
    this.#scene = scene
    scene.network.onBreak = (a, b) => void this.#disturbed.set(between(a, b), scene.time.now())
  }

  /** A party starts or dies. */
  disturb(party: PeerID): void {
    this.#disturbed.set(party, this.#scene.time.now())
  }

  /** Blocks are undone or not seen, or fees change. */
  disturbChain(): void {
    this.#chainDisturbed = this.#scene.time.now()
  }

  /** A block came. */
  look(parties: readonly Resting[]): void {
    const before = this.#underWay
    const rested = this.#atRest
    this.#underWay = new Map()
    this.#atRest = new Map()
    for (const [i, a] of parties.entries()) {
      for (const b of parties.slice(i + 1)) {
        const isCalm = this.#calmFor(a.id, b.id) >= SETTLING
        for (const one of common(a, b)) this.#lookAt(one, { isCalm, before, rested })
      }
    }
  }

  /** An honest party closes by force, and its peer is honest. @param cause and reason, as its channel says */
  closes(party: { readonly name: string; readonly id: PeerID }, peer: PeerID, live: Live): void {
    const { failure, terms } = live
    const key = `${party.name} ${terms.channelID}`
    if (failure === undefined || this.#closed.has(key)) return
    this.#closed.add(key)
    const { cause, reason } = failure
    const calm = this.#calmFor(party.id, peer)
    const chainCalm = this.#scene.time.now() - this.#chainDisturbed
    const isUnprovoked = {
      // What broke the protocol is told elsewhere; who is told of an error, or sees a commitment, did not begin.
      violation: false,
      peerError: false,
      onChain: false,
      // Nobody loses data here, and whoever funds pays what was agreed on.
      dataLoss: true,
      funding: true,
      feerate: chainCalm >= CHAIN_SETTLING,
      expiry: reason.startsWith('HTLC') && Math.min(calm, chainCalm) >= BEFORE_EXPIRY,
      command: calm >= SETTLING && live.book.htlcs.length === 0 && (this.#atRest.get(key) ?? 0) >= 2,
    }[cause]
    if (isUnprovoked)
      this.#scene.oracle.violated(
        'nobody closes without a cause',
        `${party.name} ${terms.channelID.slice(2, 8)}: ${cause}, ${reason}`,
      )
  }

  /** Milliseconds without a disturbance of either. */
  #calmFor(a: PeerID, b: PeerID): number {
    const { time, network } = this.#scene
    if (network.weather.latency > LATENCY || network.isCut(a, b)) return 0
    const last = [a, b, between(a, b)].map((key) => this.#disturbed.get(key) ?? 0)
    return time.now() - Math.max(...last)
  }

  #lookAt(
    [one, other]: Common,
    {
      isCalm,
      before,
      rested,
    }: {
      readonly isCalm: boolean
      readonly before: ReadonlyMap<string, number>
      readonly rested: ReadonlyMap<string, number>
    },
  ): void {
    const { channelID } = one.live.terms
    const what = channelID.slice(2, 8)
    const ofBoth = [one, other].flatMap(({ name, live }) =>
      this.#openIn(live).map((words) => `${name} ${what}: ${words}`),
    )
    for (const key of ofBoth) {
      const blocks = isCalm ? (before.get(key) ?? 0) + 1 : 0
      this.#underWay.set(key, blocks)
      if (blocks === PATIENCE) this.#scene.oracle.violated('honest peers come to rest', key)
    }
    if (ofBoth.length > 0) return
    const fault = faultOfMirror(one.live, other.live)
    if (fault !== undefined)
      this.#scene.oracle.violated(
        'no mistake of ours',
        `I8: ${one.name} and ${other.name}, ${what}: ${fault}`,
      )
    if (!isCalm || one.live.book.htlcs.length > 0) return
    for (const { name } of [one, other]) {
      const key = `${name} ${channelID}`
      this.#atRest.set(key, (rested.get(key) ?? 0) + 1)
    }
  }

  /** What of a channel waits for an answer, or should be on its way. */
  #openIn({ link, batch, intents, book, phase, closing }: Live): readonly string[] {
    const isFee = book.changes.length > 0 || batch?.updates.some(({ kind }) => kind === 'update_fee')
    const isDoubted = this.#scene.time.now() - this.#chainDisturbed < CHAIN_SETTLING
    if (isFee && isDoubted) return ['a fee']
    return [
      ...(link.kind === 'up' ? [] : [`is ${link.kind}`]),
      ...(batch === undefined
        ? []
        : [`awaits the revocation of what ${batch.signed.signature.slice(0, 4)} replaces`]),
      ...intents.map(
        (one) => `has not sent ${one.kind === 'add' ? one.reference : 'id' in one ? one.id : 'a fee'}`,
      ),
      ...book.changes.map(({ feerate, stage }) => `feerate ${feerate} is ${stage}`),
      ...book.htlcs.flatMap(({ offerer, id, stage, preimage }) =>
        stage === 'locked' && preimage === undefined ? [] : [`HTLC ${id} (${offerer}) is ${stage}`],
      ),
      ...(phase === 'negotiating' && closing.complete === undefined ? ['negotiates'] : []),
    ]
  }
}

interface Side {
  readonly name: string
  readonly live: Live
}

type Common = readonly [Side, Side]

/** Channels that go on at both. */
function common(a: Resting, b: Resting): readonly Common[] {
  return a.held.flatMap(({ live }): readonly Common[] => {
    const other = b.held.find((one) => one.live.terms.channelID === live.terms.channelID)
    if (other === undefined || !goesOn(live) || !goesOn(other.live)) return []
    return [
      [
        { name: a.name, live },
        { name: b.name, live: other.live },
      ],
    ]
  })
}

function goesOn({ phase, closing, ready }: Live): boolean {
  return phase !== 'failed' && phase !== 'awaitingReady' && closing.complete === undefined && ready.depth > 0
}

/** I8: whatever died and was repeated on the way, both say the same of both commitments. */
function faultOfMirror(a: Live, b: Live): string | undefined {
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    if (one.signer.signed !== other.signer.validated)
      return `${one.signer.signed} commitments are signed and ${other.signer.validated} taken`
    if (printOf(viewOf(one.book, 'local')) !== printOf(viewOf(other.book, 'remote')))
      return `one says ${printOf(viewOf(one.book, 'local'))}, the other ${printOf(viewOf(other.book, 'remote'))}`
  }
  return undefined
}

/** Each side lists HTLCs in the order in which it saw them. */
function printOf({ feerate, toLocal, toRemote, htlcs }: View): string {
  const all = htlcs.map(
    ({ direction, id, amount, cltvExpiry }) => `${direction} ${id} ${amount} ${cltvExpiry}`,
  )
  return [feerate, toLocal, toRemote, ...all.sort()].join(', ')
}

function between(a: PeerID, b: PeerID): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`
}
