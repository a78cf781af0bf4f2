// The end of a run: everybody comes back, what is open is used and then settled, amid the last accidents and attacks,
// and what must hold is checked.
import type { Hex } from '../../channel/index.js'
import type { Channel } from '../../client/index.js'
import { drawFault, type Party } from './party.js'
import { short } from './process.js'
import type { Random } from './random.js'
import { WEALTH } from './scene.js'
import { blackout, prove, type Stage, settle } from './steps.js'

/** Phases in which nothing is under way by itself. */
const IDLE = ['acting', 'signing', 'final']
/** Rounds of settlement in which there are accidents still. */
const MAX_AFTERSHOCKS = 6
/** Milliseconds of a round: who comes back from an accident has time enough before the ledger's clock runs on. */
const ROUND = { aftershock: 15_000, quiet: 6_000 }

/** Repair, prove, attack once more, settle, judge. */
export async function finale(stage: Stage, random: Random): Promise<void> {
  const { scene, parties, cheats } = stage
  const { time, network, oracle } = scene
  const honest = parties.filter(({ isHonest }) => isHonest)
  scene.isEnding = true
  scene.isQuiet = true
  scene.tell('the end begins')
  network.heal()
  for (const party of parties) party.comeBack()
  for (const cheat of cheats) cheat.settleDown(random.chance(0.5) ? 'mute' : 'honest')
  // Beyond the timeouts of proposals and updates, and of users who think for long.
  await pass(stage, 40_000)
  const open = openChannels(honest)
  for (let turn = 0; turn < parties.length; turn++) await proveUsable(stage, open, turn)
  attack(stage, honest, random)
  if (random.chance(0.5)) await pass(stage, random.int(4_000))
  await settleAll(stage, honest, random)
  for (const party of honest) {
    for (const channel of party.channels) {
      oracle.violated('nothing is stuck', `${party.name} ${short(channel.id)} is ${channel.phase}`)
    }
    for (const words of party.process?.calls.values() ?? []) {
      oracle.violated('every promise settles', `${party.name} ${words}`)
    }
    if (party.process === undefined) oracle.violated('nothing is stuck', `${party.name} is not back`)
  }
  oracle.judge(scene.chain, honest, scene.assets, WEALTH)
  scene.tell(`the end at ${time.now()}`)
}

function pass({ scene: { time } }: Stage, ms: number): Promise<void> {
  return time.runUntil(time.now() + ms)
}

/** Whatever is best for the cheats, once more. */
function attack({ cheats }: Stage, honest: readonly Party[], random: Random): void {
  for (const cheat of cheats) {
    for (const party of honest) {
      for (const { id } of party.channels)
        if (random.chance(0.4)) cheat.register(id, random, random.chance(0.7))
    }
  }
}

/** Settles every channel. What is being funded must come to an end by itself, and then is settled like the others. */
async function settleAll(stage: Stage, honest: readonly Party[], random: Random): Promise<void> {
  const { scene, parties, cheats } = stage
  const { chain } = scene
  const aftershocks = random.chance(0.5) ? 0 : random.between(1, MAX_AFTERSHOCKS)
  const asked = new Set<string>()
  const ask = () => {
    for (const party of honest) {
      for (const channel of party.channels) {
        // What has begun must go on by itself, over restarts too.
        const key = `${party.name}/${party.life}/${channel.id}`
        const isNews = asked.size === 0 || IDLE.includes(channel.phase)
        if (channel.phase === 'funding' || asked.has(key) || !isNews || isSettling(party, channel)) continue
        asked.add(key)
        settle(party, channel)
      }
    }
  }
  ask()
  await pass(stage, 10_000)
  scene.isQuiet = aftershocks === 0
  for (let round = 0; round < 60 && honest.some(isBusy); round++) {
    if (round < aftershocks) shake(stage, honest, random)
    else if (!scene.isQuiet) {
      scene.isQuiet = true
      for (const party of parties) party.comeBack()
    }
    if (round < aftershocks) await pass(stage, ROUND.aftershock)
    ask()
    const deadline = chain.deadlines.find((it) => it > chain.head.time)
    if (deadline !== undefined) chain.advanceTo(deadline)
    for (const cheat of cheats) if (random.chance(0.5)) cheat.belated(random)
    await pass(stage, ROUND.quiet)
  }
}

