// Where an LDK node keeps what it must not forget: files, or nowhere.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as ldk from 'lightningdevkit'
import { displayed } from './events.js'
import { bytesOfMonitor, freeOutpoint, freePersisted, type Pointer, replaceCallbacks, txidOf } from './raw.js'

/** What is kept of a node. */
export interface Storage {
  /** Told by LDK of each change of a channel's monitor. */
  readonly persist: ldk.Persist
  /** The node as it was written last; undefined if it is new. */
  readonly kept: { readonly manager: Uint8Array; readonly monitors: readonly Uint8Array[] } | undefined
  /** Whether anything is kept. A node that is written for nothing is slow: all its payments are in it. */
  readonly isKept: boolean
  /** To be called when all monitors are written: a manager that is older than a monitor closes that channel. */
  writeManager(bytes: Uint8Array): void
}

const { LDKChannelMonitorUpdateStatus_Completed: COMPLETED } = ldk.ChannelMonitorUpdateStatus

/** @param directory where files are; without it nothing is kept */
export function openStorage(directory: string | undefined): Storage {
  const persist = ldk.Persist.new_impl({
    persist_new_channel: () => COMPLETED,
    update_persisted_channel: () => COMPLETED,
    archive_persisted_channel() {},
  })
  const write = (name: string, bytes: Uint8Array) => {
    if (directory === undefined) return
    const path = join(directory, name)
    writeFileSync(`${path}.new`, bytes)
    renameSync(`${path}.new`, path)
  }
  const keep = (outpoint: Pointer, monitor: Pointer) => {
    if (directory !== undefined) write(`${displayed(txidOf(outpoint))}.monitor`, bytesOfMonitor(monitor))
  }
  replaceCallbacks(persist, {
    persist_new_channel(outpoint = 0n, monitor = 0n) {
      keep(outpoint, monitor)
      freePersisted(outpoint, monitor)
      return COMPLETED
    },
    update_persisted_channel(outpoint = 0n, update = 0n, monitor = 0n) {
      keep(outpoint, monitor)
      freePersisted(outpoint, monitor, update)
      return COMPLETED
    },
    archive_persisted_channel(outpoint = 0n) {
      if (directory !== undefined)
        rmSync(join(directory, `${displayed(txidOf(outpoint))}.monitor`), { force: true })
      freeOutpoint(outpoint)
    },
  })
  return {
    persist,
    kept: read(directory),
    isKept: directory !== undefined,
    writeManager: (bytes) => write('manager', bytes),
  }
}

function read(directory: string | undefined): Storage['kept'] {
  if (directory === undefined) return undefined
  mkdirSync(directory, { recursive: true })
  const names = readdirSync(directory)
  if (!names.includes('manager')) return undefined
  const bytesOf = (name: string) => Uint8Array.from(readFileSync(join(directory, name)))
  return {
    manager: bytesOf('manager'),
    monitors: names.filter((name) => name.endsWith('.monitor')).map(bytesOf),
  }
}
