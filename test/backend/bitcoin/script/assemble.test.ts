// Our scripts are assembled as a library that knows all of Bitcoin's does.
import { Script } from '@scure/btc-signer'
import { expect } from 'chai'
import fc from 'fast-check'
import { assemble, OPCODES, type ScriptPart } from '../../../../backend/bitcoin/script/assemble.js'

const opcode = fc.constantFrom(...(Object.keys(OPCODES) as (keyof typeof OPCODES)[]))
const number = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.constantFrom(0x7f, 0x80, 0x7fff, 0x8000, 0x7f_ffff, 0x80_0000, 0x7fff_ffff),
  fc.nat(),
)
const data = fc.uint8Array({ minLength: 2, maxLength: 75 })

describe('assembled scripts', () => {
  it('any of opcodes, numbers and data -> the bytes of @scure/btc-signer', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(opcode, number, data), { maxLength: 20 }), (parts: ScriptPart[]) => {
        expect(assemble(...parts)).to.deep.equal(Script.encode(parts))
      }),
    )
  })
})
