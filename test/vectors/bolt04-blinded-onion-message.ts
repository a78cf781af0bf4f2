// BOLT 4: an onion message through a node of the sender's choice and then along the recipient's blinded path.
import { expect } from 'chai'
import { blindRoute } from '../../backend/bitcoin/onion/blinding.js'
import { deriveKey, sharedSecretWith } from '../../backend/bitcoin/onion/keys.js'
import {
  createOnionMessage,
  joinRoutes,
  type OnionMessagePacket,
  peelOnionMessage,
} from '../../backend/bitcoin/onion/message.js'
import { decodeRecipientData, encodeRecipientData } from '../../backend/bitcoin/onion/recipient-data.js'
import { lightningMessages } from '../../backend/bitcoin/wire/messages.js'
import { secp256k1 } from '../../wallet/secp256k1.js'
import { type RecordedData, recipientDataOf } from './blinding.js'
import { bytes, type Case, digits, load } from './cases.js'

interface Hop {
  readonly alias: string
  readonly path_key_secret: string
  readonly tlvs: RecordedData & { readonly path_key_override_secret?: string }
  readonly encrypted_data_tlv: string
  readonly ss: string
  readonly hmac_blinded_node_id: string
  readonly blinded_node_id: string
  readonly E: string
  readonly rho: string
  readonly encrypted_recipient_data: string
}

interface File {
  readonly generate: { readonly session_key: string; readonly hops: readonly Hop[] }
  readonly route: {
    readonly first_node_id: string
    readonly first_path_key: string
    readonly hops: readonly { readonly blinded_node_id: string; readonly encrypted_recipient_data: string }[]
  }
  readonly onionmessage: { readonly unknown_tag_1: string; readonly onion_message_packet: string }
  readonly decrypt: {
    readonly hops: readonly {
      readonly alias: string
      readonly privkey: string
      readonly onion_message: string
      readonly next_node_id?: string
    }[]
  }
}

/** Each node's data and secrets, the route, the message, and what each node makes of it. */
export function cases(): readonly Case[] {
  const { generate, route, onionmessage, decrypt } = load<File>('bolt04-blinded-onion-message')
  const nodes = decrypt.hops.map(({ privkey }) => secp256k1.publicKey(bytes(privkey)))
  // Alice is the sender's own part; the path of Bob, Carol and Dave was made with the secret that overrides.
  const own = () =>
    blindRoute(bytes(generate.hops[0]?.path_key_secret ?? ''), blindable(generate.hops.slice(0, 1), nodes))
  const given = () =>
    blindRoute(
      bytes(generate.hops[1]?.path_key_secret ?? ''),
      blindable(generate.hops.slice(1), nodes.slice(1)),
    )
  return [
    ...generate.hops.map(({ alias, tlvs, encrypted_data_tlv }) => ({
      name: `data for ${alias} -> the recorded stream, and back`,
      run: () => {
        const { path_key_override_secret, ...recorded } = tlvs
        const data = recipientDataOf(recorded)
        expect(digits(encodeRecipientData(data))).to.equal(encrypted_data_tlv)
        expect(decodeRecipientData(bytes(encrypted_data_tlv))).to.deep.equal(data)
        if (path_key_override_secret === undefined) return
        expect(digits(secp256k1.publicKey(bytes(path_key_override_secret)))).to.equal(
          tlvs.next_path_key_override,
        )
      },
    })),
    ...generate.hops.map((hop, i) => ({
      name: `creator's secrets for ${hop.alias} -> path key, shared secret and keys`,
      run: () => {
        const shared = secp256k1.ecdh(nodes[i] ?? new Uint8Array(33), bytes(hop.path_key_secret))
        expect({
          E: digits(secp256k1.publicKey(bytes(hop.path_key_secret))),
          ss: digits(shared),
          hmac: digits(deriveKey('blinded_node_id', shared)),
          rho: digits(deriveKey('rho', shared)),
        }).to.deep.equal({ E: hop.E, ss: hop.ss, hmac: hop.hmac_blinded_node_id, rho: hop.rho })
      },
    })),
    {
      name: 'both parts joined -> the recorded route',
      run: () => {
        const joined = joinRoutes(own(), given())
        expect(digits(joined.firstPathKey)).to.equal(route.first_path_key)
        expect(nodes[0] && digits(nodes[0])).to.equal(route.first_node_id)
        expect(
          joined.hops.map(({ blindedNodeID, encryptedRecipientData }) => ({
            blinded_node_id: digits(blindedNodeID),
            encrypted_recipient_data: digits(encryptedRecipientData),
          })),
        ).to.deep.equal(route.hops)
      },
    },
    {
      name: 'built with the session key -> the recorded packet',
      run: () => {
        const made = createOnionMessage({
          sessionKey: bytes(generate.session_key),
          route: joinRoutes(own(), given()),
          content: { unknown: [{ type: 1n, value: bytes(onionmessage.unknown_tag_1) }] },
        })
        expect(digits(made.packet)).to.equal(onionmessage.onion_message_packet)
        expect(digits(made.pathKey)).to.equal(route.first_path_key)
      },
    },
    ...decrypt.hops.map(({ alias, privkey, onion_message, next_node_id }, i) => ({
      name: `peeled by ${alias} -> ${next_node_id === undefined ? 'what it was sent' : 'the message for the next'}`,
      run: () => {
        const message = lightningMessages.decode(bytes(onion_message))
        if (message.kind !== 'onion_message') throw new Error(message.kind)
        const received = { pathKey: message.pathKey, packet: message.onionMessagePacket }
        const peeled = peelOnionMessage(received, sharedSecretWith(bytes(privkey)))
        if (peeled.kind === 'ignored') throw new Error(peeled.reason)
        if (peeled.kind === 'forward') {
          expect(peeled.to).to.deep.equal({ kind: 'node', nodeID: `0x${next_node_id}` })
          expect(digits(encoded(peeled.message))).to.equal(decrypt.hops[i + 1]?.onion_message)
        } else {
          expect(peeled).to.deep.equal({
            kind: 'received',
            pathID: bytes(generate.hops[i]?.tlvs.path_id ?? ''),
            content: { unknown: [{ type: 1n, value: bytes(onionmessage.unknown_tag_1) }] },
          })
        }
      },
    })),
  ]
}

function blindable(hops: readonly Hop[], nodes: readonly Uint8Array[]) {
  return hops.map(({ encrypted_data_tlv }, i) => ({
    nodeID: nodes[i] ?? new Uint8Array(33),
    data: bytes(encrypted_data_tlv),
  }))
}

function encoded({ pathKey, packet }: OnionMessagePacket): Uint8Array {
  return lightningMessages.encode({ kind: 'onion_message', pathKey, onionMessagePacket: packet })
}
