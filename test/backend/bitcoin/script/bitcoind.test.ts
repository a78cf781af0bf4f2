// Every kind of transaction that we build, judged by a real node: taken when it may be, refused before.
import { expect } from 'chai'
import { type CommitmentOnChain, revokedCount } from '../../../../backend/bitcoin/keys/index.js'
import {
  buildClaimTransaction,
  buildClosing,
  buildLegacyClosing,
  buildShared,
  type Claim,
  type Closing,
  type ClosingShare,
  type ClosingVariant,
  type CommitmentFormat,
  claimOfHtlcTransaction,
  claimOfOldAnchor,
  claimsOfCounterparty,
  claimsOfHolder,
  claimsOfPunisher,
  completeClosing,
  fundingOutput,
  type Htlc,
  type HtlcOutput,
  p2wsh,
  sha256,
  type Transaction,
  transactionID,
  withWitness,
} from '../../../../backend/bitcoin/script/index.js'
import { feeratePerKw, msat, sat, sub } from '../../../../backend/bitcoin/units.js'
import { type Bitcoind, bitcoindBinary, startBitcoind } from '../../../../scripts/bitcoind.js'
import { Chain, FEERATE, signCoin, WALLET_SCRIPT } from '../chain.js'
import { advanceAlice, type Pair, pairOf, revokeAlice, type Signed, stateOf } from '../channel.js'

const AMOUNT = sat(1_000_000n)
const DELAY = 6
const PREIMAGE = new Uint8Array(32).fill(3)
const FORMATS: readonly CommitmentFormat[] = ['static_remotekey', 'anchors_zero_fee_htlc', 'zero_fee']

