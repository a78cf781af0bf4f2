// Servers for tests: one that speaks Esplora's API over a real node, and what any server may do instead of answering.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Bitcoind } from '../../../../scripts/bitcoind.js'

/** What a request is answered with. */
export type Answer = (
  response: ServerResponse,
  request: IncomingMessage,
  body: string,
) => void | Promise<void>

/** A server on loopback that answers as it is told. */
export class TestServer implements AsyncDisposable {
  readonly requests: string[] = []
  answer: Answer
  #server: Server

  private constructor(answer: Answer) {
    this.answer = answer
    this.#server = createServer((request, response) => {
      let body = ''
      request.on('data', (chunk: Buffer) => {
        body += chunk.toString()
      })
      request.on('end', () => {
        this.requests.push(`${request.method} ${request.url}`)
        Promise.resolve(this.answer(response, request, body)).catch((error: unknown) => {
          response.statusCode = 500
          response.end(String(error))
        })
      })
    })
  }

  static async start(answer: Answer): Promise<TestServer> {
    const server = new TestServer(answer)
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve))
    return server
  }

  get url(): string {
    const bound = this.#server.address()
    return typeof bound === 'object' && bound !== null ? `http://127.0.0.1:${bound.port}` : ''
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

/** Ends with a body. */
export function say(body: string | Uint8Array, status = 200): Answer {
  return (response) => {
    response.statusCode = status
    response.end(body)
  }
}

/** What a server does, and what comes of it. */
export interface Misdeed {
  readonly answer: Answer
  readonly code: string
  /** It ends only because our patience does. */
  readonly isEndless?: true
}

/** What a mean or broken server does: each must end in time and leave the next answer as it is. */
export const MISDEEDS: Readonly<Record<string, Misdeed>> = {
  'a body that never ends': {
    answer: (response) => {
      const more = setInterval(() => response.write('0'), 10)
      response.on('close', () => clearInterval(more))
    },
    code: 'LEDGER_UNREACHABLE',
    isEndless: true,
  },
  'headers and nothing more': {
    answer: (response) => response.flushHeaders(),
    code: 'LEDGER_UNREACHABLE',
    isEndless: true,
  },
  'nothing at all': { answer: () => undefined, code: 'LEDGER_UNREACHABLE', isEndless: true },
  'a connection that breaks': {
    answer: (response) => {
      response.write('{"result"')
      response.socket?.destroy()
    },
    code: 'LEDGER_UNREACHABLE',
  },
  'a huge answer, announced': {
    answer: (response) => {
      response.setHeader('content-length', 2 ** 40)
      response.write('x')
    },
    code: 'TOO_LARGE',
  },
  'a huge answer, bit by bit': {
    answer: (response) => {
      const megabyte = Buffer.alloc(2 ** 20, 0x20)
      const more = () => {
        while (!response.destroyed && response.write(megabyte));
        if (!response.destroyed) response.once('drain', more)
      }
      more()
    },
    code: 'TOO_LARGE',
  },
  'no JSON': { answer: say('<html>hello</html>'), code: 'INVALID_MESSAGE' },
  'JSON of another kind': { answer: say('[[[]]]'), code: 'INVALID_MESSAGE' },
  'too many requests': { answer: say('slow down', 429), code: 'LEDGER_UNREACHABLE' },
  'an error of its own': { answer: say('oh no', 502), code: 'LEDGER_UNREACHABLE' },
  'a way elsewhere': {
    answer: (response) => {
      response.statusCode = 302
      response.setHeader('location', 'http://127.0.0.1:1/')
      response.end()
    },
    code: 'LEDGER_UNREACHABLE',
  },
}

/** Esplora's API, as far as we use it, out of a node's RPC. */
export function esploraOver(node: Bitcoind): Answer {
  return async (response, request, body) => {
    const path = request.url ?? ''
    const text = (value: unknown) => response.end(String(value))
    const json = (value: unknown) => response.end(JSON.stringify(value))
    const missing = (what: string) => {
      response.statusCode = 404
      response.end(what)
    }
    const [, height] = /^\/block-height\/(\d+)$/.exec(path) ?? []
    if (height !== undefined) {
      const hash = await node.rpc('getblockhash', [Number(height)]).catch(() => undefined)
      return hash === undefined ? missing('Block not found') : void text(hash)
    }
    if (path === '/blocks/tip/hash') return void text(await node.rpc('getbestblockhash'))
    const [, block, raw] = /^\/block\/([0-9a-f]{64})(\/raw)?$/.exec(path) ?? []
    if (block !== undefined && raw !== undefined) {
      return void response.end(Buffer.from(String(await node.rpc('getblock', [block, 0])), 'hex'))
    }
    if (block !== undefined) {
      const header = (await node.rpc('getblockheader', [block])) as { height: number; time: number }
      return void json({ id: block, height: header.height, timestamp: header.time })
    }
    if (path === '/fee-estimates') return void json({ '1': 20.5, '2': 20.004, '144': 1.1, '1008': 0.9 })
    const [, txid, what, output] = /^\/tx\/([0-9a-f]{64})\/(\w+)(?:\/(\d+))?$/.exec(path) ?? []
    if (txid !== undefined) {
      const found = await node.rpc('getrawtransaction', [txid, true]).catch(() => undefined)
      if (found === undefined) return missing('Transaction not found')
      const tx = found as { hex: string; confirmations?: number }
      if (what === 'raw') return void response.end(Buffer.from(tx.hex, 'hex'))
      if (what === 'status') return void json({ confirmed: (tx.confirmations ?? 0) > 0 })
      const place = [txid, Number(output)]
      const [free, inBlocks] = [
        await node.rpc('gettxout', [...place, true]),
        await node.rpc('gettxout', [...place, false]),
      ]
      if (free !== null) return void json({ spent: false })
      const [spend] = (await node.rpc('gettxspendingprevout', [[{ txid, vout: Number(output) }]])) as [
        { spendingtxid?: string },
      ]
      const status = { confirmed: inBlocks === null }
      return void json({ spent: true, txid: spend.spendingtxid ?? '00'.repeat(32), vin: 0, status })
    }
    if (path === '/tx') {
      try {
        return void text(await node.rpc('sendrawtransaction', [body, 0]))
      } catch (error) {
        response.statusCode = 400
        const message = String(error).replace(/^Error: sendrawtransaction: /, '')
        const code = message.includes('utxo set') ? -27 : message.includes('missingorspent') ? -25 : -26
        return void response.end(`sendrawtransaction RPC error: ${JSON.stringify({ code, message })}`)
      }
    }
    if (path === '/txs/package') return void json(await node.rpc('submitpackage', [JSON.parse(body), 0]))
    return missing('no such thing')
  }
}
