// A process that dies at every commit of a channel's life, before the batch is durable or right after: between any two
// effects. What is on the disk is enough to go on from, in every phase.
import { expect } from 'chai'
import { appResolver, type Draft, type StateApp, transfer } from '../../channel/index.js'
import type { Channel } from '../../client/index.js'
import { messages } from '../../client/messages.js'
import { MemoryStore } from '../../persistence/index.js'
import { FaultyStore } from '../persistence/faulty.js'
import {
  type Group,
  group,
  kill,
  next,
  open,
  type Party,
  passTime,
  restarted,
  settled,
  WEALTH,
  who,
} from './parties.js'

/** One run: who dies, and what the others hold. */
interface Run {
  readonly world: Group
  readonly victim: Party
  readonly other: Party
  /** Channels of the victim's first life and of the other; none while it is only being opened. */
  readonly channels: readonly Channel[]
  /** Calls of the other one, which must end. */
  readonly calls: Promise<unknown>[]
}

/** A part of a channel's life. */
interface Part {
  readonly name: string
  /** Whether there is a channel when it begins. */
  readonly isOpen: boolean
  /** What happens while the victim dies; its own calls may never end. */
  play(run: Run): Promise<unknown>
  /** What must come of it. `found`: how many channels were on the disk. */
  finish(run: Run & { readonly again: Party; readonly found: number }): Promise<void>
}

const pay = (from: number, amount: bigint) => (draft: Draft) =>
  transfer(draft, { from, to: 1 - from, amount })

const PARTS: readonly Part[] = [
  {
    name: 'opening',
    isOpen: false,
    async play({ world, other, calls }) {
      const proposer = who(world, 0)
      const opened = next(who(world, 1).client)
      opened.catch(() => undefined)
      const call = proposer.client.proposeChannel({
        peers: [who(world, 1).peer],
        allocation: { assets: [world.assets[0]], balances: [[100n, 100n]] },
        challengeDuration: 60n,
      })
      if (proposer.peer === other.peer) calls.push(call)
      await Promise.all([call, opened])
    },
    async finish({ world, again, other, found }) {
      // The half-open channel is finished if both have it. Else nothing of the one without it can be in it, and the
      // other one has its deposit back after a while.
      if (found > 0 && other.client.channels().length > 0) {
        await settled(() => [again, other].every(({ client }) => client.channels()[0]?.phase === 'acting'))
        await again.client.channels()[0]?.update(pay(again === who(world, 0) ? 0 : 1, 0n))
      }
      await end(world, again, other)
      expect(balances(world)).deep.equals([WEALTH, WEALTH])
    },
  },
  ...(['its own', "the other's"] as const).map(
    (whose): Part => ({
      name: `${whose} update`,
      isOpen: true,
      async play({ channels, calls }) {
        const proposer = whose === 'its own' ? channels[0] : channels[1]
        const call = proposer?.update(pay(proposer.index, 7n))
        if (whose !== 'its own' && call) calls.push(call)
        await call
        // The one that answered may still be writing the last signature down.
        await settled(() => channels.every(({ state }) => state.version === 1n))
      },
      async finish({ world, again, other }) {
        const [theirs] = other.client.channels()
        const [ours] = again.client.channels()
        if (ours === undefined || theirs === undefined) throw new Error('both have the channel')
        // Finished or rolled back, by both alike.
        await settled(() => [ours, theirs].every(({ phase }) => phase === 'acting'))
        await settled(() => ours.state.version === theirs.state.version)
        const given = ours.state.allocation.balances[0]?.join()
        const payer = whose === 'its own' ? ours.index : theirs.index
        expect(given).oneOf(['100,100', payer === 0 ? '93,107' : '107,93'])
        // A call of the other one got its answer, so that is what counts.
        if (whose !== 'its own') expect(given).not.equals('100,100')
        await ours.update(pay(ours.index, 1n))
        await theirs.update(pay(theirs.index, 2n))
        await settled(() => ours.state.version === theirs.state.version)
        const agreed = ours.state.allocation.balances[0]
        await end(world, again, other)
        expect(balances(world)).deep.equals(agreed?.map((share) => WEALTH - 100n + share))
      },
    }),
  ),
  {
    name: 'settling together',
    isOpen: true,
    async play({ world, channels }) {
      await Promise.all(
        channels.map((channel) => channel.update(pay(channel.index, channel.index === 0 ? 3n : 5n))),
      )
      void channels[0]?.settle().catch(() => undefined)
      await passTime(world, () => world.parties.every(({ client }) => client.channels().length === 0))
    },
    async finish({ world, again, other }) {
      await end(world, again, other)
      const [a = 0n, b = 0n] = balances(world)
      expect(a + b).equals(2n * WEALTH)
      expect(a - WEALTH).oneOf([0n, -3n, 5n, 2n])
    },
  },
  {
    name: 'settling alone',
    isOpen: true,
    async play({ world, channels, victim, other }) {
      await kill(other)
      void channels[0]?.settle({ timeout: 20 }).catch(() => undefined)
      await passTime(world, () => victim.client.channels().length === 0)
    },
    async finish({ world, again }) {
      // Deadlines are armed again from the ledger; what our user wanted is still wanted.
      for (const channel of again.client.channels())
        void channel.settle({ timeout: 20 }).catch(() => undefined)
      await passTime(world, () => again.client.channels().length === 0)
      expect(balanceOf(world, again)).equals(WEALTH)
    },
  },
  {
    name: 'enforcing a step',
    isOpen: true,
    async play({ world, channels, victim, other }) {
      await kill(other)
      const step = (draft: Draft) => {
        draft.data = '0x01'
        transfer(draft, { from: 1 - (channels[0]?.index ?? 0), to: channels[0]?.index ?? 0, amount: 1n })
      }
      const forced = channels[0]?.forceUpdate(step)
      forced?.catch(() => undefined)
      await passTime(world, () => victim.client.channels().length === 0)
    },
    async finish({ world, again }) {
      const wasEnforced = world.ledger.dispute(again.client.channels()[0]?.id ?? '0x')?.phase === 'forceExec'
      for (const channel of again.client.channels())
        void channel.settle({ timeout: 20 }).catch(() => undefined)
      await passTime(world, () => again.client.channels().length === 0)
      expect(balanceOf(world, again)).oneOf(wasEnforced ? [WEALTH + 1n] : [WEALTH, WEALTH + 1n])
    },
  },
]

