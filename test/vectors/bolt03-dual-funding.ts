// BOLT 3, Appendix G: a funding transaction that two sides build together.
import { expect } from 'chai'
import {
  buildShared,
  contributionFee,
  contributionWeight,
  fundingOutput,
  sharedChange,
} from '../../backend/bitcoin/script/funding.js'
import { fundingScript } from '../../backend/bitcoin/script/scripts.js'
import {
  decodeTransaction,
  displayID,
  encodeTransaction,
  encodeWithoutWitness,
  transactionID,
} from '../../backend/bitcoin/script/transaction.js'
import { feeratePerKw, sat } from '../../backend/bitcoin/units.js'
import { bytes, type Case, digits, load } from './cases.js'

interface Side {
  readonly tx_add_input: readonly {
    readonly serial_id: number
    readonly prevtx: string
    readonly prevtx_vout: number
    readonly sequence: number
  }[]
  readonly tx_add_output: readonly {
    readonly serial_id: number
    readonly sats: number
    readonly script: string
  }[]
  readonly tx_signatures: {
    readonly txid: string
    readonly witnesses: readonly string[]
    readonly witness_len: number
  }
  readonly weight: number
  readonly fee_sat: number
  readonly change_sat: number
}

interface File {
  readonly parent_tx: string
  readonly parent_txid: string
  readonly locktime: number
  readonly feerate_per_kw: number
  readonly opener_funding_sat: number
  readonly accepter_funding_sat: number
  readonly opener: Side
  readonly accepter: Side
  readonly funding: {
    readonly pubkey1: string
    readonly pubkey2: string
    readonly witness_script: string
    readonly script_pubkey: string
    readonly amount_sat: number
  }
  readonly unsigned_tx: string
  readonly signed_tx: string
  readonly txid: string
}

/** Both sides' fees, then the transaction. */
export function cases(): readonly Case[] {
  const file = load<File>('bolt03-dual-funding')
  return [
    { name: 'parent transaction: read, ID, written', run: () => checkParent(file) },
    { name: 'funding output', run: () => checkOutput(file) },
    ...(['opener', 'accepter'] as const).map((name) => ({
      name: `${name}: weight, fee and change`,
      run: () => checkFee(file, name),
    })),
    {
      name: 'transaction in the order of serial IDs, unsigned and signed',
      run: () => checkTransaction(file),
    },
  ]
}

function checkParent({ parent_tx, parent_txid }: File): void {
  const parent = decodeTransaction(bytes(parent_tx))
  expect(displayID(transactionID(parent))).to.equal(parent_txid)
  expect(digits(encodeTransaction(parent))).to.equal(parent_tx)
}

function checkOutput({ funding }: File): void {
  const keys = [bytes(funding.pubkey1), bytes(funding.pubkey2)] as const
  expect(digits(fundingScript(...keys))).to.equal(funding.witness_script)
  expect(digits(fundingOutput(sat(BigInt(funding.amount_sat)), keys).script)).to.equal(funding.script_pubkey)
}

function checkFee(file: File, name: 'opener' | 'accepter'): void {
  const side = file[name]
  const weight = contributionWeight({
    initiator: name === 'opener',
    witnessBytes: side.tx_add_input.map(() => side.tx_signatures.witness_len),
    outputs: outputsOf(side),
  })
  const fee = contributionFee(feeratePerKw(file.feerate_per_kw), weight)
  const inputs = side.tx_add_input.reduce(
    (sum, { prevtx, prevtx_vout }) =>
      sum + (decodeTransaction(bytes(prevtx)).outputs[prevtx_vout]?.amount ?? 0n),
    0n,
  )
  const contribution = sat(BigInt(name === 'opener' ? file.opener_funding_sat : file.accepter_funding_sat))
  expect(weight).to.equal(side.weight)
  expect(fee).to.equal(BigInt(side.fee_sat))
  expect(sharedChange({ inputs: sat(inputs), contribution, fee })).to.equal(BigInt(side.change_sat))
}

function outputsOf({ tx_add_output }: Side) {
  return tx_add_output.map(({ serial_id, sats, script }) => ({
    serialID: BigInt(serial_id),
    amount: sat(BigInt(sats)),
    script: bytes(script),
  }))
}

function checkTransaction(file: File): void {
  const sides = [file.opener, file.accepter]
  const tx = buildShared({
    inputs: sides.flatMap(({ tx_add_input }) =>
      tx_add_input.map(({ serial_id, prevtx, prevtx_vout, sequence }) => ({
        serialID: BigInt(serial_id),
        outpoint: { txid: transactionID(decodeTransaction(bytes(prevtx))), index: prevtx_vout },
        sequence,
      })),
    ),
    outputs: sides.flatMap(outputsOf),
    locktime: file.locktime,
  })
  expect(digits(encodeWithoutWitness(tx))).to.equal(file.unsigned_tx)
  expect(displayID(transactionID(tx))).to.equal(file.txid)
  for (const { tx_signatures } of sides) expect(tx_signatures.txid).to.equal(file.txid)
  // Each witness as tx_signatures carries it is as the transaction has it; the accepter's input comes first.
  const signed = decodeTransaction(bytes(file.signed_tx))
  const witnesses = [file.accepter, file.opener].flatMap((side) => side.tx_signatures.witnesses)
  expect(signed.inputs.map(({ witness }) => encodeWitness(witness))).to.deep.equal(witnesses)
  expect(
    digits(
      encodeTransaction({
        ...tx,
        inputs: tx.inputs.map((input, i) => ({ ...input, witness: signed.inputs[i]?.witness ?? [] })),
      }),
    ),
  ).to.equal(file.signed_tx)
}

function encodeWitness(items: readonly Uint8Array[]): string {
  const byte = (value: number) => value.toString(16).padStart(2, '0')
  return byte(items.length) + items.map((item) => byte(item.length) + digits(item)).join('')
}
