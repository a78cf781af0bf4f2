// The simulated ledger under the suite that every ledger passes.
import type { LedgerOptions, SimBackend } from '../../../backend/sim/index.js'
import { simCapabilities } from '../../../backend/sim/rules.js'
import {
  type AppID,
  appResolver,
  type Index,
  paymentApp,
  type State,
  stateOf,
  toHex,
} from '../../../channel/index.js'
import { type BackendWorld, describeBackend, ecdsaTwins } from '../../conformance/index.js'
import { simWorld } from './world.js'

const PAYMENT: AppID = `0x${'99'.repeat(20)}`
const app = paymentApp(PAYMENT)

/** `from`, after the actor gave 1 of the first asset to the next participant, or took it. */
function paid(from: State, actor: Index, amount: bigint): State {
  const { balances, assets } = from.allocation
  const to = (actor + 1) % (balances[0]?.length ?? 1)
  const [first = [], ...others] = balances
  const row = first.map((before, i) => before - (i === actor ? amount : 0n) + (i === to ? amount : 0n))
  const draft = {
    assets,
    balances: [row, ...others].map((each) => [...each]),
    data: from.data,
    isFinal: false,
  }
  return stateOf(from, draft, from.version + 1n)
}

function setUp(autoMine: LedgerOptions['autoMine']) {
  return async ({ parties: count, finalityDepth }: { parties: number; finalityDepth: number }) => {
    const { ledger, assets, parties } = simWorld({
      parties: count,
      finalityDepth,
      apps: appResolver(app),
      ...(autoMine && { autoMine }),
    })
    const opened: SimBackend[] = parties.map(({ backend }) => backend)
    const world: BackendWorld & { readonly ledger: typeof ledger; readonly opened: SimBackend[] } = {
      ledger,
      opened,
      assets,
      parties: parties.map(({ backend, address, sign, open }) => ({
        backend,
        participant: { 0: address },
        sign,
        restart: async () => {
          const again = open()
          opened.push(again)
          return again
        },
      })),
      advance: async (duration) => ledger.advance(duration),
      mine: async (blocks) => ledger.mine(blocks),
      balanceOf: async (index, asset) => ledger.balanceOf(asset, parties[index]?.address ?? '0x'),
    }
    return world
  }
}

for (const [autoMine, drop] of [
  ['microtask', false],
  ['instant', true],
] as const) {
  describeBackend(`sim, ${autoMine}, reorgs that ${drop ? 'lose' : 'keep'} transactions`, {
    capabilities: simCapabilities(1),
    setup: setUp(autoMine),
    teardown: async ({ opened }) => {
      for (const backend of opened) await backend.close()
    },
    reorg: async ({ ledger }, depth) => ledger.reorg(depth, { drop }),
    app: () => ({
      app,
      data: '0x',
      step: (from, actor) => paid(from, actor, 1n),
      badStep: (from, actor) => paid(from, actor, -1n),
    }),
    anyApp: PAYMENT,
    stranger: (i) => ({
      0: toHex(
        Uint8Array.from({ length: 20 }, (_, byte) => (byte < 18 ? 0xee : byte === 18 ? i >> 8 : i & 255)),
      ),
    }),
    twins: ecdsaTwins,
  })
}
