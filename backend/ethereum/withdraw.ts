// Getting our money out: conclude if nobody has, then withdraw from each holder (Perun on Ethereum, "Withdraw").
import {
  type CallOptions,
  type ChannelID,
  type Hex,
  type Index,
  isError,
  type Params,
  PerkunasError,
  type State,
  toHex,
  type WithdrawRequest,
} from '../../channel/index.js'
import { ADJUDICATOR, HOLDER } from './abi.js'
import { paramsArgument, stateArgument } from './calls.js'
import {
  addressOf,
  callData,
  type Deployment,
  type Dispute,
  type Holder,
  holdings,
  isConcluded,
  isSettled,
  ourHolders,
  PAYMENT_GAS,
  readDispute,
  settlingGas,
} from './contracts.js'
import { stateHash, withdrawalHash, withdrawer } from './encoding.js'
import { payoutHash } from './messages.js'
import { registeredState } from './registered.js'

/** How many final blocks whoever leaves the concluding to another waits for it. */
const SECONDARY_BLOCKS = 2

/**
 * Concludes if nobody has, then withdraws all that we have in each holder. Ends when the conclusion is final.
 *
 * @throws PerkunasError TRANSACTION_FAILED if an asset can't be had (after all the others), and what sending may throw
 */
export async function withdraw(
  deployment: Deployment,
  request: WithdrawRequest,
  options: CallOptions = {},
): Promise<void> {
  for (;;) {
    const concluded = await conclude(deployment, request, options)
    await withdrawAssets(deployment, { ...request, ...concluded }, options)
    if (await staysConcluded(deployment, request, options)) return
  }
}

/** Another's transaction may have concluded the channel, and paid us, in a block that is replaced: waits until it is final. */
async function staysConcluded(
  deployment: Deployment,
  { params, state }: WithdrawRequest,
  options: CallOptions,
): Promise<boolean> {
  const { chain } = deployment
  return await chain.until(async (head) => {
    const block = Math.max(0, head.number - chain.finalityDepth + 1)
    if (await isConcluded(deployment, params, state, { ...options, block })) return true
    return (await isConcluded(deployment, params, state, options)) ? undefined : false
  }, options)
}

