// Whether we may pay an invoice, or answer an offer, with the features that it shows.
import {
  FEATURE_NAMES,
  FEATURES,
  type FeatureContext,
  type FeaturePolicy,
  faultOfFeatures,
} from '../features.js'
import { refuse } from './refuse.js'

/** Where such features stand: an invoice of BOLT 11; an offer or a request, and an invoice of BOLT 12. */
export type InvoiceContext = Extract<FeatureContext, 'invoice' | 'offer' | 'offer invoice'>

const KNOWN: Readonly<Record<InvoiceContext, FeaturePolicy>> = {
  invoice: knownIn('invoice'),
  offer: knownIn('offer'),
  'offer invoice': knownIn('offer invoice'),
}

/**
 * Refuses features that nobody here knows and that are demanded, and features without those that they need.
 *
 * @throws PerkunasError INVALID_MESSAGE: unknown-even-feature, missing-feature-dependency
 */
export function checkFeatures(context: InvoiceContext, bitmap: Uint8Array, path: string): void {
  const fault = faultOfFeatures(bitmap, KNOWN[context])
  if (fault === undefined) return
  if (fault.kind === 'unknown required') refuse(path, 'unknown-even-feature', `bit ${fault.bit}`)
  else refuse(path, 'missing-feature-dependency', `${fault.feature} needs ${fault.needs}`)
}

function knownIn(context: InvoiceContext): FeaturePolicy {
  const known = FEATURE_NAMES.filter((name) => {
    const { contexts, proposal } = FEATURES[name]
    return contexts.includes(context) && proposal === undefined
  })
  return Object.fromEntries(known.map((name) => [name, 'optional']))
}
