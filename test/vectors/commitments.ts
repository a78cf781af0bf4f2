// The cases of a file of commitments, of whichever form: everything in it is built anew and signed again.
import { expect } from 'chai'
import { type Book, newBook, type OpenHtlc, viewOf } from '../../backend/bitcoin/channel/book.js'
import { derivePublicKey, deriveRevocationKey, deriveSecret } from '../../backend/bitcoin/keys/derive.js'
import { buildCommitment, type Commitment, type HtlcOutput } from '../../backend/bitcoin/script/commitment.js'
import type { CommitmentKeys } from '../../backend/bitcoin/script/commitment-scripts.js'
import { commitmentFee } from '../../backend/bitcoin/script/fees.js'
import type { CommitmentFormat } from '../../backend/bitcoin/script/format.js'
import { commitmentNumberOf, obscure, obscuringFactor } from '../../backend/bitcoin/script/number.js'
import { fundingScript } from '../../backend/bitcoin/script/scripts.js'
import { readWitnessSignature } from '../../backend/bitcoin/script/signature.js'
import {
  completeCommitment,
  completeHtlcTransaction,
  faultOfSignatures,
  signCommitment,
  signOwnCommitment,
} from '../../backend/bitcoin/script/signing.js'
import {
  decodeTransaction,
  displayID,
  encodeTransaction,
  type Transaction,
  transactionID,
} from '../../backend/bitcoin/script/transaction.js'
import { blockHeight, feeratePerKw, msat, sat } from '../../backend/bitcoin/units.js'
import { secp256k1 } from '../../wallet/secp256k1.js'
import { bytes, type Case, digits, load } from './cases.js'

interface VectorHtlc {
  readonly id: number
  readonly direction: 'offered' | 'received'
  readonly amount_msat: number
  readonly cltv_expiry: number
  readonly payment_preimage: string
  readonly payment_hash: string
}

interface Test {
  readonly name: string
  readonly to_local_msat: number
  readonly to_remote_msat: number
  readonly feerate_per_kw?: number
  readonly dust_limit_sat?: number
  /** Indices into the file's list, or the HTLCs themselves. */
  readonly htlcs: readonly (number | VectorHtlc)[]
  readonly base_fee_sat?: number
  readonly actual_fee_sat?: number
  readonly fee_sat?: number
  readonly outputs: readonly {
    readonly index: number
    readonly type: string
    readonly htlc?: number
    readonly amount_sat: number
    readonly script_pubkey: string
    readonly witness_script?: string
  }[]
  readonly remote_signature: string
  readonly remote_signature_der?: string
  readonly local_signature: string
  readonly local_signature_der?: string
  readonly commitment_txid: string
  readonly commitment_tx: string
  readonly htlc_txs: readonly {
    readonly signature_index: number
    readonly output_index: number
    readonly kind: 'success' | 'timeout'
    readonly htlc: number
    readonly remote_htlc_signature: string
    readonly remote_htlc_signature_der?: string
    readonly local_htlc_signature: string
    readonly local_htlc_signature_der?: string
    readonly txid: string
    readonly tx: string
  }[]
}

interface File {
  readonly params: {
    readonly funding_txid: string
    readonly funding_output_index: number
    readonly funding_amount_sat: number
    readonly commitment_number: number
    readonly to_self_delay: number
    readonly dust_limit_sat?: number
    readonly obscuring_factor: string
    readonly obscured_commitment_number?: string
    readonly opener: 'local' | 'remote'
    readonly secrets: Readonly<Record<string, string>>
    readonly keys: Readonly<Record<string, string>>
  }
  readonly htlcs?: readonly VectorHtlc[]
  readonly tests: readonly Test[]
}

const ROLES: Readonly<Record<string, string>> = {
  to_local: 'to_local',
  to_remote: 'to_remote',
  to_local_anchor: 'local_anchor',
  to_remote_anchor: 'remote_anchor',
  shared_anchor: 'shared_anchor',
  offered_htlc: 'htlc',
  received_htlc: 'htlc',
}

