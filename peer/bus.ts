// How a client reaches its peers: payloads by peer ID, whatever carries them.
import type { PeerID } from './identity.js'

/** Somebody's connection came up or went down. */
export interface PeerEvent {
  readonly kind: 'connected' | 'disconnected'
  readonly peer: PeerID
}

/**
 * Takes a payload. The sender is the peer that proved to hold that key. The next payload of the same peer
 * waits for a returned promise, which is how a slow handler slows down the sender; other peers go on.
 *
 * A handler that throws or rejects costs the connection with that peer: after INVALID_MESSAGE, TOO_LARGE and
 * PEER_MISBEHAVED the peer is told the error's message, after anything else only that we failed.
 */
export type MessageHandler = (from: PeerID, payload: Uint8Array) => void | Promise<void>

/** Is told of connections, before any payload of a new one is handed out. What it throws is reported and ignored. */
export type PeerHandler = (event: PeerEvent) => void

/**
 * Payloads to and from peers.
 *
 * Per peer order is kept and nothing is repeated, but what is on its way when a connection is lost is lost:
 * `connected` tells when to repair. At most one connection per peer is in use, in both directions.
 */
export interface Bus {
  /** Who we are. */
  readonly id: PeerID

  /**
   * Queues a payload for a peer; dials if there is no connection and the peer can be reached. Resolves when
   * the payload is handed to the transport, which says nothing about its arrival. With a connection up all
   * of that happens before the call returns. Nobody may change the payload afterwards.
   *
   * @throws PerkunasError (as a rejection) PEER_UNREACHABLE, with the reason, if there is no connection and none can
   * be made; PEER_OVERLOADED if too much waits for the peer already; TOO_LARGE; CLOSED; INVALID_ARGUMENT for ourselves
   * and for what is no peer ID
   */
  send(to: PeerID, payload: Uint8Array): Promise<void>

  /**
   * Wants a connection with that peer and makes it again (with backoff and jitter) whenever it is lost, until
   * {@link release}. An address given here is remembered for that peer; several, separated by commas, have their turns.
   *
   * @throws PerkunasError INVALID_ARGUMENT for ourselves and for what is no peer ID, CLOSED
   */
  connect(peer: PeerID, address?: string): void

  /** No longer wants the connection; one that is up stays up. */
  release(peer: PeerID): void

  /** Whether a payload would find an authenticated connection now. */
  isConnected(peer: PeerID): boolean

  /** Adds a handler of payloads; the result removes it. */
  onMessage(handler: MessageHandler): () => void

  /** Adds a handler of connections; the result removes it. Those already up are not reported again. */
  onPeer(handler: PeerHandler): () => void

  /** Ends the connection with a peer that broke the protocol, telling it why. Nothing happens without one. */
  disconnect(peer: PeerID, reason: string): void

  /** Ends everything, for good. Can be called again. */
  close(): Promise<void>
}
