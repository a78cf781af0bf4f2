import { expect } from 'chai'
import fc from 'fast-check'
import {
  ANCHOR_AMOUNT,
  buildCommitment,
  type Commitment,
  type CommitmentParams,
  commitmentNumberOf,
  commitmentWeight,
  compareBytes,
  completeCommitment,
  completeHtlcTransaction,
  FORMATS,
  faultOfSignatures,
  htlcDigests,
  htlcTransaction,
  htlcTransactionAmount,
  SIGHASH_ALL,
  signCommitment,
  signOwnCommitment,
  type Transaction,
  transactionID,
  trimThreshold,
  weightOf,
  withWitness,
  witnessDigest,
} from '../../../../backend/bitcoin/script/index.js'
import { feeratePerKw, msat, sat, toSat } from '../../../../backend/bitcoin/units.js'
import { isError } from '../../../../channel/errors.js'
import { commitments, type Generated, preimageOf } from './generate.js'

describe('BOLT 3: commitment', () => {
  it('outputs and fee are the funding amount', () => {
    check(commitments(), ({ params }) => {
      const { outputs, fee } = buildCommitment(params)
      expect(outputs.reduce((sum, { amount }) => sum + amount, 0n) + fee).to.equal(params.funding.amount)
    })
  })

  it('each HTLC has an output of its amount, or is trimmed and below the threshold', () => {
    check(commitments(), ({ params }) => {
      const { htlcs, trimmed } = buildCommitment(params)
      for (const htlc of params.htlcs) {
        const small = toSat(htlc.amount) < trimThreshold(params.format, params, htlc.direction)
        const found = htlcs.filter((output) => output.htlc === htlc)
        expect(found.map(({ amount }) => amount)).to.deep.equal(small ? [] : [toSat(htlc.amount)])
        expect(trimmed.includes(htlc)).to.equal(small)
      }
    })
  })

  it('a balance has an output unless it is dust; only the opener pays', () => {
    check(commitments(), ({ params }) => {
      const { outputs, htlcs } = buildCommitment(params)
      const { paysFee, anchors } = FORMATS[params.format]
      const fee = paysFee
        ? (BigInt(params.feerate) * BigInt(commitmentWeight(params.format, htlcs.length))) / 1000n
        : 0n
      const cost = fee + (anchors === 'pair' ? 2n * ANCHOR_AMOUNT : 0n)
      for (const [role, side, balance] of [
        ['to_local', 'local', params.toLocal],
        ['to_remote', 'remote', params.toRemote],
      ] as const) {
        const rest = toSat(balance) - (params.opener === side ? cost : 0n)
        const found = outputs.filter((output) => output.role === role)
        expect(found.map(({ amount }) => amount)).to.deep.equal(rest < params.dustLimit ? [] : [rest])
      }
    })
  })

  it('an anchor for each side with an output or HTLCs; a shared one takes what is left, at most 240 sat', () => {
    check(commitments(), ({ params }) => {
      const { outputs, htlcs, fee } = buildCommitment(params)
      const roles = outputs.map(({ role }) => role)
      const { anchors } = FORMATS[params.format]
      const has = (role: string) => roles.some((one) => one === role)
      expect(has('local_anchor')).to.equal(anchors === 'pair' && (has('to_local') || htlcs.length > 0))
      expect(has('remote_anchor')).to.equal(anchors === 'pair' && (has('to_remote') || htlcs.length > 0))
      const shared = outputs.filter(({ role }) => role === 'shared_anchor')
      expect(shared).to.have.length(anchors === 'shared' ? 1 : 0)
      for (const { amount } of shared) expect(amount === 240n || fee === 0n).to.equal(true)
    })
  })

  it('outputs are ordered by amount, script, expiry, and the same however the HTLCs are listed', () => {
    check(commitments(), ({ params }) => {
      const commitment = buildCommitment(params)
      commitment.outputs.forEach((output, i) => {
        const before = commitment.outputs[i - 1]
        expect(output.index).to.equal(i)
        if (before === undefined || before.amount < output.amount) return
        expect(before.amount).to.equal(output.amount)
        const difference = compareBytes(before.script, output.script)
        expect(difference).to.be.at.most(0)
        if (difference !== 0 || before.role !== 'htlc' || output.role !== 'htlc') return
        expect(before.htlc.cltvExpiry).to.be.at.most(output.htlc.cltvExpiry)
      })
      const turned = buildCommitment({ ...params, htlcs: [...params.htlcs].reverse() })
      expect(turned.txid).to.deep.equal(commitment.txid)
      expect(turned.htlcs.map(({ htlc }) => htlc.id)).to.deep.equal(
        commitment.htlcs.map(({ htlc }) => htlc.id),
      )
    })
  })

  it('the number is found again in the transaction', () => {
    check(commitments({ maxHtlcs: 0 }), ({ params }) => {
      const { transaction } = buildCommitment(params)
      expect(commitmentNumberOf(transaction, params.obscuringFactor)).to.equal(params.number)
      const [input] = transaction.inputs
      if (input === undefined) throw new Error('no input')
      const other = { ...transaction, inputs: [{ ...input, sequence: 0xffff_fffd }] }
      expect(commitmentNumberOf(other, params.obscuringFactor)).to.equal(undefined)
      expect(commitmentNumberOf({ ...transaction, locktime: 0 }, params.obscuringFactor)).to.equal(undefined)
      expect(commitmentNumberOf({ ...transaction, inputs: [input, input] }, params.obscuringFactor)).to.equal(
        undefined,
      )
    })
  })

  it('the expected weight is that of the transaction, with two balances and signatures of 73 bytes', () => {
    check(commitments(), (given) => {
      const commitment = buildCommitment(given.params)
      const roles = commitment.outputs.map(({ role }) => role)
      if (!roles.includes('to_local') || !roles.includes('to_remote')) return
      const { signature } = sign(commitment, given)
      const local = signOwnCommitment(commitment, given.local.funding)
      const complete = completeCommitment(commitment, { local, remote: signature })
      // The specification counts three bytes for the number of outputs where there are anchors of a pair.
      const spare = FORMATS[given.params.format].anchors === 'pair' ? 8 : 0
      const expected = commitmentWeight(given.params.format, commitment.htlcs.length)
      expect(weightOf(longest(complete))).to.equal(expected - spare)
    })
  })
})

