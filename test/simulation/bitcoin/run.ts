// One run on Bitcoin: a seed makes parties, a chain and a network; steps happen; then everybody comes back, time passes beyond
// all deadlines, and what must hold is checked.
import { isEnding } from '../../../backend/bitcoin/protocol/phase.js'
import { msat } from '../../../backend/bitcoin/units.js'
import { SimNetwork } from '../network.js'
import { play, type RunOptions, type RunResult } from '../play.js'
import type { Random } from '../random.js'
import { VirtualTime } from '../time.js'
import type { Trace } from '../trace.js'
import { Calm } from './calm.js'
import { rememberPoints } from './curve.js'
import { lookInside } from './inside.js'
import { BitcoinLedger, isCommitment } from './ledger.js'
import { PaymentOracle } from './oracle.js'
import { BLOCK_MS } from './pace.js'
import { BitcoinParty } from './party.js'
import { type BitcoinScene, WEALTH } from './scene.js'
import { answer, type BitcoinStage, drawFault, type Miner, settle, takeBitcoinStep } from './steps.js'

/** Milliseconds between steps, twice as many as on average. */
const PACE = 4_000
/** Blocks that there are before anything happens. */
const FIRST = 500
/** Blocks that the honest don't see when a cheat goes on chain. */
const MAX_BLIND = 3
/** Milliseconds in which those that nothing disturbs must come to rest. */
const REST = 7 * BLOCK_MS
/** Rounds of settlement, each of some blocks. */
const ROUNDS = 120
/** Of which so many may undo blocks. */
const LATE_REORGS = 12
/** What an honest party may lose of each channel beside fees: HTLCs and balances below the dust limit, anchors. Satoshis. */
const DUST = 20_000n
/** The share of runs with much dust, of which little is let stand. Fees stay the same in them: their rise is dust, too. */
const NARROW = 0.2
const MAX_DUST = msat(500_000n)
/** Blocks that anybody may have to wait for its share. */
const MAX_DELAY = 16

/** Runs a seed. */
export function runBitcoin(options: RunOptions): Promise<RunResult> {
  rememberPoints()
  lookInside()
  return play(options, 'bitcoin', (random, trace) => {
    const stage = build(random, trace)
    const { scene, parties } = stage
    return {
      time: scene.time,
      oracle: scene.oracle,
      pace: PACE,
      rest: 4,
      start: () => {
        for (const party of parties) party.start()
      },
      step: (ofStep) => takeBitcoinStep(stage, ofStep),
      finale: (ofFinale) => finale(stage, ofFinale),
      end: () => {
        for (const party of parties) party.end()
      },
    }
  })
}

function build(random: Random, trace: Trace): BitcoinStage {
  const time = new VirtualTime()
  const tell = (words: string) => trace.tell(time.now(), words)
  const ledger = new BitcoinLedger(FIRST)
  const parties: BitcoinParty[] = []
  const network = new SimNetwork(time, random.fork('network'), tell)
  const oracle = new PaymentOracle()
  const scene: BitcoinScene = {
    time,
    ledger,
    tell,
    random,
    network,
    oracle,
    calm: new Calm({ time, network, oracle }),
    maxDust: random.fork('dust').chance(NARROW) ? MAX_DUST : undefined,
    isEnding: false,
    isQuiet: false,
    onCheat: () => {
      // It chooses its moment: the others may not see the chain.
      const blind = random.fork(`blind/${time.now()}`)
      for (const party of parties) {
        if (party.isHonest && party.canLeave && blind.chance(0.5))
          party.cutChain(blind.between(1, MAX_BLIND) * BLOCK_MS)
      }
      if (blind.chance(0.4)) crowdAfterCommitment(scene, miner, blind)
    },
    isHonest: (peer) => parties.some(({ id, isHonest }) => isHonest && id === peer),
  }
  const miner = minerOf(scene, parties)
  const count = Number(random.weighted({ 2: 6, 3: 3, 4: 1 }))
  const cheats = random.chance(0.5) ? 0 : 1
  const isCheatFirst = random.chance(0.5)
  for (let i = 0; i < count; i++) {
    const isCheat = isCheatFirst ? i < cheats : i >= count - cheats
    parties.push(new BitcoinParty(i, scene, !isCheat))
  }
  for (const { wallet } of parties) {
    for (let i = 0n; i < 10n; i++) ledger.mint(WEALTH / 10n, wallet.script)
  }
  for (let i = 0; i < 3; i++) ledger.mine()
  return { scene, parties, miner }
}

