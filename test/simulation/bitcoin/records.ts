// What must hold of a party's records at any moment (I1 to I5 of its channels): what a process that starts now would find.
import {
  CHANNEL_ROWS,
  faultOfChannel,
  isLive,
  restoredChannels,
} from '../../../backend/bitcoin/channel/index.js'
import { PAYMENT_ROWS, restoredPayments } from '../../../backend/bitcoin/payments/index.js'
import { faultOfPayments } from '../../../backend/bitcoin/payments/invariants.js'
import type { Disk } from '../disk.js'

/** The first rule that does not hold. */
export function faultOfDisk(disk: Disk): string | undefined {
  const rows = (prefix: string) => [...disk].filter(([key]) => key.startsWith(prefix))
  try {
    for (const [index, state] of restoredChannels(rows(CHANNEL_ROWS))) {
      const fault = isLive(state) ? faultOfChannel(state) : undefined
      if (fault !== undefined) return `channel ${index}: ${fault}`
    }
    return faultOfPayments(restoredPayments(rows(PAYMENT_ROWS)))
  } catch (error) {
    return String(error)
  }
}
