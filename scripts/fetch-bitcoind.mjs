// Finds a bitcoind for tests and demos, and prints its path on standard output: $BITCOIND, else `bitcoind` on
// the PATH, else one unpacked into .cache/ from Debian's package bitcoin-knots. Nothing is installed system-wide.
//
// Only Debian's suite sid has the package, and its programs need sid's C library. So the package is unpacked together
// with every library that it depends on, and a launcher starts it through the dynamic loader that came along. The mirror
// is whichever this machine already uses for Debian; apt checks the archive's signature as always.
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { fileURLToPath } from 'node:url'

const PACKAGE = 'bitcoin-knots'
// Dependencies of the package's service scripts, which are not run here.
const UNNEEDED = /^(systemd|debconf|libsystemd.*|gcc-.*-base|libmount1|libblkid1|libselinux1|libpcre2.*)$/
const cache = fileURLToPath(new URL('../.cache/', import.meta.url))
const home = `${cache}bitcoind`

try {
  console.log(find())
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}

function find() {
  const given = process.env.BITCOIND
  if (given) {
    if (!runs(given)) throw new Error(`$BITCOIND does not run: ${given}`)
    return given
  }
  if (runs('bitcoind')) return 'bitcoind'
  const program = `${home}/bin/bitcoind`
  if (!runs(program)) unpack()
  if (!runs(program)) throw new Error(`what was unpacked does not run: ${program}`)
  return program
}

function runs(program) {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0
}

function unpack() {
  const mirror = debianMirror()
  if (mirror === undefined) {
    throw new Error(
      'There is no bitcoind here and no Debian archive to take one from. Install Bitcoin Core (version 29 or newer) ' +
        "from bitcoincore.org or your system's packages, and put bitcoind on the PATH or its path into $BITCOIND.",
    )
  }
  mkdirSync(cache, { recursive: true })
  // Complete or not there at all, also when two processes do this at the same time.
  const staging = mkdtempSync(`${cache}bitcoind-`)
  try {
    download(mirror, staging)
    if (runs(`${home}/bin/bitcoind`)) return
    rmSync(home, { recursive: true, force: true })
    // The launcher finds its files relative to itself, so it can be moved.
    renameSync(staging, home)
  } finally {
    rmSync(staging, { recursive: true, force: true })
  }
}

/** The first archive of Debian proper in apt's own configuration. */
function debianMirror() {
  const { status, stdout } = spawnSync(
    'apt-get',
    ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages', 'Component: main'],
    { encoding: 'utf8' },
  )
  return status === 0 ? stdout.split('\n').find((uri) => /\/debian\/?$/.test(uri)) : undefined
}

function download(mirror, root) {
  const apt = `${root}/apt`
  for (const folder of ['lists/partial', 'cache/archives/partial']) {
    mkdirSync(`${apt}/${folder}`, { recursive: true })
  }
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'
  const trust = existsSync(keyring) ? ` [signed-by=${keyring}]` : ''
  writeFileSync(`${apt}/sources.list`, `deb${trust} ${mirror} sid main\n`)
  // A world of its own: no installed packages, so that every dependency is fetched.
  const options = Object.entries({
    'Dir::Etc::sourcelist': `${apt}/sources.list`,
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::State::Lists': `${apt}/lists`,
    'Dir::State::status': '/dev/null',
    'Dir::Cache': `${apt}/cache`,
    'APT::Install-Recommends': 'false',
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
  }).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  run('apt-get', [...options, '-qq', 'update'])
  const plan = run('apt-get', [...options, '--simulate', 'install', PACKAGE])
  const packages = plan
    .split('\n')
    .flatMap((line) => line.match(/^Inst (\S+)/)?.[1] ?? [])
    .filter((name) => !UNNEEDED.test(name))
  const archives = `${apt}/cache/archives`
  run('apt-get', [...options, '-qq', 'download', ...packages], archives)
  for (const file of readdirSync(archives).filter((name) => name.endsWith('.deb'))) {
    run('dpkg', ['-x', `${archives}/${file}`, `${root}/root`])
  }
  rmSync(apt, { recursive: true })
  writeLauncher(root)
}

function writeLauncher(root) {
  const library = readdirSync(`${root}/root/usr/lib`).find((name) => /-linux-gnu/.test(name))
  const loader = readdirSync(`${root}/root/usr/lib/${library}`).find((name) => /^ld-linux.*\.so/.test(name))
  mkdirSync(`${root}/bin`)
  writeFileSync(
    `${root}/bin/bitcoind`,
    `#!/bin/sh
root=$(cd "$(dirname "$0")/../root" && pwd)
exec "$root/usr/lib/${library}/${loader}" --library-path "$root/usr/lib/${library}" "$root/usr/bin/bitcoind" "$@"
`,
  )
  chmodSync(`${root}/bin/bitcoind`, 0o755)
}

function run(program, args, cwd) {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })
  if (status !== 0) throw new Error(`${program} ${args.at(-1)} failed: ${error?.message ?? stderr.trim()}`)
  return stdout
}
