// What a client's user chooses of Lightning channels: to use them before their funding is confirmed, and where they are paid to.
import { expect } from 'chai'
import type { NodeChain } from '../../../../backend/bitcoin/node/index.js'
import type { BitcoinBackendOptions, ZeroConfChoice } from '../../../../backend/bitcoin/protocol/index.js'
import { p2wpkh, sha256 } from '../../../../backend/bitcoin/script/index.js'
import { equalBytes } from '../../../../channel/bytes.js'
import { isError, type PerkunasError, toHex, transfer } from '../../../../channel/index.js'
import { accept, type Channel } from '../../../../client/index.js'
import type { LedgerChain } from '../node/ledger-chain.js'
import { bytesOf, CAPACITY, Two, told } from './two.js'

/** Bits of `option_zeroconf`. */
const ZERO_CONF = [50, 51]

function trusting(zeroConf: ZeroConfChoice): Partial<BitcoinBackendOptions> {
  return { zeroConf }
}

async function pay(channel: Channel, amount: bigint): Promise<void> {
  const from = channel.index
  await channel.update((draft) => transfer(draft, { from, to: 1 - from, amount }))
}

async function failure(call: Promise<unknown>): Promise<unknown> {
  return await call.then(() => undefined).catch((error: unknown) => error)
}

describe('bitcoin: channels before their funding is confirmed', () => {
  it('a trusted opener’s channel is used at once, both ways; then it confirms, goes on and is settled', async () => {
    const asked: bigint[] = []
    const trusts: ZeroConfChoice['trusts'] = ({ capacity }) => asked.push(capacity) > 0
    await using two = await Two.begin(() => trusting({ trusts }), trusting({ demands: () => true }))
    two.second.handleProposals(accept)
    for (const client of [two.first, two.second]) client.handleUpdates(accept)
    const channel = await two.propose()
    expect(asked).deep.equals([CAPACITY / 1000n])
    await pay(channel, 100_000_000n)
    await pay(two.theirs, 1_000_001n)
    const deadline = BigInt(two.chain.ledger.tip.height) + 60n
    const preimage = bytesOf('preimage')
    const lock = await two.theirs.lock({ hash: toHex(sha256(preimage)), amount: 2_000_000n, deadline })
    const node = await two.backend.node()
    await node.eventually(() => channel.locks.find(({ id }) => id === lock.id))
    await channel.release(lock.id, toHex(preimage))
    const [view] = node.channels()
    expect([view?.live?.confirmations, view?.live?.minimumDepth]).deep.equals([0, 0])
    expect(view?.live?.alias !== undefined && view.live.remoteAlias !== undefined).equals(true)
    for (let block = 0; block < 7; block++) await two.chain.mine()
    await pay(channel, 1_000_000n)
    const settled = channel.settle()
    await two.end(channel)
    await settled
  })

  it('who is not trusted waits for confirmations, or is refused if it demands to wait for none; the handler is not asked', async () => {
    const handled: string[] = []
    const large = ({ capacity }: { readonly capacity: bigint }) => capacity > CAPACITY / 1000n
    await using two = await Two.begin(
      () => trusting({ trusts: large }),
      trusting({ demands: ({ capacity }) => capacity === CAPACITY / 2000n }),
    )
    two.second.handleProposals((proposal) => {
      handled.push(proposal.session)
      return accept()
    })
    const allocation = { assets: [two.backend.asset], balances: [[CAPACITY / 2n, 0n]] }
    const refused = await failure(two.propose({ allocation }))
    expect(isError(refused, 'PEER_REJECTED') && refused.message).contains('before its funding is confirmed')
    expect(handled).deep.equals([])
    const opened = two.open()
    const node = await two.backend.node()
    const view = await node.eventually(() => node.channels().find(({ live }) => live !== undefined))
    expect([view.phase, view.live?.minimumDepth]).deep.equals(['awaitingReady', 3])
    await opened
  })

  it('the feature is shown by who chose it and nobody else; demanded of a peer without it, nothing is sent', async () => {
    await using two = await Two.begin(() => ({}), trusting({ demands: () => true }))
    const shown = [two.backend, two.secondBackend].map(({ bus }) =>
      bus.init.features.filter((bit) => ZERO_CONF.includes(bit)),
    )
    expect(shown).deep.equals([[51], []])
    const refused = await failure(two.propose())
    expect(isError(refused, 'INVALID_PARAMS') && refused.message).contains('option_zeroconf')
  })

  it('a choice that throws costs its channel: HANDLER_FAILED where it is ours, a refusal where it is the peer’s', async () => {
    const fail = (): never => {
      throw new Error('bug')
    }
    await using ours = await Two.begin(() => ({}), trusting({ demands: fail }))
    expect(isError(await failure(ours.propose()), 'HANDLER_FAILED')).equals(true)
    await using theirs = await Two.begin(() => trusting({ trusts: fail }))
    theirs.second.handleProposals(accept)
    const told: string[] = []
    theirs.second.errors$.subscribe(({ code }) => told.push(code))
    expect(isError(await failure(theirs.propose()), 'PEER_REJECTED')).equals(true)
    expect(told).deep.equals(['HANDLER_FAILED'])
  })

  it('disputed before the funding is confirmed: both get what the channel says', async () => {
    await using two = await Two.begin(() => trusting({ trusts: () => true }))
    two.second.handleProposals(accept)
    two.second.handleUpdates(accept)
    const channel = await two.propose()
    await pay(channel, 300_000_000n)
    const [before = 0n] = two.wallets.slice(1).map(({ wealth }) => wealth)
    const { theirs } = two
    const settled = [theirs.settle({ timeout: 1, locks: 'dispute' })]
    two.part()
    for (let block = 0; block < 400 && two.second.channels().length > 0; block++) await two.chain.mine()
    await Promise.all(settled)
    const [after = 0n] = two.wallets.slice(1).map(({ wealth }) => wealth)
    expect(after - before > 290_000n, `${after - before}`).equals(true)
  })

  it('a funding that never confirms: given up after 2016 blocks, over and FUNDING_FAILED after as many more', async () => {
    await using two = await Two.begin(
      () => trusting({ trusts: () => true }),
      // Its transactions get lost.
      (chain) => ({ chain: withoutBroadcast(chain) }),
    )
    two.second.handleProposals(accept)
    two.second.handleUpdates(accept)
    const channel = await two.propose()
    await pay(channel, 300_000_000n)
    const { theirs } = two
    const from = two.chain.ledger.tip.height
    // Blocks that are read at once: nobody broadcasts in between.
    const reach = async (height: number) => {
      while (two.chain.ledger.tip.height < height - 1) two.chain.ledger.mine()
      await two.chain.mine()
    }
    await reach(from + 2015)
    expect([channel.phase, theirs.phase]).deep.equals(['acting', 'acting'])
    await reach(from + 2017)
    expect(theirs.phase).equals('registering')
    const settled = failure(theirs.settle())
    await reach(from + 4031)
    expect(theirs.phase).equals('registering')
    await reach(from + 4033)
    expect(theirs.phase).equals('withdrawn')
    expect(isError(await settled, 'FUNDING_FAILED')).equals(true)
    expect(two.second.channels()).deep.equals([])
  })
})