describe('bitcoind: transactions', () => {
  let node: Bitcoind
  let chain: Chain
  let channels = 0n

  before(async function () {
    // On a fresh clone the node is downloaded first, and how long that takes is not for us to say.
    this.timeout(300_000)
    bitcoindBinary()
    node = await startBitcoind()
    chain = await Chain.start(node, 40)
  })
  after(() => node?.stop())

  for (const format of FORMATS) {
    describe(format, () => {
      it('a commitment, then every claim of its holder and of its counterparty', async () => {
        const { pair, signed } = await open(format)
        const published = publish(pair, signed)
        const { commitment } = signed
        await confirmCommitment(pair, signed, published)

        // The holder's HTLCs by their own transactions.
        const success = htlcTransaction(pair, signed, find(commitment.htlcs, 'received', 1n))
        await chain.confirm(success.tx)
        const timeoutOutput = find(commitment.htlcs, 'offered', 0n)
        const timeout = htlcTransaction(pair, signed, timeoutOutput)
        expect(await chain.refusal(timeout.tx)).to.equal('non-final')
        await chain.mineBelow(timeoutOutput.htlc.cltvExpiry + 1)
        await chain.confirm(timeout.tx)

        // What waited for the delay: its balance and both HTLCs in one transaction.
        const delayed = [
          ...claimsOfHolder(commitment).filter(({ kind }) => kind === 'delayed'),
          secondLevel(signed, success, 'holder'),
          secondLevel(signed, timeout, 'holder'),
        ]
        const sweep = claim(pair, 'alice', signed, delayed)
        expect(await chain.refusal(sweep)).to.equal('non-BIP68-final')
        await chain.mine(DELAY - 1)
        await chain.confirm(sweep)

        // The counterparty's balance, an HTLC by its preimage, and one after its expiry.
        const claims = claimsOfCounterparty(commitment, ({ htlc }) => (htlc.id === 2n ? PREIMAGE : undefined))
        const taken = [success, timeout].map(({ output }) => output.index)
        const rest = claims.filter(
          ({ kind, outpoint }) => kind !== 'anchor' && !taken.includes(outpoint.index),
        )
        expect(rest.map(({ kind }) => kind).sort()).to.deep.equal([
          'htlc_preimage',
          'htlc_timeout',
          'payment',
        ])
        const last = Math.max(...rest.map(({ locktime }) => locktime))
        if (chain.height < last) {
          expect(await chain.refusal(claim(pair, 'bob', signed, rest))).to.equal('non-final')
          await chain.mineBelow(last + 1)
        }
        await chain.confirm(claim(pair, 'bob', signed, rest))
        if (format === 'anchors_zero_fee_htlc') await cleanUpAnchor(pair, signed)
      })

      it('a revoked commitment: the penalty for each output', async () => {
        const { pair, signed } = await open(format)
        const published = publish(pair, signed)
        revoke(pair, signed)
        await confirmCommitment(pair, signed, published)
        const claims = claimsOfPunisher(signed.commitment).filter(({ kind }) => kind !== 'anchor')
        expect(claims.map(({ kind }) => kind).sort()).to.deep.equal(
          [...Array(5).fill('penalty'), 'payment'].sort(),
        )
        for (const one of claims) {
          expect(await chain.refusal(claim(pair, 'bob', signed, [one]))).to.equal(undefined)
        }
        await chain.confirm(claim(pair, 'bob', signed, claims))
      })

      it('a revoked commitment whose HTLCs were taken to the second level: the penalty for these', async () => {
        const { pair, signed } = await open(format)
        const published = publish(pair, signed)
        revoke(pair, signed)
        await confirmCommitment(pair, signed, published)
        const { htlcs } = signed.commitment
        const success = htlcTransaction(pair, signed, find(htlcs, 'received', 1n))
        await chain.confirm(success.tx)
        const timeoutOutput = find(htlcs, 'offered', 0n)
        await chain.mineBelow(timeoutOutput.htlc.cltvExpiry + 1)
        const timeout = htlcTransaction(pair, signed, timeoutOutput)
        await chain.confirm(timeout.tx)
        const penalties = [secondLevel(signed, success, 'punisher'), secondLevel(signed, timeout, 'punisher')]
        for (const one of penalties) {
          expect(await chain.refusal(claim(pair, 'bob', signed, [one]))).to.equal(undefined)
        }
        await chain.confirm(claim(pair, 'bob', signed, penalties))
      })
    })
  }

  it('a funding transaction of both sides', async () => {
    const { keys } = pairOf('anchors_zero_fee_htlc', { index: channels++ })
    const coins = [chain.coin(), chain.coin()]
    const shared = buildShared({
      // By their serial IDs the second coin goes first.
      inputs: coins.map(({ outpoint, sequence }, i) => ({ serialID: BigInt(7 - i), outpoint, sequence })),
      outputs: [
        ...coins.map(({ amount }, i) => ({
          serialID: BigInt(i),
          amount: sub(amount, i === 0 ? sat(601_000n) : sat(401_000n)),
          script: WALLET_SCRIPT,
        })),
        { serialID: 5n, ...fundingOutput(AMOUNT, keys) },
      ],
      locktime: chain.height,
    })
    await chain.confirm(coins.toReversed().reduce((tx, coin, i) => signCoin(tx, i, coin), shared))
  })

  describe('closing', () => {
    // What of each balance goes to the miners, an omitted output included.
    const variants: Readonly<Record<ClosingVariant, readonly [bigint, bigint]>> = {
      closer_output_only: [1000n, 400_000n],
      closee_output_only: [600_000n, 0n],
      closer_and_closee_outputs: [1000n, 0n],
    }
    for (const [variant, fees] of Object.entries(variants) as [ClosingVariant, readonly [bigint, bigint]][]) {
      it(`closing_complete, ${variant}`, async () => {
        const { funding, shares, sign } = await closable(600_000_000n)
        const closing = buildClosing({
          funding,
          closer: shares[0],
          closee: shares[1],
          fee: sat(1000n),
          locktime: chain.height,
          variant,
        })
        await chain.confirm(sign(closing, ['closer', 'closee'], fees))
      })
    }

    it('closing_complete, the closer gives all away by OP_RETURN', async () => {
      const { funding, shares, sign } = await closable(3_000_000n)
      const closing = buildClosing({
        funding,
        closer: { ...shares[0], script: Uint8Array.of(0x6a, 0x06, 1, 2, 3, 4, 5, 6) },
        closee: shares[1],
        fee: sat(3000n),
        locktime: 0,
        variant: 'closer_and_closee_outputs',
      })
      expect(closing.transaction.outputs[0]?.amount).to.equal(0n)
      await chain.confirm(sign(closing, ['closer', 'closee'], [3000n, 0n]))
    })

    it('closing_signed', async () => {
      const { funding, shares, sign } = await closable(600_000_000n)
      const closing = buildLegacyClosing({
        funding,
        local: shares[0],
        remote: shares[1],
        opener: 'local',
        fee: sat(1000n),
        dustLimit: sat(354n),
      })
      await chain.confirm(sign(closing, ['local', 'remote'], [1000n, 0n]))
    })
  })

  /** A funded channel and Alice's commitment with HTLCs of each kind. */
  async function open(format: CommitmentFormat): Promise<{ readonly pair: Pair; readonly signed: Signed }> {
    const pair = pairOf(format, { index: channels++, delay: DELAY })
    const funding = await chain.fund(AMOUNT, pair.keys)
    const expiry = chain.height + 5
    const htlc = (direction: Htlc['direction'], id: bigint, amount: bigint): Htlc => ({
      direction,
      id,
      amount: msat(amount),
      paymentHash: sha256(PREIMAGE),
      cltvExpiry: expiry + Number(id),
    })
    const state = stateOf({
      number: 0n,
      funding,
      feerate: feeratePerKw(format === 'zero_fee' ? 0 : 1000),
      bob: msat(300_000_000n),
      htlcs: [
        htlc('offered', 0n, 50_000_000n),
        htlc('received', 1n, 40_000_000n),
        htlc('offered', 2n, 30_000_000n),
        htlc('received', 3n, 20_000_000n),
        // Version 3 must not have dust of its own here: then the anchor would be empty no more.
        ...(format === 'zero_fee' ? [] : [htlc('offered', 4n, 100_000n)]),
      ],
    })
    return { pair, signed: advanceAlice(pair, state) }
  }

  function publish({ alice, forgetful }: Pair, { state, signatures }: Signed): Transaction {
    return forgetful().signLocal(alice.record, state, signatures).transaction
  }

  /** Alice goes on to another commitment; her record of what she published is that of a cheat. */
  function revoke(pair: Pair, { state }: Signed): void {
    advanceAlice(pair, { ...state, number: state.number + 1n })
    revokeAlice(pair, state.number)
    expect(revokedCount(pair.bob.record)).to.equal(1n)
  }

  /** Confirms it, by an anchor where there is one. */
  async function confirmCommitment(pair: Pair, signed: Signed, published: Transaction): Promise<void> {
    const [anchor] = claimsOfHolder(signed.commitment).filter(({ kind }) => kind === 'anchor')
    if (anchor === undefined) return chain.confirm(published)
    const coin = chain.coin()
    const version = pair.format === 'zero_fee' ? 3 : 2
    // Alone of the two, the child of a commitment without fee pays for both.
    const feerate = feeratePerKw(version === 3 ? 5000 : FEERATE)
    const plain = buildClaimTransaction({
      claims: [anchor, coin],
      to: WALLET_SCRIPT,
      feerate,
      version,
    })
    const onChain = contextOf('alice', signed)
    const child = signCoin(
      withWitness(plain, 0, pair.alice.signer.signClaim(pair.alice.record, plain, 0, anchor, onChain)),
      1,
      coin,
    )
    if (version === 3) await chain.acceptPackage([published, child])
    else {
      await chain.accept(published)
      await chain.accept(child)
      await spendOtherAnchor(pair, signed)
    }
    await chain.mine(1)
  }

  /** The counterparty's anchor could be used at once too. */
  async function spendOtherAnchor(pair: Pair, signed: Signed): Promise<void> {
    const [anchor] = claimsOfCounterparty(signed.commitment, () => undefined).filter(
      ({ kind }) => kind === 'anchor',
    )
    if (anchor === undefined) throw new Error('no anchor')
    const coin = chain.coin()
    const plain = buildClaimTransaction({ claims: [anchor, coin], to: WALLET_SCRIPT, feerate: FEERATE })
    const witness = pair.bob.signer.signClaim(pair.bob.record, plain, 0, anchor, contextOf('bob', signed))
    expect(await chain.refusal(signCoin(withWitness(plain, 0, witness), 1, coin))).to.equal(undefined)
  }

  /** An anchor that its owner left behind is anybody's after 16 blocks. */
  async function cleanUpAnchor(pair: Pair, signed: Signed): Promise<void> {
    const output = signed.commitment.outputs.find(({ role }) => role === 'remote_anchor')
    if (output === undefined) throw new Error('no anchor')
    const old = claimOfOldAnchor(signed.commitment, output)
    const coin = chain.coin()
    const plain = buildClaimTransaction({ claims: [old, coin], to: WALLET_SCRIPT, feerate: FEERATE })
    const witness = pair.bob.signer.signClaim(pair.bob.record, plain, 0, old, contextOf('bob', signed))
    const tx = signCoin(withWitness(plain, 0, witness), 1, coin)
    await chain.mine(16)
    await chain.confirm(tx)
  }

  interface Second {
    readonly tx: Transaction
    readonly output: HtlcOutput
  }

  /** With a coin that pays the fee, where the form lets it pay none itself. */
  function htlcTransaction(pair: Pair, { commitment, signatures }: Signed, output: HtlcOutput): Second {
    const { signer, record } = pair.alice
    const coin = chain.coin()
    const remote = signatures.htlcSignatures[commitment.htlcs.indexOf(output)] ?? new Uint8Array()
    const tx = signer.signHtlc({ ...record, published: commitment.params.number }, commitment, output, {
      remote,
      ...(output.htlc.direction === 'received' ? { preimage: PREIMAGE } : {}),
      ...(pair.format === 'static_remotekey'
        ? {}
        : {
            extend: (plain: Transaction) => ({
              ...plain,
              inputs: [...plain.inputs, { outpoint: coin.outpoint, sequence: 0xffff_fffd, witness: [] }],
              outputs: [...plain.outputs, { amount: sat(coin.amount - 1000n), script: WALLET_SCRIPT }],
            }),
          }),
    })
    return { output, tx: tx.inputs.length > 1 ? signCoin(tx, 1, coin) : tx }
  }

  function secondLevel({ commitment }: Signed, { tx, output }: Second, by: 'holder' | 'punisher'): Claim {
    expect(tx.outputs[0]?.script).to.deep.equal(p2wsh(commitment.delayedScript))
    return claimOfHtlcTransaction(commitment, output, { by, outpoint: { txid: transactionID(tx), index: 0 } })
  }

  function contextOf(by: 'alice' | 'bob', { commitment, point }: Signed): CommitmentOnChain {
    return { commitment, holder: by === 'alice' ? 'local' : 'remote', point }
  }

  /** A transaction of claims by one of the two, signed. */
  function claim(pair: Pair, by: 'alice' | 'bob', signed: Signed, claims: readonly Claim[]): Transaction {
    const tx = buildClaimTransaction({ claims, to: WALLET_SCRIPT, feerate: FEERATE })
    const { signer, record } = pair[by]
    const onChain = contextOf(by, signed)
    return claims.reduce(
      (done, one, i) => withWitness(done, i, signer.signClaim(record, tx, i, one, onChain)),
      tx,
    )
  }

  /** A funded channel without HTLCs. */
  async function closable(alice: bigint) {
    const balances = [msat(alice), msat(AMOUNT * 1000n - alice)] as const
    const pair = pairOf('anchors_zero_fee_htlc', { index: channels++, balances })
    const funding = await chain.fund(AMOUNT, pair.keys)
    const shares: readonly [ClosingShare, ClosingShare] = [
      { balance: balances[0], script: WALLET_SCRIPT },
      { balance: balances[1], script: p2wsh(Uint8Array.of(0x51)) },
    ]
    /** By both signers; each names its side and what the miners get of its balance. */
    const sign = (
      closing: Closing<string>,
      sides: readonly [string, string],
      fees: readonly [bigint, bigint],
    ) => {
      const [a, b] = [pair.alice, pair.bob].map(({ signer, record }, i) =>
        signer.signClosing(record, {
          closing,
          side: sides[i] ?? '',
          balance: balances[i] ?? msat(0n),
          fee: sat(fees[i] ?? 0n),
        }),
      )
      if (a === undefined || b === undefined) throw new Error('two signatures expected')
      return completeClosing(closing, [a, b])
    }
    return { funding, shares, sign }
  }
})

function find(htlcs: readonly HtlcOutput[], direction: Htlc['direction'], id: bigint): HtlcOutput {
  const found = htlcs.find(({ htlc }) => htlc.direction === direction && htlc.id === id)
  if (found === undefined) throw new Error(`no ${direction} HTLC ${id}`)
  return found
}
