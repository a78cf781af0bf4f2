// Every function that reads bytes or text that others wrote, with valid examples of what it reads.
import { readFileSync } from 'node:fs'
import { decodeContents, encodeContents } from '../../backend/bitcoin/backup/contents.js'
import { openBackup } from '../../backend/bitcoin/backup/index.js'
import { decodeBlock } from '../../backend/bitcoin/chain/block.js'
import { CHANNEL_ROWS, restoredChannels } from '../../backend/bitcoin/channel/index.js'
import { decodeChannelType } from '../../backend/bitcoin/channel-type.js'
import { parseSeedQuery, parseSeedResult } from '../../backend/bitcoin/dns.js'
import { faultOfFeatures, negotiate } from '../../backend/bitcoin/features.js'
import { decodeInvoice } from '../../backend/bitcoin/invoice/bolt11.js'
import { decodeBolt12Invoice, decodeInvoiceError } from '../../backend/bitcoin/invoice/bolt12-invoice.js'
import { decodeInvoiceRequest, parseInvoiceRequest } from '../../backend/bitcoin/invoice/invoice-request.js'
import { decodeOffer, parseOffer } from '../../backend/bitcoin/invoice/offer.js'
import { decodePayerProof, parsePayerProof } from '../../backend/bitcoin/invoice/payer-proof.js'
import { readFulfilAttribution } from '../../backend/bitcoin/onion/attribution.js'
import { openFailure } from '../../backend/bitcoin/onion/failure-packet.js'
import { decodeFailure } from '../../backend/bitcoin/onion/failures.js'
import { sharedSecretWith } from '../../backend/bitcoin/onion/keys.js'
import { decodeOnionMessagePayload, peelOnionMessage } from '../../backend/bitcoin/onion/message.js'
import { decodePayload, readInstruction } from '../../backend/bitcoin/onion/payload.js'
import { decodeRecipientData, readRecipientData } from '../../backend/bitcoin/onion/recipient-data.js'
import { peelOnion } from '../../backend/bitcoin/onion/sphinx.js'
import { PAYMENT_ROWS, restoredPayments } from '../../backend/bitcoin/payments/index.js'
import { isShutdownScript } from '../../backend/bitcoin/script/closing.js'
import { readWitnessSignature } from '../../backend/bitcoin/script/signature.js'
import { decodeTransaction } from '../../backend/bitcoin/script/transaction.js'
import { blockHeight, sat } from '../../backend/bitcoin/units.js'
import { buildPsbt, ownInputs, readPsbt } from '../../backend/bitcoin/wallet/psbt.js'
import { Reservations } from '../../backend/bitcoin/wallet/reservations.js'
import { decodeAddresses } from '../../backend/bitcoin/wire/addresses.js'
import { lightningMessages } from '../../backend/bitcoin/wire/messages.js'
import { decodeQueryFlags, decodeShortIDs, decodeTimestamps } from '../../backend/bitcoin/wire/queries.js'
import { parseShortChannelID } from '../../backend/bitcoin/wire/short-channel-id.js'
import { decodeRevert } from '../../backend/ethereum/abi.js'
import { shownStates } from '../../backend/ethereum/calls.js'
import { decodeCursor, encodeCursor } from '../../backend/ethereum/cursor.js'
import { receiverOfAuthorization } from '../../backend/sim/contract.js'
import { SIM_BACKEND } from '../../backend/sim/encode.js'
import { fromHex, type Hex, toHex } from '../../channel/index.js'
import { messages } from '../../client/messages.js'
import { created, progressed, restored } from '../../client/records.js'
import { towerMessages } from '../../client/tower/messages.js'
import { putSeen, putState, seen, states } from '../../client/tower/records.js'
import { decodeMessage, decodeText, encodePayload, Joiner } from '../../peer/framing.js'
import { createIdentity } from '../../peer/identity.js'
import { unpack } from '../../peer/msgpack.js'
import { step as handshake, initiate, respond } from '../../peer/noise.js'
import { MemoryStore } from '../../persistence/memory.js'
import { openEnvelope, sealEnvelope } from '../../persistence/record.js'
import { addressOf, recoverPersonal, secp256k1, verifyPersonal } from '../../wallet/index.js'
import { bytesOf } from '../backend/bitcoin/backup/world.js'
import { makeBlock } from '../backend/bitcoin/chain/made.js'
import { at, propose, reachActing, settleDown } from '../client/conversations.js'
import { bytesIn, textsIn } from './inputs.js'

