// What waits until somebody listens.
import { expect } from 'chai'
import { Unheard } from '../../../../backend/bitcoin/protocol/unheard.js'

describe('bitcoin: what nobody has heard yet', () => {
  it('is told once, in its order, and counts as heard then and not before', () => {
    const unheard = new Unheard<number>()
    const heard: number[] = []
    for (const n of [1, 2]) unheard.add(n, () => heard.push(n))
    expect(heard).deep.equals([])
    expect(unheard.take()).deep.equals([1, 2])
    expect(heard).deep.equals([1, 2])
    expect(unheard.take()).deep.equals([])
  })

  it('is bounded: the oldest is given up', () => {
    const unheard = new Unheard<number>()
    const given: number[] = []
    for (let n = 0; n < 300; n++) unheard.add(n, () => given.push(n))
    expect(given.length).equals(44)
    expect(given.at(-1)).equals(43)
    expect(unheard.take().length).equals(256)
  })
})
