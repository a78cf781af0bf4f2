// `npm run bench -- <name> [--json]`: runs one benchmark. Each prints its results together with the floor of the
// same run, because the machine's own speed changes between runs.
const BENCHMARKS: Readonly<Record<string, () => Promise<{ run(args: readonly string[]): Promise<void> }>>> = {
  bolt: () => import('./bolt.js'),
  lightning: () => import('./lightning.js'),
  restore: () => import('./restore.js'),
  updates: () => import('./updates.js'),
}

const [name = '', ...args] = process.argv.slice(2)
const load = Object.hasOwn(BENCHMARKS, name) ? BENCHMARKS[name] : undefined
if (load === undefined) {
  console.error(`npm run bench -- ${Object.keys(BENCHMARKS).join('|')} [--json]`)
  process.exitCode = 1
} else {
  const { run } = await load()
  await run(args)
}
