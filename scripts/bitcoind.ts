// Starts a real Bitcoin node on regtest for tests and the demo: $BITCOIND, `bitcoind` on the PATH, or the one that
// fetch-bitcoind.mjs unpacks.
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** How a node is started; everything has a default. */
export interface BitcoindOptions {
  /** Further command line arguments. */
  readonly args?: readonly string[]
  /** Where its data is and stays, so that it can be started again; by default in a new directory that is removed. */
  readonly directory?: string
  /** Of JSON-RPC, for one that is started again; by default any that is free. */
  readonly port?: number
}

/** A running node with an empty regtest chain of its own. */
export interface Bitcoind extends AsyncDisposable {
  /** Of JSON-RPC over HTTP, on loopback. */
  readonly url: string
  /** `user:password`, as in the node's cookie file. */
  readonly credentials: string
  /** The node's process ID, for tests that stop and continue it. */
  readonly pid: number
  /** Such as `/Satoshi:29.0.0/`. */
  readonly subversion: string
  /** One JSON-RPC call, of one of its wallets if that is named. Throws an Error with the node's message. */
  rpc(method: string, params?: readonly unknown[], wallet?: string): Promise<unknown>
  /** Holds `credentials`; written anew at each start. */
  readonly cookieFile: string
  /** Ends the node, removes its data unless it is to stay, and returns when it is gone. May be called again. */
  stop(): Promise<void>
}

/** The path of a bitcoind that runs here, unpacked first if need be. @throws Error that says how to get one */
export function bitcoindBinary(): string {
  const script = fileURLToPath(new URL('../../scripts/fetch-bitcoind.mjs', import.meta.url))
  return execFileSync(process.execPath, [script], { encoding: 'utf8', stdio: ['ignore', 'pipe', 2] }).trim()
}

// The node's parent is this small program, which ends it as soon as its own standard input ends, that is when whoever
// called `startBitcoind` is gone, however that happened; then it removes the node's data.
const keeper = `
  const { spawn } = require('node:child_process')
  const [binary, directory, ...args] = process.argv.slice(1)
  const node = spawn(binary, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  process.stderr.write('bitcoind pid ' + node.pid + '\\n')
  node.on('error', (e) => { console.error(e.message); process.exit(1) })
  node.on('exit', (code) => {
    if (directory !== '') require('node:fs').rmSync(directory, { recursive: true, force: true })
    process.exit(code ?? 1)
  })
  process.stdin.on('end', () => node.kill('SIGKILL')).on('error', () => node.kill('SIGKILL')).resume()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => node.kill('SIGKILL'))
`

/**
 * Starts a node and returns when it answers. It is killed by `stop`, and when this process ends.
 *
 * @throws Error with the node's output if it ends before it answers
 */
export async function startBitcoind(options: BitcoindOptions = {}): Promise<Bitcoind> {
  const binary = bitcoindBinary()
  for (let attempts = 5; ; attempts--) {
    try {
      return await launch(binary, options)
    } catch (error) {
      // Somebody else got the port between our choosing it and the node's taking it.
      if (attempts === 1 || !/Unable to bind/.test(String(error))) throw error
    }
  }
}

