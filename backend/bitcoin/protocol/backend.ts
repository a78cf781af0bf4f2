// Bitcoin as a client's ledger: Lightning channels (BOLT 2, 3, 5) with a protocol of their own.
import { demandNames, type NamesOf } from '../../../channel/arguments.js'
import type { Asset, Capabilities, Hex } from '../../../channel/index.js'
import { PerkunasError } from '../../../channel/index.js'
import type { ChannelProtocol, ProtocolBackend, ProtocolHost } from '../../../client/index.js'
import type { Bus, PeerID } from '../../../peer/index.js'
import { admissionLimits } from '../channel/admission.js'
import { channelPolicy } from '../channel/checks.js'
import { CHANNEL_POLICY } from '../channel/policy.js'
import {
  type LightningInit,
  LightningNode,
  type LightningNodeOptions,
  lightningInit,
  NODE_FEATURES,
  type NodeBus,
  ZERO_CONF_FEATURES,
} from '../node/index.js'
import { demandMeans } from '../node/options.js'
import { type PaymentsPolicy, paymentsPolicy } from '../payments/index.js'
import { type ChannelChoices, demandChoices } from './choices.js'
import { earlyBus } from './early-bus.js'
import { bitcoinAsset, CHALLENGE_DURATION, challengeDurationOn } from './proposal.js'
import { LightningProtocol } from './running.js'

/**
 * What Lightning channels can do, as long as a policy says nothing else of {@link Capabilities.updatesInFlight}: so many HTLCs
 * does each side take of the other by default (`max_accepted_htlcs`). How many a channel carries is up to its peer. What a
 * challenge duration may be is narrower outside regtest: see {@link BitcoinBackend.capabilities}.
 */
export const LIGHTNING_CAPABILITIES: Capabilities = {
  participants: { min: 2, max: 2 },
  maxAssets: 1,
  clock: 'blocks',
  challengeDuration: CHALLENGE_DURATION,
  apps: false,
  checkpoint: false,
  cooperativeClose: true,
  subChannels: false,
  dispute: 'penalty',
  allocation: 'typed',
  locks: ['hashTime'],
  updatesInFlight: CHANNEL_POLICY.maxAcceptedHtlcs,
  funding: 'opener',
  finalityDepth: 6,
}

/** What a client's Bitcoin ledger is made of. The backend closes none of it. */
export type BitcoinBackendOptions = Pick<
  LightningNodeOptions,
  'chain' | 'wallet' | 'seed' | 'policy' | 'admission' | 'steps' | 'schedule' | 'now' | 'onBackup'
> &
  ChannelChoices & {
    /**
     * A backup in place of a store that was lost, with an empty one: see `LightningNode.recover`. Its channels are `registering`
     * until their peers have closed them, and there until the money is in the wallet; no call disputes them. Only once:
     * afterwards the store has them.
     */
    readonly recover?: Uint8Array
    /**
     * What becomes of payments. What nobody has asked for (`spontaneous`, `unknown`) is none of it: that is an update of the
     * channel, or a lock, and our user's handler of updates decides.
     */
    readonly payments?: Partial<Omit<PaymentsPolicy, 'spontaneous' | 'unknown'>>
  }

const OPTION_NAMES: NamesOf<BitcoinBackendOptions> = {
  chain: true,
  wallet: true,
  seed: true,
  policy: true,
  admission: true,
  steps: true,
  schedule: true,
  now: true,
  onBackup: true,
  zeroConf: true,
  shutdown: true,
  recover: true,
  payments: true,
}

/** Bitcoin for `Client`: amounts in thousandths of a satoshi, deadlines in blocks. */
export class BitcoinBackend implements ProtocolBackend {
  /**
   * As {@link LIGHTNING_CAPABILITIES}, with the policy's number of HTLCs: so many of the peer's are taken at a time. Outside
   * regtest a challenge duration of ours is no shorter than the policy's `toSelfDelay.min`, 144 blocks by default.
   */
  readonly capabilities: Capabilities
  readonly protocol: ChannelProtocol
  /** The asset of its channels. */
  readonly asset: Asset
  /** What the client's `PeerBus` must show to its peers: `new PeerBus({ ...options, ...backend.bus })`. */
  readonly bus: LightningInit
  /** The node of the client that runs, with all that Lightning has beyond channels: invoices and payments. */
  #node: Promise<LightningNode> | undefined

