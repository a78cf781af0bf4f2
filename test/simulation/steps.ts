// What may happen in a run: users' actions, accidents, attacks. Each step draws from a stream of its own, so that it
// stays what it is when others are left out.
import { type Draft, type State, transfer } from '../../channel/index.js'
import type { Channel } from '../../client/index.js'
import { BLOCK_MS, type ChainDriver } from './chain.js'
import type { Cheat } from './cheat.js'
import { drawFault, type Party } from './party.js'
import { short } from './process.js'
import type { Random } from './random.js'
import { COUNTER, counted, type Scene } from './scene.js'

/** All that a step may touch. */
export interface Stage {
  readonly scene: Scene
  readonly driver: ChainDriver
  readonly parties: readonly Party[]
  readonly cheats: readonly Cheat[]
}

const KINDS = {
  propose: 9,
  update: 34,
  cross: 8,
  force: 4,
  settle: 3,
  crash: 8,
  kill: 2,
  reopen: 2,
  disconnect: 5,
  partition: 3,
  weather: 2,
  reorg: 5,
  starve: 3,
  outage: 2,
  failure: 1,
  blackout: 3,
  attack: 22,
} as const

/** One step. */
export function takeStep(stage: Stage, random: Random): void {
  const kind = random.weighted(KINDS)
  const { scene, parties, cheats, driver } = stage
  const party = random.pick(parties)
  if (party === undefined) return
  switch (kind) {
    case 'propose':
      return propose(stage, party, random)
    case 'update': {
      const channel = pickOpen(party, random)
      return channel && update(party, channel, random)
    }
    case 'cross': {
      const chosen = pickOpen(party, random)
      for (const each of parties) {
        const channel = chosen && each.holds(chosen.id)?.channel
        if (channel && random.chance(0.8)) update(each, channel, random)
      }
      return
    }
    case 'force': {
      const channel = random.pick(party.channels.filter(({ params }) => params.app === COUNTER))
      return channel && force(party, channel, random)
    }
    case 'settle': {
      const channel = random.pick(party.channels)
      if (channel === undefined) return
      if (random.chance(0.2)) party.process?.call(`watches ${short(channel.id)}`, channel.watch())
      return settle(party, channel, random)
    }
    case 'crash':
      return party.canLeave ? party.plan(drawFault(random)) : undefined
    case 'kill':
      return party.canLeave ? party.kill() : undefined
    case 'reopen':
      return party.canLeave ? void party.reopen() : undefined
    case 'disconnect':
    case 'partition': {
      const other = random.pick(parties.filter((it) => it !== party))
      if (other === undefined) return
      scene.tell(`net ${party.name} x ${other.name}`)
      if (kind === 'disconnect') return scene.network.disconnect(party.peer, other.peer)
      scene.network.cut(party.peer, other.peer)
      scene.time.after(random.int(15_000), () => scene.network.mend(party.peer, other.peer))
      return
    }
    case 'weather': {
      const { isTreacherous } = scene.network
      scene.network.weather.lost = random.chance(0.5) ? 0 : random.int(60) / 1_000
      scene.network.weather.repeated = random.chance(0.5) ? 0 : random.int(200) / 1_000
      scene.network.weather.latency = random.chance(0.7) ? 50 : 600
      scene.network.weather.dropped = isTreacherous && random.chance(0.5) ? random.int(60) / 1_000 : 0
      scene.network.weather.reordered = isTreacherous && random.chance(0.5) ? random.int(400) / 1_000 : 0
      return
    }
    case 'reorg': {
      const depth = random.int(scene.finalityDepth)
      if (depth === 0) return
      scene.tell(`chain reorg ${depth}`)
      return driver.reorg(depth, random.chance(0.3))
    }
    case 'starve':
      return driver.starve(random.between(1, 3), random.int(2))
    case 'outage': {
      if (!party.canLeave) return
      scene.tell(`${party.name} without chain`)
      return party.cutChain(random.int(8_000))
    }
    case 'failure':
      return scene.chain.fail({
        how: random.chance(0.5) ? 'reject' : 'revert',
        reason: 'bad luck',
        from: party.address,
        times: random.between(1, 2),
      })
    case 'blackout':
      return blackout(stage, (each) => each.canLeave, random)
    case 'attack':
      return random.pick(cheats)?.attack(random)
  }
}

/**
 * When the ledger has just said something, most parties die before or while they hear it, and its newest blocks are gone
 * when they come back: so it is told to nobody that it never happened.
 */
