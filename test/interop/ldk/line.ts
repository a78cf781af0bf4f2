// Our end of a connection with a Lightning node: the transport of peer/ with the messages of backend/bitcoin/wire.
import type { FeaturePolicy } from '../../../backend/bitcoin/features.js'
import { bitmapOf, bitsOf, FEATURES, featuresFor, negotiate } from '../../../backend/bitcoin/features.js'
import { type LightningMessage, lightningMessages } from '../../../backend/bitcoin/wire/index.js'
import type { Hex, PerkunasError } from '../../../channel/index.js'
import {
  Connection,
  type ConnectionLimits,
  type Identity,
  type Init,
  type PeerID,
  type Stream,
} from '../../../peer/index.js'
import { tcpDialer, tcpListener } from '../../../peer/tcp.js'

/** What we say that we can do. */
export const OURS: FeaturePolicy = {
  option_data_loss_protect: 'required',
  option_upfront_shutdown_script: 'optional',
  var_onion_optin: 'required',
  option_static_remotekey: 'required',
  payment_secret: 'required',
  basic_mpp: 'optional',
  option_support_large_channel: 'optional',
  option_anchors: 'optional',
  option_shutdown_anysegwit: 'optional',
  option_channel_type: 'optional',
  option_scid_alias: 'optional',
  option_zeroconf: 'optional',
  option_simple_close: 'optional',
}

/** The hash of regtest's first block, in the byte order of hashes. */
export const REGTEST: Hex = '0x06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f'

/** How a line is to be. */
export interface LineOptions {
  readonly identity: Identity
  readonly features?: FeaturePolicy
  /** Bits that no name is known for. */
  readonly moreBits?: readonly number[]
  readonly networks?: readonly Hex[]
  readonly limits?: Partial<ConnectionLimits>
  /** Sees each chunk that comes off the socket. */
  readonly onBytes?: (bytes: Uint8Array) => void
}

/** What came: a message, or one of a type that we don't know. */
export type Heard = LightningMessage | { readonly kind: 'unknown'; readonly type: number }

/** One connection. */
export class Line {
  readonly #connection: Connection
  readonly #listeners = new Set<() => void>()
  /** Everything that came and that the connection does not handle itself. */
  readonly heard: Heard[] = []
  #error: PerkunasError | undefined
  #state: 'opening' | 'open' | 'closed' = 'opening'
  /** Told of each message as it comes, once the line is open. */
  onMessage: (message: Heard) => void = () => {}
  onClose: () => void = () => {}

