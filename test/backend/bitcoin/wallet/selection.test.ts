import { expect } from 'chai'
import fc from 'fast-check'
import { dustLimitOf, weightOf } from '../../../../backend/bitcoin/script/index.js'
import { blockHeight, feeratePerKw, sat } from '../../../../backend/bitcoin/units.js'
import type { Coin, CoinKind } from '../../../../backend/bitcoin/wallet/index.js'
import { INPUT_WEIGHT, selectCoins } from '../../../../backend/bitcoin/wallet/selection.js'
import { isError } from '../../../../channel/errors.js'

const CHANGE = Uint8Array.of(0, 20, ...new Uint8Array(20))
const SCRIPTS: Readonly<Record<CoinKind, Uint8Array>> = {
  p2wpkh: CHANGE,
  p2tr: Uint8Array.of(0x51, 32, ...new Uint8Array(32).fill(7)),
}
const WITNESS: Readonly<Record<CoinKind, readonly Uint8Array[]>> = {
  p2wpkh: [new Uint8Array(72), new Uint8Array(33)],
  p2tr: [new Uint8Array(64)],
}

describe('bitcoin/wallet: selection', () => {
  const coin = fc.record({
    kind: fc.constantFrom<CoinKind>('p2wpkh', 'p2tr'),
    amount: fc.oneof(fc.bigInt(294n, 3000n), fc.bigInt(294n, 5_000_000n), fc.bigInt(294n, 2_000_000_000n)),
  })
  const output = fc.record({
    amount: fc.oneof(fc.bigInt(354n, 100_000n), fc.bigInt(354n, 10_000_000n)).map(sat),
    script: fc.constantFrom(Uint8Array.of(0, 32, ...new Uint8Array(32)), SCRIPTS.p2tr, SCRIPTS.p2wpkh),
  })
  const coinsOf = (given: readonly { kind: CoinKind; amount: bigint }[]): readonly Coin[] =>
    given.map(({ kind, amount }, index) => ({
      outpoint: { txid: new Uint8Array(32).fill(index), index },
      amount: sat(amount),
      script: SCRIPTS[kind],
      kind,
      height: blockHeight(1),
      isReserved: false,
    }))

  it('any coins, outputs and feerate -> sums and fee exact, change no dust; refused only if too poor', () => {
    let [paid, refused] = [0, 0]
    const property = (
      given: readonly { kind: CoinKind; amount: bigint }[],
      outputs: readonly { amount: ReturnType<typeof sat>; script: Uint8Array }[],
      rate: number,
    ) => {
      const coins = coinsOf(given)
      const feerate = feeratePerKw(rate)
      const target = outputs.reduce((sum, { amount }) => sum + amount, 0n)
      const cost = (weight: number) => (BigInt(rate) * BigInt(weight) + 999n) / 1000n
      try {
        const selected = selectCoins({ coins, outputs, feerate, changeScript: CHANGE, keep: sat(0n) })
        const total = selected.coins.reduce((sum, { amount }) => sum + amount, 0n)
        expect(total).to.equal(target + selected.fee + (selected.change ?? 0n))
        expect(new Set(selected.coins).size).to.equal(selected.coins.length)
        const change = selected.change === undefined ? [] : [{ amount: selected.change, script: CHANGE }]
        const weight = weightOf({
          version: 2,
          inputs: selected.coins.map(({ outpoint, kind }) => ({
            outpoint,
            sequence: 0,
            witness: WITNESS[kind],
          })),
          outputs: [...outputs, ...change],
          locktime: 0,
        })
        if (selected.change === undefined) {
          // What is left would not have paid for its own output and been no dust.
          expect(selected.fee >= cost(weight)).to.equal(true)
          expect(selected.fee < cost(weight + 4 * 31) + dustLimitOf(CHANGE)).to.equal(true)
        } else {
          expect(selected.fee).to.equal(cost(weight))
          expect(selected.change >= dustLimitOf(CHANGE)).to.equal(true)
        }
        paid++
      } catch (error) {
        if (!isError(error, 'INSUFFICIENT_FUNDS')) throw error
        refused++
        // All that are worth more than they cost don't suffice even for a transaction with nothing around them.
        const worth = coins.reduce((sum, { amount, kind }) => {
          const value = amount - cost(INPUT_WEIGHT[kind])
          return value > 0n ? sum + value : sum
        }, 0n)
        expect(worth < target + cost(4 * (10 + 43 * outputs.length) + 2) + BigInt(coins.length)).to.equal(
          true,
        )
      }
    }
    const rates = fc.oneof(fc.integer({ min: 253, max: 3000 }), fc.integer({ min: 253, max: 250_000 }))
    const outputs = fc.array(output, { minLength: 1, maxLength: 4 })
    fc.assert(fc.property(fc.array(coin, { maxLength: 12 }), outputs, rates, property), { numRuns: 200 })
    expect([paid > 20, refused > 20], `${paid} paid, ${refused} refused`).to.deep.equal([true, true])
  })

  it('what must stay -> counts change; a satoshi more is refused', () => {
    const coins = coinsOf([{ kind: 'p2wpkh', amount: 100_000n }])
    const outputs = [{ amount: sat(40_000n), script: CHANGE }]
    const ask = (keep: bigint) =>
      selectCoins({ coins, outputs, feerate: feeratePerKw(253), changeScript: CHANGE, keep: sat(keep) })
    const { change = 0n } = ask(0n)
    expect(ask(change).change).to.equal(change)
    expect(() => ask(change + 1n)).to.throw('sat confirmed and free')
  })
})
