import { expect } from 'chai'
import fc from 'fast-check'
import { nobleAead, nodeAead, sodiumAead } from '../../peer/aead.js'
import { createIdentity } from '../../peer/identity.js'
import { ACT_BYTES, type HandshakeStep, initiate, respond, type SessionKeys, step } from '../../peer/noise.js'

/** Node.js has all of them, if the optional one is installed; elsewhere there is one. */
const ciphers = [sodiumAead, nodeAead, nobleAead].filter((cipher) => cipher !== undefined)

describe('peer: noise', () => {
  const alice = createIdentity(new Uint8Array(32).fill(1))
  const bob = createIdentity(new Uint8Array(32).fill(2))
  const mallory = createIdentity(new Uint8Array(32).fill(3))
  const ephemeral = (n: number) => new Uint8Array(32).fill(n)

  function shake(remote = bob.id, responder = bob): { initiator: HandshakeStep; responder: HandshakeStep } {
    const one = initiate(remote, ephemeral(4))
    const two = step(respond(responder, ephemeral(5)), responder, one.send)
    if (two.kind !== 'reply') return { initiator: two, responder: two }
    const three = step(one.next, alice, two.send)
    if (three.kind !== 'done' || three.send === undefined) return { initiator: three, responder: two }
    return { initiator: three, responder: step(two.next, responder, three.send) }
  }

  function keys(one: HandshakeStep): SessionKeys {
    if (one.kind !== 'done') throw new Error('not finished')
    return one.keys
  }

  it('two honest sides -> know each other and hold mirrored keys', () => {
    const { initiator, responder } = shake()
    expect(keys(initiator).remote).to.equal(bob.id)
    expect(keys(responder).remote).to.equal(alice.id)
    expect(keys(initiator).send).to.deep.equal(keys(responder).receive)
    expect(keys(initiator).receive).to.deep.equal(keys(responder).send)
  })

  it('another static key than expected -> the responder refuses act one', () => {
    expect(shake(bob.id, mallory).responder).to.deep.equal({ kind: 'failed', reason: 'ACT1_BAD_TAG' })
  })

  it('any changed byte of any act -> refused, never thrown', () => {
    const one = initiate(bob.id, ephemeral(4))
    const two = step(respond(bob, ephemeral(5)), bob, one.send)
    if (two.kind !== 'reply') throw new Error('no act two')
    const three = step(one.next, alice, two.send)
    if (three.kind !== 'done' || three.send === undefined) throw new Error('no act three')
    const acts = [
      { state: respond(bob, ephemeral(5)), who: bob, act: one.send },
      { state: one.next, who: alice, act: two.send },
      { state: two.next, who: bob, act: three.send },
    ]
    for (const { state, who, act } of acts) {
      expect(act).to.have.length(ACT_BYTES[state.phase])
      for (let i = 0; i < act.length; i++) {
        const changed = Uint8Array.from(act)
        changed[i] = (changed[i] ?? 0) ^ 1
        expect(step(state, who, changed).kind, `${state.phase} byte ${i}`).to.equal('failed')
      }
    }
  })

  it('random acts of any length -> refused, never thrown', () => {
    const begun = initiate(bob.id, ephemeral(4)).next
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (act) => {
        expect(step(begun, alice, act).kind).to.equal('failed')
        expect(step(respond(bob, ephemeral(5)), bob, act).kind).to.equal('failed')
      }),
    )
  })

  it('the state is left as it was by each step', () => {
    const begun = initiate(bob.id, ephemeral(4))
    const before = structuredClone(begun.next)
    const two = step(respond(bob, ephemeral(5)), bob, begun.send)
    if (two.kind !== 'reply') throw new Error('no act two')
    step(begun.next, alice, two.send)
    expect(begun.next).to.deep.equal(before)
  })

  it('an identity shows its ID and hides its secret', () => {
    const seen = JSON.stringify(alice) + Object.values(alice).join()
    expect(seen).to.contain(alice.id).and.not.contain('0101010101')
    expect(() => createIdentity(new Uint8Array(32))).to.throw(/secret/)
    expect(createIdentity().id).to.not.equal(createIdentity().id)
  })
})

describe('peer: ciphers', () => {
  it('sodium, node and noble -> the same bytes sealed, each opens the other, both refuse a changed byte', () => {
    expect(ciphers.map(({ name }) => name)).to.include.members(['node', 'noble'])
    const secret = fc.uint8Array({ minLength: 32, maxLength: 32 })
    const nonces = fc.uint8Array({ minLength: 12, maxLength: 12 })
    const inputs = fc.tuple(
      secret,
      nonces,
      fc.option(fc.uint8Array({ maxLength: 40 })),
      fc.uint8Array({ maxLength: 600 }),
      fc.nat(),
    )
    fc.assert(
      fc.property(inputs, ([key, nonce, associated, plaintext, at]) => {
        const sealing = associated === null ? { key, nonce } : { key, nonce, associated }
        const sealed = ciphers.map((one) => {
          const out = new Uint8Array(plaintext.length + 16)
          one.seal(sealing, plaintext, out, 0)
          return out
        })
        expect(sealed[0]).to.deep.equal(sealed[1])
        const changed = Uint8Array.from(sealed[0] ?? [])
        const index = at % changed.length
        changed[index] = (changed[index] ?? 0) ^ 0x80
        for (const one of ciphers) {
          expect(Uint8Array.from(one.open(sealing, sealed[0] ?? changed) ?? [1])).to.deep.equal(plaintext)
          expect(one.open(sealing, changed)).to.equal(undefined)
          expect(one.open(sealing, changed.subarray(0, 15))).to.equal(undefined)
        }
      }),
    )
  })
})
