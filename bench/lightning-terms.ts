// What is paid, and over what, by whoever does it. In satoshis.

/** More than dust, so that each HTLC has an output and its signatures. */
export const AMOUNT = 1_000n
/** Of the channel: enough for some ten thousand payments. */
export const CAPACITY = 50_000_000n
