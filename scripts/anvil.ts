// Starts a real Ethereum node for tests, benchmarks and the demo: anvil, whose binary ships inside the platform
// package of @foundry-rs/anvil. The package's install script and its launcher are not needed.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'

/** How a node is started; everything has a default. */
export interface AnvilOptions {
  /** Chain ID; 31337 by default. */
  readonly chainID?: number
  /** TCP port on loopback; by default one that the system chooses. */
  readonly port?: number
  /** Number of funded accounts of `ANVIL_MNEMONIC`; 10 by default. */
  readonly accounts?: number
  /** Ether in each of them; 10 000 by default. */
  readonly ether?: number
  /** Seconds between blocks; by default each transaction makes a block at once. */
  readonly blockTime?: number
  /** `true`: no block without `evm_mine`. */
  readonly noMining?: boolean
  /** Hard fork by its lower-case name; by default anvil's own, the newest. */
  readonly hardfork?: string
  /** What a node said to `anvil_dumpState`: this one has it from its first answer on. */
  readonly state?: unknown
  /** Further command line arguments. */
  readonly args?: readonly string[]
}

/** A running node. */
export interface Anvil extends AsyncDisposable {
  readonly url: string
  readonly wsUrl: string
  readonly port: number
  readonly chainID: number
  /** The node's process ID, for tests that stop and continue it. */
  readonly pid: number
  /** One JSON-RPC call. Throws an Error with the node's message. */
  rpc(method: string, params?: readonly unknown[]): Promise<unknown>
  /** Ends the node and returns when it is gone. May be called again. */
  stop(): Promise<void>
}

/** Where the keys of anvil's funded accounts come from, path m/44'/60'/0'/0/i. */
export const ANVIL_MNEMONIC = 'test test test test test test test test test test test junk'

/** The path of this platform's anvil binary. @throws Error if its package is not installed. */
export function anvilBinary(): string {
  const arch = process.arch === 'x64' ? 'amd64' : process.arch
  const extension = process.platform === 'win32' ? '.exe' : ''
  const name = `@foundry-rs/anvil-${process.platform}-${arch}/bin/anvil${extension}`
  try {
    return createRequire(import.meta.url).resolve(name)
  } catch (cause) {
    throw new Error(`there is no anvil for ${process.platform} ${process.arch} (looked for ${name})`, {
      cause,
    })
  }
}

// The node's parent is this small program, which ends it as soon as its own standard input ends, that is when
// whoever called `startAnvil` is gone, however that happened. Old states, which anvil moves to disk, go to a directory
// that ends with it: by itself it puts them into the user's home, and a node that is killed leaves them there.
const keeper = `
  const { spawn } = require('node:child_process')
  const { mkdtempSync, rmSync } = require('node:fs')
  const { tmpdir } = require('node:os')
  const { join } = require('node:path')
  const [binary, ...args] = process.argv.slice(1)
  const states = mkdtempSync(join(tmpdir(), 'perkunas-anvil-'))
  process.on('exit', () => rmSync(states, { recursive: true, force: true }))
  const node = spawn(binary, [...args, '--cache-path', states], { stdio: ['ignore', 'inherit', 'inherit'] })
  process.stderr.write('anvil pid ' + node.pid + '\\n')
  node.on('error', (e) => { console.error(e.message); process.exit(1) })
  node.on('exit', (code) => process.exit(code ?? 1))
  process.stdin.on('end', () => node.kill('SIGKILL')).on('error', () => node.kill('SIGKILL')).resume()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => node.kill('SIGKILL'))
`

/**
 * Starts a node and returns when it answers. It is killed by `stop`, and when this process ends.
 *
 * @throws Error with the node's output if it ends before it listens
 */
export async function startAnvil(options: AnvilOptions = {}): Promise<Anvil> {
  const args = ['--host', '127.0.0.1', '--port', String(options.port ?? 0)]
  args.push('--chain-id', String(options.chainID ?? 31337), '--mnemonic', ANVIL_MNEMONIC)
  if (options.accounts !== undefined) args.push('--accounts', String(options.accounts))
  if (options.ether !== undefined) args.push('--balance', String(options.ether))
  if (options.blockTime !== undefined) args.push('--block-time', String(options.blockTime))
  if (options.noMining === true) args.push('--no-mining')
  if (options.hardfork !== undefined) args.push('--hardfork', options.hardfork)
  args.push(...(options.args ?? []))
  await using file = options.state === undefined ? undefined : stateFile(options.state)
  if (file !== undefined) args.push('--load-state', file.path)

  const child = spawn(process.execPath, ['-e', keeper, '--', anvilBinary(), ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    windowsHide: true,
  })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const { port, pid } = await listening(child)
  const url = `http://127.0.0.1:${port}`
  const stop = async () => {
    child.ref()
    child.stdin?.end()
    await exited
  }
  // Neither the node nor its pipes keep the caller's process alive.
  child.unref()
  for (const pipe of [child.stdin, child.stdout, child.stderr]) {
    if (pipe !== null && 'unref' in pipe && typeof pipe.unref === 'function') pipe.unref()
  }
  const rpc = (method: string, params: readonly unknown[] = []) => call(url, method, params)
  await rpc('eth_chainId')
  return {
    url,
    wsUrl: `ws://127.0.0.1:${port}`,
    port,
    chainID: options.chainID ?? 31337,
    pid,
    rpc,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** A state as anvil reads it, until it has. */
function stateFile(state: unknown): AsyncDisposable & { readonly path: string } {
  const directory = mkdtempSync(join(tmpdir(), 'perkunas-anvil-'))
  const path = join(directory, 'state.json')
  writeFileSync(path, gunzipSync(Buffer.from(String(state).slice(2), 'hex')))
  return {
    path,
    async [Symbol.asyncDispose]() {
      rmSync(directory, { recursive: true })
    },
  }
}

/** Reads the node's output until it tells its port. Reads on afterwards, so that the pipes never fill up. */
function listening(child: ChildProcess): Promise<{ port: number; pid: number }> {
  return new Promise((resolve, reject) => {
    let output = ''
    let open = true
    const read = (chunk: Buffer) => {
      if (!open) return
      output += chunk.toString()
      const port = /^Listening on \S*:(\d+)\s*$/m.exec(output)
      const pid = /^anvil pid (\d+)\s*$/m.exec(output)
      if (port === null || pid === null) return
      open = false
      resolve({ port: Number(port[1]), pid: Number(pid[1]) })
    }
    child.stdout?.on('data', read)
    child.stderr?.on('data', read)
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`anvil ended with code ${code}:\n${output}`)))
  })
}

async function call(url: string, method: string, params: readonly unknown[]): Promise<unknown> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  })
  const answer: unknown = await response.json()
  if (typeof answer !== 'object' || answer === null) throw new Error(`${method}: not a JSON-RPC answer`)
  if ('error' in answer && typeof answer.error === 'object' && answer.error !== null) {
    const text = 'message' in answer.error ? String(answer.error.message) : JSON.stringify(answer.error)
    throw new Error(`${method}: ${text}`)
  }
  return 'result' in answer ? answer.result : undefined
}
