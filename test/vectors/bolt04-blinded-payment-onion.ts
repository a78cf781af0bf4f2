// BOLT 4: an onion over one plain hop and a blinded route of four nodes.
import { expect } from 'chai'
import { resolveBlinded } from '../../backend/bitcoin/onion/blinded-payment.js'
import { blindRoute, unblind } from '../../backend/bitcoin/onion/blinding.js'
import { sharedSecretWith } from '../../backend/bitcoin/onion/keys.js'
import { encodePayload, readInstruction } from '../../backend/bitcoin/onion/payload.js'
import {
  aggregateRelays,
  encodeRecipientData,
  type PaymentRelay,
} from '../../backend/bitcoin/onion/recipient-data.js'
import { buildOnion, peelOnion } from '../../backend/bitcoin/onion/sphinx.js'
import { blockDelta, blockHeight, msat } from '../../backend/bitcoin/units.js'
import { parseShortChannelID } from '../../backend/bitcoin/wire/short-channel-id.js'
import { secp256k1 } from '../../wallet/secp256k1.js'
import { type RecordedData, recipientDataOf } from './blinding.js'
import { bytes, type Case, digits, load } from './cases.js'

interface FullHop {
  readonly alias: string
  readonly pubkey: string
  readonly payload: string
  readonly tlvs: {
    readonly outgoing_channel_id?: string
    readonly amt_to_forward?: number
    readonly total_amount_msat?: number
    readonly outgoing_cltv_value?: number
    readonly current_path_key?: string
    readonly encrypted_recipient_data?: RecordedData
  }
}

interface File {
  readonly generate: {
    readonly session_key: string
    readonly associated_data: string
    readonly final_amount_msat: number
    readonly final_cltv: number
    readonly blinded_payinfo: {
      readonly fee_base_msat: number
      readonly fee_proportional_millionths: number
      readonly cltv_expiry_delta: number
    }
    readonly blinded_route: {
      readonly first_path_key: string
      readonly hops: readonly {
        readonly alias: string
        readonly blinded_node_id: string
        readonly encrypted_data: string
      }[]
    }
    readonly full_route: { readonly hops: readonly FullHop[] }
    readonly onion: string
  }
  readonly decrypt: {
    readonly hops: readonly {
      readonly alias: string
      readonly onion: string
      readonly node_privkey: string
      readonly next_path_key?: string
    }[]
  }
}

