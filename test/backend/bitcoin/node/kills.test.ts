// Two nodes of ours in processes of their own, over TCP, with stores on disk and a real chain, either of them or both killed
// again and again while payments fly in both directions.
import { setTimeout as pause } from 'node:timers/promises'
import { expect } from 'chai'
import { decodeInvoice } from '../../../../backend/bitcoin/invoice/index.js'
import type { PayRequest } from '../../../../backend/bitcoin/payments/index.js'
import { type Hex, toHex } from '../../../../channel/bytes.js'
import { VALUE } from '../../../interop/ldk/meeting.js'
import { OurNode, randomID } from '../../../interop/ldk/our-node.js'
import { Regtest } from '../../../interop/ldk/regtest.js'
import { Random } from '../../../simulation/random.js'

const PUSH = 400_000_000n
const KILLS = 5

interface Payment {
  readonly payer: OurNode
  readonly payee: OurNode
  readonly id: Hex
  readonly request: PayRequest & { readonly kind: 'invoice' }
  readonly amount: bigint
}

describe('LightningNode: processes that are killed', () => {
  let regtest: Regtest
  const nodes: OurNode[] = []
  before(async function () {
    this.timeout(60_000)
    regtest = await Regtest.start()
  })
  after(async () => {
    await Promise.all(nodes.map((node) => node.stop()))
    await regtest[Symbol.asyncDispose]()
  })

  it('either or both, at any moment, while payments fly: each is paid once or not at all, to the millisatoshi', async function () {
    this.timeout(60_000)
    const random = new Random('two nodes')
    const [alice, bob] = await OurNode.pair(regtest)
    nodes.push(alice, bob)
    const channel = await alice.call('open', { value: VALUE, push: PUSH })
    await regtest.mine()
    const payments: Payment[] = []
    const begin = async (payer: OurNode, payee: OurNode) => {
      const amount = BigInt(100_000 + random.int(5_000_000))
      const invoice = await payee.call('invoice', amount)
      const payment: Payment = { payer, payee, id: randomID(), request: { kind: 'invoice', invoice }, amount }
      payments.push(payment)
      return payment
    }
    for (let kill = 0; kill < KILLS; kill++) {
      await Promise.all([alice.call('usable', channel), bob.call('usable', channel)])
      const invited = await Promise.all(
        Array.from({ length: 8 }, () => [begin(alice, bob), begin(bob, alice)]).flat(),
      )
      const victims = [[alice], [bob], [alice, bob]][kill % 3] ?? []
      for (const victim of victims) {
        const when = random.int(2) === 0 ? 'before' : 'after'
        await victim.call('doom', { commits: 1 + random.int(12), when })
      }
      // What is under way fails with its process; what became of it is seen in the end.
      const settled = Promise.allSettled(
        invited.map(({ payer, id, request }) => payer.call('pay', { id, request })),
      )
      await Promise.race([Promise.all(victims.map(({ gone }) => gone)), pause(10 + random.int(150))])
      for (const victim of victims) await victim.kill()
      if (kill % 3 === 1) await regtest.mine()
      for (const victim of victims) {
        victim.knows(victim === alice ? bob : alice)
        await victim.start()
      }
      await settled
    }
    // What its payer died too early for is paid now.
    await Promise.all([alice.call('usable', channel), bob.call('usable', channel)])
    let balance = VALUE * 1000n - PUSH
    let count = 0
    for (const { payer, payee, id, request, amount } of payments) {
      // The same ID and request: it is told how that one ended.
      const outcome = await payer.call('pay', { id, request })
      const hash = toHex(decodeInvoice(request.invoice).paymentHash)
      if (outcome === 'succeeded') {
        await payee.event('received', hash)
        balance += payer === alice ? -amount : amount
        count++
      }
      expect(payee.received.has(hash), outcome).to.equal(outcome === 'succeeded')
    }
    const [hers, his] = await Promise.all([alice.call('idle', channel), bob.call('idle', channel)])
    expect([hers.local, hers.remote]).to.deep.equal([balance, VALUE * 1000n - balance])
    expect([his.local, his.remote]).to.deep.equal([hers.remote, hers.local])
    expect(count).to.be.above(KILLS)
    expect([...alice.errors, ...bob.errors]).to.deep.equal([])
  })
})
