// Updates of peers wait for their signature, and never for long.
import { expect } from 'chai'
import type { NodeInput } from '../../../../backend/bitcoin/node/input.js'
import { Unsigned } from '../../../../backend/bitcoin/node/unsigned.js'
import type { PeerID } from '../../../../peer/index.js'

const peer: PeerID = `0x02${'11'.repeat(32)}`
const other: PeerID = `0x03${'22'.repeat(32)}`
const channelID = `0x${'33'.repeat(32)}` as const

const signature: NodeInput = {
  kind: 'message',
  peer,
  message: { kind: 'commitment_signed', channelID, signature: new Uint8Array(64), htlcSignature: [] },
}

function update(id: number): NodeInput {
  const paymentPreimage = new Uint8Array(32)
  return {
    kind: 'message',
    peer,
    message: { kind: 'update_fulfill_htlc', channelID, id: BigInt(id), paymentPreimage },
  }
}

describe('LightningNode: updates that are not signed', () => {
  it('wait for the signature, and go before it in their order', () => {
    const unsigned = new Unsigned()
    expect(unsigned.before(peer, update(1))).deep.equals([])
    expect(unsigned.before(peer, update(2))).deep.equals([])
    expect(unsigned.waiting(peer)).equals(2)
    expect(unsigned.before(other, signature)).deep.equals([signature])
    expect(unsigned.before(peer, signature)).deep.equals([update(1), update(2), signature])
    expect(unsigned.isEmpty).equals(true)
  })

  it('go with whatever else the peer says or does', () => {
    const unsigned = new Unsigned()
    unsigned.before(peer, update(1))
    const down: NodeInput = { kind: 'peerDown', peer }
    expect(unsigned.before(peer, down)).deep.equals([update(1), down])
  })

  it('wait no longer when nothing else is to be done and no more of them come', () => {
    const unsigned = new Unsigned()
    unsigned.before(peer, update(1))
    expect(unsigned.due(true)).deep.equals([])
    unsigned.before(peer, update(2))
    expect(unsigned.due(true)).deep.equals([])
    expect(unsigned.due(true)).deep.equals([[peer, [update(1), update(2)]]])
    expect(unsigned.isEmpty).equals(true)
  })

  it('wait for 16 turns at most while others are busy', () => {
    const unsigned = new Unsigned()
    for (let turn = 1; turn < 16; turn++) {
      unsigned.before(peer, update(turn))
      expect(unsigned.due(false), `turn ${turn}`).deep.equals([])
    }
    expect(unsigned.due(false)[0]?.[1].length).equals(15)
  })

  it('256 of a peer are enough to be handled', () => {
    const unsigned = new Unsigned()
    for (let id = 1; id < 256; id++) expect(unsigned.before(peer, update(id))).deep.equals([])
    expect(unsigned.before(peer, update(256)).length).equals(256)
    expect(unsigned.isEmpty).equals(true)
  })
})