/** What a channel is concluded with. */
interface Conclusion {
  readonly state: State
  readonly subChannels: readonly State[]
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
      const conclusion = await matching(deployment, given, dispute, options)
      const due = await concludableAt(deployment, conclusion, dispute, options)
      if (await changesBefore(deployment, state.channelID, dispute, due, options)) continue
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

/**
 * What stands registered: what the caller gave, if it is that; else what the chain shows. Only that can be
 * concluded, and a party that was away while an old state's time ran out has no better choice.
 */
async function matching(
  deployment: Deployment,
  given: Conclusion,
  dispute: Dispute,
  options: CallOptions,
): Promise<Conclusion> {
  const { channelID } = given.state
  const find = async (candidate: State | undefined, id: ChannelID, hash: Hex): Promise<State> => {
    if (candidate !== undefined && toHex(stateHash(candidate)) === hash) return candidate
    const shown = await registeredState(deployment, id, hash, options)
    if (shown !== undefined) return shown
    throw new PerkunasError(
      'TRANSACTION_FAILED',
      `another state is registered than the one to conclude with, and the chain does not show it (channel ${id})`,
      { kind: 'conclude', reason: 'unknown registered state' },
    )
  }
  const state = await find(given.state, channelID, dispute.stateHash)
  const subChannels: State[] = []
  const descend = async ({ allocation }: State): Promise<void> => {
    for (const locked of allocation.locked) {
      const { stateHash: hash } = await readDispute(deployment, locked.channelID, options)
      const candidate = given.subChannels.find((child) => child.channelID === locked.channelID)
      const child = await find(candidate, locked.channelID, hash)
      subChannels.push(child)
      await descend(child)
    }
  }
  await descend(state)
  return { state, subChannels }
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

/** Our agreement to be paid; none is needed where we send the transaction ourselves. */
async function signPayout(
  { chain, sender, wallet, adjudicator, receiver }: Deployment,
  params: Params,
  channelID: ChannelID,
  index: Index,
): Promise<Hex> {
  const participant = addressOf(params, index)
  if (sender.address === participant) return '0x'
  const account = await wallet.account(participant)
  return account.sign(payoutHash({ chainID: chain.id, adjudicator }, channelID, receiver))
}

/** Takes out of each holder all that it has for us in a concluded channel. */
export async function withdrawAssets(
  deployment: Deployment,
  request: Conclusion & Pick<WithdrawRequest, 'params' | 'index'>,
  options: CallOptions,
): Promise<void> {
  const outcomes = await Promise.allSettled(
    ourHolders(deployment, request.state).map(({ asset, holder }) =>
      withdrawAsset(deployment, request, asset, holder, options),
    ),
  )
  const failures: unknown[] = outcomes.flatMap((outcome) =>
    outcome.status === 'rejected' ? [outcome.reason] : [],
  )
  if (failures.length > 0) throw failures[0]
}

/** Takes out all that one holder has for us. */
async function withdrawAsset(
  deployment: Deployment,
  request: Conclusion & Pick<WithdrawRequest, 'params' | 'index'>,
  asset: number,
  holder: Holder,
  options: CallOptions,
): Promise<void> {
  const { chain, sender, generation } = deployment
  const { params, index, state } = request
  const { channelID } = state
  const participant = addressOf(params, index)
  const held = () => holdings(chain, holder, channelID, participant, options)
  if ((await held()) === 0n) return
  const send = async (data: Hex, spareGas: bigint) => {
    try {
      await sender.send({ kind: 'withdraw', to: holder.address, data, spareGas }, options)
    } catch (error) {
      // Another transaction, ours of an earlier life or anybody's, may have done it.
      if (!isError(error, 'TRANSACTION_FAILED') || (await held()) !== 0n) throw error
    }
  }
  if (generation === 'perkunas') {
    if (!(await isSettled(deployment, holder, channelID, participant, chain, options))) {
      await settle(deployment, request, asset, holder, options)
    }
    const signature = await signPayout(deployment, params, channelID, index)
    const values = [channelID, [participant], [deployment.receiver], [signature]]
    await send(callData(HOLDER, 'withdrawAll', values), PAYMENT_GAS)
    if ((await held()) === 0n) return
    // The payment failed, which the holder survives; the older call says why.
  }
  await send(await oldWithdrawal(deployment, request, await held()), 0n)
}

/** Has the outcome of an asset set that could not be set when the channel was concluded. */
async function settle(
  deployment: Deployment,
  { params, state, subChannels, index }: Conclusion & Pick<WithdrawRequest, 'params' | 'index'>,
  asset: number,
  holder: Holder,
  options: CallOptions,
): Promise<void> {
  const { chain, sender, adjudicator } = deployment
  const values = [paramsArgument(params), stateArgument(state), subChannels.map(stateArgument), asset]
  try {
    await sender.send(
      { kind: 'settle', to: adjudicator, data: callData(ADJUDICATOR, 'settle', values) },
      options,
    )
  } catch (error) {
    const participant = addressOf(params, index)
    if (!isError(error, 'TRANSACTION_FAILED')) throw error
    if (!(await isSettled(deployment, holder, state.channelID, participant, chain, options))) throw error
  }
}

/** A withdrawal of generation 1, of everything: a part could be taken again by anybody who saw it. */
async function oldWithdrawal(
  { wallet, receiver }: Deployment,
  { params, index, state }: Conclusion & Pick<WithdrawRequest, 'params' | 'index'>,
  amount: bigint,
): Promise<Hex> {
  const participant = withdrawer(params.participants[index] ?? {})
  const auth = { channelID: state.channelID, participant, receiver, amount }
  const account = await wallet.account(addressOf(params, index))
  const signature = await account.sign(withdrawalHash(auth))
  const { ethAddress, ccAddress } = participant
  const value = [auth.channelID, [ethAddress, ccAddress], receiver, amount]
  return callData(HOLDER, 'withdraw', [value, signature])
}
