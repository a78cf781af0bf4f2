// Scripts from opcodes, numbers and data, written by hand for the same reason as the digests of sighash.ts: each commitment has
// new ones. The bytes are the same as @scure/btc-signer's.

/** The opcodes that our scripts have, without their OP_. */
export const OPCODES = {
  IF: 0x63,
  NOTIF: 0x64,
  ELSE: 0x67,
  ENDIF: 0x68,
  IFDUP: 0x73,
  DROP: 0x75,
  DUP: 0x76,
  SWAP: 0x7c,
  SIZE: 0x82,
  EQUAL: 0x87,
  EQUALVERIFY: 0x88,
  HASH160: 0xa9,
  CHECKSIG: 0xac,
  CHECKSIGVERIFY: 0xad,
  CHECKMULTISIG: 0xae,
  CHECKLOCKTIMEVERIFY: 0xb1,
  CHECKSEQUENCEVERIFY: 0xb2,
} as const

/** An opcode; a number from 0 to 2^31 - 1; or up to 75 bytes of data, of which two or more. */
export type ScriptPart = keyof typeof OPCODES | number | Uint8Array

/** The parts one after the other, numbers and data in their shortest form. */
export function assemble(...parts: readonly ScriptPart[]): Uint8Array {
  let at = 0
  const push = (data: ArrayLike<number>) => {
    space[at] = data.length
    space.set(data, at + 1)
    at += 1 + data.length
  }
  for (const part of parts) {
    if (typeof part === 'string') space[at++] = OPCODES[part]
    else if (typeof part !== 'number') push(part)
    else if (part <= 16) space[at++] = part === 0 ? 0 : 0x50 + part
    else push(numberBytes(part))
  }
  return space.slice(0, at)
}

/** In which scripts are made: none that can be spent is longer. */
const space = new Uint8Array(10_000)

/** Little-endian; the highest bit is the sign. */
function numberBytes(value: number): readonly number[] {
  const bytes: number[] = []
  for (let rest = value; rest > 0; rest = Math.floor(rest / 0x100)) bytes.push(rest & 0xff)
  return (bytes.at(-1) ?? 0) >= 0x80 ? [...bytes, 0] : bytes
}
