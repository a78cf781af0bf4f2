// A signer's memory that outlives its process: what is given away is on disk before, whatever happens to either.
import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import fc from 'fast-check'
import type { StepMark } from '../../../../backend/bitcoin/keys/index.js'
import { type FileCounter, fileCounter } from '../../../../backend/bitcoin/keys/step-file.js'
import { msat, sat } from '../../../../backend/bitcoin/units.js'
import type { Hex } from '../../../../channel/bytes.js'
import { MemoryStore } from '../../../../persistence/index.js'
import { TestWorld } from '../node/world.js'

const CHANNELS: readonly Hex[] = ['0x02aa', '0x02bb', '0x02cc']
const marks: fc.Arbitrary<StepMark> = fc.record({
  step: fc.bigInt({ min: 0n, max: 2n ** 64n }),
  kind: fc.constantFrom('sign', 'release', 'publish'),
  what: fc.string(),
})

describe('step counter in a file', () => {
  let folder: string
  let path: string
  const open: FileCounter[] = []

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'perkunas-steps-'))
    path = join(folder, 'deep', 'steps')
  })

  afterEach(() => {
    for (const one of open.splice(0)) one.close()
    rmSync(folder, { recursive: true, force: true })
  })

  const opened = () => {
    const counter = fileCounter(path)
    open.push(counter)
    return counter
  }

  it('whatever was stored is there for the next process, the last of each channel; readable by its owner alone', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom(...CHANNELS), marks), { maxLength: 30 }), (list) => {
        rmSync(path, { force: true })
        const expected = new Map<Hex, StepMark>()
        for (let counter = opened(), i = 0; i < list.length; i++) {
          const [channel, mark] = list[i] ?? nothing()
          counter.store(channel, mark)
          expected.set(channel, mark)
          if (i % 7 === 6) {
            counter.close()
            counter = opened()
          }
        }
        const again = opened()
        for (const channel of CHANNELS) expect(again.load(channel)).to.deep.equal(expected.get(channel))
        expect(statSync(path).mode & 0o777).to.equal(0o600)
        for (const one of open.splice(0)) one.close()
      }),
      { numRuns: 30 },
    )
  })

  it('cut off anywhere, as by a crash: what was stored before the last line is there, and it goes on', () => {
    const counter = opened()
    const mark = (step: bigint) => ({ step, kind: 'sign', what: `number ${step}` }) as const
    counter.store('0x02aa', mark(1n))
    const before = statSync(path).size
    counter.store('0x02aa', mark(2n))
    counter.close()
    const whole = readFileSync(path)
    for (let length = before; length < whole.length; length++) {
      writeFileSync(path, whole)
      truncateSync(path, length)
      const again = opened()
      expect(again.load('0x02aa'), `${length} bytes`).to.deep.equal(mark(1n))
      again.store('0x02aa', mark(3n))
      again.close()
      expect(opened().load('0x02aa')).to.deep.equal(mark(3n))
      for (const one of open.splice(0)) one.close()
    }
  })

  it('a line that is damaged, not cut off -> INVALID_RECORD, and the file stays as it is', () => {
    const counter = opened()
    for (const channel of CHANNELS) counter.store(channel, { step: 5n, kind: 'release', what: '4' })
    counter.close()
    const whole = readFileSync(path)
    for (let at = 0; at < whole.length - 1; at += 5) {
      const damaged = Uint8Array.from(whole)
      damaged[at] = (damaged[at] ?? 0) ^ 1
      writeFileSync(path, damaged)
      expect(() => opened(), `byte ${at}`)
        .to.throw()
        .with.property('code', 'INVALID_RECORD')
      expect(readFileSync(path)).to.deep.equal(Buffer.from(damaged))
    }
    appendFileSync(path, 'hello\n')
    expect(() => opened())
      .to.throw()
      .with.property('code', 'INVALID_RECORD')
  })

  it('closed, or where nothing can be written -> nothing is given away', () => {
    const counter = opened()
    counter.close()
    counter.close()
    expect(() => counter.store('0x02aa', { step: 1n, kind: 'sign', what: '' }))
      .to.throw()
      .with.property('code', 'CLOSED')
    writeFileSync(join(folder, 'file'), '')
    expect(() => fileCounter(join(folder, 'file', 'steps')))
      .to.throw()
      .with.property('code', 'STORE_FAILED')
  })

  it('superseded lines go: the file stays small', () => {
    const counter = opened()
    for (let i = 0n; i < 50n; i++) counter.store('0x02aa', { step: i, kind: 'sign', what: 'x' })
    const { size } = statSync(path)
    counter.close()
    opened()
    expect(statSync(path).size).to.be.lessThan(size / 40)
  })

  it('a node whose store was restored from an old copy by mistake -> signs nothing that it has revoked, and is not closed', async () => {
    const world = new TestWorld()
    try {
      const [alice, bob] = [world.node('alice'), world.node('bob')]
      const steps = opened()
      const a = await alice.start({ steps })
      const b = await bob.start()
      const { channel } = await a.open({ peer: bob.id, capacity: sat(1_000_000n), push: msat(300_000_000n) })
      await world.chain.mine(6)
      await a.until(channel, ({ phase }) => phase === 'normal')
      await b.until(0n, ({ phase }) => phase === 'normal')
      const old = alice.store.snapshot()
      await alice.offer(channel, msat(5_000_000n), 1)
      await a.until(channel, ({ live }) => live?.htlcs.length === 0)
      await alice.stop()
      steps.close()
      alice.store = new MemoryStore(old)
      await bob.stop()
      const again = await alice.start({ steps: opened() })
      const error = await again.forceClose(channel).catch((cause: unknown) => cause)
      expect(String(error)).to.match(/refused to sign/)
      expect(world.chain.mempool.size).to.equal(0)
    } finally {
      await world.stop()
    }
  })
})

function nothing(): never {
  throw new Error('there is one')
}
