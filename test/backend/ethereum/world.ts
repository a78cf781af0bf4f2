// A real node with the contracts on it, and parties who use them.
import { readFileSync } from 'node:fs'
import { Interface } from 'ethers'
import { Adjudicator, AssetHolderERC20, AssetHolderETH } from '../../../backend/ethereum/artifacts/index.js'
import { TestToken } from '../../../backend/ethereum/artifacts/testing/index.js'
import {
  type Artifact,
  accountSigner,
  connect,
  type DeployedContracts,
  deployContract,
  deployContracts,
  EthereumBackend,
  type EthereumOptions,
  ether,
  parseAsset,
  type TransactionSender,
  type TransactionSigner,
} from '../../../backend/ethereum/index.js'
import {
  type Address,
  type AppID,
  type Asset,
  fromHex,
  type Hex,
  isHex,
  type Params,
  type State,
  toHex,
} from '../../../channel/index.js'
import { type Anvil, type AnvilOptions, startAnvil } from '../../../scripts/anvil.js'
import { type KeyAccount, keccak256, MemoryWallet } from '../../../wallet/index.js'

/** Short, so that tests don't wait; how often says nothing about what is right. */
const POLLING = 15
/** What each party has of the token, and of ether beside what its transactions cost. */
export const TOKENS = 1_000_000n

const token = new Interface(TestToken.abi)

/** A node and the contracts on it. */
export interface Chain extends AsyncDisposable {
  readonly anvil: Anvil
  readonly contracts: DeployedContracts
  readonly token: Address
  readonly tokenHolder: Address
  /** Takes every step but one to data that begin with ff. */
  readonly app: AppID
  /** Sends transactions of somebody rich who takes part in nothing. */
  readonly deployer: TransactionSender
}

/** Creation codes of somebody else's contracts, without constructor arguments. */
export interface CreationCodes {
  readonly adjudicator: Hex
  readonly ethHolder: Hex
  readonly tokenHolder: Hex
}

/**
 * The contracts that `PERKUNAS_TEST_CONTRACTS` names: a JSON file of {@link CreationCodes}, taken from Perun's Go
 * bindings for example. See docs/real-network.md.
 */
export function foreignContracts(): CreationCodes | undefined {
  const { PERKUNAS_TEST_CONTRACTS: path } = process.env
  if (path === undefined) return undefined
  const codes: unknown = JSON.parse(readFileSync(path, 'utf8'))
  const code = (name: string): Hex => {
    const value: unknown = Object.entries(Object(codes)).find(([key]) => key === name)?.[1]
    if (typeof value !== 'string' || !isHex(value))
      throw new Error(`${path}: ${name} in lower-case hex expected`)
    return value
  }
  return { adjudicator: code('adjudicator'), ethHolder: code('ethHolder'), tokenHolder: code('tokenHolder') }
}

/** Starts a node and deploys everything: our contracts, or those of other creation codes. */
export async function startChain(options: AnvilOptions = {}, codes?: CreationCodes): Promise<Chain> {
  const anvil = await startAnvil(options)
  const deployer = await stranger(anvil)
  const { address: tokenAddress } = await deployContract(deployer, TestToken, [[], 0n])
  const contracts =
    codes === undefined
      ? await deployContracts(deployer, { tokens: [tokenAddress] })
      : await deployForeign(deployer, tokenAddress, codes)
  const { address: app } = await deployContract(deployer, { name: 'app', abi: [], bytecode: APP })
  const [holder] = contracts.tokenHolders
  if (holder === undefined) throw new Error('a holder for the token expected')
  return {
    anvil,
    contracts,
    token: tokenAddress,
    tokenHolder: holder.holder,
    app,
    deployer,
    async [Symbol.asyncDispose]() {
      deployer.chain.close()
      await anvil.stop()
    },
  }
}

async function deployForeign(
  deployer: TransactionSender,
  tokenAddress: Address,
  codes: CreationCodes,
): Promise<DeployedContracts> {
  const deploy = (artifact: Artifact, bytecode: Hex, ...values: readonly Address[]) =>
    deployContract(deployer, { ...artifact, bytecode }, values)
  const { address: adjudicator, block: firstBlock } = await deploy(Adjudicator, codes.adjudicator)
  const { address: ethHolder } = await deploy(AssetHolderETH, codes.ethHolder, adjudicator)
  const { address: holder } = await deploy(AssetHolderERC20, codes.tokenHolder, adjudicator, tokenAddress)
  return { adjudicator, ethHolder, tokenHolders: [{ token: tokenAddress, holder }], firstBlock }
}

/**
 * An app in assembly. It reverts when the new state's data begin with ff, and takes everything else: who may act,
 * and how often, is not its business.
 */
const APP: Hex = assemble()

function assemble(): Hex {
  // PUSH1 44 CALLDATALOAD PUSH1 04 ADD (to) DUP1 PUSH1 60 ADD CALLDATALOAD ADD (appData) PUSH1 20 ADD CALLDATALOAD
  // PUSH1 00 BYTE PUSH1 ff EQ ISZERO PUSH1 dest JUMPI PUSH1 00 DUP1 REVERT JUMPDEST STOP
  const load = '604435600401806060013501602001356000' + '1a'
  const check = '60ff1415'
  const dest = (load.length + check.length) / 2 + 2 + 1 + 4
  const runtime = `${load}${check}60${byte(dest)}57600080fd5b00`
  // PUSH1 length DUP1 PUSH1 offset PUSH1 00 CODECOPY PUSH1 00 RETURN
  return `0x60${byte(runtime.length / 2)}80600b6000396000f3${runtime}`
}

