// What the suite of all stores can't see of IndexedDB: durability asked for, owners, failures.
import { expect } from 'chai'
import { IDBFactory, IDBKeyRange } from 'fake-indexeddb'
import { isError } from '../../channel/errors.js'
import type { Factory } from '../../persistence/idb-types.js'
import type { Write } from '../../persistence/index.js'
import { IndexedDBStore } from '../../persistence/indexeddb.js'

const put = (key: string): Write => ({ kind: 'put', key, value: Uint8Array.of(1) })

/** Opens a store, and notes what `transaction` of its database is called with. */
async function openNoting(indexedDB: Factory) {
  const calls: unknown[][] = []
  const noting: Factory = {
    open(name, version) {
      const request = indexedDB.open(name, version)
      return new Proxy(request, {
        get: (target, member) => {
          const value: unknown = Reflect.get(target, member)
          if (member !== 'result') return value
          return new Proxy(target.result, {
            get: (database, method) => {
              const inner: unknown = Reflect.get(database, method)
              if (typeof inner !== 'function') return inner
              return (...args: unknown[]) => {
                if (method === 'transaction') calls.push(args)
                return Reflect.apply(inner, database, args)
              }
            },
          })
        },
      })
    },
  }
  return { store: await IndexedDBStore.open('perkunas', { indexedDB: noting, IDBKeyRange }), calls }
}

async function failureOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => 'resolved',
    (error: unknown) => error,
  )
}

describe('IndexedDB store', () => {
  let indexedDB: Factory
  beforeEach(() => {
    indexedDB = new IDBFactory()
  })
  const open = () => IndexedDBStore.open('perkunas', { indexedDB, IDBKeyRange })

  it('every writing transaction asks for strict durability; a group is one transaction', async () => {
    const { store, calls } = await openNoting(indexedDB)
    calls.length = 0
    await Promise.all([store.commit([put('a'), put('b')]), store.commit([put('c')])])
    expect(calls).to.deep.equal([[['entries', 'owner'], 'readwrite', { durability: 'strict' }]])
    await store.close()
  })

  it("opened again, by another tab -> the earlier one can't commit, and nothing of it comes later", async () => {
    const earlier = await open()
    await earlier.commit([put('a')])
    const later = await open()
    expect(await later.get('a')).to.deep.equal(Uint8Array.of(1))
    const failure = await failureOf(earlier.commit([put('b')]))
    expect(isError(failure, 'STORE_FAILED') && failure.message).to.match(/another page has opened it since/)
    expect(await later.get('b')).to.equal(undefined)
    await later.commit([put('c')])
    expect(await later.get('c')).to.deep.equal(Uint8Array.of(1))
    await earlier.close()
    await later.close()
  })

  it('a database that goes away -> STORE_FAILED from then on', async () => {
    const store = await open()
    await store.commit([put('a')])
    // What a browser does when the user clears the site's data: the connection is closed under us.
    const upgrade = indexedDB.open('perkunas', 2)
    await new Promise((resolve) => {
      upgrade.onsuccess = resolve
    })
    const failure = await failureOf(store.commit([put('b')]))
    expect(isError(failure, 'STORE_FAILED') && failure.facts.operation).to.equal('commit')
    expect(isError(await failureOf(store.get('a')), 'STORE_FAILED')).to.equal(true)
    await store.close()
    upgrade.result.close()
  })

  it('a database of a newer version -> STORE_FAILED on opening', async () => {
    const newer = indexedDB.open('perkunas', 2)
    await new Promise((resolve) => {
      newer.onsuccess = resolve
    })
    newer.result.close()
    const failure = await failureOf(open())
    expect(isError(failure, 'STORE_FAILED') && failure.facts.operation).to.equal('open')
  })

  it('no IndexedDB here -> UNSUPPORTED', async () => {
    const failure = await failureOf(IndexedDBStore.open('perkunas'))
    expect(isError(failure, 'UNSUPPORTED') && failure.facts.what).to.equal('indexedDB')
  })
})
