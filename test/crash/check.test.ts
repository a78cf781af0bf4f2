import { expect } from 'chai'
import type { ChannelID, Hex } from '../../channel/index.js'
import { check, type Teller } from './check.js'

const ID = `0x${'01'.repeat(32)}` as ChannelID
const ALICE: Hex = '0xa1'
const BOB: Hex = '0xb0'
const DEPOSITS = [1_000_000n, 500_000n] as const

/** A ledger where Bob opened a channel with Alice, and it was concluded with its first state. */
function ledger(deposited: { readonly alice: bigint; readonly bob: bigint }) {
  return {
    contracts: { adjudicator: '0xad', holder: '0x40' } as const,
    channels: async () =>
      new Map([[ID, { version: 0n, isConcluded: true, deadline: 0n, participants: [BOB, ALICE] }]]),
    deposited: async (_: Hex, participant: Hex) => (participant === BOB ? deposited.bob : deposited.alice),
    balanceOf: async () => 0n,
    costsOf: async () => new Map(),
  }
}

function teller(name: string, account: Hex, index?: number): Teller {
  return {
    name,
    account,
    states: new Map(),
    indices: new Map(index === undefined ? [] : [[ID, index]]),
    errors: [],
  }
}

describe('crash: what must hold in the end', () => {
  const judge = async (deposited: { readonly alice: bigint; readonly bob: bigint }, index?: number) => {
    const parties = [teller('alice', ALICE, index), teller('bob', BOB)]
    const given = { parties, onlooker: ledger(deposited), before: [0n, 0n], deposits: DEPOSITS }
    return (await check(given)).broken
  }

  it('both die before they tell of the channel that Bob opens -> deposits are of those whom the ledger names', async () => {
    expect(await judge({ alice: 0n, bob: 1_000_000n })).to.deep.equal([])
    expect(await judge({ alice: 500_000n, bob: 1_000_000n })).to.deep.equal([])
  })

  it("somebody deposits what is the other one's to deposit -> told", async () => {
    expect(await judge({ alice: 1_000_000n, bob: 0n })).to.deep.equal([
      `participant 1 deposited 1000000 in ${ID}`,
    ])
  })

  it('a process takes itself for the other participant -> told', async () => {
    expect(await judge({ alice: 500_000n, bob: 1_000_000n }, 0)).to.deep.equal([
      `alice is not participant 0 of ${ID}`,
    ])
  })
})
