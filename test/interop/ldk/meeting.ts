// Channels between us and LDK, up to where they can be used, and what both must say of them.
import { expect } from 'chai'
import type { ChannelType } from '../../../backend/bitcoin/channel-type.js'
import { displayID, transactionID } from '../../../backend/bitcoin/script/index.js'
import { msat, type Sat, sat } from '../../../backend/bitcoin/units.js'
import { equalBytes } from '../../../channel/index.js'
import type { Ldk, LdkChannel } from '../../../scripts/ldk/ldk.js'
import { Ours, type OursOptions } from './driver.js'
import type { Regtest } from './regtest.js'

/** What a channel is worth, in satoshis, and what the other side is given of it when it is opened. */
export const VALUE: Sat = sat(1_000_000n)
export const PUSH = msat(300_000_000n)

/** How channels are opened. */
export interface Meeting {
  readonly regtest: Regtest
  readonly ldk: Ldk
  readonly opener: 'ours' | 'ldk'
  readonly commitments?: ChannelType['commitments']
  /** Instead, where we open. */
  readonly type?: ChannelType
  readonly options?: OursOptions
}

/** So many channels that can be used, each with a node of ours for itself. */
export async function channels(
  meeting: Meeting,
  count: number,
  how: 'mined' | 'unmined' = 'mined',
): Promise<readonly Ours[]> {
  const { regtest, ldk } = meeting
  const all = await Promise.all(Array.from({ length: count }, () => begun(meeting)))
  await Promise.all(all.map((ours) => ours.signed(ldk)))
  if (how === 'mined') await regtest.mine()
  await Promise.all(all.map((ours) => ours.usable(ldk)))
  return all
}

/** One that can be used. */
export async function channel(meeting: Meeting, how?: 'unmined'): Promise<Ours> {
  const [ours] = await channels(meeting, 1, how)
  if (ours === undefined) throw new Error('one was opened')
  return ours
}

/** A node of ours that has said, or been told, open_channel. */
export async function begun(meeting: Meeting, prepare: (ours: Ours) => void = () => {}): Promise<Ours> {
  const { regtest, ldk, options = {} } = meeting
  const ours = new Ours(regtest, options)
  prepare(ours)
  await ours.sync()
  await ours.connect(ldk)
  await begin(meeting, ours)
  return ours
}

/** Whoever opens says open_channel. */
export async function begin(meeting: Meeting, ours: Ours): Promise<void> {
  const { ldk, opener, commitments = 'anchors' } = meeting
  const { type = { commitments, scidAlias: false, zeroconf: false } } = meeting
  if (opener === 'ldk') await ldk.call('open', { peer: ours.id, value: VALUE, push: PUSH })
  else await ours.open({ push: PUSH, type })
}

/** LDK's view of the channel. */
export async function theirs(ours: Ours, ldk: Ldk): Promise<LdkChannel> {
  const found = (await ldk.call('channels', null)).find(({ id }) => id === ours.channel)
  if (found === undefined) throw new Error(`LDK has no channel ${ours.channel}`)
  return found
}

/** Nothing is in flight any more, and both say the same of who has what, to the millisatoshi. */
export async function rest(ours: Ours, ldk: Ldk, balance: bigint): Promise<void> {
  await Promise.all([ours.idle(), ldk.call('idle', ours.channel)])
  expect(ours.balance).to.equal(balance)
  expect((await theirs(ours, ldk)).balance).to.equal(VALUE * 1000n - balance)
}

/** The channel is closed in agreement, and the chain pays each what was its own; the fee is the opener's. */
export async function closed(ours: Ours, ldk: Ldk, regtest: Regtest): Promise<void> {
  const { channel, balance, live } = ours
  await ours.until(() => ours.published.some(({ what }) => what === 'closing'))
  await ldk.event('channelClosed', (one) => one.channel === channel)
  await ours.sync()
  await ldk.call('sync', null)
  const mempool = await regtest.mempool()
  const transaction = ours.published
    .map((one) => one.transaction)
    .find((one) => mempool.includes(displayID(transactionID(one))))
  if (transaction === undefined) throw new Error('no closing is published')
  const mine = transaction.outputs.find(({ script }) => equalBytes(script, ours.shutdownScript))
  const other = transaction.outputs.find((one) => one !== mine)
  const whole = { mine: balance / 1000n, theirs: (VALUE * 1000n - balance) / 1000n }
  const given = transaction.outputs.reduce((sum: bigint, { amount }) => sum + amount, 0n)
  const fee = whole.mine + whole.theirs - given
  expect(fee > 0n && fee < 5_000n, `a fee of ${fee}`).to.equal(true)
  expect([mine?.amount, other?.amount]).to.deep.equal(
    live.terms.opener === 'local' ? [whole.mine - fee, whole.theirs] : [whole.mine, whole.theirs - fee],
  )
  await regtest.mine()
  await ours.sync()
  ours.input({ kind: 'resolved' })
  expect(ours.state?.phase).to.equal('closed')
}
