import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { hexToBytes } from '@noble/hashes/utils.js'
import { expect } from 'chai'
import fc from 'fast-check'
import { toHex } from '../../channel/bytes.js'
import { isError } from '../../channel/errors.js'
import { type Secp256k1, secp256k1 } from '../../wallet/secp256k1.js'
import type { Curve } from '../../wallet/secp256k1-curve.js'
import { loadNativeCurve } from '../../wallet/secp256k1-native.js'
import { nobleCurve } from '../../wallet/secp256k1-noble.js'
import { selfTest } from '../../wallet/secp256k1-selftest.js'
import { loadWasmCurve } from '../../wallet/secp256k1-wasm.js'
import { js, others, providers } from './providers.js'

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
const PRIME = 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2fn
const scalar = (value: bigint) => hexToBytes(value.toString(16).padStart(64, '0'))
const number = (bytes: Uint8Array) => BigInt(toHex(bytes))

/** What a call comes to, as text: providers agree when these are equal. */
function outcome(call: () => unknown): string {
  try {
    return show(call())
  } catch (error) {
    if (!isError(error, 'INVALID_ARGUMENT')) throw error
    return `INVALID_ARGUMENT ${error.facts.argument}: ${error.message}`
  }
}
function show(value: unknown): string {
  if (value instanceof Uint8Array) return toHex(value)
  return typeof value === 'object' && value !== null ? Object.values(value).map(show).join() : String(value)
}
function agree(call: (curve: Secp256k1) => unknown): void {
  const expected = outcome(() => call(js))
  for (const curve of others)
    expect(
      outcome(() => call(curve)),
      curve.name,
    ).to.equal(expected)
}

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
const edge = fc.constantFrom(
  ...[
    0n,
    1n,
    2n,
    ORDER / 2n,
    ORDER / 2n + 1n,
    ORDER - 1n,
    ORDER,
    ORDER + 1n,
    PRIME - ORDER,
    PRIME,
    2n ** 256n - 1n,
  ].map(scalar),
)
const anyScalar = fc.oneof(
  { weight: 3, arbitrary: bytes32 },
  { weight: 2, arbitrary: edge },
  {
    weight: 1,
    arbitrary: fc.uint8Array({ maxLength: 34 }),
  },
)
const goodSecret = fc.oneof(
  bytes32.filter((bytes) => js.isSecret(bytes)),
  fc.constantFrom(scalar(1n), scalar(2n), scalar(ORDER - 1n)),
)
const goodPoint = fc
  .tuple(goodSecret, fc.boolean())
  .map(([secret, short]) => (short ? js.publicKey(secret) : js.decompress(js.publicKey(secret))))
const anyPoint = fc.oneof(
  { weight: 6, arbitrary: goodPoint },
  // Half of all x coordinates are on the curve.
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.integer({ min: 0, max: 7 }), fc.oneof(bytes32, edge))
      .map(([first, x]) => Uint8Array.of(first, ...x)),
  },
  {
    weight: 1,
    arbitrary: goodPoint.chain((point) =>
      fc.integer({ min: 0, max: 255 }).map((first) => Uint8Array.of(first, ...point.subarray(1))),
    ),
  },
  {
    weight: 1,
    arbitrary: goodPoint.chain((point) =>
      fc.nat(point.length - 1).map((i) => point.map((byte, j) => (i === j ? byte ^ 4 : byte))),
    ),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 66 }) },
)

