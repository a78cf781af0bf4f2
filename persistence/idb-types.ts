// The few members of IndexedDB 3.0 that the store uses. The DOM's own types would put every browser global
// into every file of the package; a browser's `indexedDB` and `IDBKeyRange` fit these.

// As a parameter `never` lets the DOM's own handler types fit; we only ever assign.
type Handler = ((event: never) => unknown) | null

/** IDBRequest. */
export interface Request<T> {
  readonly result: T
  readonly error: Error | null
  onsuccess: Handler
  onerror: Handler
}

/** IDBOpenDBRequest. */
export interface OpenRequest extends Request<IDBase> {
  onupgradeneeded: Handler
}

/** IDBFactory. */
export interface Factory {
  open(name: string, version: number): OpenRequest
}

/** IDBDatabase. */
export interface IDBase {
  onversionchange: Handler
  createObjectStore(name: string): unknown
  transaction(
    names: string[],
    mode: 'readonly' | 'readwrite',
    options?: { durability: 'strict' },
  ): Transaction
  close(): void
}

/** IDBTransaction. */
export interface Transaction {
  readonly error: Error | null
  oncomplete: Handler
  onabort: Handler
  objectStore(name: string): Table
  abort(): void
}

/** IDBObjectStore. */
export interface Table {
  get(key: Uint8Array): Request<unknown>
  getAll(range: object | undefined, limit: number | undefined): Request<unknown[]>
  getAllKeys(range: object | undefined, limit: number | undefined): Request<unknown[]>
  put(value: Uint8Array | number, key: Uint8Array): Request<unknown>
  delete(key: Uint8Array): Request<unknown>
}

/** IDBKeyRange. */
export interface KeyRanges {
  bound(lower: Uint8Array, upper: Uint8Array, lowerOpen: boolean, upperOpen: boolean): object
  lowerBound(lower: Uint8Array, lowerOpen: boolean): object
}
