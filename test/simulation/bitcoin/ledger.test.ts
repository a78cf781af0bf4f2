import { expect } from 'chai'
import { sha256, type Transaction, transactionID } from '../../../backend/bitcoin/script/index.js'
import { feeratePerKw, sat } from '../../../backend/bitcoin/units.js'
import { BitcoinLedger, nameOf } from './ledger.js'
import { SimWallet } from './wallet.js'

describe('simulated Bitcoin chain', () => {
  it('a floor that rises puts out what pays less, and not what a child pays for', async () => {
    const { ledger, pay } = world()
    const [poor, parent] = [await pay(300), await pay(300)]
    const child = await pay(9000, parent)
    for (const tx of [poor, parent, child]) expect(ledger.submit([tx])).to.deep.equal({ kind: 'accepted' })
    ledger.floor = 2000n
    expect(ledger.pool.map(({ id }) => id)).to.deep.equal([parent, child].map(nameOf))
    expect(ledger.submit([poor]).kind).to.equal('feeTooLow')
    ledger.mine()
    expect(ledger.pool).to.deep.equal([])
    ledger.floor = 253n
    expect(ledger.submit([poor]).kind).to.equal('accepted')
  })

  it('blocks take nothing below the floor, and what is undone comes back or is lost', async () => {
    const { ledger, pay } = world()
    const tx = await pay(1000)
    ledger.submit([tx])
    ledger.mine()
    expect(ledger.pool).to.have.length(0)
    ledger.reorg(1)
    expect(ledger.pool.map(({ id }) => id)).to.deep.equal([nameOf(tx)])
    ledger.mine()
    ledger.reorg(1, { drop: true })
    expect(ledger.pool).to.have.length(0)
    expect(ledger.submit([tx]).kind).to.equal('accepted')
  })

  it('fees count for who takes from a transaction or is paid by it', async () => {
    const { ledger, pay, wallet } = world()
    const tx = await pay(1000)
    ledger.submit([tx])
    ledger.mine()
    expect(ledger.fees() > 0n).to.equal(true)
    expect(ledger.fees(wallet.script)).to.equal(ledger.fees())
    expect(ledger.fees(new SimWallet(ledger, secretOf('another')).script)).to.equal(0n)
  })
})

function secretOf(words: string): Uint8Array {
  return sha256(new TextEncoder().encode(words))
}

/** A chain, and somebody with coins who pays, or spends the change of a payment that waits. */
function world() {
  const ledger = new BitcoinLedger(100)
  const wallet = new SimWallet(ledger, secretOf('somebody'))
  for (let i = 0; i < 4; i++) ledger.mint(1_000_000n, wallet.script)
  ledger.mine()
  const pay = async (rate: number, parent?: Transaction): Promise<Transaction> => {
    const output = parent?.outputs[0]
    if (parent !== undefined && output !== undefined) {
      const tx: Transaction = {
        version: 2,
        inputs: [{ outpoint: outpointOf(parent), sequence: 0xffff_fffd, witness: [] }],
        outputs: [{ amount: sat(output.amount - BigInt(rate)), script: wallet.script }],
        locktime: 0,
      }
      return wallet.sign(tx, [output])
    }
    const { transaction, coins } = await wallet.fund({
      purpose: `${rate}`,
      outputs: [{ amount: sat(100_000n), script: wallet.script }],
      feerate: feeratePerKw(rate),
    })
    return wallet.sign(transaction, coins)
  }
  return { ledger, wallet, pay }
}

function outpointOf(tx: Transaction) {
  return { txid: transactionID(tx), index: 0 }
}
