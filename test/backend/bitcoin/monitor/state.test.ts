// The monitor's record, its rows, and every way in which a funding output is spent. Rows of the list of disclosed faults
// are named by their numbers: "f.1 10".
import { expect } from 'chai'
import { claimsOf, claimsOfSecondLevel } from '../../../../backend/bitcoin/monitor/claims.js'
import type { MonitorUpdate } from '../../../../backend/bitcoin/monitor/record.js'
import { MONITOR_ROWS, REVOKED_ROWS, restoredMonitors } from '../../../../backend/bitcoin/monitor/rows.js'
import { applyUpdates, faultOfMonitor, isComplete } from '../../../../backend/bitcoin/monitor/state.js'
import {
  commitmentNumberOf,
  obscure,
  obscuringFactor,
  p2wpkh,
  type Transaction,
} from '../../../../backend/bitcoin/script/index.js'
import { msat, sat } from '../../../../backend/bitcoin/units.js'
import { isError } from '../../../../channel/errors.js'
import { type Party, preimageOf } from '../channel/pair.js'
import { MonitoredPair } from './monitored.js'

const HEIGHT = 300

describe('monitor: record', () => {
  it('M1 and M3: what comes in another order is refused, and nothing of it is applied', () => {
    const { alice } = busy()
    const { monitor } = alice
    const [first] = monitor
    if (first === undefined) throw new Error('nothing was told')
    expect(() => applyUpdates(undefined, monitor.slice(1))).to.throw('before opened')
    expect(() => applyUpdates(undefined, [first, first])).to.throw('opened twice')
    let skipped = 0
    for (const [i, update] of monitor.entries()) {
      if (i === 0 || update.kind === 'preimage') continue
      const state = applyUpdates(undefined, monitor.slice(0, i)).next
      expect(() => applyUpdates(state, [update, update]), `${update.kind} twice`).to.throw('monitor:')
      const later = monitor.slice(i + 1).find(({ kind }) => kind === update.kind)
      if (later === undefined) continue
      expect(() => applyUpdates(state, [later]), `${update.kind} left out`).to.throw('monitor:')
      skipped++
    }
    expect(skipped).to.be.greaterThan(8)
  })
  it('M3: with our secret goes what could be published; a revoked number to publish is refused', () => {
    const pair = busy()
    const state = pair.monitor(pair.alice)
    expect(state.holder.map((one) => one.state.number)).to.deep.equal([state.released])
    const [old] = pair.alice.monitor.filter((one) => one.kind === 'holder')
    if (old?.kind !== 'holder') throw new Error('holder')
    const transaction = pair.signer(pair.alice).localCommitment(old.state).transaction
    const failed = (number: bigint): MonitorUpdate => ({
      kind: 'failed',
      cause: 'command',
      publish: { number, transaction },
    })
    expect(() => applyUpdates(state, [failed(0n)])).to.throw('to be published')
    const published = applyUpdates(state, [failed(state.released)]).next
    const again = [...pair.alice.monitor].reverse()
    const holder = again.find((one) => one.kind === 'holder')
    if (holder?.kind !== 'holder') throw new Error('holder')
    const next = { ...holder, state: { ...holder.state, number: state.released + 1n } }
    expect(() => applyUpdates(published, [next, { kind: 'released', number: state.released }])).to.throw(
      'published',
    )
    expect(faultOfMonitor({ ...published, released: state.released + 1n })).to.contain('M3')
  })
  it('M1: without any commitment there is only a channel whose data is lost', () => {
    const [opened] = busy().alice.monitor
    if (opened?.kind !== 'opened') throw new Error('opened')
    const fresh = applyUpdates(undefined, [opened]).next
    expect(faultOfMonitor(fresh)).to.contain('M1')
    const failed = (cause: 'dataLoss' | 'command') => applyUpdates(fresh, [{ kind: 'failed', cause }]).next
    expect(faultOfMonitor(failed('command'))).to.contain('M1')
    expect(faultOfMonitor(failed('dataLoss'))).to.equal(undefined)
  })
  it('M2: a preimage that is none is refused', () => {
    const pair = busy()
    const htlc = { offerer: 'remote', id: 0n } as const
    const update = { kind: 'preimage', htlc, paymentHash: preimageOf(1), preimage: preimageOf(2) } as const
    expect(() => applyUpdates(pair.monitor(pair.alice), [update])).to.throw('not the preimage')
  })
  it('a missing, damaged or misplaced row -> INVALID_RECORD', () => {
    const pair = busy()
    const disk = new Map([...pair.watches.alice.disk].filter(([key]) => !key.startsWith(REVOKED_ROWS)))
    expect(restoredMonitors(disk).size).to.equal(1)
    for (const [key, value] of disk) {
      const rest = new Map(disk)
      rest.delete(key)
      const [, , part] = key.split('/')
      if (part !== 'preimage' && part !== 'closing' && part !== 'holder' && part !== 'counterparty')
        refused(rest)
      const damaged = Uint8Array.from(value)
      damaged[damaged.length >> 1] = (damaged[damaged.length >> 1] ?? 0) ^ 1
      refused(new Map([...disk, [key, damaged]]))
      refused(new Map([...rest, [key.replace('/0/', '/1/'), value]]))
    }
    refused(new Map([...disk, [`${MONITOR_ROWS}0/other`, new Uint8Array()]]))
  })
  it('what is revoked costs a row if it had HTLC outputs, and none if not', () => {
    const pair = new MonitoredPair().reachNormal({ push: msat(400_000_000n) })
    pair.offer(pair.alice, 1000n, 1)
    pair.settle()
    expect(revokedRows(pair, pair.alice)).to.equal(0)
    pair.offer(pair.alice, 5_000_000n, 2)
    pair.settle()
    pair.offer(pair.alice, 5_000_000n, 3)
    pair.settle()
    expect(revokedRows(pair, pair.alice)).to.equal(1)
  })
})

