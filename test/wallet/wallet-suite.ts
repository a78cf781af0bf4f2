// What every wallet must do (Perun core protocol, "Wallet"), whatever keeps its keys.
import { utf8ToBytes } from '@noble/hashes/utils.js'
import { expect } from 'chai'
import { type ErrorCode, isError } from '../../channel/errors.js'
import type { KeyAccount } from '../../wallet/keyring.js'
import { verifyPersonal } from '../../wallet/personal.js'
import type { Account, Address, Wallet } from '../../wallet/wallet.js'

/** What the suite needs of a wallet of ours. */
export interface OurWallet extends Wallet {
  account(address: Address): Promise<KeyAccount>
  newAccount(): Promise<KeyAccount>
  usage(address: Address): number
}

/** Demands that a promise is rejected with that code. */
export async function rejects(promise: Promise<unknown>, code: ErrorCode): Promise<void> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(isError(error, code), `${code} expected, got ${String(error)}`).to.equal(true)
}

/** Tests a wallet that `create` makes without accounts. */
export function describeWallet(name: string, create: () => Promise<OurWallet>): void {
  const message = utf8ToBytes('a state')
  const nobody: Address = `0x${'11'.repeat(20)}`

  describe(`wallet: ${name}`, () => {
    it('a new account is listed, found again, and signs for its address', async () => {
      const wallet = await create()
      const made = await wallet.newAccount()
      const other = await wallet.newAccount()
      expect(await wallet.addresses()).to.deep.equal([made.address, other.address])
      const found: Account = await wallet.account(made.address)
      const signature = await found.sign(message)
      expect(verifyPersonal(message, signature, made.address)).to.equal(true)
      expect(verifyPersonal(message, signature, other.address)).to.equal(false)
    })

    it('no two new accounts are alike, made at once or not', async () => {
      const wallet = await create()
      const made = await Promise.all([1, 2, 3, 4].map(() => wallet.newAccount()))
      expect(new Set(made.map(({ address }) => address)).size).to.equal(4)
      expect([...(await wallet.addresses())].sort()).to.deep.equal(made.map(({ address }) => address).sort())
    })

    it('an unknown address -> UNKNOWN_ACCOUNT', async () => {
      const wallet = await create()
      await rejects(wallet.account(nobody), 'UNKNOWN_ACCOUNT')
      await rejects(wallet.incrementUsage(nobody), 'UNKNOWN_ACCOUNT')
      await rejects(wallet.decrementUsage(nobody), 'UNKNOWN_ACCOUNT')
    })

    it('usage: counts up and down, keeps the account at zero', async () => {
      const wallet = await create()
      const { address } = await wallet.newAccount()
      await wallet.incrementUsage(address)
      await wallet.incrementUsage(address)
      expect(wallet.usage(address)).to.equal(2)
      await wallet.decrementUsage(address)
      await wallet.decrementUsage(address)
      expect(wallet.usage(address)).to.equal(0)
      expect((await wallet.account(address)).address).to.equal(address)
    })

    it('usage: a decrement without its increment -> INVALID_ARGUMENT', async () => {
      const wallet = await create()
      const { address } = await wallet.newAccount()
      await rejects(wallet.decrementUsage(address), 'INVALID_ARGUMENT')
      await wallet.incrementUsage(address)
      await wallet.decrementUsage(address)
      await rejects(wallet.decrementUsage(address), 'INVALID_ARGUMENT')
    })

    it('locked -> everything that needs a key is CLOSED, accounts handed out before too', async () => {
      const wallet = await create()
      const account = await wallet.newAccount()
      await wallet.lock()
      await wallet.lock()
      await rejects(wallet.account(account.address), 'CLOSED')
      await rejects(wallet.newAccount(), 'CLOSED')
      await rejects(wallet.incrementUsage(account.address), 'CLOSED')
      await rejects(wallet.decrementUsage(account.address), 'CLOSED')
      await rejects((async () => account.sign(message))(), 'CLOSED')
      await rejects((async () => account.signDigest(new Uint8Array(32)))(), 'CLOSED')
    })

    it('an account shows its address and nothing of its secret', async () => {
      const account = await (await create()).newAccount()
      expect(JSON.parse(JSON.stringify(account))).to.deep.equal({ address: account.address })
      expect(Object.isFrozen(account)).to.equal(true)
    })
  })
}
