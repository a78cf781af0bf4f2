// The ledger under the channels: the contracts on a real node. Only opening needs it, which is not measured.
import type { Asset } from 'perkunas'
import { connect, deployContracts, EthereumBackend, ether } from 'perkunas/backend/ethereum'
import type { Address } from 'perkunas/channel'
import { type KeyAccount, MemoryWallet } from 'perkunas/wallet'
import { startAnvil } from '../scripts/anvil.js'

/** Where the contracts are; plain data. */
export interface Contracts {
  readonly url: string
  readonly adjudicator: Address
  readonly holder: Address
  readonly firstBlock: number
}

/** A node of the benchmark's own. */
export interface Ledger extends AsyncDisposable {
  readonly contracts: Contracts
  /** Makes somebody rich. */
  endow(address: Address): Promise<void>
}

/** Starts a node and deploys the contracts. */
export async function startLedger(): Promise<Ledger> {
  const anvil = await startAnvil()
  const endow = async (address: Address) => {
    await anvil.rpc('anvil_setBalance', [address, `0x${ether('1000000').toString(16)}`])
  }
  const signer = await new MemoryWallet().newAccount()
  await endow(signer.address)
  const sender = await connect({ provider: anvil.wsUrl, signer })
  const { adjudicator, ethHolder: holder, firstBlock } = await deployContracts(sender)
  sender.chain.close()
  return {
    contracts: { url: anvil.wsUrl, adjudicator, holder, firstBlock },
    endow,
    [Symbol.asyncDispose]: () => anvil.stop(),
  }
}

/** The ledger as one party uses it. */
export async function openLedger(
  contracts: Contracts,
  { wallet, signer }: { readonly wallet: MemoryWallet; readonly signer: KeyAccount },
): Promise<{ readonly backend: EthereumBackend; readonly asset: Asset }> {
  const { url, adjudicator, holder, firstBlock } = contracts
  const backend = await EthereumBackend.connect({
    provider: url,
    signer,
    wallet,
    adjudicator,
    holders: [holder],
    firstBlock,
    // Looking at the node costs time that is not the updates'. A public node is asked as seldom.
    pollingInterval: 200,
  })
  return { backend, asset: backend.asset(holder) }
}
