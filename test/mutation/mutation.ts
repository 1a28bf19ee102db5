/** A small fault that breaks a promise, and the tests that must notice. */
export interface Mutation {
  /** What is no longer true. */
  readonly promise: string;
  /** From the root of the repository. */
  readonly file: string;
  /** Occurs once in the file. */
  readonly find: string;
  /** Stands there instead. */
  readonly replace: string;
  /** Test files of which at least one must fail. */
  readonly killedBy: readonly string[];
}
