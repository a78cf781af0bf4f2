import { expect } from 'chai'
import { buildOnion } from '../../../../backend/bitcoin/onion/index.js'
import { Sessions } from '../../../../backend/bitcoin/payments/sessions.js'
import { fromHex, toHex } from '../../../../channel/bytes.js'
import { createIdentity } from '../../../../peer/index.js'

const [peer, other] = [1, 2].map((secret) => createIdentity(new Uint8Array(32).fill(secret)).id)

function sessions(): Sessions {
  let count = 0
  return new Sessions((bytes) => new Uint8Array(bytes).fill(++count))
}

describe('session keys made ahead', () => {
  it('as many as were asked for, up to 64; each is given once', () => {
    const made = sessions()
    if (peer === undefined || other === undefined) throw new Error('identities')
    expect(made.prepare(peer, 100), 'nobody was paid').to.equal(false)
    for (let i = 0; i < 100; i++) expect(made.take(peer)).to.equal(undefined)
    expect(made.prepare(peer, 60)).to.equal(true)
    expect(made.prepare(peer, 60)).to.equal(false)
    expect(made.take(other)).to.equal(undefined)
    const taken = Array.from({ length: 100 }, () => made.take(peer)).flatMap((one) => one ?? [])
    expect(new Set(taken.map(({ sessionKey }) => toHex(sessionKey))).size).to.equal(64)
  })

  it('a packet made with one -> is the one that is made without; for another first hop, too', () => {
    const made = sessions()
    if (peer === undefined || other === undefined) throw new Error('identities')
    made.take(peer)
    made.prepare(peer, 1)
    const session = made.take(peer)
    if (session === undefined) throw new Error('none was made')
    const payload = Uint8Array.of(2, 1, 0)
    for (const route of [[peer], [peer, other], [other, peer]]) {
      const hops = route.map((id) => ({ publicKey: fromHex(id), payload }))
      const { sessionKey } = session
      expect(buildOnion({ ...session, hops })).to.deep.equal(buildOnion({ sessionKey, hops }))
    }
  })
})
