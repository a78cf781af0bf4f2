import { expect } from 'chai'
import { channelSecrets } from '../../../backend/bitcoin/keys/index.js'
import { commitmentSecret } from '../../../backend/bitcoin/keys/secrets.js'
import { blockHeight } from '../../../backend/bitcoin/units.js'
import { type LightningMessage, lightningMessages } from '../../../backend/bitcoin/wire/index.js'
import { Pair } from '../../backend/bitcoin/channel/pair.js'
import { Conduct } from './conduct.js'
import type { Told } from './inside.js'
import { PaymentOracle } from './oracle.js'

const SEED = new Uint8Array(32).fill(1)

function watched() {
  const oracle = new PaymentOracle()
  const conduct = new Conduct({ name: 'a', seed: SEED }, oracle)
  const pair = new Pair({ real: true }).reachNormal()
  pair.add(pair.alice, 5_000_000n, 1)
  pair.settle()
  const live = pair.live(pair.bob)
  const says = (message: LightningMessage, rows: readonly string[] = []) => {
    const disk = new Map(rows.map((key) => [key, new Uint8Array()]))
    conduct.says(lightningMessages.encode(message), () => ({ disk, held: [{ channel: 0n, live }] }))
  }
  const notice = (told: Told, id = 0n) => ({ channel: 0n, htlc: { offerer: 'remote' as const, id }, told })
  const found = () => oracle.violations.map(({ words }) => words.split(': ')[1] ?? '')
  return { conduct, pair, live, says, notice, found }
}

describe('simulation on Bitcoin: conduct', () => {
  it('I3: a secret leaves after what replaces its commitment is on disk, and not before', () => {
    const { live, says, found } = watched()
    const revoke = {
      kind: 'revoke_and_ack',
      channelID: live.terms.channelID,
      perCommitmentSecret: commitmentSecret(channelSecrets(SEED, 0n).commitmentSeed, 4n),
      nextPerCommitmentPoint: live.terms.local.basepoints.htlc,
    } as const
    says(revoke, ['lightning-monitor/0/holder/5'])
    expect(found()).to.deep.equal([])
    for (const rows of [[], ['lightning-monitor/0/holder/4'], ['lightning-monitor/1/holder/5']])
      says(revoke, rows)
    expect(found()).to.deep.equal(['I3', 'I3', 'I3'])
  })

  it('I4: IDs follow each other, and who repeats one says the same', () => {
    const { live, says, found } = watched()
    const add = (id: bigint, cltvExpiry = 500) =>
      says({
        kind: 'update_add_htlc',
        channelID: live.terms.channelID,
        id,
        amountMsat: live.book.balances.local,
        paymentHash: new Uint8Array(32),
        cltvExpiry: blockHeight(cltvExpiry),
        onionRoutingPacket: new Uint8Array(1366),
      })
    for (const id of [0n, 1n, 0n, 1n, 2n]) add(id)
    expect(found()).to.deep.equal([])
    add(4n)
    add(1n, 501)
    expect(found()).to.deep.equal(['I4', 'I4'])
  })

  it('I7: told once over all lives; what died with its turn may be told again', () => {
    const { conduct, live, notice, found } = watched()
    conduct.ends({ durable: [], open: [notice('locked')] })
    conduct.hears({ durable: [notice('locked'), notice('fulfilled'), notice('removed')], open: [] })
    conduct.looks({ channel: 0n, live })
    expect(found()).to.deep.equal([])
    conduct.hears({ durable: [notice('locked'), notice('failed')], open: [] })
    expect(found()).to.deep.equal(['I7', 'I7'])
  })

  it('I7: what is locked on disk was told, or may have been', () => {
    for (const told of ['durable', 'open', 'never'] as const) {
      const { conduct, live, notice, found } = watched()
      const notices = { durable: [], open: [], ...(told !== 'never' && { [told]: [notice('locked')] }) }
      conduct.ends(notices)
      conduct.looks({ channel: 0n, live })
      expect(found(), told).to.deep.equal(told === 'never' ? ['I7'] : [])
    }
  })
})