  /** @throws PerkunasError INVALID_ARGUMENT for what can't be meant */
  constructor(options: BitcoinBackendOptions) {
    demandNames(options, OPTION_NAMES)
    demandMeans(options)
    demandChoices(options)
    const policy = channelPolicy(options.policy)
    admissionLimits(options.admission)
    paymentsPolicy(options.payments)
    demandNoDecision(options.payments ?? {})
    const { chainHash } = options.chain
    const challengeDuration = challengeDurationOn(chainHash, policy)
    const updatesInFlight = policy.maxAcceptedHtlcs
    this.capabilities = { ...LIGHTNING_CAPABILITIES, challengeDuration, updatesInFlight }
    this.asset = bitcoinAsset(chainHash)
    const { zeroConf, shutdown } = options
    const choices: ChannelChoices = { ...(zeroConf && { zeroConf }), ...(shutdown && { shutdown }) }
    this.bus = lightningInit(chainHash, zeroConf === undefined ? NODE_FEATURES : ZERO_CONF_FEATURES)
    this.protocol = {
      start: (host) => {
        const raw = lightningBus(host.bus, chainHash)
        const { bus, stop } = earlyBus(raw)
        const start = ({ store, clock, entropy }: ProtocolHost) => {
          // What is paid without having been asked for is an update, on which our user decides.
          const payments = { ...options.payments, spontaneous: 'hold', unknown: 'hold' } as const
          const { recover, zeroConf: _, shutdown: __, ...rest } = options
          const all = { ...rest, payments, bus, store, clock, entropy }
          this.#node = recover === undefined ? LightningNode.start(all) : LightningNode.recover(all, recover)
          this.#node.catch(stop)
          return this.#node
        }
        const reach = async (peer: PeerID) => raw.reach?.(peer)
        return new LightningProtocol(
          { asset: this.asset, self: bus.id, challengeDuration, choices, start, reach },
          host,
        )
      },
    }
  }

  /** The node of the client that was made last. @throws PerkunasError CLOSED if there is none yet; why it does not start */
  async node(): Promise<LightningNode> {
    if (this.#node === undefined) {
      throw new PerkunasError('CLOSED', 'no client uses this backend yet', { what: 'backend' })
    }
    return await this.#node
  }

  /** BOLT 7's `chain_hash`. */
  get chainHash(): Hex {
    return this.asset.id
  }

  async close(): Promise<void> {
    const node = await this.#node?.catch(() => undefined)
    await node?.stop()
  }
}

/** What would be passed over. @throws PerkunasError INVALID_ARGUMENT */
function demandNoDecision(payments: object): void {
  const argument = ['spontaneous', 'unknown'].find((name) => Object.hasOwn(payments, name))
  if (argument === undefined) return
  const message = `payments.${argument}: what nobody asked for is decided on by Client.handleUpdates`
  throw new PerkunasError('INVALID_ARGUMENT', message, { argument: `payments.${argument}` })
}

/** Lightning needs more of a bus than payloads. @throws PerkunasError INVALID_ARGUMENT */
function lightningBus(bus: Bus, chainHash: Hex): NodeBus & Bus {
  if (isLightningBus(bus)) {
    if (bus.init === undefined || bus.init.networks?.includes(chainHash)) return bus
    const message = 'a bus that speaks Lightning expected: new PeerBus({ ...options, ...backend.bus })'
    throw new PerkunasError('INVALID_ARGUMENT', message, { argument: 'bus' })
  }
  throw new PerkunasError('INVALID_ARGUMENT', 'a PeerBus expected: Lightning has messages of its own', {
    argument: 'bus',
  })
}

function isLightningBus(bus: Bus): bus is NodeBus & Bus {
  return 'sendRaw' in bus && 'onRaw' in bus && 'initsOf' in bus
}
