// BOLT 3, Appendix B: a funding transaction of one opener, from a P2PKH output.
import { expect } from 'chai'
import { buildFunding, fundingOutput } from '../../backend/bitcoin/script/funding.js'
import { sha256d } from '../../backend/bitcoin/script/hash.js'
import { fundingScript } from '../../backend/bitcoin/script/scripts.js'
import { SIGHASH_ALL, witnessSignature } from '../../backend/bitcoin/script/signature.js'
import {
  decodeTransaction,
  displayID,
  encodeTransaction,
  encodeWithoutWitness,
  transactionID,
} from '../../backend/bitcoin/script/transaction.js'
import { feeratePerKw, sat } from '../../backend/bitcoin/units.js'
import { concat } from '../../channel/bytes.js'
import { secp256k1 } from '../../wallet/secp256k1.js'
import { bytes, type Case, digits, load } from './cases.js'

interface File {
  readonly block1_coinbase_tx: string
  readonly block1_coinbase_privkey: string
  readonly local_funding_pubkey: string
  readonly remote_funding_pubkey: string
  readonly funding_witness_script: string
  readonly input: { readonly txid: string; readonly index: number; readonly amount_sat: number }
  readonly funding_amount_sat: number
  readonly feerate_per_kw: number
  readonly change_amount_sat: number
  readonly funding_output_index: number
  readonly funding_tx: string
  readonly funding_txid: string
}

/** The script, and the transaction. */
export function cases(): readonly Case[] {
  const file = load<File>('bolt03-funding')
  const keys = [bytes(file.local_funding_pubkey), bytes(file.remote_funding_pubkey)] as const
  return [
    {
      name: 'funding script, whichever side comes first',
      run: () => {
        expect(digits(fundingScript(keys[0], keys[1]))).to.equal(file.funding_witness_script)
        expect(digits(fundingScript(keys[1], keys[0]))).to.equal(file.funding_witness_script)
      },
    },
    { name: 'funding transaction, its change and its signature', run: () => check(file, keys) },
  ]
}

function check(file: File, keys: readonly [Uint8Array, Uint8Array]): void {
  const published = decodeTransaction(bytes(file.funding_tx))
  const changeScript = published.outputs[1 - file.funding_output_index]?.script ?? new Uint8Array()
  const coinbase = decodeTransaction(bytes(file.block1_coinbase_tx))
  const spent = coinbase.outputs[file.input.index]
  const built = buildFunding({
    inputs: [
      {
        outpoint: { txid: transactionID(coinbase), index: file.input.index },
        amount: sat(BigInt(file.input.amount_sat)),
        // 41 bytes, and a signature of 72 and a key of 33 with a push each.
        weight: 4 * (41 + 107),
      },
    ],
    output: fundingOutput(sat(BigInt(file.funding_amount_sat)), keys),
    changeScript,
    feerate: feeratePerKw(file.feerate_per_kw),
  })
  expect(displayID(transactionID(coinbase))).to.equal(file.input.txid)
  expect(built.fundingIndex).to.equal(file.funding_output_index)
  expect(built.transaction.outputs[built.changeIndex ?? -1]?.amount).to.equal(BigInt(file.change_amount_sat))
  // The input is not segwit: its digest is of the transaction with the spent script in place of the signature.
  const withScript = (scriptSig: Uint8Array) => ({
    ...built.transaction,
    inputs: built.transaction.inputs.map((input) => ({ ...input, scriptSig })),
  })
  const preimage = encodeWithoutWitness(withScript(spent?.script ?? new Uint8Array()))
  const digest = sha256d(concat(preimage, Uint8Array.of(SIGHASH_ALL, 0, 0, 0)))
  const secret = bytes(file.block1_coinbase_privkey)
  const item = witnessSignature(secp256k1.sign(digest, secret).signature, SIGHASH_ALL)
  const key = secp256k1.publicKey(secret)
  const signed = withScript(concat(Uint8Array.of(item.length), item, Uint8Array.of(key.length), key))
  expect(digits(encodeTransaction(signed))).to.equal(file.funding_tx)
  expect(displayID(transactionID(signed))).to.equal(file.funding_txid)
}
