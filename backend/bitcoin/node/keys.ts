// The keys of all channels of a seed, made once for each channel that is in use.
import { equalBytes } from '../../../channel/bytes.js'
import type { ChannelKeys } from '../channel/index.js'
import {
  basepointsOf,
  channelSecrets,
  commitmentPoint,
  commitmentSecret,
  createSigner,
  type Signer,
  type StepCounter,
} from '../keys/index.js'

/** What the keys of channels come from. */
export interface KeySource {
  /** 16 bytes or more of entropy. */
  readonly seed: Uint8Array
  /** Whether a closing may pay us there. */
  readonly ownsScript: (script: Uint8Array) => boolean
  readonly counter: StepCounter
}

/** How many channels' keys are kept. Making them anew takes half a millisecond. */
const KEPT = 4096

/** `ChannelEnv.keys`, with a memory of those that were asked for last. */
export function channelKeys(source: KeySource): (keyIndex: bigint) => ChannelKeys {
  const known = new Map<bigint, ChannelKeys>()
  return (keyIndex) => {
    const found = known.get(keyIndex)
    if (found !== undefined) return found
    const made = keysOf(source, keyIndex)
    known.set(keyIndex, made)
    if (known.size > KEPT) {
      const [oldest] = known.keys()
      if (oldest !== undefined) known.delete(oldest)
    }
    return made
  }
}

function keysOf({ seed, ownsScript, counter }: KeySource, keyIndex: bigint): ChannelKeys {
  const secrets = channelSecrets(seed, keyIndex)
  const secretOf = (number: bigint) => commitmentSecret(secrets.commitmentSeed, number)
  let signer: Signer | undefined
  return {
    basepoints: basepointsOf(secrets),
    commitmentPoint: (number) => commitmentPoint(secretOf(number)),
    isSecret: (number, secret) => equalBytes(secretOf(number), secret),
    // A key index has one channel, and that one setup.
    signer: (setup) => {
      signer ??= createSigner(secrets, setup, ownsScript, counter)
      return signer
    },
  }
}
