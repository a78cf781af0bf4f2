// Our own stores under the suite that every store has to pass.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { IDBFactory, IDBKeyRange } from 'fake-indexeddb'
import type { Factory } from '../../persistence/idb-types.js'
import { MemoryStore } from '../../persistence/index.js'
import { IndexedDBStore } from '../../persistence/indexeddb.js'
import { LmdbStore } from '../../persistence/lmdb.js'
import { describeStore } from '../conformance/store.js'

describeStore('memory', {
  setup: async () => new MemoryStore(),
  teardown: (store) => store.close(),
})

// Both ways of committing must keep every promise, whatever the disk's pace would choose.
for (const [name, blockUpTo] of [
  ['LMDB, by pace', 0.5],
  ['LMDB, always in the background', 0],
  ['LMDB, lone commits always on the loop', Infinity],
] as const) {
  const paths = new WeakMap<object, string>()
  describeStore(name, {
    async setup() {
      const path = await mkdtemp(join(tmpdir(), 'perkunas-lmdb-'))
      const store = new LmdbStore(path, { blockUpTo })
      paths.set(store, path)
      return store
    },
    async teardown(store) {
      await store.close()
      await rm(pathOf(store), { recursive: true, force: true })
    },
    reopen: async (store) => new LmdbStore(pathOf(store), { blockUpTo }),
  })

  function pathOf(store: object): string {
    const path = paths.get(store)
    if (path === undefined) throw new Error('not a store of this suite')
    return path
  }
}

const factories = new WeakMap<object, Factory>()
describeStore('IndexedDB', {
  async setup() {
    const indexedDB: Factory = new IDBFactory()
    const store = await IndexedDBStore.open('perkunas', { indexedDB, IDBKeyRange })
    factories.set(store, indexedDB)
    return store
  },
  teardown: (store) => store.close(),
  async reopen(store) {
    const indexedDB = factories.get(store)
    if (indexedDB === undefined) throw new Error('not a store of this suite')
    return IndexedDBStore.open('perkunas', { indexedDB, IDBKeyRange })
  },
})
