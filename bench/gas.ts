// `npm run gas`: what the contracts cost, from the receipts of a real node. Two participants and one asset unless
// said. Ends with an error if a limit is exceeded. `--json` prints {key: gas} as the last line.
//
// Inputs are what a client sends: random nonces and so random channel IDs, 32 zero bytes where there is no foreign
// address, amounts of many digits. Receivers of payments are accounts that exist. In a dispute it is one of the two
// participants who sends the transactions from its own account and is paid there, so that its own authorisation is
// spared (but not its signature on the state); everywhere else a third account sends.
import Table from 'cli-table3'
import { hexlify, randomBytes } from 'ethers'
import { TicTacToe } from '../backend/ethereum/artifacts/index.js'
import { startAnvil } from '../scripts/anvil.js'
import {
  anvilParties,
  assetOf,
  Chain,
  closeHashOf,
  deployEther,
  fundingIDOf,
  type ParamsData,
  type Party,
  paramsOf,
  party,
  payoutHashOf,
  type StateOptions,
  sign,
  signState,
  stateHashOf,
  stateOf,
} from '../scripts/contracts.js'

interface Row {
  readonly key: string
  readonly label: string
  readonly reference?: number
  readonly nitro?: number
  readonly limit: number
  readonly measure: () => Promise<number>
}

await using anvil = await startAnvil()
const [sender, other, receiverA, receiverB] = anvilParties(4) as [Party, Party, Party, Party]
const chain = new Chain(anvil, sender.address)
const { adjudicator, ether } = await deployEther(chain)
const game = await chain.deploy(TicTacToe)
const asset = assetOf(chain.chainID, ether.address)
const receivers = [receiverA.address, receiverB.address]
const begin = [1_234_567_890_123_456_789n, 987_654_321_098_765_432n] as const
const end = [1_000_000_000_000_000_001n, 1_222_222_211_222_222_220n] as const

/** A new channel of new keys. */
function channel(options: { readonly count?: number; readonly app?: string; readonly sender?: 0 | 1 } = {}) {
  const parties = Array.from({ length: options.count ?? 2 }, () => party(hexlify(randomBytes(32))))
  if (options.sender !== undefined) parties[options.sender] = sender
  const nonce = BigInt(hexlify(randomBytes(32)))
  const params = paramsOf(parties, {
    challengeDuration: 3600n,
    nonce,
    ...(options.app === undefined ? {} : { app: options.app }),
  })
  return { parties, params }
}
const state = (params: ParamsData, options: Partial<StateOptions> = {}) =>
  stateOf(params, { version: 12n, assets: [asset], balances: [end], ...options })

async function depositAll(params: ParamsData): Promise<number> {
  const { channelID } = state(params)
  let gas = 0
  for (const [i, amount] of begin.entries()) {
    const fundingID = fundingIDOf(channelID, params.participants[i]?.ethAddress ?? '')
    const from = i === 0 ? sender.address : other.address
    gas += (await ether.send('deposit', [fundingID, amount], { from, value: amount })).gasUsed
  }
  return gas
}

async function lifeEthCooperative(): Promise<number> {
  const { parties, params } = channel()
  const gas = await depositAll(params)
  const final = state(params, { isFinal: true })
  const hash = stateHashOf(final)
  const sigs = parties.map((p, i) =>
    sign(p, closeHashOf(chain.chainID, adjudicator.address, hash, receivers[i] ?? '')),
  )
  return gas + (await adjudicator.send('close', [params, final, receivers, sigs])).gasUsed
}

/** The dearer of both orders of participants. */
async function lifeEthDisputed(): Promise<number> {
  return Math.max(await lifeDisputedBy(0), await lifeDisputedBy(1))
}

/** The participant of that index disputes, from its own account. */
async function lifeDisputedBy(index: 0 | 1): Promise<number> {
  const { parties, params } = channel({ sender: index })
  let gas = await depositAll(params)
  const disputed = state(params)
  gas += (await adjudicator.send('register', [signState(params, disputed, parties), []])).gasUsed
  await chain.pass(params.challengeDuration)
  const hash = payoutHashOf(chain.chainID, adjudicator.address, disputed.channelID, receiverB.address)
  const ours = <T>(own: T, others: (party: Party) => T) =>
    parties.map((party, i) => (i === index ? own : others(party)))
  const to = ours(sender.address, () => receiverB.address)
  const sigs = ours('0x', (party) => sign(party, hash))
  return gas + (await adjudicator.send('concludeAndPay', [params, disputed, [], to, sigs])).gasUsed
}

