import { expect } from 'chai'
import type { Hex } from '../../../channel/index.js'
import { type Payer, PaymentOracle } from './oracle.js'

type Told = Parameters<PaymentOracle['told']>

const HASH: Hex = `0x${'07'.repeat(32)}`
const AMOUNT = 5_000_000n

function judged(told: readonly [who: 'a' | 'b', end: Told[3]][], isCheat = false): string[] {
  const party = (name: string, isHonest: boolean): Payer => ({ name, id: `0x${name}`, isHonest })
  const parties = { a: party('a', true), b: party('b', !isCheat) }
  const oracle = new PaymentOracle()
  for (const [who, end] of told) oracle.told(parties[who], HASH, AMOUNT, end)
  oracle.judge(Object.values(parties))
  return oracle.violations.map(({ words }) => words)
}

describe('simulation on Bitcoin: oracle', () => {
  it('sent and received, or failed and not received -> nothing to say', () => {
    expect(
      judged([
        ['a', 'sent'],
        ['b', 'received'],
      ]),
    ).to.deep.equal([])
    expect(judged([['a', 'failed']])).to.deep.equal([])
  })

  it('what contradicts itself, or each other -> a violation', () => {
    expect(
      judged([
        ['a', 'sent'],
        ['a', 'failed'],
      ]),
    ).to.have.length(2)
    expect(
      judged([
        ['a', 'failed'],
        ['b', 'received'],
      ]),
    ).to.have.length(1)
    expect(judged([['a', 'sent']])).to.have.length(1)
    expect(judged([['b', 'received']])).to.have.length(1)
  })

  it('of a cheat: that it has got nothing, and that it knows of no payment, is its own affair', () => {
    expect(judged([['a', 'sent']], true)).to.deep.equal([])
    expect(
      judged(
        [
          ['a', 'failed'],
          ['b', 'received'],
        ],
        true,
      ),
    ).to.deep.equal([])
  })

  it('the balance of who was told: gifts that became channels, and payments', () => {
    const oracle = new PaymentOracle()
    const [a, b] = [
      { name: 'a', id: '0x0a', isHonest: true },
      { name: 'b', id: '0x0b', isHonest: true },
    ] as const
    oracle.gift('0x01', { from: a.id, to: b.id, amount: 7n })
    expect([oracle.balance(a), oracle.balance(b)]).to.deep.equal([0n, 0n])
    oracle.opened(1n)
    oracle.told(a, HASH, 2n, 'received')
    oracle.told(b, HASH, 2n, 'sent')
    expect([oracle.balance(a), oracle.balance(b)]).to.deep.equal([-5n, 5n])
  })
})
