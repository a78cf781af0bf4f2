// BOLT 8: the handshake Noise_XK_secp256k1_ChaChaPoly_SHA256 as a pure function, and the sealing of what
// follows. No sockets, no randomness: acts and ephemeral secrets are inputs.
//
//   initiator                                    responder
//   knows the responder's static key             waits for act one
//     act one    e, es         50 bytes  ──▶
//                                        ◀──    act two    e, ee        50 bytes
//     act three  s, se         66 bytes  ──▶
//   done                                         done: knows the initiator's static key
import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import { fromHex, toHex } from '../channel/bytes.js'
import { secp256k1 } from '../wallet/secp256k1.js'
import { type Aead, aead as defaultAead, TAG_BYTES } from './aead.js'
import type { Identity, PeerID } from './identity.js'

/** Bytes of an act, by the phase that waits for it. */
export const ACT_BYTES = { 'act one': 50, 'act two': 50, 'act three': 66 } as const

/** A handshake under way, named for the act it waits for. Plain data; holds the ephemeral secret. */
export type Handshake =
  | { readonly phase: 'act one'; readonly ephemeral: Uint8Array; readonly transcript: Transcript }
  | {
      readonly phase: 'act two'
      readonly ephemeral: Uint8Array
      readonly transcript: Transcript
      readonly remote: PeerID
    }
  | {
      readonly phase: 'act three'
      readonly ephemeral: Uint8Array
      readonly transcript: Transcript
      /** Key of act two, which seals the initiator's static key too. */
      readonly key: Uint8Array
    }

/** What has been said so far (h, 32 bytes), and the chaining key (ck, 32 bytes) from which keys are drawn. */
export interface Transcript {
  readonly h: Uint8Array
  readonly ck: Uint8Array
}

/** Why a handshake failed: the codes of BOLT 8, Appendix A. */
export type HandshakeFailure =
  | `ACT${1 | 2 | 3}_${'READ_FAILED' | 'BAD_VERSION' | 'BAD_PUBKEY' | 'BAD_TAG'}`
  | 'ACT3_BAD_CIPHERTEXT'

/** What an act leads to. */
export type HandshakeStep =
  | { readonly kind: 'reply'; readonly next: Handshake; readonly send: Uint8Array }
  | { readonly kind: 'done'; readonly keys: SessionKeys; readonly send?: Uint8Array }
  | { readonly kind: 'failed'; readonly reason: HandshakeFailure }

/** What a finished handshake leaves: who the other is, and the first keys. 32 bytes each. */
export interface SessionKeys {
  readonly remote: PeerID
  readonly send: Uint8Array
  readonly receive: Uint8Array
  readonly chaining: Uint8Array
}

const NOTHING = new Uint8Array(0)
const START = sha256(utf8ToBytes('Noise_XK_secp256k1_ChaChaPoly_SHA256'))
const PROLOGUE = utf8ToBytes('lightning')

/**
 * Begins a handshake as initiator.
 *
 * @param ephemeral a fresh secret, never used before
 * @returns the state to go on with, and act one
 * @throws PerkunasError INVALID_ARGUMENT if `remote` or `ephemeral` is not of the curve
 */
export function initiate(
  remote: PeerID,
  ephemeral: Uint8Array,
): { readonly next: Handshake; readonly send: Uint8Array } {
  const remoteKey = fromHex(remote, 33)
  const key = secp256k1.publicKey(ephemeral)
  let transcript = mix(begin(remoteKey), key)
  const [ck, temporary] = derive(transcript.ck, secp256k1.ecdh(remoteKey, ephemeral)) // es
  const tag = seal(temporary, 0, transcript.h, NOTHING)
  transcript = mix({ h: transcript.h, ck }, tag)
  return { next: { phase: 'act two', ephemeral, transcript, remote }, send: concatBytes(VERSION, key, tag) }
}

/** Waits as responder. @param ephemeral a fresh secret, never used before */
export function respond(identity: Identity, ephemeral: Uint8Array): Handshake {
  return { phase: 'act one', ephemeral, transcript: begin(fromHex(identity.id, 33)) }
}

