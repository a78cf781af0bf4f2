// Opening a chain: from what a user has (a node's address, a provider, keys) to what the backend works with.
import { AbstractSigner, type JsonRpcApiProvider, parseEther } from 'ethers'
import { demandNames, type NamesOf } from '../../channel/arguments.js'
import { type CallOptions, PerkunasError } from '../../channel/index.js'
import { CALL_NAMES, CHAIN_NAMES, Chain, type ChainOptions } from './chain.js'
import { integer } from './json.js'
import { RpcError, rpcOf, rpcOfProvider, unreachable } from './rpc.js'
import { accountSigner, type DigestSigner, ethersSigner, type TransactionSigner } from './signer.js'
import { SENDER_NAMES, type SenderOptions, TransactionSender } from './transactions.js'

/** How to reach a chain, and who pays there. */
export interface ConnectOptions extends Partial<ChainOptions> {
  /** A node's address (`http:`, `https:`, `ws:`, `wss:`), or a provider of ethers, which the caller closes. */
  readonly provider: string | JsonRpcApiProvider
  /** Signs and pays transactions: an account of the wallet that can sign digests, a signer of ethers, or one's own. */
  readonly signer: TransactionSigner | DigestSigner | AbstractSigner
  /** For one request, in milliseconds. */
  readonly requestTimeout?: number
  readonly transactions?: Partial<SenderOptions>
}

/** The names of {@link ConnectOptions}. */
export const CONNECT_NAMES: NamesOf<ConnectOptions> = {
  provider: true,
  signer: true,
  requestTimeout: true,
  transactions: true,
  ...CHAIN_NAMES,
}

const REQUEST_TIMEOUT = 30_000

/** On a public chain. The depth is that of go-ethereum's applications: one epoch's reorgs are rarely deeper. */
const PUBLIC: ChainOptions = { pollingInterval: 2_000, patience: 600_000, finalityDepth: 6 }
/** On a chain for development, where a block is made for each transaction and none otherwise. */
const DEVELOPMENT: ChainOptions = { pollingInterval: 50, patience: 600_000, finalityDepth: 1 }
/** Chain IDs of anvil and Hardhat, and of Ganache and geth's developer mode. */
const DEVELOPMENT_CHAINS = [31_337n, 1_337n]

/**
 * Connects and returns the sender of transactions, which holds the chain.
 *
 * @throws PerkunasError LEDGER_UNREACHABLE if the node can't be reached now, INVALID_ARGUMENT
 */
export async function connect(
  options: ConnectOptions,
  callOptions: CallOptions = {},
): Promise<TransactionSender> {
  demandNames(options, CONNECT_NAMES)
  demandNames(callOptions, CALL_NAMES, 'callOptions')
  return connectWith(options, callOptions)
}

/** As {@link connect}, with names that are checked already. */
export async function connectWith(
  options: ConnectOptions,
  callOptions: CallOptions,
): Promise<TransactionSender> {
  checkOptions(options)
  demandNames(options.transactions ?? {}, SENDER_NAMES, 'options.transactions')
  const { provider, requestTimeout = REQUEST_TIMEOUT } = options
  const rpc = typeof provider === 'string' ? rpcOf(provider, requestTimeout) : rpcOfProvider(provider)
  try {
    // Asked once: a node that is not there at the start is more likely a mistake than a restart.
    const answer = await rpc.request('eth_chainId', []).catch((error: unknown) => {
      throw error instanceof RpcError ? unreachable(rpc.name, error) : error
    })
    const id = integer(answer, 'eth_chainId')
    callOptions.signal?.throwIfAborted()
    const defaults = DEVELOPMENT_CHAINS.includes(id) ? DEVELOPMENT : PUBLIC
    const {
      pollingInterval = defaults.pollingInterval,
      patience = defaults.patience,
      finalityDepth = defaults.finalityDepth,
    } = options
    const chain = new Chain(rpc, id, { pollingInterval, patience, finalityDepth })
    return new TransactionSender(chain, await signerOf(options.signer), options.transactions)
  } catch (error) {
    rpc.close()
    throw error
  }
}

/** Wei in so many ether, given in decimal. @throws PerkunasError INVALID_ARGUMENT if it is anything else */
export function ether(amount: string): bigint {
  if (typeof amount === 'string' && /^\d+(\.\d{1,18})?$/.test(amount)) return parseEther(amount)
  const message = `an amount of ether as decimal text expected, such as '0.5', got ${JSON.stringify(amount)}`
  throw new PerkunasError('INVALID_ARGUMENT', message, { argument: 'amount' })
}

async function signerOf(signer: ConnectOptions['signer']): Promise<TransactionSigner> {
  if (signer instanceof AbstractSigner) return ethersSigner(signer)
  return 'signDigest' in signer ? accountSigner(signer) : signer
}

/** Types say this already; a variable of the environment that is not set does not. */
function checkOptions({ provider, signer }: ConnectOptions): void {
  const expect = (isThere: boolean, argument: string, what: string) => {
    if (!isThere) throw new PerkunasError('INVALID_ARGUMENT', `${argument}: ${what} expected`, { argument })
  }
  const isObject = (value: unknown) => typeof value === 'object' && value !== null
  expect(
    typeof provider === 'string' || isObject(provider),
    'provider',
    "a node's address or an ethers provider",
  )
  const canSign = isObject(signer) && (signer instanceof AbstractSigner || 'address' in signer)
  expect(canSign, 'signer', 'an account of a wallet (`await wallet.account(address)`) or an ethers signer')
}
