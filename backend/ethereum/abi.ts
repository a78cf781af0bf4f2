// The contracts' functions, events and errors as ethers reads them. Perun's "generation 1" ABI first, then what
// only Perkunas' own contracts have.
import { Interface } from 'ethers'
import { type Hex, isHex } from '../../channel/index.js'
import { isObject } from './json.js'
import { RpcError } from './rpc.js'

const PARTICIPANT = '(address ethAddress, bytes ccAddress)'
const PARAMS = `(uint256 challengeDuration, uint256 nonce, ${PARTICIPANT}[] participants, address app, bool ledgerChannel, bool virtualChannel)`
const ALLOCATION =
  '((uint256 chainID, address ethHolder, bytes ccHolder)[] assets, uint256[] backends, uint256[][] balances, (bytes32 ID, uint256[] balances, uint16[] indexMap)[] locked)'
const STATE = `(bytes32 channelID, uint64 version, ${ALLOCATION} outcome, bytes appData, bool isFinal)`
const SIGNED_STATE = `(${PARAMS} params, ${STATE} state, bytes[] sigs)`
const WITHDRAWAL_AUTH = `(bytes32 channelID, ${PARTICIPANT} participant, address receiver, uint256 amount)`

/** Types for ethers' coder, for tests that compare encodings. */
export const TYPES = Object.freeze({ params: PARAMS, state: STATE, withdrawalAuth: WITHDRAWAL_AUTH })

/** The adjudicator. */
export const ADJUDICATOR = new Interface([
  `function channelID(${PARAMS} params) pure returns (bytes32)`,
  `function hashState(${STATE} state) pure returns (bytes32)`,
  'function disputes(bytes32) view returns (uint64 timeout, uint64 challengeDuration, uint64 version, uint8 phase, bytes32 stateHash, bool hasApp)',
  `function register(${SIGNED_STATE} channel, ${SIGNED_STATE}[] subChannels)`,
  `function progress(${PARAMS} params, ${STATE} stateOld, ${STATE} state, uint256 actorIdx, bytes sig)`,
  `function conclude(${PARAMS} params, ${STATE} state, ${STATE}[] subStates)`,
  `function concludeFinal(${PARAMS} params, ${STATE} state, bytes[] sigs)`,
  'event ChannelUpdate(bytes32 indexed channelID, uint64 version, uint8 phase, uint64 timeout)',
  `function close(${PARAMS} params, ${STATE} state, address[] receivers, bytes[] sigs)`,
  `function concludeAndPay(${PARAMS} params, ${STATE} state, ${STATE}[] subStates, address[] receivers, bytes[] sigs)`,
  `function settle(${PARAMS} params, ${STATE} state, ${STATE}[] subStates, uint256 asset)`,
  `function checkpoint(${SIGNED_STATE} channel)`,
  'event AssetFailed(bytes32 indexed channelID, uint256 asset)',
  'event Checkpoint(bytes32 indexed channelID, uint64 version)',
  'event ForwardedCall(bytes data)',
])

/** An asset holder, for ETH or a token. */
export const HOLDER = new Interface([
  'function adjudicator() view returns (address)',
  'function token() view returns (address)',
  'function holdings(bytes32) view returns (uint256)',
  'function settled(bytes32) view returns (bool)',
  'function deposit(bytes32 fundingID, uint256 amount) payable',
  `function withdraw(${WITHDRAWAL_AUTH} authorization, bytes signature)`,
  'event Deposited(bytes32 indexed fundingID, uint256 amount)',
  'event OutcomeSet(bytes32 indexed channelID)',
  'event Withdrawn(bytes32 indexed fundingID, uint256 amount, address receiver)',
  'function isSettled(bytes32 channelID, address participant) view returns (bool)',
  'function depositExpecting(bytes32 channelID, address participant, uint256 amount, uint256 maxHeld, (address participant, uint256 atLeast)[] others) payable',
  'function confirmSettled(bytes32 channelID, address participant)',
  'function withdrawAll(bytes32 channelID, address[] participants, address[] receivers, bytes[] sigs)',
])

/** A token (EIP-20). */
export const TOKEN = new Interface([
  'function allowance(address owner, address spender) view returns (uint256)',
  'function approve(address spender, uint256 amount)',
  'function balanceOf(address owner) view returns (uint256)',
])

/** The errors that every contract may revert with (Solidity, "Error handling"), and those of OpenZeppelin's tokens. */
const ERRORS = new Interface([
  'error Error(string reason)',
  'error Panic(uint256 code)',
  'error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed)',
  'error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed)',
])

/**
 * Why a node says that a call reverts, in words: the reason string, the panic's or the custom error's name with its
 * arguments, or else the node's own message.
 *
 * @param interfaces whose custom errors to try
 */
export function revertReason(error: unknown, interfaces: readonly Interface[] = []): string {
  if (!(error instanceof RpcError)) return error instanceof Error ? error.message : String(error)
  const data = revertData(error.data)
  if (data === undefined) return error.message
  return decodeRevert(data, interfaces) ?? error.message
}

/** The words of a revert's data; undefined if no known error has its selector. */
export function decodeRevert(data: Hex, interfaces: readonly Interface[] = []): string | undefined {
  for (const candidate of [ERRORS, ...interfaces]) {
    try {
      const parsed = candidate.parseError(data)
      if (parsed === null) continue
      if (parsed.name === 'Error') return String(parsed.args[0])
      return `${parsed.name}(${parsed.args.map(String).join(', ')})`
    } catch {
      // Its selector, but not its arguments: somebody else's error.
    }
  }
  return undefined
}

/** Nodes put a revert's data at different depths of the error: `data`, `data.data`, `data.originalError.data`. */
function revertData(data: unknown, depth = 0): Hex | undefined {
  if (typeof data === 'string') {
    // Some nodes say "Reverted 0x…".
    const hex = data.slice(Math.max(0, data.indexOf('0x'))).toLowerCase()
    return isHex(hex) && hex.length >= 10 ? hex : undefined
  }
  if (!isObject(data) || depth === 3) return undefined
  return revertData(data['data'], depth + 1) ?? revertData(data['originalError'], depth + 1)
}
