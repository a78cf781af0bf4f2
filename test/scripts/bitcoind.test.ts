import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { bitcoindBinary, startBitcoind } from '../../scripts/bitcoind.js'

/** Whether a process of this ID is there. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('scripts/bitcoind', () => {
  before(function () {
    // On a fresh clone the node is downloaded first, and how long that takes is not for us to say.
    this.timeout(300_000)
    bitcoindBinary()
  })

  it('starts on a port and a chain of its own, answers, and stops; stopping twice is fine', async () => {
    const [one, two] = await Promise.all([startBitcoind(), startBitcoind()])
    expect(one.url).to.not.equal(two.url)
    const address = 'bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080'
    await one.rpc('generatetoaddress', [3, address])
    expect([await one.rpc('getblockcount'), await two.rpc('getblockcount')]).to.deep.equal([3, 0])
    await one.stop()
    await one.stop()
    await two.stop()
    expect([isAlive(one.pid), isAlive(two.pid)]).to.deep.equal([false, false])
  })

  it('an error of the node -> an Error with its message; wrong arguments -> with its output', async () => {
    await using node = await startBitcoind()
    const wrong = await node.rpc('nonsense').catch((e: Error) => e.message)
    expect(wrong).to.contain('nonsense: ')
    const bad = await startBitcoind({ args: ['-nonsense=1'] }).catch((e: Error) => e.message)
    expect(bad).to.match(/^bitcoind ended with code \d+:\n/)
  })

  it('its user is killed -> the node ends, too', async () => {
    const module = fileURLToPath(new URL('../../scripts/bitcoind.js', import.meta.url))
    const program = `
      const { startBitcoind } = await import(${JSON.stringify(module)})
      console.log((await startBitcoind()).pid)
      setInterval(() => {}, 1000)`
    const user = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [chunk] = await once(user.stdout, 'data')
    const pid = Number(String(chunk))
    expect(isAlive(pid)).to.equal(true)
    user.kill('SIGKILL')
    // The test's own time limit ends this if the node stays.
    while (isAlive(pid)) await new Promise((resolve) => setImmediate(resolve))
  })
})