  constructor(stream: Stream, options: LineOptions, remote?: PeerID) {
    const { identity, features = OURS, moreBits = [], networks = [REGTEST], limits = {} } = options
    const bits = [...bitsOf(featuresFor('init', features)), ...moreBits].sort((a, b) => a - b)
    const known = new Set<number>(Object.values(FEATURES).map(({ bit }) => bit))
    this.#connection = new Connection(
      options.onBytes === undefined ? stream : tapped(stream, options.onBytes),
      {
        identity,
        ...(remote === undefined ? {} : { remote }),
        introduce: () => ({ features: bits, networks }),
        understands: (bit) => known.has(bit),
        limits,
      },
      {
        onOpen: () => this.#becomes('open'),
        onPayload: () => {},
        onRaw: (_, type, payload) => {
          const bytes = new Uint8Array(2 + payload.length)
          new DataView(bytes.buffer).setUint16(0, type)
          bytes.set(payload, 2)
          const message = lightningMessages.decode(bytes)
          this.heard.push(message)
          this.onMessage(message)
          this.#tell()
          return true
        },
        onClose: (_, error) => {
          this.#error = error
          this.#becomes('closed')
          this.onClose()
        },
      },
    )
  }

  /** The other side's `init`. */
  get init(): Init {
    const { remoteInit } = this.#connection
    if (remoteInit === undefined) throw new Error('the line is not open')
    return remoteInit
  }

  /** Who dialled us, or whom we dialled. */
  get remote(): PeerID | undefined {
    return this.#connection.remote
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** What both sides can do. */
  get negotiated(): ReturnType<typeof negotiate> {
    const ours = this.#connection.localInit?.features ?? []
    return negotiate(bitmapOf(ours), bitmapOf(this.init.features))
  }

  /** Why the line ended; undefined as long as it has not, or if it was we who closed it. */
  get error(): PerkunasError | undefined {
    return this.#error
  }

  /** Both have introduced themselves. @throws why that was not to be */
  async opened(): Promise<this> {
    await this.until(() => this.#state !== 'opening')
    if (this.#state === 'closed') throw this.#error ?? new Error('closed')
    return this
  }

  /** Resolves when the line is over. */
  async closed(): Promise<PerkunasError | undefined> {
    await this.until(() => this.#state === 'closed')
    return this.#error
  }

  send(message: LightningMessage): void {
    const bytes = lightningMessages.encode(message)
    this.sendRaw(new DataView(bytes.buffer, bytes.byteOffset).getUint16(0), bytes.subarray(2))
  }

  sendRaw(type: number, payload: Uint8Array): void {
    this.#connection.sendRaw(type, payload)
  }

  /** The first message of a kind, whether it came already or is yet to come. @throws if the line ends before */
  async next<K extends LightningMessage['kind']>(kind: K): Promise<Extract<LightningMessage, { kind: K }>> {
    const find = () =>
      this.heard.find((one): one is Extract<LightningMessage, { kind: K }> => one.kind === kind)
    await this.until(() => find() !== undefined || this.#state === 'closed')
    const message = find()
    if (message === undefined) throw this.#error ?? new Error(`closed without ${kind}`)
    return message
  }

  /** Resolves when something is true, looked at after everything that happens here. */
  async until(isTrue: () => boolean): Promise<void> {
    if (isTrue()) return
    await new Promise<void>((resolve) => {
      const look = () => {
        if (!isTrue()) return
        this.#listeners.delete(look)
        resolve()
      }
      this.#listeners.add(look)
    })
  }

  /** Hangs up in peace. */
  close(): void {
    this.#connection.close()
  }

  /** Hangs up with a word about why. */
  dismiss(reason: string): void {
    this.#connection.dismiss(reason)
  }

  /** As when a cable is cut. */
  cut(): void {
    this.#connection.destroy()
  }

  #becomes(state: 'open' | 'closed'): void {
    this.#state = state
    this.#tell()
  }

  #tell(): void {
    for (const look of [...this.#listeners]) look()
  }
}

/** Dials a node on loopback, which may turn out to be somebody else, or nobody. */
export async function dial(
  to: { readonly id: PeerID; readonly port: number },
  options: LineOptions,
): Promise<Line> {
  return new Line(await tcpDialer().dial(to.id, `127.0.0.1:${to.port}`), options, to.id)
}

/** Where others reach us. */
export class Door implements AsyncDisposable {
  readonly #listener = tcpListener()
  readonly #waiting: ((line: Line) => void)[] = []
  readonly #came: Line[] = []
  readonly #options: LineOptions
  readonly id: PeerID

  constructor(options: LineOptions) {
    this.#options = options
    this.id = options.identity.id
  }

  /** Opens it. */
  async open(): Promise<this> {
    await this.#listener.listen((stream) => {
      const line = new Line(stream, this.#options)
      const waiting = this.#waiting.shift()
      if (waiting === undefined) this.#came.push(line)
      else waiting(line)
    })
    return this
  }

  get port(): number {
    return Number(new URL(this.#listener.address).port)
  }

  /** The next who comes. */
  async visitor(): Promise<Line> {
    return this.#came.shift() ?? new Promise((resolve) => this.#waiting.push(resolve))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#listener.close()
  }
}

function tapped(stream: Stream, onBytes: (bytes: Uint8Array) => void): Stream {
  return {
    start: (receiver) =>
      stream.start({
        onData: (bytes) => {
          onBytes(bytes)
          receiver.onData(bytes)
        },
        onDrain: () => receiver.onDrain(),
        onClose: () => receiver.onClose(),
      }),
    write: (bytes) => stream.write(bytes),
    pause: () => stream.pause(),
    resume: () => stream.resume(),
    close: () => stream.close(),
    destroy: () => stream.destroy(),
  }
}
