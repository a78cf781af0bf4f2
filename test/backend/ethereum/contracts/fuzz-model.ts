// Random channels, and what must be true of them whatever anybody calls.
import { expect } from 'chai'
import {
  ContractWallet,
  HostileHolder,
  HostileToken,
} from '../../../../backend/ethereum/artifacts/testing/index.js'
import {
  type AssetData,
  assetOf,
  type Deployed,
  type DisputeData,
  deployTokenHolder,
  disputeOf,
  type Receipt,
  type SignedStateData,
  type StateData,
  stateHashOf,
} from '../../../../scripts/contracts.js'
import { at, PHASE, stranger, TestChannel, type World } from './world.js'

/** A small generator of random numbers (mulberry32): the same seed, the same run. */
export class Random {
  constructor(private state: number) {}
  /** 0 ≤ number < limit. */
  below(limit: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4_294_967_296) * limit)
  }
  chance(probability: number): boolean {
    return this.below(1_000_000) < probability * 1_000_000
  }
  pick<T>(list: readonly T[]): T {
    return at(list, this.below(list.length))
  }
  /** Splits a total into random parts. */
  split(total: bigint, parts: number): bigint[] {
    const cuts = Array.from({ length: parts - 1 }, () => BigInt(this.below(Number(total) + 1)))
    cuts.sort((a, b) => (a < b ? -1 : 1))
    return [...cuts, total].map((cut, i) => cut - (cuts[i - 1] ?? 0n))
  }
}

/** A kind of money. */
export interface Money {
  readonly holder: Deployed
  readonly asset: AssetData
  readonly token: Deployed | null
}

/** The contracts of a run besides those of the world. */
export interface Scene {
  readonly w: World
  readonly money: readonly Money[]
  /** In the place of a holder, and now and then failing. */
  readonly badHolder: Deployed
  /** A token that now and then fails. */
  readonly badToken: Deployed
  readonly badAsset: AssetData
  /** Who is paid: plain accounts, and contracts that refuse or burn gas. */
  readonly receivers: readonly string[]
}

/** Deploys what a run needs. */
export async function scene(w: World): Promise<Scene> {
  const { chain, adjudicator, ether, asset } = w
  const badToken = await chain.deploy(HostileToken)
  const tokenHolder = await deployTokenHolder(chain, adjudicator, badToken)
  await badToken.send('mint', [chain.sender, 10n ** 30n])
  const badHolder = await chain.deploy(HostileHolder, 0)
  const receivers = [stranger('x'), stranger('y'), stranger('z')]
  for (const mode of [0, 1, 2]) {
    const wallet = await chain.deploy(ContractWallet)
    await wallet.send('setMode', [mode])
    receivers.push(wallet.address)
  }
  return {
    w,
    money: [
      { holder: ether, asset, token: null },
      { holder: tokenHolder, asset: assetOf(chain.chainID, tokenHolder.address), token: badToken },
    ],
    badHolder,
    badToken,
    badAsset: assetOf(chain.chainID, badHolder.address),
    receivers,
  }
}

/** What all parties of a state distribute, per asset. */
const TOTAL = 20n
/** What a parent locks in its child, per asset. */
const LOCKED = 5n
/** Versions that all have signed: 0 to this. */
export const VERSIONS = 5

/** A channel, its signed states, and what has been seen of it. */
export class Subject {
  readonly channel: TestChannel
  readonly states: readonly SignedStateData[]
  readonly finals: readonly SignedStateData[]
  /** States by hash, forced ones as well. */
  readonly known = new Map<string, StateData>()
  /** Whether its participants are distinct. */
  readonly sound: boolean
  /** Its dispute after the last call that touched it. */
  before: DisputeData | undefined
  /** The newest version among the ancestors of the registered state that all have signed. */
  signedVersion = 0n

  constructor(
    readonly s: Scene,
    random: Random,
    index: number,
    /** The sub-channel that it locks money in. */
    readonly child: Subject | null,
    isChild: boolean,
  ) {
    const names = ['ann', 'ben', 'cas', 'dot'].slice(random.below(2), 2 + random.below(3))
    if (names.length < 2) names.push('eve')
    this.sound = isChild || child !== null || !random.chance(0.15)
    if (!this.sound) names.push(at(names, 0))
    const { w, money, badAsset } = s
    const offered = [
      [at(money, 0)],
      [at(money, 1)],
      [at(money, 0), at(money, 1)],
      [at(money, 1), at(money, 0)],
    ].map((list) => list.map((m) => m.asset))
    const assets = [...random.pick(offered)]
    if (random.chance(0.3)) assets.splice(random.below(assets.length + 1), 0, badAsset)
    this.channel = new TestChannel(w, {
      names: child?.names ?? names,
      assets: child?.channel.assets ?? assets,
      nonce: BigInt(index),
      challengeDuration: BigInt(10 + random.below(50)),
      ledgerChannel: !isChild,
      ...(random.chance(0.4) ? { app: w.trivial.address } : {}),
    })
    this.names = child?.names ?? names
    const parts = this.channel.parties.length
    const own = isChild ? LOCKED : child === null ? TOTAL : TOTAL - LOCKED
    const locked = child === null ? [] : [child.channel.locked(this.channel.assets.map(() => LOCKED))]
    const make = (version: number, isFinal: boolean) => {
      const balances = this.channel.assets.map(() => random.split(own, parts))
      return this.channel.make({ version: BigInt(version), balances, isFinal, locked: isFinal ? [] : locked })
    }
    this.states = Array.from({ length: VERSIONS + 1 }, (_, v) => make(v, false))
    this.finals = isChild || child !== null ? [] : [make(2, true), make(VERSIONS + 1, true)]
    for (const { state } of [...this.states, ...this.finals]) this.learn(state)
  }

