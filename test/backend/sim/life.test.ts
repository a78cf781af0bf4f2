import { expect } from 'chai'
import { type LedgerEvent, type State, stateOf } from '../../../channel/index.js'
import { firstState, party, RICH, signedByAll, simWorld } from './world.js'

function next(state: State, balances: bigint[][], isFinal = false): State {
  return stateOf(
    state,
    { balances, data: state.data, isFinal, assets: state.allocation.assets },
    state.version + 1n,
  )
}

describe('backend/sim: a channel life', () => {
  it('funded, closed cooperatively: everybody is paid in one transaction', async () => {
    const { ledger, parties, params, assets } = simWorld()
    const first = firstState(parties, params, assets)
    const agreement = first.allocation.balances
    await Promise.all(
      parties.map(({ backend, index }) => backend.funder.fund({ params, state: first, index, agreement })),
    )
    const last = next(
      first,
      [
        [3n, 17n],
        [20n, 0n],
      ],
      true,
    )
    const { signatures } = signedByAll(parties, params, last)
    const authorizations = await Promise.all(
      parties.map(({ backend, index }) => backend.adjudicator.authorizeClose({ params, state: last, index })),
    )
    const height = ledger.head.number
    await party(parties, 1).backend.adjudicator.close({
      params,
      state: last,
      signatures,
      authorizations,
      index: 1,
    })
    expect(ledger.head.number).to.equal(height + 1)
    expect(
      parties.map(({ address }) => assets.map((asset) => ledger.balanceOf(asset, address))),
    ).to.deep.equal([
      [RICH - 7n, RICH + 10n],
      [RICH + 7n, RICH - 10n],
    ])
  })

  it('an old state is refuted, and after its time the newest one is paid', async () => {
    const { ledger, parties, params, assets } = simWorld()
    const first = firstState(parties, params, assets)
    const agreement = first.allocation.balances
    await Promise.all(
      parties.map(({ backend, index }) => backend.funder.fund({ params, state: first, index, agreement })),
    )
    const second = next(first, [
      [20n, 0n],
      [10n, 10n],
    ])
    const [alice, bob] = [party(parties, 0), party(parties, 1)]
    const events: LedgerEvent[] = []
    const subscription = alice.backend.adjudicator.subscribe(first.channelID)
    const reading = (async () => {
      for await (const event of subscription) {
        events.push(event)
        if (event.kind === 'concluded' && event.status === 'final') subscription.close()
      }
    })()
    await bob.backend.adjudicator.register({
      signed: signedByAll(parties, params, first),
      subChannels: [],
    })
    await alice.backend.adjudicator.register({
      signed: signedByAll(parties, params, second),
      subChannels: [],
    })
    const request = { params, state: second, signatures: [], subChannels: [] }
    const withdrawals = parties.map(({ backend, index }) =>
      backend.adjudicator.withdraw({ ...request, index }),
    )
    ledger.advanceTo(await ledger.whenWaiting())
    await Promise.all(withdrawals)
    await reading
    expect(events.map(({ kind, version, status }) => `${kind} ${version} ${status}`)).to.deep.equal([
      'registered 0 seen',
      'registered 0 final',
      'registered 1 seen',
      'registered 1 final',
      'concluded 1 seen',
      'concluded 1 final',
    ])
    expect(
      parties.map(({ address }) => assets.map((asset) => ledger.balanceOf(asset, address))),
    ).to.deep.equal([
      [RICH + 10n, RICH],
      [RICH - 10n, RICH],
    ])
  })
})
