// BOLT 4: an onion of five hops, built, and peeled at each of them.
import { expect } from 'chai'
import { sharedSecretWith } from '../../backend/bitcoin/onion/keys.js'
import { buildOnion, hopBytes, peelOnion } from '../../backend/bitcoin/onion/sphinx.js'
import { bytes, type Case, digits, load } from './cases.js'

interface File {
  readonly generate: {
    readonly session_key: string
    readonly associated_data: string
    readonly hops: readonly { readonly pubkey: string; readonly payload: string }[]
  }
  readonly onion: string
  readonly decode: readonly string[]
}

/** The recorded payloads have their length in front. */
function withoutLength(payload: string): Uint8Array {
  const all = bytes(payload)
  const length = all[0] === 0xfd ? (all[1] ?? 0) * 256 + (all[2] ?? 0) : (all[0] ?? 0)
  const rest = all.subarray(all[0] === 0xfd ? 3 : 1)
  expect(rest.length).to.equal(length)
  expect(hopBytes(rest)).to.equal(all.length + 32)
  return rest
}

/** Built once, peeled by every hop in turn. */
export function cases(): readonly Case[] {
  const { generate, onion, decode } = load<File>('bolt04-onion')
  const associatedData = bytes(generate.associated_data)
  return [
    {
      name: 'built with the session key -> the recorded packet',
      run: () => {
        const hops = generate.hops.map(({ pubkey, payload }) => ({
          publicKey: bytes(pubkey),
          payload: withoutLength(payload),
        }))
        const built = buildOnion({ sessionKey: bytes(generate.session_key), hops, associatedData })
        expect(digits(built.packet)).to.equal(onion)
      },
    },
    ...decode.map((_, i) => ({
      name: `peeled by hop ${i} -> its payload, and a packet for the next`,
      run: () => {
        let packet = bytes(onion)
        for (const [hop, secret] of decode.slice(0, i + 1).entries()) {
          const peeled = peelOnion({ packet, sharedSecret: sharedSecretWith(bytes(secret)), associatedData })
          if (peeled.kind !== 'forward' && peeled.kind !== 'final') throw new Error(peeled.kind)
          const payload = generate.hops[hop]?.payload
          expect(payload && digits(withoutLength(payload))).to.equal(digits(peeled.payload))
          expect(peeled.kind).to.equal(hop === decode.length - 1 ? 'final' : 'forward')
          if (peeled.kind === 'forward') packet = peeled.next()
        }
      },
    })),
  ]
}
