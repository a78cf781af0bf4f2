// Deliberate mistakes in the code of Lightning channels. If the simulator does not find them, it finds nothing.
import type { Mutation } from '../mutations.js'

/** All of them. */
export const BITCOIN_MUTATIONS: readonly Mutation[] = [
  {
    name: 'send before the records are durable',
    file: 'backend/bitcoin/node/turns.js',
    find: 'const { writes, effects, isUnfinished } = core.turn(this.#taken()); if (writes.length > 0) {',
    replace:
      "const all = core.turn(this.#taken()); const { writes, isUnfinished } = all; for (const e of all.effects) if (e.kind === 'send') perform(e); const effects = all.effects.filter((e) => e.kind !== 'send'); if (writes.length > 0) {",
  },
  {
    name: 'go on after a failed commit',
    file: 'backend/bitcoin/node/turns.js',
    find: 'failed(asStoreError(cause)); return false;',
    replace: 'void cause;',
  },
  {
    name: 'forget what was signed when it is restored',
    file: 'backend/bitcoin/channel/batch-rows.js',
    find: '...(batch === undefined ? {} : { batch }),',
    replace: '',
  },
  {
    name: 'forget what is wanted when it is restored',
    file: 'backend/bitcoin/channel/batch-rows.js',
    find: "intents: wanted ?? read(ROWS.intents, 'intents') ?? [],",
    replace: 'intents: [],',
  },
  {
    name: 'repeat no batch that the peer missed',
    file: 'backend/bitcoin/channel/reestablish.js',
    find: 'const batch = missedBatch && live.batch !== undefined',
    replace: 'const batch = false',
  },
  {
    name: 'repeat no revocation that the peer missed',
    file: 'backend/bitcoin/channel/reestablish.js',
    find: 'const revocation = missedRevocation ?',
    replace: 'const revocation = false ?',
  },
  {
    name: 'keep what the peer did not sign',
    file: 'backend/bitcoin/channel/reestablish.js',
    find: 'book: dropUnsigned(live.book),',
    replace: 'book: live.book,',
  },
  {
    name: 'drop preimages on restart',
    file: 'backend/bitcoin/node/restore.js',
    // What is written of it stays known, so that its rows go as they should and nothing else is wrong.
    find: 'state, monitor, watched: new Set(),',
    replace:
      'state, monitor: { ...monitor, known: { ...monitor.known, preimages: [] } }, watched: new Set(),',
  },
  {
    name: 'do not punish',
    file: 'backend/bitcoin/monitor/claims.js',
    find: 'return { outputs: revokedClaims(at, spend.commitment), absent: absentOf(state, spend) };',
    replace: 'return { outputs: [], absent: absentOf(state, spend) };',
  },
  {
    name: 'do not punish what was claimed of a revoked commitment',
    file: 'backend/bitcoin/monitor/claims.js',
    find: "const by = spend.kind === 'revoked' ? 'punisher' : 'holder';",
    replace: "const by = 'holder'; if (spend.kind === 'revoked') return [];",
  },
  {
    name: 'ignore reorgs: what was on chain is',
    file: 'backend/bitcoin/monitor/step.js',
    find: 'if (undone.length === 0)',
    replace: 'if (undone.length >= 0)',
  },
  {
    name: 'take one confirmation for final',
    file: 'backend/bitcoin/monitor/outcomes.js',
    find: 'return depthOf(fact, height) >= policy.finality;',
    replace: 'return depthOf(fact, height) >= 1;',
  },
  {
    name: 'never bump a fee',
    file: 'backend/bitcoin/resolver/price.js',
    find: 'if (height <= at) return before;',
    replace: 'if (height >= 0) return before;',
  },
  {
    name: 'learn no preimages from the chain',
    file: 'backend/bitcoin/monitor/step.js',
    find: 'const learned = withPreimages(next, fact.transaction);',
    replace: 'const learned = { next, handoffs: [] };',
  },
  {
    name: 'use the key of a channel twice',
    file: 'backend/bitcoin/node/openings.js',
    find: 'this.#nextKeyIndex += 1n;',
    replace: 'this.#nextKeyIndex += this.#nextKeyIndex === 0n ? 1n : 0n;',
  },
  {
    name: 'take for failed what is not irrevocable',
    file: 'backend/bitcoin/channel/commit.js',
    find: 'handoffs: handoffsOf(next, after, env),\n            effects: [',
    replace:
      "handoffs: [...handoffsOf(next, after, env), ...next.book.htlcs.filter((h) => h.offerer === 'local' && h.removal !== undefined && h.preimage === undefined && h.removal.kind !== 'fulfill').map((htlc) => ({ kind: 'failed', htlc, removal: htlc.removal }))],\n            effects: [",
  },
  {
    name: 'let any dust stand',
    file: 'backend/bitcoin/channel/limits.js',
    find: 'exposureOf(terms, tally, env.fees.sane) > limit',
    replace: 'exposureOf(terms, tally, env.fees.sane) > limit * 1000n',
  },
  {
    name: 'release a secret before the new commitment is written',
    file: 'backend/bitcoin/channel/commit.js',
    find: "{ kind: 'holder', state: currentLocal(next), signatures }, { kind: 'released', number },",
    replace: "{ kind: 'released', number }, { kind: 'holder', state: currentLocal(next), signatures },",
  },
  {
    name: 'do not go on chain before an HTLC expires',
    file: 'backend/bitcoin/channel/expiry.js',
    find: 'if (first === undefined || env.height < first.height)',
    replace: 'if (first === undefined || env.height >= 0)',
  },
]
