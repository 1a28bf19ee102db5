/** How a process's pool of connections stands. */
export interface PoolUse {
  readonly used: number;
  readonly idle: number;
  /** Whoever asked for one and has none yet. */
  readonly waiting: number;
  readonly max: number;
}
