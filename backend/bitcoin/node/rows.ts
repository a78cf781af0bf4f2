// A node's own records, beside those of its channels and their monitors:
//
//     lightning-node/next                   the key index of the next channel
//     lightning-node/channel/<key index>    whose channel it is
//     lightning-node/funding/<key index>    the block of its funding, once it is in one
//     lightning-node/unseen/<key index>     where the chain was when its records could no longer be read, as long as they can't
//     lightning-node/spent/<key index>      what spent its funding output since, as far as that was seen
//     lightning-node/own-funding/<key index> the transaction that funds it, if it is ours, and the child that pays for it
//     lightning-node/peer/<id>              where a peer with channels was reached
//     lightning-node/kept/<id>              that we keep something for a peer, and until when if it has no channels
//     lightning-stored/<id>                 what that is
//     lightning-node/cursor                 the newest block that was dealt with, and some before it
import { bytes, hex, list, object, optional, text, u64, uint } from '../../../peer/index.js'
import { chainCursor } from '../chain/cursor.js'
import { fundingPlace, hash, sats, transaction } from '../channel/schemas.js'
import { rowType } from '../rows.js'

/** All of them. */
export const NODE_ROWS = 'lightning-node/'

/** `peer_storage` has no more. */
const MAX_BLOB_BYTES = 65_531

/** Of one transaction. */
const MAX_COINS = 1000

/** The records. */
export const NODE_RECORDS = {
  next: rowType('lightning-node-next', object({ keyIndex: u64() })),
  channel: rowType('lightning-node-channel', object({ peer: hex(33) })),
  funding: rowType('lightning-node-funding', fundingPlace),
  ownFunding: rowType(
    'lightning-node-own-funding',
    object({
      reservation: hex(16),
      transaction,
      fee: optional(sats),
      child: optional(
        object({
          reservation: hex(16),
          transaction,
          fee: sats,
          coins: list(object({ amount: sats, script: bytes({ max: 34 }), weight: uint(0xffff) }), {
            max: MAX_COINS,
          }),
        }),
      ),
    }),
  ),
  unseen: rowType('lightning-node-unseen', chainCursor),
  spent: rowType('lightning-node-spent', object({ height: uint(0xffff_ffff), txid: hash })),
  peer: rowType('lightning-node-peer', object({ address: text(1000) })),
  stored: rowType('lightning-node-stored', object({ blob: bytes({ max: MAX_BLOB_BYTES }) })),
  kept: rowType('lightning-node-kept', object({ until: optional(uint(0xffff_ffff)) })),
}

/** Their keys. */
export const NODE_KEYS = {
  next: `${NODE_ROWS}next`,
  cursor: `${NODE_ROWS}cursor`,
  channel: (keyIndex: bigint) => `${NODE_ROWS}channel/${keyIndex}`,
  funding: (keyIndex: bigint) => `${NODE_ROWS}funding/${keyIndex}`,
  ownFunding: (keyIndex: bigint) => `${NODE_ROWS}own-funding/${keyIndex}`,
  unseen: (keyIndex: bigint) => `${NODE_ROWS}unseen/${keyIndex}`,
  spent: (keyIndex: bigint) => `${NODE_ROWS}spent/${keyIndex}`,
  peer: (id: string) => `${NODE_ROWS}peer/${id}`,
  /** Not among the others: they are large, and read one by one. */
  stored: (id: string) => `lightning-stored/${id}`,
  kept: (id: string) => `${NODE_ROWS}kept/${id}`,
}
