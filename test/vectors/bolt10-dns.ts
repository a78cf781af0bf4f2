// BOLT 10: conditions of queries, and virtual host names.
import { expect } from 'chai'
import {
  ADDRESS_BITS,
  parseSeedQuery,
  parseSeedResult,
  SEED_DEFAULTS,
  type SeedConditions,
  seedQuery,
  virtualHostname,
} from '../../backend/bitcoin/dns.js'
import { type Case, load } from './cases.js'

interface File {
  readonly seed_root: string
  readonly defaults: { readonly r: number; readonly a: number; readonly n: number; readonly l: null }
  readonly address_type_bits: { readonly ipv4: number; readonly ipv6: number }
  readonly queries: readonly {
    readonly name: string
    readonly conditions: {
      readonly r?: number
      readonly a?: number
      readonly n?: number
      readonly l?: string
    }
  }[]
  readonly hostnames: readonly {
    readonly hostname: string
    readonly port: number
    readonly node_id: string
  }[]
}

/** Queries are read and, where no condition comes twice, written; host names both. */
export function cases(): readonly Case[] {
  const { seed_root, defaults, address_type_bits, queries, hostnames } = load<File>('bolt10-dns')
  return [
    ...queries.map(({ name, conditions: { r, a, n, l } }) => ({
      name: `query ${name}`,
      run: () => {
        const conditions: SeedConditions = {
          ...(r === undefined ? {} : { realm: r }),
          ...(a === undefined ? {} : { addressTypes: a }),
          ...(n === undefined ? {} : { count: n }),
          ...(l === undefined ? {} : { nodeID: `0x${l}` }),
        }
        expect(parseSeedQuery(name, seed_root)).to.deep.equal(conditions)
        const written = seedQuery(conditions, seed_root)
        expect(parseSeedQuery(written, seed_root)).to.deep.equal(conditions)
        if (!name.startsWith('n5.')) expect(written).to.equal(name)
      },
    })),
    ...hostnames.map(({ hostname, port, node_id }) => ({
      name: `host name ${hostname.slice(0, 16)}… port ${port}`,
      run: () => {
        expect(parseSeedResult(hostname, port, seed_root)).to.deep.equal({ nodeID: `0x${node_id}`, port })
        expect(virtualHostname(`0x${node_id}`, seed_root)).to.equal(hostname)
      },
    })),
    {
      name: 'defaults and kinds of address',
      run: () => {
        expect(SEED_DEFAULTS).to.deep.equal({
          realm: defaults.r,
          addressTypes: defaults.a,
          count: defaults.n,
        })
        expect(ADDRESS_BITS).to.deep.equal(address_type_bits)
      },
    },
  ]
}
