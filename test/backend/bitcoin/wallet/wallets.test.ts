// What both wallets must do, on a real node.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Transaction as PsbtTransaction, SigHash } from '@scure/btc-signer'
import { expect } from 'chai'
import { BitcoindSource } from '../../../../backend/bitcoin/chain/index.js'
import {
  dustLimitOf,
  encodeTransaction,
  feeOf,
  fundingOutput,
  SEQUENCE_REPLACEABLE,
  type Transaction,
  transactionID,
  weightOf,
} from '../../../../backend/bitcoin/script/index.js'
import { blockHeight, feeratePerKw, type Sat, sat } from '../../../../backend/bitcoin/units.js'
import {
  type Balance,
  BitcoindWallet,
  type Coin,
  type CoinKind,
  HdWallet,
  type OnchainWallet,
} from '../../../../backend/bitcoin/wallet/index.js'
import { equalBytes, toHex } from '../../../../channel/bytes.js'
import { MemoryStore, type Store } from '../../../../persistence/index.js'
import { type Bitcoind, startBitcoind } from '../../../../scripts/bitcoind.js'
import { secp256k1 } from '../../../../wallet/secp256k1.js'
import { failure } from '../../../client/parties.js'
import { invalidate, mineNew } from '../chain/node.js'
import { Chain, signCoin, WALLET_SCRIPT } from '../chain.js'

const FEERATE = feeratePerKw(777)
const KEYS = [1, 2].map((byte) => secp256k1.publicKey(new Uint8Array(32).fill(byte)))
const CHANNEL = fundingOutput(sat(1_000_000n), [KEYS[0] ?? new Uint8Array(), KEYS[1] ?? new Uint8Array()])

/** A wallet on a node, and what tests do with it. */
interface Scene {
  readonly node: Bitcoind
  readonly chain: Chain
  readonly store: Store
  wallet: OnchainWallet
  /** The wallet knows the node's tip. */
  synced(): Promise<void>
  /** The wallet as after the end of our process. */
  restart(): Promise<void>
}

const opened: AsyncDisposable[] = []

async function bitcoindScene(node: Bitcoind, chain: Chain): Promise<Scene> {
  const store = new MemoryStore()
  const name = `w${opened.length}`
  const open = async () => {
    const credentials = { cookieFile: node.cookieFile }
    const wallet = await BitcoindWallet.open({ url: node.url, credentials, wallet: name, store })
    opened.push(wallet)
    return wallet
  }
  const scene: Scene = {
    node,
    chain,
    store,
    wallet: await open(),
    synced: async () => void (await node.rpc('syncwithvalidationinterfacequeue')),
    restart: async () => {
      await scene.wallet.close()
      scene.wallet = await open()
    },
  }
  return scene
}

async function hdScene(node: Bitcoind, chain: Chain): Promise<Scene> {
  const store = new MemoryStore()
  const source = new BitcoindSource({ url: node.url, credentials: { cookieFile: node.cookieFile } })
  opened.push(source)
  const seed = new Uint8Array(32).fill(opened.length)
  const open = async () => {
    const wallet = await HdWallet.open({ seed, network: 'regtest', store, birthday: blockHeight(1) })
    opened.push(wallet)
    wallet.follow(source, { pollingInterval: 10 }).catch(() => undefined)
    return wallet
  }
  let wallet = await open()
  const scene: Scene = {
    node,
    chain,
    store,
    wallet,
    synced: async () => {
      await wallet.reached(Number(await node.rpc('getblockcount')))
    },
    restart: async () => {
      await wallet.close()
      wallet = await open()
      scene.wallet = wallet
    },
  }
  return scene
}

function amounts(balance: Balance): Record<string, bigint> {
  return Object.fromEntries(Object.entries(balance).filter(([, amount]) => amount !== 0n))
}

