// Getting our money out: conclude if nobody has, then take it from each holder (Perun on Ethereum, "Withdraw").
import {
  type CallOptions,
  type ChannelID,
  isError,
  PerkunasError,
  type WithdrawRequest,
} from '../../channel/index.js'
import { ADJUDICATOR } from './abi.js'
import { paramsArgument, stateArgument } from './calls.js'
import type { ReadOptions } from './chain.js'
import {
  callData,
  type Deployment,
  type Dispute,
  isConcluded,
  readDispute,
  settlingGas,
} from './contracts.js'
import { becomesFinal } from './finality.js'
import { signPayout, withdrawAssets } from './payout.js'
import { type Conclusion, concludedWith } from './registered.js'

/** How many final blocks whoever leaves the concluding to another waits for it. */
const SECONDARY_BLOCKS = 2

/** Looks at the chain that a participant gives the one before it: on a public chain 16 seconds, more than a block. */
const LOOKS = 8
/** Participants behind this one go together: nobody is to wait for ever. */
const MAX_TURNS = 8

/**
 * Concludes if nobody has, and when the conclusion is final, withdraws all that we have in each holder. Whoever made
 * the conclusion or the payment, a reorg takes nothing back of what this has ended with.
 *
 * @throws PerkunasError TRANSACTION_FAILED if an asset can't be had (after all the others), and what sending may throw
 */
export async function withdraw(
  deployment: Deployment,
  request: WithdrawRequest,
  options: CallOptions = {},
): Promise<void> {
  const { params, state } = request
  const holds = (at: ReadOptions) => isConcluded(deployment, params, state, at)
  let conclusion: Conclusion
  // Another's conclusion may go away with its block. A payment that was sent before it is final could fail for that.
  do conclusion = await conclude(deployment, request, options)
  while (!(await becomesFinal(deployment.chain, holds, options)))
  await withdrawAssets(deployment, { ...request, ...conclusion }, options)
}

/** Sees to it that the channel is concluded; returns with what. */
async function conclude(
  deployment: Deployment,
  request: WithdrawRequest,
  options: CallOptions,
): Promise<Conclusion> {
  const { params, state, secondary = false } = request
  const given: Conclusion = { state, subChannels: request.subChannels }
  const canEndAtOnce = state.isFinal && state.allocation.locked.length === 0
  if (secondary) await waitForOthers(deployment, request, options)
  for (let last: unknown; ; ) {
    if (await isConcluded(deployment, params, state, options)) return given
    const dispute = await readDispute(deployment, state.channelID, options)
    try {
      if (canEndAtOnce && dispute.phase !== 'forced execution') {
        await concludeFinal(deployment, request, options)
        return given
      }
      if (dispute.phase === 'none') {
        await registerFirst(deployment, request, options)
        continue
      }
      const conclusion = await concludedWith(deployment, given, dispute, options)
      const due = await concludableAt(deployment, conclusion, dispute, options)
      if (await changesBefore(deployment, state.channelID, dispute, due, options)) continue
      if (await isTaken(deployment, request, dispute, options)) continue
      await concludeAndPay(deployment, request, conclusion, options)
      return conclusion
    } catch (error) {
      // Somebody else's transaction may have come first; if nothing has changed since the last failure, it is ours.
      if (!isError(error, 'TRANSACTION_FAILED')) throw error
      const now = JSON.stringify(await readDispute(deployment, state.channelID, options), (_, value) =>
        typeof value === 'bigint' ? value.toString() : value,
      )
      if (last === now && !(await isConcluded(deployment, params, state, options))) throw error
      last = now
    }
  }
}

/** Gives another participant's transaction a few blocks. */
async function waitForOthers(
  deployment: Deployment,
  { params, state }: WithdrawRequest,
  options: CallOptions,
): Promise<void> {
  const { chain } = deployment
  const start = (await chain.head(options)).number
  await chain.until(async (head) => {
    if (head.number >= start + SECONDARY_BLOCKS + chain.finalityDepth) return true
    return (await isConcluded(deployment, params, state, options)) ? true : undefined
  }, options)
}

