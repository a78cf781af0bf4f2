// What may happen in a run on Bitcoin: users' actions, accidents, attacks. Each step draws from a stream of its own, so that it
// stays what it is when others are left out.
import { sha256 } from '../../../backend/bitcoin/script/index.js'
import { toHex, transfer } from '../../../channel/index.js'
import type { Channel } from '../../../client/index.js'
import type { StoreFault } from '../disk.js'
import type { Random } from '../random.js'
import { BLOCK_MS } from './pace.js'
import type { BitcoinParty } from './party.js'
import type { BitcoinScene } from './scene.js'
import { preimageOf } from './secrets.js'

/** All that a step may touch. */
export interface BitcoinStage {
  readonly scene: BitcoinScene
  readonly parties: readonly BitcoinParty[]
  readonly miner: Miner
}

/** Who makes blocks. */
export interface Miner {
  /** Lets the next blocks take little or nothing. */
  starve(blocks: number, share: number): void
  /** Replaces the newest blocks. */
  reorg(depth: number, drop: boolean): void
  /** Makes room dear for so many blocks. */
  crowd(blocks: number, floor: bigint): void
}

const KINDS = {
  propose: 8,
  pay: 40,
  cross: 10,
  lock: 12,
  answer: 10,
  settle: 3,
  crash: 8,
  kill: 3,
  disconnect: 6,
  partition: 3,
  weather: 2,
  reorg: 3,
  starve: 3,
  crowd: 1,
  outage: 2,
  cheat: 1,
  recant: 2,
} as const

/** The share of chances that a cheat takes. */
const CHEATS = 0.25

/** Blocks that nothing is undone below. */
const MAX_REORG = 5

/** One step. */
export function takeBitcoinStep(stage: BitcoinStage, random: Random): void {
  const kind = random.weighted(KINDS)
  const { scene, parties, miner } = stage
  const party = random.pick(parties)
  if (party === undefined) return
  switch (kind) {
    case 'propose':
      return propose(stage, party, random)
    case 'pay': {
      const channel = pickOpen(party, random)
      return channel && pay(party, channel, random)
    }
    case 'cross': {
      const channel = pickOpen(party, random)
      if (channel === undefined) return
      for (const each of parties) {
        for (const one of each.channels) {
          if (one.peers.join() === channel.peers.join()) {
            for (let i = random.between(1, 4); i > 0; i--) pay(each, one, random)
          }
        }
      }
      return
    }
    case 'lock': {
      const channel = pickOpen(party, random)
      return channel && lock(party, channel, random)
    }
    case 'answer': {
      const channel = random.pick(party.channels.filter(({ locks }) => locks.length > 0))
      return channel && answer(party, channel, random)
    }
    case 'settle': {
      const channel = random.pick(party.channels)
      return channel && settle(party, channel)
    }
    case 'crash':
      return party.canLeave ? party.plan(drawFault(random)) : undefined
    case 'kill':
      return party.canLeave ? party.kill() : undefined
    case 'disconnect':
    case 'partition': {
      const other = random.pick(parties.filter((it) => it !== party))
      if (other === undefined) return
      scene.tell(`net ${party.name} x ${other.name}`)
      const [a, b] = [party.identity.id, other.identity.id]
      if (kind === 'disconnect') return scene.network.disconnect(a, b)
      scene.network.cut(a, b)
      scene.time.after(random.int(2 * BLOCK_MS), () => scene.network.mend(a, b))
      return
    }
    case 'weather':
      scene.network.weather.lost = random.chance(0.5) ? 0 : random.int(40) / 1_000
      scene.network.weather.latency = random.chance(0.7) ? 50 : 600
      return
    case 'reorg': {
      const depth = random.between(1, MAX_REORG)
      scene.tell(`chain reorg ${depth}`)
      return miner.reorg(depth, random.chance(0.3))
    }
    case 'starve':
      return miner.starve(random.between(1, 3), random.chance(0.5) ? 0 : 0.05)
    case 'crowd':
      return miner.crowd(random.between(2, 12), BigInt(random.between(500, 5_000)))
    case 'outage':
      return party.canLeave ? party.cutChain(random.int(2 * BLOCK_MS)) : undefined
    case 'cheat':
    case 'recant': {
      // It is over for a cheat then: about half of them wait for the end.
      const cheat = random.chance(CHEATS) ? parties.find(({ isHonest }) => !isHonest) : undefined
      return kind === 'cheat' ? cheat?.cheat(random) : cheat?.recant(random.between(0, 5))
    }
  }
}

