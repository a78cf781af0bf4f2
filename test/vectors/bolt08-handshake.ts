// BOLT 8, Appendix A: handshakes of either side, and messages across two key rotations.
import { expect } from 'chai'
import { toHex } from '../../channel/bytes.js'
import { type Aead, nobleAead, nodeAead } from '../../peer/aead.js'
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
import { bytes, type Case, digits, load } from './cases.js'

interface Run {
  readonly name: string
  readonly ls_priv: string
  readonly e_priv: string
  readonly rs_pub?: string
  readonly steps: readonly { readonly act: number; readonly output?: string; readonly input?: string }[]
  readonly sk?: string
  readonly rk?: string
  readonly states?: Readonly<Record<string, { readonly h: readonly string[]; readonly ck: string }>>
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
    readonly new_ck: string
    readonly new_key: string
  }[]
}

interface File {
  readonly initiator: readonly Run[]
  readonly responder: readonly Run[]
  readonly messages: Messages
}

/** Who the initiator of every recorded handshake is. */
const INITIATOR = createIdentity(bytes('11'.repeat(32))).id

/** Node.js has both; elsewhere there is one. */
const ciphers: readonly Aead[] = nodeAead === undefined ? [nobleAead] : [nodeAead, nobleAead]

/** Runs of both sides, then the checked messages by each cipher. */
export function cases(): readonly Case[] {
  const file = load<File>('bolt08-handshake')
  const runs = (['initiator', 'responder'] as const).flatMap((side) =>
    file[side].map((run) => ({
      name: `${side}: ${run.name} -> ${run.error ?? 'the recorded acts, states and keys'}`,
      run: () => check(run),
    })),
  )
  return [...runs, ...ciphers.flatMap((aead) => messageCases(file.messages, aead))]
}

/** Plays one side of a recorded handshake and compares each act that it says. */
function check(run: Run): void {
  const identity = createIdentity(bytes(run.ls_priv))
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
