// Two channel machines, each with a monitor beside it that is told, stored and checked with every step.
import { expect } from 'chai'
import type { Step } from '../../../../backend/bitcoin/channel/step.js'
import { findCommitmentSecret, type Signer } from '../../../../backend/bitcoin/keys/index.js'
import type { ChainClaims, OutputClaim } from '../../../../backend/bitcoin/monitor/claims.js'
import { contextOf } from '../../../../backend/bitcoin/monitor/claims.js'
import { newMonitor } from '../../../../backend/bitcoin/monitor/machine.js'
import {
  monitorWrites,
  openRevoked,
  REVOKED_ROWS,
  restoredMonitors,
  revokedKey,
} from '../../../../backend/bitcoin/monitor/rows.js'
import { classifySpend, type FundingSpend, numberOfSpend } from '../../../../backend/bitcoin/monitor/spend.js'
import {
  applyUpdates,
  faultOfMonitor,
  liveHtlcs,
  type MonitorState,
  preimageOf as preimageKnown,
} from '../../../../backend/bitcoin/monitor/state.js'
import {
  type Claim,
  p2wpkh,
  sha256,
  type Transaction,
  type TransactionOutput,
} from '../../../../backend/bitcoin/script/index.js'
import { withWitness } from '../../../../backend/bitcoin/script/transaction.js'
import { blockHeight, msat } from '../../../../backend/bitcoin/units.js'
import { type Name, Pair, type PairOptions, type Party, preimageOf } from '../channel/pair.js'
import { faultOfWitness, firstBlock } from './interpreter.js'

const TO = p2wpkh(new Uint8Array(33).fill(2))

/** A monitor with every state that it was ever in, also between the updates of a step. */
export interface Watch {
  state: MonitorState | undefined
  readonly disk: Map<string, Uint8Array>
  readonly history: MonitorState[]
}

/** See above. */
export class MonitoredPair extends Pair {
  readonly watches: Readonly<Record<Name, Watch>> = {
    alice: { state: undefined, disk: new Map(), history: [] },
    bob: { state: undefined, disk: new Map(), history: [] },
  }
  #reference = 0

  constructor(options: PairOptions = {}) {
    super({ ...options, real: true, isQuick: true })
  }

  monitor({ name }: Party): MonitorState {
    const { state } = this.watches[name]
    if (state === undefined) throw new Error(`${name} has no monitor`)
    return state
  }

  signer(party: Party): Signer {
    return party.env.keys(0n).signer(this.monitor(party).terms.setup)
  }

  override write(party: Party, result: Step): void {
    super.write(party, result)
    const watch = this.watches[party.name]
    if (result.monitor.length === 0) return
    const before = watch.state
    const applied = applyUpdates(before, result.monitor)
    for (const write of monitorWrites(before && newMonitor(before), {
      ...applied,
      next: newMonitor(applied.next),
    })) {
      if (write.kind === 'put') watch.disk.set(write.key, write.value)
      else watch.disk.delete(write.key)
    }
    watch.state = applied.next
    let each = before
    for (const update of result.monitor) {
      each = applyUpdates(each, [update]).next
      watch.history.push(each)
      if (update.kind === 'preimage')
        expect(preimageKnown(each, update.htlc), 'M2').to.deep.equal(update.preimage)
    }
    expect(each).to.deep.equal(applied.next)
    expect(faultOfMonitor(applied.next)).to.equal(undefined)
    if (before !== undefined) monotone(before, applied.next)
    expect(sorted(this.restoredMonitor(party)), 'decode(encode(monitor))').to.deep.equal(sorted(applied.next))
    // M1: what is about to leave is known.
    const { state } = party
    if (state !== undefined && 'signer' in state) {
      expect(applied.next.counterparty.at(-1)?.state.number, 'M1').to.equal(state.signer.signed - 1n)
      expect(applied.next.released, 'M3').to.equal(state.signer.released)
      expect(applied.next.secrets).to.deep.equal(state.signer.secrets)
    }
  }

  restoredMonitor({ name }: Party): MonitorState {
    const rows = [...this.watches[name].disk].filter(([key]) => !key.startsWith(REVOKED_ROWS))
    const monitor = restoredMonitors(rows).get(0n)
    if (monitor === undefined) throw new Error('no monitor')
    return monitor.known
  }

  /** An HTLC with the hash of that number. */
  offer(party: Party, amount: bigint, number: number, cltvExpiry = 500): void {
    this.want(party, {
      kind: 'add',
      reference: `${party.name} ${this.#reference++}`,
      amount: msat(amount),
      paymentHash: sha256(preimageOf(number)),
      cltvExpiry: blockHeight(cltvExpiry),
      onion: new Uint8Array(1366),
    })
  }

