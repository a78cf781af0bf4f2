// What a node demands of an input that spends a P2WSH or P2WPKH output: the witness, by the opcodes that Lightning uses
// (BIP 141, 143, 65, 112), and the block from which the locks let it in (BIP 68, 113 aside).
import { Script } from '@scure/btc-signer'
import {
  p2wpkhScriptCode,
  p2wsh,
  readWitnessSignature,
  ripemd160,
  SIGHASH_ALL,
  SIGHASH_SINGLE_ANYONECANPAY,
  type SighashType,
  sha256,
  type Transaction,
  type TransactionOutput,
  witnessDigest,
} from '../../../../backend/bitcoin/script/index.js'
import { equalBytes } from '../../../../channel/bytes.js'
import { secp256k1 } from '../../../../wallet/secp256k1.js'

/** Why a node would refuse the witness, or undefined. */
export function faultOfWitness(tx: Transaction, input: number, spent: TransactionOutput): string | undefined {
  const witness = tx.inputs[input]?.witness ?? []
  const [version, ...program] = spent.script
  if (version !== 0) return 'not version 0'
  if (program.length === 21) {
    const key = witness[1]
    if (key === undefined || witness.length !== 2) return 'two items expected'
    const scriptCode = p2wpkhScriptCode(key)
    if (!equalBytes(scriptCode.subarray(3, 23), spent.script.subarray(2))) return 'another key'
    return check(witness[0], key, { tx, input, spent, scriptCode }) ? undefined : 'bad signature'
  }
  const scriptCode = witness.at(-1)
  if (scriptCode === undefined || !equalBytes(p2wsh(scriptCode), spent.script)) return 'another script'
  return run(scriptCode, witness.slice(0, -1), { tx, input, spent, scriptCode })
}

/** The lowest block that can contain the transaction, by its locks. @param confirmedAt of the output of each input */
export function firstBlock(tx: Transaction, confirmedAt: readonly number[]): number {
  const waits = tx.inputs.map(({ sequence }, i) =>
    sequence < 0x8000_0000 && tx.version >= 2
      ? (confirmedAt[i] ?? 0) + (sequence & 0xffff)
      : (confirmedAt[i] ?? 0),
  )
  // Times, as in commitments, are all in the past.
  const isHeight = tx.locktime > 0 && tx.locktime < 500_000_000
  const isLocked = isHeight && tx.inputs.some(({ sequence }) => sequence !== 0xffff_ffff)
  return Math.max(...waits, isLocked ? tx.locktime + 1 : 0)
}

interface Context {
  readonly tx: Transaction
  readonly input: number
  readonly spent: TransactionOutput
  readonly scriptCode: Uint8Array
}

const SIGHASHES: readonly SighashType[] = [SIGHASH_ALL, SIGHASH_SINGLE_ANYONECANPAY]
const TRUE = Uint8Array.of(1)
const FALSE = new Uint8Array()

