// Proposal, BOLT pull request 995: script trees, and the commitments and HTLC transactions that spend and have them.
//
// The scripts named accepted_htlc_* were published with sender and receiver as local and remote; what the transactions
// have is the other way round, as it must be.
import { SigHash, Transaction } from '@scure/btc-signer'
import { expect } from 'chai'
import {
  leafHash,
  type TaprootKeys,
  type TaprootOutput,
  taprootAnchor,
  taprootFunding,
  taprootOffered,
  taprootReceived,
  taprootSecondLevel,
  taprootToLocal,
  taprootToRemote,
} from '../../backend/bitcoin/script/taproot.js'
import {
  decodeTransaction,
  displayID,
  encodeTransaction,
  type Transaction as OurTransaction,
  transactionID,
} from '../../backend/bitcoin/script/transaction.js'
import { secp256k1 } from '../../wallet/secp256k1.js'
import { bytes, type Case, digits, load } from './cases.js'

interface Tree {
  readonly scripts: Readonly<Record<string, string>>
  readonly leaf_hashes: Readonly<Record<string, string>>
  readonly tapscript_root: string
  readonly internal_key: string
  readonly output_key: string
  readonly pkscript: string
}

interface VectorHtlc {
  readonly incoming: boolean
  readonly amount_msat: number
  readonly expiry: number
  readonly preimage: string
  readonly payment_hash: string
}

interface VectorTransaction {
  readonly name: string
  readonly htlcs: readonly VectorHtlc[]
  readonly local_sec_nonce: string
  readonly remote_sec_nonce: string
  readonly local_nonce: string
  readonly remote_nonce: string
  readonly expected_commitment_tx_hex: string
  readonly commitment_txid: string
  readonly htlc_descs: readonly {
    readonly remote_partial_sig_hex: string
    readonly resolution_tx_hex: string
    readonly output_index: number
  }[]
}

interface File {
  readonly params: {
    readonly funding_amount_satoshis: number
    readonly csv_delay: number
    readonly keys: Readonly<Record<string, string>>
  }
  readonly scripts: Readonly<Record<string, Tree>> & {
    readonly funding: {
      readonly combined_key: string
      readonly pkscript: string
      readonly funding_tx_hex: string
    }
  }
  readonly transactions: readonly VectorTransaction[]
}

/** Outputs, nonces, commitments, HTLC transactions. */
export function cases(): readonly Case[] {
  const file = load<File>('simple-taproot')
  const { funding, ...trees } = file.scripts
  return [
    {
      name: 'funding output by MuSig2',
      run: () => {
        const { outputKey, script } = fundingOf(file)
        expect(digits(outputKey.slice(1))).to.equal(funding.combined_key)
        expect(digits(script)).to.equal(funding.pkscript)
        const [output] = decodeTransaction(bytes(funding.funding_tx_hex)).outputs
        expect(output && digits(output.script)).to.equal(funding.pkscript)
      },
    },
    ...Object.entries(trees).map(([name, tree]) => ({
      name: `script tree: ${name}`,
      run: () => checkTree(file, name, tree),
    })),
    ...file.transactions.flatMap((one) => [
      { name: `${one.name}: public nonces of the secret ones`, run: () => checkNonces(one) },
      {
        name: `${one.name}: every output is one of ours, and the signature is by both funding keys`,
        run: () => checkCommitment(file, one),
      },
      {
        name: `${one.name}: built and signed by MuSig2`,
        run: () => undefined,
        pending: 'the form of commitment is a proposal: its outputs are there, building with them is not',
      },
      ...one.htlc_descs.map((_, i) => ({
        name: `${one.name}: HTLC transaction ${i}: leaf, control block and both signatures`,
        run: () => checkHtlc(file, one, i),
      })),
    ]),
  ]
}

function fundingOf({ params: { keys } }: File): TaprootOutput {
  return taprootFunding(keyOf(keys, 'local_funding_pubkey'), keyOf(keys, 'remote_funding_pubkey'))
}

function keysOf({ params: { keys } }: File): TaprootKeys {
  return {
    revocation: keyOf(keys, 'derived_revocation_pubkey'),
    localDelayed: keyOf(keys, 'derived_local_delayed_pubkey'),
    localHtlc: keyOf(keys, 'derived_local_htlc_pubkey'),
    remoteHtlc: keyOf(keys, 'derived_remote_htlc_pubkey'),
    remotePayment: keyOf(keys, 'remote_payment_basepoint'),
  }
}

function outputOf(file: File, name: string): TaprootOutput {
  const keys = keysOf(file)
  const { csv_delay } = file.params
  const [first] = file.transactions[1]?.htlcs ?? []
  const paymentHash = bytes(first?.payment_hash ?? '')
  switch (name) {
    case 'to_local':
      return taprootToLocal(keys, csv_delay)
    case 'to_remote':
      return taprootToRemote(keys)
    case 'local_anchor':
      return taprootAnchor(keys.localDelayed)
    case 'remote_anchor':
      return taprootAnchor(keys.remotePayment)
    case 'offered_htlc_local_commit':
    case 'offered_htlc_remote_commit':
      return taprootOffered(keys, paymentHash)
    case 'accepted_htlc_local_commit':
    case 'accepted_htlc_remote_commit':
      return taprootReceived(
        { ...keys, localHtlc: keys.remoteHtlc, remoteHtlc: keys.localHtlc },
        { paymentHash, cltvExpiry: first?.expiry ?? 0 },
      )
    case 'second_level_htlc_success':
    case 'second_level_htlc_timeout':
      return taprootSecondLevel(keys, csv_delay)
    default:
      throw new Error(`unknown output ${name}`)
  }
}

