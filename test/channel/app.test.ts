import { expect } from 'chai'
import {
  type AppID,
  appResolver,
  faultByApp,
  faultByAppAtInit,
  isError,
  NO_APP,
  noApp,
  paymentApp,
  type State,
} from '../../channel/index.js'
import { MOCK_APP, mock, mockActionApp, mockParams, mockStateApp, OPERATIONS } from './mock-app.js'
import { address, first, paid, params } from './sample.js'

describe('channel: apps', () => {
  it('no app: any step, no data', () => {
    expect(noApp.faultOfInit(params, first())).to.equal(undefined)
    expect(noApp.faultOfTransition(params, first(), paid(first(), -20n), 0)).to.equal(undefined)
    expect(noApp.faultOfInit(params, { ...first(), data: '0x00' })).to.be.a('string')
    expect(noApp.faultOfTransition(params, first(), { ...first(), data: '0x00' }, 0)).to.be.a('string')
  })

  describe('payments', () => {
    const app = paymentApp(address(5))
    const balances = (row: bigint[], other: bigint[] = [30n, 40n]): State => ({
      ...first(),
      allocation: { ...first().allocation, balances: [row, other] },
    })
    const cases: [string, number, State, boolean][] = [
      ['the actor gives', 0, balances([4n, 26n]), true],
      ['the actor gives of both assets', 0, balances([4n, 26n], [0n, 70n]), true],
      ['the actor gives nothing', 1, balances([10n, 20n]), true],
      ['the actor takes', 1, balances([4n, 26n]), false],
      ['the actor gives one asset and takes another', 0, balances([4n, 26n], [31n, 39n]), false],
    ]
    for (const [name, actor, to, isGood] of cases) {
      it(`${name} -> ${isGood ? 'taken' : 'refused'}`, () => {
        const rule = app.faultOfTransition(params, first(), to, actor)
        expect(rule === undefined).to.equal(isGood)
      })
    }

    it('with three, the actor takes from one and gives it to another -> refused', () => {
      const three = (row: bigint[]): State => ({
        ...first(),
        allocation: { ...first().allocation, balances: [row] },
      })
      expect(app.faultOfTransition(params, three([5n, 5n, 5n]), three([5n, 4n, 6n]), 0)).to.be.a('string')
      expect(app.faultOfTransition(params, three([5n, 5n, 5n]), three([3n, 6n, 6n]), 0)).to.equal(undefined)
    })

    it('with data -> refused', () => {
      expect(app.faultOfInit(params, { ...first(), data: '0x00' })).to.be.a('string')
      expect(app.faultOfTransition(params, first(), { ...first(), data: '0x00' }, 0)).to.be.a('string')
    })
  })

  describe('the resolver', () => {
    it('knows its apps, no app, and nothing else', () => {
      const resolve = appResolver(mockStateApp)
      expect(resolve(MOCK_APP)).to.equal(mockStateApp)
      expect(resolve(NO_APP)).to.equal(noApp)
      expect(resolve(address(6))).to.equal(undefined)
      for (const name of ['__proto__', 'constructor']) {
        const hostile: AppID = `0x${name}`
        expect(resolve(hostile)).to.equal(undefined)
      }
    })

    it('two apps of one ID, or one in place of no app -> INVALID_ARGUMENT', () => {
      for (const apps of [[mockStateApp, mockActionApp], [{ ...mockStateApp, id: NO_APP }]]) {
        expect(() => appResolver(...apps))
          .to.throw()
          .satisfies((error: unknown) => isError(error, 'INVALID_ARGUMENT'))
      }
    })
  })

  describe('the mock app', () => {
    for (const operation of OPERATIONS) {
      const isGood = operation === 'valid'
      it(`${operation} -> ${isGood ? 'taken' : 'APP_REFUSED, and nothing is thrown'}`, () => {
        const of = mockParams(params)
        const from = first({}, of, mock(operation))
        const step = faultByApp(mockStateApp, of, from, paid(from, 1n), 0)
        const init = faultByAppAtInit(mockStateApp, of, from)
        expect([step?.code, init?.code]).to.deep.equal(
          isGood ? [undefined, undefined] : ['APP_REFUSED', 'APP_REFUSED'],
        )
        if (operation === 'panic') expect(step?.cause).to.be.instanceOf(Error)
      })
    }

    it('an action app takes no proposed states', () => {
      const of = mockParams(params)
      const from = first({}, of, mock('valid'))
      expect(faultByApp(mockActionApp, of, from, paid(from, 1n), 0)?.code).to.equal('APP_REFUSED')
    })
  })
})
