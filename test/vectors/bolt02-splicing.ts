// BOLT 2, bolt02/splicing-test.md: flows of messages between two sides of a channel. To play them takes a channel; that the
// messages exist, and batches are as long as they say, can be seen without.
import { expect } from 'chai'
import { txIDOfHash } from '../../backend/bitcoin/wire/fields.js'
import { type LightningMessage, lightningMessages } from '../../backend/bitcoin/wire/messages.js'
import { secp256k1 } from '../../wallet/secp256k1.js'
import { type Case, load } from './cases.js'

interface Step {
  readonly from?: 'alice' | 'bob'
  readonly message?: string
  readonly fields?: {
    readonly batch_size?: number
    readonly funding_txid?: string
    readonly splice_txid?: string
    readonly next_commitment_number?: number
    readonly next_funding_txid?: string
    readonly next_funding_retransmit_flags?: number
    readonly my_current_funding_locked?: string
  }
}

interface File {
  readonly scenarios: readonly { readonly name: string; readonly steps: readonly Step[] }[]
}

const channelID = `0x${'22'.repeat(32)}` as const
const point = secp256k1.publicKey(new Uint8Array(32).fill(1))

/** For each flow its messages, and the flow itself. */
export function cases(): readonly Case[] {
  return load<File>('bolt02-splicing').scenarios.flatMap(({ name, steps }) => [
    { name: `${name}: its messages`, run: () => checkMessages(steps) },
    {
      name,
      run: () => {
        throw new Error('not played')
      },
      pending: 'a flow of two whole channels, which the channel machine of backend/bitcoin will play',
    },
  ])
}

function checkMessages(steps: readonly Step[]): void {
  const known = new Set(lightningMessages.schemas.map(({ kind }) => kind))
  steps.forEach((step, i) => {
    const { message, from } = step
    if (message === undefined) return
    expect(known.has(message), message).to.equal(true)
    const built = build(step)
    if (built === undefined) return
    expect(lightningMessages.decode(lightningMessages.encode(built))).to.deep.equal(built)
    if (built.kind !== 'start_batch') return
    // A batch is one commitment_signed for each funding, with nothing else by the same side between them.
    const batch = steps
      .slice(i + 1)
      .filter((one) => one.from === from)
      .slice(0, built.batchSize)
    expect(batch.map((one) => one.message)).to.deep.equal(
      Array.from({ length: built.batchSize }, () => 'commitment_signed'),
    )
    expect(new Set(batch.map(({ fields }) => fields?.funding_txid)).size).to.equal(built.batchSize)
  })
}

/** The message of a step that says something about its fields. */
function build({ message, fields }: Step): LightningMessage | undefined {
  if (fields === undefined) return undefined
  switch (message) {
    case 'start_batch':
      return { kind: message, channelID, batchSize: fields.batch_size ?? 0 }
    case 'commitment_signed':
      return {
        kind: message,
        channelID,
        signature: new Uint8Array(64),
        htlcSignature: [],
        fundingTxID: idOf(fields.funding_txid),
      }
    case 'splice_locked':
      return { kind: message, channelID, spliceTxID: idOf(fields.splice_txid) }
    case 'channel_reestablish':
      return {
        kind: message,
        channelID,
        nextCommitmentNumber: BigInt(fields.next_commitment_number ?? 0),
        nextRevocationNumber: 0n,
        yourLastPerCommitmentSecret: new Uint8Array(32),
        myCurrentPerCommitmentPoint: point,
        ...(fields.next_funding_txid === undefined
          ? {}
          : {
              nextFunding: {
                nextFundingTxID: idOf(fields.next_funding_txid),
                retransmitFlags: fields.next_funding_retransmit_flags ?? 0,
              },
            }),
        ...(fields.my_current_funding_locked === undefined
          ? {}
          : {
              myCurrentFundingLocked: {
                myCurrentFundingLockedTxID: idOf(fields.my_current_funding_locked),
                retransmitFlags: 0,
              },
            }),
      }
    default:
      throw new Error(`fields of ${message} are not looked at`)
  }
}

/** A transaction ID for a name such as FundingTx2a. */
function idOf(name: string | undefined): ReturnType<typeof txIDOfHash> {
  const text = new TextEncoder().encode(name)
  return txIDOfHash(Uint8Array.from({ length: 32 }, (_, i) => text[i] ?? 0))
}
