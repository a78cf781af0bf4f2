// What new users get wrong, most of it where no compiler looks: variables of the environment that are not set,
// texts from files, JavaScript. Each mistake is told at once, by a typed error that says what was expected.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { BitcoindSource } from '../../backend/bitcoin/chain/index.js'
import { sourceChain } from '../../backend/bitcoin/node/index.js'
import { BitcoinBackend } from '../../backend/bitcoin/protocol/index.js'
import { BitcoindWallet, HdWallet } from '../../backend/bitcoin/wallet/index.js'
import { address, asset, EthereumBackend, ether } from '../../backend/ethereum/index.js'
import { transfer } from '../../channel/index.js'
import { createIdentity, PeerBus } from '../../peer/index.js'
import { tcpListener } from '../../peer/tcp.js'
import { MemoryStore } from '../../persistence/index.js'
import { LmdbStore } from '../../persistence/lmdb.js'
import { HDWallet, MemoryWallet } from '../../wallet/index.js'
import { KeystoreWallet } from '../../wallet/keystore.js'
import { failure, group, open, who } from '../client/parties.js'

const words = 'test test test test test test test test test test test junk'
const nobody = `0x${'11'.repeat(20)}` as const

/** As JavaScript calls it: with whatever there is. */
function loosely<R>(method: (...args: never[]) => R, self: unknown, ...args: readonly unknown[]): R {
  return Reflect.apply(method, self, args)
}

