// What a channel's user may listen to. Apart from the running channel, so that listening keeps no channel running.
import { Subject } from 'rxjs'
import type { Phase, State } from '../channel/index.js'
import type { ChannelEvent } from './world.js'

/** A change of state. */
export interface Updated {
  readonly from: State
  readonly to: State
}

/** The subjects behind one channel's observables. */
export class Streams {
  readonly updates$ = new Subject<Updated>()
  /** Changes only; whoever subscribes is told the phase of that moment first. */
  readonly phases$ = new Subject<Phase>()
  readonly events$ = new Subject<ChannelEvent>()

  /** Nothing more is to come. */
  complete(): void {
    this.updates$.complete()
    this.phases$.complete()
    this.events$.complete()
  }
}
