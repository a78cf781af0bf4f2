// What is in a backup, what is not, and what becomes of a file that is not as it was written.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { encodeContents } from '../../../../backend/bitcoin/backup/contents.js'
import { backupFile } from '../../../../backend/bitcoin/backup/file.js'
import { type NodeBackup, openBackup } from '../../../../backend/bitcoin/backup/index.js'
import { sealBackup } from '../../../../backend/bitcoin/backup/seal.js'
import { isLive, restoredChannels } from '../../../../backend/bitcoin/channel/index.js'
import { basepointsOf, channelSecrets, commitmentSecret } from '../../../../backend/bitcoin/keys/index.js'
import { restoredMonitors } from '../../../../backend/bitcoin/monitor/index.js'
import { blockHeight, msat, sat } from '../../../../backend/bitcoin/units.js'
import { fromHex, toHex } from '../../../../channel/bytes.js'
import { PerkunasError } from '../../../../channel/errors.js'
import { createIdentity } from '../../../../peer/index.js'
import { bytesOf, LossyWorld, turns } from './world.js'

const SEED = bytesOf('seed')
const NONCE = new Uint8Array(24).fill(9)
const BACKUP: NodeBackup = {
  chainHash: toHex(bytesOf('chain')),
  node: createIdentity(bytesOf('node')).id,
  nextKeyIndex: 8n,
  cursor: { height: blockHeight(800_000), headers: [new Uint8Array(80).fill(5), new Uint8Array(80).fill(6)] },
  channels: [
    {
      keyIndex: 7n,
      peer: createIdentity(bytesOf('peer')).id,
      address: 'tcp://127.0.0.1:9735',
      temporaryID: toHex(bytesOf('temporary')),
      opener: 'remote',
      type: { commitments: 'anchors', scidAlias: true, zeroconf: false },
      capacity: sat(1_000_000n),
      funding: { txid: bytesOf('funding'), index: 3 },
      basepoints: basepointsOf(channelSecrets(bytesOf('peer'), 1n)),
      delays: { local: 144, remote: 720 },
      place: { height: 799_990, hash: toHex(bytesOf('block')), position: 12, isCoinbase: false },
    },
    {
      keyIndex: 5n,
      peer: createIdentity(bytesOf('peer 2')).id,
      temporaryID: toHex(bytesOf('temporary 2')),
      opener: 'local',
      type: { commitments: 'static_remotekey', scidAlias: false, zeroconf: true },
      capacity: sat(1n),
      funding: { txid: bytesOf('funding 2'), index: 0 },
      basepoints: basepointsOf(channelSecrets(bytesOf('peer 2'), 1n)),
      delays: { local: 1, remote: 2 },
    },
  ],
}

