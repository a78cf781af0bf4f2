// Numbers about a watchtower, for people and for Prometheus. Its text format is a line per number, so there is no
// package for it here.

/** What is counted. Counters only grow; gauges say how it is now. */
export interface TowerMetrics {
  /** Channels that are watched. */
  channels: number
  /** Bytes of the states that are kept for all clients. */
  bytes: number
  /** Channels of which an older state is registered than the newest that is known. */
  channelsAtRisk: number
  /** Those of them whose deadline is near. */
  channelsNearDeadline: number
  /** Seconds since the ledger has answered last. */
  ledgerSilence: number
  /** States that were taken from clients. */
  statesTaken: number
  /** Requests of clients that were refused. */
  requestsRefused: number
  /** Refutations that are on the ledger, and attempts that failed. */
  refutations: number
  refutationFailures: number
  /** Channels that ended with an older state than the newest known. */
  channelsLost: number
}

/** All numbers at the beginning. */
export function newMetrics(): TowerMetrics {
  return {
    channels: 0,
    bytes: 0,
    channelsAtRisk: 0,
    channelsNearDeadline: 0,
    ledgerSilence: 0,
    statesTaken: 0,
    requestsRefused: 0,
    refutations: 0,
    refutationFailures: 0,
    channelsLost: 0,
  }
}

const HELP: Readonly<Record<keyof TowerMetrics, readonly [name: string, type: string, help: string]>> = {
  channels: ['channels', 'gauge', 'Channels that are watched'],
  bytes: ['state_bytes', 'gauge', 'Bytes of the states that are kept'],
  channelsAtRisk: ['channels_at_risk', 'gauge', 'Channels with an older state registered'],
  channelsNearDeadline: ['channels_near_deadline', 'gauge', 'Channels at risk whose deadline is near'],
  ledgerSilence: ['ledger_silence_seconds', 'gauge', 'Seconds since the ledger has answered last'],
  statesTaken: ['states_taken_total', 'counter', 'States taken from clients'],
  requestsRefused: ['requests_refused_total', 'counter', 'Requests of clients that were refused'],
  refutations: ['refutations_total', 'counter', 'Refutations on the ledger'],
  refutationFailures: ['refutation_failures_total', 'counter', 'Attempts to refute that failed'],
  channelsLost: ['channels_lost_total', 'counter', 'Channels that ended with an older state'],
}

/** The numbers in Prometheus' text format, version 0.0.4. */
export function prometheusText(metrics: Readonly<TowerMetrics>): string {
  const lines = Object.entries(HELP).flatMap(([key, [name, type, help]]) => {
    const value = Object.entries(metrics).find(([of]) => of === key)?.[1] ?? 0
    const full = `perkunas_tower_${name}`
    return [`# HELP ${full} ${help}.`, `# TYPE ${full} ${type}`, `${full} ${value}`]
  })
  return `${lines.join('\n')}\n`
}
