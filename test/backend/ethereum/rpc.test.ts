import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { expect } from 'chai'
import { connect } from '../../../backend/ethereum/index.js'
import { scanLogs } from '../../../backend/ethereum/logs.js'
import { RpcError, rpcOf } from '../../../backend/ethereum/rpc.js'
import { MemoryWallet } from '../../../wallet/index.js'

const MIB = 1024 * 1024
const SINK = `0x${'5e'.repeat(20)}` as const

/** A node that answers as it is told. */
async function node(
  answer: (request: { id: number; method: string; params: unknown[] }, response: ServerResponse) => void,
) {
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => answer(JSON.parse(body), response))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const refusalOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )

describe('ethereum: answers of a node over HTTP', () => {
  it('one without end -> is given up soon, with an error of its kind', async () => {
    let sent = 0
    await using endless = await node((_, response) => {
      const chunk = Buffer.alloc(MIB, 'a')
      response.write('{"jsonrpc":"2.0","id":1,"result":"')
      const more = () => {
        while (!response.destroyed && response.write(chunk)) sent += MIB
        sent += MIB
      }
      response.on('drain', more)
      more()
    })
    const rpc = rpcOf(endless.url, 10_000)
    const error = await refusalOf(rpc.request('eth_getLogs', []))
    expect(error).instanceOf(RpcError)
    expect(String(error)).match(/an answer of more than 33554432 bytes/)
    expect(error instanceof RpcError && error.isRevert).equals(false)
    expect(sent).below(64 * MIB)
    rpc.close()
  })

  it('one that says how long it is, one that is packed -> the same', async () => {
    const packed = gzipSync(Buffer.alloc(40 * MIB, ' '))
    await using long = await node(({ method }, response) => {
      if (method === 'packed') response.setHeader('content-encoding', 'gzip').end(packed)
      else response.writeHead(200, { 'content-length': 40 * MIB }).write('{')
    })
    const rpc = rpcOf(long.url, 10_000)
    for (const method of ['long', 'packed']) {
      expect(await refusalOf(rpc.request(method, [])), method).instanceOf(RpcError)
    }
    rpc.close()
  })

  it('any other -> as the node gave it, whatever its letters', async () => {
    const result = 'ä€😀'.repeat(100_000)
    await using plain = await node(({ id }, response) =>
      response.end(JSON.stringify({ jsonrpc: '2.0', id, result })),
    )
    const rpc = rpcOf(plain.url, 10_000)
    expect(await rpc.request('any', [])).equals(result)
    rpc.close()
  })

  it('too long for the logs of many blocks -> fewer are asked for', async () => {
    const block = { number: '0x64', hash: `0x${'01'.repeat(32)}`, timestamp: '0x1', baseFeePerGas: '0x1' }
    const spans: number[] = []
    await using busy = await node(({ id, method, params }, response) => {
      const [filter] = params as [{ fromBlock: string; toBlock: string }]
      if (method === 'eth_getLogs') {
        const span = Number(filter.toBlock) - Number(filter.fromBlock) + 1
        spans.push(span)
        if (span > 30) return response.writeHead(200, { 'content-length': 40 * MIB }).write('{')
      }
      const result = { eth_chainId: '0x1', eth_getBlockByNumber: block, eth_getLogs: [] }[method] ?? '0x0'
      return response.end(JSON.stringify({ jsonrpc: '2.0', id, result }))
    })
    const { chain } = await connect({ provider: busy.url, signer: await new MemoryWallet().newAccount() })
    const seen: number[] = []
    await scanLogs(
      chain,
      { address: SINK, topics: [] },
      { from: 1, to: 100 },
      (_, upTo) => void seen.push(upTo),
    )
    expect(spans.slice(0, 3)).deep.equals([100, 50, 25])
    expect(seen.at(-1)).equals(100)
    chain.close()
  })
})
