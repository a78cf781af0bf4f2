// A backup in a file, for Node.js.
import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { equalBytes } from '../../../channel/bytes.js'

/**
 * Writes backups to a file, for `onBackup` of a node: whatever happens, the file is whole, the one before or the new one. One
 * that was there before the first call is kept beside it, with `.previous` behind its name: a node that was started on an
 * empty store by mistake does not take the way back with it.
 *
 * @param path its folder is made if need be; nobody else may read the file
 * @returns a function that resolves when the bytes are on disk; calls have their turns
 */
export function backupFile(path: string): (backup: Uint8Array) => Promise<void> {
  let isFirst = true
  let last: Promise<void> = Promise.resolve()
  const write = async (backup: Uint8Array) => {
    await mkdir(dirname(path), { recursive: true })
    if (isFirst) await keepPrevious(path, backup)
    isFirst = false
    await writeWhole(path, backup)
  }
  return (backup) => {
    const done = last.then(() => write(backup))
    last = done.catch(() => undefined)
    return done
  }
}

async function keepPrevious(path: string, backup: Uint8Array): Promise<void> {
  const before = await readFile(path).catch((cause: unknown) => {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined
    throw cause
  })
  if (before !== undefined && !equalBytes(before, backup)) await writeWhole(`${path}.previous`, before)
}

async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const directory = dirname(path)
  const temporary = join(directory, `.${randomUUID()}.tmp`)
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } finally {
    await rm(temporary, { force: true })
  }
  // The name is durable when the directory is; Windows has no such call and needs none.
  if (process.platform === 'win32') return
  const parent = await open(directory, 'r')
  try {
    await parent.sync()
  } finally {
    await parent.close()
  }
}
