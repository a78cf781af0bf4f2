// What the processes of the takeover test have in common: a client over TCP and a real node.
import { EthereumBackend } from '../../backend/ethereum/index.js'
import { fromHex, type Hex, transfer } from '../../channel/index.js'
import { accept, type Channel, Client, type ClientOptions } from '../../client/index.js'
import type { PeerBus } from '../../peer/index.js'
import { MemoryWallet } from '../../wallet/index.js'

/** The node and its contracts. */
export interface Ledger {
  readonly rpc: string
  readonly adjudicator: Hex
  readonly holder: Hex
  readonly firstBlock: number
}

/** Who takes part, and who pays for transactions. */
export interface Keys {
  /** Of the account that takes part. */
  readonly secret: Hex
  /** Of the account that pays. */
  readonly payer: Hex
}

/** Milliseconds. Short: whoever waits for a process that is dead asks again soon. */
const TIMEOUTS = { proposal: 10_000, update: 1_500, settlement: 5_000 }

/** A client that accepts everything. */
export async function makeClient(
  { rpc, adjudicator, holder, firstBlock }: Ledger,
  { secret, payer }: Keys,
  options: Pick<ClientOptions, 'store' | 'leases'> & { readonly bus: PeerBus },
) {
  const wallet = new MemoryWallet([fromHex(secret), fromHex(payer)])
  const [own, paying] = await wallet.addresses()
  if (own === undefined || paying === undefined) throw new Error('a wallet with two keys has two addresses')
  const backend = await EthereumBackend.connect({
    provider: rpc,
    signer: await wallet.account(paying),
    wallet,
    adjudicator,
    holders: [holder],
    firstBlock,
    finalityDepth: 1,
    pollingInterval: 20,
  })
  const client = new Client({ ...options, wallet, backend, address: own, timeouts: TIMEOUTS })
  client.handleProposals(() => accept())
  client.handleUpdates(() => accept())
  return { client, backend, asset: backend.asset(holder) }
}

/** Pays the other one a wei again and again until it is over; what fails is tried again. */
export async function keepPaying(
  channel: Channel,
  pause: number,
  isOver: () => boolean,
  paid: () => void,
): Promise<void> {
  const { index } = channel
  while (!isOver() && channel.phase !== 'withdrawn') {
    try {
      await channel.update((draft) => transfer(draft, { from: index, to: 1 - index, amount: 1n }))
      paid()
    } catch {
      // Nobody answered in time, or the other one has nothing left: it pays, too.
    }
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
}
