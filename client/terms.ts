// What a proposal of our own says, and what speaks against it before anybody hears of it.

import { isLocking } from '../channel/allocation.js'
import type { AddressMap, BackendID } from '../channel/index.js'
import { EMPTY, faultOfParams, type Hex, NO_APP, NO_AUX, PerkunasError, toHex } from '../channel/index.js'
import { faultOfPeerID, type PeerID } from '../peer/index.js'
import { unsupported } from './channel.js'
import type { Entropy } from './environment.js'
import type { ChannelProposal } from './messages.js'
import type { ProposalOptions } from './options.js'
import { sessionID } from './proposal.js'

/** Who proposes, and with what. */
export interface Proposer {
  readonly id: PeerID
  readonly participant: AddressMap
  readonly backend: BackendID
  readonly entropy: Entropy
}

/** The proposal that these options ask for. @throws PerkunasError INVALID_PARAMS, INVALID_ARGUMENT, UNSUPPORTED */
export function proposalOf(options: ProposalOptions, proposer: Proposer): ChannelProposal {
  checkShape(options)
  // The caller may change its own.
  const assets = options.allocation.assets.map((asset) => ({ ...asset }))
  const balances = options.allocation.balances.map((row) => [...row])
  const terms = {
    challengeDuration: options.challengeDuration,
    nonceShare: toHex(proposer.entropy(32)),
    app: options.app ?? NO_APP,
    data: options.data ?? EMPTY,
    assets,
    balances,
    agreement: options.agreement ?? balances,
    participant: proposer.participant,
    peers: [proposer.id, ...options.peers],
    aux: options.aux ?? NO_AUX,
  }
  checkTerms(terms, proposer)
  return { kind: 'channelProposal', session: sessionID(terms), ...terms }
}

/** Types say this already, where there are types. */
function checkShape({ peers, allocation }: ProposalOptions): void {
  const expect = (isThere: boolean, argument: string, what: string) => {
    if (!isThere) throw new PerkunasError('INVALID_ARGUMENT', `${argument}: ${what} expected`, { argument })
  }
  expect(Array.isArray(peers), 'peers', 'a list of peer IDs')
  const { assets, balances } = allocation ?? {}
  expect(Array.isArray(assets) && assets.every((it) => typeof it === 'object'), 'assets', 'a list of assets')
  const isTable = Array.isArray(balances) && balances.every((row) => Array.isArray(row))
  expect(isTable, 'balances', 'a list of amounts by participant for each asset')
  if (isLocking(allocation)) throw unsupported('anything locked from the beginning')
}

/** Params are complete only with the others' answers; what is wrong already is refused before anything is sent. */
function checkTerms(terms: Omit<ChannelProposal, 'kind' | 'session'>, { id, backend }: Proposer): void {
  const { challengeDuration, app, aux } = terms
  const fault = faultOfParams({
    challengeDuration,
    app,
    aux,
    participants: terms.peers.map((_, i) => (i === 0 ? terms.participant : { [backend]: placeholder(i) })),
    nonce: 0n,
    ledgerChannel: true,
    virtualChannel: false,
  })
  if (fault) throw fault
  for (const [i, peer] of terms.peers.slice(1).entries()) {
    const why = peer === id ? `${peer} is this client's own ID, which need not be there` : faultOfPeerID(peer)
    if (why) throw new PerkunasError('INVALID_ARGUMENT', `peers[${i}]: ${why}`, { argument: `peers.${i}` })
  }
}

function placeholder(index: number): Hex {
  return `0x${(index + 1).toString(16).padStart(40, '0')}`
}
