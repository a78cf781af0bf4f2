// A disk that is full, or whose fsync fails, at every commit of a channel's life: the client stops there and then.
import { expect } from 'chai'
import { type Draft, type PerkunasError, transfer } from '../../channel/index.js'
import { MemoryStore } from '../../persistence/index.js'
import { type Fault, FaultyStore } from '../persistence/faulty.js'
import { type Group, group, next, type Party, passTime, restarted, WEALTH, who } from './parties.js'

const give = (draft: Draft) => transfer(draft, { from: 0, to: 1, amount: 5n })
const giveBack = (draft: Draft) => transfer(draft, { from: 1, to: 0, amount: 2n })

/** Opens, pays both ways, and settles; ends early where it fails. */
async function life(
  { parties, assets }: Group,
  [alice, bob]: readonly [Party, Party],
  signal: AbortSignal,
): Promise<void> {
  const theirs = next(bob.client)
  theirs.catch(() => undefined)
  const [asset] = assets
  const allocation = { assets: [asset], balances: [parties.map(() => 100n)] }
  const ours = await alice.client.proposeChannel({ peers: [bob.peer], allocation, challengeDuration: 60n })
  await ours.update(give)
  await (await theirs).update(giveBack, { signal })
  await ours.settle()
}

describe('client: a disk that fails', () => {
  for (const code of ['ENOSPC', 'EIO'] as const) {
    for (const batch of ['lost', 'kept'] as const) {
      it(`${code} at any commit, the batch is ${batch} -> STORE_FAILED, nothing is sent; a restart goes on`, async () => {
        let reached = true
        let commits = 0
        for (let at = 1; reached; at++) {
          reached = await failAt(at, { kind: 'error', code, batch })
          if (reached) commits++
        }
        expect(commits).at.least(8)
      })
    }
  }
})

/** One life with a fault at one commit of alice. @returns whether there were so many commits */
async function failAt(at: number, fault: Fault): Promise<boolean> {
  const world = await group(2)
  const bob = who(world, 1)
  const disk = new MemoryStore()
  let isFaulty = false
  const store = new FaultyStore(disk, (number) => {
    isFaulty = number === at
    return isFaulty ? fault : undefined
  })
  const alice = await restarted(who(world, 0), world, { store })
  const late: string[] = []
  const { send } = alice.bus
  alice.bus.send = (to, payload) => {
    if (isFaulty) late.push('a message')
    return send.call(alice.bus, to, payload)
  }
  const { submit } = world.ledger
  const over = new AbortController()
  world.ledger.submit = (from, call) => {
    if (over.signal.aborted && from === alice.address) late.push(call.kind)
    return submit.call(world.ledger, from, call)
  }
  let ended: PerkunasError | undefined
  const errors: PerkunasError[] = []
  alice.client.errors$.subscribe({ next: (error) => errors.push(error), complete: () => over.abort() })
  const call = life({ ...world, parties: [alice, bob] }, [alice, bob], over.signal).catch(
    (error: PerkunasError) => {
      ended = error
    },
  )
  let isSettled = false
  void call.then(() => {
    isSettled = true
  })
  await passTime(world, () => isSettled)
  if (store.commits < at) {
    expect(ended).equals(undefined)
    return false
  }
  expect(over.signal.aborted).equals(true)
  expect(errors.at(-1)?.code, `commit ${at}`).equals('STORE_FAILED')
  expect(alice.client.channels()).deep.equals([])
  if (ended !== undefined) expect(['STORE_FAILED', 'ABORTED']).includes(ended.code)
  expect(late, `commit ${at}`).deep.equals([])
  // The disk is mended: only what is on it counts.
  isFaulty = false
  const again = await restarted({ ...alice, store: disk }, world)
  for (const party of [again, bob])
    for (const channel of party.client.channels()) void channel.settle().catch(() => undefined)
  await passTime(world, () => again.client.channels().length === 0 && bob.client.channels().length === 0)
  const [asset] = world.assets
  const owned = [alice, bob].map(({ address }) => world.ledger.balanceOf(asset, address))
  const total = owned.reduce((sum, amount) => sum + amount, 0n)
  expect(total, `commit ${at}`).equals(2n * WEALTH)
  // What was agreed stands: what alice is without is one of the states that both had.
  expect([0n, 5n, 3n], `commit ${at}`).includes(WEALTH - (owned[0] ?? 0n))
  return true
}
