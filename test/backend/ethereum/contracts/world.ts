// A chain with the contracts on it, and channels to try them with.
import { expect } from 'chai'
import { TicTacToe } from '../../../../backend/ethereum/artifacts/index.js'
import { TrivialApp } from '../../../../backend/ethereum/artifacts/testing/index.js'
import { type Anvil, startAnvil } from '../../../../scripts/anvil.js'
import {
  type AssetData,
  anvilParties,
  assetOf,
  Chain,
  channelIDOf,
  closeHashOf,
  type Deployed,
  type DisputeData,
  deployEther,
  disputeOf,
  fundingIDOf,
  NO_FOREIGN,
  type ParamsData,
  type Party,
  paramsOf,
  partyOf,
  payoutHashOf,
  type Receipt,
  Reverted,
  type SignedStateData,
  type StateData,
  type StateOptions,
  sign,
  signState,
  stateHashOf,
  stateOf,
  withdrawalAuthHashOf,
} from '../../../../scripts/contracts.js'

/** Phases as numbers on chain. */
export const PHASE = { dispute: 0, forceExec: 1, concluded: 2 } as const
/** An account that has never been seen. */
export const stranger = (name: string) => partyOf(`stranger ${name}`).address

/** What all tests of a file use. */
export interface World {
  readonly anvil: Anvil
  readonly chain: Chain
  readonly adjudicator: Deployed
  readonly ether: Deployed
  readonly trivial: Deployed
  readonly ticTacToe: Deployed
  readonly asset: AssetData
  /** Accounts of the node, with money. */
  readonly accounts: readonly Party[]
}

/** Deploys everything once for the tests of a block; each test starts from there again. */
export function world(): () => World {
  let made: World | undefined
  let snapshot: unknown
  const get = () => {
    if (made === undefined) throw new Error('the chain is not there yet')
    return made
  }
  before(async () => {
    const anvil = await startAnvil()
    const accounts = anvilParties(10)
    const chain = new Chain(anvil, at(accounts, 0).address)
    const { adjudicator, ether } = await deployEther(chain)
    const trivial = await chain.deploy(TrivialApp)
    const ticTacToe = await chain.deploy(TicTacToe)
    const asset = assetOf(chain.chainID, ether.address)
    made = { anvil, chain, adjudicator, ether, trivial, ticTacToe, asset, accounts }
  })
  after(() => made?.anvil.stop())
  beforeEach(async () => {
    snapshot = await get().anvil.rpc('evm_snapshot')
  })
  afterEach(() => get().anvil.rpc('evm_revert', [snapshot]))
  return get
}

/** An element that must be there. */
export function at<T>(list: readonly T[], index: number): T {
  const element = list[index]
  if (element === undefined) throw new Error(`no element ${index}`)
  return element
}

/** What a channel is made with. */
export interface ChannelOptions extends Partial<ParamsData> {
  readonly names?: readonly string[]
  readonly assets?: readonly AssetData[]
}

/** A channel for tests: its params, and shorthands for what one does with it. */
export class TestChannel {
  readonly parties: readonly Party[]
  readonly params: ParamsData
  readonly id: string
  readonly assets: readonly AssetData[]

  constructor(
    readonly w: World,
    options: ChannelOptions = {},
  ) {
    const { names, assets, ...params } = options
    this.parties = (names ?? ['alice', 'bob']).map(partyOf)
    this.assets = assets ?? [w.asset]
    this.params = paramsOf(this.parties, params)
    this.id = channelIDOf(this.params)
  }

  get addresses(): readonly string[] {
    return this.parties.map((p) => p.address)
  }

  state(options: Partial<StateOptions> = {}): StateData {
    return stateOf(this.params, {
      assets: this.assets,
      balances: this.assets.map(() => this.parties.map((_, i) => BigInt(Math.max(0, 10 - i)))),
      ...options,
    })
  }

  signed(state: StateData, parties: readonly Party[] = this.parties): SignedStateData {
    return signState(this.params, state, parties)
  }

  /** A signed state. */
  make(options: Partial<StateOptions> = {}): SignedStateData {
    return this.signed(this.state(options))
  }

  register(options: Partial<StateOptions> = {}, children: readonly SignedStateData[] = []): Promise<Receipt> {
    return this.w.adjudicator.send('register', [this.make(options), children])
  }

  concludeFinal(options: Partial<StateOptions> = {}): Promise<Receipt> {
    const { params, state, sigs } = this.make({ isFinal: true, ...options })
    return this.w.adjudicator.send('concludeFinal', [params, state, sigs])
  }

  /** Arguments of `close`. */
  closing(state: StateData, receivers: readonly string[], parties = this.parties): unknown[] {
    const hash = stateHashOf(state)
    const { adjudicator, chain } = this.w
    const sigs = parties.map((p, i) =>
      sign(p, closeHashOf(chain.chainID, adjudicator.address, hash, at(receivers, i))),
    )
    return [this.params, state, receivers, sigs]
  }

  /** A participant's permission to be paid everything. */
  payout(index: number, receiver: string): string {
    const { adjudicator, chain } = this.w
    return sign(at(this.parties, index), payoutHashOf(chain.chainID, adjudicator.address, this.id, receiver))
  }

  fundingID(index: number): string {
    return fundingIDOf(this.id, at(this.parties, index).address)
  }

  /** Deposits ether for each participant. */
  async fund(amounts: readonly bigint[], holder: Deployed = this.w.ether): Promise<void> {
    for (const [i, amount] of amounts.entries())
      await holder.send('deposit', [this.fundingID(i), amount], {
        value: holder === this.w.ether ? amount : 0n,
      })
  }

  async holdings(holder: Deployed = this.w.ether): Promise<readonly bigint[]> {
    const all = []
    for (const i of this.parties.keys()) all.push(await holder.readBigint('holdings', this.fundingID(i)))
    return all
  }

  /** Arguments of generation 1's `withdraw`. */
  withdrawal(index: number, receiver: string, amount: bigint, by = at(this.parties, index)): unknown[] {
    const authorization = {
      channelID: this.id,
      participant: { ethAddress: at(this.parties, index).address, ccAddress: '0x' },
      receiver,
      amount,
    }
    return [authorization, sign(by, withdrawalAuthHashOf(authorization))]
  }

  dispute(): Promise<DisputeData> {
    return disputeOf(this.w.adjudicator, this.id)
  }

  /** What is locked for this channel in a parent of the same participants. */
  locked(balances: readonly bigint[], indexMap: readonly number[] = this.parties.map((_, i) => i)) {
    return { ID: this.id, balances, indexMap }
  }
}

/** Expects that a contract refuses a call, and for which reason. Changes nothing. */
export async function refused(
  contract: Deployed,
  method: string,
  args: readonly unknown[],
  reason: string,
  options: { readonly from?: string; readonly value?: bigint } = {},
): Promise<void> {
  await refusedData(contract, contract.encode(method, ...args), reason, options)
}

/** As `refused`, with the call's bytes. */
export async function refusedData(
  contract: Deployed,
  data: string,
  reason: string,
  options: { readonly from?: string; readonly value?: bigint } = {},
): Promise<void> {
  try {
    await contract.chain.call(contract.address, data, options)
  } catch (error) {
    if (!(error instanceof Reverted)) throw error
    expect(error.message).to.contain(reason)
    return
  }
  expect.fail(`was not refused, but should be for "${reason}"`)
}

/** The names and arguments of a contract's events. */
export function eventsOf(contract: Deployed, receipt: Receipt): unknown[][] {
  return contract.events(receipt).map((e) => [e.name, ...e.args.toArray()])
}

export { NO_FOREIGN }
