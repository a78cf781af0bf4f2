// The process of an LDK node: what its user can ask of it.
import * as ldk from 'lightningdevkit'
import { fromHex, type Hex, toHex } from '../../channel/bytes.js'
import { keepToCore } from '../core.js'
import { serve } from '../remote.js'
import { displayed, isThere, type LdkEvent } from './events.js'
import { done, LdkNode, reasonOf } from './node.js'
import { type PaceTerms, pace } from './pace.js'
import type { NodeOptions } from './parts.js'

/** One of a node's channels. Amounts in millisatoshis unless said otherwise. */
export interface LdkChannel {
  readonly id: Hex
  readonly peer: Hex
  readonly funding: { readonly txid: string; readonly index: number } | undefined
  /** In satoshis. */
  readonly value: bigint
  /** What is LDK's, without what is in flight; undefined while that is no more than its reserve. */
  readonly balance: bigint | undefined
  readonly outbound: bigint
  readonly inbound: bigint
  readonly isReady: boolean
  readonly isUsable: boolean
  readonly isOpener: boolean
  readonly hasAnchors: boolean
  readonly shortChannelID: bigint | undefined
  /** HTLCs in flight, offered by the peer and by LDK. */
  readonly incoming: number
  readonly outgoing: number
}

/** What a process can be asked. */
export type LdkCalls = ReturnType<typeof callsOf> & {
  begin(options: NodeOptions): Promise<{ readonly id: Hex; readonly port: number }>
}

/** Who in this process hears of events; and whether the process that started it does. */
class Told {
  readonly listeners = new Set<(event: LdkEvent) => void>()
  isHushed = false
}

