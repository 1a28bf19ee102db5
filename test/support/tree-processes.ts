import type { ProcessRow } from './processes';

/** The pids of a tree by role. */
export interface TreeProcesses {
  readonly primary: number | undefined;
  /** Pids by slot. While a slot is being replaced it has two processes, of which this has the newer one. */
  readonly web: ReadonlyMap<number, number>;
  readonly webPids: readonly number[];
  readonly jobs: number | undefined;
  readonly postgres: number | undefined;
  readonly redis: number | undefined;
  readonly keeper: number | undefined;
  readonly all: readonly ProcessRow[];
}

export function byRole(rows: readonly ProcessRow[]): TreeProcesses {
  const first = (pattern: RegExp) => rows.find((row) => pattern.test(row.command))?.pid;
  const web = rows.flatMap((row) => {
    const slot = /^catamount: web (\d+)/.exec(row.command)?.[1];
    return slot === undefined ? [] : [[Number(slot), row.pid] as const];
  });
  return {
    primary: first(/^catamount: primary/),
    web: new Map(web.sort(([, a], [, b]) => a - b)),
    webPids: web.map(([, pid]) => pid),
    jobs: first(/^catamount: jobs/),
    postgres: first(/\/postgres -D /),
    redis: first(/\/(redis|valkey)-server .*--dir /),
    keeper: first(/catamount-keeper/),
    all: rows,
  };
}
