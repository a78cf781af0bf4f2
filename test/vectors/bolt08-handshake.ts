// BOLT 8, Appendix A: handshakes of either side, and messages across two key rotations.
import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { utf8ToBytes } from '@noble/hashes/utils.js'
import { expect } from 'chai'
import { concat, toHex } from '../../channel/bytes.js'
import { type Aead, nobleAead, nodeAead, sodiumAead } from '../../peer/aead.js'
import { createIdentity } from '../../peer/identity.js'
import {
  CipherState,
  type Handshake,
  type HandshakeStep,
  initiate,
  openLength,
  respond,
  sealMessage,
  step,
} from '../../peer/noise.js'
import { secp256k1 } from '../../wallet/secp256k1.js'
import { bytes, type Case, digits, load } from './cases.js'

interface ActState {
  readonly h: readonly string[]
  readonly ss: string
  readonly ck: string
  readonly temp_k: string
}

interface Run {
  readonly name: string
  readonly ls_priv: string
  readonly ls_pub: string
  readonly e_priv: string
  readonly e_pub: string
  readonly rs_pub?: string
  readonly steps: readonly { readonly act: number; readonly output?: string; readonly input?: string }[]
  readonly sk?: string
  readonly rk?: string
  readonly states?: Readonly<Record<string, ActState>>
  readonly error?: string
}

interface Messages {
  readonly plaintext: string
  readonly ck: string
  readonly sk: string
  readonly rk: string
  readonly total: number
  readonly outputs: readonly { readonly index: number; readonly ciphertext: string }[]
  readonly rotations: readonly {
    readonly after_message: number
    readonly ck: string
    readonly key: string
    readonly new_ck: string
    readonly new_key: string
  }[]
}

interface File {
  readonly protocol_name: string
  readonly prologue: string
  readonly initiator: readonly Run[]
  readonly responder: readonly Run[]
  readonly messages: Messages
}

/** Who the initiator of every recorded handshake is. */
const INITIATOR = createIdentity(bytes('11'.repeat(32))).id

/** Node.js has all of them, if the optional one is installed; elsewhere there is one. */
const ciphers = [sodiumAead, nodeAead, nobleAead].filter((cipher) => cipher !== undefined)

/** Runs of both sides, then the checked messages by each cipher. */
export function cases(): readonly Case[] {
  const file = load<File>('bolt08-handshake')
  const runs = (['initiator', 'responder'] as const).flatMap((side) =>
    file[side].map((run) => ({
      name: `${side}: ${run.name} -> ${run.error ?? 'the recorded acts, states and keys'}`,
      run: () => check(run),
    })),
  )
  const inner = (['initiator', 'responder'] as const).flatMap((side) =>
    file[side].flatMap((run) =>
      run.states === undefined
        ? []
        : [{ name: `${side}: ${run.name}: what is mixed within the acts`, run: () => checkInner(file, run) }],
    ),
  )
  const rotation = { name: 'messages: keys of the handshake, rotated', run: () => checkRotations(file) }
  return [...runs, ...inner, rotation, ...ciphers.flatMap((aead) => messageCases(file.messages, aead))]
}

/** Plays one side of a recorded handshake and compares each act that it says. */
function check(run: Run): void {
  const identity = createIdentity(bytes(run.ls_priv))
  expect(identity.id).to.equal(`0x${run.ls_pub}`)
  expect(digits(secp256k1.publicKey(bytes(run.e_priv)))).to.equal(run.e_pub)
  const steps = [...run.steps]
  const seen: string[] = []
  let handshake: Handshake
  if (run.rs_pub === undefined) handshake = respond(identity, bytes(run.e_priv))
  else {
    const begun = initiate(`0x${run.rs_pub}`, bytes(run.e_priv))
    expect(digits(begun.send)).to.equal(steps.shift()?.output)
    handshake = begun.next
    seen.push(stateOf(handshake))
  }
  let last: HandshakeStep | undefined
  for (const { input, output } of steps) {
    if (input !== undefined) {
      last = step(handshake, identity, bytes(input))
      if (last.kind === 'reply') {
        handshake = last.next
        seen.push(stateOf(handshake))
      }
    } else if (last !== undefined && last.kind !== 'failed' && output !== undefined) {
      expect(last.send && digits(last.send)).to.equal(output)
    }
  }
  if (run.error !== undefined) {
    expect(last).to.deep.equal({ kind: 'failed', reason: run.error })
    return
  }
  if (last?.kind !== 'done') throw new Error('not finished')
  const { keys } = last
  expect([digits(keys.send), digits(keys.receive)]).to.deep.equal([run.sk, run.rk])
  if (run.states === undefined) return
  // What is mixed within an act does not show: compared is each state that waits for an act, and the last key.
  const states = Object.values(run.states).map(({ h, ck }) => `${h.at(-1)} ${ck}`)
  expect(seen).to.have.length(1)
  expect(states).to.include.members(seen)
  expect(digits(keys.chaining)).to.equal(Object.values(run.states).at(-1)?.ck)
  expect(keys.remote).to.equal(run.rs_pub === undefined ? INITIATOR : `0x${run.rs_pub}`)
}

