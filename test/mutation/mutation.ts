/** One way of breaking a promise, and the test files that must notice. */
export interface Mutation {
  /** What is no longer true once the code is changed like this. */
  readonly promise: string;
  /** Relative to the checkout. */
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
  /** Test files, relative to the checkout, of which at least one has to fail. */
  readonly killedBy: readonly string[];
}
