// Options that are undefined, as programs without types give them: as if they were not there, never in place of a default.
import { expect } from 'chai'
import { ADMISSION_LIMITS, admissionLimits } from '../../backend/bitcoin/channel/admission.js'
import { channelPolicy } from '../../backend/bitcoin/channel/checks.js'
import { CHANNEL_POLICY } from '../../backend/bitcoin/channel/index.js'
import { PAYMENTS_POLICY, paymentsPolicy } from '../../backend/bitcoin/payments/policy.js'
import { SimBackend, SimLedger } from '../../backend/sim/index.js'
import { accept, Client, defaultTimeouts } from '../../client/index.js'
import { createIdentity, memoryNetwork, memoryTransport, PeerBus, systemClock } from '../../peer/index.js'
import { MemoryStore } from '../../persistence/index.js'
import { MemoryWallet, randomSecret } from '../../wallet/index.js'

describe('options that are undefined', () => {
  it('a policy of them is the default one', () => {
    expect(channelPolicy(nothingOf(CHANNEL_POLICY))).to.deep.equal(CHANNEL_POLICY)
    expect(paymentsPolicy(nothingOf(PAYMENTS_POLICY))).to.deep.equal(PAYMENTS_POLICY)
    expect(admissionLimits(nothingOf(ADMISSION_LIMITS))).to.deep.equal(ADMISSION_LIMITS)
  })

  it('timeouts of a client: it waits as long as by default', async () => {
    const waits: unknown[] = []
    const clock = {
      ...systemClock,
      after(milliseconds: number, call: () => void) {
        waits.push(milliseconds)
        return systemClock.after(milliseconds, call)
      },
    }
    const ledger = new SimLedger({ autoMine: 'microtask' })
    const coin = ledger.createAsset()
    const network = memoryNetwork()
    const [alice, bob] = await Promise.all(
      [nothingOf(defaultTimeouts), {}].map(async (timeouts) => {
        const wallet = new MemoryWallet([randomSecret()])
        const [account = '0x'] = await wallet.addresses()
        ledger.mint(coin, account, 10n)
        const bus = network.bus(createIdentity().id)
        const backend = new SimBackend({ ledger, account, wallet })
        return new Client({ bus, backend, wallet, store: new MemoryStore(), timeouts, clock })
      }),
    )
    bob?.handleProposals(accept)
    const allocation = { assets: [coin], balances: [[5n, 5n]] }
    await alice?.proposeChannel({ peers: [bob?.id ?? '0x'], allocation, challengeDuration: 60n })
    expect(waits).to.include(defaultTimeouts.proposal).and.not.include(undefined)
    for (const client of [alice, bob]) await client?.close()
  })

  it('limits of a bus: as many connections as by default, and time for their handshakes', async () => {
    const transport = memoryTransport()
    const names = ['maxIncoming', 'maxHandshakes', 'handshakeTimeout', 'pingInterval', 'pingTimeout']
    const limits = nothingOf(Object.fromEntries(names.map((name) => [name, 0])))
    const buses = [0, 1].map(
      () => new PeerBus({ identity: createIdentity(), dialers: [transport.dialer], limits }),
    )
    const [near, far] = buses
    await far?.listen(transport.listener('far'))
    near?.connect(far?.id ?? '0x', 'memory://far')
    await near?.reach(far?.id ?? '0x')
    expect(near?.connected()).to.deep.equal([far?.id])
    for (const bus of buses) await bus.close()
  })
})

/** All names of some options, with nothing in them. */
function nothingOf(options: object) {
  return Object.fromEntries(Object.keys(options).map((name): readonly unknown[] => [name, undefined]))
}
