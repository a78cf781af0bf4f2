// Block headers: their encoding, and whether work was done for them. Pure.
import { toHex } from '../../../channel/bytes.js'
import { sha256d } from '../script/index.js'
import { NETWORKS, type Network } from './network.js'
import type { BlockHash } from './source.js'

/** Bytes of a header. */
export const HEADER_BYTES = 80
/** After so many blocks the target is set anew. */
const ADJUSTMENT_INTERVAL = 2016

/** The parts of a header that the chain is followed by. */
export interface Header {
  readonly hash: BlockHash
  readonly previous: BlockHash
  /** 32 bytes. */
  readonly merkleRoot: Uint8Array
  /** Unix time in seconds. */
  readonly time: number
  /** The target in compact form. */
  readonly bits: number
}

/** Reads the 80 bytes of a header. */
export function decodeHeader(bytes: Uint8Array): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES)
  return {
    hash: toHex(sha256d(bytes.subarray(0, HEADER_BYTES))),
    previous: toHex(bytes.subarray(4, 36)),
    merkleRoot: bytes.slice(36, 68),
    time: view.getUint32(68, true),
    bits: view.getUint32(72, true),
  }
}

/** The work that a header of that target stands for: how many hashes it takes on average. */
export function workOf(bits: number): bigint {
  return (1n << 256n) / (targetOf(bits) + 1n)
}

/**
 * What is wrong with a header by itself: not enough work, or a target that the network does not have.
 *
 * @returns undefined if nothing is
 */
export function faultOfHeader({ hash, bits }: Header, network: Network): string | undefined {
  const target = targetOf(bits)
  if (target === 0n || target > targetOf(NETWORKS[network].easiestBits)) {
    return `target ${bits.toString(16)} is not one of ${network}`
  }
  return toNumber(hash) <= target ? undefined : 'no proof of work'
}

/**
 * What is wrong with a header as the next one of another.
 *
 * Which target the rules of a network demand exactly depends on 2016 headers, which are not here. That it stays the same
 * between adjustments and changes by no more than a factor of four is enough: who forges blocks has to do the work.
 *
 * @param height of `header`
 * @returns undefined if nothing is
 */
export function faultOfSuccessor(
  parent: Header,
  header: Header,
  { height, network }: { readonly height: number; readonly network: Network },
): string | undefined {
  if (header.previous !== parent.hash) return 'it follows another block'
  const { difficulty } = NETWORKS[network]
  if (difficulty === 'adjustedWithGaps') return undefined
  if (difficulty === 'constant' || height % ADJUSTMENT_INTERVAL !== 0) {
    return header.bits === parent.bits ? undefined : 'its target changed out of turn'
  }
  // A fifth: compact targets are rounded down.
  const [from, to] = [targetOf(parent.bits), targetOf(header.bits)]
  return to <= 4n * from && 5n * to >= from ? undefined : 'its target changed by more than a factor of four'
}

/** The number that a hash must not exceed; 0 for compact forms that stand for none. */
function targetOf(bits: number): bigint {
  const mantissa = BigInt(bits & 0x7f_ffff)
  const exponent = bits >>> 24
  if ((bits & 0x80_0000) !== 0 || exponent > 34) return 0n
  const target =
    exponent <= 3 ? mantissa >> BigInt(8 * (3 - exponent)) : mantissa << BigInt(8 * (exponent - 3))
  return target >> 256n === 0n ? target : 0n
}

/** A hash as a number: little-endian. */
function toNumber(hash: BlockHash): bigint {
  return BigInt(`0x${displayHash(hash)}`)
}

/** A block's ID the way that people, RPC and explorers write it: reversed, without `0x`. */
export function displayHash(hash: BlockHash): string {
  return (hash.slice(2).match(/../g) ?? []).reverse().join('')
}
