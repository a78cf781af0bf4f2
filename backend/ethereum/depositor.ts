// Paying into asset holders: one depositor per kind of asset.
import type { Address, CallOptions, ChannelID, Hex } from '../../channel/index.js'
import { isError } from '../../channel/index.js'
import { HOLDER, TOKEN } from './abi.js'
import { callData, type Deployment, type Holder, read } from './contracts.js'
import { fundingID } from './encoding.js'

/** A deposit to make. */
export interface Deposit {
  readonly holder: Holder
  readonly channelID: ChannelID
  readonly participant: Address
  readonly amount: bigint
  /** What is held for the participant already: if it is more by then, somebody has deposited beside us. */
  readonly held: bigint
  /** What must be held for others by then, or the deposit is not made. */
  readonly others: readonly { readonly participant: Address; readonly atLeast: bigint }[]
}

/**
 * Makes deposits and waits until they are final.
 *
 * @throws PerkunasError TRANSACTION_FAILED and whatever else sending a transaction may throw
 */
export type Depositor = (deposit: Deposit, options?: CallOptions) => Promise<void>

/** Makes deposits in ETH and in tokens (EIP-20). */
export function newDepositor(deployment: Deployment): Depositor {
  const depositToken = tokenDepositor(deployment)
  return async (deposit, options) => {
    const { token } = deposit.holder
    if (token === undefined) await send(deployment, deposit, deposit.amount, options)
    else await depositToken(token, deposit, options)
  }
}

/** Approvals and the deposits that use them up are made one after the other for each holder. */
function tokenDepositor(deployment: Deployment) {
  const turns = new Map<Address, Promise<unknown>>()
  return async (token: Address, deposit: Deposit, options?: CallOptions): Promise<void> => {
    const { address } = deposit.holder
    const before = turns.get(address) ?? Promise.resolve()
    const turn = before.then(async () => {
      await approve(deployment, token, deposit, options)
      await send(deployment, deposit, 0n, options)
    })
    turns.set(
      address,
      turn.catch(() => undefined),
    )
    await turn
  }
}

/** Lets the holder take the amount, where it may not yet. Exactly the amount, so that nothing is left to be taken. */
async function approve(
  deployment: Deployment,
  token: Address,
  { holder, amount }: Deposit,
  options?: CallOptions,
): Promise<void> {
  const { chain, sender } = deployment
  const values = [sender.address, holder.address]
  const [allowed] = await read(chain, { at: token, abi: TOKEN, method: 'allowance', values }, options)
  if (allowed >= amount) return
  const approval = (value: bigint) =>
    sender.send(
      { kind: 'approve', to: token, data: callData(TOKEN, 'approve', [holder.address, value]) },
      options,
    )
  try {
    await approval(amount)
  } catch (error) {
    // Some tokens change an allowance only from or to zero.
    if (!isError(error, 'TRANSACTION_FAILED') || allowed === 0n) throw error
    await approval(0n)
    await approval(amount)
  }
}

async function send(
  { sender, generation }: Deployment,
  deposit: Deposit,
  value: bigint,
  options?: CallOptions,
): Promise<void> {
  const { holder, channelID, participant, amount, held, others } = deposit
  const data: Hex =
    generation === 'perkunas'
      ? callData(HOLDER, 'depositExpecting', [
          channelID,
          participant,
          amount,
          held,
          others.map((other) => [other.participant, other.atLeast]),
        ])
      : callData(HOLDER, 'deposit', [fundingID(channelID, participant), amount])
  await sender.send({ kind: 'deposit', to: holder.address, data, value }, options)
}
