/** Where the stores are, perhaps behind a delaying proxy. */
export interface Stores {
  readonly redisUrl: string;
  readonly databaseUrl: string;
}

/** One job system, in a process of its own. Its jobs carry a number and do nothing. */
export interface Contender {
  /** Runs jobs until it is stopped. @param run is `perform`, given each job's number. */
  work(concurrency: number, run: (value: number) => void): Promise<Stop>;
  produce(): Promise<Producer>;
}

export type Stop = () => Promise<void>;

export interface Producer {
  add(value: number): Promise<unknown>;
  /** In as few steps as the system has for it. */
  addMany(values: readonly number[]): Promise<unknown>;
  /** @param waitMs from now. */
  addLater(value: number, waitMs: number): Promise<unknown>;
  close(): Promise<void>;
}
