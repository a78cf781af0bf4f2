// What it takes to use the contracts without the client: building params and states, signing, encoding, sending
// to a local node, reading its logs. For the contracts' own tests and for measuring gas. Types and encodings are
// written down here a second time, from the description of the ABI, so that they check the contracts.
import {
  AbiCoder,
  concat,
  getAddress,
  getBytes,
  HDNodeWallet,
  hexlify,
  Interface,
  type InterfaceAbi,
  id,
  keccak256,
  type Log,
  type LogDescription,
  Mnemonic,
  SigningKey,
  toBeHex,
  ZeroAddress,
} from 'ethers'
import { Adjudicator, AssetHolderERC20, AssetHolderETH } from '../backend/ethereum/artifacts/index.js'
import { ANVIL_MNEMONIC, type Anvil } from './anvil.js'

// ---------------------------------------------------------------------------------------------- types

/** See Types.sol. */
export interface ParticipantData {
  readonly ethAddress: string
  readonly ccAddress: string
}
/** See Types.sol. */
export interface ParamsData {
  readonly challengeDuration: bigint
  readonly nonce: bigint
  readonly participants: readonly ParticipantData[]
  readonly app: string
  readonly ledgerChannel: boolean
  readonly virtualChannel: boolean
}
/** See Types.sol. */
export interface AssetData {
  readonly chainID: bigint
  readonly ethHolder: string
  readonly ccHolder: string
}
/** See Types.sol. */
export interface SubAllocData {
  readonly ID: string
  readonly balances: readonly bigint[]
  readonly indexMap: readonly number[]
}
/** See Types.sol. */
export interface StateData {
  readonly channelID: string
  readonly version: bigint
  readonly outcome: {
    readonly assets: readonly AssetData[]
    readonly backends: readonly bigint[]
    readonly balances: readonly (readonly bigint[])[]
    readonly locked: readonly SubAllocData[]
  }
  readonly appData: string
  readonly isFinal: boolean
}
/** See Types.sol. */
export interface SignedStateData {
  readonly params: ParamsData
  readonly state: StateData
  readonly sigs: readonly string[]
}
/** Permission of generation 1 to withdraw. See IAssetHolder.sol. */
export interface WithdrawalAuthData {
  readonly channelID: string
  readonly participant: ParticipantData
  readonly receiver: string
  readonly amount: bigint
}
/** Permission to withdraw once. See IAssetHolder.sol. */
export interface WithdrawalData {
  readonly channelID: string
  readonly participant: string
  readonly receiver: string
  readonly amount: bigint
  readonly nonce: bigint
  readonly deadline: bigint
}

/** Params as a tuple for an ABI coder. */
export const PARAMS_TUPLE =
  '(uint256 challengeDuration,uint256 nonce,(address ethAddress,bytes ccAddress)[] participants,address app,bool ledgerChannel,bool virtualChannel)'
/** State as a tuple for an ABI coder. */
export const STATE_TUPLE =
  '(bytes32 channelID,uint64 version,((uint256 chainID,address ethHolder,bytes ccHolder)[] assets,uint256[] backends,uint256[][] balances,(bytes32 ID,uint256[] balances,uint16[] indexMap)[] locked) outcome,bytes appData,bool isFinal)'
/** WithdrawalAuth as a tuple for an ABI coder. */
export const WITHDRAWAL_AUTH_TUPLE =
  '(bytes32 channelID,(address ethAddress,bytes ccAddress) participant,address receiver,uint256 amount)'
const WITHDRAWAL_TUPLE =
  '(bytes32 channelID,address participant,address receiver,uint256 amount,uint256 nonce,uint256 deadline)'

const coder = AbiCoder.defaultAbiCoder()
/** 32 zero bytes: the foreign address of who has none. */
export const NO_FOREIGN = `0x${'00'.repeat(32)}`

// ---------------------------------------------------------------------------------------------- hashes

