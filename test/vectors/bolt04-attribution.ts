// BOLT 4: attribution data of a failure and of a fulfilment across five hops.
import { expect } from 'chai'
import { attribute, readFulfilAttribution } from '../../backend/bitcoin/onion/attribution.js'
import { createFailure, openFailure, wrapFailure } from '../../backend/bitcoin/onion/failure-packet.js'
import { decodeFailure, encodeFailure, failureCode } from '../../backend/bitcoin/onion/failures.js'
import { deriveKey, mac } from '../../backend/bitcoin/onion/keys.js'
import { routeSecrets } from '../../backend/bitcoin/onion/sphinx.js'
import { blockHeight, msat } from '../../backend/bitcoin/units.js'
import { encodeStream, stream } from '../../peer/wire/tlv.js'
import { bytes, type Case, digits, load } from './cases.js'

interface Hop {
  readonly pubkey: string
  readonly hold_time: number
  readonly shared_secret: string
  readonly um_key: string
  readonly ammag_key: string
  readonly ammagext_key: string
}

interface File {
  readonly session_key: string
  readonly hops: readonly Hop[]
  readonly failure: {
    readonly source_node: number
    readonly failure_code: number
    readonly htlc_msat: number
    readonly height: number
    readonly tlv: { readonly type: number; readonly value: string }
    readonly failure_message: string
    readonly payload: string
    readonly raw_error_packet: string
    readonly backward: readonly {
      readonly node: number
      readonly error_packet: string
      readonly attribution_data: string
    }[]
  }
  readonly fulfil: {
    readonly backward: readonly { readonly node: number; readonly attribution_data: string }[]
  }
}

/** Keys, then every node's packet on the way back, then what the origin reads; the same for a fulfilment. */
export function cases(): readonly Case[] {
  const { session_key, hops, failure, fulfil } = load<File>('bolt04-attribution')
  const secrets = hops.map(({ shared_secret }) => bytes(shared_secret))
  const secretOf = (node: number) => secrets[node] ?? new Uint8Array(32)
  const timeOf = (node: number) => hops[node]?.hold_time ?? 0
  const holdTimes = hops.map(({ hold_time }) => hold_time)
  const message = bytes(failure.failure_message)
  return [
    {
      name: 'session key and nodes -> the shared secrets and the keys of each',
      run: () => {
        const derived = routeSecrets(
          bytes(session_key),
          hops.map(({ pubkey }) => bytes(pubkey)),
        )
        expect(
          derived.map((secret) => [
            digits(secret),
            ...(['um', 'ammag', 'ammagext'] as const).map((type) => digits(deriveKey(type, secret))),
          ]),
        ).to.deep.equal(hops.map((hop) => [hop.shared_secret, hop.um_key, hop.ammag_key, hop.ammagext_key]))
      },
    },
    {
      name: 'failure message -> what failed, with its record; written the same',
      run: () => {
        const told = {
          kind: 'incorrect_or_unknown_payment_details',
          htlcMsat: msat(BigInt(failure.htlc_msat)),
          height: blockHeight(failure.height),
        } as const
        const { type, value } = failure.tlv
        const unknown = [{ type: BigInt(type), value: bytes(value) }]
        const extra = encodeStream(stream({}), { unknown }, 'extra')
        expect(failureCode(told)).to.equal(failure.failure_code)
        expect(decodeFailure(message)).to.deep.equal({ failure: told, extra })
        expect(encodeFailure(told, extra)).to.deep.equal(message)
      },
    },
    {
      name: 'failure before obfuscation -> HMAC, message and padding',
      run: () => {
        const um = deriveKey('um', secretOf(failure.source_node))
        const payload = bytes(failure.payload)
        expect(digits(mac(um, payload)) + digits(payload)).to.equal(failure.raw_error_packet)
      },
    },
    ...failure.backward.map(({ node, error_packet, attribution_data }, i) => ({
      name: `failure: node ${node} -> the recorded packet and attribution`,
      run: () => {
        const before = failure.backward[i - 1]
        const hop = { sharedSecret: secretOf(node), holdTime: timeOf(node) }
        const made =
          before === undefined
            ? createFailure(hop, message, 1024)
            : wrapFailure(hop, {
                packet: bytes(before.error_packet),
                attribution: bytes(before.attribution_data),
              })
        expect(digits(made.packet)).to.equal(error_packet)
        expect(made.attribution && digits(made.attribution)).to.equal(attribution_data)
      },
    })),
    {
      name: 'failure: origin -> message of node 4, hold times of all',
      run: () => {
        const last = failure.backward.at(-1)
        if (last === undefined) throw new Error('no packets')
        const packet = { packet: bytes(last.error_packet), attribution: bytes(last.attribution_data) }
        expect(openFailure(secrets, packet)).to.deep.equal({
          failure: { hop: failure.source_node, message },
          holdTimes,
        })
      },
    },
    ...fulfil.backward.map(({ node, attribution_data }, i) => ({
      name: `fulfilment: node ${node} -> the recorded attribution`,
      run: () => {
        const before = fulfil.backward[i - 1]
        const own = { sharedSecret: secretOf(node), holdTime: timeOf(node), message: new Uint8Array(0) }
        const made = attribute(
          before === undefined ? own : { ...own, downstream: bytes(before.attribution_data) },
        )
        expect(digits(made)).to.equal(attribution_data)
      },
    })),
    {
      name: 'fulfilment: origin -> hold times of all',
      run: () => {
        const last = fulfil.backward.at(-1)
        expect(readFulfilAttribution(secrets, bytes(last?.attribution_data ?? ''))).to.deep.equal({
          holdTimes,
        })
      },
    },
  ]
}
