// Real clients on a simulated ledger and a network in memory: all that is between is what users run.
import { SimBackend, SimLedger, SimNode } from '../../backend/sim/index.js'
import {
  type AppResolver,
  type Asset,
  appResolver,
  fromHex,
  type PerkunasError,
} from '../../channel/index.js'
import { accept, type Channel, Client, type ClientOptions, type ProposalOptions } from '../../client/index.js'
import { type Bus, type MemoryNetwork, memoryNetwork, type PeerID } from '../../peer/index.js'
import { MemoryStore } from '../../persistence/index.js'
import { MemoryWallet } from '../../wallet/index.js'

/** One user with all that is hers. */
export interface Party {
  readonly name: string
  readonly peer: PeerID
  readonly secret: Uint8Array
  wallet: MemoryWallet
  readonly address: `0x${string}`
  store: MemoryStore
  readonly node: SimNode
  readonly finalityDepth: number
  backend: SimBackend
  bus: Bus
  client: Client
  /** Everything that its client reported. */
  readonly errors: PerkunasError[]
}

/** What a group of parties shares. */
export interface Group {
  readonly ledger: SimLedger
  readonly network: MemoryNetwork
  readonly assets: readonly [Asset, Asset]
  readonly apps: AppResolver
  readonly parties: readonly Party[]
}

/** What every party owns of each asset at the start. */
export const WEALTH = 1_000n

const NAMES = ['alice', 'bob', 'carol', 'dave', 'erin']

/** Makes parties who accept every proposal and every update. */
export async function group(
  size: number,
  options: {
    readonly apps?: AppResolver
    readonly client?: Partial<ClientOptions>
    readonly autoMine?: 'instant' | 'microtask' | 'off'
    readonly finalityDepth?: number
    /** Whether their stores answer at once. */
    readonly hasPeek?: boolean
  } = {},
): Promise<Group> {
  const apps = options.apps ?? appResolver()
  const ledger = new SimLedger({ apps, autoMine: options.autoMine ?? 'microtask' })
  const network = memoryNetwork()
  const assets = [ledger.createAsset(), ledger.createAsset()] as const
  const parties: Party[] = []
  for (const [i, name] of NAMES.slice(0, size).entries()) {
    const secret = fromHex(`0x${(i + 1).toString(16).padStart(64, '0')}`)
    const wallet = new MemoryWallet([secret])
    const [address] = await wallet.addresses()
    if (address === undefined) throw new Error('a wallet has an address')
    for (const asset of assets) ledger.mint(asset, address, WEALTH)
    const node = new SimNode(ledger)
    const peer: PeerID = `0x02${[1, 2, 3, 4, 6][i]?.toString(16).padStart(64, '0')}` // points on the curve
    const finalityDepth = options.finalityDepth ?? 1
    const shared = { name, peer, secret, wallet, address, node, finalityDepth, errors: [] }
    const store = new MemoryStore()
    if (options.hasPeek === false) Object.assign(store, { peek: undefined })
    parties.push({ ...shared, ...began({ ...shared, store }, network, apps, options.client) })
  }
  return { ledger, network, assets, apps, parties }
}

/** The party again after its process died: only what was stored and the keys are left. */
export async function restarted(
  party: Party,
  group: Group,
  client: Partial<ClientOptions> = {},
): Promise<Party> {
  await kill(party)
  const next = reborn(party, group, client)
  await next.client.restore()
  return next
}

/** A party whose process is dead, with a new one that has not restored anything yet. */
export function reborn(party: Party, { network, apps }: Group, client: Partial<ClientOptions> = {}): Party {
  const store = party.store.clone()
  const wallet = new MemoryWallet([party.secret])
  const errors: PerkunasError[] = []
  return { ...party, errors, ...began({ ...party, wallet, store, errors }, network, apps, client) }
}

/** Ends a party's process without a word. */
export async function kill(party: Party): Promise<void> {
  await party.bus.close()
  await party.backend.close()
  await party.client.close()
}

/** Opens a channel between all parties of a group, the first one proposing. */
export async function open(
  { parties, assets }: Group,
  options: Partial<ProposalOptions> = {},
): Promise<readonly Channel[]> {
  const [proposer, ...others] = parties
  if (proposer === undefined) throw new Error('a group has parties')
  const opened = others.map(({ client }) => next(client))
  const channel = await proposer.client.proposeChannel({
    peers: others.map(({ peer }) => peer),
    allocation: { assets: [assets[0]], balances: [parties.map(() => 100n)] },
    challengeDuration: 60n,
    ...options,
  })
  return [channel, ...(await Promise.all(opened))]
}

/** The next channel that a client opens. */
export function next(client: Client): Promise<Channel> {
  return new Promise((resolve) => {
    const subscription = client.newChannels$.subscribe((channel) => {
      subscription.unsubscribe()
      resolve(channel)
    })
  })
}

function began(
  party: Pick<Party, 'peer' | 'wallet' | 'address' | 'node' | 'finalityDepth'> & {
    store: MemoryStore
    errors: PerkunasError[]
  },
  network: MemoryNetwork,
  apps: AppResolver,
  options: Partial<ClientOptions> = {},
) {
  const { wallet, address, store, node, finalityDepth } = party
  const bus = network.bus(party.peer)
  const backend = new SimBackend({ ledger: node, account: address, wallet, finalityDepth })
  const client = new Client({ bus, store, wallet, backend, address, apps, ...options })
  client.handleProposals(() => accept())
  client.handleUpdates(() => ({ accept: true }))
  client.errors$.subscribe((error) => party.errors.push(error))
  return { bus, backend, client, store, wallet }
}

/** Waits for the ledger or a client, turn by turn of the event loop. */
export async function settled(done: () => boolean): Promise<void> {
  for (let turn = 0; !done(); turn++) {
    if (turn > 2_000) throw new Error('it never happens')
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

/** Lets the ledger's clock run to each deadline that somebody waits for, until it is done. */
export async function passTime({ ledger }: Group, done: () => boolean): Promise<void> {
  await settled(() => {
    const [deadline] = ledger.deadlines
    if (deadline !== undefined) ledger.advanceTo(deadline)
    return done()
  })
}

/** The party at an index. */
export function who(world: Group, i: number): Party {
  const party = world.parties[i]
  if (party === undefined) throw new Error(`no party ${i}`)
  return party
}

/** What a promise fails with. */
export async function failure(promise: Promise<unknown>): Promise<PerkunasError> {
  try {
    await promise
  } catch (error) {
    return error as PerkunasError
  }
  throw new Error('it should have failed')
}
