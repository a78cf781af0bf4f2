// Reads the Bitcoin chain as an outsider would: which transactions were mined, what they cost, and whom.
import type { Bitcoind } from '../../scripts/bitcoind.js'

/** A transaction in a block. Amounts in satoshis. */
export interface Mined {
  readonly txid: string
  readonly fee: bigint
  /** Who has paid the fee: an index, or undefined for a stranger. */
  readonly payer: number | undefined
  readonly kind: 'funding' | 'commitment or closing' | 'claim'
  /** What it pays to each participant. */
  readonly received: readonly bigint[]
}

/** What the chain says of one channel. */
export interface ChannelHistory {
  readonly transactions: readonly Mined[]
  /** What its transactions left lying that nobody's wallet has: anchors, say. */
  readonly left: bigint
}

interface Output {
  readonly value: bigint
  readonly address: string
}

interface Transaction {
  readonly txid: string
  readonly inputs: readonly string[]
  readonly outputs: readonly Output[]
}

/** The chain from outside. */
export class BitcoinOnlooker {
  readonly #node: Bitcoind
  readonly #names: readonly string[]
  readonly #owners = new Map<string, number | undefined>()

  /** @param names of the participants' wallets in the node */
  constructor(node: Bitcoind, names: readonly string[]) {
    this.#node = node
    this.#names = names
  }

  async height(): Promise<number> {
    return Number(await this.#node.rpc('getblockcount'))
  }

  /** What the transactions in blocks after a height were, for a channel that participant 0 has opened. */
  async since(height: number): Promise<ChannelHistory> {
    const transactions: Transaction[] = []
    for (let at = height + 1; at <= (await this.height()); at++) transactions.push(...(await this.#block(at)))
    const outputs = new Map<string, Output>()
    for (const { txid, outputs: all } of transactions) {
      for (const [i, output] of all.entries()) outputs.set(`${txid}:${i}`, output)
    }
    const made = new Set(outputs.keys())
    const spent = new Set(transactions.flatMap(({ inputs }) => inputs))
    const mined: Mined[] = []
    const fundings = new Set<string>()
    for (const transaction of transactions) {
      let paid = 0n
      const owners = new Set<number | undefined>()
      for (const key of transaction.inputs) {
        const output = outputs.get(key) ?? (await this.#output(key))
        outputs.set(key, output)
        paid += output.value
        owners.add(await this.#ownerOf(output))
      }
      const fee = paid - transaction.outputs.reduce((sum, { value }) => sum + value, 0n)
      const { txid, inputs } = transaction
      const received = this.#names.map(() => 0n)
      for (const output of transaction.outputs) {
        const owner = await this.#ownerOf(output)
        if (owner !== undefined) received[owner] = (received[owner] ?? 0n) + output.value
      }
      const spender = [...owners].find((owner) => owner !== undefined)
      const isFromOutside = inputs.every((key) => !made.has(key))
      if (isFromOutside && spender !== undefined) {
        for (const i of transaction.outputs.keys()) fundings.add(`${txid}:${i}`)
        mined.push({ txid, fee, payer: spender, kind: 'funding', received })
      } else if (spender === undefined && inputs.some((key) => fundings.has(key))) {
        mined.push({ txid, fee, payer: 0, kind: 'commitment or closing', received })
      } else {
        let payer = spender
        for (const output of transaction.outputs) payer ??= await this.#ownerOf(output)
        mined.push({ txid, fee, payer, kind: 'claim', received })
      }
    }
    let left = 0n
    for (const key of made) {
      const output = outputs.get(key)
      if (output === undefined || spent.has(key) || (await this.#ownerOf(output)) !== undefined) continue
      left += output.value
    }
    return { transactions: mined, left }
  }

  async #block(height: number): Promise<Transaction[]> {
    const hash = await this.#node.rpc('getblockhash', [height])
    const block = Object(await this.#node.rpc('getblock', [hash, 2])) as { tx: unknown[] }
    return block.tx.slice(1).map(transactionOf)
  }

  async #output(key: string): Promise<Output> {
    const [txid, index] = key.split(':')
    const transaction = transactionOf(await this.#node.rpc('getrawtransaction', [txid, true]))
    const output = transaction.outputs[Number(index)]
    if (output === undefined) throw new Error(`no output ${key}`)
    return output
  }

  /** Whose wallet an output pays. */
  async #ownerOf({ address }: Output): Promise<number | undefined> {
    if (this.#owners.has(address)) return this.#owners.get(address)
    let owner: number | undefined
    for (const [i, name] of this.#names.entries()) {
      const info = Object(await this.#node.rpc('getaddressinfo', [address], name)) as { ismine?: boolean }
      if (info.ismine === true) owner = i
    }
    this.#owners.set(address, owner)
    return owner
  }
}

/** Satoshis of an amount as RPC says it. */
function satoshis(bitcoins: unknown): bigint {
  return BigInt(Math.round(Number(bitcoins) * 1e8))
}

function transactionOf(raw: unknown): Transaction {
  const { txid, vin, vout } = raw as {
    txid: string
    vin: { txid: string; vout: number }[]
    vout: { value: number; scriptPubKey: { address?: string; hex: string } }[]
  }
  return {
    txid,
    inputs: vin.map((input) => `${input.txid}:${input.vout}`),
    outputs: vout.map(({ value, scriptPubKey }) => ({
      value: satoshis(value),
      address: scriptPubKey.address ?? scriptPubKey.hex,
    })),
  }
}
