// One run: a seed makes parties, a ledger and a network; steps happen; then everybody comes back, time passes beyond
// all deadlines, and what must hold is checked.
import type { Hex } from '../../channel/index.js'
import { Chain, ChainDriver } from './chain.js'
import { Cheat } from './cheat.js'
import { Evidence } from './evidence.js'
import { SimNetwork } from './network.js'
import { Oracle, type Violation } from './oracle.js'
import { Party } from './party.js'
import { short } from './process.js'
import { Random } from './random.js'
import { apps, type Scene, WEALTH } from './scene.js'
import { prove, type Stage, settle, takeStep } from './steps.js'
import { quiet, VirtualTime } from './time.js'
import { Trace } from './trace.js'

/** What to run. */
export interface RunOptions {
  readonly seed: number
  /** How many steps are drawn. */
  readonly steps: number
  /** Only these of them happen; all if it is left out. */
  readonly only?: readonly number[]
  /** Whether to keep the trace's words. */
  readonly keepTrace?: boolean
}

/** What came of it. */
export interface RunResult {
  readonly seed: number
  readonly steps: number
  readonly violations: readonly Violation[]
  /** SHA-256 of the trace. */
  readonly hash: string
  readonly trace: readonly string[]
}

/** Milliseconds between steps on average. */
const PACE = 700

/** Runs a seed. */
export async function run({ seed, steps, only, keepTrace = false }: RunOptions): Promise<RunResult> {
  const random = new Random(`seed ${seed}`)
  const trace = new Trace(keepTrace)
  const stage = build(random, trace)
  const { scene, parties } = stage
  const { time, oracle } = scene
  const unguard = guard(oracle)
  try {
    for (const party of parties) party.start()
    const included = only && new Set(only)
    let at = 100
    for (let i = 0; i < steps; i++) {
      const ofStep = random.fork(i)
      at += ofStep.chance(0.1) ? ofStep.int(8 * PACE) : ofStep.int(PACE)
      if (included !== undefined && !included.has(i)) continue
      time.after(at - time.now(), () => takeStep(stage, ofStep))
    }
    await time.runUntil(at + 1_000)
    await finale(stage, random.fork('finale'))
    await quiet()
  } finally {
    unguard()
    for (const { process } of parties) process?.end()
  }
  return { seed, steps, violations: oracle.violations, hash: trace.digest(), trace: trace.lines }
}

function build(random: Random, trace: Trace): Stage {
  const time = new VirtualTime()
  const tell = (words: string) => trace.tell(time.now(), words)
  const chain = new Chain(apps)
  const assets = [chain.createAsset(), chain.createAsset()] as const
  const scene: Scene = {
    time,
    chain,
    assets,
    tell,
    random,
    network: new SimNetwork(time, random.fork('network'), tell),
    oracle: new Oracle(),
    finalityDepth: random.between(1, 4),
    isEnding: false,
  }
  const size = random.weighted({ 2: 4, 3: 4, 4: 1, 5: 1 })
  const count = Number(size)
  const cheating = random.chance(0.4) ? 0 : random.chance(0.75) ? 1 : random.between(1, count - 1)
  const evidence = new Evidence()
  const parties: Party[] = []
  const cheats: Cheat[] = []
  for (let i = 0; i < count; i++) {
    // Cheats sit at the end or at the beginning, so that they are proposers and others alike.
    const isCheat = random.seed.length % 2 === 0 ? i >= count - cheating : i < cheating
    if (isCheat) {
      const cheat = new Cheat(i, scene, evidence, () => parties)
      cheats.push(cheat)
      parties.push(cheat.party)
    } else {
      parties.push(new Party(i, scene, true))
    }
  }
  const addresses = parties.map(({ address }) => address)
  for (const asset of assets) for (const address of addresses) chain.mint(asset, address, WEALTH)
  const channels = new Set<Hex>()
  chain.onSubmit = (from, call) => {
    if (call.kind === 'deposit') channels.add(call.channelID)
    const party = parties.find(({ address }) => address === from)
    tell(`${party?.name} submits ${call.kind}`)
    return party?.isHonest ? (party.process?.effect() ?? false) : true
  }
  const minted = WEALTH * BigInt(count)
  let lastEvents = 0
  const driver = new ChainDriver(chain, time, () => {
    const { head } = chain
    const events = head.receipts.flatMap((receipt) => receipt.events)
    for (const { transaction, reverted } of head.receipts) {
      const { call } = transaction
      tell(`chain ${head.number} ${call.kind}${reverted === undefined ? '' : ` reverted: ${reverted}`}`)
    }
    if (events.length + lastEvents > 0) scene.oracle.weigh(chain, { assets, addresses, minted }, channels)
    lastEvents = events.length
  })
  scene.network.weather.lost = random.chance(0.5) ? 0.01 : 0
  return { scene, driver, parties, cheats }
}