describe('monitor: what spent the funding output', () => {
  it('f.1 23: every closing that was signed is one, a revoked commitment after it is still punished', () => {
    const pair = new MonitoredPair().reachNormal({ push: msat(400_000_000n) })
    pair.offer(pair.alice, 5_000_000n, 1)
    pair.settle()
    const old = remote(pair, pair.alice)
    pair.want(pair.bob, { kind: 'remove', id: 0n, removal: { kind: 'fulfill', preimage: preimageOf(1) } })
    pair.settle()
    pair.input(pair.alice, { kind: 'shutdown' })
    pair.settle()
    for (const party of pair.both) {
      const state = pair.monitor(party)
      expect(state.closings.length, party.name).to.be.greaterThan(0)
      // Also with who answered, and signed the same once more: it is published until a block has it.
      expect(state.closings.some(isComplete), `${party.name}: complete`).to.equal(true)
      for (const one of state.closings) expect(pair.classify(party, one).kind).to.equal('closing')
      const [closing] = state.closings
      if (closing === undefined) throw new Error('closing')
      const other = { ...closing, outputs: closing.outputs.slice(1) }
      expect(pair.classify(party, other).kind, 'another closing').to.equal('unknown')
    }
    const spend = pair.classify(pair.alice, old)
    expect(spend.kind).to.equal('revoked')
    const claims = claimsOf(pair.monitor(pair.alice), spend, HEIGHT)
    expect(pair.verify(pair.alice, spend, claims, { tx: old, confirmedAt: HEIGHT })).to.equal(4)
  })
  it('a commitment of a number that we have not: future, and our balance is claimed', () => {
    const pair = busy()
    const past = pair.watches.alice.history[6]
    if (past === undefined) throw new Error('history')
    const tx = remote(pair, pair.alice)
    const spend = pair.classify(pair.alice, tx, past)
    expect(spend.kind).to.equal('future')
    const claims = claimsOf(past, spend, HEIGHT)
    expect(claims.outputs.map(({ kind }) => kind)).to.deep.equal(['toRemote'])
    expect(pair.verify(pair.alice, spend, claims, { tx, confirmedAt: HEIGHT })).to.equal(1)
  })
  it('our own revoked commitment, and one of a known number with other contents, are unknown', () => {
    const pair = busy()
    const [old] = pair.alice.monitor.filter((one) => one.kind === 'holder')
    if (old?.kind !== 'holder') throw new Error('holder')
    const own = pair.signer(pair.alice).localCommitment(old.state).transaction
    expect(pair.classify(pair.alice, own).kind).to.equal('unknown')
    const tx = remote(pair, pair.alice)
    const changed = { ...tx, outputs: tx.outputs.map((one) => ({ ...one, amount: sat(one.amount - 1n) })) }
    const spend = pair.classify(pair.alice, changed)
    expect(spend.kind).to.equal('unknown')
    expect(claimsOf(pair.monitor(pair.alice), spend, HEIGHT).outputs.map(({ kind }) => kind)).to.deep.equal([
      'toRemote',
    ])
  })
  it('f.1 17: huge witnesses and strange scripts are read past', () => {
    const pair = busy()
    const tx = remote(pair, pair.alice)
    const huge = tx.inputs.map((one) => ({
      ...one,
      witness: [new Uint8Array(3_900_000), ...Array<Uint8Array>(1000).fill(Uint8Array.of(0xff))],
    }))
    expect(pair.classify(pair.alice, { ...tx, inputs: huge }).kind).to.equal('counterpartyCurrent')
    const strange: Transaction = {
      ...tx,
      inputs: huge,
      outputs: [
        { amount: sat(0n), script: new Uint8Array() },
        { amount: sat(1n), script: new Uint8Array(10_001).fill(0x4e) },
      ],
    }
    expect(pair.classify(pair.alice, strange).kind).to.equal('unknown')
    expect(pair.classify(pair.alice, { ...strange, inputs: [...huge, ...huge] }).kind).to.equal('unknown')
  })
  it('what does not spend it is refused', () => {
    const pair = busy()
    const tx = remote(pair, pair.alice)
    const inputs = tx.inputs.map((one) => ({ ...one, outpoint: { ...one.outpoint, index: 0 } }))
    expect(() => pair.classify(pair.alice, { ...tx, inputs })).to.throw('funding output')
  })
  it('the number is that of BOLT 3, by the payment basepoints of opener and accepter', () => {
    const pair = busy()
    for (const party of pair.both) {
      const { basepoints, setup } = pair.monitor(party).terms
      const [opener, accepter] =
        party.name === 'alice' ? [basepoints, setup.remote] : [setup.remote, basepoints]
      const factor = obscuringFactor(opener.payment, accepter.payment)
      const tx = remote(pair, party)
      const number = pair.monitor(party).counterparty.at(-1)?.state.number ?? -1n
      expect(commitmentNumberOf(tx, factor)).to.equal(number)
      expect(obscure(number, factor).locktime).to.equal(tx.locktime)
    }
  })
})

