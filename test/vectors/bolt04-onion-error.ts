// BOLT 4: a failure of the last of five hops, on its way back.
import { expect } from 'chai'
import { createFailure, openFailure, wrapFailure } from '../../backend/bitcoin/onion/failure-packet.js'
import { deriveKey } from '../../backend/bitcoin/onion/keys.js'
import { routeSecrets } from '../../backend/bitcoin/onion/sphinx.js'
import { bytes, type Case, digits, load } from './cases.js'

interface File {
  readonly generate: {
    readonly session_key: string
    readonly failure_message: string
    readonly hops: readonly {
      readonly pubkey: string
      readonly hop_shared_secret: string
      readonly ammag_key: string
    }[]
  }
  readonly errorpacket: string
}

/** The keys of the route, the failure as the origin gets it, and what the origin makes of it. */
export function cases(): readonly Case[] {
  const { generate, errorpacket } = load<File>('bolt04-onion-error')
  const secrets = generate.hops.map(({ hop_shared_secret }) => bytes(hop_shared_secret))
  return [
    {
      name: 'session key and nodes -> the shared secrets and ammag keys',
      run: () => {
        const derived = routeSecrets(
          bytes(generate.session_key),
          generate.hops.map(({ pubkey }) => bytes(pubkey)),
        )
        expect(derived.map(digits)).to.deep.equal(secrets.map(digits))
        expect(derived.map((secret) => digits(deriveKey('ammag', secret)))).to.deep.equal(
          generate.hops.map(({ ammag_key }) => ammag_key),
        )
      },
    },
    {
      name: 'created by the last hop and wrapped by all -> the recorded packet',
      run: () => {
        const [last, ...others] = secrets.toReversed()
        if (last === undefined) throw new Error('no hops')
        const created = createFailure({ sharedSecret: last }, bytes(generate.failure_message))
        const returned = others.reduce((inner, sharedSecret) => wrapFailure({ sharedSecret }, inner), created)
        expect(digits(returned.packet)).to.equal(errorpacket)
      },
    },
    {
      name: 'opened by the origin -> the message of the last hop',
      run: () => {
        const opened = openFailure(secrets, { packet: bytes(errorpacket) })
        expect(opened).to.deep.equal({
          failure: { hop: 4, message: bytes(generate.failure_message) },
          holdTimes: [],
        })
      },
    },
  ]
}