/** What goes wrong at a commit to come. */
export function drawFault(random: Random): StoreFault {
  return {
    commits: random.int(6),
    how: random.weighted({ before: 3, between: 4, after: 4, error: 1 }),
    effects: random.int(5),
  }
}

function pickOpen({ channels }: BitcoinParty, random: Random): Channel | undefined {
  return random.pick(channels.filter(({ phase }) => phase === 'acting'))
}

function propose({ parties }: BitcoinStage, party: BitcoinParty, random: Random): void {
  const { process } = party
  const other = random.pick(parties.filter((it) => it !== party))
  if (process === undefined || other === undefined || party.channels.length > 3) return
  const capacity = BigInt(random.between(200_000, 3_000_000)) * 1000n
  const push = random.chance(0.6) ? (capacity / 1000n / BigInt(random.between(2, 8))) * 1000n : 0n
  process.call(
    `proposes to ${other.name}`,
    process.client.proposeChannel({
      peers: [other.identity.id],
      allocation: { assets: [process.backend.asset], balances: [[capacity - push, push]] },
      agreement: [[capacity, 0n]],
      challengeDuration: BigInt(random.between(6, 14)),
    }),
  )
}

/** Mostly amounts that are worth an output; some that are dust, in some runs most. */
function amountOf({ scene }: BitcoinParty, channel: Channel, random: Random): bigint {
  const own = channel.state.allocation.balances[0]?.[channel.index] ?? 0n
  const most = Number(own / 1000n / 4n)
  const satoshis = random.chance(scene.maxDust === undefined ? 0.15 : 0.6)
    ? random.between(1, 400)
    : random.between(1, Math.max(1, most))
  return BigInt(satoshis) * 1000n + (random.chance(0.2) ? BigInt(random.int(1000)) : 0n)
}

function pay(party: BitcoinParty, channel: Channel, random: Random): void {
  const amount = amountOf(party, channel, random)
  const { index } = channel
  party.process?.call(
    `pays ${amount} in ${channel.id.slice(2, 8)}`,
    channel.update((draft) => transfer(draft, { from: index, to: 1 - index, amount })),
  )
}

function lock(party: BitcoinParty, channel: Channel, random: Random): void {
  const { process } = party
  if (process === undefined) return
  const amount = amountOf(party, channel, random)
  const hash = toHex(sha256(preimageOf(amount)))
  const deadline = BigInt(party.scene.ledger.tip.height + random.between(50, 90))
  process.call(`locks ${amount} in ${channel.id.slice(2, 8)}`, channel.lock({ hash, amount, deadline }))
}

/** Takes a lock of the other side, or gives it back. */
export function answer(party: BitcoinParty, channel: Channel, random: Random): void {
  const found = random.pick(channel.locks.filter(({ from }) => from !== channel.index))
  const { process } = party
  if (found === undefined || process === undefined) return
  const preimage = preimageOf(found.amount)
  if (toHex(sha256(preimage)) !== found.hash) return
  if (random.chance(0.7)) {
    process.call(`releases ${found.amount}`, channel.release(found.id, toHex(preimage)))
  } else process.call(`cancels ${found.amount}`, channel.cancel(found.id, 'no'))
}

/** Ends a channel. */
export function settle(party: BitcoinParty, channel: Channel): void {
  party.process?.call(`settles ${channel.id.slice(2, 8)}`, channel.settle())
}
