// BOLT 3, Appendix D: secrets from seeds, and the store that must notice a secret that does not belong.
import { expect } from 'chai'
import {
  EMPTY_SECRETS,
  findSecret,
  generateSecret,
  insertSecret,
  type SecretStore,
} from '../../backend/bitcoin/keys/secrets.js'
import { isError } from '../../channel/errors.js'
import { bytes, type Case, digits, load } from './cases.js'

interface Insert {
  readonly index: string
  readonly secret: string
  readonly ok: boolean
}

interface File {
  readonly generation: readonly {
    readonly name: string
    readonly seed: string
    readonly index: string
    readonly secret: string
  }[]
  readonly storage: readonly { readonly name: string; readonly inserts: readonly Insert[] }[]
}

/** Five generations and nine sequences. */
export function cases(): readonly Case[] {
  const file = load<File>('bolt03-secrets')
  return [
    ...file.generation.map(({ name, seed, index, secret }) => ({
      name: `generation: ${name}`,
      run: () => {
        expect(digits(generateSecret(bytes(seed), BigInt(index)))).to.equal(secret)
      },
    })),
    ...file.storage.map(({ name, inserts }) => ({ name: `storage: ${name}`, run: () => replay(inserts) })),
  ]
}

function replay(inserts: readonly Insert[]): void {
  let store: SecretStore = EMPTY_SECRETS
  const accepted: Insert[] = []
  for (const one of inserts) {
    const entry = { index: BigInt(one.index), secret: bytes(one.secret) }
    if (one.ok) {
      store = insertSecret(store, entry)
      accepted.push(one)
    } else {
      const before = store
      expect(() => insertSecret(before, entry))
        .to.throw()
        .that.satisfies(
          (error: unknown) =>
            isError(error, 'INVALID_MESSAGE') && error.facts.reason.startsWith('it does not lead to'),
        )
    }
  }
  for (const { index, secret } of accepted) {
    const found = findSecret(store, BigInt(index))
    expect(found && digits(found)).to.equal(secret)
  }
}
