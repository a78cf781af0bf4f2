// The tables of a PostgreSQL store, and what its values look like on the way there.
import type { Run } from './postgres-session.js'

/** The tables of one store: all that it has is in one schema. */
export interface Tables {
  /** Quoted name of the schema. */
  readonly schema: string
  /** key, value: bytes, which PostgreSQL orders as all our stores do. */
  readonly entries: string
  /**
   * token, expires, commits: the processes that may write; without an expiry one that writes alone. `commits` is the
   * number of its last commit: an earlier one comes too late.
   */
  readonly owners: string
  /** name, party, owner: who serves what, see `Leases`. Names of one party go together. */
  readonly leases: string
}

/** Of the tables' form. */
const LAYOUT = 1

/** @throws Error unless the schema's name can be one */
export function tablesOf(schema: string): Tables {
  // Longer names are cut off by the server, so that two could become one.
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema)) {
    throw new Error(`a schema of 1 to 63 of a-z, 0-9 and '_' expected, got ${schema}`)
  }
  const quoted = `"${schema}"`
  return {
    schema: quoted,
    entries: `${quoted}.entries`,
    owners: `${quoted}.owners`,
    leases: `${quoted}.leases`,
  }
}

/**
 * Makes what is not there yet, in the transaction that is open. Until that ends, whoever else calls it waits: "if not
 * exists" alone would not make two processes that begin at once wait for each other.
 *
 * @throws Error if a newer release made the tables
 */
export async function prepareTables(run: Run, { schema, entries, owners, leases }: Tables): Promise<void> {
  await run({ text: 'SELECT pg_advisory_xact_lock(hashtext($1))', values: [schema] })
  for (const text of [
    `CREATE SCHEMA IF NOT EXISTS ${schema}`,
    `CREATE TABLE IF NOT EXISTS ${schema}.layout (version integer NOT NULL)`,
    `INSERT INTO ${schema}.layout SELECT ${LAYOUT} WHERE NOT EXISTS (SELECT FROM ${schema}.layout)`,
    // Room in each page, so that a record that changes all the time stays in its page and no index is touched.
    `CREATE TABLE IF NOT EXISTS ${entries} (key bytea PRIMARY KEY, value bytea NOT NULL) WITH (fillfactor = 70)`,
    `CREATE TABLE IF NOT EXISTS ${owners}
      (token bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, expires timestamptz, commits bigint NOT NULL DEFAULT 0)
      WITH (fillfactor = 10)`,
    `CREATE SEQUENCE IF NOT EXISTS ${schema}.parties`,
    `CREATE TABLE IF NOT EXISTS ${leases}
      (name text PRIMARY KEY, party bigint NOT NULL, owner bigint REFERENCES ${owners} ON DELETE SET NULL)`,
    `CREATE INDEX IF NOT EXISTS leases_owner ON ${leases} (owner)`,
    `CREATE INDEX IF NOT EXISTS leases_party ON ${leases} (party)`,
  ]) {
    await run({ text })
  }
  // Tables of earlier releases lack it; only then, since it waits for all that use the table.
  const column = `SELECT FROM pg_attribute WHERE attrelid = '${owners}'::regclass AND attname = 'commits'`
  if ((await run({ text: column })).count === 0) {
    await run({ text: `ALTER TABLE ${owners} ADD COLUMN commits bigint NOT NULL DEFAULT 0` })
  }
  await checkLayout(run, schema)
}

/** @throws Error if there is no store, or one of a newer release */
export async function checkLayout(run: Run, schema: string): Promise<void> {
  const { rows } = await run({ text: `SELECT version FROM ${schema}.layout` })
  const version = rows[0]?.['version']
  if (version === LAYOUT) return
  throw new Error(
    `its tables have layout ${version} of a newer release, this one knows ${LAYOUT}: install that release again`,
  )
}

/**
 * Byte strings as one parameter of type bytea[], in PostgreSQL's binary form: nothing in them is ever text.
 *
 * @see PostgreSQL, array_recv: dimensions (1), has nulls (0), element type (17 is bytea), length, lower bound (1), then
 *   each element after its length; all of them big-endian and of 4 bytes
 */
export function byteArrays(values: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(20 + values.reduce((sum, { length }) => sum + 4 + length, 0))
  const view = new DataView(bytes.buffer)
  const head = values.length === 0 ? [0, 0, 17] : [1, 0, 17, values.length, 1]
  for (const [i, word] of head.entries()) view.setInt32(4 * i, word)
  if (values.length === 0) return bytes.subarray(0, 12)
  let at = 20
  for (const value of values) {
    view.setInt32(at, value.length)
    bytes.set(value, at + 4)
    at += 4 + value.length
  }
  return bytes
}