for (const [name, sceneOf] of [
  ['of a node', bitcoindScene],
  ['of our own', hdScene],
] as const) {
  describe(`bitcoin/wallet: ${name}`, () => {
    let node: Bitcoind
    let chain: Chain
    before(async function () {
      this.timeout(60_000)
      // Keys are made when a wallet is: a thousand for each kind of address, if it is not told otherwise.
      node = await startBitcoind({ args: ['-keypool=5'] })
      chain = await Chain.start(node, 14)
    })
    after(async () => {
      for (const one of opened.splice(0)) await one[Symbol.asyncDispose]()
      await node.stop()
    })

    /** A wallet with coins of these amounts, confirmed. */
    const funded = async (...coins: readonly (readonly [CoinKind, bigint])[]): Promise<Scene> => {
      const scene = await sceneOf(node, chain)
      const outputs = []
      for (const [kind, amount] of coins) {
        const { script } = await scene.wallet.newAddress(kind)
        outputs.push({ amount: sat(amount), script })
      }
      const coin = chain.coin()
      const spent = outputs.reduce((sum, { amount }) => sum + amount, 0n) + 10_000n
      const transaction: Transaction = {
        version: 2,
        inputs: [{ outpoint: coin.outpoint, sequence: SEQUENCE_REPLACEABLE, witness: [] }],
        outputs: [...outputs, { amount: sat(coin.amount - spent), script: WALLET_SCRIPT }],
        locktime: 0,
      }
      await chain.confirm(signCoin(transaction, 0, coin))
      await scene.synced()
      return scene
    }
    const publish = async (scene: Scene, transaction: Transaction): Promise<void> => {
      await chain.accept(transaction)
      await scene.wallet.published(transaction)
      await scene.synced()
    }
    const mine = async (scene: Scene, count = 1): Promise<void> => {
      await mineNew(node, count)
      await scene.synced()
    }

    it('addresses -> never the same twice, of the kind asked for, and the script is theirs', async () => {
      const { wallet } = await sceneOf(node, chain)
      const addresses = [
        await wallet.newAddress(),
        await wallet.newAddress('p2tr'),
        await wallet.newAddress(),
      ]
      expect(addresses.map(({ kind }) => kind)).to.deep.equal(['p2wpkh', 'p2tr', 'p2wpkh'])
      for (const { address, script } of addresses) {
        const info = await node
          .rpc('getaddressinfo', [address])
          .catch(() => node.rpc('validateaddress', [address]))
        expect((info as { scriptPubKey: string }).scriptPubKey).to.equal(toHex(script).slice(2))
      }
      const scripts = [
        ...addresses.map(({ script }) => script),
        await wallet.changeScript(),
        await wallet.changeScript(),
      ]
      expect(new Set(scripts.map(toHex)).size).to.equal(5)
    })

    it('a P2WSH output is funded, signed, taken and mined -> fee as asked, balance exact to the satoshi', async () => {
      const scene = await funded(['p2wpkh', 700_000n], ['p2tr', 600_000n])
      const { wallet } = scene
      expect(amounts(await wallet.balance())).to.deep.equal({ confirmed: 1_300_000n })
      const request = { purpose: 'a channel', outputs: [CHANNEL], feerate: FEERATE }
      const { transaction, coins, fee, changeIndex, reservation } = await wallet.fund(request)
      expect(transaction.outputs[0]).to.deep.equal(CHANNEL)
      expect([coins.length, changeIndex]).to.deep.equal([2, 1])
      expect(amounts(await wallet.balance())).to.deep.equal({ reserved: 1_300_000n })
      const signed = await wallet.sign(transaction, coins)
      expect(transactionID(signed)).to.deep.equal(transactionID(transaction))
      const least = feeOf(FEERATE, weightOf(signed))
      expect(fee >= least && fee <= least + 10n, `fee ${fee} for at least ${least}`).to.equal(true)
      await publish(scene, signed)
      const rest = 300_000n - fee
      expect(amounts(await wallet.balance())).to.deep.equal({ unconfirmed: rest })
      await mine(scene)
      expect(amounts(await wallet.balance())).to.deep.equal({ confirmed: rest })
      await wallet.release(reservation.id)
      expect(amounts(await wallet.balance())).to.deep.equal({ confirmed: rest })
      expect((await wallet.coins()).map(({ amount }) => amount)).to.deep.equal([rest])
    })

    it('what is reserved -> not chosen again, kept over a restart, signed after it, free once released', async () => {
      const scene = await funded(['p2wpkh', 500_000n], ['p2wpkh', 400_000n])
      const output = { ...CHANNEL, amount: sat(300_000n) }
      const request = { purpose: 'one', outputs: [output], feerate: FEERATE }
      const first = await scene.wallet.fund(request)
      await scene.restart()
      await scene.synced()
      expect(await scene.wallet.reservations()).to.deep.equal([first.reservation])
      const second = await scene.wallet.fund({ ...request, purpose: 'two' })
      const spent = [...first.coins, ...second.coins].map(
        ({ outpoint }) => toHex(outpoint.txid) + outpoint.index,
      )
      expect(new Set(spent).size).to.equal(2)
      const error = await failure(scene.wallet.fund(request))
      expect(error).to.include({ code: 'INSUFFICIENT_FUNDS' })
      expect(error.facts).to.deep.equal({ needed: 300_000n, available: 0n, reserved: 900_000n })
      expect(await chain.refusal(await scene.wallet.sign(first.transaction, first.coins))).to.equal(undefined)
      await scene.wallet.release(first.reservation.id)
      await scene.wallet.release(first.reservation.id)
      const again = await scene.wallet.fund(request)
      expect(again.coins.map(({ outpoint }) => outpoint)).to.deep.equal(
        first.coins.map(({ outpoint }) => outpoint),
      )
      expect((await scene.wallet.reservations()).map(({ purpose }) => purpose).sort()).to.deep.equal([
        'one',
        'two',
      ])
    })

    it('many requests at once -> no coin twice', async () => {
      const scene = await funded(...Array.from({ length: 5 }, () => ['p2wpkh', 50_000n] as const))
      const request = { purpose: 'many', outputs: [{ ...CHANNEL, amount: sat(30_000n) }], feerate: FEERATE }
      const results = await Promise.allSettled(Array.from({ length: 7 }, () => scene.wallet.fund(request)))
      const coins = results.flatMap((one) => (one.status === 'fulfilled' ? one.value.coins : []))
      expect(coins.length).to.equal(5)
      expect(new Set(coins.map(({ outpoint }) => outpoint.index)).size).to.equal(5)
    })

    it('all that there is but a satoshi too much -> refused; exactly all -> without change', async () => {
      const scene = await funded(['p2wpkh', 100_000n], ['p2tr', 100_000n])
      const { wallet } = scene
      const trial = await wallet.fund({
        purpose: 'trial',
        outputs: [{ ...CHANNEL, amount: sat(150_000n) }],
        feerate: FEERATE,
      })
      await wallet.release(trial.reservation.id)
      // Without its change of P2WPKH: 31 bytes.
      const fee = trial.fee - feeOf(FEERATE, 4 * 31)
      const ask = (amount: bigint) =>
        wallet.fund({ purpose: 'all', outputs: [{ ...CHANNEL, amount: sat(amount) }], feerate: FEERATE })
      expect(await failure(ask(200_001n - fee))).to.include({ code: 'INSUFFICIENT_FUNDS' })
      const all = await ask(200_000n - fee)
      expect([all.fee, all.changeIndex]).to.deep.equal([fee, undefined])
      await publish(scene, await wallet.sign(all.transaction, all.coins))
      await mine(scene)
      expect(amounts(await wallet.balance())).to.deep.equal({})
    })

    it('what must stay for fees, dust, no output, unconfirmed coins -> refused', async () => {
      const scene = await funded(['p2wpkh', 100_000n])
      const { wallet } = scene
      const request = { purpose: 'x', outputs: [{ ...CHANNEL, amount: sat(60_000n) }], feerate: FEERATE }
      expect(await failure(wallet.fund({ ...request, keep: sat(40_000n) }))).to.include({
        code: 'INSUFFICIENT_FUNDS',
      })
      const kept = await wallet.fund({ ...request, keep: sat(39_000n) })
      await wallet.release(kept.reservation.id)
      const dust = { ...CHANNEL, amount: sat(dustLimitOf(CHANNEL.script) - 1n) }
      expect(await failure(wallet.fund({ ...request, outputs: [dust] }))).to.include({
        code: 'INVALID_ARGUMENT',
      })
      expect(await failure(wallet.fund({ ...request, outputs: [] }))).to.include({ code: 'INVALID_ARGUMENT' })
      expect(await failure(wallet.fund({ ...request, confirmations: 0 }))).to.include({
        code: 'INVALID_ARGUMENT',
      })
      expect(await failure(wallet.fund({ ...request, confirmations: 2 }))).to.include({
        code: 'INSUFFICIENT_FUNDS',
      })
      expect(await wallet.reservations()).to.deep.equal([])
      const spend = await wallet.fund(request)
      await publish(scene, await wallet.sign(spend.transaction, spend.coins))
      expect(
        await failure(wallet.fund({ ...request, outputs: [{ ...CHANNEL, amount: sat(1000n) }] })),
      ).to.include({
        code: 'INSUFFICIENT_FUNDS',
      })
    })

    it('too little that is confirmed and free -> says what else there is: unconfirmed, reserved, or to stay', async () => {
      const scene = await funded(['p2wpkh', 1_000_000n], ['p2wpkh', 70_000n], ['p2wpkh', 50_000n])
      const { wallet } = scene
      const small = { purpose: 'a claim', amount: sat(60_000n), feerate: FEERATE }
      const claim = await wallet.reserveInputs(small)
      expect(claim.coins.map(({ amount }) => amount)).to.deep.equal([70_000n])
      const opening = { purpose: 'a channel', outputs: [CHANNEL], feerate: FEERATE, keep: sat(20_000n) }
      const { transaction, coins, fee } = await wallet.fund({
        ...opening,
        outputs: [{ ...CHANNEL, amount: sat(100_000n) }],
      })
      expect(coins.map(({ amount }) => amount)).to.deep.equal([1_000_000n])
      const asIs = await failure(wallet.fund(opening))
      expect(asIs.facts).to.deep.equal({
        needed: CHANNEL.amount + 20_000n,
        available: 50_000n,
        keep: 20_000n,
        reserved: 1_070_000n,
      })
      await publish(scene, await wallet.sign(transaction, coins))
      const left = 900_000n - fee
      const error = await failure(wallet.fund(opening))
      expect(error.facts).to.deep.equal({
        needed: CHANNEL.amount + 20_000n,
        available: 50_000n,
        keep: 20_000n,
        unconfirmed: left,
        reserved: 70_000n,
      })
      expect(error.message).to.equal(
        `${CHANNEL.amount + 20_000n} sat and fees needed, of which 20000 sat must stay in the wallet, 50000 sat confirmed and free; besides ${left} sat unconfirmed, 70000 sat reserved`,
      )
      const inputs = await failure(wallet.reserveInputs({ ...small, keep: sat(20_000n) }))
      expect(inputs.facts).to.deep.equal({
        needed: 80_000n,
        available: 50_000n,
        keep: 20_000n,
        unconfirmed: left,
        reserved: 70_000n,
      })
      await mine(scene)
      const young = await failure(wallet.fund({ ...opening, confirmations: 2 }))
      expect(young.facts).to.include({ available: 50_000n, unconfirmed: left, reserved: 70_000n })
      await wallet.fund({ ...opening, outputs: [{ ...CHANNEL, amount: sat(900_000n) }] })
    })

    it("inputs for another's transaction -> bring in the amount at that feerate, and only they are signed", async () => {
      const scene = await funded(['p2wpkh', 9_000n], ['p2tr', 50_000n], ['p2wpkh', 20_000n])
      const { wallet } = scene
      const { coins, weights, changeScript, reservation } = await wallet.reserveInputs({
        purpose: 'bump',
        amount: sat(12_000n),
        feerate: FEERATE,
      })
      // The smallest that suffices alone.
      expect(coins.map(({ amount }) => amount)).to.deep.equal([20_000n])
      const foreign = chain.coin()
      const [coin] = coins as [Coin]
      const own = feeOf(FEERATE, weights[0] ?? 0)
      const transaction: Transaction = {
        version: 2,
        inputs: [foreign, coin].map(({ outpoint }) => ({
          outpoint,
          sequence: SEQUENCE_REPLACEABLE,
          witness: [],
        })),
        outputs: [
          { amount: foreign.amount, script: WALLET_SCRIPT },
          { amount: sat(coin.amount - 12_000n - own), script: changeScript },
        ],
        locktime: 0,
      }
      const spent = [{ amount: foreign.amount, script: WALLET_SCRIPT }, coin]
      const half = await wallet.sign(transaction, spent)
      expect(half.inputs.map(({ witness }) => witness.length)).to.deep.equal([0, 2])
      const whole = signCoin(half, 0, foreign)
      await publish(scene, whole)
      // Bumped: the same inputs again, although the wallet has seen them spent.
      const bumped = {
        ...transaction,
        outputs: transaction.outputs.map((one, i) =>
          i === 0 ? { ...one, amount: sat(one.amount - 5000n) } : one,
        ),
      }
      const second = signCoin(await wallet.sign(bumped, spent), 0, foreign)
      await publish(scene, second)
      await mine(scene)
      const left = (await wallet.balance()).confirmed
      expect(left).to.equal(59_000n + 8_000n - own)
      await wallet.release(reservation.id)
      const poor = { purpose: 'bump', amount: sat(67_000n), feerate: FEERATE }
      expect(await failure(wallet.reserveInputs(poor))).to.include({ code: 'INSUFFICIENT_FUNDS' })
      const all = await wallet.reserveInputs({ ...poor, amount: sat(60_000n), feerate: feeratePerKw(253) })
      expect(all.coins.length).to.be.greaterThan(1)
    })

    it('a child of a transaction that no block has -> its change, and confirmed coins if that is too little', async () => {
      const scene = await funded(['p2wpkh', 100_000n], ['p2wpkh', 30_000n])
      const { wallet } = scene
      const made = await wallet.fund({
        purpose: 'parent',
        outputs: [{ ...CHANNEL, amount: sat(90_000n) }],
        feerate: FEERATE,
      })
      const whole = await wallet.sign(made.transaction, made.coins)
      await publish(scene, whole)
      const change = { txid: transactionID(whole), index: 1 }
      const request = { purpose: 'child', feerate: FEERATE, parent: whole }
      const alone = await wallet.reserveInputs({ ...request, amount: sat(1000n) })
      expect(alone.coins.map(({ outpoint }) => outpoint)).to.deep.equal([change])
      expect(await failure(wallet.reserveInputs({ ...request, amount: sat(1000n) }))).to.include({
        code: 'INSUFFICIENT_FUNDS',
      })
      await wallet.release(alone.reservation.id)
      const more = await wallet.reserveInputs({ ...request, amount: sat(20_000n) })
      expect(more.coins[0]?.outpoint).to.deep.equal(change)
      expect(more.coins[1]).to.include({ amount: 30_000n })
      const [own, other] = more.weights
      const left = more.coins.reduce((sum, { amount }) => sum + amount, 0n)
      const fee = 5000n + feeOf(FEERATE, (own ?? 0) + (other ?? 0))
      const child: Transaction = {
        version: 2,
        inputs: more.coins.map(({ outpoint }) => ({ outpoint, sequence: SEQUENCE_REPLACEABLE, witness: [] })),
        outputs: [{ amount: sat(left - fee), script: more.changeScript }],
        locktime: 0,
      }
      await publish(scene, await wallet.sign(child, more.coins))
      await mine(scene)
      expect((await wallet.balance()).confirmed).to.equal(left - fee)
    })

    it('a coin that is not reserved, an amount that is not its own, a signature that covers less -> not signed', async () => {
      const { wallet } = await funded(['p2wpkh', 100_000n], ['p2tr', 30_000n])
      const request = { purpose: 'x', outputs: [{ ...CHANNEL, amount: sat(110_000n) }], feerate: FEERATE }
      const { transaction, coins, reservation, psbt } = await wallet.fund(request)
      const lie = coins.map((coin) => ({ ...coin, amount: sat(coin.amount + 1n) }))
      expect(await failure(wallet.sign(transaction, lie))).to.include({ code: 'INVALID_ARGUMENT' })
      expect(await failure(wallet.sign(transaction, coins.slice(1)))).to.include({ code: 'INVALID_ARGUMENT' })
      expect(await failure(wallet.signPsbt(new Uint8Array([1, 2, 3])))).to.include({
        code: 'INVALID_MESSAGE',
      })
      // PSBT_IN_SIGHASH_TYPE, SIGHASH_NONE, put in front of each input's first pair, which is its witness UTXO.
      const asking = PsbtTransaction.fromPSBT(psbt, { allowUnknownOutputs: true })
      asking.updateInput(0, { sighashType: SigHash.NONE })
      expect(await failure(wallet.signPsbt(asking.toPSBT(0)))).to.include({ code: 'INVALID_ARGUMENT' })
      await wallet.release(reservation.id)
      const unsigned = await wallet.sign(transaction, coins)
      expect(unsigned.inputs.every(({ witness }) => witness.length === 0)).to.equal(true)
    })

    it('PSBT out and in -> final witnesses, which the node takes', async () => {
      const { wallet } = await funded(['p2wpkh', 60_000n], ['p2tr', 60_000n])
      const { psbt } = await wallet.fund({
        purpose: 'psbt',
        outputs: [{ ...CHANNEL, amount: sat(100_000n) }],
        feerate: FEERATE,
      })
      const analyzed = await node.rpc('analyzepsbt', [Buffer.from(psbt).toString('base64')])
      expect((analyzed as { error?: string }).error).to.equal(undefined)
      const signed = Buffer.from(await wallet.signPsbt(psbt)).toString('base64')
      const { hex, complete } = (await node.rpc('finalizepsbt', [signed])) as {
        hex: string
        complete: boolean
      }
      expect(complete).to.equal(true)
      const [verdict] = (await node.rpc('testmempoolaccept', [[hex]])) as readonly { allowed: boolean }[]
      expect(verdict?.allowed).to.equal(true)
    })

    it('a reorg of a payment, of our own spending, and another spending instead -> exact each time', async () => {
      const scene = await funded(['p2wpkh', 100_000n])
      const { wallet } = scene
      const request = { purpose: 'x', outputs: [{ ...CHANNEL, amount: sat(50_000n) }], feerate: FEERATE }
      const one = await wallet.fund(request)
      const signed = await wallet.sign(one.transaction, one.coins)
      await publish(scene, signed)
      await mine(scene)
      const change = 50_000n - one.fee
      expect(amounts(await wallet.balance())).to.deep.equal({ confirmed: change })
      // Both its block and that of the payment go; the node puts them back into its mempool and mines them again.
      await invalidate(node, 2)
      await mine(scene, 3)
      expect(amounts(await wallet.balance())).to.deep.equal({ confirmed: change })
      // Now ours is replaced on the new branch by another of ours.
      const output: { amount: Sat; script: Uint8Array } = { amount: sat(30_000n), script: CHANNEL.script }
      const rival: Transaction = {
        ...one.transaction,
        outputs: [
          output,
          ...one.transaction.outputs.slice(1).map((o) => ({ ...o, amount: sat(o.amount + 15_000n) })),
        ],
      }
      const signedRival = await wallet.sign(rival, one.coins)
      await invalidate(node, 3)
      await chain.accept(signedRival)
      await mine(scene, 4)
      expect(amounts(await wallet.balance())).to.deep.equal({ confirmed: change + 15_000n })
      expect(
        equalBytes((await wallet.coins())[0]?.outpoint.txid ?? new Uint8Array(), transactionID(signedRival)),
      ).to.equal(true)
      expect(encodeTransaction(signed).length).to.be.greaterThan(0)
    })

    it('closed -> CLOSED; closing again is fine', async () => {
      const { wallet } = await sceneOf(node, chain)
      await wallet.close()
      await wallet.close()
      const request = { purpose: 'x', outputs: [CHANNEL], feerate: FEERATE }
      expect(await failure(wallet.fund(request))).to.include({ code: 'CLOSED' })
      expect(await failure(wallet.balance())).to.include({ code: 'CLOSED' })
      expect(await failure(wallet.newAddress())).to.include({ code: 'CLOSED' })
    })
  })
}