describe('BOLT 3: HTLC transactions', () => {
  it('the digests are those of the transactions, for both signers', () => {
    check(commitments(), ({ params }) => {
      const commitment = buildCommitment(params)
      const { remoteHtlcSighash } = FORMATS[params.format]
      for (const [signer, sighash] of [
        ['local', SIGHASH_ALL],
        ['remote', remoteHtlcSighash],
      ] as const) {
        const expected = commitment.htlcs.map((output) =>
          witnessDigest(
            htlcTransaction(commitment, output),
            0,
            { amount: output.amount, scriptCode: output.witnessScript },
            sighash,
          ),
        )
        expect(htlcDigests(commitment, signer)).to.deep.equal(expected)
      }
    })
  })

  it('the fee is what the form says, the weight what is expected for it', () => {
    check(commitments({ maxHtlcs: 4 }), (given) => {
      const commitment = buildCommitment(given.params)
      const { htlcSignatures } = sign(commitment, given)
      const { htlcsPayFee, htlcTimeoutWeight, htlcSuccessWeight } = FORMATS[given.params.format]
      commitment.htlcs.forEach((output, i) => {
        const received = output.htlc.direction === 'received'
        const tx = completeHtlcTransaction(commitment, output, {
          remote: htlcSignatures[i] ?? new Uint8Array(64),
          htlcSecret: given.localHtlc,
          ...(received ? { preimage: preimageOf(1) } : {}),
        })
        const expected = received ? htlcSuccessWeight : htlcTimeoutWeight
        // 703 and 706 are one too many "for historical reasons", and count four bytes for the expiry instead of three.
        expect(weightOf(longest(tx))).to.equal(received ? expected - 2 : expected)
        const fee = htlcsPayFee ? (BigInt(given.params.feerate) * BigInt(expected)) / 1000n : 0n
        expect(htlcTransactionAmount(commitment, output)).to.equal(output.amount - fee)
        expect(tx.inputs[0]?.outpoint).to.deep.equal({
          txid: transactionID(commitment.transaction),
          index: output.index,
        })
      })
    })
  })

  it('a fee that is added must not touch what the counterparty signed -> INVALID_ARGUMENT', () => {
    const { commitment, given } = example()
    const [output] = commitment.htlcs
    if (output === undefined) throw new Error('no HTLC')
    const complete = (extend: (tx: Transaction) => Transaction) => () =>
      completeHtlcTransaction(commitment, output, {
        remote: new Uint8Array(64),
        htlcSecret: given.localHtlc,
        ...(output.htlc.direction === 'received' ? { preimage: preimageOf(1) } : {}),
        extend,
      })
    const other = { txid: new Uint8Array(32).fill(9), index: 0 }
    expect(complete((tx) => ({ ...tx, outputs: [...tx.outputs, ...tx.outputs] }))).not.to.throw()
    throwsCode(
      'INVALID_ARGUMENT',
      complete((tx) => ({ ...tx, outputs: [] })),
    )
    throwsCode(
      'INVALID_ARGUMENT',
      complete((tx) => ({ ...tx, locktime: tx.locktime + 1 })),
    )
    throwsCode(
      'INVALID_ARGUMENT',
      complete((tx) => ({ ...tx, version: tx.version + 1 })),
    )
    throwsCode(
      'INVALID_ARGUMENT',
      complete((tx) => ({
        ...tx,
        inputs: tx.inputs.map((input) => ({ ...input, sequence: input.sequence + 1 })),
      })),
    )
    throwsCode(
      'INVALID_ARGUMENT',
      complete((tx) => ({
        ...tx,
        inputs: [...tx.inputs.map((input) => ({ ...input, outpoint: other })), ...tx.inputs],
      })),
    )
  })
})