/** One step of one byte. */
const counter: StateApp = {
  kind: 'state',
  id: '0x0c',
  faultOfInit: () => undefined,
  faultOfTransition: () => undefined,
}

const short = { timeouts: { proposal: 5_000, update: 5_000, settlement: 30 } }

describe('crash: between any two effects', () => {
  for (const part of PARTS) {
    for (const index of [0, 1]) {
      for (const batch of ['lost', 'kept'] as const) {
        it(`${part.name}: participant ${index} dies at any commit, the batch is ${batch}`, async function () {
          this.timeout(60_000)
          let commits = 0
          while (await dieAt(part, index, { at: commits + 1, batch })) commits++
          expect(commits).at.least(1)
        })
      }
    }
  }
})

/** @returns whether there were so many commits */
async function dieAt(
  part: Part,
  index: number,
  { at, batch }: { readonly at: number; readonly batch: 'lost' | 'kept' },
): Promise<boolean> {
  const world = await group(2, { apps: appResolver(counter), client: short })
  const disk = new MemoryStore()
  let counted = 0
  let isArmed = false
  let die: () => void = () => undefined
  const death = new Promise<'death'>((resolve) => {
    die = () => resolve('death')
  })
  const store = new FaultyStore(
    disk,
    () => (isArmed && ++counted === at ? { kind: 'crash', batch } : undefined),
    () => die(),
  )
  const victim = await restarted(who(world, index), world, { ...short, store })
  const parties = world.parties.map((party, i) => (i === index ? victim : party))
  const run = {
    world: { ...world, parties },
    victim,
    other: who({ ...world, parties }, 1 - index),
    calls: [],
  }
  const said = listening(victim)
  const opened = part.isOpen
    ? await open(run.world, part.name === 'enforcing a step' ? { app: '0x0c', data: '0x00' } : {})
    : []
  const channels = index === 0 ? opened : opened.toReversed()
  await settled(() => channels.every(({ phase }) => phase === 'acting'))
  isArmed = true
  const play = part.play({ ...run, channels })
  play.catch(() => undefined)
  if ((await Promise.race([death, play])) !== 'death') return false
  const found = [...disk.snapshot()].filter(([key]) => key.endsWith('/terms')).length
  const again = await restarted({ ...victim, store: disk }, world, short)
  const saidAgain = listening(again)
  const now = world.parties.map((_, i) => (i === index ? again : run.other))
  await part.finish({ ...run, world: { ...world, parties: now }, channels, again, found })
  await Promise.allSettled(run.calls)
  // Signatures of one key over one message are equal: two of one version are two states.
  for (const [version, signatures] of saidAgain) {
    expect(new Set([...signatures, ...(said.get(version) ?? [])]).size, `version ${version}`).equals(1)
  }
  for (const { bus, backend, client } of now) {
    await client.close()
    await bus.close()
    await backend.close()
  }
  return true
}

/** The signatures over states that leave a party, by version. */
function listening(party: Party): ReadonlyMap<bigint, ReadonlySet<string>> {
  const said = new Map<bigint, Set<string>>()
  const { send } = party.bus
  party.bus.send = (to, payload) => {
    const message = messages.decode(payload)
    if (message.kind === 'channelUpdate' || message.kind === 'channelUpdateAcc') {
      const version = message.kind === 'channelUpdate' ? message.state.version : message.version
      said.set(version, (said.get(version) ?? new Set<string>()).add(message.signature))
    }
    return send.call(party.bus, to, payload)
  }
  return said
}

/** Everybody settles, and time passes until all is over. */
async function end(world: Group, ...parties: readonly Party[]): Promise<void> {
  for (const { client } of parties)
    for (const channel of client.channels()) void channel.settle({ timeout: 50 }).catch(() => undefined)
  await passTime(world, () => parties.every(({ client }) => client.channels().length === 0))
}

function balances({ ledger, assets, parties }: Group): bigint[] {
  return parties.map(({ address }) => ledger.balanceOf(assets[0], address))
}

function balanceOf({ ledger, assets }: Group, { address }: Party): bigint {
  return ledger.balanceOf(assets[0], address)
}
