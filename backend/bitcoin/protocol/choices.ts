// What our user chooses of channels beyond what a proposal says: which are used before their funding is confirmed, and where
// closings pay us.
import { demandFunction, demandNames, type NamesOf } from '../../../channel/arguments.js'
import { PerkunasError } from '../../../channel/index.js'
import type { PeerID } from '../../../peer/index.js'
import type { InboundChannel, OpenOptions } from '../node/index.js'
import type { Sat } from '../units.js'

/** A channel that begins. */
export interface BeginningChannel {
  /** Node ID of the other side. */
  readonly peer: PeerID
  /** Who opens it. */
  readonly opener: 'local' | 'remote'
  readonly capacity: Sat
}

/**
 * Which channels are used before their funding is confirmed (BOLT 2, `option_zeroconf`). Who opened one may still spend the
 * funding otherwise: then all that the channel ever held is gone, whoever it was paid to. A peer's that has no confirmation after
 * 2016 blocks is given up: our commitment is published, in case the funding comes after all, and `settle` ends with
 * FUNDING_FAILED when it has not come 2016 blocks later.
 */
export interface ZeroConfChoice {
  /** Whether the opener of a channel is trusted with its funding. By default nobody is; who demands it is refused then. */
  readonly trusts?: (request: InboundChannel) => boolean | Promise<boolean>
  /**
   * Whether a channel that we propose is to be used at once or not at all. By default that is for the peer to say, which may
   * trust us unasked. @see BOLT 2, `channel_type`
   */
  readonly demands?: (channel: BeginningChannel) => boolean | Promise<boolean>
}

/** Where a closing in agreement pays us. */
export interface ShutdownChoice {
  /** A script of a standard form (BOLT 2, "Closing Initiation"); by default a new one of the wallet. */
  readonly script?: Uint8Array
  /**
   * Say it when the channel opens (`upfront_shutdown_script`): the peer then closes to no other, even if whoever asks for
   * another has our keys. By default it is said when the channel closes.
   */
  readonly isUpfront?: boolean
}

/** What a backend's user chooses. Asked for each channel that begins; what throws ends that one with HANDLER_FAILED. */
export interface ChannelChoices {
  /** Channels without confirmations; without it there are none, and peers are not shown that there could be. */
  readonly zeroConf?: ZeroConfChoice
  readonly shutdown?: (channel: BeginningChannel) => ShutdownChoice | Promise<ShutdownChoice>
}

const ZERO_CONF_NAMES: NamesOf<ZeroConfChoice> = { trusts: true, demands: true }
const SHUTDOWN_NAMES: NamesOf<ShutdownChoice> = { script: true, isUpfront: true }

/** @throws PerkunasError INVALID_ARGUMENT if they are no functions, or a name is unknown: whoever calls need not have been compiled against our types */
export function demandChoices({ zeroConf, shutdown }: ChannelChoices): void {
  if (zeroConf !== undefined) demandNames(zeroConf, ZERO_CONF_NAMES, 'options.zeroConf')
  const given = {
    'options.zeroConf.trusts': zeroConf?.trusts,
    'options.zeroConf.demands': zeroConf?.demands,
    'options.shutdown': shutdown,
  }
  for (const [argument, choice] of Object.entries(given)) {
    if (choice !== undefined) demandFunction(choice, argument)
  }
}

/** For a channel that we open. @throws PerkunasError HANDLER_FAILED */
export async function openingChoices(
  { zeroConf, shutdown }: ChannelChoices,
  { peer, capacity }: Pick<BeginningChannel, 'peer' | 'capacity'>,
): Promise<Pick<OpenOptions, 'shutdownScript' | 'isUpfront' | 'isZeroConf'>> {
  const channel: BeginningChannel = { peer, opener: 'local', capacity }
  try {
    const isZeroConf = (await zeroConf?.demands?.(channel)) === true
    return { ...closingOf(await shutdown?.(channel)), isZeroConf }
  } catch (cause) {
    const message = 'the choice of how a channel is opened threw'
    throw new PerkunasError('HANDLER_FAILED', message, { handler: 'channel choices' }, { cause })
  }
}

/** Whether a peer's channel may be used before its funding is confirmed. Rejects with what our user throws. */
export async function isTrusted({ zeroConf }: ChannelChoices, request: InboundChannel): Promise<boolean> {
  return (await zeroConf?.trusts?.(request)) === true
}

/** For a channel that a peer opens. Rejects with what our user throws. */
export async function takingChoices(
  { shutdown }: ChannelChoices,
  { peer, capacity }: InboundChannel,
): Promise<Pick<OpenOptions, 'shutdownScript' | 'isUpfront'>> {
  return closingOf(await shutdown?.({ peer, opener: 'remote', capacity }))
}

function closingOf(choice: ShutdownChoice = {}): Pick<OpenOptions, 'shutdownScript' | 'isUpfront'> {
  demandNames(choice, SHUTDOWN_NAMES, 'shutdown')
  const { script, isUpfront = false } = choice
  return { ...(script === undefined ? {} : { shutdownScript: script }), isUpfront }
}
