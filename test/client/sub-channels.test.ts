// Channels with sub-channels out of a store: no client of ours opens them yet, and each must bring them back.
import { expect } from 'chai'
import { type ChannelID, newMachine, type SignedState } from '../../channel/index.js'
import { type ChannelRecord, channelRecord } from '../../client/conversation.js'
import { created, progressed, restored } from '../../client/records.js'
import type { Write } from '../../persistence/index.js'
import { signPersonal } from '../../wallet/index.js'
import {
  type Group,
  group,
  kill,
  open,
  type Party,
  passTime,
  restarted,
  settled,
  WEALTH,
  who,
} from './parties.js'
import { paramsOf, type Signers, signedState } from './tower/family.js'

/** Alice and Bob, who are away, with a channel on the ledger in which everybody has 100. */
async function scene() {
  const world = await group(2)
  const [channel] = await open(world)
  if (channel === undefined) throw new Error('a channel')
  const { params, signedState: first } = channel
  if (first === undefined) throw new Error('signatures expected')
  const [alice, bob] = [who(world, 0), who(world, 1)]
  await kill(alice)
  await kill(bob)
  const by: Signers = {
    rules: bob.backend.rules,
    participants: params.participants,
    asset: world.assets[0],
    challengeDuration: 30n,
    sign: (message) => [alice, bob].map(({ secret }) => signPersonal(message, secret)),
  }
  const sub = (nonce: bigint, version: bigint, ...children: SignedState[]) =>
    signedState(by, paramsOf(by, nonce), version, { children })
  /** The channel in a later version, with 10 less than everybody had beside what it locks. */
  const parent = (version: bigint, ...children: SignedState[]) => {
    const { state } = signedState(by, params, version, { children })
    const locked = state.allocation.locked.reduce((sum, { balances: [amount = 0n] }) => sum + amount, 0n)
    const allocation = { ...state.allocation, balances: [[100n - locked, 100n]] }
    return signedState(by, params, version, { allocation })
  }
  return { world, alice, bob, first, sub, parent }
}

/** Writes channels into a party's store as a client with these states would have, in place of older ones. */
async function write({ store, peer }: Party, { parties }: Group, states: readonly SignedState[]) {
  const batch: Write[] = []
  for (const { params, state, signatures } of states) {
    const parts = new Map<string, Uint8Array>()
    for (const [key, value] of store.snapshot()) {
      const [, id, part = ''] = key.split('/')
      if (id === state.channelID) parts.set(part, value)
    }
    const index = parties.findIndex((party) => party.peer === peer)
    const peers = parties.map((party) => party.peer)
    const fresh: ChannelRecord = channelRecord(
      newMachine(state.channelID, params, index),
      peers,
      state.allocation.balances,
    )
    const record = parts.size > 0 ? restored(state.channelID, parts) : fresh
    const current = { state, signatures }
    const { staging: _, ...machine } = record.machine
    const next: ChannelRecord = {
      ...record,
      machine: { ...machine, phase: 'acting', isFunded: true, current, signedVersion: state.version },
    }
    batch.push(...(parts.size > 0 ? [progressed(next)] : created(next)))
  }
  await store.commit(batch)
}

describe('sub-channels: restore', () => {
  it('whatever the order of keys -> parents come before their children, those without a parent too', async () => {
    const { world, alice, sub, parent } = await scene()
    const all: SignedState[] = []
    // Of eight chains some go down in the order of keys, some up.
    for (let i = 0n; i < 8n; i++) {
      const grandchild = sub(10n * i + 1n, 0n)
      const child = sub(10n * i + 2n, 0n, grandchild)
      all.push(grandchild, child)
    }
    const tops = all.filter(({ state }) => state.allocation.locked.length > 0)
    await write(alice, world, [parent(1n, ...tops.slice(0, 4)), ...all])
    const again = await restarted(alice, world)
    const order = again.client.channels().map(({ id }) => id)
    expect(order).lengthOf(17)
    for (const channel of again.client.channels()) {
      for (const { channelID } of channel.state.allocation.locked) {
        expect(order.indexOf(channelID)).greaterThan(order.indexOf(channel.id))
      }
    }
    expect(again.errors).deep.equals([])
  })

  it('two that lock funds for each other -> both are there', async () => {
    const { world, alice, sub } = await scene()
    const [one, two] = [sub(1n, 0n), sub(2n, 0n)]
    const locking = ({ params, state, signatures }: SignedState, channelID: ChannelID): SignedState => {
      const locked = [{ channelID, balances: [10n], indexMap: [] }]
      return { params, signatures, state: { ...state, allocation: { ...state.allocation, locked } } }
    }
    await write(alice, world, [locking(one, two.state.channelID), locking(two, one.state.channelID)])
    const again = await restarted(alice, world)
    expect(again.client.channels()).lengthOf(3)
  })
})

