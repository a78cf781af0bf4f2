// A process that runs seeds on demand.
import { setMaxListeners } from 'node:events'
import type { RunOptions } from './play.js'
import { runOn } from './worlds.js'

// A client with many channels waits for many things with one signal.
setMaxListeners(0)

process.on('message', (options: RunOptions) => {
  void answer(options)
})
process.on('disconnect', () => process.exit())

async function answer(options: RunOptions): Promise<void> {
  process.send?.(await runOn(options))
}
