// What must hold when all is over: nothing that both have agreed on is lost, and every wei is where it belongs.
import type { ChannelID, Hex } from '../../channel/index.js'
import type { Onlooker } from './ledger.js'

/** What a participant's process told while it lived. It may have died before it could. */
export interface Teller {
  readonly name: string
  readonly account: Hex
  /** By channel and version: everybody's balances, as this one told them. */
  readonly states: ReadonlyMap<ChannelID, ReadonlyMap<bigint, string>>
  /** Which participant it is. */
  readonly indices: ReadonlyMap<ChannelID, number>
  readonly errors: readonly string[]
}

/** What came of it all. */
export interface Verdict {
  /** What does not hold. */
  readonly broken: readonly string[]
  readonly channels: number
  readonly transactions: number
}

/** Holds the chain to what the two told. @param given `deposits`: of a channel, by participant, in wei */
export async function check(given: {
  readonly parties: readonly Teller[]
  readonly onlooker: Pick<Onlooker, 'balanceOf' | 'channels' | 'contracts' | 'costsOf' | 'deposited'>
  /** What each had at first. */
  readonly before: readonly bigint[]
  readonly deposits: readonly bigint[]
}): Promise<Verdict> {
  const { onlooker, parties, before, deposits: due } = given
  const broken: string[] = []
  const net = parties.map(() => 0n)
  const channels = await onlooker.channels()
  for (const [id, { version, isConcluded, participants }] of channels) {
    if (!isConcluded) broken.push(`channel ${id} is not concluded`)
    // By participant, as the ledger has them: whoever opens a channel is the first, and may be dead before anybody hears of it.
    const who = participants.map((address) => parties.findIndex(({ account }) => account === address))
    for (const [i, party] of parties.entries()) {
      const index = party.indices.get(id)
      if (index !== undefined && who[index] !== i)
        broken.push(`${party.name} is not participant ${index} of ${id}`)
    }
    const deposits = await Promise.all(participants.map((address) => onlooker.deposited(id, address)))
    for (const [i, amount] of deposits.entries()) {
      if (amount !== 0n && amount !== due[i]) broken.push(`participant ${i} deposited ${amount} in ${id}`)
    }
    const told = parties.flatMap(({ states }) => states.get(id)?.get(version) ?? [])
    if (new Set(told).size > 1) broken.push(`channel ${id}, version ${version}: ${told.join(' but ')}`)
    for (const { name, states } of parties) {
      const newest = [...(states.get(id)?.keys() ?? [])].reduce((a, b) => (a > b ? a : b), 0n)
      if (newest > version) broken.push(`channel ${id}: ended with ${version}, ${name} had ${newest}`)
    }
    if (deposits.join() !== due.join()) continue // everybody gets the own deposit back
    const [balances] = told
    if (balances === undefined && version !== 0n)
      broken.push(`channel ${id}: nobody knows version ${version}`)
    const amounts = balances?.split(',').map(BigInt) ?? due
    for (const [i, whose] of who.entries()) {
      net[whose] = (net[whose] ?? 0n) + (amounts[i] ?? 0n) - (due[i] ?? 0n)
    }
  }
  const held = await onlooker.balanceOf(onlooker.contracts.holder)
  if (held !== 0n) broken.push(`${held} wei are left in the holder`)
  const costs = await onlooker.costsOf(parties.map(({ account }) => account))
  let transactions = 0
  for (const [i, { account, name, errors }] of parties.entries()) {
    const { wei, count } = costs.get(account) ?? { wei: 0n, count: 0 }
    transactions += count
    const expected = (before[i] ?? 0n) + (net[i] ?? 0n) - wei
    const actual = await onlooker.balanceOf(account)
    if (actual !== expected) broken.push(`${name} has ${actual - expected} wei too much`)
    broken.push(...errors.filter((error) => /^INTERNAL|^TWO STATES|^INVALID_RECORD|^STORE/.test(error)))
  }
  return { broken, channels: channels.size, transactions }
}
