// BOLT 8 and BOLT 1 with LDK at the other end, whoever dials.
import { expect } from 'chai'
import type { LightningMessage } from '../../../backend/bitcoin/wire/index.js'
import { isError } from '../../../channel/index.js'
import { createIdentity } from '../../../peer/index.js'
import type { Ldk } from '../../../scripts/ldk/ldk.js'
import { Door, dial, type Line, type LineOptions, REGTEST } from './line.js'
import { Regtest } from './regtest.js'

/** Of an LDK node with gossip, onion messages and anchors (BOLT 9): what it demands, and what it offers. */
const LDK_BITS = [0, 5, 7, 8, 12, 14, 17, 19, 23, 25, 27, 39, 45, 47, 51]
const NO_CHANNEL = `0x${'77'.repeat(32)}` as const
const text = (words: string) => new TextEncoder().encode(words)

describe('interop/ldk: transport', () => {
  const identity = createIdentity()
  let regtest: Regtest
  let ldk: Ldk
  before(async function () {
    this.timeout(60_000)
    regtest = await Regtest.start()
    ldk = await regtest.ldk()
  })
  after(() => regtest[Symbol.asyncDispose]())

  afterEach(async () => {
    await ldk.call('disconnect', identity.id)
    await ldk.call('awaitPeer', { peer: identity.id, isGone: true })
  })

  /** One line for each who may dial. */
  async function lines(options: Partial<LineOptions> = {}): Promise<readonly (() => Promise<Line>)[]> {
    return [
      async () => (await dial(ldk, { identity, ...options })).opened(),
      async () => {
        await using door = await new Door({ identity, ...options }).open()
        const [line] = await Promise.all([
          door.visitor(),
          ldk.call('connect', { peer: door.id, port: door.port }),
        ])
        return line.opened()
      },
    ]
  }

  async function gone(line: Line): Promise<void> {
    line.close()
    await Promise.all([line.closed(), ldk.call('awaitPeer', { peer: identity.id, isGone: true })])
  }

  it('whoever dials: both are who they say, and both introductions arrive as they were sent', async () => {
    for (const open of await lines()) {
      const line = await open()
      expect(line.remote).to.equal(ldk.id)
      expect(line.init).to.deep.include({ features: LDK_BITS, networks: [REGTEST] })
      await ldk.call('awaitPeer', { peer: identity.id })
      expect([...line.negotiated]).to.deep.equal([
        'option_data_loss_protect',
        'option_upfront_shutdown_script',
        'var_onion_optin',
        'option_static_remotekey',
        'payment_secret',
        'basic_mpp',
        'option_support_large_channel',
        'option_anchors',
        'option_shutdown_anysegwit',
        'option_channel_type',
        'option_scid_alias',
        'option_zeroconf',
      ])
      // Bytes with the lowest bit last; ours, as LDK has understood them.
      expect(await ldk.call('featuresOf', identity.id)).to.equal('0x2008a000088a5121')
      await gone(line)
    }
  })

  it('pings go both ways; who answers stays, also beyond the change of keys', async () => {
    for (const at of [0, 1]) {
      let bytes = 0
      const options = {
        onBytes: (chunk: Uint8Array) => {
          bytes += chunk.length
        },
      }
      const line = await (await lines(options))[at]?.()
      if (line === undefined) throw new Error('a line')
      // LDK pings at its first tick and hangs up at the next one unless it was answered.
      for (let tick = 0; tick < 4; tick++) {
        const before = bytes
        await ldk.call('tickPeers', null)
        await until(() => bytes > before)
        // Its answer is behind ours to its ping.
        await answered(line, 3)
      }
      // A key lasts for 500 messages.
      for (let i = 0; i < 12; i++) await answered(line, 100)
      expect(line.isOpen).to.equal(true)
      await ldk.call('awaitPeer', { peer: identity.id })
      await gone(line)

      /** `count` pings, and at least what the pongs take, LDK's own pings aside: 2 bytes of type, 2 of length, 10 that were asked for, 34 around them. */
      async function answered(open: Line, count: number): Promise<void> {
        const before = bytes
        const ping: LightningMessage = { kind: 'ping', numPongBytes: 10, ignored: new Uint8Array(3) }
        for (let i = 0; i < count; i++) open.send(ping)
        await until(() => bytes - before >= count * 48)
      }

      /** Bytes come with messages that are not told; so it is looked at on each turn. */
      async function until(isTrue: () => boolean): Promise<void> {
        while (!isTrue()) await new Promise((resolve) => setImmediate(resolve))
      }
    }
  })

  it('warnings, errors of channels that nobody has, and unknown odd messages end nothing', async () => {
    for (const open of await lines()) {
      const line = await open()
      line.send({ kind: 'warning', channelID: NO_CHANNEL, data: text('mind the gap') })
      line.send({ kind: 'error', channelID: NO_CHANNEL, data: text('no such channel') })
      line.sendRaw(44_001, text('nobody knows this type'))
      // LDK has no such channel either, and says so.
      line.send({ kind: 'shutdown', channelID: NO_CHANNEL, scriptpubkey: new Uint8Array(22) })
      const { channelID, data } = await line.next('error')
      expect(channelID).to.equal(NO_CHANNEL)
      expect(new TextDecoder().decode(data)).to.match(/No such channel for the passed counterparty_node_id/)
      await ldk.call('awaitPeer', { peer: identity.id })
      expect(line.isOpen).to.equal(true)
      await gone(line)
    }
  })

  it('what LDK can not live with ends the connection: an unknown even message, an unknown demand, another chain', async () => {
    for (const open of await lines()) {
      const line = await open()
      line.sendRaw(44_000, text('an even one'))
      expect(isError(await line.closed(), 'PEER_UNREACHABLE')).to.equal(true)
    }
    const demanding = await dial(ldk, { identity, moreBits: [300] })
    expect(isError(await demanding.closed(), 'PEER_UNREACHABLE')).to.equal(true)
    // Both sides see it; who is first hangs up.
    const elsewhere = await dial(ldk, { identity, networks: [NO_CHANNEL] })
    expect((await elsewhere.closed())?.code).to.be.oneOf(['PEER_MISBEHAVED', 'PEER_UNREACHABLE'])
  })

  it('somebody else than expected -> no connection, on either side', async () => {
    const { id } = createIdentity()
    const line = await dial({ id, port: ldk.port }, { identity })
    expect(isError(await line.closed(), 'HANDSHAKE_FAILED')).to.equal(true)
    await using door = await new Door({ identity }).open()
    const called = ldk.call('connect', { peer: id, port: door.port }).catch((e: Error) => e.message)
    expect(isError(await (await door.visitor()).closed(), 'HANDSHAKE_FAILED')).to.equal(true)
    void called
  })
})