describe('channel backup', () => {
  it('opens as it was sealed, and no two are alike', () => {
    const sealed = sealBackup(BACKUP, SEED, NONCE)
    expect(openBackup(sealed, SEED)).to.deep.equal(BACKUP)
    expect(sealBackup(BACKUP, SEED, new Uint8Array(24))).to.not.deep.equal(sealed)
    const { cursor: _, ...young } = { ...BACKUP, channels: [] }
    expect(openBackup(sealBackup(young, SEED, NONCE), SEED)).to.deep.equal(young)
  })

  it('opens what version 1 wrote', () => {
    const recorded = readFileSync(join(FIXTURES, 'backup-1.hex'), 'utf8').trim()
    expect(openBackup(fromHex(`0x${recorded}`), SEED)).to.deep.equal(BACKUP)
  })

  it('another seed -> INVALID_KEY_MATERIAL', () => {
    expect(codeOf(() => openBackup(sealBackup(BACKUP, SEED, NONCE), bytesOf('other')))).to.equal(
      'INVALID_KEY_MATERIAL',
    )
  })

  it('a newer version -> INVALID_RECORD that says so', () => {
    const newer = sealBackup(BACKUP, SEED, NONCE).with(8, 3)
    expect(() => openBackup(newer, SEED)).to.throw('its version is 3, and 2 is the newest that is known')
  })

  it('any length that is too short, any bit that is wrong, anything else -> refused', () => {
    const sealed = sealBackup(BACKUP, SEED, NONCE)
    for (let length = 0; length < sealed.length; length++)
      expect(
        codeOf(() => openBackup(sealed.subarray(0, length), SEED)),
        `${length}`,
      ).to.equal('INVALID_RECORD')
    for (let at = 0; at < sealed.length; at++) {
      const altered = sealed.with(at, (sealed[at] ?? 0) ^ (1 << (at % 8)))
      const code = codeOf(() => openBackup(altered, SEED))
      expect(code, `${at}`).to.equal(at >= 9 && at < 17 ? 'INVALID_KEY_MATERIAL' : 'INVALID_RECORD')
    }
    const longer = new Uint8Array(sealed.length + 1)
    longer.set(sealed)
    expect(codeOf(() => openBackup(longer, SEED))).to.equal('INVALID_RECORD')
    expect(codeOf(() => openBackup(new Uint8Array(1000).fill(0x50), SEED))).to.equal('INVALID_RECORD')
  })

  it('no bytes at all, no seed -> refused by a typed error', () => {
    const sealed = sealBackup(BACKUP, SEED, NONCE)
    for (const junk of [undefined, null, 5, 'PKBACKUP', [], {}]) {
      expect(codeOf(() => Reflect.apply(openBackup, undefined, [junk, SEED]))).to.equal('INVALID_RECORD')
      expect(codeOf(() => Reflect.apply(openBackup, undefined, [sealed, junk]))).to.equal('INVALID_ARGUMENT')
    }
  })

  it('f 55: nothing in it can be published: no signature, no transaction, no secret of a channel in use', async () => {
    const world = await LossyWorld.begin()
    try {
      const { alice, bob } = world
      const channel = await world.open(alice)
      for (const [i, amount] of [50_000_000n, 60_000_000n, 70_000_000n].entries()) {
        const id = toHex(bytesOf(`payment ${i}`))
        const request = { kind: 'spontaneous', peer: bob.id, amount: msat(amount) } as const
        await alice.node.payments.pay({ id, request })
      }
      await alice.node.until(channel, ({ live }) => live?.htlcs.length === 0)
      const plain = encodeContents(openBackup(alice.node.backup(), alice.seed))
      await alice.stop()
      const rows = [...alice.store.snapshot()]
      const of = (prefix: string) => rows.filter(([key]) => key.startsWith(prefix))
      const state = restoredChannels(of('lightning/')).get(channel)
      const monitor = restoredMonitors(of('lightning-monitor/')).get(channel)
      if (state === undefined || !isLive(state) || monitor === undefined)
        throw new Error('a channel expected')
      const secrets = channelSecrets(alice.seed, channel)
      const { terms: _, ...held } = state
      const { terms: __, ...known } = monitor.known
      const forbidden = [
        ...bytesIn(held),
        ...bytesIn(known),
        ...bytesIn(secrets),
        ...Array.from({ length: 12 }, (_, n) => commitmentSecret(secrets.commitmentSeed, BigInt(n))),
        alice.seed,
        bytesOf('identity alice'),
      ].filter((one) => one.length >= 32 && toHex(one) !== toHex(state.terms.funding.outpoint.txid))
      expect(held.signer.secrets.entries.some((one) => one !== undefined)).to.equal(true)
      expect(forbidden.length).to.be.at.least(25)
      for (const one of forbidden) expect(includes(plain, one), toHex(one)).to.equal(false)
      // What it must have is found in this way.
      expect(includes(plain, state.terms.remote.basepoints.payment)).to.equal(true)
      expect(includes(plain, state.terms.funding.outpoint.txid)).to.equal(true)
      // Sealed, not even that shows.
      const sealed = alice.backups.at(-1) ?? new Uint8Array()
      expect(includes(sealed, state.terms.funding.outpoint.txid)).to.equal(false)
    } finally {
      await world.stop()
    }
  })

  it('is made anew when a channel begins and when one is over, and at a start with channels', async () => {
    const world = await LossyWorld.begin()
    try {
      const { alice, bob } = world
      expect(alice.backups).to.deep.equal([])
      const sizes = () => alice.backups.map((one) => openBackup(one, alice.seed).channels.length)
      const first = await world.open(alice)
      expect(sizes()).to.deep.equal([1])
      await world.open(bob)
      expect(sizes()).to.deep.equal([1, 2])
      await alice.node.close(first)
      await alice.node.until(first, ({ live }) => live?.isClosingAgreed === true)
      await world.mineUntilOver(alice, 10)
      expect(sizes()).to.deep.equal([1, 2, 1])
      await alice.stop()
      await alice.start()
      await turns(2)
      expect(sizes()).to.deep.equal([1, 2, 1, 1])
      await alice.stop()
      const node = await alice.start()
      await node.stop()
      await turns(2)
      expect(sizes(), 'stopped before it was time').to.deep.equal([1, 2, 1, 1])
    } finally {
      await world.stop()
    }
  })

  it('no funding is published before the backup is kept; one that fails is reported and costs nothing', async () => {
    const world = await LossyWorld.begin()
    try {
      const { alice, bob } = world
      await alice.stop()
      let keep = () => {}
      const kept = new Promise<void>((resolve) => {
        keep = resolve
      })
      let began = () => {}
      const begun = new Promise<void>((resolve) => {
        began = resolve
      })
      await alice.start({
        onBackup: () => {
          began()
          return kept
        },
      })
      const opening = alice.node.open({
        peer: bob.id,
        address: 'memory://bob',
        capacity: sat(500_000n),
      })
      await begun
      await turns(20)
      expect(alice.published).to.deep.equal([])
      keep()
      await opening
      expect(alice.published).to.have.length(1)
      await world.mine(6)
      await alice.stop()
      await alice.start({ onBackup: () => Promise.reject(new Error('disk full')) })
      await world.open(alice)
      expect(alice.errors.map(({ code }) => code)).to.deep.equal(['HANDLER_FAILED', 'HANDLER_FAILED'])
    } finally {
      await world.stop()
    }
  })

  it('backupFile: whole, readable by its owner alone, and what was there before is kept', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'perkunas-backup-'))
    try {
      const path = join(directory, 'deep', 'channels.backup')
      const write = backupFile(path)
      await Promise.all([write(Uint8Array.of(1)), write(Uint8Array.of(2)), write(Uint8Array.of(3))])
      expect([...readFileSync(path)]).to.deep.equal([3])
      expect(readdirSync(join(directory, 'deep'))).to.deep.equal(['channels.backup'])
      const again = backupFile(path)
      await again(Uint8Array.of(3))
      expect(readdirSync(join(directory, 'deep'))).to.deep.equal(['channels.backup'])
      const other = backupFile(path)
      await other(Uint8Array.of(4))
      await other(Uint8Array.of(5))
      expect([...readFileSync(path)]).to.deep.equal([5])
      expect([...readFileSync(`${path}.previous`)]).to.deep.equal([3])
      writeFileSync(join(directory, 'file'), '')
      const error = await backupFile(join(directory, 'file', 'x'))(Uint8Array.of(1)).catch((one) => one)
      expect(error).to.be.instanceOf(Error)
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})

const FIXTURES = new URL('../../../../../test/backend/bitcoin/backup/', import.meta.url).pathname

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof PerkunasError) return error.code
    throw error
  }
  return 'none'
}

/** All byte strings in plain data. */
function bytesIn(value: unknown): readonly Uint8Array[] {
  if (value instanceof Uint8Array) return [value]
  if (typeof value !== 'object' || value === null) return []
  return Object.values(value).flatMap(bytesIn)
}

function includes(whole: Uint8Array, part: Uint8Array): boolean {
  return toHex(whole).includes(toHex(part).slice(2))
}
