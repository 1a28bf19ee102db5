import type { Knex } from 'knex';
import { ERROR, type SpanAttributes, type SpanDescription, type Tracer } from '../core/tracing';

/** The part of knex's events that is read. */
interface Statement {
  readonly __knexQueryUid: string;
  readonly sql: string;
}

/** Maximum length of a statement in a span. A long one inserts many rows. */
const MAX_TEXT = 2000;
/** Maximum number of statements whose descriptions are kept: of short ones, since long ones are seldom the same. */
const MAX_KNOWN = 500;

/** Identifiers in quotes stay; texts, also with $ or E, or cut off, and numbers go. */
const VALUES =
  /"(?:[^"]|"")*"|\be'(?:[^'\\]|\\.|'')*(?:'|\\?$)|'(?:[^']|'')*(?:'|$)|\$([a-z_]*)\$[\s\S]*?(?:\$\1\$|$)|(?<![\w$.])\d[\w.]*/gi;
const TABLE = /\b(?:from|into|update|join)\s+(?:only\s+)?((?:"[^"]+"|\w+)(?:\.(?:"[^"]+"|\w+))?)/i;

/** Traces the statements of requests and jobs, by the conventions for databases. Their values are in no span. */
export function traceStatements(knex: Knex, url: string, tracer: Tracer): void {
  const { hostname, port, pathname } = new URL(url);
  const server = {
    'db.system.name': 'postgresql',
    'db.namespace': decodeURIComponent(pathname.slice(1)),
    'server.address': hostname,
    'server.port': Number(port || 5432),
  };
  const spans = new Map<string, ReturnType<Tracer['begin']>>();
  const known = new Map<string, SpanDescription>();
  knex.on('query', ({ __knexQueryUid: id, sql }: Statement) => {
    if (!tracer.active?.isRecording()) return;
    let description = known.get(sql);
    if (!description) {
      description = describe(sql, server);
      if (known.size >= MAX_KNOWN) known.clear();
      if (sql.length <= MAX_TEXT) known.set(sql, description);
    }
    spans.set(id, tracer.begin('client', ...description));
  });
  const end = ({ __knexQueryUid: id }: Statement, code?: string) => {
    const span = spans.get(id);
    if (!span) return;
    spans.delete(id);
    // The message may hold a value.
    if (code !== undefined) span.setAttribute('error.type', code).setStatus({ code: ERROR });
    span.end();
  };
  knex.on('query-response', (_response, statement: Statement) => end(statement));
  knex.on('query-error', (error: Error & { readonly code?: string }, statement: Statement) =>
    end(statement, error.code ?? error.name),
  );
}

function describe(sql: string, server: SpanAttributes): SpanDescription {
  const text = sql.slice(0, MAX_TEXT).replace(VALUES, (part) => (part.startsWith('"') ? part : '?'));
  const operation = /\w+/.exec(text)?.[0]?.toUpperCase() ?? 'SQL';
  const table = TABLE.exec(text)?.[1]?.replaceAll('"', '');
  const name = table === undefined ? operation : `${operation} ${table}`;
  const attributes = {
    ...server,
    'db.operation.name': operation,
    'db.collection.name': table,
    'db.query.summary': name,
    'db.query.text': text,
  };
  return [name, attributes];
}