/** One case for the keys, then one for each commitment and one for each HTLC transaction. */
export function commitmentCases(name: string, format: CommitmentFormat): readonly Case[] {
  const file = load<File>(name)
  return [
    { name: 'keys and obscuring factor from the secrets', run: () => checkKeys(file) },
    ...file.tests.flatMap((test) => [
      { name: test.name, run: () => checkCommitment(file, test, format) },
      ...test.htlc_txs.map((_, i) => ({
        name: `${test.name}: HTLC transaction ${i}`,
        run: () => checkHtlcTransaction(file, test, i, format),
      })),
    ]),
  ]
}

function checkKeys({ params }: File): void {
  const { secrets, keys } = params
  for (const [name, secret] of Object.entries(secrets)) {
    const label = name
      .replace(/_privkey$/, '_pubkey')
      .replace(/_secret$/, name.endsWith('per_commitment_secret') ? '_point' : '')
    const expected = keys[label]
    if (expected !== undefined) expect(digits(secp256k1.publicKey(bytes(secret))), label).to.equal(expected)
  }
  const derived = keysOf(params)
  const point = bytes(text(keys, 'local_per_commitment_point'))
  expect(digits(deriveSecretKey(params, 'local_htlc_basepoint_secret'))).to.equal(digits(derived.localHtlc))
  expect(digits(deriveSecretKey(params, 'remote_htlc_basepoint_secret'))).to.equal(digits(derived.remoteHtlc))
  expect(digits(derived.localHtlc)).to.equal(keys['local_htlcpubkey'])
  expect(digits(derived.remoteHtlc)).to.equal(keys['remote_htlcpubkey'])
  expect(digits(derived.localDelayed)).to.equal(keys['local_delayedpubkey'])
  expect(digits(deriveRevocationKey(bytes(text(keys, 'remote_revocation_basepoint')), point))).to.equal(
    keys['local_revocation_pubkey'],
  )
  const factor = obscuringFactor(
    bytes(text(keys, 'local_payment_basepoint')),
    bytes(text(keys, 'remote_payment_basepoint')),
  )
  expect(factor).to.equal(BigInt(`0x${params.obscuring_factor}`))
  const { obscured_commitment_number: obscured } = params
  if (obscured !== undefined)
    expect(obscure(BigInt(params.commitment_number), factor)).to.deep.equal({
      locktime: Number(`0x20${obscured.slice(6)}`),
      sequence: Number(`0x80${obscured.slice(0, 6)}`),
    })
  const script = keys['funding_witness_script']
  if (script !== undefined)
    expect(digits(fundingScript(derived.localFunding, derived.remoteFunding))).to.equal(script)
  for (const name of ['local_htlc', 'remote_htlc', 'local_delayed']) {
    const secret = secrets[`derived_${name}_privkey`]
    const base = `${name.replace('delayed', 'delayed_payment')}_basepoint_secret`
    if (secret !== undefined) expect(digits(derivedSecret(params, base)), name).to.equal(secret)
  }
}

/** The public key of a secret derived for this commitment. */
function deriveSecretKey(params: File['params'], name: string): Uint8Array {
  return secp256k1.publicKey(derivedSecret(params, name))
}

function derivedSecret({ secrets, keys }: File['params'], name: string): Uint8Array {
  return deriveSecret(bytes(text(secrets, name)), bytes(text(keys, 'local_per_commitment_point')))
}