describe('sub-channels: disputes after a restart', () => {
  /** Everything of both parties is paid out. */
  const balance = ({ ledger, assets }: Group, { address }: Party) => ledger.balanceOf(assets[0], address)

  for (const [what, registers] of [
    ['an old parent', (it: Awaited<ReturnType<typeof scene>>) => [it.first]],
    ['an old child under the current parent', ({ parent, sub }) => [parent(1n, sub(1n, 0n)), sub(1n, 0n)]],
  ] as const satisfies readonly (readonly [
    string,
    (it: Awaited<ReturnType<typeof scene>>) => readonly SignedState[],
  ])[]) {
    it(`${what} is registered -> refuted with the newest of both, both outcomes are paid`, async () => {
      const it = await scene()
      const { world, alice, bob, sub, parent } = it
      const child = sub(1n, 6n)
      await write(alice, world, [parent(1n, child), child])
      const cheat = await restarted({ ...bob, store: bob.store.clone() }, world)
      for (const channel of cheat.client.channels()) channel.close()
      const [signed, ...subChannels] = registers(it)
      if (signed === undefined) throw new Error('a state to register')
      await cheat.backend.adjudicator.register({ signed, subChannels })
      const again = await restarted(alice, world)
      const version = ({ state }: SignedState) => world.ledger.dispute(state.channelID)?.version
      await settled(() => version(signed) === 1n && version(child) === 6n)
      await passTime(world, () => again.client.channels().length === 0)
      // 90 of the parent's 100, and 5 of the child's 10.
      expect(balance(world, again)).equals(WEALTH - 5n)
    })
  }

  it('the child is not in the store -> told; what another participant registers is concluded and paid', async () => {
    const { world, alice, bob, sub, parent } = await scene()
    const child = sub(1n, 6n)
    const signed = parent(1n, child)
    await write(alice, world, [signed])
    const again = await restarted(alice, world)
    expect(again.errors.map(({ code, facts }) => ({ code, facts }))).deep.equals([
      { code: 'UNKNOWN_CHANNEL', facts: { channel: child.state.channelID } },
    ])
    const [channel] = again.client.channels()
    expect(channel?.phase).equals('acting')
    const other = await restarted({ ...bob, store: bob.store.clone() }, world)
    for (const one of other.client.channels()) one.close()
    await other.backend.adjudicator.register({ signed, subChannels: [child] })
    await passTime(world, () => again.client.channels().length === 0)
    expect(balance(world, again)).equals(WEALTH - 5n)
  })

  it('the child is not in the store, our user disputes -> fails again and again, without harm, until another one registers', async () => {
    const { world, alice, bob, sub, parent } = await scene()
    const child = sub(1n, 6n)
    const signed = parent(1n, child)
    await write(alice, world, [signed])
    const timeouts = { settlement: 30 }
    const again = await restarted(alice, world, { timeouts })
    const [channel] = again.client.channels()
    const settling = channel?.settle()
    await settled(() => again.errors.some(({ code }) => code === 'TRANSACTION_FAILED'))
    expect(channel?.state).deep.equals(signed.state)
    const other = await restarted({ ...bob, store: bob.store.clone() }, world)
    for (const one of other.client.channels()) one.close()
    await other.backend.adjudicator.register({ signed, subChannels: [child] })
    await passTime(world, () => again.client.channels().length === 0)
    await settling
    expect(balance(world, again)).equals(WEALTH - 5n)
  })
})