/** Takes the act that the handshake waits for. Never throws, whatever the act. */
export function step(handshake: Handshake, identity: Identity, act: Uint8Array): HandshakeStep {
  switch (handshake.phase) {
    case 'act one':
      return onActOne(handshake, identity, act)
    case 'act two':
      return onActTwo(handshake, identity, act)
    case 'act three':
      return onActThree(handshake, act)
  }
}

const VERSION = Uint8Array.of(0)

type Waiting<P extends Handshake['phase']> = Extract<Handshake, { readonly phase: P }>

function onActOne(
  { ephemeral, transcript }: Waiting<'act one'>,
  identity: Identity,
  act: Uint8Array,
): HandshakeStep {
  const read = readAct(1, act)
  if (typeof read === 'string') return { kind: 'failed', reason: read }
  const heard = mix(transcript, read.key)
  const [ck1, key1] = derive(heard.ck, identity.ecdh(read.key)) // es
  if (open(key1, 0, heard.h, read.tag) === undefined) return { kind: 'failed', reason: 'ACT1_BAD_TAG' }
  const known = mix({ h: heard.h, ck: ck1 }, read.tag)

  const key = secp256k1.publicKey(ephemeral)
  const said = mix(known, key)
  const [ck, key2] = derive(said.ck, secp256k1.ecdh(read.key, ephemeral)) // ee
  const tag = seal(key2, 0, said.h, NOTHING)
  const next = mix({ h: said.h, ck }, tag)
  return {
    kind: 'reply',
    next: { phase: 'act three', ephemeral, transcript: next, key: key2 },
    send: concatBytes(VERSION, key, tag),
  }
}

function onActTwo(
  { ephemeral, transcript, remote }: Waiting<'act two'>,
  identity: Identity,
  act: Uint8Array,
): HandshakeStep {
  const read = readAct(2, act)
  if (typeof read === 'string') return { kind: 'failed', reason: read }
  const heard = mix(transcript, read.key)
  const [ck2, key2] = derive(heard.ck, secp256k1.ecdh(read.key, ephemeral)) // ee
  if (open(key2, 0, heard.h, read.tag) === undefined) return { kind: 'failed', reason: 'ACT2_BAD_TAG' }
  const known = mix({ h: heard.h, ck: ck2 }, read.tag)

  const sealedKey = seal(key2, 1, known.h, fromHex(identity.id, 33))
  const said = mix(known, sealedKey)
  const [ck, key3] = derive(said.ck, identity.ecdh(read.key)) // se
  const tag = seal(key3, 0, said.h, NOTHING)
  const [send, receive] = derive(ck, NOTHING)
  return {
    kind: 'done',
    keys: { remote, send, receive, chaining: ck },
    send: concatBytes(VERSION, sealedKey, tag),
  }
}

function onActThree({ ephemeral, transcript, key }: Waiting<'act three'>, act: Uint8Array): HandshakeStep {
  if (act.length !== ACT_BYTES['act three']) return { kind: 'failed', reason: 'ACT3_READ_FAILED' }
  if (act[0] !== 0) return { kind: 'failed', reason: 'ACT3_BAD_VERSION' }
  const sealedKey = act.subarray(1, 50)
  const remote = open(key, 1, transcript.h, sealedKey)
  if (remote === undefined) return { kind: 'failed', reason: 'ACT3_BAD_CIPHERTEXT' }
  if (!isCompressed(remote)) return { kind: 'failed', reason: 'ACT3_BAD_PUBKEY' }
  const heard = mix(transcript, sealedKey)
  const [ck, key3] = derive(heard.ck, secp256k1.ecdh(remote, ephemeral)) // se
  if (open(key3, 0, heard.h, act.subarray(50)) === undefined)
    return { kind: 'failed', reason: 'ACT3_BAD_TAG' }
  const [receive, send] = derive(ck, NOTHING)
  return { kind: 'done', keys: { remote: toHex(remote), send, receive, chaining: ck } }
}

/** Acts one and two look alike: version, ephemeral key, tag. */
function readAct(
  number: 1 | 2,
  act: Uint8Array,
): { readonly key: Uint8Array; readonly tag: Uint8Array } | HandshakeFailure {
  if (act.length !== 50) return `ACT${number}_READ_FAILED`
  if (act[0] !== 0) return `ACT${number}_BAD_VERSION`
  const key = act.subarray(1, 34)
  return isCompressed(key) ? { key, tag: act.subarray(34) } : `ACT${number}_BAD_PUBKEY`
}

