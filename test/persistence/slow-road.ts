// A road to a PostgreSQL server on which everything takes longer, or stands still for a while.
import { mkdtemp, rm } from 'node:fs/promises'
import { createConnection, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const SOCKET = '.s.PGSQL.5432'

/** The road, while it is open. */
export interface SlowRoad extends AsyncDisposable {
  readonly url: string
  /** Milliseconds that each answer is late. */
  delay: number
  /** Lets nothing pass, in either direction, until the result is called. */
  block(): () => void
}

/** Opens a road to the server of a URL that names the folder of its socket as host. */
export async function slowRoad(url: string): Promise<SlowRoad> {
  const to = new URLSearchParams(url.slice(url.indexOf('?'))).get('host') ?? ''
  const folder = await mkdtemp(join(tmpdir(), 'perkunas-road-'))
  const sockets = new Set<Socket>()
  let open: Promise<void> = Promise.resolve()
  const pass = (from: Socket, into: Socket, late: () => number) => {
    let last = Promise.resolve()
    sockets.add(from)
    from.on('data', (chunk) => {
      const due = performance.now() + late()
      last = last.then(async () => {
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())))
        await open
        into.write(chunk)
      })
    })
    from.on('error', () => undefined)
    from.on('close', () => into.destroy())
  }
  const server = createServer((client) => {
    const real = createConnection(join(to, SOCKET))
    pass(client, real, () => 0)
    pass(real, client, () => road.delay)
  })
  await new Promise<void>((resolve) => server.listen(join(folder, SOCKET), resolve))
  const road: SlowRoad = {
    url: url.replace(/host=[^&]*/, `host=${encodeURIComponent(folder)}`),
    delay: 0,
    block() {
      let unblock = () => {}
      open = new Promise((resolve) => {
        unblock = resolve
      })
      return unblock
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
      await rm(folder, { recursive: true })
    },
  }
  return road
}