function callsOf(node: LdkNode, told: Told) {
  const { manager, peers } = node
  const channelOf = (id: Hex): ldk.ChannelDetails => {
    const found = manager.list_channels().find((one) => toHex(one.get_channel_id().get_a()) === id)
    if (found === undefined) throw new Error(`LDK has no channel ${id}`)
    return found
  }
  const isConnected = (peer: Hex) => isThere(peers.peer_by_node_id(fromHex(peer)))
  /** After whatever was asked of LDK: its messages leave. */
  const pumped = <T>(result: T): T => {
    node.pump()
    return result
  }

  const keysend = (terms: {
    readonly peer: Hex
    readonly amount: bigint
    readonly id: Hex
    readonly finalDelta?: number
  }): Hex => {
    const { peer, amount, id, finalDelta = 40 } = terms
    const to = ldk.PaymentParameters.constructor_for_keysend(fromHex(peer), finalDelta, false)
    const sent = manager.send_spontaneous_payment(
      ldk.Option_ThirtyTwoBytesZ.constructor_none(),
      ldk.RecipientOnionFields.constructor_spontaneous_empty(),
      fromHex(id, 32),
      ldk.RouteParameters.constructor_from_payment_params_and_value(to, amount),
      ldk.Retry.constructor_attempts(0),
    )
    if (sent instanceof ldk.Result_ThirtyTwoBytesRetryableSendFailureZ_OK) return pumped(toHex(sent.res))
    throw new Error(
      sent instanceof ldk.Result_ThirtyTwoBytesRetryableSendFailureZ_Err ? sendFailure(sent.err) : 'refused',
    )
  }

  return {
    /** Dials a node on loopback. Resolves when both have introduced themselves. */
    async connect({ peer, port }: { readonly peer: Hex; readonly port: number }): Promise<void> {
      await node.connect(peer, port)
      await node.until(() => isConnected(peer))
    },

    /** Resolves when a peer has introduced itself, whoever dialled; or when it is gone. */
    awaitPeer: ({ peer, isGone = false }: { readonly peer: Hex; readonly isGone?: boolean }) =>
      node.until(() => isConnected(peer) !== isGone),

    disconnect: (peer: Hex): void => pumped(peers.disconnect_by_node_id(fromHex(peer))),

    /** The feature bits of a peer's `init`, as bytes, the lowest last. */
    featuresOf(peer: Hex): Hex {
      const details = peers.peer_by_node_id(fromHex(peer))
      if (!isThere(details)) throw new Error(`${peer} is not connected`)
      // A length of two bytes, then the features.
      return toHex(details.get_init_features().write().subarray(2))
    },

    /** Opens a channel paid by bitcoind's wallet. @returns its temporary ID; events tell what comes of it */
    open(terms: {
      readonly peer: Hex
      /** In satoshis. */
      readonly value: bigint
      /** What the peer is given, in millisatoshis. */
      readonly push?: bigint
    }): Hex {
      const { peer, value, push = 0n } = terms
      const opened = manager.create_channel(fromHex(peer), value, push, 0n, null, null)
      if (opened instanceof ldk.Result_ChannelIdAPIErrorZ_OK) return pumped(toHex(opened.res.get_a()))
      throw new Error(opened instanceof ldk.Result_ChannelIdAPIErrorZ_Err ? reasonOf(opened.err) : 'refused')
    },

    /** Resolves when payments can go through a channel; after a restart or a lost connection once more. */
    usable: (id: Hex) =>
      node.until(() =>
        manager.list_usable_channels().some((one) => toHex(one.get_channel_id().get_a()) === id),
      ),

    /** Resolves when a channel has nothing in flight. */
    idle: (id: Hex) =>
      node.until(() => {
        const channel = channelOf(id)
        const { length } = [...channel.get_pending_inbound_htlcs(), ...channel.get_pending_outbound_htlcs()]
        return length === 0
      }),

    channels: (_: null): readonly LdkChannel[] => manager.list_channels().map(view),

    /** A BOLT 11 invoice over any amount if none is given. With a hash the preimage is for the caller to know. */
    invoice(terms: { readonly amount?: bigint; readonly hash?: Hex; readonly expiry?: number }): string {
      const { amount, hash, expiry = 3600 } = terms
      const wanted =
        amount === undefined ? ldk.Option_u64Z.constructor_none() : ldk.Option_u64Z.constructor_some(amount)
      const noDelta = ldk.Option_u16Z.constructor_none()
      const made =
        hash === undefined
          ? ldk.UtilMethods.constructor_create_invoice_from_channelmanager(
              manager,
              wanted,
              'test',
              expiry,
              noDelta,
            )
          : ldk.UtilMethods.constructor_create_invoice_from_channelmanager_with_payment_hash(
              manager,
              wanted,
              'test',
              expiry,
              fromHex(hash, 32),
              noDelta,
            )
      if (made instanceof ldk.Result_Bolt11InvoiceSignOrCreationErrorZ_OK) return made.res.to_str()
      throw new Error('LDK makes no such invoice')
    },

    /** Pays an invoice, with an amount if it has none. @returns the payment's ID, which is the invoice's hash */
    pay({ invoice, amount }: { readonly invoice: string; readonly amount?: bigint }): Hex {
      const parsed = ldk.Bolt11Invoice.constructor_from_str(invoice)
      if (!(parsed instanceof ldk.Result_Bolt11InvoiceParseOrSemanticErrorZ_OK))
        throw new Error('LDK reads no such invoice')
      const found =
        amount === undefined
          ? ldk.UtilMethods.constructor_payment_parameters_from_invoice(parsed.res)
          : ldk.UtilMethods.constructor_payment_parameters_from_variable_amount_invoice(parsed.res, amount)
      if (!(found instanceof ldk.Result_C3Tuple_ThirtyTwoBytesRecipientOnionFieldsRouteParametersZNoneZ_OK)) {
        throw new Error('the amount does not fit the invoice')
      }
      const hash = found.res.get_a()
      const retry = ldk.Retry.constructor_attempts(0)
      const sent = manager.send_payment(hash, found.res.get_b(), hash, found.res.get_c(), retry)
      if (sent instanceof ldk.Result_NoneRetryableSendFailureZ_Err) throw new Error(sendFailure(sent.err))
      return pumped(toHex(hash))
    },

    /** Pays without an invoice; `finalDelta` blocks for the last hop, 40 by default. @returns the payment's hash */
    keysend,

    /** Tells nothing from now on, so that nothing but payments takes its time. */
    hush: (_: null): void => {
      told.isHushed = true
    },

    pace: (terms: PaceTerms) => pace(terms, { node, keysend, listeners: told.listeners }),

    /** Whether to claim at once what arrives and can be claimed. As long as nobody says, it does. */
    claimAtOnce(claims: boolean): void {
      node.claims = claims
    },

    claim: (preimage: Hex): void => pumped(manager.claim_funds(fromHex(preimage, 32))),

    fail: (hash: Hex): void => pumped(manager.fail_htlc_backwards(fromHex(hash, 32))),

    /** Begins a close in agreement. */
    close({ channel, feerate }: { readonly channel: Hex; readonly feerate?: number }): void {
      const details = channelOf(channel)
      const target =
        feerate === undefined ? ldk.Option_u32Z.constructor_none() : ldk.Option_u32Z.constructor_some(feerate)
      const peer = details.get_counterparty().get_node_id()
      done(manager.close_channel_with_feerate_and_script(details.get_channel_id(), peer, target, null))
      node.pump()
    },

    async forceClose(channel: Hex): Promise<void> {
      const details = channelOf(channel)
      const peer = details.get_counterparty().get_node_id()
      done(manager.force_close_broadcasting_latest_txn(details.get_channel_id(), peer, 'closed by the test'))
      node.pump()
      await node.sync()
    },

    /** Reads the chain up to its newest block. @returns its height */
    async sync(_: null): Promise<number> {
      await node.sync()
      return node.height
    },

    /** The address of coins that pay for commitments with anchors. What comes later is seen; after a restart ask again. */
    address(_: null): string {
      node.coins.isUsed = true
      return node.coins.address
    },

    /** In satoshis: coins of the wallet, and what is to be had of channels. */
    balances: (_: null) => ({
      coins: node.coins.balance,
      claimable: node.chainMonitor.get_claimable_balances([]).map((one) => ({
        kind: one.constructor.name.replace('Balance_', ''),
        amount: one.claimable_amount_satoshis(),
      })),
    }),

    /** A minute has gone by, as far as LDK can see; at another fee rate if one is given. */
    tick({ feerate }: { readonly feerate?: number }): void {
      if (feerate !== undefined) node.feerate = feerate
      manager.timer_tick_occurred()
      node.pump()
    },

    /** See `keepToCore`. */
    keepToCore,

    /** Microseconds of processor time that this process has used. */
    cpu(_: null): number {
      const { user, system } = process.cpuUsage()
      return user + system
    },

    /** Ten seconds have gone by for connections: pings leave, and who has not answered the last one is dropped. */
    tickPeers: (_: null): void => pumped(peers.timer_tick_occurred()),
  }
}

