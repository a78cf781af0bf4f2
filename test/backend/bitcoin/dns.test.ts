import { expect } from 'chai'
import fc from 'fast-check'
import { parseSeedQuery, parseSeedResult, seedQuery, virtualHostname } from '../../../backend/bitcoin/dns.js'
import { toHex } from '../../../channel/bytes.js'
import { isError, PerkunasError } from '../../../channel/errors.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'

const root = 'seed.example'
const node = toHex(secp256k1.publicKey(new Uint8Array(32).fill(9)))

describe('BOLT 10: names', () => {
  it('conditions to a name and back -> the same', () => {
    const conditions = fc.record(
      {
        realm: fc.integer({ min: 0, max: 255 }),
        addressTypes: fc.integer({ min: 0, max: 255 }),
        count: fc.integer({ min: 0, max: 65_535 }),
        nodeID: fc.constant(node),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(conditions, (one) => {
        expect(parseSeedQuery(seedQuery(one, root), root)).to.deep.equal(one)
        expect(parseSeedQuery(seedQuery(one, root).toUpperCase(), `${root}`)).to.deep.equal(one)
      }),
    )
  })

  it('any name below the seed -> conditions, or INVALID_MESSAGE', () => {
    const labels = fc.oneof(
      fc.string({ maxLength: 70 }),
      fc.constantFrom('r', 'a99', 'n', 'ln1', 'l', 'x7', 'n99999'),
    )
    fc.assert(
      fc.property(fc.array(labels, { maxLength: 4 }), fc.integer(), (some, port) => {
        const name = [...some, root].join('.')
        for (const run of [() => parseSeedQuery(name, root), () => parseSeedResult(name, port, root)]) {
          try {
            run()
          } catch (error) {
            expect(isError(error, 'INVALID_MESSAGE')).to.equal(true)
          }
        }
      }),
    )
  })

  it('answers that can not be a node -> refused', () => {
    const good = virtualHostname(node, root)
    expect(parseSeedResult(`${good}.`, 9735, root)).to.deep.equal({ nodeID: node, port: 9735 })
    const changed = `${good.slice(0, 10)}${good.charAt(10) === 'q' ? 'p' : 'q'}${good.slice(11)}`
    for (const [name, port] of [
      [changed, 9735],
      [good, 0],
      [good, 65_536],
      [root, 9735],
      [`a2.${good}`, 9735],
      ['ln1.other.example', 9735],
      [`${'a.'.repeat(200)}${root}`, 9735],
    ] as const) {
      expect(() => parseSeedResult(name, port, root), name)
        .to.throw(PerkunasError)
        .with.property('code', 'INVALID_MESSAGE')
    }
  })

  it('arguments out of range -> refused', () => {
    for (const wrong of [{ realm: -1 }, { addressTypes: 256 }, { count: 1.5 }, { nodeID: '0x00' as const }]) {
      expect(() => seedQuery(wrong, root))
        .to.throw(PerkunasError)
        .with.property('code', 'INVALID_ARGUMENT')
    }
  })
})
