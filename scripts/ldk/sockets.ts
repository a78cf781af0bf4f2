// LDK's sockets: those of its own package, with one fault mended, and word of whatever may have made events.
import { Server, Socket } from 'node:net'
import type * as ldk from 'lightningdevkit'
import { NodeLDKNet } from 'lightningdevkit-node-net'

/** A node's sockets. */
export interface Sockets {
  /** Dials a node on loopback. @throws Error if nobody listens */
  connect(port: number, peer: Uint8Array): Promise<void>
  /** Where it listens. */
  readonly port: number
  /** Hangs up and stops listening. */
  close(): void
}

/** Listens on loopback. @param onChange called after each read and each lost connection: LDK has events then */
export async function openSockets(peers: ldk.PeerManager, onChange: () => void): Promise<Sockets> {
  const net = new NodeLDKNet(peers)
  neverFull(net)
  const { read_event: read, socket_disconnected: lost } = peers
  peers.read_event = (descriptor, data) => {
    const result = read.call(peers, descriptor, data)
    onChange()
    return result
  }
  peers.socket_disconnected = (descriptor) => {
    lost.call(peers, descriptor)
    onChange()
  }
  const port = await listen(net)
  return {
    port,
    close: () => net.stop(),
    async connect(to, peer) {
      try {
        await net.connect_peer('127.0.0.1', to, peer)
      } catch {
        // It rejects with nothing.
        throw new Error(`nobody listens on port ${to}`)
      }
    },
  }
}

/**
 * A socket that is full takes what LDK says all the same. Of a write that has to wait the package makes a connection that
 * says nothing any more: it forgets that there is room again. A message above 16 KiB is enough for that, such as a
 * commitment with some 250 HTLCs. A peer that doesn't read makes this process grow instead.
 */
function neverFull(net: NodeLDKNet): void {
  const describe: unknown = Reflect.get(net, 'get_descriptor')
  if (typeof describe !== 'function') throw new Error("LDK's sockets are made otherwise")
  const write = function (this: Socket, data: Uint8Array): boolean {
    Socket.prototype.write.call(this, data)
    return true
  }
  Object.assign(net, {
    get_descriptor: (socket: Socket): unknown => describe.call(net, Object.assign(socket, { write })),
  })
}

async function listen(net: NodeLDKNet): Promise<number> {
  // It keeps its servers, and that is where a port that the system chose can be seen.
  await net.bind_listener('127.0.0.1', 0)
  const servers: unknown = Reflect.get(net, 'servers')
  const [server]: readonly unknown[] = Array.isArray(servers) ? servers : []
  const address = server instanceof Server ? server.address() : null
  if (typeof address !== 'object' || address === null) throw new Error('LDK does not listen')
  return address.port
}