function view(one: ldk.ChannelDetails): LdkChannel {
  const funding = one.get_funding_txo()
  const scid = one.get_short_channel_id()
  const reserve = one.get_unspendable_punishment_reserve()
  const outbound = one.get_outbound_capacity_msat()
  const isKnown = outbound > 0n && reserve instanceof ldk.Option_u64Z_Some
  return {
    id: toHex(one.get_channel_id().get_a()),
    peer: toHex(one.get_counterparty().get_node_id()),
    funding: isThere(funding)
      ? { txid: displayed(funding.get_txid()), index: funding.get_index() }
      : undefined,
    value: one.get_channel_value_satoshis(),
    balance: isKnown ? outbound + reserve.some * 1000n : undefined,
    outbound,
    inbound: one.get_inbound_capacity_msat(),
    isReady: Boolean(one.get_is_channel_ready()),
    isUsable: Boolean(one.get_is_usable()),
    isOpener: Boolean(one.get_is_outbound()),
    hasAnchors:
      isThere(one.get_channel_type()) && Boolean(one.get_channel_type().requires_anchors_zero_fee_htlc_tx()),
    shortChannelID: scid instanceof ldk.Option_u64Z_Some ? scid.some : undefined,
    incoming: one.get_pending_inbound_htlcs().length,
    outgoing: one.get_pending_outbound_htlcs().length,
  }
}

function sendFailure(code: ldk.RetryableSendFailure): string {
  return String(ldk.RetryableSendFailure[code]).replace(/^.*_/, '')
}

let end = async () => {}
const calls: Record<string, (argument: never) => unknown> = {
  async begin(options: NodeOptions) {
    const told = new Told()
    const node = await LdkNode.start(options, (event) => {
      for (const listener of [...told.listeners]) listener(event)
      if (!told.isHushed) tell(event)
    })
    Object.assign(calls, callsOf(node, told))
    end = () => node.stop()
    return { id: node.id, port: node.port }
  },
}
const tell: (event: LdkEvent) => void = serve(calls, () => end())
