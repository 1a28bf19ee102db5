import type Pg from 'pg';

/** The Postgres driver, the same instance that knex loads. */
export const pg = load();

/**
 * Defines `navigator` while pg is loaded, as Node 21 and later do. Without it pg detects Cloudflare by a `Response`,
 * for which Node loads all of undici: 30 ms and 6 MiB in every process.
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
