import { expect } from 'chai'
import fc from 'fast-check'
import {
  buildClosing,
  buildLegacyClosing,
  type ClosingShare,
  closingVariants,
  completeClosing,
  isShutdownScript,
  p2wpkh,
  p2wsh,
  signClosing,
  verifyClosing,
} from '../../../../backend/bitcoin/script/index.js'
import { msat, sat } from '../../../../backend/bitcoin/units.js'
import { isError } from '../../../../channel/errors.js'
import { secp256k1 } from '../../../../wallet/secp256k1.js'
import { pairOf } from '../channel.js'

const SECRETS = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)] as const
const KEYS = [secp256k1.publicKey(SECRETS[0]), secp256k1.publicKey(SECRETS[1])] as const
const FUNDING = { outpoint: { txid: new Uint8Array(32), index: 0 }, amount: sat(100_000n), keys: KEYS }
const OURS = p2wpkh(KEYS[0])
const THEIRS = p2wsh(Uint8Array.of(0x51))
const OP_RETURN = Uint8Array.of(0x6a, 0x06, 1, 2, 3, 4, 5, 6)

const splits = fc.record({
  closer: fc.oneof(
    fc.bigInt({ min: 0n, max: 100_000_000n }),
    fc.constantFrom(0n, 293_999n, 294_000n, 50_000_000n),
  ),
  fee: fc.bigInt({ min: 0n, max: 1000n }),
  closerScript: fc.constantFrom(OURS, THEIRS, OP_RETURN),
  closeeScript: fc.constantFrom(OURS, THEIRS, OP_RETURN),
})

describe('closing: option_simple_close', () => {
  it('each variant that is to be signed pays each side what is its own, the rest is the fee', () => {
    fc.assert(
      fc.property(splits, ({ closer: balance, fee, closerScript, closeeScript }) => {
        const closer: ClosingShare = { balance: msat(balance), script: closerScript }
        const closee: ClosingShare = { balance: msat(100_000_000n - balance), script: closeeScript }
        if (balance / 1000n < fee) return
        for (const variant of closingVariants({ closer, closee, fee: sat(fee) })) {
          const closing = buildClosing({
            funding: FUNDING,
            closer,
            closee,
            fee: sat(fee),
            locktime: 7,
            variant,
          })
          const { outputs, inputs, locktime } = closing.transaction
          expect(outputs.reduce((sum, { amount }) => sum + amount, 0n) + closing.fee).to.equal(FUNDING.amount)
          expect([locktime, inputs[0]?.sequence]).to.deep.equal([7, 0xffff_fffd])
          expect(closing.owners.includes('closer')).to.equal(variant !== 'closee_output_only')
          expect(closing.owners.includes('closee')).to.equal(variant !== 'closer_output_only')
          closing.owners.forEach((owner, i) => {
            const expected = owner === 'closer' ? balance / 1000n - fee : (100_000_000n - balance) / 1000n
            const script = owner === 'closer' ? closerScript : closeeScript
            expect(outputs[i]?.script).to.deep.equal(script)
            expect(outputs[i]?.amount).to.equal(script === OP_RETURN ? 0n : expected)
          })
          const signatures = [signClosing(closing, SECRETS[0]), signClosing(closing, SECRETS[1])] as const
          expect(verifyClosing(closing, signatures[0], KEYS[0])).to.equal(true)
          expect(verifyClosing(closing, signatures[0], KEYS[1])).to.equal(false)
          expect(completeClosing(closing, signatures).inputs[0]?.witness).to.have.length(4)
        }
      }),
    )
  })

  it('only who has less may leave out its own output, and must if it is dust', () => {
    const variants = (closer: bigint, closee: bigint) =>
      closingVariants({
        closer: { balance: msat(closer * 1000n), script: OURS },
        closee: { balance: msat(closee * 1000n), script: THEIRS },
        fee: sat(100n),
      })
    expect(variants(60_000n, 40_000n)).to.deep.equal(['closer_output_only', 'closer_and_closee_outputs'])
    expect(variants(40_000n, 60_000n)).to.deep.equal(['closer_and_closee_outputs'])
    expect(variants(393n, 99_607n)).to.deep.equal(['closee_output_only'])
    expect(variants(394n, 99_606n)).to.deep.equal(['closer_and_closee_outputs'])
    expect(variants(99_671n, 329n)).to.deep.equal(['closer_output_only'])
  })

  it('a fee beyond the balance, or dust -> INVALID_STATE', () => {
    const closee = { balance: msat(60_000_000n), script: THEIRS }
    const request = { funding: FUNDING, closee, locktime: 0, variant: 'closer_and_closee_outputs' } as const
    const closer = { balance: msat(40_000_000n), script: OURS }
    invalid(() => buildClosing({ ...request, closer, fee: sat(40_001n) }))
    invalid(() => buildClosing({ ...request, closer, fee: sat(39_800n) }))
    invalid(() =>
      buildClosing({ ...request, closer: { ...closer, balance: msat(41_000_000n) }, fee: sat(1n) }),
    )
  })
})

