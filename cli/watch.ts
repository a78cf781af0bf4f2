// `perkunas watch`: a watchtower in a process of its own.
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { EthereumBackend } from '../backend/ethereum/index.js'
import { fromHex, isHex, PerkunasError, toHex } from '../channel/index.js'
import { prometheusText, Tower, type TowerEvent } from '../client/tower/index.js'
import { createIdentity, isPeerID, PeerBus, type PeerID } from '../peer/index.js'
import { tcpListener } from '../peer/tcp.js'
import { LmdbStore } from '../persistence/lmdb.js'
import { MemoryWallet } from '../wallet/index.js'
import type { Command, ExitCode, Invocation } from './command.js'

/** The command. */
export const watch: Command = {
  usage:
    '--store <dir> --identity <file> --key <file> --rpc <url> --adjudicator <address> --holder <address>...\n' +
    '--client <id>... [--first-block <n>] [--finality <n>] [--polling <ms>] [--max-fee <gwei>]\n' +
    '[--listen <host:port>] [--metrics-port <port>] [--max-channels <n>] [--max-bytes <n>]\n' +
    '[--max-signatures <n>]',
  summary:
    'Refutes old states on Ethereum for clients that are away. It keeps the states that they publish (RemoteWatcher)\n' +
    'and a key that pays for transactions; it has no key of theirs. --identity and --key name files with 32 bytes\n' +
    'in hex each; an identity that is not there is made. What happens is printed, a JSON object a line.',
  options: {
    store: { type: 'string' },
    identity: { type: 'string' },
    key: { type: 'string' },
    rpc: { type: 'string' },
    adjudicator: { type: 'string' },
    holder: { type: 'string', multiple: true },
    client: { type: 'string', multiple: true },
    'first-block': { type: 'string' },
    finality: { type: 'string' },
    polling: { type: 'string' },
    'max-fee': { type: 'string' },
    listen: { type: 'string' },
    'metrics-port': { type: 'string' },
    'max-channels': { type: 'string' },
    'max-bytes': { type: 'string' },
    'max-signatures': { type: 'string' },
  },
  positionals: { min: 0, max: 0 },
  run,
}

async function run({ options, print, complain, signal }: Invocation): Promise<ExitCode> {
  const one = (name: string) => wanted(options, name)
  const clients = list(options, 'client').map(peer)
  const { host, port } = endpoint(text(options, 'listen') ?? '127.0.0.1:9736')
  const [directory, rpc, adjudicator, identityFile] = [
    one('store'),
    one('rpc'),
    one('adjudicator'),
    one('identity'),
  ]
  const holders = list(options, 'holder')
  const metricsPort = number(options, 'metrics-port')
  const limits = {
    ...defined(number(options, 'max-channels'), (channels) => ({ channels })),
    ...defined(number(options, 'max-bytes'), (bytes) => ({ bytes })),
    ...defined(number(options, 'max-signatures'), (signatures) => ({ signatures })),
  }
  const maxFee = number(options, 'max-fee')
  const chain = {
    ...defined(number(options, 'first-block'), (firstBlock) => ({ firstBlock })),
    ...defined(number(options, 'finality'), (finalityDepth) => ({ finalityDepth })),
    ...defined(number(options, 'polling'), (pollingInterval) => ({ pollingInterval })),
    ...(maxFee === undefined ? {} : { transactions: { maxFeePerGas: BigInt(maxFee) * 10n ** 9n } }),
  }
  const wallet = new MemoryWallet([secretIn(one('key'), false)])
  const [payer] = await wallet.addresses()
  if (payer === undefined) throw new Error('a wallet with a key has an address')
  // Made if it is not there, so after all that is wrong with the options was said.
  const identity = createIdentity(secretIn(identityFile, true))
  const backend = await EthereumBackend.connect({
    ...chain,
    provider: rpc,
    signer: await wallet.account(payer),
    // It is asked for nothing that needs a participant's key.
    wallet: { account: async () => Promise.reject(new Error('a watchtower has no keys of channels')) },
    adjudicator,
    holders,
  })
  const bus = new PeerBus({ identity })
  const say = (event: object) => print(JSON.stringify(event, plain))
  try {
    const store = new LmdbStore(directory)
    try {
      const tower = await Tower.open({
        bus,
        store,
        backend,
        clients,
        limits,
        onEvent: (event) => say(logged(event)),
      })
      try {
        const address = await bus.listen(tcpListener({ host, port }))
        const metrics = await serveMetrics(tower, metricsPort)
        say({
          kind: 'ready',
          id: bus.id,
          address,
          payer,
          channels: tower.metrics.channels,
          ...defined(metrics.port, (bound) => ({ metricsPort: bound })),
        })
        const ended = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
        await Promise.race([ended, tower.failure]).finally(() => metrics.close())
        return 0
      } finally {
        tower.close()
      }
    } finally {
      await store.close()
    }
  } catch (error) {
    complain(error instanceof PerkunasError ? `${error.code}: ${error.message}` : String(error))
    return 2
  } finally {
    await bus.close()
    await backend.close()
  }
}

