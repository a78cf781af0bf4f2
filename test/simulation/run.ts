// One run: a seed makes parties, a ledger and a network; steps happen; then everybody comes back, time passes beyond
// all deadlines, and what must hold is checked.
import type { Hex } from '../../channel/index.js'
import { Chain, ChainDriver } from './chain.js'
import { Cheat } from './cheat.js'
import { Evidence } from './evidence.js'
import { finale } from './finale.js'
import { SimNetwork } from './network.js'
import { Oracle } from './oracle.js'
import { Party } from './party.js'
import { play, type RunOptions, type RunResult } from './play.js'
import type { Random } from './random.js'
import { apps, type Scene, WEALTH } from './scene.js'
import { type Stage, takeStep } from './steps.js'
import { VirtualTime } from './time.js'
import type { Trace } from './trace.js'

/** Milliseconds between steps, twice as many as on average. */
const PACE = 700

/** Runs a seed. */
export function run(options: RunOptions): Promise<RunResult> {
  return play(options, 'seed', (random, trace) => {
    const stage = build(random, trace)
    const { scene, parties } = stage
    return {
      time: scene.time,
      oracle: scene.oracle,
      pace: PACE,
      rest: 8,
      start: () => {
        for (const party of parties) party.start()
      },
      step: (ofStep) => takeStep(stage, ofStep),
      finale: (ofFinale) => finale(stage, ofFinale),
      end: () => {
        for (const { process } of parties) process?.end()
      },
    }
  })
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
    isQuiet: false,
  }
  const size = random.weighted({ 2: 4, 3: 4, 4: 1, 5: 1 })
  const count = Number(size)
  const cheating = random.chance(0.4) ? 0 : random.chance(0.75) ? 1 : random.between(1, count - 1)
  const isCheatFirst = random.chance(0.5)
  const evidence = new Evidence()
  const parties: Party[] = []
  const cheats: Cheat[] = []
  for (let i = 0; i < count; i++) {
    // Cheats sit at the end or at the beginning, so that they are proposers and others alike.
    const isCheat = isCheatFirst ? i < cheating : i >= count - cheating
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
    const cheat = cheats.find((it) => it.party === party)
    return cheat ? cheat.submits(call) : (party?.process?.effect() ?? false)
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
  scene.network.isTreacherous = random.chance(0.3)
  return { scene, driver, parties, cheats }
}