function keysOf({ keys, secrets }: File['params']): CommitmentKeys {
  const point = bytes(text(keys, 'local_per_commitment_point'))
  const base = (side: string) => secp256k1.publicKey(bytes(text(secrets, `${side}_basepoint_secret`)))
  return {
    localFunding: bytes(text(keys, 'local_funding_pubkey')),
    remoteFunding: bytes(text(keys, 'remote_funding_pubkey')),
    revocation: deriveRevocationKey(bytes(text(keys, 'remote_revocation_basepoint')), point),
    localDelayed: derivePublicKey(base('local_delayed_payment'), point),
    localHtlc: derivePublicKey(base('local_htlc'), point),
    remoteHtlc: derivePublicKey(base('remote_htlc'), point),
    remotePayment: bytes(text(keys, 'remote_payment_basepoint')),
  }
}

function htlcOf(file: File, one: number | VectorHtlc): VectorHtlc {
  const found = typeof one === 'number' ? file.htlcs?.find(({ id }) => id === one) : one
  if (found === undefined) throw new Error(`no HTLC ${JSON.stringify(one)}`)
  return found
}

function build(file: File, test: Test, format: CommitmentFormat): Commitment {
  const { params } = file
  return buildCommitment({
    format,
    number: BigInt(params.commitment_number),
    obscuringFactor: BigInt(`0x${params.obscuring_factor}`),
    funding: {
      outpoint: { txid: bytes(params.funding_txid).reverse(), index: params.funding_output_index },
      amount: sat(BigInt(params.funding_amount_sat)),
    },
    keys: keysOf(params),
    opener: params.opener,
    toSelfDelay: params.to_self_delay,
    dustLimit: sat(BigInt(test.dust_limit_sat ?? params.dust_limit_sat ?? Number.NaN)),
    ...viewOf(bookOf(file, test), 'local'),
  })
}

/** The channel whose commitment it is: in its book an HTLC's amount is still with who offered it. */
function bookOf(file: File, test: Test): Book {
  const htlcs = test.htlcs.map((one): OpenHtlc => {
    const { id, direction, amount_msat, cltv_expiry, payment_hash } = htlcOf(file, one)
    return {
      offerer: direction === 'offered' ? 'local' : 'remote',
      id: BigInt(id),
      amount: msat(BigInt(amount_msat)),
      paymentHash: bytes(payment_hash),
      cltvExpiry: blockHeight(cltv_expiry),
      stage: 'locked',
    }
  })
  const offeredBy = (side: OpenHtlc['offerer']) =>
    htlcs.reduce((sum, { offerer, amount }) => (offerer === side ? sum + amount : sum), 0n)
  return {
    ...newBook({
      opener: file.params.opener,
      balances: {
        local: msat(BigInt(test.to_local_msat) + offeredBy('local')),
        remote: msat(BigInt(test.to_remote_msat) + offeredBy('remote')),
      },
      feerate: feeratePerKw(test.feerate_per_kw ?? 0),
    }),
    htlcs,
  }
}

