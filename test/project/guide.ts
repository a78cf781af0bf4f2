// The programs in README and in the guides, as they stand there.
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** Of the project. */
export const root = fileURLToPath(new URL('../../..', import.meta.url))
/** Rejects if the program fails. */
export const run = promisify(execFile)

/** The pieces of TypeScript in a page. */
export function programsIn(page: string): readonly string[] {
  return [...readFileSync(`${root}${page}`, 'utf8').matchAll(/```ts\n([\s\S]*?)```/g)].map(
    ([, code = '']) => code,
  )
}

/**
 * Compiles programs under the project's own strict options.
 *
 * @param name of a folder for them, another one for each caller
 * @param programs by name
 * @returns where a program's JavaScript is
 */
export async function compiled(
  name: string,
  programs: Readonly<Record<string, string>>,
): Promise<(program: string) => string> {
  const folder = `${root}.cache/${name}`
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const [program, code] of Object.entries(programs)) writeFileSync(`${folder}/${program}.ts`, code)
  const compilerOptions = { rootDir: '../..', outDir: 'out', incremental: false, tsBuildInfoFile: null }
  const config = { extends: '../../tsconfig.json', compilerOptions, include: ['*.ts'], exclude: [] }
  writeFileSync(`${folder}/tsconfig.json`, JSON.stringify(config))
  await run(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '--project', folder])
  return (program) => `${folder}/out/.cache/${name}/${program}.js`
}
