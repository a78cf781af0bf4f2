// Who decides about HTLCs: what channels hand on, and what is wanted of them in return, within one turn.
import type { Write } from '../../../persistence/index.js'
import type { Handoff, Intent } from '../channel/index.js'
import type { NodeEffect } from './effects.js'

/** What is wanted of a channel. */
export interface Wish {
  readonly channel: bigint
  readonly intent: Intent
}

/** What follows from a handoff, or from a block. */
export interface Consequence {
  readonly wishes: readonly Wish[]
  readonly effects: readonly NodeEffect[]
}

/** See above. Everything happens within turns; what it throws ends the node. */
export interface HtlcSwitch {
  /** Exactly once each, in the commit of the step. */
  handed(channel: bigint, handoff: Handoff, height: number): Consequence
  /** A new height. */
  reached(height: number): Consequence
  /** About a minute went by. */
  ticked(): Consequence
  /** What changed since this was asked last. */
  takeWrites(): readonly Write[]
}