function checkCommitment(file: File, test: Test, format: CommitmentFormat): void {
  const { secrets, obscuring_factor, commitment_number } = file.params
  const commitment = build(file, test, format)
  expect(
    commitment.outputs.map((output) => [
      output.role,
      output.amount,
      digits(output.script),
      output.role === 'htlc' ? output.htlc.id : undefined,
    ]),
  ).to.deep.equal(
    test.outputs.map(({ type, amount_sat, script_pubkey, htlc }) => [
      ROLES[type],
      BigInt(amount_sat),
      script_pubkey,
      htlc === undefined ? undefined : BigInt(htlc),
    ]),
  )
  expect(test.outputs.map(({ index }) => index)).to.deep.equal(test.outputs.map((_, i) => i))
  commitment.outputs.forEach((output, i) => {
    const expected = test.outputs[i]?.witness_script
    if (expected !== undefined) {
      expect('witnessScript' in output && output.witnessScript && digits(output.witnessScript)).to.equal(
        expected,
      )
    }
  })
  if (test.base_fee_sat !== undefined) {
    expect(commitmentFee(format, feeratePerKw(test.feerate_per_kw ?? 0), commitment.htlcs.length)).to.equal(
      BigInt(test.base_fee_sat),
    )
  }
  expect(commitment.fee).to.equal(BigInt(test.actual_fee_sat ?? test.fee_sat ?? Number.NaN))
  const signed = signCommitment(commitment, {
    funding: bytes(text(secrets, 'remote_funding_privkey')),
    htlc: derivedSecret(file.params, 'remote_htlc_basepoint_secret'),
  })
  expect(digits(signed.signature)).to.equal(test.remote_signature)
  expect(signed.htlcSignatures.map(digits)).to.deep.equal(
    test.htlc_txs.map(({ remote_htlc_signature }) => remote_htlc_signature),
  )
  expect(faultOfSignatures(commitment, signed)).to.equal(undefined)
  const local = signOwnCommitment(commitment, bytes(text(secrets, 'local_funding_privkey')))
  expect(digits(local)).to.equal(test.local_signature)
  const complete = completeCommitment(commitment, { local, remote: signed.signature })
  checkTransaction(complete, test.commitment_tx, test.commitment_txid)
  expect(commitmentNumberOf(complete, BigInt(`0x${obscuring_factor}`))).to.equal(BigInt(commitment_number))
  if (format !== 'zero_fee') {
    const items = complete.inputs[0]?.witness.slice(1, 3) ?? []
    expect(items.map((item) => digits(item.slice(0, -1)))).to.have.members([
      test.remote_signature_der,
      test.local_signature_der,
    ])
    for (const item of items) {
      const { compact } = readWitnessSignature(item) ?? {}
      expect([test.remote_signature, test.local_signature]).to.include(compact && digits(compact))
    }
  }
}

function checkHtlcTransaction(file: File, test: Test, i: number, format: CommitmentFormat): void {
  const expected = test.htlc_txs[i]
  if (expected === undefined) throw new Error(`no HTLC transaction ${i}`)
  const commitment = build(file, test, format)
  const output: HtlcOutput | undefined = commitment.htlcs[i]
  if (output === undefined) throw new Error(`no HTLC output ${i}`)
  // Signatures come in the order of the outputs.
  expect(expected.signature_index).to.equal(i)
  expect(output.index).to.equal(expected.output_index)
  expect(output.htlc.id).to.equal(BigInt(expected.htlc))
  expect(output.htlc.direction).to.equal(expected.kind === 'success' ? 'received' : 'offered')
  const all = test.htlcs.map((one) => htlcOf(file, one))
  const { payment_preimage } =
    all.find(({ id, direction }) => BigInt(id) === output.htlc.id && direction === output.htlc.direction) ??
    {}
  const complete = completeHtlcTransaction(commitment, output, {
    remote: bytes(expected.remote_htlc_signature),
    htlcSecret: derivedSecret(file.params, 'local_htlc_basepoint_secret'),
    ...(expected.kind === 'success' ? { preimage: bytes(payment_preimage ?? '') } : {}),
  })
  checkTransaction(complete, expected.tx, expected.txid)
  const own = readWitnessSignature(complete.inputs[0]?.witness[2] ?? new Uint8Array())
  expect(own && digits(own.compact)).to.equal(expected.local_htlc_signature)
  if (format === 'zero_fee') return
  const items = complete.inputs[0]?.witness.slice(1, 3) ?? []
  expect(items.map((item) => digits(item.slice(0, -1)))).to.deep.equal([
    expected.remote_htlc_signature_der,
    expected.local_htlc_signature_der,
  ])
}

function checkTransaction(tx: Transaction, encoded: string, txid: string): void {
  expect(digits(encodeTransaction(tx))).to.equal(encoded)
  expect(displayID(transactionID(tx))).to.equal(txid)
  expect(digits(encodeTransaction(decodeTransaction(bytes(encoded))))).to.equal(encoded)
}

function text(record: Readonly<Record<string, string>>, name: string): string {
  const value = record[name]
  if (value === undefined) throw new Error(`${name} is not in the file`)
  return value
}
