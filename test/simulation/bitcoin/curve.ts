// What the curve was asked before it need not compute again: parties have the same keys in every run, and both sides of a
// channel derive the same ones. The answers are what they are; only time is saved.
import { secp256k1 } from '../../../wallet/secp256k1.js'

/** Answers that are kept: of 33 bytes each, and as many more to find them by. */
const MOST = 100_000

type Compute = (...parts: Uint8Array[]) => Uint8Array

/** Lets this process remember products, sums and public keys. Once is enough. */
export function rememberPoints(): void {
  if (isDone) return
  isDone = true
  secp256k1.multiply = remembering(secp256k1.multiply)
  secp256k1.tweakAdd = remembering(secp256k1.tweakAdd)
  secp256k1.publicKey = remembering(secp256k1.publicKey)
  secp256k1.add = remembering(secp256k1.add)
}

let isDone = false

function remembering(compute: Compute): Compute {
  const known = new Map<string, Uint8Array>()
  return (...parts) => {
    const key = parts.map((part) => Buffer.from(part).toString('latin1')).join('/')
    let answer = known.get(key)
    if (answer === undefined) {
      answer = compute(...parts)
      if (known.size >= MOST) known.clear()
      known.set(key, answer)
    }
    return answer.slice()
  }
}
