import { expect } from 'chai'
import { JsonRpcProvider, Transaction, Wallet } from 'ethers'
import { decodeRevert } from '../../../backend/ethereum/abi.js'
import { raiseAfter, raisedFees } from '../../../backend/ethereum/fees.js'
import {
  accountSigner,
  type Call,
  type ConnectOptions,
  connect,
  ether,
  type TransactionSender,
} from '../../../backend/ethereum/index.js'
import { type Hex, isError, PerkunasError, toHex } from '../../../channel/index.js'
import { type Anvil, startAnvil } from '../../../scripts/anvil.js'
import { type KeyAccount, MemoryWallet } from '../../../wallet/index.js'

/** Eager, so that tests need few blocks; the rules are the same. */
const EAGER = { bumpAfterBlocks: 1, bumpAfter: 0 }
const SINK: Hex = `0x${'5e'.repeat(20)}`

describe('ethereum: transactions', () => {
  let anvil: Anvil
  const senders: TransactionSender[] = []

  before(async () => {
    anvil = await startAnvil()
  })

  afterEach(async () => {
    for (const { chain } of senders.splice(0)) chain.close()
    await anvil.rpc('evm_setAutomine', [true])
    await anvil.rpc('evm_setBlockGasLimit', ['0x1c9c380'])
  })

  after(async () => {
    await anvil.stop()
  })

  async function fund(node: Anvil, address: Hex) {
    await node.rpc('anvil_setBalance', [address, `0x${ether('1000').toString(16)}`])
  }

  async function rich(node: Anvil = anvil): Promise<KeyAccount> {
    const account = await new MemoryWallet().newAccount()
    await fund(node, account.address)
    return account
  }

  async function open(
    account: KeyAccount,
    options: Partial<ConnectOptions> = {},
  ): Promise<TransactionSender> {
    const sender = await connect({
      provider: anvil.url,
      signer: account,
      pollingInterval: 10,
      transactions: EAGER,
      ...options,
    })
    senders.push(sender)
    return sender
  }

  /** To an account that nothing else pays, so that its balance counts what was mined. */
  async function payment(value = 1n): Promise<Call & { readonly to: Hex }> {
    const { address } = await new MemoryWallet().newAccount()
    return { kind: 'pay', to: address, data: '0x', value }
  }

  async function received({ to }: { readonly to: Hex }, node: Anvil = anvil): Promise<bigint> {
    return BigInt(String(await node.rpc('eth_getBalance', [to, 'latest'])))
  }

  /** Mines a block, and again, until the promise is settled. */
  async function mining<T>(sender: TransactionSender, promise: Promise<T>): Promise<T> {
    let isOver = false
    const over = () => {
      isOver = true
    }
    promise.then(over, over)
    while (!isOver) {
      await anvil.rpc('evm_mine')
      await sender.chain.tick()
    }
    return promise
  }

  async function inPool(sender: TransactionSender, count: number): Promise<void> {
    await sender.chain.until(async () => {
      const known = await sender.chain.transactionCount(sender.address, 'pending')
      return known === count ? true : undefined
    })
  }

  async function failure(promise: Promise<unknown>): Promise<PerkunasError> {
    const error: unknown = await promise.then(
      () => undefined,
      (reason: unknown) => reason,
    )
    if (error instanceof PerkunasError) return error
    throw new Error(`a PerkunasError expected, got ${String(error)}`)
  }

  it('many at once -> each is mined once, in any order of calling', async () => {
    const sender = await open(await rich())
    const call = await payment()
    const receipts = await Promise.all(Array.from({ length: 20 }, () => sender.send(call)))
    expect(new Set(receipts.map(({ hash }) => hash)).size).to.equal(20)
    expect(await received(call)).to.equal(20n)
  })

  it('two senders of one account at once -> each call is mined once', async () => {
    const account = await rich()
    const [a, b] = [await open(account), await open(account)]
    const call = await payment()
    await Promise.all([a, b, a, b, a, b, a, b].map((sender) => sender.send(call)))
    expect(await received(call)).to.equal(8n)
  })

  it('a signer of ethers, over a provider of ethers -> the same', async () => {
    const wallet = Wallet.createRandom()
    await fund(anvil, toHex(Buffer.from(wallet.address.slice(2), 'hex')))
    const provider = new JsonRpcProvider(anvil.url, 31_337, { staticNetwork: true, cacheTimeout: -1 })
    const sender = await connect({ provider, signer: wallet, pollingInterval: 10 })
    senders.push(sender)
    const call = await payment()
    await sender.send(call)
    expect(await received(call)).to.equal(1n)
    const error = await failure(sender.send({ ...call, value: ether('5000') }))
    expect(error.code).to.equal('TRANSACTION_FAILED')
    provider.destroy()
  })

  it('the account of the wallet signs as ethers does', async () => {
    const secret = new Uint8Array(32).fill(7)
    const account = await new MemoryWallet([secret]).account(
      toHex(Buffer.from(new Wallet(toHex(secret)).address.slice(2), 'hex')),
    )
    const like = {
      type: 2,
      chainId: 31_337n,
      nonce: 5,
      gasLimit: 21_000n,
      to: SINK,
      value: 7n,
      maxFeePerGas: 9n,
      maxPriorityFeePerGas: 1n,
      data: '0x',
    }
    const raw = await accountSigner(account).sign(like)
    expect(raw).to.equal(await new Wallet(toHex(secret)).signTransaction(like))
    expect(Transaction.from(raw).from?.toLowerCase()).to.equal(account.address)
  })

  it('its deadline is near -> offers more at each block; far or without one -> as long as any other', async () => {
    for (const [left, isRaised] of [
      [0n, true],
      [100_000n, false],
      [undefined, false],
    ] as const) {
      await anvil.rpc('evm_setAutomine', [false])
      const sender = await open(await rich(), { transactions: {} })
      const { timestamp } = await sender.chain.head()
      const call = await payment()
      const sent = sender.send(left === undefined ? call : { ...call, deadline: timestamp + left })
      await inPool(sender, 1)
      const offered = await tipOf(sender)
      // Blocks have room for one, and somebody else pays more for it.
      await anvil.rpc('evm_setBlockGasLimit', ['0x6800'])
      const [from] = JSON.parse(JSON.stringify(await anvil.rpc('eth_accounts')))
      const fees = { maxFeePerGas: '0x174876e8000', maxPriorityFeePerGas: '0x174876e800' }
      for (let i = 0; i < 6 || (isRaised && (await tipOf(sender)) <= offered); i++) {
        await anvil.rpc('eth_sendTransaction', [{ from, to: from, gas: '0x6000', ...fees }])
        await anvil.rpc('evm_mine')
        await sender.chain.tick()
      }
      if (!isRaised) expect(await tipOf(sender)).to.equal(offered)
      await anvil.rpc('evm_setBlockGasLimit', ['0x1c9c380'])
      await mining(sender, sent)
      expect(await received(call)).to.equal(1n)
      await anvil.rpc('evm_setAutomine', [true])
    }
  })

  /** What the sender's transaction in the node's pool offers beside the base fee. */
  async function tipOf(sender: TransactionSender): Promise<bigint> {
    const { pending } = JSON.parse(JSON.stringify(await anvil.rpc('txpool_content')))
    const [transaction] = Object.entries<Record<string, { maxPriorityFeePerGas: string }>>(pending)
      .filter(([address]) => address.toLowerCase() === sender.address)
      .flatMap(([, byNonce]) => Object.values(byNonce))
    return BigInt(transaction?.maxPriorityFeePerGas ?? 0)
  }

  it('when more is offered -> after a sixteenth of the time that is left, at most as late as usual', () => {
    const usual = { bumpAfterBlocks: 3, bumpAfter: 30_000 }
    expect(raiseAfter(undefined, usual)).to.eql(usual)
    expect(raiseAfter(480, usual)).to.eql(usual)
    expect(raiseAfter(479, usual)).to.eql({ bumpAfterBlocks: 1, bumpAfter: 29_937.5 })
    expect(raiseAfter(16, usual)).to.eql({ bumpAfterBlocks: 1, bumpAfter: 1_000 })
    expect(raiseAfter(-5, usual)).to.eql({ bumpAfterBlocks: 1, bumpAfter: 0 })
  })

  it('the base fee rises above the offer -> replaced by one that offers more, and mined once', async () => {
    await anvil.rpc('evm_setAutomine', [false])
    const sender = await open(await rich())
    const call = await payment()
    const sending = sender.send(call)
    await inPool(sender, 1)
    // Far above twice the base fee of now.
    await anvil.rpc('anvil_setNextBlockBaseFeePerGas', [`0x${(200n * 10n ** 9n).toString(16)}`])
    const receipt = await mining(sender, sending)
    expect(receipt.gasPrice > 100n * 10n ** 9n).to.equal(true)
    expect(await received(call)).to.equal(1n)
  })

  it('no more is ever offered than the limit', async () => {
    const old = { kind: 'dynamic', maxFee: 80n, tip: 8n } as const
    expect(raisedFees(old, { kind: 'dynamic', maxFee: 1n, tip: 1n }, 90n)).to.eql({
      kind: 'dynamic',
      maxFee: 90n,
      tip: 9n,
    })
    expect(raisedFees(old, { kind: 'dynamic', maxFee: 1n, tip: 1n }, 89n)).to.equal(undefined)
  })

  /** A transaction that an earlier life of the process left in the pool. */
  async function leftOver(account: KeyAccount, call: { readonly to: Hex }): Promise<void> {
    const raw = await accountSigner(account).sign({
      type: 2,
      chainId: 31_337n,
      nonce: 0,
      gasLimit: 21_000n,
      to: call.to,
      value: 1n,
      maxFeePerGas: 10n ** 9n,
      maxPriorityFeePerGas: 0n,
      data: '0x',
    })
    await anvil.rpc('eth_sendRawTransaction', [raw])
  }

  async function setBaseFee(wei: bigint): Promise<void> {
    await anvil.rpc('anvil_setNextBlockBaseFeePerGas', [`0x${wei.toString(16)}`])
    await anvil.rpc('evm_mine')
  }

  it('a transaction of an earlier life in the pool -> quiet waits until it is mined', async () => {
    await anvil.rpc('evm_setAutomine', [false])
    await setBaseFee(1n)
    const account = await rich()
    const earlier = await payment()
    await leftOver(account, earlier)
    const sender = await open(account, { transactions: { bumpAfterBlocks: 10, bumpAfter: 10_000 } })
    const quiet = sender.quiet()
    await sender.chain.tick()
    expect(await received(earlier)).to.equal(0n)
    await anvil.rpc('evm_mine')
    await quiet
    expect(await received(earlier)).to.equal(1n)
  })

  it('one of an earlier life that is too cheap -> the next call is mined all the same', async () => {
    await anvil.rpc('evm_setAutomine', [false])
    await setBaseFee(1n)
    const account = await rich()
    await leftOver(account, await payment())
    await setBaseFee(20n * 10n ** 9n)
    const sender = await open(account)
    await mining(sender, sender.quiet())
    const call = await payment()
    await mining(sender, sender.send(call))
    expect(await received(call)).to.equal(1n)
  })

  it('a gap below our nonce -> it is filled', async () => {
    await anvil.rpc('evm_setAutomine', [false])
    const account = await rich()
    const first = await open(account)
    // An earlier transaction is in the pool when ours is sent, and gets lost afterwards.
    const lost = first.send(await payment())
    await inPool(first, 1)
    const second = await open(account)
    const call = await payment()
    const sending = second.send(call)
    await inPool(second, 2)
    first.chain.close()
    expect((await failure(lost)).code).to.equal('CLOSED')
    const pool = await anvil.rpc('eth_getBlockByNumber', ['pending', true])
    const transactions =
      typeof pool === 'object' && pool !== null && 'transactions' in pool ? pool.transactions : []
    if (!Array.isArray(transactions)) throw new Error('a pool expected')
    await anvil.rpc('anvil_dropTransaction', [transactions[0].hash])
    await mining(second, sending)
    expect(await received(call)).to.equal(1n)
  })

  it('a reorg throws it out -> it is sent again, and final only then', async () => {
    const sender = await open(await rich(), { finalityDepth: 3 })
    const call = await payment()
    const sending = sender.send(call)
    await sender.chain.until(async () => ((await received(call)) === 1n ? true : undefined))
    await anvil.rpc('anvil_reorg', [1, []])
    expect(await received(call)).to.equal(0n)
    const receipt = await mining(sender, sending)
    expect(receipt.succeeded).to.equal(true)
    expect(await received(call)).to.equal(1n)
  })

  /** The hash of the newest block's only transaction. */
  async function newestTransaction(): Promise<Hex> {
    const block = await anvil.rpc('eth_getBlockByNumber', ['latest', false])
    const transactions =
      typeof block === 'object' && block !== null && 'transactions' in block ? block.transactions : []
    if (!Array.isArray(transactions)) throw new Error('a block expected')
    return transactions[0]
  }

  /** Has a call mined, and its block replaced, by a node that goes on showing both its transaction and its receipt. */
  async function replaced(account: KeyAccount, call: Call & { readonly to: Hex }) {
    const provider = new StaleProvider(anvil.url, 31_337, { staticNetwork: true, cacheTimeout: -1 })
    // In good time only if it is not left to the replacement of what is stuck.
    const patient = { bumpAfter: 1_000_000 }
    const sender = await open(account, { provider, finalityDepth: 3, transactions: patient })
    const sending = sender.send(call)
    await sender.chain.until(async () => ((await received(call)) === 1n ? true : undefined))
    const hash = await newestTransaction()
    for (const method of STALE) expect(await provider.send(method, [hash])).to.not.equal(null)
    await anvil.rpc('evm_setAutomine', [false])
    await anvil.rpc('anvil_reorg', [1, []])
    expect(await received(call)).to.equal(0n)
    for (const method of STALE) expect(await provider.send(method, [hash])).to.not.equal(null)
    return { sender, sending, provider }
  }

  it('a node goes on showing what a reorg threw out -> it is sent again all the same', async () => {
    const call = await payment()
    const { sender, sending, provider } = await replaced(await rich(), call)
    await mining(sender, sending)
    expect(await received(call)).to.equal(1n)
    provider.destroy()
  })

  it('... and another transaction takes its nonce -> it is not taken for mined, but sent anew', async () => {
    const account = await rich()
    const call = await payment()
    const { sender, sending, provider } = await replaced(account, call)
    const other = await accountSigner(account).sign({
      type: 2,
      chainId: 31_337n,
      nonce: 0,
      gasLimit: 21_000n,
      to: SINK,
      value: 0n,
      maxFeePerGas: 10n ** 12n,
      maxPriorityFeePerGas: 10n ** 11n,
      data: '0x',
    })
    await anvil.rpc('eth_sendRawTransaction', [other])
    await mining(sender, sending)
    expect(await received(call)).to.equal(1n)
    provider.destroy()
  })

  it('a node that refuses to answer for a while -> what was under way goes on; for too long -> LEDGER_UNREACHABLE', async () => {
    const provider = new MoodyProvider(anvil.url, 31_337, { staticNetwork: true, cacheTimeout: -1 })
    const sender = await open(await rich(), { provider })
    const call = await payment()
    let refusals = 3
    provider.mood = async (method, pass) => {
      if (method === 'eth_getTransactionReceipt' && refusals-- > 0) throw refusal('the plan is used up')
      return pass()
    }
    await sender.send(call)
    expect(refusals).to.be.lessThan(1)
    expect(await received(call)).to.equal(1n)
    const hasty = await open(await rich(), { provider, patience: 0 })
    refusals = Number.POSITIVE_INFINITY
    const error = await failure(hasty.send(await payment()))
    expect(isError(error, 'LEDGER_UNREACHABLE') && error.message).to.contain('the plan is used up')
    provider.destroy()
  })

  for (const [title, answers] of [
    ['offers too little', ['transaction underpriced', 'max fee per gas less than block base fee']],
    ['has a nonce that is used', ['nonce too low']],
    ['has a nonce that is taken', ['replacement transaction underpriced']],
  ] as const) {
    it(`a node says that a transaction ${title} -> it is sent otherwise, and mined once`, async () => {
      const provider = new MoodyProvider(anvil.url, 31_337, { staticNetwork: true, cacheTimeout: -1 })
      const sender = await open(await rich(), { provider })
      const call = await payment()
      const left: string[] = [...answers]
      provider.mood = async (method, pass) => {
        const answer = method === 'eth_sendRawTransaction' ? left.shift() : undefined
        if (answer !== undefined) throw refusal(answer)
        return pass()
      }
      await mining(sender, sender.send(call))
      expect(left).to.eql([])
      expect(await received(call)).to.equal(1n)
      provider.destroy()
    })
  }

  it('a node that is ahead of what it tells -> a call that fails at one look only is sent all the same', async () => {
    const provider = new MoodyProvider(anvil.url, 31_337, { staticNetwork: true, cacheTimeout: -1 })
    const sender = await open(await rich(), { provider })
    let looks = 0
    provider.mood = async (method, pass) => {
      if (method === 'eth_estimateGas' && looks++ === 0)
        throw refusal('execution reverted: insufficient funds')
      return pass()
    }
    const call = await payment()
    await sender.send(call)
    expect([looks, await received(call)]).to.eql([2, 1n])
    provider.destroy()
  })

  it('a node refuses a transaction for good -> TRANSACTION_FAILED says why, and the next one works', async () => {
    const provider = new MoodyProvider(anvil.url, 31_337, { staticNetwork: true, cacheTimeout: -1 })
    const sender = await open(await rich(), { provider })
    provider.mood = async (method, pass) => {
      if (method === 'eth_sendRawTransaction') throw refusal('transaction type not supported')
      return pass()
    }
    const call = await payment()
    const error = await failure(sender.send(call))
    expect(isError(error, 'TRANSACTION_FAILED') && error.facts).to.eql({
      kind: 'pay',
      reason: 'transaction type not supported',
    })
    provider.mood = (_, pass) => pass()
    await sender.send(call)
    expect(await received(call)).to.equal(1n)
    provider.destroy()
  })

  it('the answer to a broadcast gets lost -> sent again, and mined once', async () => {
    const provider = new MoodyProvider(anvil.url, 31_337, { staticNetwork: true, cacheTimeout: -1 })
    const sender = await open(await rich(), { provider })
    let isLost = false
    provider.mood = async (method, pass) => {
      const answer = await pass()
      if (method !== 'eth_sendRawTransaction' || isLost) return answer
      isLost = true
      throw new Error('socket hang up')
    }
    const call = await payment()
    await sender.send(call)
    expect(isLost).to.equal(true)
    expect(await received(call)).to.equal(1n)
    provider.destroy()
  })

  it('more than there is -> TRANSACTION_FAILED before it is sent, and the next one works', async () => {
    const sender = await open(await rich())
    const error = await failure(sender.send(await payment(ether('5000'))))
    expect(isError(error, 'TRANSACTION_FAILED') && error.facts.kind).to.equal('pay')
    const call = await payment()
    await sender.send(call)
    expect(await received(call)).to.equal(1n)
  })

  it('never mined -> TRANSACTION_TIMEOUT names it', async () => {
    await anvil.rpc('evm_setAutomine', [false])
    const sender = await open(await rich(), { transactions: { ...EAGER, timeout: 0 } })
    const error = await failure(sender.send(await payment()))
    expect(isError(error, 'TRANSACTION_TIMEOUT') && error.facts.hash).to.match(/^0x[0-9a-f]{64}$/)
  })

  it('aborted -> ABORTED at once; what was sent is mined all the same', async () => {
    await anvil.rpc('evm_setAutomine', [false])
    const sender = await open(await rich())
    const call = await payment()
    const controller = new AbortController()
    const sending = failure(sender.send(call, { signal: controller.signal }))
    await inPool(sender, 1)
    controller.abort()
    expect((await sending).code).to.equal('ABORTED')
    await anvil.rpc('evm_mine')
    expect(await received(call)).to.equal(1n)
  })

  it('reasons: strings, panics, custom errors, garbage', () => {
    const string =
      `0x08c379a0${'20'.padStart(64, '0')}${'02'.padStart(64, '0')}${'6e6f'.padEnd(64, '0')}` as const
    expect(decodeRevert(string)).to.equal('no')
    expect(decodeRevert(`0x4e487b71${'11'.padStart(64, '0')}`)).to.equal('Panic(17)')
    expect(decodeRevert('0x08c379a0ff')).to.equal(undefined)
    expect(decodeRevert('0x12345678')).to.equal(undefined)
  })

  it('nobody listens there -> LEDGER_UNREACHABLE, over HTTP and WebSocket', async () => {
    const account = await rich()
    // A port that was free a moment ago.
    const gone = await startAnvil()
    await gone.stop()
    for (const provider of [gone.url, gone.wsUrl]) {
      const error = await failure(connect({ provider, signer: account }))
      expect(isError(error, 'LEDGER_UNREACHABLE') && error.facts.ledger).to.equal(`127.0.0.1:${gone.port}`)
    }
    expect((await failure(connect({ provider: 'ftp://x', signer: account }))).code).to.equal(
      'INVALID_ARGUMENT',
    )
  })

  for (const transport of ['url', 'wsUrl'] as const) {
    it(`the node stops and comes back (${transport}) -> what was under way goes on`, async () => {
      const first = await startAnvil({ noMining: true })
      const account = await rich(first)
      const state = await first.rpc('anvil_dumpState')
      const sender = await open(account, { provider: first[transport] })
      const call = await payment()
      const sending = sender.send(call)
      await inPool(sender, 1)
      await first.stop()
      // Its pool is gone with it: the transaction must be broadcast again.
      const second = await startAnvil({ port: first.port, state })
      await sending
      expect(await received(call, second)).to.equal(1n)
      await second.stop()
    })
  }

  it('the node is gone for longer than one is patient -> LEDGER_UNREACHABLE', async () => {
    const node = await startAnvil()
    const sender = await open(await rich(node), { provider: node.url, patience: 100 })
    await node.stop()
    expect((await failure(sender.send(await payment()))).code).to.equal('LEDGER_UNREACHABLE')
  })
})

const STALE = ['eth_getTransactionByHash', 'eth_getTransactionReceipt']

/** Goes on showing mined transactions and their receipts when their block is replaced. */
class StaleProvider extends JsonRpcProvider {
  readonly #shown = new Map<string, unknown>()

  override async send(method: string, params: unknown[]): Promise<unknown> {
    const answer: unknown = await super.send(method, params)
    if (!STALE.includes(method)) return answer
    const key = `${method} ${params[0]}`
    if (typeof answer === 'object' && answer !== null && 'blockHash' in answer && answer.blockHash !== null) {
      this.#shown.set(key, answer)
    }
    return answer ?? this.#shown.get(key) ?? null
  }
}

/** Answers as it is told to. */
class MoodyProvider extends JsonRpcProvider {
  mood: (method: string, pass: () => Promise<unknown>) => Promise<unknown> = (_, pass) => pass()

  override async send(method: string, params: unknown[]): Promise<unknown> {
    return this.mood(method, () => super.send(method, params))
  }
}

/** What a node answers when it does not want to, as ethers wraps it. */
function refusal(message: string): Error {
  return Object.assign(new Error('could not coalesce error'), { error: { code: -32_000, message } })
}
