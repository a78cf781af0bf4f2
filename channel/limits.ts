// How large anything may be that a peer can make us hold. Figures of the Perun core protocol.

/** Fewest participants of a channel. */
export const MIN_PARTICIPANTS = 2
/** Most participants of a channel. */
export const MAX_PARTICIPANTS = 1024
/** Most assets of a channel. */
export const MAX_ASSETS = 1024
/** Most sub-allocations that one state may lock. */
export const MAX_SUB_ALLOCATIONS = 1024
/** Largest amount and largest total of an asset: what 32 bytes hold, the widest integer of our ledgers. */
export const MAX_AMOUNT = 2n ** 256n - 1n
/** Largest nonce: 32 bytes. */
export const MAX_NONCE = 2n ** 256n - 1n
/** Largest version and largest challenge duration: 64 bits. */
export const MAX_UINT64 = 2n ** 64n - 1n
/** Length of `Params.aux` in bytes. */
export const AUX_LENGTH = 256
/** Most bytes of app data in one state, and of one action. */
export const MAX_DATA_LENGTH = 65_535
/** Most bytes of one address, app ID, asset ID or signature. */
export const MAX_ID_LENGTH = 512
