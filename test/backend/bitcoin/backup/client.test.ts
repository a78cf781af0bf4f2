// A client whose store was lost: its Lightning channels are there, nothing disputes them, and settling waits for the money.
import { expect } from 'chai'
import { openBackup } from '../../../../backend/bitcoin/backup/index.js'
import { BitcoinBackend } from '../../../../backend/bitcoin/protocol/index.js'
import { isError } from '../../../../channel/errors.js'
import { type Channel, Client } from '../../../../client/index.js'
import { createIdentity, PeerBus } from '../../../../peer/index.js'
import { MemoryStore } from '../../../../persistence/index.js'
import { bytesOf, LossyWorld, turns } from './world.js'

describe('Client: a Lightning channel whose data is lost', () => {
  it('is registering until its peer closed it; calls that need its data are refused, settle is the way out', async () => {
    const world = await LossyWorld.begin()
    try {
      const { alice, bob } = world
      await world.open(bob)
      const [backup] = alice.backups
      if (backup === undefined) throw new Error('no backup')
      await alice.lose()
      const before = alice.wallet.wealth
      const { chain, wallet, seed } = await alice.options()
      await alice.bus?.close()
      const again: Uint8Array[] = []
      const backend = new BitcoinBackend({
        chain,
        wallet,
        seed,
        recover: backup,
        onBackup: (bytes) => void again.push(bytes),
      })
      const bus = new PeerBus({
        identity: createIdentity(bytesOf('identity alice')),
        dialers: [world.transport.dialer],
        addresses: { [bob.id]: 'memory://bob' },
        limits: { backoffMin: 1, backoffMax: 5 },
        ...backend.bus,
      })
      await bus.listen(world.transport.listener('alice'))
      const client = new Client({ bus, store: new MemoryStore(), backend })
      try {
        const told: unknown[] = []
        client.newChannels$.subscribe((one) =>
          one.events$.subscribe((event) => {
            if (event.kind === 'error' && isError(event.error, 'DATA_LOSS')) told.push(event.error.facts)
          }),
        )
        const [channel] = await client.restore()
        if (channel === undefined) throw new Error('a channel expected')
        expect(channel.phase).to.equal('registering')
        const pays = channel.update(() => {})
        expect(await codeOf(pays)).to.equal('DATA_LOSS')
        expect(await codeOf(lock(channel))).to.equal('DATA_LOSS')
        expect(await codeOf(channel.forceUpdate(() => {}))).to.equal('UNSUPPORTED')
        const settled = channel.settle()
        await bob.node.until(0n, ({ phase }) => phase === 'failed')
        for (let i = 0; i < 30 && channel.phase !== 'withdrawn'; i++) {
          await world.mine(1)
          await turns(20)
        }
        await settled
        expect(channel.phase).to.equal('withdrawn')
        expect(alice.wallet.wealth > before + 398_000n).to.equal(true)
        // Once with each connection.
        expect(told[0]).to.deep.equal({ channel: channel.id })
        expect(again.map((one) => openBackup(one, seed).channels.length)).to.deep.equal([1, 0])
      } finally {
        await client.close()
        await bus.close()
      }
    } finally {
      await world.stop()
    }
  })
})

function lock(channel: Channel): Promise<unknown> {
  return channel.lock({ hash: `0x${'11'.repeat(32)}`, amount: 1n, deadline: 300n })
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => undefined,
    (cause: unknown) => cause,
  )
  return isError(error, 'DATA_LOSS') || isError(error, 'UNSUPPORTED') ? error.code : String(error)
}
