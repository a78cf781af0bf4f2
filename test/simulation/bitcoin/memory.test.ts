import { expect } from 'chai'
import type { Write } from '../../../persistence/index.js'
import { Random } from '../random.js'
import { DiskMemory } from './memory.js'

const put = (key: string, byte: number): Write => ({ kind: 'put', key, value: Uint8Array.of(byte) })
const holder = (number: number) => put(`lightning-monitor/0/holder/${number}`, number)

describe('simulation on Bitcoin: what a cheat remembers', () => {
  it('nothing committed to -> nothing', () => {
    const memory = new DiskMemory()
    memory.add([put('lightning/0/state', 1)])
    expect(memory.any(new Random('a'))).equals(undefined)
  })

  it('any of its commitments, with the disk as it was then and nothing later', () => {
    const memory = new DiskMemory()
    memory.add([put('x', 0), holder(0)])
    for (let number = 1; number <= 40; number++) {
      memory.add([put('x', number), holder(number)])
      memory.add([put('x', 100 + number)])
      memory.add([{ kind: 'delete', key: `lightning-monitor/0/holder/${number - 1}` }])
    }
    const seen = new Set<number>()
    for (let i = 0; i < 1000; i++) {
      const disk = memory.any(new Random(`${i}`))
      const newest = Math.max(...[...(disk?.keys() ?? [])].map((key) => Number(key.split('/')[3] ?? 0)))
      expect([...(disk?.get('x') ?? [])]).deep.equals([newest])
      seen.add(newest)
    }
    expect(seen.size).equals(41)
  })
})