/** Answers every request with the numbers; on loopback, since they are nobody else's business. */
async function serveMetrics(tower: Tower, port: number | undefined) {
  if (port === undefined) return { port: undefined, close: () => undefined }
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'text/plain; version=0.0.4')
    response.end(prometheusText(tower.metrics))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    close: () => server.close().closeAllConnections(),
  }
}

/** An event as it is printed: errors by code and message. */
function logged(event: TowerEvent): object {
  if (!('error' in event)) return event
  const { error, ...rest } = event
  return { ...rest, code: error.code, message: error.message }
}

function plain(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value
}

type Options = Invocation['options']

function text(options: Options, name: string): string | undefined {
  const value = options[name]
  return typeof value === 'string' ? value : undefined
}

function wanted(options: Options, name: string): string {
  return text(options, name) ?? refuseOption(name, 'is needed')
}

function list(options: Options, name: string): readonly string[] {
  const value = options[name]
  const texts = Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : []
  return texts.length > 0 ? texts : refuseOption(name, 'is needed')
}

function number(options: Options, name: string): number | undefined {
  const value = text(options, name)
  if (value === undefined) return undefined
  return /^\d{1,15}$/.test(value) ? Number(value) : refuseOption(name, `takes a number, got ${value}`)
}

function peer(value: string): PeerID {
  return isPeerID(value)
    ? value
    : refuseOption('client', `takes a public key (0x and 66 digits), got ${value}`)
}

function endpoint(value: string): { readonly host: string; readonly port: number } {
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(value) ?? []
  if (host === undefined || Number(port) > 65_535)
    return refuseOption('listen', `takes host:port, got ${value}`)
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) }
}

/** 32 bytes in hex out of a file. */
function secretIn(path: string, mayMake: boolean): Uint8Array {
  let content: string
  try {
    content = readFileSync(path, 'utf8').trim()
  } catch (error) {
    if (!mayMake || !(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
    const secret = crypto.getRandomValues(new Uint8Array(32))
    writeFileSync(path, `${toHex(secret)}\n`, { mode: 0o600, flag: 'wx', flush: true })
    return secret
  }
  const hex = content.startsWith('0x') ? content : `0x${content}`
  // What is wrong with it is not told: it may be a secret all the same.
  return isHex(hex, 32) ? fromHex(hex) : refuse(path, `${path}: 32 bytes in hex expected`)
}

function refuseOption(name: string, what: string): never {
  return refuse(name, `--${name} ${what}`)
}

function refuse(argument: string, message: string): never {
  throw new PerkunasError('INVALID_ARGUMENT', message, { argument })
}

/** What `make` makes of a value that is there, else nothing. */
function defined<T, R>(value: T | undefined, make: (value: T) => R): R | undefined {
  return value === undefined ? undefined : make(value)
}
