// Two LDK nodes that do what our two do: in WASM, with nothing stored.
import { randomBytes } from 'node:crypto'
import { toHex } from 'perkunas/channel'
import { startBitcoind } from '../scripts/bitcoind.js'
import { Ldk } from '../scripts/ldk/ldk.js'
import { median, quantile } from './figures.js'
import type { Pace } from './lightning-party.js'
import { AMOUNT, CAPACITY, HTLCS, mine, PUSH } from './lightning-terms.js'

/** Two LDK nodes with a channel. */
export interface Rivals extends AsyncDisposable {
  /** One pays the other for some seconds. */
  pay(terms: { readonly inFlight: number; readonly seconds: number }): Promise<Pace>
  /** Microseconds of processor time that both have used. */
  cpu(): Promise<number>
}

/** On a chain of their own, since LDK's harness takes whatever wallet a node has. */
export async function startRivals(): Promise<Rivals> {
  const bitcoind = await startBitcoind()
  const { url, credentials } = bitcoind
  await bitcoind.rpc('createwallet', ['rivals'])
  const address = await bitcoind.rpc('getnewaddress', ['', 'bech32'])
  await bitcoind.rpc('generatetoaddress', [2, address])
  await mine(bitcoind, 101)
  const policy = { maxAcceptedHtlcs: HTLCS }
  const begin = () => Ldk.start({ rpc: { url, credentials }, seed: toHex(randomBytes(32)), policy })
  const [a, b] = await Promise.all([begin(), begin()])
  await a.call('connect', { peer: b.id, port: b.port })
  const temporary = await a.call('open', { peer: b.id, value: CAPACITY, push: PUSH })
  const { channel } = await a.event('channelPending', (one) => one.temporary === temporary)
  await a.call('sync', null)
  await mine(bitcoind, 6)
  await Promise.all([a, b].map((node) => node.call('sync', null)))
  await Promise.all([a, b].map((node) => node.call('usable', channel)))
  for (const node of [a, b]) await node.call('hush', null)
  await a.call('keepToCore', 0)
  await b.call('keepToCore', 1)
  return {
    async pay(terms) {
      const { samples, seconds } = await a.call('pace', { peer: b.id, amount: AMOUNT * 1000n, ...terms })
      return { payments: samples.length, seconds, p50: median(samples), p99: quantile(samples, 0.99) }
    },
    async cpu() {
      const used = await Promise.all([a, b].map((node) => node.call('cpu', null)))
      return used.reduce((sum, each) => sum + each, 0)
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([a.stop(), b.stop()])
      await bitcoind.stop()
    },
  }
}