describe('bitcoin: where a closing pays us', () => {
  const ours = p2wpkh(new Uint8Array(33).fill(2))
  const theirs = p2wpkh(new Uint8Array(33).fill(3))
  const paidTo = (two: Two, wanted: Uint8Array) => {
    const outputs = [...two.chain.ledger.outputs].map(([, output]) => output)
    const paid = outputs.filter(({ script }) => equalBytes(script, wanted))
    return paid.reduce((sum: bigint, { amount }) => sum + amount, 0n)
  }

  for (const isUpfront of [false, true]) {
    it(`${isUpfront ? 'said upfront' : 'said at the end'}: settled together, each has it where it chose`, async () => {
      const openers: string[] = []
      const choose = (script: Uint8Array) => ({
        shutdown: ({ opener }: { readonly opener: string }) => {
          openers.push(opener)
          return { script, isUpfront }
        },
      })
      await using two = await Two.begin(() => choose(theirs), choose(ours))
      const channel = await two.open()
      await pay(channel, 300_000_000n)
      expect(openers).deep.equals(['local', 'remote'])
      const node = await two.backend.node()
      const [view] = node.channels()
      if (isUpfront) {
        const other = node.close(view?.channel ?? 0n, { script: theirs })
        expect(isError(await failure(other), 'INVALID_PARAMS')).equals(true)
      }
      const settled = channel.settle()
      await two.end(channel)
      await settled
      // Who proposed the closing that came into the block pays for it.
      const fees = [CAPACITY / 1000n - 300_000n - paidTo(two, ours), 300_000n - paidTo(two, theirs)]
      expect(fees.sort((a, b) => (a < b ? -1 : 1))[0]).equals(0n)
      expect(Number(fees[1])).within(1, 2_000)
    })
  }

  it('a script of no standard form opens nothing', async () => {
    const shutdown = () => ({ script: Uint8Array.of(1, 2, 3), isUpfront: true })
    await using opening = await Two.begin(undefined, { shutdown })
    expect(isError(await failure(opening.propose()), 'INVALID_PARAMS')).equals(true)
    await using taking = await Two.begin(() => ({ shutdown }))
    taking.second.handleProposals(accept)
    const errors: PerkunasError[] = []
    taking.second.errors$.subscribe((error) => errors.push(error))
    expect(isError(await failure(taking.propose()), 'PEER_REJECTED')).equals(true)
    expect(errors.map(({ code }) => code)).deep.equals(['INVALID_PARAMS'])
  })

  it('a peer that said one upfront and wants another is refused, and the ledger pays it', async () => {
    await using two = await Two.begin(() => ({ shutdown: () => ({ script: theirs, isUpfront: true }) }))
    const channel = await two.open()
    await pay(channel, 300_000_000n)
    const warned: string[] = []
    const node = await two.secondBackend.node()
    node.events$.subscribe((event) => {
      if (event.kind === 'channel' && event.event.kind === 'warning') warned.push(event.event.text)
    })
    // shutdown (38): channel_id, length, script.
    const stolen = p2wpkh(new Uint8Array(33).fill(2))
    two.secondBus.alter = (type, payload) =>
      type === 38 ? Uint8Array.of(...payload.subarray(0, 34), ...stolen) : payload
    const events = told(channel)
    const settled = channel.settle({ timeout: 50 })
    await node.eventually(() => (warned.length > 0 ? true : undefined))
    await (await two.backend.node()).eventually(() => (channel.phase === 'registering' ? true : undefined))
    await two.end(channel)
    await settled
    expect(warned[0]).contains('upfront_shutdown_script')
    expect(events.some(({ kind }) => kind === 'registered')).equals(true)
    // What the commitment gives it is taken to where it wanted to be paid at first.
    expect(paidTo(two, stolen)).equals(0n)
    expect(Number(paidTo(two, theirs))).within(299_000, 300_000)
  })
})

/** A chain that takes every transaction and gives it to nobody. */
function withoutBroadcast(chain: LedgerChain): NodeChain {
  return {
    chainHash: chain.chainHash,
    follow: (from, handler) => chain.follow(from, handler),
    broadcast: async () => ({ kind: 'accepted' }),
    feeTable: () => chain.feeTable(),
  }
}
