// Coins for the children of commitments with anchors, at the side that did not fund: refused without them or told of, by the
// node's policy (f 14).
import { expect } from 'chai'
import type { AdmissionLimits } from '../../../../backend/bitcoin/channel/index.js'
import { anchorReserve } from '../../../../backend/bitcoin/node/anchor-reserve.js'
import type { LightningNode, NodeEvent } from '../../../../backend/bitcoin/node/index.js'
import { shortOf } from '../../../../backend/bitcoin/node/reserve.js'
import { feeratePerKw, sat } from '../../../../backend/bitcoin/units.js'
import { isError, type PerkunasError } from '../../../../channel/errors.js'
import { failure } from '../../../client/parties.js'
import { until } from './stranger.js'
import { type TestNode, TestWorld } from './world.js'

const ONE = anchorReserve(feeratePerKw(1000))
const STATIC = { commitments: 'static_remotekey', scidAlias: false, zeroconf: false }

describe('LightningNode: a reserve for channels that peers open', () => {
  let world: TestWorld
  let alice: LightningNode
  let bob: TestNode
  let told: (NodeEvent & { readonly kind: 'reserve' })[]
  let errors: PerkunasError[]

  beforeEach(async () => {
    world = new TestWorld()
    bob = world.node('bob')
    alice = await world.node('alice').start()
    bob.wallet.confirmed = sat(0n)
  })

  afterEach(() => world.stop())

  async function started(admission: Partial<AdmissionLimits> = {}, who = bob): Promise<LightningNode> {
    const node = await who.start({ admission })
    told = []
    errors = []
    node.events$.subscribe((event) => event.kind === 'reserve' && told.push(event))
    node.errors$.subscribe((error) => errors.push(error))
    return node
  }

  const opened = (more: object = {}) =>
    alice.open(Object.assign({ peer: bob.id, address: 'memory://bob', capacity: sat(100_000n) }, more))

  it('an empty wallet, a channel of no announcement -> taken, and its user told how much to add, until it is there', async () => {
    const node = await started()
    await opened()
    await until(() => told.length === 1)
    expect(told[0]).to.deep.equal({ kind: 'reserve', needed: ONE, available: 0n, missing: ONE })
    expect(errors).to.deep.equal([])
    // Not with each block.
    await world.chain.mine(3)
    await opened()
    await until(() => told.length === 2)
    expect(told[1]).to.include({ needed: 2n * ONE, missing: 2n * ONE })
    expect(await node.anchorReserve()).to.deep.equal({ needed: 2n * ONE, available: 0n, missing: 2n * ONE })
    bob.wallet.confirmed = sat(2n * ONE)
    await world.chain.mine(1)
    await until(() => told.length === 3)
    expect(told[2]).to.include({ needed: 2n * ONE, missing: 0n })
  })

  it('what is missing comes with the next block -> told, and said to whoever reads errors', async () => {
    bob.wallet.unconfirmed = sat(3_000_000n)
    await started()
    await opened()
    await until(() => told.length === 1)
    const [event] = told
    if (event === undefined) throw new Error('not told')
    expect(event).to.include({ missing: ONE, unconfirmed: 3_000_000n })
    const error = shortOf(event)
    expect(error.facts).to.deep.equal({ needed: ONE, available: 0n, unconfirmed: 3_000_000n })
    expect(error.message).to.match(/wait for a block: 3000000 sat are unconfirmed/)
  })

  it('started again with too little -> told again', async () => {
    await started()
    await opened()
    await until(() => told.length === 1)
    await bob.stop()
    await started()
    await until(() => told.length === 1)
    expect(told[0]).to.include({ missing: ONE })
  })

  it('an empty wallet, one that is to be announced -> refused, and both users told why', async () => {
    await started()
    const refused = await failure(opened({ isAnnounced: true }))
    expect(refused).to.include({ code: 'PEER_REJECTED' })
    expect(refused.message).to.match(/too few coins on chain for the fees of another channel with anchors/)
    expect(errors.map(({ code, facts }) => [code, facts])).to.deep.equal([
      ['INSUFFICIENT_FUNDS', { needed: ONE, available: 0n }],
    ])
    expect(errors[0]?.message).to.match(new RegExp(`add ${ONE} sat`))
    expect(bob.running.channels()).to.deep.equal([])
  })

  it('enough for two of three that come at once -> two', async () => {
    await started({ anchorReserve: 'all' })
    bob.wallet.confirmed = sat(2n * ONE)
    const ends = await Promise.allSettled([opened(), opened(), opened()])
    const refused = ends.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
    expect(refused).to.have.length(1)
    expect(isError(refused[0], 'PEER_REJECTED')).to.equal(true)
    expect(bob.running.channels()).to.have.length(2)
  })

  it('by its policy: all must have it, or none; what has no anchors needs none', async () => {
    await started({ anchorReserve: 'all' })
    expect(await failure(opened())).to.include({ code: 'PEER_REJECTED' })
    await opened({ type: STATIC, isAnnounced: true })
    const carol = world.node('carol')
    carol.wallet.confirmed = sat(0n)
    await started({ anchorReserve: 'none' }, carol)
    await opened({ isAnnounced: true, peer: carol.id, address: 'memory://carol' })
    await until(() => told.length === 1)
    expect(told[0]).to.include({ missing: ONE })
  })

  it('a wallet that does not answer -> no channel that must have it, and told; the others go on', async () => {
    await started()
    bob.wallet.balance = () => Promise.reject(new Error('gone'))
    expect(await failure(opened({ isAnnounced: true }))).to.include({ code: 'PEER_REJECTED' })
    expect(errors.map(({ code }) => code)).to.deep.equal(['HANDLER_FAILED'])
    await opened()
  })
})
