// The pointer-level calls of LDK's WASM build that its declarations leave out. What a callback is given there is ours to
// free; the wrapped callbacks leave it to the garbage collector, which sees none of the memory that it holds.
import {
  ChannelMonitor_free,
  ChannelMonitor_write,
  ChannelMonitorUpdate_free,
  decodeUint8Array,
  OutPoint_free,
  OutPoint_get_txid,
  Record_free,
} from 'lightningdevkit/bindings.mjs'

declare module 'lightningdevkit/bindings.mjs' {
  export function Record_free(record: bigint): void
  export function OutPoint_free(outpoint: bigint): void
  export function OutPoint_get_txid(outpoint: bigint): number
  export function ChannelMonitor_free(monitor: bigint): void
  export function ChannelMonitor_write(monitor: bigint): number
  export function ChannelMonitorUpdate_free(update: bigint): void
  export function decodeUint8Array(pointer: number): Uint8Array
}

/** A pointer into the memory of LDK, to an object that is ours. */
export type Pointer = bigint

/** Frees a record of the log. */
export function freeRecord(record: Pointer): void {
  Record_free(record)
}

/** Frees what a persister is given: where the channel is, what it was, and how it is now. 0 for what is not there. */
export function freePersisted(outpoint: Pointer, monitor: Pointer, update: Pointer = 0n): void {
  if (update !== 0n) ChannelMonitorUpdate_free(update)
  ChannelMonitor_free(monitor)
  OutPoint_free(outpoint)
}

/** Frees an outpoint. */
export function freeOutpoint(outpoint: Pointer): void {
  OutPoint_free(outpoint)
}

/** The monitor's serialization. */
export function bytesOfMonitor(monitor: Pointer): Uint8Array {
  return decodeUint8Array(ChannelMonitor_write(monitor))
}

/** The transaction's ID, in the byte order of its hash. */
export function txidOf(outpoint: Pointer): Uint8Array {
  return decodeUint8Array(OutPoint_get_txid(outpoint))
}

/** Replaces callbacks of a trait object by such that take pointers. */
export function replaceCallbacks(
  trait: object,
  callbacks: Readonly<Record<string, (...pointers: Pointer[]) => unknown>>,
): void {
  const own: unknown = Reflect.get(trait, 'bindings_instance')
  if (typeof own !== 'object' || own === null) throw new Error('this is no trait object of ours')
  Object.assign(own, callbacks)
}
