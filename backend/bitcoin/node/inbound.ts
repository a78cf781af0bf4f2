// Channels that peers open, as our user decides about them.
import { demandNames } from '../../../channel/arguments.js'
import { isError, type PerkunasError } from '../../../channel/errors.js'
import type { AdmissionLimits, ChannelInput } from '../channel/index.js'
import type { Sat } from '../units.js'
import type { ShortChannelID } from '../wire/index.js'
import type { Core } from './core.js'
import { asError, asHandlerError } from './faults.js'
import {
  DECISION_NAMES,
  type InboundChannel,
  type LightningNodeOptions,
  type OpenDecision,
  type OpenHandler,
} from './options.js'
import type { OwnScripts } from './own-scripts.js'
import { type Reserve, shortOf } from './reserve.js'
import type { Turns } from './turns.js'

/** What decisions need of their node. */
export interface InboundOptions {
  readonly core: Core
  readonly turns: Turns
  readonly wallet: Pick<LightningNodeOptions['wallet'], 'changeScript'>
  readonly scripts: OwnScripts
  readonly alias: () => ShortChannelID
  readonly admission: Pick<AdmissionLimits, 'anchorReserve'>
  readonly reserve: Pick<Reserve, 'available' | 'stand'>
  readonly report: (error: PerkunasError) => void
}

/** What the peer is told; how much is missing is no business of its. */
const NO_RESERVE = 'this node has too few coins on chain for the fees of another channel with anchors'

/** See above. */
export class Inbound {
  /** Decides; until our user says otherwise, against everything. */
  handle: OpenHandler = () => ({ accept: false, reason: 'this node takes no channels' })
  readonly #options: InboundOptions

  constructor(options: InboundOptions) {
    this.#options = options
  }

  /** A peer waits for an answer. */
  async ask(channel: bigint): Promise<void> {
    const { core, turns, report } = this.#options
    const entry = core.entries.get(channel)
    if (entry?.state.phase !== 'asked') return
    const { terms } = entry.state
    const { toSelfDelay } = entry.state.remote
    const request: InboundChannel = { ...terms, channel, peer: entry.peer, toSelfDelay }
    let input: ChannelInput
    let available: Sat | undefined
    try {
      input = await this.#decided(await this.handle(request))
      if (input.kind === 'accept' && this.#mustHaveReserve(request))
        available = await this.#options.reserve.available()
    } catch (cause) {
      report(asHandlerError(cause, 'handleChannels'))
      input = { kind: 'reject', reason: 'this node can not decide now' }
    }
    try {
      await turns.command((commands) => {
        const short = available === undefined ? undefined : this.#shortage(channel, available)
        if (short !== undefined) report(short)
        commands.command(channel, short === undefined ? input : { kind: 'reject', reason: NO_RESERVE })
      })
    } catch (cause) {
      if (isError(cause, 'UNKNOWN_CHANNEL') || isError(cause, 'PHASE_MISMATCH')) return // it was given up meanwhile
      report(asError(cause, 'channels'))
      turns.push({
        kind: 'channel',
        channel,
        input: { kind: 'reject', reason: 'this node can not take it' },
      })
    }
  }

  #mustHaveReserve({ type, isAnnounced }: InboundChannel): boolean {
    const { anchorReserve } = this.#options.admission
    if (type.commitments !== 'anchors' || anchorReserve === 'none') return false
    return isAnnounced || anchorReserve === 'all'
  }

  /** In the turn that would take it: of two that come at a time there may be enough for one. */
  #shortage(channel: bigint, available: Sat): PerkunasError | undefined {
    const stand = this.#options.reserve.stand(available, channel)
    return stand.missing > 0n ? shortOf(stand) : undefined
  }

  async #decided(decision: OpenDecision): Promise<ChannelInput> {
    demandNames(decision, DECISION_NAMES, 'decision')
    if (!decision.accept) return { kind: 'reject', reason: decision.reason }
    const { wallet, scripts, alias } = this.#options
    const { isUpfront = false, isZeroConf = false } = decision
    const shutdownScript = decision.shutdownScript ?? (await wallet.changeScript())
    scripts.add(shutdownScript)
    return { kind: 'accept', shutdownScript, isUpfront, isZeroConf, alias: alias() }
  }
}
