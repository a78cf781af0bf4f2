// What a Bitcoin backend says of itself before any client uses it.
import { expect } from 'chai'
import { BitcoinBackend, LIGHTNING_CAPABILITIES } from '../../../../backend/bitcoin/protocol/index.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
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
})