function isCompressed(key: Uint8Array): boolean {
  return key.length === 33 && secp256k1.isPoint(key)
}

function begin(responder: Uint8Array): Transcript {
  return mix(mix({ h: START, ck: START }, PROLOGUE), responder)
}

function mix({ h, ck }: Transcript, data: Uint8Array): Transcript {
  return { h: sha256(concatBytes(h, data)), ck }
}

/** Two keys from HKDF with a salt and no info. */
function derive(salt: Uint8Array, input: Uint8Array): readonly [Uint8Array, Uint8Array] {
  const both = hkdf(sha256, input, salt, NOTHING, 64)
  return [both.slice(0, 32), both.slice(32)]
}

function seal(key: Uint8Array, count: number, associated: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const out = new Uint8Array(plaintext.length + TAG_BYTES)
  defaultAead.seal({ key, nonce: nonceOf(count), associated }, plaintext, out, 0)
  return out
}

function open(
  key: Uint8Array,
  count: number,
  associated: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  return defaultAead.open({ key, nonce: nonceOf(count), associated }, sealed)
}

/** 32 zero bits, then the count as 64 bits, little-endian (BOLT 8); no count here reaches 2^16. */
function nonceOf(count: number): Uint8Array {
  const nonce = new Uint8Array(12)
  nonce[4] = count & 0xff
  nonce[5] = count >> 8
  return nonce
}

/** Uses of a key before it is replaced: 500 messages of two sealed parts each. */
const ROTATE_AFTER = 1000

/**
 * One direction of a session: seals or opens in order, with a new key after every 1000 uses.
 * @see BOLT 8, "Lightning Message Key Rotation"
 */
export class CipherState {
  #chaining: Uint8Array
  #key: Uint8Array
  readonly #nonce = new Uint8Array(12)
  #count = 0
  readonly #aead: Aead

  /** @param aead the cipher; replaced only to test one */
  constructor(chaining: Uint8Array, key: Uint8Array, aead: Aead = defaultAead) {
    this.#chaining = chaining
    this.#key = key
    this.#aead = aead
  }

  /** Seals `plaintext` into `out` from `at`: `plaintext.length + 16` bytes. */
  sealInto(plaintext: Uint8Array, out: Uint8Array, at: number): void {
    this.#aead.seal({ key: this.#key, nonce: this.#nonce }, plaintext, out, at)
    this.#advance()
  }

  /** Opens the next sealed string. Undefined if it is not authentic, after which the session is over. */
  open(sealed: Uint8Array): Uint8Array | undefined {
    const plaintext = this.#aead.open({ key: this.#key, nonce: this.#nonce }, sealed)
    if (plaintext !== undefined) this.#advance()
    return plaintext
  }

  #advance(): void {
    this.#count++
    if (this.#count === ROTATE_AFTER) {
      ;[this.#chaining, this.#key] = derive(this.#chaining, this.#key)
      this.#count = 0
    }
    this.#nonce[4] = this.#count & 0xff
    this.#nonce[5] = this.#count >> 8
  }
}

/** What a message's length takes on the wire: two bytes and a tag. */
export const SEALED_LENGTH_BYTES = 2 + TAG_BYTES

const lengthBytes = new Uint8Array(2)

/** Seals a message with its length into `out` from `at`; returns where it ends: `length + 34` bytes further. */
export function sealMessage(cipher: CipherState, message: Uint8Array, out: Uint8Array, at: number): number {
  lengthBytes[0] = message.length >> 8
  lengthBytes[1] = message.length & 0xff
  cipher.sealInto(lengthBytes, out, at)
  cipher.sealInto(message, out, at + SEALED_LENGTH_BYTES)
  return at + SEALED_LENGTH_BYTES + message.length + TAG_BYTES
}

/** The length that follows from the 18 bytes in front of a message, or undefined if they are not authentic. */
export function openLength(cipher: CipherState, sealed: Uint8Array): number | undefined {
  const plain = cipher.open(sealed)
  return plain === undefined ? undefined : ((plain[0] ?? 0) << 8) | (plain[1] ?? 0)
}
