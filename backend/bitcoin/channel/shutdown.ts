// The way to a closing in agreement: both say shutdown, then what is open resolves (BOLT 2, "Closing Initiation: shutdown").
import { equalBytes } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import { isShutdownScript } from '../script/index.js'
import type { Shutdown } from '../wire/index.js'
import { isSettled } from './book.js'
import { hasSignedEnough } from './closing.js'
import { isAwaitingRevocation } from './commitments.js'
import { refusedCommand, refusedWith, warned } from './failure.js'
import { refused } from './intents.js'
import { closingForms } from './parameters.js'
import type { Live } from './state.js'
import { type Effect, type Handoff, type Step, send, tell, to } from './step.js'

/** Our user closes the channel. Refused while the peer is away, or if it was said before. */
export function shutdown(
  live: Live,
  { script, isIdle = false }: { readonly script?: Uint8Array; readonly isIdle?: boolean },
): Step {
  const isOpen = live.phase === 'normal' || live.phase === 'awaitingReady'
  const chosen = live.terms.local.upfrontShutdown ?? script ?? live.terms.shutdownScript
  const isOther = script !== undefined && !equalBytes(script, chosen)
  const isStandard = isShutdownScript(chosen, closingForms(live.features))
  if (!isOpen || live.link.kind !== 'up') return refusedCommand(live, ['awaitingReady', 'normal'])
  if (isOther || !isStandard) {
    const rule = isOther ? 'the script that was said when the channel opened' : 'a script of a standard form'
    const error = new PerkunasError('INVALID_PARAMS', `${rule} expected to be paid to`, { rule })
    return refusedWith(live, error)
  }
  const { length } = live.book.htlcs
  if (isIdle && length > 0) {
    const rule = 'no open locks'
    const message = `${rule} expected in channel ${live.terms.channelID} to close it, got ${length}`
    return refusedWith(live, new PerkunasError('INVALID_TRANSITION', message, { rule }))
  }
  const { next, handoffs, effects } = said(live, chosen)
  return to(next, { handoffs, effects: [...effects, tell({ kind: 'shuttingDown', by: 'local' })] })
}

/**
 * `shutdown`, answered at once: what we sent is signed already. With option_simple_close its script may be another one than
 * before, as it may in closing_complete.
 */
export function receivedShutdown(live: Live, { scriptpubkey }: Shutdown): Step {
  const { upfrontShutdown } = live.terms.remote
  if (upfrontShutdown !== undefined && !equalBytes(upfrontShutdown, scriptpubkey)) {
    return warned(live, 'shutdown: scriptpubkey is not upfront_shutdown_script')
  }
  if (!isShutdownScript(scriptpubkey, closingForms(live.features))) {
    return warned(live, 'shutdown: scriptpubkey is not of a standard form')
  }
  const { remote } = live.shutdown
  const isOther = remote !== undefined && !equalBytes(remote, scriptpubkey)
  if (isOther && (!closingForms(live.features).simpleClose || hasSignedEnough(live))) {
    return warned(live, 'shutdown: scriptpubkey is not the one of before')
  }
  const isNew = remote === undefined
  const heard: Live = {
    ...live,
    // What we offered pays where the peer is no more: it is made anew.
    phase: live.phase === 'negotiating' && !isOther ? 'negotiating' : 'shuttingDown',
    shutdown: { ...live.shutdown, remote: scriptpubkey },
    closing: isOther ? { ...live.closing, signed: live.closing.signed + 1 } : live.closing,
  }
  const event = isNew ? [tell({ kind: 'shuttingDown', by: 'remote' })] : []
  if (heard.shutdown.local !== undefined) return to(heard, { effects: event })
  const script = live.terms.local.upfrontShutdown ?? live.terms.shutdownScript
  const { next, handoffs, effects } = said(heard, script)
  return to(next, { handoffs, effects: [...event, ...effects] })
}

/** Whether nothing is open any more and neither side has to sign or revoke: then the fee of the closing is agreed on. */
export function isClean(live: Live): boolean {
  const { local, remote } = live.shutdown
  return (
    local !== undefined &&
    remote !== undefined &&
    live.link.kind === 'up' &&
    isSettled(live.book) &&
    !isAwaitingRevocation(live)
  )
}

interface Said {
  readonly next: Live
  readonly handoffs: readonly Handoff[]
  readonly effects: readonly Effect[]
}

/** Says it, and adds nothing from now on. */
function said(live: Live, scriptpubkey: Uint8Array): Said {
  const handoffs = live.intents.flatMap((one) =>
    one.kind === 'add' ? [refused(one.reference, 'the channel shuts down')] : [],
  )
  return {
    next: {
      ...live,
      phase: 'shuttingDown',
      intents: live.intents.filter(({ kind }) => kind === 'remove'),
      shutdown: { ...live.shutdown, local: scriptpubkey },
    },
    handoffs,
    effects: [send({ kind: 'shutdown', channelID: live.terms.channelID, scriptpubkey })],
  }
}
