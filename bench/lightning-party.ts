// One of the benchmark's two processes: a Lightning node with a durable store that its peer reaches by TCP, over a real
// chain.
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { BitcoindSource, type TrackerStatus } from 'perkunas/backend/bitcoin/chain'
import { LightningNode, lightningInit, sourceChain } from 'perkunas/backend/bitcoin/node'
import { msat, sat } from 'perkunas/backend/bitcoin/units'
import { BitcoindWallet } from 'perkunas/backend/bitcoin/wallet'
import { type Hex, toHex } from 'perkunas/channel'
import { createIdentity, PeerBus } from 'perkunas/peer'
import { tcpDialer, tcpListener } from 'perkunas/peer/tcp'
import { LmdbStore } from 'perkunas/persistence/lmdb'
import { secp256k1 } from 'perkunas/wallet'
import { median, quantile } from './figures.js'
import { AMOUNT, CAPACITY, HTLCS, PUSH } from './lightning-terms.js'
import { partyCalls, serveParty } from './party.js'
import { openTable } from './updates-floor.js'

/** Who a process is. */
export interface PartyOptions {
  /** An existing directory of its own. */
  readonly directory: string
  /** Of bitcoind's JSON-RPC. */
  readonly url: string
  readonly cookieFile: string
}

/** What the other process and the benchmark must know of this one. */
export interface About {
  readonly peer: Hex
  readonly address: string
  /** Of its wallet. */
  readonly coins: string
  readonly provider: string
}

/** How fast payments were made. */
export interface Pace {
  readonly payments: number
  readonly seconds: number
  /** Milliseconds from the call to the preimage. */
  readonly p50: number
  readonly p99: number
}

/** What this process can be asked. */
export type PartyCalls = Awaited<ReturnType<typeof begin>>['calls'] & {
  begin(options: PartyOptions): Promise<About>
}

async function begin({ directory, url, cookieFile }: PartyOptions) {
  mkdirSync(directory, { recursive: true })
  const store = new LmdbStore(`${directory}/store`)
  const credentials = { cookieFile }
  const source = new BitcoindSource({ url, credentials })
  const waiting = new Set<() => void>()
  let isSynced = false
  const onStatus = ({ kind }: TrackerStatus) => {
    isSynced = kind === 'synced'
    for (const look of [...waiting]) look()
  }
  const chain = sourceChain({ source, network: 'regtest', onStatus })
  const name = createHash('sha256').update(directory).digest('hex').slice(0, 16)
  const wallet = await BitcoindWallet.open({ url, credentials, wallet: name, store })
  const seed = randomBytes(32)
  const bus = new PeerBus({
    identity: createIdentity(seed),
    dialers: [tcpDialer()],
    ...lightningInit(chain.chainHash),
  })
  const address = await bus.listen(tcpListener())
  const node = await LightningNode.start({
    bus,
    store,
    chain,
    wallet,
    seed,
    // As many HTLCs as the protocol allows, and as little of the capacity as reserve as may be.
    policy: { maxAcceptedHtlcs: HTLCS },
    admission: { unfundedPerPeer: 1000 },
  })
  node.handleChannels(() => ({ accept: true }))
  node.errors$.subscribe((error) => console.error(error))
  const table = openTable(directory)
  const { address: coins } = await wallet.newAddress()

  const pay = async (peer: Hex) => {
    const id = toHex(randomBytes(32))
    const request = { kind: 'spontaneous', peer, amount: msat(AMOUNT * 1000n) } as const
    const { status } = await node.payments.pay({ id, request })
    if (status.kind !== 'succeeded') throw new Error(`a payment came to nothing: ${JSON.stringify(status)}`)
  }

  const calls = {
    /** Returns when the chain is read up to a height: nothing can be opened while there is more. */
    async read(height: number): Promise<void> {
      await new Promise<void>((resolve) => {
        const look = () => {
          if (!isSynced || node.height < height) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
      })
    },

    /** Opens so many channels, one after another. */
    async open({ peer, address, count }: { peer: Hex; address: string; count: number }): Promise<void> {
      for (let i = 0; i < count; i++) {
        await node.open({ peer, address, capacity: sat(CAPACITY), push: msat(PUSH) })
      }
    },

    /** Returns when so many channels can be used. */
    async usable(count: number): Promise<void> {
      const isUsable = () => node.channels().filter(({ phase }) => phase === 'normal').length >= count
      await node.eventually(() => isUsable() || undefined)
    },

    /** Pays for some seconds, so many at a time. */
    async pay({ peer, inFlight, seconds }: { peer: Hex; inFlight: number; seconds: number }): Promise<Pace> {
      const samples: number[] = []
      const started = performance.now()
      const end = started + seconds * 1000
      const payer = async () => {
        for (let since = performance.now(); since < end; ) {
          await pay(peer)
          const now = performance.now()
          samples.push(now - since)
          since = now
        }
      }
      await Promise.all(Array.from({ length: inFlight }, payer))
      const took = (performance.now() - started) / 1000
      return {
        payments: samples.length,
        seconds: took,
        p50: median(samples),
        p99: quantile(samples, 0.99),
      }
    },

    ...partyCalls(directory, table),
  }
  const end = async () => {
    await node.stop()
    await bus.close()
    await wallet.close()
    await source.close()
    await store.close()
    await table.close()
  }
  return { calls, end, about: { peer: bus.id, address, coins, provider: secp256k1.name } }
}

serveParty(begin)