  /** What a party's monitor says of a transaction. */
  classify(party: Party, tx: Transaction, state = this.monitor(party)): FundingSpend {
    const number = numberOfSpend(state.terms, tx)
    const key = revokedKey(0n, number ?? 0n)
    const row = this.watches[party.name].disk.get(key)
    const revokedHtlcs = row === undefined ? [] : openRevoked(key, row)
    return classifySpend(state, tx, { builder: this.signer(party), revokedHtlcs })
  }

  /** Builds the spend of a claim by its recipe. */
  spend(party: Party, of: FundingSpend, { recipe }: OutputClaim): Transaction {
    const signer = this.signer(party)
    const record = this.live(party).signer
    if (recipe === undefined) throw new Error('no recipe')
    if (recipe.kind === 'htlcTransaction') {
      const { commitment, output, remote, preimage } = recipe
      const published = { ...record, published: commitment.params.number }
      return signer.signHtlc(published, commitment, output, {
        remote,
        ...(preimage === undefined ? {} : { preimage }),
      })
    }
    const plain = plainSpend(recipe.claim)
    const context = contextOf(of)
    if (context === undefined) throw new Error('no context')
    return withWitness(plain, 0, signer.signClaim(record, plain, 0, recipe.claim, context))
  }

  /** Every claim that has a recipe can be spent by it, from `earliest` on. Returns how many there were. */
  verify(
    party: Party,
    of: FundingSpend,
    { outputs }: Pick<ChainClaims, 'outputs'>,
    from: { readonly tx: Transaction; readonly confirmedAt: number },
  ): number {
    let verified = 0
    for (const claim of outputs) {
      const spent = from.tx.outputs[claim.outpoint.index]
      if (spent === undefined) throw new Error('no such output')
      expect(spent.amount).to.equal(claim.amount)
      if (claim.recipe === undefined) continue
      const tx = this.spend(party, of, claim)
      const what = `${of.kind} ${claim.kind} ${claim.htlc?.offerer ?? ''}`
      expect(faultOfWitness(tx, 0, spent), what).to.equal(undefined)
      expect(faultOfWitness(broken(tx), 0, spent), `${what}, with another output`).to.be.a('string')
      expect(firstBlock(tx, [from.confirmedAt]), `${what}: earliest`).to.equal(claim.earliest)
      verified++
    }
    return verified
  }
}

/** A monitor as it is told, and nothing lost. */
function monotone(before: MonitorState, after: MonitorState): void {
  expect(after.released >= before.released && after.secrets.next <= before.secrets.next, 'M4').to.equal(true)
  for (let number = 0n; number < 2n ** 48n - 1n - before.secrets.next; number += 1n) {
    expect(findCommitmentSecret(after.secrets, number), `M4: secret ${number}`).to.not.equal(undefined)
  }
  const live = liveHtlcs(after)
  for (const { htlc, preimage } of before.preimages) {
    if (!live.some(({ offerer, id }) => offerer === htlc.offerer && id === htlc.id)) continue
    expect(preimageKnown(after, htlc), 'M4: preimage').to.deep.equal(preimage)
  }
  expect(after.closings.length >= before.closings.length, 'M4: closing').to.equal(true)
}

function plainSpend({ outpoint, sequence, locktime, amount }: Claim): Transaction {
  return {
    version: 2,
    inputs: [{ outpoint, sequence, witness: [] }],
    outputs: [{ amount, script: TO }],
    locktime,
  }
}

/** Its signatures are on something else now. */
function broken(tx: Transaction): Transaction {
  const [first] = tx.outputs
  if (first === undefined) throw new Error('no output')
  const other: TransactionOutput = { ...first, script: Uint8Array.of(...first.script.subarray(0, -1), 0xee) }
  return { ...tx, outputs: [other, ...tx.outputs.slice(1)] }
}

/** Rows come in the order of their keys. */
function sorted(state: MonitorState): MonitorState {
  const name = ({ htlc }: MonitorState['preimages'][number]) => `${htlc.offerer} ${htlc.id}`
  const preimages = [...state.preimages].sort((a, b) => (name(a) < name(b) ? -1 : 1))
  const closings = [...state.closings].sort((a, b) =>
    JSON.stringify(a.outputs, text) < JSON.stringify(b.outputs, text) ? -1 : 1,
  )
  return { ...state, preimages, closings }
}

function text(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value
}
