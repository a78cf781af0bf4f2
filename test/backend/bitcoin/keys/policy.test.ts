import { expect } from 'chai'
import { commitmentPoint } from '../../../../backend/bitcoin/keys/derive.js'
import {
  commitmentSecret,
  newSignerState,
  revokedCount,
  type SignerState,
} from '../../../../backend/bitcoin/keys/index.js'
import {
  allowClosing,
  dropFunding,
  publish,
  release,
  revoke,
  sign,
  validate,
} from '../../../../backend/bitcoin/keys/policy.js'
import { msat, sat } from '../../../../backend/bitcoin/units.js'
import { isError } from '../../../../channel/errors.js'

const BALANCE = { ours: msat(5_000_000n), htlcs: 0 }
const SEED = new Uint8Array(32).fill(1)
const FUNDING = { txid: new Uint8Array(32), index: 0 }
const SPLICED = { txid: new Uint8Array(32).fill(1), index: 0 }

describe('signer policy: our commitments', () => {
  it('the next one after the last -> validated', () => {
    const state = reach({ validated: 1n })
    expect(validate(state, 1n, ours(1n)).validated).to.equal(2n)
  })
  it('the last one again, over another funding output -> validated', () => {
    const state = validate(reach({ validated: 1n }), 0n, ours(0n, { funding: SPLICED }))
    expect(state.validated).to.equal(1n)
    expect(state.fundings).to.deep.equal([FUNDING, SPLICED])
  })
  it('the last one again over the same funding output -> nothing changes; with other contents -> refused', () => {
    const state = reach({ validated: 1n })
    expect(validate(state, 0n, ours(0n))).to.equal(state)
    refused(() => validate(state, 0n, ours(0n, { txid: new Uint8Array(32).fill(98) })))
  })
  it('a number beyond the next -> refused', () =>
    refused(() => validate(reach({ validated: 1n }), 2n, ours(2n))))
  it('a second one while two are not revoked -> refused', () =>
    refused(() => validate(reach({ validated: 2n }), 2n, ours(2n))))
  it('a revoked number -> refused: numbers never go back', () => {
    refused(() => validate(reach({ validated: 3n, released: 2n }), 1n, ours(1n)))
    refused(() => validate(reach({ validated: 2n, released: 2n }), 1n, ours(1n)))
  })
})

describe('signer policy: releasing secrets', () => {
  it('its successor is not validated -> refused', () => refused(() => release(reach({ validated: 1n }), 0n)))
  it('its successor is validated -> released, and again if it is asked for again', () => {
    const once = release(reach({ validated: 2n }), 0n)
    expect(once.released).to.equal(1n)
    expect(release(once, 0n)).to.equal(once)
  })
  it('an earlier one is still to be released -> refused', () => {
    // Not reachable by steps: a damaged record must not release either.
    refused(() => release({ ...reach({ validated: 2n }), validated: 9n }, 1n))
  })
  it('a negative number -> refused', () => refused(() => release(reach({ validated: 2n }), -1n)))
  it('after we published -> refused, but what was released before is repeated', () => {
    const state = publish(release(reach({ validated: 2n }), 0n), 1n)
    refused(() => release({ ...state, validated: 3n }, 1n))
    expect(release(state, 0n)).to.equal(state)
  })
})