function minerOf(
  { time, ledger, calm, maxDust, tell }: BitcoinScene,
  parties: readonly BitcoinParty[],
): Miner {
  let starved = { blocks: 0, share: 1 }
  let crowded = 0
  let lastDrop = Number.NEGATIVE_INFINITY
  const told = () => {
    for (const party of parties) party.onBlock()
  }
  const mine = () => {
    if (crowded > 0) calm.disturbChain()
    if (crowded > 0 && --crowded === 0) ledger.floor = 253n
    const honest = parties.filter(({ isHonest }) => isHonest)
    for (const party of honest) party.look()
    calm.look(honest)
    ledger.mine(starved.blocks-- > 0 ? starved.share : 1)
    told()
    time.after(BLOCK_MS, mine)
  }
  time.after(BLOCK_MS, mine)
  const crowd = (blocks: number, floor: bigint) => {
    if (maxDust !== undefined) return
    tell(`chain asks for ${floor}`)
    crowded = blocks
    ledger.floor = floor
  }
  return {
    crowd,
    starve: (blocks, share) => {
      starved = { blocks, share }
    },
    reorg: (depth, drop) => {
      // Transactions are lost for good only now and then, or nobody could ever be in time.
      const isDue = time.now() - lastDrop > 20 * BLOCK_MS
      if (drop && isDue) lastDrop = time.now()
      calm.disturbChain()
      ledger.reorg(depth, { drop: drop && isDue })
      told()
    },
  }
}

/** Repair, attack once more, settle, judge. */
async function finale(stage: BitcoinStage, random: Random): Promise<void> {
  const { scene, parties, miner } = stage
  const { time, network } = scene
  const pass = (ms: number) => time.runUntil(time.now() + ms)
  scene.isEnding = true
  scene.tell('the end begins')
  network.heal()
  for (const party of parties) party.comeBack()
  // Some have the time to come to rest, before anybody ends anything.
  await pass(random.chance(0.5) ? REST : random.int(60_000))
  const honest = parties.filter(({ isHonest }) => isHonest)
  if (random.chance(0.3)) await estrange(stage, random)
  if (random.chance(0.4)) crowdAfterCommitment(scene, miner, random)
  if (random.chance(0.7)) {
    for (const party of parties) party.cheat(random)
    if (random.chance(0.7)) await pass(MAX_BLIND * BLOCK_MS)
  }
  const shakes = random.chance(0.5) ? 0 : random.between(1, 4)
  const asked = new Set<string>()
  for (let round = 0; round < ROUNDS; round++) {
    if (round >= shakes && !scene.isQuiet) {
      scene.isQuiet = true
      for (const party of parties) party.comeBack()
    }
    if (round < shakes) {
      for (const party of honest) if (random.chance(0.4)) party.plan(drawFault(random))
      if (random.chance(0.4)) miner.reorg(random.between(1, 5), random.chance(0.3))
    }
    for (const party of honest) {
      for (const channel of party.channels) {
        // Whose process died asks again. What is on chain must go on by itself.
        const key = `${party.name}/${party.life}/${channel.id}`
        if (asked.has(key) || isEnding(channel.phase)) continue
        asked.add(key)
        settle(party, channel)
      }
    }
    if (round >= shakes && round < LATE_REORGS && random.chance(0.2))
      miner.reorg(random.between(1, 5), random.chance(0.6))
    if (round > 6 && honest.every(isAtRest)) break
    await pass(4 * BLOCK_MS)
  }
  // A cheat may still wait for what it hopes to get.
  if (scene.oracle.revoked.size > 0) await pass(MAX_DELAY * BLOCK_MS)
  judge(scene, honest, parties)
  scene.tell(`the end at ${time.now()}`)
}