/** Fees as one, every payload, the onion, and what each node makes of it. */
export function cases(): readonly Case[] {
  const { generate, decrypt } = load<File>('bolt04-blinded-payment-onion')
  const { blinded_payinfo, blinded_route, full_route } = generate
  const associatedData = bytes(generate.associated_data)
  return [
    {
      name: "the nodes' fees and deltas as one -> the recorded payinfo",
      run: () => {
        const relays = full_route.hops.flatMap(({ tlvs }): readonly PaymentRelay[] => {
          const data = tlvs.encrypted_recipient_data
          const relay = data && recipientDataOf(data).paymentRelay
          return relay ? [relay] : []
        })
        const { feeBaseMsat, feeProportionalMillionths, cltvExpiryDelta } = aggregateRelays(
          relays,
          blockDelta(0),
        )
        expect({
          fee_base_msat: Number(feeBaseMsat),
          fee_proportional_millionths: feeProportionalMillionths,
          cltv_expiry_delta: Number(cltvExpiryDelta),
        }).to.deep.equal(blinded_payinfo)
      },
    },
    {
      name: 'data of each node, in two parts -> the recorded blinded route',
      run: () => {
        const nodes = decrypt.hops.slice(1).map(({ node_privkey }, i) => ({
          nodeID: secp256k1.publicKey(bytes(node_privkey)),
          data: encodeRecipientData(
            recipientDataOf(full_route.hops[i + 1]?.tlvs.encrypted_recipient_data ?? {}),
          ),
        }))
        // The secrets are those of bolt04-route-blinding.json; Carol is told the path key of the second part.
        const [first, second] = [bytes('02'.repeat(32)), bytes('01'.repeat(32))]
        const parts = [blindRoute(first, nodes.slice(0, 2)), blindRoute(second, nodes.slice(2))]
        expect(parts[0] && digits(parts[0].firstPathKey)).to.equal(blinded_route.first_path_key)
        expect(
          parts.flatMap(({ hops }) =>
            hops.map(({ blindedNodeID, encryptedRecipientData }) => [
              digits(blindedNodeID),
              digits(encryptedRecipientData),
            ]),
          ),
        ).to.deep.equal(blinded_route.hops.map((hop) => [hop.blinded_node_id, hop.encrypted_data]))
      },
    },
    ...full_route.hops.map((hop, i) => ({
      name: `payload for ${hop.alias} -> the recorded bytes`,
      run: () => {
        const encoded = payloadOf(hop, blinded_route.hops[i - 1]?.encrypted_data)
        expect(digits(Uint8Array.of(encoded.length, ...encoded))).to.equal(hop.payload)
      },
    })),
    {
      name: 'built with the session key -> the recorded onion',
      run: () => {
        const hops = full_route.hops.map(({ pubkey, payload }) => ({
          publicKey: bytes(pubkey),
          payload: bytes(payload).subarray(1),
        }))
        const { packet } = buildOnion({ sessionKey: bytes(generate.session_key), hops, associatedData })
        expect(digits(packet)).to.equal(generate.onion)
      },
    },
    ...decrypt.hops.map(({ alias, onion }, i) => ({
      name: `peeled by ${alias} -> its instruction, and what the next one is to get`,
      run: () => {
        let htlc = { amountMsat: msat(110_125n), cltvExpiry: blockHeight(749_150) }
        let packet = bytes(generate.onion)
        let pathKey: Uint8Array | undefined
        for (const [at, node] of decrypt.hops.slice(0, i + 1).entries()) {
          expect(digits(packet)).to.equal(node.onion)
          const sharedSecret = sharedSecretWith(bytes(node.node_privkey))
          const tweak = pathKey && unblind(pathKey, sharedSecret)?.nodeTweak
          const peeled = peelOnion({
            packet,
            sharedSecret,
            associatedData,
            ...(tweak && { nodeTweak: tweak }),
          })
          if (peeled.kind !== 'forward' && peeled.kind !== 'final') throw new Error(peeled.kind)
          const final = peeled.kind === 'final'
          const told = readInstruction(peeled.payload, { final, ...(pathKey && { pathKey }) })
          if (told.kind === 'invalid' || told.kind === 'receive') throw new Error(told.kind)
          if (told.kind === 'forward') {
            expect([told.shortChannelID, told.amtToForward, told.outgoingCltvValue]).to.deep.equal([
              parseShortChannelID(full_route.hops[at]?.tlvs.outgoing_channel_id ?? ''),
              htlc.amountMsat,
              htlc.cltvExpiry,
            ])
          } else {
            expect(told.introduction).to.equal(node.alias === 'Bob')
            const resolved = resolveBlinded(told, htlc, sharedSecret)
            if (resolved.kind === 'refused') throw new Error(resolved.reason)
            const recorded = full_route.hops[at]?.tlvs.encrypted_recipient_data
            if (resolved.kind === 'forward') {
              expect(digits(resolved.pathKey)).to.equal(node.next_path_key)
              expect(resolved.to).to.deep.equal({
                kind: 'channel',
                shortChannelID: parseShortChannelID(recorded?.short_channel_id ?? ''),
              })
              pathKey = resolved.pathKey
              htlc = { amountMsat: resolved.amtToForward, cltvExpiry: resolved.outgoingCltvValue }
            } else {
              expect(resolved).to.deep.equal({
                kind: 'receive',
                amtToForward: msat(BigInt(generate.final_amount_msat)),
                outgoingCltvValue: blockHeight(generate.final_cltv),
                totalMsat: msat(150_000n),
                pathID: bytes(recorded?.path_id ?? ''),
              })
              expect(htlc.amountMsat).to.equal(resolved.amtToForward)
              expect(htlc.cltvExpiry).to.equal(resolved.outgoingCltvValue)
            }
          }
          if (peeled.kind === 'forward') packet = peeled.next()
        }
        expect(onion).to.have.length(2 * 1366)
      },
    })),
  ]
}

function payloadOf({ tlvs }: FullHop, encrypted: string | undefined): Uint8Array {
  const { outgoing_channel_id, amt_to_forward, outgoing_cltv_value, total_amount_msat } = tlvs
  return encodePayload({
    ...(amt_to_forward !== undefined && { amtToForward: msat(BigInt(amt_to_forward)) }),
    ...(outgoing_cltv_value !== undefined && { outgoingCltvValue: blockHeight(outgoing_cltv_value) }),
    ...(outgoing_channel_id !== undefined && { shortChannelID: parseShortChannelID(outgoing_channel_id) }),
    ...(encrypted !== undefined && { encryptedRecipientData: bytes(encrypted) }),
    ...(tlvs.current_path_key !== undefined && { currentPathKey: bytes(tlvs.current_path_key) }),
    ...(total_amount_msat !== undefined && { totalAmountMsat: msat(BigInt(total_amount_msat)) }),
  })
}
