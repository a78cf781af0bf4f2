// Scripts as addresses, and what kind of coin a script makes.
import { Address, OutScript } from '@scure/btc-signer'
import { PerkunasError } from '../../../channel/errors.js'
import { NETWORKS, type Network } from '../chain/index.js'
import type { CoinKind } from './wallet.js'

/** The kind of coin that pays to a script; undefined for scripts that no wallet of ours has. */
export function kindOf(script: Uint8Array): CoinKind | undefined {
  if (script.length === 22 && script[0] === 0x00 && script[1] === 20) return 'p2wpkh'
  return script.length === 34 && script[0] === 0x51 && script[1] === 32 ? 'p2tr' : undefined
}

/** The address of a native segwit script (BIP 173, BIP 350). @throws PerkunasError INVALID_ARGUMENT if it has none */
export function addressOf(script: Uint8Array, network: Network): string {
  const decoded = OutScript.decode(script)
  if (decoded === undefined) {
    throw new PerkunasError('INVALID_ARGUMENT', 'a script that has an address expected', {
      argument: 'script',
    })
  }
  const bech32 = NETWORKS[network].addressPrefix
  // The other prefixes are of addresses that are not made here.
  return Address({ bech32, pubKeyHash: 0, scriptHash: 0, wif: 0 }).encode(decoded)
}
