// Taking our money of a concluded channel out of the holders, each for itself: one that fails holds up no other.
import {
  type Address,
  type Amount,
  type CallOptions,
  type ChannelID,
  type Hex,
  type Index,
  isError,
  type Params,
  type WithdrawRequest,
} from '../../channel/index.js'
import { ADJUDICATOR, HOLDER } from './abi.js'
import { paramsArgument, stateArgument } from './calls.js'
import type { ReadOptions } from './chain.js'
import {
  addressOf,
  callData,
  type Deployment,
  type Holder,
  holdings,
  isSettled,
  ourHolders,
  PAYMENT_GAS,
  readDispute,
} from './contracts.js'
import { withdrawalHash, withdrawer } from './encoding.js'
import { becomesFinal } from './finality.js'
import { payoutHash } from './messages.js'
import { type Conclusion, concludedWith } from './registered.js'

type Request = Conclusion & Pick<WithdrawRequest, 'params' | 'index'>

/** Our agreement to be paid; none is needed where we send the transaction ourselves. */
export async function signPayout(
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

/** Takes out of each holder all that it has for us in a channel whose conclusion is final. */
export async function withdrawAssets(
  deployment: Deployment,
  request: Request,
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
  request: Request,
  asset: number,
  holder: Holder,
  options: CallOptions,
): Promise<void> {
  const { chain } = deployment
  const { params, index, state } = request
  const isOver = async (at: ReadOptions) => {
    if ((await holdings(chain, holder, state.channelID, addressOf(params, index), at)) !== 0n) return false
    return !(await isUnsettled(deployment, request, asset, holder, at))
  }
  do {
    // Another transaction, ours of an earlier life or anybody's, may have paid us in a block that is replaced.
    if (await becomesFinal(chain, isOver, options)) return
  } while (!(await takeOut(deployment, request, asset, holder, options)))
}

/** Takes out what one holder has for us now. False if it is gone already, by another's transaction. */
async function takeOut(
  deployment: Deployment,
  request: Request,
  asset: number,
  holder: Holder,
  options: CallOptions,
): Promise<boolean> {
  const { chain, sender, generation, receiver } = deployment
  const { params, index, state } = request
  const participant = addressOf(params, index)
  const held = () => holdings(chain, holder, state.channelID, participant, options)
  const send = async (data: Hex, spareGas: bigint) => {
    try {
      await sender.send({ kind: 'withdraw', to: holder.address, data, spareGas }, options)
      return true
    } catch (error) {
      if (!isError(error, 'TRANSACTION_FAILED') || (await held()) !== 0n) throw error
      return false
    }
  }
  if (generation === 'perkunas') {
    await settle(deployment, request, asset, holder, options)
    const signature = await signPayout(deployment, params, state.channelID, index)
    const values = [state.channelID, [participant], [receiver], [signature]]
    const isPaid = await send(callData(HOLDER, 'withdrawAll', values), PAYMENT_GAS)
    if ((await held()) === 0n) return isPaid
    // The payment failed, which the holder survives; the older call says why.
  }
  return send(await oldWithdrawal(deployment, request, await held()), 0n)
}

/**
 * Whether a holder owes us something that it does not know of, because it failed when the channel was concluded: whoever
 * concludes can see to that by giving too little gas.
 */
async function isUnsettled(
  deployment: Deployment,
  request: Request,
  asset: number,
  holder: Holder,
  at: ReadOptions,
): Promise<boolean> {
  if (deployment.generation !== 'perkunas') return false
  const { params, index, state } = request
  const dispute = await readDispute(deployment, state.channelID, at)
  // A cooperative close leaves a record only if a holder failed.
  if (dispute.phase !== 'concluded') return false
  if ((await settledParticipant(deployment, params, state.channelID, holder, at)) !== undefined) return false
  return shareOf(await concludedWith(deployment, request, dispute, at), asset, index) > 0n
}

/**
 * Sees to it that a holder lets us withdraw: sets the outcome that it did not obey when the channel was concluded. Where
 * it did, but knows that from another participant's entry alone (a close marks only one), it takes that note.
 */
async function settle(
  deployment: Deployment,
  request: Request,
  asset: number,
  holder: Holder,
  options: CallOptions,
): Promise<void> {
  const { chain, sender, adjudicator } = deployment
  const { params, index, state } = request
  const { channelID } = state
  const isDone = () => isSettled(deployment, holder, channelID, addressOf(params, index), chain, options)
  if (await isDone()) return
  try {
    const marked = await settledParticipant(deployment, params, channelID, holder, options)
    if (marked !== undefined) {
      const data = callData(HOLDER, 'confirmSettled', [channelID, marked])
      await sender.send({ kind: 'settle', to: holder.address, data }, options)
      return
    }
    const dispute = await readDispute(deployment, channelID, options)
    const concluded = await concludedWith(deployment, request, dispute, options)
    const subChannels = concluded.subChannels.map(stateArgument)
    const values = [paramsArgument(params), stateArgument(concluded.state), subChannels, asset]
    await sender.send(
      { kind: 'settle', to: adjudicator, data: callData(ADJUDICATOR, 'settle', values) },
      options,
    )
  } catch (error) {
    if (!isError(error, 'TRANSACTION_FAILED') || !(await isDone())) throw error
  }
}

/** Somebody for whom a holder knows that the channel is settled, which then is so for all. */
async function settledParticipant(
  deployment: Deployment,
  params: Params,
  channelID: ChannelID,
  holder: Holder,
  at: ReadOptions,
): Promise<Address | undefined> {
  for (let index = 0; index < params.participants.length; index++) {
    const participant = addressOf(params, index)
    if (await isSettled(deployment, holder, channelID, participant, deployment.chain, at)) return participant
  }
  return undefined
}

/** What a participant has of an asset in a state and the sub-channels that it locks funds in. */
function shareOf({ state, subChannels }: Conclusion, asset: number, index: Index): Amount {
  const { balances, locked } = state.allocation
  return locked.reduce((sum, { channelID, indexMap }) => {
    const child = subChannels.find((one) => one.channelID === channelID)
    const there = indexMap.length === 0 ? index : indexMap.indexOf(index)
    return child === undefined || there < 0 ? sum : sum + shareOf({ state: child, subChannels }, asset, there)
  }, balances[asset]?.[index] ?? 0n)
}

/** A withdrawal of generation 1, of everything: a part could be taken again by anybody who saw it. */
async function oldWithdrawal(
  { wallet, receiver }: Deployment,
  { params, index, state }: Request,
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
