// A chain for tests with a peer: bitcoind with a wallet that has coins, and LDK nodes over it.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { toHex } from '../../../channel/index.js'
import { type Bitcoind, startBitcoind } from '../../../scripts/bitcoind.js'
import { Ldk, type NodeOptions } from '../../../scripts/ldk/ldk.js'

/** bitcoind with coins, and everything that was started over it. */
export class Regtest implements AsyncDisposable {
  readonly #address: string
  readonly #directories: string[] = []
  readonly #nodes: Ldk[] = []

  private constructor(
    readonly bitcoind: Bitcoind,
    address: string,
  ) {
    this.#address = address
  }

  static async start(): Promise<Regtest> {
    const bitcoind = await startBitcoind()
    await bitcoind.rpc('createwallet', ['tests'])
    const address = String(await bitcoind.rpc('getnewaddress', ['', 'bech32']))
    await bitcoind.rpc('generatetoaddress', [110, address])
    return new Regtest(bitcoind, address)
  }

  /** An LDK node over this chain, which ends with it. */
  async ldk(options: Partial<NodeOptions> = {}): Promise<Ldk> {
    const { url, credentials } = this.bitcoind
    const node = await Ldk.start({ rpc: { url, credentials }, seed: toHex(randomBytes(32)), ...options })
    this.#nodes.push(node)
    return node
  }

  /** An empty directory that goes with this chain. */
  directory(): string {
    const path = mkdtempSync(join(tmpdir(), 'perkunas-ldk-'))
    this.#directories.push(path)
    return path
  }

  /** Makes blocks of whatever waits; every LDK node that runs has read them afterwards. */
  async mine(count = 1): Promise<void> {
    await this.bitcoind.rpc('generatetoaddress', [count, this.#address])
    await this.sync()
  }

  /** Every LDK node that runs has read the chain, and what they had to publish is published. */
  async sync(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.isRunning && node.call('sync', null)))
  }

  /** Gives an LDK node confirmed coins, with which it can pay for a commitment with anchors. */
  async give(node: Ldk, bitcoins: number): Promise<void> {
    const address = await node.call('address', null)
    await this.bitcoind.rpc('sendtoaddress', [
      address,
      bitcoins,
      '',
      '',
      false,
      false,
      null,
      'unset',
      false,
      5,
    ])
    await this.mine()
  }

  /** IDs of the transactions that wait to be mined. */
  async mempool(): Promise<readonly string[]> {
    const ids = await this.bitcoind.rpc('getrawmempool')
    if (!Array.isArray(ids)) throw new Error('getrawmempool: a list expected')
    return ids.map(String)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.stop()))
    await this.bitcoind.stop()
    for (const path of this.#directories) rmSync(path, { recursive: true, force: true })
  }
}
