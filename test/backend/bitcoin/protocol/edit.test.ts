// What an edit of a Lightning channel's state comes to.
import { expect } from 'chai'
import { paidBy } from '../../../../backend/bitcoin/protocol/edit.js'
import { bitcoinAsset } from '../../../../backend/bitcoin/protocol/proposal.js'
import { type Draft, isError, NO_APP, type State, transfer } from '../../../../channel/index.js'

const STATE: State = {
  channelID: `0x${'77'.repeat(32)}`,
  version: 3n,
  app: NO_APP,
  allocation: {
    assets: [bitcoinAsset(`0x${'06'.repeat(32)}`)],
    balances: [[600n, 300n]],
    locked: [{ channelID: `0x01${'00'.repeat(31)}`, balances: [100n], indexMap: [] }],
  },
  data: '0x',
  isFinal: false,
}

describe('bitcoin: edits', () => {
  it('pay to the other side, whatever is locked', () => {
    expect(paidBy((draft) => transfer(draft, { from: 0, to: 1, amount: 5n }), STATE, 0)).equals(5n)
    expect(paidBy(() => undefined, STATE, 0)).equals(0n)
  })

  const refused: readonly (readonly [string, (draft: Draft) => void])[] = [
    ['what is locked', (draft) => Object.assign(draft, { locked: [] })],
    ['what is locked, as it was', (draft) => Object.assign(draft, { locked: STATE.allocation.locked })],
    ['the assets', (draft) => Object.assign(draft, { assets: [] })],
    ['the data', (draft) => Object.assign(draft, { data: '0x00' })],
    ['the end', (draft) => Object.assign(draft, { isFinal: true })],
    ['what the other side has', (draft) => transfer(draft, { from: 1, to: 0, amount: 5n })],
  ]
  for (const [what, edit] of refused) {
    it(`${what} can not be edited: UNSUPPORTED`, () => {
      let error: unknown
      try {
        paidBy(edit, STATE, 0)
      } catch (cause) {
        error = cause
      }
      expect(isError(error, 'UNSUPPORTED'), `${error}`).equals(true)
    })
  }
})