describe('BOLT 3: signatures of a commitment', () => {
  it('those of the counterparty are good', () => {
    check(commitments(), (given) => {
      const commitment = buildCommitment(given.params)
      expect(faultOfSignatures(commitment, sign(commitment, given))).to.equal(undefined)
    })
  })

  it('any bit changed is found, and where', () => {
    const { commitment, given } = example()
    const good = sign(commitment, given)
    fc.assert(
      fc.property(fc.nat({ max: commitment.htlcs.length }), fc.nat({ max: 511 }), (which, bit) => {
        const flip = (signature: Uint8Array) => {
          const wrong = signature.slice()
          wrong[bit >> 3] = (wrong[bit >> 3] ?? 0) ^ (1 << (bit & 7))
          return wrong
        }
        const wrong =
          which === commitment.htlcs.length
            ? { ...good, signature: flip(good.signature) }
            : {
                ...good,
                htlcSignatures: good.htlcSignatures.map((one, i) => (i === which ? flip(one) : one)),
              }
        expect(faultOfSignatures(commitment, wrong)).to.deep.equal(
          which === commitment.htlcs.length ? { kind: 'commitment' } : { kind: 'htlc', index: which },
        )
      }),
    )
  })

  it('too few, too many, none, of a wrong length -> a fault', () => {
    const { commitment, given } = example()
    const { signature, htlcSignatures } = sign(commitment, given)
    const expected = commitment.htlcs.length
    expect(faultOfSignatures(commitment, { signature, htlcSignatures: [] })).to.deep.equal({
      kind: 'count',
      expected,
      actual: 0,
    })
    expect(
      faultOfSignatures(commitment, { signature, htlcSignatures: [...htlcSignatures, signature] }),
    ).to.deep.equal({ kind: 'count', expected, actual: expected + 1 })
    expect(faultOfSignatures(commitment, { signature: new Uint8Array(63), htlcSignatures })).to.deep.equal({
      kind: 'commitment',
    })
    expect(
      faultOfSignatures(commitment, {
        signature,
        htlcSignatures: htlcSignatures.map(() => new Uint8Array()),
      }),
    ).to.deep.equal({ kind: 'htlc', index: 0 })
  })

  it('a change to any parameter makes them bad', () => {
    const { commitment, given } = example()
    const signatures = sign(commitment, given)
    const { params } = given
    const changes: readonly Partial<CommitmentParams>[] = [
      { number: params.number + 1n },
      { obscuringFactor: params.obscuringFactor + 1n },
      { funding: { ...params.funding, outpoint: { ...params.funding.outpoint, index: 8 } } },
      { opener: params.opener === 'local' ? 'remote' : 'local' },
      { toSelfDelay: params.toSelfDelay + 1 },
      { feerate: feeratePerKw(params.feerate + 1000) },
      { toLocal: msat(params.toLocal - 1000n), toRemote: msat(params.toRemote + 1000n) },
      {
        htlcs: params.htlcs.map((htlc, i) => (i === 0 ? { ...htlc, cltvExpiry: htlc.cltvExpiry + 1 } : htlc)),
      },
      {
        htlcs: params.htlcs.map((htlc, i) => (i === 0 ? { ...htlc, paymentHash: new Uint8Array(32) } : htlc)),
      },
    ]
    for (const change of changes) {
      const changed = buildCommitment({ ...params, ...change })
      expect(faultOfSignatures(changed, signatures), Object.keys(change).join()).to.not.equal(undefined)
    }
  })
})