/** Something that reads bytes. What it throws must be a PerkunasError; what it returns is its own affair. */
export interface ByteDecoder {
  readonly name: string
  readonly read: (bytes: Uint8Array) => unknown
  readonly samples: readonly Uint8Array[]
  /** How many broken inputs; those that cost much are read less often. */
  readonly runs?: number
}

/** Something that reads text. */
export interface TextDecoder {
  readonly name: string
  readonly read: (text: string) => unknown
  readonly samples: readonly string[]
  readonly runs?: number
}

const secret = new Uint8Array(32).fill(7)
const sharedSecret = sharedSecretWith(secret)
const point = secp256k1.publicKey(secret)
const reservations = await Reservations.open(new MemoryStore(), '')
const ROOT = 'lseed.bitcoinstats.com'

/** Each message of clients, and both records, as they come up in the life of a channel. */
function spoken() {
  const all = reachActing(3)
  const said = new Map<string, Uint8Array>()
  const records: Uint8Array[][] = []
  const note = () => {
    for (const { message } of all.wire) said.set(message.kind, messages.encode(message))
    const writes = [...created(at(all.states, 1).record), progressed(at(all.states, 1).record)]
    records.push(writes.flatMap((write) => (write.kind === 'put' ? [write.value] : [])))
  }
  propose(all, 0, () => undefined)
  note()
  settleDown(all)
  propose(all, 0, (draft) => {
    draft.isFinal = true
  })
  settleDown(all)
  note()
  const { state, signatures } = at(all.states, 0).record.machine.current ?? raise()
  const { channelID, version } = state
  const [signature] = signatures
  if (signature === undefined) throw new Error('signed')
  const session = `0x${'11'.repeat(32)}` as const
  const participant = { [SIM_BACKEND]: addressOf(point) }
  const nonceShare = session
  const { peers } = at(all.states, 0).record
  const { assets, balances } = state.allocation
  const terms = { challengeDuration: 60n, nonceShare, app: '0x', data: '0x', assets, balances } as const
  const rest = { agreement: balances, participant, peers, aux: all.params.aux }
  const others = [
    messages.encode({ kind: 'channelProposal', session, ...terms, ...rest }),
    messages.encode({ kind: 'channelProposalAcc', session, nonceShare, participant }),
    messages.encode({ kind: 'channelProposalRej', session, reason: 'no, thanks' }),
    messages.encode({ kind: 'initialSignature', session, signature }),
    messages.encode({ kind: 'channelUpdateAcc', channelID, version, actor: 1, signature }),
    messages.encode({ kind: 'channelUpdateRej', channelID, version, actor: 1, reason: 'no', crossed: true }),
    messages.encode({ kind: 'closeAuthorization', channelID, version, authorization: signature }),
    messages.encode({ kind: 'channelSync', channelID, version, usedVersion: version }),
    messages.encode({ kind: 'signedState', state, signatures: [signature, signature, signature] }),
  ]
  return { channelID, said: [...said.values(), ...others], records: records.flat(), terms: records[0]?.[0] }
}

/** What clients and towers say, and what towers write; the state with funds locked in a channel. */
function watchedOver() {
  const { params, states: sides } = reachActing(2)
  const { state, signatures: all } = at(sides, 0).record.machine.current ?? raise()
  const signatures = all.flatMap((signature) => signature ?? [])
  const { channelID, allocation } = state
  const locked = [{ channelID, balances: [10n], indexMap: [1, 0] }]
  const signed = { params, state: { ...state, allocation: { ...allocation, locked } }, signatures }
  const subChannels = [{ params, state, signatures }]
  const standings = [{ kind: 'registered', version: 1n, deadline: 99n }] as const
  const written = [
    putState(tower, channelID, { signed, subChannels }),
    putSeen(tower, channelID, new Map([[channelID, { cursor: 'cursor', standings }]])),
  ].flatMap((write) => (write.kind === 'put' ? [write] : []))
  const versions = { channelID, version: 1n, subChannels: [{ channelID, version: 1n }] }
  const said = [
    towerMessages.encode({ kind: 'watch', signed, subChannels, cursor: 'cursor' }),
    towerMessages.encode({ kind: 'watching', ...versions }),
    towerMessages.encode({ kind: 'notWatching', ...versions, reason: 'no' }),
    towerMessages.encode({ kind: 'unwatch', channelID }),
  ]
  return { said, written }
}

function raise(): never {
  throw new Error('it must be there')
}

