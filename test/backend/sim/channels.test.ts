// Channels on the simulated ledger under the suite that every ledger's channels pass.
import { simCapabilities } from '../../../backend/sim/rules.js'
import { group, kill, reborn, who } from '../../client/parties.js'
import { type ChannelParty, describeChannels } from '../../conformance/index.js'

describeChannels('sim', {
  capabilities: simCapabilities(1),
  async setup({ parties: count }) {
    const world = await group(count)
    const members = [...world.parties]
    const parties = members.map((_, i): ChannelParty => {
      const member = () => members[i] ?? who(world, i)
      return {
        get peer() {
          return member().peer
        },
        get client() {
          return member().client
        },
        kill: () => kill(member()),
        async restart() {
          const again = reborn(member(), world)
          members[i] = again
          return again.client
        },
      }
    })
    const { ledger } = world
    return {
      parties,
      members,
      asset: world.assets[0],
      unit: 10n,
      challengeDuration: 60n,
      costs: 0n,
      balanceOf: async (i) => ledger.balanceOf(world.assets[0], who(world, i).address),
      async pass(wait) {
        const [deadline] = wait === 'deadline' ? ledger.deadlines : []
        if (deadline !== undefined) ledger.advanceTo(deadline)
      },
      now: async () => ledger.head.time,
    }
  },
  async teardown({ members }) {
    for (const member of members) await kill(member)
  },
})
