// The bytes below a connection: a two-way stream with back-pressure, and how one comes about.
import type { PeerID } from './identity.js'

/** What a stream tells its one user. */
export interface StreamReceiver {
  /** Bytes came, in order; nobody changes them afterwards. */
  onData(bytes: Uint8Array): void
  /** After a `write` that returned false: there is room again. */
  onDrain(): void
  /** The stream is over, for whatever reason; said once, last. */
  onClose(): void
}

/** A reliable, ordered stream of bytes to somebody not known yet. */
export interface Stream {
  /** Hands over who is told; once, before which nothing is read. Tells nothing before it returns. */
  start(receiver: StreamReceiver): void
  /** Takes bytes, which nobody changes afterwards. False: please stop until `onDrain`. Ignored when closed. */
  write(bytes: Uint8Array): boolean
  /** Stops `onData` soon: what is on its way may still come. */
  pause(): void
  /** Ends {@link pause}. */
  resume(): void
  /** Ends the stream after what was written has been handed over. */
  close(): void
  /** Ends the stream at once. */
  destroy(): void
}

/** Makes outgoing streams for addresses of one scheme. */
export interface Dialer {
  /** What comes before `://` in its addresses: `tcp`. */
  readonly scheme: string
  /**
   * @param peer who is expected there; that it is them is proved on the stream, not here
   * @param address the part behind `://`
   * @throws PerkunasError PEER_UNREACHABLE with the reason; INVALID_ARGUMENT if it is no address of this scheme
   */
  dial(peer: PeerID, address: string, signal?: AbortSignal): Promise<Stream>
}

/** Takes incoming streams at one address. */
export interface Listener {
  /** Starts; resolves when others can dial. */
  listen(onStream: (stream: Stream) => void): Promise<void>
  /** Where to dial, with its scheme, once it listens. */
  readonly address: string
  /** Takes no more streams; those that it gave live on. Can be called again. */
  close(): Promise<void>
}