function byte(value: number): string {
  return value.toString(16).padStart(2, '0')
}

/** A sender with a fresh account full of ether. */
export async function stranger(anvil: Anvil): Promise<TransactionSender> {
  const account = await new MemoryWallet().newAccount()
  await anvil.rpc('anvil_setBalance', [account.address, `0x${ether('1000000').toString(16)}`])
  return connect({ provider: anvil.url, signer: account, pollingInterval: POLLING })
}

/** A participant with a fresh account, ether and tokens. */
export class Party {
  readonly backends: EthereumBackend[] = []
  /** Its transactions, for what they cost. */
  readonly #sent = new Set<Hex>()

  private constructor(
    readonly chain: Chain,
    readonly account: KeyAccount,
    readonly wallet: MemoryWallet,
  ) {}

  static async create(chain: Chain): Promise<Party> {
    const wallet = new MemoryWallet()
    const account = await wallet.newAccount()
    const party = new Party(chain, account, wallet)
    await chain.anvil.rpc('anvil_setBalance', [account.address, `0x${ether('1000').toString(16)}`])
    await chain.anvil.rpc('anvil_dealERC20', [account.address, chain.token, `0x${TOKENS.toString(16)}`])
    return party
  }

  get address(): Address {
    return this.account.address
  }

  /** A backend of this party; closed by `close`. */
  async connect(options: Partial<EthereumOptions> = {}): Promise<EthereumBackend> {
    const { anvil, contracts, tokenHolder } = this.chain
    const backend = await EthereumBackend.connect({
      provider: anvil.url,
      signer: this.#recording(),
      wallet: this.wallet,
      adjudicator: contracts.adjudicator,
      holders: [contracts.ethHolder, tokenHolder],
      pollingInterval: POLLING,
      firstBlock: contracts.firstBlock,
      ...options,
    })
    this.backends.push(backend)
    return backend
  }

  sign(message: Uint8Array): Hex {
    return this.account.sign(message)
  }

  /** What it owns on the chain, as if its transactions had cost nothing. */
  async balanceOf(asset: Asset): Promise<bigint> {
    const { anvil, contracts, token: tokenAddress } = this.chain
    if (parseAsset(asset)?.holder === contracts.ethHolder) {
      const balance = BigInt(String(await anvil.rpc('eth_getBalance', [this.address, 'latest'])))
      return balance + (await this.costs())
    }
    const data = token.encodeFunctionData('balanceOf', [this.address])
    return BigInt(String(await anvil.rpc('eth_call', [{ to: tokenAddress, data }, 'latest'])))
  }

  /** What its transactions have cost, in wei. */
  async costs(): Promise<bigint> {
    const costs = [...this.#sent].map(async (hash) => {
      const receipt = await this.chain.anvil.rpc('eth_getTransactionReceipt', [hash])
      if (typeof receipt !== 'object' || receipt === null) return 0n
      const { gasUsed, effectiveGasPrice } = { gasUsed: '0x0', effectiveGasPrice: '0x0', ...receipt }
      return BigInt(gasUsed) * BigInt(effectiveGasPrice)
    })
    return (await Promise.all(costs)).reduce((sum, cost) => sum + cost, 0n)
  }

  async close(): Promise<void> {
    for (const backend of this.backends) await backend.close()
  }

  /** Signs as the account, and takes down what it signs. */
  #recording(): TransactionSigner {
    const signer = accountSigner(this.account)
    return {
      address: signer.address,
      sign: async (transaction) => {
        const raw = await signer.sign(transaction)
        this.#sent.add(toHex(keccak256(fromHex(raw))))
        return raw
      },
    }
  }
}

/** Time passes on the chain. */
export async function pass(anvil: Anvil, seconds: bigint): Promise<void> {
  await anvil.rpc('evm_increaseTime', [Number(seconds)])
  await anvil.rpc('evm_mine')
}

/** Waits until each of these backends has looked at the newest block. */
export async function looked(backends: readonly EthereumBackend[]): Promise<void> {
  const chains = backends.map(({ sender }) => sender.chain).filter(({ closed }) => !closed.aborted)
  await Promise.all(chains.map((chain) => chain.tick().catch(() => undefined)))
}

/** Waits until none of these backends has anything to do but to look at the chain. */
export async function idle(backends: readonly EthereumBackend[]): Promise<void> {
  for (let looks = 0; looks < 3; ) {
    await looked(backends)
    // Whoever waits for a block asks about it first.
    while (backends.some(({ sender: { chain } }) => chain.isAsked && !chain.closed.aborted)) {
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    looks = backends.every(({ sender }) => sender.isIdle || sender.chain.closed.aborted) ? looks + 1 : 0
  }
}

/** The signature of each party over a state. */
export function signedBy(
  parties: readonly Party[],
  backend: EthereumBackend,
  params: Params,
  state: State,
): Hex[] {
  return parties.map((party) => party.sign(backend.rules.message(params, state)))
}