/** A last accident here and there. */
function shake(stage: Stage, honest: readonly Party[], random: Random): void {
  const { scene, driver, cheats } = stage
  for (const party of honest) {
    const accident = random.weighted({ none: 48, fault: 40, death: 6, outage: 6 })
    if (accident === 'fault') party.plan(drawFault(random))
    if (accident === 'death') party.kill()
    if (accident === 'outage') party.cutChain(random.int(2_000))
  }
  if (random.chance(0.3)) driver.starve(random.between(1, 3), random.int(2))
  if (random.chance(0.2)) blackout(stage, () => !scene.isQuiet, random)
  const depth = random.int(scene.finalityDepth)
  const isDropping = random.chance(0.3)
  scene.time.after(random.int(4_000), () => depth > 0 && driver.reorg(depth, isDropping))
  for (const cheat of cheats) {
    for (const party of honest) {
      for (const { id } of party.channels) if (random.chance(0.1)) cheat.register(id, random, true)
    }
  }
}

/** What is open between honest parties alone. */
function openChannels(honest: readonly Party[]): readonly Hex[] {
  const open = new Set<Hex>()
  for (const party of honest) {
    for (const { id, phase, peers } of party.channels) {
      const isTrusted = peers.every((peer) => honest.some((it) => it.peer === peer))
      if (isTrusted && (phase === 'acting' || phase === 'signing')) open.add(id)
    }
  }
  return [...open]
}

/** What is open must go on for all, whoever proposes: here the participant whose turn it is. */
async function proveUsable(stage: Stage, open: readonly Hex[], turn: number): Promise<void> {
  const { scene, parties } = stage
  const { oracle } = scene
  const members = (id: Hex) => parties.filter((it) => it.holds(id) !== undefined)
  const proven = new Set<Hex>()
  const asked: Hex[] = []
  for (const id of open) {
    const party = members(id)[turn]
    const channel = party?.holds(id)?.channel
    if (party === undefined || channel === undefined) continue
    asked.push(id)
    prove(party, channel, () => proven.add(id))
  }
  if (asked.length === 0) return
  await pass(stage, 12_000)
  for (const id of asked) {
    const channel = members(id)[0]?.holds(id)?.channel
    if (channel === undefined) continue
    const all = channel.peers.map((peer) => parties.find((it) => it.peer === peer))
    const phases = all.map((it) => `${it?.name}:${phaseIn(it, id)}@${it?.holds(id)?.state.version}`)
    // Who never heard that all have signed has put nothing in and never will: that channel can only be settled.
    if (all.some((it) => it && it.holds(id) === undefined && oracle.agreed(it, id) === undefined)) continue
    if (all.some((it) => it && oracle.isEnding(it, id))) continue
    // A dispute may have begun meanwhile: then the ledger decides.
    const isDisputed = all.some((it) => !['acting', 'signing'].includes(phaseIn(it, id) ?? ''))
    if (isDisputed && all.every((it) => phaseIn(it, id) !== undefined)) continue
    const versions = new Set(all.map((it) => it?.holds(id)?.state.version))
    if (proven.has(id) && versions.size === 1) continue
    oracle.violated('open channels are usable', `${short(id)} ${phases.join(' ')}`)
  }
}

function phaseIn(party: Party | undefined, id: Hex): string | undefined {
  return party?.holds(id)?.channel.phase
}

function isSettling({ process }: Party, { id }: Channel): boolean {
  return [...(process?.calls.values() ?? [])].includes(`settles ${short(id)}`)
}

function isBusy(party: Party): boolean {
  return party.process === undefined || party.channels.length > 0 || party.process.calls.size > 0
}
