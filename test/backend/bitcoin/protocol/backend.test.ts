// What a Bitcoin backend says of itself before any client uses it.
import { expect } from 'chai'
import { NETWORKS } from '../../../../backend/bitcoin/chain/index.js'
import { BitcoinBackend, LIGHTNING_CAPABILITIES } from '../../../../backend/bitcoin/protocol/index.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { PerkunasError } from '../../../../channel/errors.js'
import { BitcoinLedger } from '../../../simulation/bitcoin/ledger.js'
import { SimWallet } from '../../../simulation/bitcoin/wallet.js'
import { LedgerChain } from '../node/ledger-chain.js'

describe('bitcoin: backend', () => {
  const ledger = new BitcoinLedger(1)
  const chain = new LedgerChain(ledger)
  const bytes = sha256(new Uint8Array(1))
  const means = { chain, wallet: new SimWallet(ledger, bytes), seed: bytes }

  it('as many updates at once as its policy takes HTLCs: 50 if that says nothing', () => {
    expect(new BitcoinBackend(means).capabilities).deep.equals(LIGHTNING_CAPABILITIES)
    expect(LIGHTNING_CAPABILITIES.updatesInFlight).equals(50)
    const many = new BitcoinBackend({ ...means, policy: { maxAcceptedHtlcs: 483 } })
    expect(many.capabilities).deep.equals({ ...LIGHTNING_CAPABILITIES, updatesInFlight: 483 })
  })

  it('outside regtest challenge durations are those of its policy: a day or more if that says nothing', () => {
    const { main } = NETWORKS
    const real = { ...means, chain: Object.assign(new LedgerChain(ledger), { chainHash: main.genesis }) }
    const bounds = (policy: object) => new BitcoinBackend({ ...real, policy }).capabilities.challengeDuration
    expect(bounds({})).deep.equals({ min: 144n, max: 2016n })
    expect(bounds({ toSelfDelay: { min: 12, max: 24 } })).deep.equals({ min: 12n, max: 2016n })
  })

  for (const [name, options, argument] of [
    ['nothing', undefined, 'options'],
    ['no chain', { ...means, chain: undefined }, 'options.chain'],
    ['a chain source without sourceChain', { ...means, chain: { chainInfo: () => 1 } }, 'options.chain'],
    ['a wallet that was not awaited', { ...means, wallet: Promise.resolve(means.wallet) }, 'options.wallet'],
    ['a seed in hex', { ...means, seed: '00'.repeat(32) }, 'options.seed'],
    ['the path of a counter', { ...means, steps: 'steps' }, 'options.steps'],
    ['the path of a backup', { ...means, onBackup: 'backup' }, 'options.onBackup'],
    ['zeroConf: true', { ...means, zeroConf: true }, 'options.zeroConf'],
    ['somebody who is trusted', { ...means, zeroConf: { trusts: '0x02' } }, 'options.zeroConf.trusts'],
    ['a shutdown that decides nothing', { ...means, shutdown: { isUpfront: true } }, 'options.shutdown'],
  ] as const)
    it(`${name} -> INVALID_ARGUMENT that names it, when it is made`, () => {
      const make = () => Reflect.construct(BitcoinBackend, [options])
      expect(make)
        .to.throw(PerkunasError)
        .with.nested.include({ code: 'INVALID_ARGUMENT', 'facts.argument': argument })
    })
})
