// Putting contracts on a chain.
import { Interface, type InterfaceAbi } from 'ethers'
import { demandNames, type NamesOf } from '../../channel/arguments.js'
import { type Address, type CallOptions, type Hex, isHex, PerkunasError } from '../../channel/index.js'
import * as artifacts from './artifacts/index.js'
import { CALL_NAMES } from './chain.js'
import type { TransactionSender } from './transactions.js'

/** A compiled contract: creation code without constructor arguments, and the interface that has these. */
export interface Artifact {
  readonly name: string
  readonly abi: InterfaceAbi
  readonly bytecode: Hex
}

/** Where a deployment's contracts are. */
export interface DeployedContracts {
  readonly adjudicator: Address
  readonly ethHolder: Address
  /** By token, in the order of the tokens given. */
  readonly tokenHolders: readonly { readonly token: Address; readonly holder: Address }[]
  /** The block of the adjudicator: no event is older. */
  readonly firstBlock: number
}

const DEPLOY_NAMES: NamesOf<CallOptions & { readonly tokens?: unknown }> = { ...CALL_NAMES, tokens: true }

/**
 * Deploys an adjudicator, a holder of ETH, and one for each token.
 *
 * @throws PerkunasError INVALID_ARGUMENT if an option is unknown, TRANSACTION_FAILED and whatever else sending may throw
 */
export async function deployContracts(
  sender: TransactionSender,
  callOptions: CallOptions & { readonly tokens?: readonly Address[] } = {},
): Promise<DeployedContracts> {
  demandNames(callOptions, DEPLOY_NAMES)
  const { tokens = [], ...options } = callOptions
  const adjudicator = await deployContract(sender, artifacts.Adjudicator, [], options)
  const bound = [adjudicator.address]
  const ethHolder = await deployContract(sender, artifacts.AssetHolderETH, bound, options)
  const tokenHolders: { token: Address; holder: Address }[] = []
  for (const token of tokens) {
    const holder = await deployContract(sender, artifacts.AssetHolderERC20, [...bound, token], options)
    tokenHolders.push({ token, holder: holder.address })
  }
  return {
    adjudicator: adjudicator.address,
    ethHolder: ethHolder.address,
    tokenHolders,
    firstBlock: adjudicator.block,
  }
}

/**
 * Deploys one contract; returns where it is when that is final.
 *
 * @param values constructor arguments
 * @throws PerkunasError as {@link deployContracts}
 */
export async function deployContract(
  sender: TransactionSender,
  artifact: Artifact,
  values: readonly unknown[] = [],
  options: CallOptions = {},
): Promise<{ readonly address: Address; readonly block: number; readonly gasUsed: bigint }> {
  demandNames(options, CALL_NAMES)
  const encoded = new Interface(artifact.abi).encodeDeploy(values)
  const data = `0x${artifact.bytecode.slice(2)}${encoded.slice(2)}`
  if (!isHex(data)) {
    throw new PerkunasError('INVALID_ARGUMENT', `bytecode of ${artifact.name} in lower-case hex expected`, {
      argument: 'artifact',
    })
  }
  const receipt = await sender.send({ kind: `deploy ${artifact.name}`, data }, options)
  if (receipt.contractAddress === undefined) {
    throw new PerkunasError('INVALID_MESSAGE', 'the node gave no contract address for a deployment', {
      path: 'contractAddress',
      reason: 'an address expected',
    })
  }
  return { address: receipt.contractAddress, block: receipt.blockNumber, gasUsed: receipt.gasUsed }
}