describe('bitcoin/wallet: of a node that is started again', () => {
  const directory = mkdtempSync(join(tmpdir(), 'perkunas-wallet-'))
  after(() => rmSync(directory, { recursive: true, force: true }))

  it('a reservation -> still locked in the node, for others too, and still ours', async function () {
    this.timeout(60_000)
    const first = await startBitcoind({ args: ['-keypool=5'], directory })
    const store = new MemoryStore()
    const options = { wallet: 'ours', store, credentials: { cookieFile: first.cookieFile }, url: first.url }
    const wallet = await BitcoindWallet.open(options)
    const { address } = await wallet.newAddress()
    // Each block that pays it makes the wallet write.
    await first.rpc('generatetoaddress', [2, address])
    await mineNew(first, 99)
    expect(amounts(await wallet.balance())).to.deep.equal({
      confirmed: 5_000_000_000n,
      immature: 5_000_000_000n,
    })
    const request = { purpose: 'x', outputs: [CHANNEL], feerate: FEERATE }
    const { reservation } = await wallet.fund(request)
    await first.stop()
    const second = await startBitcoind({
      args: ['-keypool=5'],
      directory,
      port: Number(new URL(first.url).port),
    })
    try {
      expect(((await second.rpc('listlockunspent')) as unknown[]).length).to.equal(1)
      expect((await wallet.balance()).reserved).to.equal(5_000_000_000n)
      // Unloaded by somebody: loaded again when it is needed.
      await second.rpc('unloadwallet', ['ours'])
      expect((await wallet.balance()).reserved).to.equal(5_000_000_000n)
      await second.rpc('lockunspent', [true])
      await wallet.close()
      const again = await BitcoindWallet.open(options)
      expect(((await second.rpc('listlockunspent')) as unknown[]).length).to.equal(1)
      await again.release(reservation.id)
      expect(await second.rpc('listlockunspent')).to.deep.equal([])
      await again.close()
    } finally {
      await second.stop()
    }
  })

  it('closed while its node hangs -> the open call ends with CLOSED, without waiting for the node', async function () {
    this.timeout(60_000)
    await using node = await startBitcoind({ args: ['-keypool=5'] })
    const credentials = { cookieFile: node.cookieFile }
    const store = new MemoryStore()
    const wallet = await BitcoindWallet.open({ url: node.url, credentials, wallet: 'w', store })
    process.kill(node.pid, 'SIGSTOP')
    const open = failure(wallet.fund({ purpose: 'x', outputs: [CHANNEL], feerate: FEERATE }))
    const started = performance.now()
    await wallet.close()
    expect(await open).to.include({ code: 'CLOSED' })
    // Far below the 30 seconds that an answer may take.
    expect(performance.now() - started).to.be.lessThan(10_000)
  })

  it('a node without wallets, a wallet without private keys -> UNSUPPORTED', async function () {
    this.timeout(60_000)
    await using node = await startBitcoind()
    const options = { store: new MemoryStore(), credentials: { cookieFile: node.cookieFile }, url: node.url }
    await node.rpc('createwallet', ['blind', true])
    expect(await failure(BitcoindWallet.open({ ...options, wallet: 'blind' }))).to.include({
      code: 'UNSUPPORTED',
    })
    await using bare = await startBitcoind({ args: ['-disablewallet'] })
    const other = { ...options, credentials: { cookieFile: bare.cookieFile }, url: bare.url, wallet: 'x' }
    expect(await failure(BitcoindWallet.open(other))).to.include({ code: 'UNSUPPORTED' })
  })
})