describe('BOLT 3: bad parameters of a commitment', () => {
  const { given } = example()
  const { params } = given
  const [htlc] = params.htlcs
  if (htlc === undefined) throw new Error('no HTLC')
  const cases: readonly [string, 'INVALID_ARGUMENT' | 'INVALID_STATE', Partial<CommitmentParams>][] = [
    ['balances above the funding', 'INVALID_STATE', { toLocal: msat(params.toLocal + 1n) }],
    ['balances below the funding', 'INVALID_STATE', { toLocal: msat(params.toLocal - 1n) }],
    ['a number below zero', 'INVALID_ARGUMENT', { number: -1n }],
    ['a number of 49 bits', 'INVALID_ARGUMENT', { number: 2n ** 48n }],
    ['a delay of 17 bits', 'INVALID_ARGUMENT', { toSelfDelay: 65_536 }],
    ['a delay that is no integer', 'INVALID_ARGUMENT', { toSelfDelay: 1.5 }],
    ['a key of 32 bytes', 'INVALID_ARGUMENT', { keys: { ...params.keys, localHtlc: new Uint8Array(32) } }],
    [
      'one funding key twice',
      'INVALID_ARGUMENT',
      { keys: { ...params.keys, localFunding: params.keys.remoteFunding } },
    ],
    [
      'a transaction ID of 31 bytes',
      'INVALID_ARGUMENT',
      { funding: { ...params.funding, outpoint: { txid: new Uint8Array(31), index: 0 } } },
    ],
    [
      'a payment hash of 31 bytes',
      'INVALID_ARGUMENT',
      { htlcs: [{ ...htlc, paymentHash: new Uint8Array(31) }] },
    ],
    ['an expiry in seconds', 'INVALID_ARGUMENT', { htlcs: [{ ...htlc, cltvExpiry: 500_000_000 }] }],
    ['an expiry of zero', 'INVALID_ARGUMENT', { htlcs: [{ ...htlc, cltvExpiry: 0 }] }],
    ['484 HTLCs of one side', 'INVALID_ARGUMENT', { htlcs: Array(484).fill(htlc) }],
    ['a feerate where there is no fee', 'INVALID_ARGUMENT', { format: 'zero_fee' }],
    [
      'an opener who cannot pay the anchors',
      'INVALID_STATE',
      {
        opener: 'remote',
        toLocal: msat(params.toLocal + params.toRemote),
        toRemote: msat(0n),
        feerate: feeratePerKw(0),
      },
    ],
    [
      'nothing but dust',
      'INVALID_STATE',
      {
        funding: { ...params.funding, amount: sat(300n) },
        toLocal: msat(300_000n),
        toRemote: msat(0n),
        htlcs: [],
      },
    ],
  ]
  for (const [name, code, change] of cases) {
    it(`${name} -> ${code}`, () => throwsCode(code, () => buildCommitment({ ...params, ...change })))
  }
})

function example(): { readonly given: Generated; readonly commitment: Commitment } {
  const [given] = fc.sample(
    commitments({ formats: ['anchors_zero_fee_htlc'] }).filter(({ params }) => {
      const { htlcs } = buildCommitment(params)
      const balanced = params.toRemote > 100_000_000n && params.feerate > 0 && params.toSelfDelay < 65_535
      return (
        balanced &&
        params.number < 1000n * 2n ** 30n &&
        htlcs.length > 3 &&
        htlcs.some((one) => one.htlc === params.htlcs[0])
      )
    }),
    { numRuns: 1, seed: 42 },
  )
  if (given === undefined) throw new Error('no example')
  return { given, commitment: buildCommitment(given.params) }
}

function sign(commitment: Commitment, { remote, remoteHtlc }: Generated) {
  return signCommitment(commitment, { funding: remote.funding, htlc: remoteHtlc })
}

/** Signatures as long as BOLT 3 counts them. */
function longest(tx: Transaction): Transaction {
  const witness = tx.inputs[0]?.witness ?? []
  return withWitness(
    tx,
    0,
    witness.map((item) =>
      item[0] === 0x30 && item.length >= 60 && item.length <= 73 ? new Uint8Array(73) : item,
    ),
  )
}

function check(values: fc.Arbitrary<Generated>, rule: (given: Generated) => void): void {
  fc.assert(fc.property(values, rule), { numRuns: 60 })
}

function throwsCode(code: 'INVALID_ARGUMENT' | 'INVALID_STATE', act: () => unknown): void {
  expect(act)
    .to.throw()
    .that.satisfies((error: unknown) => isError(error, code))
}
