// The providers of secp256k1 that load here, for tests that compare them or run once for each.
import { isError } from '../../channel/errors.js'
import { loadSecp256k1, type Secp256k1 } from '../../wallet/secp256k1.js'

/** The JavaScript provider, which the others are held to. */
export const js = await loadSecp256k1('js')

/** The others, fastest first. The addon has no binaries for some platforms. */
export const others: readonly Secp256k1[] = await loaded()

/** All of them. */
export const providers: readonly Secp256k1[] = [js, ...others]

async function loaded(): Promise<Secp256k1[]> {
  const found: Secp256k1[] = []
  for (const name of ['native', 'wasm'] as const) {
    try {
      found.push(await loadSecp256k1(name))
    } catch (error) {
      if (!isError(error, 'PROVIDER_UNAVAILABLE')) throw error
    }
  }
  return found
}
