// Onions to us that are taken off before they have to be.
import { expect } from 'chai'
import type { OpenHtlc } from '../../../../backend/bitcoin/channel/index.js'
import { type SharedSecret, sharedSecretWith } from '../../../../backend/bitcoin/onion/index.js'
import { openAhead, openFinal } from '../../../../backend/bitcoin/payments/final.js'
import { bytes32, htlcToUs, SECRETS, US } from './desk.js'
import { HASH } from './incoming.js'

/** A node that counts how often its secret is used. */
function counting() {
  const agree = sharedSecretWith(SECRETS.us)
  const seen = { count: 0 }
  const sharedSecret: SharedSecret = (point, tweak) => {
    seen.count++
    return agree(point, tweak)
  }
  const sign = () => {
    throw new Error('nothing is signed')
  }
  return { seen, node: { id: US, sharedSecret, sign } }
}

const htlc = (id: bigint, given: Partial<OpenHtlc> = {}): OpenHtlc => ({
  ...htlcToUs({ paymentHash: HASH, id, amount: 1000n, payment: { paymentSecret: bytes32(3), total: 1000n } }),
  stage: 'acked',
  ...given,
})

describe('payments: onions ahead', () => {
  it('a few at a time, each once; what is found is the same, and no secret is needed for it again', () => {
    const { node, seen } = counting()
    const htlcs = [1n, 2n, 3n].map((id) => htlc(id))
    expect(openAhead(htlcs, node, 2)).to.equal(true)
    expect(seen.count).to.equal(2)
    expect(openAhead(htlcs, node, 2)).to.equal(false)
    expect(openAhead(htlcs, node, 2)).to.equal(false)
    expect(seen.count).to.equal(3)
    for (const one of htlcs) {
      const { node: other } = counting()
      const ahead = openFinal({ ...one, stage: 'locked' }, undefined, node)
      expect(ahead).to.deep.equal(openFinal(one, undefined, other))
      expect(ahead.kind).to.equal('receive')
    }
    expect(seen.count).to.equal(3)
  })

  it('another node finds its own: what one has taken off says nothing to another', () => {
    const { node } = counting()
    const { node: other, seen } = counting()
    const one = htlc(1n)
    openAhead([one], node, 1)
    openFinal(one, undefined, other)
    expect(seen.count).to.equal(1)
  })

  it('not what the peer may take back, what is ours, is handed on already, or is of a blinded route', () => {
    const { node, seen } = counting()
    const { onion: _, ...handed } = htlc(4n)
    const others = [
      htlc(1n, { stage: 'offered' }),
      htlc(2n, { offerer: 'local' }),
      htlc(3n, { blindedPath: new Uint8Array(33) }),
      handed,
      htlc(5n, { stage: 'locked' }),
    ]
    expect(openAhead(others, node, 1)).to.equal(false)
    expect(seen.count).to.equal(0)
  })

  it('what is no onion is found to be none, ahead or not', () => {
    const { node } = counting()
    const one = htlc(1n, { onion: new Uint8Array(1366).fill(7) })
    expect(openAhead([one], node, 1)).to.equal(false)
    expect(openFinal(one, undefined, node).kind).to.equal('malformed')
  })
})
