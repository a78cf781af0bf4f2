// Looks through a store without a client: is every record whole, does it decode, do its signatures fit its states?
import {
  type BackendID,
  faultOfState,
  isError,
  type LedgerRules,
  type Machine,
  type Phase,
  type Transaction,
} from '../channel/index.js'
import { openEnvelope, type Store } from '../persistence/index.js'
import type { ChannelRecord } from './conversation.js'
import { CHANNELS, restored } from './records.js'

/** The part of a ledger's rules that needs neither a node nor a list of contracts. */
export type SignatureRules = Pick<LedgerRules, 'backend' | 'channelID' | 'message' | 'verify'>

/** Something that is wrong with a store. */
export interface StoreFault {
  /** Of the record, or of all records of one channel (`channel/<ID>`). */
  readonly key: string
  readonly reason: string
}

/** What is in a store. */
export interface StoreReport {
  readonly entries: number
  /** Of all values together. */
  readonly bytes: number
  /** How many whole records there are of each kind and version: 'channel/terms 2'. */
  readonly records: Readonly<Record<string, number>>
  readonly channels: number
  /** Those of them that are being opened: not everybody has signed, or funded, yet. */
  readonly proposals: number
  /**
   * Those that were given up before all had funded. The ledger pays deposits back by the initial state, which has to be
   * registered first: so each goes through the phases of a dispute as any other, `registered` for one.
   */
  readonly refunds: number
  /** How many channels stand where; phases without any are absent. */
  readonly phases: Readonly<Partial<Record<Phase, number>>>
  /** How many signatures were verified. */
  readonly signatures: number
  readonly faults: readonly StoreFault[]
}

/**
 * Reads a whole store, in one snapshot, and checks everything that can be checked without a ledger: that every record
 * is whole, and of channels that their records are complete, of versions that are known, and decode; that their states
 * are valid, and signed by their participants. Records of other parts than channels are only checked for being whole.
 *
 * @param rules of the ledgers whose channels may be in it; channels of others are faults
 * @throws what the store throws
 */
export async function checkStore(store: Store, rules: readonly SignatureRules[]): Promise<StoreReport> {
  const report = new Report(new Map(rules.map((one) => [one.backend, one])))
  let channelID = ''
  let parts = new Map<string, Uint8Array>()
  // The records of a channel are neighbours.
  for await (const [key, value] of store.scan('')) {
    report.entry(key, value)
    if (!key.startsWith(CHANNELS)) continue
    const [id = '', part = ''] = key.slice(CHANNELS.length).split('/')
    if (id !== channelID) {
      report.channel(channelID, parts)
      channelID = id
      parts = new Map()
    }
    parts.set(part, value)
  }
  report.channel(channelID, parts)
  return report.result()
}

class Report {
  readonly #rules: ReadonlyMap<BackendID, SignatureRules>
  readonly #faults: StoreFault[] = []
  readonly #records: Record<string, number> = {}
  readonly #phases: Partial<Record<Phase, number>> = {}
  #entries = 0
  #bytes = 0
  #channels = 0
  #refunds = 0
  #signatures = 0

  constructor(rules: ReadonlyMap<BackendID, SignatureRules>) {
    this.#rules = rules
  }

  entry(key: string, value: Uint8Array): void {
    this.#entries++
    this.#bytes += value.length
    try {
      const { name, version } = openEnvelope(key, value)
      const kind = `${name} ${version}`
      this.#records[kind] = (this.#records[kind] ?? 0) + 1
    } catch (error) {
      if (!isError(error, 'INVALID_RECORD')) throw error
      // Channels say more of what is wrong with them, and their oldest records have no envelope.
      if (!key.startsWith(CHANNELS)) this.fault(key, error.facts.reason)
    }
  }

  fault(key: string, reason: string): void {
    this.#faults.push({ key, reason })
  }

  channel(id: string, parts: ReadonlyMap<string, Uint8Array>): void {
    if (parts.size === 0) return
    this.#channels++
    const key = `${CHANNELS}${id}`
    try {
      const record = restored(id, parts)
      const { phase, isFunded } = record.machine
      if (!isFunded && !OPENING.includes(phase)) this.#refunds++
      this.#phases[phase] = (this.#phases[phase] ?? 0) + 1
      this.#check(key, record)
    } catch (error) {
      if (!isError(error, 'INVALID_RECORD')) throw error
      this.fault(error.facts.key, error.facts.reason)
    }
  }

  result(): StoreReport {
    return {
      entries: this.#entries,
      bytes: this.#bytes,
      records: this.#records,
      channels: this.#channels,
      proposals: OPENING.reduce((sum, phase) => sum + (this.#phases[phase] ?? 0), 0),
      refunds: this.#refunds,
      phases: this.#phases,
      signatures: this.#signatures,
      faults: this.#faults,
    }
  }

  #check(key: string, { machine, before }: ChannelRecord): void {
    const { params, channelID, current, staging } = machine
    const backend = (current ?? staging)?.state.allocation.assets[0]?.backend
    const rules = backend === undefined ? undefined : this.#rules.get(backend)
    if (rules === undefined) return this.fault(key, `a channel of an unknown ledger (${backend})`)
    if (rules.channelID(params) !== channelID) this.fault(key, 'the channel ID is not that of its params')
    for (const [what, transaction] of [
      ['current', current],
      ['staged', staging],
      ...before.map((one) => ['former', one] as const),
    ] as const) {
      if (transaction === undefined) continue
      const reason = this.#faultOf(machine, transaction, rules)
      if (reason !== undefined) this.fault(key, `the ${what} state: ${reason}`)
    }
    if (
      AGREED.includes(machine.phase) &&
      !current?.signatures.every((signature) => signature !== undefined)
    ) {
      this.fault(key, `${machine.phase}, but the current state lacks signatures`)
    }
  }

  #faultOf(machine: Machine, transaction: Transaction, rules: SignatureRules): string | undefined {
    const { params, channelID } = machine
    const { state, signatures } = transaction
    if (state.channelID !== channelID) return `of channel ${state.channelID}`
    const fault = faultOfState(params, state)
    if (fault !== undefined) return fault.message
    if (signatures.length !== params.participants.length) return `${signatures.length} places for signatures`
    const message = rules.message(params, state)
    for (const [i, signature] of signatures.entries()) {
      if (signature === undefined) continue
      this.#signatures++
      const participant = params.participants[i]
      if (participant === undefined || !rules.verify(message, signature, participant)) {
        return `version ${state.version} has a signature that is not participant ${i}'s`
      }
    }
    return undefined
  }
}

/** Where the current state is one that everybody signed. */
const AGREED: readonly Phase[] = ['funding', 'acting', 'signing', 'final']
/** Before everybody has funded. */
const OPENING: readonly Phase[] = ['initActing', 'initSigning', 'funding']