/** keccak256(abi.encode(types, values)). */
export function hashOf(types: readonly string[], values: readonly unknown[]): string {
  return keccak256(coder.encode(types, values))
}
/** A channel's ID. */
export const channelIDOf = (params: ParamsData) => hashOf([PARAMS_TUPLE], [params])
/** A state's hash. */
export const stateHashOf = (state: StateData) => hashOf([STATE_TUPLE], [state])
/** Where a participant's money lies. */
export const fundingIDOf = (channelID: string, participant: string) =>
  hashOf(['bytes32', 'address'], [channelID, participant])
/** What is signed to close a channel. */
export const closeHashOf = (chainID: bigint, adjudicator: string, stateHash: string, receiver: string) =>
  hashOf(
    ['bytes32', 'uint256', 'address', 'bytes32', 'address'],
    [id('Perkunas close 1'), chainID, adjudicator, stateHash, receiver],
  )
/** What is signed to be paid all that one has in a channel. */
export const payoutHashOf = (chainID: bigint, adjudicator: string, channelID: string, receiver: string) =>
  hashOf(
    ['bytes32', 'uint256', 'address', 'bytes32', 'address'],
    [id('Perkunas payout 1'), chainID, adjudicator, channelID, receiver],
  )
/** What is signed for generation 1's withdrawal. */
export const withdrawalAuthHashOf = (authorization: WithdrawalAuthData) =>
  hashOf([WITHDRAWAL_AUTH_TUPLE], [authorization])
/** What is signed to withdraw once. */
export const withdrawalHashOf = (chainID: bigint, holder: string, withdrawal: WithdrawalData) =>
  hashOf(
    ['bytes32', 'uint256', 'address', WITHDRAWAL_TUPLE],
    [id('Perkunas withdrawal 1'), chainID, holder, withdrawal],
  )

/** The digest of an EIP-191 personal message of 32 bytes. */
export const personalDigest = (hash: string) =>
  keccak256(concat([hexlify(Buffer.from('\x19Ethereum Signed Message:\n32')), hash]))

// ---------------------------------------------------------------------------------------------- keys

/** A key that signs for a participant. */
export interface Party {
  readonly address: string
  readonly key: SigningKey
}
/** The party of a private key. */
export function party(privateKey: string): Party {
  const key = new SigningKey(privateKey)
  return { address: getAddress(`0x${keccak256(`0x${key.publicKey.slice(4)}`).slice(-40)}`), key }
}
/** Keys without money, always the same for the same name. */
export const partyOf = (name: string) => party(id(name))
/** The keys of anvil's funded accounts. */
export function anvilParties(count: number): Party[] {
  const root = HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(ANVIL_MNEMONIC), "m/44'/60'/0'/0")
  return Array.from({ length: count }, (_, i) => party(root.deriveChild(i).privateKey))
}
/** A 65-byte signature of the personal message. */
export const sign = (by: Party, hash: string) => by.key.sign(personalDigest(hash)).serialized
/** The signature as EIP-2098 has it, 64 bytes. */
export const signCompact = (by: Party, hash: string) => by.key.sign(personalDigest(hash)).compactSerialized

// ---------------------------------------------------------------------------------------------- building

/** Params of a ledger channel unless told otherwise. */
export function paramsOf(
  parties: readonly { readonly address: string }[],
  overrides: Partial<ParamsData> = {},
): ParamsData {
  return {
    challengeDuration: 60n,
    nonce: BigInt(id(`nonce of ${parties.map((p) => p.address).join()}`)),
    participants: parties.map((p) => ({ ethAddress: p.address, ccAddress: NO_FOREIGN })),
    app: ZeroAddress,
    ledgerChannel: true,
    virtualChannel: false,
    ...overrides,
  }
}

/** What a state is built from. */
export interface StateOptions {
  readonly version?: bigint
  readonly assets: readonly AssetData[]
  readonly balances: readonly (readonly bigint[])[]
  readonly locked?: readonly SubAllocData[]
  readonly appData?: string
  readonly isFinal?: boolean
}
/** A state of the channel with these params. */
export function stateOf(params: ParamsData, options: StateOptions): StateData {
  return {
    channelID: channelIDOf(params),
    version: options.version ?? 1n,
    outcome: {
      assets: options.assets,
      backends: options.assets.map(() => 1n),
      balances: options.balances,
      locked: options.locked ?? [],
    },
    appData: options.appData ?? '0x',
    isFinal: options.isFinal ?? false,
  }
}
/** An asset of an Ethereum chain. */
export const assetOf = (chainID: bigint, holder: string): AssetData => ({
  chainID,
  ethHolder: holder,
  ccHolder: NO_FOREIGN,
})
/** Everybody's signature on a state. */
export function signState(params: ParamsData, state: StateData, parties: readonly Party[]): SignedStateData {
  const hash = stateHashOf(state)
  return { params, state, sigs: parties.map((p) => sign(p, hash)) }
}

