// Writes what two clients have written after they opened very many channels with each other. Nothing is proposed and
// no coin moves, which would take an hour; the states, the signatures, the machine that checks them and the records
// are the client's own.
import {
  apply,
  type Balances,
  fromHex,
  type Hex,
  initialState,
  type Machine,
  NO_APP,
  NO_AUX,
  newMachine,
  noApp,
  type Operation,
  type Params,
  PerkunasError,
  type Rules,
} from 'perkunas/channel'
import { LmdbStore } from 'perkunas/persistence/lmdb'
import { MemoryWallet } from 'perkunas/wallet'
import { channelRecord } from '../client/conversation.js'
import { created } from '../client/records.js'
import { serve } from './child.js'
import { type Contracts, openLedger } from './updates-ledger.js'

/** Whose channels are written: the participants in their order. */
export interface Owner {
  /** An existing directory of its own. */
  readonly directory: string
  readonly peer: Hex
  /** The secret of its account. */
  readonly secret: Hex
}

/** What this process can be asked. */
export interface WriterCalls {
  readonly [name: string]: (argument: never) => unknown
  readonly write: typeof write
}

/** Channels in one commit. */
const BATCH = 256
const BALANCES: Balances = [[10n ** 15n, 10n ** 15n]]

async function write(options: {
  readonly owners: readonly Owner[]
  readonly contracts: Contracts
  readonly channels: number
}): Promise<{ readonly bytesEach: number }> {
  const { owners, contracts, channels } = options
  const wallet = new MemoryWallet(owners.map(({ secret }) => fromHex(secret)))
  const accounts = await Promise.all((await wallet.addresses()).map((address) => wallet.account(address)))
  const [signer] = accounts
  if (signer === undefined) throw new Error('somebody owns the channels')
  const { backend, asset } = await openLedger(contracts, { wallet, signer })
  const stores = owners.map(({ directory }) => new LmdbStore(`${directory}/store`))
  const { rules: ledger, adjudicator } = backend
  const rules: Rules = { ledger, app: noApp }
  const cursor = await adjudicator.cursor()
  const peers = owners.map(({ peer }) => peer)
  let bytes = 0
  const opened = (nonce: bigint): Machine => {
    const params: Params = {
      challengeDuration: 3_600n,
      participants: accounts.map(({ address }) => ({ [ledger.backend]: address })),
      app: NO_APP,
      nonce,
      ledgerChannel: true,
      virtualChannel: false,
      aux: NO_AUX,
    }
    const id = ledger.channelID(params)
    const state = initialState(id, params, { assets: [asset], balances: BALANCES, locked: [] }, '0x')
    const message = ledger.message(params, state)
    const operations: Operation[] = [
      { kind: 'init', state },
      ...accounts.map((account, participant) => {
        return { kind: 'addSignature', participant, signature: account.sign(message) } as const
      }),
      { kind: 'enable' },
      { kind: 'funded' },
    ]
    return operations.reduce(
      (machine, operation) => {
        const next = apply(machine, operation, rules)
        if (next instanceof PerkunasError) throw next
        return next
      },
      newMachine(id, params, 0),
    )
  }
  for (let done = 0; done < channels; done += BATCH) {
    const machines = Array.from({ length: Math.min(BATCH, channels - done) }, (_, i) =>
      opened(BigInt(done + i)),
    )
    await Promise.all(
      stores.map((store, index) => {
        const batch = machines.flatMap((machine) =>
          created({ ...channelRecord({ ...machine, index }, peers, BALANCES), cursor }),
        )
        if (index === 0) for (const one of batch) bytes += one.kind === 'put' ? one.value.length : 0
        return store.commit(batch)
      }),
    )
  }
  await Promise.all(stores.map((store) => store.close()))
  await backend.close()
  return { bytesEach: bytes / channels }
}

serve({ write }, async () => {})