describe('monitor: claims of special HTLCs', () => {
  it('f.1 10 and 11: of equal hashes each HTLC has its own output, and only the fulfilled one its preimage', () => {
    const pair = new MonitoredPair().reachNormal({ push: msat(400_000_000n) })
    for (const amount of [5_000_000n, 5_000_000n, 7_000_000n]) pair.offer(pair.alice, amount, 1)
    pair.settle()
    pair.want(pair.bob, { kind: 'remove', id: 1n, removal: { kind: 'fulfill', preimage: preimageOf(1) } })
    pair.input(pair.bob, { kind: 'flush' })
    const state = pair.monitor(pair.bob)
    for (const tx of [remote(pair, pair.bob, 0), local(pair, pair.bob)]) {
      const spend = pair.classify(pair.bob, tx)
      const claims = claimsOf(state, spend, HEIGHT)
      const htlcs = claims.outputs.filter(({ kind }) => kind === 'htlc')
      expect(htlcs).to.have.length(3)
      expect(new Set(htlcs.map(({ outpoint }) => outpoint.index)).size).to.equal(3)
      expect(htlcs.filter(({ recipe }) => recipe !== undefined).map(({ htlc }) => htlc?.id)).to.deep.equal([
        1n,
      ])
      pair.verify(pair.bob, spend, claims, { tx, confirmedAt: HEIGHT })
    }
  })
  it('f.1 7 and 8: an HTLC that is not in the commitment on chain keeps its preimage, also after a restart', () => {
    const pair = new MonitoredPair().reachNormal({ push: msat(400_000_000n) })
    pair.offer(pair.alice, 5_000_000n, 1)
    pair.offer(pair.alice, 100_000n, 2)
    pair.settle()
    for (const id of [0n, 1n]) {
      pair.want(pair.bob, {
        kind: 'remove',
        id,
        removal: { kind: 'fulfill', preimage: preimageOf(Number(id) + 1) },
      })
    }
    pair.input(pair.bob, { kind: 'flush' })
    while (pair.deliver(pair.bob)) {}
    const state = pair.restoredMonitor(pair.alice)
    // Alice's newest has them no more, Bob's current has.
    const spend = pair.classify(pair.alice, local(pair, pair.alice), state)
    const { outputs, absent } = claimsOf(state, spend, HEIGHT)
    expect(outputs.some(({ kind }) => kind === 'htlc')).to.equal(false)
    expect(absent.map(({ htlc, why, preimage }) => [htlc.id, why, preimage])).to.deep.equal([
      [0n, 'notInCommitment', preimageOf(1)],
      [1n, 'notInCommitment', preimageOf(2)],
    ])
    const theirs = pair.classify(pair.alice, remote(pair, pair.alice, 0), state)
    expect(
      claimsOf(state, theirs, HEIGHT).absent.map(({ htlc, why, preimage }) => [htlc.id, why, preimage]),
    ).to.deep.equal([[1n, 'trimmed', preimageOf(2)]])
  })
  it('f.1 13: a preimage that comes after expiry still has a claim, which meets its competitor', () => {
    const pair = new MonitoredPair().reachNormal({ push: msat(400_000_000n) })
    pair.offer(pair.alice, 5_000_000n, 1, 400)
    pair.settle()
    pair.want(pair.bob, { kind: 'remove', id: 0n, removal: { kind: 'fulfill', preimage: preimageOf(1) } })
    pair.input(pair.bob, { kind: 'flush' })
    const tx = remote(pair, pair.bob, 0)
    const spend = pair.classify(pair.bob, tx)
    const claims = claimsOf(pair.monitor(pair.bob), spend, 450)
    const [htlc] = claims.outputs.filter(({ kind }) => kind === 'htlc')
    expect([htlc?.earliest, htlc?.competitorAt, htlc?.deadline]).to.deep.equal([451, 451, 451])
    pair.verify(pair.bob, spend, claims, { tx, confirmedAt: 450 })
  })
  it('f.1 14: our anchor is claimed at once, whoever published', () => {
    const pair = busy()
    for (const tx of [remote(pair, pair.alice), local(pair, pair.alice)]) {
      const spend = pair.classify(pair.alice, tx)
      const { outputs } = claimsOf(pair.monitor(pair.alice), spend, HEIGHT)
      expect(outputs.filter(({ kind }) => kind === 'anchor').map(({ earliest }) => earliest)).to.deep.equal([
        HEIGHT,
      ])
    }
  })
  it('f.1 16: a spend of an HTLC output that is no HTLC transaction gives no second level', () => {
    const pair = busy()
    const old = pair.watches.alice.history.flatMap(({ counterparty }) => counterparty)
    const one = old.find(({ state }) => state.htlcs.length > 0)
    if (one === undefined) throw new Error('no HTLC')
    const { htlcs, transaction, txid } = pair.signer(pair.alice).remoteCommitment(one.state, one.point)
    const spend = pair.classify(pair.alice, transaction)
    expect(spend.kind).to.equal('revoked')
    const [output] = htlcs
    if (output === undefined) throw new Error('no output')
    const foreign: Transaction = {
      version: 2,
      inputs: [{ outpoint: { txid, index: output.index }, sequence: 1, witness: [] }],
      outputs: [{ amount: output.amount, script: p2wpkh(new Uint8Array(33).fill(2)) }],
      locktime: 0,
    }
    expect(claimsOfSecondLevel(spend, foreign, HEIGHT)).to.deep.equal([])
  })
})

