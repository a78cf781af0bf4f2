// How everything that reads invoices says no.
import { PerkunasError } from '../../../channel/errors.js'

/**
 * @param path which part, such as `invoice.amount`
 * @param reason a short code that never changes
 * @throws PerkunasError INVALID_MESSAGE, always
 */
export function refuse(path: string, reason: string, detail?: string): never {
  throw new PerkunasError(
    'INVALID_MESSAGE',
    `${path}: ${reason}${detail === undefined ? '' : ` (${detail})`}`,
    { path, reason },
  )
}
