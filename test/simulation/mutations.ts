// Deliberate mistakes in the protocol's code. If the simulator does not find them, it finds nothing.

/** A mistake, as a change of a compiled file's text. */
export interface Mutation {
  readonly name: string
  /** Below dist/. */
  readonly file: string
  /** What is there, exactly once. */
  readonly find: string
  readonly replace: string
}

/** All of them. */
export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'send before the record is durable',
    file: 'client/runtime.js',
    find: 'if (next.record !== this.#written && !mayWait) {',
    replace:
      "for (const e of effects) if (e.kind === 'send') this.world.send(before.record.peers[e.to], e.message);\n        if (next.record !== this.#written && !mayWait) {",
  },
  {
    name: 'tell the user before the record is durable',
    file: 'client/runtime.js',
    find: 'if (next.record !== this.#written && !mayWait) {',
    replace:
      'for (const e of effects) this.#tellUser(e);\n        if (next.record !== this.#written && !mayWait) {',
  },
  {
    name: 'write nothing when a state is staged',
    file: 'client/records.js',
    find: 'staging: stored(machine.staging),',
    replace: 'staging: null,',
  },
  {
    name: 'go on after a failed commit',
    file: 'client/runtime.js',
    find: 'this.world.fail(asStoreError(cause));\n            }\n            if',
    replace: 'void cause;\n            }\n            if',
  },
  {
    name: 'fund before the channel is on disk',
    file: 'client/unanimous.js',
    find: 'await this.#host.store.commit(created(record));',
    replace: 'this.#host.store.commit(created(record)).catch(() => undefined);',
  },
  {
    name: 'skip the version check of updates',
    file: 'channel/transition.js',
    find: 'if (to.version !== version)',
    replace: 'if (to.version < version && from.version >= to.version)',
  },
  {
    name: 'accept a second state of one version',
    file: 'client/update.js',
    find: 'if (proposer !== from || version <= considered.version)',
    replace: 'if (version < considered.version)',
  },
  {
    name: 'sign crossing proposals',
    file: 'client/update.js',
    find: 'const considered = machine.staging?.state ?? state.asking?.state;',
    replace:
      "const considered = undefined;\n    if (machine.staging) return receivedUpdate({ ...state, record: { ...record, machine: { ...machine, staging: undefined, phase: 'acting', signedVersion: version - 1n } } }, from, update, context);",
  },
  {
    name: 'do not burn refused versions',
    file: 'channel/machine.js',
    find: 'return (machine.signedVersion > current ? machine.signedVersion : current) + 1n;',
    replace: 'return current + 1n;',
  },
  {
    name: 'forget what was signed when the caller has no more time',
    file: 'client/update.js',
    find: "const next = { ...state, command: undefined };\n    return { next, effects: [{ kind: 'resolve', command: input.command, result: input.error }] };",
    replace:
      "const next = { ...dropped(state), command: undefined };\n    return { next, effects: [{ kind: 'resolve', command: input.command, result: input.error }] };",
  },
  {
    name: 'skip the signature of a proposed state',
    file: 'client/update.js',
    find: 'if (badSignature) {',
    replace: 'if (badSignature && false) {',
  },
  {
    name: 'adopt with missing signatures',
    file: 'channel/machine.js',
    find: 'if (ofSignature)',
    replace: 'if (ofSignature && participant === machine.index && false)',
  },
  {
    name: "drop the sync's signed state",
    file: 'client/sync.js',
    find: 'if (message.version < newest.state.version && signatures !== undefined) {',
    replace: 'if (false) {',
  },
  {
    name: 'repeat nothing when a connection stands again',
    file: 'client/said.js',
    find: "if (staging === undefined || signature === undefined || machine.phase !== 'signing')",
    replace: 'if (true)',
  },
  {
    name: 'forget what is to be done after a restart',
    file: 'client/restore.js',
    find: 'runtime.start(pursue(record, runtime.context));',
    replace: 'runtime.start([]);',
  },
  {
    name: 'do not refute',
    file: 'client/ledger-event.js',
    find: 'return { next: done, effects: [...effects, ...alarm, cancel, ...pursue(done.record, context)] };',
    replace: 'return { next: done, effects: [...effects, ...alarm, cancel] };',
  },
  {
    name: 'take no newer state from the ledger',
    file: 'client/ledger-event.js',
    find: 'if (state === undefined || signatures === undefined)',
    replace: 'if (true)',
  },
  {
    name: 'ignore reorgs: a transaction counts in its first block',
    file: 'backend/sim/node.js',
    find: 'return this.#newsDepth(channelID, isNews) >= depth ?',
    replace: 'return this.#newsDepth(channelID, isNews) >= 1 ?',
  },
  {
    name: 'ignore reorgs: a deposit counts in its first block',
    file: 'backend/sim/funder.js',
    find: 'ledger.head.number - block.number + 1 < depth',
    replace: 'ledger.head.number - block.number + 1 < 1',
  },
  {
    name: 'withdraw without making sure that a state is registered',
    file: 'client/ledger-work.js',
    find: 'if (hasFailed && !state.isFinal && signatures.length > 0) {',
    replace: 'if (false) {',
  },
  {
    name: 'take a payment for final that a reorg can take back',
    file: 'backend/sim/adjudicator.js',
    find: 'const payment = { channelID, participant, asset, receiver };',
    replace:
      'if (isDone()) return;\n            const payment = { channelID, participant, asset, receiver };',
  },
  {
    name: 'forget the refund after a failed funding',
    file: 'client/step.js',
    find: "return dispute(state, { kind: 'dispute', wanted: 'refund' }, context);",
    replace: 'return { next: state, effects: [] };',
  },
  {
    name: 'sign another state after a final one',
    file: 'client/update.js',
    find: 'if (ending === undefined)',
    replace: 'if (true)',
  },
  {
    name: 'take no state from a cleared dispute',
    file: 'client/ledger-event.js',
    find: 'const ahead = takenFrom(record, event, context);',
    replace: 'const ahead = record;',
  },
  {
    name: 'take a channel for over when closing it together has failed',
    file: 'client/step.js',
    find: "case 'closeEnded':\n return withdrawing(state, context);",
    replace: "case 'closeEnded':\n            return paid(withdrawing(state, context).next, context);",
  },
  {
    name: 'agree on what gets complete while an older state is registered',
    file: 'client/update.js',
    find: "if (staging === undefined || staging.signatures.includes(undefined) || record.machine.phase !== 'signing')",
    replace: 'if (staging === undefined || staging.signatures.includes(undefined))',
  },
  {
    name: 'send a proposal whose version is not reserved before it is written',
    file: 'client/runtime.js',
    find: "const mayWait = input.kind === 'propose' && isReserved(this.#written, next.record);",
    replace: "const mayWait = input.kind === 'propose';",
  },
  {
    name: 'forget after a restart what was reserved',
    file: 'client/reservation.js',
    find: 'if (reserved === undefined)\n return record;',
    replace: 'return record;',
  },
  {
    name: 'begin at the reserved version',
    file: 'client/reservation.js',
    find: 'signedVersion: reserved },\n reserved: undefined,\n forgotten: reserved,',
    replace: 'signedVersion: reserved - 1n }, reserved: undefined, forgotten: undefined,',
  },
  {
    name: 'take any word for an answer to what is forgotten',
    file: 'client/sync.js',
    find: 'isDead(before.record, message) ? recalled(before) : before;',
    replace: 'recalled(before);',
  },
  {
    name: 'consider what may be built on what is forgotten',
    file: 'client/update.js',
    find: 'if (record.forgotten !== undefined && version >= record.forgotten)',
    replace: 'if (false)',
  },
  {
    name: 'put a channel to rest as it was before',
    file: 'client/slot.js',
    find: 'if (this.#kept === undefined || !runtime.isUnchanged)',
    replace: 'if (this.#kept === undefined)',
  },
  {
    name: 'put a channel to rest while it is asked about',
    file: 'client/pursue.js',
    find: 'asking === undefined &&',
    replace: 'true &&',
  },
]
