// Runs the `perkunas` command as a user does.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('../../cli/main.js', import.meta.url))

/** What a run ended with. */
export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs it to its end. */
export function perkunas(...args: readonly string[]): Promise<Ended> {
  return perkunasWith({}, ...args)
}

/** Runs it to its end, in an environment with more in it. */
export async function perkunasWith(more: NodeJS.ProcessEnv, ...args: readonly string[]): Promise<Ended> {
  const env = { ...process.env, ...more }
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env })
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ])
  return { code, stdout, stderr }
}