/** HTLCs both ways, some fulfilled, and revoked commitments with them. */
function busy(): MonitoredPair {
  const pair = new MonitoredPair().reachNormal({ push: msat(400_000_000n) })
  pair.offer(pair.alice, 5_000_000n, 1)
  pair.offer(pair.bob, 6_000_000n, 2)
  pair.settle()
  pair.offer(pair.alice, 7_000_000n, 3)
  pair.settle()
  pair.want(pair.bob, { kind: 'remove', id: 0n, removal: { kind: 'fulfill', preimage: preimageOf(1) } })
  pair.settle()
  return pair
}

/** The other side's newest commitment, or the one at that place. */
function remote(pair: MonitoredPair, party: Party, at = -1): Transaction {
  const one = pair.monitor(party).counterparty.at(at)
  if (one === undefined) throw new Error('no commitment')
  return pair.signer(party).remoteCommitment(one.state, one.point).transaction
}

function local(pair: MonitoredPair, party: Party): Transaction {
  const one = pair.monitor(party).holder.at(-1)
  if (one === undefined) throw new Error('no commitment')
  return pair.signer(party).localCommitment(one.state).transaction
}

function revokedRows(pair: MonitoredPair, { name }: Party): number {
  return [...pair.watches[name].disk.keys()].filter((key) => key.startsWith(REVOKED_ROWS)).length
}

function refused(disk: ReadonlyMap<string, Uint8Array>): void {
  try {
    restoredMonitors(disk)
    expect.fail('read')
  } catch (error) {
    expect(isError(error, 'INVALID_RECORD'), String(error)).to.equal(true)
  }
}