describe('project: mistakes of new users', () => {
  const directory = mkdtempSync(join(tmpdir(), 'perkunas-mistakes-'))
  const wallet = new MemoryWallet([new Uint8Array(32).fill(1)])
  let site: Server
  let port = 0
  const buses: PeerBus[] = []
  const bus = () => {
    const made = new PeerBus({ identity: createIdentity() })
    buses.push(made)
    return made
  }
  before(async () => {
    writeFileSync(join(directory, 'file'), '')
    site = createServer(({ headers }, response) => {
      response.statusCode = headers.authorization === undefined ? 200 : 401
      response.end('<html>hello</html>')
    })
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve))
    const bound = site.address()
    if (typeof bound === 'object' && bound !== null) port = bound.port
  })
  after(async () => {
    await Promise.all(buses.map((one) => one.close()))
    await new Promise((resolve) => site.close(resolve))
    rmSync(directory, { recursive: true })
  })

  const ethereum = async (change: object) => {
    const [own = nobody] = await wallet.addresses()
    const signer = await wallet.account(own)
    const means = { provider: `http://127.0.0.1:${port}`, signer, wallet, adjudicator: nobody, holders: [] }
    return loosely(EthereumBackend.connect, EthereumBackend, { ...means, ...change })
  }

  const url = 'http://127.0.0.1:1'
  const seed = new Uint8Array(32).fill(7)
  const bitcoins = () =>
    HdWallet.open({ seed, network: 'regtest', store: new MemoryStore(), birthday: 'tip' })
  const source = new BitcoindSource({
    url: 'http://127.0.0.1:8332',
    credentials: { user: 'a', password: 'b' },
  })
  const bitcoinBackend = (options: object) =>
    Reflect.construct(BitcoinBackend, [
      { chain: sourceChain({ source, network: 'regtest' }), seed, ...options },
    ])

  const mistakes: readonly (readonly [string, () => unknown, string, string])[] = [
    [
      'a mnemonic that is not set',
      () => loosely(HDWallet.open, HDWallet, {}),
      'INVALID_KEY_MATERIAL',
      'got 1',
    ],
    [
      'a mnemonic with typos',
      () => HDWallet.open({ mnemonic: words.replace('junk', 'junkk') }),
      'INVALID_KEY_MATERIAL',
      'not on the list: word 12',
    ],
    [
      'a mnemonic with a wrong word',
      () => HDWallet.open({ mnemonic: words.replace('junk', 'test') }),
      'INVALID_KEY_MATERIAL',
      'the checksum is wrong',
    ],
    [
      'a path that is none',
      () => HDWallet.open({ mnemonic: words, path: '44/60' }),
      'INVALID_ARGUMENT',
      "path: one like m/44'/60'/0'/0 expected, got 44/60",
    ],
    [
      'an account of nobody',
      () => wallet.account(nobody),
      'UNKNOWN_ACCOUNT',
      `the wallet has no account ${nobody}`,
    ],
    [
      'an address with a checksum, handed to a wallet',
      () => wallet.account('0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266'),
      'UNKNOWN_ACCOUNT',
      '(addresses are in lower case here)',
    ],
    [
      'a keystore without a password',
      () => loosely(KeystoreWallet.open, KeystoreWallet, { directory }),
      'INVALID_ARGUMENT',
      'a keystore needs a password',
    ],
    [
      'a keystore without a directory',
      () => loosely(KeystoreWallet.open, KeystoreWallet, { path: directory, password: 'x' }),
      'INVALID_ARGUMENT',
      'options.path: unknown option; known are directory, password, scrypt',
    ],
    [
      'a store whose path is not set, which would be lost with the process',
      () => Reflect.construct(LmdbStore, [undefined]),
      'INVALID_ARGUMENT',
      'the path of a directory for the LMDB store expected, got undefined',
    ],
    ['a store without a path', () => new LmdbStore(''), 'INVALID_ARGUMENT', 'got ""'],
    ['a store in a file', () => new LmdbStore(join(directory, 'file')), 'STORE_FAILED', "can't be opened"],
    [
      'a store where nothing can be written',
      () => new LmdbStore('/dev/null/store'),
      'STORE_FAILED',
      "the LMDB store at /dev/null/store can't be opened",
    ],
    [
      'an identity from text',
      () => loosely(createIdentity, undefined, '0x11'),
      'INVALID_ARGUMENT',
      '32 bytes',
    ],
    [
      'a bus of nobody',
      () => Reflect.construct(PeerBus, [{}]),
      'INVALID_ARGUMENT',
      'a bus needs an identity',
    ],
    [
      'listening on a number',
      () => loosely(PeerBus.prototype.listen, bus(), 9735),
      'INVALID_ARGUMENT',
      'a listener expected, such as tcpListener({ port: 9735 }) makes',
    ],
    ['a port that is taken', () => bus().listen(tcpListener({ port })), 'INVALID_ARGUMENT', 'EADDRINUSE'],
    [
      'a port that there is not',
      () => bus().listen(tcpListener({ port: 99_999 })),
      'INVALID_ARGUMENT',
      "can't listen at tcp://127.0.0.1:99999: no such port",
    ],
    [
      'a node that is not set',
      () => ethereum({ provider: undefined }),
      'INVALID_ARGUMENT',
      "provider: a node's",
    ],
    [
      'a node without a scheme',
      () => ethereum({ provider: '127.0.0.1:8545' }),
      'INVALID_ARGUMENT',
      'beginning with http:',
    ],
    ['a node that is a web site', () => ethereum({}), 'LEDGER_UNREACHABLE', 'its answer is not JSON'],
    [
      'a signer that is a wallet',
      () => ethereum({ signer: wallet }),
      'INVALID_ARGUMENT',
      'signer: an account',
    ],
    [
      'a signer that is a secret',
      () => ethereum({ signer: nobody }),
      'INVALID_ARGUMENT',
      'signer: an account',
    ],
    ['no wallet', () => ethereum({ wallet: undefined }), 'INVALID_ARGUMENT', 'needs wallet'],
    ['no holders', () => ethereum({ holders: undefined }), 'INVALID_ARGUMENT', 'needs holders'],
    [
      'a contract that is not set',
      () => ethereum({ adjudicator: undefined }),
      'INVALID_ARGUMENT',
      'got undefined',
    ],
    [
      'a contract with a typo',
      () => address('0xF39Fd6e51aad88F6F4ce6aB8827279cffFb92266'),
      'INVALID_ARGUMENT',
      'it may be mistyped',
    ],
    ['ether as a number', () => loosely(ether, undefined, 0.5), 'INVALID_ARGUMENT', "such as '0.5', got 0.5"],
    ['ether with a comma', () => ether('0,5'), 'INVALID_ARGUMENT', 'got "0,5"'],
    ['ether below zero', () => ether('-1'), 'INVALID_ARGUMENT', 'got "-1"'],
    [
      'a chain ID as a number',
      () => loosely(asset, undefined, { chainID: 1, holder: nobody }),
      'INVALID_ARGUMENT',
      'a chain ID as bigint',
    ],
    [
      'a bitcoind without credentials',
      () => loosely(BitcoindWallet.open, BitcoindWallet, { url, wallet: 'w', store: new MemoryStore() }),
      'INVALID_ARGUMENT',
      'a cookieFile, or a user and a password',
    ],
    [
      'another password than the one of bitcoind',
      () =>
        new BitcoindSource({
          url: `http://127.0.0.1:${port}`,
          credentials: { user: 'me', password: 'guess' },
        }).chainInfo(),
      'INVALID_ARGUMENT',
      'credentials',
    ],
    [
      'a wallet of an unknown age',
      () => loosely(HdWallet.open, HdWallet, { seed, network: 'regtest', store: new MemoryStore() }),
      'INVALID_ARGUMENT',
      "a height or 'tip' expected, got undefined",
    ],
    [
      'an address of a kind that there is not',
      async () => {
        const one = await bitcoins()
        return loosely(one.newAddress, one, 'p2pkh')
      },
      'INVALID_ARGUMENT',
      'p2wpkh',
    ],
    [
      'satoshis as a number',
      async () => {
        const one = await bitcoins()
        const outputs = [{ amount: 5000, script: await one.changeScript() }]
        return loosely(one.fund, one, { purpose: 'x', outputs, feerate: 500 })
      },
      'INVALID_ARGUMENT',
      'outputs.0.amount: bigint expected, got number',
    ],
    [
      'a decision on payments that is made elsewhere',
      async () => bitcoinBackend({ wallet: await bitcoins(), payments: { spontaneous: 'take' } }),
      'INVALID_ARGUMENT',
      'payments.spontaneous',
    ],
    [
      'a wallet that was not awaited',
      () => bitcoinBackend({ wallet: bitcoins() }),
      'INVALID_ARGUMENT',
      'options.wallet must be the object itself, no promise of it',
    ],
    [
      'a chain source in the place of a chain',
      async () => bitcoinBackend({ wallet: await bitcoins(), chain: source }),
      'INVALID_ARGUMENT',
      'options.chain must be an object with a method follow',
    ],
    [
      'a proposal of nothing',
      async () => {
        const { client } = who(await group(1), 0)
        return loosely(client.proposeChannel, client)
      },
      'INVALID_ARGUMENT',
      'peers, allocation',
    ],
  ]
  for (const [what, run, code, message] of mistakes) {
    it(`${what} -> ${code}`, async () => {
      const error = await failure((async () => run())())
      expect(error.code, error.message).equals(code)
      expect(error.message).contains(message)
    })
  }

  it('a mnemonic as a file has it, with line breaks -> is taken', async () => {
    const { address: own } = await (
      await HDWallet.open({ mnemonic: ` ${words.replaceAll(' ', '\n')}\n` })
    ).newAccount()
    expect(own).equals('0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266')
  })

  it('an address in any case, with its checksum -> is taken', () => {
    const lower = '0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266'
    for (const form of [
      lower,
      '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266',
      `0x${lower.slice(2).toUpperCase()}`,
    ])
      expect(address(form)).equals(lower)
  })

  it('proposals and updates of other shapes -> INVALID_ARGUMENT that names the argument', async () => {
    const world = await group(2)
    const { client } = who(world, 0)
    const [channel] = await open(world)
    if (channel === undefined) throw new Error('a channel')
    const good = {
      peers: [who(world, 1).peer],
      allocation: { assets: [world.assets[0]], balances: [[1n, 1n]] },
      challengeDuration: 60n,
    }
    const { assets } = good.allocation
    for (const [change, message] of [
      [{ peers: undefined }, 'peers: a list'],
      [{ allocation: undefined }, 'assets: a list'],
      [{ allocation: { assets: [nobody], balances: [[1n, 1n]] } }, 'assets: a list'],
      [
        { allocation: { assets, balances: [1n, 1n] } },
        'balances: a list of amounts by participant for each asset',
      ],
      [{ allocation: { assets, balances: [[1, 1]] } }, 'balances.0.0: amount as bigint expected, got number'],
      [{ challengeDuration: 60 }, 'challengeDuration: bigint expected, got number'],
      [{ data: 'hello' }, 'data: lower-case 0x hex expected'],
    ] as const) {
      const error = await failure(loosely(client.proposeChannel, client, { ...good, ...change }))
      expect([error.code, error.message.slice(0, message.length)]).deep.equals(['INVALID_ARGUMENT', message])
    }
    const calls = [
      () => loosely(channel.update, channel, { from: 0 }),
      async () => loosely(client.handleProposals, client, true),
      async () => loosely(client.handleUpdates, client, undefined),
      () => channel.update((draft) => loosely(transfer, undefined, draft, { from: 0, to: 1, amount: 5 })),
    ]
    for (const call of calls) expect((await failure(call())).code).equals('INVALID_ARGUMENT')
  })
})
