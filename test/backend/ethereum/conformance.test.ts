// Ethereum, on a real node, under the suite that every ledger passes; with PERKUNAS_TEST_CONTRACTS (see
// docs/real-network.md) on contracts of generation 1 that are not ours, too.
import {
  CHALLENGE_DURATION,
  capabilitiesOf,
  type EthereumBackend,
  type Generation,
  KNOWN_CONTRACTS,
  type KnownContracts,
} from '../../../backend/ethereum/index.js'
import { type Index, type State, type StateApp, stateOf, toHex } from '../../../channel/index.js'
import { type BackendWorld, describeBackend, ecdsaTwins } from '../../conformance/index.js'
import {
  type Chain,
  type CreationCodes,
  foreignContracts,
  idle,
  looked,
  Party,
  pass,
  startChain,
} from './world.js'

interface EthereumWorld extends BackendWorld {
  readonly chain: Chain
  readonly members: readonly Party[]
}

/** `from`, after the actor gave 1 of the first asset to the next participant. */
function paid(from: State, actor: Index, data = from.data): State {
  const { balances, assets } = from.allocation
  const [first = [], ...others] = balances
  const payee = (actor + 1) % first.length
  const row = first.map((amount, i) => amount - (i === actor ? 1n : 0n) + (i === payee ? 1n : 0n))
  const draft = { assets, balances: [row, ...others].map((each) => [...each]), data, isFinal: false }
  return stateOf(from, draft, from.version + 1n)
}

const foreign = foreignContracts()
conform('ethereum', undefined, [
  ['our contracts', 'perkunas', asOf('perkunas')],
  ['our contracts as if they were of generation 1', 'reference', asOf('reference')],
])
if (foreign) conform('ethereum, foreign', foreign, [['contracts of generation 1', 'reference', {}]])

/** Runs the suite on one deployment, taken for what each row says of it. */
function conform(
  title: string,
  codes: CreationCodes | undefined,
  rows: readonly (readonly [name: string, generation: Generation, known: KnownContracts])[],
): void {
  describe(title, () => {
    let chain: Chain

    before(async () => {
      chain = await startChain({}, codes)
    })

    after(async () => {
      await chain[Symbol.asyncDispose]()
    })

    for (const [name, generation, known] of rows) {
      describeBackend<EthereumWorld>(`ethereum, ${name}`, {
        capabilities: capabilitiesOf({
          generation,
          challengeDuration: CHALLENGE_DURATION,
          finalityDepth: 1,
        }),
        async setup({ parties: count, finalityDepth }) {
          const members = await Promise.all(Array.from({ length: count }, () => Party.create(chain)))
          const options = { finalityDepth, knownContracts: known }
          const parties = await Promise.all(
            members.map(async (party) => ({
              backend: await party.connect(options),
              participant: { 1: party.address },
              sign: (message: Uint8Array) => party.sign(message),
              restart: () => party.connect(options),
            })),
          )
          const backends = () => members.flatMap((party): EthereumBackend[] => party.backends)
          const [first] = backends()
          if (first === undefined) throw new Error('a party expected')
          return {
            chain,
            members,
            parties,
            assets: [first.asset(chain.contracts.ethHolder), first.asset(chain.tokenHolder)],
            // Time flies only while nobody works: transactions take a moment on a real node.
            async advance(duration) {
              await idle(backends())
              await pass(chain.anvil, duration)
            },
            async mine(blocks) {
              await chain.anvil.rpc('anvil_mine', [`0x${blocks.toString(16)}`])
              // Each block takes a second of the chain's time: everybody shall see it before the next comes.
              await looked(backends())
            },
            async balanceOf(index, asset) {
              return (await members[index]?.balanceOf(asset)) ?? 0n
            },
          }
        },
        async teardown({ members }) {
          for (const party of members) await party.close()
        },
        async reorg(_, depth) {
          await chain.anvil.rpc('anvil_reorg', [depth, []])
        },
        app: () => {
          const app: StateApp = {
            kind: 'state',
            id: chain.app,
            faultOfInit: () => undefined,
            faultOfTransition: (_params, _from, to) =>
              to.data.startsWith('0xff') ? 'data may not begin with ff' : undefined,
          }
          return { app, data: '0x00', step: paid, badStep: (from, actor) => paid(from, actor, '0xff') }
        },
        anyApp: `0x${'a9'.repeat(20)}`,
        stranger: (index) => ({ 1: toHex(new Uint8Array(20).fill(index + 1)) }),
        twins: ecdsaTwins,
      })
    }
  })
}

/** Our contracts, taken for those of a generation: without the calls that only ours have, if it is the older one. */
function asOf(generation: Generation): KnownContracts {
  const known = Object.entries(KNOWN_CONTRACTS).filter(([, contract]) => contract.generation === 'perkunas')
  return Object.fromEntries(known.map(([hash, { kind }]) => [hash, { kind, generation }]))
}