/** The end: repair, prove, attack once more, settle, judge. */
async function finale(stage: Stage, random: Random): Promise<void> {
  const { scene, parties, cheats } = stage
  const { time, network, chain, oracle } = scene
  const honest = parties.filter(({ isHonest }) => isHonest)
  const pass = (ms: number) => time.runUntil(time.now() + ms)
  scene.isEnding = true
  scene.tell('the end begins')
  Object.assign(network.weather, { lost: 0, repeated: 0, latency: 50 })
  network.heal()
  for (const party of parties) party.comeBack()
  for (const cheat of cheats) cheat.settleDown(random.chance(0.5) ? 'mute' : 'honest')
  // Beyond the timeouts of proposals and updates, and of users who think for long.
  await pass(40_000)

  await proveUsable(stage, honest, pass)

  for (const cheat of cheats) {
    for (const party of honest) {
      for (const { id } of party.channels)
        if (random.chance(0.4)) cheat.register(id, random, random.chance(0.7))
    }
  }
  if (random.chance(0.5)) await pass(random.int(4_000))
  // What is still being funded must come to an end by itself, and then is settled like the others.
  const settled = new Set<string>()
  const settleAll = () => {
    for (const party of honest) {
      for (const channel of party.channels) {
        const key = `${party.name}/${channel.id}`
        if (channel.phase === 'funding' || settled.has(key)) continue
        settled.add(key)
        settle(party, channel)
      }
    }
  }
  settleAll()
  await pass(10_000)
  for (let round = 0; round < 60 && honest.some(isBusy); round++) {
    settleAll()
    const deadline = chain.deadlines.find((it) => it > chain.head.time)
    if (deadline !== undefined) chain.advanceTo(deadline)
    await pass(6_000)
  }
  for (const party of honest) {
    for (const channel of party.channels) {
      oracle.violated('nothing is stuck', `${party.name} ${short(channel.id)} is ${channel.phase}`)
    }
    for (const words of party.process?.calls.values() ?? []) {
      oracle.violated('every promise settles', `${party.name} ${words}`)
    }
    if (party.process === undefined) oracle.violated('nothing is stuck', `${party.name} is not back`)
  }
  oracle.judge(chain, honest, scene.assets, WEALTH)
}

/** What is still open between honest parties alone must go on for all of them. */
async function proveUsable(
  { scene, parties }: Stage,
  honest: readonly Party[],
  pass: (ms: number) => Promise<void>,
): Promise<void> {
  const { oracle } = scene
  const open = new Map<Hex, Party[]>()
  for (const party of honest) {
    for (const { id, phase, peers } of party.channels) {
      const isTrusted = peers.every((peer) => honest.some((it) => it.peer === peer))
      if (isTrusted && (phase === 'acting' || phase === 'signing'))
        open.set(id, [...(open.get(id) ?? []), party])
    }
  }
  const proven = new Set<Hex>()
  for (const [id, [first]] of open) {
    const channel = first?.holds(id)?.channel
    if (first && channel) prove(first, channel, () => proven.add(id))
  }
  await pass(12_000)
  for (const [id, members] of open) {
    const [first] = members
    const held = first?.holds(id)
    if (first === undefined || held === undefined) continue
    const { channel } = held
    const all = channel.peers.map((peer) => parties.find((it) => it.peer === peer))
    const phases = all.map(
      (it) => `${it?.name}:${it?.holds(id)?.channel.phase}@${it?.holds(id)?.state.version}`,
    )
    // Who never heard that all have signed has put nothing in and never will: that channel can only be settled.
    if (all.some((it) => it && it.holds(id) === undefined && oracle.agreed(it, id) === undefined)) continue
    if (all.some((it) => it && oracle.isEnding(it, id))) continue
    // A dispute may have begun meanwhile: then the ledger decides.
    if (all.some((it) => !['acting', 'signing'].includes(it?.holds(id)?.channel.phase ?? ''))) {
      if (all.every((it) => it?.holds(id)?.channel.phase !== undefined)) continue
    }
    const versions = new Set(all.map((it) => it?.holds(id)?.state.version))
    if (proven.has(id) && versions.size === 1) continue
    oracle.violated('open channels are usable', `${short(id)} ${phases.join(' ')}`)
  }
}

function isBusy(party: Party): boolean {
  return party.process === undefined || party.channels.length > 0 || party.process.calls.size > 0
}

/** Whatever nobody catches is a violation. @returns the end of it */
function guard(oracle: Oracle): () => void {
  const note = (cause: unknown) => {
    const words = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
    oracle.violated('no unhandled rejection', words.split('\n').slice(0, 4).join(' | '))
  }
  process.on('unhandledRejection', note)
  process.on('uncaughtException', note)
  return () => {
    process.off('unhandledRejection', note)
    process.off('uncaughtException', note)
  }
}
