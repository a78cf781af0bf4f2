import { expect } from 'chai'
import fc from 'fast-check'
import {
  ANSWERS,
  answerTo,
  type ChannelMessageKind,
  isChannelMessage,
  SITUATIONS,
  type Situation,
  situationOf,
} from '../../../../backend/bitcoin/channel/answers.js'
import { step } from '../../../../backend/bitcoin/channel/channel.js'
import { wireID } from '../../../../backend/bitcoin/channel/failure.js'
import { isLive } from '../../../../backend/bitcoin/channel/state.js'
import { msat } from '../../../../backend/bitcoin/units.js'
import { type LightningMessage, lightningMessages } from '../../../../backend/bitcoin/wire/index.js'
import type { Field } from '../../../../peer/wire/fields.js'
import { decodeField } from '../../../../peer/wire/tlv.js'
import { secp256k1 } from '../../../../wallet/secp256k1.js'
import { messagesOf } from '../arbitrary.js'
import { OUTPOINT, Pair, type Party, scriptOf } from './pair.js'

const aPoint = secp256k1.publicKey(new Uint8Array(32).fill(7))

function sample(field: Field<unknown>): unknown {
  return decodeField(field, field.format === 'point' ? aPoint : new Uint8Array(field.least), 'sample')
}

const KINDS = Object.keys(ANSWERS) as readonly ChannelMessageKind[]

/** A party in each situation. */
const REACH: Readonly<Record<Situation, () => Party>> = {
  opening: () => before(0).alice,
  asked: () => before(1).bob,
  accepted: () => before(2).bob,
  awaitingFunding: () => before(3).alice,
  awaitingFundingSigned: () => before(4).alice,
  awaitingReady: () => before(5).bob,
  normal: () => new Pair().reachNormal().alice,
  shuttingDown: () => {
    const pair = busy()
    pair.input(pair.alice, { kind: 'shutdown' })
    pair.deliverAll()
    return pair.alice
  },
  negotiating: () => {
    const pair = new Pair().reachNormal()
    pair.input(pair.alice, { kind: 'shutdown' })
    pair.deliverAll()
    return pair.bob
  },
  down: () => {
    const pair = busy()
    pair.disconnect()
    return pair.alice
  },
  reestablishing: () => {
    const pair = busy()
    pair.disconnect()
    pair.connect()
    return pair.alice
  },
  failed: () => {
    const pair = new Pair().reachNormal()
    pair.input(pair.alice, { kind: 'forceClose' })
    return pair.alice
  },
  closed: () => {
    const pair = before(0)
    pair.input(pair.alice, { kind: 'disconnected' })
    return pair.alice
  },
}

describe('answers: each message in each situation', () => {
  it('the table has every message that names a channel', () => {
    for (const { kind } of lightningMessages.schemas) {
      const message = { kind } as LightningMessage
      expect(isChannelMessage(message), kind).to.equal(KINDS.some((one) => one === kind))
    }
    expect(KINDS).to.have.length(36)
    expect(SITUATIONS).to.have.length(13)
  })

  for (const situation of SITUATIONS) {
    it(`${situation}: what is done is what the table says, whatever the message holds`, () => {
      const party = REACH[situation]()
      const { state, env } = party
      if (state === undefined) throw new Error('no channel')
      expect(situationOf(state)).to.equal(situation)
      for (const kind of KINDS) {
        const schema = lightningMessages.schemas.find((one) => one.kind === kind)
        if (schema === undefined) throw new Error(kind)
        const answer = answerTo(situation, kind)
        fc.assert(
          fc.property(messagesOf(schema, sample), (given) => {
            const message = { ...given, channelID: wireID(state) } as LightningMessage
            const result = step(state, { kind: 'received', message }, env)
            const done = result.effects.map((effect) =>
              effect.kind === 'send' ? effect.message.kind : effect.kind,
            )
            switch (answer) {
              case 'ignore':
                expect(result.next, kind).to.equal(state)
                expect(done, kind).to.deep.equal([])
                break
              case 'warn':
                expect(result.next, kind).to.equal(state)
                expect(done, kind).to.deep.equal(['warning', 'disconnect'])
                break
              case 'fail':
                expect(result.next.phase, kind).to.be.oneOf(['failed', 'closed'])
                expect(done[0], kind).to.equal('error')
                break
              case 'handle':
                // Whatever it holds, it is a step: peer input never throws.
                expect(result.next.phase).to.be.a('string')
            }
          }),
          { numRuns: answer === 'handle' ? 25 : 2 },
        )
      }
    })
  }

  it('BOLT 2: an update or a signature before channel_ready -> error', () => {
    for (const kind of KINDS.filter((one) => one.startsWith('update_') || one === 'commitment_signed'))
      expect(answerTo('awaitingReady', kind), kind).to.equal('fail')
  })
  it('BOLT 2: nothing but channel_reestablish, error and warning before channel_reestablish', () => {
    const handled = KINDS.filter((kind) => answerTo('reestablishing', kind) === 'handle')
    expect(handled.sort()).to.deep.equal(['channel_reestablish', 'error', 'warning'])
  })
  it('BOLT 1: an error is taken wherever there is a channel, and fails it, once its peer has told how far it is', () => {
    for (const situation of SITUATIONS.filter((one) => one !== 'down' && one !== 'closed')) {
      const { state, env } = REACH[situation]()
      if (state === undefined) throw new Error('no channel')
      const message = { kind: 'error', channelID: wireID(state), data: Uint8Array.of(65, 0, 10) } as const
      const { next } = step(state, { kind: 'received', message }, env)
      if (situation === 'reestablishing') {
        expect(isLive(next) ? next.patience?.error?.reason : undefined).to.equal('the peer says: A??')
      } else expect(next.phase, situation).to.be.oneOf(['failed', 'closed'])
    }
  })
  it('f 26: messages of splices and dual funding that were not negotiated cost the connection, never the channel', () => {
    for (const kind of KINDS.filter((one) => /^(tx_|splice_|start_batch|stfu)/.test(one))) {
      for (const situation of ['awaitingReady', 'normal', 'shuttingDown', 'negotiating'] as const)
        expect(answerTo(situation, kind), `${situation} ${kind}`).to.equal('warn')
    }
  })
})

/** An opening after so many of its steps. */
function before(count: number): Pair {
  const pair = new Pair()
  const steps = [
    () => pair.deliver(pair.alice),
    () => pair.input(pair.bob, { kind: 'accept', shutdownScript: scriptOf('bob') }),
    () => pair.deliver(pair.bob),
    () => pair.input(pair.alice, { kind: 'funded', outpoint: OUTPOINT }),
    () => pair.deliverAll(),
  ]
  pair.open()
  for (const one of steps.slice(0, count)) one()
  return pair
}

/** With HTLCs of both in every state of their lives. */
function busy(): Pair {
  const pair = new Pair().reachNormal({ push: msat(500_000_000n) })
  pair.add(pair.alice, 10_000_000n, 1)
  pair.add(pair.bob, 20_000_000n, 2)
  pair.settle()
  pair.add(pair.alice, 30_000_000n, 3)
  pair.input(pair.alice, { kind: 'flush' })
  return pair
}
