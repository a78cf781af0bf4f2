// A signer's own memory of how far it went, beside the record that it is handed: a record from a backup, or one that was
// loaded twice, must not make it sign what it has revoked since.
import { type Hex, toHex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import type { SignerState } from './policy.js'

/** What was given away last: a few dozen bytes for each channel. */
export interface StepMark {
  /** {@link SignerState.step} of the record that it led to. */
  readonly step: bigint
  readonly kind: 'sign' | 'release' | 'publish'
  /** Which signature or secret, so that exactly the same can be given once more. */
  readonly what: string
}

/**
 * Where marks outlive the process. It must not be restored together with the records: then it would know no more.
 * One serves all channels of a seed.
 */
export interface StepCounter {
  /** @param channel the funding key of the channel's key index, compressed */
  load(channel: Hex): StepMark | undefined
  /** Durable when it returns; if it throws, nothing is given away. */
  store(channel: Hex, mark: StepMark): void
}

/** A counter that is forgotten with the process, for tests and for channels without worth. */
export function memoryCounter(): StepCounter {
  const marks = new Map<Hex, StepMark>()
  return {
    load: (channel) => marks.get(channel),
    store: (channel, mark) => void marks.set(channel, mark),
  }
}

/** The memory of one signer. */
export interface StepMemory {
  /** @throws PerkunasError INVALID_TRANSITION if more was given away than the record knows */
  refuseOld(record: SignerState): void
  /**
   * What is about to be given away, remembered before it is.
   *
   * Of records that are too old one may still be used: the one before the last step, whose successor was lost on its way
   * to the store. It gets exactly the same again, or a way out: our commitment, if what came last was a signature for the
   * peer and so revoked nothing.
   *
   * @returns the record to store
   * @throws PerkunasError INVALID_TRANSITION if more was given away than the record knows
   */
  pass(record: SignerState, next: SignerState, given: Pick<StepMark, 'kind' | 'what'>): SignerState
  /**
   * What was made of this record and of those that came of it has not left, and never will: the record is the newest again.
   * Nothing happens if this memory did not see it as the newest before: what came of one that is too old may have left.
   */
  takeBack(record: SignerState): void
}

/** Records whose successors can be taken back: those of one turn of a node. */
const KEPT_STEPS = 64

/** @param fundingKey of the channel's key index, by which the counter knows it */
export function stepMemory(fundingKey: Uint8Array, counter: StepCounter): StepMemory {
  const channel = toHex(fundingKey)
  let own: StepMark | undefined
  /** Of which records, the newest of their times, something was made. */
  let made: bigint[] = []

  function last(): StepMark | undefined {
    const stored = counter.load(channel)
    return own === undefined || (stored !== undefined && stored.step > own.step) ? stored : own
  }

  function refuseOld({ step }: SignerState): void {
    const mark = last()
    if (mark !== undefined && step < mark.step) throw tooOld(step, mark)
  }

  return {
    refuseOld,
    pass(record, next, given) {
      const mark = last()
      if (mark !== undefined && record.step < mark.step) {
        const same = mark.kind === given.kind && mark.what === given.what
        const before = record.step + 1n === mark.step
        if (same && (before || given.kind === 'publish')) return { ...next, step: mark.step }
        if (!before || given.kind !== 'publish' || mark.kind !== 'sign') throw tooOld(record.step, mark)
      }
      if (next.step === record.step) return next
      // Beyond the mark in any case: a record that is not lost after all must not count as new.
      const step = mark !== undefined && mark.step >= next.step ? mark.step + 1n : next.step
      const passed = { ...given, step }
      counter.store(channel, passed)
      own = passed
      if (mark === undefined || record.step >= mark.step) {
        if (made.length >= KEPT_STEPS) made = made.slice(KEPT_STEPS / 2)
        made.push(record.step)
      }
      return { ...next, step }
    },
    takeBack({ step }) {
      const mark = last()
      if (mark === undefined || step >= mark.step || !made.includes(step)) return
      // No older record may be used for it.
      const back = { step, kind: 'release', what: '' } as const
      counter.store(channel, back)
      own = back
    },
  }
}

function tooOld(step: bigint, mark: StepMark): PerkunasError {
  const rule = `the record is of step ${step}, and step ${mark.step} was made: ${mark.kind} ${mark.what}`
  return new PerkunasError('INVALID_TRANSITION', `refused to sign: ${rule}`, { rule: 'stale-record' })
}
