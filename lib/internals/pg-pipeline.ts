import { pg } from './pg';

/** The part of a result that knex reads of statements without rows. */
interface Result {
  readonly command: string;
  readonly rowCount: number | null;
  readonly rows: readonly unknown[];
}

type Callback = (error: Error | null, result?: Result) => void;

/** A statement as knex hands it to a connection. */
interface Statement {
  readonly text: string;
  readonly values?: readonly unknown[];
  /** true: the caller needs no result, so in a transaction the statement may be sent together with the next one. */
  readonly isDeferrable?: boolean;
}

interface RawConnection {
  query(statement: unknown, ...rest: unknown[]): unknown;
  getTransactionStatus(): 'I' | 'T' | 'E' | null;
}

/** What pg's `Query` does by methods that it does not document. */
interface ExtendedQuery {
  prepare(connection: ProtocolConnection): void;
  handleCommandComplete(message: unknown, connection: ProtocolConnection): void;
  handleError(error: Error, connection: ProtocolConnection): void;
}

interface ProtocolConnection {
  execute(portal: { readonly portal: string; readonly rows: number }): void;
}

const Query = pg.Query as unknown as new (config: object, callback?: Callback) => ExtendedQuery;

/** A statement that another one follows in the same write: no Sync ends it, so if it fails, Postgres skips the others. */
class LeadingQuery extends Query {
  constructor({ text, values }: Statement) {
    super({ text, values, queryMode: 'extended' });
  }

  /** pg sends Execute and Sync by it. */
  protected _getRows(connection: ProtocolConnection): void {
    connection.execute({ portal: '', rows: 0 });
  }
}

/** Several statements in one write, of which the last one's result counts. */
class PipelinedQuery extends Query {
  private readonly leading: readonly LeadingQuery[];
  private completed = 0;

  constructor(
    private readonly held: readonly Statement[],
    { text, values }: Statement,
    callback: Callback,
  ) {
    super({ text, values, queryMode: 'extended' }, callback);
    this.leading = held.map((statement) => new LeadingQuery(statement));
  }

  override prepare(connection: ProtocolConnection): void {
    for (const query of this.leading) query.prepare(connection);
    super.prepare(connection);
  }

  override handleCommandComplete(message: unknown, connection: ProtocolConnection): void {
    if (this.completed++ >= this.leading.length) super.handleCommandComplete(message, connection);
  }

  override handleError(error: Error, connection: ProtocolConnection): void {
    const failed = this.held[this.completed];
    if (failed) error.message += ` (in an earlier statement: ${failed.text.replace(/\s+/g, ' ').trim()})`;
    super.handleError(error, connection);
  }
}

/**
 * Call with each new connection of a pool. BEGIN, and statements that are marked as deferrable, are then sent in one write with
 * the statement after them, which saves a round trip each. They are answered at once. If one fails, Postgres runs none of those
 * after it, and the error is that of the statement that was sent with it.
 */
export function sendTogether(connection: RawConnection): void {
  const send = connection.query.bind(connection);
  let held: Statement[] = [];

  const hold = (statement: Statement, callback: Callback): void => {
    held.push(statement);
    answer(statement.text, callback);
  };

  const sendHeld = (statement: Statement, callback: Callback): void => {
    const query = new PipelinedQuery(held, statement, callback);
    held = [];
    send(query);
  };

  connection.query = (statement: unknown, ...rest: unknown[]): unknown => {
    const [callback] = rest;
    if (!isStatement(statement) || !isCallback(callback)) {
      const last = held.pop();
      if (last) sendHeld(last, () => undefined);
      return send(statement, ...rest);
    }
    const { text, isDeferrable } = statement;
    if (/^BEGIN\b/.test(text)) return hold(statement, callback);
    const isInTransaction = held.length > 0 || connection.getTransactionStatus() === 'T';
    if (isDeferrable && isInTransaction) return hold(statement, callback);
    if (held.length === 0) return send(statement, callback);
    const hasBegun = !/^BEGIN\b/.test(held[0]?.text ?? '');
    if (/^ROLLBACK\b/.test(text)) {
      held = [];
      return hasBegun ? send(statement, callback) : answer(text, callback);
    }
    if (/^COMMIT\b/.test(text) && !hasBegun && held.length === 1) {
      held = [];
      return answer(text, callback);
    }
    const undo = findUndo(text);
    if (!undo) return sendHeld(statement, callback);
    // If a held statement fails, Postgres skips this one, and the transaction or savepoint is still open.
    sendHeld(statement, (error, result) => {
      if (error) send({ text: undo }, () => callback(error));
      else callback(error, result);
    });
  };
}

/** The statement that takes back what a statement would have kept; undefined for one that keeps nothing. */
function findUndo(text: string): string | undefined {
  if (/^COMMIT\b/.test(text)) return 'ROLLBACK';
  return /^RELEASE (SAVEPOINT \w+)/.test(text) ? text.replace(/^RELEASE/, 'ROLLBACK TO') : undefined;
}

function answer(text: string, callback: Callback): void {
  const [command = ''] = /^\w+/.exec(text.trim()) ?? [];
  process.nextTick(callback, null, { command: command.toUpperCase(), rowCount: null, rows: [] });
}

function isStatement(value: unknown): value is Statement {
  return typeof value === 'object' && value !== null && 'text' in value && typeof value.text === 'string';
}

function isCallback(value: unknown): value is Callback {
  return typeof value === 'function';
}