  readonly names: readonly string[]

  learn(state: StateData): void {
    this.known.set(stateHashOf(state), state)
  }

  dispute(): Promise<DisputeData> {
    return disputeOf(this.s.w.adjudicator, this.channel.id)
  }

  /** The registered state, or undefined. */
  registered(): StateData | undefined {
    const { before } = this
    return before === undefined || before.timeout === 0n ? undefined : this.known.get(before.stateHash)
  }

  isConcluded(): boolean {
    return this.before !== undefined && this.before.timeout !== 0n && this.before.phase === PHASE.concluded
  }

  /** The descendants' states as they are registered, or the newest ones. */
  children(): SignedStateData[] {
    if (this.child === null) return []
    const state = this.child.registered()
    const newest = at(this.child.states, VERSIONS)
    return [state === undefined ? newest : { params: this.child.channel.params, state, sigs: newest.sigs }]
  }

  /**
   * Compares the dispute with what it was before a call that succeeded.
   *
   * @param now time of the call's block
   * @param unanimous version of the state that all have agreed to end the channel with, if it was such a call
   */
  async check(now: bigint, unanimous: bigint | undefined): Promise<void> {
    const { before } = this
    const after = await this.dispute()
    this.before = after
    const label = `${this.channel.id}: ${JSON.stringify([before, after, now, unanimous], text)}`
    const registered = before !== undefined && before.timeout !== 0n
    // Nothing older than a checkpoint or than a state that all have signed.
    if (before !== undefined && !registered) expect(after.version >= before.version, label).to.equal(true)
    if (registered && before.phase === PHASE.concluded) {
      expect(after.version, label).to.equal(before.version)
      expect(after.phase, label).to.equal(PHASE.concluded)
    }
    if (registered && before.phase !== PHASE.concluded) {
      const ended = after.phase === PHASE.concluded
      if (ended && unanimous !== undefined) {
        expect(unanimous >= this.signedVersion, label).to.equal(true)
      } else if (ended) {
        expect(after.stateHash, label).to.equal(before.stateHash)
        expect(now >= before.timeout, label).to.equal(true)
      } else if (after.stateHash !== before.stateHash) {
        expect(after.version > before.version, label).to.equal(true)
        if (after.timeout !== 0n && after.phase === PHASE.dispute) {
          expect(before.phase, label).to.equal(PHASE.dispute)
          expect(now < before.timeout, label).to.equal(true)
          expect(after.timeout, label).to.equal(before.timeout)
        }
        if (after.phase === PHASE.forceExec && before.phase === PHASE.dispute)
          expect(now >= before.timeout, label).to.equal(true)
        if (after.phase === PHASE.forceExec && before.phase === PHASE.forceExec)
          expect(now < before.timeout, label).to.equal(true)
      }
    }
    if (after.phase !== PHASE.forceExec) this.signedVersion = after.version
  }
}

const text = (_: string, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value)

/** What came into and went out of each funding ID, by the holders' events. */
export class Ledger {
  private readonly flows = new Map<string, { in: bigint; out: bigint }>()

  constructor(private readonly s: Scene) {}

  read(receipt: Receipt): void {
    for (const { holder } of this.s.money) {
      for (const { name, args } of holder.events(receipt)) {
        if (name !== 'Deposited' && name !== 'Withdrawn') continue
        const flow = this.flow(holder, String(args[0]))
        if (name === 'Deposited') flow.in += BigInt(args[1])
        else flow.out += BigInt(args[1])
      }
    }
  }

  /** What was deposited is what was paid and what is held: for each channel and for the holder as a whole. */
  async check(subjects: readonly Subject[]): Promise<void> {
    for (const { holder, token } of this.s.money) {
      let all = 0n
      for (const { channel } of subjects) {
        let deposited = 0n
        let paid = 0n
        let held = 0n
        for (const id of idsOf(channel)) {
          const flow = this.flow(holder, id)
          deposited += flow.in
          paid += flow.out
          held += await holder.readBigint('holdings', id)
        }
        expect(paid <= deposited, `${channel.id}: paid ${paid}, deposited ${deposited}`).to.equal(true)
        expect(paid + held, `${channel.id}: paid and held`).to.equal(deposited)
        all += held
      }
      const has =
        token === null
          ? await this.s.w.chain.balance(holder.address)
          : await token.readBigint('balanceOf', holder.address)
      expect(has, 'what the holder has').to.equal(all)
    }
  }

  private flow(holder: Deployed, id: string) {
    const key = `${holder.address} ${id}`
    const flow = this.flows.get(key) ?? { in: 0n, out: 0n }
    this.flows.set(key, flow)
    return flow
  }
}

/** All funding IDs of a channel, its own ID among them. */
export function idsOf(channel: TestChannel): string[] {
  return [
    ...new Set(
      [channel.id, ...channel.parties.keys()].map((i) => (typeof i === 'string' ? i : channel.fundingID(i))),
    ),
  ]
}
