// What both benchmarks of two processes can ask either of them: what its machine allows and what it uses.
import { keepToCore } from '../scripts/core.js'
import { serve } from './child.js'
import { type openTable, serveEcho, timeParts, timeRoundTrip } from './updates-floor.js'

/** The calls. @param directory of the process @param table of the store that the parts are timed on */
export function partyCalls(directory: string, table: ReturnType<typeof openTable>) {
  return {
    parts: (_: null) => timeParts(directory, table),
    serveEcho: (_: null) => serveEcho(),
    roundTrip: (port: number) => timeRoundTrip(port),

    /** See `keepToCore`. */
    keepToCore,

    /** Microseconds of processor time that this process has used. */
    cpu(_: null): number {
      const { user, system } = process.cpuUsage()
      return user + system
    },

    /** Bytes in use after a garbage collection. */
    async memory(_: null): Promise<{ readonly resident: number; readonly heap: number }> {
      for (let i = 0; i < 3; i++) {
        await new Promise((resolve) => setTimeout(resolve, 100))
        globalThis.gc?.()
      }
      const { rss, heapUsed, external } = process.memoryUsage()
      return { resident: rss, heap: heapUsed + external }
    },
  }
}

/** What all parties answer. */
export type CommonCalls = ReturnType<typeof partyCalls>

/** Answers `begin`, and from then on what it gave. */
export function serveParty<Options, About>(
  begin: (options: Options) => Promise<{
    readonly calls: Record<string, (argument: never) => unknown>
    readonly about: About
    end(): Promise<void>
  }>,
): void {
  let end = async () => {}
  const calls: Record<string, (argument: never) => unknown> = {
    async begin(options: Options) {
      const party = await begin(options)
      Object.assign(calls, party.calls)
      end = () => party.end()
      return party.about
    },
  }
  serve(calls, () => end())
}
