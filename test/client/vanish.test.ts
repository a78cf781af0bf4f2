// A participant that vanishes at any message of a channel's life: before it has said it, right after, or on hearing it.
// The others' calls end, with a typed error or with what was wanted; nobody's coins are lost, other channels go on.
import { expect } from 'chai'
import { type Draft, PerkunasError, transfer } from '../../channel/index.js'
import type { Channel, Client, Clock } from '../../client/index.js'
import { type Message, messages } from '../../client/messages.js'
import { type Group, group, kill, next, type Party, restarted, settled, WEALTH, who } from './parties.js'

/** The parts of a life, in order. Participant 0 begins each of them. */
const PARTS = ['proposal', 'update', 'settlement'] as const
type Part = (typeof PARTS)[number]

/** A message of the protocol, said once in each life. */
interface Said {
  readonly part: Part
  readonly kind: Message['kind']
  readonly from: number
  readonly to: number
}

/** Who is gone, and when: `unsaid` loses the message and all later ones, earlier ones arrive. */
const MOMENTS = ['unsaid', 'said', 'heard'] as const
type Moment = (typeof MOMENTS)[number]

/** Every message that makes up a life. */
function script(size: number): readonly Said[] {
  const all = Array.from({ length: size }, (_, i) => i)
  const others = all.slice(1)
  const each = (part: Part, kind: Message['kind'], speakers: readonly number[]): Said[] =>
    speakers.flatMap((from) => all.flatMap((to) => (from === to ? [] : [{ part, kind, from, to }])))
  return [
    ...each('proposal', 'channelProposal', [0]),
    ...each('proposal', 'channelProposalAcc', others),
    ...each('proposal', 'initialSignature', all),
    ...each('update', 'channelUpdate', [0]),
    ...each('update', 'channelUpdateAcc', others),
    ...each('settlement', 'channelUpdate', [0]),
    ...each('settlement', 'channelUpdateAcc', others),
    ...each('settlement', 'closeAuthorization', all),
  ]
}

/** Time that stands still unless a test lets it pass. */
class StoppedClock implements Clock {
  #now = 0
  readonly #timers = new Set<{ readonly at: number; readonly callback: () => void }>()

  now(): number {
    return this.#now
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, callback }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Runs what is due next. */
  next(): void {
    const [first] = [...this.#timers].sort((a, b) => a.at - b.at)
    if (first === undefined) return
    this.#timers.delete(first)
    this.#now = first.at
    first.callback()
  }
}

/** Turns of the event loop in which everybody does what is to be done before time goes on. */
const TURNS = 8

/** What those who stay may complain of: that somebody is gone, and what follows from it. */
const COMPLAINTS = [
  'PEER_UNREACHABLE',
  'PEER_REJECTED',
  'PROPOSAL_TIMEOUT',
  'FUNDING_TIMEOUT',
  'FUNDING_FAILED',
  'UPDATE_TIMEOUT',
  // Who has not heard of a version is offered the one after it; both find out.
  'INVALID_TRANSITION',
  // Who comes back may speak of a channel that is settled.
  'UNKNOWN_CHANNEL',
]
const PAYMENT = 7n
const pay = (draft: Draft) => transfer(draft, { from: 0, to: 1, amount: PAYMENT })

/** Participants, and one more who has a channel with each of them that is to go on whatever happens. */
class Stage {
  readonly said = new Set<string>()
  /** Who has heard of the channel. */
  readonly aware = new Set<number>()
  readonly complaints = new Map<number, PerkunasError[]>()
  #part: Part = 'proposal'
  #target: { readonly said: Said; readonly moment: Moment } | undefined
  #mute: number | undefined
  /** Messages of each participant that are on their way. */
  readonly #onTheirWay: number[]
  #gone: (party: number) => void = () => undefined

  private constructor(
    readonly world: Group,
    readonly size: number,
    readonly clock: StoppedClock,
  ) {
    this.#onTheirWay = world.parties.map(() => 0)
  }

  static async set(size: number): Promise<Stage> {
    const clock = new StoppedClock()
    const world = await group(size + 1, { client: { clock } })
    const stage = new Stage(world, size, clock)
    const bystander = who(world, size)
    for (const { client } of stage.participants) {
      const opened = next(bystander.client)
      await client.proposeChannel({
        peers: [bystander.peer],
        allocation: { assets: [world.assets[1]], balances: [[5n, 5n]] },
        challengeDuration: 60n,
      })
      await opened
    }
    stage.#listen()
    return stage
  }

  get participants(): readonly Party[] {
    return this.world.parties.slice(0, this.size)
  }

