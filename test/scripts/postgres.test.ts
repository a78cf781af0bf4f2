import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { Client } from 'pg'
import { startPostgres } from '../../scripts/postgres.js'

describe('scripts/postgres', () => {
  it('starts, keeps what it flushed over a crash, stops and leaves nothing; stopping twice is fine', async function () {
    this.timeout(60_000)
    const server = await startPostgres()
    const query = async (text: string) => {
      const client = new Client({ connectionString: server.url })
      await client.connect()
      const { rows } = await client.query<Record<string, unknown>>(text)
      await client.end()
      return rows
    }
    await query('CREATE TABLE t AS SELECT 7 AS n')
    await server.crash()
    expect(await query('SELECT n FROM t')).to.deep.equal([{ n: 7 }])
    expect(existsSync(server.folder)).to.equal(true)
    await server.stop()
    await server.stop()
    expect(existsSync(server.folder)).to.equal(false)
  })

  it('all processes of its user are killed -> the server ends too, and its folder goes', async function () {
    this.timeout(60_000)
    const module = fileURLToPath(new URL('../../scripts/postgres.js', import.meta.url))
    const program = `
      const { startPostgres } = await import(${JSON.stringify(module)})
      console.log((await startPostgres()).folder)
      setInterval(() => {}, 1000)`
    const user = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    })
    const [chunk] = await once(user.stdout, 'data')
    const folder = String(chunk).trim()
    const [pid = ''] = readFileSync(`${folder}/data/postmaster.pid`, 'utf8').split('\n')
    process.kill(Number(pid), 0)
    process.kill(-(user.pid ?? 0), 'SIGKILL')
    // The test's own time limit ends this if the folder stays; it goes last.
    while (existsSync(folder)) await new Promise((resolve) => setImmediate(resolve))
    expect(() => process.kill(Number(pid), 0)).to.throw(/ESRCH/)
  })
})
