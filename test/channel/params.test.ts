import { expect } from 'chai'
import { faultOfParams, faultOfSubChannelParams, NO_AUX, type Params } from '../../channel/index.js'
import { address, params } from './sample.js'

const strangers = (n: number) =>
  Array.from({ length: n }, (_, i) => ({ 0: `0x${i.toString(16).padStart(8, '0')}` as const }))

describe('channel: params', () => {
  it('good ones -> no fault', () => {
    expect(faultOfParams(params)).to.equal(undefined)
  })

  const good: Record<string, Partial<Params>> = {
    'the shortest duration': { challengeDuration: 1n },
    'the longest duration': { challengeDuration: 2n ** 64n - 1n },
    '1024 participants': { participants: strangers(1024) },
    'nonce 0': { nonce: 0n },
    'a nonce of 32 bytes': { nonce: 2n ** 256n - 1n },
    'an app': { app: address(9) },
    'a sub-channel: neither flag': { ledgerChannel: false },
    'a virtual channel': { ledgerChannel: false, virtualChannel: true },
    'several addresses of one participant': {
      participants: [{ 0: address(1), 1: address(1) }, { 1: address(2) }],
    },
    'an address of 512 bytes': { participants: [{ 0: `0x${'ab'.repeat(512)}` }, { 0: '0x01' }] },
  }
  for (const [name, changes] of Object.entries(good)) {
    it(`${name} -> taken`, () => {
      expect(faultOfParams({ ...params, ...changes })).to.equal(undefined)
    })
  }

  const bad: Record<string, [Partial<Params>, string]> = {
    'duration 0': [{ challengeDuration: 0n }, 'challenge duration'],
    'a negative duration': [{ challengeDuration: -1n }, 'challenge duration'],
    'duration 2^64': [{ challengeDuration: 2n ** 64n }, 'challenge duration'],
    'no participant': [{ participants: [] }, 'participants'],
    '1 participant': [{ participants: strangers(1) }, 'participants'],
    '1025 participants': [{ participants: strangers(1025) }, 'participants'],
    'a repeated participant': [{ participants: [{ 0: address(1) }, { 0: address(1) }] }, 'distinct'],
    'one address of two participants': [
      {
        participants: [
          { 0: address(1), 1: address(7) },
          { 0: address(2), 1: address(7) },
        ],
      },
      'distinct',
    ],
    'a participant without address': [{ participants: [{}, { 0: address(1) }] }, 'address'],
    'an empty address': [{ participants: [{ 0: '0x' }, { 0: address(1) }] }, 'address'],
    'an address of 513 bytes': [{ participants: [{ 0: `0x${'ab'.repeat(513)}` }, { 0: '0x01' }] }, 'address'],
    'an address in upper case': [{ participants: [{ 0: '0xAB' }, { 0: '0x01' }] }, 'address'],
    'a negative nonce': [{ nonce: -1n }, 'nonce'],
    'a nonce of 33 bytes': [{ nonce: 2n ** 256n }, 'nonce'],
    'aux of 255 bytes': [{ aux: `0x${NO_AUX.slice(4)}` }, 'aux'],
    'aux of 257 bytes': [{ aux: `${NO_AUX}00` }, 'aux'],
    'an app that is not bytes': [{ app: '0x1' }, 'app'],
    'an app of 513 bytes': [{ app: `0x${'ab'.repeat(513)}` }, 'app'],
    'both flags': [{ ledgerChannel: true, virtualChannel: true }, 'not both'],
  }
  for (const [name, [changes, rule]] of Object.entries(bad)) {
    it(`${name} -> INVALID_PARAMS`, () => {
      const fault = faultOfParams({ ...params, ...changes })
      expect(fault?.code).to.equal('INVALID_PARAMS')
      expect(fault?.facts.rule).to.include(rule)
    })
  }

  it('a sub-channel: without app at most the duration of its parent, with an app at most half', () => {
    const parent = { ...params, challengeDuration: 61n }
    const fault = (challengeDuration: bigint, app: Params['app']) =>
      faultOfSubChannelParams(parent, { challengeDuration, app })?.code
    expect([fault(61n, '0x'), fault(62n, '0x')]).deep.equals([undefined, 'INVALID_PARAMS'])
    expect([fault(30n, address(9)), fault(31n, address(9))]).deep.equals([undefined, 'INVALID_PARAMS'])
  })
})