describe('signer policy: several funding outputs', () => {
  const over = (state: SignerState, number: bigint, funding: typeof FUNDING) =>
    validate(state, number, ours(number, { funding }))
  const both = () => over(over(newSignerState(BALANCE.ours), 0n, FUNDING), 0n, SPLICED)

  it('the successor is validated over one of two -> no secret leaves; over both -> it does', () => {
    const one = over(both(), 1n, FUNDING)
    refused(() => release(one, 0n))
    refused(() => release(over(both(), 1n, SPLICED), 0n))
    expect(release(over(one, 1n, SPLICED), 0n).released).to.equal(1n)
  })
  it('the one without successor is dropped -> the secret leaves', () => {
    const dropped = dropFunding(over(both(), 1n, FUNDING), SPLICED)
    expect(dropped.fundings).to.deep.equal([FUNDING])
    expect(release(dropped, 0n).released).to.equal(1n)
  })
  it('the one with the successor is dropped -> no secret leaves until the other has one too', () => {
    const dropped = dropFunding(over(both(), 1n, FUNDING), FUNDING)
    refused(() => release(dropped, 0n))
    expect(release(over(dropped, 1n, SPLICED), 0n).released).to.equal(1n)
  })
  it('a new one with the successor alone -> its commitment does not stand for that over the old one', () => {
    const state = reach({ validated: 1n })
    refused(() => release(over(state, 1n, SPLICED), 0n))
  })
  it('a funding that is not of the channel, or the only one, is dropped -> refused', () => {
    refused(() => dropFunding(reach({ validated: 1n }), SPLICED))
    refused(() => dropFunding(reach({ validated: 1n }), FUNDING))
  })
})

describe('signer policy: publishing', () => {
  it('a revoked commitment -> refused, whatever came since', () => {
    const state = release(reach({ validated: 2n }), 0n)
    refused(() => publish(state, 0n))
    refused(() => publish(publish(state, 1n), 0n))
  })
  it('the newest, or the one before while it is not revoked -> signed', () => {
    expect(publish(reach({ validated: 2n }), 0n).published).to.equal(0n)
    expect(publish(reach({ validated: 2n }), 1n).published).to.equal(1n)
  })
  it('one that was never validated -> refused', () => refused(() => publish(reach({ validated: 1n }), 1n)))
  it('another one later -> refused; the same again -> signed', () => {
    const state = publish(reach({ validated: 2n }), 0n)
    refused(() => publish(state, 1n))
    expect(publish(state, 0n)).to.deep.equal(state)
  })
  it('afterwards nothing new is validated, signed or closed', () => {
    const state = publish(reach({ validated: 1n }), 0n)
    refused(() => validate(state, 1n, ours(1n)))
    refused(() => sign(state, 0n, theirs(0n)))
    refused(() => allowClosing(state, { balance: BALANCE.ours, fee: sat(0n) }))
  })
})

describe('signer policy: their commitments', () => {
  it('the next one -> signed', () => {
    expect(sign(reach({}), 0n, theirs(0n)).signed).to.equal(1n)
    expect(sign(reach({ signed: 1n }), 1n, theirs(1n)).signed).to.equal(2n)
  })
  it('a number beyond the next -> refused', () => refused(() => sign(reach({ signed: 1n }), 2n, theirs(2n))))
  it('a third one while two are not revoked -> refused', () =>
    refused(() => sign(reach({ signed: 2n }), 2n, theirs(2n))))
  it('the last one again, the same -> signed again, nothing remembered', () => {
    const state = reach({ signed: 2n })
    expect(sign(state, 1n, theirs(1n))).to.equal(state)
  })
  it('the last one again with other contents -> refused', () =>
    refused(() => sign(reach({ signed: 2n }), 1n, { ...theirs(1n), txid: new Uint8Array(32).fill(99) })))
  it('the last one again over another funding output -> signed once more, with the same point only', () => {
    const state = reach({ signed: 2n })
    const other = { ...theirs(1n), funding: SPLICED, txid: new Uint8Array(32).fill(50) }
    expect(sign(state, 1n, other).signedLast).to.have.length(2)
    refused(() => sign(state, 1n, { ...other, point: theirs(7n).point }))
  })
  it('a revoked one -> refused', () => {
    refused(() => sign(reach({ signed: 2n, revoked: 1n }), 0n, theirs(0n)))
    // A damaged record: the last one signed is revoked.
    const state = reach({ signed: 2n, revoked: 1n })
    refused(() => sign({ ...state, signed: 1n }, 0n, theirs(0n)))
  })
})