describe('closing: legacy', () => {
  const request = {
    funding: FUNDING,
    local: { balance: msat(40_000_999n), script: OURS },
    remote: { balance: msat(59_999_001n), script: THEIRS },
    opener: 'local',
    fee: sat(500n),
    dustLimit: sat(354n),
  } as const

  it('the opener pays; fractions go to the miners; final, without lock time', () => {
    const { transaction, owners, fee } = buildLegacyClosing(request)
    expect(transaction.outputs.map(({ amount }) => amount)).to.deep.equal([39_500n, 59_999n])
    expect([owners, fee, transaction.locktime, transaction.inputs[0]?.sequence]).to.deep.equal([
      ['local', 'remote'],
      501n,
      0,
      0xffff_ffff,
    ])
  })
  it('outputs below the dust limit, and the one that is left out, are not there', () => {
    expect(buildLegacyClosing({ ...request, dustLimit: sat(39_501n) }).owners).to.deep.equal(['remote'])
    expect(buildLegacyClosing({ ...request, omit: 'local' }).owners).to.deep.equal(['remote'])
    expect(buildLegacyClosing({ ...request, omit: 'remote' }).owners).to.deep.equal(['local'])
  })
  it('a fee beyond the balance, or no output -> INVALID_STATE', () => {
    invalid(() => buildLegacyClosing({ ...request, fee: sat(40_001n) }))
    invalid(() => buildLegacyClosing({ ...request, dustLimit: sat(60_000n) }))
  })
})

describe('closing: scripts that a peer may be paid to', () => {
  const program = (version: number, length: number) =>
    Uint8Array.of(version, length, ...new Uint8Array(length))
  const all = { anySegwit: true, simpleClose: true }
  const none = { anySegwit: false, simpleClose: false }
  it('version 0 of 20 or 32 bytes -> always', () => {
    expect([20, 32].every((length) => isShutdownScript(program(0, length), none))).to.equal(true)
    expect([2, 19, 21, 31, 33, 40].some((length) => isShutdownScript(program(0, length), all))).to.equal(
      false,
    )
  })
  it('versions 1 to 16 of 2 to 40 bytes -> if negotiated', () => {
    for (const version of [0x51, 0x60]) {
      for (const length of [2, 32, 40]) {
        expect(isShutdownScript(program(version, length), all)).to.equal(true)
        expect(isShutdownScript(program(version, length), { ...all, anySegwit: false })).to.equal(false)
      }
      for (const length of [0, 1, 41]) expect(isShutdownScript(program(version, length), all)).to.equal(false)
    }
    expect(isShutdownScript(program(0x61, 32), all)).to.equal(false)
    expect(isShutdownScript(program(0x51, 32).slice(0, -1), all)).to.equal(false)
  })
  it('OP_RETURN with 6 to 80 bytes in the shortest push -> if negotiated', () => {
    for (const length of [6, 75]) {
      expect(isShutdownScript(program(0x6a, length), all)).to.equal(true)
      expect(isShutdownScript(program(0x6a, length), { ...all, simpleClose: false })).to.equal(false)
    }
    const long = (length: number) => Uint8Array.of(0x6a, 76, length, ...new Uint8Array(length))
    expect([76, 80].every((length) => isShutdownScript(long(length), all))).to.equal(true)
    expect([75, 81].some((length) => isShutdownScript(long(length), all))).to.equal(false)
    expect([0, 5, 77].some((length) => isShutdownScript(program(0x6a, length), all))).to.equal(false)
  })
  it('anything else -> never', () => {
    for (const script of [
      [],
      [0x76, 0xa9, 0x14, ...new Uint8Array(20), 0x88, 0xac],
      [0xa9, 0x14, ...new Uint8Array(20), 0x87],
    ]) {
      expect(isShutdownScript(Uint8Array.from(script), all)).to.equal(false)
    }
  })
})

describe('signer: closing', () => {
  it('less than our balance, or another script than ours -> INVALID_TRANSITION', () => {
    const balances = [msat(60_000_000n), msat(40_000_000n)] as const
    const { alice, keys } = pairOf('anchors_zero_fee_htlc', {
      balances,
      ownsScript: (script) => script === OURS,
    })
    const sign = (script: Uint8Array, lost: bigint) => () => {
      const closing = buildLegacyClosing({
        funding: { ...FUNDING, keys },
        local: { balance: msat(balances[0] - lost * 1000n), script },
        remote: { balance: msat(balances[1] + lost * 1000n), script: THEIRS },
        opener: 'local',
        fee: sat(500n),
        dustLimit: sat(354n),
      })
      return alice.signer.signClosing(alice.record, {
        closing,
        side: 'local',
        balance: balances[0],
        fee: sat(500n),
      })
    }
    expect(sign(OURS, 0n)).not.to.throw()
    for (const bad of [sign(OURS, 1n), sign(THEIRS, 0n)]) {
      expect(bad)
        .to.throw()
        .that.satisfies((error: unknown) => isError(error, 'INVALID_TRANSITION'))
    }
  })
})

function invalid(act: () => unknown): void {
  expect(act)
    .to.throw()
    .that.satisfies((error: unknown) => isError(error, 'INVALID_STATE'))
}