describe('secp256k1: every provider', () => {
  it('at least the JavaScript one is there, and on common platforms all three', () => {
    expect(js.name).to.equal('js')
    expect(others.map(({ name }) => name)).to.include('wasm')
    if (process.platform === 'linux' && process.arch === 'x64') {
      expect(others.map(({ name }) => name)).to.include('native')
    }
  })

  it('the chosen one is the fastest that loads, or the one that is forced', () => {
    const forced = process.env['PERKUNAS_SECP256K1']
    expect(secp256k1.name).to.equal(forced || others[0]?.name)
  })

  it('@noble/curves gives the recorded answers of the self-test', () => {
    expect(selfTest(js, nobleCurve)).to.equal(undefined)
  })

  it('signs alike, for every digest and secret', () => {
    fc.assert(
      fc.property(anyScalar, anyScalar, (digest, secret) => agree((curve) => curve.sign(digest, secret))),
    )
  })

  it('verifies and recovers alike what the JavaScript one signed, intact or bent', () => {
    const bend = fc.option(fc.tuple(fc.nat(63), fc.integer({ min: 1, max: 255 })))
    fc.assert(
      fc.property(goodSecret, fc.oneof(bytes32, edge), bend, anyPoint, (secret, digest, bent, stranger) => {
        const { signature, recovery } = js.sign(digest, secret)
        const publicKey = js.publicKey(secret)
        const given = signature.map((byte, i) => (bent?.[0] === i ? byte ^ bent[1] : byte))
        if (bent === null) {
          expect(js.verify(given, digest, publicKey)).to.equal(true)
          expect(js.recover(given, recovery, digest)).to.deep.equal(js.decompress(publicKey))
        }
        agree((curve) => [
          curve.verify(given, digest, publicKey),
          curve.verify(given, digest, stranger),
          curve.recover(given, 0, digest),
          curve.recover(given, 1, digest),
        ])
      }),
    )
  })

  it('verifies and recovers alike any pair of r and s', () => {
    fc.assert(
      fc.property(anyScalar, anyScalar, anyScalar, anyPoint, (r, s, digest, point) => {
        const signature = Uint8Array.of(...r, ...s)
        agree((curve) => [
          curve.verify(signature, digest, point),
          curve.recover(signature, 0, digest),
          curve.recover(signature, 1, digest),
        ])
      }),
    )
  })

  it('refuses high s, to verify and to recover', () => {
    fc.assert(
      fc.property(goodSecret, bytes32, (secret, digest) => {
        const { signature } = js.sign(digest, secret)
        const high = Uint8Array.of(
          ...signature.subarray(0, 32),
          ...scalar(ORDER - number(signature.subarray(32))),
        )
        for (const curve of providers) {
          expect(curve.verify(high, digest, js.publicKey(secret))).to.equal(false)
          expect(curve.recover(high, 0, digest)).to.equal(undefined)
          expect(curve.recover(high, 1, digest)).to.equal(undefined)
        }
      }),
      { numRuns: 20 },
    )
  })

  it('computes public keys, predicates and encodings alike', () => {
    fc.assert(
      fc.property(anyScalar, anyPoint, (secret, point) => {
        agree((curve) => [
          outcome(() => curve.publicKey(secret)),
          curve.isSecret(secret),
          curve.isPoint(point),
        ])
        agree((curve) => curve.compress(point))
        agree((curve) => curve.decompress(point))
      }),
    )
  })

  it('computes ECDH alike, and alike from both ends', () => {
    fc.assert(
      fc.property(anyPoint, anyScalar, goodSecret, goodSecret, (point, secret, a, b) => {
        agree((curve) => curve.ecdh(point, secret))
        for (const curve of providers) {
          expect(curve.ecdh(js.publicKey(a), b)).to.deep.equal(js.ecdh(js.publicKey(b), a))
        }
      }),
      { numRuns: 40 },
    )
  })

  it('adds points alike, with opposite ones and repeated ones among them', () => {
    const negated = (point: Uint8Array) => js.compress(point).map((byte, i) => (i === 0 ? byte ^ 1 : byte))
    const summands = fc.oneof(
      fc.array(anyPoint, { maxLength: 3 }),
      fc
        .tuple(goodPoint, fc.array(goodPoint, { maxLength: 2 }))
        .map(([point, rest]) => [point, negated(point), ...rest]),
      goodPoint.map((point) => [point, point, point]),
    )
    fc.assert(fc.property(summands, (points) => agree((curve) => curve.add(...points))))
  })

  it('multiplies and tweaks points alike, to infinity too', () => {
    fc.assert(
      fc.property(anyPoint, anyScalar, goodSecret, (point, factor, secret) => {
        agree((curve) => curve.multiply(point, factor))
        agree((curve) => curve.tweakAdd(point, factor))
        agree((curve) => curve.tweakAdd(js.publicKey(secret), scalar(ORDER - number(secret))))
      }),
      { numRuns: 60 },
    )
  })

  it('computes with secrets alike, in step with their public keys, and leaves its input as it was', () => {
    fc.assert(
      fc.property(goodSecret, anyScalar, goodSecret, (secret, factor, other) => {
        const before = [secret.slice(), factor.slice()]
        agree((curve) => curve.tweakSecret(secret, factor))
        agree((curve) => curve.multiplySecret(secret, factor))
        agree((curve) => curve.tweakSecret(secret, scalar(ORDER - number(secret))))
        expect([secret, factor]).to.deep.equal(before)
        for (const curve of providers) {
          expect(curve.publicKey(curve.multiplySecret(secret, other))).to.deep.equal(
            js.multiply(js.publicKey(secret), other),
          )
        }
      }),
      { numRuns: 60 },
    )
  })

  it('signs and verifies BIP 340 alike', () => {
    fc.assert(
      fc.property(
        anyScalar,
        anyScalar,
        fc.option(bytes32, { nil: undefined }),
        fc.nat(63),
        (message, secret, auxiliary, i) => {
          agree((curve) => curve.schnorrSign(message, secret, auxiliary))
          if (message.length !== 32 || !js.isSecret(secret)) return
          const signature = js.schnorrSign(message, secret, auxiliary)
          const publicKey = js.publicKey(secret).subarray(1)
          const bent = signature.map((byte, j) => (i === j ? byte ^ 1 : byte))
          expect(js.schnorrVerify(signature, message, publicKey)).to.equal(true)
          agree((curve) => [
            curve.schnorrVerify(signature, message, publicKey),
            curve.schnorrVerify(bent, message, publicKey),
            curve.schnorrVerify(signature, message, secret),
          ])
        },
      ),
      { numRuns: 30 },
    )
  })

  it('predicates and verification answer any value at all without throwing', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        for (const curve of providers) {
          expect(curve.isSecret(value)).to.equal(false)
          expect(curve.isPoint(value)).to.equal(false)
        }
      }),
    )
    for (const curve of providers) {
      const short = new Uint8Array(31)
      expect(curve.verify(short, short, short)).to.equal(false)
      expect(curve.recover(short, 0, short)).to.equal(undefined)
      expect(curve.schnorrVerify(short, short, short)).to.equal(false)
    }
  })

  it('takes views into larger buffers', () => {
    const view = (bytes: Uint8Array) => Buffer.from([9, ...bytes, 9]).subarray(1, 1 + bytes.length)
    const secret = scalar(0xdecafn)
    const digest = scalar(0xc0ffeen)
    const { signature, recovery } = js.sign(digest, secret)
    const point = js.publicKey(secret)
    for (const curve of providers) {
      expect(curve.sign(view(digest), view(secret))).to.deep.equal({ signature, recovery })
      expect(curve.verify(view(signature), view(digest), view(point))).to.equal(true)
      expect(curve.recover(view(signature), recovery, view(digest))).to.deep.equal(js.decompress(point))
      expect(curve.ecdh(view(point), view(secret))).to.deep.equal(js.ecdh(point, secret))
      expect(curve.tweakSecret(view(secret), view(digest))).to.deep.equal(js.tweakSecret(secret, digest))
      expect(curve.add(view(point), view(point))).to.deep.equal(js.add(point, point))
    }
  })

  it('never shows a secret in an error', () => {
    const secret = scalar(ORDER + 0xdecafn)
    for (const curve of providers) {
      expect(() => curve.publicKey(secret))
        .to.throw()
        .with.property('message')
        .that.does.not.include('decaf')
    }
  })
})

