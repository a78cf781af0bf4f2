// Keccak-256, Ethereum's hash: with the padding of the contest, not the one that became SHA-3.
//
// A state is hashed twice for every signature made or checked, and WebAssembly does it in a seventh of the time that
// JavaScript takes. Where WebAssembly is not allowed (a browser page's content security policy), JavaScript does it.
import { keccak_256 } from '@noble/hashes/sha3.js'
import { createKeccak } from 'hash-wasm'
import { equalBytes } from '../channel/bytes.js'

/** Keccak-256 of some bytes: 32 bytes, which the caller may keep. */
export const keccak256: (bytes: Uint8Array) => Uint8Array = (await byWasm()) ?? keccak_256

async function byWasm(): Promise<((bytes: Uint8Array) => Uint8Array) | undefined> {
  try {
    const hasher = await createKeccak(256)
    // One hasher is one state: these three calls must stay in one synchronous function.
    const hash = (bytes: Uint8Array) => hasher.init().update(bytes).digest('binary')
    // Nothing, one block less a byte, one block, and more than the library takes at a time (16 KiB).
    const agrees = [0, 135, 136, 20_000].every((length) => {
      const bytes = new Uint8Array(length).fill(length)
      return equalBytes(hash(bytes), keccak_256(bytes))
    })
    return agrees ? hash : undefined
  } catch {
    return undefined
  }
}
