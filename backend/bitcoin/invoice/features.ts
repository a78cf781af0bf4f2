// Whether we may pay an invoice, or answer an offer, with the features that it shows.
import {
  bitsOf,
  demandOf,
  FEATURE_NAMES,
  FEATURES,
  type FeatureContext,
  type FeatureName,
  offers,
} from '../features.js'
import { refuse } from './refuse.js'

/** Where such features stand: an invoice of BOLT 11; an offer or a request, and an invoice of BOLT 12. */
export type InvoiceContext = Extract<FeatureContext, 'invoice' | 'offer' | 'offer invoice'>

// Those of another place mean nothing here, even if every node has them.
const KNOWN: Readonly<Record<InvoiceContext, readonly FeatureName[]>> = {
  invoice: knownIn('invoice'),
  offer: knownIn('offer'),
  'offer invoice': knownIn('offer invoice'),
}

/**
 * Refuses features that are demanded and not known in this place, and features without those that they need.
 *
 * @throws PerkunasError INVALID_MESSAGE: unknown-even-feature, missing-feature-dependency
 */
export function checkFeatures(context: InvoiceContext, bitmap: Uint8Array, path: string): void {
  const known = KNOWN[context]
  for (const bit of bitsOf(bitmap)) {
    if (bit % 2 === 1 || known.some((name) => FEATURES[name].bit === bit)) continue
    return refuse(path, 'unknown-even-feature', `bit ${bit}`)
  }
  for (const name of known) {
    if (demandOf(bitmap, name) === undefined) continue
    const missing = FEATURES[name].needs.find((needed) => !offers(bitmap, needed))
    if (missing !== undefined) refuse(path, 'missing-feature-dependency', `${name} needs ${missing}`)
  }
}

function knownIn(context: InvoiceContext): readonly FeatureName[] {
  return FEATURE_NAMES.filter((name) => {
    const { contexts, proposal } = FEATURES[name]
    return contexts.includes(context) && proposal === undefined
  })
}
