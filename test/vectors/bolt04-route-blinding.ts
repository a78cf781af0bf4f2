// BOLT 4: a blinded route of two parts made by two nodes, and what each node on it makes of it.
import { expect } from 'chai'
import { blindRoute, unblind } from '../../backend/bitcoin/onion/blinding.js'
import { deriveKey, sharedSecretWith } from '../../backend/bitcoin/onion/keys.js'
import { decodeRecipientData, encodeRecipientData } from '../../backend/bitcoin/onion/recipient-data.js'
import { secp256k1 } from '../../wallet/secp256k1.js'
import { type RecordedData, recipientDataOf } from './blinding.js'
import { bytes, type Case, digits, load } from './cases.js'

interface Hop {
  readonly session_key?: string
  readonly alias: string
  readonly node_id: string
  readonly tlvs: RecordedData
  readonly encoded_tlvs: string
  readonly path_privkey: string
  readonly path_key: string
  readonly shared_secret: string
  readonly rho: string
  readonly encrypted_data: string
  readonly blinded_node_id: string
}

interface File {
  readonly generate: { readonly hops: readonly Hop[] }
  readonly route: {
    readonly first_node_id: string
    readonly first_path_key: string
    readonly hops: readonly { readonly blinded_node_id: string; readonly encrypted_data: string }[]
  }
  readonly unblind: {
    readonly hops: readonly {
      readonly alias: string
      readonly node_privkey: string
      readonly path_key: string
      readonly blinded_privkey: string
      readonly decrypted_data: string
      readonly next_path_key: string
      readonly next_path_key_override?: string
    }[]
  }
}

/** The data of each node, the secrets, both parts of the route, and each node's view. */
export function cases(): readonly Case[] {
  const { generate, route, unblind: unblinded } = load<File>('bolt04-route-blinding')
  return [
    ...generate.hops.map(({ alias, tlvs, encoded_tlvs }) => ({
      name: `data for ${alias} -> the recorded stream, and back`,
      run: () => {
        const data = recipientDataOf(tlvs)
        expect(digits(encodeRecipientData(data))).to.equal(encoded_tlvs)
        expect(decodeRecipientData(bytes(encoded_tlvs))).to.deep.equal(data)
      },
    })),
    ...generate.hops.map((hop) => ({
      name: `creator's secrets for ${hop.alias} -> path key, shared secret, rho`,
      run: () => {
        const shared = secp256k1.ecdh(bytes(hop.node_id), bytes(hop.path_privkey))
        expect({
          path_key: digits(secp256k1.publicKey(bytes(hop.path_privkey))),
          shared_secret: digits(shared),
          rho: digits(deriveKey('rho', shared)),
        }).to.deep.equal({ path_key: hop.path_key, shared_secret: hop.shared_secret, rho: hop.rho })
      },
    })),
    {
      name: 'both parts, each made from its session key -> the recorded route',
      run: () => {
        const hops = partsOf(generate.hops).flatMap(({ secret, part }) => {
          const made = blindRoute(
            secret,
            part.map(({ node_id, encoded_tlvs }) => ({ nodeID: bytes(node_id), data: bytes(encoded_tlvs) })),
          )
          expect(digits(made.firstPathKey)).to.equal(part[0]?.path_key)
          return made.hops
        })
        expect(
          hops.map(({ blindedNodeID, encryptedRecipientData }) => ({
            blinded_node_id: digits(blindedNodeID),
            encrypted_data: digits(encryptedRecipientData),
          })),
        ).to.deep.equal(route.hops)
        expect(route.first_path_key).to.equal(generate.hops[0]?.path_key)
        expect(route.first_node_id).to.equal(generate.hops[0]?.node_id)
      },
    },
    ...unblinded.hops.map((hop, i) => ({
      name: `unblinded by ${hop.alias} -> its secret, data and next path key`,
      run: () => {
        const key = bytes(hop.node_privkey)
        const found = unblind(bytes(hop.path_key), sharedSecretWith(key))
        if (found === undefined) throw new Error('no path key')
        expect(digits(secp256k1.multiplySecret(key, found.nodeTweak))).to.equal(hop.blinded_privkey)
        const data = found.decrypt(bytes(route.hops[i]?.encrypted_data ?? ''))
        expect(data && digits(data)).to.equal(hop.decrypted_data)
        expect(digits(found.nextPathKey)).to.equal(hop.next_path_key)
        const override = data && decodeRecipientData(data).nextPathKeyOverride
        expect(override && digits(override)).to.equal(hop.next_path_key_override)
      },
    })),
  ]
}

/** A hop with a session key begins a part. */
function partsOf(
  hops: readonly Hop[],
): readonly { readonly secret: Uint8Array; readonly part: readonly Hop[] }[] {
  const starts = hops.flatMap(({ session_key }, i) => (session_key === undefined ? [] : [i]))
  return starts.map((start, i) => ({
    secret: bytes(hops[start]?.session_key ?? ''),
    part: hops.slice(start, starts[i + 1]),
  }))
}
