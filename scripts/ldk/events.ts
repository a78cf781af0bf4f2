// What an LDK node tells its user, as plain data. Byte strings are hex, a transaction's ID as block explorers show it.
import * as ldk from 'lightningdevkit'
import { type Hex, toHex } from '../../channel/bytes.js'

/** What an LDK node tells unasked. Amounts in millisatoshis. */
export type LdkEvent =
  /** Its funding is signed; LDK as the opener publishes it now. */
  | {
      readonly kind: 'channelPending'
      readonly channel: Hex
      /** What the channel was called while it was negotiated. */
      readonly temporary: Hex
      readonly peer: Hex
      readonly txid: string
      readonly index: number
    }
  | { readonly kind: 'channelReady'; readonly channel: Hex; readonly peer: Hex }
  /** @property reason is LDK's name for it, text what it says beside it. */
  | { readonly kind: 'channelClosed'; readonly channel: Hex; readonly reason: string; readonly text: string }
  /** A payment is there and can be claimed or failed. */
  | {
      readonly kind: 'claimable'
      readonly hash: Hex
      readonly amount: bigint
      /** Absent if it is for its user to know: the invoice was made for a hash. */
      readonly preimage: Hex | undefined
      readonly isKeysend: boolean
    }
  | { readonly kind: 'claimed'; readonly hash: Hex; readonly amount: bigint }
  | { readonly kind: 'paid'; readonly id: Hex; readonly hash: Hex; readonly preimage: Hex }
  | { readonly kind: 'failed'; readonly id: Hex; readonly hash: Hex | undefined; readonly reason: string }
  /** So many outputs of a closed channel are the wallet's to take. They are sent to the node's user at once. */
  | { readonly kind: 'spendable'; readonly channel: Hex | undefined; readonly outputs: number }
  /** A commitment or an HTLC transaction needs coins from the wallet to pay its fee. */
  | { readonly kind: 'bump' }
  /** What the chain did not take. LDK repeats itself, so this is no failure. */
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'log'; readonly text: string }

/** What the user of a node is told of an event; undefined for what is for the node itself. */
export function told(event: ldk.Event): LdkEvent | undefined {
  if (event instanceof ldk.Event_ChannelPending) {
    return {
      kind: 'channelPending',
      channel: toHex(event.channel_id.get_a()),
      temporary: toHex(event.former_temporary_channel_id.get_a()),
      peer: toHex(event.counterparty_node_id),
      txid: displayed(event.funding_txo.get_txid()),
      index: event.funding_txo.get_index(),
    }
  }
  if (event instanceof ldk.Event_ChannelReady) {
    const { channel_id, counterparty_node_id } = event
    return { kind: 'channelReady', channel: toHex(channel_id.get_a()), peer: toHex(counterparty_node_id) }
  }
  if (event instanceof ldk.Event_ChannelClosed) {
    return {
      kind: 'channelClosed',
      channel: toHex(event.channel_id.get_a()),
      reason: event.reason.constructor.name.replace('ClosureReason_', ''),
      text: event.reason.to_str(),
    }
  }
  if (event instanceof ldk.Event_PaymentClaimable) {
    return {
      kind: 'claimable',
      hash: toHex(event.payment_hash),
      amount: event.amount_msat,
      preimage: hexOf(event.purpose.preimage()),
      isKeysend: event.purpose instanceof ldk.PaymentPurpose_SpontaneousPayment,
    }
  }
  if (event instanceof ldk.Event_PaymentClaimed) {
    return { kind: 'claimed', hash: toHex(event.payment_hash), amount: event.amount_msat }
  }
  if (event instanceof ldk.Event_PaymentSent) {
    return {
      kind: 'paid',
      id: hexOf(event.payment_id) ?? '0x',
      hash: toHex(event.payment_hash),
      preimage: toHex(event.payment_preimage),
    }
  }
  if (event instanceof ldk.Event_PaymentFailed) {
    const reason =
      event.reason instanceof ldk.Option_PaymentFailureReasonZ_Some ? event.reason.some : undefined
    return {
      kind: 'failed',
      id: toHex(event.payment_id),
      hash: hexOf(event.payment_hash),
      reason: reason === undefined ? 'unknown' : String(ldk.PaymentFailureReason[reason]).replace(/^.*_/, ''),
    }
  }
  if (event instanceof ldk.Event_SpendableOutputs) {
    const { channel_id: id } = event
    const channel = isThere(id) ? toHex(id.get_a()) : undefined
    return { kind: 'spendable', channel, outputs: event.outputs.length }
  }
  return event instanceof ldk.Event_BumpTransaction ? { kind: 'bump' } : undefined
}

/** A hash as it is shown: its bytes in reverse, without a prefix. */
export function displayed(hash: Uint8Array): string {
  return Buffer.from(hash).reverse().toString('hex')
}

/** The bytes of a hash that is shown. */
export function hashOf(shown: string): Uint8Array {
  return Uint8Array.from(Buffer.from(shown, 'hex')).reverse()
}

/** 32 bytes that may be absent. */
export function hexOf(option: ldk.Option_ThirtyTwoBytesZ): Hex | undefined {
  return option instanceof ldk.Option_ThirtyTwoBytesZ_Some ? toHex(option.some) : undefined
}

/** Whether LDK gave something: what is absent comes as an object around a null pointer, which must not be asked. */
export function isThere(value: object): boolean {
  return Reflect.get(value, 'ptr') !== 0n
}
