// What a client's channels are made with: accounts of its wallet, and the rules of its ledger and of its apps.
import {
  type Address,
  type AddressMap,
  type AppID,
  type AppResolver,
  appResolver,
  type Backend,
  type Machine,
  PerkunasError,
} from '../channel/index.js'
import type { Account, Wallet } from '../wallet/index.js'
import type { ChannelContext } from './conversation.js'
import type { ClientOptions } from './options.js'

/** The accounts and rules of one client. */
export class Means {
  readonly apps: AppResolver
  readonly #wallet: Wallet
  readonly #backend: Backend
  readonly #address: Address | undefined
  readonly #contexts = new Map<AppID, ChannelContext>()

  constructor({ apps, wallet, backend, address }: ClientOptions) {
    this.apps = apps ?? appResolver()
    this.#wallet = wallet
    this.#backend = backend
    this.#address = address
  }

  /** Who we are in a channel unless something else is said. */
  async participant(): Promise<AddressMap> {
    const addresses = this.#address === undefined ? await this.#wallet.addresses() : [this.#address]
    const own = addresses[0] ?? (await this.#wallet.newAccount()).address
    return { [this.#backend.rules.backend]: own }
  }

  /** The account of a participant that is us. @throws PerkunasError INVALID_ARGUMENT; what the wallet throws */
  async account(participant: AddressMap | undefined): Promise<Account> {
    const { backend } = this.#backend.rules
    const address = participant?.[backend]
    if (address !== undefined) return await this.#wallet.account(address)
    const message = `a participant with an address on this ledger ({ ${backend}: '0x…' }) expected`
    throw new PerkunasError('INVALID_ARGUMENT', message, { argument: 'participant' })
  }

  /** Our address in a channel. @throws PerkunasError UNKNOWN_ACCOUNT */
  addressIn({ channelID, params, index }: Machine): Address {
    const address = params.participants[index]?.[this.#backend.rules.backend]
    if (address !== undefined) return address
    const message = `channel ${channelID} has no address of ours on this ledger`
    throw new PerkunasError('UNKNOWN_ACCOUNT', message, { address: '' })
  }

  /** The rules of channels with an app; the same object for all of them. @throws PerkunasError INVALID_PARAMS */
  context(app: AppID): ChannelContext {
    const made = this.#contexts.get(app)
    if (made !== undefined) return made
    const { rules, capabilities, adjudicator } = this.#backend
    const known = this.apps(app)
    if (known === undefined)
      throw new PerkunasError('INVALID_PARAMS', `unknown app ${app}`, { rule: 'a known app' })
    const context: ChannelContext = {
      rules: { ledger: rules, app: known },
      capabilities,
      verifyCloseAuthorization: (request) => adjudicator.verifyCloseAuthorization(request),
    }
    this.#contexts.set(app, context)
    return context
  }
}