function run(script: Uint8Array, initial: readonly Uint8Array[], context: Context): string | undefined {
  const stack = [...initial]
  const branches: boolean[] = []
  const pop = (): Uint8Array => {
    const top = stack.pop()
    if (top === undefined) throw new Error('stack is empty')
    return top
  }
  const verify = (holds: boolean, what: string) => {
    if (!holds) throw new Error(what)
  }
  try {
    for (const op of Script.decode(script)) {
      const isActive = branches.every(Boolean)
      if (op === 'IF' || op === 'NOTIF') {
        // MINIMALIF: nothing but an empty item or 1.
        if (!isActive) branches.push(false)
        else {
          const top = pop()
          verify(top.length === 0 || equalBytes(top, TRUE), 'minimal if')
          branches.push(truth(top) === (op === 'IF'))
        }
        continue
      }
      if (op === 'ELSE') {
        branches.push(!(branches.pop() ?? true))
        continue
      }
      if (op === 'ENDIF') {
        verify(branches.pop() !== undefined, 'endif')
        continue
      }
      if (!isActive) continue
      if (op instanceof Uint8Array) {
        stack.push(op)
        continue
      }
      const small = typeof op === 'number' ? op : /^OP_\d+$/.test(op) ? Number(op.slice(3)) : undefined
      if (small !== undefined) {
        stack.push(small === 0 ? FALSE : Uint8Array.of(small))
        continue
      }
      switch (op) {
        case 'DUP': {
          const top = pop()
          stack.push(top, top)
          break
        }
        case 'IFDUP': {
          const top = pop()
          stack.push(top)
          if (truth(top)) stack.push(top)
          break
        }
        case 'DROP':
          pop()
          break
        case 'SWAP': {
          const [b, a] = [pop(), pop()]
          stack.push(b, a)
          break
        }
        case 'SIZE': {
          const top = pop()
          stack.push(top, top.length === 0 ? FALSE : Uint8Array.of(top.length))
          break
        }
        case 'HASH160':
          stack.push(ripemd160(sha256(pop())))
          break
        case 'EQUAL':
          stack.push(equalBytes(pop(), pop()) ? TRUE : FALSE)
          break
        case 'EQUALVERIFY':
          verify(equalBytes(pop(), pop()), 'not equal')
          break
        case 'CHECKSIG':
        case 'CHECKSIGVERIFY': {
          const key = pop()
          const signature = pop()
          const isGood = signature.length > 0 && check(signature, key, context)
          // NULLFAIL: a signature that is there must be good.
          verify(isGood || signature.length === 0, 'bad signature')
          if (op === 'CHECKSIG') stack.push(isGood ? TRUE : FALSE)
          else verify(isGood, 'no signature')
          break
        }
        case 'CHECKMULTISIG': {
          const keys = Array.from({ length: pop()[0] ?? 0 }, pop).reverse()
          const signatures = Array.from({ length: pop()[0] ?? 0 }, pop).reverse()
          verify(pop().length === 0, 'null dummy')
          let at = 0
          for (const one of signatures) {
            while (at < keys.length && !check(one, keys[at] ?? FALSE, context)) at++
            verify(at < keys.length, 'bad signature of many')
            at++
          }
          stack.push(TRUE)
          break
        }
        case 'CHECKLOCKTIMEVERIFY': {
          const least = number(stack.at(-1))
          verify(context.tx.locktime >= least && context.tx.locktime < 500_000_000, 'lock time')
          verify(context.tx.inputs[context.input]?.sequence !== 0xffff_ffff, 'final input')
          break
        }
        case 'CHECKSEQUENCEVERIFY': {
          const least = number(stack.at(-1))
          const sequence = context.tx.inputs[context.input]?.sequence ?? 0
          verify(context.tx.version >= 2 && sequence < 0x8000_0000, 'no relative lock')
          verify((sequence & 0xffff) >= least && (sequence & 0x40_0000) === 0, 'sequence')
          break
        }
        default:
          throw new Error(`opcode ${op}`)
      }
    }
    verify(branches.length === 0, 'open branch')
    verify(stack.length === 1, 'clean stack')
    verify(truth(pop()), 'false')
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : 'failed'
  }
}

function check(
  item: Uint8Array | undefined,
  key: Uint8Array,
  { tx, input, spent, scriptCode }: Context,
): boolean {
  const read = item === undefined ? undefined : readWitnessSignature(item)
  if (read === undefined) return false
  const sighash = SIGHASHES.find((one) => one === read.sighash)
  if (sighash === undefined) return false
  const digest = witnessDigest(tx, input, { amount: spent.amount, scriptCode }, sighash)
  return secp256k1.verify(read.compact, digest, key)
}

function truth(item: Uint8Array): boolean {
  return item.some((byte) => byte !== 0)
}

function number(item: Uint8Array | undefined): number {
  return (item ?? FALSE).reduce((sum, byte, i) => sum + byte * 2 ** (8 * i), 0)
}
