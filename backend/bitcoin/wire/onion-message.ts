// BOLT 4, "Onion Messages": the message that carries them. Their packet is BOLT 4's to read.
import { point, sizedBytes } from '../../../peer/wire/fields.js'
import { type MessageOf, message } from '../../../peer/wire/message.js'

/** `onion_message`: BOLT 4, "Onion Messages". */
export const onionMessage = message('onion_message', 513, { pathKey: point, onionMessagePacket: sizedBytes })
/** A message of {@link onionMessage}. */
export type OnionMessage = MessageOf<typeof onionMessage>
