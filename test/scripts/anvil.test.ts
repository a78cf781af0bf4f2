import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { startAnvil } from '../../scripts/anvil.js'

/** Whether a process of this ID is there. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('scripts/anvil', () => {
  it('starts on ports of its own, answers, and stops; stopping twice is fine', async () => {
    const [one, two] = await Promise.all([startAnvil({ chainID: 5 }), startAnvil()])
    expect(one.port).to.not.equal(two.port)
    expect(await one.rpc('eth_chainId')).to.equal('0x5')
    expect(await two.rpc('eth_chainId')).to.equal('0x7a69')
    await one.stop()
    await one.stop()
    await two.stop()
    expect([isAlive(one.pid), isAlive(two.pid)]).to.deep.equal([false, false])
  })

  it('states that it moved to disk are gone when it is', async () => {
    const before = process.env['TMPDIR']
    const states = mkdtempSync(join(tmpdir(), 'perkunas-states-'))
    try {
      process.env['TMPDIR'] = states
      const anvil = await startAnvil()
      await anvil.rpc('anvil_mine', ['0x400'])
      expect(readdirSync(states, { recursive: true }).some((path) => `${path}`.endsWith('.json'))).to.equal(
        true,
      )
      await anvil.stop()
      expect(readdirSync(states)).to.deep.equal([])
    } finally {
      if (before === undefined) delete process.env['TMPDIR']
      else process.env['TMPDIR'] = before
      rmSync(states, { recursive: true, force: true })
    }
  })

  it('an error of the node -> an Error with its message; wrong arguments -> with its output', async () => {
    await using anvil = await startAnvil()
    const wrong = await anvil.rpc('eth_nonsense').catch((e: Error) => e.message)
    expect(wrong).to.contain('eth_nonsense: ')
    const bad = await startAnvil({ hardfork: 'nonsense' }).catch((e: Error) => e.message)
    expect(bad).to.match(/^anvil ended with code \d+:\n/)
  })

  it('its user is killed -> the node ends, too', async () => {
    const module = fileURLToPath(new URL('../../scripts/anvil.js', import.meta.url))
    const program = `
      const { startAnvil } = await import(${JSON.stringify(module)})
      console.log((await startAnvil()).pid)
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