async function concludeFinal(
  { sender, adjudicator }: Deployment,
  { params, state, signatures }: WithdrawRequest,
  options: CallOptions,
): Promise<void> {
  const values = [paramsArgument(params), stateArgument(state), signatures]
  const data = callData(ADJUDICATOR, 'concludeFinal', values)
  await sender.send(
    { kind: 'concludeFinal', to: adjudicator, data, spareGas: settlingGas(state, false) },
    options,
  )
}

/** A channel that nobody has registered must be, before it can be concluded. */
async function registerFirst(
  { sender, adjudicator }: Deployment,
  { params, state, signatures, subChannels }: WithdrawRequest,
  options: CallOptions,
): Promise<void> {
  if (signatures.length !== params.participants.length || subChannels.length > 0) {
    throw new PerkunasError(
      'TRANSACTION_FAILED',
      `the channel must be registered before it is concluded (channel ${state.channelID})`,
      { kind: 'conclude', reason: 'not registered' },
    )
  }
  const signed = [paramsArgument(params), stateArgument(state), signatures]
  const data = callData(ADJUDICATOR, 'register', [signed, []])
  await sender.send({ kind: 'register', to: adjudicator, data }, options)
}

/** When the channel's own time and that of its descendants is over. */
async function concludableAt(
  deployment: Deployment,
  { subChannels }: Conclusion,
  dispute: Dispute,
  options: CallOptions,
): Promise<bigint> {
  // After the refutation an app's participants have as long again to force a step.
  let due =
    dispute.phase === 'dispute' && dispute.hasApp
      ? dispute.timeout + dispute.challengeDuration
      : dispute.timeout
  for (const { channelID } of subChannels) {
    const { timeout, phase } = await readDispute(deployment, channelID, options)
    if (phase !== 'concluded' && timeout > due) due = timeout
  }
  return due
}

/** Waits for a time; true as soon as the dispute is another one than it was. */
async function changesBefore(
  deployment: Deployment,
  channelID: ChannelID,
  dispute: Dispute,
  due: bigint,
  options: CallOptions,
): Promise<boolean> {
  return deployment.chain.until(async (head) => {
    const { phase, stateHash: hash, timeout } = await readDispute(deployment, channelID, options)
    if (phase !== dispute.phase || hash !== dispute.stateHash || timeout !== dispute.timeout) return true
    return head.timestamp >= due ? false : undefined
  }, options)
}

/**
 * When the time is over all participants want to conclude, and every transaction but the first would be reverted and
 * paid for in vain. So each looks a while longer than the one before it, who has been mined by then or is not there.
 */
function isTaken(
  deployment: Deployment,
  { state, index }: WithdrawRequest,
  dispute: Dispute,
  options: CallOptions,
): Promise<boolean> {
  let looks = Math.min(index, MAX_TURNS) * LOOKS
  return deployment.chain.until(async () => {
    const { phase } = await readDispute(deployment, state.channelID, options)
    if (phase !== dispute.phase) return true
    return looks-- > 0 ? undefined : false
  }, options)
}

/** Concludes a dispute; with our own contracts the same transaction pays us. */
async function concludeAndPay(
  deployment: Deployment,
  { params, index }: WithdrawRequest,
  { state, subChannels }: Conclusion,
  options: CallOptions,
): Promise<void> {
  const { sender, adjudicator, generation, receiver } = deployment
  const values = [paramsArgument(params), stateArgument(state), subChannels.map(stateArgument)]
  if (generation === 'reference') {
    const data = callData(ADJUDICATOR, 'conclude', values)
    await sender.send(
      { kind: 'conclude', to: adjudicator, data, spareGas: settlingGas(state, false) },
      options,
    )
    return
  }
  const payout = await signPayout(deployment, params, state.channelID, index)
  const ours = <T>(value: T, other: T) => params.participants.map((_, i) => (i === index ? value : other))
  const receivers = ours(receiver, `0x${'00'.repeat(20)}`)
  const data = callData(ADJUDICATOR, 'concludeAndPay', [...values, receivers, ours(payout, '0x')])
  await sender.send({ kind: 'conclude', to: adjudicator, data, spareGas: settlingGas(state, true) }, options)
}