async function register(options: { readonly count?: number; readonly app?: string } = {}): Promise<number> {
  const { parties, params } = channel(options)
  const balances = [parties.map((_, i) => end[0] + BigInt(i))]
  const signed = signState(params, state(params, { balances }), parties)
  return (await adjudicator.send('register', [signed, []])).gasUsed
}

async function progress(): Promise<number> {
  const { parties, params } = channel({ app: game.address })
  const from = state(params, { appData: '0x00010200000000000000' })
  await adjudicator.send('register', [signState(params, from, parties), []])
  await chain.pass(params.challengeDuration)
  const to = state(params, { version: 13n, appData: '0x01010201000000000000' })
  const [actor] = parties as [Party]
  return (await adjudicator.send('progress', [params, from, to, 0, sign(actor, stateHashOf(to))])).gasUsed
}

async function concludeFinal(): Promise<number> {
  const { parties, params } = channel()
  await depositAll(params)
  const final = signState(params, state(params, { isFinal: true }), parties)
  return (await adjudicator.send('concludeFinal', [params, final.state, final.sigs])).gasUsed
}

async function depositEthFirst(): Promise<number> {
  const fundingID = hexlify(randomBytes(32))
  return (await ether.send('deposit', [fundingID, begin[0]], { value: begin[0] })).gasUsed
}

const rows: readonly Row[] = [
  {
    key: 'lifeEthCooperative',
    label: 'whole life, ETH, cooperative, both paid',
    reference: 331_022,
    nitro: 187_418,
    limit: 187_000,
    measure: lifeEthCooperative,
  },
  {
    key: 'lifeEthDisputed',
    label: 'whole life, ETH, disputed, both paid',
    reference: 387_610,
    nitro: 271_076,
    limit: 265_000,
    measure: lifeEthDisputed,
  },
  {
    key: 'registerNoApp',
    label: 'register, no app',
    reference: 110_731,
    nitro: 113_146,
    limit: 95_000,
    measure: register,
  },
  {
    key: 'registerApp',
    label: 'register, app',
    reference: 130_879,
    limit: 100_000,
    measure: () => register({ app: game.address }),
  },
  { key: 'progress', label: 'progress', reference: 89_557, limit: 78_000, measure: progress },
  {
    key: 'concludeFinal',
    label: 'concludeFinal',
    reference: 153_836,
    limit: 115_000,
    measure: concludeFinal,
  },
  {
    key: 'depositEthFirst',
    label: 'deposit ETH, first',
    reference: 45_801,
    nitro: 46_496,
    limit: 46_000,
    measure: depositEthFirst,
  },
  {
    key: 'register10',
    label: 'register, 10 participants',
    reference: 186_727,
    limit: 165_000,
    measure: () => register({ count: 10 }),
  },
]

const table = new Table({
  head: ['operation', 'key', 'reference', 'Nitro', 'limit', 'ours'],
  colAligns: ['left', 'left', 'right', 'right', 'right', 'right'],
  style: { head: [], border: [] },
})
const figure = (n: number | undefined) =>
  n === undefined ? '-' : n.toLocaleString('en').replaceAll(',', ' ')
const explained =
  "In gas. reference: Perun's contracts; Nitro: Nitro's; limit: the most that ours may take. Deposits by `deposit`."
const result: Record<string, number> = {}
for (const { key, label, reference, nitro, limit, measure } of rows) {
  const gas = await measure()
  result[key] = gas
  const ours = gas > limit ? `${figure(gas)} TOO MUCH` : figure(gas)
  table.push([label, key, figure(reference), figure(nitro), figure(limit), ours])
  if (gas > limit) process.exitCode = 1
}
if (process.argv.includes('--json')) {
  console.error(`${table}\n${explained}`)
  console.log(JSON.stringify(result))
} else {
  console.log(`${table}\n${explained}`)
}
