/** A change of the code that breaks a promise, and the tests that have to tell. */
export interface Mutation {
  /** What is true no more. */
  readonly promise: string;
  /** Path from the project's root. */
  readonly file: string;
  /** Occurs once in the file. */
  readonly find: string;
  /** Stands in its place. */
  readonly replace: string;
  /** Test files, of which at least one fails. */
  readonly killedBy: readonly string[];
}