/**
 * Some see nothing of each other for longer than any HTLC lasts, and nobody ends a channel: what is locked must be taken or
 * given back on chain, by whoever must be in time.
 */
async function estrange({ scene, parties }: BitcoinStage, random: Random): Promise<void> {
  const { time, network, oracle } = scene
  scene.tell('some do not see each other any more')
  for (const [i, a] of parties.entries()) {
    for (const b of parties.slice(i + 1)) if (random.chance(0.7)) network.cut(a.id, b.id)
  }
  for (const party of parties) {
    for (const channel of party.channels) if (channel.locks.length > 0) answer(party, channel, random)
  }
  // What was said then may be known to a disk alone.
  await time.runUntil(time.now() + 1_000)
  for (const party of parties) if (party.isHonest && random.chance(0.3)) party.kill()
  for (let blocks = random.between(40, 120); blocks > 0; blocks--) {
    await time.runUntil(time.now() + BLOCK_MS)
    for (const party of parties.filter(({ isHonest }) => isHonest)) {
      const { overdue } = party
      if (overdue === undefined) continue
      oracle.violated('nothing is stuck', `${party.name}: ${overdue}`)
      blocks = 0
    }
  }
  network.heal()
}

/**
 * When somebody's commitment is in a block, room becomes dear: what answers it has to pay more from the beginning, or, if it
 * waits for a block already, more than it began with.
 */
function crowdAfterCommitment({ ledger, time }: BitcoinScene, miner: Miner, random: Random): void {
  const ms = random.chance(0.3) ? 0 : BLOCK_MS / 2
  const [blocks, floor] = [random.between(20, 60), BigInt(random.between(1_200, 4_000))]
  ledger.onMined = (tx, isGone) => {
    if (isGone || !isCommitment(tx)) return
    ledger.onMined = () => undefined
    time.after(ms, () => miner.crowd(blocks, floor))
  }
}

function isAtRest(party: BitcoinParty): boolean {
  return party.process !== undefined && party.funded.length === 0 && openCalls(party).length === 0
}

/** What its user waits for, but for the end of channels, and of what is locked in them, whose funding is in no block. */
function openCalls(party: BitcoinParty): readonly string[] {
  const funded = new Set(party.funded.map(({ id }) => id))
  const idle = party.channels
    .filter(({ id }) => !funded.has(id))
    .flatMap(({ id, locks }) => [
      `settles ${id.slice(2, 8)}`,
      ...locks.flatMap(({ amount }) => [`releases ${amount}`, `cancels ${amount}`]),
    ])
  return [...(party.process?.calls.values() ?? [])].filter((words) => !idle.includes(words))
}

function judge(
  { oracle, ledger }: BitcoinScene,
  honest: readonly BitcoinParty[],
  all: readonly BitcoinParty[],
): void {
  for (const party of honest) {
    for (const channel of party.funded)
      oracle.violated('nothing is stuck', `${party.name} ${channel.id.slice(2, 8)} is ${channel.phase}`)
    for (const words of openCalls(party)) oracle.violated('every promise settles', `${party.name} ${words}`)
    for (const hash of party.unended) oracle.violated('every promise settles', `${party.name} pays ${hash}`)
    if (party.process === undefined) oracle.violated('nothing is stuck', `${party.name} is not back`)
  }
  oracle.judge(all)
  let sum = ledger.fees()
  for (const [, { amount }] of ledger.outputs) sum += amount
  if (sum !== ledger.minted) oracle.violated('conservation', `${sum} of ${ledger.minted}`)
  for (const { name, wallet } of all.filter(({ isHonest }) => !isHonest)) {
    for (const id of oracle.revoked) {
      const taken = ledger.takenAfterDelay(id, wallet.script)
      if (taken > DUST)
        oracle.violated('agreed balance kept', `${name} has got ${taken} of a commitment that it had revoked`)
    }
  }
  for (const party of honest) {
    const has = party.wallet.wealth
    const due = WEALTH + (oracle.balance(party) - party.forsaken) / 1000n
    const fees = ledger.fees(party.wallet.script)
    if (has < due - fees - DUST)
      oracle.violated('agreed balance kept', `${party.name} has ${has}, ${due} less ${fees} of fees expected`)
  }
}
