// Whom the programs in README and in the guides open channels with.
import { connect, deployContracts, EthereumBackend } from '../../backend/ethereum/index.js'
import type { Hex } from '../../channel/index.js'
import { Client } from '../../client/index.js'
import { createIdentity, PeerBus } from '../../peer/index.js'
import { tcpListener } from '../../peer/tcp.js'
import { MemoryStore } from '../../persistence/index.js'
import { ANVIL_MNEMONIC } from '../../scripts/anvil.js'
import { HDWallet } from '../../wallet/index.js'

/** A client on Ethereum that listens. */
export interface OtherSide extends AsyncDisposable {
  readonly client: Client
  /** Whose ether it gets. */
  readonly owner: Hex
  /** What the program has to know, as the first argument that README describes. */
  readonly config: Readonly<Record<string, unknown>>
}

/** Deploys the contracts to a node, and begins a client with its second account. */
export async function otherSideOnEthereum(node: { readonly url: string }): Promise<OtherSide> {
  const wallet = await HDWallet.open({ mnemonic: ANVIL_MNEMONIC, accounts: 2 })
  const [, own] = await wallet.addresses()
  const signer = await wallet.account(own ?? '0x')
  const sender = await connect({ provider: node.url, signer })
  const { adjudicator, ethHolder: holder } = await deployContracts(sender)
  sender.chain.close()
  const options = { provider: node.url, signer, wallet, adjudicator, holders: [holder] }
  const backend = await EthereumBackend.connect(options)
  const bus = new PeerBus({ identity: createIdentity() })
  const address = await bus.listen(tcpListener())
  const client = new Client({ bus, backend, wallet, store: new MemoryStore(), address: signer.address })
  return {
    client,
    owner: signer.address,
    config: { mnemonic: ANVIL_MNEMONIC, rpc: node.url, adjudicator, holder, peer: bus.id, address },
    async [Symbol.asyncDispose]() {
      await client.close()
      await bus.close()
      await backend.close()
    },
  }
}
