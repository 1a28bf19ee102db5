/** A way to break the product that some test must notice. */
export interface Mutation {
  /** What does not hold any more. */
  readonly promise: string;
  /** Relative to the checkout. */
  readonly file: string;
  /** Text that occurs in it once. */
  readonly find: string;
  /** What stands there instead. */
  readonly replace: string;
  /** Test files of which at least one must fail then. */
  readonly killedBy: readonly string[];
}