/** Act by act from the primitives: what the handshake itself does not show. */
function checkInner({ protocol_name, prologue }: File, run: Run): void {
  const [own, ephemeral] = [bytes(run.ls_priv), bytes(run.e_priv)]
  const [one, two, three] = run.steps.map(({ input, output }) => bytes(input ?? output ?? ''))
  if (one === undefined || two === undefined || three === undefined) throw new Error('three acts expected')
  const initiates = run.rs_pub !== undefined
  const theirs = (initiates ? two : one).subarray(1, 34)
  const shared = initiates
    ? [
        secp256k1.ecdh(bytes(run.rs_pub ?? ''), ephemeral),
        secp256k1.ecdh(theirs, ephemeral),
        secp256k1.ecdh(theirs, own),
      ]
    : [
        secp256k1.ecdh(theirs, own),
        secp256k1.ecdh(theirs, ephemeral),
        secp256k1.ecdh(bytes(INITIATOR.slice(2)), ephemeral),
      ]
  let ck = sha256(utf8ToBytes(protocol_name))
  let h = ck
  const mix = (data: Uint8Array) => {
    h = sha256(concat(h, data))
    return digits(h)
  }
  mix(utf8ToBytes(prologue))
  mix(bytes(run.rs_pub ?? run.ls_pub))
  const parts = [
    [one.subarray(1, 34), one.subarray(34)],
    [two.subarray(1, 34), two.subarray(34)],
    [three.subarray(1, 50)],
  ]
  const seen = parts.map((said, i): ActState => {
    const ss = shared[i] ?? new Uint8Array()
    const keys = hkdf(sha256, ss, ck, new Uint8Array(), 64)
    ck = keys.slice(0, 32)
    return { h: said.map(mix), ss: digits(ss), ck: digits(ck), temp_k: digits(keys.slice(32)) }
  })
  expect(seen).to.deep.equal(Object.values(run.states ?? {}))
}

/** The messages go on where the handshake ended, and each new key follows from the one before. */
function checkRotations({ messages, initiator }: File): void {
  const done = initiator.find(({ states }) => states !== undefined)
  expect([messages.ck, messages.sk, messages.rk]).to.deep.equal([
    Object.values(done?.states ?? {}).at(-1)?.ck,
    done?.sk,
    done?.rk,
  ])
  let [ck, key] = [messages.ck, messages.sk]
  for (const rotation of messages.rotations) {
    expect([rotation.ck, rotation.key]).to.deep.equal([ck, key])
    const next = digits(hkdf(sha256, bytes(key), bytes(ck), new Uint8Array(), 64))
    ;[ck, key] = [next.slice(0, 64), next.slice(64)]
    expect([rotation.new_ck, rotation.new_key]).to.deep.equal([ck, key])
  }
}

function stateOf({ transcript }: Handshake): string {
  return `${toHex(transcript.h).slice(2)} ${toHex(transcript.ck).slice(2)}`
}

function messageCases(recorded: Messages, aead: Aead): readonly Case[] {
  // All in one run, for the keys depend on every message before; each case looks at its own.
  let sealed: readonly string[] | undefined
  const all = () => {
    sealed ??= exchange(recorded, aead)
    return sealed
  }
  return [
    ...recorded.outputs.map(({ index, ciphertext }) => ({
      name: `message ${index} by ${aead.name} -> the recorded bytes, opened by the other side`,
      run: () => {
        expect(all()[index]).to.equal(ciphertext)
      },
    })),
    ...recorded.rotations.map(({ after_message, new_ck, new_key }) => ({
      name: `after message ${after_message} by ${aead.name} -> the next one is sealed with the recorded new key`,
      run: () => {
        const [next] = exchange({ ...recorded, ck: new_ck, sk: new_key, total: 1 }, aead)
        expect(next).to.be.a('string')
        expect(all()[after_message]).to.equal(next)
      },
    })),
  ]
}

function exchange({ plaintext, ck, sk, total }: Messages, aead: Aead): readonly string[] {
  const sender = new CipherState(bytes(ck), bytes(sk), aead)
  const receiver = new CipherState(bytes(ck), bytes(sk), aead)
  const message = bytes(plaintext)
  return Array.from({ length: total }, () => {
    const out = new Uint8Array(message.length + 34)
    expect(sealMessage(sender, message, out, 0)).to.equal(out.length)
    expect(openLength(receiver, out.subarray(0, 18))).to.equal(message.length)
    const body = receiver.open(out.subarray(18))
    expect(body && digits(body)).to.equal(plaintext)
    return digits(out)
  })
}
