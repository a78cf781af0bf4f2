// BOLT 7, "The node_announcement Message": where a node listens, as a list of typed addresses of different lengths.
import { base32nopad } from '@scure/base'
import { Reader } from '../../../peer/wire/reader.js'
import { Writer } from '../../../peer/wire/writer.js'

/** Where a node listens. Ports are 0 to 65535; others than 1 to 65535 are of no use. */
export type NodeAddress =
  | { readonly kind: 'ipv4'; readonly host: Uint8Array; readonly port: number }
  | { readonly kind: 'ipv6'; readonly host: Uint8Array; readonly port: number }
  /** 35 bytes: key, checksum, version. */
  | { readonly kind: 'tor v3'; readonly host: Uint8Array; readonly port: number }
  /** ASCII. */
  | { readonly kind: 'dns'; readonly host: string; readonly port: number }

/** Addresses, and what follows the first of a type that we don't know: it has no length, so nothing behind it can be read. */
export interface NodeAddresses {
  readonly addresses: readonly NodeAddress[]
  /** Empty if all were known. */
  readonly rest: Uint8Array
}

const LENGTHS = { ipv4: 4, ipv6: 16, 'tor v3': 35 } as const
const KINDS = new Map([
  [1, 'ipv4'],
  [2, 'ipv6'],
  [4, 'tor v3'],
  [5, 'dns'],
] as const)
/** Tor v2, which is gone: 10 bytes and a port, skipped. */
const TOR_V2 = 3

/** @throws PerkunasError INVALID_MESSAGE if an address ends early, or a host name is not ASCII */
export function decodeAddresses(bytes: Uint8Array): NodeAddresses {
  const from = new Reader(bytes, 'addresses')
  const addresses: NodeAddress[] = []
  while (from.left > 0) {
    const start = from.at
    const type = from.u8()
    const kind = KINDS.get(type as 1 | 2 | 4 | 5)
    if (type === TOR_V2) from.bytes(12)
    else if (kind === undefined) return { addresses, rest: bytes.slice(start) }
    else if (kind === 'dns') addresses.push({ kind, host: ascii(from, from.u8()), port: from.u16() })
    else addresses.push({ kind, host: from.bytes(LENGTHS[kind]), port: from.u16() })
  }
  return { addresses, rest: new Uint8Array(0) }
}

/** In the order of their types, as is asked for. @throws PerkunasError INVALID_ARGUMENT */
export function encodeAddresses(addresses: readonly NodeAddress[]): Uint8Array {
  const to = new Writer('addresses')
  for (const [type, kind] of KINDS) {
    const ofKind = addresses.filter((one) => one.kind === kind)
    if (kind === 'dns' && ofKind.length > 1) to.fail('one host name at most')
    for (const address of ofKind) {
      to.u8(type)
      if (address.kind === 'dns') {
        if (!/^[\x21-\x7e]{1,255}$/.test(address.host))
          to.fail('host name of 1 to 255 ASCII characters expected')
        to.u8(address.host.length)
        to.bytes(new TextEncoder().encode(address.host))
      } else to.bytes(address.host, LENGTHS[address.kind])
      to.u16(address.port)
    }
  }
  return to.done()
}

/** The host as people write it. */
export function formatHost(address: NodeAddress): string {
  if (address.kind === 'dns') return address.host
  const { kind, host } = address
  if (kind === 'ipv4') return host.join('.')
  if (kind === 'tor v3') return `${base32nopad.encode(host).toLowerCase()}.onion`
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((host[2 * i] ?? 0) << 8) | (host[2 * i + 1] ?? 0)).toString(16),
  )
  return groups.join(':')
}

function ascii(from: Reader, length: number): string {
  const bytes = from.bytes(length)
  if (!bytes.every((byte) => byte > 0x20 && byte < 0x7f)) from.fail('host name is not ASCII')
  return String.fromCharCode(...bytes)
}
