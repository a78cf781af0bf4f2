// The coins with which an LDK node pays for its anchors: one key, P2WPKH. LDK asks for them in the middle of a call, so they
// are known beforehand.
import { p2wpkh, TEST_NETWORK, Transaction } from '@scure/btc-signer'
import * as ldk from 'lightningdevkit'
import { equalBytes } from '../../channel/bytes.js'
import { secp256k1 } from '../../wallet/secp256k1.js'
import { hashOf } from './events.js'

/** A transaction, as far as a wallet cares. IDs as they are shown, amounts in satoshis. */
export interface Movement {
  readonly txid: string
  readonly spends: readonly { readonly txid: string; readonly index: number }[]
  readonly pays: readonly { readonly address: string | undefined; readonly amount: bigint }[]
}

interface Coin {
  readonly txid: string
  readonly index: number
  readonly amount: bigint
  /** Of the block that made it, and of the one that spent it. */
  readonly height: number
  spentAt: number | undefined
}

/** What a signature and a public key weigh in a witness, with their lengths and the empty script. */
const P2WPKH_SATISFACTION_WEIGHT = 4n + 109n

/** A wallet of one key. */
export class Coins {
  readonly address: string
  readonly source: ldk.WalletSource
  /** Whether somebody may have sent something. */
  isUsed = false
  #coins: Coin[] = []

  /** @param secret 32 bytes */
  constructor(secret: Uint8Array) {
    const payment = p2wpkh(secp256k1.publicKey(secret), { ...TEST_NETWORK, bech32: 'bcrt' })
    const { script } = payment
    this.address = payment.address ?? ''
    this.source = ldk.WalletSource.new_impl({
      list_confirmed_utxos: () =>
        ldk.Result_CVec_UtxoZNoneZ.constructor_ok(
          this.#unspent().map(({ txid, index, amount }) =>
            ldk.Utxo.constructor_new(
              ldk.OutPoint.constructor_new(hashOf(txid), index),
              ldk.TxOut.constructor_new(amount, script),
              P2WPKH_SATISFACTION_WEIGHT,
            ),
          ),
        ),
      get_change_script: () => ldk.Result_CVec_u8ZNoneZ.constructor_ok(script),
      sign_psbt: (psbt) => ldk.Result_TransactionNoneZ.constructor_ok(signOwn(psbt, script, secret)),
    })
  }

  /** A block has been connected. */
  connected(transactions: readonly Movement[], height: number): void {
    for (const { txid, spends, pays } of transactions) {
      for (const coin of this.#coins) {
        if (spends.some((one) => one.txid === coin.txid && one.index === coin.index)) coin.spentAt = height
      }
      pays.forEach(({ address, amount }, index) => {
        if (address === this.address) this.#coins.push({ txid, index, amount, height, spentAt: undefined })
      })
    }
  }

  /** The block at a height is gone. */
  disconnected(height: number): void {
    this.#coins = this.#coins.filter((coin) => coin.height !== height)
    for (const coin of this.#coins) if (coin.spentAt === height) coin.spentAt = undefined
  }

  /** In satoshis. */
  get balance(): bigint {
    return this.#unspent().reduce((sum, { amount }) => sum + amount, 0n)
  }

  #unspent(): readonly Coin[] {
    return this.#coins.filter(({ spentAt }) => spentAt === undefined)
  }
}

/** Signs the inputs that pay from this script, and leaves the others without a witness: LDK adds its own. */
function signOwn(psbt: Uint8Array, script: Uint8Array, secret: Uint8Array): Uint8Array {
  const transaction = Transaction.fromPSBT(psbt, { allowUnknownInputs: true, allowUnknownOutputs: true })
  for (let at = 0; at < transaction.inputsLength; at++) {
    const spent = transaction.getInput(at).witnessUtxo
    if (spent === undefined || !equalBytes(spent.script, script)) continue
    transaction.signIdx(secret, at)
    transaction.finalizeIdx(at)
  }
  return transaction.toBytes(true, true)
}
