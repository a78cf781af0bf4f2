import { expect } from 'chai'
import { runCrashes } from './run.js'

describe('crash: two processes on a real node, killed by SIGKILL', () => {
  it('whatever they were at -> both settle, nothing agreed on is lost, every wei is where it belongs', async function () {
    this.timeout(180_000)
    const { kills, actions, transactions } = await runCrashes({ seed: '7', kills: 12 })
    expect(kills).at.least(12)
    expect(actions).to.include.all.keys('open', 'pay', 'cross', 'settle', 'dispute', 'cheat')
    expect(transactions).above(0)
  })
})
