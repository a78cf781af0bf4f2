// What a node says of itself, in events, errors, views and messages to peers: never what only it may know.
import { expect } from 'chai'
import { channelSecrets, commitmentSecret } from '../../../../backend/bitcoin/keys/index.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { msat, sat } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import { PerkunasError } from '../../../../channel/errors.js'
import { MemoryStore } from '../../../../persistence/index.js'
import { type StrangeChannel, Stranger, until } from './stranger.js'
import { preimageOf, TestWorld } from './world.js'

describe('LightningNode: secrets', () => {
  it('f 49: whatever goes wrong, no event, error, view or message has a secret in it', async () => {
    const world = new TestWorld()
    const said: unknown[] = []
    const alice = world.node('alice')
    const bob = world.node('bob')
    const store = new MemoryStore()
    let isBroken = false
    const node = await alice.start({
      store: {
        get: (key) => store.get(key),
        scan: (prefix, options) => store.scan(prefix, options),
        close: () => store.close(),
        commit: async (batch) => {
          if (isBroken) throw new Error('the disk is full')
          await store.commit(batch)
        },
      },
      onBackup: () => {
        throw new Error('no place for a backup')
      },
    })
    await bob.start()
    node.events$.subscribe((event) => said.push(event))
    node.errors$.subscribe((error) => said.push(error))
    const strangers: Stranger[] = []
    try {
      const { channel } = await node.open({ peer: bob.id, capacity: sat(1_000_000n), push: msat(1_000_000n) })
      await world.chain.mine(6)
      await node.until(channel, ({ phase }) => phase === 'normal')
      // Alice could claim it and may not, since it is not in the channel yet that she was paid: it stays her secret.
      await alice.offer(channel, msat(20_000_000n), 5)
      for (const [i, act] of BREACHES.entries()) {
        const stranger = await Stranger.meet(world, alice, `breach ${i}`)
        strangers.push(stranger)
        const opened = await inUse(stranger, world)
        act(stranger, opened)
        await until(
          () =>
            stranger.heard.some(({ kind }) => kind === 'error' || kind === 'warning') ||
            node.channels().some(({ peer, phase }) => peer === stranger.id && phase === 'failed'),
        )
        said.push(...stranger.heard)
      }
      const calls = [
        () => node.open({ peer: bob.id, capacity: sat(1n) }),
        () => node.open({ peer: bob.id, capacity: sat(1_000_000n), push: msat(1_000_000_001n) }),
        () => node.close(999n),
        () => node.forceClose(channel),
        () => node.forceClose(channel),
        () =>
          node.want(channel, {
            kind: 'want',
            intent: { kind: 'fee', feerate: node.channels()[0]?.live?.feerate ?? never() },
          }),
      ]
      for (const call of calls) await call().catch((error: unknown) => said.push(error))
      said.push(node.channels(), node.obligations(), node.claimable(channel))
      isBroken = true
      await node.open({ peer: bob.id, capacity: sat(1_000_000n) }).catch((error: unknown) => said.push(error))
      await until(() => node.stopped !== undefined)
      said.push(node.stopped)
    } finally {
      await Promise.all(strangers.map((one) => one.close()))
      await world.stop()
    }
    const text = written(said)
    expect(text.length).to.be.greaterThan(10_000)
    // It would be found.
    expect(text).to.include(bob.id.slice(2))
    for (const [what, secret] of secretsOf('alice')) expect(text, what).to.not.include(toHex(secret).slice(2))
  })
})

/** What each stranger does in a channel that is in use. */
const BREACHES: readonly ((stranger: Stranger, channel: StrangeChannel) => void)[] = [
  (stranger, { channelID }) =>
    stranger.say({
      kind: 'commitment_signed',
      channelID,
      signature: new Uint8Array(64).fill(1),
      htlcSignature: [],
    }),
  (stranger, { channelID, point }) =>
    stranger.say({
      kind: 'revoke_and_ack',
      channelID,
      perCommitmentSecret: new Uint8Array(32).fill(1),
      nextPerCommitmentPoint: point,
    }),
  (stranger, { channelID }) => stranger.say({ kind: 'shutdown', channelID, scriptpubkey: new Uint8Array(5) }),
  (stranger, { channelID }) =>
    stranger.say({ kind: 'update_fulfill_htlc', channelID, id: 3n, paymentPreimage: preimageOf(3) }),
  (stranger, { channelID, point }) =>
    stranger.say({
      kind: 'channel_reestablish',
      channelID,
      nextCommitmentNumber: 7n,
      nextRevocationNumber: 9n,
      yourLastPerCommitmentSecret: new Uint8Array(32).fill(4),
      myCurrentPerCommitmentPoint: point,
    }),
  (stranger, { channelID }) => stranger.say({ kind: 'error', channelID, data: new Uint8Array(9).fill(65) }),
]

async function inUse(stranger: Stranger, world: TestWorld): Promise<StrangeChannel> {
  const channel = stranger.open(1, { push: msat(300_000_000n) })
  await channel.use(world)
  return channel
}

/** All that only a node may know, with its name. */
function secretsOf(name: string): readonly (readonly [string, Uint8Array])[] {
  const seed = sha256(new TextEncoder().encode(`seed of ${name}`))
  const found: [string, Uint8Array][] = [
    ['seed', seed],
    ['identity', sha256(new TextEncoder().encode(`identity of ${name}`))],
  ]
  for (let keyIndex = 0n; keyIndex < 10n; keyIndex++) {
    const secrets = channelSecrets(seed, keyIndex)
    for (const [what, secret] of Object.entries(secrets)) found.push([`${what} of ${keyIndex}`, secret])
    // The first was given away with the second commitment.
    for (let number = 1n; number < 5n; number++)
      found.push([`secret ${number} of ${keyIndex}`, commitmentSecret(secrets.commitmentSeed, number)])
  }
  return found
}

/** Everything in it, bytes in hex. */
function written(value: unknown, seen = new Set<unknown>()): string {
  if (value instanceof Uint8Array) return toHex(value)
  if (typeof value !== 'object' || value === null) return String(value)
  if (seen.has(value)) return ''
  seen.add(value)
  if (value instanceof Map) return written([...value], seen)
  const error = value instanceof Error ? [value.message, value.stack, value.cause] : []
  const facts = value instanceof PerkunasError ? [value.facts] : []
  return [...error, ...facts, ...Object.entries(value).flat()].map((one) => written(one, seen)).join(' ')
}

function never(): never {
  throw new Error('it is there')
}