describe('secp256k1: the choice of the provider', () => {
  const run = promisify(execFile)
  const here = new URL('../../wallet/secp256k1.js', import.meta.url)
  const program = `const { secp256k1 } = await import(${JSON.stringify(here.href)}); console.log(secp256k1.name)`
  const start = (forced: string, before = '') =>
    run(process.execPath, ['--input-type=module', '--eval', `${before};${program}`], {
      env: { ...process.env, PERKUNAS_SECP256K1: forced },
    })

  for (const { name } of providers) {
    it(`PERKUNAS_SECP256K1=${name} -> that one`, async () => {
      expect((await start(name)).stdout.trim()).to.equal(name)
    })
  }

  it('an empty PERKUNAS_SECP256K1 -> the fastest', async () => {
    expect((await start('')).stdout.trim()).to.equal(others[0]?.name)
  })

  it('an unknown PERKUNAS_SECP256K1 -> PROVIDER_UNAVAILABLE, loudly', async () => {
    await refused('openssl', '', 'openssl')
  })

  const noAddons = 'process.getBuiltinModule = undefined'
  const noWasm = 'globalThis.WebAssembly = undefined'
  it('a forced one that does not load -> PROVIDER_UNAVAILABLE, and no other in its place', async () => {
    await refused('native', noAddons, 'native')
    await refused('wasm', noWasm, 'wasm')
  })

  it('not forced: no addons -> wasm, nor WebAssembly -> js', async () => {
    expect((await start('', noAddons)).stdout.trim()).to.equal('wasm')
    expect((await start('', `${noAddons};${noWasm}`)).stdout.trim()).to.equal('js')
  })

  async function refused(forced: string, before: string, said: string): Promise<void> {
    const failure: unknown = await start(forced, before).then(
      () => undefined,
      (error: unknown) => error,
    )
    expect(failure).to.have.property('code').that.is.a('number').above(0)
    expect(failure).to.have.property('stderr').that.includes('PROVIDER_UNAVAILABLE').and.includes(said)
  }
})

