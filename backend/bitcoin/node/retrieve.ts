// A backup from a peer that keeps it, for who has nothing but a seed and knows where that peer is.
import { PerkunasError } from '../../../channel/errors.js'
import type { PeerID } from '../../../peer/index.js'
import { openBackup } from '../backup/seal.js'
import { lightningMessages } from '../wire/index.js'
import type { LightningNodeOptions } from './options.js'

const { type: RETRIEVAL } = lightningMessages.schemas.find(
  ({ kind }) => kind === 'peer_storage_retrieval',
) ?? { type: 9 }

/**
 * Connects with a peer and waits for what it gives back first. What is of another seed or node, or altered, is not taken.
 *
 * @throws PerkunasError ABORTED; what the bus throws
 */
export async function retrieved(
  { bus, seed }: Pick<LightningNodeOptions, 'bus' | 'seed'>,
  { peer, address }: { readonly peer: PeerID; readonly address?: string },
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const endings: (() => void)[] = []
  try {
    return await new Promise<Uint8Array>((resolve, reject) => {
      const aborted = () =>
        reject(
          new PerkunasError(
            'ABORTED',
            'no backup came before it was aborted',
            { call: 'retrieve' },
            { cause: signal?.reason },
          ),
        )
      if (signal?.aborted) return aborted()
      signal?.addEventListener('abort', aborted, { once: true })
      endings.push(
        () => signal?.removeEventListener('abort', aborted),
        bus.onRaw([RETRIEVAL], (from, type, payload) => {
          if (from !== peer) return
          const message = lightningMessages.decode(Uint8Array.of(type >> 8, type & 0xff, ...payload))
          if (message.kind !== 'peer_storage_retrieval') return
          try {
            if (openBackup(message.blob, seed).node !== bus.id) return
          } catch {
            return
          }
          resolve(message.blob)
        }),
      )
      bus.connect(peer, address)
      endings.push(() => bus.release(peer))
    })
  } finally {
    for (const end of endings) end()
  }
}
