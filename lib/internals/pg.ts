import type Pg from 'pg';

/** Postgres's driver, the one that knex loads, too. */
export const pg = load();

/**
 * Node 20 says meanwhile who it is, as later ones do. Else pg asks a `Response` whether it runs on Cloudflare, for which
 * Node loads all of undici: 30 ms and 6 MiB in every process.
 */
function load(): typeof Pg {
  const isNameless = !('navigator' in globalThis);
  if (isNameless) {
    const value = { userAgent: `Node.js/${process.versions.node.split('.')[0]}` };
    Object.defineProperty(globalThis, 'navigator', { value, configurable: true });
  }
  try {
    return require('pg') as typeof Pg;
  } finally {
    if (isNameless) Reflect.deleteProperty(globalThis, 'navigator');
  }
}
