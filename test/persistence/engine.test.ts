// What the common part of all stores promises whatever the engine does.
import { expect } from 'chai'
import { isError } from '../../channel/errors.js'
import { type Engine, EngineStore, type Write } from '../../persistence/index.js'

/** An engine that notes each write, and writes when it is told to. */
function manualEngine() {
  const log: string[][] = []
  const waiting: { done: () => void; fail: (error: unknown) => void }[] = []
  const engine: Engine = {
    get: () => undefined,
    *scan() {},
    write: (writes) =>
      new Promise((resolve, reject) => {
        log.push(writes.map(({ key }) => key))
        waiting.push({ done: resolve, fail: reject })
      }),
    close: () => {},
  }
  return { engine, log, next: () => waiting.shift() }
}

const put = (key: string): Write => ({ kind: 'put', key, value: Uint8Array.of(1) })
const settled = () => new Promise((resolve) => setImmediate(resolve))
const codeOf = async (call: Promise<unknown>) =>
  call.then(
    () => 'resolved',
    (error: unknown) =>
      isError(error, 'STORE_FAILED') ? `STORE_FAILED ${error.facts.operation}` : String(error),
  )

describe('engine store: grouping', () => {
  it('commits of one turn are one write; those that come meanwhile are the next', async () => {
    const { engine, log, next } = manualEngine()
    const store = new EngineStore('test', engine)
    const first = Promise.all([store.commit([put('a'), put('b')]), store.commit([put('c')])])
    await settled()
    const second = Promise.all(['d', 'e', 'f'].map((key) => store.commit([put(key)])))
    await settled()
    expect(log).to.deep.equal([['a', 'b', 'c']])
    next()?.done()
    await first
    await settled()
    expect(log).to.deep.equal([
      ['a', 'b', 'c'],
      ['d', 'e', 'f'],
    ])
    next()?.done()
    await second
    await store.close()
  })

  it('no commit resolves before its group is written', async () => {
    const { engine, next } = manualEngine()
    const store = new EngineStore('test', engine)
    let resolved = false
    const commit = store.commit([put('a')]).then(() => {
      resolved = true
    })
    await settled()
    expect(resolved).to.equal(false)
    next()?.done()
    await commit
    await store.close()
  })
})

describe('engine store: failure', () => {
  it('a failed write -> its group, those that wait, and all later calls reject with the first cause', async () => {
    const { engine, log, next } = manualEngine()
    const store = new EngineStore('test', engine)
    const group = [store.commit([put('a')]), store.commit([put('b')])]
    await settled()
    const calls = [...group, store.commit([put('c')])]
    await settled()
    const cause = Object.assign(new Error('input/output error'), { code: 'EIO' })
    next()?.fail(cause)
    for (const call of calls) expect(await codeOf(call)).to.equal('STORE_FAILED commit')
    expect(await codeOf(store.commit([]))).to.equal('STORE_FAILED commit')
    expect(await codeOf(store.get('a'))).to.equal('STORE_FAILED commit')
    const error = await store.commit([put('d')]).catch((reason: unknown) => reason)
    expect(error).to.have.property('cause', cause)
    expect(error)
      .to.have.property('message')
      .that.matches(/the test failed to commit \(input\/output error\); stop/)
    expect(log).to.deep.equal([['a', 'b']])
    await store.close()
  })

  it('a failed read is as final', async () => {
    const { engine } = manualEngine()
    const store = new EngineStore('test', {
      ...engine,
      get: () => {
        throw new Error('bad sector')
      },
    })
    expect(await codeOf(store.get('a'))).to.equal('STORE_FAILED get')
    expect(await codeOf(store.commit([put('a')]))).to.equal('STORE_FAILED get')
    await store.close()
  })

  it('a failure in mid-scan -> the scan rejects, and the engine frees what it held', async () => {
    const { engine } = manualEngine()
    let freed = 0
    const store = new EngineStore('test', {
      ...engine,
      get: () => {
        throw new Error('bad sector')
      },
      *scan() {
        try {
          yield ['a', Uint8Array.of(1)]
          yield ['b', Uint8Array.of(2)]
        } finally {
          freed++
        }
      },
    })
    const scan = store.scan('')
    expect((await scan.next()).value).to.deep.equal(['a', Uint8Array.of(1)])
    expect(await codeOf(store.get('a'))).to.equal('STORE_FAILED get')
    expect(await codeOf(scan.next())).to.equal('STORE_FAILED get')
    expect(freed).to.equal(1)
    await store.close()
  })

  it('close after a failure, and with an engine that fails to close -> resolves', async () => {
    const { engine, next } = manualEngine()
    let closed = 0
    const store = new EngineStore('test', {
      ...engine,
      close: () => {
        closed++
        throw new Error('cannot close')
      },
    })
    const commit = codeOf(store.commit([put('a')]))
    await settled()
    next()?.fail(new Error('gone'))
    expect(await commit).to.equal('STORE_FAILED commit')
    await store.close()
    await store.close()
    expect(closed).to.equal(1)
  })
})