export function blackout(
  { scene, driver, parties }: Stage,
  mayLeave: (party: Party) => boolean,
  random: Random,
): void {
  const victims = parties.filter(() => random.chance(0.8))
  const depth = random.int(scene.finalityDepth)
  const isDropping = random.chance(0.7)
  const ms = random.int(BLOCK_MS - 100)
  driver.ambush(() => {
    scene.time.after(ms, () => {
      for (const party of victims) if (mayLeave(party)) party.kill()
      if (depth > 0) driver.reorg(depth, isDropping)
    })
  })
}

/** Mostly one that can go on. */
function pickOpen({ channels }: Party, random: Random): Channel | undefined {
  const open = channels.filter(({ phase }) => phase === 'acting' || phase === 'signing')
  return random.pick(open.length > 0 && random.chance(0.9) ? open : channels)
}

/** Asks some others for a channel. */
function propose({ scene, parties }: Stage, party: Party, random: Random): void {
  const { process } = party
  if (process === undefined) return
  const others = parties.filter((it) => it !== party && random.chance(0.6))
  if (others.length === 0) return
  const size = others.length + 1
  const assets = random.chance(0.7) ? [scene.assets[random.int(2)] ?? scene.assets[0]] : scene.assets
  const balances = assets.map(() => Array.from({ length: size }, () => BigInt(random.int(200))))
  const isApp = random.chance(0.35)
  const agreement = random.chance(0.8) ? balances : balances.map((row) => [...row.slice(1), row[0] ?? 0n])
  const controller = new AbortController()
  if (random.chance(0.05)) scene.time.after(random.int(3_000), () => controller.abort())
  process.call(
    `proposes to ${others.map((it) => it.name).join('')}`,
    process.client.proposeChannel({
      peers: others.map(({ peer }) => peer),
      allocation: { assets, balances },
      agreement,
      challengeDuration: BigInt(random.between(60, 120)),
      ...(isApp && { app: COUNTER, data: '0x0000' }),
      signal: controller.signal,
    }),
  )
}

/** Moves some coins in a channel. */
function update(party: Party, channel: Channel, random: Random): void {
  const { process } = party
  const controller = new AbortController()
  if (random.chance(0.08)) party.scene.time.after(random.int(2_000), () => controller.abort())
  const isFinal = random.chance(0.03)
  const edit = editor(channel, random)
  process?.call(
    `updates ${short(channel.id)}`,
    channel.update(
      (draft) => {
        edit(draft)
        draft.isFinal = isFinal
      },
      { signal: controller.signal },
    ),
    (state) => told(party, channel, state),
  )
}

function force(party: Party, channel: Channel, random: Random): void {
  const { scene, process } = party
  const controller = new AbortController()
  if (random.chance(0.3)) scene.time.after(random.int(60_000), () => controller.abort())
  const call = channel.forceUpdate(editor(channel, random), { signal: controller.signal })
  process?.call(`forces ${short(channel.id)}`, call)
}

/** Ends a channel. */
export function settle(party: Party, channel: Channel, random?: Random): void {
  const controller = new AbortController()
  if (random?.chance(0.15)) party.scene.time.after(random.int(20_000), () => controller.abort())
  const { signal } = controller
  party.process?.call(`settles ${short(channel.id)}`, channel.settle({ signal }))
}

/** An update that any open channel must take. */
export function prove(party: Party, channel: Channel, onSuccess: () => void): void {
  party.process?.call(
    `proves ${short(channel.id)}`,
    channel.update((draft) => {
      if (channel.params.app === COUNTER) draft.data = counted(draft.data)
    }),
    (state) => {
      told(party, channel, state)
      onSuccess()
    },
  )
}

/** What a call resolved with is agreed, whatever comes. */
function told(party: Party, channel: Channel, state: State): void {
  if (party.isHonest) party.scene.oracle.told(party, channel.index, state, 'agreed')
}

/** The same change on whatever state it is run. */
function editor(channel: Channel, random: Random): (draft: Draft) => void {
  const isApp = channel.params.app === COUNTER
  const { index } = channel
  const asset = random.int(channel.state.allocation.assets.length)
  const other = random.int(channel.peers.length)
  const amount = BigInt(random.int(isApp ? 4 : 40))
  const [from, to] = random.chance(0.7) ? [index, other] : [other, index]
  return (draft) => {
    if (isApp) draft.data = counted(draft.data)
    if (from !== to && amount <= (draft.balances[asset]?.[from] ?? 0n))
      transfer(draft, { from, to, amount, asset })
  }
}