function checkTree(file: File, name: string, tree: Tree): void {
  const output = outputOf(file, name)
  const hex = (leaves: Readonly<Record<string, Uint8Array>>, of = (leaf: Uint8Array) => leaf) =>
    Object.fromEntries(Object.entries(leaves).map(([role, leaf]) => [role, digits(of(leaf))]))
  expect(hex(output.leaves)).to.deep.equal(tree.scripts)
  expect(hex(output.leaves, leafHash)).to.deep.equal(tree.leaf_hashes)
  expect(output.root && digits(output.root)).to.equal(tree.tapscript_root)
  expect(digits(output.internalKey)).to.equal(tree.internal_key)
  expect(digits(output.outputKey)).to.equal(tree.output_key)
  expect(digits(output.script)).to.equal(tree.pkscript)
}

function checkNonces(one: VectorTransaction): void {
  for (const side of ['local', 'remote'] as const) {
    const secret = bytes(one[`${side}_sec_nonce`])
    const points = [secret.slice(0, 32), secret.slice(32, 64)].map((half) =>
      digits(secp256k1.publicKey(half)),
    )
    expect(points.join('')).to.equal(one[`${side}_nonce`])
  }
}

/** The HTLC outputs of a commitment, by script. */
function htlcOutputs(
  file: File,
  one: VectorTransaction,
): readonly (TaprootOutput & { readonly htlc: VectorHtlc })[] {
  const keys = keysOf(file)
  return one.htlcs.map((htlc) => ({
    htlc,
    ...(htlc.incoming
      ? taprootReceived(keys, { paymentHash: bytes(htlc.payment_hash), cltvExpiry: htlc.expiry })
      : taprootOffered(keys, bytes(htlc.payment_hash))),
  }))
}

function checkCommitment(file: File, one: VectorTransaction): void {
  const tx = decodeTransaction(bytes(one.expected_commitment_tx_hex))
  expect(displayID(transactionID(tx))).to.equal(one.commitment_txid)
  const ours = [
    ...['to_local', 'to_remote', 'local_anchor', 'remote_anchor'].map((name) => outputOf(file, name)),
    ...htlcOutputs(file, one),
  ].map(({ script }) => digits(script))
  for (const { script } of tx.outputs) expect(ours).to.include(digits(script))
  const funding = fundingOf(file)
  const digest = scure(tx).preimageWitnessV1(0, [funding.script], SigHash.DEFAULT, [
    BigInt(file.params.funding_amount_satoshis),
  ])
  const [signature = new Uint8Array()] = tx.inputs[0]?.witness ?? []
  expect(secp256k1.schnorrVerify(signature, digest, funding.outputKey.slice(1))).to.equal(true)
}

function checkHtlc(file: File, one: VectorTransaction, i: number): void {
  const desc = one.htlc_descs[i]
  if (desc === undefined) throw new Error(`no HTLC transaction ${i}`)
  const keys = keysOf(file)
  const commitment = decodeTransaction(bytes(one.expected_commitment_tx_hex))
  const spent = commitment.outputs[desc.output_index]
  const output = htlcOutputs(file, one).find(
    ({ script }) => digits(script) === (spent && digits(spent.script)),
  )
  if (spent === undefined || output === undefined) throw new Error('spends no HTLC of ours')
  const role = output.htlc.incoming ? 'success' : 'timeout'
  const leaf = output.leaves[role] ?? new Uint8Array()
  const sibling = output.leaves[output.htlc.incoming ? 'timeout' : 'success'] ?? new Uint8Array()
  const tx = decodeTransaction(bytes(desc.resolution_tx_hex))
  expect(tx.inputs[0]?.outpoint).to.deep.equal({ txid: transactionID(commitment), index: desc.output_index })
  expect(tx.outputs.map(({ script }) => digits(script))).to.deep.equal([
    digits(taprootSecondLevel(keys, file.params.csv_delay).script),
  ])
  expect(tx.locktime).to.equal(output.htlc.incoming ? 0 : output.htlc.expiry)
  const witness = tx.inputs[0]?.witness ?? []
  const [remote = new Uint8Array(), local = new Uint8Array()] = witness
  // The parity of the output key, the internal key, and the other leaf.
  const control = `${(((output.outputKey[0] ?? 0) & 1) | 0xc0).toString(16)}${digits(output.internalKey.slice(1))}${digits(leafHash(sibling))}`
  expect(witness.slice(2).map(digits)).to.deep.equal([
    ...(output.htlc.incoming ? [output.htlc.preimage] : []),
    digits(leaf),
    control,
  ])
  const digest = (sighash: SigHash) =>
    scure(tx).preimageWitnessV1(0, [spent.script], sighash, [spent.amount], undefined, leaf)
  expect(digits(remote)).to.equal(`${desc.remote_partial_sig_hex}83`)
  const verify = (signature: Uint8Array, sighash: SigHash, key: Uint8Array) =>
    secp256k1.schnorrVerify(signature, digest(sighash), key.slice(1))
  expect(verify(remote.slice(0, 64), SigHash.SINGLE_ANYONECANPAY, keys.remoteHtlc)).to.equal(true)
  expect(verify(local, SigHash.DEFAULT, keys.localHtlc)).to.equal(true)
}

function scure(tx: OurTransaction): Transaction {
  return Transaction.fromRaw(encodeTransaction(tx), {
    allowUnknownOutputs: true,
    allowUnknownInputs: true,
    disableScriptCheck: true,
  })
}

function keyOf(keys: Readonly<Record<string, string>>, name: string): Uint8Array {
  const key = keys[name]
  if (key === undefined) throw new Error(`${name} is not in the file`)
  return bytes(key)
}
