import { expect } from 'chai'
import { isError } from '../../channel/errors.js'
import { MemoryStore } from '../../persistence/index.js'
import { describeStore } from '../conformance/store.js'
import { type Fault, FaultyStore } from './faulty.js'

const put = (key: string) => ({ kind: 'put', key, value: Uint8Array.of(1) }) as const
const at = (number: number, fault: Fault) => (n: number) => (n === number ? fault : undefined)

describeStore('faulty, without faults', {
  setup: async () => new FaultyStore(new MemoryStore(), () => undefined),
  teardown: (store) => store.close(),
})

/** What a call has come to once everything that can happen has happened. */
async function outcome(call: Promise<unknown>): Promise<string> {
  const pending = new Promise<string>((resolve) => {
    setImmediate(() => resolve('pending'))
  })
  return Promise.race([
    pending,
    call.then(
      () => 'resolved',
      (error: unknown) => (isError(error, 'STORE_FAILED') ? 'STORE_FAILED' : String(error)),
    ),
  ])
}

describe('faulty store', () => {
  for (const batch of ['lost', 'kept'] as const) {
    it(`crash, batch ${batch} -> this and every later call never settles; the disk shows it`, async () => {
      const disk = new MemoryStore()
      let found: string[] | undefined
      const store = new FaultyStore(disk, at(3, { kind: 'crash', batch }), () => {
        found = [...disk.snapshot().keys()]
      })
      await store.commit([put('a')])
      const called = [store.commit([put('b')]), store.commit([put('c')]), store.commit([put('d')])]
      const outcomes = await Promise.all([...called, store.get('a'), store.commit([])].map(outcome))
      expect(outcomes).to.deep.equal(['pending', 'pending', 'pending', 'pending', 'pending'])
      expect(found).to.deep.equal(batch === 'kept' ? ['a', 'b', 'c'] : ['a', 'b'])
      await store.close()
      // The next process opens the same disk.
      expect(await new FaultyStore(disk, () => undefined).get('a')).to.deep.equal(Uint8Array.of(1))
    })

    it(`error, batch ${batch} -> STORE_FAILED with its cause, for ever`, async () => {
      const disk = new MemoryStore()
      const store = new FaultyStore(disk, at(2, { kind: 'error', code: 'ENOSPC', batch }))
      await store.commit([put('a')])
      const failed = store.commit([put('b')])
      const outcomes = await Promise.all([failed, store.commit([put('c')]), store.get('a')].map(outcome))
      expect(outcomes).to.deep.equal(['STORE_FAILED', 'STORE_FAILED', 'STORE_FAILED'])
      const error = await failed.catch((reason: unknown) => reason)
      expect(error).to.have.nested.property('cause.code', 'ENOSPC')
      expect([...disk.snapshot().keys()]).to.deep.equal(batch === 'kept' ? ['a', 'b'] : ['a'])
      await store.close()
    })
  }
})