async function launch(binary: string, options: BitcoindOptions): Promise<Bitcoind> {
  const kept = options.directory
  const directory = kept ?? mkdtempSync(join(tmpdir(), 'perkunas-bitcoind-'))
  const port = options.port ?? (await freePort())
  const args = [
    '-regtest',
    `-datadir=${directory}`,
    `-rpcport=${port}`,
    '-rpcbind=127.0.0.1',
    '-rpcallowip=127.0.0.1',
    '-listen=0',
    '-dnsseed=0',
    '-txindex=1',
    // Small: several may run beside each other.
    '-dbcache=16',
    '-par=1',
    '-rpcthreads=2',
    '-printtoconsole=1',
    // Its wallets wait for the disk at every block and address otherwise. Whoever is killed loses nothing by that: the
    // system has what was written, and only its own end would lose it.
    '-unsafesqlitesync',
    ...(isKnots(binary) ? KNOTS_LIKE_CORE : []),
    ...(options.args ?? []),
  ]
  const child = spawn(
    process.execPath,
    ['-e', keeper, '--', binary, kept === undefined ? directory : '', ...args],
    {
      stdio: ['pipe', 'pipe', 'pipe'],
      windowsHide: true,
    },
  )
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  let pid = 0
  // Ready once it says so; read on afterwards, so that the pipes never fill up.
  await new Promise<void>((resolve, reject) => {
    let output = ''
    let waiting = true
    const read = (chunk: Buffer) => {
      if (!waiting) return
      output += chunk.toString()
      pid = Number(/^bitcoind pid (\d+)\s*$/m.exec(output)?.[1] ?? 0)
      if (pid === 0 || !/Done loading/.test(output)) return
      waiting = false
      resolve()
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.once('error', reject)
    child.once('exit', (code) => {
      if (kept === undefined) rmSync(directory, { recursive: true, force: true })
      reject(new Error(`bitcoind ended with code ${code}:\n${output.slice(-4000)}`))
    })
  })
  const stop = async () => {
    child.ref()
    // What it has only in memory would be lost: it would come back with fewer blocks.
    if (kept === undefined || child.exitCode !== null) child.stdin.end()
    else await rpc('stop').catch(() => child.stdin.end())
    await exited
  }
  // Neither the node nor its pipes keep the caller's process alive.
  child.unref()
  for (const pipe of [child.stdin, child.stdout, child.stderr]) {
    if ('unref' in pipe && typeof pipe.unref === 'function') pipe.unref()
  }
  const url = `http://127.0.0.1:${port}`
  const cookieFile = join(directory, 'regtest', '.cookie')
  const credentials = readFileSync(cookieFile, 'utf8')
  const rpc = (method: string, params: readonly unknown[] = [], wallet?: string) =>
    bitcoindCall({
      url: wallet === undefined ? url : `${url}/wallet/${encodeURIComponent(wallet)}`,
      credentials,
      method,
      params,
    })
  const info = await rpc('getnetworkinfo')
  const subversion = typeof info === 'object' && info !== null && 'subversion' in info ? info.subversion : ''
  return {
    url,
    credentials,
    cookieFile,
    pid,
    subversion: String(subversion),
    rpc,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

// Knots has Core's rules for transactions of version 3 and for ephemeral anchors, but by default not all of them on; and
// its wallet's addresses, those of change too, are not segwit unless asked for.
const KNOTS_LIKE_CORE = [
  '-mempooltruc=enforce',
  '-permitephemeral=anchor,send,dust',
  '-addresstype=bech32',
  '-changetype=bech32',
]

function isKnots(binary: string): boolean {
  return /Knots/.test(execFileSync(binary, ['--version'], { encoding: 'utf8' }))
}

/** A port that nothing listens on: the node can't be told to choose one itself. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() =>
        typeof address === 'object' && address !== null
          ? resolve(address.port)
          : reject(new Error('no port is free')),
      )
    })
  })
}

/** One JSON-RPC call of a node by its address, for processes that have no {@link Bitcoind}. @throws Error with the node's message */
export async function bitcoindCall(request: {
  readonly url: string
  readonly credentials: string
  readonly method: string
  readonly params: readonly unknown[]
}): Promise<unknown> {
  const { url, credentials, method, params } = request
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Basic ${Buffer.from(credentials).toString('base64')}`,
    },
    body: JSON.stringify({ jsonrpc: '1.0', id: 1, method, params }),
  })
  const answer: unknown = await response.json()
  if (typeof answer !== 'object' || answer === null) throw new Error(`${method}: not a JSON-RPC answer`)
  if ('error' in answer && typeof answer.error === 'object' && answer.error !== null) {
    const text = 'message' in answer.error ? String(answer.error.message) : JSON.stringify(answer.error)
    throw new Error(`${method}: ${text}`)
  }
  return 'result' in answer ? answer.result : undefined
}
