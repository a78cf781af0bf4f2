// `blinded_path` and `blinded_payinfo` as they stand in onion messages, offers and invoices (BOLTs 4 and 12).
import { fromHex, toHex } from '../../../channel/bytes.js'
import type { PeerID } from '../../../peer/identity.js'
import {
  type Field,
  list,
  type ObjectOf,
  point,
  rest,
  sizedBytes,
  struct,
  u8,
  u32,
} from '../../../peer/wire/fields.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'
import { blocks16, msats, msats32, shortID } from '../wire/fields.js'
import type { ShortChannelID } from '../wire/short-channel-id.js'
import type { BlindedRoute } from './blinding.js'

/** A node: by its key, or as one end of a channel, which is shorter. */
export type Introduction =
  | { readonly kind: 'node'; readonly nodeID: PeerID }
  | {
      readonly kind: 'channel'
      readonly shortChannelID: ShortChannelID
      /** Which of the channel's nodes: `node_id_1` or `node_id_2` of its announcement. */
      readonly end: 1 | 2
    }

/** A blinded route and where it begins. */
export interface BlindedPath extends BlindedRoute {
  readonly firstNode: Introduction
}

/** `sciddir_or_pubkey` of BOLT 1: 9 or 33 bytes. */
export const introduction: Field<Introduction> = {
  format: 'sciddir_or_pubkey',
  least: 9,
  read: (from) => {
    const first = from.u8()
    if (first === 0 || first === 1)
      return { kind: 'channel', shortChannelID: shortID.read(from), end: first === 0 ? 1 : 2 }
    if (first !== 2 && first !== 3) return from.fail('invalid point')
    const key = Uint8Array.of(first, ...from.bytes(32))
    return secp256k1.isPoint(key) ? { kind: 'node', nodeID: toHex(key) } : from.fail('invalid point')
  },
  write: (to, value) => {
    if (value.kind === 'node') {
      if (!secp256k1.isPoint(fromHex(value.nodeID, 33))) return to.fail('invalid point')
      return to.hex(value.nodeID, 33)
    }
    to.u8(value.end === 1 ? 0 : 1)
    shortID.write(to, value.shortChannelID)
  },
}

/** One hop of a path. */
export const blindedHop = struct('blinded_path_hop', {
  blindedNodeID: point,
  encryptedRecipientData: sizedBytes,
})
const blindedHops = list(u8, blindedHop)

/** A blinded path; one without hops is refused, as every reader must. */
export const blindedPath: Field<BlindedPath> = {
  format: 'blinded_path',
  least: 9 + 33 + 1,
  read: (from) => {
    const firstNode = introduction.read(from)
    const firstPathKey = point.read(from)
    const hops = blindedHops.read(from)
    return hops.length === 0 ? from.fail('no hops') : { firstNode, firstPathKey, hops }
  },
  write: (to, { firstNode, firstPathKey, hops }) => {
    introduction.write(to, firstNode)
    point.write(to, firstPathKey)
    if (hops.length === 0) to.fail('no hops')
    blindedHops.write(to, hops)
  },
}

/** Paths up to the end. */
export const blindedPaths = rest(blindedPath)

/** What it costs to pay along a blinded path. */
export const blindedPayInfo = struct('blinded_payinfo', {
  feeBaseMsat: msats32,
  feeProportionalMillionths: u32,
  cltvExpiryDelta: blocks16,
  htlcMinimumMsat: msats,
  htlcMaximumMsat: msats,
  features: sizedBytes,
})
/** What it costs to pay along a blinded path. */
export type BlindedPayInfo = ObjectOf<{
  readonly feeBaseMsat: typeof msats32
  readonly feeProportionalMillionths: typeof u32
  readonly cltvExpiryDelta: typeof blocks16
  readonly htlcMinimumMsat: typeof msats
  readonly htlcMaximumMsat: typeof msats
  readonly features: typeof sizedBytes
}>