const tower = `0x02${'70'.repeat(32)}` as const
const life = spoken()
const watch = watchedOver()
const key = 'channel/0x11/terms'

/** Each recorded row of a folder's tests, by itself broken, with a checksum that fits, among the others as they are. */
function rowsOf(
  folder: string,
  read: (rows: Iterable<readonly [string, Uint8Array]>) => unknown,
): ByteDecoder[] {
  const file = new URL(`../../../test/backend/bitcoin/${folder}/rows-1.json`, import.meta.url)
  const recorded: Readonly<Record<string, Hex>> = JSON.parse(readFileSync(file, 'utf8'))
  const rows = new Map(Object.entries(recorded).map(([at, value]) => [at, fromHex(value)]))
  return [...rows].map(([at, value]) => {
    const { payload, ...kind } = openEnvelope(at, value)
    return {
      name: `${folder} records: ${at}`,
      runs: 20,
      read: (bytes) => read(new Map(rows).set(at, sealEnvelope(at, { ...kind, payload: bytes }))),
      samples: [payload.slice()],
    }
  })
}

const backupFile = new URL('../../../test/backend/bitcoin/backup/backup-1.hex', import.meta.url)
const backup = fromHex(`0x${readFileSync(backupFile, 'utf8').trim()}`)
const backupSeed = bytesOf('seed')