  /** Lets somebody vanish. @returns who it was, when it has happened */
  vanish(said: Said, moment: Moment): Promise<number> {
    this.#target = { said, moment }
    return new Promise((resolve) => {
      this.#gone = resolve
    })
  }

  /** Begins a part. @returns what its beginner's call ends with */
  begin(part: Part): Promise<unknown> {
    this.#part = part
    const first = who(this.world, 0)
    if (part === 'proposal') {
      return first.client.proposeChannel({
        peers: this.participants.slice(1).map(({ peer }) => peer),
        allocation: { assets: [this.world.assets[0]], balances: [this.participants.map(() => 100n)] },
        challengeDuration: 60n,
      })
    }
    const channel = this.channelOf(first.client)
    if (channel === undefined) throw new Error('no channel to go on with')
    return part === 'update' ? channel.update(pay) : channel.settle()
  }

  /** Goes through a whole part. */
  async play(part: Part): Promise<void> {
    await this.begin(part)
    await settled(() =>
      this.participants.every(({ client }) => {
        const channel = this.channelOf(client)
        if (part === 'settlement') return channel === undefined
        return channel?.phase === 'acting' && channel.state.version === (part === 'update' ? 1n : 0n)
      }),
    )
  }

  /** The channel between all of them. */
  channelOf(client: Client): Channel | undefined {
    const [{ id }] = this.world.assets
    return client.channels().find(({ state }) => state.allocation.assets[0]?.id === id)
  }

  /** Lets everybody's time pass until it is done; the ledger's not while somebody who is there has yet to refute an old state. */
  async pass(clients: readonly Client[], done: () => boolean): Promise<void> {
    const { ledger } = this.world
    let turn = 0
    await settled(() => {
      if (done()) return true
      if (++turn % TURNS !== 0) return false
      this.clock.next()
      const isRefuted = clients.every((client) => {
        const channel = this.channelOf(client)
        const dispute = channel && ledger.dispute(channel.id)
        return dispute === undefined || dispute.version >= (channel?.state.version ?? 0n)
      })
      const [deadline] = ledger.deadlines
      if (isRefuted && deadline !== undefined) ledger.advanceTo(deadline)
      return false
    })
  }

  /** What each participant has won or lost. */
  gains(): bigint[] {
    const { ledger, assets } = this.world
    return this.participants.map(({ address }) => ledger.balanceOf(assets[0], address) - WEALTH)
  }

  /** Every channel with the bystander takes an update from both sides. */
  async goOn(staying: readonly Party[]): Promise<void> {
    const { client, peer } = who(this.world, this.size)
    for (const party of staying) {
      const ours = party.client.channels().find(({ peers }) => peers.includes(peer))
      const theirs = ours && client.channel(ours.id)
      if (ours === undefined || theirs === undefined)
        throw new Error('the channel with the bystander is lost')
      await ours.update((draft) => transfer(draft, { from: 0, to: 1, amount: 2n }))
      await settled(() => theirs.state.version === 1n)
      await theirs.update((draft) => transfer(draft, { from: 1, to: 0, amount: 1n }))
      await settled(() => ours.state.version === 2n)
    }
  }

