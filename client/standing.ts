// Where a channel stands that goes on and has nothing to repeat: two numbers, which is all that peers say of most
// channels each time a connection stands. So neither saying nor hearing it needs the channel itself.
import type { ChannelRecord } from './conversation.js'
import type { ChannelSync } from './messages.js'
import { usedVersion } from './said.js'

/** The newest agreed version, and the highest one that will not be agreed on any more. */
export interface Standing {
  readonly version: number
  readonly used: number
}

/** Beyond this a number takes as much memory as the whole rest. */
const MAX_SMALL = 2n ** 31n

/** Where a channel at rest stands; undefined if there is more to say of it. */
export function standingOf(record: ChannelRecord): Standing | undefined {
  const { phase, current } = record.machine
  const used = usedVersion(record)
  if (phase !== 'acting' || current === undefined || current.state.version > used || used >= MAX_SMALL)
    return undefined
  return { version: Number(current.state.version), used: Number(used) }
}

/** Says it. */
export function syncOf(channelID: ChannelSync['channelID'], { version, used }: Standing): ChannelSync {
  return { kind: 'channelSync', channelID, version: BigInt(version), usedVersion: BigInt(used) }
}