/** All that read bytes. */
export const BYTE_DECODERS: readonly ByteDecoder[] = [
  // between clients
  { name: 'messages', read: messages.decode, samples: life.said },
  { name: 'msgpack', read: unpack, samples: life.said },
  {
    name: 'records: terms',
    read: (bytes) => restored(life.channelID, new Map([['terms', bytes]])),
    samples: life.records,
  },
  {
    name: 'records: progress',
    read: (bytes) => {
      const parts = new Map([['progress', bytes]])
      if (life.terms) parts.set('terms', life.terms)
      return restored(life.channelID, parts)
    },
    samples: life.records,
  },
  {
    name: 'envelopes',
    read: (bytes) => openEnvelope(key, bytes),
    samples: [sealEnvelope(key, { name: 'channel/terms', version: 2, payload: new Uint8Array(40) })],
  },
  {
    // An attacker who can write to the disk can also make the checksum fit.
    name: 'records: sealed',
    read: (payload) => {
      const name = payload[0] === 0 ? 'channel/progress' : 'channel/terms'
      const sealed = sealEnvelope(`channel/${life.channelID}/terms`, { name, version: 1, payload })
      return restored(life.channelID, new Map([['terms', sealed]]))
    },
    samples: life.records,
  },
  // between clients and towers
  { name: 'tower messages', read: towerMessages.decode, samples: watch.said },
  ...[states, seen].map((record, i): ByteDecoder => {
    const { key: of, value } = watch.written[i] ?? raise()
    const { payload, ...kind } = openEnvelope(of, value)
    return {
      name: `tower records: ${record.name}`,
      // An attacker who can write to the disk can also make the checksum fit.
      read: (bytes) => record.open(of, sealEnvelope(of, { ...kind, payload: bytes })),
      samples: [payload.slice()],
    }
  }),
  {
    name: 'tower records',
    read: (bytes) => [states, seen].map((record, i) => record.open(watch.written[i]?.key ?? '', bytes)),
    samples: watch.written.map(({ value }) => value),
  },
  // on the connection
  { name: 'frames', read: decodeMessage, samples: [...bytesIn('bolt01'), ...bytesIn('messages')] },
  { name: 'warnings', read: decodeText, samples: bytesIn('bolt01') },
  {
    name: 'fragments',
    read: (bytes) => {
      const joiner = new Joiner(100_000)
      for (let repeat = 0; repeat < 3; repeat++) {
        const message = decodeMessage(bytes)
        if (message.kind === 'fragment') joiner.take(message.total, message.offset, message.part)
      }
    },
    samples: [...encodePayload(new Uint8Array(200_000))].map((one) => one.slice(0, 400)),
  },
  {
    name: 'handshake',
    read: (bytes) => {
      const identity = createIdentity(secret)
      handshake(respond(identity, new Uint8Array(32).fill(3)), identity, bytes)
    },
    samples: [initiate(createIdentity(secret).id, new Uint8Array(32).fill(5)).send],
  },
  // signatures
  {
    name: 'signatures',
    read: (bytes) => {
      recoverPersonal(secret, toHex(bytes))
      return verifyPersonal(secret, toHex(bytes), addressOf(point))
    },
    samples: [new Uint8Array(65).fill(1), new Uint8Array(64).fill(1)],
  },
  {
    name: 'close authorizations',
    read: (bytes) => {
      const state = { channelID: life.channelID, allocation: { assets: [], balances: [], locked: [] } }
      const whole = { ...state, version: 1n, app: '0x', data: '0x', isFinal: true } as const
      return receiverOfAuthorization({ params: reachActing(2).params, state: whole }, 0, toHex(bytes))
    },
    samples: [new Uint8Array(85).fill(1)],
  },
  // Lightning
  {
    name: 'Lightning messages',
    read: lightningMessages.decode,
    samples: [...bytesIn('wire-messages'), ...bytesIn('bolt02-splicing')],
  },
  { name: 'short channel IDs', read: decodeShortIDs, samples: [Uint8Array.of(0, ...new Uint8Array(16))] },
  {
    name: 'query flags',
    read: (bytes) => decodeQueryFlags({ encodingType: bytes[0] ?? 0, encodedQueryFlags: bytes.subarray(1) }),
    samples: [Uint8Array.of(0, 1, 2, 0xfd, 1, 0)],
  },
  {
    name: 'timestamps',
    read: (bytes) => decodeTimestamps({ encodingType: bytes[0] ?? 0, encodedTimestamps: bytes.subarray(1) }),
    samples: [new Uint8Array(17)],
  },
  {
    name: 'addresses',
    read: decodeAddresses,
    samples: [Uint8Array.of(1, 127, 0, 0, 1, 0x26, 7), ...bytesIn('bolt07-gossip')],
  },
  { name: 'channel types', read: decodeChannelType, samples: bytesIn('features') },
  {
    name: 'features',
    read: (bytes) => {
      faultOfFeatures(bytes, {})
      return negotiate(bytes, bytes)
    },
    samples: bytesIn('features'),
  },
  { name: 'onion payloads', read: decodePayload, samples: bytesIn('bolt04-onion') },
  {
    name: 'onion instructions',
    read: (bytes) =>
      [{ final: true }, { final: false }, { final: true, pathKey: point }].map((place) =>
        readInstruction(bytes, place),
      ),
    samples: [...bytesIn('bolt04-onion'), ...bytesIn('bolt04-blinded-payment-onion')],
  },
  {
    name: 'onions',
    read: (packet) => peelOnion({ packet, sharedSecret }),
    samples: bytesIn('bolt04-onion').filter(({ length }) => length === 1366),
  },
  {
    name: 'onion message payloads',
    read: decodeOnionMessagePayload,
    samples: bytesIn('bolt04-blinded-onion-message'),
  },
  {
    name: 'onion messages',
    read: (packet) => peelOnionMessage({ pathKey: point, packet }, sharedSecret),
    samples: bytesIn('bolt04-blinded-onion-message').filter(({ length }) => length > 1000),
  },
  {
    name: 'failures',
    read: decodeFailure,
    samples: [Uint8Array.of(0x40, 15, ...new Uint8Array(12)), Uint8Array.of(0x10, 7, 0, 0)],
  },
  {
    name: 'failure packets',
    runs: 25,
    read: (bytes) => {
      const attribution = bytes.length > 920 ? { attribution: bytes.subarray(0, 920) } : {}
      return openFailure([secret, secret, secret], { packet: bytes, ...attribution })
    },
    samples: bytesIn('bolt04-onion-error').filter(({ length }) => length > 256),
  },
  {
    name: 'hold times',
    read: (bytes) => readFulfilAttribution([secret, secret], bytes),
    samples: bytesIn('bolt04-attribution').filter(({ length }) => length >= 900),
  },
  { name: 'recipient data', read: decodeRecipientData, samples: bytesIn('bolt04-route-blinding') },
  {
    name: 'recipient data of a stranger',
    read: readRecipientData,
    samples: bytesIn('bolt04-route-blinding'),
  },
  { name: 'BOLT 12 invoices', read: decodeBolt12Invoice, samples: bytesIn('bolt12-invoices') },
  { name: 'BOLT 12 errors', read: decodeInvoiceError, samples: bytesIn('bolt12-invoices') },
  { name: 'BOLT 12 offers', read: decodeOffer, samples: bytesIn('bolt12-offers') },
  { name: 'BOLT 12 requests', read: decodeInvoiceRequest, samples: bytesIn('bolt12-signature') },
  { name: 'BOLT 12 proofs', read: decodePayerProof, samples: bytesIn('bolt12-payer-proof') },
  {
    name: 'transactions',
    read: decodeTransaction,
    samples: [...bytesIn('bolt03-commitment'), ...bytesIn('bolt03-funding')].filter(
      ({ length }) => length > 60,
    ),
  },
  {
    name: 'blocks',
    read: (bytes) => decodeBlock(bytes, { height: blockHeight(1), network: 'regtest' }),
    samples: [
      makeBlock({
        previous: `0x${'11'.repeat(32)}`,
        height: 1,
        transactions: bytesIn('bolt03-commitment')
          .filter(({ length }) => length > 300)
          .slice(0, 2)
          .map(decodeTransaction),
      }),
    ],
  },
  {
    name: 'PSBTs',
    read: (bytes) => ownInputs(readPsbt(bytes), reservations),
    samples: [
      buildPsbt(
        {
          version: 2,
          inputs: [{ outpoint: { txid: secret, index: 0 }, sequence: 0, witness: [] }],
          outputs: [{ amount: sat(1n), script: Uint8Array.of(0, 20, ...new Uint8Array(20)) }],
          locktime: 0,
        },
        [{ amount: sat(2n), script: Uint8Array.of(0, 20, ...new Uint8Array(20)) }],
      ),
    ],
  },
  {
    name: 'witness signatures',
    read: readWitnessSignature,
    samples: bytesIn('bolt03-commitment').filter(({ length }) => length < 74),
  },
  {
    name: 'shutdown scripts',
    read: (script) => isShutdownScript(script, { anySegwit: true, simpleClose: true }),
    samples: [Uint8Array.of(0, 20, ...new Uint8Array(20)), Uint8Array.of(0x6a, 6, 1, 2, 3, 4, 5, 6)],
  },
  // What a Lightning node finds on its disk.
  ...rowsOf('channel', (rows) => restoredChannels([...rows].filter(([at]) => at.startsWith(CHANNEL_ROWS)))),
  ...rowsOf('payments', (rows) => restoredPayments([...rows].filter(([at]) => at.startsWith(PAYMENT_ROWS)))),
  { name: 'backups', read: (bytes) => openBackup(bytes, backupSeed), samples: [backup] },
  {
    name: 'contents of backups',
    read: decodeContents,
    samples: [encodeContents(openBackup(backup, backupSeed))],
  },
  // Ethereum
  {
    name: 'calldata',
    read: (bytes) => shownStates(toHex(bytes)),
    samples: [Uint8Array.of(0xe9, 0xaa, 0x7e, 0x02, ...new Uint8Array(600))],
  },
  {
    name: 'reverts',
    read: (bytes) => decodeRevert(toHex(bytes)),
    samples: [Uint8Array.of(0x08, 0xc3, 0x79, 0xa0, ...new Uint8Array(96))],
  },
]

