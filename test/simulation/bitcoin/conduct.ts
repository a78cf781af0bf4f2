// What an honest party has said and was told over all its processes, as far as it must not be said or told otherwise: secrets
// after what replaces them (I3), IDs of HTLCs (I4), and each HTLC to its switch once (I7).
import { channelSecrets } from '../../../backend/bitcoin/keys/index.js'
import { commitmentSecret } from '../../../backend/bitcoin/keys/secrets.js'
import { MONITOR_ROWS } from '../../../backend/bitcoin/monitor/rows.js'
import { sha256 } from '../../../backend/bitcoin/script/index.js'
import { type LightningMessage, lightningMessages } from '../../../backend/bitcoin/wire/index.js'
import { equalBytes, toHex } from '../../../channel/bytes.js'
import type { Disk } from '../disk.js'
import type { Held, Notice, SwitchLog } from './inside.js'
import type { PaymentOracle } from './oracle.js'
import { typeOf } from './raw-bus.js'

/** Of `update_add_htlc` and `revoke_and_ack` (BOLT 2). */
const ADD = 128
const REVOKE = 133
/** Of what is locked or on its way out. */
const EARLY = ['offered', 'signed', 'acked', 'countersigned']

/** A process, when it says something. */
export interface Speaker {
  readonly disk: Disk
  readonly held: readonly Held[]
}

/** Whose conduct it is. */
export interface Conducted {
  readonly name: string
  readonly seed: Uint8Array
}

/** See above. */
export class Conduct {
  /** Digests of what was added, by ID, of each channel. */
  readonly #added = new Map<string, string[]>()
  readonly #told = new Set<string>()
  /** Of a turn that died: it may be durable or not. */
  readonly #perhaps = new Set<string>()

  constructor(
    readonly owner: Conducted,
    readonly oracle: Pick<PaymentOracle, 'violated'>,
  ) {}

  /** A message leaves. */
  says(payload: Uint8Array, speaker: () => Speaker): void {
    const type = typeOf(payload)
    if (type !== ADD && type !== REVOKE) return
    const message = lightningMessages.decode(payload)
    if (message.kind === 'update_add_htlc') this.#adds(message, toHex(sha256(payload)))
    if (message.kind === 'revoke_and_ack') this.#revokes(message, speaker())
  }

  /** What the switch of a process was told so far. */
  hears(log: SwitchLog): void {
    for (const notice of log.durable.splice(0)) this.#hears(notice)
  }

  /** A process is over, and with it what it has not heard of its disk. */
  ends(log: SwitchLog): void {
    this.hears(log)
    for (const notice of log.open) this.#perhaps.add(keyOf(notice))
  }

  /** What is durable was told. */
  looks({ channel, live: { book } }: Held): void {
    for (const htlc of book.htlcs) {
      if (htlc.offerer === 'local' || EARLY.includes(htlc.stage)) continue
      const key = keyOf({ channel, htlc, told: 'locked' })
      if (!this.#told.has(key) && !this.#perhaps.has(key))
        this.#violated(`I7: HTLC ${htlc.id} of channel ${channel} is locked, and nobody was told`)
    }
  }

  #hears(notice: Notice): void {
    const { channel, htlc, told } = notice
    const key = keyOf(notice)
    const what = `HTLC ${htlc.id} (${htlc.offerer}) of channel ${channel}`
    if (this.#told.has(key)) this.#violated(`I7: ${what} is ${told} twice`)
    this.#told.add(key)
    const opposite = told === 'failed' ? 'fulfilled' : told === 'fulfilled' ? 'failed' : undefined
    if (opposite !== undefined && this.#told.has(keyOf({ ...notice, told: opposite })))
      this.#violated(`I7: ${what} is ${told} after it was ${opposite}`)
  }

  #adds({ channelID, id }: LightningMessage & { kind: 'update_add_htlc' }, digest: string): void {
    const added = this.#added.get(channelID) ?? []
    this.#added.set(channelID, added)
    const known = added[Number(id)]
    if (known === undefined && Number(id) === added.length) added.push(digest)
    else if (known === undefined) this.#violated(`I4: HTLC ${id} comes after ${added.length} others`)
    else if (known !== digest) this.#violated(`I4: two HTLCs have the ID ${id}`)
  }

  /** On disk is our commitment that replaces the one whose secret it is. */
  #revokes(message: LightningMessage & { kind: 'revoke_and_ack' }, { disk, held }: Speaker): void {
    const { channelID, perCommitmentSecret: secret } = message
    const found = held.find(({ live }) => live.terms.channelID === channelID)
    if (found === undefined) return this.#violated('I3: a secret leaves of a channel that is not on disk')
    const { commitmentSeed } = channelSecrets(this.owner.seed, found.channel)
    const prefix = `${MONITOR_ROWS}${found.channel}/holder/`
    const numbers = [...disk.keys()].flatMap((key) =>
      key.startsWith(prefix) ? [BigInt(key.slice(prefix.length))] : [],
    )
    const isReplaced = numbers.some(
      (number) => number > 0n && equalBytes(commitmentSecret(commitmentSeed, number - 1n), secret),
    )
    if (!isReplaced)
      this.#violated(`I3: the secret of a commitment leaves, and ${numbers.join() || 'none'} is on disk`)
  }

  #violated(words: string): void {
    this.oracle.violated('no mistake of ours', `${this.owner.name}: ${words}`)
  }
}

function keyOf({ channel, htlc: { offerer, id }, told }: Notice): string {
  return `${channel} ${offerer} ${id} ${told}`
}