  #listen(): void {
    const { network } = this.world
    for (const [i, { bus, client }] of this.participants.entries()) {
      const errors: PerkunasError[] = []
      this.complaints.set(i, errors)
      client.errors$.subscribe((error) => errors.push(error))
      for (const [to, { peer }] of this.participants.entries()) {
        if (to === i) continue
        network.drop(bus.id, peer, (payload) => this.#leaves(i, to, messages.decode(payload)))
      }
      // After the client, which has begun to handle it.
      bus.onMessage((from, payload) => this.#arrives(from, i, messages.decode(payload)))
    }
  }

  /** @returns whether it is lost */
  #leaves(from: number, to: number, message: Message): boolean {
    if (this.#mute === from) return true
    this.said.add(name({ part: this.#part, kind: message.kind, from, to }))
    if (this.#is('unsaid', from, to, message)) {
      this.#mute = from
      void settled(() => this.#onTheirWay[from] === 0).then(() => this.#end(from))
      return true
    }
    this.#onTheirWay[from] = (this.#onTheirWay[from] ?? 0) + 1
    return false
  }

  #arrives(peer: string, to: number, message: Message): void {
    const from = this.participants.findIndex((party) => party.peer === peer)
    if (from < 0) return
    this.#onTheirWay[from] = (this.#onTheirWay[from] ?? 0) - 1
    if (message.kind === 'channelProposal') this.aware.add(to)
    if (this.#is('said', from, to, message)) void this.#end(from)
    else if (this.#is('heard', from, to, message)) void this.#end(to)
  }

  #is(moment: Moment, from: number, to: number, { kind }: Message): boolean {
    if (this.#target === undefined || this.#target.moment !== moment) return false
    return name(this.#target.said) === name({ part: this.#part, kind, from, to })
  }

  async #end(party: number): Promise<void> {
    this.#target = undefined
    await kill(who(this.world, party))
    this.#mute = undefined
    this.#gone(party)
  }
}

function name({ part, kind, from, to }: Said): string {
  return `${part}: ${kind} ${from}>${to}`
}

/** What a call ended with. */
async function outcome(call: Promise<unknown>): Promise<PerkunasError | undefined> {
  try {
    await call
    return undefined
  } catch (error) {
    if (error instanceof PerkunasError) return error
    throw error
  }
}

/** One life that somebody does not live to the end. */
async function life(size: number, said: Said, moment: Moment): Promise<void> {
  const stage = await Stage.set(size)
  for (const part of PARTS.slice(0, PARTS.indexOf(said.part))) await stage.play(part)
  const vanishing = stage.vanish(said, moment)
  let ended = false
  const calling = outcome(stage.begin(said.part)).finally(() => {
    ended = true
  })
  const victim = await vanishing
  const staying = stage.participants.filter((_, i) => i !== victim)
  const clients = staying.map(({ client }) => client)
  const call =
    victim === 0 ? undefined : { error: await stage.pass(clients, () => ended).then(() => calling) }

  // Whoever has heard of it has a channel that goes on, or has been told why not and has nothing in it.
  if (said.part === 'proposal') {
    const told = (i: number) =>
      (i === 0 && call?.error !== undefined) || stage.complaints.get(i)?.length !== 0
    await stage.pass(clients, () =>
      stage.participants.every(({ client }, i) => {
        const channel = stage.channelOf(client)
        if (i === victim || (i !== 0 && !stage.aware.has(i))) return true
        return channel?.phase === 'acting' || (channel === undefined && told(i))
      }),
    )
  }
  if (call?.error !== undefined) {
    expect(call.error.code).oneOf(COMPLAINTS)
    expect(said.part).not.equals('settlement')
  }
  // What goes on is settled without the one who is gone.
  let done = 0
  const settlings = clients.map(async (client) => {
    const error = await outcome(stage.channelOf(client)?.settle() ?? Promise.resolve())
    expect(error?.code).oneOf([undefined, 'CLOSED'])
    done++
  })
  await stage.pass(clients, () => done === clients.length)
  await Promise.all(settlings)
  await stage.pass(clients, () => clients.every((client) => stage.channelOf(client) === undefined))
  await stage.goOn(staying)

  // Back again, it finds what is its own.
  const again = await restarted(who(stage.world, victim), stage.world, { clock: stage.clock })
  await stage.pass([...clients, again.client], () => stage.channelOf(again.client) === undefined)
  const paid = stage.participants.map((_, i) => (i === 0 ? -PAYMENT : i === 1 ? PAYMENT : 0n))
  const unpaid = stage.participants.map(() => 0n)
  const hasBegun = said.part !== 'proposal'
  const isSure = said.part === 'settlement' || (hasBegun && call !== undefined && call.error === undefined)
  const may = isSure ? [paid] : hasBegun ? [paid, unpaid] : [unpaid]
  expect(stage.gains().join()).oneOf(may.map((gains) => gains.join()))
  for (const [i, errors] of stage.complaints) {
    if (i !== victim) for (const { code } of errors) expect(code).oneOf(COMPLAINTS)
  }
  for (const { client, bus } of [...stage.world.parties.filter((_, i) => i !== victim), again]) {
    await client.close()
    await bus.close()
  }
}

for (const size of [2, 3]) {
  describe(`client: one of ${size} vanishes at each message`, () => {
    it('nobody does -> these are all messages that there are', async () => {
      const stage = await Stage.set(size)
      for (const part of PARTS) await stage.play(part)
      expect([...stage.said].sort()).deep.equals(script(size).map(name).sort())
    })

    for (const part of PARTS) {
      for (const moment of MOMENTS) {
        const whoever = moment === 'heard' ? 'hearer' : 'speaker'
        it(`${part}, ${moment}: the ${whoever} is gone -> calls end, coins come back, other channels go on`, async () => {
          const rows = script(size).filter((said) => said.part === part)
          const failures = (
            await Promise.all(
              rows.map((said) => life(size, said, moment).catch((error) => `${name(said)}: ${error}`)),
            )
          ).filter((failure) => failure !== undefined)
          expect(failures).deep.equals([])
        })
      }
    }
  })
}
