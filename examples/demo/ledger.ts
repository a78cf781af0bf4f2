// Reads the chain as an outsider would: which transactions were sent, what they cost, who owns what.
import { Interface, JsonRpcProvider } from 'ethers'
import type { Hex } from 'perkunas'
import { Adjudicator, AssetHolderETH } from 'perkunas/backend/ethereum'

/** A transaction in a block. */
export interface Sent {
  readonly txid: string
  readonly from: string
  readonly name: string
  readonly gas: bigint
  readonly fee: bigint
}

/** The chain from outside. */
export class Onlooker {
  readonly #provider: JsonRpcProvider
  readonly #interfaces = [Adjudicator, AssetHolderETH].map(({ abi }) => new Interface(abi))
  #next = 0
  #sent: Sent[] = []

  constructor(url: string) {
    this.#provider = new JsonRpcProvider(url, undefined, { staticNetwork: true, cacheTimeout: -1 })
  }

  /** What accounts own, in wei. */
  balances(addresses: readonly string[]): Promise<bigint[]> {
    return Promise.all(addresses.map((address) => this.#provider.getBalance(address)))
  }

  /** Transactions since the last {@link turn}. */
  async sent(): Promise<readonly Sent[]> {
    const last = await this.#provider.getBlockNumber()
    for (; this.#next <= last; this.#next++) {
      const block = await this.#provider.getBlock(this.#next, true)
      for (const { hash, from, data } of block?.prefetchedTransactions ?? []) {
        const receipt = await this.#provider.getTransactionReceipt(hash)
        if (receipt === null) throw new Error(`no receipt of ${hash}`)
        const { gasUsed: gas, fee, status } = receipt
        const name = `${this.#nameOf(data)}${status === 1 ? '' : ' (failed)'}`
        this.#sent.push({ txid: hash, from: from.toLowerCase(), name, gas, fee })
      }
    }
    return this.#sent
  }

  /** Forgets what was sent until now. */
  async turn(): Promise<void> {
    await this.sent()
    this.#sent = []
  }

  /** Lets so many seconds pass. Only a node for development can do that. */
  async pass(seconds: bigint): Promise<void> {
    await this.#provider.send('evm_increaseTime', [Number(seconds)])
    await this.#provider.send('evm_mine', [])
  }

  close(): void {
    this.#provider.destroy()
  }

  #nameOf(data: string): string {
    for (const known of this.#interfaces) {
      const name = known.getFunction(data.slice(0, 10) as Hex)?.name
      if (name !== undefined) return name
    }
    return 'other'
  }
}