describe('secp256k1: the self-test notices a provider that', () => {
  const faults: Readonly<Record<string, Partial<Curve>>> = {
    'signs with another nonce': {
      sign: (digest, secret) =>
        nobleCurve.sign(
          digest.map((byte) => byte ^ 1),
          secret,
        ),
    },
    'flips the recovery bit': {
      sign(digest, secret) {
        const { signature, recovery } = nobleCurve.sign(digest, secret)
        return { signature, recovery: 1 - recovery }
      },
    },
    'verifies anything': { verify: () => true },
    'verifies nothing': { verify: () => false },
    'recovers the compressed form': {
      recover: (...input) => nobleCurve.convert(nobleCurve.recover(...input) ?? new Uint8Array(), true),
    },
    'calls every encoding a point': { isPoint: () => true },
    'leaves out the last summand': { add: (points) => nobleCurve.add(points.slice(0, 1)) },
    'doubles the tweak': {
      tweakAdd: (point, tweak) => nobleCurve.tweakAdd(nobleCurve.tweakAdd(point, tweak) ?? point, tweak),
    },
    'takes ECDH of x alone': {
      ecdh: (publicKey, secret) => nobleCurve.multiply(publicKey, secret)?.slice(1),
    },
    'multiplies by one': { multiply: (point) => nobleCurve.convert(point, true) },
    'adds no tweak to a secret': { tweakSecret: (secret) => secret },
  }
  for (const [fault, wrong] of Object.entries(faults)) {
    it(fault, async () => {
      const { checked } = await import('../../wallet/secp256k1-checked.js')
      const curve = { ...nobleCurve, ...wrong }
      expect(selfTest(checked(curve), curve)).to.be.a('string')
    })
  }

  it('(and is content with those that are right)', async () => {
    const { checked } = await import('../../wallet/secp256k1-checked.js')
    for (const curve of [await loadWasmCurve(), ...(others.length > 1 ? [loadNativeCurve()] : [])]) {
      expect(selfTest(checked(curve), curve)).to.equal(undefined)
    }
  })
})