/** All that read text. */
export const TEXT_DECODERS: readonly TextDecoder[] = [
  {
    name: 'BOLT 11 invoices',
    runs: 25,
    read: (text) => decodeInvoice(text),
    samples: textsIn('bolt11', /^ln(bc|tb)/),
  },
  { name: 'offers', read: parseOffer, samples: textsIn('bolt12-offers', /^lno1/) },
  { name: 'invoice requests', read: parseInvoiceRequest, samples: textsIn('bolt12-signature', /^lnr1/) },
  { name: 'payer proofs', read: parsePayerProof, samples: textsIn('bolt12-payer-proof', /^lnp/) },
  { name: 'short channel IDs in words', read: parseShortChannelID, samples: ['539268x845x1'] },
  {
    name: 'seed queries',
    read: (text) => parseSeedQuery(text, ROOT),
    samples: textsIn('bolt10-dns', /lseed/),
  },
  {
    name: 'seed results',
    read: (text) => parseSeedResult(text, 9735, ROOT),
    samples: textsIn('bolt10-dns', /^ln1/),
  },
  {
    name: 'cursors',
    read: decodeCursor,
    samples: [
      encodeCursor({
        done: 7,
        pending: [
          {
            body: { kind: 'registered', version: 3n, deadline: 99n, state: undefined, signatures: undefined },
            blockNumber: 8,
            blockHash: `0x${'12'.repeat(32)}`,
            transactionHash: `0x${'34'.repeat(32)}`,
            logIndex: 2,
          },
        ],
      }),
    ],
  },
]
