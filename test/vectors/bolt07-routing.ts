// BOLT 7: short channel IDs, and fees and expiries of the routing example, at block height 0.
import { expect } from 'chai'
import { type ForwardingPolicy, forwardingFee, routeTerms } from '../../backend/bitcoin/forwarding.js'
import { blockDelta, blockHeight, msat } from '../../backend/bitcoin/units.js'
import { shortID } from '../../backend/bitcoin/wire/fields.js'
import {
  formatShortChannelID,
  joinShortChannelID,
  parseShortChannelID,
  shortChannelID,
  splitShortChannelID,
} from '../../backend/bitcoin/wire/short-channel-id.js'
import { decodeField, encodeField } from '../../peer/wire/tlv.js'
import { bytes, type Case, digits, load } from './cases.js'

interface Node {
  readonly cltv_expiry_delta: number
  readonly fee_base_msat: number
  readonly fee_proportional_millionths: number
}

interface File {
  readonly short_channel_ids: readonly {
    readonly text: string
    readonly block: number
    readonly tx: number
    readonly output: number
    readonly hex: string
    readonly value: string
  }[]
  readonly routing_example: {
    readonly nodes: Readonly<Record<string, Node>>
    readonly edges: readonly (readonly [string, string])[]
    readonly min_final_cltv_expiry_delta: number
    readonly shadow_cltv: number
    readonly final_amount_msat: number
    readonly routes: readonly {
      readonly path: readonly string[]
      readonly fee_msat?: number
      readonly amount_msat: number
      readonly cltv_expiry: number
      readonly final_amt_to_forward: number
      readonly final_outgoing_cltv: number
    }[]
  }
}

/** IDs in all their forms, then the routes of the example. */
export function cases(): readonly Case[] {
  const { short_channel_ids, routing_example: example } = load<File>('bolt07-routing')
  return [
    ...short_channel_ids.map(({ text, block, tx, output, hex, value }) => ({
      name: `short channel ID ${text}`,
      run: () => {
        const id = shortChannelID(BigInt(value))
        expect(parseShortChannelID(text)).to.equal(id)
        expect(joinShortChannelID({ block, transaction: tx, output })).to.equal(id)
        expect(splitShortChannelID(id)).to.deep.equal({ block, transaction: tx, output })
        expect(formatShortChannelID(id)).to.equal(text)
        expect(digits(encodeField(shortID, id, 'id'))).to.equal(hex)
        expect(decodeField(shortID, bytes(hex), 'id')).to.equal(id)
      },
    })),
    ...example.routes.map((route) => ({
      name: `route ${route.path.join(' to ')}`,
      run: () => {
        const last = {
          amountMsat: msat(BigInt(example.final_amount_msat)),
          cltvExpiry: blockHeight(example.min_final_cltv_expiry_delta + example.shadow_cltv),
        }
        const policies = route.path.slice(1, -1).map((name) => policyOf(example.nodes[name]))
        const terms = routeTerms(policies, last)
        expect(terms[0]).to.deep.equal({
          amountMsat: BigInt(route.amount_msat),
          cltvExpiry: route.cltv_expiry,
        })
        expect(terms.at(-1)).to.deep.equal({
          amountMsat: BigInt(route.final_amt_to_forward),
          cltvExpiry: route.final_outgoing_cltv,
        })
        expect(terms).to.have.length(route.path.length - 1)
        const fees = policies.map((policy) => forwardingFee(policy, last.amountMsat))
        expect(fees).to.deep.equal(route.fee_msat === undefined ? [] : [BigInt(route.fee_msat)])
        route.path.slice(1).forEach((to, i) => {
          expect(example.edges).to.deep.include([route.path[i], to])
        })
      },
    })),
  ]
}

function policyOf(node: Node | undefined): ForwardingPolicy {
  if (node === undefined) throw new Error('no such node')
  return {
    feeBaseMsat: msat(BigInt(node.fee_base_msat)),
    feeProportionalMillionths: node.fee_proportional_millionths,
    cltvExpiryDelta: blockDelta(node.cltv_expiry_delta),
  }
}