describe('signer policy: their secrets', () => {
  it('the secret of the oldest, its successor being signed -> revoked', () => {
    const state = revoke(reach({ signed: 2n }), 0n, secretOf(0n))
    expect(revokedCount(state)).to.equal(1n)
    expect(state.points.map(({ number }) => number)).to.deep.equal([1n])
  })
  it('its successor is not signed -> refused', () =>
    refused(() => revoke(reach({ signed: 1n }), 0n, secretOf(0n))))
  it('not the oldest -> refused', () => refused(() => revoke(reach({ signed: 2n }), 1n, secretOf(1n))))
  it('not the secret of the point -> INVALID_MESSAGE', () => {
    for (const wrong of [
      secretOf(1n),
      new Uint8Array(32),
      new Uint8Array(32).fill(255),
      new Uint8Array(31),
    ]) {
      expect(() => revoke(reach({ signed: 2n }), 0n, wrong))
        .to.throw()
        .that.satisfies((error: unknown) => isError(error, 'INVALID_MESSAGE'))
    }
  })
  it('the secret of the point, from another tree -> INVALID_MESSAGE', () => {
    const stray = new Uint8Array(32).fill(77)
    const before = reach({ signed: 2n, revoked: 1n })
    const state = sign(before, 2n, { ...theirs(2n), point: commitmentPoint(stray) })
    const next = revoke(state, 1n, secretOf(1n))
    const last = sign(next, 3n, theirs(3n))
    // Index …fd is a leaf, from which nothing follows; …fc, which it follows from, shows that it is a stranger.
    const accepted = revoke(last, 2n, stray)
    const more = sign(accepted, 4n, theirs(4n))
    expect(() => revoke(more, 3n, secretOf(3n)))
      .to.throw()
      .that.satisfies((error: unknown) => isError(error, 'INVALID_MESSAGE'))
  })
})

describe('signer policy: closing', () => {
  it('our balance with a fee that it covers -> allowed', () => {
    allowClosing(reach({ validated: 1n }), { balance: BALANCE.ours, fee: sat(5000n) })
  })
  it('another balance, a fee beyond it, HTLCs open -> refused', () => {
    const state = reach({ validated: 1n })
    refused(() => allowClosing(state, { balance: msat(4_999_999n), fee: sat(0n) }))
    refused(() => allowClosing(state, { balance: BALANCE.ours, fee: sat(5001n) }))
    const open = validate(state, 1n, ours(1n, { balance: { ours: BALANCE.ours, htlcs: 1 } }))
    refused(() => allowClosing(open, { balance: BALANCE.ours, fee: sat(0n) }))
  })
})

/** A record reached by the steps that lead to it. */
function reach(to: Partial<Record<'validated' | 'released' | 'signed' | 'revoked', bigint>>): SignerState {
  const { validated = 0n, released = 0n, signed = 0n, revoked = 0n } = to
  let state = newSignerState(BALANCE.ours)
  while (state.validated < validated) {
    if (state.validated > state.released + 1n) state = release(state, state.released)
    state = validate(state, state.validated, ours(state.validated))
  }
  // What only a damaged record has (both released) is put there as it is.
  while (state.released < released) {
    state = state.released + 1n < state.validated ? release(state, state.released) : { ...state, released }
  }
  while (state.signed < signed) {
    if (state.signed > revokedCount(state) + 1n) state = takeSecret(state)
    state = sign(state, state.signed, theirs(state.signed))
  }
  while (revokedCount(state) < revoked) state = takeSecret(state)
  return state
}

function takeSecret(state: SignerState): SignerState {
  const number = revokedCount(state)
  return revoke(state, number, secretOf(number))
}

function secretOf(number: bigint): Uint8Array {
  return commitmentSecret(SEED, number)
}

function ours(number: bigint, other: Partial<Parameters<typeof validate>[2]> = {}) {
  return { funding: FUNDING, txid: new Uint8Array(32).fill(Number(number) + 100), balance: BALANCE, ...other }
}

function theirs(number: bigint) {
  return {
    funding: FUNDING,
    txid: new Uint8Array(32).fill(Number(number) + 1),
    point: commitmentPoint(secretOf(number)),
  }
}

function refused(step: () => unknown): void {
  expect(step)
    .to.throw()
    .that.satisfies((error: unknown) => isError(error, 'INVALID_TRANSITION'))
}