// ---------------------------------------------------------------------------------------------- chain

/** A call that the contract refused, with its reason. */
export class Reverted extends Error {}

/** What a transaction did. */
export interface Receipt {
  readonly hash: string
  readonly gasUsed: number
  readonly timestamp: bigint
  readonly logs: readonly Log[]
  readonly contractAddress: string | null
}

/** How a transaction or call is sent. */
export interface CallOptions {
  readonly from?: string
  readonly value?: bigint
  readonly gas?: bigint
}

/** What is needed of a compiled contract. */
export interface Artifact {
  readonly abi: InterfaceAbi
  readonly bytecode: string
}

const interfaces = new WeakMap<object, Interface>()
function interfaceOf(abi: InterfaceAbi): Interface {
  const key = typeof abi === 'string' ? Object(abi) : abi
  const known = interfaces.get(key)
  if (known !== undefined) return known
  const made = new Interface(abi)
  interfaces.set(key, made)
  return made
}

interface RawReceipt {
  readonly transactionHash: string
  readonly status: string
  readonly gasUsed: string
  readonly blockNumber: string
  readonly contractAddress: string | null
  readonly logs: readonly (Log & { readonly blockTimestamp?: string })[]
}

/** A local node that makes a block of each transaction, and whose accounts it signs for itself. */
export class Chain {
  constructor(
    readonly anvil: Anvil,
    /** Sends when no other sender is named. */
    readonly sender: string,
  ) {}

  get chainID(): bigint {
    return BigInt(this.anvil.chainID)
  }

  /** Sends a transaction. @throws Reverted with the reason */
  async send(to: string | null, data: string, options: CallOptions = {}): Promise<Receipt> {
    const receipt = await this.attempt(to, data, options)
    if (receipt !== undefined) return receipt
    const latest = BigInt(String(await this.anvil.rpc('eth_blockNumber')))
    await this.call(to, data, options, toBeHex(latest - 1n))
    throw new Reverted('reverted in its block, but not when repeated')
  }

  /** Sends a transaction. Returns nothing if it reverted. */
  async attempt(to: string | null, data: string, options: CallOptions = {}): Promise<Receipt | undefined> {
    const transaction = this.transaction(to, data, options)
    const receipt = (await this.anvil.rpc('eth_sendTransactionSync', [transaction])) as RawReceipt
    if (receipt.status !== '0x1') return undefined
    return {
      hash: receipt.transactionHash,
      gasUsed: Number(receipt.gasUsed),
      timestamp:
        receipt.logs[0]?.blockTimestamp === undefined
          ? await this.now()
          : BigInt(receipt.logs[0].blockTimestamp),
      logs: receipt.logs,
      contractAddress: receipt.contractAddress,
    }
  }

  /** Calls without changing anything; returns the bytes. @throws Reverted with the reason */
  async call(to: string | null, data: string, options: CallOptions = {}, block = 'latest'): Promise<string> {
    try {
      return String(await this.anvil.rpc('eth_call', [this.transaction(to, data, options), block]))
    } catch (error) {
      throw new Reverted(error instanceof Error ? error.message : String(error))
    }
  }

  async deploy(artifact: Artifact, ...args: readonly unknown[]): Promise<Deployed> {
    const abi = interfaceOf(artifact.abi)
    const receipt = await this.send(null, concat([artifact.bytecode, abi.encodeDeploy(args)]))
    if (receipt.contractAddress === null) throw new Error('no contract was made')
    return new Deployed(this, getAddress(receipt.contractAddress), abi)
  }

