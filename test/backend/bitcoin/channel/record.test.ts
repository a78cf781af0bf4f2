import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import {
  asWritten,
  CHANNEL_ROWS,
  channelRemoval,
  channelWrites,
  isLive,
  restoredChannels,
} from '../../../../backend/bitcoin/channel/index.js'
import { fromHex, type Hex } from '../../../../channel/bytes.js'
import { isError } from '../../../../channel/errors.js'
import { busyPair, Pair, type Party } from './pair.js'

describe('channel rows', () => {
  it('an update of the peer writes nothing until it is signed; its onion is written once, and gone when it is locked', () => {
    const pair = new Pair().reachNormal()
    pair.add(pair.alice, 5_000_000n, 1)
    pair.input(pair.alice, { kind: 'flush' })
    const before = pair.bob.state
    pair.deliver(pair.alice)
    expect(pair.bob.state).to.not.equal(before)
    expect(rowsOf(before, pair.bob)).to.deep.equal([])
    const unsigned = pair.bob.state
    pair.deliver(pair.alice)
    expect(rowsOf(unsigned, pair.bob)).to.deep.equal(['put state', 'put onion/0'])
    pair.settle()
    expect([...pair.bob.disk.keys()].map((key) => key.slice(CHANNEL_ROWS.length + 2)).sort()).to.deep.equal([
      'state',
      'terms',
    ])
  })
  it('an HTLC to add is written once, a batch when it is signed; both are removed when it is revoked; terms once', () => {
    const pair = new Pair().reachNormal()
    const idle = pair.alice.state
    pair.add(pair.alice, 5_000_000n, 1)
    const [first, row = ''] = rowsOf(idle, pair.alice).map((one) => one.replace('put ', ''))
    expect([first, row.slice(0, 5)]).to.deep.equal(['wants', 'add/='])
    const wanted = pair.alice.state
    pair.input(pair.alice, { kind: 'flush' })
    expect(rowsOf(wanted, pair.alice)).to.deep.equal(['put state', 'put signed', 'delete wants'])
    while (pair.deliver(pair.alice)) {}
    const signed = pair.alice.state
    pair.deliver(pair.bob)
    expect(rowsOf(signed, pair.alice)).to.deep.equal(['put state', 'delete signed', `delete ${row}`])
  })
  it('taken back, and another one wanted by its name, between two writes -> the row is of the later one', () => {
    const pair = new Pair().reachNormal()
    const { alice } = pair
    pair.add(alice, 5_000_000n, 1, 500, 'name')
    const written = alice.state
    const disk = new Map(alice.disk)
    pair.input(alice, { kind: 'unwant', reference: 'name' })
    pair.add(alice, 6_000_000n, 2, 500, 'name')
    pair.input(alice, { kind: 'flush' })
    const { state } = alice
    if (written === undefined || state === undefined) throw new Error('no channel')
    for (const one of channelWrites(written, state)) {
      if (one.kind === 'put') disk.set(one.key, one.value)
      else disk.delete(one.key)
    }
    expect(restoredChannels(disk).get(0n)).to.deep.equal(pair.restored(alice))
    expect(disk).to.deep.equal(alice.disk)
  })
  it('many steps can be written as one: the rows between the first state and the last', () => {
    const pair = busyPair()
    const disk = new Map<string, Uint8Array>()
    const { state } = pair.alice
    if (state === undefined) throw new Error('no channel')
    for (const one of channelWrites(undefined, state)) if (one.kind === 'put') disk.set(one.key, one.value)
    expect(restoredChannels(disk).get(0n)).to.deep.equal(pair.restored(pair.alice))
  })
  it('a channel that is removed leaves no row', () => {
    const pair = busyPair()
    const { state, disk } = pair.bob
    if (state === undefined) throw new Error('no channel')
    for (const { key } of channelRemoval(state)) disk.delete(key)
    expect([...disk.keys()]).to.deep.equal([])
  })
  it('a damaged, missing or misplaced row -> INVALID_RECORD', () => {
    const { disk } = busyPair().alice
    for (const [key, value] of disk) {
      const broken = Uint8Array.from(value)
      broken[broken.length >> 1] = (broken[broken.length >> 1] ?? 0) ^ 1
      refused(new Map([...disk, [key, broken]]))
    }
    for (const part of ['state', 'terms']) {
      const rest = new Map(disk)
      rest.delete(`${CHANNEL_ROWS}0/${part}`)
      refused(rest)
    }
    const batch = disk.get(`${CHANNEL_ROWS}0/signed`)
    const state = disk.get(`${CHANNEL_ROWS}0/state`)
    if (batch === undefined || state === undefined) throw new Error('rows')
    refused(new Map([...disk, [`${CHANNEL_ROWS}0/state`, batch]]))
    refused(new Map([[`${CHANNEL_ROWS}x/state`, state]]))
  })

  it('rows of version 1, as they were first written, are read for ever', () => {
    const text = readFileSync(new URL('rows-1.json', SOURCE), 'utf8')
    const recorded = JSON.parse(text) as Readonly<Record<string, Hex>>
    const disk = new Map(Object.entries(recorded).map(([key, value]) => [key, fromHex(value)]))
    const state = restoredChannels(disk).get(0n)
    if (state === undefined || !isLive(state)) throw new Error('no channel')
    expect(state.phase).to.equal('normal')
    expect(state.book.balances).to.deep.equal({ local: 600_000_000n, remote: 400_000_000n })
    expect(state.book.htlcs.map(({ offerer, stage }) => `${offerer} ${stage}`)).to.deep.equal([
      'local locked',
      'remote removalSigned',
      'remote removalSigned',
      'local signed',
      'remote acked',
    ])
    expect(state.batch?.updates.map(({ kind }) => kind)).to.deep.equal([
      'update_fulfill_htlc',
      'update_fail_htlc',
      'update_fee',
      'update_add_htlc',
    ])
    expect(state.intents).to.have.length(1)
    // They are replaced with the first change of what they hold, and nothing is lost.
    const next = { ...state, intents: [...state.intents] }
    for (const one of channelWrites(asWritten(state, disk), next)) {
      if (one.kind === 'put') disk.set(one.key, one.value)
      else disk.delete(one.key)
    }
    const parts = [...disk.keys()].map((key) => key.slice(CHANNEL_ROWS.length + 2).split('/')[0])
    expect(parts.sort()).to.deep.equal(['add', 'add', 'onion', 'signed', 'state', 'terms', 'wants'])
    expect(restoredChannels(disk).get(0n)).to.deep.equal(state)
    for (const { key } of channelRemoval(state)) disk.delete(key)
    expect(disk.size).to.equal(0)
  })
})

/** Beside the source of this file: the build copies no data. */
const SOURCE = new URL('../../../../../test/backend/bitcoin/channel/', import.meta.url)

function rowsOf(before: Party['state'], { state }: Party): readonly string[] {
  if (state === undefined) throw new Error('no channel')
  return channelWrites(before, state).map(({ kind, key }) => `${kind} ${key.slice(CHANNEL_ROWS.length + 2)}`)
}

function refused(disk: ReadonlyMap<string, Uint8Array>): void {
  try {
    restoredChannels(disk)
    expect.fail('read')
  } catch (error) {
    expect(isError(error, 'INVALID_RECORD'), String(error)).to.equal(true)
  }
}
