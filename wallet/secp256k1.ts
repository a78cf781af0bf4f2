// The one secp256k1 of this package: the fastest provider that loads and passes its self-test.
import { PerkunasError } from '../channel/errors.js'
import { checked } from './secp256k1-checked.js'
import type { Curve, ProviderName, Secp256k1 } from './secp256k1-curve.js'
import { loadNativeCurve } from './secp256k1-native.js'
import { nobleCurve } from './secp256k1-noble.js'
import { selfTest } from './secp256k1-selftest.js'
import { loadWasmCurve } from './secp256k1-wasm.js'

export type { ProviderName, RecoverableSignature, Secp256k1 } from './secp256k1-curve.js'

const LOADERS: Readonly<Record<ProviderName, () => Curve | Promise<Curve>>> = {
  native: loadNativeCurve,
  wasm: loadWasmCurve,
  js: () => nobleCurve,
}

/**
 * Loads one provider and puts it to its self-test (the JavaScript one, which the test is made from, excepted).
 *
 * For benchmarks and tests; everything else uses {@link secp256k1}.
 *
 * @throws PerkunasError PROVIDER_UNAVAILABLE if there is no such provider here, or it answers wrongly
 */
export async function loadSecp256k1(name: ProviderName): Promise<Secp256k1> {
  try {
    const curve = await LOADERS[name]()
    const provider = checked(curve)
    const wrong = name === 'js' ? undefined : selfTest(provider, curve)
    if (wrong !== undefined) throw new Error(`self-test failed at ${wrong}`)
    return provider
  } catch (cause) {
    throw new PerkunasError(
      'PROVIDER_UNAVAILABLE',
      `the ${name} provider of secp256k1 can't be had: ${cause instanceof Error ? cause.message : String(cause)}`,
      { provider: name },
      { cause },
    )
  }
}

/**
 * The provider in use: native, else WebAssembly, else JavaScript.
 *
 * The environment variable PERKUNAS_SECP256K1 (`js`, `wasm`, `native`) demands one of them; importing this module
 * then fails with PROVIDER_UNAVAILABLE if it can't be had.
 */
export const secp256k1: Secp256k1 = await choose(
  typeof process === 'undefined' ? undefined : process.env?.['PERKUNAS_SECP256K1'],
)

async function choose(forced: string | undefined): Promise<Secp256k1> {
  if (forced !== undefined && forced !== '') {
    if (forced === 'js' || forced === 'wasm' || forced === 'native') return loadSecp256k1(forced)
    throw new PerkunasError(
      'PROVIDER_UNAVAILABLE',
      `PERKUNAS_SECP256K1: js, wasm or native expected, got ${forced.slice(0, 80)}`,
      { provider: forced.slice(0, 80) },
    )
  }
  for (const name of ['native', 'wasm'] as const) {
    try {
      return await loadSecp256k1(name)
    } catch {
      // Not installed, not for this platform, or wrong: the next one.
    }
  }
  return loadSecp256k1('js')
}