  /** The contract of this ABI at an address. */
  at(artifact: { readonly abi: InterfaceAbi }, address: string): Deployed {
    return new Deployed(this, address, interfaceOf(artifact.abi))
  }

  async balance(address: string): Promise<bigint> {
    return BigInt(String(await this.anvil.rpc('eth_getBalance', [address, 'latest'])))
  }

  async now(): Promise<bigint> {
    const block = (await this.anvil.rpc('eth_getBlockByNumber', ['latest', false])) as { timestamp: string }
    return BigInt(block.timestamp)
  }

  /** The next block is at this time. */
  async nextBlockAt(timestamp: bigint): Promise<void> {
    await this.anvil.rpc('evm_setNextBlockTimestamp', [toBeHex(timestamp)])
  }

  /** Makes a block so many seconds after the latest one. */
  async pass(seconds: bigint): Promise<void> {
    await this.nextBlockAt((await this.now()) + seconds)
    await this.anvil.rpc('evm_mine')
  }

  private transaction(to: string | null, data: string, { from, value, gas }: CallOptions) {
    return {
      from: from ?? this.sender,
      ...(to === null ? {} : { to }),
      data,
      value: toBeHex(value ?? 0n),
      gas: toBeHex(gas ?? 15_000_000n),
    }
  }
}

/** A contract on a chain. */
export class Deployed {
  constructor(
    readonly chain: Chain,
    readonly address: string,
    readonly abi: Interface,
  ) {}

  encode(method: string, ...args: readonly unknown[]): string {
    return this.abi.encodeFunctionData(method, args)
  }

  /** Sends a transaction that calls a function. @throws Reverted */
  send(method: string, args: readonly unknown[], options: CallOptions = {}): Promise<Receipt> {
    return this.chain.send(this.address, this.encode(method, ...args), options)
  }

  /** Calls a function; returns all that it returns. @throws Reverted */
  async read(method: string, ...args: readonly unknown[]): Promise<readonly unknown[]> {
    const answer = await this.chain.call(this.address, this.encode(method, ...args))
    return this.abi.decodeFunctionResult(method, answer).toArray()
  }

  async readBigint(method: string, ...args: readonly unknown[]): Promise<bigint> {
    const [value] = await this.read(method, ...args)
    if (typeof value !== 'bigint') throw new Error(`${method} returns no number`)
    return value
  }

  /** This contract's events of a transaction, in order. */
  events(receipt: Receipt, name?: string): LogDescription[] {
    return receipt.logs
      .filter((log) => getAddress(log.address) === this.address)
      .map((log) => this.abi.parseLog({ topics: [...log.topics], data: log.data }))
      .filter((event) => event !== null)
      .filter((event) => name === undefined || event.name === name)
  }
}

/** What is stored about a channel. */
export interface DisputeData {
  readonly timeout: bigint
  readonly challengeDuration: bigint
  readonly version: bigint
  readonly phase: number
  readonly stateHash: string
  readonly hasApp: boolean
}

/** Reads what is stored about a channel. */
export async function disputeOf(adjudicator: Deployed, channelID: string): Promise<DisputeData> {
  const types = ['uint64', 'uint64', 'uint64', 'uint8', 'bytes32', 'bool']
  const bytes = await adjudicator.chain.call(adjudicator.address, adjudicator.encode('disputes', channelID))
  const [timeout, challengeDuration, version, phase, stateHash, hasApp] = coder.decode(types, getBytes(bytes))
  return { timeout, challengeDuration, version, phase: Number(phase), stateHash, hasApp }
}

/** Deploys an adjudicator and its holder of ether. */
export async function deployEther(chain: Chain): Promise<{ adjudicator: Deployed; ether: Deployed }> {
  const adjudicator = await chain.deploy(Adjudicator)
  const ether = await chain.deploy(AssetHolderETH, adjudicator.address)
  return { adjudicator, ether }
}

/** Deploys a holder of a token. */
export function deployTokenHolder(chain: Chain, adjudicator: Deployed, token: Deployed): Promise<Deployed> {
  return chain.deploy(AssetHolderERC20, adjudicator.address, token.address)
}
